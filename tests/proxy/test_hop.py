"""Two hops, one behind the other: what passes between them, and what is not let through."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from openchange_py.proxy.hooks import Module
from openchange_py.proxy.hop import HopModule
from openchange_py.proxy.rop_carrier import carrier_of
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Request, EcDoRpcExt2Response
from openchange_py.wire.rop.container import ContainerId, wrapped
from tests.proxy.emsmdb_calls import HANDLE, disconnect, old_rpc, rpc, rpc_answer
from tests.proxy.parties import ALICE, status_of

Change = Callable[[bytes], bytes]


@dataclasses.dataclass
class Passed:
    """What the server was asked, what the client got, and what passed between the hops (request, response)."""

    asked: bytes
    answered: bytes
    between: tuple[bytes, bytes]
    #: Room for the response as the client, the far hop and the server saw it.
    rooms: list[int]


class Hops:
    """Two stacks of modules with a wire between them that may be tampered with."""

    def __init__(self, near: Sequence[Module], far: Sequence[Module]) -> None:
        self._near, self._far = ModuleStack(near), ModuleStack(far)

    def exchange(
        self,
        request: bytes,
        response: bytes,
        *,
        old: bool = False,
        tamper: Change = bytes,
        tamper_answer: Change = bytes,
        diverted: bytes = b"",
    ) -> Passed:
        """One call with these ROP buffers; `diverted` into another session context on its way.

        Raises `RpcFault` as the client would get it.
        """
        seen: list[bytes] = []
        rooms: list[int] = []

        async def server(call: Call) -> None:
            carrier = carrier_of(call)
            assert carrier is not None
            rooms.append(carrier.room)
            seen.extend(await carrier.requests())
            carrier.set_responses([response])

        async def wire(call: Call) -> None:
            carrier = carrier_of(call)
            assert carrier is not None
            rooms.append(carrier.room)
            [sent] = await carrier.requests()
            seen.append(sent)
            arrived = Call(call.interface, call.opnum, call.stub, Session("test", "near hop"), ALICE)
            arrived.replace_stub(diverted + call.stub[len(diverted) :])
            at_far = carrier_of(arrived)
            assert at_far is not None
            at_far.set_requests([tamper(sent)])
            await self._far.around(EMSMDB.name, server)(arrived)
            [back] = at_far.responses()
            seen.append(back)
            carrier.set_responses([tamper_answer(back)])

        session = Session("test", "client")
        call = old_rpc(session, ALICE, request) if old else rpc(session, ALICE, request)
        carrier = carrier_of(call)
        assert carrier is not None
        rooms.append(carrier.room)
        asyncio.run(self._near.around(EMSMDB.name, wire)(call))
        sent, asked, back = seen
        [answered] = carrier.responses()
        return Passed(asked, answered, (sent, back), rooms)


class Mirrored(HopModule):
    """Turns buffers round, and says at the end which way they go."""

    name = "mirrored"
    container = ContainerId.Compressed
    overhead = 12

    def __init__(self, lasthop: bool, strict: bool = False) -> None:
        super().__init__()
        self.lasthop = lasthop
        self.strict = strict  # type: ignore[misc]  # of the instance here

    def wrap(self, payload: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        return payload[::-1] + direction, "wrapped"

    def open(self, blob: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        if not blob.endswith(direction):
            raise DecodeError("not mirrored", 0)
        return blob.removesuffix(direction)[::-1], "opened"


PAYLOAD, ANSWER = b"\x07\0\x2c\0\0\x0a\0\7\0\0\0", b"\2\0\7\0\0\0"


def hops(strict: bool = False) -> Hops:
    return Hops([Mirrored(False, strict)], [Mirrored(True, strict)])


@pytest.mark.parametrize("old", [False, True])
def test_buffers_are_wrapped_between_the_hops_both_ways(old: bool) -> None:
    passed = hops().exchange(PAYLOAD, ANSWER, old=old)
    assert (passed.asked, passed.answered) == (PAYLOAD, ANSWER)
    assert passed.between == (
        wrapped(ContainerId.Compressed, PAYLOAD[::-1] + f"request 1/1 in {HANDLE.uuid}".encode()),
        wrapped(ContainerId.Compressed, ANSWER[::-1] + f"response 1/1 in {HANDLE.uuid}".encode()),
    )


def test_the_server_has_the_room_that_the_client_gave() -> None:
    client, _, server = hops().exchange(PAYLOAD, ANSWER).rooms
    assert client == server


def test_what_the_far_hop_can_t_open_is_a_clear_fault() -> None:
    with pytest.raises(RpcFault, match="mirrored: not mirrored") as caught:
        hops().exchange(PAYLOAD, ANSWER, tamper=lambda sent: wrapped(ContainerId.Compressed, b"else"))
    assert status_of(caught) == FaultStatus.BAD_STUB_DATA


def test_what_the_near_hop_can_t_open_is_a_clear_fault() -> None:
    with pytest.raises(RpcFault, match="mirrored: not mirrored"):
        hops().exchange(PAYLOAD, ANSWER, tamper_answer=lambda back: wrapped(ContainerId.Compressed, b"else"))


def test_what_comes_unwrapped_passes_unless_the_module_is_strict() -> None:
    passed = hops().exchange(PAYLOAD, ANSWER, tamper=lambda sent: PAYLOAD)
    assert (passed.asked, passed.between[1]) == (PAYLOAD, ANSWER), "who did not wrap can't open either"
    for tampered in ({"tamper": lambda sent: PAYLOAD}, {"tamper_answer": lambda back: ANSWER}):
        with pytest.raises(RpcFault, match="that is not compressed"):
            hops(strict=True).exchange(PAYLOAD, ANSWER, **tampered)


def test_calls_without_rops_are_not_touched() -> None:
    call = disconnect(Session("test", "client"), ALICE)
    stub = call.stub

    async def server(call: Call) -> None:
        call.answer(b"answer")

    asyncio.run(ModuleStack([Mirrored(False), Mirrored(True)]).around(EMSMDB.name, server)(call))
    assert (call.stub, call.reply) == (stub, b"answer")


def test_chained_answers_are_wrapped_one_by_one() -> None:
    between: list[list[bytes]] = []

    async def server(call: Call) -> None:
        call.answer(rpc_answer(ANSWER, PAYLOAD))

    async def wire(call: Call) -> None:
        await ModuleStack([Mirrored(True)]).around(EMSMDB.name, server)(call)
        carrier = carrier_of(call)
        assert carrier is not None
        between.append(carrier.responses())

    call = rpc(Session("test", "client"), ALICE, PAYLOAD)
    cast("EcDoRpcExt2Request", call.request).out_size = 0x40000
    call.edited_request()
    asyncio.run(ModuleStack([Mirrored(False)]).around(EMSMDB.name, wire)(call))
    carrier = carrier_of(call)
    assert carrier is not None
    assert carrier.responses() == [ANSWER, PAYLOAD]
    assert [blob.rpartition(b"response ")[2][:3] for blob in between[0]] == [b"1/2", b"2/2"]


def test_a_call_that_failed_as_a_whole_stays_so() -> None:
    async def server(call: Call) -> None:
        call.response = EcDoRpcExt2Response.failed(HANDLE, ErrorCode.RpcFormat)

    call = rpc(Session("test", "client"), ALICE, PAYLOAD)
    asyncio.run(ModuleStack([Mirrored(False, True), Mirrored(True, True)]).around(EMSMDB.name, server)(call))
    assert cast("EcDoRpcExt2Response", call.response).return_value == ErrorCode.RpcFormat


def test_a_call_is_checked_before_it_is_wrapped_and_a_refusal_is_readable() -> None:
    refusal = EcDoRpcExt2Response(HANDLE, 0, b"", b"", 0, ErrorCode.LoginPermission)
    asked: list[bytes] = []

    async def check(call: Call) -> RpcMessage | None:
        asked.append(call.stub)
        return refusal if len(asked) > 1 else None

    async def server(call: Call) -> None:
        assert call.is_vouched
        call.answer(
            rpc_answer(wrapped(ContainerId.Compressed, ANSWER[::-1] + f"response 1/1 in {HANDLE.uuid}".encode()))
        )

    way = ModuleStack([Mirrored(False)]).around(EMSMDB.name, server, check)
    first, second = (rpc(Session("test", "client"), ALICE, PAYLOAD) for _ in range(2))
    stub = first.stub
    asyncio.run(way(first))
    asyncio.run(way(second))
    assert asked == [stub, stub]
    assert second.response is refusal
