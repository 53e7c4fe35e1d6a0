"""`ocpy quickstart`: what it sets up, and what it tells people and programs.

How it starts, ends and is killed as a whole is in tests/interop/test_quickstart.py.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import click
import pytest

from openchange_py.cli.quickstart import claim, default_place, set_up
from tests.cli.conftest import Quickstarted
from tests.interop.nodes import PATIENCE, environment

pytestmark = pytest.mark.xdist_group("quickstart")


class Quickstart:
    """`ocpy quickstart` as a process, and what it says."""

    def __init__(self, place: Path, *options: str) -> None:
        self.place = place
        # A file, because its nodes inherit it: at a pipe one would wait for them too.
        descriptor, self._output = tempfile.mkstemp(dir=place.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "openchange_py", "quickstart", "--directory", str(place), *options],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def said(self) -> str:
        """All of it up to now."""
        return Path(self._output).read_text("utf-8")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, not to its nodes."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Its exit code, once it ends."""
        return self._process.wait(2 * PATIENCE)

    def wait_until_serving(self) -> None:
        """It has told all, and that it serves."""
        deadline = time.monotonic() + 2 * PATIENCE
        while "Serving until Ctrl-C" not in self.said:
            assert time.monotonic() < deadline, self.said
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(0.02)
                raise AssertionError(f"it ended with exit code {code}:\n{self.said}")


def told(place: Path) -> dict[str, Any]:
    """What programs are told."""
    description: dict[str, Any] = json.loads((place / "quickstart.json").read_text("utf-8"))
    return description


def listens(description: dict[str, Any], node: str) -> bool:
    with socket.socket() as probe:
        rpc = description["nodes"][node]["rpc"]
        outcome = probe.connect_ex((rpc["host"], rpc["port"]))
    assert outcome in (0, errno.ECONNREFUSED)
    return outcome == 0


def passwords(place: Path) -> dict[str, bytes]:
    """The files of all passwords."""
    return {path.name: path.read_bytes() for path in sorted((place / "passwords").iterdir())}


def test_it_serves_and_tells_programs_where(quickstarted: Quickstarted) -> None:
    assert told(quickstarted.place) == quickstarted.description
    nodes = quickstarted.description["nodes"]
    assert listens(quickstarted.description, "exchange")
    assert listens(quickstarted.description, "hybrid")
    assert nodes["exchange"]["interfaces"]["exchange_emsmdb"] == {"server": "emsmdb"}
    assert nodes["hybrid"]["interfaces"]["exchange_nsp"] == {"server": "nspi"}
    [upstream] = nodes["hybrid"]["interfaces"]["exchange_emsmdb"]["relay"]
    assert upstream.startswith("ncacn_ip_tcp:127.0.0.1[")
    assert [account["name"] for account in quickstarted.description["accounts"]] == ["alice", "bob", "relay"]


def test_nobody_else_can_read_passwords_or_mail(quickstarted: Quickstarted) -> None:
    public = ("lock", "endpoints.json", "certificate.pem")
    secret = [path for path in quickstarted.place.rglob("*") if path.is_file() and path.name not in public]
    assert {"alice", "passwords.json", "directory.db", "mailboxes.db", "quickstart.json"} <= {p.name for p in secret}
    for path in secret:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o027, path
    for name in ("alice", "bob", "relay"):
        path = quickstarted.place / "passwords" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(path.read_text("utf-8").strip()) >= 20
    assert stat.S_IMODE((quickstarted.place / "passwords.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((quickstarted.place / "passwords").stat().st_mode) == 0o700


def test_the_passwords_for_programs_are_those_of_the_files(quickstarted: Quickstarted) -> None:
    shown = json.loads((quickstarted.place / "passwords.json").read_text("utf-8"))
    assert len(set(shown.values())) == 3
    for name, password in shown.items():
        assert (quickstarted.place / "passwords" / name).read_text("utf-8") == password + "\n"


def test_setting_up_again_keeps_everything(quickstarted: Quickstarted, capsys: pytest.CaptureFixture[str]) -> None:
    before = passwords(quickstarted.place)
    set_up(quickstarted.place)
    shown = capsys.readouterr().out
    assert "there already" in shown
    assert " import alice " not in shown, "the mail would be there twice"
    assert " --create " not in shown
    assert passwords(quickstarted.place) == before


def test_one_at_a_time(quickstarted: Quickstarted) -> None:
    with open(quickstarted.place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Quickstart(quickstarted.place) as second:
            assert second.end() == 1
            assert second.said == f"Error: a quickstart is running in {quickstarted.place} already\n"
    assert listens(quickstarted.description, "hybrid"), "the one that runs is left alone"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where a test's own quickstart is kept; nothing of it runs on behind the test."""
    yield tmp_path / "qs"
    for ready in (tmp_path / "qs").glob("*/endpoints.json"):
        os.kill(json.loads(ready.read_text("utf-8"))["pid"], signal.SIGKILL)


def test_a_check_of_mail_that_was_tampered_with_is_1(place: Path) -> None:
    with Quickstart(place, "--check") as right:
        assert right.end() == 0, right.said
    database = place / "exchange" / "data" / "mailboxes.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE messages SET normalized_subject = 'Bargain!' WHERE normalized_subject LIKE 'Seed%'")
        connection.commit()
    with Quickstart(place, "--check") as wrong:
        assert wrong.end() == 1, wrong.said
        assert "FAILED: the subjects are those of the imported mail" in wrong.said
        assert "Traceback" not in wrong.said


def test_the_commands_that_it_shows_can_be_pasted(place: Path) -> None:
    with Quickstart(place) as process:
        process.wait_until_serving()
        commands = [line.strip() for line in process.said.splitlines() if " client --endpoints " in line]
        assert len(commands) == 4
        for command in commands:
            done = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=PATIENCE
            )
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            assert done.stdout
        assert told(place)["serving"] is True
        process.send(signal.SIGTERM)
        assert process.end() == 0
        assert told(place)["serving"] is False, "programs must not look for it any more"


def test_by_default_it_is_kept_below_the_users_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_place() == tmp_path / "data" / "openchange-py" / "quickstart"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_place() == tmp_path / ".local" / "share" / "openchange-py" / "quickstart"


def test_a_directory_that_others_can_write_to_is_made_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o777)
    claim(place)
    assert place.stat().st_mode & 0o777 == 0o755
    monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 1)
    with pytest.raises(click.ClickException, match="another user's"):
        claim(place)
