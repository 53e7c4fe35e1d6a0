"""Positions in address book tables: [MS-OXNSPI] 3.1.4.5, and 2.2.1.8 for the ids that mean places.

A table is sorted in the STAT's SortLocale, or in the neutral order where that language has none of its own, by display
names or by phonetic ones; an object without a phonetic name stands where its display name puts it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from openchange_py.addressbook.base import AddressLists, Entry, MinimalEntryId, NoSuchEntry, SortOrder
from openchange_py.servers.nspi.codepages import CP_WINUNICODE
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi_types import STAT

MID_BEGINNING_OF_TABLE: Final = 0
MID_CURRENT: Final = 1
MID_END_OF_TABLE: Final = 2

#: Ids below it are places in tables or results of name resolution ([MS-OXNSPI] 2.2.9.1).
FIRST_MID: Final = 0x10

#: 2.2.1.10, table sort orders.
SORT_DISPLAY_NAME: Final = 0
SORT_PHONETIC_DISPLAY_NAME: Final = 3
SORT_DISPLAY_NAME_RO: Final = 1000
SORT_DISPLAY_NAME_W: Final = 1001

#: Those of containers.
SORT_TYPES: Final = (SORT_DISPLAY_NAME, SORT_PHONETIC_DISPLAY_NAME)


def order_of(stat: STAT) -> SortOrder:
    """How the rows of the STAT's table stand."""
    return SortOrder(stat.sort_locale, stat.sort_type == SORT_PHONETIC_DISPLAY_NAME)


def refuse_other_sorts(stat: STAT) -> None:
    """`MapiError` (GeneralFailure) for sort types that containers don't have."""
    if stat.sort_type not in SORT_TYPES:
        raise MapiError(ErrorCode.GeneralFailure, f"sort type {stat.sort_type}")


def refuse_winunicode(stat: STAT) -> None:
    """The first rule of most calls: no CP_WINUNICODE in the STAT."""
    if stat.code_page == CP_WINUNICODE:
        raise MapiError(ErrorCode.InvalidCodepage, "CP_WINUNICODE")


def container_size(lists: AddressLists, stat: STAT) -> int:
    """The number of rows of the STAT's container; `MapiError` (InvalidBookmark) where there is no such container."""
    try:
        return lists.count(MinimalEntryId(stat.container_id))
    except NoSuchEntry as error:
        raise MapiError(ErrorCode.InvalidBookmark, str(error)) from None


def locate(lists: AddressLists, stat: STAT) -> tuple[int, int, int]:
    """The row that CurrentRec (or NumPos of TotalRecs) names, the row that Delta moves to, and the number of rows.

    A row number equal to the number of rows is the place behind the last one.
    """
    total = container_size(lists, stat)
    start = _start(lists, stat, total)
    return start, min(max(start + stat.delta, 0), total), total


def _start(lists: AddressLists, stat: STAT, total: int) -> int:
    if stat.current_rec == MID_BEGINNING_OF_TABLE:
        return 0
    if stat.current_rec == MID_END_OF_TABLE:
        return total
    if stat.current_rec == MID_CURRENT:
        return min(total * stat.num_pos // stat.total_recs, total) if stat.total_recs else 0
    row = row_of(lists, stat, stat.current_rec)
    if row is None:
        raise MapiError(ErrorCode.NotFound, f"no object {stat.current_rec} in container {stat.container_id}")
    return row


def row_of(lists: AddressLists, stat: STAT, mid: int) -> int | None:
    """The number of an object's row in the STAT's container; None where it is not there."""
    entry = lists.by_mid([MinimalEntryId(mid)]).get(MinimalEntryId(mid))
    return lists.position(MinimalEntryId(stat.container_id), entry, order_of(stat)) if entry else None


def moved(lists: AddressLists, stat: STAT, row: int, total: int) -> STAT:
    """The STAT that says: at this row now."""
    entries = lists.page(MinimalEntryId(stat.container_id), row, 1, order_of(stat)) if row < total else []
    return at(stat, row, total, entries[0] if entries else None)


def at(stat: STAT, row: int, total: int, entry: Entry | None) -> STAT:
    """The STAT of the row with this entry, of None: of the place behind the last row."""
    current = int(entry.mid) if entry else MID_END_OF_TABLE
    return dataclasses.replace(stat, current_rec=current, delta=0, num_pos=row, total_recs=total)


def explicit(lists: AddressLists, mids: Sequence[int]) -> list[Entry | None]:
    """The objects of an Explicit Table (3.1.4.4.2), None for ids of nothing."""
    found = lists.by_mid([MinimalEntryId(mid) for mid in dict.fromkeys(mids)])
    return [found.get(MinimalEntryId(mid)) for mid in mids]
