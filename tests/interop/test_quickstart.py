"""`./setup/quickstart`: twice in a row with `--check`, and serving until somebody stops it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.interop.nodes import PATIENCE, environment, ocpy

#: Needs no node of others: another worker's work.
pytestmark = pytest.mark.xdist_group("quickstart")

ALLOWED_SECONDS = 90


def command(*arguments: str | Path) -> list[str]:
    """The script where its environment is installed, as by ./setup/test; otherwise what it runs after installing."""
    stamp = Path(sys.prefix) / ".openchange-py-installed"
    installed = stamp.exists() and f" {ROOT}" in stamp.read_text("utf-8")
    start = [str(ROOT / "setup" / "quickstart")] if installed else [sys.executable, "-m", "openchange_py", "quickstart"]
    return [*start, *map(str, arguments)]


def variables() -> dict[str, str]:
    return environment() | {"OCPY_VENV": sys.prefix, "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of all tests here: what was set up once is found by the next."""
    folder = tmp_path_factory.mktemp("quickstart")
    yield folder
    left = processes(folder)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def processes(folder: Path) -> list[int]:
    """Those that have something below the folder among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def check(place: Path) -> str:
    """`--check` with exit code 0, in time, and nothing running behind it; its transcript."""
    started = time.monotonic()
    arguments = command("--check", "--directory", place)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=ALLOWED_SECONDS, env=variables())
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < ALLOWED_SECONDS
    assert processes(place) == []
    return done.stdout


class Serving:
    """A quickstart that serves."""

    def __init__(self, place: Path) -> None:
        self.process = subprocess.Popen(
            command("--directory", place),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=variables(),
            # A shell's background jobs ignore Ctrl-C, and would have this ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.said = ""

    def wait_until_serving(self) -> None:
        """It has told all, and that it serves."""
        deadline = time.monotonic() + PATIENCE
        assert self.process.stdout is not None
        while "Serving until Ctrl-C." not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert chunk, f"it does not serve:\n{self.said}"
            self.said += chunk.decode()

    def ended(self) -> int:
        """Its exit code; the rest of what it says is in `said`."""
        self.said += self.process.communicate(timeout=PATIENCE)[0].decode()
        return self.process.returncode


@contextlib.contextmanager
def serving(place: Path) -> Iterator[Serving]:
    started = Serving(place)
    try:
        started.wait_until_serving()
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.ended()


def test_check_twice(place: Path) -> None:
    first, second = check(place), check(place)
    for transcript in (first, second):
        for step in (
            "RFR:     the address book server is ",
            "NSPI:    'alice' is Alice Example <alice@example.test>, /o=",
            "EMSMDB:  logged on to mailbox ",
            "EMSMDB:  folders: ",
            "Inbox:   9. Welcome to your mailbox, from Postmaster",
            "Read:    'Seed list for spring'",
            "attachment all bytes.bin: 2048 bytes, identical to the mail's",
            "within it: 'Roof: two offers'",
            "Everything that came back was right.",
        ):
            assert step in transcript
        assert "Traceback" not in transcript
    assert "9 messages imported into Inbox of alice" in first
    assert "imported" not in second
    assert "there already" in second


def assert_private(place: Path, description: dict[str, Any], said: str) -> None:
    """Nobody else reads what is kept, and neither configuration nor log nor transcript shows a password."""
    private = ["exchange/smb.conf", "hybrid/smb.conf", "quickstart.json", "passwords.json"]
    assert {stat.S_IMODE((place / name).stat().st_mode) for name in private} == {0o600}
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    passwords = json.loads(Path(description["passwords"]).read_text("utf-8"))
    texts = [said]
    for node in description["nodes"].values():
        config = Path(node["config"])
        texts += [config.read_text("utf-8"), (config.parent / "serve.log").read_text("utf-8")]
    assert not [name for name, password in passwords.items() for text in texts if password in text]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_until_it_is_stopped(place: Path, number: signal.Signals) -> None:
    with serving(place) as started:
        description = json.loads((place / "quickstart.json").read_text("utf-8"))
        assert set(description["nodes"]) == {"exchange", "hybrid"}
        assert [account["name"] for account in description["accounts"]] == ["alice", "bob", "relay"]
        assert str(description["nodes"]["hybrid"]["rpc"]["port"]) in started.said
        assert_private(place, description, started.said)
        # The commands that it shows work as they stand.
        (shown,) = [line.split() for line in started.said.splitlines() if line.endswith(" resolve bob")]
        assert "bob@example.test" in ocpy(*shown[1:]).stdout
        started.process.send_signal(number)
        assert started.ended() == 0
        assert "Stopping." in started.said
        assert "Traceback" not in started.said
    assert processes(place) == []
    assert list(place.glob("*/endpoints.json")) == []


def test_one_at_a_time_and_after_kill_9(place: Path) -> None:
    """While one serves, another says so and leaves it alone. One that was killed is cleared away by the next."""
    with serving(place) as started:
        second = subprocess.run(
            command("--check", "--directory", place), capture_output=True, text=True, timeout=60, env=variables()
        )
        assert second.returncode != 0
        assert f"a quickstart is running in {place} already" in second.stderr
        assert started.process.poll() is None
        started.process.kill()
        started.process.wait(PATIENCE)
        assert processes(place), "its nodes outlive it"
        check(place)
