"""Calls as records."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from openchange_py.proxy.dissection import Dissector, Record, off_the_loop, record_text
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.wire.rop.base import RopReleaseRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.dissect import Lengths
from tests.proxy.emsmdb_calls import connect, connected, logon, rops, rpc, rpc_answer
from tests.proxy.parties import ALICE, ALICE_DN, number_call
from tests.proxy.recordings import recorded_calls


def records(dissector: Dissector, call: Call, reply: bytes) -> tuple[Record, Record]:
    request = asyncio.run(dissector.request(call))
    call.answer(reply)
    return request, dissector.response(call, 0.25)


def test_who_asked_what_and_how_long_it_took() -> None:
    session = Session("ncacn_ip_tcp", "192.0.2.1:5")
    request, response = records(Dissector(), connect(session, ALICE, ALICE_DN), connected())
    about = {"session": session.number, "transport": "ncacn_ip_tcp", "peer": "192.0.2.1:5"}
    about |= {"account": "EXAMPLE\\alice", "interface": "exchange_emsmdb", "call": "EcDoConnectEx"}
    assert request.items() >= about.items()
    assert (request["direction"], response["direction"]) == ("request", "response")
    assert request["parameters"]["user_dn"] == {"text": ALICE_DN, "size": len(ALICE_DN)}
    assert response["parameters"]["return_value"] == "Success"
    assert response["seconds"] == 0.25
    assert "seconds" not in request
    assert json.loads(json.dumps(request)) == request


def test_what_modules_inside_make_of_a_request_does_not_mislead() -> None:
    """The response is read along the request that was shown, not along the one that went on."""
    dissector, session = Dissector(), Session("test", "client")
    call = rpc(session, ALICE, rops(logon(ALICE_DN), handles=1))
    asyncio.run(dissector.request(call))
    call.replace_stub(rpc(session, ALICE, rops(RopReleaseRequest(0, 0), handles=1)).stub)
    failed = b"\xfe\x00" + (0x3F2).to_bytes(4, "little")
    call.answer(rpc_answer((2 + len(failed)).to_bytes(2, "little") + failed + b"\xff" * 4))
    [buffer] = dissector.response(call)["buffers"]
    assert buffer["rops"] == [
        {"rop": "RopFailure", "handle_index": 0, "return_value": "LoginPermission", "rop_id": "Logon"}
    ]


def test_only_some_rops() -> None:
    call = rpc(Session("test", "client"), ALICE, rops(RopReleaseRequest(0, 1), logon(ALICE_DN), handles=2))
    [buffer] = asyncio.run(Dissector(rops={"logon"}).request(call))["buffers"]
    assert [rop["rop"] for rop in buffer["rops"]] == ["RopLogonRequest"]


def test_a_few_bytes_cannot_ask_for_a_log_of_megabytes() -> None:
    """More ROPs than any client sends are counted, and handles that no ROP can name left out."""
    many = rops(*[RopReleaseRequest(0, 0)] * 15_000, handles=4000)
    call = rpc(Session("test", "client"), ALICE, many, many, compress=True)
    assert len(call.stub) < 500
    record = asyncio.run(Dissector().request(call))
    assert [(len(buffer["rops"]), buffer["left_out"]) for buffer in record["buffers"]] == [(1000, 14_000), (0, 15_000)]
    assert len(record["buffers"][0]["handles"]) == 256
    text = record_text(record)
    assert "(14000 more ROPs)" in text
    assert len(text) < 100_000


@pytest.mark.parametrize(("count", "elsewhere"), [(1, False), (10_000, True)])
def test_many_rops_are_not_worked_on_by_the_event_loop_s_thread(count: int, elsewhere: bool) -> None:
    threads: list[threading.Thread] = []
    buffers = [RopBuffer([RopReleaseRequest(0, 0)] * count, [])]
    asyncio.run(off_the_loop(buffers, lambda: threads.append(threading.current_thread())))
    assert (threads != [threading.main_thread()]) is elsewhere


def test_lengths() -> None:
    call = rpc(Session("test", "client"), ALICE, rops(tail=bytes(range(200)) * 100))
    [buffer] = asyncio.run(Dissector(Lengths(bytes=1000)).request(call))["buffers"]
    assert buffer["not_decoded"]["size"] == 20000
    assert len(buffer["not_decoded"]["hex"]) == 2000


def test_faults() -> None:
    record = Dissector().fault(number_call(), RpcFault(5, "no"), 0.001)
    assert record["status"] == "0x00000005"
    assert record_text(record).endswith("< numbers Double: fault 0x00000005 (access denied): no, 1.0 ms")


def test_address_book_calls_name_their_properties() -> None:
    dissector, session, seen = Dissector(), Session("test", "client"), []
    for recorded in recorded_calls("calls-profile-tcp-connect-2010.jsonl"):
        if recorded.reply is not None:
            call = Call(recorded.interface, recorded.opnum, recorded.stub, session, ALICE)
            seen += records(dissector, call, recorded.reply)
    assert not any("error" in record for record in seen)
    text = "\n".join(map(record_text, seen))
    assert "PidTagEmailAddress: " in text
    assert "RfrGetNewDSA" in text
    assert "columns: [PidTag" in text or "prop_tags: [PidTag" in text
    assert session.state == {} or list(session.state.values()) == [{}]
    json.dumps(seen, allow_nan=False)
