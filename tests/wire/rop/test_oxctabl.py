"""ROPs of [MS-OXCTABL]. Bytes with a section number are that example of the document, the others follow its layouts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.restrictions import ExistRestriction
from openchange_py.wire.oxcdata.rows import PropertyError, PropertyRow
from openchange_py.wire.oxcdata.sorting import SortOrder
from openchange_py.wire.proptags import PidTagContentCount, PidTagDisplayName, PidTagFolderId, PidTagSubject
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxctabl import (
    RopAbortRequest,
    RopAbortResponse,
    RopCollapseRowRequest,
    RopCollapseRowResponse,
    RopCreateBookmarkRequest,
    RopCreateBookmarkResponse,
    RopExpandRowRequest,
    RopExpandRowResponse,
    RopFindRowRequest,
    RopFindRowResponse,
    RopFreeBookmarkRequest,
    RopFreeBookmarkResponse,
    RopGetCollapseStateRequest,
    RopGetCollapseStateResponse,
    RopGetStatusRequest,
    RopGetStatusResponse,
    RopQueryColumnsAllRequest,
    RopQueryColumnsAllResponse,
    RopQueryPositionRequest,
    RopQueryPositionResponse,
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopResetTableRequest,
    RopResetTableResponse,
    RopRestrictRequest,
    RopRestrictResponse,
    RopSeekRowBookmarkRequest,
    RopSeekRowBookmarkResponse,
    RopSeekRowFractionalRequest,
    RopSeekRowFractionalResponse,
    RopSeekRowRequest,
    RopSeekRowResponse,
    RopSetCollapseStateRequest,
    RopSetCollapseStateResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
    RopSortTableRequest,
    RopSortTableResponse,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

COLUMNS = (PidTagDisplayName, PidTagContentCount)
ROWS = [PropertyRow(["Ab", 7]), PropertyRow([PropertyError(0x8004010F), 8], flagged=True)]
ROWS_HEX = "00 4100 6200 0000 07000000  01 0a 0f010480 00 08000000"
EXIST = ExistRestriction(PidTagSubject)

EXAMPLES: list[Example] = [
    # 4.2.1
    (
        "12 00 01 00 06 00 14 00 48 67 14 00 4a 67 14 00 4d 67 03 00 4e 67 1f 00 37 00 40 00 06 0e",
        RopSetColumnsRequest(
            0,
            1,
            0,
            [PropertyTag(tag) for tag in (0x67480014, 0x674A0014, 0x674D0014, 0x674E0003, 0x0037001F, 0x0E060040)],
        ),
    ),
    ("12 01 00000000 00", RopSetColumnsResponse(1, 0, 0)),
    # 4.3.1
    (
        "13 00 00 00 02 00 01 00 01 00 1f 30 08 80 00 40 00 06 0e 01",
        RopSortTableRequest(
            0, 0, 0, 1, 1, [SortOrder(PropertyTag(0x8008301F), 0), SortOrder(PropertyTag(0x0E060040), 1)]
        ),
    ),
    # 4.3.2
    ("13 01 00 00 00 00 00", RopSortTableResponse(1, 0, 0)),
    ("14 00 01 00 0500 08 1f003700", RopRestrictRequest(0, 1, 0, EXIST)),
    ("14 00 01 01 0000", RopRestrictRequest(0, 1, 1, None)),
    ("14 01 00000000 00", RopRestrictResponse(1, 0, 0)),
    ("15 00 01 00 01 3200", RopQueryRowsRequest(0, 1, 0, 1, 50)),
    ("15 01 00000000 02 0000", RopQueryRowsResponse(1, 0, 2, [], None)),
    ("38 00 01", RopAbortRequest(0, 1)),
    ("38 01 00000000 00", RopAbortResponse(1, 0, 0)),
    ("16 00 01", RopGetStatusRequest(0, 1)),
    ("16 01 00000000 09", RopGetStatusResponse(1, 0, 9)),
    ("17 00 01", RopQueryPositionRequest(0, 1)),
    ("17 01 00000000 03000000 0a000000", RopQueryPositionResponse(1, 0, 3, 10)),
    ("18 00 01 01 feffffff 01", RopSeekRowRequest(0, 1, 1, -2, 1)),
    ("18 01 00000000 01 ffffffff", RopSeekRowResponse(1, 0, 1, -1)),
    ("19 00 01 0400 aabbccdd feffffff 01", RopSeekRowBookmarkRequest(0, 1, b"\xaa\xbb\xcc\xdd", -2, 1)),
    ("19 01 00000000 00 01 ffffffff", RopSeekRowBookmarkResponse(1, 0, 0, 1, -1)),
    ("1a 00 01 01000000 02000000", RopSeekRowFractionalRequest(0, 1, 1, 2)),
    ("1a 01 00000000", RopSeekRowFractionalResponse(1, 0)),
    ("1b 00 01", RopCreateBookmarkRequest(0, 1)),
    ("1b 01 00000000 0200 aabb", RopCreateBookmarkResponse(1, 0, b"\xaa\xbb")),
    ("37 00 01", RopQueryColumnsAllRequest(0, 1)),
    ("37 01 00000000 0200 1f000130 03000236", RopQueryColumnsAllResponse(1, 0, list(COLUMNS))),
    ("4f 00 01 00 0500 08 1f003700 03 0200 aabb", RopFindRowRequest(0, 1, 0, EXIST, 3, b"\xaa\xbb")),
    ("4f 01 00000000 01 00", RopFindRowResponse(1, 0, 1, 0, None, None)),
    ("89 00 01 0200 aabb", RopFreeBookmarkRequest(0, 1, b"\xaa\xbb")),
    ("89 01 00000000", RopFreeBookmarkResponse(1, 0)),
    ("81 00 01", RopResetTableRequest(0, 1)),
    ("81 01 00000000", RopResetTableResponse(1, 0)),
    ("59 00 01 0a00 0100000000000001", RopExpandRowRequest(0, 1, 10, 0x0100000000000001)),
    ("59 01 00000000 05000000 0000", RopExpandRowResponse(1, 0, 5, [], None)),
    ("5a 00 01 0100000000000001", RopCollapseRowRequest(0, 1, 0x0100000000000001)),
    ("5a 01 00000000 05000000", RopCollapseRowResponse(1, 0, 5)),
    ("6b 00 01 0100000000000001 02000000", RopGetCollapseStateRequest(0, 1, 0x0100000000000001, 2)),
    ("6b 01 00000000 0200 aabb", RopGetCollapseStateResponse(1, 0, b"\xaa\xbb")),
    ("6c 00 01 0200 aabb", RopSetCollapseStateRequest(0, 1, b"\xaa\xbb")),
    ("6c 01 00000000 0200 aabb", RopSetCollapseStateResponse(1, 0, b"\xaa\xbb")),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxctabl", data)


def _answer(rops: str, request: RopBuffer, states: HandleStates) -> RopBuffer:
    data = bytes.fromhex(rops)
    packed = (len(data) + 2).to_bytes(2, "little") + data + b"\x07\0\0\0"
    buffer = RopBuffer.unpack_response(packed, request, states)
    assert buffer.pack() == packed
    return buffer


def _states_with_columns() -> HandleStates:
    states = HandleStates()
    states.state(7).columns = COLUMNS
    return states


def test_rows_have_the_columns_that_were_set_before() -> None:
    states = HandleStates()
    _answer("12 00 00000000 00", RopBuffer([RopSetColumnsRequest(0, 0, 0, list(COLUMNS))], [7]), states)
    request = RopBuffer([RopQueryRowsRequest(0, 0, 0, 1, 50)], [7])
    buffer = _answer(f"15 00 00000000 02 0200 {ROWS_HEX}", request, states)
    assert buffer.rops == [RopQueryRowsResponse(0, 0, 2, ROWS, COLUMNS)]


@pytest.mark.parametrize(
    ("request_rop", "text", "expected"),
    [
        (
            RopFindRowRequest(0, 0, 0, None, 0, b""),
            "4f 00 00000000 00 01 00 4100 6200 0000 07000000",
            RopFindRowResponse(0, 0, 0, 1, ROWS[0], COLUMNS),
        ),
        (
            RopExpandRowRequest(0, 0, 10, 1),
            f"59 00 00000000 02000000 0200 {ROWS_HEX}",
            RopExpandRowResponse(0, 0, 2, ROWS, COLUMNS),
        ),
    ],
)
def test_found_and_expanded_rows_have_the_columns_too(
    request_rop: RopFindRowRequest, text: str, expected: RopFindRowResponse
) -> None:
    buffer = _answer(text, RopBuffer([request_rop], [7]), _states_with_columns())
    assert buffer.rops == [expected]


def test_rows_of_unknown_columns_stay_bytes() -> None:
    request = RopBuffer([RopQueryRowsRequest(0, 0, 0, 1, 50)], [7])
    buffer = _answer(f"15 00 00000000 02 0200 {ROWS_HEX}", request, HandleStates())
    assert buffer.rops == []
    assert buffer.tail == bytes.fromhex(f"15 00 00000000 02 0200 {ROWS_HEX}")


def test_columns_that_were_refused_do_not_count() -> None:
    states = _states_with_columns()
    request = RopBuffer([RopSetColumnsRequest(0, 0, 0, [PidTagFolderId])], [7])
    _answer("12 00 57000780", request, states)
    assert states.columns(7) == COLUMNS


def test_a_reset_table_has_no_columns() -> None:
    states = _states_with_columns()
    _answer("81 00 00000000", RopBuffer([RopResetTableRequest(0, 0)], [7]), states)
    assert states.columns(7) is None


def test_rows_without_columns_are_not_written() -> None:
    with pytest.raises(EncodeError, match="without their columns"):
        RopQueryRowsResponse(0, 0, 2, ROWS, None).pack()


def test_empty_cells_by_the_million_are_refused() -> None:
    states = HandleStates()
    states.state(7).columns = [PropertyTag(0x00010001)] * 10_000
    request = RopBuffer([RopQueryRowsRequest(0, 0, 0, 1, 50)], [7])
    rops = bytes.fromhex("15 00 00000000 02 0010") + bytes(4096)
    with pytest.raises(DecodeError, match="4096 rows of 10000 columns"):
        RopBuffer.unpack_response((len(rops) + 2).to_bytes(2, "little") + rops, request, states)
