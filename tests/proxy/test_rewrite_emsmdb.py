"""Names of servers in what mailbox servers answer; conversations stand in `test_rewrite.py`."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.proxy.names import NameMap, OwnNames, UpstreamNames
from openchange_py.proxy.rewrite_emsmdb import rewrite_aux, rewrite_connect, rewrite_rpc
from openchange_py.rpc.call import Call, Session
from openchange_py.wire.auxbuffer import AuxBlock, AuxServerCapabilities, AuxServerSessionInfo, pack_aux, unpack_aux
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExResponse, EcDoRpcExt2Request, EcDoRpcExt2Response
from openchange_py.wire.rop.base import Rop, RopFailure
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcstor import (
    RopGetOwningServersRequest,
    RopGetOwningServersResponse,
    RopLogonRedirectResponse,
    ServerNames,
)
from openchange_py.wire.rpcheaderext import pack_payload, pack_payloads, unpack_payloads
from tests.proxy.emsmdb_calls import HANDLE, connected, logon, rops
from tests.proxy.parties import ALICE, ALICE_DN

OWN = OwnNames("PROXY", "proxy.example.test", ())
UPSTREAM = UpstreamNames(("EX",), ("ex.corp.test",))
NAMES = NameMap(OWN, UPSTREAM, UPSTREAM)
DN = b"/o=Org/ou=Group/cn=Configuration/cn=Servers/cn="


def answered(requests: list[Rop], answer: list[Rop], names: NameMap = NAMES) -> tuple[list[Rop], list[str]]:
    """The ROPs of an answer as the client sees them, and the redirects that were remembered."""
    request = EcDoRpcExt2Request(HANDLE, 0, pack_payload(rops(*requests)), 0x8000)
    reply = EcDoRpcExt2Response(HANDLE, 0, pack_payload(rops(*answer)), b"", 0, 0).pack()
    call = Call(EMSMDB, 11, request.pack(), Session("test", "client"), ALICE, reply=reply)
    redirects: list[str] = []
    asyncio.run(rewrite_rpc(call, names, redirects.append))
    response = call.response
    assert isinstance(response, EcDoRpcExt2Response)
    asked = RopBuffer.unpack_request(rops(*requests))
    buffer = RopBuffer.unpack_response(unpack_payloads(response.rgb_out)[0], asked, HandleStates())
    assert call.reply_bytes() == response.pack()
    return buffer.rops, redirects


def redirect(name: bytes) -> RopLogonRedirectResponse:
    return RopLogonRedirectResponse(0, ErrorCode.WrongServer, 1, name)


@pytest.mark.parametrize(
    ("name", "seen", "meant"),
    [
        (DN + b"EX\0", DN + b"PROXY\0", DN + b"EX"),
        (DN + b"UNKNOWN\0", DN + b"PROXY\0", DN + b"UNKNOWN"),
        (DN + b"CN/cn=Microsoft Public MDB\0", DN + b"PROXY/cn=Microsoft Public MDB\0", None),
        (b"far.corp.test\0", b"proxy.example.test\0", b"far.corp.test"),
        (b"FAR\0", b"PROXY\0", b"FAR"),
    ],
)
def test_a_redirect_leads_here_whatever_server_is_meant(name: bytes, seen: bytes, meant: bytes | None) -> None:
    [rop], redirects = answered([logon(ALICE_DN)], [redirect(name)])
    assert rop == redirect(seen)
    assert redirects == [(meant or name.rstrip(b"\0")).decode()]


def test_other_failures_of_a_logon_are_not_touched() -> None:
    failure = RopFailure(0, ErrorCode.UnknownUser, RopId.Logon)
    assert answered([logon(ALICE_DN)], [failure]) == ([failure], [])


def test_a_list_of_servers() -> None:
    names = [DN + b"EX", DN + b"FAR", b"ex", b"ex.corp.test"]
    response = RopGetOwningServersResponse(0, 0, ServerNames(1, names))
    request = RopGetOwningServersRequest(0, 0, 1)  # type: ignore[arg-type]
    [rop], _ = answered([request], [response])
    seen = [DN + b"PROXY", DN + b"FAR", b"PROXY", b"proxy.example.test"]
    assert rop == RopGetOwningServersResponse(0, 0, ServerNames(1, seen))


def test_a_name_that_does_not_fit_a_redirect() -> None:
    with pytest.raises(EncodeError):
        answered([logon(ALICE_DN)], [redirect(b"/o=" + b"x" * 200 + DN + b"EX\0")])


def test_a_chain_of_responses() -> None:
    """More responses than requests: those of ROPs that a server packs."""
    request = EcDoRpcExt2Request(HANDLE, 4, pack_payload(rops(logon(ALICE_DN))), 0x8000)
    payloads = [rops(redirect(DN + b"EX\0")), rops(redirect(DN + b"EX\0"))]
    reply = EcDoRpcExt2Response(HANDLE, 0, pack_payloads(payloads), b"", 0, 0)
    call = Call(EMSMDB, 11, request.pack(), Session("test", "client"), ALICE, reply=reply.pack())
    asyncio.run(rewrite_rpc(call, NAMES, lambda name: None))
    assert call.reply is not None
    assert unpack_payloads(EcDoRpcExt2Response.unpack(call.reply).rgb_out) == [rops(redirect(DN + b"PROXY\0"))] * 2


def test_auxiliary_blocks() -> None:
    told = AuxServerSessionInfo(6, "at ex.corp.test\0".encode("utf-16-le"))
    other, odd = AuxServerCapabilities(9), AuxBlock(1, 0x4B, b"odd")
    aux = pack_payload(pack_aux([told, other, odd]), xor=True)
    seen = rewrite_aux(aux, NAMES)
    [payload] = unpack_payloads(seen)
    assert seen[2] == aux[2]
    assert unpack_aux(payload)[0].decoded() == AuxServerSessionInfo(6, "at proxy.example.test\0".encode("utf-16-le"))
    assert unpack_aux(payload)[1:] == [AuxBlock.of(other), odd]
    plain = pack_payload(pack_aux([other]), compress=True)
    assert rewrite_aux(plain, NAMES) is plain
    assert rewrite_aux(b"", NAMES) == b""
    with pytest.raises(DecodeError):
        rewrite_aux(b"\0", NAMES)


def test_auxiliary_blocks_that_do_not_fit() -> None:
    text = "ex.corp.test " * 157
    told = AuxServerSessionInfo(6, text.encode("utf-16-le"))
    with pytest.raises(EncodeError):
        rewrite_aux(pack_payload(pack_aux([told])), NAMES)


def test_an_answer_to_a_connection_without_names_keeps_its_bytes() -> None:
    answer = connected()
    call = Call(EMSMDB, 10, b"", Session("test", "client"), ALICE, reply=answer)
    rewrite_connect(call, NAMES)
    assert call.reply is answer
    refused = EcDoConnectExResponse.failed(5).pack()
    call.answer(refused)
    rewrite_connect(call, NAMES)
    assert call.reply is refused
