"""Bounds-checked reading and writing of little-endian bytes: the ground that every codec stands on.

Whatever the bytes are, a read gives a value or raises `DecodeError`, never another exception, never a
silently short slice, and never an allocation larger than the input justifies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_I32: Final = struct.Struct("<i")
_I64: Final = struct.Struct("<q")


class DecodeError(ValueError):
    """The bytes are not what the document says they must be.

    `offset` is where in the buffer (bytes), `path` the fields that lead there, outermost first.
    """

    def __init__(self, reason: str, offset: int | None = None, path: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset
        self.path = path

    def within(self, name: str) -> DecodeError:
        """The same error, seen from one field further out."""
        self.path = (name, *self.path)
        return self

    def __str__(self) -> str:
        where = ".".join(self.path)
        at = "" if self.offset is None else f" at offset {self.offset}"
        return f"{where + ': ' if where else ''}{self.reason}{at}"


class EncodeError(ValueError):
    """A value does not fit the field it was put into: our caller's mistake, not the peer's."""


class Reader:
    """A position in a byte string, and the end that must not be passed."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end
        if not 0 <= self.pos <= self.end <= len(data):
            raise DecodeError(f"range {pos}..{end} lies outside {len(data)} bytes", pos)

    @property
    def remaining(self) -> int:
        """Bytes between the position and the end."""
        return self.end - self.pos

    def short(self, needed: int) -> DecodeError:
        """The error for a read of `needed` bytes that the buffer does not hold."""
        return DecodeError(f"{needed} bytes needed, {self.end - self.pos} left", self.pos)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        pos = self.pos
        if count < 0 or count > self.end - pos:
            raise self.short(count)
        self.pos = pos + count
        return self.data[pos : pos + count]

    def rest(self) -> bytes:
        """All bytes up to the end."""
        return self.take(self.end - self.pos)

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        if count < 0 or count > self.end - self.pos:
            raise self.short(count)
        self.pos += count

    def sub(self, count: int) -> Reader:
        """A reader of the next `count` bytes alone; this reader moves past them."""
        pos = self.pos
        if count < 0 or count > self.end - pos:
            raise self.short(count)
        self.pos = pos + count
        return Reader(self.data, pos, pos + count)

    def u8(self) -> int:
        pos = self.pos
        if pos >= self.end:
            raise self.short(1)
        self.pos = pos + 1
        return self.data[pos]

    def u16(self) -> int:
        return self.fixed(_U16)

    def u32(self) -> int:
        return self.fixed(_U32)

    def u64(self) -> int:
        return self.fixed(_U64)

    def i32(self) -> int:
        return self.fixed(_I32)

    def i64(self) -> int:
        return self.fixed(_I64)

    def fixed(self, layout: struct.Struct) -> int:
        """One number of the given layout."""
        pos = self.pos
        if layout.size > self.end - pos:
            raise self.short(layout.size)
        self.pos = pos + layout.size
        value: int = layout.unpack_from(self.data, pos)[0]
        return value

    def fields(self, layout: struct.Struct) -> tuple[int, ...]:
        """All numbers of the given layout."""
        pos = self.pos
        if layout.size > self.end - pos:
            raise self.short(layout.size)
        self.pos = pos + layout.size
        return layout.unpack_from(self.data, pos)

    def count(self, value: int, minimum_size: int) -> int:
        """`value` elements of at least `minimum_size` bytes each must fit into what is left."""
        if value * minimum_size > self.end - self.pos:
            raise DecodeError(f"{value} elements announced, {self.end - self.pos} bytes left for them", self.pos)
        return value

    def string8(self) -> bytes:
        """The bytes up to the next zero byte; the zero is passed over."""
        index = self.data.find(b"\0", self.pos, self.end)
        if index < 0:
            raise DecodeError("string without terminating zero", self.pos)
        value = self.data[self.pos : index]
        self.pos = index + 1
        return value

    def utf16(self) -> str:
        """A UTF-16LE string up to its terminating zero character. Lone surrogates are kept as they are."""
        start = self.pos
        index = start
        while True:
            index = self.data.find(b"\0\0", index, self.end)
            if index < 0:
                raise DecodeError("UTF-16 string without terminating zero", start)
            if (index - start) % 2 == 0:
                break
            index += 1
        self.pos = index + 2
        return self.data[start:index].decode("utf-16-le", "surrogatepass")

    def expect_end(self) -> None:
        """Nothing may be left."""
        if self.pos != self.end:
            raise DecodeError(f"{self.end - self.pos} bytes left over", self.pos)

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Names the field that is being read, for the path of an error. Not for hot loops."""
        try:
            yield
        except DecodeError as error:
            raise error.within(name) from None


class Writer(bytearray):
    """A growing buffer with the primitives that `Reader` reads."""

    def u8(self, value: int) -> None:
        try:
            self.append(value)
        except ValueError as error:
            raise EncodeError(f"{value} does not fit 8 bits") from error

    def u16(self, value: int) -> None:
        self.fixed(_U16, value)

    def u32(self, value: int) -> None:
        self.fixed(_U32, value)

    def u64(self, value: int) -> None:
        self.fixed(_U64, value)

    def i32(self, value: int) -> None:
        self.fixed(_I32, value)

    def i64(self, value: int) -> None:
        self.fixed(_I64, value)

    def fixed(self, layout: struct.Struct, *values: int) -> None:
        """Numbers in the given layout."""
        try:
            self += layout.pack(*values)
        except struct.error as error:
            raise EncodeError(f"{values}: {error}") from error

    def string8(self, value: bytes) -> None:
        """The bytes and a terminating zero."""
        if b"\0" in value:
            raise EncodeError("a zero-terminated string can't hold a zero byte")
        self += value
        self.append(0)

    def utf16(self, value: str) -> None:
        """UTF-16LE with a terminating zero character."""
        if "\0" in value:
            raise EncodeError("a zero-terminated string can't hold a zero character")
        self += value.encode("utf-16-le", "surrogatepass")
        self += b"\0\0"

    def patch_u16(self, at: int, value: int) -> None:
        """Put a 16-bit number over bytes written before."""
        try:
            _U16.pack_into(self, at, value)
        except struct.error as error:
            raise EncodeError(f"{value} at {at}: {error}") from error

    def patch_u32(self, at: int, value: int) -> None:
        """Put a 32-bit number over bytes written before."""
        try:
            _U32.pack_into(self, at, value)
        except struct.error as error:
            raise EncodeError(f"{value} at {at}: {error}") from error
