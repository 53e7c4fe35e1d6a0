"""The cache as a whole: found, checked, evicted, cleaned."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.proxy.streamcache import index as index_module
from openchange_py.proxy.streamcache.cache import CacheLimits, StreamCache, default_url
from openchange_py.proxy.streamcache.index import CacheError, Entry

LIMITS = CacheLimits(1000, 3600.0)


def make(path: Path, limits: CacheLimits = LIMITS) -> StreamCache:
    cache = StreamCache(path / "cache", default_url(path / "cache"), limits)
    cache.open()
    return cache


def entry(number: int, data: bytes, version: str = "v", subject: str | None = None) -> Entry:
    digest = hashlib.sha256(data).hexdigest()
    return Entry(f"{number:064x}", subject or f"s{number}", version, 1, len(data), digest)


def store(cache: StreamCache, number: int, data: bytes, version: str = "v", subject: str | None = None) -> str:
    stored = entry(number, data, version, subject)
    part = cache.begin(stored.name)
    assert part is not None
    part.write(0, data)
    cache.publish(part, stored)
    part.file.close()
    return stored.name


def content(cache: StreamCache, name: str) -> bytes | None:
    found = cache.find(name)
    if found is None:
        return None
    file, stored = found
    data = file.read(0, stored.size)
    file.close()
    return data


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[StreamCache]:
    made = make(tmp_path)
    yield made
    made.close()


def test_what_is_stored_is_found(cache: StreamCache, tmp_path: Path) -> None:
    name = store(cache, 1, b"abc")
    assert content(cache, name) == b"abc"
    cache.flush()
    other = make(tmp_path)
    assert content(other, name) == b"abc"
    assert other.index.counters() == {"stored": 1}
    other.close()


@pytest.mark.parametrize("new", [b"abX", b"ab", b"abcd"])
def test_a_file_that_is_not_what_was_stored_is_forgotten(cache: StreamCache, tmp_path: Path, new: bytes) -> None:
    name = store(cache, 1, b"abc")
    path = cache.files.final(name)
    replacement = path.with_suffix(".new")
    replacement.write_bytes(new)
    replacement.rename(path)
    assert content(cache, name) is None
    assert cache.counts["damaged"] == 1
    assert not path.exists()
    assert cache.index.total() == (0, 0)


def test_a_row_without_its_file_is_forgotten(cache: StreamCache) -> None:
    name = store(cache, 1, b"abc")
    cache.files.final(name).unlink()
    assert cache.find(name) is None
    assert cache.index.total() == (0, 0)


def test_a_file_without_its_row_is_not_found(cache: StreamCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the process had died between the two."""
    monkeypatch.setattr(cache.index, "add", lambda _: None)
    name = store(cache, 1, b"abc")
    assert cache.files.final(name).exists()
    assert cache.find(name) is None
    assert cache.clean() == 1
    assert not cache.files.final(name).exists()


def test_a_row_that_can_t_be_written_leaves_no_file(cache: StreamCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Entry) -> None:
        raise CacheError("no")

    monkeypatch.setattr(cache.index, "add", fail)
    with pytest.raises(CacheError):
        store(cache, 1, b"abc")
    assert list(cache.files.names()) == []


def test_cleaning_leaves_what_is_right(cache: StreamCache) -> None:
    kept = [store(cache, number, bytes([number])) for number in range(3)]
    lost = store(cache, 3, b"x")
    cache.files.final(lost).unlink()
    (cache.files.path / "00" / ("0" * 64 + ".part")).write_bytes(b"half")
    (cache.files.path / "00" / "README").write_bytes(b"not ours")
    assert cache.clean() == 2
    assert sorted(cache.files.names()) == kept
    assert cache.index.page() == kept
    assert (cache.files.path / "00" / "README").exists()
    assert cache.clean() == 0


def test_the_least_used_go_first(cache: StreamCache, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000, 2000))
    monkeypatch.setattr(index_module.time, "time", lambda: float(next(clock)))
    names = [store(cache, number, bytes(300)) for number in range(3)]
    content(cache, names[0])
    cache.flush()
    assert cache.prune() == 0
    names.append(store(cache, 3, bytes(300)))
    assert cache.prune() == 1
    assert [content(cache, name) is not None for name in names] == [True, False, True, True]


def test_what_is_too_old_is_not_served_and_goes(tmp_path: Path) -> None:
    cache = make(tmp_path, CacheLimits(1000, -1.0))
    name, other = store(cache, 1, b"abc"), store(cache, 2, b"abc")
    assert content(cache, name) is None
    assert not cache.files.final(name).exists()
    assert cache.prune() == 1
    assert not cache.files.final(other).exists()
    assert cache.counts["evicted"] == 2
    cache.close()


def test_a_new_version_supersedes_the_others(cache: StreamCache) -> None:
    old = [store(cache, number, b"abc", "v1", "message") for number in (1, 2)]
    other = store(cache, 3, b"abc", "v1", "other message")
    new = [store(cache, number, b"abc", "v2", "message") for number in (4, 5)]
    assert cache.index.page() == [other, *new]
    assert not any(cache.files.final(name).exists() for name in old)
    cache.invalidate(["message"])
    assert cache.index.page() == [other]


def test_adopting_a_file(cache: StreamCache, tmp_path: Path) -> None:
    source = tmp_path / "fetched"
    for data, right in ((b"abX", False), (b"ab", False), (b"abcd", False), (b"", False), (b"abc", True)):
        source.write_bytes(data)
        stored = entry(1, b"abc")
        with cache.begin(stored.name) or pytest.fail("taken") as part:
            assert cache.adopt(part, source, stored) is right
    source.write_bytes(b"XYZ")
    assert content(cache, stored.name) == b"abc"
    part.file.close()


def test_what_is_being_stored_is_not_evicted(cache: StreamCache) -> None:
    name = store(cache, 1, b"abc")
    with cache.begin(name) or pytest.fail("taken"):
        cache.invalidate(["s1"])
        assert cache.files.final(name).exists()
    assert cache.clean() == 1


def test_clearing(cache: StreamCache) -> None:
    told: list[tuple[int, int]] = []
    for number in range(3):
        store(cache, number, b"abc")
    assert cache.clear(lambda done, total: told.append((done, total))) == 3
    assert told[-1] == (3, 3)
    assert cache.index.counters() == {}
    assert list(cache.files.names()) == []


def test_troubles_are_told_once(cache: StreamCache, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        cache.trouble(OSError(28, "No space left on device"))
    assert len(caplog.records) == 1
    store(cache, 1, b"abc")
    cache.trouble(OSError(28, "No space left on device"))
    assert len(caplog.records) == 2


def test_a_folder_that_can_t_be_made(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(OSError):
        make(tmp_path)
    assert os.listdir(tmp_path) == ["cache"]
