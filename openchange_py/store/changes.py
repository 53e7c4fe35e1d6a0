"""Changes: [MS-OXCFXICS] 2.2.1.2 (change number, PidTagChangeKey, PidTagPredecessorChangeList)."""

from __future__ import annotations

import dataclasses
import time
import uuid

from openchange_py.store.ids import global_id

#: 100 ns between 1601-01-01 and 1970-01-01.
_EPOCH = 116444736000000000
#: Bytes of the NamespaceGuid that an XID begins with ([MS-OXCFXICS] 2.2.2.2).
_GUID = 16


def now() -> int:
    """The time as PtypTime: 100 ns since 1601-01-01 UTC."""
    return time.time_ns() // 100 + _EPOCH


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A version of an object, made here and now."""

    number: int
    key: bytes
    predecessors: bytes
    time: int

    @classmethod
    def first(cls, replica_guid: uuid.UUID, number: int) -> Change:
        """`number` was allocated for it. The list holds the change key alone, as a SizedXid."""
        key = global_id(replica_guid, number)
        return cls(number, key, bytes((len(key),)) + key, now())

    def following(self, predecessors: bytes) -> Change:
        """The same change to an object that exists: its list then has this change in the place of our older ones.

        [MS-OXCFXICS] 3.1.5.6.2: one XID per replica, in the order of their GUIDs.
        """
        theirs = [xid for xid in _xids(predecessors) if xid[:_GUID] != self.key[:_GUID]]
        merged = b"".join(bytes((len(xid),)) + xid for xid in sorted([*theirs, self.key]))
        return dataclasses.replace(self, predecessors=merged)

    def columns(self) -> dict[str, int | bytes]:
        """As columns of `folders` and `messages`."""
        return {
            "change_number": self.number,
            "change_key": self.key,
            "predecessor_change_list": self.predecessors,
            "creation_time": self.time,
            "last_modification_time": self.time,
        }


def _xids(predecessors: bytes) -> list[bytes]:
    """The XIDs of a PredecessorChangeList ([MS-OXCFXICS] 2.2.2.3): each behind its size. One cut off is left out."""
    found, place = [], 0
    while place < len(predecessors):
        end = place + 1 + predecessors[place]
        if end - place > _GUID and end <= len(predecessors):
            found.append(predecessors[place + 1 : end])
        place = end
    return found
