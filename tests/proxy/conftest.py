"""A world of mailboxes, and a proxy in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.streamcache.parties import CachingProxy, caching_proxy
from tests.servers.emsmdb.parties import World, build_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = build_world(tmp_path)
    yield made
    made.store.close()
    made.directory.close()


@pytest.fixture
def proxy(world: World, tmp_path: Path) -> Iterator[CachingProxy]:
    with caching_proxy(world, tmp_path / "cache") as made:
        yield made
