"""Several security contexts on one connection, over the wire: who is who, and which one a call has that names none."""

from __future__ import annotations

import dataclasses

import pytest

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.rpc.acceptor import Acceptor
from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.call import FaultStatus
from openchange_py.rpc.events import RequestReceived
from openchange_py.rpc.fragments import fragments_of
from openchange_py.rpc.protection import Protection
from openchange_py.rpc.security import AuthLevel
from openchange_py.rpc.security_contexts import SecurityContexts
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.pdu import (
    AlterContext,
    AlterContextResp,
    Auth3,
    Bind,
    BindAck,
    Fault,
    PresentationContextElement,
    Request,
)
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.rpc.echo import ECHO
from tests.rpc.parties import pdus, server, settle

CONTEXTS = (PresentationContextElement(0, ECHO.syntax, (NDR20,)),)
REQUEST = Request(call_id=9, context_id=0, opnum=0, stub=b"stub")


class Client:
    """Speaks raw PDUs to an acceptor."""

    def __init__(self, acceptor: Acceptor | None = None) -> None:
        self.acceptor = acceptor or server()

    def send(self, data: bytes) -> tuple[list, list]:
        """The answers, and the events."""
        events = settle(self.acceptor, self.acceptor.receive_data(data))
        return pdus(self.acceptor.data_to_send()), events

    def log_on(self, number: int, level: AuthLevel, user: str = "alice", *, bind: bool = False) -> Protection:
        """One more security context, by bind or alter_context and auth3."""
        context = NtlmInitiator(NtlmCredential.from_password(user, "EXAMPLE", PASSWORD), level=level)
        protection = Protection(context, 10, level, number, header_signing=False)
        kind = Bind if bind else AlterContext
        (answer,), _ = self.send(
            kind(call_id=number, contexts=CONTEXTS, auth=protection.trailer(context.step(b""))).pack()
        )
        assert isinstance(answer, BindAck | AlterContextResp)
        assert answer.auth is not None
        proof = protection.trailer(context.step(answer.auth.auth_value))
        assert self.send(Auth3(call_id=number, padding=bytes(4), auth=proof).pack())[0] == []
        return protection

    def call(self, protection: Protection | None = None) -> RequestReceived | Fault:
        """What a call arrives as, or the fault."""
        answers, events = self.send(fragments_of(REQUEST, 5840, protection))
        return answers[0] if answers else events[-1]

    def caller(self, protection: Protection | None = None) -> str:
        """As whom, and how protected."""
        call = self.call(protection)
        assert isinstance(call, RequestReceived), call
        return f"{call.caller.account or 'nobody'} {call.caller.level.name}"


def test_every_context_has_its_own_account_and_level() -> None:
    client = Client()
    client.send(Bind(call_id=1, contexts=CONTEXTS).pack())
    assert client.caller() == "nobody NONE"
    sealed, signed = client.log_on(7, AuthLevel.PRIVACY), client.log_on(8, AuthLevel.INTEGRITY)
    for _ in range(2):
        assert client.caller(sealed) == "alice PRIVACY"
        assert client.caller(signed) == "alice INTEGRITY"
        assert client.caller() == "nobody NONE"


def test_a_later_context_at_level_connect_is_that_of_calls_which_name_none_until_it_is_named() -> None:
    client = Client()
    client.send(Bind(call_id=1, contexts=CONTEXTS).pack())
    client.log_on(7, AuthLevel.CONNECT)
    assert client.caller() == "alice CONNECT"
    named = dataclasses.replace(REQUEST, auth=client.acceptor.security._by_id[7].trailer(bytes(16)))
    _, (call,) = client.send(named.pack())
    assert call.caller.account == "alice"
    assert client.caller() == "nobody NONE"
    client.log_on(8, AuthLevel.CONNECT)
    assert client.caller() == "nobody NONE"


def test_the_bind_s_own_context_is_that_of_calls_which_name_none() -> None:
    client = Client()
    client.log_on(1, AuthLevel.CONNECT, bind=True)
    assert client.caller() == "alice CONNECT"
    protected = Client()
    protected.log_on(1, AuthLevel.INTEGRITY, bind=True)
    fault = protected.call()
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.ACCESS_DENIED


def test_contexts_do_not_open_each_other_s_messages() -> None:
    client = Client()
    client.send(Bind(call_id=1, contexts=CONTEXTS).pack())
    first, second = client.log_on(7, AuthLevel.PRIVACY), client.log_on(8, AuthLevel.PRIVACY)
    first.context_id = second.context_id
    fault = client.call(first)
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.SEC_PKG_ERROR


@pytest.mark.parametrize("user", ["carol", "nobody"])
def test_a_logon_that_fails_leaves_the_others_and_its_first_call_is_denied(user: str) -> None:
    client = Client()
    client.send(Bind(call_id=1, contexts=CONTEXTS).pack())
    good, bad = client.log_on(7, AuthLevel.INTEGRITY), client.log_on(8, AuthLevel.INTEGRITY, user)
    assert client.caller(good) == "alice INTEGRITY"
    fault = client.call(bad)
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.ACCESS_DENIED


def test_their_number_is_limited() -> None:
    client = Client()
    client.acceptor.security = SecurityContexts(authenticator(), "peer", 2)
    client.acceptor.calls._security = client.acceptor.security
    client.send(Bind(call_id=1, contexts=CONTEXTS).pack())
    for number in (1, 2):
        client.log_on(number, AuthLevel.INTEGRITY)
    assert len(client.acceptor.security) == 2
    token = NtlmInitiator(NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD)).step(b"")
    trailer = dataclasses.replace(client.acceptor.security._by_id[1].trailer(token), auth_context_id=3)
    (fault,), _ = client.send(AlterContext(call_id=3, contexts=CONTEXTS, auth=trailer).pack())
    assert fault.status == FaultStatus.PROTOCOL_ERROR


def test_the_same_context_is_not_opened_twice() -> None:
    client = Client()
    client.send(Bind(call_id=1, contexts=CONTEXTS).pack())
    protection = client.log_on(7, AuthLevel.INTEGRITY)
    again = protection.trailer(NtlmInitiator(NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD)).step(b""))
    (fault,), _ = client.send(AlterContext(call_id=3, contexts=CONTEXTS, auth=again).pack())
    assert fault.status == FaultStatus.ACCESS_DENIED


def test_a_connection_is_a_strangers_until_somebody_authenticated_in_any_context() -> None:
    client = Client()
    client.send(Bind(call_id=1, contexts=CONTEXTS).pack())
    assert client.acceptor.security.anonymous
    client.log_on(7, AuthLevel.INTEGRITY)
    assert client.acceptor.caller.is_anonymous
    assert not client.acceptor.security.anonymous


@pytest.mark.parametrize(("transport", "answered"), [("ncacn_ip_tcp", False), ("ncacn_np", True)])
def test_a_call_without_protection_is_nobody_s_on_a_pipe_and_refused_on_tcp(transport: str, answered: bool) -> None:
    client = Client(server(groups=AssociationGroups(transport)))
    client.log_on(1, AuthLevel.INTEGRITY, bind=True)
    answers, events = client.send(REQUEST.pack())
    if answered:
        (event,) = events
        assert isinstance(event, RequestReceived)
        assert event.caller.is_anonymous
    else:
        (fault,) = answers
        assert isinstance(fault, Fault)
        assert fault.status == FaultStatus.ACCESS_DENIED
