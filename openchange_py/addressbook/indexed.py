"""Everything of a `Directory` that reads: the same for the embedded directory and for one in LDAP, which is indexed."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import func, select

from openchange_py.addressbook import lookups
from openchange_py.addressbook.base import FULL_ACCESS, Account, DirectoryError, Entry, NoSuchEntry, Organization
from openchange_py.addressbook.database import DirectoryDatabase
from openchange_py.addressbook.index import IDS_PER_SELECT, Book, Index, Snapshot
from openchange_py.addressbook.indexing import writing
from openchange_py.addressbook.linking import links_of
from openchange_py.addressbook.lists import IndexedLists
from openchange_py.addressbook.lookups import EVERYWHERE
from openchange_py.addressbook.rows import organization_of, to_entry
from openchange_py.addressbook.schema import credential, entry, link
from openchange_py.addressbook.sortkeys import fold

logger = logging.getLogger(__name__)

#: How often a server takes into memory what others have changed, so that no call has much of it to do.
_KEEP_SECONDS = 0.5


class IndexedDirectory:
    """A directory's tables, which `migrate.upgrade` has prepared.

    `organization` is the name of this server's organization; None where there is only one.
    """

    def __init__(self, url: str, organization: str | None = None) -> None:
        self.database = DirectoryDatabase(url)
        self._index = Index()
        self._name = organization
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.database}>"

    def start(self) -> None:
        """Keep the address lists in memory, as a server wants them: read now, and renewed by a thread of their own."""
        self._keep()
        self._index.kept = True
        self._keeper = threading.Thread(target=self._keep_up, name="directory lists", daemon=True)
        self._keeper.start()

    def close(self) -> None:
        """Stop what `start` began, and close pooled connections."""
        self._closed.set()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        self.database.close()

    def _keep(self) -> None:
        with self.database.reading() as connection:
            self._index.keep(connection)

    def _keep_up(self) -> None:
        working = True
        while not self._closed.wait(_KEEP_SECONDS):
            try:
                self._keep()
                working = True
            except DirectoryError as error:
                if working:
                    logger.error("the address lists are not kept up to date: %s", error)
                working = False

    # Organizations and their address books.

    def snapshot(self) -> Snapshot:
        """The address lists as they are now; what others changed is taken into memory."""
        with self.database.reading() as connection:
            return self._index.snapshot(connection)

    def organization(self) -> Organization:
        return self._own(self.snapshot()).organization

    def organizations(self) -> list[Organization]:
        return [book.organization for book in self.snapshot().books.values()]

    def _own(self, snapshot: Snapshot) -> Book:
        books = snapshot.books
        if not books:
            raise NoSuchEntry("the directory has no organization yet: run `ocpy provision`")
        if self._name is None and len(books) == 1:
            return next(iter(books.values()))
        found = books.get(fold(self._name or ""))
        if found is None:
            there = ", ".join(book.organization.name for book in books.values())
            raise NoSuchEntry(f"the directory has no organization {self._name!r}, but {there}: see ocpy:organization")
        return found

    def lists(self, caller: Entry | None) -> IndexedLists:
        kept = self._index.newest if self._index.kept else None
        if kept is not None:
            # As it was half a second ago, if the organization was there then: each of the lists' methods looks anew.
            with suppress(NoSuchEntry):
                return self._lists_in(kept, caller)
        return self._lists_in(self.snapshot(), caller)

    def _lists_in(self, snapshot: Snapshot, caller: Entry | None) -> IndexedLists:
        name = organization_of(caller.legacy_exchange_dn) if caller is not None else None
        if caller is not None and name is None and len(snapshot.books) > 1:
            raise NoSuchEntry(f"{caller.display_name} belongs to none of the directory's organizations")
        book = snapshot.books.get(name) if name is not None else self._own(snapshot)
        if book is None:
            raise NoSuchEntry(f"the directory has no organization {name!r}")
        return IndexedLists(self.database, self._index, book)

    # Looking up.

    def by_guid(self, guid: uuid.UUID) -> Entry | None:
        return self._one(entry.c.guid == guid)

    def by_account(self, account: str) -> Entry | None:
        return self._one(entry.c.account_folded == fold(account))

    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None:
        with self.database.reading() as connection:
            return lookups.by_legacy_dn(connection, legacy_exchange_dn, EVERYWHERE)

    def by_address(self, address: str) -> Entry | None:
        with self.database.reading() as connection:
            return lookups.by_address(connection, address, EVERYWHERE, self._own_id())

    def _own_id(self) -> int:
        try:
            return self._own(self.snapshot()).id
        except NoSuchEntry:
            return 0

    def account(self, name: str) -> Account | None:
        found = self.by_account(name)
        if found is None and "@" in name:
            found = self._one(entry.c.principal_folded == fold(name)) or self.by_address(name)
        if found is None or not found.account:
            return None
        return Account(found.account, "", self._nt_hash(found), found.enabled)

    def _nt_hash(self, found: Entry) -> bytes | None:
        """The NT hash of an account, where it is known here."""
        with self.database.reading() as connection:
            secret = connection.execute(select(credential.c.nt_hash).where(credential.c.mid == found.mid)).scalar()
        return bytes(secret) if secret else None

    def full_access(self, mailbox: Entry) -> list[Entry]:
        granted = select(link.c.target).where(link.c.source == mailbox.mid, link.c.attribute == FULL_ACCESS)
        with self.database.reading() as connection:
            found = connection.execute(select(entry).where(entry.c.mid.in_(granted)).order_by(entry.c.sort_key)).all()
        return [to_entry(row) for row in found]

    def change_full_access(self, mailbox: Entry, add: Sequence[Entry] = (), remove: Sequence[Entry] = ()) -> None:
        with writing(self.database, strict=True) as transaction:
            there = {row.guid: row.mid for row in transaction.rows([one.mid for one in (mailbox, *add)])}
            for one in (mailbox, *add):
                if one.guid not in there:
                    raise NoSuchEntry(f"{one.display_name} is not in the directory any more")
            present = set(links_of(transaction.connection, mailbox.mid, FULL_ACCESS))
            wanted = (present | {one.mid for one in add}) - {one.mid for one in remove}
            transaction.link(mailbox.mid, FULL_ACCESS, wanted)

    def _one(self, condition: Any) -> Entry | None:
        with self.database.reading() as connection:
            return lookups.one(connection, condition, EVERYWHERE)

    def entries(self) -> Iterable[Entry]:
        """Every entry in the order of their ids, hidden ones and servers too."""
        last = -1
        while True:
            query = select(entry).where(entry.c.mid > last).order_by(entry.c.mid).limit(IDS_PER_SELECT)
            with self.database.reading() as connection:
                found = connection.execute(query).all()
            if not found:
                return
            yield from map(to_entry, found)
            last = found[-1].mid

    def count(self) -> int:
        """The number of all entries."""
        with self.database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(entry)).scalar_one())
