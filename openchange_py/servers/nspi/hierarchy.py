"""The table of address lists, and that of addresses that a client may make: NspiGetSpecialTable
([MS-OXNSPI] 3.1.4.1.3, [MS-OXOABK] 2.2.2, [MS-OXOABKT] 2.2.1).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, Container, DisplayType
from openchange_py.servers.nspi import codepages
from openchange_py.servers.nspi.details import address_template_dn
from openchange_py.servers.nspi.entryids import container_entry_id, instance_key, permanent_entry_id
from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.servers.nspi.registry import method
from openchange_py.servers.nspi.templates.declared import ADDRESS_TEMPLATES
from openchange_py.servers.nspi.templates.texts import closest
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi import NspiGetSpecialTableRequest, NspiGetSpecialTableResponse
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r

#: dwFlags: [MS-OXNSPI] 2.2.1.13.
NSPI_ADDRESS_CREATION_TEMPLATES: Final = 0x00000002
NSPI_UNICODE_STRINGS: Final = 0x00000004

#: PidTagContainerFlags: [MS-OXOABK] 2.2.2.1.
_AB_RECIPIENTS = 0x1
_AB_SUBCONTAINERS = 0x2
_AB_UNMODIFIABLE = 0x8


@method(NspiGetSpecialTableRequest, lambda request, code: NspiGetSpecialTableResponse(request.version, None, code))
def get_special_table(book: AddressBook, request: NspiGetSpecialTableRequest) -> NspiGetSpecialTableResponse:
    """3.1.4.1.3. No rows for a client that has this version of the table of address lists."""
    if request.flags & NSPI_ADDRESS_CREATION_TEMPLATES:
        return NspiGetSpecialTableResponse(request.version, _creation_rows(book, request.stat), ErrorCode.Success)
    unicode = bool(request.flags & NSPI_UNICODE_STRINGS)
    if not unicode:
        codepages.codec(request.stat.code_page)
    containers = book.lists.containers()
    if not containers:
        raise MapiError(ErrorCode.OutOfResources, "the organization has no address lists")
    version = _version(containers)
    if request.version == version:
        return NspiGetSpecialTableResponse(version, [], ErrorCode.Success)
    rows = [_row(container, containers, None if unicode else request.stat.code_page) for container in containers]
    return NspiGetSpecialTableResponse(version, rows, ErrorCode.Success)


def _version(containers: Sequence[Container]) -> int:
    """Another one whenever the table is another one, the same on every node; never 0, which no client has."""
    return zlib.crc32(repr(containers).encode()) or 1


def _row(container: Container, containers: Sequence[Container], code_page: int | None) -> PropertyRow_r:
    flags = _AB_RECIPIENTS | _AB_UNMODIFIABLE
    if any(other.parent == container.mid for other in containers):
        flags |= _AB_SUBCONTAINERS
    values = [
        PropertyValue_r(proptags.PidTagEntryId, container_entry_id(container)),
        PropertyValue_r(proptags.PidTagContainerFlags, flags),
        PropertyValue_r(proptags.PidTagDepth, container.depth),
        PropertyValue_r(proptags.PidTagAddressBookContainerId, int(container.mid)),
        _text(proptags.PidTagDisplayName, container.name, code_page),
        PropertyValue_r(proptags.PidTagAddressBookIsMaster, 0),
    ]
    for parent in containers:
        if parent.mid == container.parent and container.mid != GLOBAL_ADDRESS_LIST:
            values.append(PropertyValue_r(proptags.PidTagAddressBookParentEntryId, container_entry_id(parent)))
    return PropertyRow_r(values)


def _creation_rows(book: AddressBook, stat: STAT) -> list[PropertyRow_r]:
    """A row for each kind of address, in the language closest to the template locale; none for what is no locale.

    Strings are 8-bit, whatever flags there are; a client whose code page is CP_WINUNICODE cannot have them so.
    """
    language = closest(stat.template_locale)
    if language is None:
        return []
    code_page = None if stat.code_page == codepages.CP_WINUNICODE else stat.code_page
    organization = book.lists.organization
    rows = []
    for number, template in enumerate(ADDRESS_TEMPLATES):
        dn = address_template_dn(organization, language, template)
        values = [
            _text(proptags.PidTagAddressType, template.address_type, code_page),
            _text(proptags.PidTagDisplayName, language.text(template.name), code_page),
            PropertyValue_r(proptags.PidTagDisplayType, DisplayType.MAILUSER),
            PropertyValue_r(proptags.PidTagEntryId, permanent_entry_id(DisplayType.ADDRESS_TEMPLATE, dn)),
            PropertyValue_r(proptags.PidTagDepth, 0),
            PropertyValue_r(proptags.PidTagSelectable, 1),
            PropertyValue_r(proptags.PidTagInstanceKey, instance_key(number)),
        ]
        rows.append(PropertyRow_r(values))
    return rows


def _text(tag: PropertyTag, text: str, code_page: int | None) -> PropertyValue_r:
    """A string in a code page, or in Unicode."""
    if code_page is None:
        return PropertyValue_r(tag, text)
    return PropertyValue_r(tag.with_type(PropertyType.String8), codepages.encode(text, code_page))
