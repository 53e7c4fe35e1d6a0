"""[MS-OXCMAPIHTTP] 2.2.1: property values, rows and restrictions as the address book's requests over HTTP have them.

Unlike in ROP buffers a value of variable size has a byte in front that tells whether there is one, counts of bytes take
32 bits, and a row's values stand as its columns say. What a value is in Python: see `oxcdata.properties`; None where
there is none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Final

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import Codec, Counted, u32
from openchange_py.wire.oxcdata.properties import MULTIPLE_FLAG, PropertyTag, PropertyType
from openchange_py.wire.oxcdata.values import READERS, WRITERS
from openchange_py.wire.oxnspi_restrictions import (
    MAXIMUM_DEPTH,
    AndRestriction_r,
    BitMaskRestriction_r,
    ComparePropsRestriction_r,
    ContentRestriction_r,
    ExistRestriction_r,
    NotRestriction_r,
    OrRestriction_r,
    PropertyRestriction_r,
    Restriction_r,
    SizeRestriction_r,
    SubRestriction_r,
)
from openchange_py.wire.oxnspi_types import MAXIMUM_BINARY, STAT, PropertyValue_r

#: What `HasValue`, and every other `Has...`, is where there is one.
PRESENT: Final = 0xFF

_VARIABLE: Final = frozenset((PropertyType.String8, PropertyType.String, PropertyType.Binary))


def _read_binary(reader: Reader) -> bytes:
    size = reader.u32()
    if size > MAXIMUM_BINARY:
        raise DecodeError(f"a binary value of {size} bytes", reader.pos - 4)
    return reader.take(size)


def _write_binary(writer: Writer, value: bytes) -> None:
    writer.u32(len(value))
    writer += value


_WRITERS: Final[dict[int, Callable[[Writer, Any], object]]] = {
    PropertyType.Binary: _write_binary,
    PropertyType.Object: Writer.u32,
}


def _reader_of(kind: int, reader: Reader) -> Any:
    if kind == PropertyType.Binary:
        return _read_binary
    if kind == PropertyType.Object:  # PtypEmbeddedTable, a number of 32 bits ([MS-OXNSPI] 2.2.1.1)
        return Reader.u32
    function = READERS.get(kind)
    if function is None or kind in (PropertyType.Unspecified, PropertyType.Restriction, PropertyType.RuleAction):
        raise DecodeError(f"property type 0x{kind:04X} in the address book", reader.pos)
    return function


def read_value(reader: Reader, kind: int, *, flagged: bool = True) -> Any:
    """2.2.1.1 AddressBookPropertyValue. `flagged` false: without HasValue, as some write values in restrictions."""
    if flagged and (kind in _VARIABLE or kind & MULTIPLE_FLAG) and not reader.u8():
        return None
    if not kind & MULTIPLE_FLAG:
        return _reader_of(kind, reader)(reader)
    single = kind & ~MULTIPLE_FLAG
    read = _reader_of(single, reader)
    count = reader.count(reader.u32(), 1)
    if single not in _VARIABLE:
        return [read(reader) for _ in range(count)]
    return [read(reader) if not flagged or reader.u8() else None for _ in range(count)]


def write_value(writer: Writer, kind: int, value: Any) -> None:
    """2.2.1.1 AddressBookPropertyValue."""
    variable = kind in _VARIABLE or bool(kind & MULTIPLE_FLAG)
    if variable:
        writer.u8(PRESENT if value is not None else 0)
    if value is None:
        if variable or kind == PropertyType.Null:
            return
        raise EncodeError(f"a value of type 0x{kind:04X} can't be missing")
    single = kind & ~MULTIPLE_FLAG
    write = _WRITERS.get(single) or WRITERS.get(single)
    if write is None:
        raise EncodeError(f"property type 0x{kind:04X} in the address book")
    try:
        if not kind & MULTIPLE_FLAG:
            write(writer, value)
            return
        writer.u32(len(value))
        for one in value:
            if single in _VARIABLE:
                writer.u8(PRESENT if one is not None else 0)
            if one is not None:
                write(writer, one)
    except (TypeError, AttributeError) as error:
        raise EncodeError(f"{type(value).__name__} as a value of type 0x{kind:04X}: {error}") from error


def read_tagged(reader: Reader, *, flagged: bool = True) -> PropertyValue_r:
    """2.2.1.2 AddressBookTaggedPropertyValue."""
    tag = PropertyTag(reader.u32())
    try:
        return PropertyValue_r(tag, read_value(reader, tag & 0xFFFF, flagged=flagged))
    except DecodeError as error:
        raise error.within(tag.name) from None


def write_tagged(writer: Writer, value: PropertyValue_r) -> None:
    """2.2.1.2 AddressBookTaggedPropertyValue."""
    writer.u32(value.prop_tag)
    write_value(writer, value.prop_tag & 0xFFFF, value.value)


class TaggedCodec(Codec):
    """AddressBookTaggedPropertyValue."""

    minimum_size = 4

    def read(self, reader: Reader) -> PropertyValue_r:
        return read_tagged(reader)

    def write(self, writer: Writer, value: PropertyValue_r) -> None:
        write_tagged(writer, value)


class Present(Codec):
    """A field behind the byte that tells whether it is there; None where it is not."""

    minimum_size = 1

    def __init__(self, inner: Codec) -> None:
        self._inner = inner

    def read(self, reader: Reader) -> Any:
        return self._inner.read(reader) if reader.u8() else None

    def write(self, writer: Writer, value: Any) -> None:
        writer.u8(PRESENT if value is not None else 0)
        if value is not None:
            self._inner.write(writer, value)


class StatCodec(Codec):
    """STAT, [MS-OXNSPI] 2.2.8: nine numbers, one of them with a sign."""

    minimum_size = 36

    def read(self, reader: Reader) -> STAT:
        sort_type, container, record, delta = reader.u32(), reader.u32(), reader.u32(), reader.i32()
        return STAT(
            sort_type,
            container,
            record,
            delta,
            *(reader.u32(), reader.u32()),
            *(reader.u32(), reader.u32(), reader.u32()),
        )

    def write(self, writer: Writer, value: STAT) -> None:
        for number in (value.sort_type, value.container_id, value.current_rec):
            writer.u32(number)
        writer.i32(value.delta)
        for number in (value.num_pos, value.total_recs, value.code_page, value.template_locale, value.sort_locale):
            writer.u32(number)


class TagCodec(Codec):
    """A property tag."""

    minimum_size = 4

    def read(self, reader: Reader) -> PropertyTag:
        return PropertyTag(reader.u32())

    def write(self, writer: Writer, value: int) -> None:
        writer.u32(value)


@dataclasses.dataclass(slots=True)
class ColumnsAndRows:
    """Columns (2.2.1.8 LargePropertyTagArray), and rows of a value for each (2.2.1.7 AddressBookPropertyRow).

    A value that is missing has the type Error, and the code as its value.
    """

    columns: list[PropertyTag]
    rows: list[list[PropertyValue_r]]


class RowsCodec(Codec):
    """`ColumnsAndRows`."""

    minimum_size = 8

    def read(self, reader: Reader) -> ColumnsAndRows:
        columns = tags.read(reader)
        count = reader.count(reader.u32(), 1)
        # A row takes a byte per column at least, save of columns without any bytes.
        return ColumnsAndRows(columns, [_read_row(reader, columns) for _ in range(count)])

    def write(self, writer: Writer, value: ColumnsAndRows) -> None:
        tags.write(writer, value.columns)
        writer.u32(len(value.rows))
        for row in value.rows:
            _write_row(writer, value.columns, row)


def _read_row(reader: Reader, columns: list[PropertyTag]) -> list[PropertyValue_r]:
    flagged = reader.u8()
    if flagged > 1:
        raise DecodeError(f"a row's Flags are 0x{flagged:02X}", reader.pos - 1)
    reader.count(len(columns), 1)
    return [_read_cell(reader, column, flagged == 1) for column in columns]


def _read_cell(reader: Reader, column: PropertyTag, flagged: bool) -> PropertyValue_r:
    kind = column & 0xFFFF
    if kind == PropertyType.Unspecified:
        kind = reader.u16()
    flag = reader.u8() if flagged else 0
    if flag == 0x00:
        return PropertyValue_r(PropertyTag(column & 0xFFFF0000 | kind), read_value(reader, kind))
    if flag == 0x01:
        return PropertyValue_r(_error_tag(column), NOT_FOUND)
    if flag == 0x0A:
        return PropertyValue_r(_error_tag(column), reader.u32())
    raise DecodeError(f"a value's Flag is 0x{flag:02X}", reader.pos - 1)


#: MAPI_E_NOT_FOUND: what a value is whose row says nothing but that it is not there.
NOT_FOUND: Final = 0x8004010F


def _error_tag(column: int) -> PropertyTag:
    return PropertyTag(column & 0xFFFF0000 | PropertyType.ErrorCode)


def _write_row(writer: Writer, columns: list[PropertyTag], row: list[PropertyValue_r]) -> None:
    if len(row) != len(columns):
        raise EncodeError(f"{len(row)} values in {len(columns)} columns")
    flagged = any(not _fits(column, cell) for column, cell in zip(columns, row, strict=True))
    writer.u8(flagged)
    for column, cell in zip(columns, row, strict=True):
        fits = _fits(column, cell)
        if column & 0xFFFF == PropertyType.Unspecified:
            writer.u16(cell.prop_tag & 0xFFFF)
        if flagged:
            writer.u8(0x00 if fits else 0x0A)
        if fits:
            write_value(writer, cell.prop_tag & 0xFFFF, cell.value)
        else:
            writer.u32(cell.value if cell.prop_tag & 0xFFFF == PropertyType.ErrorCode else NOT_FOUND)


def _fits(column: int, cell: PropertyValue_r) -> bool:
    kind = cell.prop_tag & 0xFFFF
    return kind == column & 0xFFFF or (column & 0xFFFF == PropertyType.Unspecified and kind != PropertyType.ErrorCode)


# Restrictions.


@dataclasses.dataclass(frozen=True, slots=True)
class RestrictionForm:
    """How wide counts are, whether values have their HasValue, and whether there is another such byte before the tag of
    a value, for the pointer that NSPI's structure has there.
    """

    wide: bool = True
    flagged: bool = True
    pointed: bool = True


#: The document names [MS-OXCDATA] 2.12, whose forms differ by context, and servers take different ones: gromox the
#: first (recorded), by the document's words it is the last.
FORMS: Final = tuple(
    RestrictionForm(wide, flagged, pointed)
    for flagged, pointed in ((True, True), (True, False), (False, False))
    for wide in (True, False)
)


def read_restriction(reader: Reader, form: RestrictionForm, depth: int = 0) -> Restriction_r:
    """[MS-OXCDATA] 2.12, as [MS-OXNSPI] has it."""
    if depth > MAXIMUM_DEPTH:
        raise DecodeError(f"restrictions stand more than {MAXIMUM_DEPTH} deep in one another", reader.pos)
    kind = reader.u8()
    if kind in (0, 1):
        count = reader.count(reader.u32() if form.wide else reader.u16(), 2)
        inner = [read_restriction(reader, form, depth + 1) for _ in range(count)]
        return AndRestriction_r(inner) if kind == 0 else OrRestriction_r(inner)
    if kind == 2:
        return NotRestriction_r(read_restriction(reader, form, depth + 1))
    if kind == 3:
        fuzzy, tag = reader.u32(), PropertyTag(reader.u32())
        return ContentRestriction_r(fuzzy, tag, _restricted(reader, form))
    if kind == 4:
        relop, tag = reader.u8(), PropertyTag(reader.u32())
        return PropertyRestriction_r(relop, tag, _restricted(reader, form))
    if kind in (5, 6, 7):
        operator, first, second = reader.u8(), PropertyTag(reader.u32()), reader.u32()
        if kind == 5:
            return ComparePropsRestriction_r(operator, first, PropertyTag(second))
        return (BitMaskRestriction_r if kind == 6 else SizeRestriction_r)(operator, first, second)
    if kind == 8:
        return ExistRestriction_r(0, PropertyTag(reader.u32()), 0)
    if kind == 9:
        return SubRestriction_r(reader.u32(), read_restriction(reader, form, depth + 1))
    raise DecodeError(f"RestrictType 0x{kind:02X} is unknown in the address book", reader.pos - 1)


def _restricted(reader: Reader, form: RestrictionForm) -> PropertyValue_r | None:
    if form.pointed and not reader.u8():
        return None
    return read_tagged(reader, flagged=form.flagged)


def write_restriction(writer: Writer, restriction: Restriction_r, depth: int = 0) -> None:
    """[MS-OXCDATA] 2.12, in the first of `FORMS`."""
    if depth > MAXIMUM_DEPTH:
        raise EncodeError(f"restrictions stand more than {MAXIMUM_DEPTH} deep in one another")
    writer.u8(restriction.kind)
    match restriction:
        case AndRestriction_r(several) | OrRestriction_r(several):
            writer.u32(len(several or ()))
            for inner in several or ():
                write_restriction(writer, inner, depth + 1)
        case NotRestriction_r(inner_or_none):
            write_restriction(writer, _whole(inner_or_none), depth + 1)
        case SubRestriction_r(number, inner_or_none):
            writer.u32(number)
            write_restriction(writer, _whole(inner_or_none), depth + 1)
        case ContentRestriction_r(fuzzy, tag, value):
            writer.u32(fuzzy)
            writer.u32(tag)
            _write_restricted(writer, value)
        case PropertyRestriction_r(relop, tag, value):
            writer.u8(relop)
            writer.u32(tag)
            _write_restricted(writer, value)
        case (
            ComparePropsRestriction_r(first, second, third)
            | BitMaskRestriction_r(first, second, third)
            | SizeRestriction_r(first, second, third)
        ):
            writer.u8(first)
            writer.u32(second)
            writer.u32(third)
        case ExistRestriction_r(prop_tag=tag):
            writer.u32(tag)


def _write_restricted(writer: Writer, value: PropertyValue_r | None) -> None:
    writer.u8(PRESENT if value is not None else 0)
    if value is not None:
        write_tagged(writer, value)


def _whole(part: Any) -> Any:
    if part is None:
        raise EncodeError("a restriction without what it is about")
    return part


tags: Final = Counted(u32, TagCodec())
tagged_values: Final = Counted(u32, TaggedCodec())
_ids: Final = Counted(u32, u32)

#: STAT behind HasState.
OptionalStat = Annotated[STAT | None, Present(StatCodec())]
OptionalTags = Annotated[list[PropertyTag] | None, Present(tags)]
OptionalIds = Annotated[list[int] | None, Present(_ids)]
OptionalValues = Annotated[list[PropertyValue_r] | None, Present(tagged_values)]
OptionalRows = Annotated[ColumnsAndRows | None, Present(RowsCodec())]
OptionalNumber = Annotated[int | None, Present(u32)]
Ids = Annotated[list[int], _ids]
