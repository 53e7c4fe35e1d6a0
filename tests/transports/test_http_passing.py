"""Requests of MAPI over HTTP whose session is another worker's, through the connections that they came on."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.http import WebLogons
from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.http import HttpServer
from openchange_py.transports.oxcmapihttp import EndpointLimits, MailboxEndpoint
from openchange_py.transports.oxcmapihttp_sessions import SessionLimits
from openchange_py.transports.web_logon import Authenticated
from openchange_py.wire.oxcmapihttp import DisconnectRequest, ExecuteRequest, ExecuteResponse, ResponseCode
from tests.auth.ntlm_parties import NAMES
from tests.transports.http_parties import raw_client
from tests.transports.mapi_parties import Handler, MapiClient, People
from tests.transports.office import Office, office
from tests.transports.serving import LOOPS, run


class Workers:
    """An endpoint in each of two workers, behind one port; connections are the first's, the second's and so on."""

    def __init__(self, made: Office) -> None:
        self.office = made
        self.handlers: list[Handler] = []
        self.endpoints: list[MailboxEndpoint] = []
        self.servers: list[HttpServer] = []
        self.port = 0

    async def begin(self) -> None:
        limits = EndpointLimits(SessionLimits(), pending_seconds=0.05)
        for colleagues in self.office.workers:
            handler, metrics = Handler(), Metrics()
            endpoint = MailboxEndpoint(handler, limits=limits, metrics=metrics, colleagues=colleagues)
            logons = WebLogons(LocalAuthenticator(People(), NAMES))
            server = HttpServer(
                {"/mapi/emsmdb": Authenticated(endpoint, logons, metrics)},
                metrics=metrics,
                trusted_proxies=[ipaddress.ip_network("127.0.0.1")],
                colleagues=colleagues,
            )
            _, self.port = await server.start("127.0.0.1", 0, purpose="http")
            self.handlers.append(handler)
            self.endpoints.append(endpoint)
            self.servers.append(server)

    async def end(self) -> None:
        await asyncio.gather(*(server.stop() for server in self.servers))
        await asyncio.gather(*(endpoint.stop() for endpoint in self.endpoints))


@asynccontextmanager
async def workers() -> AsyncIterator[Workers]:
    async with office() as made:
        found = Workers(made)
        await found.begin()
        try:
            yield found
        finally:
            await found.end()


def execute(data: bytes) -> ExecuteRequest:
    return ExecuteRequest(0, data, 0x10008)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_session_is_there_on_every_connection(loop: str) -> None:
    async def main() -> None:
        async with workers() as made, raw_client(made.port) as here, raw_client(made.port) as there:
            outlook = MapiClient()
            await outlook.connect(here)
            assert outlook.cookies["MapiContext"].startswith("0-")
            for number, client in enumerate((there, here, there, there, here)):
                answer = await outlook.ask(client, "Execute", execute(b"number %d" % number))
                assert answer.code == 0, answer.raw
                assert ExecuteResponse.unpack(answer.body).rop_buffer == b"number %d" % number
                assert answer.fields["x-requestid"].endswith(f":{number + 2}")
            assert len(made.handlers[0].calls) == 6
            assert made.handlers[1].calls == []
            assert made.office.workers[1].given == {"request": 1}, "one pair of sockets for all of them"
            refused = await MapiClient(user="bob", authorization="").ask(there, "PING")
            assert refused.code == 0
            thief = MapiClient(user="bob")
            thief.cookies = dict(outlook.cookies)
            assert (await thief.ask(there, "Execute", execute(b"x"))).code == ResponseCode.NoPrivilege
            fresh = MapiClient()
            fresh.cookies = dict(outlook.cookies)
            await fresh.connect(there)
            assert fresh.cookies["MapiContext"].startswith("1-"), "a new session is where its connection is"
            assert (await outlook.ask(there, "Disconnect", DisconnectRequest())).code == 0
            assert len(made.endpoints[0].sessions) == 0

    run(main, loop)


def test_a_long_call_is_told_of_as_it_comes_and_goes_on_without_its_client() -> None:
    async def main() -> None:
        async with workers() as made, raw_client(made.port) as here, AsyncExitStack() as stack:
            outlook = MapiClient()
            await outlook.connect(here)
            there = await stack.enter_async_context(raw_client(made.port))
            message = outlook.message("Execute", execute(b"wait"))
            there.send(message)
            await there.reader.readuntil(b"PENDING\r\n")
            there.writer.close()
            made.handlers[0].go_on.set()
            async with raw_client(made.port), raw_client(made.port) as again:  # the second worker's again
                again.send(message)
                answer = await outlook.answer(again)
                assert ExecuteResponse.unpack(answer.body).rop_buffer == b"wait"
            assert len(made.handlers[0].calls) == 2, "it was not executed twice"

    run(main)


def test_where_the_other_worker_is_gone_the_client_begins_anew() -> None:
    async def main() -> None:
        async with workers() as made, raw_client(made.port) as here, raw_client(made.port) as there:
            outlook = MapiClient()
            await outlook.connect(here)
            assert (await outlook.ask(there, "PING")).code == 0
            made.office.workers[0].close()
            await made.endpoints[0].stop()
            answer = await outlook.ask(there, "Execute", execute(b"x"))
            assert answer.code == ResponseCode.ContextNotFound, answer.raw
            await outlook.connect(there)
            assert (await outlook.ask(there, "Execute", execute(b"x"))).code == 0

    run(main)


@pytest.mark.parametrize("cookie", ["7-abc", "x-abc", "-", "00000001-abc", "\u0661-abc", "1"])
def test_cookies_that_are_nobodys(cookie: str) -> None:
    async def main() -> None:
        async with workers() as made, raw_client(made.port) as here:
            outlook = MapiClient()
            outlook.cookies = {"MapiContext": cookie, "MapiSequence": "a"}
            message = outlook.message("Disconnect", DisconnectRequest()).decode() if cookie.isascii() else ""
            if not message:
                return
            here.send(message)
            assert (await outlook.answer(here)).code == ResponseCode.ContextNotFound

    run(main)


def test_stopping_lets_what_is_passed_on_end() -> None:
    async def main() -> None:
        async with workers() as made, raw_client(made.port) as here, raw_client(made.port) as there:
            outlook = MapiClient()
            await outlook.connect(here)
            there.send(outlook.message("Execute", execute(b"wait")))
            await made.handlers[0].waiting.wait()
            ending = asyncio.ensure_future(made.end())
            await asyncio.sleep(0)
            made.handlers[0].go_on.set()
            answer = await outlook.answer(there)
            assert ExecuteResponse.unpack(answer.body).rop_buffer == b"wait"
            await ending

    run(main)
