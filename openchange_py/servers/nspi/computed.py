"""The properties of address book objects that are not one attribute's: [MS-OXOABK] 2.2.3 and following.

Each is a small function of an object and of the address book that it is seen in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from openchange_py.addressbook.attributes import LINK_BY_ID, is_group
from openchange_py.addressbook.base import Container, Entry, Kind
from openchange_py.addressbook.hosts import is_server
from openchange_py.addressbook.recipients import ACL_CAPABLE, home_mdb
from openchange_py.servers.nspi.entryids import GUID_NSPI, container_dn, entry_permanent_entry_id, instance_key
from openchange_py.servers.nspi.links import Links
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyTag

if TYPE_CHECKING:
    from openchange_py.servers.nspi.properties import AddressBook

#: PidTagObjectType ([MS-OXOABK] 2.2.3.10).
_OBJECT_MAILUSER: Final = 6
_OBJECT_DISTLIST: Final = 8
#: PidTagContainerFlags of a group ([MS-OXOABK] 2.2.2.1): AB_RECIPIENTS and AB_UNMODIFIABLE.
_GROUP_FLAGS: Final = 0x1 | 0x8
#: What PidTagDisplayTypeEx says of an object of this organization ([MS-OXOABK] 2.2.3.12, DTE_FLAG_REMOTE_VALID).
_REMOTE: Final = 0x80000000

#: What gets a value, None where an object has none.
Computation = Callable[["AddressBook", Entry], Any]


def _instance_key(_book: AddressBook, entry: Entry) -> bytes:
    return instance_key(entry.mid)


def _mapping_signature(_book: AddressBook, _entry: Entry) -> bytes:
    return GUID_NSPI.bytes_le


def _permanent_entry_id(_book: AddressBook, entry: Entry) -> bytes:
    return entry_permanent_entry_id(entry)


def _object_type(_book: AddressBook, entry: Entry) -> int:
    return _OBJECT_DISTLIST if is_group(entry) else _OBJECT_MAILUSER


def _display_name(_book: AddressBook, entry: Entry) -> str:
    return entry.display_name


def _address_type(_book: AddressBook, entry: Entry) -> str | None:
    return "EX" if entry.legacy_exchange_dn else None


def _email_address(_book: AddressBook, entry: Entry) -> str | None:
    return entry.legacy_exchange_dn or None


def _search_key(_book: AddressBook, entry: Entry) -> bytes | None:
    if not entry.legacy_exchange_dn:
        return None
    return f"EX:{entry.legacy_exchange_dn.upper()}".encode("ascii", "replace") + b"\0"


def _display_type(_book: AddressBook, entry: Entry) -> int:
    return int(entry.display_type)


def _display_type_ex(_book: AddressBook, entry: Entry) -> int:
    """msExchRecipientDisplayType, which tells rooms and shared mailboxes; else what the display type says."""
    stored = entry.first("msExchRecipientDisplayType") or ""
    try:
        value = int(stored)
    except ValueError:
        value = int(entry.display_type)
        if entry.mailbox_guid:
            value |= ACL_CAPABLE
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def _smtp_address(_book: AddressBook, entry: Entry) -> str | None:
    return entry.smtp_address


def _display_name_printable(_book: AddressBook, entry: Entry) -> str:
    name = entry.display_name
    return name if name.isascii() else entry.first("mailNickname") or name.encode("ascii", "replace").decode()


def _account(_book: AddressBook, entry: Entry) -> str | None:
    return entry.first("mailNickname") or entry.account


def _send_rich_info(_book: AddressBook, entry: Entry) -> int | None:
    """mAPIRecipient, which is for contacts to say; who has a mailbox here reads rich text."""
    stored = (entry.first("mAPIRecipient") or "").casefold()
    if stored in ("true", "false"):
        return int(stored == "true")
    return 1 if entry.mailbox_guid else None


def _zero(_book: AddressBook, _entry: Entry) -> int:
    return 0


def _group_contents(_book: AddressBook, entry: Entry) -> int | None:
    return 0 if is_group(entry) else None


def _group_flags(_book: AddressBook, entry: Entry) -> int | None:
    return _GROUP_FLAGS if is_group(entry) else None


def _home_message_database(_book: AddressBook, entry: Entry) -> str | None:
    server = entry.first("msExchHomeServerName")
    return home_mdb(server) if server else None


def _manager_name(links: Links, entry: Entry) -> str | None:
    names = links.names(entry, LINK_BY_ID[proptags.PidTagAddressBookManager.id], 1)
    return names[0][1] if names else None


def _member_count(links: Links, entry: Entry) -> int | None:
    return links.count(entry, "member") if is_group(entry) else None


def _external_member_count(links: Links, entry: Entry) -> int | None:
    """Members that have no mailbox here."""
    return links.count(entry, "member", Kind.CONTACT) if is_group(entry) else None


def _network_address(book: AddressBook, entry: Entry) -> list[str] | None:
    """[MS-OXOABK] 2.2.5.1, of servers."""
    return book.own.network_addresses(entry) if is_server(entry) else None


def _object_guid(_book: AddressBook, entry: Entry) -> bytes:
    return entry.guid.bytes_le


def _container_id(_book: AddressBook, _entry: Entry) -> int | None:
    """Containers have one, the objects in them not."""
    return None


def _room_containers(book: AddressBook, entry: Entry) -> list[str] | None:
    """Where a mailbox's owner finds rooms and equipment."""
    if not entry.mailbox_guid:
        return None
    return [container_dn(container) for container in book.lists.containers() if _lists_resources(container)] or None


def _lists_resources(container: Container) -> bool:
    """Whether a list is one of rooms: its search asks for what makes a resource."""
    search = container.purported_search.casefold()
    return "msexchresource" in search or "msexchrecipientdisplaytype=7" in search


#: By property id.
COMPUTED: Final[dict[int, tuple[PropertyTag, Computation]]] = {
    tag.id: (tag, function)
    for tag, function in (
        (proptags.PidTagInstanceKey, _instance_key),
        (proptags.PidTagMappingSignature, _mapping_signature),
        (proptags.PidTagRecordKey, _permanent_entry_id),
        (proptags.PidTagObjectType, _object_type),
        (proptags.PidTagDisplayName, _display_name),
        (proptags.PidTagAddressType, _address_type),
        (proptags.PidTagEmailAddress, _email_address),
        (proptags.PidTagSearchKey, _search_key),
        (proptags.PidTagContainerFlags, _group_flags),
        (proptags.PidTagContainerContents, _group_contents),
        (proptags.PidTagDisplayType, _display_type),
        (proptags.PidTagTemplateid, _permanent_entry_id),
        (proptags.PidTagDisplayTypeEx, _display_type_ex),
        (proptags.PidTagSmtpAddress, _smtp_address),
        (proptags.PidTagAddressBookDisplayNamePrintable, _display_name_printable),
        (proptags.PidTagAccount, _account),
        (proptags.PidTagOriginalEntryId, _permanent_entry_id),
        (proptags.PidTagTransmittableDisplayName, _display_name),
        (proptags.PidTagSendRichInfo, _send_rich_info),
        (proptags.PidTagInitialDetailsPane, _zero),
        (proptags.PidTagAddressBookHomeMessageDatabase, _home_message_database),
        (proptags.PidTagAddressBookObjectDistinguishedName, _email_address),
        (proptags.PidTagAddressBookNetworkAddress, _network_address),
        (proptags.PidTagAddressBookObjectGuid, _object_guid),
        (proptags.PidTagAddressBookDisplayTypeExtended, _display_type_ex),
        (proptags.PidTagAddressBookRoomContainers, _room_containers),
        (proptags.PidTagAddressBookContainerId, _container_id),
    )
}

#: By property id those that tell of what an object refers to.
COMPUTED_OF_LINKS: Final[dict[int, tuple[PropertyTag, Callable[[Links, Entry], Any]]]] = {
    tag.id: (tag, function)
    for tag, function in (
        (proptags.PidTagManagerName, _manager_name),
        (proptags.PidTagAddressBookDistributionListMemberCount, _member_count),
        (proptags.PidTagAddressBookDistributionListExternalMemberCount, _external_member_count),
    )
}
