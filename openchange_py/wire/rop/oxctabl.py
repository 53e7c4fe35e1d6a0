"""ROPs of [MS-OXCTABL], the table object: [MS-OXCROPS] 2.2.5, all of them."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from typing import Final, Self

from openchange_py.wire.buffer import EncodeError, Reader, Writer
from openchange_py.wire.codecs import I32, U8, U16, U32, U64, Bool8, Bytes16, structure
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.restrictions import RestrictionData16
from openchange_py.wire.oxcdata.rows import PropertyRow, read_row
from openchange_py.wire.oxcdata.sorting import SortOrder
from openchange_py.wire.rop.base import (
    REQUEST_HEADER,
    RESPONSE_HEADER,
    PropertyTags16,
    RopHandleRequest,
    RopResponse,
    read_rows,
    rop_request,
    rop_response,
    write_rows,
)
from openchange_py.wire.rop.context import RopContext
from openchange_py.wire.rop.ids import RopId

_SORT: Final = struct.Struct("<BHHH")
_ROWS: Final = struct.Struct("<BH")
_EXPANDED: Final = struct.Struct("<IH")
_FOUND: Final = struct.Struct("<BIBB")


class TableStatus(enum.IntEnum):
    """[MS-OXCTABL] 2.2.2.1.3."""

    Complete = 0x00
    Sorting = 0x09
    SortError = 0x0A
    SettingColumns = 0x0B
    SettingColumnsError = 0x0D
    Restricting = 0x0E
    RestrictError = 0x0F


class Bookmark(enum.IntEnum):
    """Predefined bookmarks, in the Origin fields: [MS-OXCTABL] 2.2.2.1.1."""

    Beginning = 0x00
    Current = 0x01
    End = 0x02
    Custom = 0x03


class QueryRowsFlags(enum.IntFlag):
    """[MS-OXCTABL] 2.2.2.5.1."""

    Advance = 0x00
    NoAdvance = 0x01
    EnablePackedBuffers = 0x02


class FindRowFlags(enum.IntFlag):
    """[MS-OXCTABL] 2.2.2.14.1."""

    Forward = 0x00
    Backward = 0x01


@structure
class TableStatusResponse(RopResponse):
    """A response whose only field is the table's status."""

    table_status: U8


@rop_request(RopId.SetColumns)
@structure
class RopSetColumnsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.1.1. `set_columns_flags`: 1 asks for asynchronous work."""

    set_columns_flags: U8
    property_tags: PropertyTags16


@rop_response(RopId.SetColumns)
@structure
class RopSetColumnsResponse(TableStatusResponse):
    """[MS-OXCROPS] 2.2.5.1.2."""

    def learn(self, context: RopContext) -> None:
        request = context.answered(RopSetColumnsRequest)
        context.states.state(context.handle()).columns = tuple(request.property_tags)


@rop_request(RopId.SortTable)
@structure
class RopSortTableRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.2.1. The first `category_count` sort orders make categories."""

    sort_table_flags: int
    category_count: int
    expanded_count: int
    sort_orders: list[SortOrder]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index = reader.fields(REQUEST_HEADER)
        flags, count, category_count, expanded_count = reader.fields(_SORT)
        orders = [SortOrder.read(reader) for _ in range(reader.count(count, 5))]
        return cls(logon_id, index, flags, category_count, expanded_count, orders)

    def write(self, writer: Writer) -> None:
        writer.fixed(REQUEST_HEADER, self.logon_id, self.input_handle_index)
        count = len(self.sort_orders)
        writer.fixed(_SORT, self.sort_table_flags, count, self.category_count, self.expanded_count)
        for order in self.sort_orders:
            order.write(writer)


@rop_response(RopId.SortTable)
@structure
class RopSortTableResponse(TableStatusResponse):
    """[MS-OXCROPS] 2.2.5.2.2."""


@rop_request(RopId.Restrict)
@structure
class RopRestrictRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.3.1. No restriction: all rows."""

    restrict_flags: U8
    restriction_data: RestrictionData16


@rop_response(RopId.Restrict)
@structure
class RopRestrictResponse(TableStatusResponse):
    """[MS-OXCROPS] 2.2.5.3.2."""


@rop_request(RopId.QueryRows)
@structure
class RopQueryRowsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.4.1."""

    query_rows_flags: U8
    forward_read: Bool8
    row_count: U16


@rop_response(RopId.QueryRows)
@structure
class RopQueryRowsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.4.2. `columns`, which are not on the wire, are those of the table."""

    origin: int
    rows: list[PropertyRow]
    columns: Sequence[PropertyTag] | None

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        origin, count = reader.fields(_ROWS)
        columns = context.columns() if count else None
        return cls(index, code, origin, read_rows(reader, count, columns or ()), columns)

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        writer.fixed(_ROWS, self.origin, len(self.rows))
        write_rows(writer, self.rows, self.columns)


@rop_request(RopId.Abort)
@structure
class RopAbortRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.5.1."""


@rop_response(RopId.Abort)
@structure
class RopAbortResponse(TableStatusResponse):
    """[MS-OXCROPS] 2.2.5.5.2."""


@rop_request(RopId.GetStatus)
@structure
class RopGetStatusRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.6.1."""


@rop_response(RopId.GetStatus)
@structure
class RopGetStatusResponse(TableStatusResponse):
    """[MS-OXCROPS] 2.2.5.6.2."""


@rop_request(RopId.QueryPosition)
@structure
class RopQueryPositionRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.7.1."""


@rop_response(RopId.QueryPosition)
@structure
class RopQueryPositionResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.7.2: row `numerator` (from 0) of `denominator` rows."""

    numerator: U32
    denominator: U32


@rop_request(RopId.SeekRow)
@structure
class RopSeekRowRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.8.1. `origin`: a `Bookmark` except Custom; a negative `row_count` seeks backwards."""

    origin: U8
    row_count: I32
    want_row_moved_count: Bool8


@rop_response(RopId.SeekRow)
@structure
class RopSeekRowResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.8.2."""

    has_sought_less: Bool8
    rows_sought: I32


@rop_request(RopId.SeekRowBookmark)
@structure
class RopSeekRowBookmarkRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.9.1."""

    bookmark: Bytes16
    row_count: I32
    want_row_moved_count: Bool8


@rop_response(RopId.SeekRowBookmark)
@structure
class RopSeekRowBookmarkResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.9.2."""

    row_no_longer_visible: Bool8
    has_sought_less: Bool8
    rows_sought: I32


@rop_request(RopId.SeekRowFractional)
@structure
class RopSeekRowFractionalRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.10.1."""

    numerator: U32
    denominator: U32


@rop_response(RopId.SeekRowFractional)
@structure
class RopSeekRowFractionalResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.10.2."""


@rop_request(RopId.CreateBookmark)
@structure
class RopCreateBookmarkRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.11.1."""


@rop_response(RopId.CreateBookmark)
@structure
class RopCreateBookmarkResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.11.2."""

    bookmark: Bytes16


@rop_request(RopId.QueryColumnsAll)
@structure
class RopQueryColumnsAllRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.12.1."""


@rop_response(RopId.QueryColumnsAll)
@structure
class RopQueryColumnsAllResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.12.2."""

    property_tags: PropertyTags16


@rop_request(RopId.FindRow)
@structure
class RopFindRowRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.13.1. `origin`: a `Bookmark`; `bookmark` counts where that is Custom."""

    find_row_flags: U8
    restriction_data: RestrictionData16
    origin: U8
    bookmark: Bytes16


@rop_response(RopId.FindRow)
@structure
class RopFindRowResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.13.2. `row` is None where HasRowData is 0; `columns` are not on the wire."""

    row_no_longer_visible: int
    has_row_data: int
    row: PropertyRow | None
    columns: Sequence[PropertyTag] | None

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        index, code, invisible, has_row = reader.fields(_FOUND)
        if not has_row:
            return cls(index, code, invisible, has_row, None, None)
        columns = context.columns()
        return cls(index, code, invisible, has_row, read_row(reader, columns), columns)

    def write(self, writer: Writer) -> None:
        if bool(self.has_row_data) != (self.row is not None):
            raise EncodeError(f"has_row_data {self.has_row_data} and row {self.row!r} do not agree")
        writer.fixed(_FOUND, self.handle_index, self.return_value, self.row_no_longer_visible, self.has_row_data)
        if self.row is not None:
            write_rows(writer, [self.row], self.columns)


@rop_request(RopId.FreeBookmark)
@structure
class RopFreeBookmarkRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.14.1."""

    bookmark: Bytes16


@rop_response(RopId.FreeBookmark)
@structure
class RopFreeBookmarkResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.14.2."""


@rop_request(RopId.ResetTable)
@structure
class RopResetTableRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.15.1."""


@rop_response(RopId.ResetTable)
@structure
class RopResetTableResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.15.2. The table has no columns after it: [MS-OXCTABL] 2.2.2.16."""

    def learn(self, context: RopContext) -> None:
        context.states.forget(context.handle())


@rop_request(RopId.ExpandRow)
@structure
class RopExpandRowRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.16.1."""

    max_row_count: U16
    category_id: U64


@rop_response(RopId.ExpandRow)
@structure
class RopExpandRowResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.16.2. `columns`, which are not on the wire, are those of the table."""

    expanded_row_count: int
    rows: list[PropertyRow]
    columns: Sequence[PropertyTag] | None

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        expanded, count = reader.fields(_EXPANDED)
        columns = context.columns() if count else None
        return cls(index, code, expanded, read_rows(reader, count, columns or ()), columns)

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        writer.fixed(_EXPANDED, self.expanded_row_count, len(self.rows))
        write_rows(writer, self.rows, self.columns)


@rop_request(RopId.CollapseRow)
@structure
class RopCollapseRowRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.17.1."""

    category_id: U64


@rop_response(RopId.CollapseRow)
@structure
class RopCollapseRowResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.17.2."""

    collapsed_row_count: U32


@rop_request(RopId.GetCollapseState)
@structure
class RopGetCollapseStateRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.18.1. Which row the cursor is on: its PidTagInstID and PidTagInstanceNum."""

    row_id: U64
    row_instance_number: U32


@rop_response(RopId.GetCollapseState)
@structure
class RopGetCollapseStateResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.18.2."""

    collapse_state: Bytes16


@rop_request(RopId.SetCollapseState)
@structure
class RopSetCollapseStateRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.5.19.1."""

    collapse_state: Bytes16


@rop_response(RopId.SetCollapseState)
@structure
class RopSetCollapseStateResponse(RopResponse):
    """[MS-OXCROPS] 2.2.5.19.2."""

    bookmark: Bytes16
