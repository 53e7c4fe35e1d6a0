"""The plan for the embedded directory: its tables, the organization with its address lists, and this server."""

from __future__ import annotations

import dataclasses
from typing import Final

from openchange_py.addressbook import migrate
from openchange_py.addressbook.base import DirectoryError, Entry, Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory, default_lists
from openchange_py.addressbook.followed import AddressBookRecord
from openchange_py.addressbook.ldif import Change
from openchange_py.addressbook.organizations import address_books
from openchange_py.addressbook.provisioning import (
    MISSING,
    PRESENT,
    Finding,
    Removal,
    State,
    Step,
    Wanted,
    has_mailboxes,
    listed,
    no_organization,
)
from openchange_py.addressbook.provisioning_tree import network_addresses
from openchange_py.addressbook.rows import organization_of
from openchange_py.addressbook.sortkeys import fold

_ADDRESSES: Final = "networkAddress"


class EmbeddedProvisioner:
    """See `Provisioner`. The database is opened when it is there."""

    def __init__(self, url: str, wanted: Wanted) -> None:
        self.url = url
        self.wanted = wanted
        self._directory: EmbeddedDirectory | None = None

    def plan(self) -> list[Step]:
        """See `Provisioner`."""
        there = [organization.name for organization in self.organizations()]
        if self.wanted.additional and fold(self.wanted.organization.name) not in {fold(name) for name in there}:
            raise no_organization(self.wanted, there)
        return [TablesStep(self.url), OrganizationStep(self), ServerStep(self)]

    def removal(self) -> Removal:
        """See `Provisioner`."""
        wanted, name = self.wanted, self.wanted.organization.name
        there = [organization.name for organization in self.organizations()]
        if fold(name) not in {fold(one) for one in there}:
            raise no_organization(wanted, there)
        server = fold(wanted.organization.server_dn(wanted.server))
        homes = [one for one in self.entries() if server in map(fold, one.all("msExchHomeServerName"))]
        if homes:
            raise has_mailboxes(wanted, (one.account or one.display_name for one in homes))
        what = f"the server {wanted.server}, and the organization {name} where nobody else belongs to it,"
        return Removal(what, [OrganizationStep(self), ServerStep(self)], ["The database stays, with its tables."])

    def close(self) -> None:
        """Close the database."""
        if self._directory is not None:
            self._directory.close()

    @property
    def directory(self) -> EmbeddedDirectory | None:
        """The directory; None as long as its tables are not as they should be."""
        if self._directory is None and migrate.current(self.url) in (migrate.head(), migrate.UNDERIVED):
            self._directory = EmbeddedDirectory(self.url, self.wanted.organization.name)
        return self._directory

    def opened(self) -> EmbeddedDirectory:
        """The directory, whose tables are there."""
        directory = self.directory
        assert directory is not None
        return directory

    def organizations(self) -> list[Organization]:
        """Those that are there."""
        return self.directory.organizations() if self.directory is not None else []

    def entries(self) -> list[Entry]:
        """Everything that is there."""
        return list(self.directory.entries()) if self.directory is not None else []


@dataclasses.dataclass(frozen=True, slots=True)
class TablesStep:
    """The directory's tables, as they are today."""

    url: str
    group: str = "Tables"
    title: str = "of the directory"
    quiet: bool = False

    def find(self) -> Finding:
        current = migrate.current(self.url)
        if current is None:
            return MISSING
        if current == migrate.UNDERIVED:
            return Finding(State.DIFFERENT, "keys of an older version")
        return PRESENT if current == migrate.head() else Finding(State.DIFFERENT, f"revision {current}")

    def changes(self) -> list[Change]:
        return []

    def apply(self) -> None:
        migrate.upgrade(self.url)

    def remove(self) -> str:
        return "tables stay: remove the database"


@dataclasses.dataclass(frozen=True, slots=True)
class OrganizationStep:
    """The organization with its address lists."""

    provisioner: EmbeddedProvisioner
    group: str = "Organization"
    quiet: bool = False

    @property
    def title(self) -> str:
        return self._organization.name

    @property
    def _organization(self) -> Organization:
        return self.provisioner.wanted.organization

    def find(self) -> Finding:
        directory = self.provisioner.directory
        book = self._book(directory) if directory is not None else None
        if book is None:
            return MISSING
        if book.organization != self._organization:
            raise DirectoryError(f"the directory has the organization {book.organization.dn_prefix} already")
        there = {fold(one.name) for one in book.containers}
        lacking = [one.display_name for one in default_lists(self._organization) if fold(one.name) not in there]
        return Finding(State.DIFFERENT, f"lacks {', '.join(lacking)}") if lacking else PRESENT

    def _book(self, directory: EmbeddedDirectory) -> AddressBookRecord | None:
        with directory.database.reading() as connection:
            found = address_books(connection)
        name = fold(self._organization.name)
        return next((book for book in found if fold(book.organization.name) == name), None)

    def changes(self) -> list[Change]:
        return []

    def apply(self) -> None:
        lists = default_lists(self._organization)
        self.provisioner.opened().put_organization(AddressBookRecord(self._organization, lists))

    def remove(self) -> str:
        name = fold(self._organization.name)
        left = [one for one in self.provisioner.entries() if organization_of(one.legacy_exchange_dn) == name]
        if left:
            return f"{listed(one.display_name or one.legacy_exchange_dn for one in left)} belong to it"
        self.provisioner.opened().remove_organization(self._organization.name)
        return ""


@dataclasses.dataclass(frozen=True, slots=True)
class ServerStep:
    """This server, with the host that clients are led to."""

    provisioner: EmbeddedProvisioner
    group: str = "Server"
    quiet: bool = False

    @property
    def title(self) -> str:
        return self._wanted.server

    @property
    def _wanted(self) -> Wanted:
        return self.provisioner.wanted

    @property
    def _dn(self) -> str:
        return self._wanted.organization.server_dn(self._wanted.server)

    @property
    def _addresses(self) -> list[str]:
        return list(network_addresses(self._wanted.server, self._wanted.host))

    def find(self) -> Finding:
        entry = self._entry()
        if entry is None:
            return MISSING
        return PRESENT if entry.all(_ADDRESSES) == self._addresses else Finding(State.DIFFERENT, _ADDRESSES)

    def changes(self) -> list[Change]:
        return []

    def apply(self) -> None:
        directory, entry = self.provisioner.opened(), self._entry()
        if entry is not None:
            directory.modify(entry, {_ADDRESSES: self._addresses})
            return
        names = {"cn": [self._wanted.server], "legacyExchangeDN": [self._dn], _ADDRESSES: self._addresses}
        directory.create(Kind.SERVER, "", names)

    def remove(self) -> str:
        entry = self._entry()
        if entry is not None:
            self.provisioner.opened().delete(entry)
        return ""

    def _entry(self) -> Entry | None:
        directory = self.provisioner.directory
        return directory.by_legacy_dn(self._dn) if directory is not None else None
