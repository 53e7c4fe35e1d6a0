"""NDR 2.0 (C706 chapter 14): aligned primitives, pointers, conformant arrays, and what an RPC call's stub is.

Alignment counts from the start of the stub. A stub that was decoded and not edited packs to the same bytes:
the referent ids of its pointers are kept in `RpcMessage.referents` in wire order and used again.

What NDR64 has otherwise (`ndr64.py`) goes through methods of its own here: a codec reads and writes the counts of
arrays with `size`, enumerations with `enum`, and says with `gap` where NDR64 pads. `NdrReader` and `NdrWriter` are
NDR 2.0; a codec that takes a short cut asks for them by `wide`.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import uuid
from collections.abc import Iterator
from typing import ClassVar, Self, TypeVar, dataclass_transform

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer

_U16, _U32, _U64, _I16, _I32 = (struct.Struct("<" + c) for c in "HIQhi")

#: Where generated referent ids start, as Windows and Samba have it.
FIRST_REFERENT = 0x00020000


class NdrReader(Reader):
    """A `Reader` whose primitives skip to their natural alignment first."""

    __slots__ = ("referents",)

    #: Bytes of a pointer, and of an array's count.
    wide: ClassVar[int] = 4

    #: How `u32` stands in the stub.
    _u32: ClassVar = _U32
    #: How characters of 16 bits stand in the stub.
    _utf16: ClassVar = "utf-16-le"

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        super().__init__(data, pos, end)
        self.referents: list[int] = []

    def align(self, size: int) -> None:
        """Move to the next multiple of `size` (a power of two)."""
        pos = -(-self.pos // size) * size
        if pos > self.end:
            raise self.short(pos - self.pos)
        self.pos = pos

    def padding(self) -> bytes:
        """What may stand between a stub's parameters and its end."""
        return self.take(-self.pos % 4)

    def u16(self) -> int:
        self.align(2)
        return self.fixed(_U16)

    def i16(self) -> int:
        self.align(2)
        return self.fixed(_I16)

    def u32(self) -> int:
        # What stubs are mostly made of: `align` and `fixed` in one.
        pos = self.pos + 3 & -4
        if pos + 4 > self.end:
            self.align(4)
            raise self.short(4)
        self.pos = pos + 4
        value: int = self._u32.unpack_from(self.data, pos)[0]
        return value

    #: A maximum count, offset or actual count of an array.
    size = u32
    #: An enumeration without [v1_enum].
    enum = u16

    def gap(self, size: int = 8) -> None:
        """Where NDR64 aligns to `size` and NDR 2.0 does not.

        8 where a structure with pointers begins or ends, or a union with pointers, or the arm of one.
        """

    def i32(self) -> int:
        self.align(4)
        return self.fixed(_I32)

    def u64(self) -> int:
        """A hyper: aligned to 8."""
        self.align(8)
        return self.fixed(_U64)

    def guid(self) -> uuid.UUID:
        """A GUID structure: aligned to 4."""
        self.align(4)
        return uuid.UUID(bytes_le=self.take(16))

    def context_handle(self) -> ContextHandle:
        """An ndr_context_handle: aligned to 4."""
        self.align(4)
        return _context_handle(self.take(_HANDLE_SIZE))

    def interface_id(self) -> SyntaxId:
        """rpc_if_id_t (C706 appendix N): aligned to 4."""
        return SyntaxId(self.guid(), self.u16(), self.u16())

    def pointer(self) -> bool:
        """A unique or full pointer's referent id; true where the pointer is not null."""
        referent = self.u32()
        if referent:
            self.referents.append(referent)
        return referent != 0

    def conformance(self, element_size: int, limit: int | None = None) -> int:
        """A conformant array's maximum count, which its elements' bytes (or `limit`) must justify."""
        count = self.size()
        if limit is not None and count > limit:
            raise DecodeError(f"array of {count} elements, at most {limit} allowed", self.pos - self.wide)
        return self.count(count, element_size)

    def varying(self, maximum: int, element_size: int) -> int:
        """A varying array's offset (which must be 0) and actual count."""
        offset, actual = self.size(), self.size()
        if offset or actual > maximum:
            raise DecodeError(f"offset {offset}, count {actual} in an array of {maximum}", self.pos - 2 * self.wide)
        return self.count(actual, element_size)

    def char_string(self) -> bytes:
        """[string] char *: conformant and varying, its terminating zero checked and removed."""
        raw = self.take(self.varying(self.size(), 1))
        if not raw.endswith(b"\0"):
            raise DecodeError("string without terminating zero", self.pos)
        return raw[:-1]

    def wchar_string(self) -> str:
        """[string] wchar_t *: conformant and varying, its terminating zero checked and removed."""
        raw = self.take(2 * self.varying(self.size(), 2))
        if not raw.endswith(b"\0\0"):
            raise DecodeError("string without terminating zero", self.pos)
        return raw[:-2].decode(self._utf16, "surrogatepass")


class BigEndianNdrReader(NdrReader):
    """Reads the stub of a peer whose data representation is big-endian (C706 14.1).

    Byte arrays and FlatUID_r are the same in either order; numbers, GUIDs and wide characters are not.
    """

    __slots__ = ()

    _u32: ClassVar = struct.Struct(">I")
    _utf16: ClassVar = "utf-16-be"

    def fixed(self, layout: struct.Struct) -> int:
        return super().fixed(_big_endian(layout.format))

    def fields(self, layout: struct.Struct) -> tuple[int, ...]:
        return super().fields(_big_endian(layout.format))

    def guid(self) -> uuid.UUID:
        self.align(4)
        return uuid.UUID(bytes=self.take(16))

    def context_handle(self) -> ContextHandle:
        return ContextHandle(self.u32(), self.guid())


@functools.lru_cache(256)
def _big_endian(layout: str) -> struct.Struct:
    return struct.Struct(">" + layout.lstrip("<"))


class NdrWriter(Writer):
    """A `Writer` whose primitives pad with zeros to their natural alignment first."""

    #: Bytes of a pointer, and of an array's count.
    wide: ClassVar[int] = 4
    #: How characters of 16 bits stand in the stub.
    _utf16: ClassVar = "utf-16-le"

    def __init__(self, referents: tuple[int, ...] = ()) -> None:
        super().__init__()
        self._kept: Iterator[int] = iter(referents)
        self._next = FIRST_REFERENT

    def align(self, size: int) -> None:
        """Pad to the next multiple of `size`."""
        self += bytes(-len(self) % size)

    def u16(self, value: int) -> None:
        self.align(2)
        self.fixed(_U16, value)

    def i16(self, value: int) -> None:
        self.align(2)
        self.fixed(_I16, value)

    def u32(self, value: int) -> None:
        self.align(4)
        self.fixed(_U32, value)

    #: A maximum count, offset or actual count of an array.
    size = u32
    #: An enumeration without [v1_enum].
    enum = u16

    def gap(self, size: int = 8) -> None:
        """See `NdrReader.gap`."""

    def i32(self, value: int) -> None:
        self.align(4)
        self.fixed(_I32, value)

    def u64(self, value: int) -> None:
        self.align(8)
        self.fixed(_U64, value)

    def guid(self, value: uuid.UUID) -> None:
        self.align(4)
        self += value.bytes_le

    def pointer(self, present: bool) -> bool:
        """A referent id (a kept one where the stub was decoded), or null; gives `present` back."""
        self.u32(self.referent() if present else 0)
        return present

    def referent(self) -> int:
        """The id that the next pointer that is not null has on the wire, for code that writes it by itself."""
        referent = next(self._kept, None)
        if referent is None:
            referent = self._next
        self._next = max(self._next, referent) + 4 & 0xFFFFFFFF or FIRST_REFERENT
        return referent

    def char_string(self, value: bytes) -> None:
        """[string] char *: conformant and varying, with a terminating zero."""
        if b"\0" in value:
            raise EncodeError("a zero-terminated string can't hold a zero byte")
        self.fixed_counts(len(value) + 1)
        self += value + b"\0"

    def wchar_string(self, value: str) -> None:
        """[string] wchar_t *: conformant and varying, with a terminating zero."""
        if "\0" in value:
            raise EncodeError("a zero-terminated string can't hold a zero character")
        raw = value.encode(self._utf16, "surrogatepass") + b"\0\0"
        self.fixed_counts(len(raw) // 2)
        self += raw

    def fixed_counts(self, count: int) -> None:
        """Maximum count, offset and actual count of a conformant varying array that is full."""
        self.size(count)
        self.size(0)
        self.size(count)


class BigEndianNdrWriter(NdrWriter):
    """Writes the stub of a sender whose data representation is big-endian, as `BigEndianNdrReader` reads it."""

    _utf16: ClassVar = "utf-16-be"

    def fixed(self, layout: struct.Struct, *values: int) -> None:
        super().fixed(_big_endian(layout.format), *values)

    def guid(self, value: uuid.UUID) -> None:
        self.align(4)
        self += value.bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ContextHandle:
    """An RPC context handle: 20 bytes on the wire, valid within one association group."""

    attributes: int
    uuid: uuid.UUID

    @property
    def is_null(self) -> bool:
        return self.attributes == 0 and self.uuid.int == 0

    @classmethod
    def read(cls, reader: NdrReader) -> ContextHandle:
        return reader.context_handle()

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.attributes)
        writer.guid(self.uuid)


_HANDLE_SIZE = 20


@functools.lru_cache(4096)
def _context_handle(raw: bytes) -> ContextHandle:
    """A client's calls all carry the same few handles, and a UUID is dear to make."""
    return ContextHandle(int.from_bytes(raw[:4], "little"), uuid.UUID(bytes_le=raw[4:]))


NULL_HANDLE = ContextHandle(0, uuid.UUID(int=0))


class RpcMessage:
    """A call's request or response: its parameters, in stub order."""

    __slots__ = ("padding", "referents")

    #: The referent ids that the decoded stub used, in wire order; empty for a message made here.
    referents: tuple[int, ...]
    #: What stood behind the parameters up to their alignment: a verification trailer is aligned ([MS-RPCE] 2.2.2.13),
    #: and cut off elsewhere.
    padding: bytes

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        """Read the parameters; raises `DecodeError` with offset and field path."""
        raise NotImplementedError(f"{cls.__name__} has no layout")

    def write(self, writer: NdrWriter) -> None:
        """Append the parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no layout")

    @classmethod
    def unpack(cls, stub: bytes, reads: type[NdrReader] = NdrReader) -> Self:
        """Read a whole stub, of which nothing may be left, in the representation that `reads` knows."""
        reader = reads(stub)
        message = cls.read(reader)
        message.padding = reader.padding() if reader.remaining else b""
        reader.expect_end()
        message.referents = tuple(reader.referents)
        return message

    def pack(self, writes: type[NdrWriter] = NdrWriter) -> bytes:
        """The stub, in the representation that `writes` knows."""
        writer = writes(getattr(self, "referents", ()))
        self.write(writer)
        writer += getattr(self, "padding", b"")
        return bytes(writer)


M = TypeVar("M", bound=RpcMessage)


@dataclass_transform()
def rpc_message(cls: type[M]) -> type[M]:
    """Make a slotted dataclass of an `RpcMessage`; `read` and `write` are its own."""
    return dataclasses.dataclass(slots=True)(cls)


@dataclasses.dataclass(frozen=True, slots=True)
class SyntaxId:
    """An interface or transfer syntax with its version."""

    uuid: uuid.UUID
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.uuid}/{self.major}.{self.minor}"


NDR20 = SyntaxId(uuid.UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class RpcMethod:
    """One call of an interface. `request` and `response` are None where the project has no codec for it."""

    opnum: int
    name: str
    request: type[RpcMessage] | None
    response: type[RpcMessage] | None


class RpcInterface:
    """An RPC interface and its methods, declared once beside their codecs."""

    #: Every interface that was declared, by UUID.
    known: ClassVar[dict[uuid.UUID, RpcInterface]] = {}

    def __init__(self, name: str, syntax_uuid: str, major: int, minor: int = 0) -> None:
        self.name = name
        self.syntax = SyntaxId(uuid.UUID(syntax_uuid), major, minor)
        self.methods: dict[int, RpcMethod] = {}
        self.known[self.syntax.uuid] = self

    def declare(
        self,
        opnum: int,
        name: str,
        request: type[RpcMessage] | None = None,
        response: type[RpcMessage] | None = None,
    ) -> RpcMethod:
        """Declare the method of an opnum."""
        if opnum in self.methods:
            raise ValueError(f"{self.name} opnum {opnum} is {self.methods[opnum].name} already")
        method = self.methods[opnum] = RpcMethod(opnum, name, request, response)
        return method

    def method_name(self, opnum: int) -> str:
        """The document's name of a call, or `opnum N`."""
        method = self.methods.get(opnum)
        return method.name if method else f"opnum {opnum}"

    def __repr__(self) -> str:
        return f"<{self.name} {self.syntax}>"
