"""Calls of NSPI as MAPI over HTTP's requests, and the answers' bodies as the calls' responses: a client's half.

    bridge = NSPI_BRIDGES[opnum]
    body = bridge.body(request)                             # a GetPropsRequest, say
    response = bridge.response(request, answer)             # of a ValuesResponse, an NspiGetPropsResponse

The server's half is `oxcmapihttp_calls`. NspiBind and NspiUnbind, whose handles are sessions here, are made of the same
bodies with the handle that the caller gives. NspiGetNamesFromIDs and NspiGetIDsFromNames have no counterpart over HTTP.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from openchange_py.wire.codecs import Structure
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcMessage
from openchange_py.wire.oxcdata.codepages import codec_name
from openchange_py.wire.oxcmapihttp import ErrorCodeResponse
from openchange_py.wire.oxcmapihttp_nspi import (
    ADDRESS_BOOK_TYPES,
    BindRequest,
    BindResponse,
    CompareMinIdsRequest,
    CompareMinIdsResponse,
    DnToMinIdRequest,
    GetMatchesRequest,
    GetMatchesResponse,
    GetPropListRequest,
    GetPropsRequest,
    GetSpecialTableRequest,
    GetSpecialTableResponse,
    GetTemplateInfoRequest,
    MinimalIdsResponse,
    ModLinkAttRequest,
    ModPropsRequest,
    QueryColumnsRequest,
    QueryRowsRequest,
    ResolveNamesRequest,
    ResolveNamesResponse,
    ResortRestrictionRequest,
    ResortRestrictionResponse,
    RowsResponse,
    SeekEntriesRequest,
    TagsResponse,
    UnbindRequest,
    UpdateStatRequest,
    UpdateStatResponse,
    ValuesResponse,
)
from openchange_py.wire.oxcmapihttp_values import ColumnsAndRows
from openchange_py.wire.oxnspi import (
    NspiBindRequest,
    NspiBindResponse,
    NspiCompareMIdsRequest,
    NspiCompareMIdsResponse,
    NspiDNToMIdRequest,
    NspiDNToMIdResponse,
    NspiGetMatchesRequest,
    NspiGetMatchesResponse,
    NspiGetPropListRequest,
    NspiGetPropListResponse,
    NspiGetPropsRequest,
    NspiGetPropsResponse,
    NspiGetSpecialTableRequest,
    NspiGetSpecialTableResponse,
    NspiGetTemplateInfoRequest,
    NspiGetTemplateInfoResponse,
    NspiModLinkAttRequest,
    NspiModLinkAttResponse,
    NspiModPropsRequest,
    NspiModPropsResponse,
    NspiQueryColumnsRequest,
    NspiQueryColumnsResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesRequest,
    NspiResolveNamesResponse,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
    NspiResortRestrictionRequest,
    NspiResortRestrictionResponse,
    NspiSeekEntriesRequest,
    NspiSeekEntriesResponse,
    NspiUnbindRequest,
    NspiUnbindResponse,
    NspiUpdateStatRequest,
    NspiUpdateStatResponse,
)
from openchange_py.wire.oxnspi_types import PropertyRow_r, PropertyValue_r


@dataclasses.dataclass(frozen=True, slots=True)
class Bridge:
    """One call. `name` is its X-RequestType, `response` gets the call's request and the answer's body."""

    name: str
    body: Callable[[Any], Structure]
    response: Callable[[Any, Any], RpcMessage]

    @property
    def answer(self) -> type[Structure]:
        """The class of an answer's body."""
        return ADDRESS_BOOK_TYPES[self.name][1]


def bind_body(call: NspiBindRequest) -> BindRequest:
    """NspiBind as Bind, which has no GUID to tell."""
    return BindRequest(call.flags, call.stat)


def bound(call: NspiBindRequest, answer: BindResponse, handle: ContextHandle) -> NspiBindResponse:
    """The server's GUID is for who asked for it; `handle` for a session that was opened."""
    guid = answer.server_guid if call.server_guid is not None else None
    return NspiBindResponse(guid, NULL_HANDLE if answer.error_code else handle, answer.error_code)


def unbind_body(call: NspiUnbindRequest) -> UnbindRequest:
    """NspiUnbind as Unbind."""
    return UnbindRequest(call.reserved)


def unbound(answer: ErrorCodeResponse) -> NspiUnbindResponse:
    """The handle is gone, whatever the server says."""
    return NspiUnbindResponse(NULL_HANDLE, answer.error_code)


def _rows(found: ColumnsAndRows | None) -> list[PropertyRow_r] | None:
    return None if found is None else _row_list(found.rows)


def _row_list(rows: list[list[PropertyValue_r]]) -> list[PropertyRow_r]:
    return [PropertyRow_r(row) for row in rows]


def _row(values: list[PropertyValue_r] | None) -> PropertyRow_r | None:
    return None if values is None else PropertyRow_r(values)


def _update(call: NspiUpdateStatRequest) -> Structure:
    return UpdateStatRequest(call.reserved, call.stat, int(call.delta is not None))


def _updated(call: NspiUpdateStatRequest, answer: UpdateStatResponse) -> RpcMessage:
    delta = answer.delta
    if delta is not None and delta >= 1 << 31:
        delta -= 1 << 32
    if delta is None and call.delta is not None:
        delta = call.delta
    return NspiUpdateStatResponse(answer.state or call.stat, delta, answer.error_code)


def _query(call: NspiQueryRowsRequest) -> Structure:
    return QueryRowsRequest(call.flags, call.stat, list(call.e_table or ()), call.count, call.prop_tags)


def _queried(call: NspiQueryRowsRequest, answer: RowsResponse) -> RpcMessage:
    return NspiQueryRowsResponse(answer.state or call.stat, _rows(answer.rows), answer.error_code)


def _seek(call: NspiSeekEntriesRequest) -> Structure:
    return SeekEntriesRequest(call.reserved, call.stat, call.target, call.e_table, call.prop_tags)


def _sought(call: NspiSeekEntriesRequest, answer: RowsResponse) -> RpcMessage:
    return NspiSeekEntriesResponse(answer.state or call.stat, _rows(answer.rows), answer.error_code)


def _matches(call: NspiGetMatchesRequest) -> Structure:
    return GetMatchesRequest(
        call.reserved1,
        call.stat,
        call.reserved,
        call.reserved2,
        call.filter,
        call.prop_name,
        call.requested,
        call.prop_tags,
    )


def _matched(call: NspiGetMatchesRequest, answer: GetMatchesResponse) -> RpcMessage:
    stat = answer.state or call.stat
    return NspiGetMatchesResponse(stat, answer.minimal_ids, _rows(answer.rows), answer.error_code)


def _resort(call: NspiResortRestrictionRequest) -> Structure:
    return ResortRestrictionRequest(call.reserved, call.stat, call.in_mids)


def _resorted(call: NspiResortRestrictionRequest, answer: ResortRestrictionResponse) -> RpcMessage:
    return NspiResortRestrictionResponse(answer.state or call.stat, answer.minimal_ids, answer.error_code)


def _dn_to_mid(call: NspiDNToMIdRequest) -> Structure:
    return DnToMinIdRequest(call.reserved, [name or b"" for name in call.names])


def _mids(_call: NspiDNToMIdRequest, answer: MinimalIdsResponse) -> RpcMessage:
    return NspiDNToMIdResponse(answer.minimal_ids, answer.error_code)


def _prop_list(call: NspiGetPropListRequest) -> Structure:
    return GetPropListRequest(call.flags, call.mid, call.code_page)


def _prop_listed(_call: NspiGetPropListRequest, answer: TagsResponse) -> RpcMessage:
    return NspiGetPropListResponse(answer.property_tags, answer.error_code)


def _props(call: NspiGetPropsRequest) -> Structure:
    return GetPropsRequest(call.flags, call.stat, call.prop_tags)


def _got_props(_call: NspiGetPropsRequest, answer: ValuesResponse) -> RpcMessage:
    return NspiGetPropsResponse(_row(answer.values), answer.error_code)


def _compare(call: NspiCompareMIdsRequest) -> Structure:
    return CompareMinIdsRequest(call.reserved, call.stat, call.mid1, call.mid2)


def _compared(_call: NspiCompareMIdsRequest, answer: CompareMinIdsResponse) -> RpcMessage:
    return NspiCompareMIdsResponse(answer.result, answer.error_code)


def _mod_props(call: NspiModPropsRequest) -> Structure:
    return ModPropsRequest(call.reserved, call.stat, call.prop_tags, call.row.values or [])


def _modified(_call: NspiModPropsRequest, answer: ErrorCodeResponse) -> RpcMessage:
    return NspiModPropsResponse(answer.error_code)


def _special_table(call: NspiGetSpecialTableRequest) -> Structure:
    return GetSpecialTableRequest(call.flags, call.stat, call.version)


def _got_special_table(call: NspiGetSpecialTableRequest, answer: GetSpecialTableResponse) -> RpcMessage:
    rows = None if answer.rows is None else _row_list(answer.rows)
    version = call.version if answer.version is None else answer.version
    return NspiGetSpecialTableResponse(version, rows, answer.error_code)


def _template_info(call: NspiGetTemplateInfoRequest) -> Structure:
    return GetTemplateInfoRequest(call.flags, call.type, call.dn, call.code_page, call.locale_id)


def _got_template_info(_call: NspiGetTemplateInfoRequest, answer: ValuesResponse) -> RpcMessage:
    return NspiGetTemplateInfoResponse(_row(answer.values), answer.error_code)


def _mod_link(call: NspiModLinkAttRequest) -> Structure:
    entry_ids = None if call.entry_ids is None else [entry_id or b"" for entry_id in call.entry_ids]
    return ModLinkAttRequest(call.flags, call.prop_tag, call.mid, entry_ids)


def _linked(_call: NspiModLinkAttRequest, answer: ErrorCodeResponse) -> RpcMessage:
    return NspiModLinkAttResponse(answer.error_code)


def _columns(call: NspiQueryColumnsRequest) -> Structure:
    return QueryColumnsRequest(call.reserved, call.flags)


def _got_columns(_call: NspiQueryColumnsRequest, answer: TagsResponse) -> RpcMessage:
    return NspiQueryColumnsResponse(answer.property_tags, answer.error_code)


def _resolve(call: NspiResolveNamesRequest) -> Structure:
    """Over HTTP all names are Unicode."""
    codec = codec_name(call.stat.code_page) or "cp1252"
    names = [(name or b"").decode(codec, "replace").replace("\0", "") for name in call.strings]
    return ResolveNamesRequest(call.reserved, call.stat, call.prop_tags, names)


def _resolved(_call: NspiResolveNamesRequest, answer: ResolveNamesResponse) -> RpcMessage:
    return NspiResolveNamesResponse(answer.minimal_ids, _rows(answer.rows), answer.error_code)


def _resolve_w(call: NspiResolveNamesWRequest) -> Structure:
    names = [(name or "").replace("\0", "") for name in call.strings]
    return ResolveNamesRequest(call.reserved, call.stat, call.prop_tags, names)


def _resolved_w(_call: NspiResolveNamesWRequest, answer: ResolveNamesResponse) -> RpcMessage:
    return NspiResolveNamesWResponse(answer.minimal_ids, _rows(answer.rows), answer.error_code)


#: By opnum.
NSPI_BRIDGES: Final[dict[int, Bridge]] = {
    2: Bridge("UpdateStat", _update, _updated),
    3: Bridge("QueryRows", _query, _queried),
    4: Bridge("SeekEntries", _seek, _sought),
    5: Bridge("GetMatches", _matches, _matched),
    6: Bridge("ResortRestriction", _resort, _resorted),
    7: Bridge("DNToMId", _dn_to_mid, _mids),
    8: Bridge("GetPropList", _prop_list, _prop_listed),
    9: Bridge("GetProps", _props, _got_props),
    10: Bridge("CompareMIds", _compare, _compared),
    11: Bridge("ModProps", _mod_props, _modified),
    12: Bridge("GetSpecialTable", _special_table, _got_special_table),
    13: Bridge("GetTemplateInfo", _template_info, _got_template_info),
    14: Bridge("ModLinkAtt", _mod_link, _linked),
    16: Bridge("QueryColumns", _columns, _got_columns),
    19: Bridge("ResolveNames", _resolve, _resolved),
    20: Bridge("ResolveNames", _resolve_w, _resolved_w),
}
