"""A virtual connection of RPC over HTTP version 2 without its sockets: bytes in, events out. [MS-RPCH] 3.2.1.

What both roles share: channels, flow control, and what becomes of PDUs. `rpch_server.py` is inbound proxy, outbound
proxy and server in one, `rpch_client.py` the client. The source is the channel that RPC PDUs come on (a server's IN
channel, a client's OUT channel), the sink the one that they leave on; either may have a successor on its way.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from openchange_py.rpc.fragments import Framer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.rpch import RTS, FlowControlAck, Forward, RtsFlag, RtsPdu, rts

#: 2.2.3.5.1, bytes; ours is what Windows has.
SMALLEST_WINDOW: Final = 8 << 10
LARGEST_WINDOW: Final = 256 << 10
WINDOW: Final = 64 << 10
#: 2.2.3.5.5, bytes.
SHORTEST_LIFETIME: Final = 128 << 10
LONGEST_LIFETIME: Final = 2 << 30
LIFETIME: Final = 1 << 30
#: 2.2.3.5.3, milliseconds.
SHORTEST_TIMEOUT: Final = 120_000
LONGEST_TIMEOUT: Final = 14_400_000
#: Bytes of a channel's lifetime that are kept for RTS PDUs: those of its recycling, acknowledgements and pings.
_RESERVE: Final = 4096
#: What may come on a successor before its turn.
_AHEAD: Final = 128 << 10


class ChannelError(Exception):
    """The peer sent what the protocol does not allow; the text says what, for the log."""


class Direction(enum.Enum):
    """Of a channel, as the client sees it."""

    IN = "IN"
    OUT = "OUT"


class Place(enum.Enum):
    """What a channel is to its virtual connection."""

    NEW = "new"
    SOURCE = "source"
    SINK = "sink"
    NEXT_SOURCE = "successor of the source"
    NEXT_SINK = "successor of the sink"


class Phase(enum.Enum):
    """Where a direction is: not there yet, steady, or in one of the sequences of 3.2.1.5.3, awaiting a PDU."""

    ABSENT = "no channel"
    STEADY = "opened"
    CONN_A3 = "CONN/A3 awaited"
    CONN_C2 = "CONN/C2 awaited"
    IN_A4 = "IN_R1/A4 or IN_R2/A4 awaited"
    IN_A5 = "IN_R2/A5 awaited"
    OUT_A3 = "OUT_R2/A3 awaited"
    OUT_A6 = "OUT_R1/A6 or OUT_R2/A6 awaited"
    OUT_A7_C1 = "OUT_R2/A7 and OUT_R2/C1 awaited"
    OUT_A7 = "OUT_R2/A7 awaited"
    OUT_C1 = "OUT_R2/C1 awaited"
    OUT_A10 = "OUT_R1/A10 awaited"
    OUT_B3 = "OUT_R2/B3 awaited"

    # Looked up for every RTS PDU; Enum's own hash is Python code.
    __hash__ = object.__hash__


class ReceiveWindow:
    """What we let the peer send on a channel, 3.2.1.1.5.1. Only RPC PDUs count."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.received = self.held = 0
        #: What the peer knows to be free.
        self._advertised = size

    def take(self, count: int) -> None:
        """A PDU came."""
        if count > self._advertised:
            raise ChannelError(f"a PDU of {count} bytes where the receive window has {self._advertised}")
        self._advertised -= count
        self.received += count
        self.held += count

    def consume(self, count: int) -> bool:
        """A PDU was handed on; true where the peer should be told what is free: half a window more than it knows."""
        self.held -= count
        return self.size - self.held - self._advertised >= self.size // 2

    def acknowledgement(self, channel: uuid.UUID) -> FlowControlAck:
        """What to tell the peer now."""
        self._advertised = self.size - self.held
        return FlowControlAck(self.received, self._advertised, channel)


class SendWindow:
    """What the peer lets us send on a channel."""

    def __init__(self, size: int) -> None:
        if not SMALLEST_WINDOW <= size <= LARGEST_WINDOW:
            raise ChannelError(f"a receive window of {size} bytes")
        self.size = self.available = size
        self.sent = 0

    def use(self, count: int) -> None:
        """A PDU is on its way."""
        self.sent += count
        self.available -= count

    def acknowledge(self, ack: FlowControlAck) -> None:
        """3.2.1.4.1.2."""
        under_way = self.sent - ack.bytes_received
        if under_way < 0 or not under_way <= ack.available_window <= self.size:
            raise ChannelError(f"{ack} where {self.sent} bytes were sent, and the window has {self.size}")
        self.available = ack.available_window - under_way


class Channel:
    """One HTTP request whose body, or whose response's body, is a stream of PDUs.

    `owner` is the transport's. `length` bytes may come, `lifetime` bytes may leave.
    """

    def __init__(self, direction: Direction, length: int = LONGEST_LIFETIME, owner: Any = None) -> None:
        self.direction = direction
        self.owner = owner
        self.cookie = uuid.UUID(int=0)
        self.connection: VirtualConnection | None = None
        self.framer = Framer()
        self.receive_window = ReceiveWindow(WINDOW)
        self.send_window: SendWindow | None = None
        #: What comes waits for what is still to come on the predecessor.
        self.plugged = False
        #: The head of the request, or response, is on its way: bytes may follow.
        self.writable = False
        self.closed = False
        self.lifetime = LIFETIME
        self.sent = 0
        self._expected = length

    def feed(self, data: bytes) -> None:
        """Bytes came. `ChannelError` where there are more than were announced, or than anybody wants now."""
        self._expected -= len(data)
        if self._expected < 0:
            raise ChannelError("more than its Content-Length announced")
        self.framer.feed(data)
        if self.plugged and self.framer.pending > _AHEAD:
            raise ChannelError(f"{self.framer.pending} bytes before the predecessor ended")

    @property
    def left(self) -> int:
        """Bytes that RPC PDUs may still take."""
        return self.lifetime - self.sent - _RESERVE

    def __str__(self) -> str:
        return f"{self.direction.value} channel {str(self.cookie)[:8]}"


class RpchEvent:
    """Something to be done, in this order."""

    __slots__ = ()


@dataclasses.dataclass(slots=True)
class Write(RpchEvent):
    """Put bytes on a channel."""

    channel: Channel
    data: bytes


@dataclasses.dataclass(slots=True)
class PduReceived(RpchEvent):
    """An RPC PDU came."""

    data: bytes


@dataclasses.dataclass(slots=True)
class Established(RpchEvent):
    """The virtual connection came to be."""


@dataclasses.dataclass(slots=True)
class AnswerBegins(RpchEvent):
    """Write the head of an OUT channel's response, with its `lifetime` as Content-Length."""

    channel: Channel


@dataclasses.dataclass(slots=True)
class OpenChannel(RpchEvent):
    """A client's: make a request for this channel, and tell `ready` when its head is on the way."""

    channel: Channel


@dataclasses.dataclass(slots=True)
class CloseChannel(RpchEvent):
    """Close a channel once what was written is gone. `reason` is empty where all is as it should be."""

    channel: Channel
    reason: str = ""


@dataclasses.dataclass(slots=True)
class ChannelElsewhere(RpchEvent):
    """A server's: the channel is of another process' virtual connection (`rpc.share`), which is to have it with all
    that came on it.
    """

    channel: Channel
    process: int


@dataclasses.dataclass(slots=True)
class Ended(RpchEvent):
    """The virtual connection is no more: close its channels."""

    reason: str


Transitions = Mapping[tuple[Direction, Phase], Mapping[tuple[Place, str], str]]


class VirtualConnection:
    """What the roles share. A subclass declares which PDUs are legal when and where, and the methods that take them:
    `(channel, pdu, events)`.
    """

    transitions: ClassVar[Transitions] = {}
    #: Where acknowledgements of what was received are to go.
    acknowledges_to: ClassVar[Forward]

    def __init__(self, cookie: uuid.UUID) -> None:
        self.cookie = cookie
        self.phases = {Direction.IN: Phase.ABSENT, Direction.OUT: Phase.ABSENT}
        self.source: Channel | None = None
        self.sink: Channel | None = None
        self.next_source: Channel | None = None
        self.next_sink: Channel | None = None
        self.opened = self.closed = False
        #: The transport's.
        self.owner: Any = None
        #: Bytes of RPC PDUs that wait for the peer's window.
        self.queued = 0
        self._reading = True
        self._received: collections.deque[tuple[Channel, bytes]] = collections.deque()
        self._queue: collections.deque[bytes] = collections.deque()
        self._control_queue: list[bytes] = []

    def channels(self) -> list[Channel]:
        """All that belong to it now."""
        known = (self.source, self.sink, self.next_source, self.next_sink)
        return [channel for channel in known if channel is not None]

    # What the owner calls

    def receive(self, channel: Channel, data: bytes) -> list[RpchEvent]:
        """Bytes came on a channel. Whatever they are, the result is events, never an exception."""
        events: list[RpchEvent] = []
        if not self.closed and not channel.closed:
            try:
                channel.feed(data)
                self._read(channel, events)
            except (ChannelError, DecodeError) as error:
                self.end(f"{channel}: {error}", events)
        return events

    def send(self, pdus: bytes) -> list[RpchEvent]:
        """Send whole RPC PDUs as soon as the peer's window and the channel allow."""
        events: list[RpchEvent] = []
        framer = Framer()
        framer.feed(pdus)
        while (pdu := framer.next()) is not None:
            self._queue.append(pdu)
            self.queued += len(pdu)
        self._guarded(self._flush, events)
        return events

    def pause_reading(self) -> None:
        """Hand no more PDUs on: they stay in the receive window, which the peer respects."""
        self._reading = False

    def resume_reading(self) -> list[RpchEvent]:
        """Hand PDUs on again, those that waited first."""
        self._reading = True
        events: list[RpchEvent] = []
        self._guarded(self._consume, events)
        return events

    def ping(self) -> list[RpchEvent]:
        """Nothing was sent for long: keep whatever stands between from closing the channel."""
        events: list[RpchEvent] = []
        if self.sink is not None and self.sink.writable:
            self._guarded(lambda events: self._control(events, "Ping"), events)
        return events

    def lost(self, channel: Channel) -> list[RpchEvent]:
        """A channel's connection is gone, without which the virtual connection cannot be."""
        events: list[RpchEvent] = []
        if channel in self.channels():
            self.end(f"{channel} was lost", events)
        return events

    def end(self, reason: str, events: list[RpchEvent]) -> None:
        """All is over."""
        if not self.closed:
            self.closed = True
            self.opened = False
            self.queued = 0
            self._queue.clear()
            self._received.clear()
            events.append(Ended(reason))

    def _guarded(self, action: Any, events: list[RpchEvent]) -> None:
        if self.closed:
            return
        try:
            action(events)
        except ChannelError as error:
            self.end(str(error), events)

    # Receiving

    def _read(self, channel: Channel, events: list[RpchEvent]) -> None:
        """Take all whole PDUs of a channel whose turn it is."""
        while not (channel.plugged or channel.closed or self.closed):
            raw = channel.framer.next()
            if raw is None:
                return
            if raw[2] == RTS:
                self.take(channel, RtsPdu.unpack(raw), events)
            else:
                self._take_rpc(channel, raw, events)

    def take(self, channel: Channel, pdu: RtsPdu, events: list[RpchEvent]) -> None:
        """An RTS PDU came."""
        if pdu.flags == RtsFlag.PING and not pdu.commands:
            return
        if pdu.commands and isinstance(ack := pdu.commands[-1], FlowControlAck) and channel is self.source:
            self._acknowledged(ack, events)
            return
        place = self._place(channel)
        for direction, phase in self.phases.items():
            for (where, name), method in self.transitions.get((direction, phase), {}).items():
                if where is place and pdu.is_a(name):
                    getattr(self, method)(channel, pdu, events)
                    return
        phases = ", ".join(f"{direction.value} {phase.value}" for direction, phase in self.phases.items())
        raise ChannelError(f"{pdu.name} on the {place.value} channel, where {phases}")

    def _place(self, channel: Channel) -> Place:
        if channel is self.source:
            return Place.SOURCE
        if channel is self.sink:
            return Place.SINK
        if channel is self.next_source:
            return Place.NEXT_SOURCE
        return Place.NEXT_SINK if channel is self.next_sink else Place.NEW

    def _take_rpc(self, channel: Channel, raw: bytes, events: list[RpchEvent]) -> None:
        if channel is not self.source or not self.opened:
            raise ChannelError(f"an RPC PDU on the {self._place(channel).value} channel")
        channel.receive_window.take(len(raw))
        self._received.append((channel, raw))
        self._consume(events)

    def _consume(self, events: list[RpchEvent]) -> None:
        while self._reading and self._received:
            channel, raw = self._received.popleft()
            events.append(PduReceived(raw))
            if channel.receive_window.consume(len(raw)) and channel is self.source:
                ack = channel.receive_window.acknowledgement(channel.cookie)
                self._control(events, "FlowControlAckWithDestination", self.acknowledges_to, ack)

    def _acknowledged(self, ack: FlowControlAck, events: list[RpchEvent]) -> None:
        """3.2.1.5.1.2: acknowledgements of channels that are gone are nothing."""
        if self.sink is not None and self.sink.send_window is not None and ack.channel == self.sink.cookie:
            self.sink.send_window.acknowledge(ack)
            self._flush(events)

    # Sending

    def _control(self, events: list[RpchEvent], name: str, *values: int | uuid.UUID | FlowControlAck) -> None:
        """Send an RTS PDU on the sink: they pass by what waits for the peer's window."""
        data = rts(name, *values).pack()
        if self.sink is None or not self.sink.writable:
            self._control_queue.append(data)
        else:
            self._write(self.sink, data, events)

    def _flush(self, events: list[RpchEvent]) -> None:
        """Send what waits, as far as the channel and the peer's window reach."""
        sink = self.sink
        if sink is None or not sink.writable:
            return
        for data in self._control_queue:
            self._write(sink, data, events)
        self._control_queue.clear()
        window = sink.send_window
        while self._queue and self.opened and window is not None:
            size = len(self._queue[0])
            if size > min(window.available, sink.left):
                break
            window.use(size)
            self.queued -= size
            self._write(sink, self._queue.popleft(), events)
        if self.opened and self.phases[sink.direction] is Phase.STEADY and sink.left < _threshold(sink.lifetime):
            self._recycle(events)

    def _write(self, channel: Channel, data: bytes, events: list[RpchEvent]) -> None:
        channel.sent += len(data)
        if channel.sent > channel.lifetime:
            raise ChannelError(f"{channel} is used up, and was not recycled")
        if events and isinstance(last := events[-1], Write) and last.channel is channel:
            last.data += data
        else:
            events.append(Write(channel, data))

    def _recycle(self, events: list[RpchEvent]) -> None:
        """The sink is nearly used up: begin to replace it."""
        raise NotImplementedError(type(self).__name__)

    def _succeed(self, channel: Channel, events: list[RpchEvent]) -> None:
        """The source's successor takes its place; what came on it already is read now."""
        predecessor, self.source, self.next_source = self.source, channel, None
        self._close(predecessor, events)
        channel.plugged = False
        self._read(channel, events)

    def _close(self, channel: Channel | None, events: list[RpchEvent]) -> None:
        if channel is not None:
            channel.closed = True
            events.append(CloseChannel(channel))


def _threshold(lifetime: int) -> int:
    """Recycling begins where so many bytes are left: some round trips' worth, and little of the channel."""
    return min(1 << 20, lifetime // 4)
