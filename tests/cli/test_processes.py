"""A node as a process of its own: it is ready, it ends, and one that was forgotten is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from openchange_py.cli.processes import ServeProcess
from openchange_py.cli.serve import write_ready_file
from tests.cli.commands import Installation
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes run this code, whatever is installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Installation.make(tmp_path).provisioned().place


def is_running(pid: int) -> bool:
    """Whether a process runs. One that ended and that nobody waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def test_it_serves_as_long_as_the_context_lasts(folder: Path) -> None:
    with ServeProcess(folder) as process:
        pid = process.ready["pid"]
        assert is_running(pid)
        assert process.ready["rpc"]["port"] > 0
        assert process.ready_file.exists()
    assert not is_running(pid)
    assert not process.ready_file.exists()
    process.stop()


def test_it_ends_when_the_context_is_left_by_an_error(folder: Path) -> None:
    process = ServeProcess(folder)
    with pytest.raises(RuntimeError), process:
        raise RuntimeError
    assert not is_running(process.ready["pid"])


def test_one_that_can_not_start_says_so_at_once(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (folder / "smb.conf").open("a") as conf:
        conf.write("    ocpy:rpc port = many\n")
    name = folder.name
    with pytest.raises(click.ClickException, match=rf"{name} did not start \(exit code 1\)"), ServeProcess(folder):
        pass
    assert "ocpy:rpc port" in capfd.readouterr().err


def test_one_that_hangs_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openchange_py.cli.processes._STOP_SECONDS", 0.01)
    process = ServeProcess(folder)
    with process:
        os.kill(process.ready["pid"], signal.SIGSTOP)
    assert not is_running(process.ready["pid"])
    assert not process.ready_file.exists()


def test_one_whose_starter_was_killed_is_stopped_by_the_next(folder: Path) -> None:
    forgotten = ServeProcess(folder)
    forgotten.__enter__()
    process = forgotten._process
    assert process is not None
    try:
        with ServeProcess(folder) as successor:
            assert process.wait(1) == 0, "it ended in order, before the next one was there"
            assert successor.ready["pid"] != process.pid
            assert successor.ready_file.exists()
    finally:
        process.kill()


def test_a_forgotten_one_that_hangs_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten = ServeProcess(folder)
    forgotten.__enter__()
    process = forgotten._process
    assert process is not None
    try:
        process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr("openchange_py.cli.processes._STOP_SECONDS", 0.05)
        with ServeProcess(folder):
            assert process.wait(1) == -signal.SIGKILL
    finally:
        process.kill()


def test_another_program_that_has_its_process_id_now_is_left_alone(folder: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        write_ready_file(folder / "endpoints.json", {"pid": other.pid})
        with ServeProcess(folder):
            assert other.poll() is None
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("content", ["[]", '{"pid": -1}'])
def test_an_old_ready_file_is_not_taken_for_the_new_one(folder: Path, content: str) -> None:
    (folder / "endpoints.json").write_text(content)
    with ServeProcess(folder) as process:
        assert is_running(process.ready["pid"])
