"""NDR64: [MS-RPCE] 2.2.5. Pointers and the counts of arrays are 8 bytes, enumerations 4, structures are padded.

What is otherwise than in NDR 2.0 is here, and at the `gap`s of the codecs: a structure is as long as a multiple of its
alignment unless it ends in an array whose length varies (2.2.5.3.4.1), and a union's discriminant and arm are both
aligned to the largest of its arms (2.2.5.3.4.4). NDR64 is little-endian always (2.2.5).
"""

from __future__ import annotations

import struct
from typing import ClassVar

from openchange_py.wire.ndr import FIRST_REFERENT, NdrReader, NdrWriter

_U64 = struct.Struct("<Q")


class Ndr64Reader(NdrReader):
    """Reads an NDR64 stub with the codecs of NDR 2.0."""

    __slots__ = ()

    wide: ClassVar[int] = 8

    def size(self) -> int:
        self.align(8)
        return self.fixed(_U64)

    def enum(self) -> int:
        return self.u32()

    def gap(self, size: int = 8) -> None:
        self.align(size)

    def pointer(self) -> bool:
        """See `NdrReader.pointer`. An id is kept in 32 bits: that it is not null is all that a unique pointer tells."""
        referent = self.size()
        if referent:
            self.referents.append(referent & 0xFFFFFFFF or FIRST_REFERENT)
        return referent != 0

    def padding(self) -> bytes:
        """Whole structures may have been padded to 8 at the end, or the stub to 4 for a verification trailer."""
        return self.take(min(-self.pos % 8, self.remaining))


class Ndr64Writer(NdrWriter):
    """Writes an NDR64 stub with the codecs of NDR 2.0."""

    wide: ClassVar[int] = 8

    def size(self, value: int) -> None:
        self.align(8)
        self.fixed(_U64, value)

    def enum(self, value: int) -> None:
        self.u32(value)

    def gap(self, size: int = 8) -> None:
        self.align(size)

    def pointer(self, present: bool) -> bool:
        self.size(self.referent() if present else 0)
        return present
