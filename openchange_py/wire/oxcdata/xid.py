"""External identifiers and change lists: XID, SizedXid and PredecessorChangeList, [MS-OXCFXICS] 2.2.2.2 to 2.2.2.3."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import Guid, Rest, Structure, structure

#: Least and most bytes of a LocalId, and of a whole XID.
_LOCAL_ID_SIZES = range(1, 9)
_XID_SIZES = range(17, 25)


@structure
class Xid(Structure):
    """[MS-OXCFXICS] 2.2.2.2: a change key or source key; its size stands outside. A Gid has a `local_id` of 6 bytes."""

    namespace_guid: Guid
    local_id: Rest

    @classmethod
    def of(cls, replica_guid: uuid.UUID, counter: int) -> Xid:
        """A Gid ([MS-OXCDATA] 2.2.1.3): replica GUID and GlobalCounter."""
        return cls(replica_guid, counter.to_bytes(6, "big"))

    @property
    def counter(self) -> int:
        """`local_id` as a number; greater is later within a namespace."""
        return int.from_bytes(self.local_id, "big")


@structure
class PredecessorChangeList(Structure):
    """[MS-OXCFXICS] 2.2.2.3: of each replica the last change that a version of an object includes.

    `xids` stay in the order that was read; what `merged` makes is sorted by namespace, as the document asks.
    """

    xids: list[Xid] = dataclasses.field(default_factory=list)

    @classmethod
    def read(cls, reader: Reader) -> PredecessorChangeList:
        """Read SizedXids up to the reader's end."""
        xids = []
        while reader.remaining:
            size = reader.u8()
            if size not in _XID_SIZES:
                raise DecodeError(f"XidSize {size}", reader.pos - 1)
            xids.append(Xid.read(reader.sub(size)))
        return cls(xids)

    def write(self, writer: Writer) -> None:
        for xid in self.xids:
            if len(xid.local_id) not in _LOCAL_ID_SIZES:
                raise EncodeError(f"LocalId of {len(xid.local_id)} bytes")
            writer.u8(16 + len(xid.local_id))
            xid.write(writer)

    def includes(self, change: Xid) -> bool:
        """Whether the version that this list describes includes that change."""
        return any(xid.namespace_guid == change.namespace_guid and xid.counter >= change.counter for xid in self.xids)

    def includes_all(self, other: PredecessorChangeList) -> bool:
        """Whether it includes all changes of the other: it is the newer, or the same, version, and no conflict."""
        return all(map(self.includes, other.xids))

    def merged(self, changes: Iterable[Xid]) -> PredecessorChangeList:
        """The list of a version that includes those changes too: the last of each namespace, sorted."""
        latest: dict[bytes, Xid] = {}
        for xid in (*self.xids, *changes):
            known = latest.get(xid.namespace_guid.bytes_le)
            if known is None or known.counter < xid.counter:
                latest[xid.namespace_guid.bytes_le] = xid
        return PredecessorChangeList([latest[guid] for guid in sorted(latest)])
