"""Property values in ROP buffers: [MS-OXCDATA] 2.11.1 to 2.11.4.

    value = read_value(reader, tag.type)
    write_value(writer, tag.type, value)

What a value of each type is in Python stands in `properties`. In a ROP buffer the byte count of a Binary takes
16 bits and the value count of a multiple-valued type 32 (2.11.1.1). What is read is written again as the same bytes.

Not done yet: the 32-bit byte counts of extended rules ([MS-OXORULE] 2.2.4) and search folder definitions.
"""

from __future__ import annotations

import dataclasses
import struct
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import Codec, Counted, u16
from openchange_py.wire.oxcdata.properties import (
    MULTIPLE_FLAG,
    MULTIPLE_INSTANCE_FLAG,
    PropertyTag,
    PropertyType,
    PropertyValue,
    TaggedPropertyValue,
)

ReadFunction: TypeAlias = Callable[[Reader], PropertyValue]
WriteFunction: TypeAlias = Callable[[Writer, Any], None]


@dataclasses.dataclass(slots=True)
class TypedPropertyValue:
    """[MS-OXCDATA] 2.11.3: a value with its type in front; the value of a property asked for as Unspecified."""

    type: int
    value: PropertyValue


def _integer(fmt: str) -> tuple[ReadFunction, WriteFunction]:
    """A number of the `struct` format. Either sign is written: 0xFFFFFFFF and -1 are the same bytes."""
    layout = struct.Struct("<" + fmt)
    size, unpack = layout.size, layout.unpack_from
    lowest, limit, mask = -(1 << 8 * size - 1), 1 << 8 * size, (1 << 8 * size) - 1

    def read(reader: Reader) -> int:
        pos = reader.pos
        end = pos + size
        if end > reader.end:
            raise reader.short(size)
        reader.pos = end
        value: int = unpack(reader.data, pos)[0]
        return value

    def write(writer: Writer, value: int) -> None:
        if not lowest <= value < limit:
            raise EncodeError(f"{value} does not fit {8 * size} bits")
        writer += (value & mask).to_bytes(size, "little")

    return read, write


def _floating(fmt: str) -> tuple[ReadFunction, WriteFunction]:
    layout = struct.Struct("<" + fmt)

    def read(reader: Reader) -> float:
        pos = reader.pos
        value: float = reader.fixed(layout)
        if value != value and layout.pack(value) != reader.data[pos : reader.pos]:
            raise DecodeError("a signalling NaN, which a computation would change", pos)
        return value

    def write(writer: Writer, value: float) -> None:
        try:
            writer += layout.pack(value)
        except OverflowError as error:
            raise EncodeError(str(error)) from error

    return read, write


def _read_null(_reader: Reader) -> None:
    return None


def _write_null(_writer: Writer, value: object) -> None:
    if value is not None:
        raise EncodeError(f"a Null has no value, not {value!r}")


def _read_boolean(reader: Reader) -> bool | int:
    value = reader.u8()
    return value if value > 1 else value == 1


def _write_boolean(writer: Writer, value: int) -> None:
    writer.u8(value)


def _read_guid(reader: Reader) -> uuid.UUID:
    return uuid.UUID(bytes_le=reader.take(16))


def _write_guid(writer: Writer, value: uuid.UUID) -> None:
    writer += value.bytes_le


def _read_binary(reader: Reader) -> bytes:
    return reader.take(reader.u16())


def _write_binary(writer: Writer, value: bytes) -> None:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("not bytes")
    writer.u16(len(value))
    writer += value


def _write_string8(writer: Writer, value: bytes) -> None:
    writer.string8(value)


def _write_string(writer: Writer, value: str) -> None:
    writer.utf16(value)


def _read_restriction(reader: Reader) -> PropertyValue:
    from openchange_py.wire.oxcdata.restrictions import read_restriction  # which holds values itself

    return read_restriction(reader)


def _write_structure(writer: Writer, value: Any) -> None:
    value.write(writer)


def _read_rule_action(reader: Reader) -> PropertyValue:
    from openchange_py.wire.oxcdata.ruleactions import RuleAction  # which holds values itself

    return RuleAction.read(reader)


def _read_typed(reader: Reader) -> TypedPropertyValue:
    kind = reader.u16()
    if kind == PropertyType.Unspecified:
        raise DecodeError("a value of unspecified type within another", reader.pos)
    return TypedPropertyValue(kind, read_value(reader, kind))


def _write_typed(writer: Writer, value: TypedPropertyValue) -> None:
    if value.type == PropertyType.Unspecified:
        raise EncodeError("a value of unspecified type within another")
    writer.u16(value.type)
    write_value(writer, value.type, value.value)


def _multiple(functions: tuple[ReadFunction, WriteFunction], minimum_size: int) -> tuple[ReadFunction, WriteFunction]:
    """A list behind its 32-bit count."""
    read_one, write_one = functions

    def read(reader: Reader) -> list[PropertyValue]:
        count = reader.count(reader.u32(), minimum_size)
        return [read_one(reader) for _ in range(count)]

    def write(writer: Writer, value: list[PropertyValue]) -> None:
        writer.u32(len(value))
        for one in value:
            write_one(writer, one)

    return read, write


#: Type, its functions, and the least number of bytes of a value where there is a multiple-valued type of it.
_SINGLE: Final[list[tuple[PropertyType, tuple[ReadFunction, WriteFunction], int | None]]] = [
    (PropertyType.Unspecified, (_read_typed, _write_typed), None),
    (PropertyType.Null, (_read_null, _write_null), None),
    (PropertyType.Integer16, _integer("h"), 2),
    (PropertyType.Integer32, _integer("i"), 4),
    (PropertyType.Floating32, _floating("f"), 4),
    (PropertyType.Floating64, _floating("d"), 8),
    (PropertyType.Currency, _integer("q"), 8),
    (PropertyType.FloatingTime, _floating("d"), 8),
    (PropertyType.ErrorCode, _integer("I"), None),
    (PropertyType.Boolean, (_read_boolean, _write_boolean), None),
    (PropertyType.Object, (_read_binary, _write_binary), None),
    (PropertyType.Integer64, _integer("Q"), 8),
    (PropertyType.String8, (Reader.string8, _write_string8), 1),
    (PropertyType.String, (Reader.utf16, _write_string), 2),
    (PropertyType.Time, _integer("Q"), 8),
    (PropertyType.Guid, (_read_guid, _write_guid), 16),
    (PropertyType.ServerId, (_read_binary, _write_binary), None),
    (PropertyType.Restriction, (_read_restriction, _write_structure), None),
    (PropertyType.RuleAction, (_read_rule_action, _write_structure), None),
    (PropertyType.Binary, (_read_binary, _write_binary), 2),
]

#: How a value of each type is read and written. A table column of a multiple-valued type with the MultivalueInstance
#: flag ([MS-OXCTABL] 2.2.2.2.1.1) has one of the values in each row.
READERS: Final[dict[int, ReadFunction]] = {}
WRITERS: Final[dict[int, WriteFunction]] = {}


def _fill() -> None:
    for kind, single, minimum_size in _SINGLE:
        READERS[int(kind)], WRITERS[int(kind)] = single
        if minimum_size is not None:
            multiple = kind | MULTIPLE_FLAG
            READERS[multiple], WRITERS[multiple] = _multiple(single, minimum_size)
            READERS[multiple | MULTIPLE_INSTANCE_FLAG], WRITERS[multiple | MULTIPLE_INSTANCE_FLAG] = single


_fill()

#: The types that hold other values; they stand in no other value, which bounds how deep values nest.
_HOLDING: Final = (PropertyType.Unspecified, PropertyType.Restriction, PropertyType.RuleAction)


def read_value(reader: Reader, kind: int) -> PropertyValue:
    """Read one value of the property type; `DecodeError` for an unknown type too."""
    read = READERS.get(kind)
    if read is None:
        raise DecodeError(f"property type 0x{kind:04X} is unknown", reader.pos)
    return read(reader)


def write_value(writer: Writer, kind: int, value: PropertyValue) -> None:
    """Write one value of the property type; `EncodeError` for a value that is not of it."""
    write = WRITERS.get(kind)
    if write is None:
        raise EncodeError(f"property type 0x{kind:04X} is unknown")
    try:
        write(writer, value)
    except (TypeError, AttributeError, struct.error) as error:
        raise EncodeError(f"{type(value).__name__} {value!r:.60} as a value of type 0x{kind:04X}: {error}") from error


def read_tagged(reader: Reader) -> TaggedPropertyValue:
    """[MS-OXCDATA] 2.11.4: a property tag and its value."""
    tag = PropertyTag(reader.u32())
    try:
        return TaggedPropertyValue(tag, read_value(reader, tag & 0xFFFF))
    except DecodeError as error:
        raise error.within(tag.name) from None


def write_tagged(writer: Writer, value: TaggedPropertyValue) -> None:
    """The tag and the value."""
    writer.u32(value.tag)
    write_value(writer, value.tag & 0xFFFF, value.value)


def read_nested_tagged(reader: Reader) -> TaggedPropertyValue:
    """A tagged value within a restriction or a rule action, which holds no such thing itself."""
    tag = PropertyTag(reader.u32())
    if tag.type in _HOLDING:
        raise DecodeError(f"a value of type 0x{tag.type:04X} within another", reader.pos)
    return TaggedPropertyValue(tag, read_value(reader, tag.type))


class TaggedValueCodec(Codec):
    """A `TaggedPropertyValue` as a field of a structure."""

    minimum_size = 4

    def read(self, reader: Reader) -> TaggedPropertyValue:
        return read_tagged(reader)

    def write(self, writer: Writer, value: TaggedPropertyValue) -> None:
        write_tagged(writer, value)


tagged_value: Final = TaggedValueCodec()

#: Tagged values behind their 16-bit count.
TaggedPropertyValues16 = Annotated[list[TaggedPropertyValue], Counted(u16, tagged_value)]
