"""Who may connect as whom and open which mailbox."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from openchange_py.addressbook.base import FULL_ACCESS_ATTRIBUTE, DisplayType, Entry, MinimalEntryId
from openchange_py.auth.identity import NotAuthorized, caller_entry, may_open, may_use_dn
from openchange_py.rpc.security import ANONYMOUS, Identity

PREFIX = "/o=Example/ou=First/cn=Recipients/cn="
ALICE, BOB, RELAY = PREFIX + "alice", PREFIX + "bob", PREFIX + "relay"


def entry(number: int, account: str, *full_access: str) -> Entry:
    attributes = {FULL_ACCESS_ATTRIBUTE: list(full_access)}
    dn = PREFIX + account
    return Entry(uuid.UUID(int=number), MinimalEntryId(number), DisplayType.MAILUSER, dn, account, account, attributes)


class People:
    """A directory of alice, who gave the relay's account full access, bob, and that account."""

    def __init__(self) -> None:
        self._entries = [entry(1, "alice", RELAY.upper()), entry(2, "bob"), entry(3, "relay")]

    def by_account(self, account: str) -> Entry | None:
        return next((entry for entry in self._entries if entry.account == account.casefold()), None)

    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None:
        wanted = legacy_exchange_dn.casefold()
        return next((entry for entry in self._entries if entry.legacy_exchange_dn.casefold() == wanted), None)


DIRECTORY: Any = People()
Check = Callable[[Any, Identity, str], Entry]


@pytest.mark.parametrize("check", [may_use_dn, may_open])
@pytest.mark.parametrize(
    ("account", "dn"), [("alice", ALICE), ("Alice", ALICE.upper()), ("bob", BOB), ("relay", ALICE), ("relay", RELAY)]
)
def test_allowed(check: Check, account: str, dn: str) -> None:
    found = check(DIRECTORY, Identity(account, "EXAMPLE"), dn)
    assert found.legacy_exchange_dn.casefold() == dn.casefold()


@pytest.mark.parametrize("check", [may_use_dn, may_open])
@pytest.mark.parametrize(
    ("identity", "dn", "reason"),
    [
        (Identity("bob", "EXAMPLE"), ALICE, "neither owner nor given full access"),
        (Identity("alice", "EXAMPLE"), RELAY, "neither owner nor given full access"),
        (Identity("relay", "EXAMPLE"), BOB, "neither owner nor given full access"),
        (Identity("alice", "EXAMPLE"), PREFIX + "nobody", "no such entry"),
        (Identity("alice", "EXAMPLE"), "", "no such entry"),
        (Identity("ghost", "EXAMPLE"), ALICE, "no entry in the directory"),
        (ANONYMOUS, ALICE, "anonymous"),
    ],
)
def test_refused(check: Check, identity: Identity, dn: str, reason: str) -> None:
    with pytest.raises(NotAuthorized, match=reason) as error:
        check(DIRECTORY, identity, dn)
    assert str(identity) in str(error.value)
    assert repr(dn) in str(error.value)


def test_caller_entry() -> None:
    found = caller_entry(DIRECTORY, Identity("alice"))
    assert found is not None
    assert found.legacy_exchange_dn == ALICE
    assert caller_entry(DIRECTORY, Identity("ghost")) is None
    assert caller_entry(DIRECTORY, ANONYMOUS) is None
