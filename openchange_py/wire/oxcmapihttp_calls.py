"""MAPI over HTTP's bodies as calls of EMSMDB and NSPI, and the calls' responses as bodies: the same on both transports.

    translation = TRANSLATIONS["getprops"]
    request = translation.request(body, handle)          # an NspiGetPropsRequest, for opnum translation.opnum of NSPI
    answer = translation.body(body, response)             # a ValuesResponse

What an RPC call tells and a body does not is filled in as Outlook 2016 has it. Not here: Connect's client version,
which stands in a header field; NotificationWait, which is two calls; GetMailboxUrl and GetAddressBookUrl, which are
none.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any, Final

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.codecs import Structure
from openchange_py.wire.ndr import ContextHandle, RpcInterface, RpcMessage
from openchange_py.wire.oxcdata.codepages import codec_name
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcmapihttp import (
    MAILBOX_TYPES,
    ConnectRequest,
    ConnectResponse,
    DisconnectRequest,
    ErrorCodeResponse,
    ExecuteRequest,
    ExecuteResponse,
)
from openchange_py.wire.oxcmapihttp_nspi import (
    ADDRESS_BOOK_TYPES,
    SPELLINGS,
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
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    MAXIMUM_AUX_BUFFER,
    MAXIMUM_BUFFER,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoDisconnectRequest,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.oxnspi import (
    NSPI,
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
    NspiModPropsRequest,
    NspiQueryColumnsRequest,
    NspiQueryColumnsResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
    NspiResortRestrictionRequest,
    NspiResortRestrictionResponse,
    NspiSeekEntriesRequest,
    NspiSeekEntriesResponse,
    NspiUnbindRequest,
    NspiUpdateStatRequest,
    NspiUpdateStatResponse,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r

_NO_GUID: Final = uuid.UUID(int=0)
#: ulIcxrLink of EcDoConnectEx: linked to no other session.
_NO_LINK: Final = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True, slots=True)
class Translation:
    """One request type. `request` gets the body and the context handle, `body` the request's body and the response."""

    name: str
    interface: RpcInterface
    opnum: int
    request: Callable[[Any, ContextHandle], RpcMessage]
    body: Callable[[Any, Any], Structure]
    request_body: type[Structure]
    response_body: type[Structure]

    def failed(self, error_code: int) -> Structure:
        """A response that tells an error code and nothing else."""
        return empty(self.response_body, error_code)


def empty(kind: type[Structure], error_code: int) -> Structure:
    """A response body of that kind with an error code, and nothing in its other fields."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # @structure makes dataclasses
        annotation = str(field.type)
        optional = annotation.startswith("Optional") or "None" in annotation
        values[field.name] = None if optional else _EMPTY.get(annotation, 0)
    return kind(**values | {"error_code": error_code & 0xFFFFFFFF})


_EMPTY: Final[dict[str, Any]] = {"Aux": b"", "Bytes32": b"", "String8": b"", "Utf16": "", "GuidField": _NO_GUID}


# The mailbox.


def _connect(body: ConnectRequest, _handle: ContextHandle) -> RpcMessage:
    return EcDoConnectExRequest(
        body.user_dn,
        body.flags,
        con_mod=0,
        limit=0,
        cpid=body.default_code_page,
        lcid_string=body.lcid_string,
        lcid_sort=body.lcid_sort,
        icxr_link=_NO_LINK,
        can_convert_code_pages=1,
        client_version=(0, 0, 0),
        time_stamp=0,
        aux_in=_short(body.auxiliary_buffer),
    )


def _connected(body: ConnectRequest, response: EcDoConnectExResponse) -> Structure:
    name = (response.display_name or b"").decode(codec_name(body.default_code_page) or "cp1252", "replace")
    return ConnectResponse(
        0,
        response.return_value,
        response.polls_max,
        response.retry,
        response.retry_delay,
        response.dn_prefix or b"",
        name.replace("\0", ""),
        response.aux_out,
    )


def _execute(body: ExecuteRequest, handle: ContextHandle) -> RpcMessage:
    if len(body.rop_buffer) > MAXIMUM_BUFFER:
        raise DecodeError(f"a RopBuffer of {len(body.rop_buffer)} bytes, {MAXIMUM_BUFFER} are possible")
    room = min(body.max_rop_out, MAXIMUM_BUFFER)
    return EcDoRpcExt2Request(handle, body.flags, body.rop_buffer, room, _short(body.auxiliary_buffer))


def _executed(_body: ExecuteRequest, response: EcDoRpcExt2Response) -> Structure:
    return ExecuteResponse(0, response.return_value, 0, response.rgb_out, response.aux_out)


def _short(auxiliary: bytes) -> bytes:
    if len(auxiliary) > MAXIMUM_AUX_BUFFER:
        raise DecodeError(f"an AuxiliaryBuffer of {len(auxiliary)} bytes, {MAXIMUM_AUX_BUFFER} are possible")
    return auxiliary


def _disconnect(_body: DisconnectRequest, handle: ContextHandle) -> RpcMessage:
    return EcDoDisconnectRequest(handle)


def _error_code(_body: Structure, response: Any) -> Structure:
    return ErrorCodeResponse(0, response.return_value)


# The address book.


def _stat(state: STAT | None) -> STAT:
    """A request without State is one at the beginning of the Global Address List."""
    return state if state is not None else STAT()


def _rows(columns: list[PropertyTag] | None, rows: list[PropertyRow_r] | None) -> ColumnsAndRows | None:
    """The requested columns, or where none were those of the first row."""
    if rows is None:
        return None
    values = [row.values or [] for row in rows]
    if columns is None:
        columns = [PropertyTag(value.prop_tag) for value in values[0]] if values else []
    return ColumnsAndRows(columns, values)


def _code_page(body: Any) -> int:
    return _stat(body.state).code_page


def _bind(body: BindRequest, _handle: ContextHandle) -> RpcMessage:
    return NspiBindRequest(body.flags, _stat(body.state), _NO_GUID)


def _bound(_body: BindRequest, response: NspiBindResponse) -> Structure:
    return BindResponse(0, response.return_value, response.server_guid or _NO_GUID)


def _unbind(_body: UnbindRequest, handle: ContextHandle) -> RpcMessage:
    return NspiUnbindRequest(handle)


def _compare(body: CompareMinIdsRequest, handle: ContextHandle) -> RpcMessage:
    return NspiCompareMIdsRequest(handle, 0, _stat(body.state), body.minimal_id1, body.minimal_id2)


def _compared(_body: CompareMinIdsRequest, response: NspiCompareMIdsResponse) -> Structure:
    return CompareMinIdsResponse(0, response.return_value, response.result)


def _dn_to_mid(body: DnToMinIdRequest, handle: ContextHandle) -> RpcMessage:
    return NspiDNToMIdRequest(handle, 0, list(body.names or ()))


def _mids(_body: DnToMinIdRequest, response: NspiDNToMIdResponse) -> Structure:
    return MinimalIdsResponse(0, response.return_value, response.out_mids)


def _get_matches(body: GetMatchesRequest, handle: ContextHandle) -> RpcMessage:
    return NspiGetMatchesRequest(
        handle, 0, _stat(body.state), body.minimal_ids, 0, body.filter, body.property_name, body.row_count, body.columns
    )


def _matches(body: GetMatchesRequest, response: NspiGetMatchesResponse) -> Structure:
    rows = _rows(body.columns, response.rows)
    return GetMatchesResponse(0, response.return_value, response.stat, response.out_mids, rows)


def _get_prop_list(body: GetPropListRequest, handle: ContextHandle) -> RpcMessage:
    return NspiGetPropListRequest(handle, body.flags, body.minimal_id, body.code_page)


def _prop_list(_body: GetPropListRequest, response: NspiGetPropListResponse) -> Structure:
    return TagsResponse(0, response.return_value, response.prop_tags)


def _get_props(body: GetPropsRequest, handle: ContextHandle) -> RpcMessage:
    return NspiGetPropsRequest(handle, body.flags, _stat(body.state), body.property_tags)


def _props(body: GetPropsRequest, response: NspiGetPropsResponse) -> Structure:
    values = response.row.values if response.row is not None else None
    return ValuesResponse(0, response.return_value, _code_page(body), values)


def _get_special_table(body: GetSpecialTableRequest, handle: ContextHandle) -> RpcMessage:
    return NspiGetSpecialTableRequest(handle, body.flags, _stat(body.state), body.version or 0)


def _special_table(body: GetSpecialTableRequest, response: NspiGetSpecialTableResponse) -> Structure:
    rows = [row.values or [] for row in response.rows] if response.rows is not None else None
    return GetSpecialTableResponse(0, response.return_value, _code_page(body), response.version, rows)


def _get_template_info(body: GetTemplateInfoRequest, handle: ContextHandle) -> RpcMessage:
    return NspiGetTemplateInfoRequest(
        handle, body.flags, body.display_type, body.template_dn, body.code_page, body.locale_id
    )


def _template_info(body: GetTemplateInfoRequest, response: NspiGetTemplateInfoResponse) -> Structure:
    values = response.data.values if response.data is not None else None
    return ValuesResponse(0, response.return_value, body.code_page, values)


def _mod_link_att(body: ModLinkAttRequest, handle: ContextHandle) -> RpcMessage:
    entry_ids: list[bytes | None] = list(body.entry_ids or ())
    return NspiModLinkAttRequest(handle, body.flags, body.property_tag, body.minimal_id, entry_ids)


def _mod_props(body: ModPropsRequest, handle: ContextHandle) -> RpcMessage:
    row = PropertyRow_r(body.values or [])
    return NspiModPropsRequest(handle, 0, _stat(body.state), body.property_tags, row)


def _query_rows(body: QueryRowsRequest, handle: ContextHandle) -> RpcMessage:
    table = body.explicit_table
    return NspiQueryRowsRequest(
        handle, body.flags, _stat(body.state), len(table), table or None, body.row_count, body.columns
    )


def _queried(body: QueryRowsRequest, response: NspiQueryRowsResponse | NspiSeekEntriesResponse) -> Structure:
    rows = _rows(body.columns, response.rows)
    return RowsResponse(0, response.return_value, response.stat, rows)


def _query_columns(body: QueryColumnsRequest, handle: ContextHandle) -> RpcMessage:
    return NspiQueryColumnsRequest(handle, 0, body.flags)


def _columns(_body: QueryColumnsRequest, response: NspiQueryColumnsResponse) -> Structure:
    return TagsResponse(0, response.return_value, response.columns)


def _resolve(body: ResolveNamesRequest, handle: ContextHandle) -> RpcMessage:
    names: list[str | None] = list(body.names or ())
    return NspiResolveNamesWRequest(handle, 0, _stat(body.state), body.property_tags, names)


def _resolved(body: ResolveNamesRequest, response: NspiResolveNamesWResponse) -> Structure:
    rows = _rows(body.property_tags, response.rows)
    return ResolveNamesResponse(0, response.return_value, _code_page(body), response.mids, rows)


def _resort(body: ResortRestrictionRequest, handle: ContextHandle) -> RpcMessage:
    return NspiResortRestrictionRequest(handle, 0, _stat(body.state), body.minimal_ids or [], None)


def _resorted(_body: ResortRestrictionRequest, response: NspiResortRestrictionResponse) -> Structure:
    return ResortRestrictionResponse(0, response.return_value, response.stat, response.out_mids)


def _seek(body: SeekEntriesRequest, handle: ContextHandle) -> RpcMessage:
    if body.target is None:
        raise DecodeError("SeekEntries without Target")
    return NspiSeekEntriesRequest(handle, 0, _stat(body.state), body.target, body.explicit_table, body.columns)


def _update(body: UpdateStatRequest, handle: ContextHandle) -> RpcMessage:
    return NspiUpdateStatRequest(handle, 0, _stat(body.state), 0 if body.delta_requested else None)


def _updated(_body: UpdateStatRequest, response: NspiUpdateStatResponse) -> Structure:
    delta = response.delta & 0xFFFFFFFF if response.delta is not None else None
    return UpdateStatResponse(0, response.return_value, response.stat, delta)


_Row = tuple[str, int, Callable[[Any, ContextHandle], RpcMessage], Callable[[Any, Any], Structure]]

_MAILBOX: Final[list[_Row]] = [
    ("Connect", 10, _connect, _connected),
    ("Execute", 11, _execute, _executed),
    ("Disconnect", 1, _disconnect, _error_code),
]
_ADDRESS_BOOK: Final[list[_Row]] = [
    ("Bind", 0, _bind, _bound),
    ("Unbind", 1, _unbind, _error_code),
    ("UpdateStat", 2, _update, _updated),
    ("QueryRows", 3, _query_rows, _queried),
    ("SeekEntries", 4, _seek, _queried),
    ("GetMatches", 5, _get_matches, _matches),
    ("ResortRestriction", 6, _resort, _resorted),
    ("DNToMId", 7, _dn_to_mid, _mids),
    ("GetPropList", 8, _get_prop_list, _prop_list),
    ("GetProps", 9, _get_props, _props),
    ("CompareMIds", 10, _compare, _compared),
    ("ModProps", 11, _mod_props, _error_code),
    ("GetSpecialTable", 12, _get_special_table, _special_table),
    ("GetTemplateInfo", 13, _get_template_info, _template_info),
    ("ModLinkAtt", 14, _mod_link_att, _error_code),
    ("QueryColumns", 16, _query_columns, _columns),
    ("ResolveNames", 20, _resolve, _resolved),
]


def _translations(
    interface: RpcInterface, rows: list[_Row], bodies: dict[str, tuple[type[Structure], type[Structure]]]
) -> dict[str, Translation]:
    return {
        name.lower(): Translation(name, interface, opnum, request, body, *bodies[name])
        for name, opnum, request, body in rows
    }


#: By request type in lower case.
MAILBOX: Final = _translations(EMSMDB, _MAILBOX, MAILBOX_TYPES)
ADDRESS_BOOK: Final = _translations(NSPI, _ADDRESS_BOOK, ADDRESS_BOOK_TYPES)
ADDRESS_BOOK.update({spelling: ADDRESS_BOOK[name.lower()] for spelling, name in SPELLINGS.items()})
