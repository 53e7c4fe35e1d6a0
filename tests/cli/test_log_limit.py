"""Who makes the log long: so many lines about one client, and then how many more there were."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.cli import log_limit
from openchange_py.cli.log_limit import LineLimit
from openchange_py.cli.logs import JsonFormatter, finish_log, start_log
from openchange_py.config import load
from openchange_py.rpc.log_context import LogFields, set_log_context
from tests.auth.clock import Clock


class About:
    """A connection, as lines are about."""

    def __init__(self, peer: str = "192.0.2.7:1", account: str = "anonymous") -> None:
        self.peer = peer
        self.account = account

    def log_fields(self) -> LogFields:
        return {"peer": self.peer, "account": self.account}

    def __str__(self) -> str:
        return self.peer


class Kept(logging.Handler):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.entries: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.entries.append(json.loads(JsonFormatter().format(record)))


class Site:
    """A log with a limit of three lines."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.handler = Kept()
        self.limit = LineLimit(3, clock=self.clock)
        self.handler.addFilter(self.limit)
        self.logger = logging.getLogger("openchange_py")

    def log(self, text: str, about: object = "", *, part: str = "transports.tcp", level: int = logging.WARNING) -> None:
        logging.getLogger(f"openchange_py.{part}").log(level, "%s %s", about, text)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    before, level = made.logger.propagate, made.logger.level
    made.logger.addHandler(made.handler)
    made.logger.propagate = False
    made.logger.setLevel(logging.DEBUG)
    yield made
    made.logger.removeHandler(made.handler)
    made.logger.propagate = before
    made.logger.setLevel(level)


def test_more_than_enough_is_counted_and_told(site: Site) -> None:
    for number in range(100):
        site.log(f"line {number}", About(f"192.0.2.7:{number}"))
    assert site.handler.lines == [
        "192.0.2.7:0 line 0",
        "192.0.2.7:1 line 1",
        "192.0.2.7:2 line 2",
        "more lines about 192.0.2.7 (anonymous) than 3 a minute are left out",
    ]
    site.clock.now += 61
    site.log("again", About())
    assert site.handler.lines[4:] == ["97 lines about 192.0.2.7 (anonymous) were left out", "192.0.2.7:1 again"]


def test_others_and_lines_about_nobody_are_written(site: Site) -> None:
    for _ in range(5):
        site.log("flood", About())
    site.handler.lines.clear()
    site.log("1", About("192.0.2.8:1"))
    site.log("2", About(account="EXAMPLE\\alice"))
    site.log("3")
    site.log("4", About(), level=logging.DEBUG)
    site.log("5", About(), part="proxy.printing", level=logging.INFO)
    assert [line[-1] for line in site.handler.lines] == ["1", "2", "3", "4", "5"]
    site.log("6", About())
    assert len(site.handler.lines) == 5


def test_the_call_in_hand_says_who_it_is_about(site: Site) -> None:
    """And the lines of the limit itself are about nobody, whoever's line comes next."""

    def work() -> None:
        set_log_context(About("[2001:db8::1]:7"))
        for _ in range(9):
            site.log("flood", part="auth.accounts")
        set_log_context(About("192.0.2.9:7"))
        site.clock.now += 61
        site.log("next")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(site.handler.lines) == 6
    assert site.handler.lines[4] == "6 lines about 2001:db8::/64 (anonymous) were left out"
    assert [entry.get("peer") for entry in site.handler.entries[3:]] == [None, None, "192.0.2.9:7"]


def test_memory_is_bounded_and_what_is_forgotten_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_limit, "_CAPACITY", 10)
    for _ in range(5):
        site.log("flood", About())
    for number in range(100):
        site.log("line", About(f"192.0.3.{number}:1"))
    assert len(site.limit._windows) <= 10
    assert "2 lines about 192.0.2.7 (anonymous) were left out" in site.handler.lines


def test_the_end_tells_what_was_left_out(site: Site) -> None:
    for _ in range(10):
        site.log("flood", About())
    site.limit.finish()
    assert site.handler.lines[-1] == "7 lines about 192.0.2.7 (anonymous) were left out"
    site.limit.finish()
    assert len(site.handler.lines) == 5


def test_as_configured(tmp_path: Path) -> None:
    root, log = logging.getLogger(), tmp_path / "log"
    handlers, general = root.handlers[:], logging.getLogger("openchange_py")
    level = general.level
    conf = tmp_path / "smb.conf"
    settings = f"[global]\nlog file = {log}\nocpy:log lines per client = {{lines}}\ndcerpc_mapiproxy:server = yes\n"
    try:
        for lines, written in ((2, 4), (0, 20)):
            log.unlink(missing_ok=True)
            conf.write_text(settings.format(lines=lines))
            start_log(load(conf))
            for _ in range(20):
                logging.getLogger("openchange_py.test").warning("%s flood", About())
            finish_log()
            assert len(log.read_text().splitlines()) == written
    finally:
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers[:] = handlers
        general.setLevel(level)
