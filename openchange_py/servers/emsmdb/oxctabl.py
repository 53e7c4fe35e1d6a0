"""[MS-OXCTABL]: columns, order, position and rows of tables.

Not done yet: restrictions, FindRow, bookmarks, categories (TooComplex), multivalue instances, QueryColumnsAll,
ResetTable, GetStatus, Abort, packed buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from openchange_py.servers.emsmdb.objects.table import TableObject
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.servers.emsmdb.rows import RowMaker, is_column_type
from openchange_py.servers.emsmdb.values import as_stored
from openchange_py.store.base import SortKey
from openchange_py.wire.buffer import Writer
from openchange_py.wire.codecs import U8, U16, Rest, structure
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag
from openchange_py.wire.oxcdata.sorting import Order
from openchange_py.wire.rop.base import RopResponse
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxctabl import (
    Bookmark,
    QueryRowsFlags,
    RopQueryPositionRequest,
    RopQueryPositionResponse,
    RopQueryRowsRequest,
    RopSeekRowRequest,
    RopSeekRowResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
    RopSortTableRequest,
    RopSortTableResponse,
    TableStatus,
)

#: What a RopQueryRows response has besides its rows.
_QUERY_ROWS_HEADER: Final = 9
#: Rows that are read from the store at once: about what one response holds.
_BATCH: Final = 64


@handles(RopSetColumnsRequest)
def set_columns(call: RopCall, request: RopSetColumnsRequest) -> RopSetColumnsResponse:
    """RopSetColumns: [MS-OXCTABL] 3.2.5.2. Where it fails, the table has no columns any more."""
    table = call.object(request, TableObject)
    table.set_columns(None)
    if not request.property_tags:
        raise MapiError(ErrorCode.InvalidParameter, "no columns")
    for tag in request.property_tags:
        if not is_column_type(tag.type):
            raise MapiError(ErrorCode.InvalidParameter, f"column {tag!r}")
    table.set_columns(request.property_tags)
    return RopSetColumnsResponse(request.input_handle_index, ErrorCode.Success, TableStatus.Complete)


@handles(RopSortTableRequest)
def sort_table(call: RopCall, request: RopSortTableRequest) -> RopSortTableResponse:
    """RopSortTable: [MS-OXCTABL] 3.2.5.3."""
    table = call.object(request, TableObject)
    if not request.expanded_count <= request.category_count <= len(request.sort_orders):
        raise MapiError(
            ErrorCode.InvalidParameter, "more categories than sort orders, or expanded ones than categories"
        )
    if request.category_count:
        raise MapiError(ErrorCode.TooComplex, "categories")
    keys = []
    for order in request.sort_orders:
        if order.order not in (Order.Ascending, Order.Descending):
            raise MapiError(ErrorCode.InvalidParameter, f"Order {order.order}")
        tag = PropertyTag(order.property_tag)
        if not is_column_type(tag.type):
            raise MapiError(ErrorCode.InvalidParameter, f"sort order {tag!r}")
        keys.append(SortKey(as_stored(tag), order.order == Order.Descending))
    table.sort(keys)
    return RopSortTableResponse(request.input_handle_index, ErrorCode.Success, TableStatus.Complete)


@handles(RopQueryPositionRequest)
def query_position(call: RopCall, request: RopQueryPositionRequest) -> RopQueryPositionResponse:
    """RopQueryPosition: [MS-OXCTABL] 3.2.5.8."""
    table = call.object(request, TableObject)
    table.use()
    return RopQueryPositionResponse(request.input_handle_index, ErrorCode.Success, table.position, table.row_count)


@handles(RopSeekRowRequest)
def seek_row(call: RopCall, request: RopSeekRowRequest) -> RopSeekRowResponse:
    """RopSeekRow: [MS-OXCTABL] 3.2.5.9."""
    table = call.object(request, TableObject)
    if request.origin not in (Bookmark.Beginning, Bookmark.Current, Bookmark.End):
        raise MapiError(ErrorCode.InvalidParameter, f"Origin {request.origin}")
    table.use()
    moved = table.seek(request.origin, request.row_count)
    if not request.want_row_moved_count:
        return RopSeekRowResponse(request.input_handle_index, ErrorCode.Success, 0, 0)
    return RopSeekRowResponse(request.input_handle_index, ErrorCode.Success, moved != request.row_count, moved)


@structure
class WrittenRowsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.4.2: a RopQueryRows response whose rows are bytes already."""

    rop_id = RopId.QueryRows

    origin: U8
    row_count: U16
    row_data: Rest


@handles(RopQueryRowsRequest)
def query_rows(call: RopCall, request: RopQueryRowsRequest) -> WrittenRowsResponse:
    """RopQueryRows: [MS-OXCTABL] 3.2.5.5. Whole rows, as many as fit, at least one.

    libmapi asks for 0 rows where it has read them all, and takes an error for one of the table.
    """
    table = call.object(request, TableObject)
    maker = table.needed_rows()
    table.use()
    forward = bool(request.forward_read)
    start = table.position if forward else max(table.position - request.row_count, 0)
    stop = min(start + request.row_count, table.row_count) if forward else table.position
    rows = _fitting_rows(table, maker, range(start, stop), forward=forward, room=call.space - _QUERY_ROWS_HEADER)
    if not request.query_rows_flags & QueryRowsFlags.NoAdvance:
        table.position += len(rows) if forward else -len(rows)
    data = b"".join(rows if forward else reversed(rows))
    return WrittenRowsResponse(request.input_handle_index, ErrorCode.Success, _origin(table, forward), len(rows), data)


def _origin(table: TableObject, forward: bool) -> Bookmark:
    """Where the position stands: [MS-OXCTABL] 3.2.5.5."""
    if forward and table.position >= table.row_count:
        return Bookmark.End
    if not forward and table.position == 0:
        return Bookmark.Beginning
    return Bookmark.Current


def _fitting_rows(table: TableObject, maker: RowMaker, wanted: range, *, forward: bool, room: int) -> list[Writer]:
    """Of the wanted rows as many as the response holds, those next to the position first.

    One that is too large alone is let through: the processor then answers that the buffer is too small.
    """
    rows: list[Writer] = []
    make = maker.row
    for properties in _nearest_first(table, maker.wanted, wanted, forward):
        row = make(properties)
        room -= len(row)
        if room < 0 and rows:
            break
        rows.append(row)
    return rows


def _nearest_first(
    table: TableObject, tags: tuple[PropertyTag, ...], wanted: range, forward: bool
) -> Iterator[PropertyMap]:
    """The rows' properties, read in batches, from the position on (or back)."""
    while wanted:
        batch, wanted = (wanted[:_BATCH], wanted[_BATCH:]) if forward else (wanted[-_BATCH:], wanted[:-_BATCH])
        read = table.rows(batch.start, batch.stop, tags)
        yield from read if forward else reversed(read)
