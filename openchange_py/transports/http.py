"""The HTTP server, one listener for everything that is spoken over HTTP. RFC 9110, RFC 9112; HTTP/1.1 alone.

    server = HttpServer({"/mapi/emsmdb": resource}, tls=tls)
    host, port = await server.start("127.0.0.1", 0)

ASGI servers would hide the connection, which NTLM is bound to, and refuse the methods of RPC over HTTP; so it is `h11`
on an `asyncio.Protocol`. `http_connection.py` is one client's connection, `http_request.py` what a resource sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import ipaddress
import itertools
import logging
import socket
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Final

from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.peers import address_of, peer_name
from openchange_py.rpc.web_logon import Channel
from openchange_py.transports.admission import Admission
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http_connection import HttpConnection
from openchange_py.transports.http_message import Field, Headers, HttpError
from openchange_py.transports.http_request import HttpRequest, HttpResource, PublicResource
from openchange_py.transports.post import Message
from openchange_py.transports.tasks import spawn
from openchange_py.transports.tls import TlsCertificate

_log: Final = logging.getLogger(__name__)

#: Seconds before the next try where a connection could not be accepted.
_ACCEPT_PAUSE: Final = 0.2

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclasses.dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one server instance grants its clients. Times in seconds, sizes in bytes; see `TcpLimits` too."""

    connections: int = 2000
    connections_per_address: int = 0
    #: For the TLS handshake.
    handshake_seconds: float = 10.0
    #: From connecting, or from a head's first byte, to its last.
    head_seconds: float = 30.0
    #: For a body, and one second more for so many bytes that came.
    body_seconds: float = 30.0
    body_rate: int = 8192
    #: Silence between two requests.
    anonymous_idle_seconds: float = 120.0
    idle_seconds: float = 4 * 3600.0
    #: What a client may leave unread of its answers.
    write_seconds: float = 120.0
    #: How long `stop` waits for requests in flight.
    stop_seconds: float = 10.0
    #: Request line and fields: a Kerberos ticket with many groups has 64 KiB in Base64.
    head_size: int = 80 << 10
    fields: int = 100
    body_size: int = 4 << 20
    #: Bytes of bodies of all clients together that are not whole.
    held_size: int = 256 << 20


class HttpServer:
    """Turns connections into requests, and hands each to the resource with the longest prefix of its path.

    Prefixes are compared whatever their case, by whole path segments. `tls` None: plain HTTP. Of `trusted_proxies`
    X-Forwarded-For and X-Forwarded-Proto are believed; with `only_proxies` nobody else is answered, save by what
    is a `PublicResource`. With `colleagues` it is one of several processes that connections are dealt out to.
    """

    #: As metrics name it.
    transport = "http"

    def __init__(
        self,
        resources: Mapping[str, HttpResource],
        *,
        limits: HttpLimits | None = None,
        tls: TlsCertificate | None = None,
        trusted_proxies: Sequence[Network] = (),
        only_proxies: bool = False,
        metrics: Metrics | None = None,
        colleagues: Colleagues | None = None,
    ) -> None:
        self._colleagues = colleagues
        self.limits = limits or HttpLimits()
        self.tls = tls
        self.transport = "https" if tls is not None else "http"
        self.metrics = metrics or Metrics()
        #: Bytes of unfinished bodies.
        self.held = 0
        self._resources = {prefix.casefold().rstrip("/"): resource for prefix, resource in resources.items()}
        self._trusted_proxies = tuple(trusted_proxies)
        self._only_proxies = only_proxies
        self._numbers = itertools.count(1)
        self._connections: Admission[HttpConnection] = Admission(self.metrics, self.transport)
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    async def start(self, host: str = "", port: int = 0, *, purpose: str = "") -> tuple[str, int]:
        """Listen; the bound address and port. Port 0 takes a free one. `purpose`: see `TcpServer.start`.

        Connections are accepted here, not by `asyncio.Server`: that one makes them known behind their TLS handshake, so
        that nobody would count those who connect and say nothing.
        """
        if self._colleagues is not None:
            bound = (await self._colleagues.listen(purpose, host, port, self._take))[1:]
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=512)
            self._socket.setblocking(False)
            bound = self._socket.getsockname()
            self._accepting = spawn(self._accept(self._socket), f"HTTP listener {bound[0]} port {bound[1]}")
        _log.info("listening on %s port %s: %s %s", bound[0], bound[1], self.transport, ", ".join(self._resources))
        return str(bound[0]), int(bound[1])

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                # The client is gone already, or no more files may be opened: other clients' connections go on.
                _log.warning("a connection was not accepted: %s", error)
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            self._begin(accepted, str(address[0]), int(address[1]))

    def _begin(self, accepted: socket.socket, host: str, port: int) -> None:
        connection = HttpConnection(self, next(self._numbers), host, port)
        if self._connections.admit(connection, self.limits):
            connection.begin(accepted, self.tls.context if self.tls is not None else None)
        else:
            accepted.close()

    def _take(self, message: Message) -> None:
        """Have a connection that the supervisor accepted."""
        accepted = socket.socket(fileno=message.files[0])
        accepted.setblocking(False)
        try:
            address = accepted.getpeername()
        except OSError:  # gone already
            accepted.close()
        else:
            self._begin(accepted, str(address[0]), int(address[1]))

    async def stop(self) -> None:
        """Listen no more, let requests in flight finish for up to `stop_seconds`, close all connections."""
        self._connections.stopping = True
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        if self._socket is not None:
            self._socket.close()
        for resource in dict.fromkeys(self._resources.values()):
            resource.shut_down()
        for connection in self._connections:
            connection.shut_down()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connections.all_gone(), self.limits.stop_seconds)
        for connection in self._connections:
            _log.warning("%s did not finish in time", connection)
            connection.abort()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connections.all_gone(), 1.0)

    async def handle(self, request: HttpRequest) -> None:
        """Have a request answered by its resource."""
        resource = self._find(request.path)
        strange = self._only_proxies and not self._is_trusted(request.channel.peer) and not request.channel.shared
        if strange and not (isinstance(resource, PublicResource) and resource.is_public(request)):
            raise HttpError(403, "plain HTTP is for this server's proxies; use HTTPS", close=True)
        if request.path == "*" and request.method == "OPTIONS":
            await request.respond(204, fields=[("Allow", "GET, HEAD, POST, OPTIONS")])
            return
        if resource is None:
            raise HttpError(404)
        await resource.handle(request)

    def _find(self, path: str) -> HttpResource | None:
        path = path.casefold().rstrip("/")
        while True:
            if path in self._resources:
                return self._resources[path]
            path, slash, _ = path.rpartition("/")
            if not slash:
                return None

    def fields(self) -> list[Field]:
        """What every answer has."""
        return [("Date", _date(int(asyncio.get_running_loop().time()))), ("Server", "openchange_py")]

    def channel(self, connection: HttpConnection, headers: Headers) -> Channel:
        """What a request came through, as far as its connection and a trusted proxy tell."""
        secure = self.tls is not None
        if not self._is_trusted(connection.peer):
            return Channel(connection.peer, secure, end_point=connection.end_point)
        forwarded, proto = self._forwarded_for(headers), headers.get("x-forwarded-proto").strip().casefold()
        if not forwarded and not proto:
            return Channel(connection.peer, secure, end_point=connection.end_point)
        peer = peer_name(forwarded, 0) if forwarded else connection.peer
        return Channel(peer, proto == "https", shared=True)

    def _is_trusted(self, peer: str) -> bool:
        return bool(self._trusted_proxies) and is_in(address_of(peer), self._trusted_proxies)

    def _forwarded_for(self, headers: Headers) -> str:
        """The last address that no trusted proxy has; "" where none is told."""
        addresses = [part.strip() for value in headers.all("x-forwarded-for") for part in value.split(",")]
        for address in reversed(addresses):
            try:
                ipaddress.ip_address(address)
            except ValueError:
                return ""
            if not is_in(address, self._trusted_proxies):
                return address
        return ""

    def release(self, connection: HttpConnection) -> None:
        """A connection is gone, and its request done with."""
        self._connections.release(connection)


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks; false for what is none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    """Made once a second."""
    return formatdate(usegmt=True)
