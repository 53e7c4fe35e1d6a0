"""`ocpy import`."""

from __future__ import annotations

import json
from pathlib import Path

from openchange_py.resources import setup_path
from tests.cli.commands import Installation
from tests.conftest import shared_path


def test_the_sample_mailbox_is_imported(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    samples = len(list((setup_path() / "sample-mailbox").glob("*.eml")))
    report = json.loads(installation.ok("import", "alice", str(setup_path() / "sample-mailbox"), "--json"))
    assert report == {"imported": samples, "refused": []}


def test_a_real_mbox_is_imported_message_by_message(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    assert "29 messages imported into Drafts of alice" in installation.ok(
        "import", "alice", str(shared_path("mail/list.mbox")), "--folder", "Drafts"
    )


def test_what_cannot_be_imported_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    (tmp_path / "good.eml").write_bytes(b"Subject: good\r\n\r\nbody\r\n")
    (tmp_path / "empty.eml").write_bytes(b"")
    result = installation.run("import", "alice", str(tmp_path / "empty.eml"), str(tmp_path / "good.eml"))
    assert result.exit_code == 1
    assert "empty.eml: not imported:" in result.stderr
    assert "1 messages imported" in result.stdout


def test_no_mailbox_and_no_folder_say_what_to_do(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    mail = tmp_path / "mail.eml"
    mail.write_bytes(b"Subject: x\r\n\r\ny\r\n")
    assert "newuser --create" in installation.fails("import", "nobody", str(mail))
    assert "Nowhere" in installation.fails("import", "alice", str(mail), "--folder", "Nowhere")
