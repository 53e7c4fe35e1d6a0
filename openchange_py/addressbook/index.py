"""The address lists as sorted lists of Minimal Entry Ids, kept in memory and renewed when the directory has changed.

Row numbers, which NSPI's tables are paged and positioned by, are no keys of an SQL index: a page deep in a list
would cost as much as all rows before it. From here a page is read by its ids, and a position is a binary search.
"""

from __future__ import annotations

import bisect
import dataclasses
import threading
from typing import Any

from sqlalchemy import Connection, select

from openchange_py.addressbook.base import Container, MinimalEntryId, NoSuchEntry
from openchange_py.addressbook.schema import container, counter, entry

_SELECT_VERSION = select(counter.c.value).where(counter.c.name == "version")
_SELECT_LISTED = (
    select(entry.c.sort_key, entry.c.mid, entry.c.kind).where(entry.c.listed).order_by(entry.c.sort_key, entry.c.mid)
)
_SELECT_CONTAINERS = select(container).order_by(container.c.position)


@dataclasses.dataclass(frozen=True, slots=True)
class AddressList:
    """One list: `(sort key, mid)` in order."""

    keys: list[tuple[bytes, int]]

    def __len__(self) -> int:
        return len(self.keys)

    def page(self, start: int, limit: int) -> list[MinimalEntryId]:
        """The ids of rows `start` to `start + limit`."""
        start = max(0, start)
        return [MinimalEntryId(mid) for _, mid in self.keys[start : start + max(0, limit)]]

    def position(self, key: bytes, mid: int) -> int | None:
        """The row number of an entry; None where it is not in the list."""
        index = bisect.bisect_left(self.keys, (key, mid))
        return index if index < len(self.keys) and self.keys[index] == (key, mid) else None

    def seek(self, key: bytes) -> int:
        """The number of the first row at or behind `key`."""
        return bisect.bisect_left(self.keys, (key, -1))


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The lists at one version of the directory."""

    version: int
    containers: list[Container]
    kinds: dict[int, str | None]
    by_kind: dict[str | None, AddressList]

    def kind(self, mid: int) -> str | None:
        """The kind of entry that a container lists (None: all); `NoSuchEntry`."""
        if mid not in self.kinds:
            raise NoSuchEntry(f"no address list has the id {mid}")
        return self.kinds[mid]

    def list(self, mid: int) -> AddressList:
        """The list of a container; `NoSuchEntry`."""
        return self.by_kind.get(self.kind(mid)) or AddressList([])


class Index:
    """Gives the snapshot of the directory's present version."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._snapshot: Snapshot | None = None

    def snapshot(self, connection: Connection) -> Snapshot:
        """The lists as this transaction sees them."""
        version = connection.execute(_SELECT_VERSION).scalar_one()
        snapshot = self._snapshot
        if snapshot is not None and snapshot.version == version:
            return snapshot
        with self._guard:  # one thread reads, the others wait for what it finds
            snapshot = self._snapshot
            if snapshot is None or snapshot.version != version:
                snapshot = self._snapshot = _read(connection, version)
            return snapshot


def _read(connection: Connection, version: int) -> Snapshot:
    lists: dict[str | None, list[tuple[bytes, int]]] = {None: []}
    for key, mid, kind in connection.execute(_SELECT_LISTED):
        pair = (bytes(key), mid)
        lists[None].append(pair)
        lists.setdefault(kind, []).append(pair)
    rows = connection.execute(_SELECT_CONTAINERS).all()
    return Snapshot(
        version,
        [_container(row) for row in rows],
        {row.mid: row.lists for row in rows},
        {kind: AddressList(keys) for kind, keys in lists.items()},
    )


def _container(row: Any) -> Container:
    parent = None if row.parent is None else MinimalEntryId(row.parent)
    return Container(MinimalEntryId(row.mid), row.guid, row.name, parent, row.depth)
