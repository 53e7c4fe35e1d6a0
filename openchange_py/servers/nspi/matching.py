"""Finding objects: NspiGetMatches, NspiDNToMId, NspiResolveNames and NspiResolveNamesW
([MS-OXNSPI] 3.1.4.1.10, .13, .16, .17).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from openchange_py.addressbook.attributes import LINK_BY_ID
from openchange_py.addressbook.base import MinimalEntryId
from openchange_py.addressbook.tailorings import language_of
from openchange_py.servers.nspi import codepages, tables
from openchange_py.servers.nspi.browsing import columns_for, resorted, rows_of
from openchange_py.servers.nspi.entryids import container_dn
from openchange_py.servers.nspi.links import linked_mids
from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.servers.nspi.registry import method
from openchange_py.servers.nspi.restrictions import check_size
from openchange_py.servers.nspi.searching import Search
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxnspi import (
    NspiDNToMIdRequest,
    NspiDNToMIdResponse,
    NspiGetMatchesRequest,
    NspiGetMatchesResponse,
    NspiResolveNamesRequest,
    NspiResolveNamesResponse,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r

#: What name resolution says of a name, in place of an id ([MS-OXNSPI] 2.2.1.9).
MID_UNRESOLVED: Final = 0
MID_AMBIGUOUS: Final = 1
MID_RESOLVED: Final = 2

#: Most matches of one answer, whatever the client asks for; Exchange has the same limit for restrictions.
MAXIMUM_MATCHES: Final = 50_000
#: Names and distinguished names of one call.
MAXIMUM_NAMES: Final = 1000

#: The sort types of tables that a property refers to: of one to read, and of one to write.
_PROPERTY_SORTS: Final = (tables.SORT_DISPLAY_NAME_RO, tables.SORT_DISPLAY_NAME_W)
#: What NspiModLinkAtt writes: the properties that may be opened to write.
_WRITTEN: Final = (proptags.PidTagAddressBookMember.id, proptags.PidTagAddressBookPublicDelegates.id)


@method(NspiGetMatchesRequest, lambda request, code: NspiGetMatchesResponse(request.stat, None, None, code))
def get_matches(book: AddressBook, request: NspiGetMatchesRequest) -> NspiGetMatchesResponse:
    """3.1.4.1.10: an Explicit Table of the objects that pass a restriction, or that a property refers to.

    More of them than the client asked for: TableTooBig. Rows have ephemeral entry ids. Afterwards the STAT's
    ContainerID is what CurrentRec was, as the document has it.
    """
    stat = request.stat
    tables.refuse_winunicode(stat)
    if request.reserved1:
        raise MapiError(ErrorCode.InvalidParameter, f"Reserved1 is {request.reserved1}")
    if request.reserved is not None:
        raise MapiError(ErrorCode.TooComplex, "pReserved is there")
    if stat.sort_type not in (*tables.SORT_TYPES, *_PROPERTY_SORTS):
        raise MapiError(ErrorCode.GeneralFailure, f"sort type {stat.sort_type}")
    if stat.sort_type in tables.SORT_TYPES:
        tables.container_size(book.lists, stat)
    limit = min(request.requested, MAXIMUM_MATCHES)
    mids = _referred(book, request, limit) if request.filter is None else _filtered(book, request, limit)
    if len(mids) > limit:
        raise MapiError(ErrorCode.TableTooBig, f"more than {limit} matches")
    rows = None
    if request.prop_tags is not None:
        columns = columns_for(book, request.prop_tags, stat.code_page, ephemeral=True)
        rows = rows_of(book, columns, mids)
    stat = dataclasses.replace(stat, container_id=stat.current_rec)
    return NspiGetMatchesResponse(stat, [int(mid) for mid in mids], rows, ErrorCode.Success)


def _filtered(book: AddressBook, request: NspiGetMatchesRequest, limit: int) -> list[MinimalEntryId]:
    """The container's objects that pass the restriction, one more than the limit at most."""
    stat, restriction = request.stat, request.filter
    if stat.sort_type in _PROPERTY_SORTS:
        raise MapiError(ErrorCode.GeneralFailure, f"a restriction with sort type {stat.sort_type}")
    assert restriction is not None
    check_size(restriction)
    container = MinimalEntryId(stat.container_id)
    return Search(book, container, tables.order_of(stat), stat.code_page).find(restriction, limit + 1)


def _referred(book: AddressBook, request: NspiGetMatchesRequest, limit: int) -> Sequence[int]:
    """3.1.4.4.2.2: the objects that a property of CurrentRec refers to, in display-name order.

    The property's tag is the STAT's ContainerID, or the id of a name.
    """
    stat, mid = request.stat, MinimalEntryId(request.stat.current_rec)
    tag = request.prop_name.id & 0xFFFFFFFF if request.prop_name else stat.container_id
    entry = book.lists.by_mid([mid]).get(mid)
    if entry is None:
        raise MapiError(ErrorCode.GeneralFailure, f"no object {mid}")
    link = LINK_BY_ID.get(tag >> 16)
    if link is None or (stat.sort_type == tables.SORT_DISPLAY_NAME_W and tag >> 16 not in _WRITTEN):
        raise MapiError(ErrorCode.NotSupported, f"no such table behind {PropertyTag(tag)!r}")
    if link.targets is None and book.lists.link_count(entry, link.attribute) > limit:
        raise MapiError(ErrorCode.TableTooBig, f"more than {limit} objects")
    mids = linked_mids(book.lists, entry, link)
    return resorted(book, mids, stat) if language_of(stat.sort_locale) else mids


@method(NspiDNToMIdRequest, lambda _request, code: NspiDNToMIdResponse(None, code))
def dn_to_mid(book: AddressBook, request: NspiDNToMIdRequest) -> NspiDNToMIdResponse:
    """3.1.4.1.13: 0 for a DN that names nothing. DNs compare without case; an X500 address finds its owner too."""
    if len(request.names) > MAXIMUM_NAMES:
        raise MapiError(ErrorCode.TooComplex, f"{len(request.names)} distinguished names in one call")
    names = [(name or b"").decode("ascii", "replace") for name in request.names]
    # An id below FIRST_MID is none, and nothing has an empty DN.
    mids = [mid if mid is not None and mid >= tables.FIRST_MID else 0 for mid in book.lists.mids_by_legacy_dn(names)]
    if any(_is_container(name) for name in names):
        known = {container_dn(container).casefold(): int(container.mid) for container in book.lists.containers()}
        for row, name in enumerate(names):
            if _is_container(name):
                mids[row] = known.get(name.casefold().replace("-", ""), MID_UNRESOLVED)
    return NspiDNToMIdResponse([int(mid) for mid in mids], ErrorCode.Success)


def _is_container(dn: str) -> bool:
    return dn.casefold().startswith("/guid=")


@method(NspiResolveNamesRequest, lambda _request, code: NspiResolveNamesResponse(None, None, code))
def resolve_names(book: AddressBook, request: NspiResolveNamesRequest) -> NspiResolveNamesResponse:
    """3.1.4.1.16: names in the client's code page."""
    tables.refuse_winunicode(request.stat)
    names = [codepages.decode(name, request.stat.code_page) if name else None for name in request.strings]
    mids, rows = _resolve(book, request.stat, names, request.prop_tags)
    return NspiResolveNamesResponse(mids, rows, ErrorCode.Success)


@method(NspiResolveNamesWRequest, lambda _request, code: NspiResolveNamesWResponse(None, None, code))
def resolve_names_w(book: AddressBook, request: NspiResolveNamesWRequest) -> NspiResolveNamesWResponse:
    """3.1.4.1.17."""
    tables.refuse_winunicode(request.stat)
    mids, rows = _resolve(book, request.stat, request.strings, request.prop_tags)
    return NspiResolveNamesWResponse(mids, rows, ErrorCode.Success)


def _resolve(
    book: AddressBook, stat: STAT, names: Sequence[str | None], tags: Sequence[PropertyTag] | None
) -> tuple[list[int], list[PropertyRow_r]]:
    """What became of each name, and a row for each that means one object."""
    if len(names) > MAXIMUM_NAMES:
        raise MapiError(ErrorCode.TooComplex, f"{len(names)} names in one call")
    tables.container_size(book.lists, stat)
    columns, container = columns_for(book, tags, stat.code_page), MinimalEntryId(stat.container_id)
    found = book.lists.resolve_all([name or "" for name in names], container, 2)
    mids = [(MID_UNRESOLVED, MID_RESOLVED, MID_AMBIGUOUS)[len(entries)] for entries in found]
    resolved = [entries[0].mid for entries in found if len(entries) == 1]
    return mids, rows_of(book, columns, resolved)
