"""[MS-OXCRPC] from the client's side: a session, and ROP buffers executed in it.

    session = EmsmdbClient(await connector.connect(EMSMDB))
    await session.connect(user_dn)
    done = await session.execute([RopOpenFolderRequest(0, 0, 1, folder_id, 0)], [logon_handle, NO_HANDLE])
    folder_handle = done.handles[1]
    session.release(folder_handle)
    await session.disconnect()

A server that does not know EcDoConnectEx, or says so (a proxy's module `downgrade`), is spoken to with the calls of
old clients, EcDoConnect and EcDoRpc.

What servers tell of without being asked (RopNotify) is kept until `fetch`; `notifications` waits for it.

Not done yet: auxiliary buffers, requests chained over several payloads.
"""

from __future__ import annotations

import collections
import dataclasses
import zlib
from collections.abc import Sequence
from typing import Final, TypeVar

from openchange_py.client.connection import Channel
from openchange_py.client.errors import ClientError, check_return
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcrpc import (
    MAXIMUM_BUFFER,
    EcDoAsyncConnectExRequest,
    EcDoAsyncConnectExResponse,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    RpcFlags,
    wire_version,
)
from openchange_py.wire.oxcrpc_old import MAXIMUM_OLD_BUFFER, EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.rop.base import (
    Rop,
    RopBackoffResponse,
    RopBufferTooSmallResponse,
    RopReleaseRequest,
    RopRequest,
    RopResponse,
)
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE, HandleStates
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcnotif import RopNotifyResponse, RopPendingResponse
from openchange_py.wire.rpcheaderext import pack_payload, unpack_payloads

P = TypeVar("P", bound=RopResponse)

#: The version that servers take us for, Outlook 2010: they then pack responses ([MS-OXCRPC] 3.1.4.2.1.2).
CLIENT_VERSION: Final = wire_version(14, 0, 7015, 1000)

#: Of EcDoConnectEx: no link to another session, Western European texts, English.
_NO_LINK: Final = 0xFFFFFFFF
_CODE_PAGE: Final = 1252
_LOCALE: Final = 1033
#: RopNotify that nobody fetched, at most; the oldest are forgotten.
_KEPT_NOTIFICATIONS: Final = 4096
#: A handle table has at most 256 places, as an index has 8 bits.
_PLACES: Final = 0x100


@dataclasses.dataclass(slots=True)
class Executed:
    """What a buffer came to: the responses in order, and the handle table behind them."""

    responses: list[RopResponse]
    handles: list[int]

    def first(self, kind: type[P]) -> P:
        """The first response of a class; `ClientError` where the server gave none."""
        for response in self.responses:
            if isinstance(response, kind):
                return response
        raise ClientError(f"the server gave no {kind.__name__}")


class EmsmdbClient:
    """One session. With `compress` and `obfuscate` requests are sent so, and the server is asked to answer so."""

    def __init__(self, channel: Channel, *, compress: bool = False, obfuscate: bool = False) -> None:
        #: What its calls go through.
        self.channel = channel
        self._compress = compress
        self._obfuscate = obfuscate
        #: With EcDoConnect and EcDoRpc.
        self.old = False
        self._cxh: ContextHandle = NULL_HANDLE
        self._states = HandleStates()
        self._released: list[tuple[int, int]] = []
        self._told: collections.deque[RopNotifyResponse] = collections.deque(maxlen=_KEPT_NOTIFICATIONS)
        self._more_to_tell = False

    async def connect(self, user_dn: str) -> EcDoConnectExResponse | EcDoConnectResponse:
        """As the user with that legacy distinguished name: EcDoConnectEx (3.1.4.1), or EcDoConnect.

        Raises `MapiError`, `RpcFault`.
        """
        request = _connect_request(user_dn)
        response: EcDoConnectExResponse | EcDoConnectResponse
        try:
            response = await self.channel.call(request, EcDoConnectExResponse)
            check_return(response.return_value, "EcDoConnectEx")
        except RpcFault as fault:
            if fault.status != FaultStatus.OP_RANGE_ERROR:
                raise
            self.old = True
            response = await self.channel.call(request.old(), EcDoConnectResponse)
            check_return(response.return_value, "EcDoConnect")
        self._cxh = response.cxh
        return response

    async def disconnect(self) -> None:
        """EcDoDisconnect (3.1.4.3); the server closes everything that is open in the session."""
        if not self._cxh.is_null:
            handle, self._cxh = self._cxh, NULL_HANDLE
            await self.channel.call(EcDoDisconnectRequest(handle), EcDoDisconnectResponse)

    async def async_connect(self) -> ContextHandle:
        """EcDoAsyncConnectEx (3.1.4.4): the handle for EcDoAsyncWaitEx. Raises `MapiError`, `RpcFault`."""
        response = await self.channel.call(EcDoAsyncConnectExRequest(self._cxh), EcDoAsyncConnectExResponse)
        check_return(response.return_value, "EcDoAsyncConnectEx")
        return response.acxh

    async def fetch(self) -> list[RopNotifyResponse]:
        """What happened since the last time, as far as the server tells: [MS-OXCNOTIF] 3.2.5.7."""
        self._more_to_tell = True
        while self._more_to_tell:
            self._more_to_tell = False
            before = len(self._told)
            await self._exchange([], [])
            if len(self._told) == before:
                break
        told = list(self._told)
        self._told.clear()
        return told

    def release(self, handle: int, logon_id: int = 0) -> None:
        """Close a server object; RopRelease travels with the next buffer."""
        if handle != NO_HANDLE:
            self._released.append((logon_id, handle))

    async def execute(self, rops: Sequence[RopRequest], handles: Sequence[int]) -> Executed:
        """Run ROPs over a handle table, all of them, in as many buffers as the server needs.

        Raises `MapiError` with the name of the first ROP that failed; what the others opened is released again.
        """
        table, responses, waiting = list(handles), list[RopResponse](), list(rops)
        while waiting:
            answered, table, rest = await self._exchange(waiting, table)
            if len(rest) >= len(waiting):
                raise MapiError(ErrorCode.BufferTooSmall, _name(waiting[0]))
            responses += answered
            waiting = rest
        done = Executed(responses, table)
        self._check(done, handles, rops[0].logon_id if rops else 0)
        return done

    def _check(self, done: Executed, before: Sequence[int], logon_id: int) -> None:
        try:
            for response in done.responses:
                check_return(response.return_value, _name(response))
        except MapiError:
            for handle in set(done.handles) - set(before):
                self.release(handle, logon_id)
            raise

    async def _exchange(
        self, rops: list[RopRequest], table: list[int]
    ) -> tuple[list[RopResponse], list[int], list[RopRequest]]:
        """One call: responses, the handle table, and the ROPs for which the server had no room."""
        request = self._with_releases(rops, table)
        payloads = await self._call(request)
        try:
            buffers = [
                RopBuffer.unpack_response(payload, request, self._states, chained=index > 0)
                for index, payload in enumerate(payloads)
            ]
        except DecodeError as error:
            raise ClientError(f"{self.channel.peer}: malformed ROP buffer: {error}") from error
        if not buffers:
            raise ClientError(f"{self.channel.peer}: an answer without ROP buffer")
        return self._sorted(buffers, rops, table)

    def _sorted(
        self, buffers: list[RopBuffer], rops: list[RopRequest], table: list[int]
    ) -> tuple[list[RopResponse], list[int], list[RopRequest]]:
        for buffer in buffers:
            if buffer.tail:
                raise ClientError(
                    f"{self.channel.peer}: a ROP response that is not understood: {buffer.tail[:8].hex()}"
                )
            if any(isinstance(rop, RopBackoffResponse) for rop in buffer.rops):
                raise MapiError(ErrorCode.ServerBusy, "EcDoRpc" if self.old else "EcDoRpcExt2")
            self._told.extend(rop for rop in buffer.rops if isinstance(rop, RopNotifyResponse))
            self._more_to_tell |= any(isinstance(rop, RopPendingResponse) for rop in buffer.rops)
        first = [rop for rop in buffers[0].rops if isinstance(rop, RopResponse)]
        too_small = any(isinstance(rop, RopBufferTooSmallResponse) for rop in buffers[0].rops)
        rest = _behind(rops, len(first)) if too_small else []
        more = [rop for buffer in buffers[1:] for rop in buffer.rops if isinstance(rop, RopResponse)]
        handles = buffers[0].handles[: len(table)]
        if len(handles) < len(table):
            raise ClientError(f"{self.channel.peer}: a handle table of {len(handles)} for {len(table)} objects")
        return first + more, handles, rest

    def _with_releases(self, rops: list[RopRequest], table: list[int]) -> RopBuffer:
        """The buffer, with the releases that wait in front, as many as the handle table has room for."""
        room = _PLACES - len(table)
        released, self._released = self._released[:room], self._released[room:]
        releases: list[Rop] = [
            RopReleaseRequest(logon_id, len(table) + index) for index, (logon_id, _) in enumerate(released)
        ]
        return RopBuffer([*releases, *rops], [*table, *(handle for _, handle in released)])

    async def _call(self, request: RopBuffer) -> list[bytes]:
        return await (self._old_rpc(request.pack()) if self.old else self._rpc(request.pack()))

    async def _rpc(self, payload: bytes) -> list[bytes]:
        """EcDoRpcExt2 (3.1.4.2): the payloads that answer."""
        flags = RpcFlags.Chain
        flags |= 0 if self._compress else RpcFlags.NoCompression
        flags |= 0 if self._obfuscate else RpcFlags.NoXorMagic
        rgb = pack_payload(payload, compress=self._compress, xor=self._obfuscate)
        stub = EcDoRpcExt2Request(self._cxh, flags, rgb, MAXIMUM_BUFFER)
        response = await self.channel.call(stub, EcDoRpcExt2Response)
        self._cxh = response.cxh
        check_return(response.return_value, "EcDoRpcExt2")
        try:
            return unpack_payloads(response.rgb_out)
        except DecodeError as error:
            raise ClientError(f"{self.channel.peer}: malformed answer to EcDoRpcExt2: {error}") from error

    async def _old_rpc(self, payload: bytes) -> list[bytes]:
        """EcDoRpc (opnum 2): the one payload that answers."""
        if len(payload) > MAXIMUM_OLD_BUFFER:
            raise ClientError(f"{len(payload)} bytes of ROPs, EcDoRpc has room for {MAXIMUM_OLD_BUFFER}")
        response = await self.channel.call(EcDoRpcRequest.of(self._cxh, payload), EcDoRpcResponse)
        self._cxh = response.cxh
        check_return(response.return_value, "EcDoRpc")
        return [response.payload]


def _connect_request(user_dn: str) -> EcDoConnectExRequest:
    dn = user_dn.encode("utf-8")
    return EcDoConnectExRequest(
        user_dn=dn,
        flags=0,
        con_mod=zlib.crc32(dn),
        limit=0,
        cpid=_CODE_PAGE,
        lcid_string=_LOCALE,
        lcid_sort=_LOCALE,
        icxr_link=_NO_LINK,
        can_convert_code_pages=1,
        client_version=CLIENT_VERSION,
        time_stamp=0,
    )


def _behind(rops: list[RopRequest], answered: int) -> list[RopRequest]:
    """The ROPs behind the first `answered` ones that have a response."""
    for index, rop in enumerate(rops):
        if not isinstance(rop, RopReleaseRequest):
            if not answered:
                return rops[index:]
            answered -= 1
    return []


def _name(rop: Rop) -> str:
    """`RopOpenFolder`."""
    try:
        return f"Rop{RopId(rop.rop_id).name}"
    except ValueError:
        return f"ROP 0x{rop.rop_id:02X}"
