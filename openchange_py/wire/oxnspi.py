"""[MS-OXNSPI] 3.1.4.1 (v20240416): the calls of the NSPI interface.

Field names are the document's without their type prefix. Opnum 15 is never used on the wire and has no codec.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from openchange_py.wire.ndr import RpcInterface, RpcMessage
from openchange_py.wire.ndr_message import (
    By,
    Dword,
    Handle,
    Long,
    TailedMessage,
    Unique,
    char_string,
    long,
    ndr_message,
)
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxnspi_restrictions import Restriction_r, read_restriction, write_restriction
from openchange_py.wire.oxnspi_types import (
    STAT,
    PropertyName_r,
    PropertyRow_r,
    PropertyValue_r,
    read_binaries,
    read_dwords,
    read_flat_uid,
    read_name,
    read_name_pointers,
    read_name_set,
    read_row,
    read_rows,
    read_stat,
    read_strings,
    read_tags,
    read_value,
    read_wstrings,
    write_binaries,
    write_dwords,
    write_flat_uid,
    write_name,
    write_name_pointers,
    write_name_set,
    write_row,
    write_rows,
    write_stat,
    write_strings,
    write_tags,
    write_value,
    write_wstrings,
)

NSPI = RpcInterface("exchange_nsp", "f5cc5a18-4264-101a-8c59-08002b2f8426", 56, 0)

_tags = By(read_tags, write_tags)
_rows = By(read_rows, write_rows)
_row = By(read_row, write_row)

Stat = Annotated[STAT, By(read_stat, write_stat)]
FlatUid = Annotated[uuid.UUID | None, Unique(By(read_flat_uid, write_flat_uid))]
Tags = Annotated[list[PropertyTag], _tags]
UniqueTags = Annotated[list[PropertyTag] | None, Unique(_tags)]
#: Minimal Entry Ids travel in the same structure as property tags.
Mids = Annotated[list[int], _tags]
UniqueMids = Annotated[list[int] | None, Unique(_tags)]
Strings = Annotated[list[bytes | None], By(read_strings, write_strings)]
WStrings = Annotated[list[str | None], By(read_wstrings, write_wstrings)]
Row = Annotated[PropertyRow_r, _row]
UniqueRow = Annotated[PropertyRow_r | None, Unique(_row)]
UniqueRows = Annotated[list[PropertyRow_r] | None, Unique(_rows)]


@ndr_message
class NspiBindRequest(TailedMessage):
    """3.1.4.1.1 NspiBind (opnum 0)."""

    flags: Dword
    stat: Stat
    server_guid: FlatUid = None


@ndr_message
class NspiBindResponse(RpcMessage):
    """3.1.4.1.1 NspiBind (opnum 0)."""

    server_guid: FlatUid
    context_handle: Handle
    return_value: Dword


@ndr_message
class NspiUnbindRequest(TailedMessage):
    """3.1.4.1.2 NspiUnbind (opnum 1)."""

    context_handle: Handle
    reserved: Dword = 0


@ndr_message
class NspiUnbindResponse(RpcMessage):
    """3.1.4.1.2 NspiUnbind (opnum 1)."""

    context_handle: Handle
    return_value: Dword


@ndr_message
class NspiUpdateStatRequest(TailedMessage):
    """3.1.4.1.4 NspiUpdateStat (opnum 2)."""

    h_rpc: Handle
    reserved: Dword
    stat: Stat
    delta: Annotated[int | None, Unique(long)] = None


@ndr_message
class NspiUpdateStatResponse(RpcMessage):
    """3.1.4.1.4 NspiUpdateStat (opnum 2)."""

    stat: Stat
    delta: Annotated[int | None, Unique(long)]
    return_value: Dword


@ndr_message
class NspiQueryRowsRequest(TailedMessage):
    """3.1.4.1.8 NspiQueryRows (opnum 3)."""

    h_rpc: Handle
    flags: Dword
    stat: Stat
    e_table_count: Dword
    e_table: Annotated[list[int] | None, Unique(By(read_dwords, write_dwords))]
    count: Dword
    prop_tags: UniqueTags = None


@ndr_message
class NspiQueryRowsResponse(RpcMessage):
    """3.1.4.1.8 NspiQueryRows (opnum 3)."""

    stat: Stat
    rows: UniqueRows
    return_value: Dword


@ndr_message
class NspiSeekEntriesRequest(TailedMessage):
    """3.1.4.1.9 NspiSeekEntries (opnum 4)."""

    h_rpc: Handle
    reserved: Dword
    stat: Stat
    target: Annotated[PropertyValue_r, By(read_value, write_value)]
    e_table: UniqueMids = None
    prop_tags: UniqueTags = None


@ndr_message
class NspiSeekEntriesResponse(RpcMessage):
    """3.1.4.1.9 NspiSeekEntries (opnum 4)."""

    stat: Stat
    rows: UniqueRows
    return_value: Dword


@ndr_message
class NspiGetMatchesRequest(TailedMessage):
    """3.1.4.1.10 NspiGetMatches (opnum 5)."""

    h_rpc: Handle
    reserved1: Dword
    stat: Stat
    reserved: UniqueMids
    reserved2: Dword
    filter: Annotated[Restriction_r | None, Unique(By(read_restriction, write_restriction))]
    prop_name: Annotated[PropertyName_r | None, Unique(By(read_name, write_name))]
    requested: Dword
    prop_tags: UniqueTags = None


@ndr_message
class NspiGetMatchesResponse(RpcMessage):
    """3.1.4.1.10 NspiGetMatches (opnum 5)."""

    stat: Stat
    out_mids: UniqueMids
    rows: UniqueRows
    return_value: Dword


@ndr_message
class NspiResortRestrictionRequest(TailedMessage):
    """3.1.4.1.11 NspiResortRestriction (opnum 6)."""

    h_rpc: Handle
    reserved: Dword
    stat: Stat
    in_mids: Mids
    out_mids: UniqueMids = None


@ndr_message
class NspiResortRestrictionResponse(RpcMessage):
    """3.1.4.1.11 NspiResortRestriction (opnum 6)."""

    stat: Stat
    out_mids: UniqueMids
    return_value: Dword


@ndr_message
class NspiDNToMIdRequest(TailedMessage):
    """3.1.4.1.13 NspiDNToMId (opnum 7)."""

    h_rpc: Handle
    reserved: Dword
    names: Strings


@ndr_message
class NspiDNToMIdResponse(RpcMessage):
    """3.1.4.1.13 NspiDNToMId (opnum 7)."""

    out_mids: UniqueMids
    return_value: Dword


@ndr_message
class NspiGetPropListRequest(TailedMessage):
    """3.1.4.1.6 NspiGetPropList (opnum 8)."""

    h_rpc: Handle
    flags: Dword
    mid: Dword
    code_page: Dword


@ndr_message
class NspiGetPropListResponse(RpcMessage):
    """3.1.4.1.6 NspiGetPropList (opnum 8)."""

    prop_tags: UniqueTags
    return_value: Dword


@ndr_message
class NspiGetPropsRequest(TailedMessage):
    """3.1.4.1.7 NspiGetProps (opnum 9)."""

    h_rpc: Handle
    flags: Dword
    stat: Stat
    prop_tags: UniqueTags = None


@ndr_message
class NspiGetPropsResponse(RpcMessage):
    """3.1.4.1.7 NspiGetProps (opnum 9)."""

    row: UniqueRow
    return_value: Dword


@ndr_message
class NspiCompareMIdsRequest(TailedMessage):
    """3.1.4.1.12 NspiCompareMIds (opnum 10)."""

    h_rpc: Handle
    reserved: Dword
    stat: Stat
    mid1: Dword
    mid2: Dword


@ndr_message
class NspiCompareMIdsResponse(RpcMessage):
    """3.1.4.1.12 NspiCompareMIds (opnum 10)."""

    result: Long
    return_value: Dword


@ndr_message
class NspiModPropsRequest(TailedMessage):
    """3.1.4.1.14 NspiModProps (opnum 11)."""

    h_rpc: Handle
    reserved: Dword
    stat: Stat
    prop_tags: UniqueTags
    row: Row


@ndr_message
class NspiModPropsResponse(RpcMessage):
    """3.1.4.1.14 NspiModProps (opnum 11)."""

    return_value: Dword


@ndr_message
class NspiGetSpecialTableRequest(TailedMessage):
    """3.1.4.1.3 NspiGetSpecialTable (opnum 12)."""

    h_rpc: Handle
    flags: Dword
    stat: Stat
    version: Dword = 0


@ndr_message
class NspiGetSpecialTableResponse(RpcMessage):
    """3.1.4.1.3 NspiGetSpecialTable (opnum 12)."""

    version: Dword
    rows: UniqueRows
    return_value: Dword


@ndr_message
class NspiGetTemplateInfoRequest(TailedMessage):
    """3.1.4.1.18 NspiGetTemplateInfo (opnum 13)."""

    h_rpc: Handle
    flags: Dword
    type: Dword
    dn: Annotated[bytes | None, Unique(char_string)]
    code_page: Dword
    locale_id: Dword


@ndr_message
class NspiGetTemplateInfoResponse(RpcMessage):
    """3.1.4.1.18 NspiGetTemplateInfo (opnum 13)."""

    data: UniqueRow
    return_value: Dword


@ndr_message
class NspiModLinkAttRequest(TailedMessage):
    """3.1.4.1.15 NspiModLinkAtt (opnum 14)."""

    h_rpc: Handle
    flags: Dword
    prop_tag: Dword
    mid: Dword
    entry_ids: Annotated[list[bytes | None] | None, By(read_binaries, write_binaries)]


@ndr_message
class NspiModLinkAttResponse(RpcMessage):
    """3.1.4.1.15 NspiModLinkAtt (opnum 14)."""

    return_value: Dword


@ndr_message
class NspiQueryColumnsRequest(TailedMessage):
    """3.1.4.1.5 NspiQueryColumns (opnum 16)."""

    h_rpc: Handle
    reserved: Dword
    flags: Dword


@ndr_message
class NspiQueryColumnsResponse(RpcMessage):
    """3.1.4.1.5 NspiQueryColumns (opnum 16)."""

    columns: UniqueTags
    return_value: Dword


@ndr_message
class NspiGetNamesFromIDsRequest(TailedMessage):
    """[MS-NSPI] 3.1.4.16 NspiGetNamesFromIDs (opnum 17)."""

    h_rpc: Handle
    reserved: Dword
    guid: FlatUid
    prop_tags: UniqueTags = None


@ndr_message
class NspiGetNamesFromIDsResponse(RpcMessage):
    """[MS-NSPI] 3.1.4.16 NspiGetNamesFromIDs (opnum 17)."""

    returned_prop_tags: UniqueTags
    names: Annotated[list[PropertyName_r] | None, Unique(By(read_name_set, write_name_set))]
    return_value: Dword


@ndr_message
class NspiGetIDsFromNamesRequest(TailedMessage):
    """[MS-NSPI] 3.1.4.17 NspiGetIDsFromNames (opnum 18)."""

    h_rpc: Handle
    reserved: Dword
    flags: Dword
    prop_names: Dword
    names: Annotated[list[PropertyName_r | None], By(read_name_pointers, write_name_pointers)]


@ndr_message
class NspiGetIDsFromNamesResponse(RpcMessage):
    """[MS-NSPI] 3.1.4.17 NspiGetIDsFromNames (opnum 18)."""

    prop_tags: UniqueTags
    return_value: Dword


@ndr_message
class NspiResolveNamesRequest(TailedMessage):
    """3.1.4.1.16 NspiResolveNames (opnum 19)."""

    h_rpc: Handle
    reserved: Dword
    stat: Stat
    prop_tags: UniqueTags
    strings: Strings


@ndr_message
class NspiResolveNamesResponse(RpcMessage):
    """3.1.4.1.16 NspiResolveNames (opnum 19)."""

    mids: UniqueMids
    rows: UniqueRows
    return_value: Dword


@ndr_message
class NspiResolveNamesWRequest(TailedMessage):
    """3.1.4.1.17 NspiResolveNamesW (opnum 20)."""

    h_rpc: Handle
    reserved: Dword
    stat: Stat
    prop_tags: UniqueTags
    strings: WStrings


@ndr_message
class NspiResolveNamesWResponse(RpcMessage):
    """3.1.4.1.17 NspiResolveNamesW (opnum 20)."""

    mids: UniqueMids
    rows: UniqueRows
    return_value: Dword


NSPI.declare(0, "NspiBind", NspiBindRequest, NspiBindResponse)
NSPI.declare(1, "NspiUnbind", NspiUnbindRequest, NspiUnbindResponse)
NSPI.declare(2, "NspiUpdateStat", NspiUpdateStatRequest, NspiUpdateStatResponse)
NSPI.declare(3, "NspiQueryRows", NspiQueryRowsRequest, NspiQueryRowsResponse)
NSPI.declare(4, "NspiSeekEntries", NspiSeekEntriesRequest, NspiSeekEntriesResponse)
NSPI.declare(5, "NspiGetMatches", NspiGetMatchesRequest, NspiGetMatchesResponse)
NSPI.declare(6, "NspiResortRestriction", NspiResortRestrictionRequest, NspiResortRestrictionResponse)
NSPI.declare(7, "NspiDNToMId", NspiDNToMIdRequest, NspiDNToMIdResponse)
NSPI.declare(8, "NspiGetPropList", NspiGetPropListRequest, NspiGetPropListResponse)
NSPI.declare(9, "NspiGetProps", NspiGetPropsRequest, NspiGetPropsResponse)
NSPI.declare(10, "NspiCompareMIds", NspiCompareMIdsRequest, NspiCompareMIdsResponse)
NSPI.declare(11, "NspiModProps", NspiModPropsRequest, NspiModPropsResponse)
NSPI.declare(12, "NspiGetSpecialTable", NspiGetSpecialTableRequest, NspiGetSpecialTableResponse)
NSPI.declare(13, "NspiGetTemplateInfo", NspiGetTemplateInfoRequest, NspiGetTemplateInfoResponse)
NSPI.declare(14, "NspiModLinkAtt", NspiModLinkAttRequest, NspiModLinkAttResponse)
NSPI.declare(15, "NspiDeleteEntries")
NSPI.declare(16, "NspiQueryColumns", NspiQueryColumnsRequest, NspiQueryColumnsResponse)
NSPI.declare(17, "NspiGetNamesFromIDs", NspiGetNamesFromIDsRequest, NspiGetNamesFromIDsResponse)
NSPI.declare(18, "NspiGetIDsFromNames", NspiGetIDsFromNamesRequest, NspiGetIDsFromNamesResponse)
NSPI.declare(19, "NspiResolveNames", NspiResolveNamesRequest, NspiResolveNamesResponse)
NSPI.declare(20, "NspiResolveNamesW", NspiResolveNamesWRequest, NspiResolveNamesWResponse)
