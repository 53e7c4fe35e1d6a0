"""Clients that wait, of a real process: how soon they are told; a thousand of them, their memory and their end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
from collections.abc import Iterator

import pytest

from openchange_py.client.connection import Account, Connector
from openchange_py.client.endpoints import read_https, read_ready_file
from openchange_py.client.profile import Profile
from openchange_py.client.web import Web, WebTransport
from openchange_py.transports.tls import ClientTls
from openchange_py.wire.oxcmapihttp import NotificationWaitRequest, ResponseCode
from tests.auth.test_http import basic
from tests.bench.parts.processes import cpu_seconds
from tests.interop.new_mail import deliver, soonest
from tests.interop.nodes import PATIENCE
from tests.interop.web import PASSWORDS, WebNode, running_web_node
from tests.transports.http_parties import RawClient, raw_client, trusting
from tests.transports.mapi_parties import MapiClient

pytestmark = [pytest.mark.xdist_group("web")]

CLIENTS = 1000
WARM = 50
OPTIONS = """\
    ocpy:max connections = 5000
    ocpy:max connections per address = 0
    ocpy:max sessions per account = 5000
    ocpy:max http sessions per account = 5000
    ocpy:trusted proxies = 127.0.0.1
"""


@pytest.fixture
def web() -> Iterator[WebNode]:
    """With and without TLS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 4096 and hard > 0 else 4096, hard))
    try:
        with running_web_node(OPTIONS) as running:
            yield running
            if not running.node.alive:
                running.node.start()
                running.node.wait_until_ready()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(pid: int) -> int:
    """KiB of a process in memory."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize("transport", ["tcp", "http", "mapihttp"])
def test_new_mail_comes_within_a_second(web: WebNode, transport: str) -> None:
    """EcDoAsyncWaitEx over TCP and over RPC over HTTP, NotificationWait over MAPI over HTTP, both with TLS."""
    host, port = read_https(web.node.ready_file)
    over = None if transport == "tcp" else Web(WebTransport(transport), host, port, ClientTls(web.certificate))
    account, server = Account("alice", "EXAMPLE", PASSWORDS["alice"]), read_ready_file(web.node.ready_file)
    profile = Profile(Connector(server, account, web=over, connect_timeout=PATIENCE, call_timeout=PATIENCE))
    assert soonest(profile, lambda subject: deliver(web.node.config, subject), transport) < 1.0


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_thousand_that_wait(web: WebNode, scheme: str) -> None:
    pid, dn, port = int(web.node.ready["pid"]), web.dn("alice"), web.node.ready[scheme]["port"]
    authorization = basic("alice", PASSWORDS["alice"])
    context = trusting(web.certificate) if scheme == "https" else None

    async def waiting(stack: contextlib.AsyncExitStack) -> tuple[MapiClient, RawClient]:
        client = await stack.enter_async_context(raw_client(port, context))
        outlook = MapiClient(authorization=authorization)
        assert (await outlook.connect(client, dn)).error_code == 0
        client.send(outlook.message("NotificationWait", NotificationWaitRequest(0)))
        # The head and PROCESSING: it waits.
        await client.reader.readuntil(b"PROCESSING\r\n\r\n")
        return outlook, client

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            # What the first ones cost, threads and their caches, is not what each costs.
            clients = await asyncio.gather(*(waiting(stack) for _ in range(WARM)))
            before = resident(pid)
            for _ in range(CLIENTS // WARM):
                clients += await asyncio.gather(*(waiting(stack) for _ in range(WARM)))
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
