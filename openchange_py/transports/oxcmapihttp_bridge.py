"""RPC calls of a client as requests of MAPI over HTTP, and their answers as RPC responses.

Context handles are made up here: one is a Session Context ([MS-OXCMAPIHTTP] 1.3.1), with its cookies. What has no
counterpart over HTTP is answered here: EcDoAsyncConnectEx by another handle of the same session, referrals (RFR) by the
server that is talked to anyway, EcRRegisterPushNotification and NSPI's calls about named properties by their
documented error. EcDoConnect and EcDoRpc, which old clients call, become Connect and Execute too.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.codecs import Structure
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcInterface, RpcMessage
from openchange_py.wire.oxabref import (
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxcdata.codepages import codec_name
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcmapihttp import (
    ConnectRequest,
    ConnectResponse,
    DisconnectRequest,
    ErrorCodeResponse,
    ExecuteRequest,
    ExecuteResponse,
    FailureResponse,
    NotificationWaitRequest,
    NotificationWaitResponse,
)
from openchange_py.wire.oxcmapihttp_nspi import BindResponse
from openchange_py.wire.oxcmapihttp_replies import NSPI_BRIDGES, bind_body, bound, unbind_body, unbound
from openchange_py.wire.oxcrpc import (
    EcDoAsyncConnectExRequest,
    EcDoAsyncConnectExResponse,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectRequest,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    EcDummyRpcRequest,
    EcDummyRpcResponse,
    EcRRegisterPushNotificationRequest,
    EcRRegisterPushNotificationResponse,
    Version,
    normalized_version,
    wire_version,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.oxnspi import (
    NspiBindRequest,
    NspiGetIDsFromNamesRequest,
    NspiGetIDsFromNamesResponse,
    NspiGetNamesFromIDsRequest,
    NspiGetNamesFromIDsResponse,
    NspiUnbindRequest,
)
from openchange_py.wire.rpcheaderext import HEADER_SIZE, pack_payload, unpack_payloads

S = TypeVar("S", bound=Structure)

#: The endpoints' last parts.
MAILBOX: Final = "emsmdb"
ADDRESS_BOOK: Final = "nspi"
#: `Exchange/15.00.0847.4040`, X-ServerApplication (2.2.3.3.8).
_SERVER_APPLICATION: Final = re.compile(r"[^/\s]{1,64}/(\d{1,3})\.(\d{1,3})\.(\d{1,5})\.(\d{1,5})", re.ASCII)
#: The first server with this protocol, Exchange 2013 SP1: where one does not say what it is.
_FIRST_SERVER: Final = (15, 0, 847, 32)
#: What clients are told to be where none said so yet.
_CLIENT_VERSION: Final = "15.0.4815.1002"

_groups = itertools.count(1)


@dataclasses.dataclass(eq=False, slots=True)
class MapiContext:
    """A Session Context at one endpoint. `life` is seconds, 0 where the server does not tell."""

    endpoint: str
    handle: ContextHandle
    cookies: dict[str, str] = dataclasses.field(default_factory=dict)
    life: float = 0.0
    #: The last request, on the loop's clock.
    used: float = 0.0
    #: Every request but NotificationWait has the sequence cookie that the one before got.
    turn: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)


@dataclasses.dataclass(eq=False)
class SessionGroup:
    """What the connections of one client share, as an association group's connections share context handles."""

    number: int = dataclasses.field(default_factory=lambda: next(_groups))
    contexts: dict[ContextHandle, MapiContext] = dataclasses.field(default_factory=dict)
    #: By the handles of EcDoAsyncConnectEx.
    waiting: dict[ContextHandle, MapiContext] = dataclasses.field(default_factory=dict)
    client_version: str = _CLIENT_VERSION
    #: Connections that are not closed.
    members: int = 0

    def drop(self, context: MapiContext) -> None:
        """The session is over."""
        self.contexts.pop(context.handle, None)
        for handle in [handle for handle, owner in self.waiting.items() if owner is context]:
            del self.waiting[handle]


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """A request: the endpoint, its X-RequestType, its body, and the session that it belongs to."""

    endpoint: str
    name: str
    body: bytes
    context: MapiContext | None = None


class MapiBridge:
    """Answers the calls of one interface with requests that `ask` makes. Raises `RpcFault`, `DecodeError`.

    `server` is what referrals name.
    """

    def __init__(
        self, interface: RpcInterface, group: SessionGroup, ask: Callable[[Ask], Awaitable[bytes]], server: str
    ) -> None:
        self._interface = interface
        self._group = group
        self._asking = ask
        self._server = server
        self.endpoint = MAILBOX if interface.name.endswith("emsmdb") else ADDRESS_BOOK
        #: What the server said last that it is.
        self.server_application = ""

    async def call(self, opnum: int, stub: bytes) -> bytes:
        """The response stub."""
        method = self._interface.methods.get(opnum)
        if method is None or method.request is None:
            raise RpcFault(FaultStatus.OP_RANGE_ERROR, f"{self._interface.name} opnum {opnum}")
        request = method.request.unpack(stub)
        if self._interface.name == "exchange_nsp" and opnum in NSPI_BRIDGES:
            response = await self._address_book(opnum, request)
        else:
            handler = _HANDLERS.get(type(request))
            if handler is None:
                raise RpcFault(FaultStatus.OP_RANGE_ERROR, f"{method.name} has no counterpart over HTTP")
            response = await handler(self, request)
        try:
            return response.pack()
        except EncodeError as error:
            raise RpcFault(FaultStatus.CALL_FAILED, f"the answer to {method.name} fits no response: {error}") from error

    async def end_sessions(self) -> None:
        """Say good-bye for every session that is left, to a server that may be gone."""
        for context in list(self._group.contexts.values()):
            self._group.drop(context)
            name = "Disconnect" if context.endpoint == MAILBOX else "Unbind"
            body = DisconnectRequest().pack() if context.endpoint == MAILBOX else bytes(8)
            with contextlib.suppress(RpcFault, ConnectionLost):
                await self._asking(Ask(context.endpoint, name, body, context))

    # What handlers are made of

    async def _ask(self, endpoint: str, name: str, body: Structure, answer: type[S], context: MapiContext) -> S:
        """The decoded answer of one that is not a failure (2.2.4.1.3)."""
        try:
            data = await self._asking(Ask(endpoint, name, body.pack(), context))
        except EncodeError as error:
            raise RpcFault(FaultStatus.BAD_STUB_DATA, f"{name} can't be said over HTTP: {error}") from error
        except RpcFault as fault:
            if fault.status == FaultStatus.CONTEXT_MISMATCH:
                self._group.drop(context)
            raise
        try:
            if data[:4] != bytes(4):
                status = FailureResponse.unpack(data).status_code
                raise RpcFault(FaultStatus.CALL_FAILED, f"{name} failed with StatusCode 0x{status:08x}")
            return answer.unpack(data)
        except DecodeError as error:
            raise RpcFault(FaultStatus.CALL_FAILED, f"the answer to {name} is malformed: {error}") from error

    async def _in_turn(self, name: str, body: Structure, answer: type[S], context: MapiContext) -> S:
        async with context.turn:
            return await self._ask(context.endpoint, name, body, answer, context)

    def _context(self, handle: ContextHandle, endpoint: str) -> MapiContext:
        context = self._group.contexts.get(handle)
        if context is None or context.endpoint != endpoint:
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, "no session has that handle")
        return context

    async def _open(self, endpoint: str, name: str, body: Structure, answer: type[S]) -> tuple[MapiContext, S]:
        """A new session, which the caller keeps or forgets."""
        context = MapiContext(endpoint, ContextHandle(0, uuid.uuid4()))
        return context, await self._ask(endpoint, name, body, answer, context)

    # The mailbox

    async def _connect(self, request: EcDoConnectRequest, aux: bytes, room: int) -> EcDoConnectExResponse:
        self._group.client_version = ".".join(map(str, normalized_version(request.client_version)))
        body = ConnectRequest(request.user_dn, request.flags, request.cpid, request.lcid_sort, request.lcid_string, aux)
        context, answer = await self._open(MAILBOX, "Connect", body, ConnectResponse)
        if answer.error_code:
            return EcDoConnectExResponse.failed(answer.error_code)
        self._group.contexts[context.handle] = context
        return EcDoConnectExResponse(
            context.handle,
            answer.polls_max,
            answer.retry_count,
            answer.retry_delay,
            0,
            answer.dn_prefix,
            answer.display_name.encode(codec_name(request.cpid) or "cp1252", "replace"),
            self._server_version(),
            request.client_version,
            int(time.time()) & 0xFFFFFFFF,
            _fitting(answer.auxiliary_buffer, room),
            0,
        )

    def _server_version(self) -> Version:
        match = _SERVER_APPLICATION.fullmatch(self.server_application.strip())
        numbers = tuple(map(int, match.groups())) if match is not None else _FIRST_SERVER
        major, minor, build, revision = numbers
        if max(major, minor) > 0xFF or build > 0x7FFF or revision > 0xFFFF:
            major, minor, build, revision = _FIRST_SERVER
        return wire_version(major, minor, build, revision)

    async def connect_ex(self, request: EcDoConnectExRequest) -> RpcMessage:
        """EcDoConnectEx as Connect."""
        return await self._connect(request, request.aux_in, request.aux_out_size)

    async def connect_old(self, request: EcDoConnectRequest) -> RpcMessage:
        """EcDoConnect as Connect."""
        done = await self._connect(request, b"", 0)
        values = {field.name: getattr(done, field.name) for field in dataclasses.fields(EcDoConnectResponse)}
        return EcDoConnectResponse(**values)

    async def execute(self, request: EcDoRpcExt2Request) -> RpcMessage:
        """EcDoRpcExt2 as Execute."""
        context = self._context(request.cxh, MAILBOX)
        body = ExecuteRequest(request.flags, request.rgb_in, request.out_size, request.aux_in)
        answer = await self._in_turn("Execute", body, ExecuteResponse, context)
        if len(answer.rop_buffer) > request.out_size:
            raise RpcFault(FaultStatus.CALL_FAILED, "more ROP data than there is room for")
        aux = _fitting(answer.auxiliary_buffer, request.aux_out_size)
        return EcDoRpcExt2Response(request.cxh, 0, answer.rop_buffer, aux, 0, answer.error_code)

    async def execute_old(self, request: EcDoRpcRequest) -> RpcMessage:
        """EcDoRpc as Execute."""
        context = self._context(request.cxh, MAILBOX)
        body = ExecuteRequest(0, pack_payload(request.payload), request.room + HEADER_SIZE)
        answer = await self._in_turn("Execute", body, ExecuteResponse, context)
        if answer.error_code:
            return EcDoRpcResponse.failed(request, answer.error_code)
        try:
            payloads = unpack_payloads(answer.rop_buffer)
        except DecodeError as error:
            raise RpcFault(FaultStatus.CALL_FAILED, f"the answer to Execute is malformed: {error}") from error
        if len(payloads) != 1 or len(payloads[0]) > request.room:
            return EcDoRpcResponse.failed(request, ErrorCode.BufferTooSmall)
        return EcDoRpcResponse.answer(request, payloads[0])

    async def disconnect(self, request: EcDoDisconnectRequest) -> RpcMessage:
        """EcDoDisconnect as Disconnect."""
        context = self._context(request.cxh, MAILBOX)
        answer = await self._in_turn("Disconnect", DisconnectRequest(), ErrorCodeResponse, context)
        self._group.drop(context)
        return EcDoDisconnectResponse(NULL_HANDLE, answer.error_code)

    async def dummy(self, request: EcDummyRpcRequest) -> RpcMessage:
        """EcDummyRpc as PING: the server answers."""
        await self._asking(Ask(MAILBOX, "PING", b""))
        return EcDummyRpcResponse(0)

    async def register_push(self, request: EcRRegisterPushNotificationRequest) -> RpcMessage:
        """EcRRegisterPushNotification: over HTTP no server sends packets."""
        self._context(request.cxh, MAILBOX)
        return EcRRegisterPushNotificationResponse(request.cxh, 0, ErrorCode.NotSupported)

    async def async_connect(self, request: EcDoAsyncConnectExRequest) -> RpcMessage:
        """EcDoAsyncConnectEx: another handle of the same session."""
        context = self._context(request.cxh, MAILBOX)
        handle = next((known for known, owner in self._group.waiting.items() if owner is context), None)
        if handle is None:
            handle = ContextHandle(0, uuid.uuid4())
            self._group.waiting[handle] = context
        return EcDoAsyncConnectExResponse(handle, 0)

    async def async_wait(self, request: EcDoAsyncWaitExRequest) -> RpcMessage:
        """EcDoAsyncWaitEx as NotificationWait, beside whatever else the session does."""
        context = self._group.waiting.get(request.acxh)
        if context is None:
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, "no session has that handle")
        body = NotificationWaitRequest(request.flags_in)
        answer = await self._ask(MAILBOX, "NotificationWait", body, NotificationWaitResponse, context)
        return EcDoAsyncWaitExResponse(int(answer.event_pending != 0), answer.error_code)

    # The address book

    async def bind(self, request: NspiBindRequest) -> RpcMessage:
        """NspiBind as Bind."""
        context, answer = await self._open(ADDRESS_BOOK, "Bind", bind_body(request), BindResponse)
        if not answer.error_code:
            self._group.contexts[context.handle] = context
        return bound(request, answer, context.handle)

    async def unbind(self, request: NspiUnbindRequest) -> RpcMessage:
        """NspiUnbind as Unbind."""
        context = self._context(request.context_handle, ADDRESS_BOOK)
        answer = await self._in_turn("Unbind", unbind_body(request), ErrorCodeResponse, context)
        self._group.drop(context)
        return unbound(answer)

    async def _address_book(self, opnum: int, request: Any) -> RpcMessage:
        bridge, context = NSPI_BRIDGES[opnum], self._context(request.h_rpc, ADDRESS_BOOK)
        answer = await self._in_turn(bridge.name, bridge.body(request), bridge.answer, context)
        return bridge.response(request, answer)

    async def names_from_ids(self, request: NspiGetNamesFromIDsRequest) -> RpcMessage:
        """No counterpart."""
        self._context(request.h_rpc, ADDRESS_BOOK)
        return NspiGetNamesFromIDsResponse(None, None, ErrorCode.NotSupported)

    async def ids_from_names(self, request: NspiGetIDsFromNamesRequest) -> RpcMessage:
        """No counterpart."""
        self._context(request.h_rpc, ADDRESS_BOOK)
        return NspiGetIDsFromNamesResponse(None, ErrorCode.NotSupported)

    # Referrals

    async def new_dsa(self, request: RfrGetNewDSARequest) -> RpcMessage:
        """RfrGetNewDSA: whom the caller reached already."""
        return RfrGetNewDSAResponse(None, Name(self._server.encode("idna")), 0)

    async def fqdn(self, request: RfrGetFQDNFromServerDNRequest) -> RpcMessage:
        """RfrGetFQDNFromServerDN: one URL serves all servers' mailboxes."""
        return RfrGetFQDNFromServerDNResponse(self._server.encode("idna"), 0)


def _fitting(auxiliary: bytes, room: int) -> bytes:
    """Auxiliary blocks are hints: what is too long for the client is left away."""
    return auxiliary if len(auxiliary) <= room else b""


_HANDLERS: Final[dict[type[RpcMessage], Callable[[MapiBridge, Any], Awaitable[RpcMessage]]]] = {
    EcDoConnectRequest: MapiBridge.connect_old,
    EcDoConnectExRequest: MapiBridge.connect_ex,
    EcDoRpcExt2Request: MapiBridge.execute,
    EcDoRpcRequest: MapiBridge.execute_old,
    EcDoDisconnectRequest: MapiBridge.disconnect,
    EcDummyRpcRequest: MapiBridge.dummy,
    EcRRegisterPushNotificationRequest: MapiBridge.register_push,
    EcDoAsyncConnectExRequest: MapiBridge.async_connect,
    EcDoAsyncWaitExRequest: MapiBridge.async_wait,
    NspiBindRequest: MapiBridge.bind,
    NspiUnbindRequest: MapiBridge.unbind,
    NspiGetNamesFromIDsRequest: MapiBridge.names_from_ids,
    NspiGetIDsFromNamesRequest: MapiBridge.ids_from_names,
    RfrGetNewDSARequest: MapiBridge.new_dsa,
    RfrGetFQDNFromServerDNRequest: MapiBridge.fqdn,
}
