"""Connections whose other end is gone without a word are noticed, on both sides."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from openchange_py.transports.keepalive import keep_alive
from tests.transports.serving import LOOPS, client, run, serving


def probes(transport: asyncio.BaseTransport) -> bool:
    connection = transport.get_extra_info("socket")
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000
    return bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


@pytest.mark.parametrize("loop", LOOPS)
def test_both_ends_are_probed(loop: str) -> None:
    async def main() -> None:
        async with serving() as (server, _, port):
            caller = await client(port)
            (accepted,) = server._connections
            for end in (caller._transport, accepted._transport):
                assert end is not None
                assert probes(end)
            await caller.close()

    run(main, loop)


def test_what_is_no_tcp_connection_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        server = await asyncio.start_unix_server(lambda reader, writer: writer.close(), path)
        _, writer = await asyncio.open_unix_connection(path)
        keep_alive(writer.transport)
        keep_alive(asyncio.BaseTransport())
        writer.close()
        server.close()

    run(main)
