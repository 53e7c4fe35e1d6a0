"""Exchange's tree in a configuration, made in a slapd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.ldap.containers import read_address_books
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.provisioning import State, Step, Wanted, examine, provision
from openchange_py.addressbook.provisioning_steps import folded
from openchange_py.addressbook.provisioning_tree import Tree, below, common_name, network_addresses
from tests.addressbook.slapd_sessions import CONFIGURATION, EXCHANGE_SCHEMA, WANTED, emptied, session_with
from tests.slapd import Slapd, running_slapd


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("slapd"), schemas=[EXCHANGE_SCHEMA]) as server:
        yield server


@pytest.fixture
def session(slapd: Slapd) -> Iterator[Session]:
    session = emptied(session_with(slapd))
    yield session
    session.close()


def every(tree: Tree) -> list[Step]:
    parts = tree.configuration_steps(), tree.organization_steps(), tree.group_steps(), tree.server_steps()
    return [step for part in parts for step in part]


def test_the_schema_takes_all_of_it_and_finds_it_afterwards(session: Session) -> None:
    tree = Tree(session, CONFIGURATION, WANTED)
    assert {one.finding.state for one in examine(every(tree))} == {State.MISSING}
    provision(every(tree))
    assert {one.finding.state for one in examine(every(tree))} == {State.PRESENT}


def test_names_with_every_special_character_are_found_again(session: Session) -> None:
    organization = Organization('A+B, "C" <D>; #1\\', "Group 'n' (Co.)")
    wanted = Wanted(organization, "EXCH1", "exch1.example.test")
    provision(every(Tree(session, CONFIGURATION, wanted)))
    assert {one.finding.state for one in examine(every(Tree(session, CONFIGURATION, wanted)))} == {State.PRESENT}
    (book,) = read_address_books(session, CONFIGURATION)
    assert book.organization == organization


def test_the_directory_reads_its_lists_from_it(session: Session) -> None:
    provision(every(Tree(session, CONFIGURATION, WANTED)))
    (book,) = read_address_books(session, CONFIGURATION)
    assert book.organization == WANTED.organization
    names = {one.display_name: one.kind.value for one in book.containers}
    lists = ["All Address Lists", "All Users", "All Groups", "All Contacts", "Public Folders", "All Rooms"]
    assert names == {**dict.fromkeys(lists, "list"), "Default Global Address List": "global"}
    assert all(one.purported_search for one in book.containers if one.display_name != "All Address Lists")


def test_servers_and_stores_are_named_as_clients_name_them(session: Session) -> None:
    tree = Tree(session, CONFIGURATION, WANTED)
    provision(every(tree))
    server = session.read(tree.server, ["legacyExchangeDN", "networkAddress", "serialNumber", "versionNumber"])
    assert server is not None
    name = "/o=First Organization/ou=First Administrative Group/cn=Configuration/cn=Servers/cn=EXCH1"
    assert server.text("legacyExchangeDN") == name
    assert server.text("serialNumber") == "Version 14.0 (Build 30722.0)"
    version = int(server.text("versionNumber"))
    assert (version >> 22 & 0x3F, version >> 16 & 0x3F, version & 0x7FFF) == (14, 0, 722)
    found = session.search(tree.server, "(objectClass=*)", ["legacyExchangeDN"])
    names = {one.text("legacyExchangeDN").removeprefix(name) for one in found}
    assert {
        "/cn=Microsoft Private MDB",
        "/cn=Microsoft Public MDB",
        "/cn=Microsoft MTA",
        "/cn=Microsoft System Attendant",
    } <= names
    public, private = (step.dn for step in tree.stores())
    store = session.read(private, ["msExchHomePublicMDB", "msExchOwningServer"])
    assert store is not None
    assert folded(store.text("msExchHomePublicMDB")) == folded(public)
    assert folded(store.text("msExchOwningServer")) == folded(tree.server)


def test_autodiscover_is_told_the_host_of_another_server() -> None:
    addresses = list(network_addresses("EXCH2", "exch2.example.test"))
    assert addresses == ["ncacn_ip_tcp:exch2.example.test", "ncacn_np:EXCH2", "netbios:EXCH2"]


def test_distinguished_names() -> None:
    assert below("DC=x", "Services", "A, B") == r"CN=A\2c B,CN=Services,DC=x"
    assert common_name(r"CN=A\2c B,CN=Services,DC=x") == "A, B"
