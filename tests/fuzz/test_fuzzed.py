"""What fuzzing found once is fed to its target again, and each target's seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.run import FUZZED
from tests.fuzz.targets import TARGETS

KEPT = sorted(path for path in FUZZED.rglob("*") if path.is_file() and path.name != "README.md")


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_is_not_found_again(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds_and_nothing(name: str) -> None:
    found = TARGETS[name]
    seeds = found.seeds()
    assert seeds or name.startswith("rop"), "nothing to start from"
    for seed in [b"", *seeds[:40]]:
        found.run(seed[: found.longest])
