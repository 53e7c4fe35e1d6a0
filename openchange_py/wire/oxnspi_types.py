"""[MS-OXNSPI] 2.2: the structures that NSPI calls are made of.

Property values are in Python as `wire.oxcdata.properties` says; a null pointer is None. The document's names
end in `_r` and are kept. All of it is straight-line code: an answer of 50 rows by 10 columns packs in a
fraction of a millisecond; NDR64, which is rare, goes the longer way. Restrictions stand in `oxnspi_restrictions`.
"""

from __future__ import annotations

import dataclasses
import struct
import uuid
from typing import Any

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import BigEndianNdrWriter, NdrReader, NdrWriter
from openchange_py.wire.oxcdata.properties import PropertyTag

#: The largest count of elements that any array of the interface may have ([MS-OXNSPI] 2.2.2, range(0,100000)).
MAXIMUM_ELEMENTS = 100_000
#: The largest PtypBinary value ([MS-OXNSPI] 2.2.2.3).
MAXIMUM_BINARY = 2_097_152

_STAT = struct.Struct("<IIIiIIIII")
#: What stands before a property's value, by the width of pointers: NDR64 aligns unions and their arms to 8.
_HEAD = {4: struct.Struct("<III"), 8: struct.Struct("<III4x")}
_COUNTS = struct.Struct("<III")
_PADDING = (b"", b"\0", b"\0\0", b"\0\0\0")

_STRING8, _STRING, _BINARY, _GUID = 0x001E, 0x001F, 0x0102, 0x0048
_INTEGER16, _INTEGER32, _BOOLEAN, _ERROR, _TIME = 0x0002, 0x0003, 0x000B, 0x000A, 0x0040
#: By what stands in the row itself: a pointer, a 16-bit or a 32-bit number. PtypUnspecified, PtypNull and
#: PtypEmbeddedTable carry a reserved one.
_POINTERS = frozenset((_STRING8, _STRING, _GUID))
_SHORTS = frozenset((_INTEGER16, _BOOLEAN))
_LONGS = frozenset((_INTEGER32, _ERROR, 0x0000, 0x0001, 0x000D))


@dataclasses.dataclass(slots=True)
class STAT:
    """[MS-OXNSPI] 2.2.8: a logical position in an address book container, and how texts are compared and sent."""

    sort_type: int = 0
    container_id: int = 0
    current_rec: int = 0
    delta: int = 0
    num_pos: int = 0
    total_recs: int = 0
    code_page: int = 1252
    template_locale: int = 1033
    sort_locale: int = 1033


def read_stat(reader: NdrReader) -> STAT:
    """A STAT by reference."""
    reader.align(4)
    return STAT(*reader.fields(_STAT))


def write_stat(writer: NdrWriter, stat: STAT) -> None:
    """A STAT by reference."""
    writer.align(4)
    writer.fixed(
        _STAT,
        stat.sort_type,
        stat.container_id,
        stat.current_rec,
        stat.delta,
        stat.num_pos,
        stat.total_recs,
        stat.code_page,
        stat.template_locale,
        stat.sort_locale,
    )


@dataclasses.dataclass(slots=True)
class PropertyValue_r:
    """[MS-OXNSPI] 2.2.2.12: a property of a row. `reserved` is nothing's but the wire's."""

    prop_tag: int
    value: Any
    reserved: int = 0


@dataclasses.dataclass(slots=True)
class PropertyRow_r:
    """[MS-OXNSPI] 2.2.3. `values` is None where the pointer is null."""

    values: list[PropertyValue_r] | None
    reserved: int = 0


@dataclasses.dataclass(slots=True)
class PropertyName_r:
    """[MS-OXNSPI] 2.2.6.1: a property set and an id in it."""

    guid: uuid.UUID | None
    id: int
    reserved: int = 0


# Arrays.


def read_flat_uid(reader: NdrReader) -> uuid.UUID:
    """FlatUID_r, 2.2.2.1: sixteen bytes without alignment."""
    return uuid.UUID(bytes_le=reader.take(16))


def write_flat_uid(writer: NdrWriter, value: uuid.UUID) -> None:
    """FlatUID_r."""
    writer += value.bytes_le


def _counted(reader: NdrReader, size: int) -> int:
    """Maximum count and member count of a conformant structure of structures or pointers, which must agree."""
    maximum = reader.conformance(size, MAXIMUM_ELEMENTS)
    count = reader.u32()
    if count != maximum:
        raise DecodeError(f"count {count} in an array of {maximum}", reader.pos - 4)
    reader.gap()
    return count


def _write_counted(writer: NdrWriter, count: int) -> None:
    writer.size(count)
    writer.u32(count)
    writer.gap()


#: Maximum count, the member that counts, offset and actual count.
_TAG_COUNTS = {4: "IIII", 8: "QI4xQQ"}


def read_tags(reader: NdrReader) -> list[PropertyTag]:
    """PropertyTagArray_r, 2.2.2.2: conformant (count + 1) and varying. Also what Minimal Entry Ids travel in."""
    maximum = reader.size()
    count = reader.u32()
    if count > MAXIMUM_ELEMENTS or reader.varying(maximum, 4) != count:
        raise DecodeError(f"count {count} in an array of {maximum}", reader.pos - 4)
    return [PropertyTag(tag) for tag in reader.fields(struct.Struct(f"<{count}I"))]


def write_tags(writer: NdrWriter, values: list[int]) -> None:
    """PropertyTagArray_r."""
    count = len(values)
    writer.align(writer.wide)
    writer.fixed(struct.Struct(f"<{_TAG_COUNTS[writer.wide]}{count}I"), count + 1, count, 0, count, *values)


def read_dwords(reader: NdrReader) -> list[int]:
    """[size_is(n)] DWORD *: a conformant array alone."""
    count = reader.conformance(4, MAXIMUM_ELEMENTS)
    return list(reader.fields(struct.Struct(f"<{count}I")))


def write_dwords(writer: NdrWriter, values: list[int]) -> None:
    """[size_is(n)] DWORD *."""
    writer.size(len(values))
    writer.fixed(struct.Struct(f"<{len(values)}I"), *values)


def _pointed(reader: NdrReader, count: int, read: Any) -> list[Any]:
    """Elements behind an array of `count` unique pointers."""
    present = [reader.pointer() for _ in range(reader.count(count, 4))]
    return [read(reader) if there else None for there in present]


def _write_pointed(writer: NdrWriter, values: list[Any], write: Any) -> None:
    for value in values:
        writer.pointer(value is not None)
    for value in values:
        if value is not None:
            write(writer, value)


def read_strings(reader: NdrReader) -> list[bytes | None]:
    """StringsArray_r, 2.2.7.1."""
    return _pointed(reader, _counted(reader, 4), NdrReader.char_string)


def write_strings(writer: NdrWriter, values: list[bytes | None]) -> None:
    """StringsArray_r."""
    _write_counted(writer, len(values))
    _write_pointed(writer, values, NdrWriter.char_string)


def read_wstrings(reader: NdrReader) -> list[str | None]:
    """WStringsArray_r, 2.2.7.2."""
    return _pointed(reader, _counted(reader, 4), NdrReader.wchar_string)


def write_wstrings(writer: NdrWriter, values: list[str | None]) -> None:
    """WStringsArray_r."""
    _write_counted(writer, len(values))
    _write_pointed(writer, values, NdrWriter.wchar_string)


def read_binaries(reader: NdrReader) -> list[bytes | None] | None:
    """BinaryArray_r, 2.2.2.7, by reference: its count, its pointer, and what that points at."""
    reader.gap()
    count, present = reader.u32(), reader.pointer()
    return _read_multiple(reader, 0x1102, count) if _announced(reader, count, present) else None


def write_binaries(writer: NdrWriter, values: list[bytes | None] | None) -> None:
    """BinaryArray_r by reference."""
    writer.gap()
    writer.u32(len(values or ()))
    if writer.pointer(values is not None):
        _write_multiple(writer, 0x1102, values or [])


# Rows.


def read_row(reader: NdrReader) -> PropertyRow_r:
    """PropertyRow_r by reference."""
    reader.gap()
    reserved, count, present = reader.u32(), reader.u32(), reader.pointer()
    return PropertyRow_r(_read_values(reader, count) if _announced(reader, count, present) else None, reserved)


def write_row(writer: NdrWriter, row: PropertyRow_r) -> None:
    """PropertyRow_r by reference."""
    writer.gap()
    writer.u32(row.reserved)
    writer.u32(len(row.values or ()))
    if writer.pointer(row.values is not None):
        _write_values(writer, row.values or [])


def read_rows(reader: NdrReader) -> list[PropertyRow_r]:
    """PropertyRowSet_r, 2.2.4."""
    heads = [(reader.u32(), reader.u32(), reader.pointer()) for _ in range(_counted(reader, 12))]
    return [
        PropertyRow_r(_read_values(reader, count) if _announced(reader, count, present) else None, reserved)
        for reserved, count, present in heads
    ]


def write_rows(writer: NdrWriter, rows: list[PropertyRow_r]) -> None:
    """PropertyRowSet_r."""
    _write_counted(writer, len(rows))
    for row in rows:
        writer.u32(row.reserved)
        writer.u32(len(row.values or ()))
        writer.pointer(row.values is not None)
    for row in rows:
        if row.values is not None:
            _write_values(writer, row.values)


def _announced(reader: NdrReader, count: int, present: bool) -> bool:
    """Whether there are elements to read; a null pointer has a count of zero, and no count is over the limit."""
    if count > MAXIMUM_ELEMENTS or (count and not present):
        raise DecodeError(f"{count} elements behind {'a' if present else 'a null'} pointer", reader.pos - 4)
    return present


def read_value(reader: NdrReader) -> PropertyValue_r:
    """PropertyValue_r by reference."""
    return _read_elements(reader, 1)[0]


def write_value(writer: NdrWriter, value: PropertyValue_r) -> None:
    """PropertyValue_r by reference."""
    _write_elements(writer, [value], [])


def _read_values(reader: NdrReader, count: int) -> list[PropertyValue_r]:
    """The conformant array of a row."""
    maximum = reader.size()
    if maximum != count:
        raise DecodeError(f"{count} values in an array of {maximum}", reader.pos - 4)
    return _read_elements(reader, reader.count(count, 14))


def _write_values(writer: NdrWriter, values: list[PropertyValue_r]) -> None:
    if writer.wide == 8:
        writer.size(len(values))
        _write_elements(writer, values, [])
    else:
        _write_elements(writer, values, [len(values)])


def _read_elements(reader: NdrReader, count: int) -> list[PropertyValue_r]:
    """`count` PropertyValue_r, and behind all of them what their pointers point at."""
    values: list[PropertyValue_r] = []
    deferred: list[tuple[PropertyValue_r, int, int]] = []
    wide, head = reader.wide, _HEAD[reader.wide]
    for _ in range(count):
        reader.align(wide)
        tag, reserved, kind = reader.fields(head)
        if kind != tag & 0xFFFF:
            raise DecodeError(f"property 0x{tag:08X} has a value of type 0x{kind:04X}", reader.pos - 4)
        value = PropertyValue_r(PropertyTag(tag), None, reserved)
        values.append(value)
        if kind in _POINTERS:
            if reader.pointer():
                deferred.append((value, kind, 0))
        elif kind == _INTEGER32:
            value.value = reader.i32()
        elif kind in _LONGS:
            value.value = reader.u32()
        elif kind == _BOOLEAN:
            value.value = reader.u16()
        elif kind == _INTEGER16:
            value.value = reader.i16()
        elif kind == _TIME:
            value.value = reader.u32() | reader.u32() << 32
        elif kind == _BINARY or kind in _MULTIPLE:
            length, present = reader.u32(), reader.pointer()
            if (present and kind == _BINARY) or _announced(reader, length, present):
                deferred.append((value, kind, length))
        else:
            raise DecodeError(f"property 0x{tag:08X}: no value of type 0x{kind:04X} in NSPI", reader.pos - 4)
    reader.gap()
    for value, kind, length in deferred:
        value.value = _read_deferred(reader, kind, length)
    return values


def _read_deferred(reader: NdrReader, kind: int, length: int) -> Any:
    if kind == _STRING:
        return reader.wchar_string()
    if kind == _STRING8:
        return reader.char_string()
    if kind == _GUID:
        return read_flat_uid(reader)
    if kind == _BINARY:
        return _read_binary(reader, length)
    return _read_multiple(reader, kind, length)


def _read_binary(reader: NdrReader, length: int) -> bytes:
    if reader.conformance(1, MAXIMUM_BINARY) != length:
        raise DecodeError(f"{length} bytes in an array of another size", reader.pos - 4)
    return reader.take(length)


#: `struct` character of the multiple types that hold numbers.
_NUMBERS = {0x1002: "h", 0x1003: "i", 0x1040: "Q"}
_MULTIPLE = frozenset((0x1002, 0x1003, 0x101E, 0x101F, 0x1040, 0x1048, 0x1102))


def _read_multiple(reader: NdrReader, kind: int, count: int) -> list[Any]:
    """What the pointer of a ...Array_r structure points at."""
    if reader.size() != count:
        raise DecodeError(f"{count} elements in an array of another size", reader.pos - 4)
    if kind in _NUMBERS:
        layout = struct.Struct(f"<{reader.count(count, 2)}{_NUMBERS[kind]}")
        return list(reader.fields(layout))
    if kind == _BINARY | 0x1000:
        heads = [(reader.u32(), reader.pointer()) for _ in range(reader.count(count, 8))]
        return [_read_binary(reader, size) if present else None for size, present in heads]
    read = {0x101E: NdrReader.char_string, 0x101F: NdrReader.wchar_string, 0x1048: read_flat_uid}[kind]
    return _pointed(reader, count, read)


def _write_multiple(writer: NdrWriter, kind: int, values: list[Any]) -> None:
    writer.size(len(values))
    if kind in _NUMBERS:
        writer.fixed(struct.Struct(f"<{len(values)}{_NUMBERS[kind]}"), *values)
    elif kind == _BINARY | 0x1000:
        for value in values:
            writer.u32(len(value or b""))
            writer.pointer(value is not None)
        for value in values:
            if value is not None:
                writer.size(len(value))
                writer += value
    else:
        write = {0x101E: NdrWriter.char_string, 0x101F: NdrWriter.wchar_string, 0x1048: write_flat_uid}[kind]
        _write_pointed(writer, values, write)


def _write_elements(writer: NdrWriter, values: list[PropertyValue_r], heads: list[int]) -> None:
    """What stands in the row, behind `heads`, as one `struct`; then what its pointers point at."""
    writer.align(writer.wide)
    deferred = _heads64(writer, values, heads) if writer.wide == 8 else _heads(writer, values, heads)
    writer.fixed(struct.Struct(f"<{len(heads)}I"), *heads)
    if values and writer.wide == 4 and values[-1].prop_tag & 0xFFFF in _SHORTS:
        del writer[-2:]  # nothing is aligned behind the last value; what follows aligns itself
    if deferred:
        _write_deferred(writer, deferred)


def _heads(writer: NdrWriter, values: list[PropertyValue_r], heads: list[int]) -> list[tuple[int, Any]]:
    """Add tag, reserved number, type, and value or pointer of each to `heads`; tells what the pointers point at."""
    referent = writer.referent
    # A number of 16 bits takes 32 here, its padding with it.
    shift = 16 if isinstance(writer, BigEndianNdrWriter) else 0
    deferred: list[tuple[int, Any]] = []
    for element in values:
        tag, value = element.prop_tag, element.value
        kind = tag & 0xFFFF
        if value is None:
            heads += (tag, element.reserved, kind, *_null(kind))
        elif kind in _POINTERS:
            heads += (tag, element.reserved, kind, referent())
            deferred.append((kind, value))
        elif kind == _BINARY or kind & 0x1000:
            heads += (tag, element.reserved, kind, len(value), referent())
            deferred.append((kind, value))
        elif kind == _TIME:
            heads += (tag, element.reserved, kind, value & 0xFFFFFFFF, value >> 32)
        elif kind in _SHORTS:
            heads += (tag, element.reserved, kind, _unsigned(value, 0x10000) << shift)
        elif kind in _LONGS:
            heads += (tag, element.reserved, kind, _unsigned(value, 0x100000000))
        else:
            raise EncodeError(f"property 0x{tag:08X}: no value of type 0x{kind:04X} in NSPI")
    return deferred


def _heads64(writer: NdrWriter, values: list[PropertyValue_r], heads: list[int]) -> list[tuple[int, Any]]:
    """The same of NDR64: all of it in pairs, as union, arm, pointer and the next element are aligned to 8."""
    deferred = []
    for element in values:
        alone: list[int] = []
        deferred += _heads(writer, [element], alone)
        tag, reserved, kind, *arm = alone
        heads += (tag, reserved, kind, 0)
        heads += arm if kind == _TIME else [half for number in arm for half in (number, 0)]
    return deferred


def _null(kind: int) -> tuple[int, ...]:
    if kind in _POINTERS:
        return (0,)
    if kind == _BINARY or kind in _MULTIPLE:
        return (0, 0)
    raise EncodeError(f"a value of type 0x{kind:04X} can't be null")


def _unsigned(value: int, modulus: int) -> int:
    if not -modulus // 2 <= value < modulus:
        raise EncodeError(f"{value} is out of range")
    return value if value >= 0 else value + modulus


def _write_deferred(writer: NdrWriter, deferred: list[tuple[int, Any]]) -> None:
    for kind, value in deferred:
        if kind == _STRING and type(writer) is not NdrWriter:
            writer.wchar_string(value)
        elif kind == _STRING:
            if "\0" in value:
                raise EncodeError("a zero-terminated string can't hold a zero character")
            raw = value.encode("utf-16-le", "surrogatepass") + b"\0\0"
            count = len(raw) // 2
            writer += _PADDING[-len(writer) & 3] + _COUNTS.pack(count, 0, count) + raw
        elif kind == _STRING8:
            writer.char_string(value)
        elif kind == _BINARY:
            writer.size(len(value))
            writer += value
        elif kind == _GUID:
            writer += value.bytes_le
        elif kind in _MULTIPLE:
            _write_multiple(writer, kind, value)
        else:
            raise EncodeError(f"no value of type 0x{kind:04X} in NSPI")


# Names.


def _read_name_head(reader: NdrReader) -> tuple[bool, int, int]:
    return reader.pointer(), reader.u32(), reader.i32()


def _name(reader: NdrReader, head: tuple[bool, int, int]) -> PropertyName_r:
    present, reserved, number = head
    return PropertyName_r(read_flat_uid(reader) if present else None, number, reserved)


def read_name(reader: NdrReader) -> PropertyName_r:
    """PropertyName_r by reference."""
    return _name(reader, _read_name_head(reader))


def _write_name_head(writer: NdrWriter, name: PropertyName_r) -> None:
    writer.pointer(name.guid is not None)
    writer.u32(name.reserved)
    writer.i32(name.id)


def write_name(writer: NdrWriter, name: PropertyName_r) -> None:
    """PropertyName_r by reference."""
    _write_name_head(writer, name)
    if name.guid is not None:
        write_flat_uid(writer, name.guid)


def read_name_set(reader: NdrReader) -> list[PropertyName_r]:
    """PropertyNameSet_r, 2.2.6.2."""
    heads = [_read_name_head(reader) for _ in range(_counted(reader, 12))]
    return [_name(reader, head) for head in heads]


def write_name_set(writer: NdrWriter, names: list[PropertyName_r]) -> None:
    """PropertyNameSet_r."""
    _write_counted(writer, len(names))
    for name in names:
        _write_name_head(writer, name)
    for name in names:
        if name.guid is not None:
            write_flat_uid(writer, name.guid)


def read_name_pointers(reader: NdrReader) -> list[PropertyName_r | None]:
    """[size_is(n)] PropertyName_r **: an array of pointers alone."""
    return _pointed(reader, reader.conformance(4, MAXIMUM_ELEMENTS), read_name)


def write_name_pointers(writer: NdrWriter, names: list[PropertyName_r | None]) -> None:
    """[size_is(n)] PropertyName_r **."""
    writer.size(len(names))
    _write_pointed(writer, names, write_name)
