"""The client's side of RPC over HTTP version 2: [MS-RPCH] 3.2.2.

    connection = ClientVirtualConnection()
    events = connection.start()          # OpenChannel, twice: make the two requests
    events = connection.ready(channel)   # its head is on the way
    events = connection.receive(connection.out_channel, data)   # of the response's body

Both kinds of recycling are understood, as the servers may be several behind one name.
"""

from __future__ import annotations

import uuid
from typing import ClassVar, Final

from openchange_py.rpc.rpch import (
    LIFETIME,
    SHORTEST_LIFETIME,
    SHORTEST_TIMEOUT,
    WINDOW,
    Channel,
    ChannelError,
    Direction,
    Established,
    OpenChannel,
    Phase,
    Place,
    ReceiveWindow,
    RpchEvent,
    SendWindow,
    Transitions,
    VirtualConnection,
)
from openchange_py.wire.rpch import (
    Command,
    ConnectionTimeout,
    Destination,
    Forward,
    ReceiveWindowSize,
    RtsPdu,
    rts,
)

#: Milliseconds: what Windows asks servers for.
_KEEPALIVE: Final = 300_000


class ClientVirtualConnection(VirtualConnection):
    """One virtual connection. `lifetime` bytes are sent on an IN channel, whose request announces them."""

    acknowledges_to = Forward.OUT_PROXY
    transitions: ClassVar[Transitions] = {
        (Direction.OUT, Phase.CONN_A3): {(Place.SOURCE, "CONN/A3"): "_conn_a3"},
        (Direction.OUT, Phase.CONN_C2): {(Place.SOURCE, "CONN/C2"): "_conn_c2"},
        (Direction.IN, Phase.IN_A4): {
            (Place.SOURCE, "IN_R1/A4"): "_in_r1_a4",
            (Place.SOURCE, "IN_R2/A4"): "_in_a4",
        },
        (Direction.OUT, Phase.STEADY): {(Place.SOURCE, "OUT_R2/A2"): "_out_a2"},
        (Direction.OUT, Phase.OUT_A6): {
            (Place.SOURCE, "OUT_R1/A6"): "_out_r1_a6",
            (Place.SOURCE, "OUT_R2/A6"): "_out_r2_a6",
        },
        (Direction.OUT, Phase.OUT_A10): {(Place.SOURCE, "OUT_R1/A10"): "_out_a10"},
        (Direction.OUT, Phase.OUT_B3): {(Place.SOURCE, "OUT_R2/B3"): "_out_b3"},
    }

    def __init__(
        self, *, window: int = WINDOW, lifetime: int = LIFETIME, association_group: uuid.UUID | None = None
    ) -> None:
        super().__init__(uuid.uuid4())
        self._window = window
        self._lifetime = max(lifetime, SHORTEST_LIFETIME)
        self._group = association_group or uuid.uuid4()
        #: Milliseconds of silence after which the IN channel may be cut off.
        self.timeout = SHORTEST_TIMEOUT

    @property
    def ping_interval(self) -> float:
        """Seconds of sending nothing after which a ping is due."""
        return self.timeout / 2000

    def start(self) -> list[RpchEvent]:
        """Ask for the two channels."""
        self.sink, self.source = self._channel(Direction.IN), self._channel(Direction.OUT)
        return [OpenChannel(self.sink), OpenChannel(self.source)]

    def ready(self, channel: Channel) -> list[RpchEvent]:
        """A channel's request is on the way, and may be written behind: say what the channel is."""
        events: list[RpchEvent] = []
        if self.closed or channel.closed:
            return events
        channel.writable = True
        if channel is self.next_sink or channel is self.next_source:
            self._introduce_successor(channel, events)
        elif self.sink is not None and self.source is not None and self.sink.writable and self.source.writable:
            a1 = rts("CONN/A1", 1, self.cookie, self.source.cookie, self._window)
            lifetime, group = self.sink.lifetime, self._group
            b1 = rts("CONN/B1", 1, self.cookie, self.sink.cookie, lifetime, _KEEPALIVE, group)
            self.phases[Direction.OUT] = Phase.CONN_A3
            self._write(self.source, a1.pack(), events)
            self._write(self.sink, b1.pack(), events)
        return events

    def _channel(self, direction: Direction) -> Channel:
        channel = Channel(direction)
        channel.cookie = uuid.uuid4()
        channel.connection = self
        channel.lifetime = self._lifetime
        channel.receive_window = ReceiveWindow(self._window)
        return channel

    def _introduce_successor(self, channel: Channel, events: list[RpchEvent]) -> None:
        if channel.direction is Direction.IN:
            assert self.sink is not None
            pdu = rts("IN_R1/A1", 1, self.cookie, self.sink.cookie, channel.cookie)
        else:
            assert self.source is not None
            pdu = rts("OUT_R1/A3", 1, self.cookie, self.source.cookie, channel.cookie, self._window)
        self._write(channel, pdu.pack(), events)

    # CONN

    def _conn_a3(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        self.phases[Direction.OUT] = Phase.CONN_C2

    def _conn_c2(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        assert self.sink is not None
        self._take_limits(self.sink, pdu.commands)
        self.phases = {Direction.IN: Phase.STEADY, Direction.OUT: Phase.STEADY}
        self.opened = True
        events.append(Established())
        self._flush(events)

    def _take_limits(self, channel: Channel, commands: tuple[Command, ...]) -> None:
        """The server's window for an IN channel, and its time-out."""
        for command in commands:
            if isinstance(command, ReceiveWindowSize):
                channel.send_window = SendWindow(command.value)
            elif isinstance(command, ConnectionTimeout):
                if command.value < 1000:
                    raise ChannelError(f"a connection time-out of {command.value} ms")
                self.timeout = command.value

    # IN_R1 and IN_R2, 3.2.1.5.3.2 and 3.2.1.5.3.3: our IN channel is nearly used up

    def _recycle(self, events: list[RpchEvent]) -> None:
        self.phases[Direction.IN] = Phase.IN_A4
        self.next_sink = self._channel(Direction.IN)
        events.append(OpenChannel(self.next_sink))

    def _in_r1_a4(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        """Another proxy, with a window of its own."""
        assert self.next_sink is not None
        self._take_limits(self.next_sink, pdu.commands)
        self._in_a4(channel, pdu, events)

    def _in_a4(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        _must_be_ours(pdu)
        successor, predecessor = self.next_sink, self.sink
        assert successor is not None
        assert predecessor is not None
        if successor.send_window is None:
            assert predecessor.send_window is not None
            successor.send_window = SendWindow(predecessor.send_window.size)
        self._control(events, "IN_R1/A5", successor.cookie)
        self.phases[Direction.IN] = Phase.STEADY
        self.sink, self.next_sink = successor, None
        self._close(predecessor, events)
        self._flush(events)

    # OUT_R1 and OUT_R2, 3.2.1.5.3.4 and 3.2.1.5.3.5: the server's OUT channel is

    def _out_a2(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        _must_be_ours(pdu)
        self.next_source = self._channel(Direction.OUT)
        self.next_source.plugged = True
        self.phases[Direction.OUT] = Phase.OUT_A6
        events.append(OpenChannel(self.next_source))

    def _out_r1_a6(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        _must_be_ours(pdu)
        assert self.next_source is not None
        self._control(events, "OUT_R1/A7", Forward.SERVER, self.next_source.cookie)
        self.phases[Direction.OUT] = Phase.OUT_A10

    def _out_r2_a6(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        _must_be_ours(pdu)
        assert self.next_source is not None
        self._control(events, "OUT_R2/A7", Forward.SERVER, self.next_source.cookie, 1)
        self._write(self.next_source, rts("OUT_R2/C1").pack(), events)
        self.phases[Direction.OUT] = Phase.OUT_B3

    def _out_a10(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        assert self.next_source is not None
        self._write(self.next_source, rts("OUT_R1/A11").pack(), events)
        self._out_b3(channel, pdu, events)

    def _out_b3(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        assert self.next_source is not None
        self.phases[Direction.OUT] = Phase.STEADY
        self._succeed(self.next_source, events)


def _must_be_ours(pdu: RtsPdu) -> None:
    destination = pdu.commands[0]
    if isinstance(destination, Destination) and destination.value != Forward.CLIENT:
        raise ChannelError(f"{pdu.name} for {destination.value}")
