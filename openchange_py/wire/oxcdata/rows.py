"""Property rows: [MS-OXCDATA] 2.8.1, and the flagged values of 2.11.5 and 2.11.6 that they are made of.

    row = read_row(reader, tags)
    write_row(writer, tags, PropertyRow.of(values))

A row has one cell for each tag of its columns, in their order. A cell is the property's value as `properties` says,
`PropertyError(code)`, or `ABSENT`; for a column of type Unspecified it is a `TypedPropertyValue` around one of these.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeAlias

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType, PropertyValue
from openchange_py.wire.oxcdata.values import READERS, TypedPropertyValue, read_value, write_value

_UNSPECIFIED: Final = int(PropertyType.Unspecified)
_ERROR_NAMES: Final = {int(member): member for member in ErrorCode}

#: The Flag of a flagged value: [MS-OXCDATA] 2.11.5.
_VALUE, _ABSENT, _ERROR = 0x00, 0x01, 0x0A


@dataclasses.dataclass(frozen=True, slots=True)
class PropertyError:
    """Why a row has no value for a property, mostly NotFound, or NotEnoughMemory for one that is too large."""

    code: int


class Absent(enum.Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


#: The property has no value, and no error says why.
ABSENT: Final = Absent.ABSENT

NOT_FOUND: Final = PropertyError(ErrorCode.NotFound)

Cell: TypeAlias = Any


def read_flagged(reader: Reader, kind: int) -> Cell:
    """[MS-OXCDATA] 2.11.5, and 2.11.6 for the type Unspecified, where the type stands in front of the flag."""
    if kind == _UNSPECIFIED:
        kind = reader.u16()
        if kind == _UNSPECIFIED:
            raise DecodeError("a value of unspecified type within another", reader.pos)
        return TypedPropertyValue(kind, read_flagged(reader, kind))
    flag = reader.u8()
    if flag == _VALUE:
        return read_value(reader, kind)
    if flag == _ERROR:
        code = reader.u32()
        return PropertyError(_ERROR_NAMES.get(code, code))
    if flag == _ABSENT:
        return ABSENT
    raise DecodeError(f"flag 0x{flag:02X} of a flagged property value", reader.pos - 1)


def write_flagged(writer: Writer, kind: int, cell: Cell) -> None:
    """A value, `PropertyError` or `ABSENT` behind its flag."""
    if kind == _UNSPECIFIED:
        if not isinstance(cell, TypedPropertyValue) or cell.type == _UNSPECIFIED:
            raise EncodeError(f"{cell!r:.60} in a column of unspecified type")
        writer.u16(cell.type)
        write_flagged(writer, cell.type, cell.value)
    elif type(cell) is PropertyError:
        writer.u8(_ERROR)
        writer.u32(cell.code)
    elif cell is ABSENT:
        writer.u8(_ABSENT)
    else:
        writer.u8(_VALUE)
        write_value(writer, kind, cell)


def _is_value(cell: Cell) -> bool:
    if type(cell) is TypedPropertyValue:
        cell = cell.value
    return type(cell) is not PropertyError and cell is not ABSENT


@dataclasses.dataclass(slots=True)
class PropertyRow:
    """[MS-OXCDATA] 2.8.1: a StandardPropertyRow, or, `flagged`, a FlaggedPropertyRow."""

    values: list[Cell]
    flagged: bool = False

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Self:
        """The form that the cells need: standard where each of them has a value."""
        values = list(cells)
        return cls(values, not all(map(_is_value, values)))

    @classmethod
    def from_map(cls, tags: Sequence[PropertyTag], properties: Mapping[PropertyTag, PropertyValue]) -> Self:
        """The row of an object's properties; what it has not is an error NotFound.

        A column of type Unspecified is looked up as any tag of its property id, an error there has type ErrorCode.
        """
        values: list[Cell] = []
        flagged = False
        for tag in tags:
            cell = properties.get(tag, NOT_FOUND) if tag & 0xFFFF else _unspecified(tag, properties)
            flagged = flagged or not _is_value(cell)
            values.append(cell)
        return cls(values, flagged)

    def to_map(self, tags: Sequence[PropertyTag]) -> PropertyMap:
        """The properties that have a value. One of unspecified type stands there under the tag with its own type."""
        properties: PropertyMap = {}
        for tag, cell in zip(tags, self.values, strict=True):
            if type(cell) is TypedPropertyValue:
                if cell.type == PropertyType.ErrorCode:
                    continue
                tag, cell = tag.with_type(cell.type), cell.value
            if type(cell) is not PropertyError and cell is not ABSENT:
                properties[tag] = cell
        return properties


def _unspecified(tag: PropertyTag, properties: Mapping[PropertyTag, PropertyValue]) -> TypedPropertyValue:
    for known, value in properties.items():
        if known.id == tag.id:
            return TypedPropertyValue(known.type, value)
    return TypedPropertyValue(PropertyType.ErrorCode, NOT_FOUND)


def read_row(reader: Reader, tags: Sequence[int]) -> PropertyRow:
    """Read the row that has a cell for each of the tags."""
    flag = reader.u8()
    if flag > 1:
        raise DecodeError(f"flag 0x{flag:02X} of a property row", reader.pos - 1)
    values: list[Cell] = []
    append, readers, tag = values.append, READERS, 0
    try:
        if flag == 0:
            for tag in tags:
                append(readers[tag & 0xFFFF](reader))
        else:
            for tag in tags:
                append(read_flagged(reader, tag & 0xFFFF))
    except KeyError:
        raise DecodeError(f"property type 0x{tag & 0xFFFF:04X} is unknown", reader.pos) from None
    except DecodeError as error:
        raise error.within(PropertyTag(tag).name) from None
    return PropertyRow(values, flag == 1)


def write_row(writer: Writer, tags: Sequence[int], row: PropertyRow) -> None:
    """Write the row in its form; `EncodeError` where it has not one cell for each of the tags."""
    if len(row.values) != len(tags):
        raise EncodeError(f"{len(row.values)} values for {len(tags)} columns")
    writer.u8(1 if row.flagged else 0)
    write = write_flagged if row.flagged else write_value
    tag = 0
    try:
        for tag, cell in zip(tags, row.values, strict=True):
            write(writer, tag & 0xFFFF, cell)
    except EncodeError as error:
        raise EncodeError(f"{PropertyTag(tag).name}: {error}") from error
