"""Readers that notice padding which is not zero: the binding flag `padcheck`.

Senders should pad with zeros (C706 14.2.2 leaves it open); one that does not may send what it had in memory.
"""

from __future__ import annotations

from openchange_py.wire.ndr import BigEndianNdrReader, NdrReader
from openchange_py.wire.ndr64 import Ndr64Reader


class PaddingReader(NdrReader):
    """Reads as its base does; `found` are the positions of gaps that hold something."""

    __slots__ = ("found",)

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        super().__init__(data, pos, end)
        self.found: list[int] = []

    def align(self, size: int) -> None:
        before = self.pos
        super().align(size)
        if self.data[before : self.pos].strip(b"\0"):
            self.found.append(before)

    def u32(self) -> int:
        self.align(4)
        return super().u32()

    def size(self) -> int:
        self.align(self.wide)
        return super().size()


class BigEndianPaddingReader(PaddingReader, BigEndianNdrReader):
    """Of a big-endian stub."""

    __slots__ = ()


class Ndr64PaddingReader(PaddingReader, Ndr64Reader):
    """Of an NDR64 stub."""

    __slots__ = ()
