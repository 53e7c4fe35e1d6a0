"""The program that fetches files: what it is told, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import pytest

from openchange_py.proxy.streamcache.program import command, command_words, filled_in, run

VALUES = {"__FILE__": "/c/3f/3fa4", "__NAME__": "3f/3fa4", "__USER__": "alice", "__SIZE__": "5", "__HASH__": "ab"}


def python(code: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_marks_are_replaced_and_nothing_is_split() -> None:
    words = command_words("rsync -z --rsh='ssh -l __USER__' far:/c/__NAME__ __FILE__")
    assert filled_in(words, VALUES) == ["rsync", "-z", "--rsh=ssh -l alice", "far:/c/3f/3fa4", "/c/3f/3fa4"]
    assert filled_in(command_words("cp __FILE____SIZE__ __HASH__"), VALUES) == ["cp", "/c/3f/3fa45", "ab"]


@pytest.mark.parametrize("account", ["-e sh", "--rsh=x", "", "a b", "a;b", "__FILE__\n", "../x/y", "é"])
def test_an_account_that_could_be_taken_for_something_else(account: str) -> None:
    words = command_words("fetch __USER__ __FILE__")
    assert filled_in(words, VALUES | {"__USER__": account}) is None
    assert filled_in(command_words("fetch __FILE__"), VALUES | {"__USER__": account}) is not None


@pytest.mark.parametrize("text", ["rsync a b", "__FILE__", "cp 'a __FILE__"])
def test_commands_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        command(text)
    assert command("") == ""
    assert command("cp 'a b' __FILE__") == "cp 'a b' __FILE__", "as it is shown"


def test_it_runs_without_a_shell(tmp_path: Path) -> None:
    target = tmp_path / "a; touch b"
    target.write_text("from before")
    code = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); assert not p.exists(); p.write_bytes(b'new')"
    assert asyncio.run(run(python(code, target), target, 30.0))
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a; touch b"]


def test_what_it_says_when_it_fails_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code = "import sys; sys.stderr.write('x' * 10000 + 'no such host'); sys.exit(3)"
    assert not asyncio.run(run(python(code), tmp_path / "target", 30.0))
    assert "ended with 3" in caplog.text
    assert "no such host" in caplog.text
    assert len(caplog.text) < 1000


def test_a_program_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not asyncio.run(run(["/no/such/program", "x"], tmp_path / "target", 30.0))
    assert "No such file" in caplog.text


def test_one_that_takes_too_long_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not asyncio.run(run(python("import time; time.sleep(600)"), tmp_path / "target", 0.01))
    assert "took longer" in caplog.text


def test_what_it_started_is_killed_with_it(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "fifo = os.open(sys.argv[1], os.O_WRONLY)\n"
        "os.write(fifo, b'%d' % child.pid)\n"
        "os.close(fifo)\n"
        "time.sleep(600)\n"
    )
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def scenario() -> int:
        running = asyncio.ensure_future(run(python(code, fifo), tmp_path / "target", 600.0))
        pid = int(await asyncio.to_thread(fifo.read_text))
        running.cancel()
        await asyncio.wait([running])
        return pid

    pid = asyncio.run(scenario())
    status = Path(f"/proc/{pid}/status")
    with contextlib.suppress(FileNotFoundError):
        while "\nState:\tZ" not in status.read_text():
            time.sleep(0)
