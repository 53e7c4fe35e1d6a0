"""Workers that give each other connections: over TCP those of a group, over HTTP channels and what they carry."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.post import Message
from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_client import BindError
from tests.auth.ntlm_parties import authenticator
from tests.rpc.echo import GROW, REVERSE, WHO, EchoHandler
from tests.rpc.test_acceptor import ECHO_BIND
from tests.transports.http_parties import get, raw_client
from tests.transports.office import Office, office, rest_of
from tests.transports.rpch_parties import Proxy, open_half, proxying
from tests.transports.serving import LOOPS, client, run


@asynccontextmanager
async def tcp_workers(count: int = 2) -> AsyncIterator[tuple[Office, list[EchoHandler], list[TcpServer], int]]:
    """An echo server in each of the workers, behind one port."""
    async with office(count) as made, AsyncExitStack() as stack:
        handlers, servers, port = [], [], 0
        for colleagues in made.workers:
            handlers.append(EchoHandler())
            groups = AssociationGroups(share=colleagues.share)
            server = TcpServer(handlers[-1], authenticator(), groups=groups, colleagues=colleagues)
            _, port = await server.start("127.0.0.1", 0, purpose="rpc")
            stack.push_async_callback(server.stop)
            servers.append(server)
        yield made, handlers, servers, port


@pytest.mark.parametrize("loop", LOOPS)
def test_connections_are_dealt_out_and_a_second_one_goes_to_its_group(loop: str) -> None:
    async def main() -> None:
        async with tcp_workers() as (made, handlers, servers, port):
            first = await client(port, AuthLevel.PRIVACY)
            other = await client(port)
            assert await first.call(REVERSE, b"abc") == b"cba"
            assert await other.call(REVERSE, b"abc") == b"cba"
            assert [len(handler.sessions) for handler in handlers] == [1, 1]
            third = await client(port, AuthLevel.PRIVACY)  # in the first worker
            again = await client(port, AuthLevel.PRIVACY, assoc_group=first.assoc_group)
            assert again.assoc_group == first.assoc_group
            assert await again.call(REVERSE, b"xyz") == b"zyx"
            assert await again.call(WHO, b"") == await first.call(WHO, b"")
            assert len(handlers[0].sessions) == 1, "it is the session of the first connection"
            assert made.workers[1].given == {"connection": 1}
            assert made.workers[0].given == {}
            assert len(servers[0]._connections) == 3
            assert len(servers[1]._connections) == 1, "the one that was given away is not counted any more"
            for one in (first, other, third, again):
                await one.close()

    run(main, loop)


def test_a_group_that_its_worker_does_not_have_is_refused_by_that_one() -> None:
    async def main() -> None:
        async with tcp_workers() as (made, _, _, port):
            with pytest.raises(BindError):
                await client(port, assoc_group=0x1001)  # odd: the second worker's, and the first accepts
            assert made.workers[0].given == {"connection": 1}

    run(main)


def test_who_binds_byte_by_byte_is_passed_on_whole() -> None:
    """What came before it was known whose it is, is given along."""

    async def main() -> None:
        async with tcp_workers() as (made, handlers, _, port):
            first = await client(port)
            spare = await client(port)
            slow = await client(port)  # the first worker's turn
            reader, writer = await asyncio.open_connection("127.0.0.1", port)  # the second one's
            for byte in dataclasses.replace(ECHO_BIND, assoc_group_id=first.assoc_group).pack():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            head = await reader.readexactly(16)
            assert head[2] == 12, "bind_ack"
            assert made.workers[1].given == {"connection": 1}
            assert handlers
            writer.close()
            for one in (first, spare, slow):
                await one.close()

    run(main)


def test_an_address_that_can_not_be_had() -> None:
    async def main() -> None:
        async with office() as made:
            with pytest.raises(OSError, match="in use") as caught:
                await made.workers[1].listen("taken", "127.0.0.1", 1, Message.close)
            assert caught.value.errno == 98

    run(main)


def test_what_nobody_takes_is_closed_and_the_supervisors_end_is_told() -> None:
    async def main() -> None:
        async with office() as made:
            reading, writing = os.pipe()
            made.workers[0].give(1, "nothing", {}, file=writing)
            assert await asyncio.to_thread(rest_of, reading) == b""
            asked: asyncio.Queue[Message] = asyncio.Queue()
            made.workers[0].asked["reload"] = asked.put_nowait
            made.posts[0].send(Message("unheard of"))
            made.posts[0].send(Message("reload", {"question": 5}))
            assert (await asked.get()).about == {"question": 5}
            waiting = asyncio.ensure_future(made.workers[0]._ask("never answered", {}))
            await asyncio.sleep(0)
            made.posts[0].close()
            with pytest.raises(ConnectionError):
                await waiting
            assert made.lost == [0]
            with pytest.raises(ConnectionError):
                await made.workers[0].listen("rpc", "127.0.0.1", 0, Message.close)

    run(main)


def test_what_was_given_is_shown() -> None:
    async def main() -> None:
        async with office() as made:
            made.workers[0].give(1, "request /mapi", {})
            made.workers[0].give(1, "request /mapi", {})
            assert dict(made.workers[0].family().values) == {("request",): 2}

    run(main)


@asynccontextmanager
async def http_workers(count: int, folder: Path | None = None) -> AsyncIterator[tuple[Office, list[Proxy]]]:
    """An RPC proxy in each of the workers, behind one port."""
    async with office(count) as made, AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(proxying(folder, colleagues=colleagues)) for colleagues in made.workers
        ]
        yield made, proxies


@pytest.mark.parametrize("loop", LOOPS)
def test_channels_meet_in_either_order_wherever_they_land(loop: str) -> None:
    async def main() -> None:
        async with http_workers(3) as (made, proxies):
            ways: set[tuple[str, bool, bool]] = set()
            # Each connection is the next worker's, so that over all of these everything happens.
            turns: Iterator[int] = itertools.cycle(range(3))
            for owner, first, begins in itertools.product(range(3), ("IN", "OUT"), range(3)):
                cookie, second = uuid.UUID(int=3 * begins + owner), "OUT" if first == "IN" else "IN"
                while next(turns) != begins:
                    async with raw_client(proxies[0].port) as spare:
                        await spare.answer(get("/nothing"))
                turns = itertools.chain([begins], turns)
                async with raw_client(proxies[0].port) as one, raw_client(proxies[0].port) as other:
                    ways.add((first, next(turns) == owner, next(turns) == owner))
                    await open_half(one, first, cookie)
                    await open_half(other, second, cookie)
                    out = one if first == "OUT" else other
                    answer = await out.reader.readuntil(b"\r\n\r\n")
                    assert answer.startswith(b"HTTP/1.1 200 Success")
                    # CONN/A3 and CONN/C2.
                    assert len(await out.reader.readexactly(28 + 44)) == 72
            assert {("IN", False, True), ("IN", True, False), ("IN", False, False)} <= ways
            assert {("OUT", False, True), ("OUT", True, False), ("OUT", False, False)} <= ways
            assert sum(colleagues.given["channel"] for colleagues in made.workers) == 18 * 2 - 12

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_what_is_in_a_virtual_connection_goes_to_its_group(loop: str, tls: bool, tmp_path: Path) -> None:
    """The channels wherever their cookie says, and the connection inside where the session is; large answers pass."""

    async def main() -> None:
        async with http_workers(3, tmp_path if tls else None) as (made, proxies):
            level = AuthLevel.PRIVACY if tls else AuthLevel.NONE
            first = await proxies[0].client(level)
            who = await first.call(WHO, b"")
            owner = first.assoc_group % 3
            clients = [first]
            while sum(colleagues.given["tunnelled"] for colleagues in made.workers) < 2:
                client = await proxies[0].client(level, assoc_group=first.assoc_group)
                clients.append(client)
                assert await client.call(WHO, b"") == who
                assert await client.call(GROW, (500_000).to_bytes(4, "little")) == bytes(500_000)
                stub = bytes(range(250)) * 160
                assert await client.call(REVERSE, stub) == stub[::-1]
                assert len(clients) < 100
            assert [len(proxy.handler.sessions) for proxy in proxies] == [int(n == owner) for n in range(3)]
            for client in clients:
                await client.close()
            await proxies[owner].handler.all_ended.wait()

    run(main, loop)


def test_a_channel_whose_client_goes_away_is_gone_for_its_worker_too() -> None:
    async def main() -> None:
        async with http_workers(2) as (made, proxies):
            cookie = uuid.UUID(int=1)  # the second worker's
            async with raw_client(proxies[0].port) as half:
                await open_half(half, "OUT", cookie)
                await half.reader.readuntil(b"\r\n\r\n")
                assert len(proxies[1].proxy._connections) == 1
            await proxies[1].forgotten.wait()
            assert not proxies[1].proxy._given
            assert made.workers[0].given == {"channel": 1}

    run(main)
