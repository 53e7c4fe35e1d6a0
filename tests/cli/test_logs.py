"""Where the log goes, how much of it there is, who may read it; one entry never looks like two, and JSON entries say
what they are about.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.cli.logs import JsonFormatter, TextFormatter, printable, python_level, start_log
from openchange_py.cli.settings import load_settings
from openchange_py.config import Settings, load
from openchange_py.rpc.call import RpcFault, Session
from tests.cli.commands import Installation

EVIL = "bob\n2026-01-01 00:00:00,000 INFO openchange_py.auth: logon of root\r\x1b[2K\x85\u2028\u202e\ud800"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """The tests' own handlers and levels are back afterwards."""
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(f"openchange_py{part}") for part in ("", ".proxy", ".rpc", ".store", ".test"))]
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def root() -> logging.Logger:
    """The root logger."""
    return logging.getLogger()


def record(message: str, *args: Any, exc_info: Any = None) -> logging.LogRecord:
    return logging.LogRecord("openchange_py.rpc", logging.INFO, __file__, 1, message, args, exc_info)


def settings(place: Path, *lines: str) -> Settings:
    path = place / "smb.conf"
    path.write_text("[global]\n" + "\n".join(lines) + "\ndcerpc_mapiproxy:server = yes\n", "utf-8")
    return load(path)


def raised(error: Exception) -> Any:
    try:
        raise error
    except Exception:
        return sys.exc_info()


def test_no_name_can_forge_a_line_of_text() -> None:
    line = TextFormatter().format(record("logon of %s refused", EVIL))
    assert line.isprintable()
    assert r"bob\n2026-01-01" in line
    assert r"\x1b[2K" in line


def test_lines_of_a_traceback_can_not_begin_as_an_entry_does() -> None:
    text = TextFormatter().format(record("failed", exc_info=raised(ValueError(EVIL))))
    first, *others = text.split("\n")
    assert first.endswith("failed")
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others)


def test_json_entries_are_one_line_of_ascii_with_fields() -> None:
    session = Session("ncacn_ip_tcp", "192.0.2.7:1")
    fault = RpcFault(0x6F7, EVIL)
    line = JsonFormatter().format(record("%s: %s %s", session, fault, EVIL, exc_info=raised(fault)))
    assert line.isascii()
    assert "\n" not in line
    entry = json.loads(line)
    assert entry["session"] == session.number
    assert (entry["peer"], entry["status"]) == ("192.0.2.7:1", "0x000006f7")
    assert (entry["level"], entry["part"]) == ("info", "rpc")
    assert entry["message"].endswith(EVIL)
    assert "RpcFault" in entry["traceback"]
    assert entry["time"].endswith("+00:00")


def test_what_is_printable_stays_as_it_is() -> None:
    assert printable("Jürgen Ωmega 用户") == "Jürgen Ωmega 用户"
    assert printable("a\0b") == r"a\x00b"


@pytest.mark.parametrize(("samba", "python"), [(-1, 30), (0, 30), (1, 20), (2, 10), (10, 10), (99, 10)])
def test_levels(samba: int, python: int) -> None:
    assert python_level(samba) == python


def test_a_log_file_that_was_moved_away_is_made_again(tmp_path: Path, root: logging.Logger) -> None:
    path = tmp_path / "ocpy.log"
    configured = settings(tmp_path, f"log file = {path}", "ocpy:log format = json")
    logger = logging.getLogger("openchange_py.test")
    start_log(configured)
    logger.info("before")
    path.rename(tmp_path / "ocpy.log.1")
    start_log(configured)
    logger.info("after")
    assert len(root.handlers) == 1
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()
    for name, message in (("ocpy.log.1", "before"), ("ocpy.log", "after")):
        assert [json.loads(line)["message"] for line in (tmp_path / name).read_text().splitlines()] == [message]


def _umask() -> int:
    umask = os.umask(0o022)
    os.umask(umask)
    return umask


def test_levels_of_parts_come_and_go(tmp_path: Path, root: logging.Logger) -> None:
    part = logging.getLogger("openchange_py.rpc")
    start_log(settings(tmp_path, "log level = 0 rpc:2"))
    assert part.getEffectiveLevel() == logging.DEBUG
    start_log(settings(tmp_path, "log level = 1"))
    assert part.getEffectiveLevel() == logging.INFO


def test_a_log_file_that_can_not_be_opened_changes_nothing(tmp_path: Path, root: logging.Logger) -> None:
    start_log(settings(tmp_path, f"log file = {tmp_path}/good.log"))
    before = root.handlers[:]
    with pytest.raises(OSError):
        start_log(settings(tmp_path, f"log file = {tmp_path}/no/such/folder.log"))
    assert root.handlers == before


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
