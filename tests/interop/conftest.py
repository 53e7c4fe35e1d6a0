"""What the tests of this folder share: two nodes, a Samba domain, and a server of ours in that domain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.nodes import Site, running_site
from tests.interop.samba_dc import SambaDc, missing, running_dc


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file of this folder is one worker's, unless it says whose it is: what its fixtures start is started once."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Nodes `exchange` and `hybrid`, running. Modules that use it are marked `xdist_group("site")`: one worker's."""
    with running_site(authentication_timeout="3 s") as running:
        yield running


@pytest.fixture(scope="session")
def samba_dc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaDc]:
    """A Samba domain controller, running. Modules that use it are marked `xdist_group("samba_dc")`: one worker's."""
    if reason := missing():
        pytest.skip(f"no Samba domain controller: {reason}")
    with running_dc(tmp_path_factory.mktemp("samba_dc")) as running:
        yield running
