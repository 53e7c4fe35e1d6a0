"""Calls in fragments: mixed with concurrent multiplexing, one after the other without; limits."""

from __future__ import annotations

import dataclasses

import pytest

from openchange_py.rpc.call import FaultStatus
from openchange_py.rpc.events import ConnectionEnded, RequestReceived
from openchange_py.rpc.reassembly import MAX_MIXED
from openchange_py.rpc.security import AuthLevel
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.pdu import Bind, BindAck, CoCancel, Fault, Orphaned, Pfc, PresentationContextElement, Request
from tests.rpc.echo import ECHO
from tests.rpc.parties import Pair, pdus, server, settle

CONTEXTS = (PresentationContextElement(0, ECHO.syntax, (NDR20,)),)
FIRST, MIDDLE, LAST = Pfc.FIRST_FRAG, 0, Pfc.LAST_FRAG


def bound(*, mixed: bool, **options: int):
    acceptor = server(**options)
    flags = Pfc.WHOLE | (Pfc.CONC_MPX if mixed else 0)
    acceptor.receive_data(Bind(call_id=1, flags=flags, contexts=CONTEXTS).pack())
    (ack,) = pdus(acceptor.data_to_send())
    assert isinstance(ack, BindAck)
    assert bool(ack.flags & Pfc.CONC_MPX) is mixed
    assert acceptor.multiplexed is mixed
    return acceptor


def fragment(call_id: int, flags: int, stub: bytes = b"", **options: int) -> bytes:
    return Request(call_id=call_id, flags=flags, context_id=0, opnum=call_id, stub=stub, **options).pack()


def test_fragments_of_several_calls_may_be_mixed_where_that_was_negotiated() -> None:
    acceptor = bound(mixed=True)
    sent = [
        (2, FIRST, b"a"),
        (3, FIRST, b"x"),
        (2, MIDDLE, b"b"),
        (4, FIRST | LAST, b"!"),
        (3, LAST, b"y"),
        (2, LAST, b"c"),
    ]
    events = [event for one in sent for event in acceptor.receive_data(fragment(*one))]
    assert [(e.call_id, e.opnum, e.stub) for e in events] == [(4, 4, b"!"), (3, 3, b"xy"), (2, 2, b"abc")]
    assert (len(acceptor.calls), acceptor.calls.size) == (0, 0)


def test_not_where_it_was_not() -> None:
    acceptor = bound(mixed=False)
    assert acceptor.receive_data(fragment(2, FIRST, b"a")) == []
    (ended,) = acceptor.receive_data(fragment(3, FIRST, b"x"))
    (fault,) = pdus(acceptor.data_to_send())
    assert isinstance(fault, Fault)
    assert (fault.call_id, fault.status) == (2, FaultStatus.PROTOCOL_ERROR)
    assert isinstance(ended, ConnectionEnded)


def test_only_the_first_fragment_tells_context_and_opnum() -> None:
    acceptor = bound(mixed=False)
    last = Request(call_id=2, flags=LAST, context_id=111, opnum=111, stub=b"b")
    (call,) = acceptor.receive_data(fragment(2, FIRST, b"a") + last.pack())
    assert (call.opnum, call.stub, call.context.interface) == (2, b"ab", ECHO)


def test_cancel_and_orphaned_do_not_disturb_a_call_that_is_still_coming() -> None:
    acceptor = bound(mixed=False)
    between = CoCancel(call_id=2).pack() + Orphaned(call_id=2).pack()
    events = acceptor.receive_data(fragment(2, FIRST, b"a") + between + fragment(2, LAST | Pfc.PENDING_CANCEL, b"b"))
    assert isinstance(events[-1], RequestReceived)
    assert events[-1].stub == b"ab"


@pytest.mark.parametrize("mixed", [False, True])
def test_limits_hold_for_all_pending_calls_together(mixed: bool) -> None:
    acceptor = bound(mixed=mixed, call_limit=10_000)
    acceptor.receive_data(fragment(2, FIRST, bytes(5000)))
    assert acceptor.calls.size == 5000
    events = acceptor.receive_data(fragment(3 if mixed else 2, FIRST if mixed else MIDDLE, bytes(5001)))
    (fault,) = pdus(acceptor.data_to_send())
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.ACCESS_DENIED
    assert isinstance(events[-1], ConnectionEnded)
    assert acceptor.calls.size == 0


def test_calls_that_are_mixed_are_counted() -> None:
    acceptor = bound(mixed=True)
    for number in range(MAX_MIXED):
        assert acceptor.receive_data(fragment(number + 2, FIRST)) == []
    (ended,) = acceptor.receive_data(fragment(1000, FIRST))
    assert f"more than {MAX_MIXED}" in ended.reason


@pytest.mark.parametrize("hint", [0xFFFFFFFF, 10_001])
def test_an_announced_size_is_a_hint_for_whole_calls_and_a_promise_for_others(hint: int) -> None:
    acceptor = bound(mixed=False, call_limit=10_000)
    (call,) = acceptor.receive_data(fragment(2, FIRST | LAST, b"ab", alloc_hint=hint))
    assert isinstance(call, RequestReceived)
    (ended,) = acceptor.receive_data(fragment(3, FIRST, b"ab", alloc_hint=hint))
    assert "announced" in ended.reason


def test_protected_fragments_are_verified_one_by_one() -> None:
    pair = Pair(AuthLevel.PRIVACY)
    pair.bind()
    _, data = pair.client.send_request(0, 3, bytes(20_000))
    (call,) = settle(pair.server, pair.server.receive_data(data))
    assert (call.stub, call.opnum) == (bytes(20_000), 3)
    damaged = Pair(AuthLevel.PRIVACY)
    damaged.bind()
    _, data = damaged.client.send_request(0, 3, bytes(20_000))
    damaged.to_server(data[:8000] + bytes([data[8000] ^ 1]) + data[8001:])
    fault = damaged.trace[-1]
    assert isinstance(fault, Fault)
    assert fault.status == FaultStatus.SEC_PKG_ERROR


def test_a_big_endian_call_is_told_as_one() -> None:
    acceptor = bound(mixed=False)
    request = Request(call_id=2, context_id=0, opnum=5, stub=b"\0\0\0\1", big_endian=True)
    (call,) = acceptor.receive_data(request.pack())
    assert (call.opnum, call.big_endian, call.maybe) == (5, True, False)
    (call,) = acceptor.receive_data(dataclasses.replace(request, flags=Pfc.WHOLE | Pfc.MAYBE).pack())
    assert call.maybe
