"""Structures declared once: typed fields whose annotations are the layout, compiled at import.

    @structure
    class RopReadStreamRequest(Structure):
        logon_id: U8
        input_handle_index: U8
        byte_count: U16

gives a slotted dataclass with `read(reader)`, `write(writer)`, `unpack(bytes)` and `pack()`. Neighbouring
fields of fixed size become one `struct` call. A field whose layout depends on another one's value has no
declaration here: such a class is a `@structure` that defines `read` and `write` itself.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import struct
import typing
import uuid
from typing import Annotated, Any, Self, TypeVar, dataclass_transform

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer

T = TypeVar("T")


class Codec:
    """How one field stands on the wire."""

    #: The field's `struct` character(s) where it has a fixed size and needs no conversion.
    format: str | None = None
    #: The least number of bytes that the field takes; bounds what a count may announce.
    minimum_size: int = 0

    def read(self, reader: Reader) -> Any:
        raise NotImplementedError

    def write(self, writer: Writer, value: Any) -> None:
        raise NotImplementedError


class Fixed(Codec):
    """A number, or `Ns` bytes, of one `struct` format."""

    def __init__(self, fmt: str) -> None:
        self.format = fmt
        self._struct = struct.Struct("<" + fmt)
        self.minimum_size = self._struct.size
        #: `struct` cuts or fills bytes of another length without a word: that is checked here.
        self.holds_bytes = fmt.endswith("s")

    def read(self, reader: Reader) -> Any:
        return reader.fixed(self._struct)

    def write(self, writer: Writer, value: Any) -> None:
        if self.holds_bytes and len(value) != self._struct.size:
            raise EncodeError(f"{len(value)} bytes in a field of {self._struct.size}")
        writer.fixed(self._struct, value)


class EnumOf(Codec):
    """A number that is known by name. A value without a name is kept as a plain int."""

    def __init__(self, number: Fixed, names: type[enum.IntEnum]) -> None:
        self._number = number
        self._names = {int(member): member for member in names}
        self.minimum_size = number.minimum_size

    def read(self, reader: Reader) -> Any:
        value = self._number.read(reader)
        return self._names.get(value, value)

    def write(self, writer: Writer, value: Any) -> None:
        self._number.write(writer, int(value))


class Converted(Codec):
    """A number read into, and written from, an int subclass such as a flag or an identifier type."""

    def __init__(self, number: Fixed, kind: type[int]) -> None:
        self._number = number
        self._kind = kind
        self.minimum_size = number.minimum_size

    def read(self, reader: Reader) -> Any:
        return self._kind(self._number.read(reader))

    def write(self, writer: Writer, value: Any) -> None:
        self._number.write(writer, int(value))


class Sized(Codec):
    """Bytes behind their count, as PtypBinary is in ROP buffers."""

    def __init__(self, prefix: Fixed) -> None:
        self._prefix = prefix
        self.minimum_size = prefix.minimum_size

    def read(self, reader: Reader) -> bytes:
        return reader.take(self._prefix.read(reader))

    def write(self, writer: Writer, value: bytes) -> None:
        self._prefix.write(writer, len(value))
        writer += value


class Counted(Codec):
    """A list behind the count of its elements."""

    def __init__(self, prefix: Fixed, element: Codec | type[Structure]) -> None:
        self._prefix = prefix
        self._element = element if isinstance(element, Codec) else Nested(element)
        self.minimum_size = prefix.minimum_size

    def read(self, reader: Reader) -> list[Any]:
        count = reader.count(self._prefix.read(reader), max(1, self._element.minimum_size))
        read = self._element.read
        return [read(reader) for _ in range(count)]

    def write(self, writer: Writer, value: list[Any]) -> None:
        self._prefix.write(writer, len(value))
        write = self._element.write
        for element in value:
            write(writer, element)


class Nested(Codec):
    """Another structure in place."""

    def __init__(self, kind: type[Structure]) -> None:
        self._kind = kind
        self.minimum_size = 1

    def read(self, reader: Reader) -> Any:
        return self._kind.read(reader)

    def write(self, writer: Writer, value: Any) -> None:
        value.write(writer)


class GuidCodec(Codec):
    """A GUID in Microsoft's mixed-endian order."""

    minimum_size = 16

    def read(self, reader: Reader) -> uuid.UUID:
        return uuid.UUID(bytes_le=reader.take(16))

    def write(self, writer: Writer, value: uuid.UUID) -> None:
        writer += value.bytes_le


class String8Codec(Codec):
    """Zero-terminated bytes in a code page that the field does not tell."""

    minimum_size = 1

    def read(self, reader: Reader) -> bytes:
        return reader.string8()

    def write(self, writer: Writer, value: bytes) -> None:
        writer.string8(value)


class Utf16Codec(Codec):
    """A zero-terminated UTF-16LE string."""

    minimum_size = 2

    def read(self, reader: Reader) -> str:
        return reader.utf16()

    def write(self, writer: Writer, value: str) -> None:
        writer.utf16(value)


class RestCodec(Codec):
    """All bytes up to the end."""

    def read(self, reader: Reader) -> bytes:
        return reader.rest()

    def write(self, writer: Writer, value: bytes) -> None:
        writer += value


u8, u16, u32, u64 = Fixed("B"), Fixed("H"), Fixed("I"), Fixed("Q")
i16, i32, i64 = Fixed("h"), Fixed("i"), Fixed("q")
guid, string8, utf16 = GuidCodec(), String8Codec(), Utf16Codec()

U8 = Annotated[int, u8]
U16 = Annotated[int, u16]
U32 = Annotated[int, u32]
U64 = Annotated[int, u64]
I16 = Annotated[int, i16]
I32 = Annotated[int, i32]
I64 = Annotated[int, i64]
Bool8 = Annotated[int, u8]
Guid = Annotated[uuid.UUID, guid]
String8 = Annotated[bytes, string8]
Utf16 = Annotated[str, utf16]
Bytes8 = Annotated[bytes, Sized(u8)]
Bytes16 = Annotated[bytes, Sized(u16)]
Bytes32 = Annotated[bytes, Sized(u32)]
Rest = Annotated[bytes, RestCodec()]


class Structure:
    """What `@structure` gives a class. Fields are declared in wire order."""

    __slots__ = ()

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read one from the reader's position; raises `DecodeError` with offset and field path."""
        raise NotImplementedError(f"{cls.__name__} has no layout")

    def write(self, writer: Writer) -> None:
        """Append the wire form; raises `EncodeError` for a value that does not fit."""
        raise NotImplementedError(f"{type(self).__name__} has no layout")

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read one from `data`, which must hold nothing else."""
        reader = Reader(data)
        value = cls.read(reader)
        reader.expect_end()
        return value

    def pack(self) -> bytes:
        """The wire form."""
        writer = Writer()
        self.write(writer)
        return bytes(writer)


S = TypeVar("S", bound=Structure)


@dataclass_transform(field_specifiers=(dataclasses.field,))
def structure(cls: type[S]) -> type[S]:
    """Make a slotted dataclass of `cls`, and compile `read` and `write` from its annotations."""
    # `read_in` is the `read` of a ROP whose layout depends on more than its own bytes.
    own = {"read": bool({"read", "read_in"} & cls.__dict__.keys()), "write": "write" in cls.__dict__}
    # No fields of its own: the layout is the base's, which may be written by hand.
    inherited = hasattr(cls, "__dataclass_fields__") and not inspect.get_annotations(cls)
    made: Any = dataclasses.dataclass(slots=True)(cls)
    if inherited or (own["read"] and own["write"]):
        return typing.cast("type[S]", made)
    fields = _layout(made)
    source, names = _compile(fields)
    names.update(EncodeError=EncodeError, DecodeError=DecodeError, error=struct.error)
    exec(source, names)  # noqa: S102  compiled from declarations, as dataclasses do
    if not own["read"]:
        made.read = classmethod(names["read"])
    if not own["write"]:
        made.write = names["write"]
    return typing.cast("type[S]", made)


def _layout(cls: type) -> list[tuple[str, Codec]]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return [(f.name, _codec(cls, f.name, hints[f.name])) for f in dataclasses.fields(cls) if f.init]


def _codec(cls: type, name: str, hint: Any) -> Codec:
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Codec):
            return extra
    if isinstance(hint, type) and issubclass(hint, Structure):
        return Nested(hint)
    raise TypeError(f"{cls.__name__}.{name}: {hint!r} has no codec")


def _compile(fields: list[tuple[str, Codec]]) -> tuple[str, dict[str, Any]]:
    """Straight-line source: a run of fixed fields is one struct, the others call their codec."""
    names: dict[str, Any] = {}
    reading, writing, current = [], [], 0
    while current < len(fields):
        run = current
        while run < len(fields) and fields[run][1].format is not None:
            run += 1
        if run > current:
            layout = struct.Struct("<" + "".join(str(codec.format) for _, codec in fields[current:run]))
            names[f"s{current}"] = layout
            targets = [name for name, _ in fields[current:run]]
            reading += [
                f"  field = {'..'.join({targets[0]: 0, targets[-1]: 0})!r}",
                "  pos = reader.pos",
                f"  if reader.end - pos < {layout.size}: raise reader.short({layout.size})",
                f"  {', '.join(targets)}, = s{current}.unpack_from(reader.data, pos)",
                f"  reader.pos = pos + {layout.size}",
            ]
            writing += _length_checks(fields[current:run])
            writing.append(f"  writer += s{current}.pack({', '.join('self.' + name for name in targets)})")
            current = run
            continue
        name, codec = fields[current]
        names[f"c{current}"] = codec
        reading += [f"  field = {name!r}", f"  {name} = c{current}.read(reader)"]
        writing.append(f"  c{current}.write(writer, self.{name})")
        current += 1
    arguments = ", ".join(name for name, _ in fields)
    source = "\n".join(
        [
            "def read(cls, reader):",
            " field = ''",
            " try:",
            *(reading or ["  pass"]),
            " except DecodeError as e: raise e.within(field) from None",
            f" return cls({arguments})",
            "def write(self, writer):",
            " try:",
            *(writing or ["  pass"]),
            " except error as e: raise EncodeError(f'{type(self).__name__}: {e}') from e",
        ]
    )
    return source, names


def _length_checks(fields: list[tuple[str, Codec]]) -> list[str]:
    """Source that refuses bytes of a wrong length, which `struct` would cut or fill."""
    return [
        f"  if len(self.{name}) != {codec.minimum_size}: "
        f"raise error('{name}: %d bytes in a field of {codec.minimum_size}' % len(self.{name}))"
        for name, codec in fields
        if isinstance(codec, Fixed) and codec.holds_bytes
    ]


def structure_fields(value: Structure) -> list[tuple[str, Any]]:
    """Names and values of a structure's fields, in wire order: for dumps and dissection."""
    return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(typing.cast("Any", value))]
