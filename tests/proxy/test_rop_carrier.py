"""Where calls keep their ROP buffers."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from openchange_py.proxy.rop_carrier import RopCarrier, carrier_of, rop_states
from openchange_py.rpc.call import Call, Session
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    RpcFlags,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rpcheaderext import RpcHeaderFlags, extended_buffers, obfuscate, pack_payload
from tests.proxy.emsmdb_calls import HANDLE, disconnect, rops, rpc
from tests.proxy.parties import ALICE

PAYLOAD, OTHER = rops(tail=b"\x2c\0\0\x0a\0"), rops(tail=b"\x2c\0\0\x14\0", handles=2)


def ext2(*payloads: bytes, flags: int = 0, xor: bool = True, compress: bool = False) -> Call:
    return rpc(Session("test", "client"), ALICE, *payloads, flags=flags, xor=xor, compress=compress)


def old(payload: bytes, maximum: int = 0x4000) -> Call:
    stub = EcDoRpcRequest.of(HANDLE, payload, maximum).pack()
    return Call(EMSMDB, 2, stub, Session("test", "client"), ALICE)


def carried(call: Call) -> RopCarrier:
    found = carrier_of(call)
    assert found is not None
    return found


async def _requests(carrier: RopCarrier) -> list[bytes]:
    return await carrier.requests()


def requests(call: Call) -> list[bytes]:
    return asyncio.run(_requests(carried(call)))


def test_calls_without_rops_have_no_carrier() -> None:
    session = Session("test", "client")
    assert carrier_of(disconnect(session, ALICE)) is None
    assert carrier_of(Call(NSPI, 11, b"", session)) is None


@pytest.mark.parametrize(
    "call", [ext2(PAYLOAD), ext2(PAYLOAD, xor=False), ext2(PAYLOAD * 9, compress=True), old(PAYLOAD)]
)
def test_requests_are_read_and_replaced(call: Call) -> None:
    obfuscated = call.stub.count(b"\xa5\xa5") > 0
    assert requests(call)[0].startswith(PAYLOAD)
    carried(call).set_requests([OTHER])
    call.replace_stub(call.stub)  # what is sent on is the stub
    assert requests(call) == [OTHER]
    assert obfuscated == (call.stub.count(b"\xa5\xa5") > 0), "obfuscated as the client does it"


def test_large_requests_are_read_too() -> None:
    large = rops(tail=b"\x2d" + bytes(20_000))
    assert requests(ext2(large, compress=True)) == [large]
    assert carried(ext2(large, compress=True)).read_requests() == [large]


@pytest.mark.parametrize("call", [ext2(PAYLOAD), ext2(PAYLOAD, xor=False), old(PAYLOAD)])
def test_bytes_are_sought_as_they_travel(call: Call) -> None:
    assert carried(call).may_contain(b"\x99\x2c")
    assert not carried(call).may_contain(b"\x99\x98")


def test_what_is_broken_is_a_decode_error() -> None:
    call = ext2(PAYLOAD)
    request = cast("EcDoRpcExt2Request", call.request)
    request.rgb_in = request.rgb_in[:-1]
    call.edited_request()
    with pytest.raises(DecodeError):
        carried(call).may_contain(b"\x2c")
    with pytest.raises(DecodeError):
        requests(call)


def test_room_is_what_the_client_has() -> None:
    call = ext2(PAYLOAD)
    assert carried(call).room == 0x8000 - 8
    carried(call).set_requests([PAYLOAD], 100)
    assert cast("EcDoRpcExt2Request", call.request).out_size == 108
    assert carried(call).room == 100
    cast("EcDoRpcExt2Request", call.request).out_size = 0x40000
    assert carried(call).room == 0x8000
    assert carried(old(PAYLOAD, 0x1234)).room == 0x1234
    one = old(PAYLOAD)
    carried(one).set_requests([PAYLOAD], 0x1000)
    assert carried(one).room == 0x1000


def test_an_old_request_that_grows_leaves_the_client_its_room() -> None:
    call, large = old(PAYLOAD, 0x100), rops(tail=b"\x2d" + bytes(0x200))
    carried(call).set_requests([large])
    call.replace_stub(call.stub)
    assert requests(call) == [large]
    assert carried(call).room == 0x100
    carried(call).set_requests([PAYLOAD], 0x80)
    call.replace_stub(call.stub)
    assert (requests(call), carried(call).room) == ([PAYLOAD], 0x80)


@pytest.mark.parametrize("call", [ext2(PAYLOAD), old(PAYLOAD)])
def test_responses_are_read_replaced_and_made(call: Call) -> None:
    carrier = carried(call)
    assert carrier.responses() == [], "nobody answered"
    carrier.set_responses([PAYLOAD])
    assert carrier.responses() == [PAYLOAD]
    call.answer(call.reply_bytes())
    carrier.set_responses([OTHER])
    call.answer(call.reply_bytes())
    assert carrier.responses() == [OTHER]


def test_other_responses_keep_what_else_the_server_said() -> None:
    call = ext2(PAYLOAD, flags=RpcFlags.NoXorMagic)
    call.answer(EcDoRpcExt2Response(HANDLE, 0, pack_payload(PAYLOAD), b"", 77, 0).pack())
    carried(call).set_responses([OTHER, PAYLOAD])
    response = cast("EcDoRpcExt2Response", call.response)
    flags = [buffer.flags for buffer in extended_buffers(response.rgb_out)]
    assert (response.trans_time, flags) == (77, [RpcHeaderFlags(0), RpcHeaderFlags.Last])


def test_a_session_that_the_server_ended_stays_ended() -> None:
    call = old(PAYLOAD)
    call.answer(EcDoRpcResponse(NULL_HANDLE, obfuscate(PAYLOAD), 0x4000, 0).pack())
    carried(call).set_responses([OTHER])
    call.answer(call.reply_bytes())
    assert carried(call).responses() == [OTHER]
    assert cast("EcDoRpcResponse", call.response).cxh == NULL_HANDLE


@pytest.mark.parametrize(("call", "kind"), [(ext2(PAYLOAD), EcDoRpcExt2Response), (old(PAYLOAD), EcDoRpcResponse)])
def test_a_call_can_fail_as_a_whole(call: Call, kind: type) -> None:
    carried(call).fail(ErrorCode.RpcFormat)
    call.answer(call.reply_bytes())
    assert isinstance(call.response, kind)
    assert getattr(call.response, "return_value", None) == ErrorCode.RpcFormat
    assert carried(call).responses() == []


@pytest.mark.parametrize("call", [ext2(PAYLOAD, flags=RpcFlags.Chain), old(PAYLOAD)])
def test_another_call_of_the_same_session(call: Call) -> None:
    another = carried(call).another(OTHER)
    assert requests(another) == [OTHER]
    assert (another.session, another.caller, another.opnum) == (call.session, call.caller, call.opnum)
    assert carried(another).cxh == HANDLE
    assert carried(another).room >= 0x7FFF
    if isinstance(another.request, EcDoRpcExt2Request):
        assert not another.request.flags & RpcFlags.Chain, "one response is enough"


def test_states_are_kept_per_owner_and_session_context_and_bounded() -> None:
    call, owner = ext2(PAYLOAD), object()
    first = rop_states(call, HANDLE, owner)
    assert rop_states(call, HANDLE, owner) is first
    assert rop_states(call, HANDLE, object()) is not first
    assert rop_states(ext2(PAYLOAD), HANDLE, owner) is not first
    newest = [rop_states(call, ContextHandle(number, HANDLE.uuid), owner) for number in range(1, 65)][-1]
    assert rop_states(call, ContextHandle(64, HANDLE.uuid), owner) is newest
    assert rop_states(call, HANDLE, owner) is not first, "the oldest was forgotten"
