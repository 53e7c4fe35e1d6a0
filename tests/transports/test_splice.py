"""Bytes of a connection that go to another process and back, and who waits for whom."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from openchange_py.transports.splice import Splice
from openchange_py.transports.tasks import spawn
from tests.transports.serving import LOOPS, run


class Near(asyncio.Protocol):
    """What accepts a client and gives it away at once."""

    def __init__(self) -> None:
        self.splice: Splice
        self.file: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.splice, file = Splice.of(transport)
        self.file.set_result(file)

    def data_received(self, data: bytes) -> None:
        self.splice.data_received(data)

    def pause_writing(self) -> None:
        self.splice.pause_writing()

    def resume_writing(self) -> None:
        self.splice.resume_writing()

    def eof_received(self) -> bool:
        return self.splice.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.splice.connection_lost(exc)
        self.lost.set()


async def spliced() -> tuple[socket.socket, socket.socket, Near]:
    """The client's socket, the other process', and what is between them."""
    client, accepted = socket.socketpair()
    accepted.setblocking(False)
    _, near = await asyncio.get_running_loop().connect_accepted_socket(Near, accepted)
    far = socket.socket(fileno=await near.file)
    for end in (client, far):
        end.setblocking(False)
    return client, far, near


async def receive(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = await asyncio.get_running_loop().sock_recv(end, size - len(data))
        assert part, "it ended early"
        data += part
    return data


@pytest.mark.parametrize("loop", LOOPS)
def test_everything_goes_both_ways_and_who_sends_much_waits(loop: str) -> None:
    async def main() -> None:
        client, far, near = await spliced()
        running, data = asyncio.get_running_loop(), bytes(range(256)) * 20_000
        for sender, receiver in ((client, far), (far, client)):
            sending = spawn(running.sock_sendall(sender, data), "sending")
            for _ in range(50):
                await asyncio.sleep(0)
            assert not sending.done(), "nobody reads"
            assert await receive(receiver, len(data)) == data
            await sending
        client.close()
        assert await running.sock_recv(far, 1) == b""
        await near.lost.wait()
        far.close()

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_client_is_told_where_the_other_process_ends_behind_its_last_word(loop: str) -> None:
    async def main() -> None:
        client, far, near = await spliced()
        running = asyncio.get_running_loop()
        near.splice.shut_down()
        await running.sock_sendall(far, b"good-bye")
        far.close()
        assert await receive(client, 8) == b"good-bye"
        assert await running.sock_recv(client, 1) == b""
        await near.lost.wait()
        client.close()

    run(main, loop)


def test_a_client_that_is_gone_before_the_way_is_open() -> None:
    async def main() -> None:
        client, accepted = socket.socketpair()
        accepted.setblocking(False)
        transport, near = await asyncio.get_running_loop().connect_accepted_socket(Near, accepted)
        near.splice.data_received(b"early")
        transport.abort()
        await near.lost.wait()
        far = socket.socket(fileno=near.file.result())
        far.setblocking(False)
        assert await receive(far, 5) == b"early"
        assert await asyncio.get_running_loop().sock_recv(far, 1) == b""
        far.close()
        client.close()

    run(main)


def test_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openchange_py.transports.splice._WRITE_SECONDS", 0.05)

    async def main() -> None:
        client, far, near = await spliced()
        sending = spawn(asyncio.get_running_loop().sock_sendall(far, bytes(10_000_000)), "sending")
        for _ in range(50):
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait([sending])
        far.close()
        await near.lost.wait()
        client.close()

    run(main)
