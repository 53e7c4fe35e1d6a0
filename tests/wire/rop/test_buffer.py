"""ROP buffers, and how responses find their requests."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.proptags import PidTagContentCount, PidTagDisplayName
from openchange_py.wire.rop.base import (
    Rop,
    RopBackoffResponse,
    RopBufferTooSmallResponse,
    RopFailure,
    RopReleaseRequest,
)
from openchange_py.wire.rop.buffer import RopBuffer, decode_response
from openchange_py.wire.rop.context import NO_HANDLE, HandleStates
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import (
    RopGetHierarchyTableRequest,
    RopGetHierarchyTableResponse,
    RopOpenFolderRequest,
    RopOpenFolderResponse,
)
from openchange_py.wire.rop.oxcmsg import RopSetMessageReadFlagRequest
from openchange_py.wire.rop.oxcstor import (
    SPECIAL_FOLDERS,
    RopLogonPublicResponse,
    RopLogonRequest,
)
from openchange_py.wire.rop.oxctabl import (
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
)

COLUMNS = [PidTagDisplayName, PidTagContentCount]
ROWS = [PropertyRow(["Inbox", 3]), PropertyRow(["Sent", 4])]


def listing() -> list[Rop]:
    """Open a folder and read its first rows, as clients do in one buffer."""
    return [
        RopOpenFolderRequest(0, 0, 1, FolderId(0x0C00000000000001), 0),
        RopGetHierarchyTableRequest(0, 1, 2, 0),
        RopSetColumnsRequest(0, 2, 0, list(COLUMNS)),
        RopQueryRowsRequest(0, 2, 0, 1, 50),
    ]


def listed() -> list[Rop]:
    return [
        RopOpenFolderResponse(1, 0, 0, 0),
        RopGetHierarchyTableResponse(2, 0, 2),
        RopSetColumnsResponse(2, 0, 0),
        RopQueryRowsResponse(2, 0, 2, ROWS, tuple(COLUMNS)),
    ]


REQUEST = RopBuffer(listing(), [1, NO_HANDLE, NO_HANDLE])
RESPONSE = RopBuffer(listed(), [1, 10, 11])


def test_bytes_of_a_buffer() -> None:
    buffer = RopBuffer([RopReleaseRequest(0, 1)], [5, NO_HANDLE])
    assert buffer.pack().hex(" ") == "05 00 01 00 01 05 00 00 00 ff ff ff ff"
    assert RopBuffer.unpack_request(buffer.pack()) == buffer


def test_an_empty_buffer_is_only_its_size() -> None:
    assert RopBuffer([], []).pack() == b"\x02\x00"
    assert RopBuffer.unpack_request(b"\x02\x00") == RopBuffer([], [])


def test_requests_and_responses_of_one_buffer() -> None:
    assert RopBuffer.unpack_request(REQUEST.pack()) == REQUEST
    states = HandleStates()
    response = RopBuffer.unpack_response(RESPONSE.pack(), REQUEST, states)
    assert response == RESPONSE
    assert states.columns(11) == tuple(COLUMNS)


def test_the_columns_count_in_later_buffers_under_another_index() -> None:
    states = HandleStates()
    decode_response(RESPONSE.pack(), REQUEST, states)
    request = RopBuffer([RopQueryRowsRequest(0, 0, 0, 1, 50)], [11])
    answer = RopBuffer([RopQueryRowsResponse(0, 0, 2, ROWS, tuple(COLUMNS))], [11])
    assert decode_response(answer.pack(), request, states) == answer


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "no RopSize"),
        ("02", "no RopSize"),
        ("0100", "RopSize 1"),
        ("0000", "RopSize 0"),
        ("0300", "RopSize 3"),
        ("0200ffffff", "3 bytes are not a handle table"),
    ],
)
def test_wrong_sizes(data: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        RopBuffer.unpack_request(bytes.fromhex(data))
    with pytest.raises(DecodeError, match=reason):
        RopBuffer.unpack_response(bytes.fromhex(data), REQUEST, HandleStates())


def test_the_first_unknown_rop_ends_decoding_and_nothing_is_lost() -> None:
    data = bytes.fromhex("0a00 01 00 01 f0 01 00 02 aa 05000000")
    buffer = RopBuffer.unpack_request(data)
    assert buffer.rops == [RopReleaseRequest(0, 1)]
    assert buffer.tail == bytes.fromhex("f0 01 00 02 aa")
    assert buffer.pack() == data


def test_the_rops_end_at_rop_size_and_not_in_the_handle_table() -> None:
    data = bytes.fromhex("0400 01 00 05000000")
    with pytest.raises(DecodeError, match="RopReleaseRequest"):
        RopBuffer.unpack_request(data)


def test_every_truncation_is_an_error_or_a_shorter_buffer() -> None:
    rops = REQUEST.pack()[2:-12]
    for end in range(len(rops)):
        data = (end + 2).to_bytes(2, "little") + rops[:end]
        try:
            buffer = RopBuffer.unpack_request(data)
        except DecodeError:
            continue
        assert buffer.pack() == data
        assert buffer.rops == REQUEST.rops[: len(buffer.rops)]


def test_every_truncation_of_a_response_is_an_error_or_a_shorter_buffer() -> None:
    rops, handles = RESPONSE.pack()[2:-12], RESPONSE.pack()[-12:]
    for end in range(len(rops)):
        data = (end + 2).to_bytes(2, "little") + rops[:end] + handles
        try:
            buffer = RopBuffer.unpack_response(data, REQUEST, HandleStates())
        except DecodeError:
            continue
        assert buffer.pack() == data
        assert buffer.rops == RESPONSE.rops[: len(buffer.rops)]


def test_more_than_rop_size_can_say_is_not_packed() -> None:
    with pytest.raises(EncodeError):
        RopBuffer([RopReleaseRequest(0, 1)], [], bytes(0xFFFF)).pack()
    with pytest.raises(EncodeError, match="handle table"):
        RopBuffer([], [-1]).pack()


def test_a_failed_rop_ends_after_its_return_value() -> None:
    data = bytes.fromhex("0e00 02 01 0f010480 04 02 b9040000 01000000 ffffffff ffffffff")
    response = RopBuffer.unpack_response(data, REQUEST, HandleStates())
    assert response.rops == [
        RopFailure(1, ErrorCode.NotFound, RopId.OpenFolder),
        RopFailure(2, ErrorCode.NullObject, RopId.GetHierarchyTable),
    ]
    assert response.pack() == data


def test_a_released_table_is_forgotten_and_its_handle_may_be_another_object() -> None:
    states = HandleStates()
    RopBuffer.unpack_response(RESPONSE.pack(), REQUEST, states)
    release = RopBuffer([RopReleaseRequest(0, 0)], [11])
    RopBuffer.unpack_response(RopBuffer([], [11]).pack(), release, states)
    assert states.columns(11) is None


def test_a_new_object_under_an_old_handle_has_nothing_of_the_old_one() -> None:
    states = HandleStates()
    states.state(10).columns = tuple(COLUMNS)
    request = RopBuffer([RopGetHierarchyTableRequest(0, 0, 1, 0)], [1, NO_HANDLE])
    answer = RopBuffer([RopGetHierarchyTableResponse(1, 0, 2)], [1, 10])
    RopBuffer.unpack_response(answer.pack(), request, states)
    assert states.columns(10) is None


def test_an_index_is_read_as_the_handle_that_it_was_when_its_rop_ran() -> None:
    """Rows of the table at index 1, which a folder replaces in the same buffer."""
    states = HandleStates()
    states.state(11).columns = tuple(COLUMNS)
    query = RopQueryRowsRequest(0, 1, 0, 1, 50)
    request = RopBuffer([query, RopOpenFolderRequest(0, 0, 1, FolderId(1), 0)], [1, 11])
    rows = RopQueryRowsResponse(1, 0, 2, ROWS, tuple(COLUMNS))
    answer = RopBuffer([rows, RopOpenFolderResponse(1, 0, 0, 0)], [1, 12])
    assert RopBuffer.unpack_response(answer.pack(), request, states) == answer


def test_requests_may_stay_unanswered() -> None:
    """[MS-OXCROPS] 2.2.15.1: the response to the second request did not fit."""
    rest = RopBuffer(listing()[1:], []).pack()[2:]
    too_small = RopBufferTooSmallResponse(0x1000, rest)
    answer = RopBuffer([RopOpenFolderResponse(1, 0, 0, 0), too_small], [1, 10, NO_HANDLE])
    states = HandleStates()
    assert RopBuffer.unpack_response(answer.pack(), REQUEST, states) == answer
    assert states.handles == {}


def test_a_release_behind_a_buffer_that_was_too_small_did_not_run() -> None:
    states = HandleStates()
    states.state(11).columns = tuple(COLUMNS)
    request = RopBuffer([RopQueryRowsRequest(0, 0, 0, 1, 50), RopReleaseRequest(0, 0)], [11])
    answer = RopBuffer([RopBufferTooSmallResponse(0x1000, request.pack()[2:-4])], [11])
    RopBuffer.unpack_response(answer.pack(), request, states)
    assert states.columns(11) == tuple(COLUMNS)


def test_responses_that_answer_nothing_may_stand_anywhere() -> None:
    backoff = RopBackoffResponse(0, 1000, [], b"")
    answer = RopBuffer([backoff, *listed(), backoff], [1, 10, 11])
    assert RopBuffer.unpack_response(answer.pack(), REQUEST, HandleStates()) == answer


def test_a_chained_buffer_goes_on_with_the_last_request() -> None:
    states = HandleStates()
    RopBuffer.unpack_response(RESPONSE.pack(), REQUEST, states)
    more = RopBuffer([RopQueryRowsResponse(2, 0, 2, ROWS, tuple(COLUMNS))], [1, 10, 11])
    assert RopBuffer.unpack_response(more.pack(), REQUEST, states, chained=True) == more


def test_an_answer_without_its_request_is_read_as_far_as_it_tells_by_itself() -> None:
    answer = RESPONSE.pack()
    response = RopBuffer.unpack_response(answer, RopBuffer([], []), HandleStates())
    assert response.rops == RESPONSE.rops[:3]
    assert response.tail[0] == RopId.QueryRows
    assert response.pack() == answer


def test_a_public_logon_counts_from_its_request_on() -> None:
    flag = RopSetMessageReadFlagRequest(5, 1, 2, 0, bytes(24))
    logon = RopLogonRequest(5, 0, 0, 0, 0, b"")
    buffer = RopBuffer([logon, flag], [NO_HANDLE])
    states = HandleStates()
    assert RopBuffer.unpack_request(buffer.pack(), states) == buffer
    assert states.public_logons == set()


def test_a_public_logon_counts_for_the_session_once_it_is_answered() -> None:
    states = HandleStates()
    request = RopBuffer([RopLogonRequest(5, 0, 0, 0, 0, b"")], [NO_HANDLE])
    folders = [FolderId(0)] * SPECIAL_FOLDERS
    public = RopLogonPublicResponse(0, 0, 0, folders, 1, uuid.UUID(int=1), uuid.UUID(int=2))
    answer = RopBuffer([public], [1])
    assert RopBuffer.unpack_response(answer.pack(), request, states) == answer
    assert states.public_logons == {5}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3))
def test_garbage_requests(rops: bytes, handles: int) -> None:
    data = (len(rops) + 2).to_bytes(2, "little") + rops + bytes(4 * handles)
    try:
        buffer = RopBuffer.unpack_request(data)
    except DecodeError:
        return
    assert buffer.pack() == data


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 60), st.data())
def test_garbage_in_responses(garbage: bytes, at: int, choice: st.DataObject) -> None:
    good = RESPONSE.pack()[2:-12]
    rops = good[:at] + garbage + (good[at:] if choice.draw(st.booleans()) else b"")
    data = (len(rops) + 2).to_bytes(2, "little") + rops + RESPONSE.pack()[-12:]
    try:
        buffer = RopBuffer.unpack_response(data, REQUEST, HandleStates())
    except DecodeError:
        return
    assert buffer.pack() == data


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_anything_at_all(data: bytes) -> None:
    for decode in (RopBuffer.unpack_request, lambda raw: RopBuffer.unpack_response(raw, REQUEST, HandleStates())):
        try:
            assert decode(data).pack() == data
        except DecodeError:
            continue


def test_sizes_of_what_was_decoded() -> None:
    rops = [RopReleaseRequest(0, 1), RopReleaseRequest(0, 2)]
    buffer = RopBuffer.unpack_request(RopBuffer(list(rops), [5], b"\xf0\x01").pack())
    assert buffer.sizes == [3, 3]
    failures = [RopFailure(1, ErrorCode.NotFound, RopId.OpenFolder)]
    answer = RopBuffer.unpack_response(RopBuffer(list(failures), [5]).pack(), buffer, HandleStates())
    assert answer.sizes == [6]
