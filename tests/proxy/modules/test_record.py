"""The module `record`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from openchange_py.config import ConfigError
from openchange_py.proxy.anonymize import Anonymize
from openchange_py.proxy.modules.record import RecordModule
from openchange_py.proxy.recording import Recording, read_recording
from openchange_py.proxy.rop_carrier import carrier_of
from openchange_py.proxy.stack import ModuleError
from openchange_py.proxy.testing import DrivenModule, driven, settings_of
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcprpt_streams import RopWriteStreamRequest, RopWriteStreamResponse
from tests.proxy.emsmdb_calls import connect, connected, rpc, rpc_answer
from tests.proxy.parties import ALICE, ALICE_DN

SECRET = b"the launch code is 0000"
WRITE = RopWriteStreamRequest(0, 0, SECRET)
WRITTEN = RopWriteStreamResponse(0, 0, len(SECRET))


def recorded(place: Path, work: Callable[[DrivenModule], Awaitable[None]], **options: str) -> Recording:
    path = place / "out.jsonl.gz"

    async def scenario() -> None:
        settings = {f"mpm_record:{name.replace('_', ' ')}": value for name, value in options.items()}
        async with driven(RecordModule, {"mpm_record:file": str(path)} | settings) as module:
            await work(module)

    asyncio.run(scenario())
    assert path.stat().st_mode & 0o777 == 0o600
    return read_recording(path)


async def write(module: DrivenModule) -> None:
    call = connect(module.session, ALICE, ALICE_DN, aux_in=b"\x00" * 8 + b"alices-laptop")
    await module.call(call, connected())
    assert (await module.rops([WRITE], [7], [WRITTEN])).responses == [WRITTEN], "the call itself is as it was"


def test_what_was_written_is_filler_and_everything_else_is_there(tmp_path: Path) -> None:
    recording = recorded(tmp_path, write)
    assert recording.anonymize is Anonymize.CONTENT
    connecting, writing = recording.calls
    assert connecting.request is not None
    assert b"alice" not in connecting.request.lower()
    assert writing.request is not None
    call = Call(writing.interface, writing.opnum, writing.request, Session("test", ""))
    carrier = carrier_of(call)
    assert carrier is not None
    [payload] = carrier.read_requests()
    buffer = RopBuffer.unpack_request(payload)
    assert buffer.handles == [7]
    [rop] = buffer.rops
    assert isinstance(rop, RopWriteStreamRequest)
    assert rop.data == b"x" * len(SECRET)
    assert writing.session == connecting.session
    assert writing.seconds >= connecting.seconds
    assert connecting.account.startswith("EXAMPLE\\") or connecting.account.count("\\") == 1
    assert "alice" not in connecting.account


def test_or_everything_as_it_is(tmp_path: Path) -> None:
    connecting, writing = recorded(tmp_path, write, anonymize="none").calls
    assert connecting.account == "EXAMPLE\\alice"
    assert connecting.request is not None
    assert ALICE_DN.encode() in connecting.request
    assert connecting.reply == connected()
    assert writing.request is not None
    call = Call(writing.interface, writing.opnum, writing.request, Session("test", ""))
    carrier = carrier_of(call)
    assert carrier is not None
    assert RopBuffer.unpack_request(carrier.read_requests()[0]).rops == [WRITE]


def test_users(tmp_path: Path) -> None:
    async def work(module: DrivenModule) -> None:
        await write(module)
        module.caller = type(ALICE)("bob", "EXAMPLE", ALICE.level)
        await module.rops([WRITE], [7], [WRITTEN])

    recording = recorded(tmp_path, work, users="Bob", anonymize="none")
    assert [call.account for call in recording.calls] == ["EXAMPLE\\bob"]


def test_faults_and_the_end_of_sessions(tmp_path: Path) -> None:
    def refuse(call: Call) -> None:
        raise RpcFault(5, "no")

    async def work(module: DrivenModule) -> None:
        with pytest.raises(RpcFault):
            await module.call(connect(module.session, ALICE, ALICE_DN), refuse)

    (tmp_path / "plain").mkdir()
    recording = recorded(tmp_path, work)
    assert [(call.fault, call.reply) for call in recording.calls] == [(5, None)]

    async def scenario() -> None:
        async with driven(RecordModule, {"mpm_record:file": str(tmp_path / "plain.jsonl")}) as module:
            await write(module)

    asyncio.run(scenario())
    last = json.loads((tmp_path / "plain.jsonl").read_text().splitlines()[-1])
    assert last["end"] is True


def test_what_does_not_decode_is_left_out_and_passes(tmp_path: Path) -> None:
    """And of a buffer what follows a ROP that nobody knows."""

    async def work(module: DrivenModule) -> None:
        garbage = rpc(module.session, ALICE, b"\xff\xff\x00" + SECRET)
        assert (await module.call(garbage, b"\x02" + SECRET)).reply_bytes() == b"\x02" + SECRET
        unknown = rpc(module.session, ALICE, RopBuffer([], [], b"\xf0" + SECRET).pack())
        await module.call(unknown, rpc_answer(RopBuffer([], [], b"\xf0" + SECRET).pack()))

    left_out, zeros = recorded(tmp_path, work).calls
    assert (left_out.request, left_out.reply) == (None, None)
    assert left_out.reason.startswith("not decoded")
    assert zeros.request is not None
    call = Call(zeros.interface, zeros.opnum, zeros.request, Session("test", ""))
    carrier = carrier_of(call)
    assert carrier is not None
    assert RopBuffer.unpack_request(carrier.read_requests()[0]).tail == b"\xf0" + bytes(len(SECRET))


def test_a_recorder_that_starts_again_goes_on_in_the_file_and_mixes_no_sessions(tmp_path: Path) -> None:
    """Session numbers begin anew with each process."""

    async def work(module: DrivenModule) -> None:
        module.session.number = 1
        await write(module)

    recorded(tmp_path, work)
    calls = recorded(tmp_path, work).calls
    assert len(calls) == 4
    assert calls[0].session == calls[1].session != calls[2].session == calls[3].session


def test_a_full_recording_stops_and_disturbs_nobody(tmp_path: Path) -> None:
    async def work(module: DrivenModule) -> None:
        for _ in range(200):
            assert (await module.rops([WRITE], [7], [WRITTEN])).responses == [WRITTEN]

    recorded(tmp_path, work, max_size="4 KiB")
    assert (tmp_path / "out.jsonl.gz").stat().st_size <= 4096


def test_it_needs_a_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driven(RecordModule):
            pass

    with pytest.raises(ModuleError, match="mpm_record:file"):
        asyncio.run(scenario())
    with pytest.raises(ConfigError, match="no absolute path"):
        settings_of(RecordModule, {"mpm_record:file": "here"})
