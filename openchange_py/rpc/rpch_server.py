"""The server's side of RPC over HTTP version 2: both proxies and the server in one. [MS-RPCH] 3.2.3 to 3.2.5.

What these three say to each other over the network where they are three (CONN/A2, IN_R1/A6, OUT_R2/B1 and so on) are
calls here, and so a successor channel always meets the proxy of its predecessor: the sequences are IN_R2 and OUT_R2.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Hashable
from typing import ClassVar, Final

from openchange_py.rpc.rpch import (
    LIFETIME,
    SHORTEST_LIFETIME,
    WINDOW,
    AnswerBegins,
    Channel,
    ChannelElsewhere,
    ChannelError,
    CloseChannel,
    Direction,
    Established,
    Phase,
    Place,
    ReceiveWindow,
    RpchEvent,
    SendWindow,
    Transitions,
    VirtualConnection,
)
from openchange_py.rpc.share import Share
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.rpch import (
    RTS,
    ChannelLifetime,
    ClientKeepalive,
    Command,
    Cookie,
    Destination,
    Forward,
    ReceiveWindowSize,
    RtsFlag,
    RtsPdu,
    Version,
)

#: 2.2.3.5.6, milliseconds.
_SHORTEST_KEEPALIVE: Final = 60_000


@dataclasses.dataclass(frozen=True, slots=True)
class RpchSettings:
    """What a server tells its clients: bytes, and milliseconds after which a silent channel may be cut off."""

    window: int = WINDOW
    lifetime: int = LIFETIME
    timeout: int = 180_000


class ServerVirtualConnection(VirtualConnection):
    """One client's virtual connection. Its first channel may be either one."""

    acknowledges_to = Forward.CLIENT
    transitions: ClassVar[Transitions] = {
        (Direction.OUT, Phase.ABSENT): {(Place.NEW, "CONN/A1"): "_conn_a1"},
        (Direction.IN, Phase.ABSENT): {(Place.NEW, "CONN/B1"): "_conn_b1"},
        (Direction.IN, Phase.STEADY): {
            (Place.NEW, "IN_R2/A1"): "_in_a1",
            (Place.SOURCE, "Keep-Alive"): "_keep_alive",
        },
        (Direction.IN, Phase.IN_A5): {
            (Place.SOURCE, "IN_R2/A5"): "_in_a5",
            (Place.SOURCE, "Keep-Alive"): "_keep_alive",
        },
        (Direction.OUT, Phase.OUT_A3): {(Place.NEW, "OUT_R2/A3"): "_out_a3"},
        (Direction.OUT, Phase.OUT_A7_C1): {
            (Place.SOURCE, "OUT_R2/A7"): "_out_a7",
            (Place.SOURCE, "OUT_R1/A7"): "_out_a7",
            (Place.NEXT_SINK, "OUT_R2/C1"): "_out_c1",
        },
        (Direction.OUT, Phase.OUT_A7): {
            (Place.SOURCE, "OUT_R2/A7"): "_out_a7",
            (Place.SOURCE, "OUT_R1/A7"): "_out_a7",
        },
        (Direction.OUT, Phase.OUT_C1): {(Place.SINK, "OUT_R2/C1"): "_out_c1"},
    }

    def __init__(self, cookie: uuid.UUID, who: Hashable, settings: RpchSettings) -> None:
        super().__init__(cookie)
        #: Whose it is: all its channels are the same client's, for the same port.
        self.who = who
        self.settings = settings
        #: Milliseconds that the client asks for between signs of life; 0: as we like.
        self.client_keepalive = 0
        #: Milliseconds, where the client's OUT channel asked for another time-out than ours; else 0.
        self.min_timeout = 0

    @property
    def timeout(self) -> int:
        """Milliseconds of silence after which a channel may be cut off."""
        return self.min_timeout or self.settings.timeout

    @property
    def ping_interval(self) -> float:
        """Seconds of sending nothing after which a ping is due: half of what the client bears (3.2.1.2.1)."""
        return min(self.timeout, self.client_keepalive or self.timeout) / 2000

    @property
    def complete(self) -> bool:
        """Both channels are there."""
        return self.source is not None and self.sink is not None

    # CONN, 3.2.1.5.3.1

    def _conn_a1(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        self._attach(channel, pdu, pdu.commands[2])
        self.sink, self.phases[Direction.OUT] = channel, Phase.STEADY
        self._answer(channel, events)
        self._control(events, "CONN/A3", self.timeout)
        self._establish(events)

    def _conn_b1(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        lifetime, keepalive = pdu.commands[3], pdu.commands[4]
        assert isinstance(lifetime, ChannelLifetime)
        if lifetime.value < SHORTEST_LIFETIME:
            raise ChannelError(f"a channel lifetime of {lifetime.value} bytes")
        self._set_keepalive(keepalive)
        self._attach(channel, pdu, pdu.commands[2])
        self.source, self.phases[Direction.IN] = channel, Phase.STEADY
        self._establish(events)

    def _establish(self, events: list[RpchEvent]) -> None:
        if self.complete:
            self.opened = True
            self._control(events, "CONN/C2", 1, self.settings.window, self.timeout)
            events.append(Established())

    def _attach(self, channel: Channel, pdu: RtsPdu, cookie: Command) -> None:
        """A channel's first PDU: who it is, and the client's window where it receives."""
        version, window = pdu.commands[0], pdu.commands[-1]
        assert isinstance(version, Version)  # its shape was compared
        assert isinstance(cookie, Cookie)
        if version.value < 1:
            raise ChannelError(f"version {version.value}")
        if isinstance(window, ReceiveWindowSize):
            channel.send_window = SendWindow(window.value)
        channel.cookie = cookie.value
        channel.receive_window = ReceiveWindow(self.settings.window)
        channel.lifetime = self.settings.lifetime
        channel.connection = self

    def _answer(self, channel: Channel, events: list[RpchEvent]) -> None:
        events.append(AnswerBegins(channel))
        channel.writable = True

    def _keep_alive(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        """2.2.4.46."""
        self._set_keepalive(pdu.commands[0])

    def _set_keepalive(self, command: Command) -> None:
        assert isinstance(command, ClientKeepalive)
        if 0 < command.value < _SHORTEST_KEEPALIVE:
            raise ChannelError(f"a keep-alive interval of {command.value} ms")
        self.client_keepalive = command.value

    # IN_R2, 3.2.1.5.3.3: the client's IN channel is nearly used up

    def _in_a1(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        self._must_succeed(self.source, pdu)
        self._attach(channel, pdu, pdu.commands[3])
        channel.plugged = True
        self.next_source, self.phases[Direction.IN] = channel, Phase.IN_A5
        self._control(events, "IN_R2/A4", Forward.CLIENT)

    def _in_a5(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        assert self.next_source is not None
        _must_name(self.next_source, pdu.commands[0])
        self.phases[Direction.IN] = Phase.STEADY
        self._succeed(self.next_source, events)

    # OUT_R2, 3.2.1.5.3.5: ours is

    def _recycle(self, events: list[RpchEvent]) -> None:
        self.phases[Direction.OUT] = Phase.OUT_A3
        self._control(events, "OUT_R2/A2", Forward.CLIENT)

    def _out_a3(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        self._must_succeed(self.sink, pdu)
        self._attach(channel, pdu, pdu.commands[3])
        self.next_sink, self.phases[Direction.OUT] = channel, Phase.OUT_A7_C1
        self._control(events, "OUT_R2/A6", Forward.CLIENT)

    def _out_a7(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        """Say that the predecessor ends, and go on with the successor once its request is whole.

        What waits for the window of the predecessor (3.2.4.5.10 would send it there) goes on the successor: the
        client reads one behind the other.
        """
        successor, predecessor = self.next_sink, self.sink
        destination = pdu.commands[0]
        assert successor is not None
        assert isinstance(destination, Destination)
        if destination.value != Forward.SERVER:
            raise ChannelError(f"{pdu.name} for {destination.value}")
        _must_name(successor, pdu.commands[1])
        self._control(events, "OUT_R2/B3")
        self.sink, self.next_sink = successor, None
        self._close(predecessor, events)
        if self.phases[Direction.OUT] is Phase.OUT_A7:
            self._go_on(successor, events)
        else:
            self.phases[Direction.OUT] = Phase.OUT_C1

    def _out_c1(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        if self.phases[Direction.OUT] is Phase.OUT_C1:
            self._go_on(channel, events)
        else:
            self.phases[Direction.OUT] = Phase.OUT_A7

    def _go_on(self, channel: Channel, events: list[RpchEvent]) -> None:
        self.phases[Direction.OUT] = Phase.STEADY
        self._answer(channel, events)
        self._flush(events)

    def _must_succeed(self, predecessor: Channel | None, pdu: RtsPdu) -> None:
        assert predecessor is not None
        _must_name(predecessor, pdu.commands[2])


def _must_name(channel: Channel, cookie: Command) -> None:
    assert isinstance(cookie, Cookie)
    if channel.cookie != cookie.value:
        raise ChannelError(f"it names channel {cookie.value}, which {channel} is not")


#: Which PDU a channel may begin with. IN_R1/A1 and OUT_R1/A3 look like these.
_FIRST: Final = {
    Direction.IN: ("CONN/B1", "IN_R2/A1"),
    Direction.OUT: ("CONN/A1", "OUT_R2/A3"),
}


class VirtualConnections:
    """The virtual connections of a server, by their cookies, and channels on their way to one (3.2.3.1, 3.2.4.1).

    Cookies are the client's, and either channel may come first, to any process: `share` says whose a cookie is.
    """

    def __init__(self, settings: Callable[[], RpchSettings] = RpchSettings, share: Share | None = None) -> None:
        self._settings = settings
        self._share = share or Share()
        self._by_cookie: dict[uuid.UUID, ServerVirtualConnection] = {}

    def __len__(self) -> int:
        return len(self._by_cookie)

    def receive(self, channel: Channel, who: Hashable, data: bytes, min_timeout: int = 0) -> list[RpchEvent]:
        """Bytes came on a channel of `who`, of a new one too. What is wrong with a new one is its own fault alone."""
        connection = channel.connection
        if connection is not None:
            return connection.receive(channel, data)
        events: list[RpchEvent] = []
        if channel.closed:
            return events
        try:
            channel.feed(data)
            raw = channel.framer.next()
            if raw is None:
                return events
            self._join(channel, who, raw, min_timeout, events)
        except (ChannelError, DecodeError) as error:
            if channel.connection is not None:
                channel.connection.end(str(error), events)
                return events
            channel.closed = True
            return [CloseChannel(channel, f"{channel.direction.value} channel: {error}")]
        if channel.connection is None:
            channel.closed = True  # it is another process' from now on
            return events
        return events + channel.connection.receive(channel, b"")

    def _join(self, channel: Channel, who: Hashable, raw: bytes, min_timeout: int, events: list[RpchEvent]) -> None:
        """A channel's first PDU says which virtual connection it belongs to."""
        if raw[2] != RTS:
            raise ChannelError("an RPC PDU, and no RTS PDU before it")
        pdu = RtsPdu.unpack(raw)
        opens, succeeds = _FIRST[channel.direction]
        if not (pdu.is_a(opens) or pdu.is_a(succeeds)):
            raise ChannelError(f"it begins with {pdu.name}")
        cookie = pdu.commands[1]
        assert isinstance(cookie, Cookie)
        elsewhere = self._share.elsewhere(cookie.value.int)
        if elsewhere is not None:
            events.append(ChannelElsewhere(channel, elsewhere))
            return
        connection = self._by_cookie.get(cookie.value)
        if connection is None:
            if not pdu.is_a(opens):
                raise ChannelError(f"{pdu.name} of virtual connection {cookie.value}, which is not known")
            connection = ServerVirtualConnection(cookie.value, who, self._settings())
        elif connection.who != who:
            raise ChannelError(f"the cookie of somebody else's virtual connection ({connection.who})")
        if channel.direction is Direction.OUT and pdu.is_a(opens):
            connection.min_timeout = min_timeout
        connection.take(channel, pdu, events)
        self._by_cookie[cookie.value] = connection

    def forget(self, connection: ServerVirtualConnection) -> None:
        """It ended."""
        if self._by_cookie.get(connection.cookie) is connection:
            del self._by_cookie[connection.cookie]


def is_echo(content_length: int | None) -> bool:
    """2.1.2.1.5: a request with so short a body wants nothing but an Echo."""
    return content_length is not None and content_length <= 0x10


ECHO: Final = RtsPdu(RtsFlag.ECHO).pack()
