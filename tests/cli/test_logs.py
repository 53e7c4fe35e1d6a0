"""Where the log goes, how much of it there is, and who may read it."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.cli.logs import python_level, start_log
from openchange_py.cli.settings import load_settings
from tests.cli.commands import Installation


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """The tests' own handlers and levels are back afterwards."""
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(f"openchange_py{part}") for part in ("", ".proxy", ".store"))]
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def start(place: Path, extra: str) -> Path:
    """Start the log of a configuration that has these lines too."""
    start_log(load_settings(Installation.make(place, extra).conf))
    return place / "serve.log"


def write_one_of_each(name: str) -> None:
    logger = logging.getLogger(name)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        logger.log(level, "%s of %s", logging.getLevelName(level), name)


def test_it_goes_to_standard_error_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path, "")
    write_one_of_each("openchange_py.proxy")
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 2, "log level is 1: events, no calls"
    assert lines[0].endswith("INFO openchange_py.proxy: INFO of openchange_py.proxy")


@pytest.mark.parametrize(
    ("level", "shown"), [("0", ["WARNING"]), ("1", ["INFO", "WARNING"]), ("10", ["DEBUG", "INFO", "WARNING"])]
)
def test_log_level(tmp_path: Path, level: str, shown: list[str]) -> None:
    log = start(tmp_path, f"    log level = {level}\n    log file = {tmp_path}/serve.log\n")
    write_one_of_each("openchange_py.store")
    assert [line.split()[2] for line in log.read_text("utf-8").splitlines()] == shown


def test_one_part_may_say_more_than_the_others(tmp_path: Path) -> None:
    log = start(tmp_path, f"    log level = 0 proxy:2\n    log file = {tmp_path}/serve.log\n")
    write_one_of_each("openchange_py.proxy")
    write_one_of_each("openchange_py.store")
    text = log.read_text("utf-8")
    assert "DEBUG of openchange_py.proxy" in text
    assert "INFO of openchange_py.store" not in text
    assert "WARNING of openchange_py.store" in text


def test_libraries_do_not_flood_the_log(tmp_path: Path) -> None:
    log = start(tmp_path, f"    log level = 2\n    log file = {tmp_path}/serve.log\n")
    write_one_of_each("asyncio")
    assert "DEBUG of asyncio" not in log.read_text("utf-8")


def test_a_log_names_accounts_so_that_others_may_not_read_it(tmp_path: Path) -> None:
    log = start(tmp_path, f"    log file = {tmp_path}/serve.log\n")
    assert stat.S_IMODE(log.stat().st_mode) & 0o027 == 0


def test_a_log_is_continued(tmp_path: Path) -> None:
    (tmp_path / "serve.log").write_text("before\n", "utf-8")
    log = start(tmp_path, f"    log file = {tmp_path}/serve.log\n")
    write_one_of_each("openchange_py.store")
    assert log.read_text("utf-8").startswith("before\n2")


def test_levels_beyond_the_scale() -> None:
    assert (python_level(-1), python_level(0), python_level(99)) == (logging.WARNING, logging.WARNING, logging.DEBUG)
