"""Module cache with real processes: a proxy at the clients, a proxy at the server, and the server, which counts.

The round of four clients is short here; OCPY_CACHE_FULL=1 makes it 50 rounds of 20 MB.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.client.errors import ClientError
from openchange_py.proxy.streamcache.cache import CacheLimits, StreamCache, default_url
from openchange_py.rpc.call import RpcFault
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from tests.conftest import ROOT
from tests.interop.nodes import PATIENCE, Node, environment, ocpy
from tests.interop.rows import Row, got, put, running_row
from tests.large_messages import MEGABYTE, Pattern

pytestmark = pytest.mark.xdist_group("cache")

SIZE = 50 * MEGABYTE
_FULL = bool(os.environ.get("OCPY_CACHE_FULL"))
ROUNDS, SHARED_SIZE = (50, 20 * MEGABYTE) if _FULL else (3, 5 * MEGABYTE)
KILLS = 20 if _FULL else 4
#: Bytes that one fetch brings at the most: what a client that dies midway may have cost.
PIECE = 0x38000

Message = tuple[FolderId, MessageId]


@pytest.fixture(scope="module")
def row() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="ocpy-counting-") as place:
        module = Path(place) / "counting.py"
        shutil.copy(ROOT / "tests" / "interop" / "counting.py", module)
        module.chmod(0o600)
        with running_row(f"    dcerpc_mapiproxy:modules = {module}\n    mpm_counting:file = {{place}}/read\n") as row:
            yield row


def server_reads(row: Row) -> list[int]:
    """Bytes of each RopReadStream that the server answered."""
    counted = row.place / "read"
    return [int(line) for line in counted.read_text().split()] if counted.exists() else []


@pytest.fixture(scope="module")
def large(row: Row) -> Message:
    return asyncio.run(put(row, row.site.exchange, SIZE, 1))


@pytest.fixture(scope="module")
def shared(row: Row) -> Message:
    return asyncio.run(put(row, row.site.exchange, SHARED_SIZE, 2))


@pytest.fixture(scope="module")
def near(row: Row) -> Node:
    """A proxy with a cache, in front of the server."""
    return row.proxy("cached", row.site.exchange, "    dcerpc_mapiproxy:modules = cache\n")


def stats(node: Node) -> dict[str, Any]:
    """What `ocpy cache stats` says, once the node wrote down what it counted."""
    told: dict[str, Any] = json.loads(ocpy("cache", "stats", "-c", node.config, "--json").stdout)
    return told


def stats_with(node: Node, **wanted: int) -> dict[str, Any]:
    """The same, once these numbers are reached."""
    deadline = time.monotonic() + PATIENCE
    while any((told := stats(node))[name] < number for name, number in wanted.items()):
        assert time.monotonic() < deadline, f"{told}, wanted {wanted}"
    return told


def test_replay_a_second_read_does_not_reach_the_server(row: Row, large: Message, tmp_path: Path) -> None:
    """Three processes: the near proxy caches, the far one only relays."""
    far = row.proxy("plain", row.site.exchange, "")
    near = row.proxy("replaying", far, "    dcerpc_mapiproxy:modules = cache\n")
    expected = Pattern(SIZE, 1).digest()
    before = len(server_reads(row))
    assert asyncio.run(got(row, near, *large, tmp_path)) == expected
    first = server_reads(row)[before:]
    assert sum(first) == SIZE
    told = stats_with(near, misses=1, stored=1)
    assert (told["upstream_bytes"], told["upstream_reads"], told["bytes"]) == (SIZE, len(first), SIZE)
    assert asyncio.run(got(row, near, *large, tmp_path)) == expected
    assert len(server_reads(row)) == before + len(first), "the second read made no RopReadStream at the server"
    told = stats_with(near, hits=1)
    assert (told["upstream_reads"], told["bytes_served"]) == (len(first), 2 * SIZE)


def test_read_ahead_and_synchronize(row: Row, large: Message, tmp_path: Path) -> None:
    """Three processes: the far proxy reads ahead, the near one has the file fetched."""
    options = f"    dcerpc_mapiproxy:modules = cache\n    mpm_cache:path = {row.place}/%s\n    mpm_cache:%s = yes\n"
    fetching = f"{shutil.which('rsync') or 'cp'} {row.place}/far-cache/__NAME__ __FILE__"
    far = row.proxy("ahead", row.site.exchange, options % ("far-cache", "ahead"))
    near = row.proxy("synchronizing", far, options % ("near-cache", "sync") + f"    mpm_cache:sync_cmd = {fetching}\n")
    expected = Pattern(SIZE, 1).digest()
    before = len(server_reads(row))
    for _ in range(2):
        assert asyncio.run(got(row, near, *large, tmp_path)) == expected
    assert sum(server_reads(row)[before:]) == SIZE
    told = stats_with(near, hits=1)
    assert (told["synchronized"], told["upstream_reads"], told["stored"]) == (1, 0, 1), "not a byte by RPC"
    assert stats_with(far, stored=1)["upstream_bytes"] == SIZE
    names = [sorted(path.name for path in (row.place / cache).glob("??/*")) for cache in ("far-cache", "near-cache")]
    assert names[0] == names[1]


def test_with_everything_else_that_stands_between_two_hops(row: Row, shared: Message, tmp_path: Path) -> None:
    """The question for the hash, and what the cache asks itself, are packed, compressed and encrypted as all else."""
    ocpy("hopkey", "create", row.place / "hop.key")
    common = f"    mpm_encrypt:key file = {row.place}/hop.key\n    mpm_cache:path = {row.place}/%s\n"
    far = row.proxy(
        "far",
        row.site.exchange,
        "    dcerpc_mapiproxy:modules = encrypt, compress, pack, cache\n"
        "    mpm_encrypt:lasthop = yes\n    mpm_compress:lasthop = yes\n    mpm_cache:ahead = yes\n"
        + common
        % "far-packed",
    )
    near = row.proxy(
        "near",
        far,
        "    dcerpc_mapiproxy:modules = cache, pack, compress, encrypt\n    mpm_pack:opnums = 0x2B, 0x2C, 0x5F, 0x07\n"
        f"    mpm_cache:sync = yes\n    mpm_cache:sync_cmd = cp {row.place}/far-packed/__NAME__ __FILE__\n"
        + common
        % "near-packed",
    )
    expected = Pattern(SHARED_SIZE, 2).digest()
    before = len(server_reads(row))
    for _ in range(2):
        assert asyncio.run(got(row, near, *shared, tmp_path)) == expected
    assert sum(server_reads(row)[before:]) == SHARED_SIZE
    told = stats_with(near, hits=1)
    assert (told["synchronized"], told["upstream_reads"]) == (1, 0)


def part_size(node: Node) -> int:
    """Bytes of the stream that the node is filling."""
    sizes = [0]
    for path in (node.config.with_suffix("") / "cache").glob("??/*.part"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes)


async def until_filled(node: Node, size: float, ended: Any = lambda: False) -> None:
    """Until so much of the stream is there, or it is clear that it will not be."""
    deadline = time.monotonic() + PATIENCE
    while part_size(node) < size and not ended():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


async def until_reading(reading: list[asyncio.Future[str]], files: list[Path]) -> None:
    """Until one of the clients has bytes of the stream, or all are through."""
    deadline = time.monotonic() + PATIENCE
    while not any(file.exists() and file.stat().st_size for file in files) and not all(t.done() for t in reading):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def reading_process(row: Row, node: Node, message: Message, place: Path) -> subprocess.Popen[bytes]:
    """A client as a process of its own, which reads the attachment."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from openchange_py.client.connection import Account, Connector\n"
        "from openchange_py.client.endpoints import read_ready_file\n"
        "from openchange_py.client.profile import Profile\n"
        "async def main(ready, password, folder, message, target):\n"
        "    account = Account('alice', 'EXAMPLE', Path(password).read_text().strip())\n"
        "    async with Profile(Connector(read_ready_file(Path(ready)), account)) as profile:\n"
        "        mailbox = await profile.mailbox()\n"
        "        async with await mailbox.open_message(int(folder), int(message)) as opened:\n"
        "            with open(target, 'wb') as file:\n"
        "                await opened.save_attachment(0, file)\n"
        "asyncio.run(main(*sys.argv[1:]))\n"
    )
    password = row.place / "passwords" / "alice"
    arguments = [node.ready_file, password, *message, place / "victim"]
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment(), cwd=ROOT)


def test_four_clients_at_once_one_of_them_killed(row: Row, near: Node, shared: Message, tmp_path: Path) -> None:
    expected = Pattern(SHARED_SIZE, 2).digest()

    async def one_round(victim: subprocess.Popen[bytes]) -> list[str]:
        await until_filled(near, 1)
        places = [tmp_path / f"client{number}" for number in range(3)]
        for place in places:
            place.mkdir(exist_ok=True)
            (place / near.name).unlink(missing_ok=True)
        reading = [asyncio.ensure_future(got(row, near, *shared, place)) for place in places]
        await until_filled(near, SHARED_SIZE * random.uniform(0.1, 0.9), lambda: all(task.done() for task in reading))
        # What nobody has open any more is not kept: somebody else must have it open when the victim goes.
        await until_reading(reading, [place / near.name for place in places])
        victim.send_signal(signal.SIGKILL)
        return list(await asyncio.gather(*reading))

    for number in range(ROUNDS):
        ocpy("cache", "clear", "--yes", "-c", near.config)
        before = len(server_reads(row))
        with reading_process(row, near, shared, tmp_path) as victim:
            try:
                assert asyncio.run(one_round(victim)) == [expected] * 3, f"round {number}"
            finally:
                victim.kill()
        fetched = sum(server_reads(row)[before:])
        assert SHARED_SIZE <= fetched <= SHARED_SIZE + PIECE, f"round {number}: one transfer"
        # What the victim saw of it is right as well.
        seen = (tmp_path / "victim").read_bytes()
        assert seen == Pattern(SHARED_SIZE, 2).read(len(seen))


def test_kill_at_any_point_serves_no_wrong_byte(row: Row, shared: Message, tmp_path: Path) -> None:
    node = row.proxy("killed", row.site.exchange, "    dcerpc_mapiproxy:modules = cache\n")
    expected, folder = Pattern(SHARED_SIZE, 2).digest(), node.config.with_suffix("") / "cache"
    chance = random.Random(5)

    async def read_and_kill(fraction: float) -> None:
        reading = asyncio.ensure_future(got(row, node, *shared, tmp_path))
        await until_filled(node, SHARED_SIZE * fraction, reading.done)
        node.kill()
        with contextlib.suppress(ClientError, OSError, RpcFault):
            await reading
        seen = (tmp_path / node.name).read_bytes()
        assert seen == Pattern(SHARED_SIZE, 2).read(len(seen)), "what came before is right"

    for number in range(KILLS):
        # The last few are at the very end: while the file gets its name, and its row.
        asyncio.run(read_and_kill(chance.random() if number % 2 else 1 - chance.random() / 50))
        node.start()
        node.wait_until_ready()
        assert asyncio.run(got(row, node, *shared, tmp_path)) == expected
        ocpy("cache", "clear", "--yes", "-c", node.config)
    assert asyncio.run(got(row, node, *shared, tmp_path)) == expected
    assert node.stop() == 0
    assert list(folder.glob("??/*.part")) == []
    cache = StreamCache(folder, default_url(folder), CacheLimits(1 << 40, 1e9))
    cache.open()
    assert cache.clean() == 0
    [name] = cache.index.page()
    assert cache.find(name) is not None, "size and hash are right"
    cache.close()


def test_two_processes_share_a_cache(row: Row, shared: Message, tmp_path: Path) -> None:
    options = f"    dcerpc_mapiproxy:modules = cache\n    mpm_cache:path = {row.place}/common\n"
    first, second = (row.proxy(name, row.site.exchange, options) for name in ("one", "two"))
    expected = Pattern(SHARED_SIZE, 2).digest()
    places = [tmp_path / node.name for node in (first, second)]
    for place in places:
        place.mkdir()

    async def both() -> list[str]:
        nodes = zip((first, second), places, strict=True)
        return list(await asyncio.gather(*(got(row, node, *shared, place) for node, place in nodes)))

    assert asyncio.run(both()) == [expected] * 2
    before = len(server_reads(row))
    assert asyncio.run(both()) == [expected] * 2
    assert len(server_reads(row)) == before
    assert stats(first)["streams"] == 1
