"""`ocpy deliver`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openchange_py.store.base import Mailbox
from openchange_py.store.source import open_store
from openchange_py.wire import proptags as p
from tests.cli.commands import Installation

MAIL = "From: Bob <bob@example.test>\nTo: alice@example.test\nSubject: hello\n\nbody\n"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path, "    ocpy:max message size = 1000\n").provisioned("alice")


def subjects(installation: Installation, folder: str = "Inbox") -> list[str]:
    """Of alice's messages."""
    store = open_store(f"sqlite:///{installation.place}/data/mailboxes.db")
    try:
        guid = installation.entry("alice").mailbox_guid
        assert guid is not None
        mailbox: Mailbox = store.mailbox(guid)
        ids = mailbox.message_ids(mailbox.folder_by_path(folder).id)
        return [row[p.PidTagSubject] for row in mailbox.message_rows(ids, [p.PidTagSubject])]
    finally:
        store.close()


@pytest.mark.parametrize(
    "user", ["alice", "ALICE", "alice@example.test", "alice+lists@example.test", "Alice+a+b@EXAMPLE.test"]
)
def test_mail_is_delivered_to_an_account_or_its_address(installation: Installation, user: str) -> None:
    assert installation.ok("deliver", "-f", "bob@example.test", user, stdin=MAIL) == ""
    assert subjects(installation) == ["hello"]


def test_a_folder_may_be_named(installation: Installation) -> None:
    installation.ok("deliver", "alice", "--folder", "Drafts", "-r", stdin=MAIL)
    assert (subjects(installation), subjects(installation, "Drafts")) == ([], ["hello"])


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "reason"),
    [
        (["nobody"], MAIL, os.EX_NOUSER, "nobody has no mailbox here"),
        (["nobody@example.test"], MAIL, os.EX_NOUSER, "nobody@example.test has no mailbox here"),
        (["alice"], "", os.EX_DATAERR, "it is empty"),
        (["alice"], MAIL + "x" * 1000, os.EX_DATAERR, "more than 1000 bytes"),
        (["alice", "--folder", "Nowhere"], MAIL, os.EX_CANTCREAT, "no folder 'Nowhere'"),
        (["alice", "-f", "a@b\nBcc: x"], MAIL, os.EX_USAGE, "is no sender"),
        (["alice", "-f", "x" * 400], MAIL, os.EX_USAGE, "is no sender"),
        ([], MAIL, os.EX_USAGE, "Missing argument"),
        (["alice", "--bogus"], MAIL, os.EX_USAGE, "No such option"),
    ],
)
def test_exit_codes(installation: Installation, arguments: list[str], stdin: str, code: int, reason: str) -> None:
    result = installation.run("deliver", *arguments, stdin=stdin)
    assert (result.exit_code, result.exception.__class__) == (code, SystemExit)
    assert reason in result.stderr
    assert subjects(installation) == []


def test_what_the_sender_can_not_put_right_is_tried_again(installation: Installation) -> None:
    """Without a database, and without a configuration: mail must not bounce for that."""
    (installation.place / "data" / "mailboxes.db").rename(installation.place / "elsewhere.db")
    result = installation.run("deliver", "alice", stdin=MAIL)
    assert (result.exit_code, "there is no mailbox database" in result.stderr) == (os.EX_TEMPFAIL, True)
    installation.conf.write_text("[global]\n    ocpy:max message size = many\n")
    result = installation.run("deliver", "alice", stdin=MAIL)
    assert (result.exit_code, "ocpy:max message size" in result.stderr) == (os.EX_TEMPFAIL, True)


def test_a_contact_and_an_account_without_its_mailbox_have_none(installation: Installation) -> None:
    installation.ok("newuser", "--create", "carol", stdin="carol-secret\n")
    assert installation.run("deliver", "carol", stdin=MAIL).exit_code == os.EX_NOUSER
