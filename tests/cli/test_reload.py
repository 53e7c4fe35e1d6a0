"""SIGHUP: what is taken from the configuration, and what is not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openchange_py.cli.node import Node, limits
from openchange_py.cli.reload import RELOADED, Reloader, changed
from openchange_py.cli.settings import load_settings
from openchange_py.config import Option, Settings
from openchange_py.proxy.assembly import minimum_levels

RELAY = """\
[global]
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[6001,seal]
    dcerpc_mapiproxy:username = relay
    dcerpc_mapiproxy:password = {password}
    log level = {level}
    ocpy:rpc port = {port}
    ocpy:max connections = {connections}
"""

Rewrite = Callable[..., None]


class Quiet(Node):
    """A node that only remembers what it was reconfigured with."""

    taken: Settings | None = None

    def reconfigure(self, settings: Settings) -> None:
        super().reconfigure(settings)
        self.taken = settings


@pytest.fixture
def rewrite(tmp_path: Path) -> Rewrite:
    def write(password: str = "one", level: int = 1, port: int = 0, connections: int = 10) -> None:
        text = RELAY.format(password=password, level=level, port=port, connections=connections)
        (tmp_path / "smb.conf").write_text(text, "utf-8")

    write()
    return write


@pytest.fixture
def node(tmp_path: Path, rewrite: Rewrite) -> Quiet:
    return Quiet(load_settings(tmp_path / "smb.conf"))


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest's handlers stay."""
    monkeypatch.setattr("openchange_py.cli.reload.start_log", lambda settings: None)


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_what_changed_is_named_and_nothing_secret_is(
    node: Quiet, rewrite: Rewrite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "openchange_py")
    reloader = Reloader(node)
    rewrite(password="S3cret", connections=20, port=6001)
    assert reloader.reload()
    assert node.taken is reloader.in_force
    assert said(caplog, logging.INFO)[1:] == [
        "dcerpc_mapiproxy:password: the new value is in force",
        "ocpy:max connections: the new value is in force",
    ]
    assert said(caplog, logging.WARNING) == ["ocpy:rpc port: the new value needs a restart"]
    assert "S3cret" not in caplog.text


def test_what_needs_a_restart_is_told_until_it_is_gone(
    node: Quiet, rewrite: Rewrite, caplog: pytest.LogCaptureFixture
) -> None:
    reloader = Reloader(node)
    for port, told in ((6001, 1), (6001, 2), (0, 2)):
        rewrite(port=port)
        assert reloader.reload()
        assert len(said(caplog, logging.WARNING)) == told


@pytest.mark.parametrize("broken", ["[global]\nocpy:max conections = 3\n", "[global]\nlog level = many\n", "nonsense"])
def test_a_wrong_configuration_changes_nothing(
    tmp_path: Path, node: Quiet, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    reloader, before = Reloader(node), node.settings
    (tmp_path / "smb.conf").write_text(broken, "utf-8")
    assert not reloader.reload()
    assert (node.taken, reloader.in_force) == (None, before)
    (line,) = said(caplog, logging.ERROR)
    assert "the configuration before stays in force" in line
    assert "smb.conf:" in line, "it tells where the error is"


def test_a_configuration_that_is_gone_changes_nothing(tmp_path: Path, node: Quiet) -> None:
    (tmp_path / "smb.conf").unlink()
    assert not Reloader(node).reload()


class Recorder(Settings):
    """Tells which options were asked for."""

    def __init__(self, settings: Settings) -> None:
        self.__dict__.update(settings.__dict__)
        self.asked: set[Option[Any]] = set()

    def __getitem__(self, option: Option[Any]) -> Any:
        self.asked.add(option)
        return super().__getitem__(option)


def test_every_limit_and_level_can_be_reloaded(node: Quiet) -> None:
    recorder = Recorder(node.settings)
    limits(recorder)
    minimum_levels(recorder)
    assert recorder.asked
    assert not [option.name for option in recorder.asked if option not in RELOADED]


def test_changed(tmp_path: Path, rewrite: Rewrite) -> None:
    before = load_settings(tmp_path / "smb.conf")
    rewrite(level=2)
    assert [option.name for option in changed(before, load_settings(tmp_path / "smb.conf"))] == ["log level"]
    assert changed(before, before) == []
