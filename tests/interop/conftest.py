"""The two nodes that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.nodes import Site, running_site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Nodes `exchange` and `hybrid`, running. Modules that use it are marked `xdist_group("site")`: one worker's."""
    with running_site(authentication_timeout="3 s") as running:
        yield running
