from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.ldap.connection import LdapServers, connect
from openchange_py.addressbook.ldap.directory import LdapDirectory
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.migrate import upgrade
from tests.exchange_tree import add_organization
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, EXCHANGE_SCHEMA, SESSION_LOG, Slapd, running_slapd

ORGANIZATION = Organization("First Organization", "Exchange Administrative Group")
SECOND = Organization("Second Organization", "Group")


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A server with the tree and no accounts."""
    with running_slapd(tmp_path_factory.mktemp("slapd")) as server:
        yield server


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A server with Exchange's schema and two organizations."""
    place = tmp_path_factory.mktemp("slapd")
    with running_slapd(place, schemas=[EXCHANGE_SCHEMA], syncprov=SESSION_LOG) as server:
        session = Session(connect(servers_of(server), 5))
        for organization in (ORGANIZATION, SECOND):
            add_organization(session, organization, "SRV")
        session.close()
        yield server


def servers_of(slapd: Slapd) -> LdapServers:
    return LdapServers([slapd.ldaps], BASE, ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file)


@pytest.fixture
def directory(exchange: Slapd, tmp_path: Path) -> Iterator[LdapDirectory]:
    """The directory with an index that has been filled once."""
    url = f"sqlite:///{tmp_path}/index.db"
    upgrade(url)
    made = LdapDirectory(servers_of(exchange), url, ORGANIZATION.name)
    made.catch_up()
    yield made
    made.close()
