"""Named properties: PropertyName, [MS-OXCDATA] 2.6.1."""

from __future__ import annotations

import enum
import uuid

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import Structure, structure


class Kind(enum.IntEnum):
    """[MS-OXCDATA] 2.6.1: what names the property."""

    Lid = 0x00
    Name = 0x01
    #: A property id that has no name.
    NoName = 0xFF


@structure
class PropertyName(Structure):
    """`lid` is there for `Kind.Lid`, `name` for `Kind.Name`; `guid` is the property set."""

    kind: int
    guid: uuid.UUID
    lid: int | None = None
    name: str | None = None

    @classmethod
    def of_lid(cls, guid: uuid.UUID, lid: int) -> PropertyName:
        """A property named by a number."""
        return cls(Kind.Lid, guid, lid)

    @classmethod
    def of_name(cls, guid: uuid.UUID, name: str) -> PropertyName:
        """A property named by a text; at most 126 UTF-16 units."""
        return cls(Kind.Name, guid, None, name)

    @classmethod
    def read(cls, reader: Reader) -> PropertyName:
        kind = reader.u8()
        guid = uuid.UUID(bytes_le=reader.take(16))
        if kind == Kind.Lid:
            return cls(Kind.Lid, guid, reader.u32())
        if kind == Kind.Name:
            inner = reader.sub(reader.u8())
            name = inner.utf16()
            inner.expect_end()
            return cls(Kind.Name, guid, None, name)
        if kind == Kind.NoName:
            return cls(Kind.NoName, guid)
        raise DecodeError(f"Kind 0x{kind:02X} of a property name", reader.pos - 17)

    def write(self, writer: Writer) -> None:
        writer.u8(self.kind)
        writer += self.guid.bytes_le
        match self.kind, self.lid, self.name:
            case Kind.Lid, int(lid), None:
                writer.u32(lid)
            case Kind.Name, None, str(name):
                raw = Writer()
                raw.utf16(name)
                writer.u8(len(raw))
                writer += raw
            case Kind.NoName, None, None:
                pass
            case _:
                raise EncodeError(f"{self!r:.120}: not the fields of its kind")
