"""Moving in address lists and reading their rows: NspiUpdateStat, NspiQueryRows, NspiSeekEntries,
NspiResortRestriction, NspiCompareMIds ([MS-OXNSPI] 3.1.4.1.4, .8, .9, .11, .12).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from openchange_py.addressbook.base import Entry, MinimalEntryId
from openchange_py.addressbook.sortkeys import sort_key
from openchange_py.servers.nspi import codepages, tables
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.registry import method
from openchange_py.servers.nspi.rows import DEFAULT_COLUMNS, Columns
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag
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


def columns_for(
    book: AddressBook, tags: Iterable[PropertyTag] | None, code_page: int, *, ephemeral: bool = False
) -> Columns:
    """The columns that a client wants, or the default ones."""
    wanted = DEFAULT_COLUMNS if tags is None else tags
    return Columns(Properties(book, ephemeral=ephemeral), wanted, code_page)


def rows_of(columns: Columns, entries: Sequence[Entry | None]) -> list[PropertyRow_r]:
    """Rows that all have to be in one answer; `MapiError` (TableTooBig) where that would be unreasonable."""
    if len(columns) * len(entries) > MAXIMUM_VALUES:
        raise MapiError(ErrorCode.TableTooBig, f"{len(entries)} rows of {len(columns)} columns")
    rows = columns.rows(entries)
    if len(rows) < len(entries):
        raise MapiError(ErrorCode.TableTooBig, f"{len(entries)} rows of many bytes")
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
        found = tables.explicit(book.lists, request.e_table[: request.count])
        return NspiQueryRowsResponse(dataclasses.replace(stat, delta=0), rows_of(columns, found), ErrorCode.Success)
    if request.count == 0:
        raise MapiError(ErrorCode.InvalidParameter, "no rows asked for")
    _, row, total = tables.locate(book.lists, stat)
    count = min(request.count, MAXIMUM_ROWS, MAXIMUM_VALUES // max(1, len(columns)) + 1)
    rows = columns.rows(book.lists.page(MinimalEntryId(stat.container_id), row, count))
    stat = tables.moved(book.lists, stat, row + len(rows), total)
    return NspiQueryRowsResponse(stat, rows, ErrorCode.Success)


@method(NspiSeekEntriesRequest, lambda request, code: NspiSeekEntriesResponse(request.stat, None, code))
def seek_entries(book: AddressBook, request: NspiSeekEntriesRequest) -> NspiSeekEntriesResponse:
    """3.1.4.1.9: the first entry at or behind a display name, in the container or an Explicit Table of it."""
    stat = request.stat
    tables.refuse_winunicode(stat)
    if stat.sort_type not in (tables.SORT_DISPLAY_NAME, tables.SORT_PHONETIC_DISPLAY_NAME):
        raise MapiError(ErrorCode.GeneralFailure, f"sort type {stat.sort_type}")
    name, total = _sought(request.target, stat.code_page), tables.container_size(book.lists, stat)
    if request.e_table is None:
        container = MinimalEntryId(stat.container_id)
        row = book.lists.seek(container, name)
        entries = book.lists.page(container, row, _SEEK_ROWS if request.prop_tags is not None else 1)
    else:
        present = [entry for entry in tables.explicit(book.lists, request.e_table) if entry]
        key, total = sort_key(name), len(request.e_table)
        entries = [entry for entry in sorted(present, key=_order) if sort_key(entry.display_name) >= key]
        row = len(present) - len(entries)
    if not entries:
        raise MapiError(ErrorCode.NotFound, "nothing at or behind that name")
    stat = dataclasses.replace(stat, current_rec=int(entries[0].mid), delta=0, num_pos=row, total_recs=total)
    rows = None
    if request.prop_tags is not None:
        columns = columns_for(book, request.prop_tags, stat.code_page, ephemeral=True)
        rows = columns.rows(entries) if request.e_table is None else rows_of(columns, entries)
    return NspiSeekEntriesResponse(stat, rows, ErrorCode.Success)


def _sought(target: PropertyValue_r, code_page: int) -> str:
    if target.prop_tag >> 16 != proptags.PidTagDisplayName.id:
        raise MapiError(ErrorCode.GeneralFailure, f"seeking by 0x{target.prop_tag:08X} in a table by display name")
    if isinstance(target.value, bytes):
        return codepages.decode(target.value, code_page)
    return target.value if isinstance(target.value, str) else ""


def _order(entry: Entry) -> tuple[bytes, int]:
    return sort_key(entry.display_name), entry.mid


@method(NspiResortRestrictionRequest, lambda request, code: NspiResortRestrictionResponse(request.stat, None, code))
def resort_restriction(book: AddressBook, request: NspiResortRestrictionRequest) -> NspiResortRestrictionResponse:
    """3.1.4.1.11. Ids of nothing are left out."""
    stat = request.stat
    tables.refuse_winunicode(stat)
    if stat.sort_type not in (tables.SORT_DISPLAY_NAME, tables.SORT_PHONETIC_DISPLAY_NAME):
        raise MapiError(ErrorCode.GeneralFailure, f"sort type {stat.sort_type}")
    present = [entry for entry in tables.explicit(book.lists, request.in_mids) if entry]
    mids = [int(entry.mid) for entry in sorted(present, key=_order)]
    current = stat.current_rec if stat.current_rec in mids else tables.MID_BEGINNING_OF_TABLE
    position = mids.index(current) if current in mids else 0
    stat = dataclasses.replace(stat, current_rec=current, delta=0, num_pos=position, total_recs=len(mids))
    return NspiResortRestrictionResponse(stat, mids, ErrorCode.Success)


@method(NspiCompareMIdsRequest, lambda _request, code: NspiCompareMIdsResponse(0, code))
def compare_mids(book: AddressBook, request: NspiCompareMIdsRequest) -> NspiCompareMIdsResponse:
    """3.1.4.1.12: less than, equal to or greater than zero, as the first stands before the second."""
    tables.refuse_winunicode(request.stat)
    first, second = (_row_of(book, request.stat, mid) for mid in (request.mid1, request.mid2))
    return NspiCompareMIdsResponse((first > second) - (first < second), ErrorCode.Success)


def _row_of(book: AddressBook, stat: STAT, mid: int) -> int:
    """Where an object is in the container; `MapiError` (GeneralFailure) where it is not, as this call has it."""
    try:
        return tables.locate(book.lists, dataclasses.replace(stat, current_rec=mid, delta=0))[0]
    except MapiError as error:
        if error.code == ErrorCode.NotFound:
            raise MapiError(ErrorCode.GeneralFailure, str(error)) from error
        raise
