"""Fixtures and places that many tests share."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
#: Recorded traffic and real mail, beside the checkout; never copied in.
SHARED = ROOT.parent / "shared"


def shared_path(name: str) -> Path:
    """A file or folder of the shared material; skips the test, loudly, where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"no shared/{name} beside the checkout: this test reads recorded traffic or real mail there")
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the shared material."""
    return shared_path(".")


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a .jsonl or .jsonl.gz file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
