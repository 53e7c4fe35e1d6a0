"""The server: routing, TLS, proxies, limits of connections, the end."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from pathlib import Path

import pytest

from openchange_py.transports.http import HttpLimits, HttpServer, is_in
from openchange_py.transports.http_request import HttpRequest
from openchange_py.transports.tls import TlsCertificate
from tests.transports.http_parties import Everything, get, http_serving, make_pair, raw_client, trusting
from tests.transports.serving import LOOPS, run

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/x/echo", 200),
        ("/X/Echo", 200),
        ("/%78/echo?MailboxId=a@b", 200),
        ("http://elsewhere.test/x/echo", 200),
        ("/xy/echo", 404),
        ("/", 404),
        ("http://elsewhere.test", 404),
        ("/x/%0aecho", 400),
        ("x/echo", 400),
    ],
)
def test_requests_find_their_resource(path: str, status: int) -> None:
    async def main() -> None:
        async with http_serving() as (_, _, port), raw_client(port) as client:
            assert (await client.answer(get(path)))[0] == status

    run(main)


def test_the_longest_prefix_answers() -> None:
    async def main() -> None:
        outer, inner = Everything(), Everything()
        server = HttpServer({"/x": outer, "/x/y/": inner})
        _, port = await server.start("127.0.0.1", 0)
        async with raw_client(port) as client:
            for path in ("/x/echo", "/x/y/echo", "/x/yy/echo"):
                assert (await client.answer(get(path)))[0] == 200
        await server.stop()
        assert [request.path for request in outer.requests] == ["/x/echo", "/x/yy/echo"]
        assert [request.path for request in inner.requests] == ["/x/y/echo"]

    run(main)


def test_options_of_the_server_and_of_a_resource() -> None:
    async def main() -> None:
        async with http_serving() as (_, _, port), raw_client(port) as client:
            status, fields, _ = await client.answer(get("*", method="OPTIONS"))
            assert (status, fields["allow"]) == (204, "GET, HEAD, POST, OPTIONS")
            status, fields, _ = await client.answer(get("/x/echo", method="DELETE"))
            assert (status, fields["allow"]) == (405, "POST, GET, HEAD, OPTIONS")

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_tls(loop: str, tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    tls = TlsCertificate(certificate, key)

    async def main() -> None:
        async with http_serving(tls=tls) as (_, resource, port), raw_client(port, trusting(certificate)) as client:
            body = "x" * 100_000
            assert (await client.answer(get("/x/echo", method="POST", body=body)))[2] == body.encode()
            assert (await client.answer(get("/x/ticks")))[2] == b"tick 0\ntick 1\ntick 2\n"
            channel = resource.requests[0].channel
            assert channel.secure
            assert channel.end_point == tls.end_point

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_no_tls_before_1_2_and_no_plain_text(loop: str, tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    old = trusting(certificate)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1

    async def main() -> None:
        async with http_serving(tls=TlsCertificate(certificate, key)) as (server, _, port):
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await asyncio.open_connection("127.0.0.1", port, ssl=old, server_hostname="localhost")
            async with raw_client(port) as client:
                client.send(get("/x/echo"))
                assert b"HTTP" not in await client.closed()
            await server.stop()
            assert server.metrics.open_connections["https"] == 0

    run(main, loop)


def test_who_connects_and_says_nothing_is_counted_before_the_handshake(tmp_path: Path) -> None:
    tls = TlsCertificate(*make_pair(tmp_path))

    async def main() -> None:
        limits = HttpLimits(connections=2)
        async with http_serving(tls=tls, limits=limits) as (server, _, port):
            async with raw_client(port) as first, raw_client(port), raw_client(port):
                assert await first.closed() == b""  # the oldest stranger gave way
            assert server.metrics.refused["connections"] == 1

    run(main)


def test_connections_of_one_address_are_limited() -> None:
    async def main() -> None:
        async with (
            http_serving(limits=HttpLimits(connections_per_address=1)) as (_, _, port),
            raw_client(port) as first,
        ):
            assert (await first.answer(get("/x/echo")))[0] == 200
            async with raw_client(port) as second:
                assert await second.closed() == b""

    run(main)


def test_a_trusted_proxy_tells_where_a_request_comes_from() -> None:
    async def main() -> None:
        async with http_serving(trusted_proxies=LOOPBACK) as (_, resource, port), raw_client(port) as client:
            for fields in (
                ["X-Forwarded-For: 192.0.2.9, 198.51.100.7, 127.0.0.1", "X-Forwarded-Proto: https"],
                ["X-Forwarded-For: 198.51.100.7, nonsense", "X-Forwarded-Proto: http"],
                [],
            ):
                await client.answer(get("/x/echo", *fields))
            told, wrong, own = (request.channel for request in resource.requests)
            assert (told.peer, told.secure, told.shared) == ("198.51.100.7:0", True, True)
            assert (wrong.peer.partition(":")[0], wrong.secure, wrong.shared) == ("127.0.0.1", False, True)
            assert (own.secure, own.shared) == (False, False)

    run(main)


def test_nobody_else_is_believed() -> None:
    async def main() -> None:
        async with http_serving() as (_, resource, port), raw_client(port) as client:
            await client.answer(get("/x/echo", "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"))
            channel = resource.requests[0].channel
            assert (channel.peer.partition(":")[0], channel.secure, channel.shared) == ("127.0.0.1", False, False)

    run(main)


class Half(Everything):
    """What is in its path says whether it is for everybody."""

    def is_public(self, request: HttpRequest) -> bool:
        return "public" in request.path


def test_a_plain_listener_for_proxies_answers_strangers_what_is_public() -> None:
    async def main() -> None:
        elsewhere = [ipaddress.ip_network("192.0.2.1/32")]
        server = HttpServer({"/x": Half()}, trusted_proxies=elsewhere, only_proxies=True)
        _, port = await server.start("127.0.0.1", 0)
        try:
            async with raw_client(port) as client:
                assert (await client.answer(get("/x/public/echo")))[0] == 200
                assert (await client.answer(get("/x/echo")))[0] == 403
        finally:
            await server.stop()

    run(main)


def test_a_plain_listener_for_proxies_answers_nobody_else() -> None:
    elsewhere = [ipaddress.ip_network("192.0.2.1/32")]

    async def main() -> None:
        async with (
            http_serving(trusted_proxies=elsewhere, only_proxies=True) as (_, _, port),
            raw_client(port) as client,
        ):
            assert (await client.answer(get("/x/echo")))[0] == 403
        async with (
            http_serving(trusted_proxies=LOOPBACK, only_proxies=True) as (_, _, port),
            raw_client(port) as client,
        ):
            assert (await client.answer(get("/x/echo")))[0] == 200

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_stop_finishes_the_request_in_flight(loop: str) -> None:
    async def main() -> None:
        async with http_serving() as (server, resource, port), raw_client(port) as idle, raw_client(port) as client:
            await idle.answer(get("/x/echo"))
            client.send(get("/x/wait"))
            await resource.waiting.wait()
            stopping = asyncio.gather(server.stop())
            status, fields, body = await client.answer()
            assert (status, body, fields["connection"]) == (200, b"went on", "close")
            assert await client.closed() == await idle.closed() == b""
            await stopping
            assert server.metrics.open_connections["http"] == 0

    run(main, loop)


@pytest.mark.parametrize(
    ("address", "found"),
    [("127.0.0.9", True), ("::ffff:127.0.0.9", True), ("fe80::1%eth0", False), ("10.0.0.1", False), ("?", False)],
)
def test_networks(address: str, found: bool) -> None:
    assert is_in(address, LOOPBACK) is found
