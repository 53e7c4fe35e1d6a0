"""The module `stats`: what was done is what is counted."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable

import pytest

from openchange_py.proxy.hooks import Module
from openchange_py.proxy.modules.stats import StatsModule
from openchange_py.proxy.stack import ModuleStack
from openchange_py.proxy.testing import DrivenModule, driven, settings_of
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.metrics import CallStatistics
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.rop.base import RopFailure, RopReleaseRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcprpt_streams import RopWriteStreamRequest, RopWriteStreamResponse
from tests.proxy.emsmdb_calls import rpc
from tests.proxy.parties import ALICE, number_call

WRITE = RopWriteStreamRequest(0, 0, bytes(100))
WRITTEN = RopWriteStreamResponse(0, 0, 100)


def counted(module: DrivenModule) -> dict[str, dict[tuple[str, ...], float]]:
    """All families; of histograms how many there are."""
    assert isinstance(module.module, StatsModule)
    return {
        family.name: {
            key: value.count if isinstance(value, CallStatistics) else value for key, value in family.values.items()
        }
        for source in module.module.metrics.families
        for family in source()
    }


def scenario(work: Callable[[DrivenModule], Awaitable[None]], **options: str) -> None:
    async def run() -> None:
        async with driven(StatsModule, {f"mpm_stats:{name}": value for name, value in options.items()}) as module:
            await work(module)

    asyncio.run(run())


def test_calls_rops_and_bytes() -> None:
    async def work(module: DrivenModule) -> None:
        failed = RopFailure(1, ErrorCode.NotFound, RopId.OpenFolder)
        rops = [RopOpenFolderRequest(0, 0, 1, 9, 0), WRITE, RopReleaseRequest(0, 0)]
        first = await module.rops(rops, [7, 8], [failed, WRITTEN])
        second = await module.rops([WRITE], [7], [WRITTEN])
        found = counted(module)
        key = ("exchange_emsmdb", "EcDoRpcExt2")
        assert found["stats_call_seconds"] == {(*key, "server"): 2}
        assert found["stats_call_bytes"] == {
            (*key, "in"): len(first.call.stub) + len(second.call.stub),
            (*key, "out"): len(first.call.reply_bytes()) + len(second.call.reply_bytes()),
        }
        assert found["stats_rops"] == {
            ("OpenFolder", "NotFound"): 1,
            ("WriteStream", "Success"): 2,
            ("Release", "-"): 1,
        }
        assert found["stats_rop_seconds"] == {("OpenFolder",): 1, ("WriteStream",): 2}
        assert found["stats_rop_bytes"]["WriteStream", "in"] == 2 * len(WRITE.pack())
        assert found["stats_rop_bytes"]["WriteStream", "out"] == 2 * len(WRITTEN.pack())
        assert found["stats_rop_bytes"]["OpenFolder", "out"] == len(failed.pack())
        assert found["stats_user_calls"] == {("alice", "server"): 2}
        assert found["stats_undecoded"] == {(): 0}

    scenario(work)


class Answers(Module):
    """Answers every call."""

    name = "answers"

    def dispatch(self, call: Call) -> None:
        call.answer(b"here")
        call.norelay = True


def test_who_answered_is_told_apart() -> None:
    """Outside of a module that answers, calls answered by it; and faults."""

    async def run() -> None:
        stats = StatsModule()
        stack = ModuleStack([stats, Answers()])
        await stack.init(settings_of(StatsModule))

        async def unreachable(call: Call) -> None:
            raise AssertionError("the call was relayed")

        call = number_call()
        await stack.around("numbers", unreachable)(call)
        assert call.reply_bytes() == b"here"
        assert stats.calls.times["numbers", "Double", "module"].count == 1

    asyncio.run(run())

    async def work(module: DrivenModule) -> None:
        def refuse(call: Call) -> None:
            raise RpcFault(5, "no")

        with pytest.raises(RpcFault):
            await module.call(number_call(), refuse)
        await module.call(number_call(opnum=77), b"any")
        found = counted(module)["stats_call_seconds"]
        assert found == {("numbers", "Double", "fault"): 1, ("numbers", "unknown", "server"): 1}

    scenario(work)


def test_what_does_not_decode_passes_and_is_counted() -> None:
    async def work(module: DrivenModule) -> None:
        garbage = rpc(module.session, ALICE, b"\xff\xff\x00")
        assert (await module.call(garbage, b"\x02\x03")).reply_bytes() == b"\x02\x03"
        unknown = rpc(module.session, ALICE, RopBuffer([], [], b"\xf0\x01").pack())
        await module.call(unknown, b"\x02\x03")
        assert counted(module)["stats_undecoded"][()] >= 3

    scenario(work)


def test_users_and_return_values_are_bounded() -> None:
    async def work(module: DrivenModule) -> None:
        for number in range(300):
            module.caller = Identity(f"user{number}", "EXAMPLE", AuthLevel.PRIVACY)
            module.session = Session("test", "client")
            failed = RopFailure(1, 0x77000000 + number, RopId.OpenFolder)
            await module.rops([RopOpenFolderRequest(0, 0, 1, 9, 0)], [7, 8], [failed])
        found = counted(module)
        assert len(found["stats_user_calls"]) == 6
        assert found["stats_user_calls"]["other", "server"] == 295
        assert found["stats_rops"] == {("OpenFolder", "other"): 300}

    scenario(work, users="5")


def test_a_response_in_several_buffers_is_one_answer() -> None:
    """Packed by the server: bytes of all of them, one ReturnValue."""

    async def work(module: DrivenModule) -> None:
        await module.rops([WRITE], [7], [WRITTEN, dataclasses.replace(WRITTEN)])
        found = counted(module)
        assert found["stats_rops"] == {("WriteStream", "Success"): 1}
        assert found["stats_rop_bytes"]["WriteStream", "out"] == 2 * len(WRITTEN.pack())

    scenario(work)


def test_without_rops_nothing_is_decoded() -> None:
    async def work(module: DrivenModule) -> None:
        await module.call(rpc(module.session, ALICE, b"\xff"), b"\x02\x03")
        found = counted(module)
        assert "stats_rops" not in found
        assert found["stats_call_seconds"] == {("exchange_emsmdb", "EcDoRpcExt2", "server"): 1}

    scenario(work, rops="no")


def test_the_log_has_summaries(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def work(module: DrivenModule) -> None:
        await module.rops([WRITE], [7], [WRITTEN])
        assert "1 calls in 0 s: 1 answered by servers, 0 by modules, 0 faults" in caplog.text
        caplog.clear()

    scenario(work, interval="0.000000001")
    assert "most time by ROP: WriteStream " in caplog.text
    assert "most time by user: alice " in caplog.text
