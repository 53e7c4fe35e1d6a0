"""A directory with people of each kind, and what asks about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.rpc.security import Identity
from openchange_py.servers.autodiscover.settings import Finder, Offer
from tests.mailboxes import exchange_attributes

ORGANIZATION = Organization("First Organization", "First Administrative Group")
ALICE, BOB = Identity("alice"), Identity("bob")
ALICE_DN = ORGANIZATION.recipient_dn("alice")
SERVER_DN = ORGANIZATION.server_dn("EXCH1")

OFFER = Offer(
    netbios="EXCH1",
    internal_host="exch1.example.test",
    external_host="mail.example.test",
    mapi_http=True,
    rpc_http=True,
    mail_domain="example.test",
)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[EmbeddedDirectory]:
    """alice and bob; ann, who is hidden; the group staff; dora, whose mailbox is elsewhere."""
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    found = EmbeddedDirectory(url)
    found.provision(ORGANIZATION, "EXCH1")
    for name, display_name in (("alice", "Alice <Ä & Co>"), ("bob", "Bob"), ("ann", "Ann"), ("dora", "Dora")):
        attributes = exchange_attributes(ORGANIZATION, "EXCH1", name, f"{name}@example.test", display_name)
        if name == "ann":
            attributes["msExchHideFromAddressLists"] = ["TRUE"]
        if name == "dora":
            attributes["targetAddress"] = ["SMTP:dora@other.test"]
        found.create(Kind.USER, name, attributes)
    group = {"displayName": ["Staff"], "mail": ["staff@example.test"], "proxyAddresses": ["SMTP:staff@example.test"]}
    found.create(Kind.GROUP, "staff", group)
    yield found
    found.close()


@pytest.fixture
def broken(directory: EmbeddedDirectory, tmp_path: Path) -> Finder:
    """One whose directory fails: its table is gone."""
    with sqlite3.connect(tmp_path / "directory.db") as connection:
        connection.execute("ALTER TABLE directory_entry RENAME TO gone")
    connection.close()
    return Finder(directory, OFFER)


@pytest.fixture
def elsewhere(directory: EmbeddedDirectory) -> Finder:
    """alice's mailbox is on EXCH2, whose host the directory tells."""
    directory.provision(ORGANIZATION, "EXCH2")
    server, alice = directory.by_legacy_dn(ORGANIZATION.server_dn("EXCH2")), directory.by_account("alice")
    assert server is not None
    assert alice is not None
    directory.modify(server, {"networkAddress": ["netbios:EXCH2", "ncacn_ip_tcp:exch2.example.test"]})
    directory.modify(alice, {"msExchHomeServerName": [server.legacy_exchange_dn]})
    return Finder(directory, OFFER)


@pytest.fixture
def finder(directory: EmbeddedDirectory) -> Finder:
    return Finder(directory, OFFER)
