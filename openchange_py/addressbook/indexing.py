"""The only code that writes entries to the directory's tables: `Transaction`, and `IndexWriter` for a foreign one.

What a foreign directory says is taken as it comes: names that two entries have are the first one's, the other is shown
without (`clash` remembers it, and it gets the name when the first one has lost it); what can't be kept is left out and
logged; links may name what is not there yet. One bad entry never stops the others. What the embedded directory is told
has to be right: `strict`.
"""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from openchange_py.addressbook import linking
from openchange_py.addressbook.base import DirectoryError, EntryExists, Record
from openchange_py.addressbook.database import DirectoryDatabase, insert_many
from openchange_py.addressbook.index import parts
from openchange_py.addressbook.rows import UNIQUE_COLUMNS, Derived, cleaned, derive, to_record, without
from openchange_py.addressbook.schema import (
    address,
    clash,
    counter,
    credential,
    entry,
    identity,
    organization,
    token,
)
from openchange_py.addressbook.sortkeys import fold

logger = logging.getLogger(__name__)

#: Records of one transaction: a long index keeps nobody else from writing for long, and is not lost as a whole.
PER_TRANSACTION = 1000

#: A name that is one entry's alone: the column and its value, or `address` with the organization's id.
Name = tuple[str, str]


@dataclasses.dataclass(slots=True)
class _Item:
    """A record on its way into the tables; `old` is its present row."""

    mid: int
    record: Record
    derived: Derived
    old: Any

    def names(self) -> set[Name]:
        """The names that it wants."""
        columns = self.derived.columns
        wanted = {(column, columns[column]) for column in UNIQUE_COLUMNS if columns[column]}
        place = f"address/{columns['organization'] or 0}"
        return wanted | {(place, name) for name in self.derived.addresses}

    def lose(self, name: Name) -> None:
        """Another one has it."""
        if name[0] in UNIQUE_COLUMNS:
            without(self.derived, name[0])
        else:
            self.derived.addresses.discard(name[1])


class Transaction:
    """What is written at once. The lock on the version's row, taken first, puts writers in a row."""

    def __init__(self, connection: Connection, *, strict: bool) -> None:
        self.connection = connection
        self._strict = strict
        version = select(counter.c.value).where(counter.c.name == "version").with_for_update()
        self.version = int(connection.execute(version).scalar_one()) + 1
        self.changed: set[int] = set()
        self._freed: set[Name] = set()
        self._touched = False
        #: Identities that this transaction made: nothing is stored of them before.
        self._new: set[int] = set()
        self.organizations = {
            row.name_folded: row.id for row in connection.execute(select(organization.c.name_folded, organization.c.id))
        }

    def finish(self) -> None:
        """Give freed names to those who wanted them, and say what changed."""
        self._settle_clashes()
        if not self.changed and not self._touched:
            return
        self.connection.execute(update(counter).where(counter.c.name == "version").values(value=self.version))
        statement = update(identity).where(identity.c.mid == bindparam("b_mid")).values(version=self.version)
        if older := self.changed - self._new:
            self.connection.execute(statement, [{"b_mid": mid} for mid in older])

    def touch(self) -> None:
        """Something changed that is no entry's: readers shall look."""
        self._touched = True

    # Identities.

    def next_mids(self, count: int) -> range:
        """Minimal Entry Ids that nothing ever had."""
        if not count:
            return range(0)
        raised = update(counter).where(counter.c.name == "mid").values(value=counter.c.value + count)
        last = self.connection.execute(raised.returning(counter.c.value)).scalar()
        if last is None:
            raise DirectoryError("the directory's counter mid is missing")
        return range(int(last) - count + 1, int(last) + 1)

    def mids(self, guids: Sequence[uuid.UUID], *, make: bool = True) -> dict[uuid.UUID, int]:
        """The ids of identities; with `make` those that are new get theirs."""
        found: dict[uuid.UUID, int] = {}
        for some in parts(guids):
            query = select(identity.c.guid, identity.c.mid).where(identity.c.guid.in_(some))
            found |= {row.guid: row.mid for row in self.connection.execute(query)}
        new = [guid for guid in dict.fromkeys(guids) if guid not in found] if make else []
        if new:
            given = dict(zip(new, self.next_mids(len(new)), strict=True))
            rows = [{"mid": mid, "guid": guid, "version": self.version} for guid, mid in given.items()]
            self.connection.execute(insert(identity), rows)
            self._new.update(given.values())
            found |= given
        return found

    def rows(self, mids: Sequence[int]) -> list[Any]:
        """The rows of those entries that there are."""
        return list(self._rows(mids).values())

    def _rows(self, mids: Sequence[int]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for some in parts(mids):
            found |= {row.mid: row for row in self.connection.execute(select(entry).where(entry.c.mid.in_(some)))}
        return found

    # Entries.

    def put(self, records: Sequence[Record], *, other_links_stay: bool = False) -> list[int]:
        """Make the tables say what the records say; their ids, in order. A record stands for itself once.

        With `other_links_stay` a record's links are only those that change. `EntryExists` and `DirectoryError` where
        this is strict.
        """
        mids = self.mids([record.guid for record in records])
        old = self._rows([mid for mid in mids.values() if mid not in self._new])
        items = {}
        for record in records:
            item = self._item(mids[record.guid], record, old.get(mids[record.guid]))
            if item is not None:
                items[item.mid] = item
        self._write([item for item in items.values() if self._differs(item)])
        self.changed |= linking.put(
            self.connection,
            {item.mid: item.record.links for item in items.values()},
            others_stay=other_links_stay,
            new={item.mid for item in items.values() if item.old is None},
        )
        return [mids[record.guid] for record in records]

    def link(self, mid: int, attribute: str, targets: set[int]) -> None:
        """Make an attribute of an entry refer to just these."""
        self.changed |= linking.put_targets(self.connection, mid, attribute, targets)

    def _item(self, mid: int, record: Record, old: Any) -> _Item | None:
        try:
            if not self._strict:
                record, complaints = cleaned(record)
                for complaint in complaints:
                    logger.warning("%s is indexed without a value: %s", record.name or record.guid, complaint)
            derived = derive(record, checked=not self._strict)
        except DirectoryError as error:
            if self._strict:
                raise
            logger.warning("%s is not indexed: %s", record.name or record.guid, error)
            return None
        derived.columns["organization"] = self.organizations.get(derived.organization or "")
        return _Item(mid, record, derived, old)

    @staticmethod
    def _differs(item: _Item) -> bool:
        old = item.old
        return old is None or any(getattr(old, name) != value for name, value in item.derived.columns.items())

    def _write(self, items: Sequence[_Item]) -> None:
        if not items:
            return
        wanted = {item.mid: item.names() for item in items}
        had = self._names_of([item.mid for item in items if item.old is not None])
        lost = self._settle_names(items, wanted, had)
        for item in items:
            self._freed |= had.get(item.mid, set()) - item.names()
        self._write_rows(items)
        self._delete(clash, list(had))
        if lost:
            self.connection.execute(insert(clash), lost)
        self.changed.update(item.mid for item in items)
        self._rename(items)

    def _names_of(self, mids: Sequence[int]) -> dict[int, set[Name]]:
        """The names that entries have now."""
        unique = [entry.c[name] for name in ("mid", *UNIQUE_COLUMNS)]
        found: dict[int, set[Name]] = {}
        for some in parts(mids):
            for row in self.connection.execute(select(*unique).where(entry.c.mid.in_(some))):
                columns = row._mapping
                found[row.mid] = {(column, columns[column]) for column in UNIQUE_COLUMNS if columns[column]}
            for row in self.connection.execute(select(address).where(address.c.mid.in_(some))):
                found[row.mid].add((f"address/{row.organization}", row.address_folded))
        return found

    def _settle_names(
        self, items: Sequence[_Item], wanted: Mapping[int, set[Name]], had: Mapping[int, set[Name]]
    ) -> list[dict[str, Any]]:
        """Give each name to one: to its owner beyond these items, to who has it among them, or to the first.

        Rows of those who do not get it.
        """
        owners = self._owners(set().union(*wanted.values()), {item.mid for item in items})
        for item in items:
            for name in wanted[item.mid] & had.get(item.mid, set()):
                owners.setdefault(name, item.mid)
        lost = []
        for item in items:
            for name in sorted(wanted[item.mid]):
                owner = owners.setdefault(name, item.mid)
                if owner != item.mid:
                    self._refuse(item, name, owner)
                    item.lose(name)
                    lost.append({"name": ":".join(name), "mid": item.mid})
        return lost

    def _refuse(self, item: _Item, name: Name, owner: int) -> None:
        other = self.connection.execute(select(entry.c.display_name).where(entry.c.mid == owner)).scalar()
        if self._strict:
            raise EntryExists(f"{name[1]} is {other}'s already")
        logger.warning("%s is indexed without the name %s, which is %s's", item.record.name, name[1], other or owner)

    def _owners(self, names: set[Name], beside: set[int]) -> dict[Name, int]:
        """Who has which of the names, but for some."""
        by_kind: dict[str, list[str]] = {}
        for kind, name in names:
            by_kind.setdefault(kind, []).append(name)
        found: dict[Name, int] = {}
        for kind, some in ((kind, part) for kind, values in by_kind.items() for part in parts(values)):
            if kind in UNIQUE_COLUMNS:
                query = select(entry.c[kind].label("name"), entry.c.mid).where(entry.c[kind].in_(some))
            else:
                query = select(address.c.address_folded.label("name"), address.c.mid).where(
                    address.c.organization == int(kind.partition("/")[2]), address.c.address_folded.in_(some)
                )
            found |= {(kind, row.name): row.mid for row in self.connection.execute(query) if row.mid not in beside}
        return found

    def _write_rows(self, items: Sequence[_Item]) -> None:
        """The rows of entries, addresses and tokens."""
        changed = [item for item in items if item.old is not None]
        if changed:
            # Names that pass from one to another among these: nobody has any in between.
            nobody: dict[str, Any] = dict.fromkeys(UNIQUE_COLUMNS)
            mids = [item.mid for item in changed]
            for some in parts(mids):
                self.connection.execute(update(entry).where(entry.c.mid.in_(some)).values(nobody))
            self._delete(address, mids)
            self._delete(token, mids)
            columns: dict[str, Any] = {name: bindparam(f"b_{name}") for name in changed[0].derived.columns}
            statement = update(entry).where(entry.c.mid == bindparam("b_mid")).values(columns)
            rows = [{"mid": item.mid, **item.derived.columns} for item in changed]
            self.connection.execute(statement, [{f"b_{name}": value for name, value in row.items()} for row in rows])
        new = [item for item in items if item.old is None]
        if new:
            rows = [{"mid": item.mid, "guid": item.record.guid, **item.derived.columns} for item in new]
            self.connection.execute(insert(entry), rows)
        self._insert_names(items)

    def _insert_names(self, items: Sequence[_Item]) -> None:
        addresses, tokens = [], []
        for item in items:
            place = item.derived.columns["organization"] or 0
            addresses += [(name, place, item.mid) for name in item.derived.addresses]
            tokens += [(place, name, item.mid, whole) for name, whole in item.derived.tokens.items()]
        # In the order of their keys: each page of the table is written once.
        insert_many(self.connection, address.name, ("address_folded", "organization", "mid"), sorted(addresses))
        insert_many(self.connection, token.name, ("organization", "token", "mid", "whole"), sorted(tokens))

    def _delete(self, table: Any, mids: Sequence[int]) -> None:
        for some in parts(mids):
            self.connection.execute(delete(table).where(table.c.mid.in_(some)))

    def _rename(self, items: Sequence[_Item]) -> None:
        """Tell links how entries are called now, where that changed."""
        names = {
            item.mid: fold(item.record.name) or None
            for item in items
            if item.old is None or fold(item.old.name) != fold(item.record.name)
        }
        self.changed |= linking.rename(self.connection, names)

    def _settle_clashes(self) -> None:
        """Names that somebody lost are theirs who wanted them."""
        while self._freed:
            names, self._freed = [":".join(name) for name in self._freed], set()
            mids: set[int] = set()
            for some in parts(names):
                mids |= set(self.connection.execute(select(clash.c.mid).where(clash.c.name.in_(some))).scalars())
            self.renew(sorted(mids))

    def renew(self, mids: Sequence[int]) -> None:
        """Derive entries anew from what is stored of them."""
        rows = self._rows(mids)
        items = [self._item(mid, to_record(row), row) for mid, row in rows.items()]
        self._write([item for item in items if item is not None])

    def remove(self, mids: Sequence[int], *, forget: bool = False) -> None:
        """Delete entries. What refers to them does so again when they come back, but with `forget`."""
        for freed in self._names_of(mids).values():
            self._freed |= freed
        linking.remove(self.connection, mids, forget=forget)
        for table in (token, address, clash, credential):
            self._delete(table, mids)
        self._delete(entry, mids)
        self.changed.update(mids)


@contextmanager
def writing(database: DirectoryDatabase, *, strict: bool) -> Iterator[Transaction]:
    """A transaction on the directory's tables, committed at the end of the block."""
    with database.writing() as connection:
        transaction = Transaction(connection, strict=strict)
        yield transaction
        transaction.finish()


class IndexWriter:
    """Writes what a foreign directory says, some at a time; others may write in between."""

    def __init__(self, database: DirectoryDatabase) -> None:
        self._database = database

    def put(self, records: Iterable[Record]) -> list[int]:
        """Store records, and tell their ids; what is so already costs no write."""
        rest, mids = iter(records), []
        while some := list(islice(rest, PER_TRANSACTION)):
            with writing(self._database, strict=False) as transaction:
                mids += transaction.put(some)
        return mids

    def remove(self, guids: Iterable[uuid.UUID]) -> None:
        """Delete entries; their ids stay theirs."""
        rest = iter(guids)
        while some := list(islice(rest, PER_TRANSACTION)):
            with writing(self._database, strict=False) as transaction:
                transaction.remove(list(transaction.mids(some, make=False).values()))
