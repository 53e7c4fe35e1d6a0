"""An Exchange whose names stand wherever a server's name can stand, for tests that no client sees them.

`NamedExchange` is the call handler of a real RPC server. It answers every call that holds names: 8-bit and Unicode,
single and multiple values, in every row; ROPs plain, obfuscated and compressed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.ntlm import ServerNames as NtlmNames
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.wire import proptags as p
from openchange_py.wire.auxbuffer import AuxServerSessionInfo, pack_aux
from openchange_py.wire.ndr import ContextHandle, RpcInterface, RpcMessage
from openchange_py.wire.oxabref import (
    RFR,
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxcdata.entryids import ADDRESS_BOOK_PROVIDER
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectRequest,
    EcDoConnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiDNToMIdRequest,
    NspiDNToMIdResponse,
    NspiGetMatchesRequest,
    NspiGetMatchesResponse,
    NspiGetPropsRequest,
    NspiGetPropsResponse,
    NspiGetSpecialTableRequest,
    NspiGetSpecialTableResponse,
    NspiGetTemplateInfoRequest,
    NspiGetTemplateInfoResponse,
    NspiQueryColumnsRequest,
    NspiQueryColumnsResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesRequest,
    NspiResolveNamesResponse,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
    NspiSeekEntriesRequest,
    NspiSeekEntriesResponse,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r
from openchange_py.wire.rop.base import Rop, RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcfold import (
    RopCreateFolderRequest,
    RopCreateFolderResponse,
    RopOpenFolderRequest,
    RopOpenFolderResponse,
)
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamRequest, RopReadStreamResponse
from openchange_py.wire.rop.oxcstor import (
    LogonFlags,
    RopGetOwningServersRequest,
    RopGetOwningServersResponse,
    RopLogonRedirectResponse,
    RopLogonRequest,
    RopPublicFolderIsGhostedRequest,
    RopPublicFolderIsGhostedResponse,
    ServerNames,
)
from openchange_py.wire.rpcheaderext import RpcHeaderExt, RpcHeaderFlags, pack_payload, unpack_payloads
from tests.auth.ntlm_parties import Accounts
from tests.proxy.emsmdb_calls import rops
from tests.proxy.parties import ALICE_DN

NETBIOS, FQDN, ADDRESS = "MBX07", "mbx07.corp.test", "127.0.0.1"
GROUP: Final = "/o=Example/ou=First/cn=Configuration/cn=Servers/cn="
SERVER_DN: Final = GROUP + NETBIOS
#: The server that it redirects to.
OTHER: Final = "MBX08"
HANDLE: Final = ContextHandle(0, uuid.UUID(int=0x5E4))
SERVER_MID: Final = 0x1234
HOME_MTA: Final = PropertyTag(0x8007001F)
#: What is in somebody's mail, and stays as it is.
BODY: Final = f"Received: by {FQDN}".encode()


#: What EcDoConnect and EcDoConnectEx ask with.
CONNECT = (ALICE_DN.encode(), 0, 0, 0, 1252, 1033, 1033, 0xFFFFFFFF, 1, (12, 0x8000, 1000), 0)


def authenticator(netbios: str = NETBIOS, fqdn: str = FQDN) -> LocalAuthenticator:
    """It says its names while a client authenticates."""
    return LocalAuthenticator(Accounts(), NtlmNames(netbios, fqdn, "EXAMPLE"))


def naming_rops() -> bytes:
    """Everything that is answered with names of servers."""
    return rops(
        RopGetOwningServersRequest(0, 0, 1),  # type: ignore[arg-type]
        RopPublicFolderIsGhostedRequest(0, 0, 1),  # type: ignore[arg-type]
        RopOpenFolderRequest(0, 0, 0, 1, 0),  # type: ignore[arg-type]
        RopCreateFolderRequest(0, 0, 0, 1, 1, 1, 0, "name", ""),
    )


def _entry_id(dn: str) -> bytes:
    return bytes(4) + ADDRESS_BOOK_PROVIDER.bytes_le + bytes([1, 0, 0, 0, 0, 0, 0, 0]) + dn.encode() + b"\0"


_SERVER: Final[dict[PropertyTag, Any]] = {
    p.PidTagEntryId: _entry_id(SERVER_DN),
    p.PidTagDisplayName: NETBIOS.title(),
    p.PidTagEmailAddress: SERVER_DN,
    p.PidTagAddressType: "EX",
    p.PidTagSearchKey: f"EX:{SERVER_DN.upper()}".encode() + b"\0",
    p.PidTagComment: f"runs on {FQDN.upper()} ({ADDRESS}), \\\\{NETBIOS}\\log",
    p.PidTagAddressBookNetworkAddress: [
        f"netbios:{NETBIOS}",
        f"ncacn_np:{NETBIOS}",
        f"ncacn_ip_tcp:{FQDN}",
        f"ncacn_ip_tcp:{ADDRESS}",
        "ncacn_ip_tcp:alias.corp.test",
    ],
}
_USER: Final[dict[PropertyTag, Any]] = {
    p.PidTagDisplayName: "Alice",
    p.PidTagEmailAddress: "/o=Example/ou=First/cn=Recipients/cn=alice",
    p.PidTagAddressBookHomeMessageDatabase: f"{SERVER_DN.lower()}/cn=Microsoft Private MDB",
    HOME_MTA: f"{SERVER_DN}/cn=Microsoft MTA",
    p.PidTagAddressBookProxyAddresses: [f"X500:{SERVER_DN}/cn=alice", f"ccmail:alice at {FQDN}"],
    # Learned from the server's network addresses.
    p.PidTagComment: "http://alias.corp.test/alice",
}


def _row(values: dict[PropertyTag, Any], unicode: bool) -> PropertyRow_r:
    return PropertyRow_r([_value(tag, value, unicode) for tag, value in values.items()])


def _value(tag: PropertyTag, value: Any, unicode: bool) -> PropertyValue_r:
    if unicode or isinstance(value, bytes):
        return PropertyValue_r(tag, value)
    if isinstance(value, list):
        return PropertyValue_r(tag.with_type(PropertyType.MultipleString8), [text.encode() for text in value])
    return PropertyValue_r(tag.with_type(PropertyType.String8), value.encode())


def rows() -> list[PropertyRow_r]:
    """The server and a user, in Unicode and in 8-bit."""
    return [_row(values, unicode) for values in (_SERVER, _USER) for unicode in (True, False)]


class NamedExchange:
    """The call handler. `received` are the decoded requests, as they arrived.

    `redirects_to`: another name as long as `OTHER`, for clients that neither obfuscate nor compress.
    """

    def __init__(self, redirects_to: str = OTHER) -> None:
        self.received: list[RpcMessage] = []
        self._redirects_to = redirects_to

    def interfaces(self) -> list[RpcInterface]:
        return [EMSMDB, NSPI, RFR]

    async def handle(self, call: Call) -> bytes:
        request = call.request
        self.received.append(request)
        return answer_to(request).pack().replace(OTHER.encode(), self._redirects_to.encode())

    async def unbind(self, session: Session) -> None:
        return


def answer_to(request: RpcMessage) -> RpcMessage:
    """What it answers; `RpcFault` for a call that holds no names."""
    answer = _ANSWERS.get(type(request))
    if answer is None:
        raise RpcFault(0x000006E4, type(request).__name__)
    return answer(request)


def _get_fqdn(request: RfrGetFQDNFromServerDNRequest) -> RpcMessage:
    found = request.mailbox_server_dn.decode() == SERVER_DN
    return RfrGetFQDNFromServerDNResponse(FQDN.encode() if found else None, 0 if found else ErrorCode.NotFound)


def _find(request: NspiDNToMIdRequest) -> RpcMessage:
    return NspiDNToMIdResponse([SERVER_MID if name == SERVER_DN.encode() else 0 for name in request.names], 0)


def _connected(request: EcDoConnectRequest) -> EcDoConnectResponse:
    version = (14, 0x8000, 722)
    name = f"Alice at {FQDN}".encode()
    return EcDoConnectResponse(HANDLE, 60000, 6, 10000, 7, SERVER_DN.encode(), name, version, version, 0, 0)


def _connected_ex(request: EcDoConnectExRequest) -> EcDoConnectExResponse:
    old = _connected(request)
    info = AuxServerSessionInfo(6, f"Server={FQDN}; {SERVER_DN}\0".encode("utf-16-le"))
    fields = (old.cxh, old.polls_max, old.retry, old.retry_delay, old.icxr, old.dn_prefix, old.display_name)
    aux = pack_payload(pack_aux([info]), xor=True)
    return EcDoConnectExResponse(*fields, old.server_version, old.best_version, 0, aux, 0)


def _rpc_ext2(request: EcDoRpcExt2Request) -> EcDoRpcExt2Response:
    """Obfuscated where the request is, compressed where it is: what the client sends, it takes."""
    [payload] = unpack_payloads(request.rgb_in)
    flags = RpcHeaderExt.unpack(request.rgb_in[:8]).flags
    compress, xor = bool(flags & RpcHeaderFlags.Compressed), bool(flags & RpcHeaderFlags.XorMagic)
    info = AuxServerSessionInfo(6, f"{FQDN}\0".encode("utf-16-le"))
    rgb_out = pack_payload(_answer_rops(payload), compress=compress, xor=xor)
    return EcDoRpcExt2Response(request.cxh, 0, rgb_out, pack_payload(pack_aux([info]), xor=xor), 0, 0)


def _rpc(request: EcDoRpcRequest) -> EcDoRpcResponse:
    return EcDoRpcResponse.answer(request, _answer_rops(request.payload))


def _answer_rops(payload: bytes) -> bytes:
    buffer = RopBuffer.unpack_request(payload)
    return RopBuffer([_answer_rop(rop) for rop in buffer.rops], buffer.handles).pack()


def _answer_rop(rop: Rop) -> Rop:
    assert isinstance(rop, RopRequest)
    index, servers = rop.input_handle_index, ServerNames(1, [SERVER_DN.encode(), SERVER_DN.lower().encode()])
    match rop:
        case RopLogonRequest():
            name = (GROUP + OTHER).encode() + b"\0"
            return RopLogonRedirectResponse(index, ErrorCode.WrongServer, LogonFlags.Private, name)
        case RopGetOwningServersRequest():
            return RopGetOwningServersResponse(index, 0, servers)
        case RopPublicFolderIsGhostedRequest():
            return RopPublicFolderIsGhostedResponse(index, 0, 1, servers)
        case RopOpenFolderRequest():
            return RopOpenFolderResponse(rop.output_handle_index, 0, 0, 1, servers)
        case RopCreateFolderRequest():
            return RopCreateFolderResponse(rop.output_handle_index, 0, 5, 1, 0, 1, servers)  # type: ignore[arg-type]
        case RopReadStreamRequest():
            return RopReadStreamResponse(index, 0, BODY)
    raise RpcFault(0x000006E4, repr(rop))


_ANSWERS: Final[dict[type[RpcMessage], Callable[[Any], RpcMessage]]] = {
    RfrGetNewDSARequest: lambda request: RfrGetNewDSAResponse(None, Name(FQDN.encode()), 0),
    RfrGetFQDNFromServerDNRequest: _get_fqdn,
    NspiBindRequest: lambda request: NspiBindResponse(uuid.UUID(int=1), HANDLE, 0),
    NspiDNToMIdRequest: _find,
    NspiGetPropsRequest: lambda request: NspiGetPropsResponse(rows()[0], 0),
    NspiQueryRowsRequest: lambda request: NspiQueryRowsResponse(STAT(), rows(), 0),
    NspiSeekEntriesRequest: lambda request: NspiSeekEntriesResponse(STAT(), rows(), 0),
    NspiGetMatchesRequest: lambda request: NspiGetMatchesResponse(STAT(), [1, 2], rows(), 0),
    NspiGetSpecialTableRequest: lambda request: NspiGetSpecialTableResponse(1, rows(), 0),
    NspiGetTemplateInfoRequest: lambda request: NspiGetTemplateInfoResponse(rows()[1], 0),
    NspiQueryColumnsRequest: lambda request: NspiQueryColumnsResponse(list(_SERVER), 0),
    NspiResolveNamesRequest: lambda request: NspiResolveNamesResponse([2], rows(), 0),
    NspiResolveNamesWRequest: lambda request: NspiResolveNamesWResponse([2], rows(), 0),
    EcDoConnectRequest: _connected,
    EcDoConnectExRequest: _connected_ex,
    EcDoRpcExt2Request: _rpc_ext2,
    EcDoRpcRequest: _rpc,
}
