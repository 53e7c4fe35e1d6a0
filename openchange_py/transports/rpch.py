"""ncacn_http: RPC over HTTP version 2 on the HTTP listener, [MS-RPCH] 2.1.2 and 3.2.

    proxy = RpcProxy({6001: RpchServer(handler, authenticator, 6001)})
    server = HttpServer({"/rpc/rpcproxy.dll": Authenticated(proxy, logons, metrics)})

Who authenticated over HTTP is the caller of whoever does not authenticate again inside, in the bind; both channels,
and their successors, must be the same account's. Another client of that account would have to guess the random cookie
of the virtual connection, and for a successor that of its predecessor too: 122 bits each, which only the client and
this process see (logs have 32 of them), and of which a wrong one ends only the channel that it came on. Over TLS every
call counts as private, as with Exchange.

The server name in the URL is not looked at: whatever clients call us by, it is us that they reach. Where several
processes serve, a virtual connection's cookie says which one has it; a channel that came to another one is spliced to
it, and so is what is inside where that joins a group of a third.

Not done: version 1 of the protocol (a legacy client's single connection), SessionId and ResourceTypeUuid. Refusals have
no extended error information: 2.1.2.1.3 wants it where a proxy has some in the format of [MS-EERR], and here is none.
Port 593, the endpoint mapper of ncacn_http, and the legacy server response "ncacn_http/1.0" (2.1.2.2.1) are between a
proxy and a server that are two; clients of today know Exchange's ports.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import re
import socket
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final

from openchange_py.rpc.call import Call, CallHandler, Session
from openchange_py.rpc.rpch import ChannelElsewhere, CloseChannel
from openchange_py.rpc.rpch_server import ECHO, RpchSettings, ServerVirtualConnection, VirtualConnections, is_echo
from openchange_py.rpc.security import Identity
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http_message import HttpError
from openchange_py.transports.http_request import HttpRequest
from openchange_py.transports.post import Message
from openchange_py.transports.rpch_tunnel import UNAVAILABLE, Carrier, ChannelHead, Tunnel
from openchange_py.transports.tasks import spawn
from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_connection import ServerConnection
from openchange_py.wire.ndr import RpcInterface

_log: Final = logging.getLogger(__name__)

#: Where clients look for the proxy: the second is for clients with certificates, who are as good as others here.
PATHS: Final = ("/rpc/rpcproxy.dll", "/rpcwithcert/rpcproxy.dll")
#: 2.2.2: the server and its port; what Exchange adds behind an ampersand is passed over.
_TARGET: Final = re.compile(r"([^:&]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})(?:&.*)?", re.DOTALL)
#: Channels of one account (or address, of who has none) that wait for their partners.
_WAITING: Final = 64
#: What channels are given under.
_CHANNEL: Final = "channel"


class RpchServer(TcpServer):
    """A `TcpServer` whose clients come through an `RpcProxy`, for one of its ports. It does not listen itself."""

    transport = "ncacn_http"

    def connection(self) -> ServerConnection:
        """A connection of a client whose virtual connection came to be."""
        return self._connection()

    def pass_on(self, process: int, begun: bytes, transport: asyncio.Transport) -> None:
        """See `TcpServer.pass_on`: the virtual connection stays here, and what is inside of it goes."""
        assert self.colleagues is not None
        assert isinstance(transport, Tunnel)
        about, file = transport.pass_on()
        self.colleagues.give(process, self.name, about, begun, file)

    def _described(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        address, local = about["peername"], about["sockname"]
        caller = Identity.of(about["caller"])
        return {"peername": tuple(address), "sockname": local and tuple(local), "caller": caller}


class SomeInterfaces:
    """A `CallHandler` that offers only some of another's interfaces."""

    def __init__(self, handler: CallHandler, names: Iterable[str]) -> None:
        self._handler = handler
        self._names = frozenset(names)

    def interfaces(self) -> list[RpcInterface]:
        """Those that both have."""
        return [interface for interface in self._handler.interfaces() if interface.name in self._names]

    async def handle(self, call: Call) -> bytes:
        """See `CallHandler.handle`."""
        return await self._handler.handle(call)

    async def unbind(self, session: Session) -> None:
        """See `CallHandler.unbind`."""
        await self._handler.unbind(session)


class RpcProxy:
    """An `HttpResource`: takes the connections of RPC_IN_DATA and RPC_OUT_DATA over. `servers` are by their ports."""

    def __init__(
        self,
        servers: Mapping[int, RpchServer],
        *,
        settings: Callable[[], RpchSettings] = RpchSettings,
        colleagues: Colleagues | None = None,
    ) -> None:
        self._servers = dict(servers)
        self._colleagues = colleagues
        for port, server in self._servers.items():
            server.endpoint = str(port)
            if colleagues is not None:
                server.name = f"tunnelled {port}"
                colleagues.take(server.name, server.take)
        self._connections = VirtualConnections(settings, colleagues.share if colleagues is not None else None)
        #: Channels that other processes accepted.
        self._given: set[Carrier] = set()
        if colleagues is not None:
            colleagues.take(_CHANNEL, self._take)
        #: Channels without partner, by whose they are, the oldest first.
        self._waiting: dict[Hashable, dict[Carrier, None]] = collections.defaultdict(dict)

    async def handle(self, request: HttpRequest) -> None:
        """Answer an echo request, refuse, or take the connection over."""
        request.allow("RPC_IN_DATA", "RPC_OUT_DATA")
        if is_echo(request.content_length):
            await request.read(0x10)
            request.reason = "Success"
            await request.respond(200, ECHO, [("Content-Type", "application/rpc")])
            return
        server = self._server(request.query)
        if server is None:
            _log.warning("%s: no server for %r", request, request.query[:200])
            request.reason = f"RPC Error: {UNAVAILABLE:x}"
            await request.respond(503, b"no such server\n", [("Content-Type", "text/plain"), ("Connection", "close")])
            return
        if request.content_length is None:
            raise HttpError(411, "a channel announces its length")
        carrier = Carrier(self, server, ChannelHead.of(request, int(server.endpoint)))
        request.status = 200
        request.take_over(carrier)

    def _server(self, query: str) -> RpchServer | None:
        target = _TARGET.fullmatch(query)
        return None if target is None else self._servers.get(int(target[2]))

    def shut_down(self) -> None:
        """See `HttpResource`: the connections are told by themselves, save those that are not ours."""
        for carrier in list(self._given):
            carrier.shut_down()

    def _take(self, message: Message) -> None:
        """Have a channel that another process accepted."""
        head = ChannelHead.of_told(message.about)
        carrier = Carrier(self, self._servers[head.port], head, message.data)
        self._given.add(carrier)
        sock = socket.socket(fileno=message.files[0])
        sock.setblocking(False)
        spawn(asyncio.get_running_loop().connect_accepted_socket(lambda: carrier, sock), f"channel of {head.peer}")

    def _pass_on(self, carrier: Carrier, process: int) -> None:
        """The channel is another process'."""
        assert self._colleagues is not None
        _log.debug("%s goes to worker %d", carrier, process)
        about = carrier.head.told(carrier.local)
        self._colleagues.give(process, _CHANNEL, about, carrier.begun, carrier.pass_on())

    def received(self, carrier: Carrier, data: bytes) -> None:
        """Bytes came on a channel."""
        channel, who = carrier.channel, _who(carrier)
        tunnel = carrier.tunnel
        if tunnel is not None:
            tunnel.received(channel, data)
            return
        if self._colleagues is not None:
            carrier.begun += data
        events = self._connections.receive(channel, who, data, carrier.min_timeout)
        connection = channel.connection
        if isinstance(connection, ServerVirtualConnection):
            if connection.owner is None:
                connection.owner = Tunnel(self, carrier.server, connection)
            connection.owner.run(events)
            self._note_waiting(carrier, who, connection)
            carrier.begun = b""
        for event in events if connection is None else ():
            if isinstance(event, CloseChannel):
                carrier.close(event.reason)
            elif isinstance(event, ChannelElsewhere):
                self._pass_on(carrier, event.process)

    def _note_waiting(self, carrier: Carrier, who: Hashable, connection: ServerVirtualConnection) -> None:
        """Half a connection waits, as many as one may have at a time; or it is whole."""
        waiting = self._waiting[who]
        if connection.complete or connection.closed:
            for channel in connection.channels():
                waiting.pop(channel.owner, None)
        else:
            waiting[carrier] = None
            if len(waiting) > _WAITING:
                oldest = next(iter(waiting))
                del waiting[oldest]
                assert oldest.tunnel is not None
                oldest.tunnel.give_up("too many channels wait for their partners")
        if not waiting:
            self._waiting.pop(who, None)

    def lost(self, carrier: Carrier) -> None:
        """A channel's connection is gone."""
        self._given.discard(carrier)
        who, channel = _who(carrier), carrier.channel
        if who in self._waiting:
            self._waiting[who].pop(carrier, None)
            if not self._waiting[who]:
                del self._waiting[who]
        if channel.connection is not None and carrier.tunnel is not None:
            carrier.tunnel.run(channel.connection.lost(channel))
        channel.closed = True

    def forget(self, connection: ServerVirtualConnection) -> None:
        """A virtual connection ended."""
        self._connections.forget(connection)
        for channel in connection.channels():
            if channel.owner in self._waiting.get(connection.who, ()):
                del self._waiting[connection.who][channel.owner]


def _who(carrier: Carrier) -> Hashable:
    """Whose a channel is, and for which port: its partner must be the same one's."""
    caller, port = carrier.caller, carrier.server.endpoint
    if caller.is_anonymous:
        return carrier.address, port
    return caller.domain.casefold(), caller.account.casefold(), caller.authority, port
