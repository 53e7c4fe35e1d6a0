"""What a resource can do with a request: read it, answer it whole or in pieces, take the connection over."""

from __future__ import annotations

import asyncio

import pytest

from tests.transports.http_parties import get, http_serving, raw_client
from tests.transports.serving import LOOPS, run


@pytest.mark.parametrize("loop", LOOPS)
def test_bodies_both_ways(loop: str) -> None:
    async def main() -> None:
        async with http_serving() as (server, _, port), raw_client(port) as client:
            for size in (0, 1, 65_536, 200_000):
                status, fields, body = await client.answer(get("/x/echo", method="POST", body="a" * size))
                assert (status, body) == (200, b"a" * size or b"nothing")
            assert fields["x-number"] == "4"  # one connection
            assert server.held == 0
            chunked = (
                get("/x/echo", "Transfer-Encoding: chunked", method="POST") + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
            )
            assert (await client.answer(chunked))[2] == b"abcde"

    run(main, loop)


def test_a_body_that_is_too_large() -> None:
    async def main() -> None:
        async with http_serving() as (server, _, port):
            async with raw_client(port) as client:
                announced = get("/x/echo", "Content-Length: 1073741824", "Expect: 100-continue", method="POST")
                status, fields, _ = await client.answer(announced)
                assert (status, fields["connection"]) == (413, "close")
                assert await client.closed() == b""
            async with raw_client(port) as client:
                client.send(get("/x/echo", "Transfer-Encoding: chunked", method="POST"))
                client.send(b"10000\r\n" + bytes(65536) + b"\r\n" + b"30000\r\n" + bytes(196608))
                assert (await client.answer())[0] == 413
            assert server.held == 0

    run(main)


def test_100_continue_comes_when_the_body_is_asked_for() -> None:
    async def main() -> None:
        async with http_serving() as (_, _, port), raw_client(port) as client:
            expecting = get("/x/echo", "Expect: 100-continue", "Content-Length: 3", method="POST")
            assert (await client.answer(expecting))[0] == 100
            assert (await client.answer("abc"))[2] == b"abc"
            assert (await client.answer(expecting.replace("echo", "unread")))[0] == 401
            assert (await client.answer("abc" + get("/x/echo")))[2] == b"nothing"

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_answer_in_pieces(loop: str) -> None:
    async def main() -> None:
        async with http_serving() as (_, _, port), raw_client(port) as client:
            assert (await client.answer(get("/x/ticks")))[2] == b"tick 0\ntick 1\ntick 2\n"
            status, fields, _ = await client.answer(get("/x/ticks", method="HEAD"), head=True)
            assert (status, fields["transfer-encoding"]) == (200, "chunked")
            status, fields, _ = await client.answer(get("/x/echo", method="HEAD"), head=True)
            assert (status, fields["content-length"]) == (200, "7")
            assert (await client.answer(get("/x/echo")))[2] == b"nothing"

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_resource_takes_the_connection_over(loop: str) -> None:
    async def main() -> None:
        async with http_serving() as (server, resource, port):
            async with raw_client(port) as client:
                client.send(get("/x/shout", "Content-Length: 1073741824", method="RPC_IN_DATA") + "early ")
                await client.answer(head=True)
                assert await client.reader.readexactly(6) == b"EARLY "
                client.send("late")
                assert await client.reader.readexactly(4) == b"LATE"
                client.send(".")
                assert await client.closed() == b"."
            async with raw_client(port) as client:
                await client.answer(get("/x/shout", "Content-Length: 9", method="RPC_OUT_DATA"), head=True)
                client.send("a")
                await client.reader.readexactly(1)
                stopping = asyncio.gather(server.stop())
                assert await client.closed() == b"BYE"
                await stopping
            assert all(shouter.lost for shouter in resource.shouters)
            assert server.metrics.open_connections["http"] == 0

    run(main, loop)


def test_what_kept_the_connection_is_closed_with_it() -> None:
    class Kept:
        closed = False

        def close(self) -> None:
            self.closed = True

    async def main() -> None:
        async with http_serving() as (server, resource, port):
            kept = Kept()
            async with raw_client(port) as client:
                await client.answer(get("/x/echo"))
                resource.requests[0].connection_state["k"] = kept
                await client.answer(get("/x/echo"))
                assert resource.requests[1].connection_state == {"k": kept}
            await server.stop()
            assert kept.closed

    run(main)
