"""The embedded directory: `Directory` on SQL, for a machine that has no LDAP server.

SQLite by default, PostgreSQL alike; nothing here is one's own. Several processes read and write at once: every
writer raises the version first, which puts writers in a row. A process opens its directory after it forked.
Not done: attributes of Active Directory that no Exchange protocol asks for; group members are kept as
legacyExchangeDNs in `member`.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from Cryptodome.Hash import MD4
from sqlalchemy import Connection, String, cast, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from openchange_py.addressbook import resolution, rows
from openchange_py.addressbook.base import (
    BY_DISPLAY_NAME,
    FULL_ACCESS_ATTRIBUTE,
    GLOBAL_ADDRESS_LIST,
    Account,
    Attributes,
    AttributeValue,
    Container,
    DirectoryError,
    DirectoryStatus,
    DisplayType,
    Entry,
    EntryExists,
    Kind,
    Links,
    MinimalEntryId,
    NoSuchEntry,
    Organization,
    SortOrder,
)
from openchange_py.addressbook.database import DirectoryDatabase
from openchange_py.addressbook.index import AddressList, Index
from openchange_py.addressbook.rows import AttributeMap, Derived
from openchange_py.addressbook.schema import address, container, counter, credential, entry, organization, token
from openchange_py.addressbook.sortkeys import fold, sort_key

#: As many ids as one SELECT asks for; SQLite takes 32,766 parameters, older ones 999.
_IDS_PER_SELECT = 500

#: The address lists that every organization has: name, and the kind of entry that it shows.
_ADDRESS_LISTS = (
    ("Global Address List", None),
    ("All Users", rows.USER),
    ("All Groups", rows.GROUP),
    ("All Contacts", rows.CONTACT),
)


class EmbeddedDirectory:
    """`Directory` in one SQL database, which `migrate.upgrade` has prepared."""

    def __init__(self, url: str) -> None:
        self._database = DirectoryDatabase(url)
        self._index = Index()

    def __repr__(self) -> str:
        return f"<EmbeddedDirectory {self._database}>"

    def close(self) -> None:
        """Close pooled connections."""
        self._database.close()

    def organization(self) -> Organization:
        with self._database.reading() as connection:
            row = connection.execute(select(organization)).first()
        if row is None:
            raise NoSuchEntry("the directory has no organization yet: run `ocpy provision`")
        return Organization(row.name, row.administrative_group)

    # Looking up.

    def by_guid(self, guid: uuid.UUID) -> Entry | None:
        return self._one(entry.c.guid == guid)

    def by_account(self, account: str) -> Entry | None:
        return self._one(entry.c.account_folded == fold(account))

    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None:
        found = self._one(entry.c.legacy_exchange_dn_folded == fold(legacy_exchange_dn))
        # A DN that an entry had before stays as its X500 address, so that old mail can be answered.
        return found or self.by_address(f"X500:{legacy_exchange_dn}")

    def by_address(self, address: str) -> Entry | None:
        with self._database.reading() as connection:
            return _by_address(connection, address)

    def account(self, name: str) -> Account | None:
        with self._database.reading() as connection:
            found = connection.execute(select(entry).where(entry.c.account_folded == fold(name))).first()
            if found is None and "@" in name:
                found = connection.execute(select(entry).where(entry.c.principal_folded == fold(name))).first()
                if found is None and (by_mail := _by_address(connection, name)) is not None:
                    found = connection.execute(select(entry).where(entry.c.mid == by_mail.mid)).first()
            if found is None or not found.account:
                return None
            secret = connection.execute(select(credential.c.nt_hash).where(credential.c.mid == found.mid)).scalar()
        return Account(found.account, "", bytes(secret) if secret else None, found.enabled)

    def _one(self, condition: Any) -> Entry | None:
        with self._database.reading() as connection:
            return _one(connection, condition)

    def organizations(self) -> list[Organization]:
        return [self.organization()]

    def lists(self, caller: Entry | None) -> EmbeddedLists:
        return EmbeddedLists(self._database, self._index, self.organization())

    # Administration.

    def provision(self, organization: Organization, server: str) -> bool:
        made = False
        with self._writing() as connection:
            made |= _provision_organization(connection, organization)
            made |= _provision_containers(connection)
            dn = organization.server_dn(server)
            known = select(entry.c.mid).where(entry.c.legacy_exchange_dn_folded == fold(dn))
            if connection.execute(known).first() is None:
                names = {"objectClass": ["msExchExchangeServer"], "cn": [server], "legacyExchangeDN": [dn]}
                _insert(connection, AttributeMap(names), DisplayType.AGENT)
                made = True
        return made

    def create(self, kind: Kind, account: str, attributes: Attributes, links: Links | None = None) -> Entry:
        values = AttributeMap({**attributes, **{name: list(names) for name, names in (links or {}).items()}})
        if account:
            values.put("sAMAccountName", [account])
        values.put("whenCreated", values.texts("whenCreated") or [_now()])
        with self._writing() as connection:
            return _insert(connection, values, _DISPLAY_TYPES[kind])

    def modify(self, entry: Entry, changes: Mapping[str, Sequence[AttributeValue] | None]) -> Entry:
        with self._writing() as connection:
            current = _current(connection, entry)
            values = AttributeMap(current.attributes)
            for name, new in changes.items():
                values.put(name, new)
            values.put("whenChanged", [_now()])
            _update(connection, current.mid, rows.derive(values, current.display_type))
            return _current(connection, entry)

    def change_links(
        self, entry: Entry, attribute: str, add: Sequence[Entry] = (), remove: Sequence[Entry] = ()
    ) -> None:
        gone = {fold(one.legacy_exchange_dn) for one in remove}
        kept = [name for name in entry.all(attribute) if fold(name) not in gone]
        present = {fold(name) for name in kept}
        kept += [one.legacy_exchange_dn for one in add if fold(one.legacy_exchange_dn) not in present]
        self.modify(entry, {attribute: kept})

    def set_password(self, entry: Entry, password: str) -> None:
        nt_hash = MD4.new(password.encode("utf-16-le", "surrogatepass")).digest()  # noqa: S303  NTLM's one-way function
        with self._writing() as connection:
            mid = _current(connection, entry).mid
            connection.execute(delete(credential).where(credential.c.mid == mid))
            connection.execute(insert(credential).values(mid=mid, nt_hash=nt_hash))

    def set_enabled(self, entry: Entry, enabled: bool) -> None:
        with self._writing() as connection:
            mid = _current(connection, entry).mid
            connection.execute(update(_entries).where(_entries.c.mid == mid).values(enabled=enabled))

    def delete(self, entry: Entry) -> None:
        with self._writing() as connection:
            current = _current(connection, entry)
            for table in (token, address, credential, _entries):
                connection.execute(delete(table).where(table.c.mid == current.mid))
            if current.legacy_exchange_dn:
                _revoke_full_access(connection, current.legacy_exchange_dn)

    def entries(self) -> Iterable[Entry]:
        """Every entry in the order of their ids, hidden ones and servers too."""
        last = -1
        while True:
            query = select(entry).where(entry.c.mid > last).order_by(entry.c.mid).limit(_IDS_PER_SELECT)
            with self._database.reading() as connection:
                found = connection.execute(query).all()
            if not found:
                return
            yield from map(rows.to_entry, found)
            last = found[-1].mid

    def status(self) -> DirectoryStatus:
        with self._database.reading() as connection:
            entries = connection.execute(select(func.count()).select_from(entry)).scalar_one()
        return DirectoryStatus("embedded", str(self._database), entries)

    def catch_up(self) -> None:
        """The tables are the authority: nobody else has news."""

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that raises the version first: the lock on that row puts writers in a row."""
        try:
            with self._database.writing() as connection:
                _next(connection, "version")
                yield connection
        except IntegrityError as error:
            raise EntryExists(f"a name of the entry is taken: {error.orig}") from error


class EmbeddedLists:
    """`AddressLists` of the one organization."""

    def __init__(self, database: DirectoryDatabase, index: Index, organization: Organization) -> None:
        self._database = database
        self._index = index
        self.organization = organization

    @property
    def guid(self) -> uuid.UUID:
        return next(container.guid for container in self.containers() if container.mid == GLOBAL_ADDRESS_LIST)

    def containers(self) -> list[Container]:
        with self._database.reading() as connection:
            return list(self._index.snapshot(connection).containers)

    def _list(self, container: MinimalEntryId) -> AddressList:
        with self._database.reading() as connection:
            return self._index.snapshot(connection).list(container)

    def count(self, container: MinimalEntryId) -> int:
        return len(self._list(container))

    def page(
        self, container: MinimalEntryId, start: int, limit: int, order: SortOrder = BY_DISPLAY_NAME
    ) -> list[Entry]:
        with self._database.reading() as connection:
            mids = self._index.snapshot(connection).list(container).page(start, limit)
            found = _by_mid(connection, mids)
        # PostgreSQL lets this transaction see what was deleted since it read the list.
        return [found[mid] for mid in mids if mid in found]

    def position(self, container: MinimalEntryId, entry: Entry, order: SortOrder = BY_DISPLAY_NAME) -> int | None:
        return self._list(container).position(sort_key(entry.display_name), entry.mid)

    def seek(self, container: MinimalEntryId, text: str, order: SortOrder = BY_DISPLAY_NAME) -> int:
        return self._list(container).seek(sort_key(text))

    def resolve(self, name: str, container: MinimalEntryId, limit: int) -> list[Entry]:
        with self._database.reading() as connection:
            kind = self._index.snapshot(connection).kind(container)
            return resolution.resolve(connection, name, kind, limit)

    def by_mid(self, mids: Sequence[MinimalEntryId]) -> dict[MinimalEntryId, Entry]:
        with self._database.reading() as connection:
            return _by_mid(connection, mids)

    def by_guid(self, guid: uuid.UUID) -> Entry | None:
        with self._database.reading() as connection:
            return _one(connection, entry.c.guid == guid)

    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None:
        with self._database.reading() as connection:
            found = _one(connection, entry.c.legacy_exchange_dn_folded == fold(legacy_exchange_dn))
            return found or _by_address(connection, f"X500:{legacy_exchange_dn}")

    def by_address(self, address: str) -> Entry | None:
        with self._database.reading() as connection:
            return _by_address(connection, address)

    def linked(self, entry: Entry, attribute: str, limit: int | None = None) -> list[Entry]:
        found = [self.by_legacy_dn(dn) for dn in entry.all(attribute)]
        return sorted((one for one in found if one), key=lambda one: (sort_key(one.display_name), one.mid))[:limit]

    def linked_mids(self, entry: Entry, attribute: str) -> list[MinimalEntryId]:
        return [one.mid for one in self.linked(entry, attribute)]

    def link_count(self, entry: Entry, attribute: str) -> int:
        return len(self.linked(entry, attribute))


_DISPLAY_TYPES = {
    Kind.USER: DisplayType.MAILUSER,
    Kind.GROUP: DisplayType.DISTLIST,
    Kind.CONTACT: DisplayType.REMOTE_MAILUSER,
    Kind.SERVER: DisplayType.AGENT,
}


def _one(connection: Connection, condition: Any) -> Entry | None:
    row = connection.execute(select(entry).where(condition)).first()
    return rows.to_entry(row) if row else None


#: The table, for methods whose parameter has its name.
_entries = entry


def _now() -> str:
    """The time as LDAP writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d%H%M%S.0Z")


def _next(connection: Connection, name: str) -> int:
    """Raise a counter and give its new value."""
    raised = update(counter).where(counter.c.name == name).values(value=counter.c.value + 1).returning(counter.c.value)
    value = connection.execute(raised).scalar()
    if value is None:
        raise DirectoryError(f"the directory's counter {name} is missing")
    return int(value)


def _by_mid(connection: Connection, mids: Sequence[MinimalEntryId]) -> dict[MinimalEntryId, Entry]:
    found: dict[MinimalEntryId, Entry] = {}
    for start in range(0, len(mids), _IDS_PER_SELECT):
        part = [mid for mid in mids[start : start + _IDS_PER_SELECT] if 0 <= mid < 1 << 31]
        for row in connection.execute(select(entry).where(entry.c.mid.in_(part))):
            found[MinimalEntryId(row.mid)] = rows.to_entry(row)
    return found


def _by_address(connection: Connection, name: str) -> Entry | None:
    query = select(entry).join(address).where(address.c.address_folded == rows.fold_address(name))
    row = connection.execute(query).first()
    return rows.to_entry(row) if row else None


def _current(connection: Connection, known: Entry) -> Entry:
    """The entry as it is now; another process may have changed or deleted it."""
    row = connection.execute(select(entry).where(entry.c.guid == known.guid)).first()
    if row is None:
        raise NoSuchEntry(f"{known.display_name} is not in the directory any more")
    return rows.to_entry(row)


def _provision_organization(connection: Connection, wanted: Organization) -> bool:
    row = connection.execute(select(organization)).first()
    if row is None:
        values = {"id": 1, "name": wanted.name, "administrative_group": wanted.administrative_group}
        connection.execute(insert(organization).values(values))
        return True
    if (row.name, row.administrative_group) != (wanted.name, wanted.administrative_group):
        raise DirectoryError(f"the directory belongs to the organization {Organization(*row[1:]).dn_prefix} already")
    return False


def _provision_containers(connection: Connection) -> bool:
    present = set(connection.execute(select(container.c.name)).scalars())
    for position, (name, kind) in enumerate(_ADDRESS_LISTS):
        if name not in present:
            mid = GLOBAL_ADDRESS_LIST if kind is None else _next(connection, "mid")
            values = {"mid": mid, "guid": uuid.uuid4(), "name": name, "depth": 0, "position": position, "lists": kind}
            connection.execute(insert(container).values(values))
    return len(present) < len(_ADDRESS_LISTS)


def _insert(connection: Connection, attributes: AttributeMap, display_type: DisplayType) -> Entry:
    derived = rows.derive(attributes, display_type)
    mid = MinimalEntryId(_next(connection, "mid"))
    _refuse_taken_names(connection, mid, derived)
    guid = uuid.uuid4()
    connection.execute(insert(entry).values(mid=mid, guid=guid, enabled=True, **derived.columns))
    _insert_names(connection, mid, derived)
    return rows.to_entry(connection.execute(select(entry).where(entry.c.mid == mid)).one())


def _update(connection: Connection, mid: MinimalEntryId, derived: Derived) -> None:
    _refuse_taken_names(connection, mid, derived)
    connection.execute(update(entry).where(entry.c.mid == mid).values(**derived.columns))
    for table in (token, address):
        connection.execute(delete(table).where(table.c.mid == mid))
    _insert_names(connection, mid, derived)


def _insert_names(connection: Connection, mid: MinimalEntryId, derived: Derived) -> None:
    if derived.addresses:
        connection.execute(insert(address), [{"address_folded": name, "mid": mid} for name in derived.addresses])
    if derived.tokens:
        values = [{"token": name, "mid": mid, "whole": whole} for name, whole in derived.tokens.items()]
        connection.execute(insert(token), values)


def _revoke_full_access(connection: Connection, dn: str) -> None:
    """Take a name out of every list of those who may open a mailbox."""
    listing = select(entry).where(cast(entry.c.attributes, String).contains(FULL_ACCESS_ATTRIBUTE))
    for row in connection.execute(listing).all():
        values = AttributeMap(rows.to_entry(row).attributes)
        granted = values.texts(FULL_ACCESS_ATTRIBUTE)
        kept = [name for name in granted if fold(name) != fold(dn)]
        if len(kept) < len(granted):
            values.put(FULL_ACCESS_ATTRIBUTE, kept)
            _update(connection, row.mid, rows.derive(values, DisplayType(row.display_type)))


def _refuse_taken_names(connection: Connection, mid: MinimalEntryId, derived: Derived) -> None:
    """`EntryExists` that says which name it is. Nobody else writes now, so the answer stays true."""
    for column in ("account_folded", "principal_folded", "legacy_exchange_dn_folded"):
        name = derived.columns.get(column)
        taken = select(entry.c.display_name).where(entry.c[column] == name, entry.c.mid != mid)
        if name is not None and (owner := connection.execute(taken).scalar()) is not None:
            raise EntryExists(f"{name} is {owner}'s already")
    query = select(address.c.address_folded, entry.c.display_name).join(entry)
    row = connection.execute(query.where(address.c.address_folded.in_(derived.addresses), entry.c.mid != mid)).first()
    if row is not None:
        raise EntryExists(f"{row.address_folded} is {row.display_name}'s already")
