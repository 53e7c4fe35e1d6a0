"""The properties of address book objects: [MS-OXOABK] 2.2.3 to 2.2.6.

What shows one attribute is declared in `addressbook.attributes`, and so is what refers to other objects (`links`);
`computed` has the others. Not done: Department objects of a class of their own ([MS-OXOABK] 2.2.7), in whose place
groups are departments, and the home message database as a table, which is a string alone.
"""

from __future__ import annotations

import dataclasses
import functools
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from openchange_py.addressbook.attributes import BY_ID, LINK_BY_ID
from openchange_py.addressbook.base import AddressLists, Directory, Entry
from openchange_py.addressbook.hosts import OwnNames
from openchange_py.servers.nspi.computed import COMPUTED, COMPUTED_OF_LINKS
from openchange_py.servers.nspi.entryids import entry_permanent_entry_id, ephemeral_entry_id
from openchange_py.servers.nspi.links import Links
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType


@dataclasses.dataclass(frozen=True, slots=True)
class AddressBook:
    """What a call works with: the address book as its caller sees it, and this server's names.

    `directory` is for what a client may write.
    """

    lists: AddressLists
    caller: Entry
    directory: Directory
    own: OwnNames

    @property
    def server_guid(self) -> uuid.UUID:
        """Tells clients whether the Minimal Entry Ids that they remember still hold ([MS-OXNSPI] 3.1.4.1.1).

        It comes from the directory, as the ids do, so that nodes that share one give the same.
        """
        return self.lists.guid


Getter = Callable[[Entry], Any]


class Properties:
    """The properties of entries as one call wants them: entry ids permanent or ephemeral."""

    def __init__(self, book: AddressBook, *, ephemeral: bool = False) -> None:
        self._book = book
        self._links = Links(book.lists)
        self._server_guid = book.server_guid if ephemeral else None

    def prepare(self, entries: Sequence[Entry]) -> None:
        """These are the entries whose properties are asked for next."""
        self._links.prepare(entries)

    def getter(self, property_id: int) -> tuple[PropertyTag, Getter] | None:
        """A property's own tag and what gets its value (None where an entry has none); None for an unknown one.

        Of a property that refers to other objects it is their distinguished names.
        """
        if property_id == proptags.PidTagEntryId.id:
            return proptags.PidTagEntryId, self._entry_id
        book, links = self._book, self._links
        if property_id in COMPUTED:
            tag, function = COMPUTED[property_id]
            return tag, functools.partial(function, book)
        if property_id in COMPUTED_OF_LINKS:
            tag, of_links = COMPUTED_OF_LINKS[property_id]
            return tag, functools.partial(of_links, links)
        if attribute := BY_ID.get(property_id):
            return attribute.tag, attribute.value
        if link := LINK_BY_ID.get(property_id):
            return link.tag, lambda entry: self.names(property_id, entry)
        return None

    def names(self, property_id: int, entry: Entry, limit: int | None = None) -> list[str] | None:
        """The distinguished names of those that a property refers to, the first `limit` of them; None for none."""
        return [dn for dn, _ in self._links.names(entry, LINK_BY_ID[property_id], limit)] or None

    def has(self, property_id: int, entry: Entry) -> bool:
        """Whether an entry has the property, without reading all that it refers to."""
        if link := LINK_BY_ID.get(property_id):
            return self._links.has(entry, link)
        found = self.getter(property_id)
        return found is not None and found[1](entry) is not None

    def _entry_id(self, entry: Entry) -> bytes:
        if self._server_guid is not None:
            return ephemeral_entry_id(entry.display_type, entry.mid, self._server_guid)
        return entry_permanent_entry_id(entry)


def known_tags() -> list[PropertyTag]:
    """The tags of all properties that the server is aware of, each with its own type, in the order of their ids."""
    tags = {property_id: tag for property_id, (tag, _) in COMPUTED.items()}
    tags |= {property_id: tag for property_id, (tag, _) in COMPUTED_OF_LINKS.items()}
    tags[proptags.PidTagEntryId.id] = proptags.PidTagEntryId
    tags |= {property_id: found.tag for property_id, found in BY_ID.items()}
    tags |= {property_id: link.tag for property_id, link in LINK_BY_ID.items()}
    return [tags[property_id] for property_id in sorted(tags)]


def string_tags(tags: list[PropertyTag], *, unicode: bool) -> list[PropertyTag]:
    """The same tags with their string types as Unicode, or as 8-bit strings."""
    if unicode:
        return tags
    string8 = {
        PropertyType.String: PropertyType.String8,
        PropertyType.MultipleString: PropertyType.MultipleString8,
    }
    return [tag.with_type(string8[PropertyType(tag.type)]) if tag.type in string8 else tag for tag in tags]
