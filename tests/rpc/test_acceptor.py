"""The server's side of a connection: what each client, good or bad, gets back."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.call import FaultStatus
from openchange_py.rpc.connection import State, WrongState
from openchange_py.rpc.events import (
    AuthTokenReceived,
    CallCancelled,
    CallOrphaned,
    ConnectionEnded,
    GroupElsewhere,
    Opened,
    RequestReceived,
)
from openchange_py.rpc.reassembly import ANONYMOUS_CALL_LIMIT
from openchange_py.rpc.security import AuthLevel, Identity, SecurityError
from openchange_py.rpc.share import Share
from openchange_py.wire.auth_trailer import CLIENT_SUPPORT_HEADER_SIGNING, SecTrailer, VerificationTrailer
from openchange_py.wire.ndr import NDR20, SyntaxId
from openchange_py.wire.pdu import (
    AlterContext,
    AlterContextResp,
    Auth3,
    Bind,
    BindAck,
    BindNak,
    BindNakReason,
    CoCancel,
    ContextResult,
    Fault,
    Orphaned,
    Pdu,
    Pfc,
    PresentationContextElement,
    ProviderReason,
    Request,
    Response,
)
from openchange_py.wire.syntax import NDR64
from tests.rpc.echo import ECHO, OTHER
from tests.rpc.parties import LEVELS, Pair, ntlm, pdus, server, settle

FEATURES = SyntaxId(uuid.UUID("6cb71c2c-9812-4540-0300-000000000000"), 1, 0)
UNKNOWN = SyntaxId(uuid.UUID(int=7), 1, 0)


def element(number: int, syntax: SyntaxId, *transfer: SyntaxId) -> PresentationContextElement:
    return PresentationContextElement(number, syntax, transfer or (NDR20,))


ECHO_BIND = Bind(call_id=1, contexts=(element(0, ECHO.syntax),))
ECHO_BIND_3 = Bind(call_id=1, contexts=(element(3, ECHO.syntax),))


def talk(acceptor, *sent: Pdu | bytes) -> tuple[list[Pdu], list]:
    """Send PDUs, with authentication steps done; all answers and events."""
    events = []
    for one in sent:
        events += settle(acceptor, acceptor.receive_data(one if isinstance(one, bytes) else one.pack()))
    return pdus(acceptor.data_to_send()), events


def test_bind_answers_every_context_as_windows_does() -> None:
    bind = Bind(
        call_id=9,
        contexts=(
            element(0, ECHO.syntax, NDR64),
            element(1, ECHO.syntax, NDR20, NDR64),
            element(2, ECHO.syntax, FEATURES),
            element(3, UNKNOWN),
            element(4, SyntaxId(ECHO.syntax.uuid, 2, 0)),
        ),
    )
    (ack,), events = talk(server(), bind)
    assert isinstance(ack, BindAck)
    assert [(r.result, r.reason) for r in ack.results] == [
        (ContextResult.PROVIDER_REJECTION, ProviderReason.PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED),
        (ContextResult.ACCEPTANCE, 0),
        (ContextResult.NEGOTIATE_ACK, 3),
        (ContextResult.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED),
        (ContextResult.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED),
    ]
    assert ack.call_id == 9
    assert ack.secondary_address == b"6001\0"
    assert ack.assoc_group_id != 0
    assert [type(event) for event in events] == [Opened]


@pytest.mark.parametrize(("theirs", "agreed"), [(5840, 5840), (4280, 4280), (65535, 5840), (3199, 3192), (100, 2048)])
def test_fragment_sizes_are_the_smaller_ones_but_what_all_must_accept(theirs: int, agreed: int) -> None:
    (ack,), _ = talk(server(), dataclasses.replace(ECHO_BIND, max_xmit_frag=theirs, max_recv_frag=theirs))
    assert isinstance(ack, BindAck)
    assert (ack.max_xmit_frag, ack.max_recv_frag) == (agreed, agreed)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x04" + ECHO_BIND.pack()[1:], BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED),
        (bytes.fromhex("05000b0301000000001c000000000001") + bytes(12), BindNakReason.NOT_SPECIFIED),
        (dataclasses.replace(ECHO_BIND, contexts=()), BindNakReason.NOT_SPECIFIED),
        (dataclasses.replace(ECHO_BIND, assoc_group_id=77), BindNakReason.NOT_SPECIFIED),
        (
            dataclasses.replace(ECHO_BIND, contexts=(element(0, ECHO.syntax), element(0, OTHER.syntax))),
            BindNakReason.NOT_SPECIFIED,
        ),
        (
            dataclasses.replace(ECHO_BIND, auth=SecTrailer(200, 5, 1, b"token")),
            BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED,
        ),
        (
            dataclasses.replace(ECHO_BIND, auth=SecTrailer(16, 5, 1, b"token")),
            BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED,
        ),
        (
            dataclasses.replace(ECHO_BIND, auth=SecTrailer(0, 5, 1, b"token")),
            BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED,
        ),
        (dataclasses.replace(ECHO_BIND, auth=SecTrailer(10, 9, 1, b"token")), BindNakReason.NOT_SPECIFIED),
        (dataclasses.replace(ECHO_BIND, auth=SecTrailer(10, 1, 1, b"token")), BindNakReason.NOT_SPECIFIED),
        (dataclasses.replace(ECHO_BIND, auth=SecTrailer(10, 3, 1, b"token")), BindNakReason.INVALID_CHECKSUM),
        (
            dataclasses.replace(ECHO_BIND, auth=SecTrailer(10, 5, 1, b"token", auth_pad_length=200)),
            BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED,
        ),
        (dataclasses.replace(ECHO_BIND, auth=SecTrailer(10, 5, 1, b"token")), BindNakReason.INVALID_CHECKSUM),
    ],
    ids=[
        "version", "EBCDIC", "no context", "no such group", "id twice", "no such type", "type not offered",
        "type none", "no such level", "level none", "level call", "padding", "garbage token",
    ],
)  # fmt: skip
def test_a_bind_that_is_refused(sent: Pdu | bytes, reason: BindNakReason) -> None:
    (nak,), events = talk(server(), sent)
    assert isinstance(nak, BindNak)
    assert nak.reason == reason
    assert isinstance(events[-1], ConnectionEnded)


@pytest.mark.parametrize("level", LEVELS)
def test_identity_and_level_of_a_call(level: AuthLevel) -> None:
    pair = Pair(level)
    pair.bind()
    request = pair.request(b"stub", opnum=3)
    assert (request.opnum, request.stub, request.context.interface) == (3, b"stub", ECHO)
    assert request.caller.account == ("" if level == AuthLevel.NONE else "alice")
    assert request.caller.level == level


def test_a_wrong_password_is_told_with_the_first_call() -> None:
    """auth3 has no answer: the recorded server faults the call that follows, with status 5."""
    pair = Pair(AuthLevel.CONNECT, password="wrong")
    pair.bind()
    _, data = pair.client.send_request(0, 0, b"")
    pair.to_server(data)
    fault = pair.trace[-1]
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.ACCESS_DENIED
    assert isinstance(pair.server_events[-1], ConnectionEnded)


REQUEST = Request(call_id=2, context_id=3, opnum=0, stub=b"stub")


#: What a fault tells beside its status: nothing of the call ran, and the id of a presentation context.
DNE, RAN = True, False


@pytest.mark.parametrize(
    ("sent", "status", "did_not_execute", "context_id"),
    [
        ([dataclasses.replace(REQUEST, context_id=5)], FaultStatus.UNKNOWN_INTERFACE, DNE, 0),
        ([dataclasses.replace(REQUEST, flags=Pfc.LAST_FRAG)], FaultStatus.PROTOCOL_ERROR, RAN, 0),
        ([dataclasses.replace(REQUEST, flags=Pfc.FIRST_FRAG)] * 2, FaultStatus.PROTOCOL_ERROR, RAN, 3),
        ([dataclasses.replace(REQUEST, stub=bytes(6000))], FaultStatus.PROTOCOL_ERROR, RAN, 0),
        ([dataclasses.replace(REQUEST, auth=SecTrailer(10, 5, 1, bytes(16)))], FaultStatus.ACCESS_DENIED, RAN, 3),
        (
            [dataclasses.replace(REQUEST, flags=Pfc.WHOLE | Pfc.PENDING_CANCEL)],
            FaultStatus.NO_CALL_ACTIVE,
            DNE,
            0,
        ),
        ([Response(call_id=2, context_id=0, stub=b"")], FaultStatus.PROTOCOL_ERROR, DNE, 0),
        ([Auth3(call_id=2)], FaultStatus.PROTOCOL_ERROR, DNE, 0),
        ([Auth3(call_id=2, auth=SecTrailer(10, 5, 1, b"x", 1))], FaultStatus.REMOTE_NO_MEMORY, DNE, 0),
        ([AlterContext(call_id=2, contexts=())], FaultStatus.PROTOCOL_ERROR, DNE, 0),
        ([AlterContext(call_id=2, contexts=(element(3, OTHER.syntax),))], FaultStatus.PROTOCOL_ERROR, DNE, 0),
        ([AlterContext(call_id=2, contexts=(element(3, ECHO.syntax, NDR64),))], FaultStatus.PROTOCOL_ERROR, DNE, 0),
        (
            [AlterContext(call_id=2, contexts=(element(4, OTHER.syntax),), auth=SecTrailer(0, 5, 1, b"x"))],
            FaultStatus.ACCESS_DENIED,
            DNE,
            0,
        ),
        (
            [AlterContext(call_id=2, contexts=(element(4, OTHER.syntax),), auth=SecTrailer(16, 5, 1, b"x"))],
            FaultStatus.ACCESS_DENIED,
            DNE,
            0,
        ),
        (
            [AlterContext(call_id=2, contexts=(element(4, OTHER.syntax),), auth=SecTrailer(10, 5, 1, b"x"))],
            FaultStatus.SEC_PKG_ERROR,
            DNE,
            0,
        ),
        ([bytes.fromhex("05006303100000001000000002000000")], FaultStatus.PROTOCOL_ERROR, DNE, 0),
        ([bytes.fromhex("05000003100000001400000002000000") + bytes(4)], FaultStatus.PROTOCOL_ERROR, DNE, 0),
    ],
    ids=[
        "no such context", "no first fragment", "two first fragments", "fragment too large", "protected without bind",
        "cancelled before it starts", "response", "auth3", "auth3 with padding", "alter without context",
        "context id taken", "context id taken in NDR64", "authentication type none", "type not offered",
        "garbage token", "no such type", "truncated",
    ],
)  # fmt: skip
def test_a_client_that_errs_after_the_bind(
    sent: list[Pdu | bytes], status: int, did_not_execute: bool, context_id: int
) -> None:
    """As Samba's raw protocol tests have it from Windows; those run against a real server in tests/interop."""
    acceptor = server()
    talk(acceptor, ECHO_BIND_3)
    (fault,), events = talk(acceptor, *sent)
    assert isinstance(fault, Fault)
    assert (fault.call_id, fault.status, fault.context_id) == (2, status, context_id)
    assert bool(fault.flags & Pfc.DID_NOT_EXECUTE) is did_not_execute
    lives = status == FaultStatus.UNKNOWN_INTERFACE
    assert any(isinstance(event, ConnectionEnded) for event in events) is not lives
    _, events = talk(acceptor, REQUEST)
    assert any(isinstance(event, RequestReceived) for event in events) is lives


def test_calls_before_the_bind_and_a_second_bind() -> None:
    answers, _ = talk(server(), REQUEST)
    assert [a.status for a in answers] == [FaultStatus.PROTOCOL_ERROR]  # type: ignore[attr-defined]
    acceptor = server()
    talk(acceptor, ECHO_BIND_3)
    (nak,), events = talk(acceptor, ECHO_BIND_3)
    assert isinstance(nak, BindNak)
    assert isinstance(events[-1], ConnectionEnded)


def test_a_call_larger_than_the_limit_is_denied_whatever_its_hint_says() -> None:
    acceptor = server(call_limit=8000)
    talk(acceptor, ECHO_BIND_3)
    hinted = dataclasses.replace(REQUEST, alloc_hint=0xFFFFFFFF)
    _, events = talk(acceptor, hinted)
    assert isinstance(events[0], RequestReceived)
    first = dataclasses.replace(REQUEST, flags=Pfc.FIRST_FRAG, stub=bytes(5000))
    more = dataclasses.replace(first, flags=0)
    (fault,), events = talk(acceptor, first, more)
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.ACCESS_DENIED
    assert isinstance(events[-1], ConnectionEnded)


def test_who_did_not_authenticate_makes_small_calls_only() -> None:
    stranger, known = Pair(call_limit=1 << 20), Pair(AuthLevel.CONNECT, call_limit=1 << 20)
    for pair in (stranger, known):
        pair.bind()
    assert len(stranger.request(bytes(ANONYMOUS_CALL_LIMIT)).stub) == ANONYMOUS_CALL_LIMIT
    assert len(known.request(bytes(500_000)).stub) == 500_000
    greedy = Pair(call_limit=1 << 20)
    greedy.bind()
    _, data = greedy.client.send_request(0, 0, bytes(ANONYMOUS_CALL_LIMIT + 1))
    greedy.to_server(data)
    assert isinstance(greedy.server_events[-1], ConnectionEnded)


def test_one_byte_at_a_time_is_the_same_as_all_at_once() -> None:
    whole, _ = talk(server(), ECHO_BIND, REQUEST)
    acceptor, raw = server(), ECHO_BIND.pack() + REQUEST.pack()
    dripped, _ = talk(acceptor, *[raw[i : i + 1] for i in range(len(raw))])
    assert [type(pdu) for pdu in dripped] == [type(pdu) for pdu in whole] == [BindAck, Fault]


def test_alter_context_adds_an_interface_to_an_open_connection() -> None:
    acceptor = server()
    talk(acceptor, ECHO_BIND_3)
    (answer,), _ = talk(acceptor, AlterContext(call_id=3, contexts=(element(1, OTHER.syntax),)))
    assert isinstance(answer, AlterContextResp)
    assert answer.secondary_address == b""
    _, (request,) = talk(acceptor, dataclasses.replace(REQUEST, context_id=1))
    assert request.context.interface is OTHER


def test_nothing_is_read_while_a_token_is_being_checked() -> None:
    acceptor, context = server(), ntlm(AuthLevel.CONNECT)
    assert context is not None
    bind = dataclasses.replace(ECHO_BIND, auth=SecTrailer(10, 2, 1, context.step(b"")))
    request = dataclasses.replace(REQUEST, context_id=0)
    (event,) = acceptor.receive_data(bind.pack() + request.pack())
    assert isinstance(event, AuthTokenReceived)
    assert acceptor.state is State.STEPPING
    assert acceptor.receive_data(request.pack()) == []
    assert acceptor.data_to_send() == b""
    (ended,) = acceptor.auth_result(event.context.step(event.token))
    assert "not complete" in ended.reason  # type: ignore[attr-defined]
    with pytest.raises(WrongState):
        acceptor.auth_result(SecurityError("again"))


def test_cancel_and_orphaned_are_told() -> None:
    acceptor = server()
    _, events = talk(acceptor, ECHO_BIND_3, CoCancel(call_id=4), Orphaned(call_id=5))
    assert events[1:] == [CallCancelled(4), CallOrphaned(5)]


def test_a_changed_byte_of_a_signed_call_is_noticed() -> None:
    for level in (AuthLevel.INTEGRITY, AuthLevel.PRIVACY):
        pair = Pair(level)
        pair.bind()
        _, data = pair.client.send_request(0, 0, b"transfer 10 euro")
        for position in (22, 24, len(data) - 1):  # opnum (header signing), stub, signature
            fresh = Pair(level)
            fresh.bind()
            _, data = fresh.client.send_request(0, 0, b"transfer 10 euro")
            fresh.to_server(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
            fault = fresh.trace[-1]
            assert isinstance(fault, Fault)
            assert fault.status == 0x721
            assert isinstance(fresh.server_events[-1], ConnectionEnded)


def test_an_unprotected_call_on_a_protected_connection_is_denied() -> None:
    pair = Pair(AuthLevel.INTEGRITY)
    pair.bind()
    pair.to_server(dataclasses.replace(REQUEST, call_id=7, context_id=0).pack())
    fault = pair.trace[-1]
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.ACCESS_DENIED


def test_verification_trailer_is_removed_and_checked() -> None:
    good = VerificationTrailer.of(ECHO.syntax, NDR20, CLIENT_SUPPORT_HEADER_SIGNING)
    pair = Pair(AuthLevel.PRIVACY)
    pair.bind()
    assert pair.request(b"stub" + good.pack()).stub == b"stub"
    pair.to_client(pair.server.send_response(pair.server_events[-1], b""))
    bad = VerificationTrailer.of(OTHER.syntax, NDR20, CLIENT_SUPPORT_HEADER_SIGNING)
    pair.to_server(pair.client.send_request(0, 0, b"stub" + bad.pack())[1])
    fault = pair.trace[-1]
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.ACCESS_DENIED


def test_connections_of_a_group_share_it() -> None:
    groups = AssociationGroups()
    first, second = server(groups=groups), server(groups=groups)
    (ack,), _ = talk(first, ECHO_BIND)
    assert isinstance(ack, BindAck)
    (again,), _ = talk(second, dataclasses.replace(ECHO_BIND, assoc_group_id=ack.assoc_group_id))
    assert isinstance(again, BindAck)
    assert again.assoc_group_id == ack.assoc_group_id
    assert second.group is first.group


def test_a_group_of_another_process_is_told_and_nothing_is_answered() -> None:
    """Whoever has the group gets the connection, and is who answers the bind."""
    owner, asked = (server(groups=AssociationGroups(share=Share(number, 2))) for number in (1, 0))
    (ack,), _ = talk(owner, ECHO_BIND)
    assert isinstance(ack, BindAck)
    again = dataclasses.replace(ECHO_BIND, assoc_group_id=ack.assoc_group_id)
    sent, events = talk(asked, again)
    assert (sent, events) == ([], [GroupElsewhere(1)])
    assert asked.state is State.CLOSED
    assert asked.group is None


@pytest.mark.parametrize("level", LEVELS)
def test_who_the_transport_says_the_client_is(level: AuthLevel) -> None:
    """He is the caller without a logon in the bind; with one, that one's, no less protected than the transport is."""
    pair = Pair(level, transport_caller=Identity("bob", "EXAMPLE", AuthLevel.PRIVACY))
    pair.bind()
    caller = pair.request(b"abc").caller
    assert caller == Identity("alice" if level > AuthLevel.NONE else "bob", "EXAMPLE", AuthLevel.PRIVACY)
    assert pair.server.caller is caller
    assert not pair.server.security.anonymous


def test_a_transport_that_protects_nothing_raises_nobody() -> None:
    pair = Pair(AuthLevel.PACKET, transport_caller=Identity("bob", "EXAMPLE", AuthLevel.CONNECT))
    pair.bind()
    assert pair.request(b"abc").caller == Identity("alice", "EXAMPLE", AuthLevel.PACKET)
