"""impacket as the client that nobody here wrote: connections, and EMSMDB calls as stubs over them.

impacket has no EMSMDB; its DCE/RPC carries the stubs that this project's codecs make.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from impacket.dcerpc.v5 import rpcrt, transport
from impacket.uuid import uuidtup_to_bin

from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcInterface, RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    MAXIMUM_BUFFER,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectRequest,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    RpcFlags,
    wire_version,
)
from openchange_py.wire.oxcrpc_old import MAXIMUM_OLD_BUFFER, EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.rop.base import RopRequest, RopResponse
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE, HandleStates
from openchange_py.wire.rop.oxcstor import LogonFlags, OpenFlags, RopLogonRequest
from openchange_py.wire.rpcheaderext import obfuscate, pack_payload, unpack_payloads
from tests.interop.nodes import PATIENCE, Node, Site

R = TypeVar("R", bound=RpcMessage)

#: What an administrator calls the levels, as impacket numbers them.
LEVELS: Final = {
    "connect": rpcrt.RPC_C_AUTHN_LEVEL_CONNECT,
    "sign": rpcrt.RPC_C_AUTHN_LEVEL_PKT_INTEGRITY,
    "seal": rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
}

ORGANIZATION: Final = "/o=First Organization/ou=First Administrative Group"
RECIPIENTS: Final = f"{ORGANIZATION}/cn=Recipients/cn="


def interface_id(interface: RpcInterface) -> bytes:
    """As impacket wants it."""
    syntax = interface.syntax
    return bytes(uuidtup_to_bin((str(syntax.uuid), f"{syntax.major}.{syntax.minor}")))


def unbound(host: str, port: int) -> Any:
    """A connection on which nothing is bound."""
    factory = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{host}[{port}]")
    factory.set_connect_timeout(PATIENCE)
    dce = factory.get_dce_rpc()
    dce.connect()
    dce.get_rpc_transport().get_socket().settimeout(PATIENCE)
    return dce


@contextlib.contextmanager
def connection(
    site: Site,
    node: Node,
    interface: RpcInterface | bytes,
    user: str | None = "alice",
    *,
    level: str = "seal",
    password: str | None = None,
    port: int | None = None,
) -> Iterator[Any]:
    """A bound connection of impacket to a node; anonymous without a user."""
    factory = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{node.host}[{port or node.rpc_port}]")
    factory.set_connect_timeout(PATIENCE)
    dce = factory.get_dce_rpc()
    if user is not None:
        factory.set_credentials(user, site.passwords.get(user, "") if password is None else password, "EXAMPLE")
        dce = factory.get_dce_rpc()
        dce.set_auth_type(rpcrt.RPC_C_AUTHN_WINNT)
        dce.set_auth_level(LEVELS[level])
    dce.connect()
    try:
        dce.get_rpc_transport().get_socket().settimeout(PATIENCE)
        dce.bind(interface if isinstance(interface, bytes) else interface_id(interface))
        yield dce
    finally:
        dce.disconnect()


def raw_call(dce: Any, opnum: int, stub: bytes) -> bytes:
    """The response stub; raises impacket's `DCERPCException` for a fault."""
    dce.call(opnum, stub)
    return bytes(dce.recv())


def call(dce: Any, interface: RpcInterface, request: RpcMessage, response: type[R]) -> R:
    """A call with this project's codecs."""
    (opnum,) = [method.opnum for method in interface.methods.values() if method.request is type(request)]
    return response.unpack(raw_call(dce, opnum, request.pack()))


class Session:
    """An EMSMDB session over an impacket connection; what the server refuses comes back as it is."""

    def __init__(self, dce: Any) -> None:
        self.dce = dce
        self.cxh: ContextHandle = NULL_HANDLE
        self.states = HandleStates()

    def connect(self, user: str, *, flags: int = 0, link: int = 0xFFFFFFFF) -> EcDoConnectExResponse:
        """EcDoConnectEx as a user, or as a DN that begins with a slash."""
        dn = (user if user.startswith("/") else RECIPIENTS + user).encode()
        version = wire_version(14, 0, 7015, 1000)
        request = EcDoConnectExRequest(dn, flags, 7, 0, 1252, 1033, 1033, link, 1, version, 0)
        response = call(self.dce, EMSMDB, request, EcDoConnectExResponse)
        self.cxh = response.cxh
        return response

    def old_connect(self, user: str, *, flags: int = 0, link: int = 0xFFFFFFFF) -> EcDoConnectResponse:
        """EcDoConnect, as clients up to Outlook 2002 call it."""
        dn = (user if user.startswith("/") else RECIPIENTS + user).encode()
        version = wire_version(6, 0, 1000, 0)
        request = EcDoConnectRequest(dn, flags, 7, 0, 1252, 1033, 1033, link, 1, version, 0)
        response = call(self.dce, EMSMDB, request, EcDoConnectResponse)
        self.cxh = response.cxh
        return response

    def old_send(self, rgb: bytes) -> EcDoRpcResponse:
        """EcDoRpc with whatever bytes."""
        request = EcDoRpcRequest(self.cxh, rgb, MAXIMUM_OLD_BUFFER)
        return call(self.dce, EMSMDB, request, EcDoRpcResponse)

    def old_execute(self, request: RopBuffer) -> RopBuffer:
        """EcDoRpc with ROPs, and what answers them."""
        answer = self.old_send(obfuscate(request.pack()))
        assert answer.return_value == ErrorCode.Success, f"EcDoRpc: {answer.return_value:#x}"
        return RopBuffer.unpack_response(answer.payload, request, self.states)

    def send(self, rgb_in: bytes, flags: int = RpcFlags.NoCompression | RpcFlags.NoXorMagic) -> EcDoRpcExt2Response:
        """EcDoRpcExt2 with whatever bytes."""
        request = EcDoRpcExt2Request(self.cxh, flags, rgb_in, MAXIMUM_BUFFER)
        return call(self.dce, EMSMDB, request, EcDoRpcExt2Response)

    def execute(
        self, rops: Sequence[RopRequest], handles: Sequence[int], *, compress: bool = False, xor: bool = False
    ) -> tuple[list[RopResponse], list[int]]:
        """The responses to the ROPs of one payload, and its handle table."""
        request = RopBuffer(list(rops), list(handles))
        flags = (0 if compress else RpcFlags.NoCompression) | (0 if xor else RpcFlags.NoXorMagic)
        answer = self.send(pack_payload(request.pack(), compress=compress, xor=xor), flags)
        assert answer.return_value == ErrorCode.Success, f"EcDoRpcExt2: {answer.return_value:#x}"
        (payload,) = unpack_payloads(answer.rgb_out)
        buffer = RopBuffer.unpack_response(payload, request, self.states)
        assert not buffer.tail
        responses = [rop for rop in buffer.rops if isinstance(rop, RopResponse)]
        return responses, buffer.handles

    def log_on(self, user: str, **how: bool) -> tuple[RopResponse, int]:
        """RopLogon's response and the logon's handle."""
        (response,), (handle,) = self.execute([logon_rop(user)], [NO_HANDLE], **how)
        return response, handle

    def disconnect(self) -> EcDoDisconnectResponse:
        """EcDoDisconnect."""
        return call(self.dce, EMSMDB, EcDoDisconnectRequest(self.cxh), EcDoDisconnectResponse)


def logon_rop(user: str, index: int = 0, *, logon_id: int = 0) -> RopLogonRequest:
    """RopLogon to the mailbox of a user, or of a DN that begins with a slash."""
    essdn = (user if user.startswith("/") else RECIPIENTS + user).encode() + b"\0"
    return RopLogonRequest(logon_id, index, LogonFlags.Private, OpenFlags.UsePerMdbReplidMapping, 0, essdn)


@contextlib.contextmanager
def session(site: Site, node: Node, user: str, *, level: str = "seal") -> Iterator[Session]:
    """A session that is connected as its own user."""
    with connection(site, node, EMSMDB, user, level=level) as dce:
        opened = Session(dce)
        assert opened.connect(user).return_value == ErrorCode.Success
        yield opened
