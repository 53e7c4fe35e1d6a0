"""Server objects by handle, what is kept of them, and what must not be mistaken for another."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.proxy import server_objects
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.rops import PassingRop, objects_of, on_rop
from openchange_py.proxy.server_objects import ServerObject, ServerObjects
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.typedstring import TypedString
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Response
from openchange_py.wire.rop.base import RopReleaseRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcmsg import RopOpenMessageRequest, RopOpenMessageResponse
from openchange_py.wire.rop.oxcprpt_streams import RopOpenStreamRequest
from openchange_py.wire.rpcheaderext import pack_payload
from tests.proxy.emsmdb_calls import HANDLE
from tests.proxy.test_rops import NONE, request

OPEN_MESSAGE = RopOpenMessageRequest(0, 0, 1, 0x0FFF, 0x10, 0, 0x4321)
OPEN_STREAM = RopOpenStreamRequest(0, 1, 2, PropertyTag(0x1000001F), 0)


def test_ancestors_by_what_opened_them() -> None:
    message = ServerObject(OPEN_MESSAGE, None)
    stream = ServerObject(OPEN_STREAM, message)
    assert stream.ancestor(RopOpenStreamRequest) is stream
    assert stream.ancestor(RopOpenMessageRequest) is message
    assert message.ancestor(RopOpenStreamRequest) is None


def test_a_handle_used_again_is_another_object() -> None:
    objects = ServerObjects()
    before, after = ServerObject(OPEN_MESSAGE, None, 7), ServerObject(OPEN_STREAM, None, 7)
    objects.add(before)
    objects.add(after)
    assert objects.find(7) is after
    objects.forget(7)
    objects.forget(7)
    assert objects.find(7) is None


def test_what_has_no_handle_is_not_kept() -> None:
    objects = ServerObjects()
    objects.add(ServerObject(OPEN_MESSAGE, None))
    objects.add(ServerObject(OPEN_MESSAGE, None, 0xFFFFFFFF))
    assert len(objects) == 0


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_objects, "MAXIMUM_OBJECTS", 2)
    objects = ServerObjects()
    for handle in (1, 2, 3):
        objects.add(ServerObject(OPEN_MESSAGE, None, handle))
    assert [objects.find(handle) is None for handle in (1, 2, 3)] == [True, False, False]


class Tracking(Module):
    """Knows which object is which, and looks on when one is opened."""

    tracks_objects = True

    def __init__(self) -> None:
        self.opened: list[tuple[int, int | None]] = []

    @on_rop(RopOpenMessageResponse)
    def open(self, rop: PassingRop) -> None:
        if rop.opened is not None:
            self.opened.append((rop.request.message_id, rop.opened.handle))


def open_message(message_id: int, index: int = 1) -> RopOpenMessageRequest:
    return RopOpenMessageRequest(0, 0, index, 0x0FFF, 0x10, 0, message_id)


def message_opened(index: int = 1) -> RopOpenMessageResponse:
    return RopOpenMessageResponse(index, 0, 0, TypedString.of(None), TypedString.of("subject"), 0, [], [])


def through(module: Module, call: Call, answer: RopBuffer | None) -> None:
    """The call's way; without an answer a server's that does not know the session context."""

    async def server(call: Call) -> None:
        if answer is None:
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH)
        call.answer(EcDoRpcExt2Response(HANDLE, 0, pack_payload(answer.pack()), b"", 0, 0).pack())

    asyncio.run(ModuleStack([module]).around(EMSMDB.name, server)(call))


def test_an_object_whose_place_another_one_took_gets_not_that_one_s_handle() -> None:
    """The handle table tells what stands there in the end: content of one message must not count as another's."""
    module, session = Tracking(), Session("test", "client")
    both = request(open_message(1), open_message(2), handles=[5, NONE], session=session)
    through(module, both, RopBuffer([message_opened(), message_opened()], [5, 9]))
    assert module.opened == [(1, None), (2, 9)]
    [objects] = objects_of(module, both)
    assert [found.opened_by.message_id for found in objects] == [2]  # type: ignore[attr-defined]


def test_where_an_opening_was_not_understood_nobody_claims_to_know_all_objects() -> None:
    for tail, known in ((b"", True), (b"\xf0", False), (bytes([RopId.OpenMessage]) + bytes(3), False)):
        module, session = Tracking(), Session("test", "client")
        call = request(open_message(1), handles=[5, NONE], session=session)
        through(module, call, RopBuffer([] if tail else [message_opened()], [5, 9], tail))
        [objects] = objects_of(module, call)
        assert objects.is_complete is known


def test_clients_can_t_fill_the_memory_with_handles_that_they_make_up() -> None:
    module, session = Tracking(), Session("test", "client")
    for number in range(200):
        call = request(open_message(1), handles=[5, NONE], session=session)
        call.replace_stub(number.to_bytes(20, "little") + call.stub[20:])
        with pytest.raises(RpcFault):
            through(module, call, None)
    assert list(objects_of(module, call)) == []
    for number in range(200):
        call.replace_stub(number.to_bytes(20, "little") + call.stub[20:])
        through(module, call, RopBuffer([message_opened()], [5, 9]))
    kept = list(objects_of(module, call))
    assert len(kept) == 64
    assert all(objects.is_complete and len(objects) == 1 for objects in kept), "who came first is not forgotten"


def test_everybody_has_his_turn_while_a_buffer_of_many_rops_passes() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def server(call: Call) -> None:
        call.answer(EcDoRpcExt2Response(HANDLE, 0, b"", b"", 0, 0).pack())

    async def scenario() -> None:
        task = asyncio.ensure_future(others())
        many = request(*[RopReleaseRequest(0, 0)] * 15_000, handles=[5])
        await ModuleStack([Tracking()]).around(EMSMDB.name, server)(many)
        task.cancel()

    asyncio.run(scenario())
    assert turns > 50
