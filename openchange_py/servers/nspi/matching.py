"""Finding objects: NspiGetMatches, NspiDNToMId, NspiResolveNames and NspiResolveNamesW
([MS-OXNSPI] 3.1.4.1.10, .13, .16, .17).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from openchange_py.addressbook.attributes import LINK_BY_ID
from openchange_py.addressbook.base import Entry, MinimalEntryId
from openchange_py.servers.nspi import codepages, tables
from openchange_py.servers.nspi.browsing import columns_for, rows_of
from openchange_py.servers.nspi.entryids import container_dn
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.registry import method
from openchange_py.servers.nspi.restrictions import Filter, resolution_name
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

_PAGE = 500

_MATCHING_SORTS = (
    tables.SORT_DISPLAY_NAME,
    tables.SORT_PHONETIC_DISPLAY_NAME,
    tables.SORT_DISPLAY_NAME_RO,
    tables.SORT_DISPLAY_NAME_W,
)


@method(NspiGetMatchesRequest, lambda request, code: NspiGetMatchesResponse(request.stat, None, None, code))
def get_matches(book: AddressBook, request: NspiGetMatchesRequest) -> NspiGetMatchesResponse:
    """3.1.4.1.10: an Explicit Table of the objects that pass a restriction, or that a property refers to.

    More of them than the client asked for: TableTooBig. Rows have ephemeral entry ids.
    """
    stat = request.stat
    tables.refuse_winunicode(stat)
    if stat.sort_type not in _MATCHING_SORTS:
        raise MapiError(ErrorCode.GeneralFailure, f"sort type {stat.sort_type}")
    limit = min(request.requested, MAXIMUM_MATCHES)
    if stat.sort_type in (tables.SORT_DISPLAY_NAME_RO, tables.SORT_DISPLAY_NAME_W) or request.prop_name:
        found = _referred(book, request, limit)
        stat = dataclasses.replace(stat, container_id=_linked_tag(request))
    else:
        found = _filtered(book, request, limit)
    if len(found) > limit:
        raise MapiError(ErrorCode.TableTooBig, f"more than {limit} matches")
    rows = None
    if request.prop_tags is not None:
        rows = rows_of(columns_for(book, request.prop_tags, stat.code_page, ephemeral=True), found)
    return NspiGetMatchesResponse(stat, [int(entry.mid) for entry in found], rows, ErrorCode.Success)


def _filtered(book: AddressBook, request: NspiGetMatchesRequest, limit: int) -> list[Entry]:
    """The container's objects that pass the restriction, one more than the limit at most."""
    stat, restriction = request.stat, request.filter
    tables.container_size(book.lists, stat)
    container = MinimalEntryId(stat.container_id)
    if restriction is None:
        return book.lists.page(container, 0, limit + 1)
    name = resolution_name(restriction, stat.code_page)
    if name is not None:
        return book.lists.resolve(name, container, limit + 1)
    passes = Filter(Properties(book), stat.code_page).compile(restriction)
    found = []
    for entry in _everyone(book, container):
        if passes(entry):
            found.append(entry)
            if len(found) > limit:
                break
    return found


def _everyone(book: AddressBook, container: MinimalEntryId) -> Iterator[Entry]:
    start = 0
    while entries := book.lists.page(container, start, _PAGE):
        yield from entries
        start += len(entries)


def _linked_tag(request: NspiGetMatchesRequest) -> int:
    """The property to open as a table: a tag in the STAT's ContainerID, or a name with the tag's id."""
    if request.prop_name is not None:
        return request.prop_name.id & 0xFFFFFFFF
    return request.stat.container_id


def _referred(book: AddressBook, request: NspiGetMatchesRequest, limit: int) -> list[Entry]:
    """3.1.4.4.2.2: the objects that a property of CurrentRec refers to, in display-name order."""
    mid, tag = MinimalEntryId(request.stat.current_rec), _linked_tag(request)
    link = LINK_BY_ID.get(tag >> 16)
    entry = book.lists.by_mid([mid]).get(mid)
    if link is None or entry is None:
        raise MapiError(ErrorCode.NotFound, f"no table behind {PropertyTag(tag)!r} of object {mid}")
    return book.lists.linked(entry, link.attribute, limit + 1)


@method(NspiDNToMIdRequest, lambda _request, code: NspiDNToMIdResponse(None, code))
def dn_to_mid(book: AddressBook, request: NspiDNToMIdRequest) -> NspiDNToMIdResponse:
    """3.1.4.1.13: 0 for a DN that names nothing. DNs compare without case; an X500 address finds its owner too."""
    if len(request.names) > MAXIMUM_NAMES:
        raise MapiError(ErrorCode.TooComplex, f"{len(request.names)} distinguished names in one call")
    return NspiDNToMIdResponse([_mid_of(book, name) for name in request.names], ErrorCode.Success)


def _mid_of(book: AddressBook, name: bytes | None) -> int:
    if not name:
        return MID_UNRESOLVED
    dn = name.decode("ascii", "replace")
    if dn.casefold().startswith("/guid="):
        wanted = dn.casefold().replace("-", "")
        known = {container_dn(container).casefold(): container.mid for container in book.lists.containers()}
        return known.get(wanted, MID_UNRESOLVED)
    entry = book.lists.by_legacy_dn(dn)
    return int(entry.mid) if entry else MID_UNRESOLVED


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
    columns = columns_for(book, tags, stat.code_page)
    mids, resolved = [], []
    for name in names:
        found = book.lists.resolve(name, MinimalEntryId(stat.container_id), 2) if name else []
        mids.append((MID_UNRESOLVED, MID_RESOLVED, MID_AMBIGUOUS)[len(found)])
        if len(found) == 1:
            resolved.append(found[0])
    return mids, rows_of(columns, resolved)
