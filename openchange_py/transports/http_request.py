"""One request as a resource sees it, and the answer that it gives: whole, in pieces over time, or by its own means.

    async def handle(self, request: HttpRequest) -> None:
        body = await request.read()
        await request.respond(200, body, [("Content-Type", "text/plain")])

In pieces: `request.start(200)`, then `await request.write(data)` as often as wanted, then `await request.end()`. By its
own means: `request.take_over(receiver)` makes the receiver the owner of the connection's bytes in both directions, from
the first byte on that was not read as part of the head (or of the body, where some of it was read).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol, runtime_checkable

from openchange_py.rpc.log_context import LogFields
from openchange_py.rpc.security import ANONYMOUS, Identity
from openchange_py.rpc.web_logon import Channel
from openchange_py.transports.http_message import Field, Headers, HttpError, Target


class HttpResource(Protocol):
    """What answers requests below a path."""

    async def handle(self, request: HttpRequest) -> None:
        """Answer, or raise `HttpError`. It is cancelled where the client goes away meanwhile."""
        ...

    def shut_down(self) -> None:
        """The server stops: end requests that only wait for something to happen."""
        ...


@runtime_checkable
class PublicResource(HttpResource, Protocol):
    """A resource with something for those, too, who are not to use this listener: plain HTTP that is for proxies."""

    def is_public(self, request: HttpRequest) -> bool:
        """Whether the answer may be anybody's: there is no secret in it, nor in the request."""
        ...


class HttpReceiver(asyncio.Protocol):
    """What takes a connection over."""

    def shut_down(self) -> None:
        """The server stops: close the transport once all is said. Who does not within its patience is cut off."""


class RequestConnection(Protocol):
    """What a request asks of its connection: `HttpConnection`, or another process' (`http_passing.py`)."""

    number: int
    authenticated: bool

    @property
    def state(self) -> dict[Any, Any]: ...
    @property
    def limits(self) -> BodyLimits: ...
    def start(self, request: HttpRequest, status: int, fields: Sequence[Field], body: bytes = b"") -> None: ...
    async def write(self, data: bytes) -> None: ...
    async def end(self) -> None: ...
    async def read_part(self) -> bytes: ...
    def hold(self, size: int) -> None: ...
    def hold_nothing(self) -> None: ...
    def take_over(self, receiver: HttpReceiver) -> asyncio.Transport: ...
    def log_fields(self) -> LogFields: ...


class BodyLimits(Protocol):
    """Of `HttpLimits`, what a request asks for."""

    @property
    def body_size(self) -> int: ...


class HttpRequest:
    """One request; good until it is answered."""

    __slots__ = (
        "_connection", "caller", "channel", "headers", "host", "method", "path", "query", "reason", "response_fields",
        "status",
    )  # fmt: skip

    def __init__(
        self, connection: RequestConnection, method: str, target: Target, headers: Headers, channel: Channel
    ) -> None:
        #: Upper case, as it is compared.
        self.method = method.upper()
        self.path = target.path
        self.query = target.query
        self.host = target.host or headers.get("host")
        self.headers = headers
        self.channel = channel
        #: Who sent it; anonymous before anybody authenticated.
        self.caller: Identity = ANONYMOUS
        #: Added to the response's fields, whoever makes it.
        self.response_fields: list[Field] = []
        #: Of the response, once it is begun; 0 before.
        self.status = 0
        #: In place of the usual words for its status, where there is a protocol that wants others.
        self.reason = ""
        self._connection = connection

    @property
    def connection_state(self) -> dict[Any, Any]:
        """What resources keep for the connection, each under its own key; all its requests have the same."""
        return self._connection.state

    def identified(self, caller: Identity) -> None:
        """It is known who sent the request: its connection is no stranger's."""
        self.caller = caller
        self._connection.authenticated = True

    @property
    def content_length(self) -> int | None:
        """What the client says of its body's size; None where it is chunked."""
        if "transfer-encoding" in self.headers:
            return None
        return int(self.headers.get("content-length", "0"))

    async def read(self, limit: int | None = None) -> bytes:
        """The whole body. `HttpError` (413) where it has more bytes than `limit`, or than the server takes."""
        limit = self._connection.limits.body_size if limit is None else limit
        if (self.content_length or 0) > limit:
            raise HttpError(413, f"the body has more than {limit} bytes")
        parts, size = [], 0
        try:
            async for part in self.body():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise HttpError(413, f"the body has more than {limit} bytes", close=True)
                self._connection.hold(len(part))
        finally:
            self._connection.hold_nothing()
        return b"".join(parts)

    async def body(self) -> AsyncIterator[bytes]:
        """The body piece by piece, as it comes. Asking for it sends the `100 Continue` that a client waits for."""
        while part := await self._connection.read_part():
            yield part

    async def respond(self, status: int, body: bytes = b"", fields: Sequence[Field] = ()) -> None:
        """Answer with a whole body."""
        self._connection.start(self, status, [*fields, ("Content-Length", str(len(body)))], body)
        await self._connection.end()

    def start(self, status: int, fields: Sequence[Field] = ()) -> None:
        """Begin an answer: chunked, unless the fields tell a Content-Length."""
        self._connection.start(self, status, fields)

    async def write(self, data: bytes) -> None:
        """A piece of the answer's body, at once on its way. Waits while the client does not read."""
        await self._connection.write(data)

    async def end(self) -> None:
        """The answer is whole."""
        await self._connection.end()

    def take_over(self, receiver: HttpReceiver) -> asyncio.Transport:
        """From now on the receiver gets what comes, and writes to the transport what is to go, raw.

        `receiver.connection_made` and, where something came already, `data_received` are called before this returns.
        Where `start` was called before, the head of the answer is on its way. No `100 Continue` is sent, and no time
        limit of requests is in force any more.
        """
        return self._connection.take_over(receiver)

    def allow(self, *methods: str) -> None:
        """`HttpError` (405) for a method that is none of these."""
        if self.method not in methods:
            raise HttpError(405, fields=[("Allow", ", ".join((*methods, "OPTIONS")))])

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`. No header's value: credentials and cookies are among them."""
        fields = self._connection.log_fields() | {"method": self.method, "path": self.path, "peer": self.channel.peer}
        if not self.caller.is_anonymous:
            fields["account"] = str(self.caller)
        return fields | ({"http_status": self.status} if self.status else {})

    def __str__(self) -> str:
        caller = "" if self.caller.is_anonymous else f" {self.caller}"
        return f"[http {self._connection.number} {self.channel.peer}{caller}] {self.method:.20} {self.path[:200]!r}"
