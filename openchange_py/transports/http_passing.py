"""HTTP requests whose session another process has: answered there, through the connection that they came on here.

A TLS connection can't be given away, and on a proxy's connection requests of many clients come: so the request goes,
not the connection. Whose it is was found here; the other process believes it, and checks that the session is that
account's.

One pair of unix sockets carries one request after the other, and is kept for the next. A message on it is its head's
length and its body's (4 bytes each), the head as JSON, and the body.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import socket
from collections.abc import Sequence
from typing import Any, Final

from openchange_py.rpc.log_context import LogFields
from openchange_py.rpc.security import Identity
from openchange_py.rpc.web_logon import Channel
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http_message import Field, Headers, HttpError, Target
from openchange_py.transports.http_request import HttpReceiver, HttpRequest, HttpResource
from openchange_py.transports.post import Message
from openchange_py.transports.tasks import spawn

_log: Final = logging.getLogger(__name__)

#: Sockets to one other process that wait for their next request.
_IDLE: Final = 16
#: Seconds that requests of other processes have to end in where this one stops.
_PATIENCE: Final = 10.0
#: What nobody is told who executes a request.
_SECRET: Final = ("authorization", "proxy-authorization")


class Stream:
    """One end of a pair of sockets that carries requests one way, and their answers back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Stream:
        """On a connected socket."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    @property
    def ended(self) -> bool:
        """The other process closed it, or is gone."""
        return self._reader.at_eof() or self._writer.is_closing()

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send a message."""
        packed = json.dumps(head, separators=(",", ":")).encode()
        lengths = len(packed).to_bytes(4, "big") + len(body).to_bytes(4, "big")
        self._writer.write(b"".join((lengths, packed, body)))

    async def drain(self) -> None:
        """Wait while the other process does not read. Raises `ConnectionError`."""
        await self._writer.drain()

    async def receive(self) -> tuple[dict[str, Any], bytes] | None:
        """The next message; None where the other process closes, or is gone."""
        try:
            lengths = await self._reader.readexactly(8)
            head = await self._reader.readexactly(int.from_bytes(lengths[:4], "big"))
            body = await self._reader.readexactly(int.from_bytes(lengths[4:], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return json.loads(head), body

    def close(self) -> None:
        """Close it; what was sent still arrives."""
        self._writer.close()


class RequestPassing:
    """Requests of one resource from one process to the other, both ways. `name` is what the processes know it by."""

    def __init__(self, colleagues: Colleagues, name: str, resource: HttpResource) -> None:
        self._colleagues = colleagues
        self._name = f"request {name}"
        self._resource = resource
        self._idle: dict[int, list[Stream]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        colleagues.take(self._name, self._take)

    # Away

    async def pass_on(self, request: HttpRequest, body: bytes, process: int) -> bool:
        """Have a request answered by another process; false where that one is gone, and nothing was answered."""
        _log.debug("%s goes to worker %d", request, process)
        stream = await self._stream(process)
        whole = False
        try:
            stream.send(_told(request), body)
            await stream.drain()
            whole = await self._answer(request, stream)
        except ConnectionError:
            if request.status:
                raise
            return False
        finally:
            idle = self._idle.setdefault(process, [])
            if whole and len(idle) < _IDLE:
                idle.append(stream)
            else:
                stream.close()
        return True

    async def _answer(self, request: HttpRequest, stream: Stream) -> bool:
        """Carry the answer back as it comes."""
        while (received := await stream.receive()) is not None:
            head, part = received
            if "status" in head:
                request.reason = head["reason"]
                request.start(head["status"], [(name, value) for name, value in head["fields"]])
            if part:
                await request.write(part)
            if head.get("end"):
                await request.end()
                return True
        raise ConnectionResetError("the worker that has the session is gone")

    async def _stream(self, process: int) -> Stream:
        idle = self._idle.get(process, [])
        while idle:
            stream = idle.pop()
            if not stream.ended:
                return stream
            stream.close()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._colleagues.give(process, self._name, {}, file=theirs.detach())
        return await Stream.over(ours)

    # Here

    def _take(self, message: Message) -> None:
        """Have the requests that another process sends."""
        end = socket.socket(fileno=message.files[0])
        end.setblocking(False)
        task = spawn(self._serve(end), f"{self._name} of another worker")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, end: socket.socket) -> None:
        stream = await Stream.over(end)
        try:
            received = await stream.receive()
            while received is not None:
                task = spawn(self._handle(stream, *received), f"request of {received[0]['peer']}")
                self._busy.add(task)
                task.add_done_callback(self._busy.discard)
                received = await stream.receive()
                if received is None:
                    task.cancel()  # the client went away
                await asyncio.wait((task,))
        finally:
            stream.close()

    async def _handle(self, stream: Stream, head: dict[str, Any], body: bytes) -> None:
        request = HttpRequest(
            PassedConnection(stream, body),
            head["method"],
            Target(*head["target"]),
            Headers((name.encode("latin-1"), value.encode("latin-1")) for name, value in head["fields"]),
            _channel(head),
        )
        request.identified(Identity.of(head["caller"]))
        try:
            await self._resource.handle(request)
        except (ConnectionError, HttpError) as error:
            _log.info("%s: %s", request, error)
            stream.close()
        except Exception:
            _log.exception("%s failed", request)
            stream.close()

    async def stop(self) -> None:
        """No request comes any more: let those that are being answered end, and close all sockets."""
        if self._busy:
            await asyncio.wait(self._busy, timeout=_PATIENCE)
        for streams in self._idle.values():
            for stream in streams:
                stream.close()
        self._idle.clear()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)


@dataclasses.dataclass(frozen=True, slots=True)
class _Limits:
    body_size: int


class PassedConnection:
    """The connection of a request that came to another process, as far as its `HttpRequest` uses it."""

    number = 0

    def __init__(self, stream: Stream, body: bytes) -> None:
        self.state: dict[Any, Any] = {}
        self.authenticated = True
        self.limits = _Limits(len(body))
        self._stream = stream
        self._body = body

    async def read_part(self) -> bytes:
        """See `HttpConnection.read_part`: all of the body at once."""
        part, self._body = self._body, b""
        return part

    def hold(self, size: int) -> None:
        """Nothing waits to be whole."""

    def hold_nothing(self) -> None:
        """As `hold`."""

    def start(self, request: HttpRequest, status: int, fields: Sequence[Field], body: bytes = b"") -> None:
        """See `HttpConnection.start`."""
        if self._stream.ended:
            raise ConnectionResetError("the client is gone")
        request.status = status
        told = [*fields, *request.response_fields]
        self._stream.send({"status": status, "reason": request.reason, "fields": told}, body)

    async def write(self, data: bytes) -> None:
        """See `HttpRequest.write`."""
        if self._stream.ended:
            raise ConnectionResetError("the client is gone")
        self._stream.send({}, data)
        await self._stream.drain()

    async def end(self) -> None:
        """See `HttpRequest.end`."""
        self._stream.send({"end": True})
        await self._stream.drain()

    def take_over(self, receiver: HttpReceiver) -> asyncio.Transport:
        """What takes connections over is given them itself."""
        raise NotImplementedError("a request that was passed on has no connection")

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`."""
        return {}


def _told(request: HttpRequest) -> dict[str, Any]:
    channel = request.channel
    return {
        "method": request.method,
        "target": [request.path, request.query, request.host],
        "fields": [(name, value) for name, value in request.headers if name not in _SECRET],
        "caller": request.caller.told(),
        "peer": channel.peer,
        "secure": channel.secure,
        "shared": channel.shared,
    }


def _channel(head: dict[str, Any]) -> Channel:
    return Channel(head["peer"], head["secure"], head["shared"])
