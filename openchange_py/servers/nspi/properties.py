"""The properties of address book objects: [MS-OXOABK] 2.2.3.

What shows one attribute is declared in `addressbook.attributes`; here are the properties that are computed, each a
small function of the entry and the address book.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

from openchange_py.addressbook.accounts import home_mdb
from openchange_py.addressbook.attributes import BY_ID, LINK_BY_ID
from openchange_py.addressbook.base import AddressLists, Directory, DisplayType, Entry
from openchange_py.servers.nspi.entryids import (
    GUID_NSPI,
    entry_permanent_entry_id,
    ephemeral_entry_id,
    instance_key,
)
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType

#: PidTagObjectType ([MS-OXOABK] 2.2.3.10).
_OBJECT_MAILUSER = 6
_OBJECT_DISTLIST = 8


@dataclasses.dataclass(frozen=True, slots=True)
class AddressBook:
    """What a call works with: the address book as its caller sees it, and how this server names itself.

    `directory` is for what a client may write.
    """

    lists: AddressLists
    caller: Entry
    directory: Directory
    server_name: str
    fqdn: str
    #: Named pipes are served too.
    pipes: bool = False

    @property
    def server_guid(self) -> uuid.UUID:
        """Tells clients whether the Minimal Entry Ids that they remember still hold ([MS-OXNSPI] 3.1.4.1.1).

        It comes from the directory, as the ids do, so that nodes that share one give the same.
        """
        return self.lists.guid


def is_server(entry: Entry) -> bool:
    """Whether an entry is an Exchange server."""
    return "msexchexchangeserver" in (name.casefold() for name in entry.all("objectClass"))


Getter = Callable[[Entry], Any]


class Properties:
    """The properties of entries as one call wants them: entry ids permanent or ephemeral."""

    def __init__(self, book: AddressBook, *, ephemeral: bool = False) -> None:
        self._book = book
        self._ephemeral = ephemeral
        self._server_guid = book.server_guid if ephemeral else None

    def getter(self, property_id: int) -> tuple[PropertyTag, Getter] | None:
        """A property's own tag and what gets its value (None where an entry has none); None for an unknown one."""
        if property_id in _COMPUTED:
            tag, function = _COMPUTED[property_id]
            return tag, lambda entry: function(self, entry)
        if found := BY_ID.get(property_id) or LINK_BY_ID.get(property_id):
            return found.tag, found.value if property_id in BY_ID else self._links(found.attribute)
        return None

    def _links(self, attribute: str) -> Getter:
        """The distinguished names of those whom an entry refers to."""
        lists = self._book.lists
        return lambda entry: [one.legacy_exchange_dn for one in lists.linked(entry, attribute)] or None

    # In the order of their ids.

    def instance_key(self, entry: Entry) -> bytes:
        return instance_key(entry.mid)

    def mapping_signature(self, _entry: Entry) -> bytes:
        return GUID_NSPI.bytes_le

    def permanent_entry_id(self, entry: Entry) -> bytes:
        return entry_permanent_entry_id(entry)

    def object_type(self, entry: Entry) -> int:
        groups = (DisplayType.DISTLIST, DisplayType.PRIVATE_DISTLIST)
        return _OBJECT_DISTLIST if entry.display_type in groups else _OBJECT_MAILUSER

    def entry_id(self, entry: Entry) -> bytes:
        if self._server_guid is not None:
            return ephemeral_entry_id(entry.display_type, entry.mid, self._server_guid)
        return entry_permanent_entry_id(entry)

    def display_name(self, entry: Entry) -> str:
        return entry.display_name

    def address_type(self, entry: Entry) -> str | None:
        return "EX" if entry.legacy_exchange_dn else None

    def email_address(self, entry: Entry) -> str | None:
        return entry.legacy_exchange_dn or None

    def search_key(self, entry: Entry) -> bytes | None:
        if not entry.legacy_exchange_dn:
            return None
        return f"EX:{entry.legacy_exchange_dn.upper()}".encode("ascii", "replace") + b"\0"

    def display_type(self, entry: Entry) -> int:
        return int(entry.display_type)

    def smtp_address(self, entry: Entry) -> str | None:
        return entry.smtp_address

    def display_name_printable(self, entry: Entry) -> str:
        name = entry.display_name
        return name if name.isascii() else entry.first("mailNickname") or name.encode("ascii", "replace").decode()

    def account(self, entry: Entry) -> str | None:
        return entry.first("mailNickname") or entry.account

    def send_rich_info(self, entry: Entry) -> int | None:
        return 1 if entry.mailbox_guid else None

    def home_message_database(self, entry: Entry) -> str | None:
        if server := entry.first("msExchHomeServerName"):
            return home_mdb(server)
        return None

    def network_address(self, entry: Entry) -> list[str] | None:
        """[MS-OXOABK] 2.2.5.1. Every server of the organization is reached by way of this one.

        In front of others it answers for them; alone there is no other. Only bindings that it serves are named.
        """
        if not is_server(entry):
            return None
        name, fqdn = self._book.server_name, self._book.fqdn
        pipes = [f"ncacn_np:{name}"] if self._book.pipes else []
        return [f"netbios:{name}", f"ncacn_ip_tcp:{fqdn}", *pipes]

    def object_guid(self, entry: Entry) -> bytes:
        return entry.guid.bytes_le

    def container_id(self, _entry: Entry) -> int | None:
        """Containers have one, the objects in them not."""
        return None


_COMPUTED: dict[int, tuple[PropertyTag, Callable[[Properties, Entry], Any]]] = {
    tag.id: (tag, function)
    for tag, function in (
        (proptags.PidTagInstanceKey, Properties.instance_key),
        (proptags.PidTagMappingSignature, Properties.mapping_signature),
        (proptags.PidTagRecordKey, Properties.permanent_entry_id),
        (proptags.PidTagObjectType, Properties.object_type),
        (proptags.PidTagEntryId, Properties.entry_id),
        (proptags.PidTagDisplayName, Properties.display_name),
        (proptags.PidTagAddressType, Properties.address_type),
        (proptags.PidTagEmailAddress, Properties.email_address),
        (proptags.PidTagSearchKey, Properties.search_key),
        (proptags.PidTagDisplayType, Properties.display_type),
        (proptags.PidTagTemplateid, Properties.permanent_entry_id),
        (proptags.PidTagSmtpAddress, Properties.smtp_address),
        (proptags.PidTagAddressBookDisplayNamePrintable, Properties.display_name_printable),
        (proptags.PidTagAccount, Properties.account),
        (proptags.PidTagOriginalEntryId, Properties.permanent_entry_id),
        (proptags.PidTagTransmittableDisplayName, Properties.display_name),
        (proptags.PidTagSendRichInfo, Properties.send_rich_info),
        (proptags.PidTagAddressBookHomeMessageDatabase, Properties.home_message_database),
        (proptags.PidTagAddressBookObjectDistinguishedName, Properties.email_address),
        (proptags.PidTagAddressBookNetworkAddress, Properties.network_address),
        (proptags.PidTagAddressBookObjectGuid, Properties.object_guid),
        (proptags.PidTagAddressBookContainerId, Properties.container_id),
    )
}


def known_tags() -> list[PropertyTag]:
    """The tags of all properties that the server is aware of, each with its own type, in the order of their ids."""
    tags = {property_id: tag for property_id, (tag, _) in _COMPUTED.items()}
    tags |= {property_id: found.tag for property_id, found in (*BY_ID.items(), *LINK_BY_ID.items())}
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
