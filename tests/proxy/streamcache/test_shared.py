"""Streams that several clients have open at once."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from openchange_py.proxy.streamcache import shared as shared_module
from openchange_py.proxy.streamcache.cache import CacheLimits, StreamCache, default_url
from openchange_py.proxy.streamcache.index import Entry
from openchange_py.proxy.streamcache.shared import SharedStreams

DATA = bytes(range(100))
ENTRY = Entry("a" * 64, "subject", "version", 1, len(DATA), "")

Scenario = Callable[[StreamCache, SharedStreams], Coroutine[Any, Any, None]]


def run(path: Path, scenario: Scenario, limit: int = 1000) -> None:
    cache = StreamCache(path / "cache", default_url(path / "cache"), CacheLimits(limit, 3600.0))
    cache.open()
    asyncio.run(scenario(cache, SharedStreams(cache)))
    cache.close()


def test_filled_once_for_all(tmp_path: Path) -> None:
    async def scenario(cache: StreamCache, streams: SharedStreams) -> None:
        first, second = await asyncio.gather(streams.acquire(ENTRY), streams.acquire(ENTRY))
        assert first is second
        assert first is not None
        await first.append(DATA[:60])
        assert await first.read(10, 50) == DATA[10:60]
        await streams.release(first)
        assert not first.whole
        await first.append(DATA[60:])
        assert first.whole
        assert first.entry.hash == hashlib.sha256(DATA).hexdigest()
        assert await first.read(0, 100) == DATA
        await streams.release(first)
        assert len(streams) == 0
        again = await streams.acquire(ENTRY)
        assert again is not None
        assert again.whole
        assert await again.read(0, 100) == DATA
        await streams.release(again)
        assert (cache.counts["misses"], cache.counts["joined"], cache.counts["hits"]) == (1, 1, 1)

    run(tmp_path, scenario)


def test_what_nobody_fills_to_the_end_is_gone(tmp_path: Path) -> None:
    async def scenario(cache: StreamCache, streams: SharedStreams) -> None:
        shared = await streams.acquire(ENTRY)
        assert shared is not None
        await shared.append(DATA[:99])
        await streams.release(shared)
        assert cache.find(ENTRY.name) is None
        assert list(cache.files.path.glob("??/*")) == []
        with pytest.raises(OSError, match="any more"):
            await shared.read(0, 1)

    run(tmp_path, scenario)


def test_more_bytes_than_there_are_is_a_failure(tmp_path: Path) -> None:
    async def scenario(cache: StreamCache, streams: SharedStreams) -> None:
        shared = await streams.acquire(ENTRY)
        assert shared is not None
        await shared.append(DATA + b"x")
        assert shared.failed
        assert await streams.acquire(ENTRY) is None
        await streams.release(shared)
        assert len(streams) == 0

    run(tmp_path, scenario)


def test_what_is_being_filled_has_its_place(tmp_path: Path) -> None:
    async def scenario(cache: StreamCache, streams: SharedStreams) -> None:
        shared = await streams.acquire(ENTRY)
        other, third = (dataclasses.replace(ENTRY, name=letter * 64) for letter in "bc")
        beside = await streams.acquire(other)
        assert shared is not None
        assert beside is not None
        await shared.append(DATA[:80])
        assert await streams.acquire(third) is None, "there would not be room for it"
        await beside.append(DATA[:80])
        assert beside.failed
        await shared.append(DATA[80:])
        assert shared.whole
        for each in (shared, beside):
            await streams.release(each)

    run(tmp_path, scenario, limit=150)


def test_so_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(cache: StreamCache, streams: SharedStreams) -> None:
        shared = await streams.acquire(ENTRY)
        assert shared is not None
        assert await streams.acquire(dataclasses.replace(ENTRY, name="b" * 64)) is None
        await streams.release(shared)

    monkeypatch.setattr(shared_module, "MAXIMUM_STREAMS", 1)
    run(tmp_path, scenario)


def test_what_another_process_fills_passes(tmp_path: Path) -> None:
    async def scenario(cache: StreamCache, streams: SharedStreams) -> None:
        part = cache.begin(ENTRY.name)
        assert part is not None
        assert await streams.acquire(ENTRY) is None
        part.close()
        shared = await streams.acquire(ENTRY)
        assert shared is not None
        await streams.release(shared)

    run(tmp_path, scenario)


def test_taken_whole_from_a_file(tmp_path: Path) -> None:
    async def scenario(cache: StreamCache, streams: SharedStreams) -> None:
        source, digest = tmp_path / "fetched", hashlib.sha256(DATA).hexdigest()
        shared = await streams.acquire(ENTRY)
        assert shared is not None
        source.write_bytes(DATA[:-1])
        assert not await shared.adopt(source, digest)
        source.write_bytes(DATA)
        assert await shared.adopt(source, digest)
        assert await shared.read(0, 100) == DATA
        assert not await shared.adopt(source, digest), "it is there"
        await streams.release(shared)

    run(tmp_path, scenario)


def test_a_turn_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder's upstream may hang; nobody else's reading depends on that."""
    monkeypatch.setattr(shared_module, "PATIENCE", 0.01)

    async def scenario(cache: StreamCache, streams: SharedStreams) -> None:
        stream = await streams.acquire(ENTRY)
        assert stream is not None
        async with stream.turn() as first:
            assert first
            async with stream.turn() as second:
                assert not second
        async with stream.turn() as third:
            assert third
        await streams.release(stream)

    run(tmp_path, scenario)
