"""The rows of tables: [MS-OXCTABL] 2.2.2.5.2. Columns are looked at once, so that a row takes as little as it can.

Not done yet: multivalue instances; a column with the MultivalueInstance flag has no value in any row.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from openchange_py.servers.emsmdb.codepages import narrow
from openchange_py.servers.emsmdb.values import TOO_LARGE, as_stored, terminated, value_size
from openchange_py.store.base import Content
from openchange_py.wire.buffer import EncodeError, Writer
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import (
    MULTIPLE_FLAG,
    MULTIPLE_INSTANCE_FLAG,
    PropertyMap,
    PropertyTag,
    PropertyType,
    PropertyValue,
)
from openchange_py.wire.oxcdata.rows import NOT_FOUND, PropertyError, write_flagged
from openchange_py.wire.oxcdata.values import WRITERS, WriteFunction

#: What a row may have of one value: 510 bytes, so 255 characters of a text.
MOST_BYTES: Final = 510
MOST_CHARACTERS: Final = 255

_CORRUPT: Final = PropertyError(ErrorCode.CorruptData)
_NOT_OF_ITS_TYPE: Final = (EncodeError, TypeError, AttributeError, ValueError, struct.error)

Shape: TypeAlias = Callable[[Any], PropertyValue]
Encoder: TypeAlias = Callable[[Any], bytes | bytearray]


def _text(value: str | Content) -> str:
    if not isinstance(value, str):
        value = value.read(0, MOST_BYTES).decode("utf-16-le", "replace")
    if len(value) > MOST_CHARACTERS:
        value = value[:MOST_CHARACTERS]
    return terminated(value) if "\0" in value else value


def _text8(value: str | Content, codec: str) -> bytes:
    raw = narrow(_text(value), codec)
    if len(raw) <= MOST_BYTES:
        return raw
    return narrow(raw[:MOST_BYTES].decode(codec, "ignore"), codec)


def _binary(value: bytes | Content) -> bytes:
    if not isinstance(value, bytes):
        return value.read(0, MOST_BYTES)
    return value if len(value) <= MOST_BYTES else value[:MOST_BYTES]


def _list(value: list[PropertyValue], one: Shape | None) -> list[PropertyValue]:
    """As many elements as the limit allows."""
    shown: list[PropertyValue] = []
    room = MOST_BYTES
    for element in value:
        element = element if one is None else one(element)
        room -= value_size(element)
        if room < 0:
            break
        shown.append(element)
    return shown


def _shape(kind: int, codec: str) -> Shape | None:
    """What makes a stored value one of a row; None where it is one already."""
    if kind & MULTIPLE_FLAG:
        return partial(_list, one=_shape(kind & ~MULTIPLE_FLAG, codec))
    match kind:
        case PropertyType.String:
            return _text
        case PropertyType.String8:
            return partial(_text8, codec=codec)
        case PropertyType.Binary | PropertyType.ServerId:
            return _binary
        case PropertyType.Object:
            return lambda _value: TOO_LARGE
    return None


#: Types whose values have one size. A number that is stored with the other sign does not pass; `_flagged` writes it.
_FIXED: Final[dict[int, str]] = {
    PropertyType.Integer16: "<h",
    PropertyType.Integer32: "<i",
    PropertyType.Integer64: "<Q",
    PropertyType.Time: "<Q",
    PropertyType.Boolean: "<?",
}


def _utf16(value: str | Content) -> bytes:
    return _text(value).encode("utf-16-le", "surrogatepass") + b"\0\0"


def _written(value: PropertyValue, shape: Shape | None, write: WriteFunction) -> Writer:
    writer = Writer()
    write(writer, value if shape is None else shape(value))
    return writer


def _encoder(kind: int, codec: str) -> Encoder:
    """What makes the bytes of a stored value, in as few calls as its type allows."""
    if kind in _FIXED:
        return struct.Struct(_FIXED[kind]).pack
    if kind == PropertyType.String:
        return _utf16
    return partial(_written, shape=_shape(kind, codec), write=WRITERS[kind])


def is_column_type(kind: int) -> bool:
    """Whether a column can have the type: [MS-OXCTABL] 3.2.5.2."""
    if kind & MULTIPLE_INSTANCE_FLAG:
        return kind & MULTIPLE_FLAG != 0 and kind in WRITERS
    return kind in WRITERS and kind not in (PropertyType.Unspecified, PropertyType.ErrorCode)


class RowMaker:
    """The columns of a table (of types that `is_column_type` allows), and the code page of its 8-bit texts."""

    __slots__ = ("_encoders", "_shapes", "columns", "wanted")

    def __init__(self, columns: Sequence[PropertyTag], codec: str) -> None:
        self.columns = tuple(columns)
        #: The stored properties that rows are made of.
        self.wanted = tuple(map(as_stored, columns))
        self._shapes = [(as_stored(tag), _shape(tag.type, codec)) for tag in columns]
        self._encoders = [(as_stored(tag), _encoder(tag.type, codec)) for tag in columns]

    def cells(self, properties: PropertyMap) -> list[PropertyValue]:
        """A value or `PropertyError` per column."""
        get = properties.get
        cells: list[PropertyValue] = []
        for tag, shape in self._shapes:
            value = get(tag)
            if value is None:
                value = NOT_FOUND
            elif shape is not None:
                value = shape(value)
            cells.append(value)
        return cells

    def row(self, properties: PropertyMap) -> Writer:
        """The row's bytes: a StandardPropertyRow, or a FlaggedPropertyRow where a column has no value."""
        row = Writer(b"\0")
        get = properties.get
        try:
            for tag, encode in self._encoders:
                value = get(tag)
                if value is None:
                    return self._flagged(properties)
                row += encode(value)
        except _NOT_OF_ITS_TYPE:
            return self._flagged(properties)
        return row

    def _flagged(self, properties: PropertyMap) -> Writer:
        row = Writer(b"\1")
        for tag, cell in zip(self.columns, self.cells(properties), strict=True):
            start = len(row)
            try:
                write_flagged(row, tag.type, cell)
            except _NOT_OF_ITS_TYPE:
                del row[start:]
                write_flagged(row, tag.type, _CORRUPT)
        return row
