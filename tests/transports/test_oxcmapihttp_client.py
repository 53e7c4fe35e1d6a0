"""The MAPI over HTTP client against our server, and against servers that mean harm."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.web_logon import WebCredentials
from openchange_py.transports import oxcmapihttp_client
from openchange_py.transports.http_client import Place
from openchange_py.transports.oxcmapihttp import EndpointLimits
from openchange_py.transports.oxcmapihttp_bridge import SessionGroup
from openchange_py.transports.oxcmapihttp_client import MapiEndpoints, MapiHttpClient
from openchange_py.transports.oxcmapihttp_sessions import SessionLimits
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost, NoAnswer
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxcmapihttp import ConnectResponse, ExecuteResponse, NotificationWaitResponse, pack_answer
from openchange_py.wire.oxcrpc import (
    ASYNCEMSMDB,
    EMSMDB,
    EcDoAsyncConnectExRequest,
    EcDoAsyncConnectExResponse,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoDisconnectRequest,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    wire_version,
)
from openchange_py.wire.oxnspi import NSPI
from tests.transports.mapi_bridging import https_serving
from tests.transports.mapi_parties import Handler
from tests.transports.serving import run
from tests.transports.test_http_client import ntlm

VERSION = wire_version(14, 0, 7015, 1000)
CONNECT = EcDoConnectExRequest(b"/o=alice", 0, 0, 0, 1252, 1033, 1033, 0xFFFFFFFF, 1, VERSION, 0)


async def connected(client: MapiHttpClient) -> ContextHandle:
    response = EcDoConnectExResponse.unpack(await client.call(10, CONNECT.pack()))
    assert response.return_value == 0
    return response.cxh


def rpc(handle: ContextHandle, data: bytes = b"rops", room: int = 0x8000) -> bytes:
    return EcDoRpcExt2Request(handle, 3, data, room).pack()


async def status_of(client: MapiHttpClient, opnum: int, stub: bytes) -> int:
    with pytest.raises(RpcFault) as caught:
        await client.call(opnum, stub)
    return caught.value.status


def test_a_mailbox_session_from_connect_to_disconnect(tmp_path: Path) -> None:
    async def main() -> None:
        handler = Handler()
        async with https_serving(handler, tmp_path) as endpoints:
            client = await MapiHttpClient.connect(endpoints, EMSMDB, ntlm())
            assert client.server_names == ("EXCH1", "exch1.example.test", "127.0.0.1")
            assert handler.calls == []
            response = EcDoConnectExResponse.unpack(await client.call(10, CONNECT.pack()))
            assert (response.polls_max, response.retry, response.retry_delay) == (1, 2, 3)
            assert (response.dn_prefix, response.display_name) == (b"/o=x/cn=", b"Alice")
            assert response.server_version == wire_version(15, 0, 847, 4040)
            assert handler.calls[0].request.client_version == VERSION
            for number in range(3):  # each with the sequence that the one before got
                data = b"%d" % number * 9000
                answer = EcDoRpcExt2Response.unpack(await client.call(11, rpc(response.cxh, data, 0x9000)))
                assert (answer.cxh, answer.rgb_out, answer.aux_out) == (response.cxh, data, b"aux")
            assert handler.calls[1].request.out_size == 0x9000
            bye = await client.call(1, EcDoDisconnectRequest(response.cxh).pack())
            assert EcDoDisconnectResponse.unpack(bye).cxh == NULL_HANDLE
            assert await status_of(client, 11, rpc(response.cxh)) == FaultStatus.CONTEXT_MISMATCH
            await client.close()
            assert len(handler.calls) == 5
            assert len({call.session for call in handler.calls}) == 1

    run(main)


def test_sessions_outlive_their_connections_and_end_with_the_last_client(tmp_path: Path) -> None:
    async def main() -> None:
        handler = Handler()
        async with https_serving(handler, tmp_path, limits_of_http()) as endpoints:
            group = SessionGroup()
            client = await MapiHttpClient.connect(endpoints, EMSMDB, ntlm(), group=group)
            other = await MapiHttpClient.connect(endpoints, EMSMDB, ntlm(), group=group)
            assert client.assoc_group == other.assoc_group == group.number
            handle = await connected(client)
            http = client._http
            assert http is not None
            http.abort("the test")
            assert client.connected
            await client.call(11, rpc(handle))  # on a connection of its own
            assert client._http is not http
            await other.call(11, rpc(handle))  # on the other one's
            for _ in range(3):  # the second time nothing happens
                await client.close()
            assert [call.opnum for call in handler.calls] == [10, 11, 11]
            await other.close()
            assert [call.opnum for call in handler.calls] == [10, 11, 11, 1]
            assert handler.ended == [handler.calls[0].session]

    run(main)


def limits_of_http() -> EndpointLimits:
    return EndpointLimits(pending_seconds=0.05)


def test_waiting_for_events_beside_other_calls(tmp_path: Path) -> None:
    async def main() -> None:
        handler, group = Handler(), SessionGroup()
        async with https_serving(handler, tmp_path, limits_of_http()) as endpoints:
            client = await MapiHttpClient.connect(endpoints, EMSMDB, ntlm(), group=group)
            waiter = await MapiHttpClient.connect(endpoints, ASYNCEMSMDB, ntlm(), group=group)
            handle = await connected(client)
            acxh = EcDoAsyncConnectExResponse.unpack(await client.call(14, EcDoAsyncConnectExRequest(handle).pack()))
            assert acxh.return_value == 0
            assert acxh.acxh not in (handle, NULL_HANDLE)
            wait = EcDoAsyncWaitExRequest(acxh.acxh).pack()
            waiting = asyncio.ensure_future(waiter.call(0, wait, call_timeout=20))
            await handler.waiting.wait()
            assert waiter.waiting > 0
            await client.call(11, rpc(handle))
            handler.event.set()
            assert EcDoAsyncWaitExResponse.unpack(await waiting) == EcDoAsyncWaitExResponse(1, 0)
            assert waiter.waiting == 0
            assert await status_of(waiter, 0, EcDoAsyncWaitExRequest(handle).pack()) == FaultStatus.CONTEXT_MISMATCH
            await client.call(1, EcDoDisconnectRequest(handle).pack())
            assert await status_of(waiter, 0, wait) == FaultStatus.CONTEXT_MISMATCH
            await waiter.close()
            await client.close()

    run(main)


def test_a_call_that_takes_too_long_takes_the_connection_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        handler = Handler()
        async with https_serving(handler, tmp_path, limits_of_http()) as endpoints:
            client = await MapiHttpClient.connect(endpoints, EMSMDB, ntlm())
            handle = await connected(client)
            with pytest.raises(NoAnswer, match=r"within 0\.1 s"):
                await client.call(11, rpc(handle, b"wait"), call_timeout=0.1)
            assert not client.connected
            with pytest.raises(ConnectionLost):
                await client.call(11, rpc(handle))
            handler.go_on.set()
            await client.close()

    run(main)


def test_a_session_that_expired_and_one_that_is_kept_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        handler = Handler()
        limits = EndpointLimits(sessions=SessionLimits(idle_seconds=2.0))
        async with https_serving(handler, tmp_path, limits) as endpoints:
            client = await MapiHttpClient.connect(endpoints, EMSMDB, ntlm())
            handle = await connected(client)
            await until(lambda: len(handler.ended) == 1)
            assert await status_of(client, 11, rpc(handle)) == FaultStatus.CONTEXT_MISMATCH
            assert client.connected
            await client.close()
            monkeypatch.setattr(oxcmapihttp_client, "_SHORTEST_REFRESH", 0.01)
            client = await MapiHttpClient.connect(endpoints, EMSMDB, ntlm())
            handle = await connected(client)
            kept = client._contexts()[0]
            began = kept.used
            await until(lambda: kept.used > began + 2 * kept.life)
            assert EcDoRpcExt2Response.unpack(await client.call(11, rpc(handle))).rgb_out == b"rops"
            await client.close()

    run(main)


async def until(done: Callable[[], bool]) -> None:
    for _ in range(2000):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def test_faults_of_the_server_are_faults_here(tmp_path: Path) -> None:
    async def main() -> None:
        handler = Handler()
        async with https_serving(handler, tmp_path) as endpoints:
            client = await MapiHttpClient.connect(endpoints, EMSMDB, ntlm())
            for raised, expected in (
                (FaultStatus.ACCESS_DENIED, FaultStatus.ACCESS_DENIED),
                (FaultStatus.BAD_STUB_DATA, FaultStatus.BAD_STUB_DATA),
                (FaultStatus.UNKNOWN_INTERFACE, FaultStatus.UNKNOWN_INTERFACE),
                (FaultStatus.SERVER_TOO_BUSY, FaultStatus.CALL_FAILED),
            ):
                handler.fault = RpcFault(raised)
                assert await status_of(client, 10, CONNECT.pack()) == expected
            assert await status_of(client, 10, b"nonsense") == FaultStatus.BAD_STUB_DATA
            assert await status_of(client, 9, b"") == FaultStatus.OP_RANGE_ERROR
            assert client.connected
            await client.close()

    run(main)


def test_who_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with https_serving(Handler(), tmp_path) as endpoints:
            with pytest.raises(AuthenticationFailed, match="refuses the logon"):
                await MapiHttpClient.connect(endpoints, EMSMDB, ntlm("wrong"))
            elsewhere = dataclasses.replace(endpoints, path="/elsewhere/")
            with pytest.raises(ConnectionLost, match="status 404"):
                await MapiHttpClient.connect(elsewhere, NSPI, ntlm())
        with pytest.raises(ConnectionLost):
            await MapiHttpClient.connect(endpoints, NSPI, ntlm())

    run(main)


@contextlib.asynccontextmanager
async def hostile(answer: Callable[[dict[str, str]], bytes]) -> AsyncIterator[MapiEndpoints]:
    """A server that lets everybody in, and then answers every call in its own way; it is given the request's fields."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                await reader.readexactly(int(fields["content-length"]))
                if fields["x-requesttype"] == "PING":
                    said = fields.get("authorization")
                    writer.write(response(fields, b"PROCESSING\r\nDONE\r\n\r\n") if said else CHALLENGE)
                else:
                    writer.write(answer(fields))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield MapiEndpoints(Place("127.0.0.1", server.sockets[0].getsockname()[1]))


CHALLENGE = b"HTTP/1.1 401 Who?\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"


class Anybody:
    """Logs on with a word that the hostile server takes."""

    async def answer(self, offered: Sequence[str], secure: bool, end_point: bytes | None) -> WebCredentials:
        return WebCredentials("Basic", secret="x")


def response(fields: dict[str, str], body: bytes, **changed: str | None) -> bytes:
    head: dict[str, str | None] = {
        "Content-Type": "application/mapi-http",
        "X-ResponseCode": "0",
        "X-RequestId": fields["x-requestid"],
        "Content-Length": str(len(body)),
    }
    head |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in head.items() if value is not None]
    return ("HTTP/1.1 200 OK\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode() + body


OK = pack_answer(ExecuteResponse(0, 0, 0, b"rops").pack(), [])
CODE_10 = pack_answer(b"", [("X-ResponseCode", "10")])


@pytest.mark.parametrize(
    ("body", "changed", "error", "reason"),
    [
        (OK, {"X_RequestId": "{0}:7"}, ConnectionLost, "the answer to another request"),
        (OK, {"X_ResponseCode": "zero"}, ConnectionLost, "X-ResponseCode 'zero'"),
        (OK, {"X_ResponseCode": None}, ConnectionLost, "X-ResponseCode ''"),
        (OK, {"X_ResponseCode": "4711"}, RpcFault, "X-ResponseCode 4711"),
        (OK, {"Content_Type": "text/html"}, ConnectionLost, "no application/mapi-http"),
        (b"DONE\r\n", {}, RpcFault, "malformed"),
        (OK[:-3], {}, RpcFault, "malformed"),
        (OK + b"more", {}, RpcFault, "malformed"),
        (pack_answer(b"\1\0\0\0\0\0\0\0", []), {}, RpcFault, "StatusCode 0x00000001"),
        (CODE_10, {}, RpcFault, "context handle mismatch"),
        (OK, {"Content_Length": str(1 << 40)}, ConnectionLost, "connection lost|more than"),
        (pack_answer(ExecuteResponse(0, 0, 0, bytes(0x9000)).pack(), []), {}, RpcFault, "more ROP data"),
    ],
)
def test_answers_that_are_none(
    body: bytes, changed: dict[str, str | None], error: type[Exception], reason: str
) -> None:
    async def main() -> None:
        def answer(fields: dict[str, str]) -> bytes:
            if fields["x-requesttype"] == "Connect":
                connected = ConnectResponse(0, 0, 1, 2, 3, b"/o=x", "Alice").pack()
                return response(fields, pack_answer(connected, []), Set_Cookie="a=b; Path=/")
            assert fields["cookie"] == "a=b"
            data = response(fields, body, **changed)
            return data + bytes(17 << 20) if "Content_Length" in changed else data

        async with hostile(answer) as endpoints:
            client = await MapiHttpClient.connect(endpoints, EMSMDB, Anybody())
            handle = await connected(client)
            with pytest.raises(error, match=reason):
                await client.call(11, rpc(handle))
            client.abort("done")
            await client.close()

    run(main)


def test_what_waits_beside_brings_no_old_cookies() -> None:
    async def main() -> None:
        def answer(fields: dict[str, str]) -> bytes:
            kind = fields["x-requesttype"]
            if kind == "Connect":
                body = ConnectResponse(0, 0, 1, 2, 3, b"/o=x", "Alice").pack()
            elif kind == "NotificationWait":
                body = NotificationWaitResponse(0, 0, 1).pack()
            else:
                body = ExecuteResponse(0, 0, 0, fields["cookie"].encode()).pack()
            return response(fields, pack_answer(body, []), Set_Cookie=f"sequence={kind}")

        async with hostile(answer) as endpoints:
            group = SessionGroup()
            client = await MapiHttpClient.connect(endpoints, EMSMDB, Anybody(), group=group)
            waiter = await MapiHttpClient.connect(endpoints, ASYNCEMSMDB, Anybody(), group=group)
            handle = await connected(client)
            acxh = EcDoAsyncConnectExResponse.unpack(await client.call(14, EcDoAsyncConnectExRequest(handle).pack()))
            await waiter.call(0, EcDoAsyncWaitExRequest(acxh.acxh).pack())
            done = EcDoRpcExt2Response.unpack(await client.call(11, rpc(handle)))
            assert done.rgb_out == b"sequence=Connect"
            for one in (client, waiter):
                one.abort("done")
                await one.close()

    run(main)


def test_cookies_are_not_kept_without_end() -> None:
    async def main() -> None:
        def answer(fields: dict[str, str]) -> bytes:
            if fields["x-requesttype"] == "Execute":
                assert fields["cookie"].count("=") == 16
                assert len(fields["cookie"]) < 1000
                return response(fields, OK)
            body = pack_answer(ConnectResponse(0, 0, 1, 2, 3, b"/o=x", "Alice").pack(), [])
            many = "\r\nSet-Cookie: ".join([f"huge={'x' * 5000}", *(f"c{n}=v" for n in range(80))])
            return response(
                fields, body, Set_Cookie=many, X_ServerApplication="Exchange/999.1.1.1", X_ExpirationInfo="-5"
            )

        async with hostile(answer) as endpoints:
            client = await MapiHttpClient.connect(endpoints, EMSMDB, Anybody())
            done = EcDoConnectExResponse.unpack(await client.call(10, CONNECT.pack()))
            assert done.server_version == wire_version(15, 0, 847, 32)
            assert EcDoRpcExt2Response.unpack(await client.call(11, rpc(done.cxh))).rgb_out == b"rops"
            client.abort("done")
            await client.close()

    run(main)
