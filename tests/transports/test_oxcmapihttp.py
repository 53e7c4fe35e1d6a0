"""MAPI over HTTP: what each of both endpoints has of its own: waiting for events, the address book's URLs."""

from __future__ import annotations

import asyncio

from openchange_py.rpc.call import Call
from openchange_py.transports.oxcmapihttp import EndpointLimits
from openchange_py.wire.oxabref import (
    RFR,
    Name,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcmapihttp import (
    ErrorCodeResponse,
    ExecuteRequest,
    NotificationWaitRequest,
    NotificationWaitResponse,
)
from openchange_py.wire.oxcmapihttp_nspi import (
    BindRequest,
    BindResponse,
    GetPropsRequest,
    GetUrlRequest,
    GetUrlResponse,
    UnbindRequest,
    ValuesResponse,
)
from openchange_py.wire.oxnspi_types import STAT
from tests.transports.mapi_parties import Handler, MapiClient, mapi_serving
from tests.transports.serving import run

WAIT = NotificationWaitRequest(0)


def execute(data: bytes) -> ExecuteRequest:
    return ExecuteRequest(3, data, 0x8000, b"")


def test_waiting_for_events_beside_other_requests() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as waiter, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            waiter.send(outlook.message("NotificationWait", WAIT))
            await serving.handler.waiting.wait()
            assert (await outlook.ask(client, "Execute", execute(b"meanwhile"))).code == 0
            serving.handler.event.set()
            answer = await outlook.answer(waiter)
            assert NotificationWaitResponse.unpack(answer.body) == NotificationWaitResponse(0, 0, 1)
            answer = await outlook.ask(waiter, "NotificationWait", WAIT)
            assert NotificationWaitResponse.unpack(answer.body).event_pending == 1
            assert [call.name for call in serving.handler.calls].count("EcDoAsyncConnectEx") == 1

    run(main)


def test_waiting_ends_after_its_time_or_with_its_client() -> None:
    async def main() -> None:
        async with mapi_serving(EndpointLimits(wait_seconds=0.02)) as serving:
            outlook = MapiClient()
            async with serving.client() as client:
                await outlook.connect(client)
                answer = await outlook.ask(client, "NotificationWait", WAIT)
                assert NotificationWaitResponse.unpack(answer.body) == NotificationWaitResponse(0, 0, 0)
        async with mapi_serving() as serving:
            outlook = MapiClient()
            async with serving.client() as client:
                await outlook.connect(client)
                client.send(outlook.message("NotificationWait", WAIT))
                await serving.handler.waiting.wait()
            while serving.mailbox._waiting:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)

    run(main)


def test_waiting_where_there_is_no_such_thing() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            serving.handler.has_async = False
            outlook = MapiClient()
            await outlook.connect(client)
            answer = await outlook.ask(client, "NotificationWait", WAIT)
            assert NotificationWaitResponse.unpack(answer.body).error_code == ErrorCode.NotSupported

    run(main)


def test_the_address_book() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            book = MapiClient("/mapi/nspi/")
            answer = await book.ask(client, "Bind", BindRequest(0, STAT()))
            assert BindResponse.unpack(answer.body).server_guid.int == 5
            answer = await book.ask(client, "GetProps", GetPropsRequest(0, STAT(), None))
            assert ValuesResponse.unpack(answer.body).error_code == ErrorCode.NotSupported  # no such handler
            for kind, path in (("GetMailboxUrl", "emsmdb"), ("GetAddressBookUrl", "nspi")):
                # There is no referral service: it is this server, as the client calls it.
                answer = await book.ask(client, kind, GetUrlRequest(0, "/o=x/cn=server"))
                url = f"https://mail.example.test/mapi/{path}/?MailboxId=a@example.test"
                assert GetUrlResponse.unpack(answer.body) == GetUrlResponse(0, 0, url)
            answer = await book.ask(client, "Unbind", UnbindRequest(0))
            assert ErrorCodeResponse.unpack(answer.body).error_code == 1
            assert len(serving.address_book.sessions) == 0

    run(main)


class Referring(Handler):
    """Has a referral service too."""

    async def handle(self, call: Call) -> bytes:
        if call.interface is not RFR:
            return await super().handle(call)
        assert call.caller.account == "alice"
        asked = call.request
        if isinstance(asked, RfrGetNewDSARequest):
            return RfrGetNewDSAResponse(None, Name(b"book.example.test" if asked.user_dn else b"Mail"), 0).pack()
        hosts = {b"/o=x/cn=first": b"mail", b"/o=x/cn=second": b"Second.example.test"}
        host = hosts.get(asked.mailbox_server_dn)
        return RfrGetFQDNFromServerDNResponse(host, 0 if host else ErrorCode.NotFound).pack()


def test_urls_are_of_the_server_that_referrals_tell() -> None:
    """ "mail" is this one, which the client calls otherwise, and by its own port."""

    async def main() -> None:
        handler = Referring()
        async with mapi_serving(handler=handler) as serving, serving.client() as client:
            book = MapiClient("/mapi/nspi/")
            await book.ask(client, "Bind", BindRequest(0, STAT()))
            for kind, dn, url in (
                ("GetMailboxUrl", "/o=x/cn=first", "https://outside.test:8443/mapi/emsmdb/"),
                ("GetMailboxUrl", "/o=x/cn=second", "https://second.example.test/mapi/emsmdb/"),
                ("GetAddressBookUrl", "/o=x/cn=alice", "https://book.example.test/mapi/nspi/"),
                ("GetAddressBookUrl", "", "https://outside.test:8443/mapi/nspi/"),
            ):
                answer = await book.ask(client, kind, GetUrlRequest(0, dn), Host="outside.test:8443")
                expected = GetUrlResponse(0, 0, f"{url}?MailboxId=a@example.test")
                assert GetUrlResponse.unpack(answer.body) == expected, (kind, dn)
            # No name of a server is so short, or so long ([MS-OXABREF] 3.1.4.2).
            for dn in ("/o=x/cn=nobody's", "/o=x", "/o=x/cn=" + "a" * 1100):
                answer = await book.ask(client, "GetMailboxUrl", GetUrlRequest(0, dn))
                assert GetUrlResponse.unpack(answer.body) == GetUrlResponse(0, ErrorCode.NotFound, "")

    run(main)
