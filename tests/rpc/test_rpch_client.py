"""The client's side, PDU by PDU; against our server it is in `test_rpch.py`."""

from __future__ import annotations

import pytest

from openchange_py.rpc.rpch import SHORTEST_LIFETIME, Channel, CloseChannel, Ended, OpenChannel, RpchEvent, Write
from openchange_py.rpc.rpch_client import ClientVirtualConnection
from openchange_py.wire.rpch import FlowControlAck, Forward, RtsPdu, rts
from tests.rpc.rpch_parties import rpc_pdu


def connected(lifetime: int = 1 << 30) -> tuple[ClientVirtualConnection, Channel, Channel]:
    """An open one, its IN and its OUT channel."""
    client = ClientVirtualConnection(lifetime=lifetime)
    into, out = (event.channel for event in client.start() if isinstance(event, OpenChannel))
    client.ready(into)
    client.ready(out)
    client.receive(out, rts("CONN/A3", 120_000).pack() + rts("CONN/C2", 1, 0x10000, 120_000).pack())
    assert client.opened
    return client, into, out


def written(events: list[RpchEvent]) -> list[tuple[Channel, RtsPdu]]:
    return [(event.channel, RtsPdu.unpack(event.data)) for event in events if isinstance(event, Write)]


def test_both_channels_are_introduced_when_both_are_there() -> None:
    client = ClientVirtualConnection(window=0x10000)
    into, out = (event.channel for event in client.start() if isinstance(event, OpenChannel))
    assert client.ready(out) == []
    (first, a1), (second, b1) = written(client.ready(into))
    assert (first, second) == (out, into)
    assert a1.is_a("CONN/A1")
    assert b1.is_a("CONN/B1")
    assert a1.commands[1] == b1.commands[1]


def test_nothing_is_sent_before_the_server_is_there() -> None:
    client = ClientVirtualConnection()
    into, out = (event.channel for event in client.start() if isinstance(event, OpenChannel))
    client.ready(into)
    client.ready(out)
    assert client.send(rpc_pdu(1)) == []
    events = client.receive(out, rts("CONN/A3", 120_000).pack() + rts("CONN/C2", 1, 0x10000, 120_000).pack())
    assert [event.data for event in events if isinstance(event, Write)] == [rpc_pdu(1)]
    assert client.ping_interval == 60.0


def test_out_r1_as_proxies_on_two_machines_do_it() -> None:
    client, into, out = connected()
    (opened,) = client.receive(out, rts("OUT_R1/A2", Forward.CLIENT).pack())
    assert isinstance(opened, OpenChannel)
    successor = opened.channel
    ((on, a3),) = written(client.ready(successor))
    assert on is successor
    assert a3.is_a("OUT_R1/A3")
    assert client.receive(successor, rpc_pdu(2)) == []
    ((on, a7),) = written(client.receive(out, rts("OUT_R1/A6", Forward.CLIENT, 1, 120_000).pack()))
    assert on is into
    assert a7.is_a("OUT_R1/A7")
    events = client.receive(out, rpc_pdu(1) + rts("OUT_R1/A10").pack())
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["PduReceived", "Write", "CloseChannel", "PduReceived"]
    assert written(events)[0][1].is_a("OUT_R1/A11")
    assert client.source is successor


@pytest.mark.parametrize("sequence", ["IN_R1", "IN_R2"])
def test_in_recycling(sequence: str) -> None:
    client, into, out = connected(SHORTEST_LIFETIME)
    opened = None
    while opened is None:
        assert into.send_window is not None
        events = client.send(rpc_pdu(1, 4000))
        opened = next((event for event in events if isinstance(event, OpenChannel)), None)
        ack = FlowControlAck(into.send_window.sent, 0x10000, into.cookie)
        client.receive(out, rts("FlowControlAckWithDestination", Forward.CLIENT, ack).pack())
    successor = opened.channel
    ((_, a1),) = written(client.ready(successor))
    assert a1.is_a("IN_R1/A1")
    values = (Forward.CLIENT, 1, 0x8000, 150_000) if sequence == "IN_R1" else (Forward.CLIENT,)
    events = client.receive(out, rts(f"{sequence}/A4", *values).pack())
    ((on, a5),) = written(events)
    assert on is into
    assert a5.is_a("IN_R1/A5")
    assert any(isinstance(event, CloseChannel) and event.channel is into for event in events)
    assert successor.send_window is not None
    assert successor.send_window.size == (0x8000 if sequence == "IN_R1" else 0x10000)
    sent = client.send(rpc_pdu(9))
    assert [event.channel for event in sent if isinstance(event, Write)] == [successor]


@pytest.mark.parametrize(
    "pdu",
    [
        rts("OUT_R2/B3"),
        rts("OUT_R1/A6", Forward.CLIENT, 1, 120_000),
        rts("CONN/A3", 120_000),
        rts("IN_R2/A4", Forward.CLIENT),
        rts("OUT_R2/A2", Forward.SERVER),
    ],
    ids=lambda pdu: pdu.name,
)
def test_what_is_out_of_sequence_ends_it(pdu: RtsPdu) -> None:
    client, _, out = connected()
    assert isinstance(client.receive(out, pdu.pack())[0], Ended)


def test_an_absurd_time_out_would_make_us_ping_all_the_time() -> None:
    client = ClientVirtualConnection()
    into, out = (event.channel for event in client.start() if isinstance(event, OpenChannel))
    client.ready(into)
    client.ready(out)
    events = client.receive(out, rts("CONN/A3", 0).pack() + rts("CONN/C2", 1, 0x10000, 0).pack())
    assert isinstance(events[0], Ended)
