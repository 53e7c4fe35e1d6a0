"""What objects refer to, as properties of theirs: [MS-OXOABK] 2.2 (properties of the type PtypEmbeddedTable)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from openchange_py.addressbook.attributes import LinkProperty
from openchange_py.addressbook.base import AddressLists, Entry, Kind, MinimalEntryId

#: Names that are read for the rows of an answer at once. Where there are more, each row's are read by themselves, until
#: the answer has as many bytes as it may.
MAXIMUM_NAMES: Final = 20_000

#: The legacyExchangeDN and the display name of an object.
Names = tuple[str, str]


def linked(lists: AddressLists, entry: Entry, link: LinkProperty, limit: int | None = None) -> list[Entry]:
    """The objects that a property of `entry` refers to, in display-name order; the first `limit` of them."""
    if link.sources is not None and not link.sources(entry):
        return []
    if link.targets is None:
        return lists.linked(entry, link.attribute, limit)
    return [target for target in lists.linked(entry, link.attribute) if link.targets(target)][:limit]


def linked_mids(lists: AddressLists, entry: Entry, link: LinkProperty) -> list[MinimalEntryId]:
    """The ids of all of them, in the same order."""
    if link.sources is None and link.targets is None:
        return lists.linked_mids(entry, link.attribute)
    return [target.mid for target in linked(lists, entry, link)]


class Links:
    """What the objects of one answer refer to. What is asked of one of them is read for all, in one query."""

    def __init__(self, lists: AddressLists) -> None:
        self._lists = lists
        self._entries: Sequence[Entry] = ()
        self._mids: frozenset[int] = frozenset()
        self._known: dict[tuple[Any, ...], dict[MinimalEntryId, Any]] = {}

    def prepare(self, entries: Sequence[Entry]) -> None:
        """These are the objects of the answer."""
        self._entries, self._mids, self._known = entries, frozenset(entry.mid for entry in entries), {}

    def count(self, entry: Entry, attribute: str, kind: Kind | None = None) -> int:
        """To how many of a kind, or of any, an attribute refers."""
        counts = self._all((attribute, kind), entry, lambda some: self._lists.link_counts(some, attribute, kind))
        return int(counts.get(entry.mid, 0))

    def has(self, entry: Entry, link: LinkProperty) -> bool:
        """Whether a property refers to anybody."""
        if link.sources is not None and not link.sources(entry):
            return False
        if link.targets is None:
            return self.count(entry, link.attribute) > 0
        return bool(linked(self._lists, entry, link, 1))

    def names(self, entry: Entry, link: LinkProperty, limit: int | None = None) -> list[Names]:
        """The names of those whom a property refers to, in the order of their display names, at most `limit`."""
        if link.sources is not None and not link.sources(entry):
            return []
        if link.targets is not None:
            return [(one.legacy_exchange_dn, one.display_name) for one in linked(self._lists, entry, link, limit)]
        attribute = link.attribute
        if not self.count(entry, attribute):
            return []
        if limit is None and sum(self._known[attribute, None].values()) > MAXIMUM_NAMES:
            return self._lists.linked_names([entry], attribute).get(entry.mid, [])
        key = "names", attribute, limit
        found: dict[MinimalEntryId, list[Names]]
        found = self._all(key, entry, lambda some: self._lists.linked_names(some, attribute, limit))
        return found.get(entry.mid, [])

    def _all(
        self,
        key: tuple[Any, ...],
        entry: Entry,
        ask: Callable[[Sequence[Entry]], dict[MinimalEntryId, Any]],
    ) -> dict[MinimalEntryId, Any]:
        """What `ask` tells of all objects of the answer, among which `entry` is one, or is now the only one."""
        if entry.mid not in self._mids:
            self.prepare([entry])
        if key not in self._known:
            self._known[key] = ask(self._entries)
        return self._known[key]
