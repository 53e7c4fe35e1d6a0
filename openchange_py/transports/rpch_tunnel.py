"""One virtual connection of RPC over HTTP as a transport, and the HTTP connections that carry it. [MS-RPCH] 3.2.

A `ServerConnection` takes a `Tunnel` for its socket. What it writes waits here for the client's receive window, and
what comes is held in ours while it does not want to read: never is an IN channel left unread, because the client's
acknowledgements come on it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from openchange_py.rpc.fragments import Framer
from openchange_py.rpc.peers import address_of
from openchange_py.rpc.rpch import (
    LONGEST_LIFETIME,
    AnswerBegins,
    Channel,
    CloseChannel,
    Direction,
    Ended,
    Established,
    PduReceived,
    RpchEvent,
    Write,
)
from openchange_py.rpc.rpch_server import ServerVirtualConnection
from openchange_py.rpc.security import Identity
from openchange_py.transports.http_request import HttpReceiver, HttpRequest
from openchange_py.transports.rpch_transport import VirtualTransport
from openchange_py.transports.splice import Splice
from openchange_py.transports.tcp_connection import ServerConnection

if TYPE_CHECKING:
    from openchange_py.transports.rpch import RpchServer, RpcProxy

_log: Final = logging.getLogger(__name__)

#: RPC_S_SERVER_UNAVAILABLE, as the proxy tells errors: 2.1.2.1.3.
UNAVAILABLE: Final = 0x6BA


class Tunnel(VirtualTransport):
    """A virtual connection, from its first channel on."""

    def __init__(self, proxy: RpcProxy, server: RpchServer, connection: ServerVirtualConnection) -> None:
        super().__init__(connection)
        self._proxy = proxy
        self._server = server
        self._connection: ServerVirtualConnection = connection
        #: Another process' where the client joined a group that is there.
        self._inner: ServerConnection | Splice | None = None
        self._stopping = False
        self._heard_at = self._loop.time()

    def __str__(self) -> str:
        return f"[rpch {str(self._connection.cookie)[:8]}]"

    def received(self, channel: Channel, data: bytes) -> None:
        """Bytes came on one of its channels."""
        self._heard_at = self._loop.time()
        super().received(channel, data)

    def _user(self) -> ServerConnection | Splice | None:
        return self._inner

    def _do(self, event: RpchEvent) -> None:
        if isinstance(event, PduReceived):
            if isinstance(self._inner, ServerConnection):
                # Its bytes were counted where they came out of the socket.
                self._server.metrics.bytes_received -= len(event.data)
            if self._inner is not None:
                self._inner.data_received(event.data)
        elif isinstance(event, Write):
            self._sent_at = self._loop.time()
            _carrier(event.channel).write(event.data)
        elif isinstance(event, AnswerBegins):
            _carrier(event.channel).answer(event.channel.lifetime)
        elif isinstance(event, CloseChannel):
            _carrier(event.channel).close(event.reason)
        elif isinstance(event, Established):
            self._establish()
        elif isinstance(event, Ended):
            self._end(event.reason)

    def _establish(self) -> None:
        sink = self._connection.sink
        assert sink is not None
        carrier = _carrier(sink)
        self._extra = {
            "peername": (address_of(carrier.peer), int(carrier.peer.rpartition(":")[2] or 0)),
            "sockname": carrier.local,
            "caller": carrier.caller,
        }
        self._inner = self._server.connection()
        _log.debug("%s is %s", self, carrier)
        self._inner.connection_made(self)
        self._set_timer()

    def _end(self, reason: str) -> None:
        self._proxy.forget(self._connection)
        if self._timer is not None:
            self._timer.cancel()
        level = logging.DEBUG if self._closing or reason.endswith("was lost") else logging.WARNING
        _log.log(level, "%s %s ended: %s", self, self._inner or "", reason)
        self._closing = True
        for channel in self._connection.channels():
            _carrier(channel).close("" if self._connection.complete else reason)
        inner, self._inner = self._inner, None
        if inner is not None:
            self._loop.call_soon(inner.connection_lost, None)

    # Time

    def _set_timer(self) -> None:
        self._timer = self._loop.call_later(self._connection.ping_interval, self._check_time)

    def _check_time(self) -> None:
        """Ping a client that was told nothing for long; end what nothing was heard of in two time-outs.

        A client has to ping within one (3.2.2.6.1); some that were never meant to be idle do not.
        """
        if self._loop.time() - self._heard_at > self._connection.timeout / 500:
            self.give_up("nothing was heard of the client for too long")
            return
        if self._is_quiet():
            self.run(self._connection.ping())
        if not self._closing:
            self._set_timer()

    def pass_on(self) -> tuple[dict[str, Any], int]:
        """Another process is to have what is inside: what it must know of the client, and the file to give it."""
        splice, file = _PduSplice.of(self)
        inner, self._inner = self._inner, splice
        if inner is not None:
            self._loop.call_soon(inner.connection_lost, None)
        if self._blocked:
            splice.pause_writing()
        return {**self._extra, "caller": self._extra["caller"].told()}, file

    def abort(self) -> None:
        """See `VirtualTransport.abort`."""
        self._closing = True
        super().abort()

    def shut_down(self) -> None:
        """The server stops, as each of the channels is told."""
        if self._stopping:
            return
        self._stopping = True
        if self._inner is not None:
            self._inner.shut_down()
        else:
            self.abort()


class _PduSplice(Splice):
    """What is inside of a tunnel and another process': the tunnel takes whole PDUs alone."""

    def __init__(self, near: asyncio.Transport, end: socket.socket) -> None:
        super().__init__(near, end)
        self._framer = Framer()

    def write(self, data: bytes) -> None:
        self._framer.feed(data)
        while (pdu := self._framer.next()) is not None:
            super().write(pdu)


@dataclasses.dataclass(frozen=True, slots=True)
class ChannelHead:
    """What the HTTP request of a channel said, and who sent it."""

    direction: Direction
    #: Bytes that may come.
    length: int
    port: int
    peer: str
    #: The address of ours that the client reached.
    local: Any
    caller: Identity
    #: 2.1.2.1.2: the time-out that the client wants, in milliseconds; 0: ours.
    min_timeout: int
    name: str
    expects_100: bool

    @classmethod
    def of(cls, request: HttpRequest, port: int) -> ChannelHead:
        """A request's."""
        length = request.content_length
        return cls(
            Direction.IN if request.method == "RPC_IN_DATA" else Direction.OUT,
            LONGEST_LIFETIME if length is None else length,
            port,
            request.channel.peer,
            None,
            request.caller,
            _min_timeout(request),
            str(request),
            "100-continue" in request.headers.get("expect").lower(),
        )

    def told(self, local: Any) -> dict[str, Any]:
        """As another process is told, which has nothing to say in advance any more."""
        head = dataclasses.asdict(dataclasses.replace(self, caller=dataclasses.replace(self.caller, delegated=None)))
        return head | {
            "direction": self.direction.value,
            "caller": self.caller.told(),
            "local": local,
            "expects_100": False,
        }

    @classmethod
    def of_told(cls, told: Mapping[str, Any]) -> ChannelHead:
        """What another process told."""
        fields = {field.name: told[field.name] for field in dataclasses.fields(cls)}
        fields["direction"] = Direction(told["direction"])
        fields["caller"] = Identity.of(told["caller"])
        fields["local"] = told["local"] and tuple(told["local"])
        return cls(**fields)


class Carrier(HttpReceiver):
    """The HTTP connection of one channel. `begun` came already where another process accepted it."""

    def __init__(self, proxy: RpcProxy, server: RpchServer, head: ChannelHead, begun: bytes = b"") -> None:
        self.head = head
        self.channel = Channel(head.direction, head.length, self)
        self.server = server
        self.peer = head.peer
        self.caller = head.caller
        self.local: Any = head.local
        self.min_timeout = head.min_timeout
        #: What came before its first PDU told whose it is.
        self.begun = b""
        self._proxy = proxy
        self._first = begun
        self._splice: Splice | None = None
        self._transport: asyncio.Transport | None = None
        self._answered = False
        self._timer: asyncio.TimerHandle | None = None

    def __str__(self) -> str:
        return self.head.name

    @property
    def address(self) -> str:
        """The client's, without its port."""
        return address_of(self.peer)

    @property
    def tunnel(self) -> Tunnel | None:
        """What it belongs to; None before its first PDU told."""
        connection = self.channel.connection
        return None if connection is None else cast("Tunnel | None", connection.owner)

    # The connection's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self.local is None:
            self.local = transport.get_extra_info("sockname")
        if self.head.expects_100:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        seconds = self.server.limits.handshake_seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._check_joined)
        first, self._first = self._first, b""
        if first:
            self._proxy.received(self, first)

    def data_received(self, data: bytes) -> None:
        if self._splice is not None:
            self._splice.data_received(data)
        else:
            self._proxy.received(self, data)

    def pause_writing(self) -> None:
        if self._splice is not None:
            self._splice.pause_writing()
        elif self.tunnel is not None:
            self.tunnel.socket_full(True)

    def resume_writing(self) -> None:
        if self._splice is not None:
            self._splice.resume_writing()
        elif self.tunnel is not None:
            self.tunnel.socket_full(False)

    def eof_received(self) -> bool:
        """Nobody closes one half of a channel."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._splice is not None:
            self._splice.connection_lost(exc)
        self._proxy.lost(self)

    def shut_down(self) -> None:
        """See `HttpReceiver`."""
        if self._splice is not None:
            self._splice.shut_down()
        elif self.tunnel is not None:
            self.tunnel.shut_down()
        else:
            self.abort()

    def pass_on(self) -> int:
        """Another process is to have the channel: the file to give it."""
        assert self._transport is not None
        if self._timer is not None:
            self._timer.cancel()
        self._splice, file = Splice.of(self._transport)
        return file

    # What the tunnel asks for

    def write(self, data: bytes) -> None:
        """Put bytes on the connection."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def answer(self, lifetime: int) -> None:
        """2.1.2.1.4: the response whose body the OUT channel is."""
        self._answered = True
        self.write(
            b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nCache-Control: private\r\n"
            b"Content-Length: %d\r\n\r\n" % lifetime
        )

    def close(self, reason: str) -> None:
        """Close behind what was written. A client that never was answered is told: 2.1.2.1.3."""
        if self._transport is None:
            return
        if reason:
            _log.warning("%s closed: %s", self, reason)
            if not self._answered:
                self.write(b"HTTP/1.0 503 RPC Error: %x\r\nContent-Length: 0\r\n\r\n" % UNAVAILABLE)
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
        seconds = self.server.limits.write_seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _check_joined(self) -> None:
        """A channel that did not become a part of a whole connection in time is given up."""
        connection = self.channel.connection
        if connection is None:
            self._proxy.lost(self)
            self.close("no RTS PDU came")
        elif not connection.opened or self.channel in (connection.next_sink, connection.next_source):
            tunnel = self.tunnel
            assert tunnel is not None
            tunnel.give_up(f"{self.channel} waited too long for its partner")


def _carrier(channel: Channel) -> Carrier:
    return cast("Carrier", channel.owner)


def _min_timeout(request: HttpRequest) -> int:
    """`Pragma: MinConnTimeout=T`, in seconds; what is out of range is not there."""
    for value in request.headers.all("pragma"):
        name, _, number = value.partition("=")
        if name.strip().casefold() == "minconntimeout" and number.strip().isdigit() and len(number) < 8:
            seconds = int(number)
            return seconds * 1000 if 120 <= seconds <= 14_400 else 0
    return 0
