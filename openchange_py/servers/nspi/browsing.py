"""Moving in address lists and reading their rows: NspiUpdateStat, NspiQueryRows, NspiSeekEntries,
NspiResortRestriction, NspiCompareMIds ([MS-OXNSPI] 3.1.4.1.4, .8, .9, .11, .12).
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, Entry, MinimalEntryId
from openchange_py.addressbook.sortkeys import sort_key
from openchange_py.servers.nspi import codepages, tables
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.registry import method
from openchange_py.servers.nspi.rows import DEFAULT_COLUMNS, Columns
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi import (
    NspiCompareMIdsRequest,
    NspiCompareMIdsResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResortRestrictionRequest,
    NspiResortRestrictionResponse,
    NspiSeekEntriesRequest,
    NspiSeekEntriesResponse,
    NspiUpdateStatRequest,
    NspiUpdateStatResponse,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r

#: dwFlags ([MS-OXNSPI] 2.2.1.12): fEphID. fSkipObjects leaves out embedded tables, which rows never hold here.
F_EPH_ID: Final = 0x00000002

#: Rows of one answer from a table; a client asks again for more.
MAXIMUM_ROWS: Final = 1000
#: Values of one answer from an Explicit Table, which cannot be continued: TableTooBig beyond.
MAXIMUM_VALUES: Final = 100_000
#: Rows behind the one that NspiSeekEntries finds; the protocol has no count for them.
_SEEK_ROWS: Final = 50
#: Ids of an Explicit Table that are looked up at once until one is something's.
_STEP: Final = 64


def columns_for(
    book: AddressBook, tags: Iterable[PropertyTag] | None, code_page: int, *, ephemeral: bool = False
) -> Columns:
    """The columns that a client wants, or the default ones."""
    wanted = DEFAULT_COLUMNS if tags is None else tags
    return Columns(Properties(book, ephemeral=ephemeral), wanted, code_page)


def rows_of(book: AddressBook, columns: Columns, mids: Sequence[int]) -> list[PropertyRow_r]:
    """The rows of an Explicit Table, all in one answer; `MapiError` (TableTooBig) where that would be unreasonable."""
    if len(columns) * len(mids) > MAXIMUM_VALUES:
        raise MapiError(ErrorCode.TableTooBig, f"{len(mids)} rows of {len(columns)} columns")
    rows = columns.rows(tables.explicit(book.lists, mids))
    if len(rows) < len(mids):
        raise MapiError(ErrorCode.TableTooBig, f"{len(mids)} rows of many bytes")
    return rows


@method(NspiUpdateStatRequest, lambda request, code: NspiUpdateStatResponse(request.stat, request.delta, code))
def update_stat(book: AddressBook, request: NspiUpdateStatRequest) -> NspiUpdateStatResponse:
    """3.1.4.1.4. The delta says how far the position moved, where the client asked for it."""
    tables.refuse_winunicode(request.stat)
    start, row, total = tables.locate(book.lists, request.stat)
    stat = tables.moved(book.lists, request.stat, row, total)
    return NspiUpdateStatResponse(stat, None if request.delta is None else row - start, ErrorCode.Success)


@method(NspiQueryRowsRequest, lambda request, code: NspiQueryRowsResponse(request.stat, None, code))
def query_rows(book: AddressBook, request: NspiQueryRowsRequest) -> NspiQueryRowsResponse:
    """3.1.4.1.8."""
    stat = request.stat
    columns = columns_for(book, request.prop_tags, stat.code_page, ephemeral=bool(request.flags & F_EPH_ID))
    if request.e_table is not None:
        rows = rows_of(book, columns, request.e_table[: request.count])
        return NspiQueryRowsResponse(dataclasses.replace(stat, delta=0), rows, ErrorCode.Success)
    if request.count == 0:
        raise MapiError(ErrorCode.InvalidParameter, "no rows asked for")
    _, row, total = tables.locate(book.lists, stat)
    count = min(request.count, MAXIMUM_ROWS, MAXIMUM_VALUES // max(1, len(columns)) + 1)
    # One more than asked for: the one that the position moves to.
    entries = book.lists.page(MinimalEntryId(stat.container_id), row, count + 1, tables.order_of(stat))
    rows = columns.rows(entries[:count])
    stat = tables.at(stat, row + len(rows), total, next(iter(entries[len(rows) :]), None))
    return NspiQueryRowsResponse(stat, rows, ErrorCode.Success)


@method(NspiSeekEntriesRequest, lambda request, code: NspiSeekEntriesResponse(request.stat, None, code))
def seek_entries(book: AddressBook, request: NspiSeekEntriesRequest) -> NspiSeekEntriesResponse:
    """3.1.4.1.9: the first entry at or behind a name, in the container or an Explicit Table of it."""
    stat = request.stat
    tables.refuse_winunicode(stat)
    if request.reserved:
        raise MapiError(ErrorCode.InvalidParameter, f"Reserved is {request.reserved}")
    tables.refuse_other_sorts(stat)
    name, total = _sought(request.target, stat), tables.container_size(book.lists, stat)
    columns = None
    if request.prop_tags is not None:
        columns = columns_for(book, request.prop_tags, stat.code_page, ephemeral=True)
    if request.e_table is not None:
        row, found = _behind(book, request.e_table, name, stat)
        total, rows = (
            len(request.e_table),
            rows_of(book, columns, request.e_table[row:]) if columns is not None else None,
        )
    else:
        order, container = tables.order_of(stat), MinimalEntryId(stat.container_id)
        row = book.lists.seek(container, name, order)
        entries = book.lists.page(container, row, _SEEK_ROWS if columns is not None else 1, order)
        found, rows = next(iter(entries), None), columns.rows(entries) if columns is not None else None
    if found is None:
        raise MapiError(ErrorCode.NotFound, "nothing at or behind that name")
    stat = dataclasses.replace(stat, current_rec=int(found.mid), num_pos=row, total_recs=total)
    return NspiSeekEntriesResponse(stat, rows, ErrorCode.Success)


def _sought(target: PropertyValue_r, stat: STAT) -> str:
    """The name to seek: of the property that the table is sorted by."""
    if target.prop_tag not in _SORTED_BY[stat.sort_type]:
        raise MapiError(ErrorCode.GeneralFailure, f"seeking by 0x{target.prop_tag:08X} with sort type {stat.sort_type}")
    if isinstance(target.value, bytes):
        return codepages.decode(target.value, stat.code_page)
    return target.value if isinstance(target.value, str) else ""


#: By sort type the property that a table is sorted by, in both types of text.
_SORTED_BY: Final = {
    sort_type: (tag, tag.with_type(PropertyType.String8))
    for sort_type, tag in (
        (tables.SORT_DISPLAY_NAME, proptags.PidTagDisplayName),
        (tables.SORT_PHONETIC_DISPLAY_NAME, proptags.PidTagAddressBookPhoneticDisplayName),
    )
}


def _behind(book: AddressBook, table: Sequence[int], name: str, stat: STAT) -> tuple[int, Entry | None]:
    """The number of the first row at or behind a name, and its object, of a table that is sorted; None for no such."""
    key, low, high = sort_key(name, stat.sort_locale), 0, len(table)
    found: tuple[int, Entry] | None = None
    while low < high:
        middle = (low + high) // 2
        row, entry = _present(book, table, middle, high)
        if entry is None or _key(entry, stat) >= key:
            high = middle
            found = (row, entry) if entry is not None else found
        else:
            low = row + 1
    return found or (len(table), None)


def _present(book: AddressBook, table: Sequence[int], row: int, stop: int) -> tuple[int, Entry | None]:
    """The first row from `row` on, and before `stop`, whose id is something's."""
    while row < stop:
        some = table[row : min(row + _STEP, stop)]
        for number, entry in enumerate(tables.explicit(book.lists, some)):
            if entry is not None:
                return row + number, entry
        row += len(some)
    return stop, None


def _key(entry: Entry, stat: STAT) -> bytes:
    name = entry.display_name
    if stat.sort_type == tables.SORT_PHONETIC_DISPLAY_NAME:
        name = entry.first("msDS-PhoneticDisplayName") or name
    return sort_key(name, stat.sort_locale)


@method(NspiResortRestrictionRequest, lambda request, code: NspiResortRestrictionResponse(request.stat, None, code))
def resort_restriction(book: AddressBook, request: NspiResortRestrictionRequest) -> NspiResortRestrictionResponse:
    """3.1.4.1.11. Ids of nothing are left out."""
    stat = request.stat
    tables.refuse_winunicode(stat)
    tables.refuse_other_sorts(stat)
    mids = resorted(book, request.in_mids, stat)
    current = stat.current_rec if stat.current_rec in mids else tables.MID_BEGINNING_OF_TABLE
    position = mids.index(current) if current in mids else 0
    stat = dataclasses.replace(stat, current_rec=current, num_pos=position, total_recs=len(mids))
    return NspiResortRestrictionResponse(stat, mids, ErrorCode.Success)


def resorted(book: AddressBook, mids: Sequence[int], stat: STAT) -> list[int]:
    """The ids of what there is in the STAT's order; of what lists show without a look at it."""
    listed = book.lists.sorted(GLOBAL_ADDRESS_LIST, set(mids), tables.order_of(stat))
    times = collections.Counter(mids)
    if len(listed) < len(times):  # hidden objects and servers, or nothing
        present = [entry for entry in tables.explicit(book.lists, list(times)) if entry]
        listed = [entry.mid for entry in sorted(present, key=lambda entry: (_key(entry, stat), entry.mid))]
    return [int(mid) for mid in listed for _ in range(times[mid])]


@method(NspiCompareMIdsRequest, lambda _request, code: NspiCompareMIdsResponse(0, code))
def compare_mids(book: AddressBook, request: NspiCompareMIdsRequest) -> NspiCompareMIdsResponse:
    """3.1.4.1.12: less than, equal to or greater than zero, as the first stands before the second.

    Ids that mean places are ids of nothing here.
    """
    stat = request.stat
    tables.refuse_winunicode(stat)
    tables.container_size(book.lists, stat)
    rows = [_row(book, stat, mid) for mid in (request.mid1, request.mid2)]
    return NspiCompareMIdsResponse((rows[0] > rows[1]) - (rows[0] < rows[1]), ErrorCode.Success)


def _row(book: AddressBook, stat: STAT, mid: int) -> int:
    row = tables.row_of(book.lists, stat, mid)
    if row is None:
        raise MapiError(ErrorCode.GeneralFailure, f"no object {mid} in container {stat.container_id}")
    return row
