"""EMSMDB calls of a client, for the proxy's tests."""

from __future__ import annotations

import uuid
from typing import Any, cast

from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import Identity
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcstor import LogonFlags, RopLogonRequest
from openchange_py.wire.rpcheaderext import pack_payloads, unpack_payloads

HANDLE = ContextHandle(0, uuid.UUID(int=0xC0FFEE))


def connect(session: Session, caller: Identity, dn: str | bytes, **changes: Any) -> Call:
    """EcDoConnectEx."""
    user_dn = dn.encode() if isinstance(dn, str) else dn
    request = EcDoConnectExRequest(user_dn, 0, 0, 0, 1252, 1033, 1033, 0xFFFFFFFF, 1, (12, 0x8000, 1000), 0)
    for name, value in changes.items():
        setattr(request, name, value)
    return Call(EMSMDB, 10, request.pack(), session, caller)


def old_connect(session: Session, caller: Identity, dn: str | bytes, **changes: Any) -> Call:
    """EcDoConnect."""
    extended = cast("EcDoConnectExRequest", connect(session, caller, dn, **changes).request)
    return Call(EMSMDB, 0, extended.old().pack(), session, caller)


def old_connected(handle: ContextHandle = HANDLE, icxr: int = 7) -> bytes:
    """The answer to EcDoConnect."""
    version = (14, 0x8000, 722)
    return EcDoConnectResponse(handle, 60000, 6, 10000, icxr, b"/o=Example", b"Alice", version, version, 0, 0).pack()


def connected(handle: ContextHandle = HANDLE, icxr: int = 7) -> bytes:
    """The answer to EcDoConnectEx."""
    version = (14, 0x8000, 722)
    return EcDoConnectExResponse(
        handle, 60000, 6, 10000, icxr, b"/o=Example", b"Alice", version, version, 0, b"", 0
    ).pack()


def disconnect(session: Session, caller: Identity, handle: ContextHandle = HANDLE) -> Call:
    """EcDoDisconnect."""
    return Call(EMSMDB, 1, EcDoDisconnectRequest(handle).pack(), session, caller)


def rpc(
    session: Session,
    caller: Identity,
    *payloads: bytes,
    handle: ContextHandle = HANDLE,
    flags: int = 0,
    xor: bool = True,
    compress: bool = False,
) -> Call:
    """EcDoRpcExt2 with ROP buffers."""
    request = EcDoRpcExt2Request(handle, flags, pack_payloads(payloads, xor=xor, compress=compress), 0x8000)
    return Call(EMSMDB, 11, request.pack(), session, caller)


def old_rpc(session: Session, caller: Identity, payload: bytes, *, handle: ContextHandle = HANDLE) -> Call:
    """EcDoRpc with a ROP buffer."""
    return Call(EMSMDB, 2, EcDoRpcRequest.of(handle, payload).pack(), session, caller)


def rops(*requests: Rop, tail: bytes = b"", handles: int = 1) -> bytes:
    """A ROP buffer."""
    return RopBuffer(list(requests), [0xFFFFFFFF] * handles, tail).pack()


def logon(dn: str | bytes, flags: int = LogonFlags.Private, open_flags: int = 0x01000004) -> RopLogonRequest:
    """RopLogon."""
    essdn = (dn.encode() if isinstance(dn, str) else dn) + b"\0"
    return RopLogonRequest(0, 0, flags, open_flags, 0, essdn)


def rpc_answer(*payloads: bytes, handle: ContextHandle = HANDLE) -> bytes:
    """The answer to EcDoRpcExt2."""
    return EcDoRpcExt2Response(handle, 0, pack_payloads(payloads, xor=True), b"", 0, 0).pack()


def old_rpc_answer(payload: bytes, *, handle: ContextHandle = HANDLE) -> bytes:
    """The answer to EcDoRpc."""
    return EcDoRpcResponse.answer(EcDoRpcRequest.of(handle, b""), payload).pack()


def answered_payloads(call: Call) -> list[bytes]:
    """The ROP buffers of a call's response."""
    return unpack_payloads(cast("EcDoRpcExt2Response", call.response).rgb_out)
