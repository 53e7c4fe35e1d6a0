"""Server names in the calls of EMSMDB: what EcDoConnect(Ex) tells, and the ROPs that name servers.

Those ROPs are RopLogon where it redirects ([MS-OXCSTOR] 2.2.1.1.2), RopGetOwningServers, RopPublicFolderIsGhosted, and
RopOpenFolder and RopCreateFolder of ghosted folders ([MS-OXCROPS] 2.2.3, 2.2.4): distinguished names of servers. A
buffer without one of them is never decoded. What is in a mailbox (bodies, headers, properties, entry ids) is its
owner's and may be signed or compared byte by byte: none of it is rewritten. Nor are a client's reports on its servers
(rgbAuxIn).
Not done: properties of a store that some servers let tell their own name, which are read like any other.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Final

from openchange_py.proxy.names import NameMap, server_of_dn
from openchange_py.proxy.rop_carrier import carrier_of
from openchange_py.rpc.call import Call
from openchange_py.wire.auxbuffer import AuxBlock, AuxType, pack_aux, unpack_aux
from openchange_py.wire.buffer import EncodeError
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    MAXIMUM_AUX_BUFFER,
    EcDoConnectExResponse,
    EcDoConnectResponse,
    EcDoRpcExt2Response,
)
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcstor import RopLogonRedirectResponse, ServerNames
from openchange_py.wire.rpcheaderext import RpcHeaderFlags, extended_buffers, pack_payload

_NAMING: Final = bytes(
    (
        RopId.Logon,
        RopId.GetOwningServers,
        RopId.PublicFolderIsGhosted,
        RopId.OpenFolder,
        RopId.CreateFolder,
    )
)
#: Bytes of a reply whose buffers are decompressed in less time than it takes to hand them to a thread.
_QUICKLY_READ: Final = 1024

#: ecWrongServer, as it stands in the response of a redirect.
_WRONG_SERVER: Final = int(ErrorCode.WrongServer).to_bytes(4, "little")

#: Told of a redirect: the server that was meant, as the upstream says it.
Redirected = Callable[[str], None]


def rewrite_connect(call: Call, names: NameMap) -> None:
    """szDNPrefix, szDisplayName and rgbAuxOut of an answer to EcDoConnect(Ex) ([MS-OXCRPC] 3.1.4.1).

    By the document neither text names the server (the organization's prefix, the user's display name).
    """
    response = call.response
    if not isinstance(response, EcDoConnectResponse | EcDoConnectExResponse):
        return
    before = response.dn_prefix, response.display_name
    response.dn_prefix, response.display_name = (text and names.octets_to_client(text) for text in before)
    changed = (response.dn_prefix, response.display_name) != before
    if isinstance(response, EcDoConnectExResponse):
        aux_out, response.aux_out = response.aux_out, rewrite_aux(response.aux_out, names)
        changed |= response.aux_out != aux_out
    if changed:
        call.edited_response()


def may_name_servers(call: Call) -> bool:
    """Whether `rewrite_rpc` may find a name in the answer to EcDoRpcExt2 or EcDoRpc: with most calls it can't."""
    extended = call.interface.methods[call.opnum].response is EcDoRpcExt2Response
    if extended and call.reply is not None and EcDoRpcExt2Response.has_aux_out(call.reply):
        return True
    carrier = carrier_of(call)
    return carrier is not None and carrier.may_contain(_NAMING)


async def rewrite_rpc(call: Call, names: NameMap, redirected: Redirected) -> None:
    """The answer to EcDoRpcExt2 or EcDoRpc. Raises `DecodeError`, `EncodeError`."""
    if call.reply is not None and call.interface.methods[call.opnum].response is EcDoRpcExt2Response:
        _rewrite_rpc_aux(call, call.reply, names)
    await _rewrite_rops(call, names, redirected)


def _rewrite_rpc_aux(call: Call, reply: bytes, names: NameMap) -> None:
    if not EcDoRpcExt2Response.has_aux_out(reply):
        return
    response = call.response
    assert isinstance(response, EcDoRpcExt2Response)
    aux_out = rewrite_aux(response.aux_out, names)
    if aux_out != response.aux_out:
        response.aux_out = aux_out
        call.edited_response()


def rewrite_aux(aux_out: bytes, names: NameMap) -> bytes:
    """AUX_SERVER_SESSION_INFO ([MS-OXCRPC] 2.2.2.2.22), in which a server may tell about itself."""
    if not aux_out:
        return aux_out
    new, changed = b"", False
    for buffer in extended_buffers(aux_out):
        payload = pack_aux([_rewrite_block(block, names) for block in unpack_aux(buffer.payload)])
        changed |= payload != buffer.payload
        xor, last = (bool(buffer.flags & flag) for flag in (RpcHeaderFlags.XorMagic, RpcHeaderFlags.Last))
        new += pack_payload(payload, xor=xor, last=last)
    return _fitting(new, MAXIMUM_AUX_BUFFER) if changed else aux_out


def _rewrite_block(block: AuxBlock, names: NameMap) -> AuxBlock:
    """Its text is in Unicode, behind its offset; the offset stays, as it counts from the front."""
    if block.type != AuxType.ServerSessionInfo or len(block.body) % 2:
        return block
    text = names.to_client(block.body[2:].decode("utf-16-le", "surrogatepass"))
    return dataclasses.replace(block, body=block.body[:2] + text.encode("utf-16-le", "surrogatepass"))


async def _rewrite_rops(call: Call, names: NameMap, redirected: Redirected) -> None:
    """Most calls hold not even a byte that could be the RopId of one that is answered with names."""
    carrier = carrier_of(call)
    if carrier is None or not carrier.may_contain(_NAMING):
        return
    asked = [RopBuffer.unpack_request(payload) for payload in await carrier.requests()]
    if not any(rop.rop_id in _NAMING for buffer in asked for rop in buffer.rops):
        return
    if len(call.reply or b"") > _QUICKLY_READ:
        payloads = await asyncio.to_thread(carrier.responses)
    else:
        payloads = carrier.responses()
    if _rewrite_payloads(asked, payloads, names, redirected):
        for payload in payloads:
            _fitting(payload, carrier.room)
        carrier.set_responses(payloads)


def _fitting(data: bytes, size: int) -> bytes:
    if len(data) > size:
        raise EncodeError(f"{len(data)} bytes with other names, the client takes {size}")
    return data


def _rewrite_payloads(asked: list[RopBuffer], responses: list[bytes], names: NameMap, redirected: Redirected) -> bool:
    """ROP output buffers of a call, in place in their list; whether one changed.

    Columns and the like that the session taught before are not known here: a response that needs them ends what is
    looked at, and no client asks for both in one buffer.
    """
    states, changed = HandleStates(), False
    for index, payload in enumerate(responses):
        if _WRONG_SERVER not in payload and not names.may_leave_in(payload):
            continue
        chained = index >= len(asked)
        buffer = RopBuffer.unpack_response(payload, asked[-1 if chained else index], states, chained=chained)
        rewritten = [_rewrite_rop(rop, names, redirected) for rop in buffer.rops]
        if True in rewritten:
            responses[index] = buffer.pack()
            changed = True
    return changed


def _rewrite_rop(rop: Rop, names: NameMap, redirected: Redirected) -> bool:
    if isinstance(rop, RopLogonRedirectResponse):
        return _rewrite_redirect(rop, names, redirected)
    servers = getattr(rop, "owning_servers", None) or getattr(rop, "servers", None)
    if not isinstance(servers, ServerNames):
        return False
    before, servers.servers = servers.servers, [_server_name(name, names) for name in servers.servers]
    return servers.servers != before


def _server_name(name: bytes, names: NameMap) -> bytes:
    return names.name_to_client(name.decode("latin-1")).encode("latin-1")


def _rewrite_redirect(rop: RopLogonRedirectResponse, names: NameMap, redirected: Redirected) -> bool:
    """Whatever server is meant, the client comes back to this one, which goes there for it where it can."""
    if rop.return_value != ErrorCode.WrongServer:
        return False
    meant = rop.server_name.rstrip(b"\0").decode("latin-1")
    redirected(meant)
    server = server_of_dn(meant)
    if server != meant:
        head, tail = meant.rsplit(server, 1)
        new = head + names.own.netbios + tail
    else:
        new = names.own.fqdn if "." in meant else names.own.netbios
    rop.server_name = new.encode("latin-1") + b"\0"
    if len(rop.server_name) > 0xFF:
        raise EncodeError(f"a server name of {len(rop.server_name)} bytes in a redirect")
    return new != meant
