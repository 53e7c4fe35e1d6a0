"""Organizations and address lists as a real slapd tells them, with Exchange's classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.base import ContainerKind, Organization
from openchange_py.addressbook.ldap.connection import LdapServers, connect
from openchange_py.addressbook.ldap.containers import configuration, read_address_books
from openchange_py.addressbook.ldap.session import Session
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, Slapd, running_slapd

CONFIGURATION = f"cn=Configuration,{BASE}"
EXCHANGE = f"cn=Microsoft Exchange,{CONFIGURATION}"
ROOT = f"cn=All Address Lists,cn=Acme,{EXCHANGE}"

#: As much of Exchange's schema as the reading of containers needs; names and numbers are the published ones.
SCHEMA = """\
dn: cn=exchange,cn=schema,cn=config
objectClass: olcSchemaConfig
cn: exchange
olcAttributeTypes: ( 1.2.840.113556.1.4.1244 NAME 'addressBookRoots' EQUALITY distinguishedNameMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
olcAttributeTypes: ( 1.2.840.113556.1.4.1245 NAME 'globalAddressList' EQUALITY distinguishedNameMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
olcAttributeTypes: ( 1.2.840.113556.1.4.886 NAME 'purportedSearch' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
olcObjectClasses: ( 1.2.840.113556.1.3.23 NAME 'container' SUP top STRUCTURAL MUST cn )
olcObjectClasses: ( 1.2.840.113556.1.5.176 NAME 'msExchConfigurationContainer' SUP container STRUCTURAL
  MAY ( addressBookRoots $ globalAddressList ) )
olcObjectClasses: ( 1.2.840.113556.1.5.7000.62.50020 NAME 'msExchOrganizationContainer' SUP container STRUCTURAL )
olcObjectClasses: ( 1.2.840.113556.1.5.7000.62.50011 NAME 'msExchAdminGroup' SUP top STRUCTURAL MUST cn )
olcObjectClasses: ( 1.2.840.113556.1.5.125 NAME 'addressBookContainer' SUP top STRUCTURAL MUST ( cn $ displayName )
  MAY purportedSearch )
"""


def node(dn: str, name: str, *lines: str) -> str:
    """The object class decides what else it is."""
    return "\n".join([f"dn: {dn}", f"objectClass: {name}", *lines, "", ""])


def address_list(name: str, above: str, search: str = "") -> str:
    lines = [f"displayName: The {name}", *([f"purportedSearch: {search}"] if search else [])]
    return node(f"cn={name},{above}", "addressBookContainer", *lines)


TREE = (
    node(CONFIGURATION, "container")
    + node(
        EXCHANGE,
        "msExchConfigurationContainer",
        f"addressBookRoots: cn=All Address Lists,cn=ACME,{EXCHANGE}",
        f"globalAddressList: cn=Second,cn=All Global,cn=Acme,{EXCHANGE}",
        f"globalAddressList: cn=Default Global Address List,cn=All Global,cn=Acme,{EXCHANGE}",
    )
    + node(f"cn=Acme,{EXCHANGE}", "msExchOrganizationContainer")
    + node(f"cn=Empty,{EXCHANGE}", "msExchOrganizationContainer")
    + node(f"cn=Other Group,cn=Acme,{EXCHANGE}", "msExchAdminGroup")
    + node(f"cn=First Group,cn=Acme,{EXCHANGE}", "msExchAdminGroup")
    + address_list("All Global", f"cn=Acme,{EXCHANGE}")
    + address_list("Default Global Address List", f"cn=All Global,cn=Acme,{EXCHANGE}", "(mailNickname=*)")
    + address_list("Second", f"cn=All Global,cn=Acme,{EXCHANGE}")
    + address_list("All System Address Lists", f"cn=Acme,{EXCHANGE}")
    + address_list("All Address Lists", f"cn=Acme,{EXCHANGE}")
    + address_list("All Users", ROOT, "(objectClass=user)")
    + address_list("Odd \\2c *()", f"cn=All Users,{ROOT}")
)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    schema: Path = tmp_path_factory.mktemp("schema") / "exchange.ldif"
    schema.write_text(SCHEMA)
    with running_slapd(tmp_path_factory.mktemp("slapd"), schemas=[schema]) as server:
        server.change(TREE)
        yield server


@pytest.fixture
def session(exchange: Slapd) -> Iterator[Session]:
    opened = Session(connect(LdapServers([exchange.ldaps], "", ADMIN, ADMIN_PASSWORD, ca_file=exchange.ca_file), 5))
    yield opened
    opened.close()


def test_organizations_and_what_clients_see_of_their_lists(session: Session) -> None:
    books = {book.organization.name: book for book in read_address_books(session, configuration(session))}
    assert books["Acme"].organization == Organization("Acme", "First Group")
    assert books["Empty"].containers == []
    lists = {one.display_name: one for one in books["Acme"].containers}
    assert set(lists) == {
        "The Default Global Address List",
        "The All Address Lists",
        "The All Users",
        "The Odd \\2c *()",
    }
    top, users, odd = lists["The All Address Lists"], lists["The All Users"], lists["The Odd \\2c *()"]
    assert lists["The Default Global Address List"].kind is ContainerKind.GLOBAL
    assert lists["The Default Global Address List"].parent is None
    assert (top.kind, top.parent) == (ContainerKind.LIST, None)
    assert (users.parent, users.purported_search) == (top.name, "(objectClass=user)")
    assert odd.parent == users.name
    assert len({one.guid for one in lists.values()}) == 4


def test_a_server_without_exchange_has_none(session: Session) -> None:
    assert read_address_books(session, f"cn=Nowhere,{BASE}") == []
