"""The accounts of the benchmarks' nodes, in an embedded directory that all their processes open."""

from __future__ import annotations

from pathlib import Path

from openchange_py.addressbook import migrate
from openchange_py.addressbook.base import Directory, Kind, Organization
from openchange_py.addressbook.source import open_directory
from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator, ServerNames
from openchange_py.rpc.security import AuthLevel, SecurityContext
from tests.mailboxes import exchange_attributes

DOMAIN = "EXAMPLE"
USER = "alice"
RELAY = "relay"
PASSWORD = "Secret-1"
ORGANIZATION = Organization("Example", "First")
USER_DN = ORGANIZATION.recipient_dn(USER)


def directory_url(place: Path) -> str:
    """The directory's database."""
    return f"sqlite:///{place}/directory.db"


def make_directory(place: Path) -> Directory:
    """A new directory with the client's and the relay's account, which may open the client's mailbox."""
    migrate.upgrade(directory_url(place))
    directory = open_directory(directory_url(place))
    directory.provision(ORGANIZATION, "EXCHANGE")
    for account in (USER, RELAY):
        mail, name = f"{account}@example.test", account.title()
        attributes = exchange_attributes(ORGANIZATION, "EXCHANGE", account, mail, name)
        directory.set_password(directory.create(Kind.USER, account, attributes), PASSWORD)
    user, relay = directory.by_account(USER), directory.by_account(RELAY)
    assert user is not None
    assert relay is not None
    directory.change_full_access(user, [relay])
    return directory


def authenticator(directory: Directory, name: str = "EXCHANGE") -> LocalAuthenticator:
    """Who checks the accounts' passwords."""
    return LocalAuthenticator(directory, ServerNames(name, f"{name.lower()}.example.test", DOMAIN))


def client_context(level: AuthLevel) -> SecurityContext | None:
    """The user's side of a logon; None at level NONE."""
    return None if level == AuthLevel.NONE else _context(USER, level)


def relay_context(level: AuthLevel) -> SecurityContext:
    """The relay's side of its logon at the upstream."""
    return _context(RELAY, level)


def _context(account: str, level: AuthLevel) -> SecurityContext:
    return NtlmInitiator(NtlmCredential.from_password(account, DOMAIN, PASSWORD), level=level)
