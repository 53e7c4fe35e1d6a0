"""TLS on the client's socket itself: against OpenSSL's own client, on every event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from openchange_py.transports.tasks import spawn
from openchange_py.transports.tls import TlsCertificate
from openchange_py.transports.tls_transport import TlsTransport, accept_tls
from tests.transports.http_parties import make_pair, trusting
from tests.transports.serving import LOOPS, run

LARGE = bytes(range(256)) * (16 << 10)


class Served(asyncio.Protocol):
    """One connection on the server's side, and what happened on it."""

    def __init__(self) -> None:
        self.transport: TlsTransport | None = None
        self.data = bytearray()
        self.more, self.eof, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.made, self.failed = asyncio.Event(), asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.paused = 0
        self.error: Exception | None = None

    @property
    def end(self) -> TlsTransport:
        assert self.transport is not None
        return self.transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("TlsTransport", transport)
        self.made.set()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.more.set()

    def eof_received(self) -> None:
        self.eof.set()

    def pause_writing(self) -> None:
        self.paused += 1
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.gone.set()

    async def until(self, size: int) -> None:
        while len(self.data) < size:
            self.more.clear()
            await self.more.wait()


class Listener:
    """A listening socket of the test's own."""

    def __init__(self, tls: TlsCertificate, seconds: float = 10.0) -> None:
        self.tls, self.seconds = tls, seconds
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    async def accepted(self) -> Served:
        """The next connection, its handshake under way."""
        connection, _ = await asyncio.get_running_loop().sock_accept(self.socket)
        served = Served()
        spawn(self._handshake(connection, served), "handshake")
        return served

    async def _handshake(self, connection: socket.socket, served: Served) -> None:
        try:
            await accept_tls(connection, self.tls.context, served, self.seconds)
        except OSError as error:
            served.error = error
            served.failed.set()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(place: Path) -> AsyncIterator[tuple[Served, Streams]]:
    """Both ends, behind the handshake."""
    certificate, key = make_pair(place)
    listener = Listener(TlsCertificate(certificate, key))
    context = trusting(certificate)
    dialing = asyncio.open_connection("127.0.0.1", listener.port, ssl=context, server_hostname="localhost")
    served, streams = await asyncio.gather(listener.accepted(), dialing)
    await served.made.wait()
    try:
        yield served, streams
    finally:
        served.end.abort()
        await served.gone.wait()
        streams[1].transport.abort()
        listener.socket.close()


@pytest.fixture(params=LOOPS)
def running(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[Callable[[Served, Streams], Awaitable[None]]], None]:
    """Runs a test's body on an event loop, with both ends."""

    def runs(body: Callable[[Served, Streams], Awaitable[None]]) -> None:
        async def main() -> None:
            async with connected(tmp_path) as (served, streams):
                await body(served, streams)

        run(main, request.param)

    return runs


Running = Callable[[Callable[[Served, Streams], Awaitable[None]]], None]


def test_much_in_both_directions(running: Running) -> None:
    async def body(served: Served, streams: Streams) -> None:
        reader, writer = streams
        writer.write(LARGE)
        served.end.write(LARGE[:100])
        served.end.write(LARGE[100:])
        assert served.paused == 1, "so much can't be on its way yet"
        assert served.end.get_write_buffer_size() == len(LARGE)
        assert await reader.readexactly(len(LARGE)) == LARGE
        await served.writable.wait()
        await served.until(len(LARGE))
        assert served.data == LARGE
        assert served.end.get_write_buffer_size() == 0

    running(body)


def test_what_is_told_of_the_connection(running: Running) -> None:
    async def body(served: Served, streams: Streams) -> None:
        own = streams[1].get_extra_info("sockname")
        assert served.end.get_extra_info("peername") == own
        assert served.end.get_extra_info("sockname") == streams[1].get_extra_info("peername")
        assert served.end.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
        assert served.end.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert served.end.get_extra_info("compression", "none") == "none"

    running(body)


def test_nothing_comes_while_nobody_reads(running: Running) -> None:
    async def body(served: Served, streams: Streams) -> None:
        reader, writer = streams
        served.end.pause_reading()
        writer.write(LARGE)
        served.end.write(b"go on")
        assert await reader.readexactly(5) == b"go on"
        assert not served.data
        assert not served.end.is_reading()
        served.end.resume_reading()
        await served.until(len(LARGE))
        assert served.data == LARGE

    running(body)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_close_comes_behind_what_was_written(loop: str, tmp_path: Path) -> None:
    """Not with uvloop's client, which loses what it has not delivered when the end comes."""
    certificate, key = make_pair(tmp_path)

    def client(port: int) -> bytes:
        plain = socket.create_connection(("127.0.0.1", port))
        with trusting(certificate).wrap_socket(plain, server_hostname="localhost") as session:
            # Nobody reads this any more, which must not cost the client its answer.
            session.sendall(bytes(1 << 16))
            got = bytearray()
            while data := session.recv(1 << 16):
                got += data
        return bytes(got)

    async def main() -> None:
        listener = Listener(TlsCertificate(certificate, key))
        answer = spawn(asyncio.to_thread(client, listener.port), "client")
        served = await listener.accepted()
        await served.made.wait()
        served.end.write(LARGE)
        served.end.close()
        served.end.close()
        served.end.write(b"too late")
        assert served.end.is_closing()
        assert await answer == LARGE
        await served.gone.wait()
        assert served.error is None
        listener.socket.close()

    run(main, loop)


def test_the_client_s_end(running: Running) -> None:
    async def body(served: Served, streams: Streams) -> None:
        reader, writer = streams
        writer.write(b"goodbye")
        writer.close()
        await served.eof.wait()
        assert served.data == b"goodbye"
        assert await reader.read() == b""
        await served.gone.wait()
        assert served.error is None

    running(body)


def test_an_end_without_a_word_is_an_end(running: Running) -> None:
    async def body(served: Served, streams: Streams) -> None:
        streams[1].transport.abort()
        await served.gone.wait()
        served.end.write(b"to nobody")
        served.end.close()
        served.end.abort()

    running(body)


def test_a_client_that_is_gone_while_much_is_unsent(running: Running) -> None:
    async def body(served: Served, streams: Streams) -> None:
        streams[1].transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(16):
            served.end.write(LARGE)
        streams[1].transport.abort()
        await served.gone.wait()
        assert served.end.get_write_buffer_size() == 0

    running(body)


def test_a_record_that_was_changed_ends_it(running: Running) -> None:
    async def body(served: Served, streams: Streams) -> None:
        raw: socket.socket = streams[1].get_extra_info("socket")
        number = raw.fileno()
        with socket.socket(fileno=socket.dup(number)) as direct:
            direct.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        await served.gone.wait()
        assert isinstance(served.error, ssl.SSLError)
        assert not served.data

    running(body)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_handshake_that_does_not_come_about(loop: str, tmp_path: Path) -> None:
    tls = TlsCertificate(*make_pair(tmp_path))

    async def main() -> None:
        hasty = Listener(tls, 0.01)
        _, silent = await asyncio.open_connection("127.0.0.1", hasty.port)
        served = await hasty.accepted()
        await served.failed.wait()
        assert isinstance(served.error, TimeoutError)
        patient = Listener(tls)
        reader, other = await asyncio.open_connection("127.0.0.1", patient.port)
        served = await patient.accepted()
        other.write(b"GET / HTTP/1.1\r\n\r\n")
        await served.failed.wait()
        assert isinstance(served.error, ssl.SSLError)
        assert not served.made.is_set()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()  # an alert perhaps, and the end
        for writer, listener in ((silent, hasty), (other, patient)):
            writer.transport.abort()
            listener.socket.close()

    run(main, loop)


def test_nobody_negotiates_anew(tmp_path: Path) -> None:
    assert TlsCertificate(*make_pair(tmp_path)).context.options & ssl.OP_NO_RENEGOTIATION
