"""[MS-OXCMAPIHTTP] 2.2.5: the bodies of the address book endpoint's requests and responses.

A field behind its `Has...` byte is None where it is not there.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final, Self

from openchange_py.wire.buffer import DecodeError, Reader, Writer
from openchange_py.wire.codecs import (
    I32,
    U8,
    U32,
    Counted,
    Sized,
    String8Codec,
    Structure,
    Utf16,
    Utf16Codec,
    structure,
    u32,
)
from openchange_py.wire.codecs import Guid as GuidField
from openchange_py.wire.oxcmapihttp import Aux, ErrorCodeResponse
from openchange_py.wire.oxcmapihttp_values import (
    FORMS,
    Ids,
    OptionalIds,
    OptionalNumber,
    OptionalRows,
    OptionalStat,
    OptionalTags,
    OptionalValues,
    Present,
    RestrictionForm,
    StatCodec,
    TaggedCodec,
    read_restriction,
    tagged_values,
    tags,
    write_restriction,
)
from openchange_py.wire.oxnspi_restrictions import Restriction_r
from openchange_py.wire.oxnspi_types import PropertyName_r, PropertyValue_r

_DNS: Final = Counted(u32, String8Codec())
_NAMES: Final = Counted(u32, Utf16Codec())


@structure
class BindRequest(Structure):
    """2.2.5.1.1."""

    flags: U32
    state: OptionalStat
    auxiliary_buffer: Aux = b""


@structure
class BindResponse(Structure):
    """2.2.5.1.2."""

    status_code: U32
    error_code: U32
    server_guid: GuidField
    auxiliary_buffer: Aux = b""


@structure
class UnbindRequest(Structure):
    """2.2.5.2.1."""

    reserved: U32
    auxiliary_buffer: Aux = b""


@structure
class CompareMinIdsRequest(Structure):
    """2.2.5.3.1."""

    reserved: U32
    state: OptionalStat
    minimal_id1: U32
    minimal_id2: U32
    auxiliary_buffer: Aux = b""


@structure
class CompareMinIdsResponse(Structure):
    """2.2.5.3.2."""

    status_code: U32
    error_code: U32
    result: I32
    auxiliary_buffer: Aux = b""


@structure
class DnToMinIdRequest(Structure):
    """2.2.5.4.1."""

    reserved: U32
    names: Annotated[list[bytes] | None, Present(_DNS)]
    auxiliary_buffer: Aux = b""


@structure
class MinimalIdsResponse(Structure):
    """2.2.5.4.2, of DnToMinId."""

    status_code: U32
    error_code: U32
    minimal_ids: OptionalIds
    auxiliary_buffer: Aux = b""


@structure
class GetMatchesRequest(Structure):
    """2.2.5.5.1."""

    reserved: U32
    state: OptionalStat
    minimal_ids: OptionalIds
    interface_option_flags: U32
    filter: Annotated[Restriction_r | None, u32]
    property_name: Annotated[PropertyName_r | None, u32]
    row_count: U32
    columns: OptionalTags
    auxiliary_buffer: Aux = b""

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """A filter's form is told by the body's end alone: the form in which all of it is right is the one."""
        start, first = reader.pos, None
        for form in FORMS:
            reader.pos = start
            try:
                found = cls._read_in(reader, form)
                reader.expect_end()
                return found
            except DecodeError as error:
                first = first or error
        assert first is not None
        raise first

    @classmethod
    def _read_in(cls, reader: Reader, form: RestrictionForm) -> Self:
        reserved, state = reader.u32(), _stat.read(reader)
        ids, flags = _ids.read(reader), reader.u32()
        restriction = read_restriction(reader, form) if reader.u8() else None
        name = PropertyName_r(uuid.UUID(bytes_le=reader.take(16)), reader.i32()) if reader.u8() else None
        rows, columns = reader.u32(), _tags.read(reader)
        return cls(reserved, state, ids, flags, restriction, name, rows, columns, reader.take(reader.u32()))

    def write(self, writer: Writer) -> None:
        """In the first of `FORMS`."""
        writer.u32(self.reserved)
        _stat.write(writer, self.state)
        _ids.write(writer, self.minimal_ids)
        writer.u32(self.interface_option_flags)
        writer.u8(0xFF if self.filter is not None else 0)
        if self.filter is not None:
            write_restriction(writer, self.filter)
        writer.u8(0xFF if self.property_name is not None else 0)
        if self.property_name is not None:
            writer += (self.property_name.guid or uuid.UUID(int=0)).bytes_le
            writer.i32(self.property_name.id)
        writer.u32(self.row_count)
        _tags.write(writer, self.columns)
        writer.u32(len(self.auxiliary_buffer))
        writer += self.auxiliary_buffer


@structure
class GetMatchesResponse(Structure):
    """2.2.5.5.2."""

    status_code: U32
    error_code: U32
    state: OptionalStat
    minimal_ids: OptionalIds
    rows: OptionalRows
    auxiliary_buffer: Aux = b""


@structure
class GetPropListRequest(Structure):
    """2.2.5.6.1."""

    flags: U32
    minimal_id: U32
    code_page: U32
    auxiliary_buffer: Aux = b""


@structure
class TagsResponse(Structure):
    """2.2.5.6.2 and 2.2.5.11.2, of GetPropList and QueryColumns."""

    status_code: U32
    error_code: U32
    property_tags: OptionalTags
    auxiliary_buffer: Aux = b""


@structure
class GetPropsRequest(Structure):
    """2.2.5.7.1."""

    flags: U32
    state: OptionalStat
    property_tags: OptionalTags
    auxiliary_buffer: Aux = b""


@structure
class ValuesResponse(Structure):
    """2.2.5.7.2 and 2.2.5.9.2, of GetProps and GetTemplateInfo."""

    status_code: U32
    error_code: U32
    code_page: U32
    values: OptionalValues
    auxiliary_buffer: Aux = b""


@structure
class GetSpecialTableRequest(Structure):
    """2.2.5.8.1."""

    flags: U32
    state: OptionalStat
    version: OptionalNumber
    auxiliary_buffer: Aux = b""


@structure
class GetSpecialTableResponse(Structure):
    """2.2.5.8.2."""

    status_code: U32
    error_code: U32
    code_page: U32
    version: OptionalNumber
    rows: Annotated[list[list[PropertyValue_r]] | None, Present(Counted(u32, tagged_values))]
    auxiliary_buffer: Aux = b""


@structure
class GetTemplateInfoRequest(Structure):
    """2.2.5.9.1."""

    flags: U32
    display_type: U32
    template_dn: Annotated[bytes | None, Present(String8Codec())]
    code_page: U32
    locale_id: U32
    auxiliary_buffer: Aux = b""


@structure
class ModLinkAttRequest(Structure):
    """2.2.5.10.1."""

    flags: U32
    property_tag: U32
    minimal_id: U32
    entry_ids: Annotated[list[bytes] | None, Present(Counted(u32, Sized(u32)))]
    auxiliary_buffer: Aux = b""


@structure
class ModPropsRequest(Structure):
    """2.2.5.11.1."""

    reserved: U32
    state: OptionalStat
    property_tags: OptionalTags
    values: OptionalValues
    auxiliary_buffer: Aux = b""


@structure
class QueryRowsRequest(Structure):
    """2.2.5.12.1."""

    flags: U32
    state: OptionalStat
    explicit_table: Ids
    row_count: U32
    columns: OptionalTags
    auxiliary_buffer: Aux = b""


@structure
class RowsResponse(Structure):
    """2.2.5.12.2 and 2.2.5.16.2, of QueryRows and SeekEntries."""

    status_code: U32
    error_code: U32
    state: OptionalStat
    rows: OptionalRows
    auxiliary_buffer: Aux = b""


@structure
class QueryColumnsRequest(Structure):
    """2.2.5.13.1."""

    reserved: U32
    flags: U32
    auxiliary_buffer: Aux = b""


@structure
class ResolveNamesRequest(Structure):
    """2.2.5.14.1."""

    reserved: U32
    state: OptionalStat
    property_tags: OptionalTags
    names: Annotated[list[str] | None, Present(_NAMES)]
    auxiliary_buffer: Aux = b""


@structure
class ResolveNamesResponse(Structure):
    """2.2.5.14.2."""

    status_code: U32
    error_code: U32
    code_page: U32
    minimal_ids: OptionalIds
    rows: OptionalRows
    auxiliary_buffer: Aux = b""


@structure
class ResortRestrictionRequest(Structure):
    """2.2.5.15.1."""

    reserved: U32
    state: OptionalStat
    minimal_ids: OptionalIds
    auxiliary_buffer: Aux = b""


@structure
class ResortRestrictionResponse(Structure):
    """2.2.5.15.2."""

    status_code: U32
    error_code: U32
    state: OptionalStat
    minimal_ids: OptionalIds
    auxiliary_buffer: Aux = b""


@structure
class SeekEntriesRequest(Structure):
    """2.2.5.16.1."""

    reserved: U32
    state: OptionalStat
    target: Annotated[PropertyValue_r | None, Present(TaggedCodec())]
    explicit_table: OptionalIds
    columns: OptionalTags
    auxiliary_buffer: Aux = b""


@structure
class UpdateStatRequest(Structure):
    """2.2.5.17.1."""

    reserved: U32
    state: OptionalStat
    delta_requested: U8
    auxiliary_buffer: Aux = b""


@structure
class UpdateStatResponse(Structure):
    """2.2.5.17.2."""

    status_code: U32
    error_code: U32
    state: OptionalStat
    delta: OptionalNumber
    auxiliary_buffer: Aux = b""


@structure
class GetUrlRequest(Structure):
    """2.2.5.18.1 and 2.2.5.19.1: GetMailboxUrl names a server, GetAddressBookUrl a user."""

    flags: U32
    dn: Utf16
    auxiliary_buffer: Aux = b""


@structure
class GetUrlResponse(Structure):
    """2.2.5.18.2 and 2.2.5.19.2."""

    status_code: U32
    error_code: U32
    url: Utf16
    auxiliary_buffer: Aux = b""


_stat: Final[Any] = Present(StatCodec())
_ids: Final[Any] = Present(Counted(u32, u32))
_tags: Final[Any] = Present(tags)

#: X-RequestType of the address book endpoint, and the bodies; PING has none. 2.2.3.3.1.
ADDRESS_BOOK_TYPES: Final[dict[str, tuple[type[Structure], type[Structure]]]] = {
    "Bind": (BindRequest, BindResponse),
    "Unbind": (UnbindRequest, ErrorCodeResponse),
    "CompareMIds": (CompareMinIdsRequest, CompareMinIdsResponse),
    "DNToMId": (DnToMinIdRequest, MinimalIdsResponse),
    "GetMatches": (GetMatchesRequest, GetMatchesResponse),
    "GetPropList": (GetPropListRequest, TagsResponse),
    "GetProps": (GetPropsRequest, ValuesResponse),
    "GetSpecialTable": (GetSpecialTableRequest, GetSpecialTableResponse),
    "GetTemplateInfo": (GetTemplateInfoRequest, ValuesResponse),
    "ModLinkAtt": (ModLinkAttRequest, ErrorCodeResponse),
    "ModProps": (ModPropsRequest, ErrorCodeResponse),
    "QueryRows": (QueryRowsRequest, RowsResponse),
    "QueryColumns": (QueryColumnsRequest, TagsResponse),
    "ResolveNames": (ResolveNamesRequest, ResolveNamesResponse),
    "ResortRestriction": (ResortRestrictionRequest, ResortRestrictionResponse),
    "SeekEntries": (SeekEntriesRequest, RowsResponse),
    "UpdateStat": (UpdateStatRequest, UpdateStatResponse),
    "GetMailboxUrl": (GetUrlRequest, GetUrlResponse),
    "GetAddressBookUrl": (GetUrlRequest, GetUrlResponse),
}
#: Other spellings that clients send: the first versions of the document had them.
SPELLINGS: Final = {
    "querycolumn": "QueryColumns",
    "comparemids": "CompareMIds",
    "compareminids": "CompareMIds",
    "dntominid": "DNToMId",
}
