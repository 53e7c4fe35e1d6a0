"""The call and the session, as modules, relay and servers use them."""

from __future__ import annotations

from typing import cast

import pytest

from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session, SessionNumbers
from openchange_py.rpc.share import Share
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NULL_HANDLE
from tests.proxy.parties import Number, number_call


def test_the_request_is_decoded_once_and_only_when_asked_for() -> None:
    call = number_call(21)
    assert call.request is call.request
    assert cast("Number", call.request).value == 21
    assert (call.name, number_call(opnum=1).name) == ("Double", "opnum 1")


def test_edited_messages() -> None:
    call = number_call(1)
    cast("Number", call.request).value = 2
    assert call.stub == Number(1).pack()
    call.edited_request()
    assert call.stub == Number(2).pack()
    call.answer(Number(3).pack())
    cast("Number", call.response).value = 4
    call.edited_response()
    assert call.reply_bytes() == Number(4).pack()


def test_replaced_bytes_are_decoded_anew() -> None:
    call = number_call(1)
    assert cast("Number", call.request).value == 1
    call.replace_stub(Number(5).pack())
    assert cast("Number", call.request).value == 5
    call.response = Number(6)
    assert call.reply_bytes() == Number(6).pack()
    call.answer(Number(7).pack())
    assert cast("Number", call.response).value == 7


def test_nobody_answered() -> None:
    call = number_call()
    call.answer(b"anything")
    call.forget_answer()
    assert call.response is None
    with pytest.raises(RpcFault, match="Double was not answered") as caught:
        call.reply_bytes()
    assert caught.value.status == FaultStatus.CALL_FAILED


def test_calls_without_codec() -> None:
    call = number_call(opnum=1)
    assert not call.has_request_codec
    assert number_call().has_request_codec
    with pytest.raises(RpcFault) as caught:
        _ = call.request
    assert caught.value.status == FaultStatus.OP_RANGE_ERROR
    call.answer(b"bytes")
    assert call.response is None
    assert call.reply_bytes() == b"bytes"


def test_a_bad_stub() -> None:
    call: Call = number_call()
    call.replace_stub(b"\x01\x02")
    with pytest.raises(DecodeError):
        _ = call.request


def test_handles_belong_to_one_session_and_one_kind() -> None:
    mine, other = Session("test", "me"), Session("test", "other")
    handle = mine.add_handle("mailbox")
    assert handle not in (NULL_HANDLE, mine.add_handle("another"))
    assert mine.find_handle(handle, str) == "mailbox"
    for session, kind in ((other, str), (mine, int)):
        with pytest.raises(RpcFault) as caught:
            session.find_handle(handle, kind)
        assert caught.value.status == FaultStatus.CONTEXT_MISMATCH
    mine.drop_handle(handle)
    mine.drop_handle(handle)
    with pytest.raises(RpcFault):
        mine.find_handle(handle, str)


def test_sessions_are_told_apart() -> None:
    first, second = Session("ncacn_ip_tcp", "192.0.2.1:5"), Session("ncacn_ip_tcp", "192.0.2.1:6")
    assert first.number != second.number
    assert str(first) == f"session {first.number} (ncacn_ip_tcp 192.0.2.1:5)"


def test_notes_are_one_call_s() -> None:
    one, other = number_call(), number_call()
    one.notes["mine"] = 1
    assert (one.notes, other.notes) == ({"mine": 1}, {})


def test_a_vouched_stub_is_vouched_for_until_it_changes() -> None:
    call = number_call(1)
    assert not call.is_vouched
    call.vouch()
    assert call.is_vouched
    cast("Number", call.request).value = 2
    call.edited_request()
    assert not call.is_vouched


def test_sessions_of_several_processes_have_different_numbers() -> None:
    seen: set[int] = set()
    for number in range(3):
        numbers = SessionNumbers()
        numbers.begin(Share(number, 3))
        seen |= {numbers.next() for _ in range(5)}
    assert seen == set(range(1, 16))
    assert Session("ncacn_ip_tcp", "peer").number < Session("ncacn_ip_tcp", "peer").number
