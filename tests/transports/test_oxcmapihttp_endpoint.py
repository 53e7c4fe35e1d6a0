"""MAPI over HTTP: sessions, answers that take long, retries, faults."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports import oxcmapihttp_endpoint
from openchange_py.transports.oxcmapihttp import EndpointLimits
from openchange_py.transports.oxcmapihttp_sessions import SessionLimits
from openchange_py.wire.oxcmapihttp import (
    ConnectRequest,
    DisconnectRequest,
    ErrorCodeResponse,
    ExecuteRequest,
    ExecuteResponse,
    NotificationWaitRequest,
    ResponseCode,
)
from openchange_py.wire.oxcmapihttp_nspi import (
    GetPropsRequest,
)
from openchange_py.wire.oxnspi_types import STAT
from tests.auth.test_http import basic
from tests.transports.mapi_parties import MapiClient, mapi_serving
from tests.transports.serving import LOOPS, run

WAIT, BYE = NotificationWaitRequest(0), DisconnectRequest()


def execute(data: bytes) -> ExecuteRequest:
    return ExecuteRequest(3, data, 0x8000, b"")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_session_from_connect_to_disconnect(loop: str) -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            connected = await outlook.connect(client)
            assert (connected.polls_max, connected.retry_count, connected.retry_delay) == (1, 2, 3)
            assert (connected.dn_prefix, connected.display_name) == (b"/o=x/cn=", "Alice")
            call = serving.handler.calls[0]
            assert (call.caller.account, call.caller.level) == ("alice", AuthLevel.PRIVACY)
            assert call.request.client_version == (0x0F00, 4815 | 0x8000, 1002)

            answer = await outlook.ask(client, "Execute", execute(b"rops"))
            assert ExecuteResponse.unpack(answer.body) == ExecuteResponse(0, 0, 0, b"rops", b"aux")
            assert answer.raw.startswith(b"PROCESSING\r\nDONE\r\nX-ResponseCode: 0\r\nX-ElapsedTime: ")
            assert serving.handler.calls[1].request.out_size == 0x8000
            assert answer.fields["x-requesttype"] == "Execute"
            assert answer.fields["x-requestid"].endswith(":2")
            assert answer.fields["x-clientinfo"] == "{0a3dd895-2737-4363-9908-4494a5a9af59}:1"
            assert (answer.fields["x-pendingperiod"], answer.fields["x-expirationinfo"]) == ("30000", "900000")
            assert answer.fields["x-serverapplication"].startswith("Exchange/15.")
            assert answer.fields["content-type"] == "application/mapi-http"

            answer = await outlook.ask(client, "Disconnect", BYE)
            assert ErrorCodeResponse.unpack(answer.body) == ErrorCodeResponse(0, 0)
            assert "Max-Age=0" in answer.fields["set-cookie"]
            assert (await outlook.ask(client, "Execute", execute(b""))).code == ResponseCode.ContextNotFound
            assert serving.handler.ended == [serving.handler.calls[0].session]

    run(main, loop)


def test_who_is_nobody_is_asked_who_he_is() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            for changed in ({"Authorization": None}, {"Authorization": basic(password="wrong")}):
                client.send(MapiClient().message("PING", **changed))
                assert (await client.answer())[0] == 401
            client.send(MapiClient().message("PING", X_Forwarded_Proto="http"))
            assert (await client.answer())[0] == 401  # a password that everybody on the way could read
            assert not serving.handler.calls

    run(main)


def test_ping() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            for path in ("/mapi/emsmdb/", "/mapi/nspi/", "/MAPI/NSPI"):
                answer = await MapiClient(path).ask(client, "PING")
                assert (answer.code, answer.body) == (0, b"")

    run(main)


@pytest.mark.parametrize("body", [b"", b"\xff", b"\xff" * 100, execute(b"x").pack()[:-1], execute(b"x").pack() + b"y"])
def test_bodies_that_are_wrong(body: bytes) -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            assert (await outlook.ask(client, "Execute", body)).code == ResponseCode.InvalidRequestBody
            assert (await outlook.ask(client, "Execute", execute(b"go on"))).code == 0

    run(main)


def test_every_connect_is_a_fresh_session() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            first = dict(outlook.cookies)
            await outlook.connect(client)
            assert outlook.cookies["MapiContext"] != first["MapiContext"]
            assert len(serving.mailbox.sessions) == 2
            outlook.cookies = first
            assert (await outlook.ask(client, "Execute", execute(b"still there"))).code == 0

    run(main)


def test_a_refused_connect_leaves_no_session() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            assert (await outlook.connect(client, b"/o=nobody")).error_code == 0x3EB
            assert not outlook.cookies
            serving.handler.fault = RpcFault(FaultStatus.ACCESS_DENIED)
            body = ConnectRequest(b"/o=alice", 0, 1252, 1033, 1033)
            assert (await outlook.ask(client, "Connect", body)).code == ResponseCode.NoPrivilege
            await asyncio.sleep(0)
            assert len(serving.mailbox.sessions) == 0
            assert len(serving.handler.ended) == 2

    run(main)


def test_the_same_session_from_several_connections() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as first, serving.client() as second:
            outlook = MapiClient()
            await outlook.connect(first)
            for client in (second, first, second):
                assert (await outlook.ask(client, "Execute", execute(b"x"))).code == 0
            assert len({call.session for call in serving.handler.calls}) == 1

    run(main)


def test_cookies_of_another_user_are_refused() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            alice, bob = MapiClient(), MapiClient(user="bob")
            await alice.connect(client)
            bob.cookies = alice.cookies
            for kind, body in (("Execute", execute(b"x")), ("Disconnect", BYE), ("NotificationWait", WAIT)):
                assert (await bob.ask(client, kind, body)).code == ResponseCode.NoPrivilege
            assert (await alice.ask(client, "Execute", execute(b"x"))).code == 0
            assert len(serving.handler.calls) == 2

    run(main)


def test_cookies_of_one_endpoint_mean_nothing_at_the_other() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook, book = MapiClient(), MapiClient("/mapi/nspi/")
            await outlook.connect(client)
            book.cookies = outlook.cookies
            answer = await book.ask(client, "GetProps", GetPropsRequest(0, STAT(), None))
            assert answer.code == ResponseCode.ContextNotFound

    run(main)


def test_sequences() -> None:
    """Who got no answer asks again with the old one; who is further behind, or invents one, is refused."""

    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            oldest = outlook.cookies["MapiSequence"]
            for _ in range(2):
                before = outlook.cookies["MapiSequence"]
                assert (await outlook.ask(client, "Execute", execute(b"x"))).code == 0
            outlook.cookies["MapiSequence"] = before
            assert (await outlook.ask(client, "Execute", execute(b"x"))).code == 0
            for wrong in (oldest, "invented"):
                outlook.cookies["MapiSequence"] = wrong
                assert (await outlook.ask(client, "Execute", execute(b"x"))).code == ResponseCode.InvalidSequence
            del outlook.cookies["MapiSequence"]
            assert (await outlook.ask(client, "Execute", execute(b"x"))).code == ResponseCode.MissingCookie
            assert len(serving.handler.calls) == 4

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_who_lost_the_connection_gets_the_answer_on_another_and_nothing_is_done_twice(loop: str) -> None:
    async def main() -> None:
        async with mapi_serving() as serving:
            outlook = MapiClient()
            async with serving.client() as first:
                await outlook.connect(first)
                first.send(outlook.message("Execute", execute(b"wait")))
                await serving.handler.waiting.wait()
            async with serving.client() as second:
                second.send(outlook.message("Execute", execute(b"wait"), again="yes"))
                serving.handler.go_on.set()
                answer = await outlook.answer(second)
                assert ExecuteResponse.unpack(answer.body).rop_buffer == b"wait"
                assert (await outlook.ask(second, "Execute", execute(b"next"))).code == 0
            assert [call.opnum for call in serving.handler.calls] == [10, 11, 11]

    run(main, loop)


def test_what_is_not_kept_is_not_done_twice() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            before = dict(outlook.cookies)
            assert (await outlook.ask(client, "Execute", execute(bytes(100_000)))).code == 0
            after, outlook.cookies = outlook.cookies, before
            again = await outlook.ask(client, "Execute", execute(bytes(100_000)), again="yes")
            assert again.code == ResponseCode.InvalidSequence
            # Who has the answer may use an id twice, though he should not.
            outlook.cookies = after
            assert (await outlook.ask(client, "Execute", execute(b"other"), again="yes")).body.find(b"other") > 0
            assert len(serving.handler.calls) == 3

    run(main)


def test_a_long_call_keeps_its_client_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oxcmapihttp_endpoint, "_SOON", 0.01)

    async def main() -> None:
        async with mapi_serving(EndpointLimits(pending_seconds=0.01)) as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            client.send(outlook.message("Execute", execute(b"wait")))
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"Set-Cookie: MapiContext=" in head
            assert b"X-ResponseCode: 0\r\n" in head
            for expected in (b"PROCESSING\r\n", b"PENDING\r\n", b"PENDING\r\n"):
                size = int(await client.reader.readline(), 16)
                assert (await client.reader.readexactly(size + 2))[:-2] == expected
            serving.handler.go_on.set()
            rest = b"".join(await client.chunks())
            assert rest.replace(b"PENDING\r\n", b"").startswith(b"DONE\r\nX-ResponseCode: 0\r\nX-ElapsedTime: ")
            assert rest.endswith(ExecuteResponse(0, 0, 0, b"wait", b"aux").pack())
            assert (await outlook.ask(client, "Execute", execute(b"next"))).code == 0

    run(main)


def test_a_long_call_that_fails_says_so_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oxcmapihttp_endpoint, "_SOON", 0.01)

    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            client.send(outlook.message("NotificationWait", WAIT))
            await serving.handler.waiting.wait()
            await asyncio.sleep(0.05)
            serving.mailbox.shut_down()
            answer = await outlook.answer(client)
            assert answer.fields["x-responsecode"] == "0"
            assert answer.code == ResponseCode.EndpointShuttingDown
            assert (await outlook.ask(client, "PING")).code == ResponseCode.EndpointShuttingDown

    run(main)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (FaultStatus.CONTEXT_MISMATCH, ResponseCode.ContextNotFound),
        (FaultStatus.ACCESS_DENIED, ResponseCode.NoPrivilege),
        (FaultStatus.SERVER_UNAVAILABLE, ResponseCode.UnknownFailure),
        (FaultStatus.BAD_STUB_DATA, ResponseCode.InvalidRequestBody),
    ],
)
def test_faults(status: int, code: ResponseCode) -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            serving.handler.fault = RpcFault(status)
            assert (await outlook.ask(client, "Execute", execute(b"x"))).code == code
            assert (await outlook.ask(client, "Execute", execute(b"x"))).code == 0

    run(main)


def test_an_answer_without_a_handle_ends_the_session() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            assert (await outlook.ask(client, "Execute", execute(b"gone"))).code == 0
            assert (await outlook.ask(client, "Execute", execute(b"x"))).code == ResponseCode.ContextNotFound

    run(main)


def test_sessions_end_by_their_age() -> None:
    async def main() -> None:
        limits = EndpointLimits(SessionLimits(idle_seconds=0.05))
        async with mapi_serving(limits) as serving, serving.client() as client:
            outlook = MapiClient()
            await outlook.connect(client)
            while len(serving.mailbox.sessions):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            assert (await outlook.ask(client, "Execute", execute(b"x"))).code == ResponseCode.ContextNotFound
            assert len(serving.handler.ended) == 1

    run(main)
