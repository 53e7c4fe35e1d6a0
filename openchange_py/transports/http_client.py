"""The HTTP client: one connection toward a server, for one request at a time. RFC 9110, RFC 9112; HTTP/1.1 alone.

    client = await HttpClient.connect(Place("exch1.example.test", 443, tls))
    answer = await client.log_on(initiator, "POST", "/mapi/emsmdb/", fields)
    answer = await client.request("POST", "/mapi/emsmdb/", fields, body)
    await client.close()

Not done: proxies on the way, redirections, compressed answers (none is asked for).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import logging
import ssl
from collections.abc import Sequence
from typing import Final, Self, cast

import h11
from cryptography import x509

from openchange_py.rpc.peers import peer_name
from openchange_py.rpc.security import SecurityError
from openchange_py.rpc.web_logon import WebCredentials, WebInitiator
from openchange_py.transports.http_message import Field, Headers
from openchange_py.transports.keepalive import keep_alive
from openchange_py.transports.steps import stepped
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost
from openchange_py.transports.tls import ClientTls, end_point

_log: Final = logging.getLogger(__name__)

#: Status line and fields of an answer together.
_MAXIMUM_HEAD: Final = 64 << 10
#: Of an answer's body, unless the caller says otherwise.
MAXIMUM_BODY: Final = 16 << 20
#: Requests that a logon may take: Kerberos in three legs inside of SPNEGO is the longest.
_MAXIMUM_LEGS: Final = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a server is. `tls` None: plain HTTP. `name` is what the server is called where `host` is an address."""

    host: str
    port: int
    tls: ClientTls | None = None
    name: str = ""
    local_address: str | None = None

    @property
    def authority(self) -> str:
        """What stands in the Host field."""
        name = self.name or self.host
        name = f"[{name}]" if ":" in name else name
        return name if self.port == (443 if self.tls is not None else 80) else f"{name}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole response."""

    status: int
    headers: Headers
    body: bytes


class HttpClient(asyncio.Protocol):
    """A connection. The caller sees to it that there is one request at a time, and how long it may take."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAXIMUM_HEAD)
        self._transport: asyncio.Transport | None = None
        self._lost: ConnectionLost | None = None
        self._gone = asyncio.Event()
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._limit = MAXIMUM_BODY
        #: The Authorization field of every request, where the scheme is one that wants it.
        self._authorization = ""
        self.peer = "?"
        #: When the last bytes came, or the last request went, on the loop's clock.
        self.last_sign = 0.0
        #: RFC 5929 tls-server-end-point; None without TLS.
        self.end_point: bytes | None = None
        #: What the server calls itself, where its authentication tells, and its address.
        self.server_names: tuple[str, ...] = ()

    @classmethod
    async def connect(cls, place: Place) -> Self:
        """Connect, with the server's certificate checked. Raises `ConnectionLost`."""
        client, tls = cls(place), place.tls
        local_addr = None if place.local_address is None else (place.local_address, 0)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: client,
                place.host,
                place.port,
                local_addr=local_addr,
                ssl=tls.context if tls is not None else None,
                server_hostname=(place.name or place.host) if tls is not None else None,
            )
            client._check_certificate(tls)
        except (OSError, ValueError) as error:
            client.abort("connecting failed")
            raise ConnectionLost(f"{place.host}:{place.port}: {error}") from error
        except BaseException:
            client.abort("connecting was given up")
            raise
        client.server_names = (client.peer.rpartition(":")[0],)
        return client

    def _check_certificate(self, tls: ClientTls | None) -> None:
        if tls is None:
            return
        assert self._transport is not None
        session: ssl.SSLObject = self._transport.get_extra_info("ssl_object")
        certificate = session.getpeercert(binary_form=True) or b""
        tls.check(certificate)
        self.end_point = end_point(x509.load_der_x509_certificate(certificate))

    @property
    def connected(self) -> bool:
        """Requests can be made."""
        return self._lost is None and self._transport is not None

    async def request(
        self, method: str, target: str, fields: Sequence[Field], body: bytes = b"", *, limit: int = MAXIMUM_BODY
    ) -> HttpAnswer:
        """The whole answer. Raises `ConnectionLost`, also where its body has more than `limit` bytes.

        Who is cancelled meanwhile loses the connection.
        """
        if not self.connected:
            raise self._loss()
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._answer, self._head, self._limit = loop.create_future(), None, limit
        self._body.clear()
        head = [("Host", self._place.authority), *fields, ("Content-Length", str(len(body)))]
        if self._authorization:
            head.append(("Authorization", self._authorization))
        data = self._http.send(h11.Request(method=method, target=target, headers=head))
        data += (self._http.send(h11.Data(data=body)) if body else b"") + self._http.send(h11.EndOfMessage())
        self.last_sign = loop.time()
        self._transport.write(data)
        try:
            answer = await self._answer
        except asyncio.CancelledError:
            self.abort("a request was cancelled")
            raise
        finally:
            self._answer = None
        self._next()
        return answer

    async def log_on(self, initiator: WebInitiator, method: str, target: str, fields: Sequence[Field]) -> HttpAnswer:
        """Authenticate with a request without body, whose answer is given: who logged on is bound to the connection.

        Raises `AuthenticationFailed`, `ConnectionLost`.
        """
        answer = await self.request(method, target, fields)
        if answer.status != 401:
            raise AuthenticationFailed(f"{self.peer}: the server does not ask who logs on (status {answer.status})")
        try:
            credentials = await initiator.answer(_schemes(answer), self._place.tls is not None, self.end_point)
            answer = await self._exchange(credentials, method, target, fields)
        except SecurityError as error:
            raise AuthenticationFailed(f"{self.peer}: authentication failed: {error}") from error
        names = getattr(credentials.context, "server_names", ())
        self.server_names = (*names, *self.server_names)
        return answer

    async def _exchange(
        self, credentials: WebCredentials, method: str, target: str, fields: Sequence[Field]
    ) -> HttpAnswer:
        """The requests of one logon. Raises `SecurityError`, `AuthenticationFailed`, `ConnectionLost`."""
        context, scheme = credentials.context, credentials.scheme
        if context is None:
            self._authorization = f"{scheme} {credentials.secret}"
            return self._accepted(await self.request(method, target, fields))
        token = await stepped(context, b"")
        for _ in range(_MAXIMUM_LEGS):
            said = ("Authorization", f"{scheme} {base64.b64encode(token).decode('ascii')}")
            answer = await self.request(method, target, [*fields, said])
            challenge = _token(answer, scheme)
            if challenge and not context.complete:
                token = await stepped(context, challenge)
            elif answer.status == 401:
                break
            if answer.status != 401:
                if not context.complete:
                    raise SecurityError("the server did not prove who it is")
                return answer
        raise AuthenticationFailed(f"{self.peer}: the server refuses the logon")

    def _accepted(self, answer: HttpAnswer) -> HttpAnswer:
        if answer.status == 401:
            raise AuthenticationFailed(f"{self.peer}: the server refuses the logon")
        return answer

    async def close(self) -> None:
        """Close the connection; a request in flight fails."""
        if self._transport is None:
            return
        self._lost = self._lost or ConnectionLost(f"{self.peer}: closed here")
        self._transport.close()
        try:
            await self._gone.wait()
        except asyncio.CancelledError:
            self._transport.abort()
            raise

    def abort(self, reason: str) -> None:
        """Give the connection up at once; a request in flight raises `ConnectionLost`."""
        self._fail(ConnectionLost(f"{self.peer}: {reason}"))
        if self._transport is not None:
            self._transport.abort()

    @property
    def authorization(self) -> str:
        """The Authorization field that every request must have; empty where there is none, or the connection has it."""
        return self._authorization

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """From now on the connection is another protocol's, whose `connection_made` is called before this returns."""
        if self._lost is not None or self._transport is None:
            raise self._loss()
        transport, self._transport = self._transport, None
        self._lost = ConnectionLost(f"{self.peer}: handed over")
        self._gone.set()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    # The socket's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer_name(str(peer[0]), peer[1]) if peer else "?"
        keep_alive(transport)

    def data_received(self, data: bytes) -> None:
        self.last_sign = asyncio.get_running_loop().time()
        if self._lost is not None:
            return
        if self._answer is None:
            # Nobody asked: it would be taken for the next request's answer.
            self.abort("the server says something that it was not asked for")
            return
        self._feed(data)

    def eof_received(self) -> None:
        """Some answers end with the connection."""
        if self._answer is not None and self._lost is None:
            self._feed(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionLost(f"{self.peer}: connection lost{f': {exc}' if exc else ''}"))
        self._gone.set()

    def _feed(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self.abort(f"the answer is malformed: {error}")

    def _take(self, event: object) -> bool:
        """Whether there may be more events."""
        if isinstance(event, h11.Response):
            self._head = event
        elif isinstance(event, h11.Data):
            if len(self._body) + len(event.data) > self._limit:
                self.abort(f"an answer of more than {self._limit} bytes")
                return False
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert self._head is not None
            if self._answer is not None and not self._answer.done():
                headers = Headers(self._head.headers.raw_items())
                self._answer.set_result(HttpAnswer(self._head.status_code, headers, bytes(self._body)))
            return False
        return isinstance(event, h11.Event) and not isinstance(event, h11.ConnectionClosed)

    def _next(self) -> None:
        """Be ready for another request, or closed where the server wants no more of them."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not self._http.trailing_data[0]:
            self._http.start_next_cycle()
            return
        self._lost = self._lost or ConnectionLost(f"{self.peer}: the server closes the connection")
        if self._transport is not None:
            self._transport.close()

    def _loss(self) -> ConnectionLost:
        known = self._lost
        return type(known)(str(known)) if known is not None else ConnectionLost(f"{self.peer}: not connected")

    def _fail(self, error: ConnectionLost) -> None:
        self._lost = self._lost or error
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._loss())


def _schemes(answer: HttpAnswer) -> list[str]:
    """The schemes that an answer offers, in lower case."""
    return [field.strip().partition(" ")[0].lower() for field in answer.headers.all("www-authenticate")]


def _token(answer: HttpAnswer, scheme: str) -> bytes:
    """The token that goes on with a logon; b"" where there is none. Raises `SecurityError`."""
    for field in answer.headers.all("www-authenticate"):
        word, _, token = field.strip().partition(" ")
        if word.lower() == scheme.lower() and token.strip():
            try:
                return base64.b64decode(token.strip(), validate=True)
            except (binascii.Error, ValueError) as error:
                raise SecurityError("a token that is no Base64") from error
    return b""
