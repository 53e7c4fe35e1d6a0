"""[MS-OXCPRPT]: properties and their names. Streams: `oxcprpt_streams`.

Not done yet: properties of folders and of the store can't be set or deleted; RopCopyTo, RopCopyProperties,
RopQueryNamedProperties, RopProgress; bodies in other formats than they were saved in ([MS-OXCMSG] 2.2.1.56).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.servers.emsmdb.objects.working import WorkingObject
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.servers.emsmdb.values import TOO_LARGE, ValueReader, value_size
from openchange_py.wire.buffer import Writer
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.named import Kind, PropertyName
from openchange_py.wire.oxcdata.problems import PropertyProblem
from openchange_py.wire.oxcdata.properties import (
    PropertyTag,
    PropertyType,
    PropertyValue,
    TaggedPropertyValue,
)
from openchange_py.wire.oxcdata.rows import PropertyError, PropertyRow, write_flagged
from openchange_py.wire.oxcdata.values import TypedPropertyValue
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.oxcprpt import (
    NameFlags,
    RopDeletePropertiesNoReplicateRequest,
    RopDeletePropertiesNoReplicateResponse,
    RopDeletePropertiesRequest,
    RopDeletePropertiesResponse,
    RopGetNamesFromPropertyIdsRequest,
    RopGetNamesFromPropertyIdsResponse,
    RopGetPropertiesAllRequest,
    RopGetPropertiesAllResponse,
    RopGetPropertiesListRequest,
    RopGetPropertiesListResponse,
    RopGetPropertiesSpecificRequest,
    RopGetPropertiesSpecificResponse,
    RopGetPropertyIdsFromNamesRequest,
    RopGetPropertyIdsFromNamesResponse,
    RopSetPropertiesNoReplicateRequest,
    RopSetPropertiesNoReplicateResponse,
    RopSetPropertiesRequest,
    RopSetPropertiesResponse,
    SetPropertiesRequest,
)

#: What a response has besides the values, and a value besides its bytes (tag, flag, count), at the most.
_HEADER: Final = 8
_OVERHEAD: Final = 8
#: A tag, beyond the flag that stands in its place in a row; an error in the place of a value.
_TAG: Final = 3
_ERROR_SIZE: Final = 8

#: Property ids below are not mapped to names; PS_MAPI names them all the same ([MS-OXPROPS] 1.3.2).
_FIRST_NAMED: Final = 0x8000
_PS_MAPI: Final = uuid.UUID("00020328-0000-0000-c000-000000000046")
#: The property set of a name that is none.
_NO_SET: Final = uuid.UUID(int=0)


@handles(RopGetPropertiesSpecificRequest)
def get_properties_specific(
    call: RopCall, request: RopGetPropertiesSpecificRequest
) -> RopGetPropertiesSpecificResponse:
    """RopGetPropertiesSpecific: [MS-OXCPRPT] 3.2.5.1."""
    tags = request.property_tags
    opened = call.object(request, PropertyObject)
    reader = _value_reader(call, opened, request.property_size_limit, request.want_unicode)
    values = _fitting(tags, reader.row(opened.properties(tags), tags), call.space)
    row = PropertyRow.of(values)
    return RopGetPropertiesSpecificResponse(request.input_handle_index, ErrorCode.Success, row, tags)


def _value_reader(call: RopCall, opened: PropertyObject, size_limit: int, want_unicode: int) -> ValueReader:
    room = max(call.space - _HEADER, 1)
    limit = min(size_limit, room) if size_limit else room
    return ValueReader(opened.codec, unicode=bool(want_unicode), limit=limit)


def _fitting(tags: Sequence[PropertyTag], values: list[PropertyValue], space: int) -> list[PropertyValue]:
    """The values; where they do not all fit into the response, the largest read as errors and are streams then."""
    if _HEADER + sum(_OVERHEAD + value_size(value) for value in values) <= space:
        return values
    sizes = [_TAG + _written_size(tag, value) for tag, value in zip(tags, values, strict=True)]
    excess = _HEADER + sum(sizes) - space
    for index in sorted(range(len(values)), key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        excess -= sizes[index] - _ERROR_SIZE
        values[index] = _too_large(values[index])
    return values


def _written_size(tag: PropertyTag, value: PropertyValue) -> int:
    writer = Writer()
    write_flagged(writer, tag.type, value)
    return len(writer)


def _too_large(value: PropertyValue) -> PropertyValue:
    if isinstance(value, TypedPropertyValue):
        return TypedPropertyValue(PropertyType.ErrorCode, TOO_LARGE)
    return TOO_LARGE


@handles(RopGetPropertiesAllRequest)
def get_properties_all(call: RopCall, request: RopGetPropertiesAllRequest) -> RopGetPropertiesAllResponse:
    """RopGetPropertiesAll: [MS-OXCPRPT] 3.2.5.2."""
    opened = call.object(request, PropertyObject)
    properties = opened.properties()
    reader = _value_reader(call, opened, request.property_size_limit, request.want_unicode)
    tags = [tag.with_type(reader.shown_type(tag.type)) for tag in sorted(properties)]
    values = _fitting(tags, reader.row(properties, tags), call.space)
    tagged = [_tagged(tag, value) for tag, value in zip(tags, values, strict=True)]
    return RopGetPropertiesAllResponse(request.input_handle_index, ErrorCode.Success, tagged)


def _tagged(tag: PropertyTag, value: PropertyValue) -> TaggedPropertyValue:
    """A value that is too large has type ErrorCode ([MS-OXCPRPT] 2.2.3.2)."""
    if isinstance(value, PropertyError):
        return TaggedPropertyValue(tag.with_type(PropertyType.ErrorCode), value.code)
    return TaggedPropertyValue(tag, value)


@handles(RopGetPropertiesListRequest)
def get_properties_list(call: RopCall, request: RopGetPropertiesListRequest) -> RopGetPropertiesListResponse:
    """RopGetPropertiesList: [MS-OXCPRPT] 3.2.5.3."""
    properties = call.object(request, PropertyObject).properties()
    return RopGetPropertiesListResponse(request.input_handle_index, ErrorCode.Success, sorted(properties))


def _set(call: RopCall, request: SetPropertiesRequest) -> list[PropertyProblem]:
    opened = _changeable(call, request)
    call.session.objects.check_weight()
    return opened.set_properties(request.property_values)


def _changeable(call: RopCall, request: RopRequest) -> WorkingObject:
    opened = call.object(request, PropertyObject)
    if not isinstance(opened, WorkingObject):
        raise MapiError(ErrorCode.NotImplemented, f"properties of a {type(opened).__name__} can't be changed yet")
    return opened


@handles(RopSetPropertiesRequest)
def set_properties(call: RopCall, request: RopSetPropertiesRequest) -> RopSetPropertiesResponse:
    """RopSetProperties: [MS-OXCPRPT] 3.2.5.4."""
    return RopSetPropertiesResponse(request.input_handle_index, ErrorCode.Success, _set(call, request))


@handles(RopSetPropertiesNoReplicateRequest)
def set_properties_no_replicate(
    call: RopCall, request: RopSetPropertiesNoReplicateRequest
) -> RopSetPropertiesNoReplicateResponse:
    """RopSetPropertiesNoReplicate: [MS-OXCPRPT] 2.2.6: but for folders the same."""
    return RopSetPropertiesNoReplicateResponse(request.input_handle_index, ErrorCode.Success, _set(call, request))


@handles(RopDeletePropertiesRequest)
def delete_properties(call: RopCall, request: RopDeletePropertiesRequest) -> RopDeletePropertiesResponse:
    """RopDeleteProperties: [MS-OXCPRPT] 3.2.5.5."""
    problems = _changeable(call, request).delete_properties(request.property_tags)
    return RopDeletePropertiesResponse(request.input_handle_index, ErrorCode.Success, problems)


@handles(RopDeletePropertiesNoReplicateRequest)
def delete_properties_no_replicate(
    call: RopCall, request: RopDeletePropertiesNoReplicateRequest
) -> RopDeletePropertiesNoReplicateResponse:
    """RopDeletePropertiesNoReplicate: [MS-OXCPRPT] 2.2.8: but for folders the same."""
    problems = _changeable(call, request).delete_properties(request.property_tags)
    return RopDeletePropertiesNoReplicateResponse(request.input_handle_index, ErrorCode.Success, problems)


@handles(RopGetPropertyIdsFromNamesRequest)
def get_property_ids_from_names(
    call: RopCall, request: RopGetPropertyIdsFromNamesRequest
) -> RopGetPropertyIdsFromNamesResponse:
    """RopGetPropertyIdsFromNames: [MS-OXCPRPT] 3.2.5.8. ErrorsReturned where a name has no id."""
    mailbox = call.object(request, PropertyObject).mailbox_logon.mailbox
    if not request.property_names:
        known = list(mailbox.property_names())
        return RopGetPropertyIdsFromNamesResponse(request.input_handle_index, ErrorCode.Success, known)
    create = bool(request.flags & NameFlags.Create)
    wanted = [name for name in request.property_names if _is_mapped(name)]
    mapped = iter(mailbox.property_ids(wanted, create=create))
    ids = [next(mapped) if _is_mapped(name) else _unmapped_id(name) for name in request.property_names]
    code = ErrorCode.Success if all(ids) else ErrorCode.ErrorsReturned
    return RopGetPropertyIdsFromNamesResponse(request.input_handle_index, code, ids)


def _is_mapped(name: PropertyName) -> bool:
    return name.guid != _PS_MAPI and name.kind in (Kind.Lid, Kind.Name)


def _unmapped_id(name: PropertyName) -> int:
    """In PS_MAPI the number is the id; nothing else there, and nothing without a name, has one."""
    lid = name.lid if name.kind == Kind.Lid else None
    return lid if lid is not None and lid < _FIRST_NAMED else 0


@handles(RopGetNamesFromPropertyIdsRequest)
def get_names_from_property_ids(
    call: RopCall, request: RopGetNamesFromPropertyIdsRequest
) -> RopGetNamesFromPropertyIdsResponse:
    """RopGetNamesFromPropertyIds: [MS-OXCPRPT] 3.2.5.9."""
    known = call.object(request, PropertyObject).mailbox_logon.mailbox.property_names()
    names = [
        PropertyName.of_lid(_PS_MAPI, wanted)
        if wanted < _FIRST_NAMED
        else known.get(wanted, PropertyName(Kind.NoName, _NO_SET))
        for wanted in request.property_ids
    ]
    return RopGetNamesFromPropertyIdsResponse(request.input_handle_index, ErrorCode.Success, names)
