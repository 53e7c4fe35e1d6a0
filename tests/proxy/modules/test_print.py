"""The module `print`."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from openchange_py.config import ConfigError
from openchange_py.proxy.modules.print import PrintModule
from openchange_py.proxy.testing import driven, settings_of
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.rop.base import RopFailure, RopReleaseRequest
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcprpt_streams import RopWriteStreamRequest, RopWriteStreamResponse
from tests.proxy.parties import number_call

WRITE = RopWriteStreamRequest(0, 0, b"dear diary")
WRITTEN = RopWriteStreamResponse(0, 0, 10)


def shown(place: Path, *, calls: int = 1, **options: str) -> list[dict[str, Any]]:
    """What is in the file after a folder was opened and a stream written to."""
    path = place / "calls"

    async def scenario() -> None:
        settings = {f"mpm_print:{name}": value for name, value in options.items()}
        settings = {"mpm_print:file": str(path), "mpm_print:format": "json"} | settings
        async with driven(PrintModule, settings) as module:
            for _ in range(calls):
                failed = [RopFailure(1, ErrorCode.NotFound, RopId.OpenFolder)]
                passed = await module.rops([RopOpenFolderRequest(0, 0, 1, 9, 0)], [7, 0xFFFFFFFF], failed)
                assert passed.responses == failed, "nothing is changed"
                assert (await module.rops([WRITE, RopReleaseRequest(0, 0)], [7], [WRITTEN])).responses == [WRITTEN]

    asyncio.run(scenario())
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_call_is_one_object_per_line(tmp_path: Path) -> None:
    opened, answered, wrote, written = shown(tmp_path)
    [rop] = opened["buffers"][0]["rops"]
    assert rop == {
        "rop": "RopOpenFolderRequest",
        "logon_id": 0,
        "input_handle_index": 0,
        "output_handle_index": 1,
        "folder_id": "0009-000000000000",
        "open_mode_flags": 0,
    }
    assert answered["buffers"][0]["rops"][0]["return_value"] == "NotFound"
    assert answered["seconds"] >= 0
    assert wrote["buffers"][0]["rops"][0]["data"] == {"text": "dear diary", "size": 10}
    assert wrote["buffers"][0]["handles"] == [7]
    assert written["account"] == "EXAMPLE\\alice"
    assert (tmp_path / "calls").stat().st_mode & 0o777 == 0o600


def test_filters(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    only = shown(tmp_path / "a", rops="WriteStream, RopSeekStream")
    assert [record["buffers"][0]["rops"][0]["rop"] for record in only] == [
        "RopWriteStreamRequest",
        "RopWriteStreamResponse",
    ]
    assert len(only[0]["buffers"][0]["rops"]) == 1, "RopRelease is not asked for"
    for number, (users, count) in enumerate({"bob": 0, "ALICE": 4, "EXAMPLE\\alice, bob": 4}.items()):
        (tmp_path / str(number)).mkdir()
        assert len(shown(tmp_path / str(number), users=users)) == count


def test_lengths(tmp_path: Path) -> None:
    wrote = shown(tmp_path, lengths="4")[2]
    assert wrote["buffers"][0]["rops"][0]["data"] == {"text": "dear", "size": 10}


def test_text_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        async with driven(PrintModule) as module:
            await module.rops([WRITE], [7], [WRITTEN])

    asyncio.run(scenario())
    assert "EXAMPLE\\alice > exchange_emsmdb EcDoRpcExt2: " in caplog.text
    assert "RopWriteStreamRequest logon_id=0 input_handle_index=0 data=b'dear diary'" in caplog.text
    assert "RopWriteStreamResponse handle_index=0 return_value=Success written_size=10" in caplog.text


def test_faults_and_garbage_pass_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "calls"

    def refuse(call: Call) -> None:
        raise RpcFault(5, "no")

    async def scenario() -> None:
        async with driven(PrintModule, {"mpm_print:file": str(path)}) as module:
            with pytest.raises(RpcFault):
                await module.call(number_call(), refuse)
            garbage = number_call()
            garbage.replace_stub(b"\x01")
            assert (await module.call(garbage, b"\x02\x03")).reply_bytes() == b"\x02\x03"
            assert (await module.call(number_call(opnum=1), b"any")).reply_bytes() == b"any"

    asyncio.run(scenario())
    text = path.read_text()
    assert "< numbers Double: fault 0x00000005 (access denied): no" in text
    assert text.count("(not decoded: ") == 2
    assert text.count("(no codec)") == 2


def test_to_dev_null() -> None:
    async def scenario() -> None:
        async with driven(PrintModule, {"mpm_print:file": "/dev/null"}) as module:
            assert (await module.rops([WRITE], [7], [WRITTEN])).responses == [WRITTEN]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("file", "calls.txt", "no absolute path"),
        ("format", "xml", "none of text, json"),
        ("rops", "OpenFolders", "no ROP 'OpenFolders'"),
        ("lengths", "0", "not between"),
    ],
)
def test_wrong_options(name: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        settings_of(PrintModule, {f"mpm_print:{name}": value})


def test_a_file_that_can_t_be_opened_keeps_the_server_from_starting(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driven(PrintModule, {"mpm_print:file": str(tmp_path / "nowhere" / "calls")}):
            pass

    with pytest.raises(Exception, match=r"module print: .*nowhere"):
        asyncio.run(scenario())
