"""Endpoints of MAPI over HTTP over a handler that is told what to answer, and a client, for tests."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openchange_py.addressbook.base import Account
from openchange_py.auth import ntlm_crypto
from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.http import WebLogons
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.http import HttpServer
from openchange_py.transports.oxcmapihttp import AddressBookEndpoint, EndpointLimits, MailboxEndpoint
from openchange_py.transports.tls import TlsCertificate
from openchange_py.transports.web_logon import Authenticated
from openchange_py.wire.codecs import Structure
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcInterface
from openchange_py.wire.oxcmapihttp import ConnectRequest, ConnectResponse, split_answer
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
)
from openchange_py.wire.oxnspi import NSPI, NspiBindRequest, NspiBindResponse, NspiUnbindRequest, NspiUnbindResponse
from tests.auth.ntlm_parties import NAMES as SERVER_NAMES
from tests.auth.ntlm_parties import PASSWORD, Accounts
from tests.auth.test_http import basic
from tests.transports.http_parties import RawClient, raw_client


class Handler:
    """Answers connects, and echoes ROP buffers; `wait` in one waits until `go_on`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.ended: list[Session] = []
        self.go_on, self.waiting, self.event = asyncio.Event(), asyncio.Event(), asyncio.Event()
        #: Raised by the next call.
        self.fault: RpcFault | None = None
        self.has_async = True

    def interfaces(self) -> list[RpcInterface]:
        return [EMSMDB, NSPI]

    async def handle(self, call: Call) -> bytes:
        self.calls.append(call)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        return (await self._response(call, call.request)).pack()

    async def _response(self, call: Call, request: Any) -> Any:
        version = (0, 0, 0)
        match request:
            case EcDoConnectExRequest(user_dn=b"/o=nobody"):
                return EcDoConnectExResponse.failed(0x3EB)
            case EcDoConnectExRequest():
                handle = call.session.add_handle(self)
                return EcDoConnectExResponse(handle, 1, 2, 3, 4, b"/o=x/cn=", b"Alice", version, version, 0, b"", 0)
            case EcDoRpcExt2Request():
                call.session.find_handle(request.cxh, Handler)
                if request.rgb_in.startswith(b"wait"):
                    self.waiting.set()
                    await self.go_on.wait()
                gone = request.rgb_in == b"gone"
                return EcDoRpcExt2Response(NULL_HANDLE if gone else request.cxh, 0, request.rgb_in, b"aux", 0, 0)
            case EcDoDisconnectRequest():
                call.session.find_handle(request.cxh, Handler)
                call.session.drop_handle(request.cxh)
                return EcDoDisconnectResponse(NULL_HANDLE, 0)
            case EcDoAsyncConnectExRequest() if self.has_async:
                return EcDoAsyncConnectExResponse(ContextHandle(0, uuid.UUID(int=7)), 0)
            case EcDoAsyncWaitExRequest():
                assert request.acxh == ContextHandle(0, uuid.UUID(int=7))
                assert call.interface is ASYNCEMSMDB
                self.waiting.set()
                await self.event.wait()
                return EcDoAsyncWaitExResponse(1, 0)
            case NspiBindRequest():
                return NspiBindResponse(uuid.UUID(int=5), call.session.add_handle(self), 0)
            case NspiUnbindRequest():
                return NspiUnbindResponse(NULL_HANDLE, 1)
        raise RpcFault(FaultStatus.OP_RANGE_ERROR, call.name)

    async def unbind(self, session: Session) -> None:
        self.ended.append(session)


class People(Accounts):
    """And `bob`, with the same password."""

    def __init__(self) -> None:
        super().__init__()
        self._accounts["bob"] = Account("bob", "EXAMPLE", ntlm_crypto.nt_hash(PASSWORD))


@dataclasses.dataclass
class Answer:
    """What came back."""

    status: int
    fields: dict[str, str]
    late: dict[str, str]
    raw: bytes
    body: bytes

    @property
    def code(self) -> int:
        """X-ResponseCode, the last word."""
        return int(self.late.get("x-responsecode", self.fields["x-responsecode"]))


class MapiClient:
    """One client, with its cookies, on any connection."""

    def __init__(self, path: str = "/mapi/emsmdb/", user: str = "alice", authorization: str = "") -> None:
        self.path = path
        self.authorization = authorization or basic(user)
        self.cookies: dict[str, str] = {}
        self.number = 0

    def message(self, kind: str, body: bytes | Structure = b"", **changed: str | None) -> bytes:
        """A request; `changed` fields replace the usual ones, None leaves one out."""
        if isinstance(body, Structure):
            body = body.pack()
        if not changed.pop("again", None):
            self.number += 1
        fields: dict[str, str | None] = {
            "Host": "mail.example.test",
            "X-Forwarded-Proto": "https",
            "Authorization": self.authorization,
            "Content-Type": "application/mapi-http",
            "X-RequestType": kind,
            "X-RequestId": f"{{0a3dd895-2737-4363-9908-4494a5a9af59}}:{self.number}",
            "X-ClientInfo": "{0a3dd895-2737-4363-9908-4494a5a9af59}:1",
            "X-ClientApplication": "Outlook/15.0.4815.1002",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()) or None,
            "Content-Length": str(len(body)),
        }
        fields |= {name.replace("_", "-"): value for name, value in changed.items()}
        lines = [f"POST {self.path}?MailboxId=a@example.test HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    async def ask(self, client: RawClient, kind: str, body: bytes | Structure = b"", **changed: str | None) -> Answer:
        """Send a request, keep the cookies of the answer."""
        client.send(self.message(kind, body, **changed))
        return await self.answer(client)

    async def answer(self, client: RawClient) -> Answer:
        """The next answer."""
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:])]
        for name, value in pairs:
            if name == "set-cookie":
                cookie, _, text = value.partition(";")[0].partition("=")
                self.cookies[cookie] = text
        fields = dict(pairs)
        if fields.get("transfer-encoding") == "chunked":
            raw = b"".join(await client.chunks())
        else:
            raw = await client.reader.readexactly(int(fields["content-length"]))
        late, body = split_answer(raw) if raw.startswith(b"PROCESSING") else ({}, raw)
        return Answer(int(head[0].split()[1]), fields, late, raw, body)

    async def connect(self, client: RawClient, dn: bytes = b"/o=alice") -> ConnectResponse:
        """Connect; what was answered."""
        answer = await self.ask(client, "Connect", ConnectRequest(dn, 0, 1252, 1033, 1033))
        assert answer.code == 0, answer.raw
        return ConnectResponse.unpack(answer.body)


@dataclasses.dataclass
class Serving:
    """A server with both endpoints."""

    handler: Handler
    mailbox: MailboxEndpoint
    address_book: AddressBookEndpoint
    server: HttpServer
    port: int

    def client(self) -> Any:
        """A connection."""
        return raw_client(self.port)


@asynccontextmanager
async def mapi_serving(
    limits: EndpointLimits | None = None, tls: TlsCertificate | None = None, handler: Handler | None = None
) -> AsyncIterator[Serving]:
    """With TLS, or behind a proxy that ends it: without any, Basic is not possible. Referrals call it `mail`."""
    handler, metrics = handler or Handler(), Metrics()
    logons = WebLogons(LocalAuthenticator(People(), SERVER_NAMES))
    mailbox = MailboxEndpoint(handler, limits=limits, metrics=metrics)
    book = AddressBookEndpoint(handler, fqdn="mail", limits=limits, metrics=metrics)
    server = HttpServer(
        {
            "/mapi/emsmdb": Authenticated(mailbox, logons, metrics),
            "/mapi/nspi": Authenticated(book, logons, metrics),
        },
        metrics=metrics,
        tls=tls,
        trusted_proxies=[ipaddress.ip_network("127.0.0.1")],
    )
    _, port = await server.start("127.0.0.1", 0)
    try:
        yield Serving(handler, mailbox, book, server, port)
    finally:
        await server.stop()
        await mailbox.stop()
        await book.stop()
