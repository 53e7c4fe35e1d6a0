"""Reading one object, and what can be read: NspiGetProps, NspiGetPropList, NspiQueryColumns
([MS-OXNSPI] 3.1.4.1.7, .6, .5).
"""

from __future__ import annotations

from typing import Final

from openchange_py.addressbook.base import Entry, MinimalEntryId
from openchange_py.servers.nspi import tables
from openchange_py.servers.nspi.browsing import F_EPH_ID
from openchange_py.servers.nspi.codepages import CP_WINUNICODE
from openchange_py.servers.nspi.properties import AddressBook, Properties, known_tags, string_tags
from openchange_py.servers.nspi.registry import method
from openchange_py.servers.nspi.rows import Columns, has_errors
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi import (
    NspiGetPropListRequest,
    NspiGetPropListResponse,
    NspiGetPropsRequest,
    NspiGetPropsResponse,
    NspiQueryColumnsRequest,
    NspiQueryColumnsResponse,
)
from openchange_py.wire.oxnspi_types import STAT

#: dwFlags: [MS-OXNSPI] 2.2.1.12 and 2.2.1.14.
F_SKIP_OBJECTS: Final = 0x00000001
NSPI_UNICODE_PROPTYPES: Final = 0x80000000


@method(NspiGetPropsRequest, lambda _request, code: NspiGetPropsResponse(None, code))
def get_props(book: AddressBook, request: NspiGetPropsRequest) -> NspiGetPropsResponse:
    """3.1.4.1.7: ErrorsReturned where a value is missing. Without tags, those that NspiGetPropList tells."""
    stat, tags = request.stat, request.prop_tags
    tables.container_size(book.lists, stat)
    entry = _object(book, stat)
    properties = Properties(book, ephemeral=bool(request.flags & F_EPH_ID))
    if tags is None:
        if entry is None:
            raise MapiError(ErrorCode.GeneralFailure, f"no object {stat.current_rec}")  # as NspiGetPropList has it
        present = _present(properties, entry, skip_objects=bool(request.flags & F_SKIP_OBJECTS))
        tags = string_tags(present, unicode=stat.code_page == CP_WINUNICODE)
    row = Columns(properties, tags, stat.code_page).row(entry)
    return NspiGetPropsResponse(row, ErrorCode.ErrorsReturned if has_errors(row) else ErrorCode.Success)


def _object(book: AddressBook, stat: STAT) -> Entry | None:
    """The object that CurrentRec names: itself, whatever list it is in, or the one at that end of the list.

    The document knows MID_CURRENT, and places in the middle, in NspiUpdateStat alone.
    """
    if stat.current_rec not in (tables.MID_BEGINNING_OF_TABLE, tables.MID_END_OF_TABLE):
        mid = MinimalEntryId(stat.current_rec)
        return book.lists.by_mid([mid]).get(mid) if mid >= tables.FIRST_MID else None
    _, row, _ = tables.locate(book.lists, stat)
    return next(iter(book.lists.page(MinimalEntryId(stat.container_id), row, 1, tables.order_of(stat))), None)


def _present(properties: Properties, entry: Entry, *, skip_objects: bool) -> list[PropertyTag]:
    """The tags of the properties that the object has."""
    return [
        tag
        for tag in known_tags()
        if not (skip_objects and tag.type == PropertyType.Object) and properties.has(tag.id, entry)
    ]


@method(NspiGetPropListRequest, lambda _request, code: NspiGetPropListResponse(None, code))
def get_prop_list(book: AddressBook, request: NspiGetPropListRequest) -> NspiGetPropListResponse:
    """3.1.4.1.6. Strings are PtypString8, whatever the code page."""
    mid = MinimalEntryId(request.mid)
    entry = book.lists.by_mid([mid]).get(mid)
    if entry is None:
        raise MapiError(ErrorCode.GeneralFailure, f"no object {mid}")
    present = _present(Properties(book), entry, skip_objects=bool(request.flags & F_SKIP_OBJECTS))
    return NspiGetPropListResponse(string_tags(present, unicode=False), ErrorCode.Success)


@method(NspiQueryColumnsRequest, lambda _request, code: NspiQueryColumnsResponse(None, code))
def query_columns(_book: AddressBook, request: NspiQueryColumnsRequest) -> NspiQueryColumnsResponse:
    """3.1.4.1.5: all that the server is aware of."""
    tags = string_tags(known_tags(), unicode=bool(request.flags & NSPI_UNICODE_PROPTYPES))
    return NspiQueryColumnsResponse(tags, ErrorCode.Success)
