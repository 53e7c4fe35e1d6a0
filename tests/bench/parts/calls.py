"""Calls of a given size: what the relay's benchmark sends, and what its upstream answers.

EMSMDB's; and for Samba's relay, which relays only interfaces that it knows, EchoData of rpcecho.
"""

from __future__ import annotations

from collections.abc import Callable

from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.ndr import ContextHandle, RpcInterface
from openchange_py.wire.oxcrpc import (
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamResponse, RopWriteStreamRequest
from openchange_py.wire.rpcheaderext import pack_payload

EC_DO_CONNECT_EX = 10
EC_DO_RPC_EXT2 = 11

RPCECHO = RpcInterface("rpcecho", "60a15ec5-4de8-11d7-a637-005056a20182", 1)
ECHO_DATA = 1

_VERSION = (14, 0x8000 | 722, 0)


def connect_request(user_dn: str) -> bytes:
    """EcDoConnectEx."""
    dn = user_dn.encode("ascii")
    return EcDoConnectExRequest(dn, 0, 0, 0, 1252, 1033, 1033, 0xFFFFFFFF, 1, _VERSION, 0).pack()


def connect_response(handle: ContextHandle) -> bytes:
    """What it is answered."""
    names = (b"/o=Example/ou=First/cn=Recipients/cn=", b"Alice")
    return EcDoConnectExResponse(handle, 60000, 6, 10000, 0, *names, _VERSION, _VERSION, 0, b"", 0).pack()


async def connect(client: RpcClient, user_dn: str) -> ContextHandle:
    """Make the call; the session's handle."""
    return EcDoConnectExResponse.unpack(await client.call(EC_DO_CONNECT_EX, connect_request(user_dn))).cxh


def rpc_request(handle: ContextHandle, size: int) -> bytes:
    """EcDoRpcExt2 with a stub of `size` bytes: RopWriteStream with so much text, obfuscated as clients do."""

    def stub(text: bytes) -> bytes:
        rgb_in = _buffer(RopWriteStreamRequest(0, 0, text))
        return EcDoRpcExt2Request(handle, 0, rgb_in, 0x8000).pack()

    return _of_size(stub, size)


def rpc_response(handle: ContextHandle, size: int) -> bytes:
    """An EcDoRpcExt2 answer with a stub of `size` bytes: RopReadStream with so much text."""

    def stub(text: bytes) -> bytes:
        rgb_out = _buffer(RopReadStreamResponse(0, 0, text))
        return EcDoRpcExt2Response(handle, 0, rgb_out, b"", 0, 0).pack()

    return _of_size(stub, size)


def echo_request(size: int) -> bytes:
    """EchoData with a stub of `size` bytes: their count, and an array of so many."""
    count = (size - 8).to_bytes(4, "little")
    return count + count + bytes(size - 8)


def echo_response(request: bytes) -> bytes:
    """The array again, without the count in front of it."""
    return request[4:]


def _buffer(rop: Rop) -> bytes:
    return pack_payload(RopBuffer([rop], [5]).pack(), xor=True)


def _of_size(stub: Callable[[bytes], bytes], size: int) -> bytes:
    """The stub with as much text as makes it `size` bytes long, which are a multiple of 4."""
    length = size - len(stub(b""))
    for shorter in range(8):
        text = b"A line of a message's text, written into a stream.\r\n" * (length // 52 + 1)
        made = stub(text[: max(length - shorter, 0)])
        if len(made) == size:
            return made
    raise ValueError(f"no stub of {size} bytes")
