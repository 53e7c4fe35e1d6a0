"""Rows of address book objects for the columns that a client asks for: [MS-OXNSPI] 3.1.4.1.7 and 3.1.4.3."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from openchange_py.addressbook.attributes import LINK_BY_ID
from openchange_py.addressbook.base import Entry
from openchange_py.servers.nspi import codepages
from openchange_py.servers.nspi.properties import Getter, Properties
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi_types import PropertyRow_r, PropertyValue_r

#: The columns of a table for a client that names none: [MS-OXNSPI] 3.1.4.1.8, rule 6.
DEFAULT_COLUMNS: tuple[PropertyTag, ...] = (
    proptags.PidTagAddressBookContainerId,
    proptags.PidTagObjectType,
    proptags.PidTagDisplayType,
    proptags.PidTagDisplayName.with_type(PropertyType.String8),
    proptags.PidTagPrimaryTelephoneNumber.with_type(PropertyType.String8),
    proptags.PidTagDepartmentName.with_type(PropertyType.String8),
    proptags.PidTagOfficeLocation.with_type(PropertyType.String8),
)

#: About how many bytes the values of one answer may have: pictures and long lists of members are many, and a client
#: may ask for the same property in every column.
MAXIMUM_BYTES: Final = 8 << 20

#: Properties of one call ([MS-OXNSPI] 3.1.4.1.7, constraint 6): many times those that there are.
MAXIMUM_COLUMNS: Final = 10_000

_STRINGS = frozenset((PropertyType.String, PropertyType.String8))
_MULTIPLE_STRINGS = frozenset((PropertyType.MultipleString, PropertyType.MultipleString8))


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One column: the tag of its values, what gets them, and what stands where there is none."""

    tag: PropertyTag
    getter: Getter
    missing: PropertyValue_r


class Columns:
    """The columns of a row, resolved once.

    `MapiError` for 8-bit strings in no known code page (InvalidCodepage) and for far too many columns (TableTooBig).
    """

    def __init__(self, properties: Properties, tags: Iterable[PropertyTag], code_page: int) -> None:
        tags = list(tags)
        if len(tags) > MAXIMUM_COLUMNS:
            raise MapiError(ErrorCode.TableTooBig, f"{len(tags)} properties")
        self._prepare = properties.prepare
        self._columns = [_column(properties, tag, code_page) for tag in tags]

    def __len__(self) -> int:
        return len(self._columns)

    def row(self, entry: Entry | None) -> PropertyRow_r:
        """The row of an entry; of None: of an object that is not there. `MapiError` (TableTooBig)."""
        return self._sized_row(entry)[0]

    def rows(self, entries: Sequence[Entry | None]) -> list[PropertyRow_r]:
        """The rows of the first entries, as many as one answer can have, and one at least."""
        rows: list[PropertyRow_r] = []
        room = MAXIMUM_BYTES
        self._prepare([entry for entry in entries if entry])
        for entry in entries:
            row, size = self._sized_row(entry)
            room -= size
            if room < 0 and rows:
                break
            rows.append(row)
        return rows

    def _sized_row(self, entry: Entry | None) -> tuple[PropertyRow_r, int]:
        """The row, and about how many bytes its values have."""
        if entry is None:
            return PropertyRow_r([column.missing for column in self._columns]), 0
        values, size = [], 0
        for column in self._columns:
            value = column.getter(entry)
            if value is None:
                values.append(column.missing)
                continue
            size += len(value) if type(value) is str else _size(value)
            if size > MAXIMUM_BYTES:
                raise MapiError(ErrorCode.TableTooBig, f"a row of more than {MAXIMUM_BYTES} bytes")
            values.append(PropertyValue_r(column.tag, value))
        return PropertyRow_r(values), size


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return sum(map(_size, value)) if isinstance(value, list) else 0


def has_errors(row: PropertyRow_r) -> bool:
    """Whether a value of the row is missing."""
    return any(value.prop_tag & 0xFFFF == PropertyType.ErrorCode for value in row.values or ())


def _column(properties: Properties, tag: PropertyTag, code_page: int) -> Column:
    missing = PropertyValue_r(tag.with_type(PropertyType.ErrorCode), int(ErrorCode.NotFound))
    if tag.type in (PropertyType.String8, PropertyType.MultipleString8):
        codepages.codec(code_page)
    found = _link_getter(properties, tag) if tag.id in LINK_BY_ID else properties.getter(tag.id)
    conversion = _conversion(found[0].type, tag.type, code_page) if found else None
    if found is None or conversion is None:
        return Column(tag, lambda _entry: None, missing)
    own, getter = found
    if tag.type == PropertyType.Unspecified:
        tag = own
    if conversion is _same:
        return Column(tag, getter, missing)
    return Column(tag, _converted(getter, conversion), missing)


def _link_getter(properties: Properties, tag: PropertyTag) -> tuple[PropertyTag, Getter]:
    """Of a property that refers to other objects: an embedded table, or their distinguished names."""
    if tag.type in (PropertyType.Object, PropertyType.Unspecified):
        return tag.with_type(PropertyType.Object), lambda entry: 0 if properties.has(tag.id, entry) else None
    limit = 1 if tag.type in _STRINGS else None
    return tag.with_type(PropertyType.MultipleString), lambda entry: properties.names(tag.id, entry, limit)


def _same(value: Any) -> Any:
    return value


def _converted(getter: Getter, conversion: Callable[[Any], Any]) -> Getter:
    def get(entry: Entry) -> Any:
        value = getter(entry)
        return None if value is None else conversion(value)

    return get


def _conversion(own: int, wanted: int, code_page: int) -> Callable[[Any], Any] | None:
    """From a property's own type to the one that is asked for; None where the property has no such form.

    Who asks for one text of a property that has several gets the first.
    """
    if wanted in (own, PropertyType.Unspecified):
        return _without_zeros if own in _STRINGS | _MULTIPLE_STRINGS else _same
    if wanted == PropertyType.String8 and own in _STRINGS:
        return lambda value: codepages.encode(value, code_page)
    if own not in _MULTIPLE_STRINGS:
        return None
    if wanted == PropertyType.MultipleString8:
        return lambda values: [codepages.encode(value, code_page) for value in values]
    if wanted == PropertyType.String:
        return lambda values: _without_zeros(values[0])
    if wanted == PropertyType.String8:
        return lambda values: codepages.encode(values[0], code_page)
    return None


def _without_zeros(value: Any) -> Any:
    """Text, or several, as zero-terminated strings can hold it."""
    if isinstance(value, str):
        return value if "\0" not in value else value.partition("\0")[0]
    return [one.partition("\0")[0] for one in value]
