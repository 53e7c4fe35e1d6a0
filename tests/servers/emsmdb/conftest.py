"""A served world that no test changes, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.emsmdb.parties import Client, World, build_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Shared: a test that changes something takes `own_world`."""
    built = build_world(tmp_path_factory.mktemp("emsmdb"))
    yield built
    built.store.close()
    built.directory.close()


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    built = build_world(tmp_path)
    yield built
    built.store.close()
    built.directory.close()


@pytest.fixture
def client(world: World) -> Client:
    """alice, connected."""
    return Client(world)
