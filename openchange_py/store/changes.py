"""Changes: [MS-OXCFXICS] 2.2.1.2 (change number, PidTagChangeKey, PidTagPredecessorChangeList).

Not done yet: merging another replica's predecessor change list, which importing changes needs.
"""

from __future__ import annotations

import dataclasses
import time
import uuid

from openchange_py.store.ids import global_id

#: 100 ns between 1601-01-01 and 1970-01-01.
_EPOCH = 116444736000000000


def now() -> int:
    """The time as PtypTime: 100 ns since 1601-01-01 UTC."""
    return time.time_ns() // 100 + _EPOCH


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """The first version of an object, made here and now."""

    number: int
    key: bytes
    predecessors: bytes
    time: int

    @classmethod
    def first(cls, replica_guid: uuid.UUID, number: int) -> Change:
        """`number` was allocated for it. The list holds the change key alone, as a SizedXid."""
        key = global_id(replica_guid, number)
        return cls(number, key, bytes((len(key),)) + key, now())

    def columns(self) -> dict[str, int | bytes]:
        """As columns of `folders` and `messages`."""
        return {
            "change_number": self.number,
            "change_key": self.key,
            "predecessor_change_list": self.predecessors,
            "creation_time": self.time,
            "last_modification_time": self.time,
        }
