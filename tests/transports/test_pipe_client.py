"""The client of named pipes: the transport over a socket that blocks, and SMB toward what is no SMB server.

Against Samba's smbd: `tests/interop/test_pipe_client.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import threading

import pytest

from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.pipe_client import PipePlace, PipeTransport, SmbUnavailable, connect
from openchange_py.transports.tcp_client import ConnectionLost, NoAnswer, RpcClient
from tests.rpc.echo import ECHO, REVERSE, WAIT
from tests.rpc.parties import ntlm
from tests.transports.serving import LOOPS, run, serving


class SocketPipe:
    """A server's TCP port as a pipe."""

    def __init__(self, port: int) -> None:
        self.peername = ("127.0.0.1", port)
        self.socket = socket.create_connection(self.peername)
        self.closed = threading.Event()

    def read(self) -> bytes:
        return self.socket.recv(1000)

    def write(self, message: bytes) -> None:
        self.socket.sendall(message)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.closed.set()


async def over(pipe: SocketPipe, level: AuthLevel = AuthLevel.PRIVACY, **options: float) -> RpcClient:
    """A client over the pipe."""

    async def reach(client: asyncio.Protocol) -> None:
        PipeTransport(pipe, client).start()

    context = ntlm(level)
    return await RpcClient.over(reach, "the pipe", ECHO, context=context, level=level, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("loop", LOOPS)
def test_calls_of_many_fragments_and_the_end(loop: str) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            pipe = SocketPipe(port)
            client = await over(pipe)
            stub = bytes(range(256)) * 2000
            for part in (b"short", stub):
                assert await client.call(REVERSE, part) == part[::-1]
            await client.close()
            assert await asyncio.to_thread(pipe.closed.wait, 10)
            with pytest.raises(ConnectionLost, match="closed here"):
                await client.call(REVERSE, b"")

    run(main, loop)


def test_a_call_that_is_not_answered_takes_the_pipe_with_it() -> None:
    async def main() -> None:
        async with serving() as (_, handler, port):
            pipe = SocketPipe(port)
            client = await over(pipe, call_timeout=0.1)
            with pytest.raises(NoAnswer, match="no answer within"):
                await client.call(WAIT, b"")
            assert await asyncio.to_thread(pipe.closed.wait, 10)
            handler.gate.set()

    run(main)


def test_a_server_that_goes_away() -> None:
    async def main() -> None:
        async with serving() as (server, handler, port):
            pipe = SocketPipe(port)
            client = await over(pipe)
            waiting = asyncio.ensure_future(client.call(WAIT, b""))
            await handler.waiting.wait()
            for connection in list(server._connections):
                connection.abort()
            with pytest.raises(ConnectionLost):
                await waiting
            handler.gate.set()
            assert await asyncio.to_thread(pipe.closed.wait, 10)

    run(main)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbprotocol", None)
    with pytest.raises(SmbUnavailable, match=r"pip install 'openchange-py\[np\]'"):
        asyncio.run(connect(PipePlace("localhost", "alice", "x"), ECHO))


def smb(port: int, **options: float) -> None:
    """What comes of an attempt at a port of this machine."""
    pytest.importorskip("smbprotocol", reason="the Python package smbprotocol is needed: pip install '.[np]'")
    run(lambda: _attempt(port, **options))


async def _attempt(port: int, **options: float) -> None:
    await connect(PipePlace("127.0.0.1", "alice", "s3cret", port), ECHO, **options)


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionLost, match="refused") as caught:
        smb(port)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_server_that_says_nothing_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ConnectionLost, match=r"did not answer within 0\.2 s"),
    ):
        smb(silent.getsockname()[1], connect_timeout=0.2)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x48\xfeSMB" + bytes(68)])
def test_a_server_that_speaks_something_else(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def serve(listening: socket.socket) -> None:
        with listening.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with pytest.raises(ConnectionLost):
            smb(listening.getsockname()[1])
        thread.join()
    assert "s3cret" not in repr(PipePlace("h", "alice", "s3cret")) + caplog.text
