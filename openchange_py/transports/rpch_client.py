"""The client of RPC over HTTP version 2: [MS-RPCH] 3.2.2 with sockets.

    place = RpcProxyPlace(Place("exch1.example.test", 443, ClientTls()), "exch1.example.test", 6001, logon=initiator)
    client = await connect(place, EMSMDB)

What comes of it is an `RpcClient` like one over TCP. Not done: HTTP proxies on the way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any, Final, cast

from openchange_py.rpc.rpch import (
    LIFETIME,
    WINDOW,
    Channel,
    CloseChannel,
    Direction,
    Ended,
    Established,
    OpenChannel,
    PduReceived,
    RpchEvent,
    Write,
)
from openchange_py.rpc.rpch_client import ClientVirtualConnection
from openchange_py.rpc.web_logon import WebInitiator
from openchange_py.transports.http_client import HttpClient, Place
from openchange_py.transports.keepalive import keep_alive
from openchange_py.transports.rpch_transport import VirtualTransport
from openchange_py.transports.tasks import spawn
from openchange_py.transports.tcp_client import ConnectionLost, RpcClient
from openchange_py.wire.ndr import RpcInterface, SyntaxId

_log: Final = logging.getLogger(__name__)

#: Where Exchange has the interfaces behind its RPC proxy: [MS-RPCH] knows no endpoint mapper.
EXCHANGE_PORTS: Final = {
    "exchange_emsmdb": 6001,
    "exchange_async_emsmdb": 6001,
    "exchange_ds_rfr": 6002,
    "exchange_nsp": 6004,
}
#: A response's head has no more bytes than this.
_LONGEST_HEAD: Final = 16 << 10
#: What channels' requests have beside their length, 2.1.2.1.1 and 2.1.2.1.2.
_FIELDS: Final = (
    ("Accept", "application/rpc"),
    ("User-Agent", "MSRPC"),
    ("Cache-Control", "no-cache"),
    ("Pragma", "No-cache"),
    ("Connection", "Keep-Alive"),
)
#: Content-Length of OUT channel requests, 2.1.2.1.2.
_OUT_LENGTH: Final = 76
_OUT_SUCCESSOR_LENGTH: Final = 120


@dataclasses.dataclass(frozen=True, slots=True)
class RpcProxyPlace:
    """Where an RPC proxy is, which server and port behind it are wanted, and what every channel logs on with."""

    proxy: Place
    server: str
    endpoint: int
    path: str = "/rpc/rpcproxy.dll"
    logon: WebInitiator | None = None

    @property
    def target(self) -> str:
        """2.2.2."""
        return f"{self.path}?{self.server}:{self.endpoint}"

    def head(self, direction: Direction, length: int, authorization: str = "") -> bytes:
        """A channel's request, 2.1.2.1.1 and 2.1.2.1.2."""
        fields = [("Host", self.proxy.authority), *_FIELDS, ("Content-Length", str(length))]
        if authorization:
            fields.append(("Authorization", authorization))
        lines = [f"RPC_{direction.value}_DATA {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def connect(
    place: RpcProxyPlace,
    interface: RpcInterface | SyntaxId,
    *,
    window: int = WINDOW,
    lifetime: int = LIFETIME,
    **options: Any,
) -> RpcClient:
    """An `RpcClient` through the proxy. `options` are those of `RpcClient.over`, and so are the errors."""

    async def reach(client: asyncio.Protocol) -> None:
        tunnel = ClientTunnel(place, ClientVirtualConnection(window=window, lifetime=lifetime), client)
        try:
            await tunnel.open()
        except BaseException:
            tunnel.abort()
            raise

    where = f"{place.server}:{place.endpoint} through {place.proxy.host}:{place.proxy.port}"
    return await RpcClient.over(reach, where, interface, **options)


class ClientTunnel(VirtualTransport):
    """A virtual connection as the transport of `protocol`."""

    def __init__(self, place: RpcProxyPlace, connection: ClientVirtualConnection, protocol: asyncio.Protocol) -> None:
        super().__init__(connection)
        self._place = place
        self._connection: ClientVirtualConnection = connection
        self._protocol = protocol
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._made = False
        #: Why there is no connection, where it is known better than by its text.
        self._error: ConnectionLost | None = None

    def _user(self) -> asyncio.Protocol | None:
        return self._protocol if self._made else None

    async def open(self) -> None:
        """Connect both channels; raises `ConnectionLost`."""
        self.run(self._connection.start())
        await self._opened

    def _do(self, event: RpchEvent) -> None:
        if isinstance(event, PduReceived):
            self._protocol.data_received(event.data)
        elif isinstance(event, Write):
            self._sent_at = self._loop.time()
            _carrier(event.channel).write(event.data)
        elif isinstance(event, OpenChannel):
            event.channel.owner = _ClientCarrier(self, event.channel)
            spawn(self._dial(event.channel), f"{event.channel} to {self._place.proxy.host}")
        elif isinstance(event, CloseChannel):
            _carrier(event.channel).close()
        elif isinstance(event, Established):
            self._establish()
        elif isinstance(event, Ended):
            self._end(event.reason)

    async def _dial(self, channel: Channel) -> None:
        place, carrier = self._place, _carrier(channel)
        try:
            client = await HttpClient.connect(place.proxy)
            if place.logon is not None:
                # A request without body is an echo request: it is only asked so that the connection is somebody's.
                await client.log_on(place.logon, f"RPC_{channel.direction.value}_DATA", place.target, _FIELDS)
            client.hand_over(carrier)
        except ConnectionLost as error:
            self._error = error
            self.give_up(str(error))
            return
        length = channel.lifetime
        if channel.direction is Direction.OUT:
            length = _OUT_SUCCESSOR_LENGTH if channel is self._connection.next_source else _OUT_LENGTH
        carrier.write(place.head(channel.direction, length, client.authorization))
        self.run(self._connection.ready(channel))

    def _establish(self) -> None:
        self._made = True
        assert self._connection.source is not None
        self._extra = {"peername": _carrier(self._connection.source).peername}
        self._protocol.connection_made(self)
        self._timer = self._loop.call_later(self._connection.ping_interval, self._ping)
        if not self._opened.done():
            self._opened.set_result(None)

    def _ping(self) -> None:
        interval = self._connection.ping_interval
        if self._is_quiet():
            self.run(self._connection.ping())
        if not self._closing:
            self._timer = self._loop.call_later(interval, self._ping)

    def lost(self, channel: Channel) -> None:
        """A channel's connection is gone."""
        self.run(self._connection.lost(channel))

    def _end(self, reason: str) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        for channel in self._connection.channels():
            if channel.owner is not None:
                _carrier(channel).close()
        error = self._error or ConnectionLost(reason)
        if not self._opened.done():
            self._opened.set_exception(error)
        elif self._made:
            self._made = False
            self._loop.call_soon(self._protocol.connection_lost, None if reason == "closed" else error)


class _ClientCarrier(asyncio.Protocol):
    """The HTTP connection of one channel: behind the request's head, and the response's, there are PDUs."""

    def __init__(self, tunnel: ClientTunnel, channel: Channel) -> None:
        self.peername: Any = None
        self._tunnel = tunnel
        self._channel = channel
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._answered = self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.peername = transport.get_extra_info("peername")
        keep_alive(transport)
        if self._closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._answered:
            self._tunnel.received(self._channel, data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > _LONGEST_HEAD:
                self._tunnel.give_up("the proxy's answer has no end")
            return
        self._head = b""
        status = head.partition(b"\r\n")[0].decode("latin-1")
        code = status.partition(" ")[2][:3]
        if code == "100":
            self.data_received(rest)
        elif code != "200" or self._channel.direction is Direction.IN:
            # An IN channel is answered only where something is wrong (2.1.2.1.3).
            self._tunnel.give_up(f"the proxy answered {status[:200]!r} on the {self._channel.direction.value} channel")
        else:
            self._answered = True
            self._tunnel.received(self._channel, rest)

    def pause_writing(self) -> None:
        self._tunnel.socket_full(True)

    def resume_writing(self) -> None:
        self._tunnel.socket_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._tunnel.lost(self._channel)

    def write(self, data: bytes) -> None:
        """Put bytes on the connection."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close behind what was written."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()


def _carrier(channel: Channel) -> _ClientCarrier:
    return cast("_ClientCarrier", channel.owner)
