"""The TCP server, ncacn_ip_tcp: [MS-RPCE] 2.1.1.1.

    server = TcpServer(handler, authenticator, minimum_level=lambda interface: AuthLevel.CONNECT)
    host, port = await server.start("127.0.0.1", 0)
    ...
    await server.stop()

One instance offers the interfaces of its handler, and `mgmt`, on its own endpoint. `tcp_connection.py` is one
client's connection; `tcp_client.py` is the other side.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.call import Call, CallHandler, Session
from openchange_py.rpc.connection import DEFAULT_CALL_LIMIT
from openchange_py.rpc.interface import MinimumLevel, OfferedInterfaces
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.mgmt import MgmtServer, Statistics
from openchange_py.rpc.presentation import MAX_CONTEXTS
from openchange_py.rpc.reassembly import ANONYMOUS_CALL_LIMIT
from openchange_py.rpc.security import Authenticator, AuthLevel
from openchange_py.rpc.security_contexts import MAX_SECURITY_CONTEXTS
from openchange_py.transports.admission import Admission
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.post import Message
from openchange_py.transports.tasks import spawn
from openchange_py.transports.tcp_client import ConnectionLost, RpcClient
from openchange_py.transports.tcp_connection import ServerConnection
from openchange_py.wire.mgmt import MGMT
from openchange_py.wire.ndr import RpcInterface

__all__ = ["ConnectionLost", "RpcClient", "TcpLimits", "TcpServer"]

_log: Final = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class TcpLimits:
    """What one server instance grants its clients."""

    #: Connections at a time. For one more the oldest is closed that nobody authenticated on: strangers who hold
    #: connections can't keep others out. Where there is none, the new one is closed.
    connections: int = 2000
    #: Connections at a time from one address; 0: as many as there may be at all.
    connections_per_address: int = 0
    #: From connecting to the end of the bind and its authentication.
    handshake_seconds: float = 30.0
    #: Silence of a connection that nobody authenticated on.
    anonymous_idle_seconds: float = 120.0
    #: Silence of an authenticated connection.
    idle_seconds: float = 4 * 3600.0
    #: What a client may leave unread of its answers.
    write_seconds: float = 120.0
    #: How long `stop` waits for calls in flight.
    stop_seconds: float = 10.0
    #: Bytes of all fragments of one call.
    call_size: int = DEFAULT_CALL_LIMIT
    #: The same of somebody who did not authenticate.
    anonymous_call_size: int = ANONYMOUS_CALL_LIMIT
    #: Requests of one connection that wait for their turn before its socket is no longer read.
    queued_calls: int = 4
    #: Calls of one connection that are handled at a time, where it negotiated concurrent multiplexing.
    mixed_calls: int = 16
    #: Bytes of unfinished calls of all clients together; who has more than a little of it then is closed.
    held_size: int = 256 << 20
    #: Presentation contexts of one connection.
    presentation_contexts: int = MAX_CONTEXTS
    #: Security contexts of one connection.
    security_contexts: int = MAX_SECURITY_CONTEXTS


def no_minimum(interface: RpcInterface) -> AuthLevel:
    """The minimum authentication level of interfaces that anybody may call."""
    return AuthLevel.NONE


def never_waits(call: Call) -> bool:
    """No call waits for something to happen."""
    return False


class TcpServer:
    """Turns connections into calls of `handler`, and what it answers into responses.

    `minimum_level` tells an interface's lowest authentication level; a call below it is denied. `waits` tells of a
    call that it only waits for something to happen (EcDoAsyncWaitEx): its client may cancel it. Calls of one
    connection are handed over one at a time, where it does not mix them; those of a session that has several
    connections are the handler's to keep apart. Servers of one process share `groups` and `metrics`.
    `principal_names` tells clients by `AuthType` whom to ask tickets for (rpc_mgmt_inq_server_princ_name).
    With `colleagues` it is one of several processes: connections are dealt out to them, and one that names another
    process' group goes there.
    """

    #: The protocol sequence, as metrics name it.
    transport = "ncacn_ip_tcp"

    def __init__(
        self,
        handler: CallHandler,
        authenticator: Authenticator | None = None,
        *,
        limits: TcpLimits | None = None,
        minimum_level: MinimumLevel = no_minimum,
        waits: Callable[[Call], bool] = never_waits,
        groups: AssociationGroups | None = None,
        metrics: Metrics | None = None,
        principal_names: Mapping[int, str] | None = None,
        colleagues: Colleagues | None = None,
    ) -> None:
        self.handler = handler
        self.colleagues = colleagues
        #: What it is given connections under, by which all processes know it.
        self.name = ""
        self.authenticator = authenticator
        self.limits = limits or TcpLimits()
        self.minimum_level = minimum_level
        self.waits = waits
        self.groups = AssociationGroups() if groups is None else groups
        self.statistics = Statistics()
        self.metrics = metrics or Metrics()
        own = handler.interfaces()
        self.mgmt = MgmtServer(own, self.statistics, principal_names)
        self.interfaces = OfferedInterfaces([*own, MGMT])
        self.endpoint = ""
        self._numbers = itertools.count(1)
        #: Bytes of unfinished calls that connections hold.
        self.held = 0
        self._connections: Admission[ServerConnection] = Admission(self.metrics, self.transport)
        self._server: asyncio.Server | None = None

    async def start(
        self, host: str = "", port: int = 0, *, sock: socket.socket | None = None, purpose: str = ""
    ) -> tuple[str, int]:
        """Listen, on `sock` where it is given; the bound address and port. Port 0 takes a free one.

        `purpose` tells the listeners of one configuration from each other, where all processes have the same.
        """
        loop = asyncio.get_running_loop()
        if self.colleagues is not None:
            self.name, host, port = await self.colleagues.listen(purpose, host, port, self.take)
            bound = host, port
        elif sock is not None:
            self._server = await loop.create_server(self._connection, sock=sock, backlog=512)
            bound = self._server.sockets[0].getsockname()
        else:
            self._server = await loop.create_server(self._connection, host or None, port, backlog=512)
            bound = self._server.sockets[0].getsockname()
        self.endpoint = str(bound[1])
        names = ", ".join(interface.name for interface in self.interfaces)
        _log.info("listening on %s port %s: %s", bound[0], bound[1], names)
        return str(bound[0]), int(bound[1])

    def take(self, message: Message) -> None:
        """Have a client's connection that another process accepted, with what was read of it already."""
        sock = socket.socket(fileno=message.files[0])
        sock.setblocking(False)
        spawn(self._adopt(sock, message.data, self._described(message.about)), f"connection to {self.name}")

    async def _adopt(self, sock: socket.socket, begun: bytes, extra: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        connection = ServerConnection(self, next(self._numbers), begun=begun, extra=extra)
        try:
            await loop.connect_accepted_socket(lambda: connection, sock)
        except OSError as error:
            _log.info("a connection that was handed over is gone: %s", error)
            sock.close()

    def _described(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the socket itself does not tell of a connection that was given: as `get_extra_info` names it."""
        return {}

    def pass_on(self, process: int, begun: bytes, transport: asyncio.Transport) -> None:
        """Give a connection to the process that has its group; here it ends."""
        assert self.colleagues is not None
        file = os.dup(transport.get_extra_info("socket").fileno())
        self.colleagues.give(process, self.name, {}, begun, file)
        transport.abort()

    async def stop(self) -> None:
        """Listen no more, let calls in flight finish for up to `stop_seconds`, close all connections."""
        self._connections.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.shut_down()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connections.all_gone(), self.limits.stop_seconds)
        for connection in self._connections:
            _log.warning("%s did not finish its call in time", connection)
            connection.abort()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connections.all_gone(), 1.0)

    async def handle(self, call: Call) -> bytes:
        """Answer one call: `mgmt` here, everything else by the handler."""
        if call.interface is MGMT:
            self.mgmt.call(call)
            return call.reply_bytes()
        return await self.handler.handle(call)

    async def end(self, session: Session) -> None:
        """A session's last connection is gone."""
        try:
            await self.handler.unbind(session)
        except Exception:
            _log.exception("%s: error while it was ended", session)

    def admit(self, connection: ServerConnection) -> bool:
        """Take a new connection in; false where it must be closed."""
        return self._connections.admit(connection, self.limits)

    def release(self, connection: ServerConnection) -> None:
        """A connection is gone, its last call finished and its sessions ended."""
        self._connections.release(connection)

    def _connection(self) -> ServerConnection:
        return ServerConnection(self, next(self._numbers))
