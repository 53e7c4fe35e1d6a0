"""Identifiers: [MS-OXCDATA] 2.2.1.

A FolderId or MessageId is 64 bits: a 16-bit replica id and a 48-bit GlobalCounter, the latter big-endian.
In Python it is the little-endian number of the eight bytes; `make_id` and `split_id` convert.
"""

from __future__ import annotations

import uuid
from typing import Annotated, NewType

from openchange_py.wire.codecs import Fixed, Guid, Structure, structure, u64

FolderId = NewType("FolderId", int)
MessageId = NewType("MessageId", int)

FolderId64 = Annotated[FolderId, u64]
MessageId64 = Annotated[MessageId, u64]

#: The replica id that a private mailbox's own objects carry.
PRIVATE_REPLICA_ID = 1


def make_id(replica_id: int, counter: int) -> int:
    """A FolderId or MessageId from its replica id and GlobalCounter."""
    if not 0 <= counter < 1 << 48:
        raise ValueError(f"GlobalCounter {counter} does not fit 48 bits")
    return int.from_bytes(replica_id.to_bytes(2, "little") + counter.to_bytes(6, "big"), "little")


def split_id(value: int) -> tuple[int, int]:
    """Replica id and GlobalCounter of a FolderId or MessageId."""
    raw = value.to_bytes(8, "little")
    return int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "big")


@structure
class LongTermId(Structure):
    """[MS-OXCDATA] 2.2.1.3.1: replica GUID, 48-bit GlobalCounter (big-endian), two zero bytes."""

    database_guid: Guid
    global_counter: Annotated[bytes, Fixed("6s")]
    pad: Annotated[bytes, Fixed("2s")] = b"\0\0"

    @classmethod
    def of(cls, replica_guid: uuid.UUID, counter: int) -> LongTermId:
        """From a replica GUID and a counter."""
        return cls(replica_guid, counter.to_bytes(6, "big"))

    @property
    def counter(self) -> int:
        """The GlobalCounter as a number."""
        return int.from_bytes(self.global_counter, "big")
