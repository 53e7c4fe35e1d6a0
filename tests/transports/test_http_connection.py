"""A connection: what goes wrong on it, time, back-pressure."""

from __future__ import annotations

import asyncio
import logging

import pytest

from openchange_py.transports.http import HttpLimits
from tests.transports.http_parties import get, http_serving, raw_client
from tests.transports.serving import LOOPS, run


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET /x/echo HTTP/1.1\r\n\r\n", 400),  # no Host
        (get("/x/echo", "Bad Name: 1"), 400),
        (get("/x/echo", "X: a\x00b"), 400),
        (get("/x/echo", "Content-Length: 1", "Content-Length: 2", method="POST"), 400),
        (get("/x/echo", "Content-Length: -1", method="POST"), 400),
        (get("/x/echo", "Content-Length: " + "9" * 5000, method="POST"), 400),
        (get("/x/echo", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST") + "0\r\n\r\n", 400),
        (get("/x/echo", "Transfer-Encoding: gzip", method="POST"), 501),
        (get("/x/echo", *(f"X-{number}: 1" for number in range(101))), 431),
        ("GET /x/echo HTTP/1.1\r\nHost: h\r\nX: " + "a" * 300_000, 431),
    ],
)
def test_what_is_no_request_is_refused_and_ends_the_connection(data: str, status: int) -> None:
    async def main() -> None:
        async with http_serving() as (server, resource, port), raw_client(port) as client:
            answer, fields, body = await client.answer(data)
            assert (answer, fields["connection"]) == (status, "close")
            assert b"Traceback" not in body
            assert await client.closed() == b""
            assert not resource.requests
            assert server.metrics.http[status] == 1

    run(main)


@pytest.mark.parametrize(
    "chunks", ["-1\r\n", "0x3\r\nabc\r\n", "3\r\nabcd\r\n", "FFFFFFFFFFFFFFFFFFFFFF\r\n", " 3\r\nabc\r\n", "3\nabc\r\n"]
)
def test_tricks_with_chunk_sizes(chunks: str) -> None:
    async def main() -> None:
        async with http_serving() as (_, _, port), raw_client(port) as client:
            status, fields, _ = await client.answer(
                get("/x/echo", "Transfer-Encoding: chunked", method="POST") + chunks
            )
            assert (status, fields["connection"]) == (400, "close")
            assert await client.closed() == b""

    run(main)


def test_a_failing_resource_tells_its_client_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with http_serving() as (_, _, port):
            for path in ("/x/fail", "/x/silent"):
                async with raw_client(port) as client:
                    status, _, body = await client.answer(get(path))
                    assert (status, body) == (500, b"internal error; the server's log says more\n")
                    assert await client.closed() == b""

    run(main)
    assert "a secret" in caplog.text
    assert "was not answered" in caplog.text


def test_an_answer_behind_which_the_connection_ends_is_one(caplog: pytest.LogCaptureFixture) -> None:
    """Because the client says so, or because the server stops meanwhile."""

    async def main() -> None:
        async with http_serving() as (server, resource, port):
            async with raw_client(port) as client:
                status, fields, _ = await client.answer(get("/x/echo", "Connection: close"))
                assert (status, fields["connection"]) == (200, "close")
                assert await client.closed() == b""
            async with raw_client(port) as client:
                client.send(get("/x/wait"))
                await resource.waiting.wait()
                stopping = asyncio.ensure_future(server.stop())
                status, fields, body = await client.answer()
                assert (status, fields["connection"], body) == (200, "close", b"went on")
                await stopping

    run(main)
    assert "was not answered" not in caplog.text


def test_errors_with_their_fields() -> None:
    async def main() -> None:
        async with http_serving() as (_, _, port), raw_client(port) as client:
            for _ in range(2):
                status, fields, body = await client.answer(get("/x/refuse"))
                assert (status, fields["x-pot"], body) == (418, "tea", b"no coffee\n")

    run(main)


def test_pipelined_requests_are_answered_one_after_the_other() -> None:
    async def main() -> None:
        async with http_serving() as (_, resource, port), raw_client(port) as client:
            client.send(get("/x/wait") + get("/x/echo", method="POST", body="second") + get("/x/echo"))
            await resource.waiting.wait()
            assert len(resource.requests) == 1
            resource.go_on.set()
            assert [(await client.answer())[2] for _ in range(3)] == [b"went on", b"second", b"nothing"]

    run(main)


def test_a_body_that_nobody_wants() -> None:
    async def main() -> None:
        async with http_serving() as (_, _, port):
            async with raw_client(port) as client:
                assert (await client.answer(get("/x/unread", method="POST", body="a" * 500_000)))[0] == 401
                assert (await client.answer(get("/x/echo")))[0] == 200
            async with raw_client(port) as client:
                huge = get("/x/unread", "Content-Length: 9999999", method="POST")
                status, fields, _ = await client.answer(huge)
                assert (status, fields["connection"]) == (401, "close")
                assert await client.closed() == b""
            async with raw_client(port) as client:
                await client.answer(get("/x/unread", "Transfer-Encoding: chunked", method="POST"))
                client.send(b"200000\r\n" + bytes(0x200000))
                assert await client.closed() == b""

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_goes_away(loop: str) -> None:
    async def main() -> None:
        async with http_serving() as (server, resource, port):
            async with raw_client(port) as client:
                client.send(get("/x/wait"))
                await resource.waiting.wait()
            await resource.cancelled.wait()
            async with raw_client(port) as client:
                client.send(get("/x/echo", "Content-Length: 5", method="POST") + "ab")
            await server.stop()
            assert server.metrics.open_connections["http"] == 0
            assert server.held == 0

    run(main, loop)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("", None),
        ("GET /x/echo HT", 408),
        (get("/x/echo", "Content-Length: 5", method="POST") + "ab", None),
        (get("/x/unread", "Content-Length: 5", method="POST") + "ab", 401),
        (get("/x/echo"), 200),
    ],
)
def test_slow_clients_are_cut_off(data: str, status: int | None) -> None:
    limits = HttpLimits(head_seconds=0.05, body_seconds=0.05, anonymous_idle_seconds=0.05)

    async def main() -> None:
        async with http_serving(limits=limits) as (_, _, port), raw_client(port) as client:
            client.send(data)
            if status is not None:
                assert (await client.answer())[0] == status
            assert await client.closed() == b""

    run(main)


def test_a_client_that_does_not_read_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with http_serving(limits=HttpLimits(write_seconds=0.05)) as (server, _, port), raw_client(port) as client:
            client.send(get("/x/flood"))
            client.writer.transport.pause_reading()
            await server.stop()
            assert server.metrics.bytes_sent < 1000 << 16

    run(main)
    assert "does not read its answer" in caplog.text


def test_one_line_per_request_without_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "openchange_py")

    async def main() -> None:
        async with http_serving() as (_, _, port), raw_client(port) as client:
            await client.answer(get("/x/echo?token=secret-1", "Authorization: Basic secret-2", "Cookie: secret-3"))

    run(main)
    (line,) = [record.getMessage() for record in caplog.records if "/x/echo" in record.getMessage()]
    assert "GET '/x/echo': 200, 7 bytes" in line
    assert "secret" not in caplog.text
