"""The embedded directory: `Directory` on SQL, for a machine that has no LDAP server.

SQLite by default, PostgreSQL alike; nothing here is one's own. Several processes read and write at once. A process
opens its directory after it forked. Entries are called by their legacyExchangeDN in links.
Not done: attributes of Active Directory that no Exchange protocol asks for.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from Cryptodome.Hash import MD4
from sqlalchemy import Connection, delete, insert, select, update

from openchange_py.addressbook.base import (
    LINK_ATTRIBUTES,
    SHOW_IN_ADDRESS_BOOK,
    Attributes,
    AttributeValue,
    ContainerKind,
    ContainerRecord,
    DirectoryError,
    DirectoryStatus,
    Entry,
    Kind,
    Links,
    NoSuchEntry,
    Organization,
    Record,
)
from openchange_py.addressbook.followed import AddressBookRecord
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import Transaction, writing
from openchange_py.addressbook.linking import links_of
from openchange_py.addressbook.organizations import address_books, put_address_books
from openchange_py.addressbook.purported_search import belongs
from openchange_py.addressbook.rows import AttributeMap, organization_of, to_entry
from openchange_py.addressbook.schema import container, credential, entry
from openchange_py.addressbook.sortkeys import fold

#: The address lists that every organization has: name, kind, and the search that says whom it shows.
_ADDRESS_LISTS = (
    (
        "Global Address List",
        ContainerKind.GLOBAL,
        "(&(legacyExchangeDN=*)(|(objectClass=user)(objectClass=group)(objectClass=contact)))",
    ),
    ("All Users", ContainerKind.LIST, "(&(legacyExchangeDN=*)(objectClass=user))"),
    ("All Groups", ContainerKind.LIST, "(&(legacyExchangeDN=*)(objectClass=group))"),
    ("All Contacts", ContainerKind.LIST, "(&(legacyExchangeDN=*)(objectClass=contact))"),
    # Rooms of this directory, and of other forests ([MS-OXOABK] 2.2.3.12).
    (
        "All Rooms",
        ContainerKind.LIST,
        "(&(legacyExchangeDN=*)(|(msExchRecipientDisplayType=7)(msExchRecipientDisplayType=-2147481850)))",
    ),
    ("Public Folders", ContainerKind.LIST, "(&(legacyExchangeDN=*)(objectCategory=publicFolder))"),
)
#: The table, for methods whose parameter has its name.
_entries = entry


class EmbeddedDirectory(IndexedDirectory):
    """`Directory` in one SQL database, which `migrate.upgrade` has prepared."""

    def provision(self, organization: Organization, server: str) -> bool:
        made = self.put_organization(AddressBookRecord(organization, default_lists(organization)))
        dn = organization.server_dn(server)
        if self.by_legacy_dn(dn) is None:
            self.create(Kind.SERVER, "", {"cn": [server], "legacyExchangeDN": [dn]})
            made = True
        return made

    def put_organization(self, wanted: AddressBookRecord) -> bool:
        """Add an organization, or what is missing of it; false where all was there. Containers are known by name."""
        with self._writing() as transaction:
            books = address_books(transaction.connection)
            others = [book for book in books if fold(book.organization.name) != fold(wanted.organization.name)]
            present = next((book for book in books if book not in others), None)
            if present is not None and present.organization != wanted.organization:
                there = present.organization.dn_prefix
                raise DirectoryError(f"the directory has the organization {there} already")
            containers = list(present.containers) if present else []
            names = {fold(one.name) for one in containers}
            new = [one for one in wanted.containers if fold(one.name) not in names]
            if present is not None and not new:
                return False
            put_address_books(transaction, [*others, AddressBookRecord(wanted.organization, [*containers, *new])])
            return True

    def remove_organization(self, name: str) -> None:
        """Take an organization away, with its address lists; its entries stay, and belong to none."""
        with self._writing() as transaction:
            books = address_books(transaction.connection)
            put_address_books(transaction, [book for book in books if fold(book.organization.name) != fold(name)])

    def create(self, kind: Kind, account: str, attributes: Attributes, links: Links | None = None) -> Entry:
        values = AttributeMap(attributes)
        if account:
            values.put("sAMAccountName", [account])
        values.put("whenCreated", values.texts("whenCreated") or [_now()])
        if kind is Kind.SERVER and not values.texts("objectClass"):
            values.put("objectClass", ["top", "server", "msExchExchangeServer"])
        dn = values.text("legacyExchangeDN") or ""
        links = dict(links or {})
        for attribute in links:
            _check_link(attribute)
        with self._writing() as transaction:
            if SHOW_IN_ADDRESS_BOOK not in links:
                links[SHOW_IN_ADDRESS_BOOK] = _lists(transaction.connection, dn, kind, values, ())
            mid = transaction.put([Record(uuid.uuid4(), dn, kind, True, values, links)])[0]
            return _read(transaction.connection, mid)

    def modify(self, entry: Entry, changes: Mapping[str, Sequence[AttributeValue] | None]) -> Entry:
        with self._writing() as transaction:
            current = _current(transaction.connection, entry)
            values = AttributeMap(current.attributes)
            for name, new in changes.items():
                values.put(name, new)
            return self._put(transaction, current, values, {})

    def _put(self, transaction: Transaction, current: Entry, values: AttributeMap, links: Links) -> Entry:
        """An entry with other attributes and links; it is in the lists whose searches find it now."""
        values.put("whenChanged", [_now()])
        dn = values.text("legacyExchangeDN") or ""
        before = links_of(transaction.connection, current.mid, SHOW_IN_ADDRESS_BOOK)
        lists = _lists(transaction.connection, dn, current.kind, values, before)
        links = {SHOW_IN_ADDRESS_BOOK: lists, **links}
        record = Record(current.guid, dn, current.kind, current.enabled, values, links)
        mid = transaction.put([record], other_links_stay=True)[0]
        return _read(transaction.connection, mid)

    def change_links(
        self, entry: Entry, attribute: str, add: Sequence[Entry] = (), remove: Sequence[Entry] = ()
    ) -> None:
        _check_link(attribute)
        with self._writing() as transaction:
            current = _current(transaction.connection, entry)
            targets = {_current(transaction.connection, one).mid for one in add}
            present = set(links_of(transaction.connection, current.mid, attribute))
            wanted = (present | targets) - {one.mid for one in remove}
            if wanted != present:
                transaction.link(current.mid, attribute, wanted)
                self._put(transaction, current, AttributeMap(current.attributes), {})

    def set_password(self, entry: Entry, password: str) -> None:
        nt_hash = MD4.new(password.encode("utf-16-le", "surrogatepass")).digest()  # noqa: S303  NTLM's one-way function
        with self._writing() as transaction:
            mid = _current(transaction.connection, entry).mid
            transaction.connection.execute(delete(credential).where(credential.c.mid == mid))
            transaction.connection.execute(insert(credential).values(mid=mid, nt_hash=nt_hash))

    def set_enabled(self, entry: Entry, enabled: bool) -> None:
        with self._writing() as transaction:
            mid = _current(transaction.connection, entry).mid
            transaction.connection.execute(update(_entries).where(_entries.c.mid == mid).values(enabled=enabled))

    def delete(self, entry: Entry) -> None:
        with self._writing() as transaction:
            current = _current(transaction.connection, entry)
            transaction.remove([current.mid], forget=True)

    def status(self) -> DirectoryStatus:
        return DirectoryStatus("embedded", str(self.database), self.count())

    def catch_up(self, *, accept_loss: bool = False) -> None:
        """The tables are the authority: nobody else has news."""

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with writing(self.database, strict=True) as transaction:
            yield transaction


def default_lists(organization: Organization) -> list[ContainerRecord]:
    """The address lists that every organization has."""
    return [
        ContainerRecord(uuid.uuid4(), container_name(organization, name), name, kind, None, search)
        for name, kind, search in _ADDRESS_LISTS
    ]


def container_name(organization: Organization, name: str) -> str:
    """What links call an address list."""
    return f"/o={organization.name}/cn=Address Lists/cn={name}"


def _check_link(attribute: str) -> None:
    if attribute not in LINK_ATTRIBUTES:
        raise DirectoryError(f"{attribute} is no link")


def _now() -> str:
    """The time as LDAP writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d%H%M%S.0Z")


def _read(connection: Connection, mid: int) -> Entry:
    return to_entry(connection.execute(select(entry).where(entry.c.mid == mid)).one())


def _current(connection: Connection, known: Entry) -> Entry:
    """The entry as it is now; another process may have changed or deleted it."""
    row = connection.execute(select(entry).where(entry.c.guid == known.guid)).first()
    if row is None:
        raise NoSuchEntry(f"{known.display_name} is not in the directory any more")
    return to_entry(row)


def _lists(connection: Connection, dn: str, kind: Kind, values: Attributes, before: Sequence[int]) -> list[str]:
    """The lists of its organization that an entry belongs in: which find it, and of those without search its own."""
    book = next((one for one in address_books(connection) if fold(one.organization.name) == organization_of(dn)), None)
    if book is None:
        return []
    query = select(container.c.distinguished_name).where(
        container.c.mid.in_(before), container.c.purported_search == ""
    )
    own = connection.execute(query).scalars().all()
    found = [one.name for one in book.containers if belongs(one.purported_search, kind, values)]
    return [*found, *own]
