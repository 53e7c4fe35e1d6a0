"""`ocpy serve` as a process: when it is ready, how it ends, and what it says when it can't start."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.cli.serve import allow_open_files, ready_process, remove_ready_file, write_ready_file
from tests.cli.commands import Installation
from tests.interop.nodes import Node, ocpy


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path).provisioned()


@pytest.fixture
def node(installation: Installation) -> Iterator[Node]:
    """What runs `ocpy serve`, and lets nothing run on behind the test."""
    made = Node("node", installation.conf)
    yield made
    made.abandon()


def can_connect(node: Node, port: int) -> bool:
    with socket.socket() as probe:
        outcome = probe.connect_ex((node.host, port))
    assert outcome in (0, errno.ECONNREFUSED)
    return outcome == 0


def test_the_ready_file_is_there_when_everything_listens(node: Node) -> None:
    node.start()
    node.wait_until_ready()
    assert can_connect(node, node.rpc_port)
    assert can_connect(node, node.mapper_port)
    assert node.ready["pid"] == node._running().pid
    assert node.ready["interfaces"]["exchange_emsmdb"] == {"server": "emsmdb"}
    assert node.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(node: Node, number: signal.Signals) -> None:
    node.start()
    node.wait_until_ready()
    os.kill(node.ready["pid"], number)
    assert node._ended(node._running()) == 0
    assert not node.ready_file.exists(), "it says that somebody listens"
    assert not can_connect(node, node.rpc_port)
    assert "Traceback" not in "\n".join(node.log.lines)
    node.log.wait_for("INFO openchange_py.cli.serve: stopping")


def test_the_log_says_where_it_listens_and_who_answers(node: Node) -> None:
    node.start()
    node.wait_until_ready()
    node.stop()
    node.log.wait_for(rf"listening on 127\.0\.0\.1 port {node.rpc_port}: .*exchange_emsmdb")
    node.log.wait_for("exchange_nsp: local server nspi")


def test_a_log_file_takes_everything(installation: Installation, tmp_path: Path) -> None:
    with installation.conf.open("a") as conf:
        conf.write(f"    log file = {tmp_path}/serve.log\n")
    node = Node("node", installation.conf)
    try:
        node.start()
        node.wait_until_ready()
        node.stop()
    finally:
        node.abandon()
    assert node.log.lines == []
    assert "listening on" in (tmp_path / "serve.log").read_text("utf-8")
    assert not (tmp_path / "serve.log").stat().st_mode & stat.S_IROTH


def refused(installation: Installation, *options: str | Path) -> str:
    """Run it where it can't start: exit code 1, and the one line that it says."""
    done = ocpy("serve", "-c", installation.conf, *options, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("2")]  # but the log's
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("ocpy: error: ")
    return lines[0].removeprefix("ocpy: error: ")


def test_a_configuration_that_is_wrong(installation: Installation, tmp_path: Path) -> None:
    with installation.conf.open("a") as conf:
        conf.write("    ocpy:rpc port = many\n")
    said = refused(installation, "--ready-file", tmp_path / "ready")
    assert said.startswith(f"{installation.conf}:11: ocpy:rpc port: ")
    assert not (tmp_path / "ready").exists()


def test_a_port_in_use_is_told_as_by_the_event_loop_of_production(installation: Installation, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with installation.conf.open("a") as conf:
            conf.write(f"    ocpy:rpc port = {other.getsockname()[1]}\n")
        said = refused(installation, "--ready-file", tmp_path / "ready")
    assert "another program (Samba's endpoint mapper, perhaps) has it: give one of both another address" in said
    assert not (tmp_path / "ready").exists()


def test_before_provision_it_says_which_command_comes_first(tmp_path: Path) -> None:
    assert "run `ocpy provision`" in refused(Installation.make(tmp_path))


def test_a_ready_file_that_can_not_be_written_ends_it(installation: Installation, tmp_path: Path) -> None:
    """Who waits for the file would wait forever."""
    assert "No such file or directory" in refused(installation, "--ready-file", tmp_path / "none" / "ready")


def test_a_log_file_that_can_not_be_written_ends_it(installation: Installation, tmp_path: Path) -> None:
    with installation.conf.open("a") as conf:
        conf.write(f"    log file = {tmp_path}/none/serve.log\n")
    assert refused(installation) == f"{tmp_path}/none/serve.log: No such file or directory"


def test_a_ready_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    path.write_text("an older one, much longer than the one that comes now" * 10)
    write_ready_file(path, {"pid": os.getpid()})
    assert json.loads(path.read_text()) == {"pid": os.getpid()}
    assert os.listdir(tmp_path) == ["ready"], "nothing is left beside it"


def test_a_server_that_ends_late_leaves_its_successors_ready_file(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    write_ready_file(path, {"pid": os.getpid() + 1})
    remove_ready_file(path)
    assert path.exists()
    write_ready_file(path, {"pid": os.getpid()})
    remove_ready_file(path)
    assert not path.exists()
    remove_ready_file(path)
    remove_ready_file(None)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"pid": null}', b'{"pid": "many"}', b"7", b"\xff"])
def test_a_ready_file_that_is_none_is_about_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ready").write_bytes(content)
    assert ready_process(tmp_path / "ready") is None


def test_no_link_is_followed_where_the_ready_file_is_made(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".ready.json.{os.getpid()}").symlink_to(victim)
    write_ready_file(tmp_path / "ready.json", {"pid": 1})
    assert victim.read_text() == "precious"
    assert json.loads((tmp_path / "ready.json").read_text()) == {"pid": 1}


def test_as_many_files_may_be_open_as_connections_need(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = [(1024, 20_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    allow_open_files(100)
    assert limits == [(1024, 20_000)]
    allow_open_files(1000)
    assert limits[1:] == [(4256, 20_000)]
    assert not caplog.text
    allow_open_files(100_000)
    assert limits[2:] == [(20_000, 20_000)]
    assert "400256 are needed" in caplog.text
