"""`ocpy stats`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openchange_py.cli.main import ocpy
from openchange_py.proxy.modules.stats import StatsModule
from openchange_py.proxy.testing import driven
from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.metrics import MetricsServer, registry_of
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.rop.base import RopFailure
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcprpt_streams import RopWriteStreamRequest, RopWriteStreamResponse


def stats(*arguments: str) -> Result:
    return CliRunner().invoke(ocpy, ["stats", *arguments])


@pytest.fixture
def url() -> Iterator[str]:
    """A server whose module counted three calls."""
    shown: list[Metrics] = []

    async def work() -> None:
        async with driven(StatsModule) as module:
            for _ in range(2):
                await module.rops([RopWriteStreamRequest(0, 0, bytes(9))], [7], [RopWriteStreamResponse(0, 0, 9)])
            failed = RopFailure(1, ErrorCode.NotFound, RopId.OpenFolder)
            await module.rops([RopOpenFolderRequest(0, 0, 1, 9, 0)], [7, 8], [failed])
            shown.append(module.module.metrics)

    asyncio.run(work())
    server = MetricsServer(registry_of(shown[0]))
    host, port = server.start("127.0.0.1", 0)
    yield f"http://{host}:{port}/metrics"
    server.stop()


def test_tables(url: str) -> None:
    done = stats("--url", url)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    [call] = [line for line in lines if line[:3] == ["exchange_emsmdb", "EcDoRpcExt2", "server"]]
    assert call[3] == "3"
    assert any(line[:4] == ["WriteStream", "Success", "2", "2"] for line in lines)
    assert any(line[:4] == ["OpenFolder", "NotFound", "1", "1"] for line in lines)
    assert any(line[:4] == ["alice", "server", "3", "3"] for line in lines)


def test_json_and_the_ready_file(url: str, tmp_path: Path) -> None:
    host, port = url.removeprefix("http://").removesuffix("/metrics").split(":")
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps({"metrics": {"host": host, "port": int(port)}}))
    found = json.loads(stats("--endpoints", str(ready), "--json").output)
    [call] = found["calls"]
    assert (call["interface"], call["call"], call["outcome"], call["count"]) == (
        *("exchange_emsmdb", "EcDoRpcExt2", "server"),
        3,
    )
    assert 0 < call["mean"] <= call["seconds"]
    assert call["p50"] <= call["p95"]
    assert call["bytes_in"] > 100
    rops = {rop["rop"]: rop for rop in found["rops"]}
    assert rops["WriteStream"]["outcomes"] == {"Success": 2}
    assert rops["OpenFolder"]["outcomes"] == {"NotFound": 1}
    assert found["users"][0]["user"] == "alice"


def test_long_tables_are_cut(url: str) -> None:
    done = stats("--url", url, "--top", "1")
    assert "1 of 2 ROPs: --top shows more" in done.output


def test_what_can_go_wrong(tmp_path: Path) -> None:
    server = MetricsServer(registry_of(Metrics()))
    host, port = server.start("127.0.0.1", 0)
    done = stats("--url", f"http://{host}:{port}/metrics")
    assert (done.exit_code, "dcerpc_mapiproxy:modules = stats" in done.output) == (1, True)
    server.stop()
    done = stats("--url", f"http://{host}:{port}/metrics")
    assert (done.exit_code, "is the server running" in done.output) == (1, True)
    assert stats("--url", "file:///etc/passwd").exit_code == 2
    (tmp_path / "ready.json").write_text('{"metrics": null}')
    done = stats("--endpoints", str(tmp_path / "ready.json"))
    assert (done.exit_code, "names no metrics" in done.output) == (1, True)
    config = tmp_path / "smb.conf"
    config.write_text("[global]\n  dcerpc_mapiproxy:server = true\n")
    done = stats("-c", str(config))
    assert (done.exit_code, "ocpy:metrics port" in done.output) == (2, True)
