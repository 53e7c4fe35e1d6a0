"""Where a call keeps its ROP buffers, be it EcDoRpcExt2 ([MS-OXCRPC] 3.1.4.2) or, of old clients, EcDoRpc.

carrier = carrier_of(call)              # None for a call that carries no ROPs
payloads = await carrier.requests()     # ROP input buffers, readable
carrier.set_requests(payloads)          # others in their place; the stub is made anew
payloads = carrier.responses()          # ROP output buffers; none where the call failed as a whole
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from openchange_py.rpc.call import Call
from openchange_py.wire.ndr import ContextHandle, RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    MAXIMUM_BUFFER,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    RpcFlags,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rpcheaderext import (
    HEADER_SIZE,
    MAXIMUM_REQUEST,
    RpcHeaderExt,
    RpcHeaderFlags,
    decompressed_size,
    may_contain_any,
    obfuscate,
    pack_payload,
    pack_payloads,
    unpack_payloads,
)

_EC_DO_RPC: Final = 2
_EC_DO_RPC_EXT2: Final = 11
#: Bytes of ROPs that are read in less time than it takes to hand them to a thread.
_QUICKLY_READ: Final = 4096
#: What an answer may hold, handle table included.
MAXIMUM_RESPONSE: Final = 0x8000
#: More buffers than a chained response has: they fill the client's 256 KiB with a few KiB each at least.
_CHAINED: Final = 40
#: ROP sessions of one client session that are remembered; servers allow far fewer.
_MAXIMUM_SESSIONS: Final = 64


class RopCarrier(Protocol):
    """A call that carries ROP buffers. What is read raises `DecodeError` where the bytes are wrong."""

    @property
    def cxh(self) -> ContextHandle:
        """The session context that the ROPs run in."""

    @property
    def room(self) -> int:
        """Bytes that one ROP output buffer may have."""

    @property
    def further_room(self) -> int:
        """Bytes that further output buffers may have together, with their headers; 0 where there may be none."""

    def may_contain(self, values: bytes) -> bool:
        """Whether any of these bytes may stand in the requests; where not, that is certain. Decompresses nothing."""

    async def requests(self) -> list[bytes]:
        """The ROP input buffers."""

    def read_requests(self) -> list[bytes]:
        """The same, all of it at once: large ones that are compressed hold up the event loop."""

    def set_requests(self, payloads: Sequence[bytes], room: int | None = None, *, chain: bool = True) -> None:
        """Other ROP input buffers, another `room`, and without `chain` no further output buffers."""

    def add_room(self, count: int) -> None:
        """Let the response have so many bytes more for each of its buffers, or less."""

    def responses(self) -> list[bytes]:
        """The ROP output buffers; none where the call failed as a whole, or was not answered."""

    def set_responses(self, payloads: Sequence[bytes]) -> None:
        """Other ROP output buffers; where nobody answered yet, this answers the call."""

    def fail(self, code: ErrorCode) -> None:
        """Answer the call: it failed as a whole."""

    def another(self, payload: bytes, *, chain: bool = False) -> Call:
        """A call of the same kind in the same session context with other ROPs, and room for as much as there can be.

        With `chain` that is several output buffers, if this kind of call has such.
        """


class _Ext2:
    """EcDoRpcExt2: extended buffers, each with its header."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def _request(self) -> EcDoRpcExt2Request:
        request = self._call.request
        assert isinstance(request, EcDoRpcExt2Request)
        return request

    @property
    def cxh(self) -> ContextHandle:
        return self._request.cxh

    @property
    def room(self) -> int:
        return max(0, min(self._request.out_size - HEADER_SIZE, MAXIMUM_RESPONSE))

    @property
    def further_room(self) -> int:
        if not self._request.flags & RpcFlags.Chain:
            return 0
        return max(0, min(self._request.out_size, MAXIMUM_BUFFER) - HEADER_SIZE - MAXIMUM_RESPONSE)

    def may_contain(self, values: bytes) -> bool:
        return may_contain_any(EcDoRpcExt2Request.rgb_in_of(self._call.stub), values)

    async def requests(self) -> list[bytes]:
        rgb = self._request.rgb_in
        if rgb and decompressed_size(rgb) > _QUICKLY_READ:
            return await asyncio.to_thread(self.read_requests)
        return self.read_requests()

    def read_requests(self) -> list[bytes]:
        return unpack_payloads(self._request.rgb_in, total=MAXIMUM_REQUEST)

    def set_requests(self, payloads: Sequence[bytes], room: int | None = None, *, chain: bool = True) -> None:
        request = self._request
        if not chain:
            request.flags &= ~RpcFlags.Chain
        request.rgb_in = pack_payloads(payloads, xor=_is_obfuscated(request.rgb_in))
        if room is not None:
            request.out_size = room + HEADER_SIZE
        self._call.edited_request()

    def add_room(self, count: int) -> None:
        request = self._request
        buffers = _CHAINED if request.flags & RpcFlags.Chain else 1
        request.out_size = min(max(request.out_size + count * buffers, 0), MAXIMUM_BUFFER)
        self._call.edited_request()

    def responses(self) -> list[bytes]:
        response = self._call.response
        return unpack_payloads(response.rgb_out) if isinstance(response, EcDoRpcExt2Response) else []

    def set_responses(self, payloads: Sequence[bytes]) -> None:
        rgb_out = pack_payloads(payloads, xor=not self._request.flags & RpcFlags.NoXorMagic)
        response = self._call.response
        if isinstance(response, EcDoRpcExt2Response):
            response.rgb_out = rgb_out
            self._call.edited_response()
        else:
            self._call.response = EcDoRpcExt2Response(self.cxh, 0, rgb_out, b"", 0, ErrorCode.Success)

    def fail(self, code: ErrorCode) -> None:
        self._call.response = EcDoRpcExt2Response.failed(self.cxh, code)

    def another(self, payload: bytes, *, chain: bool = False) -> Call:
        request = self._request
        rgb_in = pack_payload(payload, xor=_is_obfuscated(request.rgb_in))
        flags = request.flags & ~RpcFlags.Chain | RpcFlags.NoCompression | (RpcFlags.Chain if chain else 0)
        room = MAXIMUM_BUFFER if chain else MAXIMUM_RESPONSE + HEADER_SIZE
        return _like(self._call, EcDoRpcExt2Request(request.cxh, flags, rgb_in, room))


class _Old:
    """EcDoRpc: one buffer, obfuscated, without header."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def _request(self) -> EcDoRpcRequest:
        request = self._call.request
        assert isinstance(request, EcDoRpcRequest)
        return request

    @property
    def cxh(self) -> ContextHandle:
        return self._request.cxh

    @property
    def room(self) -> int:
        return min(self._request.room, MAXIMUM_RESPONSE)

    @property
    def further_room(self) -> int:
        return 0

    def may_contain(self, values: bytes) -> bool:
        rgb = EcDoRpcRequest.rgb_of(self._call.stub)
        return len(rgb.translate(None, obfuscate(values))) < len(rgb)

    async def requests(self) -> list[bytes]:
        return self.read_requests()

    def read_requests(self) -> list[bytes]:
        return [self._request.payload]

    def set_requests(self, payloads: Sequence[bytes], room: int | None = None, *, chain: bool = True) -> None:
        [payload] = payloads
        request = self._request
        request.rgb = obfuscate(payload)
        request.maximum = request.room if room is None else room
        # The array may be larger than the answer's may: libmapi's are.
        request.size = len(payload) if len(payload) > request.maximum else None
        self._call.edited_request()

    def add_room(self, count: int) -> None:
        request = self._request
        room = min(max(request.room + count, 0), 0xFFFF)
        request.maximum, request.size = room, max(room, len(request.rgb))
        self._call.edited_request()

    def responses(self) -> list[bytes]:
        response = self._call.response
        if not isinstance(response, EcDoRpcResponse) or response.return_value:
            return []
        return [response.payload]

    def set_responses(self, payloads: Sequence[bytes]) -> None:
        [payload] = payloads
        response = self._call.response
        if isinstance(response, EcDoRpcResponse):
            response.rgb = obfuscate(payload)
            self._call.edited_response()
        else:
            self._call.response = EcDoRpcResponse.answer(self._request, payload)

    def fail(self, code: ErrorCode) -> None:
        self._call.response = EcDoRpcResponse.failed(self._request, code)

    def another(self, payload: bytes, *, chain: bool = False) -> Call:
        return _like(self._call, EcDoRpcRequest.of(self.cxh, payload))


def carrier_of(call: Call) -> RopCarrier | None:
    """How to get at the ROP buffers of a call; None where it carries none."""
    if call.interface is not EMSMDB:
        return None
    if call.opnum == _EC_DO_RPC_EXT2:
        return _Ext2(call)
    return _Old(call) if call.opnum == _EC_DO_RPC else None


def rop_states(call: Call, cxh: ContextHandle, owner: object) -> HandleStates:
    """What the ROPs of one session context taught `owner` so far.

    Everybody that decodes ROPs on their way keeps his own: the layers of an onion see other ROPs, and a handle that one
    of them saw released in a buffer may have been used in front of that.
    """
    kept: dict[ContextHandle, HandleStates] = call.session.state.setdefault((owner, HandleStates), {})
    if cxh not in kept and len(kept) >= _MAXIMUM_SESSIONS:
        del kept[next(iter(kept))]
    return kept.setdefault(cxh, HandleStates())


def forget_rop_states(call: Call, cxh: ContextHandle, owner: object) -> None:
    """The session context ended."""
    call.session.state.get((owner, HandleStates), {}).pop(cxh, None)


def _like(call: Call, request: RpcMessage) -> Call:
    return Call(call.interface, call.opnum, request.pack(), call.session, call.caller, call.call_id)


def _is_obfuscated(rgb: bytes) -> bool:
    """Whether the client obfuscates: what is put into its request's place does as well."""
    return bool(rgb) and bool(RpcHeaderExt.unpack(rgb[:HEADER_SIZE]).flags & RpcHeaderFlags.XorMagic)
