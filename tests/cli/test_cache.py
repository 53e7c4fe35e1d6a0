"""`ocpy cache`."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from openchange_py.cli import cache as command
from openchange_py.proxy.streamcache.cache import CacheLimits, Progress, StreamCache, default_url
from openchange_py.proxy.streamcache.index import Entry
from tests.cli.commands import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path, f"    mpm_cache:path = {tmp_path}/streams\n    mpm_cache:max_size = 2 KiB\n")


def fill(path: Path, count: int, size: int) -> StreamCache:
    """A cache as a server leaves it."""
    folder = path / "streams"
    cache = StreamCache(folder, default_url(folder), CacheLimits(1 << 20, 3600.0))
    cache.open()
    for number in range(count):
        data = bytes([number]) * size
        entry = Entry(f"{number:064x}", f"s{number}", "v", 1, size, hashlib.sha256(data).hexdigest())
        part = cache.begin(entry.name)
        assert part is not None
        part.write(0, data)
        cache.publish(part, entry)
        part.file.close()
    cache.count("hits", 3)
    cache.count("misses")
    cache.flush()
    return cache


def test_stats(installation: Installation, tmp_path: Path) -> None:
    cache = fill(tmp_path, 2, 700)
    told = json.loads(installation.ok("cache", "stats", "--json"))
    assert (told["streams"], told["bytes"], told["max_bytes"], told["hits"], told["stored"]) == (2, 1400, 2048, 3, 2)
    shown = installation.ok("cache", "stats")
    assert "2 streams, 1.4 KiB of 2.0 KiB" in shown
    assert "3 of 4 streams that clients opened were there (75 %)" in shown
    cache.close()


def test_prune_keeps_to_the_limits_and_cleans(installation: Installation, tmp_path: Path) -> None:
    cache = fill(tmp_path, 5, 700)
    (tmp_path / "streams" / "00" / f"00{'f' * 62}").write_bytes(b"")
    (tmp_path / "streams" / "00" / ("f" * 64)).write_bytes(b"not ours: it is in the wrong place")
    (tmp_path / "streams" / "00" / ("0" * 64 + ".part")).write_bytes(b"")
    told = json.loads(installation.ok("cache", "prune", "--json"))
    assert told["removed"] == 3
    assert (told["streams"], told["bytes"]) == (2, 1400)
    assert told["cleaned"] == 2
    assert "0 streams removed; 2 are left" in installation.ok("cache", "prune")
    cache.close()


def test_clear_asks_first(installation: Installation, tmp_path: Path) -> None:
    cache = fill(tmp_path, 2, 700)
    assert installation.run("cache", "clear", stdin="n\n").exit_code == 1
    assert cache.index.total()[0] == 2
    assert json.loads(installation.ok("cache", "clear", "--yes", "--json")) == {"removed": 2}
    assert json.loads(installation.ok("cache", "stats", "--json"))["hits"] == 0
    assert list(cache.files.names()) == []
    cache.close()


def test_where_there_is_no_cache(installation: Installation, tmp_path: Path) -> None:
    assert "there is no cache yet" in installation.fails("cache", "stats")
    assert not (tmp_path / "streams").exists()


def test_a_bar_shows_what_takes_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "_PATIENCE", -1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def work(progress: Progress) -> int:
        progress(5, 10)
        return 7

    assert command._with_progress("Clearing", work) == 7
    assert "Clearing [###############---------------] 5/10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (2048, "2.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert command._size(count) == text
