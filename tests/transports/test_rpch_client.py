"""The client of RPC over HTTP against proxies that refuse, lie or are not there; against a good one: `test_rpch.py`."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.rpc.rpch import Direction
from openchange_py.transports.http_client import Place
from openchange_py.transports.rpch_client import RpcProxyPlace, connect
from openchange_py.transports.tcp import ConnectionLost
from openchange_py.wire.rpch import rts
from tests.rpc.echo import ECHO
from tests.transports.rpch_parties import proxying
from tests.transports.serving import run


def answering(out: bytes, into: bytes = b"") -> object:
    """What a proxy says that answers every channel's head so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(out if head.startswith(b"RPC_OUT") else into)
        await reader.read()
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("out", "into", "why"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", b"", "401 Unauthorized"),
        (b"HTTP/1.1 503 RPC Error: 6ba\r\n\r\n", b"", "RPC Error: 6ba"),
        (b"", b"HTTP/1.0 503 RPC Error: 5\r\n\r\n", "RPC Error: 5"),
        (b"x" * 20_000, b"", "no end"),
        (b"HTTP/1.1 200 Success\r\n\r\nnonsense nonsense", b"", "no DCE/RPC"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + rts("OUT_R2/B3").pack(), b"", "OUT_R2/B3"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + rts("CONN/A3", 0).pack() + rts("CONN/C2", 1, 0, 0).pack(), b"", "window of 0"),
    ],
)
def test_why_it_does_not_connect(out: bytes, into: bytes, why: str) -> None:
    async def main() -> None:
        server = await asyncio.start_server(answering(out, into), "127.0.0.1", 0)  # type: ignore[arg-type]
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match=why):
            await connect(RpcProxyPlace(Place("127.0.0.1", port), "exch1", 6001), ECHO)
        server.close()

    run(main)


def test_a_proxy_that_never_answers() -> None:
    async def main() -> None:
        server = await asyncio.start_server(answering(b""), "127.0.0.1", 0)  # type: ignore[arg-type]
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match=r"exch1:6001 through 127.0.0.1:\d+ did not answer within"):
            await connect(RpcProxyPlace(Place("127.0.0.1", port), "exch1", 6001), ECHO, connect_timeout=0.1)
        server.close()

    run(main)


def test_nobody_listens() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:1"):
            await connect(RpcProxyPlace(Place("127.0.0.1", 1), "exch1", 6001), ECHO)

    run(main)


def test_a_call_in_flight_fails_when_the_proxy_goes() -> None:
    async def main() -> None:
        async with proxying() as proxy:
            client = await proxy.client()
            call = asyncio.gather(client.call(6, b""), return_exceptions=True)
            await proxy.handler.waiting.wait()
            for connection in proxy.http._connections:
                connection.abort()
            assert isinstance((await call)[0], ConnectionLost)
            assert not client.connected
            proxy.handler.gate.set()

    run(main)


def test_what_a_channel_asks_for() -> None:
    place = RpcProxyPlace(Place("exch1", 8080), "exch1", 6001)
    head = place.head(Direction.IN, 1, "Basic c2VjcmV0")
    assert head.startswith(b"RPC_IN_DATA /rpc/rpcproxy.dll?exch1:6001 HTTP/1.1\r\nHost: exch1:8080\r\n")
    assert b"\r\nAuthorization: Basic c2VjcmV0\r\n" in head
