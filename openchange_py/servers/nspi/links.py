"""What objects refer to, as properties of theirs: [MS-OXOABK] 2.2 (properties of the type PtypEmbeddedTable)."""

from __future__ import annotations

from openchange_py.addressbook.attributes import LinkProperty
from openchange_py.addressbook.base import AddressLists, Entry


def linked(lists: AddressLists, entry: Entry, link: LinkProperty, limit: int | None = None) -> list[Entry]:
    """The objects that a property of `entry` refers to, in display-name order; the first `limit` of them."""
    if link.sources is not None and not link.sources(entry):
        return []
    if link.targets is None:
        return lists.linked(entry, link.attribute, limit)
    return [target for target in lists.linked(entry, link.attribute) if link.targets(target)][:limit]


def is_linked(lists: AddressLists, entry: Entry, link: LinkProperty) -> bool:
    """Whether the property refers to anybody."""
    if link.sources is not None and not link.sources(entry):
        return False
    if link.targets is None:
        return lists.link_count(entry, link.attribute) > 0
    return bool(linked(lists, entry, link, 1))
