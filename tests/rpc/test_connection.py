"""Any state and any input: events and bytes, never an exception."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.rpc.acceptor import Acceptor
from openchange_py.rpc.connection import Connection, State
from openchange_py.rpc.events import ConnectionEnded
from openchange_py.rpc.initiator import Initiator
from openchange_py.rpc.security import AuthLevel
from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.pdu import (
    AlterContext,
    AlterContextResp,
    Auth3,
    Bind,
    BindAck,
    BindNak,
    CoCancel,
    ContextResult,
    Fault,
    Orphaned,
    Pdu,
    PresentationContextElement,
    PresentationResult,
    Request,
    Response,
    Shutdown,
)
from tests.rpc.echo import ECHO
from tests.rpc.parties import Pair, ntlm, server, settle

_CONTEXTS = (PresentationContextElement(0, ECHO.syntax, (NDR20,)),)
_RESULTS = (PresentationResult(ContextResult.ACCEPTANCE, 0, NDR20),)


def every_pdu(call_id: int, flags: int, auth: SecTrailer | None) -> list[Pdu]:
    common = {"call_id": call_id, "flags": flags, "auth": auth}
    return [
        Bind(contexts=_CONTEXTS, **common),
        AlterContext(contexts=_CONTEXTS, **common),
        BindAck(results=_RESULTS, **common),
        AlterContextResp(results=_RESULTS, **common),
        BindNak(reason=0, **common),
        Auth3(**common),
        Request(context_id=0, opnum=0, stub=b"stub", **common),
        Response(context_id=0, stub=b"stub", **common),
        Fault(context_id=0, status=5, **common),
        CoCancel(**common),
        Orphaned(**common),
        Shutdown(**common),
    ]


def start(role: str, level: AuthLevel, bound: bool) -> Connection:
    pair = Pair(level)
    if bound:
        pair.bind()
    elif role == "initiator":
        pair.client.send_bind([ECHO.syntax], pair.context.step(b"") if pair.context else b"")
    return pair.server if role == "acceptor" else pair.client


trailers = st.none() | st.builds(
    SecTrailer, st.sampled_from([0, 10, 255]), st.integers(0, 7), st.integers(0, 2), st.binary(max_size=40), st.just(0)
)
conversations = st.lists(
    st.tuples(st.integers(0, 11), st.integers(1, 3), st.integers(0, 127), trailers), min_size=1, max_size=6
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["acceptor", "initiator"]),
    st.sampled_from([AuthLevel.NONE, AuthLevel.CONNECT, AuthLevel.PRIVACY]),
    st.booleans(),
    conversations,
)
def test_any_pdu_in_any_state(role: str, level: AuthLevel, bound: bool, sent: list) -> None:
    connection = start(role, level, bound)
    for kind, call_id, flags, auth in sent:
        closed = connection.state is State.CLOSED
        events = settle(connection, connection.receive_data(every_pdu(call_id, flags, auth)[kind].pack()))
        connection.data_to_send()
        assert not (closed and events), "a closed connection tells nothing more"
        assert sum(isinstance(event, ConnectionEnded) for event in events) == (
            not closed and connection.state is State.CLOSED
        )


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["acceptor", "initiator"]), st.booleans(), st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_whole_and_byte_by_byte(role: str, bound: bool, parts: list[bytes]) -> None:
    data = b"".join(parts)
    whole, dripped = start(role, AuthLevel.NONE, bound), start(role, AuthLevel.NONE, bound)
    whole.receive_data(data)
    for i in range(len(data)):
        dripped.receive_data(data[i : i + 1])
    assert whole.state is dripped.state
    assert len(whole.data_to_send()) == len(dripped.data_to_send())


@pytest.mark.parametrize("role", [Acceptor, Initiator])
def test_every_transition_has_its_method(role: type[Connection]) -> None:
    for state, moves in role.transitions.items():
        assert state not in (State.CLOSED, State.STEPPING)
        for method in moves.values():
            assert callable(getattr(role, method))
    read = set(State) - {State.CLOSED, State.STEPPING}
    assert set(role.transitions) == read - ({State.BINDING} if role is Acceptor else {State.AUTHENTICATING})


def test_an_acceptor_without_authenticator_refuses_tokens() -> None:
    acceptor, context = server(), ntlm(AuthLevel.CONNECT)
    assert context is not None
    acceptor.security._authenticator = None
    bind = Bind(call_id=1, contexts=_CONTEXTS, auth=SecTrailer(10, 2, 1, context.step(b"")))
    (ended,) = acceptor.receive_data(bind.pack())
    assert isinstance(ended, ConnectionEnded)
