"""A thousand MAPI over HTTP clients that wait, of a real process: memory, and what they are told at the end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
from collections.abc import Iterator

import pytest

from openchange_py.wire.oxcmapihttp import NotificationWaitRequest, ResponseCode
from tests.auth.test_http import basic
from tests.bench.parts.processes import cpu_seconds
from tests.interop.web import PASSWORDS, WebNode, running_web_node
from tests.transports.http_parties import RawClient, raw_client
from tests.transports.mapi_parties import MapiClient

pytestmark = [pytest.mark.xdist_group("web")]

CLIENTS = 1000
OPTIONS = """\
    ocpy:max connections = 5000
    ocpy:max connections per address = 0
    ocpy:max sessions per account = 5000
    ocpy:max http sessions per account = 5000
    ocpy:trusted proxies = 127.0.0.1
"""


@pytest.fixture
def web() -> Iterator[WebNode]:
    """TLS ends in front of it: what OpenSSL keeps of each connection is not measured."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 4096 and hard > 0 else 4096, hard))
    try:
        with running_web_node(OPTIONS) as running:
            yield running
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(pid: int) -> int:
    """KiB of a process in memory."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_a_thousand_that_wait(web: WebNode) -> None:
    pid, dn, port = int(web.node.ready["pid"]), web.dn("alice"), web.node.ready["http"]["port"]
    authorization = basic("alice", PASSWORDS["alice"])

    async def waiting(stack: contextlib.AsyncExitStack) -> tuple[MapiClient, RawClient]:
        client = await stack.enter_async_context(raw_client(port))
        outlook = MapiClient(authorization=authorization)
        assert (await outlook.connect(client, dn)).error_code == 0
        client.send(outlook.message("NotificationWait", NotificationWaitRequest(0)))
        # The head and PROCESSING: it waits.
        await client.reader.readuntil(b"PROCESSING\r\n\r\n")
        return outlook, client

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            await asyncio.gather(*(waiting(stack) for _ in range(20)))
            before = resident(pid)
            clients = []
            for _ in range(CLIENTS // 20):
                clients += await asyncio.gather(*(waiting(stack) for _ in range(20)))
            each = (resident(pid) - before) / CLIENTS
            assert each < 40, f"{each:.1f} KiB each"
            spent = cpu_seconds(pid)
            await asyncio.sleep(1)
            assert cpu_seconds(pid) - spent < 0.2
            web.node.signal(signal.SIGTERM)
            for _, client in clients:
                rest = b"".join(await client.chunks())
                assert f"X-ResponseCode: {int(ResponseCode.EndpointShuttingDown)}".encode() in rest

    asyncio.run(main())
    web.node.wait()
    web.node.start()
    web.node.wait_until_ready()
