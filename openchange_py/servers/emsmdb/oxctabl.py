"""[MS-OXCTABL]: columns, order, position and rows of tables.

Not done yet: restrictions, FindRow, bookmarks, categories, QueryColumnsAll, ResetTable, GetStatus, Abort.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from openchange_py.servers.emsmdb.objects.table import TableObject
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.servers.emsmdb.values import ValueReader
from openchange_py.store.base import SortKey
from openchange_py.wire.buffer import Writer
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import MULTIPLE_INSTANCE_FLAG, PropertyMap, PropertyTag, PropertyType
from openchange_py.wire.oxcdata.rows import PropertyRow, write_row
from openchange_py.wire.oxcdata.sorting import Order
from openchange_py.wire.rop.oxctabl import (
    Bookmark,
    QueryRowsFlags,
    RopQueryPositionRequest,
    RopQueryPositionResponse,
    RopQueryRowsRequest,
    RopQueryRowsResponse,
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

_COLUMN_TYPES: Final = frozenset(PropertyType) - {PropertyType.Null, PropertyType.Object}


@handles(RopSetColumnsRequest)
def set_columns(call: RopCall, request: RopSetColumnsRequest) -> RopSetColumnsResponse:
    """RopSetColumns: [MS-OXCTABL] 3.2.5.2."""
    table = call.object(request, TableObject)
    if not request.property_tags:
        raise MapiError(ErrorCode.InvalidParameter, "no columns")
    for tag in request.property_tags:
        if tag.type & ~MULTIPLE_INSTANCE_FLAG not in _COLUMN_TYPES:
            raise MapiError(ErrorCode.InvalidParameter, f"column {tag!r}")
    table.columns = tuple(request.property_tags)
    return RopSetColumnsResponse(request.input_handle_index, ErrorCode.Success, TableStatus.Complete)


@handles(RopSortTableRequest)
def sort_table(call: RopCall, request: RopSortTableRequest) -> RopSortTableResponse:
    """RopSortTable: [MS-OXCTABL] 3.2.5.3."""
    table = call.object(request, TableObject)
    if request.category_count or request.expanded_count:
        raise MapiError(ErrorCode.TooComplex, "categories")
    keys = []
    for order in request.sort_orders:
        if order.order not in (Order.Ascending, Order.Descending):
            raise MapiError(ErrorCode.InvalidParameter, f"Order {order.order}")
        keys.append(SortKey(_as_stored(PropertyTag(order.property_tag)), order.order == Order.Descending))
    table.sort(keys)
    return RopSortTableResponse(request.input_handle_index, ErrorCode.Success, TableStatus.Complete)


def _as_stored(tag: PropertyTag) -> PropertyTag:
    """The store keeps texts as Unicode."""
    return tag.with_type(PropertyType.String) if tag.type == PropertyType.String8 else tag


@handles(RopQueryPositionRequest)
def query_position(call: RopCall, request: RopQueryPositionRequest) -> RopQueryPositionResponse:
    """RopQueryPosition: [MS-OXCTABL] 3.2.5.7."""
    table = call.object(request, TableObject)
    table.needed_columns()
    return RopQueryPositionResponse(request.input_handle_index, ErrorCode.Success, table.position, table.row_count)


@handles(RopSeekRowRequest)
def seek_row(call: RopCall, request: RopSeekRowRequest) -> RopSeekRowResponse:
    """RopSeekRow: [MS-OXCTABL] 3.2.5.8."""
    table = call.object(request, TableObject)
    table.needed_columns()
    if request.origin not in (Bookmark.Beginning, Bookmark.Current, Bookmark.End):
        raise MapiError(ErrorCode.InvalidParameter, f"Origin {request.origin}")
    moved = table.seek(request.origin, request.row_count)
    if not request.want_row_moved_count:
        return RopSeekRowResponse(request.input_handle_index, ErrorCode.Success, 0, 0)
    return RopSeekRowResponse(request.input_handle_index, ErrorCode.Success, moved != request.row_count, moved)


@handles(RopQueryRowsRequest)
def query_rows(call: RopCall, request: RopQueryRowsRequest) -> RopQueryRowsResponse:
    """RopQueryRows: [MS-OXCTABL] 3.2.5.5. Whole rows, as many as fit, at least one."""
    table = call.object(request, TableObject)
    columns = table.needed_columns()
    if request.row_count == 0:
        raise MapiError(ErrorCode.InvalidParameter, "no rows asked for")
    forward = bool(request.forward_read)
    start = table.position if forward else max(table.position - request.row_count, 0)
    stop = min(start + request.row_count, table.row_count) if forward else table.position
    rows = _fitting_rows(call, table, columns, range(start, stop), forward=forward)
    if not request.query_rows_flags & QueryRowsFlags.NoAdvance:
        table.position += len(rows) if forward else -len(rows)
    return RopQueryRowsResponse(request.input_handle_index, ErrorCode.Success, _origin(table, forward), rows, columns)


def _origin(table: TableObject, forward: bool) -> Bookmark:
    """Where the position stands: [MS-OXCTABL] 3.2.5.5."""
    if forward and table.position >= table.row_count:
        return Bookmark.End
    if not forward and table.position == 0:
        return Bookmark.Beginning
    return Bookmark.Current


def _fitting_rows(
    call: RopCall, table: TableObject, columns: tuple[PropertyTag, ...], wanted: range, *, forward: bool
) -> list[PropertyRow]:
    """The wanted rows in the table's order: as many as the response holds of those next to the position.

    One that is too large alone is let through: the processor then answers that the buffer is too small.
    """
    values = ValueReader(call.session.codec, shorten=True)
    rows: list[PropertyRow] = []
    scratch = Writer()
    room = call.space - _QUERY_ROWS_HEADER
    for properties in _nearest_first(table, columns, wanted, forward):
        row = PropertyRow.of(values.row(properties, columns))
        write_row(scratch, columns, row)
        if len(scratch) > room and rows:
            break
        rows.append(row)
    return rows if forward else rows[::-1]


def _nearest_first(
    table: TableObject, columns: tuple[PropertyTag, ...], wanted: range, forward: bool
) -> Iterator[PropertyMap]:
    """The rows' properties, read in batches, from the position on (or back)."""
    while wanted:
        batch, wanted = (wanted[:_BATCH], wanted[_BATCH:]) if forward else (wanted[-_BATCH:], wanted[:-_BATCH])
        read = table.rows(batch.start, batch.stop, columns)
        yield from read if forward else reversed(read)
