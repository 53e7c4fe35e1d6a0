"""One client's HTTP connection: `h11` with a socket, one request at a time, timers and back-pressure. RFC 9112.

Pipelined requests wait in the socket: nothing is read while one is answered. TLS begins here too, behind the count
of connections, so that who only opens connections and says nothing is counted like everybody.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import h11

from openchange_py.rpc.log_context import LogFields, set_log_context
from openchange_py.rpc.peers import network_of, peer_name
from openchange_py.transports.http_message import Field, Headers, HttpError, Target, reason_of
from openchange_py.transports.http_request import HttpReceiver, HttpRequest
from openchange_py.transports.keepalive import keep_alive
from openchange_py.transports.tasks import spawn
from openchange_py.transports.tls_transport import accept_tls

if TYPE_CHECKING:
    from openchange_py.transports.http import HttpLimits, HttpServer

_log: Final = logging.getLogger(__name__)

#: Bytes of a body that are taken from the socket before anybody asked for them.
_AHEAD: Final = 64 * 1024
#: A body that nobody wants is read to its end where it has no more than this; else the connection is closed.
_DISCARDED: Final = 1 << 20
#: Behind an answer: the connection goes on, or was said to end with it.
_ANSWERED: Final = (h11.DONE, h11.MUST_CLOSE)


class HttpConnection(asyncio.Protocol):
    """Parses requests, has the server's resources answer them, and writes the answers."""

    __slots__ = (
        "_ahead", "_began", "_body", "_body_done", "_broken", "_deadline", "_discarding", "_draining", "_handshake",
        "_held", "_http", "_loop", "_lost", "_more", "_reading", "_received", "_receiver", "_released", "_request",
        "_sent", "_server", "_task", "_timer", "_transport", "_writable", "address", "authenticated", "end_point",
        "limits", "number", "peer", "state",
    )  # fmt: skip

    def __init__(self, server: HttpServer, number: int, host: str, port: int) -> None:
        self.number = number
        self.peer = peer_name(host, port)
        self.address = network_of(host)
        #: See `HttpRequest.connection_state`.
        self.state: dict[Any, Any] = {}
        self.limits: HttpLimits = server.limits
        #: The hash of the certificate that this connection began with.
        self.end_point = server.tls.end_point if server.tls is not None else None
        #: Somebody authenticated here, or on requests that came through here.
        self.authenticated = False
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        #: What makes a connection of the client's socket, until it did.
        self._handshake: asyncio.Task[None] | None = None
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=server.limits.head_size)
        self._request: HttpRequest | None = None
        self._task: asyncio.Task[None] | None = None
        self._receiver: HttpReceiver | None = None
        #: The body's parts that nobody took yet, and who waits for more.
        self._body: list[bytes] = []
        self._ahead = self._received = self._held = 0
        self._body_done = True
        self._more: asyncio.Future[None] | None = None
        self._discarding = False
        #: What is wrong with the body.
        self._broken: HttpError | None = None
        self._sent = 0
        self._began = 0.0
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: When the connection is closed unless something happens, and why; None: never.
        self._deadline: tuple[float, str] | None = None
        self._draining = False
        self._lost = self._released = False

    @property
    def is_strangers(self) -> bool:
        """See `Admitted.is_strangers`."""
        return not (self.authenticated or self._lost or self._closing)

    def __str__(self) -> str:
        return f"[http {self.number} {self.peer}]"

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`."""
        return {"connection": self.number, "transport": self._server.transport, "peer": self.peer}

    # The socket's events

    def begin(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        """Make a connection of the client's socket, behind a TLS handshake where there is a context."""
        self._handshake = spawn(self._connect(connection, context), f"TLS handshake with {self.peer}")

    async def _connect(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            if context is not None:
                await accept_tls(connection, context, self, self.limits.handshake_seconds)
            else:
                await self._loop.connect_accepted_socket(lambda: self, connection)
        except OSError as error:  # ssl.SSLError and TimeoutError among them
            _log.info("%s: no TLS: %s", self, error)
        finally:
            if self._transport is None:
                connection.close()
                self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Behind the TLS handshake, where there is one."""
        self._transport = cast("asyncio.Transport", transport)
        self._handshake = None
        if self._lost:
            self._transport.abort()
            return
        keep_alive(transport)
        _log.debug("%s connected", self)
        self._expect(self.limits.head_seconds, "without a request")

    def data_received(self, data: bytes) -> None:
        self._server.metrics.bytes_received += len(data)
        if self._receiver is not None:
            self._receiver.data_received(data)
        elif not self._draining or self._request is not None:
            self._http.receive_data(data)
            self._advance()

    def eof_received(self) -> bool | None:
        """A client that closes its sending side is taken to be gone: with TLS nobody can tell the difference."""
        return self._receiver.eof_received() if self._receiver is not None else None

    def pause_writing(self) -> None:
        if self._receiver is not None:
            self._receiver.pause_writing()
            return
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._receiver is not None:
            self._receiver.resume_writing()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._released or self._lost:
            return
        self._lost = True
        _log.debug("%s disconnected%s", self, f": {exc}" if exc else "")
        if self._timer is not None:
            self._timer.cancel()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.connection_lost(exc)
        self.resume_writing()
        self.hold_nothing()
        if self._task is not None and receiver is None:
            self._task.add_done_callback(lambda _: self._release())  # one that never began has no `finally`
            self._task.cancel()
        else:
            self._release()

    def _release(self) -> None:
        if not self._released:
            self._released = True
            for value in self.state.values():
                if callable(close := getattr(value, "close", None)):
                    close()
            self.state.clear()
            self._server.release(self)

    # Requests

    def _advance(self) -> None:
        """Take what h11 can make of the bytes that are there, while somebody wants it."""
        try:
            while self._receiver is None and (self._request is None or self._discarding or self._ahead < _AHEAD):
                event = self._http.next_event()
                if not isinstance(event, h11.Event):
                    break  # NEED_DATA, or PAUSED: the next request waits behind this one
                self._take(event)
                if isinstance(event, h11.ConnectionClosed):
                    break
        except h11.RemoteProtocolError as error:
            self._malformed(error)
        except HttpError as error:
            self._refuse(error)
        if self._request is None and self._deadline is None and not self._lost:
            head_begun = bool(self._http.trailing_data[0])
            self._expect(self.limits.head_seconds if head_begun else self._idle_seconds(), "of silence")
        self._read_or_wait()

    def _idle_seconds(self) -> float:
        return self.limits.idle_seconds if self.authenticated else self.limits.anonymous_idle_seconds

    def _take(self, event: h11.Event) -> None:
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data):
            self._received += len(event.data)
            if self._discarding:
                if self._received > _DISCARDED:
                    self._close()
                return
            self._body.append(bytes(event.data))
            self._ahead += len(event.data)
            self._wake()
        elif isinstance(event, h11.EndOfMessage):
            self._body_done = True
            self._wake()
            if self._discarding:
                self._next()
        elif isinstance(event, h11.ConnectionClosed):
            self._close()

    def _begin(self, head: h11.Request) -> None:
        self._began = time.perf_counter()
        headers = Headers(head.headers)
        if len(headers) > self.limits.fields:
            raise HttpError(431, f"more than {self.limits.fields} header fields")
        if "transfer-encoding" in headers and "content-length" in headers:
            # RFC 9112 6.1: a smuggler's, who means one and has somebody else read the other.
            raise HttpError(400, "both Content-Length and Transfer-Encoding")
        target = Target.parse(head.target.decode("latin-1"))
        method = head.method.decode("latin-1")
        request = HttpRequest(self, method, target, headers, self._server.channel(self, headers))
        self._request = request
        self._body_done = False
        self._body.clear()
        self._ahead = self._received = self._sent = 0
        self._deadline = None
        self._task = spawn(self._serve(request), f"request of {self.peer}")

    async def _serve(self, request: HttpRequest) -> None:
        set_log_context(request)
        try:
            await self._server.handle(request)
            if self._receiver is None and self._http.our_state not in _ANSWERED and not self._lost:
                raise RuntimeError(f"{request} was not answered")
        except HttpError as error:
            await self._answer_error(request, error)
        except ConnectionError as error:
            _log.info("%s: %s", request, error)
            self.abort()
        except Exception:
            _log.exception("%s failed", request)
            await self._answer_error(request, HttpError(500, "internal error; the server's log says more", close=True))
        finally:
            self._finish(request)

    async def _answer_error(self, request: HttpRequest, error: HttpError) -> None:
        """What a person reads who looks at it; nothing of ours but the text."""
        if self._receiver is not None or request.status or self._lost:
            self.abort()
            return
        fields: list[Field] = [*error.fields, ("Content-Type", "text/plain; charset=utf-8")]
        if error.close:
            fields.append(("Connection", "close"))
        try:
            await request.respond(error.status, f"{error.text}\n".encode(), fields)
        except ConnectionError:
            self.abort()

    def _finish(self, request: HttpRequest) -> None:
        """The handler is done with a request."""
        seconds = time.perf_counter() - self._began
        level = logging.INFO if request.status >= 400 else logging.DEBUG
        _log.log(level, "%s: %d, %d bytes, %.1f ms", request, request.status, self._sent, seconds * 1000)
        self._server.metrics.http[request.status] += 1
        self._task = None
        if self._lost:
            self._release()
            return
        if self._receiver is not None:
            return
        self._body.clear()
        self._ahead = 0
        if self._http.our_state is h11.MUST_CLOSE or self._http.our_state is h11.ERROR or self._draining:
            self._close()
        elif self._http.our_state is not h11.DONE:
            self.abort()
        elif self._body_done:
            self._next()
        else:
            self._discarding = True
            self._expect(self.limits.body_seconds, "of a body that nobody wants")
            self._advance()

    def _next(self) -> None:
        """The request is answered, and its body is read: the next may come."""
        self._discarding = False
        self._request = None
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            self._close()
            return
        self._http.start_next_cycle()
        self._deadline = None
        # The head of the next may be there already; not at once, where this was called from the loop over events.
        self._loop.call_soon(self._advance)

    # The body

    async def read_part(self) -> bytes:
        """The next piece of the body; b"" behind the last. `ConnectionError` where the client goes away."""
        if not self._body and not self._body_done:
            await self._wait_for_body()
        if self._broken is not None:
            raise self._broken
        if not self._body:
            return b""
        part = b"".join(self._body)
        self._body.clear()
        self._ahead = 0
        self._advance()
        return part

    async def _wait_for_body(self) -> None:
        if self._http.they_are_waiting_for_100_continue and self.status_line_unsent:
            self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        self._expect_body()
        while not self._body and not self._body_done and self._broken is None:
            if self._lost:
                raise ConnectionResetError("the client is gone")
            self._more = self._loop.create_future()
            try:
                await self._more
            finally:
                self._more = None
        self._deadline = None

    def _expect_body(self) -> None:
        """So many seconds, and more for what came: who sends a byte now and then is not waited for."""
        allowed = self.limits.body_seconds + self._received / self.limits.body_rate
        self._expect(max(0.0, self._began + allowed - time.perf_counter()), "of a body that does not come")

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def hold(self, size: int) -> None:
        """So many more bytes of a body are kept until it is whole. `HttpError` where all clients have too many."""
        self._held += size
        self._server.held += size
        if self._server.held > self.limits.held_size and self._held > _AHEAD:
            self._server.metrics.refused["memory"] += 1
            raise HttpError(503, "too many requests at a time", close=True)

    def hold_nothing(self) -> None:
        """The body is the handler's now."""
        self._server.held -= self._held
        self._held = 0

    # The answer

    @property
    def status_line_unsent(self) -> bool:
        """No answer was begun."""
        return self._http.our_state in (h11.SEND_RESPONSE, h11.IDLE)

    def start(self, request: HttpRequest, status: int, fields: Sequence[Field], body: bytes = b"") -> None:
        """The answer's head, and of a whole answer its body in the same packet."""
        if self._lost:
            raise ConnectionResetError("the client is gone")
        all_fields = [*self._server.fields(), *fields, *request.response_fields]
        if (not self._body_done and not self._is_discardable(request)) or self._draining:
            all_fields.append(("Connection", "close"))
        request.status = status
        head = h11.Response(
            status_code=status,
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in all_fields],
            reason=(request.reason or reason_of(status)).encode("latin-1"),
        )
        data = self._http.send(head) or b""
        if body and request.method != "HEAD":
            data += self._http.send(h11.Data(data=body)) or b""
            self._sent += len(body)
        self._write(data)

    def _is_discardable(self, request: HttpRequest) -> bool:
        """Whether the rest of a body that the handler did not want can be waited for."""
        length = request.content_length
        return length is None or length <= _DISCARDED

    async def write(self, data: bytes) -> None:
        """See `HttpRequest.write`."""
        if self._lost or self._closing:
            raise ConnectionResetError("the client is gone")
        if data and (self._request is None or self._request.method != "HEAD"):
            self._sent += len(data)
            self._send(h11.Data(data=data))
        await self._drained()

    async def end(self) -> None:
        """See `HttpRequest.end`."""
        if self._lost:
            raise ConnectionResetError("the client is gone")
        self._send(h11.EndOfMessage())
        await self._drained()

    def _send(self, event: h11.Event) -> None:
        self._write(self._http.send(event) or b"")

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._server.metrics.bytes_sent += len(data)
            self._transport.write(data)

    async def _drained(self) -> None:
        writable = self._writable
        if writable is None:
            return
        try:
            await asyncio.wait_for(asyncio.shield(writable), self.limits.write_seconds)
        except TimeoutError:
            _log.warning("%s does not read its answer", self)
            self.abort()
            raise ConnectionResetError("the client does not read") from None

    def take_over(self, receiver: HttpReceiver) -> asyncio.Transport:
        """See `HttpRequest.take_over`."""
        if self._lost or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        waiting = b"".join([*self._body, self._http.trailing_data[0]])
        self._receiver = receiver
        self._body.clear()
        self._deadline = self._writable = None
        self._read_or_wait()
        receiver.connection_made(self._transport)
        if waiting:
            receiver.data_received(waiting)
        return self._transport

    # Clients that err

    def _malformed(self, error: h11.RemoteProtocolError) -> None:
        # Not h11's text, which repeats the line that is wrong: a password may stand in it.
        refusal = HttpError(error.error_status_hint, "malformed HTTP", close=True)
        if self._request is None:
            self._refuse(refusal)
            return
        # In the body: for its reader, or nobody.
        self._broken = refusal
        self._wake()
        if self._discarding:
            self._close()

    def _refuse(self, error: HttpError) -> None:
        """Answer what is no request, and close."""
        _log.info("%s: %s", self, error)
        self._server.metrics.http[error.status] += 1
        body = f"{error.text}\n".encode()
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            fields = [*self._server.fields(), ("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
            fields.append(("Content-Length", str(len(body))))
            head = h11.Response(status_code=error.status, headers=fields, reason=reason_of(error.status).encode())
            self._write((self._http.send(head) or b"") + (self._http.send(h11.Data(data=body)) or b""))
        self._close()

    # Reading, time and the end

    def _read_or_wait(self) -> None:
        """Read on, that a client which goes away is noticed; but not far ahead of who wants it."""
        on = self._receiver is not None or self._request is None or self._discarding
        on = on or self._ahead + len(self._http.trailing_data[0]) < _AHEAD
        if on is self._reading or self._lost or self._transport is None or self._transport.is_closing():
            return
        self._reading = on
        (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _expect(self, seconds: float, why: str) -> None:
        """Close the connection then, unless `_deadline` is changed meanwhile."""
        if seconds == float("inf"):
            self._deadline = None
            return
        self._deadline = self._loop.time() + seconds, why
        if self._timer is None or self._timer.when() > self._deadline[0]:
            self._set_timer(seconds)

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(seconds, 0.001), self._check_time)

    def _check_time(self) -> None:
        self._timer = None
        if self._deadline is None or self._lost:
            return
        if self._more is not None:
            self._expect_body()
        when, why = self._deadline
        if when > self._loop.time():
            self._set_timer(when - self._loop.time())
            return
        begun = self._request is not None or bool(self._http.trailing_data[0])
        _log.log(logging.WARNING if begun else logging.DEBUG, "%s closed: too long a time %s", self, why)
        if self._request is None and begun:
            self._refuse(HttpError(408))
        self.abort()

    def shut_down(self) -> None:
        """The server stops: close when the request that is being answered has its answer."""
        self._draining = True
        if self._receiver is not None:
            self._receiver.shut_down()
        elif self._request is None:
            self._close()

    @property
    def _closing(self) -> bool:
        return self._transport is not None and self._transport.is_closing()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
        elif self._handshake is not None:
            self._handshake.cancel()

    def _close(self) -> None:
        self._draining = True
        self._deadline = None
        if self._transport is None:
            self.abort()
        elif not self._transport.is_closing():
            self._transport.close()
            # A peer that does not read what is still unsent must not keep the connection open.
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(self.limits.write_seconds, self.abort)
