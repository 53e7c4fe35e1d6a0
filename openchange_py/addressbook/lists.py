"""One organization's address book as its members see it: `AddressLists` on the tables."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, select

from openchange_py.addressbook import lookups, resolution
from openchange_py.addressbook.base import (
    BY_DISPLAY_NAME,
    Container,
    Entry,
    Kind,
    MinimalEntryId,
    NoSuchEntry,
    Organization,
    SortOrder,
)
from openchange_py.addressbook.database import DirectoryDatabase
from openchange_py.addressbook.index import AddressList, Book, Index, Pair
from openchange_py.addressbook.rows import organization_of, to_entry
from openchange_py.addressbook.schema import entry
from openchange_py.addressbook.sortkeys import fold


class IndexedLists:
    """`AddressLists`; each call sees the directory's newest state."""

    def __init__(self, database: DirectoryDatabase, index: Index, book: Book) -> None:
        self._database = database
        self._index = index
        self._scope = lookups.within(book.id)
        self._id = book.id
        self._name = fold(book.organization.name)
        self.organization: Organization = book.organization
        self.guid: uuid.UUID = book.guid

    def __repr__(self) -> str:
        return f"<IndexedLists of {self.organization.name}>"

    def _book(self, connection: Connection, order: SortOrder = BY_DISPLAY_NAME) -> Book:
        book = self._index.snapshot(connection, order).books.get(self._name)
        if book is None or book.id != self._id:
            raise NoSuchEntry(f"the organization {self.organization.name} is not in the directory any more")
        return book

    def _list(self, container: MinimalEntryId, order: SortOrder = BY_DISPLAY_NAME) -> AddressList:
        with self._database.reading() as connection:
            return self._book(connection, order).list(container)

    def containers(self) -> list[Container]:
        with self._database.reading() as connection:
            return list(self._book(connection).containers)

    def count(self, container: MinimalEntryId) -> int:
        return len(self._list(container))

    def page(
        self, container: MinimalEntryId, start: int, limit: int, order: SortOrder = BY_DISPLAY_NAME
    ) -> list[Entry]:
        with self._database.reading() as connection:
            mids = self._book(connection, order).list(container).page(start, limit, order)
            return self._entries(connection, mids)

    def _entries(self, connection: Connection, mids: Sequence[MinimalEntryId]) -> list[Entry]:
        found = lookups.by_mid(connection, mids, self._scope)
        # The snapshot may be newer than what this transaction sees, and in PostgreSQL older.
        return [found[mid] for mid in mids if mid in found]

    def position(self, container: MinimalEntryId, entry: Entry, order: SortOrder = BY_DISPLAY_NAME) -> int | None:
        return self._list(container, order).position(entry.mid, order)

    def seek(self, container: MinimalEntryId, text: str, order: SortOrder = BY_DISPLAY_NAME) -> int:
        return self._list(container, order).seek(text, order)

    def resolve(self, name: str, container: MinimalEntryId, limit: int) -> list[Entry]:
        with self._database.reading() as connection:
            listed = self._book(connection).list(container)
            return self._entries(connection, resolution.resolve(connection, name, self._id, listed, limit))

    def resolve_all(self, names: Sequence[str], container: MinimalEntryId, limit: int) -> list[list[Entry]]:
        with self._database.reading() as connection:
            listed = self._book(connection).list(container)
            known = resolution.resolve_whole(connection, names, self._id, listed, limit)
            for name in names:
                if name not in known:
                    known[name] = resolution.resolve(connection, name, self._id, listed, limit)
            entries = lookups.by_mid(connection, list({mid for mids in known.values() for mid in mids}), self._scope)
        return [[entries[mid] for mid in known[name] if mid in entries] for name in names]

    # Searching.

    def keys(self, container: MinimalEntryId) -> Sequence[Pair]:
        return self._list(container).keys

    def sorted(
        self, container: MinimalEntryId, mids: Iterable[int], order: SortOrder = BY_DISPLAY_NAME
    ) -> list[MinimalEntryId]:
        listed = self._list(container, order)
        return listed.sorted((mid for mid in mids if mid in listed), order)

    def named(self, beginning: str, limit: int, attribute: str | None = None) -> set[int] | None:
        with self._database.reading() as connection:
            return resolution.named(connection, beginning, self._id, limit, attribute)

    def mentioning(self, text: str) -> set[int] | None:
        with self._database.reading() as connection:
            return lookups.mentioning(connection, text, self._scope)

    # Looking up.

    def by_mid(self, mids: Sequence[MinimalEntryId]) -> dict[MinimalEntryId, Entry]:
        with self._database.reading() as connection:
            return lookups.by_mid(connection, mids, self._scope)

    def by_guid(self, guid: uuid.UUID) -> Entry | None:
        with self._database.reading() as connection:
            return lookups.one(connection, entry.c.guid == guid, self._scope)

    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None:
        with self._database.reading() as connection:
            return lookups.by_legacy_dn(connection, legacy_exchange_dn, self._scope)

    def mids_by_legacy_dn(self, names: Sequence[str]) -> list[MinimalEntryId | None]:
        with self._database.reading() as connection:
            found = lookups.mids_by_legacy_dn(connection, names, self._scope)
        mids = (found.get(fold(name)) for name in names)
        return [None if mid is None else MinimalEntryId(mid) for mid in mids]

    def by_address(self, address: str) -> Entry | None:
        with self._database.reading() as connection:
            return lookups.by_address(connection, address, self._scope)

    def servers(self) -> list[Entry]:
        query = select(entry).where(entry.c.kind == Kind.SERVER, self._scope).order_by(entry.c.sort_key, entry.c.mid)
        with self._database.reading() as connection:
            return [to_entry(row) for row in connection.execute(query)]

    # Links.

    def _has(self, entry: Entry) -> bool:
        return organization_of(entry.legacy_exchange_dn) == self._name

    def linked(self, entry: Entry, attribute: str, limit: int | None = None) -> list[Entry]:
        return [to_entry(row) for row in self._linked(entry, attribute, limit=limit)]

    def linked_mids(self, entry: Entry, attribute: str) -> list[MinimalEntryId]:
        return [MinimalEntryId(row.mid) for row in self._linked(entry, attribute, ids_only=True)]

    def _linked(self, entry: Entry, attribute: str, **options: Any) -> Sequence[Any]:
        if not self._has(entry):
            return []
        with self._database.reading() as connection:
            return lookups.linked(connection, entry.mid, attribute, self._scope, **options)

    def link_count(self, entry: Entry, attribute: str) -> int:
        if not self._has(entry):
            return 0
        with self._database.reading() as connection:
            return lookups.link_count(connection, entry.mid, attribute, self._scope)

    def link_counts(
        self, entries: Sequence[Entry], attribute: str, kind: Kind | None = None
    ) -> dict[MinimalEntryId, int]:
        mids = [entry.mid for entry in entries if self._has(entry)]
        with self._database.reading() as connection:
            return lookups.link_counts(connection, mids, attribute, self._scope, kind)

    def linked_names(
        self, entries: Sequence[Entry], attribute: str, limit: int | None = None
    ) -> dict[MinimalEntryId, list[tuple[str, str]]]:
        mids = [entry.mid for entry in entries if self._has(entry)]
        with self._database.reading() as connection:
            return lookups.linked_names(connection, mids, attribute, self._scope, limit)
