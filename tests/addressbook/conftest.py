import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from openchange_py.addressbook.base import AttributeValue, Kind, Organization, Record
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import IndexWriter
from openchange_py.addressbook.migrate import upgrade

ORGANIZATION = Organization("First Organization", "Exchange Administrative Group")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A directory database with its tables."""
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    return url


@pytest.fixture
def directory(url: str) -> Iterator[EmbeddedDirectory]:
    """An embedded directory that is provisioned."""
    directory = EmbeddedDirectory(url)
    directory.provision(ORGANIZATION, "SRV")
    yield directory
    directory.close()


@pytest.fixture
def index(url: str) -> Iterator[IndexedDirectory]:
    """The index of a foreign directory, with nothing in it."""
    index = IndexedDirectory(url)
    yield index
    index.close()


def identity(name: str) -> uuid.UUID:
    """The same for the same name."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, name)


def person(
    account: str,
    *,
    kind: Kind = Kind.USER,
    organization: str = "First",
    show: Sequence[str] = (),
    links: Mapping[str, Sequence[str]] | None = None,
    **more: list[AttributeValue],
) -> Record:
    """What an LDAP directory says of somebody whose DN is `cn=account`."""
    attributes: dict[str, list[AttributeValue]] = {
        "sAMAccountName": [account],
        "displayName": [account.title()],
        "legacyExchangeDN": [f"/o={organization}/ou=Group/cn=Recipients/cn={account}"],
        "proxyAddresses": [f"SMTP:{account}@example.test"],
    }
    present = {name: values for name, values in (attributes | more).items() if values}
    return Record(
        identity(account), f"cn={account}", kind, True, present, {"showInAddressBook": list(show), **(links or {})}
    )


def put(index: IndexedDirectory, *records: Record) -> None:
    """As a follower does."""
    IndexWriter(index.database).put(records)
