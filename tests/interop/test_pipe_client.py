"""`ocpy client --transport np` as a process, through Samba's smbd. To a proxy: `test_pipe_relay.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.nodes import PATIENCE, environment, ocpy
from tests.interop.smbd import USER, require_smbd, running_smbd
from tests.node import RunningNode, add_user, node_in_thread

pytestmark = pytest.mark.xdist_group("smbd")


@pytest.fixture(scope="module")
def smb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, RunningNode]]:
    """smbd's address, and the node whose pipes it hands over."""
    require_smbd()
    place = tmp_path_factory.mktemp("p")
    options = [f"ncalrpc dir = {place}/ncalrpc", "ocpy:named pipes = samba", "ocpy:minimum auth level = integrity"]
    with running_smbd(place) as address, node_in_thread(place, options=options) as node:
        # One account logs on at smbd and here.
        add_user(node.directory, node.store, USER, "Daemon Example")
        yield address, node


def client(smb: tuple[str, RunningNode], *arguments: str, password: Path | None = None, check: bool = True) -> Any:
    """What `ocpy client` says."""
    address, node = smb
    where = ["--server", address, "--transport", "np", "--user", USER]
    secret = password or node.password_file(USER)
    return ocpy("client", *where, "--password-file", secret, *arguments, check=check)


def test_folders_and_address_book(smb: tuple[str, RunningNode]) -> None:
    folders = json.loads(client(smb, "folders", "--json").stdout)
    assert "Inbox" in {folder["name"] for folder in folders}
    found = json.loads(client(smb, "list", "--json").stdout)
    assert {"alice", "bob", USER} <= {entry["account"] for entry in found}


@pytest.mark.parametrize("more", [["--level", "integrity"], ["--spnego"]])
def test_a_message_is_saved_and_read(smb: tuple[str, RunningNode], tmp_path: Path, more: list[str]) -> None:
    letter, body = tmp_path / "letter.eml", "a line of a letter\n" * 10_000
    letter.write_text(f"Subject: over a pipe\nFrom: alice@example.test\n\n{body}")
    client(smb, *more, "put", str(letter), "--folder", "Inbox")
    said = client(smb, *more, "read", "--number", "1").stdout
    assert "over a pipe" in said
    assert said.count("a line of a letter") == 10_000, "many fragments each way"


def test_new_mail_is_told_of_on_a_second_pipe(smb: tuple[str, RunningNode], tmp_path: Path) -> None:
    address, node = smb
    where = ["client", "--server", address, "--transport", "np", "--user", USER]
    account = ["--password-file", str(node.password_file(USER))]
    watch = ["watch", "--on", "created", "--count", "1", "--seconds", str(PATIENCE), "--json"]
    letter = tmp_path / "letter.eml"
    letter.write_text("Subject: to watch\nFrom: alice@example.test\n\n.\n")
    command = [sys.executable, "-m", "openchange_py", *where, *account, *watch]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "watching\n"
        client(smb, "put", str(letter), "--folder", "Inbox")
        said, trouble = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, trouble
    assert json.loads(said)["event"] == "created"


def test_a_wrong_password(smb: tuple[str, RunningNode], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("Gu3ss-1\n")
    done = client(smb, "folders", password=wrong, check=False)
    assert done.returncode == 1
    assert "SMB refused the logon: LOGON_FAILURE" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Gu3ss" not in done.stderr
