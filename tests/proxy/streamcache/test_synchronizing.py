"""Two proxies in a row: the first has the file fetched from the second one's cache."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.proxy.streamcache.synchronizing import QUESTION
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.rop.oxcprpt import RopQueryNamedPropertiesRequest
from tests.proxy.streamcache.parties import CachingProxy, caching_proxy
from tests.servers.emsmdb.parties import DATA, World

COPY = "import shutil, sys; open(sys.argv[3], 'a').write('x'); shutil.copy(sys.argv[1], sys.argv[2])"


def program(path: Path, code: str) -> str:
    """A program of this code, run with the file to copy, where to, and where to tell that it ran."""
    script = path / "fetch.py"
    script.write_text(code)
    return f"{sys.executable} {script} {path}/far/__NAME__ __FILE__ {path}/ran"


@contextlib.contextmanager
def two_proxies(
    world: World, path: Path, command: str, far: dict[str, str] | None = None, near: dict[str, str] | None = None
) -> Iterator[tuple[CachingProxy, CachingProxy]]:
    """The one at the clients, and the one at the server."""
    options = {"mpm_cache:sync": "yes", "mpm_cache:sync_min": "10 KiB", "mpm_cache:sync_cmd": command, **(near or {})}
    with (
        caching_proxy(world, path / "far", {"mpm_cache:ahead": "yes"} if far is None else far) as remote,
        caching_proxy(world, path / "near", options, remote) as local,
    ):
        yield local, remote


def test_the_file_comes_by_the_program(world: World, tmp_path: Path) -> None:
    with two_proxies(world, tmp_path, program(tmp_path, COPY)) as (local, remote):
        alice = local.client()
        assert alice.read_all(alice.data_stream()) == DATA
        assert local.upstream_reads == 0, "not one read went to the other proxy"
        assert local.asked_for(RopQueryNamedPropertiesRequest) == 1
        assert remote.asked_for(RopQueryNamedPropertiesRequest) == 0, "the question is not the server's"
        assert local.counts["synchronized"] == 1
        reads = remote.upstream_reads
        assert alice.read_all(alice.data_stream()) == DATA
        assert remote.upstream_reads == reads
        assert (tmp_path / "ran").read_text() == "x"
    assert sorted(path.relative_to(tmp_path / "near") for path in (tmp_path / "near").glob("??/*")) == sorted(
        path.relative_to(tmp_path / "far") for path in (tmp_path / "far").glob("??/*")
    )


def test_clients_at_once_have_it_run_once(world: World, tmp_path: Path) -> None:
    with two_proxies(world, tmp_path, program(tmp_path, COPY)) as (local, remote):
        clients = [local.client(account) for account in ("alice", "relay", "alice", "relay")]
        streams = [client.data_stream() for client in clients]

        async def all_of_them() -> list[bytes]:
            pairs = zip(clients, streams, strict=True)
            return await asyncio.gather(*(client.read_beside(stream, 0x3000) for client, stream in pairs))

        assert local.run(all_of_them()) == [DATA] * 4
        assert (tmp_path / "ran").read_text() == "x"
        assert local.upstream_reads == 0
        assert remote.counts["upstream_bytes"] == len(DATA)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(1)",
        "pass",
        COPY + "; open(sys.argv[2], 'ab').write(b'more')",
        COPY + "; open(sys.argv[2], 'r+b').truncate(100)",
        COPY + "; open(sys.argv[2], 'r+b').write(b'wrong')",
    ],
    ids=["fails", "nothing", "longer", "shorter", "wrong"],
)
def test_what_it_did_not_bring_is_read_all_the_same(world: World, tmp_path: Path, code: str) -> None:
    with two_proxies(world, tmp_path, program(tmp_path, code)) as (local, _):
        alice = local.client()
        for _ in range(2):
            assert alice.read_all(alice.data_stream()) == DATA
        assert local.counts["synchronized"] == 0
        assert local.counts["upstream_bytes"] == len(DATA), "fetched and stored as without the program"
        assert local.counts["hits"] == 1


def test_small_streams_are_not_worth_a_program(world: World, tmp_path: Path) -> None:
    near = {"mpm_cache:sync_min": str(len(DATA) + 1)}
    with two_proxies(world, tmp_path, program(tmp_path, COPY), near=near) as (local, _):
        alice = local.client()
        assert alice.read_all(alice.data_stream()) == DATA
        assert not (tmp_path / "ran").exists()


def test_a_server_without_the_module_has_an_error_for_the_question(world: World, tmp_path: Path) -> None:
    options = {"mpm_cache:sync": "yes", "mpm_cache:sync_cmd": program(tmp_path, COPY), "mpm_cache:sync_min": "1"}
    with caching_proxy(world, tmp_path / "near", options) as local:
        alice = local.client()
        assert alice.read_all(alice.data_stream()) == DATA
        assert local.asked_for(RopQueryNamedPropertiesRequest) == 1
        assert not (tmp_path / "ran").exists()
        assert local.counts["stored"] == 1


def test_a_proxy_that_does_not_read_ahead_says_how_far_it_is(world: World, tmp_path: Path) -> None:
    with two_proxies(world, tmp_path, program(tmp_path, COPY), far={}) as (local, _):
        alice = local.client()
        assert alice.read_all(alice.data_stream()) == DATA
        assert local.asked_for(RopQueryNamedPropertiesRequest) == 2, "it does not get further by being asked"
        assert not (tmp_path / "ran").exists()


def test_other_questions_pass(proxy: CachingProxy) -> None:
    alice = proxy.client()
    stream, attachment = alice.data_stream(), alice.attachment()
    other = RopQueryNamedPropertiesRequest(0, 0, 0, 1, QUESTION)
    answer = alice.ask(other, attachment)
    assert proxy.asked_for(RopQueryNamedPropertiesRequest) == 1
    assert answer.return_value in (ErrorCode.Success, ErrorCode.NotSupported, ErrorCode.NotImplemented)
    alice.ask(RopQueryNamedPropertiesRequest(0, 0, 0), stream)
    assert proxy.asked_for(RopQueryNamedPropertiesRequest) == 2
