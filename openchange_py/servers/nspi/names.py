"""Names of properties: NspiGetNamesFromIDs and NspiGetIDsFromNames ([MS-NSPI] 3.1.4.16, .17).

The address book has one property set, PS_MAPI ([MS-OXPROPS] 1.3.2), with all its properties, each named by its own tag:
their ids are the same for every client and for ever.
"""

from __future__ import annotations

import uuid
from typing import Final

from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.registry import method
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi import (
    NspiGetIDsFromNamesRequest,
    NspiGetIDsFromNamesResponse,
    NspiGetNamesFromIDsRequest,
    NspiGetNamesFromIDsResponse,
)
from openchange_py.wire.oxnspi_types import PropertyName_r

PS_MAPI: Final = uuid.UUID("00020328-0000-0000-c000-000000000046")

#: dwFlags of NspiGetIDsFromNames: [MS-NSPI] 2.2.15.
NSPI_VERIFY_NAMES: Final = 0x00000002

#: The tag of a name that means no property.
_NO_PROPERTY: Final = PropertyTag(0x0000000A)


@method(NspiGetNamesFromIDsRequest, lambda _request, code: NspiGetNamesFromIDsResponse(None, None, code))
def get_names_from_ids(book: AddressBook, request: NspiGetNamesFromIDsRequest) -> NspiGetNamesFromIDsResponse:
    """[MS-NSPI] 3.1.4.16: NotSupported for all names of PS_MAPI, which are too many to be asked for.

    Of other property sets there is no property to list.
    """
    if request.prop_tags is None:
        if request.guid == PS_MAPI:
            raise MapiError(ErrorCode.NotSupported, "all names of PS_MAPI")
        return NspiGetNamesFromIDsResponse(None if request.guid is None else [], [], ErrorCode.Success)
    properties, has_names = Properties(book), request.guid in (None, PS_MAPI)
    names = [
        PropertyName_r(PS_MAPI, _signed(tag)) if has_names and properties.getter(tag >> 16) else PropertyName_r(None, 0)
        for tag in request.prop_tags
    ]
    return NspiGetNamesFromIDsResponse(None, names, ErrorCode.Success)


@method(NspiGetIDsFromNamesRequest, lambda _request, code: NspiGetIDsFromNamesResponse(None, code))
def get_ids_from_names(book: AddressBook, request: NspiGetIDsFromNamesRequest) -> NspiGetIDsFromNamesResponse:
    """[MS-NSPI] 3.1.4.17: ErrorsReturned where a name means nothing, or AccessDenied, as the client wants."""
    properties = Properties(book)
    tags = [_tag(properties, name) for name in request.names]
    if _NO_PROPERTY not in tags:
        return NspiGetIDsFromNamesResponse(tags, ErrorCode.Success)
    if request.flags & NSPI_VERIFY_NAMES:
        raise MapiError(ErrorCode.AccessDenied, "a name without a property")
    return NspiGetIDsFromNamesResponse(tags, ErrorCode.ErrorsReturned)


def _tag(properties: Properties, name: PropertyName_r | None) -> PropertyTag:
    """The tag that a name means, without a type."""
    if name is None or name.guid != PS_MAPI:
        return _NO_PROPERTY
    tag = PropertyTag(name.id & 0xFFFFFFFF)
    return tag.with_type(PropertyType.Unspecified) if properties.getter(tag.id) else _NO_PROPERTY


def _signed(tag: int) -> int:
    """As a LONG has it."""
    return tag - (1 << 32) if tag >> 31 else tag
