"""Targets of HTTP's clients: what a hostile upstream answers to any request, a logon, MAPI over HTTP, RPC over HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import Any

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.http_initiator import MechanismLogon
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism
from openchange_py.rpc.call import RpcFault
from openchange_py.rpc.rpch_client import ClientVirtualConnection
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.http_client import HttpAnswer, HttpClient, Place
from openchange_py.transports.http_message import Headers
from openchange_py.transports.oxcmapihttp_bridge import SessionGroup
from openchange_py.transports.oxcmapihttp_client import MapiEndpoints, MapiHttpClient, _result
from openchange_py.transports.rpch_client import ClientTunnel, RpcProxyPlace, _ClientCarrier
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire.ndr import NULL_HANDLE
from openchange_py.wire.oxcmapihttp import CONTENT_TYPE, ConnectResponse, ExecuteResponse, pack_answer
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExRequest, EcDoRpcExt2Request, wire_version
from tests.auth.ntlm_parties import PASSWORD, acceptor
from tests.fuzz.fuzz_rpch import _pdus
from tests.fuzz.fuzz_transports import _Socket
from tests.fuzz.target import target
from tests.rpc.rpch_parties import rpc_pdu

_PLACE = Place("192.0.2.1", 80)
_REQUEST_ID = "{0A3DD895-2737-4363-9908-4494A5A9AF59}:1"
#: Between two answers.
_BETWEEN = b"\n--\n"
#: Turns of the loop in which an answer is taken.
_TURNS = 8


def _answer(status: str, body: bytes = b"", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _http_seeds() -> list[bytes]:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
    going_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    return [_answer("200 OK", b"abc"), chunked, going_on + chunked, b"HTTP/1.0 200 OK\r\n\r\nabc"]


class _Answering(_Socket):
    """Answers the client's first write with these bytes, in pieces, and each further one with the next."""

    def __init__(self, client: asyncio.Protocol, answers: list[bytes], step: int) -> None:
        super().__init__()
        self._client, self._answers, self._step = client, answers, step
        self._told = False

    def write(self, data: Any) -> None:
        super().write(data)
        loop = asyncio.get_running_loop()
        answer = self._answers.pop(0) if self._answers else b""
        for start in range(0, len(answer), self._step):
            loop.call_soon(self._say, answer[start : start + self._step])
        if not answer:
            loop.call_soon(self._end)

    def _say(self, data: bytes) -> None:
        if not self.closed:
            self._client.data_received(data)

    def _end(self) -> None:
        if not self._told:
            self._told = True
            self._client.eof_received()
            self._client.connection_lost(None)

    def close(self) -> None:
        super().close()
        asyncio.get_running_loop().call_soon(self._end)

    abort = close


def _connected(answers: list[bytes], step: int) -> HttpClient:
    client = HttpClient(_PLACE)
    client.connection_made(_Answering(client, answers, step))
    return client


async def _ended(work: Any) -> Any:
    """What comes of it: a result, or an error that callers know, and soon."""
    with contextlib.suppress(ConnectionLost, RpcFault):
        async with asyncio.timeout(5):
            return await work
    return None


@target("http-client", _http_seeds)
def http_client(data: bytes) -> None:
    """Answers to a request, whole and in pieces: one answer that is no larger than allowed, or a lost connection."""

    async def main(step: int) -> HttpAnswer | None:
        client = _connected([data], step)
        # One that never comes to an end ends here with the connection.
        asyncio.get_running_loop().call_later(0.001, client.abort, "the target is over")
        answer: HttpAnswer | None = await _ended(client.request("POST", "/mapi/emsmdb/", [], b"x", limit=1000))
        client.abort("the target is over")
        return answer

    for step in (len(data) or 1, 7):
        answer = asyncio.run(main(step))
        assert answer is None or (100 <= answer.status <= 999 and len(answer.body) <= 1000)


def _logon_seeds() -> list[bytes]:
    asked = _answer("401 Unauthorized", b"", "WWW-Authenticate: Negotiate", "WWW-Authenticate: NTLM")
    token = NtlmInitiator(NtlmCredential.from_password("alice", "", PASSWORD), level=AuthLevel.CONNECT).step(b"")
    challenge = base64.b64encode(acceptor().step(token)).decode()
    going_on = _answer("401 Unauthorized", b"", f"WWW-Authenticate: NTLM {challenge}")
    return [b"\0".join([asked, going_on, _answer("200 OK")]), asked, asked + b"\0" + _answer("200 OK")]


@target("http-client-logon", _logon_seeds)
def http_client_logon(data: bytes) -> None:
    """Answers to a logon with NTLM, behind each other with zero bytes between them."""

    async def make(bindings: ChannelBindings | None) -> Mechanism:
        return NtlmInitiator(NtlmCredential.from_password("alice", "", PASSWORD), level=AuthLevel.CONNECT)

    async def main() -> None:
        answers = data.split(b"\0")[:12]
        client = _connected(answers, 4096)
        asyncio.get_running_loop().call_later(0.001, client.abort, "the target is over")
        await _ended(client.log_on(MechanismLogon(make), "POST", "/mapi/emsmdb/", []))
        client.abort("the target is over")

    asyncio.run(main())


_FIELDS = (
    f"Content-Type: {CONTENT_TYPE}",
    "X-ResponseCode: 0",
    "Set-Cookie: MapiContext=a; Path=/",
    "X-ExpirationInfo: 60000",
)


def _mapi_seeds() -> list[bytes]:
    connected = pack_answer(ConnectResponse(0, 0, 60000, 6, 10000, b"/o=x/cn=", "Alice", b"").pack(), [])
    executed = pack_answer(ExecuteResponse(0, 0, 0, b"rops", b"").pack(), [])
    good = [_answer("200 OK", b"PROCESSING\r\n" + body, *_FIELDS) for body in (connected, executed)]
    return [_BETWEEN.join(good), good[0], _answer("200 OK", b"", "X-ResponseCode: 10")]


@target("mapihttp-client", _mapi_seeds)
def mapihttp_client(data: bytes) -> None:
    """Answers to Connect and Execute, which become answers of RPC or faults; `_BETWEEN` is between them."""

    async def main() -> None:
        answers = data.split(_BETWEEN)[:4]
        client = MapiHttpClient(MapiEndpoints(_PLACE), EMSMDB, MechanismLogon(_never), SessionGroup())
        client._http = _connected(answers, 4096)
        # A lost connection is not opened again: there is no socket here.
        client._logged_on = _unreachable  # type: ignore[method-assign]
        asyncio.get_running_loop().call_later(0.002, client.abort, "the target is over")
        connect = EcDoConnectExRequest(b"/o=x", 0, 0, 0, 1252, 1033, 1033, 0, 1, wire_version(15, 0, 0, 0), 0)
        for opnum, request in ((10, connect), (11, EcDoRpcExt2Request(NULL_HANDLE, 3, b"rops", 0x8000, b"", 0x1008))):
            stub = await _ended(client.call(opnum, request.pack()))
            if stub is not None:
                response = EMSMDB.methods[opnum].response
                assert response is not None
                response.unpack(stub)
        client.abort("the target is over")
        await client.close()

    asyncio.run(main())


async def _never(bindings: ChannelBindings | None) -> Mechanism:
    raise AssertionError("nobody logs on here")


async def _unreachable() -> HttpClient:
    raise ConnectionLost("not here")


def _head_seeds() -> list[bytes]:
    body = pack_answer(b"body", [("X-ElapsedTime", "1")])
    return ["\r\n".join(_FIELDS).encode() + b"\0" + b"PROCESSING\r\nPENDING\r\n" + body]


@target("mapihttp-answer", _head_seeds)
def mapihttp_answer(data: bytes) -> None:
    """Fields and, behind a zero byte, the body of an answer: a body, or an error that says what is wrong."""
    head, _, body = data.partition(b"\0")
    pairs = [line.partition(b":")[::2] for line in head.split(b"\r\n") if line]
    answer = HttpAnswer(200, Headers((name, value.strip()) for name, value in pairs), body)
    with contextlib.suppress(ConnectionLost, RpcFault):
        assert len(_result(answer, "192.0.2.1:80", _REQUEST_ID)) <= len(body)


class _Inner(asyncio.Protocol):
    """What an `RpcClient` is to its transport."""

    def __init__(self) -> None:
        self.size, self.lost = 0, False

    def data_received(self, data: bytes) -> None:
        assert not self.lost
        self.size += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def _channel_seeds() -> list[bytes]:
    ok = b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\n"
    going_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    refused = b"HTTP/1.0 503 RPC Error: 6ba\r\n\r\n"
    return [b"\1" + ok + _pdus()[2] + rpc_pdu(1, 64), b"\1" + going_on + ok, b"\0" + refused, b"\0" + ok]


@target("rpch-client-channels", _channel_seeds)
def rpch_client_channels(data: bytes) -> None:
    """What a proxy says on the IN or the OUT channel (the first byte tells), from the response's head on."""

    async def main(step: int) -> None:
        inner = _Inner()
        tunnel = ClientTunnel(RpcProxyPlace(_PLACE, "exch1", 6001), ClientVirtualConnection(), inner)
        tunnel._dial = _dialled  # type: ignore[method-assign,assignment]
        opening = asyncio.ensure_future(tunnel.open())
        await asyncio.sleep(0)
        carriers = []
        for channel in tunnel._connection.channels():
            assert isinstance(channel.owner, _ClientCarrier)
            channel.owner.connection_made(_Socket())
            carriers.append(channel.owner)
            tunnel.run(tunnel._connection.ready(channel))
        carrier = carriers[data[0] % 2 if data else 0]
        for start in range(1, len(data), step):
            carrier.data_received(data[start : start + step])
        tunnel.abort()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        with contextlib.suppress(ConnectionLost):
            await opening
        assert inner.size <= len(data)

    for step in (len(data) or 1, 7):
        asyncio.run(main(step))


async def _dialled(channel: Any) -> None:
    """There are sockets already."""
