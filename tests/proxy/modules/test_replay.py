"""The module `replay`: a client that does as the recorded one did gets what that one got."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from openchange_py.proxy.modules.record import RecordModule
from openchange_py.proxy.modules.replay import ReplayModule
from openchange_py.proxy.stack import ModuleError
from openchange_py.proxy.testing import DrivenModule, driven
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EcDoAsyncWaitExRequest
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.oxcprpt_streams import RopWriteStreamRequest, RopWriteStreamResponse
from tests.conftest import shared_path
from tests.proxy.emsmdb_calls import connect, connected, disconnect
from tests.proxy.parties import ALICE, ALICE_DN, BOB, BOB_DN
from tests.proxy.recordings import Recorded, recorded_calls


def unreachable(call: Call) -> None:
    raise AssertionError("there is no server")


async def send(module: DrivenModule, text: bytes) -> Sequence[Rop]:
    """Write a text; what comes back."""
    request = RopWriteStreamRequest(0, 0, text)
    return (await module.rops([request], [7], answers=lambda asked: pytest.fail("there is no server"))).responses


def record(path: Path, *, options: dict[str, str] | None = None) -> None:
    """Two sessions: alice writes 5 and 6 bytes, bob 7."""

    async def scenario() -> None:
        async with driven(RecordModule, {"mpm_record:file": str(path)} | (options or {})) as module:
            for dn, caller, texts in ((ALICE_DN, ALICE, (b"hello", b"again!")), (BOB_DN, BOB, (b"goodbye",))):
                module.caller = caller
                await module.call(connect(module.session, caller, dn), connected())
                for text in texts:
                    answers = [RopWriteStreamResponse(0, 0, len(text))]
                    await module.rops([RopWriteStreamRequest(0, 0, text)], [7], answers)
                await module.end_session()

    asyncio.run(scenario())


@pytest.mark.parametrize("anonymize", ["none", "names", "content"])
def test_each_session_follows_its_own(tmp_path: Path, anonymize: str) -> None:
    path = tmp_path / "r.jsonl"
    record(path, options={"mpm_record:anonymize": anonymize})

    async def scenario() -> None:
        async with driven(ReplayModule, {"mpm_replay:file": str(path)}) as module:
            for _ in range(2):  # a second time as well
                await module.call(connect(module.session, BOB, BOB_DN), unreachable)
                assert await send(module, b"goodbye") == [RopWriteStreamResponse(0, 0, 7)]
                await module.end_session()
                await module.call(connect(module.session, ALICE, ALICE_DN), unreachable)
                assert await send(module, b"again!") == [RopWriteStreamResponse(0, 0, 6)]
                assert await send(module, b"hello") == [RopWriteStreamResponse(0, 0, 5)]
                await module.end_session()

    asyncio.run(scenario())


def test_strictly_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "r.jsonl"
    record(path)

    async def scenario() -> None:
        async with driven(ReplayModule, {"mpm_replay:file": str(path), "mpm_replay:mode": "strict"}) as module:
            await module.call(connect(module.session, ALICE, ALICE_DN), unreachable)
            with pytest.raises(RpcFault, match="EcDoRpcExt2 is not in the recording"):
                await send(module, b"again!")
            assert "there, EcDoRpcExt2 (call 2) would be the next" in caplog.text
            assert await send(module, b"hello") == [RopWriteStreamResponse(0, 0, 5)]
            assert await send(module, b"again!") == [RopWriteStreamResponse(0, 0, 6)]
            with pytest.raises(RpcFault):
                await module.call(disconnect(module.session, ALICE), unreachable)
            assert "which is at its end there" in caplog.text

    asyncio.run(scenario())


def test_what_was_never_asked_is_a_fault_and_the_next_call_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    record(path)

    async def scenario() -> None:
        async with driven(ReplayModule, {"mpm_replay:file": str(path)}) as module:
            with pytest.raises(RpcFault) as caught:
                await module.call(disconnect(module.session, ALICE), unreachable)
            assert caught.value.status == 0x6BE
            await module.call(connect(module.session, ALICE, ALICE_DN), unreachable)

    asyncio.run(scenario())


def test_who_waits_for_events_goes_on_waiting(tmp_path: Path) -> None:
    """A fault would have him ask again at once, and again."""
    path = tmp_path / "r.jsonl"
    record(path)

    async def scenario() -> None:
        async with driven(ReplayModule, {"mpm_replay:file": str(path)}) as module:
            stub = EcDoAsyncWaitExRequest(ContextHandle(0, uuid.UUID(int=1))).pack()
            waiting = asyncio.create_task(module.call(Call(ASYNCEMSMDB, 0, stub, module.session, ALICE), unreachable))
            await module.call(connect(module.session, ALICE, ALICE_DN), unreachable)
            assert await send(module, b"hello") == [RopWriteStreamResponse(0, 0, 5)]
            assert not waiting.done()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(scenario())


def test_faults_are_replayed(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    def refuse(call: Call) -> None:
        raise RpcFault(0x1C010002)

    async def scenario() -> None:
        async with driven(RecordModule, {"mpm_record:file": str(path)}) as module:
            with pytest.raises(RpcFault):
                await module.call(connect(module.session, ALICE, ALICE_DN), refuse)
        async with driven(ReplayModule, {"mpm_replay:file": str(path)}) as module:
            with pytest.raises(RpcFault) as caught:
                await module.call(connect(module.session, ALICE, ALICE_DN), unreachable)
            assert caught.value.status == 0x1C010002

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "name",
    [
        "calls-session-tcp-seal-2010.jsonl",
        "calls-sendmail-tcp-connect-2007.jsonl",
        "calls-dumps-tcp-connect-2007.jsonl",
    ],
)
@pytest.mark.parametrize("cleaned", [False, True])
def test_a_real_client_gets_what_it_got(name: str, cleaned: bool, tmp_path: Path) -> None:
    """All calls of a capture, bytes for bytes; and by a recording of them without names and contents."""
    calls = [call for call in recorded_calls(name) if call.reply is not None]
    path = shared_path(f"wire/{name}")
    if cleaned:
        path = tmp_path / "cleaned.jsonl.gz"
        answer(RecordModule, {"mpm_record:file": str(path)}, calls)
    answers = answer(ReplayModule, {"mpm_replay:file": str(path), "mpm_replay:mode": "strict"}, calls, silent=True)
    wrong = [number for number, (got, call) in enumerate(zip(answers, calls, strict=True)) if got is None]
    assert len(wrong) <= cleaned, "but the one that the recorder could not read"
    if not cleaned:
        assert answers == [call.reply for call in calls]


def answer(
    module: type[RecordModule] | type[ReplayModule],
    options: dict[str, str],
    calls: list[Recorded],
    *,
    silent: bool = False,
) -> list[bytes | None]:
    """What the module has the calls of one session answered with; None for a fault."""
    answers: list[bytes | None] = []

    async def scenario() -> None:
        session = Session("test", "client")
        async with driven(module, options) as driven_module:
            for recorded in calls:
                assert recorded.reply is not None
                call = Call(recorded.interface, recorded.opnum, recorded.stub, session, ALICE)
                try:
                    await driven_module.call(call, unreachable if silent else recorded.reply)
                    answers.append(call.reply_bytes())
                except RpcFault:
                    answers.append(None)

    asyncio.run(scenario())
    return answers


@pytest.mark.parametrize(("text", "reason"), [("", "no call in it"), ("{}\n", "line 1"), (None, "No such file")])
def test_no_recording_no_server(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "r.jsonl"
    if text is not None:
        path.write_text(text)

    async def scenario() -> None:
        async with driven(ReplayModule, {"mpm_replay:file": str(path)}):
            pass

    with pytest.raises(ModuleError, match=reason):
        asyncio.run(scenario())
