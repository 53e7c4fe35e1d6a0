"""Who may connect as whom and open which mailbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Directory, Entry, Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.auth.identity import NotAuthorized, caller_entry, may_open, may_use_dn
from openchange_py.rpc.security import ANONYMOUS, Identity
from tests.mailboxes import exchange_attributes

ORGANIZATION = Organization("Example", "First")
ALICE, BOB, RELAY, NOBODY = map(ORGANIZATION.recipient_dn, ("alice", "bob", "relay", "nobody"))
Check = Callable[[Directory, Identity, str], Entry]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """A directory of alice, who gave the relay's account full access, bob, and that account."""
    path: Path = tmp_path_factory.mktemp("directory")
    url = f"sqlite:///{path}/directory.db"
    upgrade(url)
    embedded = EmbeddedDirectory(url)
    embedded.provision(ORGANIZATION, "EXCH1")
    for name in ("alice", "bob", "relay"):
        attributes = exchange_attributes(ORGANIZATION, "EXCH1", name, f"{name}@example.test", name.title())
        entry = embedded.create(Kind.USER, name, attributes)
        if name == "alice":
            alice = entry
        if name == "relay":
            embedded.change_full_access(alice, [entry])
    yield embedded
    embedded.close()


@pytest.mark.parametrize("check", [may_use_dn, may_open])
@pytest.mark.parametrize(
    ("account", "dn"), [("alice", ALICE), ("Alice", ALICE.upper()), ("bob", BOB), ("relay", ALICE), ("relay", RELAY)]
)
def test_allowed(directory: Directory, check: Check, account: str, dn: str) -> None:
    found = check(directory, Identity(account, "EXAMPLE"), dn)
    assert found.legacy_exchange_dn.casefold() == dn.casefold()


@pytest.mark.parametrize("check", [may_use_dn, may_open])
@pytest.mark.parametrize(
    ("identity", "dn", "reason"),
    [
        (Identity("bob", "EXAMPLE"), ALICE, "neither owner nor given full access"),
        (Identity("alice", "EXAMPLE"), RELAY, "neither owner nor given full access"),
        (Identity("relay", "EXAMPLE"), BOB, "neither owner nor given full access"),
        (Identity("alice", "EXAMPLE"), NOBODY, "no such entry"),
        (Identity("alice", "EXAMPLE"), "", "no such entry"),
        (Identity("ghost", "EXAMPLE"), ALICE, "not in the directory, or disabled"),
        (ANONYMOUS, ALICE, "anonymous"),
    ],
)
def test_refused(directory: Directory, check: Check, identity: Identity, dn: str, reason: str) -> None:
    with pytest.raises(NotAuthorized, match=reason) as error:
        check(directory, identity, dn)
    assert str(identity) in str(error.value)
    assert repr(dn) in str(error.value)


def test_caller_entry(directory: Directory) -> None:
    found = caller_entry(directory, Identity("alice"))
    assert found is not None
    assert found.legacy_exchange_dn == ALICE
    assert caller_entry(directory, Identity("ghost")) is None
    assert caller_entry(directory, ANONYMOUS) is None


def test_a_disabled_account_may_do_nothing_more(directory: Directory) -> None:
    bob = directory.by_account("bob")
    assert bob is not None
    directory.set_enabled(bob, False)
    try:
        for check in (may_use_dn, may_open):
            with pytest.raises(NotAuthorized, match="disabled"):
                check(directory, Identity("bob", "EXAMPLE"), BOB)
    finally:
        directory.set_enabled(bob, True)
    assert may_open(directory, Identity("bob", "EXAMPLE"), BOB).guid == bob.guid
