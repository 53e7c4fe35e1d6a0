"""The client's side of a connection, against the server's."""

from __future__ import annotations

import dataclasses

import pytest

from openchange_py.rpc.connection import State, WrongState
from openchange_py.rpc.events import BindCompleted, BindRejected, ConnectionEnded, FaultReceived, ResponseReceived
from openchange_py.rpc.initiator import Initiator
from openchange_py.rpc.security import AuthLevel
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.pdu import (
    Auth3,
    Bind,
    BindAck,
    BindNak,
    ContextResult,
    Fault,
    Pfc,
    PresentationResult,
    Request,
    Response,
    Shutdown,
    decode_pdu,
)
from openchange_py.wire.syntax import NDR64
from tests.rpc.echo import OTHER
from tests.rpc.parties import LEVELS, Pair


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [0, 1, 100, 4096, 5816, 5817, 64 * 1024])
@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
def test_stubs_travel_both_ways(level: AuthLevel, size: int, big_endian: bool) -> None:
    pair, stub = Pair(level), bytes(i * 7 % 251 for i in range(size))
    pair.client.big_endian = big_endian
    pair.bind()
    for _ in range(2):
        request = pair.request(stub)
        assert (request.stub, request.big_endian) == (stub, big_endian)
        pair.to_client(pair.server.send_response(request, stub[::-1]))
        assert pair.client_events[-1] == ResponseReceived(request.call_id, stub[::-1])
    assert {pdu.big_endian for pdu in pair.trace if isinstance(pdu, Bind | Auth3 | Request)} == {big_endian}
    calls = [pdu for pdu in pair.trace if isinstance(pdu, Request | Response)]
    assert all(len(pdu.pack()) <= 5840 for pdu in calls)
    assert all((pdu.auth is not None) == (level >= AuthLevel.PACKET) for pdu in calls)
    if level == AuthLevel.PRIVACY and size >= 100:
        assert all(pdu.stub[:16] not in stub for pdu in calls if isinstance(pdu, Request))


def test_the_third_leg_of_ntlm_is_auth3_and_header_signing_is_offered() -> None:
    pair = Pair(AuthLevel.INTEGRITY)
    pair.bind()
    bind, ack, auth3 = pair.trace
    assert isinstance(bind, Bind)
    assert isinstance(ack, BindAck)
    assert isinstance(auth3, Auth3)
    assert bind.flags & ack.flags & Pfc.SUPPORT_HEADER_SIGN
    assert isinstance(pair.client_events[0], BindCompleted)
    assert pair.client.assoc_group == ack.assoc_group_id


def test_header_signing_need_not_be_offered() -> None:
    for level in (AuthLevel.INTEGRITY, AuthLevel.PRIVACY):
        pair = Pair(level)
        assert pair.client.protection is not None
        pair.client.protection.header_signing = False
        pair.bind()
        request = pair.request(b"stub")
        assert request.stub == b"stub"
        assert request.protection is not None
        assert not request.protection.header_signing


def test_a_second_interface_by_alter_context() -> None:
    pair = Pair(AuthLevel.PRIVACY)
    pair.bind()
    pair.to_server(pair.client.send_alter_context(OTHER.syntax, 1))
    assert pair.client.accepted[1] == OTHER.syntax
    assert pair.request(b"stub", context_id=1).context.interface is OTHER


def test_a_transfer_syntax_that_was_not_proposed_ends_it() -> None:
    client = Initiator(transfer_syntax=NDR64)
    bind = decode_pdu(client.send_bind([OTHER.syntax]))
    assert isinstance(bind, Bind)
    assert bind.contexts[0].transfer_syntaxes == (NDR64,)
    ack = BindAck(call_id=bind.call_id, assoc_group_id=1, results=(PresentationResult(0, 0, NDR20),))
    (ended,) = client.receive_data(ack.pack())
    assert isinstance(ended, ConnectionEnded)
    assert "not proposed" in ended.reason


def test_a_fault_fails_its_call_and_the_connection_lives() -> None:
    pair = Pair(AuthLevel.PRIVACY)
    pair.bind()
    request = pair.request(b"")
    pair.to_client(pair.server.send_fault(request, 0x6F7, executed=False))
    assert pair.client_events[-1] == FaultReceived(request.call_id, 0x6F7, False)
    assert pair.request(b"again").stub == b"again"


def bound() -> Pair:
    pair = Pair()
    pair.bind()
    pair.request(b"stub")
    return pair


RESPONSE = Response(call_id=2, context_id=0, stub=b"answer")


@pytest.mark.parametrize(
    "data",
    [
        dataclasses.replace(RESPONSE, call_id=3).pack(),
        dataclasses.replace(RESPONSE, flags=Pfc.LAST_FRAG).pack(),
        dataclasses.replace(RESPONSE, flags=Pfc.FIRST_FRAG).pack() * 2,
        Fault(call_id=9, context_id=0, status=5).pack(),
        BindAck(call_id=1, results=()).pack(),
        Shutdown(call_id=0).pack(),
        b"HTTP/1.1 400 Bad Request",
        bytes(16),
    ],
)
def test_a_server_that_errs_ends_the_connection(data: bytes) -> None:
    pair = bound()
    assert isinstance(pair.client.receive_data(data)[-1], ConnectionEnded)
    assert pair.client.state is State.CLOSED


def test_a_forged_response_is_refused() -> None:
    pair = Pair(AuthLevel.INTEGRITY)
    pair.bind()
    request = pair.request(b"stub")
    data = pair.server.send_response(request, b"pay 10 euro")
    pair.to_client(data.replace(b"10", b"99"))
    ended = pair.client_events[-1]
    assert isinstance(ended, ConnectionEnded)
    assert "refused" in ended.reason


def test_a_bind_that_the_server_refuses_or_answers_wrongly() -> None:
    for answer in (
        BindNak(call_id=1, reason=2),
        BindAck(call_id=1, results=()),
        Fault(call_id=1, context_id=0, status=5),
    ):
        pair = Pair()
        pair.client.send_bind([OTHER.syntax])
        pair.to_client(answer.pack())
        assert isinstance(pair.client_events[-1], ConnectionEnded)
        assert not any(isinstance(event, BindCompleted) for event in pair.client_events)
        assert isinstance(pair.client_events[0], BindRejected | FaultReceived | ConnectionEnded)


def test_a_server_that_ignores_our_authentication_is_left() -> None:
    pair = Pair(AuthLevel.PRIVACY)
    assert pair.context is not None
    pair.client.send_bind([OTHER.syntax], pair.context.step(b""))
    accepted = PresentationResult(ContextResult.ACCEPTANCE, 0, NDR20)
    pair.to_client(BindAck(call_id=1, results=(accepted,)).pack())
    assert isinstance(pair.client_events[-1], ConnectionEnded)


def test_our_own_mistakes_are_told_as_such() -> None:
    pair = Pair()
    with pytest.raises(WrongState):
        pair.client.send_request(0, 0, b"")
    pair = bound()
    with pytest.raises(WrongState):
        pair.client.send_request(0, 0, b"")
    with pytest.raises(WrongState):
        pair.client.send_bind([OTHER.syntax])
    with pytest.raises(WrongState):
        pair.client.auth_result(b"")
