"""One quickstart that several test modules share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.cli.quickstart import running, set_up
from tests.conftest import ROOT


@dataclasses.dataclass(frozen=True, slots=True)
class Quickstarted:
    """Where it is, and what its quickstart.json says."""

    place: Path
    description: dict[str, Any]


@pytest.fixture(scope="session")
def quickstarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstarted]:
    """Both nodes set up and serving. Modules that use it are marked `xdist_group("quickstart")`: one worker's."""
    place = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        set_up(place)
        with running(place) as description:
            yield Quickstarted(place, description)
