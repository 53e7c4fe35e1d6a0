"""@on_rop: single ROPs on their way through modules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import pytest

from openchange_py.proxy.hooks import Module
from openchange_py.proxy.rop_carrier import RopCarrier, carrier_of
from openchange_py.proxy.rops import PassingRop, forget_objects, objects_of, on_rop
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.oxcdata.typedstring import TypedString
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Request, EcDoRpcExt2Response, RpcFlags
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest
from openchange_py.wire.rop.base import (
    Rop,
    RopBufferTooSmallResponse,
    RopFailure,
    RopReleaseRequest,
    RopRequest,
    RopResponse,
    RopUnsolicited,
)
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcmsg import RopOpenMessageRequest, RopOpenMessageResponse
from openchange_py.wire.rop.oxcnotif import RopPendingResponse
from openchange_py.wire.rop.oxcprpt_streams import (
    RopGetStreamSizeRequest,
    RopGetStreamSizeResponse,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
    RopSeekStreamResponse,
)
from openchange_py.wire.rop.oxctabl import (
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
)
from openchange_py.wire.rpcheaderext import pack_payload
from tests.proxy.emsmdb_calls import HANDLE, answered_payloads, rpc
from tests.proxy.parties import ALICE
from tests.proxy.recordings import recorded_calls

NONE = 0xFFFFFFFF
BODY = PropertyTag(0x1000001F)

Answering = Callable[[RopBuffer], RopBuffer]


class Server:
    """What is inside of the modules: answers ROP buffers, and keeps what it was asked."""

    def __init__(self, answer: Answering) -> None:
        self._answer = answer
        self.asked: list[RopBuffer] = []

    async def __call__(self, call: Call) -> None:
        carrier = carrier_of(call)
        assert carrier is not None
        [payload] = await carrier.requests()
        request = RopBuffer.unpack_request(payload)
        self.asked.append(request)
        carrier.set_responses([self._answer(request).pack()])


def answers(*responses: Rop, handles: list[int] | None = None, tail: bytes = b"") -> Answering:
    return lambda request: RopBuffer(list(responses), request.handles if handles is None else handles, tail)


def travel(module: Module | list[Module], call: Call, server: Any) -> RopBuffer:
    """Send a call through, and decode what the client gets."""
    modules = module if isinstance(module, list) else [module]
    asyncio.run(ModuleStack(modules).around(EMSMDB.name, server)(call))
    [payload] = answered_payloads(call)
    return RopBuffer.unpack_request(b"\2\0") if not payload else _decode(payload)


def _decode(payload: bytes) -> RopBuffer:
    size = int.from_bytes(payload[:2], "little")
    pieces = RopBuffer([], [], payload[2:size])
    pieces.handles = [int.from_bytes(payload[i : i + 4], "little") for i in range(size, len(payload), 4)]
    return pieces


def packed(*rops: Rop) -> bytes:
    return b"".join(rop.pack() for rop in rops)


def request(
    *rops: Rop, handles: list[int], tail: bytes = b"", session: Session | None = None, room: int = 0x8000
) -> Call:
    call = rpc(session or Session("test", "client"), ALICE, RopBuffer(list(rops), handles, tail).pack())
    cast("EcDoRpcExt2Request", call.request).out_size = room + 8
    call.edited_request()
    return call


READ, READ_2 = RopReadStreamRequest(0, 0, 10), RopReadStreamRequest(0, 1, 20)
SEEK = RopSeekStreamRequest(0, 0, 0, 5)
SIZE = RopGetStreamSizeRequest(0, 1)


def data(index: int, content: bytes) -> RopReadStreamResponse:
    return RopReadStreamResponse(index, 0, content)


class Watching(Module):
    """Sees stream reads, both ways."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @on_rop(RopReadStreamRequest)
    def asked(self, rop: PassingRop) -> None:
        self.seen.append(f"read {rop.request.byte_count} of {rop.handle}")

    @on_rop(RopReadStreamResponse)
    async def answered(self, rop: PassingRop) -> None:
        await asyncio.sleep(0)
        self.seen.append(f"{rop.request.byte_count}: {rop.response.data!r} {rop.succeeded}")


def test_hooks_see_their_rops_and_nothing_else() -> None:
    module = Watching()
    server = Server(answers(RopSeekStreamResponse(0, 0, 5), data(0, b"body"), RopReadStreamResponse(1, 5, b"")))
    call = request(SEEK, READ, READ_2, handles=[7, 8])
    stub = call.stub
    travel(module, call, server)
    assert module.seen == ["read 10 of 7", "read 20 of 8", "10: b'body' True", "20: b'' False"]
    assert call.stub == stub, "what nobody edited travels as it came"


def test_a_call_without_hooked_rops_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    call = request(SEEK, handles=[7])

    async def server(call: Call) -> None:
        call.response = EcDoRpcExt2Response(HANDLE, 0, b"", b"", 0, 0)

    monkeypatch.setattr(RopBuffer, "unpack_request", None)
    asyncio.run(ModuleStack([Watching()]).around(EMSMDB.name, server)(call))


def test_base_classes_hook_many_rops() -> None:
    seen: list[str] = []

    class Everything(Module):
        @on_rop(RopRequest, RopResponse, RopUnsolicited)
        def any(self, rop: PassingRop) -> None:
            seen.append(type(rop.response or rop.request).__name__)

    server = Server(answers(RopFailure(0, 5, RopId.SeekStream), RopPendingResponse(0)))
    travel(Everything(), request(SEEK, RopReleaseRequest(0, 0), handles=[7]), server)
    assert seen == ["RopSeekStreamRequest", "RopReleaseRequest", "RopFailure", "RopPendingResponse"]


def test_failures_reach_the_hooks_of_the_response_s_class() -> None:
    seen: list[int] = []

    class Sizes(Module):
        @on_rop(RopGetStreamSizeResponse)
        def size(self, rop: PassingRop) -> None:
            seen.append(rop.response.return_value)

    travel(Sizes(), request(SIZE, handles=[7, 8]), Server(answers(RopFailure(1, 0x80040102, RopId.GetStreamSize))))
    assert seen == [0x80040102]


def test_edited_rops_need_no_lengths() -> None:
    class Longer(Module):
        @on_rop(RopReadStreamRequest)
        def more(self, rop: PassingRop) -> None:
            rop.request = RopReadStreamRequest(0, rop.request.input_handle_index, 0xBABE, 100_000)
            rop.edited()

        @on_rop(RopReadStreamResponse)
        def shout(self, rop: PassingRop) -> None:
            rop.response.data = rop.response.data.upper() * 3
            rop.edited()

    server = Server(answers(RopSeekStreamResponse(0, 0, 5), data(0, b"body")))
    got = travel(Longer(), request(SEEK, READ, handles=[7]), server)
    assert server.asked[0].rops[1] == RopReadStreamRequest(0, 0, 0xBABE, 100_000)
    assert got.tail == packed(RopSeekStreamResponse(0, 0, 5), data(0, b"BODYBODYBODY"))
    assert got.handles == [7]


class Answers(Module):
    """Answers the reads of handle index 0."""

    @on_rop(RopReadStreamRequest)
    def read(self, rop: PassingRop) -> None:
        if rop.request.input_handle_index == 0:
            rop.answer(data(0, b"cached"))


def test_an_answer_stands_where_its_request_stood() -> None:
    server = Server(answers(RopSeekStreamResponse(0, 0, 5), data(1, b"far"), RopGetStreamSizeResponse(1, 0, 3)))
    got = travel(Answers(), request(SEEK, READ, READ_2, READ, SIZE, handles=[7, 8]), server)
    assert server.asked[0].rops == [SEEK, READ_2, SIZE]
    assert server.asked[0].handles == [7, 8]
    assert got.tail == packed(
        RopSeekStreamResponse(0, 0, 5),
        *(data(0, b"cached"), data(1, b"far"), data(0, b"cached")),
        RopGetStreamSizeResponse(1, 0, 3),
    )


def test_where_everything_is_answered_nobody_is_asked() -> None:
    server = Server(answers())
    call = request(READ, READ, handles=[7])
    got = travel(Answers(), call, server)
    assert server.asked == []
    assert call.norelay
    assert got.tail == packed(data(0, b"cached"), data(0, b"cached"))
    assert got.handles == [7]


def test_notifications_come_behind_a_module_s_answers() -> None:
    server = Server(answers(RopSeekStreamResponse(0, 0, 5), RopPendingResponse(3)))
    got = travel(Answers(), request(SEEK, READ, handles=[7]), server)
    assert got.tail == packed(RopSeekStreamResponse(0, 0, 5), data(0, b"cached"), RopPendingResponse(3))


def test_what_did_not_fit_goes_back_with_the_module_s_rops_in_it() -> None:
    rest = packed(SIZE, SEEK)
    server = Server(answers(RopSeekStreamResponse(0, 0, 5), RopBufferTooSmallResponse(9000, rest)))
    got = travel(Answers(), request(SEEK, READ, SIZE, READ, SEEK, handles=[7, 8]), server)
    back = RopBufferTooSmallResponse(9000, packed(SIZE, READ, SEEK))
    assert got.tail == packed(RopSeekStreamResponse(0, 0, 5), data(0, b"cached"), back)


def test_edited_requests_go_back_as_the_client_sent_them() -> None:
    class Doubling(Module):
        @on_rop(RopReadStreamRequest)
        def double(self, rop: PassingRop) -> None:
            rop.request.byte_count *= 2
            rop.edited()

    edited = RopReadStreamRequest(0, 0, 20)
    server = Server(answers(RopBufferTooSmallResponse(9000, packed(edited))))
    got = travel(Doubling(), request(READ, handles=[7]), server)
    assert server.asked[0].rops == [edited]
    assert got.tail == packed(RopBufferTooSmallResponse(9000, packed(READ)))


def test_answers_and_the_others_share_the_client_s_room() -> None:
    rooms: list[int] = []

    def answer(_: RopBuffer) -> RopBuffer:
        return RopBuffer([RopSeekStreamResponse(0, 0, 5)], [7])

    class Asked(Server):
        async def __call__(self, call: Call) -> None:
            rooms.append(cast("EcDoRpcExt2Request", call.request).out_size)
            await super().__call__(call)

    travel(Answers(), request(SEEK, READ, handles=[7], room=0x4000), Asked(answer))
    assert rooms == [0x4000 + 8 - len(packed(data(0, b"cached")))]


def test_an_answer_that_the_client_has_no_room_for_is_the_module_s_mistake(caplog: pytest.LogCaptureFixture) -> None:
    spaces: list[int] = []

    class Large(Module):
        name = "large"

        @on_rop(RopReadStreamRequest)
        def read(self, rop: PassingRop) -> None:
            spaces.append(rop.space)
            rop.answer(data(0, bytes(max(0, rop.space - 8))))

    with pytest.raises(RpcFault, match="module large failed"):
        travel(Large(), request(READ, READ, handles=[7]), Server(answers()))
    assert spaces == [0x8000 - 2 - 4 - 0x1000, 0]
    assert "that there is room for" in caplog.text


def test_a_module_can_t_make_objects() -> None:
    class Opening(Module):
        @on_rop(RopOpenStreamRequest)
        def open(self, rop: PassingRop) -> None:
            rop.answer(RopOpenStreamResponse(1, 0, 0))

    with pytest.raises(RpcFault):
        travel(Opening(), request(RopOpenStreamRequest(0, 0, 1, BODY, 0), handles=[7, NONE]), Server(answers()))


def test_behind_rops_that_are_unknown_nothing_is_answered_here() -> None:
    spaces: list[int] = []

    class Careful(Module):
        @on_rop(RopReadStreamRequest)
        def read(self, rop: PassingRop) -> None:
            spaces.append(rop.space)

    async def server(call: Call) -> None:
        call.answer(EcDoRpcExt2Response(HANDLE, 0, pack_payload(b"\2\0"), b"", 0, 0).pack())

    travel(Careful(), request(READ, handles=[7], tail=b"\xa5\0\0"), server)
    assert spaces == [0]


def test_a_call_that_failed_as_a_whole_stays_so() -> None:
    async def server(call: Call) -> None:
        call.response = EcDoRpcExt2Response.failed(HANDLE, ErrorCode.RpcFormat)

    call = request(SEEK, READ, handles=[7])
    asyncio.run(ModuleStack([Answers()]).around(EMSMDB.name, server)(call))
    assert cast("EcDoRpcExt2Response", call.response).return_value == ErrorCode.RpcFormat


def test_a_broken_buffer_passes_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call = rpc(Session("test", "client"), ALICE, b"\x05\0\x2c\0\0")
    stub = call.stub

    async def server(call: Call) -> None:
        call.response = EcDoRpcExt2Response.failed(HANDLE, ErrorCode.RpcFormat)

    asyncio.run(ModuleStack([Watching()]).around(EMSMDB.name, server)(call))
    assert call.stub == stub
    assert "pass module  undecoded: RopReadStreamRequest" in caplog.text


def test_objects_have_their_history() -> None:
    seen: list[Any] = []

    class Tracking(Module):
        tracks_objects = True

        @on_rop(RopReadStreamRequest)
        def read(self, rop: PassingRop) -> None:
            assert rop.object is not None
            message = rop.object.ancestor(RopOpenMessageRequest)
            assert message is not None
            seen.append((rop.object.opened_by.property_tag, message.opened_by.message_id, rop.object.handle))
            rop.object.data["reads"] = rop.object.data.get("reads", 0) + 1
            seen.append(rop.object.data["reads"])

    module, session = Tracking(), Session("test", "client")
    stack = ModuleStack([module])
    open_message = RopOpenMessageRequest(0, 0, 1, 0x0FFF, 0x10, 0, 0x4321)
    open_stream = RopOpenStreamRequest(0, 1, 2, BODY, 0)
    read = RopReadStreamRequest(0, 2, 10)
    first = request(open_message, open_stream, read, handles=[5, NONE, NONE], session=session)
    opened = RopOpenMessageResponse(1, 0, 0, TypedString.of(None), TypedString.of("subject"), 0, [], [])
    replies = packed(opened, RopOpenStreamResponse(2, 0, 10), data(2, b"x"))

    async def server(call: Call) -> None:
        payload = RopBuffer([], [5, 6, 7], replies).pack()
        call.answer(EcDoRpcExt2Response(HANDLE, 0, pack_payload(payload), b"", 0, 0).pack())

    async def again(call: Call) -> None:
        call.answer(EcDoRpcExt2Response(HANDLE, 0, pack_payload(RopBuffer([], [7]).pack()), b"", 0, 0).pack())

    asyncio.run(stack.around(EMSMDB.name, server)(first))
    assert [len(objects) for objects in objects_of(module, first)] == [2]
    second = request(RopReadStreamRequest(0, 0, 10), RopReleaseRequest(0, 0), handles=[7], session=session)
    asyncio.run(stack.around(EMSMDB.name, again)(second))
    assert seen == [(BODY, 0x4321, None), 1, (BODY, 0x4321, 7), 2]
    assert [len(objects) for objects in objects_of(module, first)] == [1], "the stream was released"
    assert [found.handle for found in forget_objects(module, first, HANDLE)] == [6]
    assert list(objects_of(module, first)) == []
    assert list(forget_objects(module, first, HANDLE)) == []


def test_a_module_sends_rops_of_its_own() -> None:
    got: list[Any] = []

    class Ahead(Module):
        @on_rop(RopReadStreamResponse)
        async def read(self, rop: PassingRop) -> None:
            answer = await rop.send([RopReadStreamRequest(0, 0, 0xBABE, 30_000)], [rop.handle])
            got.append(answer.rops[0])

    def answer(request: RopBuffer) -> RopBuffer:
        return RopBuffer([data(0, b"all" if request.rops[0].byte_count == 0xBABE else b"a")], request.handles)

    server = Server(answer)
    answered = travel(Ahead(), request(READ, handles=[7]), server)
    assert got == [data(0, b"all")]
    assert [buffer.handles for buffer in server.asked] == [[7], [7]]
    assert answered.tail == packed(data(0, b"a"))


def test_rops_of_a_module_that_fail_as_a_whole_are_a_fault() -> None:
    class Ahead(Module):
        @on_rop(RopReadStreamRequest)
        async def read(self, rop: PassingRop) -> None:
            await rop.send([SEEK], [rop.handle])

    async def server(call: Call) -> None:
        call.response = EcDoRpcExt2Response.failed(HANDLE, ErrorCode.RpcFormat)

    with pytest.raises(RpcFault, match="failed as a whole"):
        travel(Ahead(), request(READ, handles=[7]), server)


def test_the_old_call_passes_the_same_hooks() -> None:
    payload = RopBuffer([READ, READ_2], [7, 8]).pack()
    call = Call(EMSMDB, 2, EcDoRpcRequest.of(HANDLE, payload).pack(), Session("test", "client"), ALICE)
    server = Server(answers(data(1, b"far")))
    asyncio.run(ModuleStack([Answers(), Watching()]).around(EMSMDB.name, server)(call))
    carrier = carrier_of(call)
    assert carrier is not None
    [answered] = carrier.responses()
    assert server.asked[0].rops == [READ_2]
    assert _decode(answered).tail == packed(data(0, b"cached"), data(1, b"far"))


def test_every_module_sees_the_rows_of_a_table_that_is_released_behind_them() -> None:
    """The innermost forgets the table's columns first: the others must not need what it knew."""

    class Seeing(Module):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        @on_rop(RopQueryRowsResponse)
        def see(self, rop: PassingRop) -> None:
            self.seen += [row.values for row in rop.response.rows]

    columns = [PropertyTag(0x0037001F)]
    rows = RopQueryRowsResponse(0, 0, 1, [PropertyRow(["subject"])], columns)
    session, modules = Session("test", "client"), [Seeing(), Seeing()]
    setting = request(RopSetColumnsRequest(0, 0, 0, columns), handles=[9], session=session)
    reading = request(RopQueryRowsRequest(0, 0, 0, 1, 10), RopReleaseRequest(0, 0), handles=[9], session=session)
    travel([*modules], setting, Server(answers(RopSetColumnsResponse(0, 0, 0))))
    travel([*modules], reading, Server(answers(rows)))
    assert [module.seen for module in modules] == [[["subject"]]] * 2


@pytest.mark.parametrize(
    "name",
    [
        "calls-session-tcp-connect-2010.jsonl",
        "calls-attachments-tcp-connect-2007.jsonl.gz",
        "calls-ocpf-tcp-connect-2007.jsonl",
    ],
)
def test_recorded_sessions_pass_hooks_that_change_nothing(name: str) -> None:
    """Every call, re-made by a module that says it edited everything, says the same as before."""

    class Remaking(Module):
        tracks_objects = True
        count = 0

        @on_rop(RopRequest, RopResponse)
        def any(self, rop: PassingRop) -> None:
            Remaking.count += 1
            rop.edited()

    module, session = Remaking(), Session("test", "client")
    stack = ModuleStack([module])
    for recorded in recorded_calls(name):
        if recorded.interface is not EMSMDB or recorded.opnum != 11 or recorded.reply is None:
            continue
        call = Call(EMSMDB, 11, recorded.stub, session, ALICE)
        reply, before = recorded.reply, _payloads(Call(EMSMDB, 11, recorded.stub, session, ALICE, reply=recorded.reply))

        async def server(call: Call, reply: bytes = reply) -> None:
            call.answer(reply)

        asyncio.run(stack.around(EMSMDB.name, server)(call))
        assert _payloads(call) == before
    assert module.count > 100


def _payloads(call: Call) -> tuple[list[bytes], list[bytes]]:
    carrier = carrier_of(call)
    assert carrier is not None
    return asyncio.run(_requests(carrier)), carrier.responses()


async def _requests(carrier: RopCarrier) -> list[bytes]:
    return await carrier.requests()


def test_a_hook_needs_a_class() -> None:
    with pytest.raises(TypeError, match="needs the class"):
        on_rop()


class Chained(Module):
    """Answers reads with as much as they ask for, in as many buffers as there is room for."""

    name = "chained"

    def __init__(self) -> None:
        self.rooms: list[int] = []

    @on_rop(RopReadStreamRequest)
    def read(self, rop: PassingRop) -> None:
        self.rooms.append(rop.further_space)
        pieces = [data(rop.request.input_handle_index, bytes([number]) * 100) for number in range(3)]
        rop.answer(pieces[0], further=pieces[1:] if rop.further_space else ())


def chained(call: Call) -> Call:
    sent = cast("EcDoRpcExt2Request", call.request)
    sent.flags, sent.out_size = RpcFlags.Chain, 0x40000
    call.edited_request()
    return call


def test_further_responses_come_in_buffers_of_their_own() -> None:
    call, module = chained(request(SEEK, READ, handles=[7])), Chained()
    server = Server(answers(RopSeekStreamResponse(0, 0, 5)))
    asyncio.run(ModuleStack([module]).around(EMSMDB.name, server)(call))
    first, second, third = (_decode(payload) for payload in answered_payloads(call))
    assert first.tail == packed(RopSeekStreamResponse(0, 0, 5), data(0, bytes(100)))
    assert [second.tail, third.tail] == [packed(data(0, bytes([number]) * 100)) for number in (1, 2)]
    assert first.handles == second.handles == third.handles == [7]
    assert module.rooms == [0x40000 - 0x8000 - 8]
    assert not cast("EcDoRpcExt2Request", call.request).flags & RpcFlags.Chain, (
        "those of another ROP would be taken for ours"
    )


def test_further_responses_of_a_call_that_nobody_else_answers() -> None:
    call = chained(request(READ, handles=[7]))
    asyncio.run(ModuleStack([Chained()]).around(EMSMDB.name, Server(answers()))(call))
    assert len(answered_payloads(call)) == 3


@pytest.mark.parametrize(
    "call",
    [
        request(READ, handles=[7]),
        chained(request(READ, SEEK, handles=[7])),
        chained(request(READ, handles=[7], tail=b"\xa5\0\0")),
        chained(request(READ, handles=[7, 8, 9, 10, 11])),
    ],
    ids=["not asked for", "not the last", "unknown ROPs", "many handles"],
)
def test_where_there_is_no_room_for_further_responses(call: Call) -> None:
    module, server = Chained(), Server(answers(RopSeekStreamResponse(0, 0, 5)))
    module_space: list[int] = []

    class Looking(Chained):
        @on_rop(RopReadStreamRequest)
        def read(self, rop: PassingRop) -> None:
            module_space.append(rop.further_space)

    looking = Looking()
    asyncio.run(ModuleStack([looking]).around(EMSMDB.name, server)(call))
    assert module_space == [0]
    assert module.rooms == []


class Counting(Module):
    """Answers reads with the number of the read, which it takes back."""

    name = "counting"

    def __init__(self) -> None:
        self.position = 0

    @on_rop(RopReadStreamRequest)
    def read(self, rop: PassingRop) -> None:
        before = self.position

        def undo() -> None:
            self.position = before

        rop.answer(data(rop.request.input_handle_index, bytes([before])), undo=undo)
        self.position += 1


def test_answers_that_the_client_does_not_get_are_taken_back() -> None:
    """It sends these ROPs again, and must get the same then."""
    rest = packed(SIZE, SEEK)
    server = Server(answers(RopSeekStreamResponse(0, 0, 5), RopBufferTooSmallResponse(9000, rest)))
    module = Counting()
    got = travel(module, request(SEEK, READ, SIZE, READ, READ, SEEK, handles=[7, 8]), server)
    back = RopBufferTooSmallResponse(9000, packed(SIZE, READ, READ, SEEK))
    assert got.tail == packed(RopSeekStreamResponse(0, 0, 5), data(0, b"\0"), back)
    assert module.position == 1


def test_answers_of_a_call_that_fails_are_taken_back() -> None:
    module = Counting()

    async def fault(call: Call) -> None:
        raise RpcFault(5)

    async def as_a_whole(call: Call) -> None:
        call.response = EcDoRpcExt2Response.failed(HANDLE, ErrorCode.RpcFormat)

    with pytest.raises(RpcFault):
        travel(module, request(READ, SEEK, READ, handles=[7]), fault)
    assert module.position == 0
    asyncio.run(ModuleStack([module]).around(EMSMDB.name, as_a_whole)(request(READ, SEEK, READ, handles=[7])))
    assert module.position == 0


def test_objects_at_other_places_of_the_handle_table() -> None:
    seen: list[Any] = []

    class Copying(Module):
        tracks_objects = True

        @on_rop(RopSeekStreamRequest)
        def seek(self, rop: PassingRop) -> None:
            seen.extend(rop.object_at(index) for index in (0, 1, 9))

    opening = RopOpenStreamRequest(0, 0, 1, BODY, 0)
    server = Server(answers(RopOpenStreamResponse(1, 0, 3), RopSeekStreamResponse(0, 0, 5), handles=[7, 8]))
    session, module = Session("test", "client"), Copying()
    travel(module, request(opening, SEEK, handles=[7, NONE], session=session), server)
    assert seen[0] is None
    assert seen[1].opened_by == opening
    assert seen[2] is None
    seek = Server(answers(RopSeekStreamResponse(0, 0, 5)))
    travel(module, request(SEEK, handles=[7, 8], session=session), seek)
    assert seen[4] is seen[1]


@pytest.mark.parametrize("payload", [b"\x05\0\x2c\0\0", RopBuffer([READ], [7], b"\xa5\0\0").pack()])
def test_objects_of_a_session_with_rops_that_were_not_understood(payload: bytes) -> None:
    class Tracking(Module):
        tracks_objects = True

        @on_rop(RopReadStreamRequest)
        def read(self, rop: PassingRop) -> None:
            pass

    async def server(call: Call) -> None:
        call.response = EcDoRpcExt2Response.failed(HANDLE, ErrorCode.RpcFormat)

    module, session = Tracking(), Session("test", "client")
    stack, good = ModuleStack([module]).around(EMSMDB.name, server), request(READ, handles=[7], session=session)
    asyncio.run(stack(good))
    assert [objects.is_complete for objects in objects_of(module, good)] == [True]
    asyncio.run(stack(rpc(session, ALICE, payload)))
    assert [objects.is_complete for objects in objects_of(module, good)] == [False]


def test_a_module_that_asks_for_a_chain_gets_all_of_it() -> None:
    got: list[Any] = []

    class Ahead(Module):
        @on_rop(RopReadStreamRequest)
        async def read(self, rop: PassingRop) -> None:
            answer = await rop.send([RopReadStreamRequest(0, 0, 0xBABE, 100_000)], [rop.handle], chain=True)
            got.extend(response.data for response in answer.rops)

    async def server(call: Call) -> None:
        carrier = carrier_of(call)
        assert carrier is not None
        pieces = [data(0, b"a"), data(0, b"b")] if carrier.further_room else [data(0, b"c")]
        carrier.set_responses([RopBuffer([piece], [7]).pack() for piece in pieces])

    asyncio.run(ModuleStack([Ahead()]).around(EMSMDB.name, server)(request(READ, handles=[7])))
    assert got == [b"a", b"b"]
