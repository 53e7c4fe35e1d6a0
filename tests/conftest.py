"""Fixtures and places that many tests share."""

from __future__ import annotations

import gzip
import json
import logging
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


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """What a command did to the log of this process (`ocpy serve` sets levels and handlers) ends with its test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "openchange_py" and isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def exchange_dc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Samba domain controller with Exchange's schema. What uses it is marked `xdist_group("exchange_dc")`."""
    from tests.interop.exchange_dc import running_exchange_dc
    from tests.interop.samba_dc import missing

    if reason := missing():
        pytest.skip(f"no Samba domain controller: {reason}")
    with running_exchange_dc(tmp_path_factory.mktemp("exchange_dc")) as running:
        yield running


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
