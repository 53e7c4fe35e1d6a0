"""`ocpy newuser`."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.auth.ntlm_crypto import nt_hash
from openchange_py.store.base import NoSuchObject, SpecialFolder
from openchange_py.store.source import open_store
from tests.cli.commands import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path).provisioned()


def test_create_puts_the_exchange_attributes_on_the_account(installation: Installation) -> None:
    installation.ok(
        "newuser", "--create", "alice", "--mail", "a.liddell@example.test", "--display-name", "Alice", stdin="pw\n"
    )
    entry = installation.entry("alice")
    assert entry.legacy_exchange_dn.endswith("/cn=Recipients/cn=alice")
    assert entry.all("proxyAddresses") == [
        "SMTP:a.liddell@example.test",
        "X400:C=US;A= ;P=First Organizati;O=First Administrative Group;S=alice;",
    ]
    assert entry.first("homeMDB") == entry.first("msExchHomeServerName") + "/cn=Microsoft Private MDB"
    assert entry.display_name == "Alice"
    assert entry.mailbox_guid is not None
    account = installation.directory().account("alice")
    assert account is not None
    assert account.nt_hash == nt_hash("pw")


def test_the_mail_address_comes_from_the_domain_of_the_configuration(installation: Installation) -> None:
    installation.ok("newuser", "--create", "bob", stdin="pw\n")
    assert installation.entry("bob").first("mail") == "bob@example.test"


def test_mailbox_makes_the_special_folders_and_may_be_repeated(installation: Installation) -> None:
    installation.ok("newuser", "--create", "alice", stdin="pw\n")
    assert "created" in installation.ok("newuser", "--mailbox", "alice")
    assert "there already" in installation.ok("newuser", "--mailbox", "alice")
    store = open_store(f"sqlite:///{installation.place}/data/mailboxes.db")
    guid = installation.entry("alice").mailbox_guid
    assert guid is not None
    assert SpecialFolder.INBOX in store.mailbox(guid).special_folders()
    store.close()


def test_a_mailbox_needs_an_account(installation: Installation) -> None:
    assert "ocpy newuser --create nobody" in installation.fails("newuser", "--mailbox", "nobody")


def test_an_account_and_an_address_exist_once(installation: Installation) -> None:
    installation.ok("newuser", "--create", "alice", stdin="pw\n")
    assert "there already" in installation.ok("newuser", "--create", "ALICE", stdin="other\n")
    known = installation.directory().account("alice")
    assert known is not None
    assert known.nt_hash == nt_hash("pw")
    taken = installation.fails("newuser", "--create", "bob", "--mail", "alice@example.test", stdin="pw\n")
    assert "alice@example.test is alice's" in taken
    assert installation.directory().by_account("bob") is None


def test_no_password_leaves_nothing_behind(installation: Installation) -> None:
    assert "no password" in installation.fails("newuser", "--create", "alice", stdin="\n")
    assert installation.directory().by_account("alice") is None


def test_a_password_file_is_read_and_its_line_end_is_not_part_of_it(installation: Installation, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes("pÄsswörd \r\nsecond line\n".encode())
    installation.ok("newuser", "--create", "alice", "--password-file", str(secret))
    account = installation.directory().account("alice@example.test")
    assert account is not None
    assert account.nt_hash == nt_hash("pÄsswörd ")


def test_disable_and_enable(installation: Installation) -> None:
    installation.ok("newuser", "--create", "alice", stdin="pw\n")
    for action, enabled in (("--disable", False), ("--enable", True)):
        installation.ok("newuser", action, "alice")
        account = installation.directory().account("alice")
        assert account is not None
        assert account.enabled is enabled


def test_update_keeps_the_old_address_as_a_second_one(installation: Installation) -> None:
    installation.ok("newuser", "--create", "alice", stdin="pw\n")
    installation.ok("newuser", "--update", "alice", "--mail", "liddell@example.test", "--display-name", "A. L.")
    entry = installation.entry("alice")
    assert entry.all("proxyAddresses")[:2] == ["SMTP:liddell@example.test", "smtp:alice@example.test"]
    assert entry.display_name == "A. L."
    assert installation.directory().by_address("alice@example.test") is not None


def test_update_changes_the_password_only_when_asked_to(installation: Installation) -> None:
    installation.ok("newuser", "--create", "alice", stdin="old\n")
    installation.ok("newuser", "--update", "alice", "--change-password", stdin="new\n")
    account = installation.directory().account("alice")
    assert account is not None
    assert account.nt_hash == nt_hash("new")
    assert "say what to change" in installation.fails("newuser", "--update", "alice")


def test_delete_takes_account_and_mailbox(installation: Installation) -> None:
    installation.ok("newuser", "--create", "--mailbox", "alice", stdin="pw\n")
    guid = installation.entry("alice").mailbox_guid
    assert guid is not None
    assert installation.run("newuser", "--delete", "alice", stdin="n\n").exit_code != 0
    installation.ok("newuser", "--delete", "alice", "--yes")
    assert installation.directory().by_account("alice") is None
    store = open_store(f"sqlite:///{installation.place}/data/mailboxes.db")
    with pytest.raises(NoSuchObject):
        store.mailbox(guid)
    store.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["alice"], "say what to do"),
        (["--disable", "--delete", "alice"], "go together"),
        (["--create", "al/ice"], "letters, digits"),
        (["--create", "alice", "--mail", "nonsense"], "no mail address"),
    ],
)
def test_wrong_usage_says_what_is_right(installation: Installation, arguments: list[str], words: str) -> None:
    assert words in installation.fails("newuser", *arguments)


def test_before_provision_it_says_so(tmp_path: Path) -> None:
    assert "ocpy provision" in Installation.make(tmp_path).fails("newuser", "--create", "alice", stdin="pw\n")


def test_an_account_whose_password_another_checks(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned()
    installation.ok("newuser", "--create", "--mailbox", "--no-password", "alice")
    directory = installation.directory()
    try:
        account = directory.account("alice")
    finally:
        directory.close()
    assert account is not None
    assert account.enabled
    assert account.nt_hash is None
    error = installation.fails("newuser", "--create", "--no-password", "--password-file", "/dev/null", "bob")
    assert "contradict" in error


def test_a_machine_has_an_account_too(installation: Installation) -> None:
    """As a relay that logs on with its machine account needs one at the server behind it."""
    assert "cn=proxy$" in installation.ok("newuser", "--create", "--hidden", "--no-password", "PROXY$").lower()
    assert "at the end $ of a machine" in installation.fails("newuser", "--create", "--no-password", "PRO$XY")
