"""`ocpy replay`: a recording of one node sent to another one, whose mailbox has other ids and other owners."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openchange_py.cli.main import ocpy
from openchange_py.mime.importer import message_draft
from openchange_py.resources import setup_path
from tests.cli.client_commands import ClientCommands
from tests.node import RunningNode, node_in_thread

MAIL = [message_draft(path.read_bytes()) for path in sorted((setup_path() / "sample-mailbox").glob("*.eml"))]


def replay(node: RunningNode, file: Path, *arguments: str, user: str = "alice") -> Result:
    return CliRunner().invoke(ocpy, ["replay", str(file), *ClientCommands(node, user).connection, *arguments])


@pytest.fixture(scope="module", params=["content", "none"])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alice looks around in her mailbox, and reads."""
    place = tmp_path_factory.mktemp("recorded")
    file = place / "recording.jsonl.gz"
    options = ["dcerpc_mapiproxy:modules = record", f"mpm_record:file = {file}"]
    options.append(f"mpm_record:anonymize = {request.param}")
    with node_in_thread(place, {"alice": MAIL}, options) as node:
        alice = ClientCommands(node)
        alice.ok("folders")
        alice.ok("messages")
        alice.ok("read", "--number", "1")
        alice.ok("list")
    return file


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """Bob has the same mail there, behind some of alice's; alice has none."""
    with node_in_thread(tmp_path_factory.mktemp("other"), {"bob": MAIL}) as node:
        yield node


def test_another_server_and_another_user_answer_the_same(recording: Path, other: RunningNode) -> None:
    done = replay(other, recording, "--json", user="bob")
    report = json.loads(done.stdout)
    assert report["differ"] == 0, [one for one in report["results"] if one["differences"]]
    assert done.exit_code == 0
    assert report["agree"] > 15
    assert report["left_out"] == 0
    assert {"NspiBind", "EcDoConnectEx", "EcDoRpcExt2", "EcDoDisconnect"} <= {one["call"] for one in report["results"]}
    text = replay(other, recording, user="bob").stdout
    assert text == f"{report['calls']} calls: {report['agree']} agree, 0 differ, 0 left out\n"


def test_a_server_that_answers_otherwise_is_told(recording: Path, other: RunningNode) -> None:
    """Alice's mailbox has no mail there: no message can be opened."""
    done = replay(other, recording)
    assert done.exit_code == 1
    differing = [line for line in done.stdout.splitlines() if "EcDoRpcExt2): expected " in line]
    assert any("expected RopOpenMessage Success, got RopOpenMessage NotFound" in line for line in differing)
    assert any(": agrees" in line for line in replay(other, recording, "--all").stdout.splitlines())


def test_what_can_go_wrong(other: RunningNode, tmp_path: Path, recording: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n")
    done = replay(other, broken)
    assert (done.exit_code, "line 1: no line of a recording" in done.stderr) == (1, True)
    assert replay(other, tmp_path / "nowhere").exit_code == 2
    password = tmp_path / "password"
    password.write_text("wrong\n")
    done = replay(other, recording, "--password-file", str(password))
    assert (done.exit_code, "refused the logon" in done.stderr) == (1, True)


def test_faults_that_differ(other: RunningNode, tmp_path: Path) -> None:
    """A recording that was tampered with: this server does answer."""
    place = tmp_path / "recorded"
    place.mkdir()
    file = place / "recording.jsonl"
    options = ["dcerpc_mapiproxy:modules = record", f"mpm_record:file = {file}"]
    with node_in_thread(place, {"alice": MAIL}, options) as node:
        ClientCommands(node).ok("list")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        if line.get("call") == "NspiBind":
            line["fault"] = "0x00000005"
    shutil.copy(file, tmp_path / "tampered.jsonl")
    (tmp_path / "tampered.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = replay(other, tmp_path / "tampered.jsonl")
    assert done.exit_code == 1
    assert "NspiBind): expected fault 0x00000005 (access denied), got an answer" in done.stdout
