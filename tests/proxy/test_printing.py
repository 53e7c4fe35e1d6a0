"""The `print` flag: every call dissected to the log."""

from __future__ import annotations

import asyncio
import logging

import pytest

from openchange_py.proxy.printing import Printer
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.wire.rop.base import RopReleaseRequest
from tests.proxy.emsmdb_calls import connect, connected, logon, old_rpc, old_rpc_answer, rops, rpc, rpc_answer
from tests.proxy.parties import ALICE, ALICE_DN, number_call
from tests.proxy.recordings import recorded_calls


def printed(call: Call, reply: bytes | None, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.INFO)
    caplog.clear()
    printer = Printer()
    asyncio.run(printer.print_request(call))
    if reply is not None:
        call.answer(reply)
        printer.print_response(call)
    return caplog.text


def test_parameters_of_a_call(caplog: pytest.LogCaptureFixture) -> None:
    text = printed(connect(Session("tcp", "192.0.2.1:5"), ALICE, ALICE_DN), connected(), caplog)
    assert "(tcp 192.0.2.1:5) EXAMPLE\\alice > exchange_emsmdb EcDoConnectEx: " in text
    assert f"user_dn: {ALICE_DN.encode()!r}" in text
    assert "< exchange_emsmdb EcDoConnectEx: " in text
    assert "display_name: b'Alice'" in text


def test_rops_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    request = rops(RopReleaseRequest(0, 3), logon(ALICE_DN), handles=4)
    call = rpc(Session("test", "client"), ALICE, request, compress=True)
    text = printed(call, rpc_answer(rops(handles=4)), caplog)
    assert "RopReleaseRequest logon_id=0 input_handle_index=3" in text
    assert "RopLogonRequest " in text
    assert "cn=alice" in text or ALICE_DN.encode()[:16].hex() in text
    assert "handles [-, -, -, -]" in text


def test_rops_of_old_clients(caplog: pytest.LogCaptureFixture) -> None:
    call = old_rpc(Session("test", "client"), ALICE, rops(RopReleaseRequest(0, 3), logon(ALICE_DN), handles=4))
    text = printed(call, old_rpc_answer(rops(handles=4)), caplog)
    assert "RopReleaseRequest logon_id=0 input_handle_index=3" in text
    assert "RopLogonRequest " in text
    assert "handles [-, -, -, -]" in text
    assert f"rgb: {len(call.stub) - 36} bytes" in text
    assert "(not decoded" in printed(old_rpc(Session("test", "client"), ALICE, b"\xff"), None, caplog)


def test_what_does_not_decode_is_shown_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    call = number_call()
    call.replace_stub(b"\x01")
    assert "(not decoded: " in printed(call, b"\x02\x03", caplog)
    assert "(no codec)" in printed(number_call(opnum=1), b"anything", caplog)
    call = rpc(Session("test", "client"), ALICE, b"\xff\xff\x00")
    assert "(not decoded: RopSize" in printed(call, rpc_answer(rops()), caplog)


def test_long_values_are_shortened(caplog: pytest.LogCaptureFixture) -> None:
    text = printed(rpc(Session("test", "client"), ALICE, rops(tail=bytes(30000))), None, caplog)
    assert len(text) < 2000


def test_faults(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Printer().print_fault(number_call(), RpcFault(5, "no"))
    assert "< numbers Double: fault 0x00000005 (access denied): no" in caplog.text


def test_a_recorded_session_is_dissected(caplog: pytest.LogCaptureFixture) -> None:
    """Rows need the columns that were set calls before: the printer remembers them per session."""
    caplog.set_level(logging.INFO)
    printer, session = Printer(), Session("test", "client")
    for recorded in recorded_calls("calls-session-tcp-seal-2010.jsonl"):
        if recorded.reply is not None:
            call = Call(recorded.interface, recorded.opnum, recorded.stub, session, ALICE)
            asyncio.run(printer.print_request(call))
            call.answer(recorded.reply)
            printer.print_response(call)
    text = caplog.text
    assert "RopSetColumnsRequest" in text
    assert "RopQueryRowsResponse" in text
    assert "PidTagDisplayName: " in text
    assert "not decoded: " not in text
    assert list(session.state.values()) == [{}], "what ended sessions taught is forgotten"
