"""The address lists as sorted lists of Minimal Entry Ids, kept in memory and renewed when the directory has changed.

Row numbers, which NSPI's tables are paged and positioned by, are no keys of an SQL index: a page deep in a list
would cost as much as all rows before it. From here a page is read by its ids, and a position is a binary search.
A snapshot is never changed. The next one shares with it whatever is the same, and reads only the entries that changed.
"""

from __future__ import annotations

import bisect
import dataclasses
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from openchange_py.addressbook.base import (
    BY_DISPLAY_NAME,
    GLOBAL_ADDRESS_LIST,
    SHOW_IN_ADDRESS_BOOK,
    Container,
    ContainerKind,
    MinimalEntryId,
    NoSuchEntry,
    Organization,
    SortOrder,
)
from openchange_py.addressbook.schema import container, counter, entry, identity, link, organization
from openchange_py.addressbook.sortkeys import sort_key
from openchange_py.addressbook.tailorings import language_of

#: As many ids as one SELECT asks for; SQLite takes 32,766 parameters, older ones 999.
IDS_PER_SELECT = 500
#: From so many changes on all is read anew.
_MANY_CHANGES = 20_000
#: Up to so many, a list is changed entry by entry.
_FEW_CHANGES = 64
#: So many are sorted in another order while a client waits.
_FEW_TO_SORT = 5000

#: A sort key and the id of the entry whose it is.
Pair = tuple[bytes, int]
#: A language of `tailorings`, empty for the neutral order, and whether by phonetic names.
OrderKey = tuple[str, bool]
_BY_NAME: OrderKey = ("", False)

_SELECT_VERSION = select(counter.c.value).where(counter.c.name == "version")
_SELECT_MEMBERS = select(link.c.target, link.c.source).where(link.c.attribute == SHOW_IN_ADDRESS_BOOK)


#: By language a locale that has its order.
_LOCALES = {"": 0}


def order_key(order: SortOrder) -> OrderKey:
    """What orders alike."""
    language = language_of(order.locale)
    _LOCALES.setdefault(language, order.locale)
    return language, order.phonetic


#: In each order that is there the keys of all entries that lists may show, by id.
Orderings = dict[OrderKey, dict[int, Pair]]


class AddressList:
    """One list, sorted anew in each order when that is asked for."""

    def __init__(self, keys: list[Pair], orderings: Orderings) -> None:
        """`keys` in order of display names."""
        self.keys = keys
        self._orderings = orderings
        self._sorted: dict[OrderKey, list[Pair]] = {_BY_NAME: keys}

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, mid: int) -> bool:
        return self.position(mid) is not None

    def ordered(self, order: SortOrder) -> list[Pair]:
        """The keys in an order; in the neutral one by names while another is not there yet."""
        key = self._key(order)
        found = self._sorted.get(key)
        if found is None:
            pairs = self._orderings[key]
            found = self._sorted[key] = sorted(pairs[mid] for _, mid in self.keys)
        return found

    def _key(self, order: SortOrder) -> OrderKey:
        key = order_key(order)
        return key if key in self._orderings else _BY_NAME

    def page(self, start: int, limit: int, order: SortOrder = BY_DISPLAY_NAME) -> list[MinimalEntryId]:
        """The ids of rows `start` to `start + limit`."""
        start = max(0, start)
        return [MinimalEntryId(mid) for _, mid in self.ordered(order)[start : start + max(0, limit)]]

    def position(self, mid: int, order: SortOrder = BY_DISPLAY_NAME) -> int | None:
        """The row number of an entry; None where it is not in the list."""
        pair = self._orderings[self._key(order)].get(mid)
        return None if pair is None else _find(self.ordered(order), pair)

    def sorted(self, mids: Iterable[int], order: SortOrder = BY_DISPLAY_NAME) -> list[MinimalEntryId]:
        """Entries of the list in its order."""
        pairs = self._orderings[self._key(order)]
        return [MinimalEntryId(mid) for _, mid in sorted(pairs[mid] for mid in mids)]

    def seek(self, text: str, order: SortOrder = BY_DISPLAY_NAME) -> int:
        """The number of the first row at or behind a name."""
        locale = order.locale if self._key(order)[0] else 0
        return bisect.bisect_left(self.ordered(order), (sort_key(text, locale), -1))

    def changed(self, gone: Orderings, come: Sequence[int], orderings: Orderings) -> AddressList:
        """The list without those of the old `gone` keys, whether it had them or not, and with others."""
        new = {
            key: _changed(pairs, list(gone[key].values()), [orderings[key][mid] for mid in come])
            for key, pairs in list(self._sorted.items())  # as it is now: another thread may sort
            if key in gone
        }
        made = AddressList(new[_BY_NAME], orderings)
        made._sorted = new
        return made


def _changed(pairs: list[Pair], gone: Sequence[Pair], come: Sequence[Pair]) -> list[Pair]:
    """The same list where nothing in it changes."""
    if len(gone) + len(come) > _FEW_CHANGES:
        left = set(gone)
        return sorted([pair for pair in pairs if pair not in left] + list(come))
    new = pairs
    for pair in gone:
        if (index := _find(new, pair)) is not None:
            new = list(pairs) if new is pairs else new
            del new[index]
    for pair in come:
        new = list(pairs) if new is pairs else new
        bisect.insort(new, pair)
    return new


def _find(pairs: list[Pair], pair: Pair) -> int | None:
    index = bisect.bisect_left(pairs, pair)
    return index if index < len(pairs) and pairs[index] == pair else None


@dataclasses.dataclass(frozen=True, slots=True)
class Book:
    """One organization's address book."""

    id: int
    organization: Organization
    guid: uuid.UUID
    containers: list[Container]
    lists: Mapping[int, AddressList]

    def list(self, mid: int) -> AddressList:
        """The list of a container; `NoSuchEntry`."""
        if mid not in self.lists:
            raise NoSuchEntry(f"no address list has the id {mid}")
        return self.lists[mid]


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """All lists at one version of the directory. `books` by folded name of the organization."""

    version: int
    orderings: Orderings
    #: By the container's own id, which the Global Address List has beside 0.
    members: Mapping[int, AddressList]
    books: Mapping[str, Book]


class Index:
    """Gives the snapshot of the directory's present version.

    `kept` says that somebody calls `keep` all the time: then nobody waits for what takes long.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._wanted: set[OrderKey] = set()
        self.kept = False

    def snapshot(self, connection: Connection, order: SortOrder = BY_DISPLAY_NAME) -> Snapshot:
        """The lists as this transaction sees them, or newer; in an order of their own where that is there."""
        version = connection.execute(_SELECT_VERSION).scalar_one()
        snapshot = self._snapshot
        if snapshot is None or snapshot.version < version:
            with self._guard:  # one thread reads, the others wait for what it finds
                snapshot = self._snapshot
                if snapshot is None or snapshot.version < version:
                    snapshot = self._snapshot = _renewed(connection, snapshot, version)
        if order_key(order) not in snapshot.orderings:
            self._wanted.add(order_key(order))
            few = len(snapshot.orderings[_BY_NAME]) <= _FEW_TO_SORT
            if few or not self.kept:
                self._add_orders(connection, snapshot)
        return snapshot

    @property
    def newest(self) -> Snapshot | None:
        """What the last look found; None before the first."""
        return self._snapshot

    def keep(self, connection: Connection) -> None:
        """Take in what changed, and make the orders that were asked for."""
        self._add_orders(connection, self.snapshot(connection))

    def _add_orders(self, connection: Connection, snapshot: Snapshot) -> None:
        by_name = snapshot.orderings[_BY_NAME]
        for key in self._wanted - snapshot.orderings.keys():
            # What came since is in none of this snapshot's lists; what went is, and needs a place.
            snapshot.orderings[key] = by_name | _pairs(connection, key)
            for one in snapshot.members.values():
                one.ordered(SortOrder(_LOCALES[key[0]], key[1]))


def _renewed(connection: Connection, old: Snapshot | None, version: int) -> Snapshot:
    if old is None:
        return _read(connection, version, [])
    changed_since = select(identity.c.mid).where(identity.c.version > old.version).limit(_MANY_CHANGES)
    changed = connection.execute(changed_since).scalars().all()
    if len(changed) == _MANY_CHANGES:
        return _read(connection, version, list(old.orderings))
    return _applied(connection, old, changed, version)


def _read(connection: Connection, version: int, keys: Iterable[OrderKey]) -> Snapshot:
    orderings = {key: _pairs(connection, key) for key in {_BY_NAME, *keys}}
    pairs = orderings[_BY_NAME]
    members: dict[int, list[Pair]] = {}
    for target, source in connection.execute(_SELECT_MEMBERS):
        if source in pairs:
            members.setdefault(target, []).append(pairs[source])
    lists = {mid: AddressList(sorted(some), orderings) for mid, some in members.items()}
    return _assembled(connection, version, orderings, lists)


def _applied(connection: Connection, old: Snapshot, changed: Sequence[int], version: int) -> Snapshot:
    """The snapshot after those have changed."""
    gone: Orderings = {}
    orderings: Orderings = {}
    for key, pairs in list(old.orderings.items()):
        orderings[key] = new = dict(pairs)
        gone[key] = {mid: new.pop(mid) for mid in changed if mid in new}
        for some in parts(changed):
            new |= _pairs(connection, key, entry.c.mid.in_(some))
    come: dict[int, list[int]] = {}
    for some in parts(changed):
        for target, source in connection.execute(_SELECT_MEMBERS.where(link.c.source.in_(some))):
            if source in orderings[_BY_NAME]:
                come.setdefault(target, []).append(source)
    empty = AddressList([], orderings)
    members = {mid: one.changed(gone, come.pop(mid, ()), orderings) for mid, one in old.members.items()}
    members |= {mid: empty.changed({_BY_NAME: {}}, mids, orderings) for mid, mids in come.items()}
    return _assembled(connection, version, orderings, members)


def _pairs(connection: Connection, key: OrderKey, *conditions: ColumnElement[bool]) -> dict[int, Pair]:
    """The keys of entries that lists may show, in one order."""
    language, phonetic = key
    if not language:
        column = entry.c.phonetic_key if phonetic else entry.c.sort_key
        rows = connection.execute(select(entry.c.mid, column).where(entry.c.listed, *conditions))
        return {mid: (bytes(value), mid) for mid, value in rows}
    name = func.coalesce(entry.c.phonetic_name, entry.c.display_name) if phonetic else entry.c.display_name
    locale = _LOCALES[language]
    rows = connection.execute(select(entry.c.mid, name).where(entry.c.listed, *conditions))
    return {mid: (sort_key(text, locale), mid) for mid, text in rows}


def parts(ids: Sequence[Any], size: int = IDS_PER_SELECT) -> Iterator[Sequence[Any]]:
    """As many at a time as one SELECT may ask for."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _assembled(
    connection: Connection, version: int, orderings: Orderings, members: Mapping[int, AddressList]
) -> Snapshot:
    containers: dict[int, list[Any]] = {}
    for row in connection.execute(select(container).order_by(container.c.position)):
        containers.setdefault(row.organization, []).append(row)
    nobody = AddressList([], orderings)
    books = {
        row.name_folded: _book(row, containers.get(row.id, ()), members, nobody)
        for row in connection.execute(select(organization).order_by(organization.c.name_folded))
    }
    return Snapshot(version, orderings, members, books)


def _book(row: Any, containers: Iterable[Any], members: Mapping[int, AddressList], nobody: AddressList) -> Book:
    shown, lists = [], {}
    for one in containers:
        mid = GLOBAL_ADDRESS_LIST if one.kind == ContainerKind.GLOBAL else MinimalEntryId(one.mid)
        shown.append(_container(one, mid))
        lists[int(mid)] = members.get(one.mid, nobody)
    return Book(row.id, Organization(row.name, row.administrative_group), row.guid, shown, lists)


def _container(row: Any, mid: MinimalEntryId) -> Container:
    parent = None if row.parent is None else MinimalEntryId(row.parent)
    kind = ContainerKind(row.kind)
    return Container(mid, row.guid, row.name, parent, row.depth, kind, row.distinguished_name, row.purported_search)
