"""The server's side, PDU by PDU: what it answers, and to whom it does not."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.rpc.rpch import (
    SHORTEST_LIFETIME,
    AnswerBegins,
    Channel,
    CloseChannel,
    Direction,
    Ended,
    Established,
    Phase,
    RpchEvent,
    Write,
)
from openchange_py.rpc.rpch_server import ECHO, RpchSettings, ServerVirtualConnection, VirtualConnections, is_echo
from openchange_py.wire.rpch import SHAPES, FlowControlAck, Forward, RtsPdu, rts
from tests.conftest import json_lines, shared_path
from tests.rpc.rpch_parties import rpc_pdu

VC, OUT, IN, NEXT = (uuid.UUID(int=number) for number in (1, 2, 3, 4))
A1 = rts("CONN/A1", 1, VC, OUT, 0x10000).pack()
B1 = rts("CONN/B1", 1, VC, IN, 1 << 30, 300_000, uuid.UUID(int=9)).pack()


def out_channel() -> Channel:
    return Channel(Direction.OUT, length=76)


def in_channel() -> Channel:
    return Channel(Direction.IN, length=1 << 30)


def written(events: list[RpchEvent]) -> list[str]:
    """The names of the RTS PDUs that were written."""
    names = []
    for event in events:
        if isinstance(event, Write):
            data = event.data
            while data:
                length = int.from_bytes(data[8:10], "little")
                names.append(RtsPdu.unpack(data[:length]).name)
                data = data[length:]
    return names


class Connected:
    """A server with one client's open virtual connection."""

    def __init__(self, lifetime: int = 1 << 30) -> None:
        self.server = VirtualConnections(lambda: RpchSettings(lifetime=lifetime))
        self.out, self.into = out_channel(), in_channel()
        self.server.receive(self.out, "alice", A1)
        self.server.receive(self.into, "alice", B1)
        connection = self.out.connection
        assert isinstance(connection, ServerVirtualConnection)
        self.connection = connection

    def recycle_out(self) -> None:
        """Send until OUT_R2/A2 is out."""
        assert self.out.send_window is not None
        number = 0
        while self.connection.phases[Direction.OUT] is Phase.STEADY:
            number += 1
            self.connection.send(rpc_pdu(number, 4000))
            ack = FlowControlAck(self.out.send_window.sent, 0x10000, OUT)
            self.into_receives(rts("FlowControlAckWithDestination", Forward.OUT_PROXY, ack))

    def into_receives(self, pdu: RtsPdu) -> list[RpchEvent]:
        return self.server.receive(self.into, "alice", pdu.pack())


@pytest.mark.parametrize("out_first", [True, False])
def test_channels_may_come_in_any_order(out_first: bool) -> None:
    server, out, into = VirtualConnections(), out_channel(), in_channel()
    steps = [(out, A1), (into, B1)]
    events: list[RpchEvent] = []
    for channel, data in steps if out_first else reversed(steps):
        assert not any(isinstance(event, Established) for event in events)
        for position in range(len(data)):
            events += server.receive(channel, "alice", data[position : position + 1])
    assert [type(event) for event in events if not isinstance(event, Write)] == [AnswerBegins, Established]
    assert written(events) == ["CONN/A3", "CONN/C1"]
    assert len(server) == 1


def test_what_the_recorded_server_answered_but_for_its_numbers() -> None:
    server, out, into = VirtualConnections(lambda: RpchSettings(window=0x40000)), out_channel(), in_channel()
    events = server.receive(out, "alice", A1) + server.receive(into, "alice", B1)
    data = [event.data.hex() for event in events if isinstance(event, Write)]
    assert data == [
        "05001403100000001c00000000000000000001000200000020bf0200",
        "05001403100000002c0000000000000000000300060000000100000000000000000004000200000020bf0200",
    ]


def test_the_client_may_ask_for_another_time_out_and_for_pings() -> None:
    server, out, into = VirtualConnections(), out_channel(), in_channel()
    server.receive(out, "alice", A1, min_timeout=120_000)
    keepalive = rts("CONN/B1", 1, VC, IN, 1 << 30, 60_000, uuid.UUID(int=9)).pack()
    server.receive(into, "alice", keepalive)
    connection = out.connection
    assert isinstance(connection, ServerVirtualConnection)
    assert (connection.timeout, connection.ping_interval) == (120_000, 30.0)
    server.receive(into, "alice", rts("Keep-Alive", 0).pack())
    assert connection.ping_interval == 60.0
    assert isinstance(server.receive(into, "alice", rts("Keep-Alive", 1).pack())[0], Ended)


@pytest.mark.parametrize(
    ("channel", "data", "why"),
    [
        (in_channel(), rpc_pdu(1), "no RTS PDU before"),
        (in_channel(), b"GET / HTTP/1.1\r\n\r\n", "no DCE/RPC"),
        (in_channel(), A1, "begins with CONN/A1"),
        (out_channel(), B1[:76], ""),
        (in_channel(), rts("Ping").pack(), "begins with Ping"),
        (in_channel(), rts("IN_R1/A1", 1, VC, IN, NEXT).pack(), "not known"),
        (out_channel(), rts("CONN/A1", 1, VC, OUT, 0).pack(), "window of 0"),
        (out_channel(), rts("CONN/A1", 1, VC, OUT, 0xFFFFFFFF).pack(), "window of 4294967295"),
        (out_channel(), rts("CONN/A1", 0, VC, OUT, 0x10000).pack(), "version 0"),
        (out_channel(), A1 + b"\0", "Content-Length"),
        (in_channel(), rts("CONN/B1", 1, VC, IN, 1, 0, VC).pack(), "lifetime of 1 "),
        (in_channel(), rts("CONN/B1", 1, VC, IN, 1 << 30, 1, VC).pack(), "keep-alive interval"),
    ],
)
def test_a_channel_that_begins_wrongly_is_closed_alone(channel: Channel, data: bytes, why: str) -> None:
    server = VirtualConnections()
    events = server.receive(channel, "alice", data)
    if why:
        assert len(events) == 1
        assert isinstance(events[0], CloseChannel)
        assert why in events[0].reason
    assert len(server) == 0
    if why:
        assert server.receive(channel, "alice", A1) == []


@pytest.mark.parametrize(
    ("who", "second", "why"),
    [("mallory", B1, "somebody else's"), ("alice", A1, "CONN/A1 on the new channel")],
)
def test_a_strange_second_half_does_not_hurt_the_first(who: str, second: bytes, why: str) -> None:
    server, out = VirtualConnections(), out_channel()
    server.receive(out, "alice", A1)
    direction = Direction.IN if second is B1 else Direction.OUT
    (closed,) = server.receive(Channel(direction), who, second)
    assert isinstance(closed, CloseChannel)
    assert why in closed.reason
    assert any(isinstance(event, Established) for event in server.receive(in_channel(), "alice", B1))


@pytest.mark.parametrize("name", ["IN_R1/A1", "OUT_R1/A3"])
def test_nobody_elses_successor_is_taken(name: str) -> None:
    connected = Connected(SHORTEST_LIFETIME)
    connected.recycle_out()
    direction = Direction.IN if name.startswith("IN") else Direction.OUT
    values = (1, VC, IN, NEXT) if direction is Direction.IN else (1, VC, OUT, NEXT, 0x10000)
    (closed,) = connected.server.receive(Channel(direction), "mallory", rts(name, *values).pack())
    assert isinstance(closed, CloseChannel)
    wrong = rts(name, 1, VC, NEXT, NEXT, *values[4:]).pack()
    (closed,) = connected.server.receive(Channel(direction), "alice", wrong)
    assert isinstance(closed, CloseChannel)
    assert connected.connection.opened


@pytest.mark.parametrize("c1_first", [True, False])
def test_out_r2(c1_first: bool) -> None:
    """3.2.4.5.6.1, 3.2.4.5.10 and 3.2.4.5.11: C1 and A7 (which the server makes B1 of) in either order."""
    connected = Connected(SHORTEST_LIFETIME)
    server = connected.server
    connected.recycle_out()
    successor = Channel(Direction.OUT, length=120)
    a3 = rts("OUT_R2/A3", 1, VC, OUT, NEXT, 0x10000).pack()
    events = server.receive(successor, "alice", a3)
    assert written(events) == ["OUT_R2/A5"]  # A6 looks like A5
    c1, a7 = rts("OUT_R2/C1").pack(), rts("OUT_R2/A7", Forward.SERVER, NEXT, 1).pack()
    if c1_first:
        assert server.receive(successor, "alice", c1) == []
        events = server.receive(connected.into, "alice", a7)
    else:
        events = server.receive(connected.into, "alice", a7)
        assert written(events) == ["OUT_R2/B3"]
        assert written(connected.connection.send(rpc_pdu(1))) == []
        events += server.receive(successor, "alice", c1)
    kinds = [type(event) for event in events]
    assert kinds[:3] == [Write, CloseChannel, AnswerBegins]
    closed, answered = events[1], events[2]
    assert isinstance(closed, CloseChannel)
    assert isinstance(answered, AnswerBegins)
    assert closed.channel is connected.out
    assert answered.channel is successor
    assert connected.connection.sink is successor


def test_in_r2_holds_the_successor_until_the_predecessor_ends() -> None:
    connected = Connected()
    server, successor = connected.server, in_channel()
    events = server.receive(successor, "alice", rts("IN_R1/A1", 1, VC, IN, NEXT).pack() + rpc_pdu(2))
    assert written(events) == ["IN_R2/A3"]  # A4 looks like A3
    events = server.receive(connected.into, "alice", rpc_pdu(1) + rts("IN_R2/A5", NEXT).pack() + b"\x05nonsense")
    data = [event for event in events if not isinstance(event, Write)]
    assert [type(event).__name__ for event in data] == ["PduReceived", "CloseChannel", "PduReceived"]
    assert getattr(data[0], "data") == rpc_pdu(1)  # noqa: B009
    assert connected.connection.source is successor


def test_a_successor_may_not_pour_data_before_its_turn() -> None:
    connected = Connected()
    successor = in_channel()
    connected.server.receive(successor, "alice", rts("IN_R1/A1", 1, VC, IN, NEXT).pack())
    for number in range(200):
        if events := connected.server.receive(successor, "alice", rpc_pdu(number)):
            assert isinstance(events[0], Ended)
            return
    raise AssertionError("it took all")


def test_an_unrecycled_channel_is_not_written_beyond_its_length() -> None:
    """What still waits then is little, and the connection ends when not even an RTS PDU has room."""
    connected = Connected(SHORTEST_LIFETIME)
    connected.recycle_out()
    sent = 0
    for number in range(100):
        events = connected.connection.send(rpc_pdu(number, 4000))
        sent += sum(len(event.data) for event in events if isinstance(event, Write))
    assert connected.out.sent <= SHORTEST_LIFETIME
    assert connected.connection.queued > 0
    for _ in range(SHORTEST_LIFETIME // 20):
        if any(isinstance(event, Ended) for event in connected.connection.ping()):
            break
    assert connected.connection.closed
    assert connected.out.sent <= SHORTEST_LIFETIME + 20


def test_every_pdu_out_of_sequence_ends_the_connection_or_changes_nothing() -> None:
    harmless = {"Ping", "FlowControlAck", "FlowControlAckWithDestination", "Keep-Alive"}
    for name, (_, kinds) in SHAPES.items():
        connected = Connected()
        values = [
            VC if kind.type in (3, 12) else FlowControlAck(0, 0, VC) if kind is FlowControlAck else 0
            for kind in kinds
            if kind.type not in (7, 9, 10, 11)
        ]
        if any(kind.type == 11 for kind in kinds):
            continue
        events = connected.into_receives(rts(name, *values))
        assert (not events) if name in harmless else isinstance(events[0], Ended), name


ANY_PDU = st.one_of(
    st.just(A1),
    st.just(B1),
    st.just(rts("IN_R1/A1", 1, VC, IN, NEXT).pack()),
    st.just(rts("IN_R2/A5", NEXT).pack()),
    st.just(rts("OUT_R2/A3", 1, VC, OUT, NEXT, 0x10000).pack()),
    st.just(rts("OUT_R2/A7", Forward.SERVER, NEXT, 1).pack()),
    st.just(rts("OUT_R2/C1").pack()),
    st.just(rts("Ping").pack()),
    st.builds(
        lambda received, window: rts("FlowControlAck", FlowControlAck(received, window, OUT)).pack(),
        st.sampled_from([0, 4024, 0xFFFFFFFF]),
        st.sampled_from([0, 0x10000, 0xFFFFFFFF]),
    ),
    st.just(rpc_pdu(1)),
    st.binary(max_size=64),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), ANY_PDU, st.booleans()), max_size=20))
def test_any_conversation_gives_events(steps: list[tuple[int, bytes, bool]]) -> None:
    """Whatever comes on whichever channel: no exception, no write before an answer began, nothing after the end."""
    server = VirtualConnections()
    channels = [in_channel(), out_channel(), in_channel(), Channel(Direction.OUT, length=120)]
    for number, data, send in steps:
        channel = channels[number]
        events = server.receive(channel, "alice", data)
        if send and channel.connection is not None:
            events += channel.connection.send(rpc_pdu(7, 4000))
        for event in events:
            assert not isinstance(event, Write) or event.channel.writable


def test_recorded_clients_are_let_in() -> None:
    """The channels of libmapi and impacket as they were recorded, in the order in which they came."""
    opened: dict[int, Channel] = {}
    server = VirtualConnections()
    established = 0
    for recorded in json_lines(shared_path("wire/rpchttp-heads-rts.jsonl")):
        if "rts_hex" not in recorded or recorded["direction"] != "client_to_server":
            continue
        channel = opened.setdefault(len(opened), Channel(Direction(recorded["channel"])))
        events = server.receive(channel, "user1", bytes.fromhex(recorded["rts_hex"]))
        established += sum(isinstance(event, Established) for event in events)
    assert established == 13


def test_echo() -> None:
    assert is_echo(0)
    assert is_echo(16)
    assert not is_echo(17)
    assert not is_echo(None)
    assert RtsPdu.unpack(ECHO).is_a("Echo")


def test_what_ended_is_forgotten() -> None:
    connected = Connected()
    connected.connection.lost(connected.into)
    connected.server.forget(connected.connection)
    assert len(connected.server) == 0
