"""What a client may write: NspiModProps and NspiModLinkAtt ([MS-OXNSPI] 3.1.4.1.14, .15).

Accounts write their own certificates and delegates; who owns a group writes its members. Nothing else is written this
way, as the documents say. Whatever goes wrong, nothing is changed. Not done: members of a group that owns another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from openchange_py.addressbook.attributes import BY_ID, LINK_BY_ID
from openchange_py.addressbook.base import AttributeValue, DirectoryError, DisplayType, Entry, MinimalEntryId
from openchange_py.servers.nspi import tables
from openchange_py.servers.nspi.entryids import parse_entry_id
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.registry import method
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxnspi import (
    NspiModLinkAttRequest,
    NspiModLinkAttResponse,
    NspiModPropsRequest,
    NspiModPropsResponse,
)
from openchange_py.wire.oxnspi_types import PropertyValue_r

logger = logging.getLogger(__name__)

#: dwFlags of NspiModLinkAtt: [MS-OXNSPI] 2.2.1.17.
F_DELETE: Final = 0x00000001

#: The properties that NspiModProps changes, by id.
_WRITABLE: Final[dict[int, PropertyTag]] = {
    tag.id: tag for tag in (proptags.PidTagUserX509Certificate, proptags.PidTagAddressBookX509Certificate)
}
#: Bytes of all certificates of a call: more than anybody has, and every client that writes to him gets them.
MAXIMUM_CERTIFICATES: Final = 256 << 10
#: Entry ids of one call; a client with more calls again.
MAXIMUM_ENTRY_IDS: Final = 1000


@method(NspiModPropsRequest, lambda _request, code: NspiModPropsResponse(code))
def mod_props(book: AddressBook, request: NspiModPropsRequest) -> NspiModPropsResponse:
    """3.1.4.1.14: InvalidParameter, InvalidObject (not a mailbox user's), AccessDenied (not one's own)."""
    tables.refuse_winunicode(request.stat)
    if request.prop_tags is None:
        raise MapiError(ErrorCode.InvalidParameter, "no list of properties")
    entry = _entry(book, request.stat.current_rec)
    if entry.display_type != DisplayType.MAILUSER:
        raise MapiError(ErrorCode.InvalidObject, f"{entry.display_type.name} has nothing to modify")
    _allow(book.caller.guid == entry.guid, f"an account may only modify itself, not {entry.legacy_exchange_dn}")
    changes: dict[str, list[AttributeValue] | None] = {_attribute(tag >> 16): None for tag in request.prop_tags}
    changes |= {_attribute(value.prop_tag >> 16): _certificates(value) for value in request.row.values or ()}
    if changes:
        _write(lambda: book.directory.modify(entry, changes))
        logger.info("%s changed its own %s", book.caller.account, ", ".join(changes))
    return NspiModPropsResponse(ErrorCode.Success)


def _attribute(property_id: int) -> str:
    _allow(property_id in _WRITABLE, f"property 0x{property_id:04X} is not written by clients")
    return BY_ID[property_id].attribute


def _certificates(value: PropertyValue_r) -> list[AttributeValue] | None:
    """The values to write; None where the property is to have none."""
    _allow(value.prop_tag == _WRITABLE[value.prop_tag >> 16], f"0x{value.prop_tag:08X} is of another type")
    certificates = [one for one in value.value or () if one]
    _allow(sum(map(len, certificates)) <= MAXIMUM_CERTIFICATES, "certificates of too many bytes")
    return certificates or None


@method(NspiModLinkAttRequest, lambda _request, code: NspiModLinkAttResponse(code))
def mod_link_att(book: AddressBook, request: NspiModLinkAttRequest) -> NspiModLinkAttResponse:
    """3.1.4.1.15: NotFound (no such property), InvalidParameter (no such object), AccessDenied.

    What is linked already, or to be deleted and not there, makes no difference.
    """
    property_id = request.prop_tag >> 16
    if Properties(book).getter(property_id) is None:
        raise MapiError(ErrorCode.NotFound, f"no property 0x{request.prop_tag:08X}")
    entry = _entry(book, request.mid)
    _allow(property_id in _LINKS, f"links of 0x{request.prop_tag:08X} are not written by clients")
    display_type, may_write = _LINKS[property_id]
    _allow(entry.display_type == display_type, f"{entry.display_type.name} has no such links")
    _allow(may_write(book, entry), f"{book.caller.legacy_exchange_dn} may not write {entry.legacy_exchange_dn}")
    deletes = bool(request.flags & F_DELETE)
    targets = _targets(book, request.entry_ids or (), missing_is_gone=deletes)
    attribute = LINK_BY_ID[property_id].attribute
    if deletes:
        _write(lambda: book.directory.change_links(entry, attribute, remove=targets))
    else:
        _allow(all(may_be_linked(entry, target) for target in targets), "not everybody can be linked to that object")
        _write(lambda: book.directory.change_links(entry, attribute, add=targets))
    logger.info("%s changed %s of %s", book.caller.account, attribute, entry.legacy_exchange_dn)
    return NspiModLinkAttResponse(ErrorCode.Success)


def owns(book: AddressBook, group: Entry) -> bool:
    """Whether the caller is one of those who manage a group."""
    owners = (
        owner for attribute in ("managedBy", "msExchCoManagedByLink") for owner in book.lists.linked(group, attribute)
    )
    return any(owner.guid == book.caller.guid for owner in owners)


def is_caller(book: AddressBook, entry: Entry) -> bool:
    return entry.guid == book.caller.guid


#: The links that NspiModLinkAtt changes: of objects of which display type, and who may.
_LINKS: Final[dict[int, tuple[DisplayType, Callable[[AddressBook, Entry], bool]]]] = {
    proptags.PidTagAddressBookMember.id: (DisplayType.DISTLIST, owns),
    proptags.PidTagAddressBookPublicDelegates.id: (DisplayType.MAILUSER, is_caller),
}


def may_be_linked(entry: Entry, target: Entry) -> bool:
    """Whether an object may be a member or delegate of another: nobody of itself, and no server."""
    return entry.guid != target.guid and target.display_type != DisplayType.AGENT


def _targets(book: AddressBook, entry_ids: Sequence[bytes | None], *, missing_is_gone: bool) -> list[Entry]:
    """The objects that entry ids name; what is not there is left out, or refuses the call."""
    _allow(len(entry_ids) <= MAXIMUM_ENTRY_IDS, f"{len(entry_ids)} entry ids in one call")
    parsed = [parse_entry_id(raw or b"", book.server_guid) for raw in entry_ids]
    _allow(None not in parsed, "an entry id that is not of this address book")
    mids = [MinimalEntryId(one) for one in parsed if isinstance(one, int)]
    found = book.lists.by_mid(mids)
    targets: Iterable[Entry | None] = (
        found.get(MinimalEntryId(one)) if isinstance(one, int) else book.lists.by_legacy_dn(one)
        for one in parsed
        if one is not None
    )
    targets = list(targets)
    _allow(missing_is_gone or None not in targets, "an entry id of nobody")
    return list({target.guid: target for target in targets if target is not None}.values())


def _entry(book: AddressBook, mid: int) -> Entry:
    """The object to modify; `MapiError` (InvalidParameter) where there is none."""
    entry = book.lists.by_mid([MinimalEntryId(mid)]).get(MinimalEntryId(mid))
    if entry is None:
        raise MapiError(ErrorCode.InvalidParameter, f"no object {mid}")
    return entry


def _allow(allowed: bool, reason: str) -> None:
    if not allowed:
        raise MapiError(ErrorCode.AccessDenied, reason)


def _write(write: Callable[[], object]) -> None:
    """Both calls have one error for whatever keeps the directory from it."""
    try:
        write()
    except DirectoryError as error:
        logger.error("the directory was not changed: %s", error)
        raise MapiError(ErrorCode.AccessDenied, str(error)) from error
