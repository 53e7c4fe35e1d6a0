"""`ocpy access`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from openchange_py.addressbook.base import Kind, may_open_mailbox
from tests.cli.commands import Installation


def may_open(installation: Installation, caller: str, mailbox: str) -> bool:
    with closing(installation.directory()) as directory:
        return may_open_mailbox(directory, installation.entry(caller), installation.entry(mailbox))


def test_grant_and_revoke_decide_who_may_open_the_mailbox(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice", "bob")
    assert not may_open(installation, "bob", "alice")
    installation.ok("access", "alice", "--grant", "bob")
    assert may_open(installation, "bob", "alice")
    assert not may_open(installation, "alice", "bob")
    shown = json.loads(installation.ok("access", "alice", "--json"))
    assert [holder["account"] for holder in shown["full_access"]] == ["bob"]
    installation.ok("access", "alice", "--revoke", "bob")
    assert not may_open(installation, "bob", "alice")
    assert "Nobody but alice" in installation.ok("access", "alice")


def test_an_unknown_account_changes_nothing(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice", "bob")
    assert "no account carol" in installation.fails("access", "alice", "--grant", "bob", "--grant", "carol")
    assert "Nobody" in installation.ok("access", "alice")


def test_an_account_without_exchange_attributes_is_granted_nothing(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    directory = installation.directory()
    directory.create(Kind.USER, "service", {"displayName": ["Service"]})
    directory.close()
    assert "no Exchange attributes" in installation.fails("access", "alice", "--grant", "service")
    assert "Nobody" in installation.ok("access", "alice")
