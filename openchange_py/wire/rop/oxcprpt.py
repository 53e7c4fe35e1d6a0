"""ROPs of [MS-OXCPRPT] about properties: [MS-OXCROPS] 2.2.8, all of them. Those about streams: `oxcprpt_streams`."""

from __future__ import annotations

import dataclasses
import enum
import struct
import uuid
from collections.abc import Sequence
from typing import Annotated, Final, Self

from openchange_py.wire.buffer import EncodeError, Reader, Writer
from openchange_py.wire.codecs import U8, U16, U32, Bool8, Counted, structure, u16
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.named import PropertyName
from openchange_py.wire.oxcdata.problems import PropertyProblems16
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.rows import PropertyRow, read_row, write_row
from openchange_py.wire.oxcdata.values import TaggedPropertyValues16, read_tagged, write_tagged
from openchange_py.wire.rop.base import (
    REQUEST_HEADER,
    RESPONSE_HEADER,
    PropertyTags16,
    RopHandleRequest,
    RopRequest,
    RopResponse,
    rop_failure,
    rop_request,
    rop_response,
)
from openchange_py.wire.rop.context import RopContext
from openchange_py.wire.rop.ids import RopId

_VALUES: Final = struct.Struct("<HH")
_PAIR: Final = struct.Struct("<BB")

PropertyIds16 = Annotated[list[int], Counted(u16, u16)]
PropertyNames16 = Annotated[list[PropertyName], Counted(u16, PropertyName)]


class NameFlags(enum.IntFlag, boundary=enum.KEEP):
    """Flags of RopGetPropertyIdsFromNames: [MS-OXCPRPT] 2.2.12.1."""

    GetOnly = 0x00
    Create = 0x02


class QueryFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCPRPT] 2.2.9.1."""

    NoStrings = 0x01
    NoIds = 0x02


class CopyFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCPRPT] 2.2.10.1 and 2.2.11.1."""

    Move = 0x01
    NoOverwrite = 0x02


@rop_request(RopId.GetPropertyIdsFromNames)
@structure
class RopGetPropertyIdsFromNamesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.1.1. See `NameFlags`. Without names, all that the mailbox has are asked for."""

    flags: U8
    property_names: PropertyNames16


@rop_failure(RopId.GetPropertyIdsFromNames, ErrorCode.ErrorsReturned)
@rop_response(RopId.GetPropertyIdsFromNames)
@structure
class RopGetPropertyIdsFromNamesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.8.1.2. An id of 0 is a name that is not known, which ErrorsReturned may tell of."""

    property_ids: PropertyIds16


@rop_request(RopId.GetNamesFromPropertyIds)
@structure
class RopGetNamesFromPropertyIdsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.2.1."""

    property_ids: PropertyIds16


@rop_failure(RopId.GetNamesFromPropertyIds, ErrorCode.ErrorsReturned)
@rop_response(RopId.GetNamesFromPropertyIds)
@structure
class RopGetNamesFromPropertyIdsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.8.2.2. A name of the kind 0xFF is an id that is not known."""

    property_names: PropertyNames16


@rop_request(RopId.GetPropertiesSpecific)
@structure
class RopGetPropertiesSpecificRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.3.1. Values above `property_size_limit` (bytes; 0: none) are errors in the row."""

    property_size_limit: U16
    want_unicode: U16
    property_tags: PropertyTags16


@rop_response(RopId.GetPropertiesSpecific)
@structure
class RopGetPropertiesSpecificResponse(RopResponse):
    """[MS-OXCROPS] 2.2.8.3.2. `columns` are the request's tags, which the row on the wire does not tell."""

    row_data: PropertyRow
    columns: Sequence[PropertyTag] = dataclasses.field(default=(), repr=False)

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        columns = context.answered(RopGetPropertiesSpecificRequest).property_tags
        index, code = reader.fields(RESPONSE_HEADER)
        return cls(index, code, read_row(reader, columns), columns)

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        write_row(writer, self.columns, self.row_data)

    @property
    def properties(self) -> PropertyMap:
        """The values of the row; what is an error there has none."""
        return self.row_data.to_map(self.columns)


@rop_request(RopId.GetPropertiesAll)
@structure
class RopGetPropertiesAllRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.4.1."""

    property_size_limit: U16
    want_unicode: U16


@rop_response(RopId.GetPropertiesAll)
@structure
class RopGetPropertiesAllResponse(RopResponse):
    """[MS-OXCROPS] 2.2.8.4.2. A value that is too large has a tag of type ErrorCode."""

    property_values: TaggedPropertyValues16


@rop_request(RopId.GetPropertiesList)
@structure
class RopGetPropertiesListRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.5.1."""


@rop_response(RopId.GetPropertiesList)
@structure
class RopGetPropertiesListResponse(RopResponse):
    """[MS-OXCROPS] 2.2.8.5.2."""

    property_tags: PropertyTags16


@structure
class SetPropertiesRequest(RopHandleRequest):
    """What RopSetProperties and RopSetPropertiesNoReplicate have: values behind their size and count."""

    property_values: list[TaggedPropertyValue]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index = reader.fields(REQUEST_HEADER)
        values = reader.sub(reader.u16())
        property_values = [read_tagged(values) for _ in range(values.count(values.u16(), 4))]
        values.expect_end()
        return cls(logon_id, index, property_values)

    def write(self, writer: Writer) -> None:
        writer.fixed(REQUEST_HEADER, self.logon_id, self.input_handle_index)
        at = len(writer)
        writer.fixed(_VALUES, 0, len(self.property_values))
        for value in self.property_values:
            write_tagged(writer, value)
        writer.patch_u16(at, len(writer) - at - 2)


@structure
class ProblemsResponse(RopResponse):
    """What the responses have that tell which properties were not handled."""

    property_problems: PropertyProblems16


@rop_request(RopId.SetProperties)
@structure
class RopSetPropertiesRequest(SetPropertiesRequest):
    """[MS-OXCROPS] 2.2.8.6.1."""


@rop_response(RopId.SetProperties)
@structure
class RopSetPropertiesResponse(ProblemsResponse):
    """[MS-OXCROPS] 2.2.8.6.2."""


@rop_request(RopId.SetPropertiesNoReplicate)
@structure
class RopSetPropertiesNoReplicateRequest(SetPropertiesRequest):
    """[MS-OXCROPS] 2.2.8.7.1."""


@rop_response(RopId.SetPropertiesNoReplicate)
@structure
class RopSetPropertiesNoReplicateResponse(ProblemsResponse):
    """[MS-OXCROPS] 2.2.8.7.2."""


@rop_request(RopId.DeleteProperties)
@structure
class RopDeletePropertiesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.8.1."""

    property_tags: PropertyTags16


@rop_response(RopId.DeleteProperties)
@structure
class RopDeletePropertiesResponse(ProblemsResponse):
    """[MS-OXCROPS] 2.2.8.8.2."""


@rop_request(RopId.DeletePropertiesNoReplicate)
@structure
class RopDeletePropertiesNoReplicateRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.9.1."""

    property_tags: PropertyTags16


@rop_response(RopId.DeletePropertiesNoReplicate)
@structure
class RopDeletePropertiesNoReplicateResponse(ProblemsResponse):
    """[MS-OXCROPS] 2.2.8.9.2."""


@rop_request(RopId.QueryNamedProperties)
@structure
class RopQueryNamedPropertiesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.10.1. See `QueryFlags`. `property_guid` is there where `has_guid` is not 0."""

    query_flags: int
    has_guid: int = 0
    property_guid: uuid.UUID | None = None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index = reader.fields(REQUEST_HEADER)
        flags, has_guid = reader.fields(_PAIR)
        property_guid = uuid.UUID(bytes_le=reader.take(16)) if has_guid else None
        return cls(logon_id, index, flags, has_guid, property_guid)

    def write(self, writer: Writer) -> None:
        if bool(self.has_guid) == (self.property_guid is None):
            raise EncodeError("HasGuid and PropertyGuid do not agree")
        writer.fixed(REQUEST_HEADER, self.logon_id, self.input_handle_index)
        writer.fixed(_PAIR, self.query_flags, self.has_guid)
        if self.property_guid is not None:
            writer += self.property_guid.bytes_le


@rop_failure(RopId.QueryNamedProperties, ErrorCode.ErrorsReturned)
@rop_response(RopId.QueryNamedProperties)
@structure
class RopQueryNamedPropertiesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.8.10.2: as many names as ids, in the same order."""

    property_ids: list[int]
    property_names: list[PropertyName]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        count = reader.count(reader.u16(), 2)
        property_ids = [reader.u16() for _ in range(count)]
        return cls(index, code, property_ids, [PropertyName.read(reader) for _ in range(count)])

    def write(self, writer: Writer) -> None:
        if len(self.property_ids) != len(self.property_names):
            raise EncodeError(f"{len(self.property_names)} names for {len(self.property_ids)} property ids")
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        writer.u16(len(self.property_ids))
        for property_id in self.property_ids:
            writer.u16(property_id)
        for name in self.property_names:
            name.write(writer)


@structure
class RopCopyRequest(RopRequest):
    """The header of a ROP that copies from one object to another."""

    source_handle_index: U8
    dest_handle_index: U8

    @property
    def input_handle_index(self) -> int:
        """The source is the object that it acts on."""
        return self.source_handle_index


@structure
class NullDestinationResponse(RopResponse):
    """The response to a copy whose destination is no object."""

    dest_handle_index: U32


@rop_request(RopId.CopyProperties)
@structure
class RopCopyPropertiesRequest(RopCopyRequest):
    """[MS-OXCROPS] 2.2.8.11.1. See `CopyFlags`."""

    want_asynchronous: Bool8
    copy_flags: U8
    property_tags: PropertyTags16


@rop_response(RopId.CopyProperties)
@structure
class RopCopyPropertiesResponse(ProblemsResponse):
    """[MS-OXCROPS] 2.2.8.11.2. `handle_index` is the request's source handle index."""


@rop_failure(RopId.CopyProperties, ErrorCode.DestinationNullObject)
@structure
class RopCopyPropertiesNullDestinationResponse(NullDestinationResponse):
    """[MS-OXCROPS] 2.2.8.11.3."""


@rop_request(RopId.CopyTo)
@structure
class RopCopyToRequest(RopCopyRequest):
    """[MS-OXCROPS] 2.2.8.12.1. See `CopyFlags`."""

    want_asynchronous: Bool8
    want_sub_objects: Bool8
    copy_flags: U8
    excluded_tags: PropertyTags16


@rop_response(RopId.CopyTo)
@structure
class RopCopyToResponse(ProblemsResponse):
    """[MS-OXCROPS] 2.2.8.12.2. `handle_index` is the request's source handle index."""


@rop_failure(RopId.CopyTo, ErrorCode.DestinationNullObject)
@structure
class RopCopyToNullDestinationResponse(NullDestinationResponse):
    """[MS-OXCROPS] 2.2.8.12.3."""


@rop_request(RopId.Progress)
@structure
class RopProgressRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.8.13.1: answered by `RopProgressResponse`, or by the finished ROP's own response."""

    want_cancel: Bool8


@rop_response(RopId.Progress)
@structure
class RopProgressResponse(RopResponse):
    """[MS-OXCROPS] 2.2.8.13.2: also the first response to a ROP that was asked to be asynchronous."""

    logon_id: U8
    completed_task_count: U32
    total_task_count: U32
