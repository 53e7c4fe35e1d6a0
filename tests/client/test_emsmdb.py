"""Sessions and ROP buffers against the real server, and against servers that answer in other ways."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.errors import ClientError
from openchange_py.client.mailbox import MailboxClient
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoConnectExRequest,
    EcDoConnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    RpcFlags,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.rop.base import (
    BackoffRop,
    RopBackoffResponse,
    RopBufferTooSmallResponse,
    RopFailure,
    RopReleaseRequest,
)
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest, RopOpenFolderResponse
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamRequest, RopReadStreamResponse, RopWriteStreamRequest
from openchange_py.wire.rop.oxcstor import LogonTime, RopLogonPrivateResponse
from openchange_py.wire.rop.oxctabl import (
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
)
from openchange_py.wire.rpcheaderext import RpcHeaderFlags, extended_buffers, unpack_payloads
from tests.client.scripted import (
    HANDLE,
    Answer,
    ScriptedChannel,
    asked,
    connected,
    disconnected,
    old_connected,
    session,
    unknown,
)
from tests.node import RunningNode

OPEN = RopOpenFolderRequest(0, 0, 1, FolderId(0x0401), 0)


def opened(index: int = 1) -> RopOpenFolderResponse:
    return RopOpenFolderResponse(index, 0, 0, 0)


def test_errors_of_the_server_name_the_call_and_the_rop(node: RunningNode) -> None:
    async def work() -> None:
        channel = await node.connector().connect(EMSMDB)
        client = EmsmdbClient(channel)
        with pytest.raises(MapiError, match="EcDoConnectEx") as refused:
            await client.connect("/o=nobody")
        assert refused.value.code == ErrorCode.UnknownUser
        dn = node.entry("alice").legacy_exchange_dn
        answer = await client.connect(dn)
        assert answer.display_name == b"Alice Example"
        with pytest.raises(MapiError, match="RopLogon"):
            await MailboxClient.logon(client, "/o=nobody")
        mailbox = await MailboxClient.logon(client, dn)
        with pytest.raises(MapiError, match="NotFound: RopOpenFolder"):
            await client.execute([RopOpenFolderRequest(0, 0, 1, FolderId(1), 0)], [mailbox.handle, NO_HANDLE])
        await client.disconnect()
        await channel.close()

    asyncio.run(work())


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("obfuscate", [False, True])
def test_requests_travel_in_the_wanted_form(node: RunningNode, compress: bool, obfuscate: bool) -> None:
    """The real server reads and answers each form."""
    sent: list[EcDoRpcExt2Request] = []
    received: list[EcDoRpcExt2Response] = []

    async def work() -> None:
        channel = await node.connector().connect(EMSMDB)
        call = channel.call

        async def watched(request: object, response: object) -> object:
            answer = await call(request, response)  # type: ignore[arg-type, type-var]
            if isinstance(request, EcDoRpcExt2Request):
                sent.append(request)
                received.append(answer)  # type: ignore[arg-type]
            return answer

        channel.call = watched  # type: ignore[method-assign, assignment]
        client = EmsmdbClient(channel, compress=compress, obfuscate=obfuscate)
        dn = node.entry("alice").legacy_exchange_dn
        await client.connect(dn)
        mailbox = await MailboxClient.logon(client, dn)
        inbox = await mailbox.find_folder("Inbox")
        assert len((await mailbox.messages(inbox.id, limit=300)).messages) == 300
        await client.disconnect()
        await channel.close()

    asyncio.run(work())
    assert all(bool(request.flags & RpcFlags.NoCompression) is not compress for request in sent)
    for buffers in (*(request.rgb_in for request in sent), *(response.rgb_out for response in received)):
        assert all(bool(one.flags & RpcHeaderFlags.XorMagic) is obfuscate for one in extended_buffers(buffers))
    if compress:
        # A small request may not become smaller; with a long table of columns it does.
        flags = [one.flags for request in sent for one in extended_buffers(request.rgb_in)]
        assert any(flag & RpcHeaderFlags.Compressed for flag in flags)


def test_what_did_not_fit_is_asked_for_again() -> None:
    """RopBufferTooSmall ends the first answer; the rest goes out with the handles that there are by then."""

    async def work() -> None:
        second = RopOpenFolderRequest(0, 1, 2, FolderId(0x0501), 0)
        client, channel = await session(
            lambda request: [RopBuffer([opened(), RopBufferTooSmallResponse(9000, second.pack())], [1, 2, NO_HANDLE])],
            lambda request: [RopBuffer([opened(2)], [*request.handles[:2], 3])],
        )
        done = await client.execute([OPEN, second], [1, NO_HANDLE, NO_HANDLE])
        assert done.handles == [1, 2, 3]
        assert done.responses == [opened(), opened(2)]
        assert asked(channel, 1).rops == [second]
        assert asked(channel, 1).handles == [1, 2, NO_HANDLE]

    asyncio.run(work())


def test_one_rop_that_fits_nowhere_is_an_error() -> None:
    async def work() -> None:
        client, _ = await session(
            lambda request: [RopBuffer([RopBufferTooSmallResponse(9000, OPEN.pack())], request.handles)]
        )
        with pytest.raises(MapiError, match="BufferTooSmall: RopOpenFolder"):
            await client.execute([OPEN], [1, NO_HANDLE])

    asyncio.run(work())


def test_releases_travel_with_the_next_buffer() -> None:
    async def work() -> None:
        client, channel = await session(
            lambda request: [RopBuffer([opened()], [1, 5, NO_HANDLE, NO_HANDLE])],
            lambda request: [RopBuffer([opened()], [1, 6])],
        )
        client.release(41)
        client.release(42, logon_id=3)
        client.release(NO_HANDLE)
        done = await client.execute([OPEN], [1, NO_HANDLE])
        assert done.handles == [1, 5]
        assert asked(channel, 0).rops == [RopReleaseRequest(0, 2), RopReleaseRequest(3, 3), OPEN]
        assert asked(channel, 0).handles == [1, NO_HANDLE, 41, 42]
        await client.execute([OPEN], [1, NO_HANDLE])
        assert asked(channel, 1).rops == [OPEN]

    asyncio.run(work())


def test_more_releases_than_a_handle_table_holds_wait() -> None:
    async def work() -> None:
        client, channel = await session(
            lambda request: [RopBuffer([opened()], request.handles)],
            lambda request: [RopBuffer([opened()], request.handles)],
        )
        for handle in range(300):
            client.release(1000 + handle)
        await client.execute([OPEN], [1, NO_HANDLE])
        await client.execute([OPEN], [1, NO_HANDLE])
        assert [len(asked(channel, index).handles) for index in (0, 1)] == [256, 2 + 300 - 254]

    asyncio.run(work())


def test_what_a_failing_buffer_opened_is_released() -> None:
    async def work() -> None:
        second = RopOpenFolderRequest(0, 1, 2, FolderId(0x0501), 0)
        failure = RopFailure(2, ErrorCode.NotFound, RopId.OpenFolder)
        client, channel = await session(
            lambda request: [RopBuffer([opened(), failure], [1, 77, NO_HANDLE])],
            lambda request: [RopBuffer([opened()], request.handles)],
        )
        with pytest.raises(MapiError, match="NotFound: RopOpenFolder"):
            await client.execute([OPEN, second], [1, NO_HANDLE, NO_HANDLE])
        await client.execute([OPEN], [1, NO_HANDLE])
        assert asked(channel, 1).handles[2:] == [77]

    asyncio.run(work())


def test_packed_answers_belong_to_the_last_rop() -> None:
    """[MS-OXCRPC] 3.1.4.2.1.2: further RopQueryRows and RopReadStream responses in payloads of their own."""
    tags = [p.PidTagSubject]

    def rows(*subjects: str) -> RopQueryRowsResponse:
        return RopQueryRowsResponse(0, 0, 1, [PropertyRow([subject]) for subject in subjects], tags)

    async def work() -> None:
        client, _ = await session(
            lambda request: [
                RopBuffer([RopSetColumnsResponse(0, 0, 0), rows("a", "b")], request.handles),
                RopBuffer([rows("c")], request.handles),
            ],
            lambda request: [
                RopBuffer([RopReadStreamResponse(0, 0, b"one ")], request.handles),
                RopBuffer([RopReadStreamResponse(0, 0, b"two")], request.handles),
            ],
        )
        query = [RopSetColumnsRequest(0, 0, 0, tags), RopQueryRowsRequest(0, 0, 0, 1, 10)]
        done = await client.execute(query, [9])
        answers = [answer for answer in done.responses if isinstance(answer, RopQueryRowsResponse)]
        assert [row.values for answer in answers for row in answer.rows] == [["a"], ["b"], ["c"]]
        done = await client.execute([RopReadStreamRequest(0, 0, 0xBABE, 100)], [9])
        assert b"".join(read.data for read in done.responses if isinstance(read, RopReadStreamResponse)) == b"one two"

    asyncio.run(work())


def test_a_busy_server_is_named_so() -> None:
    async def work() -> None:
        backoff = RopBackoffResponse(0, 1000, [BackoffRop(RopId.OpenFolder, 500)], b"")
        client, _ = await session(lambda request: [RopBuffer([backoff], request.handles)])
        with pytest.raises(MapiError, match="ServerBusy"):
            await client.execute([OPEN], [1, NO_HANDLE])

    asyncio.run(work())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "malformed ROP buffer"),
        (b"\x02\0\xff", "malformed ROP buffer"),
        (b"\x03\0\xee", "not understood"),
        (RopBuffer([opened()], [1]).pack(), "handle table of 1"),
        (RopBuffer([opened()], [1, 2]).pack()[:-9], "malformed ROP buffer"),
    ],
)
def test_garbage_is_an_error_and_not_a_crash(answer: bytes, message: str) -> None:
    async def work() -> None:
        client, _ = await session(lambda request: [answer])
        with pytest.raises(ClientError, match=message):
            await client.execute([OPEN], [1, NO_HANDLE])

    asyncio.run(work())


def test_a_call_that_fails_as_a_whole() -> None:
    async def work() -> None:
        failed = ScriptedChannel(connected, lambda request: EcDoRpcExt2Response.failed(HANDLE, ErrorCode.RpcFormat))
        client = EmsmdbClient(failed)  # type: ignore[arg-type]
        await client.connect("/o=x")
        with pytest.raises(MapiError, match="RpcFormat: EcDoRpcExt2"):
            await client.execute([OPEN], [1, NO_HANDLE])

    asyncio.run(work())


def old_session(*answers: Callable[[EcDoRpcRequest], EcDoRpcResponse]) -> tuple[EmsmdbClient, ScriptedChannel]:
    """A client of a server that does not know EcDoConnectEx, not connected yet."""
    channel = ScriptedChannel(unknown, old_connected, *answers, disconnected)
    return EmsmdbClient(channel), channel  # type: ignore[arg-type]


def test_a_server_that_knows_only_the_old_calls() -> None:
    async def work() -> None:
        client, channel = old_session(
            lambda request: EcDoRpcResponse.answer(request, RopBuffer([opened()], [1, 5]).pack()),
        )
        await client.connect("/o=x")
        done = await client.execute([OPEN], [1, NO_HANDLE])
        assert (done.responses, done.handles) == ([opened()], [1, 5])
        await client.disconnect()
        extended, connect, rpc, _ = channel.requests
        assert connect == extended.old()
        assert (rpc.cxh, rpc.room) == (HANDLE, 0x7FFF)
        assert RopBuffer.unpack_request(rpc.payload) == RopBuffer([OPEN], [1, NO_HANDLE])

    asyncio.run(work())


def test_errors_of_the_old_calls() -> None:
    async def work() -> None:
        client, _ = old_session(
            lambda request: EcDoRpcResponse.failed(request, ErrorCode.RpcFormat),
            lambda request: EcDoRpcResponse.answer(request, b""),
        )
        await client.connect("/o=x")
        with pytest.raises(MapiError, match="RpcFormat: EcDoRpc"):
            await client.execute([OPEN], [1, NO_HANDLE])
        with pytest.raises(ClientError, match="malformed ROP buffer"):
            await client.execute([OPEN], [1, NO_HANDLE])
        with pytest.raises(ClientError, match="EcDoRpc has room for"):
            await client.execute([RopWriteStreamRequest(0, 0, bytes(0x7FF8))], [1])
        refused = ScriptedChannel(unknown, lambda request: EcDoConnectResponse.failed(ErrorCode.UnknownUser))
        with pytest.raises(MapiError, match="UnknownUser: EcDoConnect"):
            await EmsmdbClient(refused).connect("/o=x")  # type: ignore[arg-type]

    asyncio.run(work())


def test_other_faults_are_no_reason_for_the_old_calls() -> None:
    async def work() -> None:
        def denied(request: object) -> None:
            raise RpcFault(FaultStatus.ACCESS_DENIED)

        channel = ScriptedChannel(denied)
        with pytest.raises(RpcFault):
            await EmsmdbClient(channel).connect("/o=x")  # type: ignore[arg-type]
        assert len(channel.requests) == 1

    asyncio.run(work())


def test_the_real_server_is_read_by_the_old_calls(node: RunningNode) -> None:
    async def work() -> None:
        channel = await node.connector().connect(EMSMDB)
        call, used = channel.call, set[str]()

        async def without_new_ones(request: object, response: object) -> object:
            if isinstance(request, EcDoConnectExRequest):
                unknown(request)
            used.add(type(request).__name__)
            return await call(request, response)  # type: ignore[arg-type, type-var]

        channel.call = without_new_ones  # type: ignore[method-assign, assignment]
        client = EmsmdbClient(channel)
        dn = node.entry("alice").legacy_exchange_dn
        await client.connect(dn)
        await read_newest(client, dn)
        mailbox = await MailboxClient.logon(client, dn)
        inbox = await mailbox.find_folder("Inbox")
        assert len((await mailbox.messages(inbox.id, limit=300)).messages) == 300
        await client.disconnect()
        await channel.close()
        assert used == {"EcDoConnectRequest", "EcDoRpcRequest", "EcDoDisconnectRequest"}

    asyncio.run(work())


def test_an_answer_that_lacks_what_was_asked_for() -> None:
    async def work() -> None:
        client, _ = await session(lambda request: [RopBuffer([], request.handles)])
        done = await client.execute([OPEN], [1, NO_HANDLE])
        with pytest.raises(ClientError, match="no RopOpenFolderResponse"):
            done.first(RopOpenFolderResponse)

    asyncio.run(work())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120), st.lists(st.integers(0, 0xFFFFFFFF), max_size=3))
def test_any_answer_is_understood_or_an_error(rops: bytes, handles: list[int]) -> None:
    """Whatever stands in the ROP buffer: a result, `ClientError` or `MapiError`, and nothing else."""
    frame = (len(rops) + 2).to_bytes(2, "little") + rops + b"".join(h.to_bytes(4, "little") for h in handles)

    async def work() -> None:
        client, _ = await session(lambda request: [frame], lambda request: [frame])
        mailbox = MailboxClient(client, 1, 0, logged_on())
        await mailbox.folders()

    with contextlib.suppress(ClientError, MapiError):
        asyncio.run(work())


def logged_on() -> RopLogonPrivateResponse:
    """A RopLogon response as the first of them all."""
    time = LogonTime(0, 0, 0, 0, 1, 1, 2024)
    nil = uuid.UUID(int=0)
    return RopLogonPrivateResponse(0, 0, 1, [FolderId(n) for n in range(13)], 7, nil, 1, nil, time, 0, 0)


def test_answers_of_a_real_server_again(recorded: list[bytes]) -> None:
    """Played back undamaged they are understood to their end: the next test damages what is really read."""

    def answer(payload: bytes) -> Answer:
        return lambda request: [payload]

    async def work() -> None:
        client, channel = await session(*map(answer, recorded))
        await read_newest(client, "/o=x")
        assert len(channel.requests) == 1 + len(recorded)

    asyncio.run(work())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_answers_of_a_real_server(recorded: list[bytes], data: st.DataObject) -> None:
    """What a real server answered while a message was read, with some bytes changed."""
    payloads = list(recorded)
    for _ in range(data.draw(st.integers(1, 4))):
        which = data.draw(st.integers(0, len(payloads) - 1))
        damaged = bytearray(payloads[which])
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        payloads[which] = bytes(damaged)

    def answer(payload: bytes) -> Answer:
        return lambda request: [payload]

    async def work() -> None:
        client, _ = await session(*map(answer, payloads), *([lambda request: [b"\2\0"]] * 50))
        await read_newest(client, "/o=x")

    with contextlib.suppress(ClientError, MapiError):
        asyncio.run(work())


async def read_newest(client: EmsmdbClient, dn: str) -> None:
    """Log on, list the Inbox, read its second message: it is small."""
    mailbox = await MailboxClient.logon(client, dn)
    inbox = await mailbox.find_folder("Inbox")
    found = await mailbox.message_at(inbox.id, 2)
    async with await mailbox.open_message(inbox.id, found.id) as message:
        await message.info()
        await message.body()
        await message.attachments()


@pytest.fixture(scope="module")
def recorded(node: RunningNode) -> list[bytes]:
    """The payloads of a real server's answers to `read_newest`."""
    payloads: list[bytes] = []

    async def work() -> None:
        channel = await node.connector().connect(EMSMDB)
        call = channel.call

        async def watched(request: object, response: object) -> object:
            answer = await call(request, response)  # type: ignore[arg-type, type-var]
            if isinstance(answer, EcDoRpcExt2Response):
                payloads.extend(unpack_payloads(answer.rgb_out))
            return answer

        channel.call = watched  # type: ignore[method-assign, assignment]
        client = EmsmdbClient(channel)
        dn = node.entry("alice").legacy_exchange_dn
        await client.connect(dn)
        await read_newest(client, dn)
        await client.disconnect()
        await channel.close()

    asyncio.run(work())
    return payloads
