"""ROPs of [MS-OXCMSG], messages and attachments: [MS-OXCROPS] 2.2.6, all of them."""

from __future__ import annotations

import dataclasses
import enum
import struct
from collections.abc import Sequence
from typing import Annotated, Final, Self

from openchange_py.wire.buffer import EncodeError, Reader, Writer
from openchange_py.wire.codecs import U8, U16, U32, Bool8, Counted, structure, u16, u32
from openchange_py.wire.oxcdata.ids import FolderId64, MessageId, MessageId64
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.recipients import RecipientRow
from openchange_py.wire.oxcdata.typedstring import TypedString
from openchange_py.wire.rop.base import (
    CELLS_PER_BYTE,
    REQUEST_HEADER,
    RESPONSE_HEADER,
    RopHandleRequest,
    RopOpenRequest,
    RopRequest,
    RopResponse,
    property_tags16,
    rop_request,
    rop_response,
)
from openchange_py.wire.rop.context import RopContext
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import MessageIds16, PartialCompletionResponse

_OPEN_RECIPIENT: Final = struct.Struct("<BHHH")
_READ_RECIPIENT: Final = struct.Struct("<IBHHH")
_MODIFY_RECIPIENT: Final = struct.Struct("<IBH")
_EMBEDDED: Final = struct.Struct("<BIBQ")
_CREATED: Final = struct.Struct("<BIB")
_READ_FLAG: Final = struct.Struct("<BBBB")
_CLIENT_DATA_SIZE: Final = 24


class OpenModeFlags(enum.IntFlag):
    """Of RopOpenMessage: [MS-OXCMSG] 2.2.3.1.1."""

    ReadOnly = 0x00
    ReadWrite = 0x01
    BestAccess = 0x03
    OpenSoftDeleted = 0x04


class SaveFlags(enum.IntFlag):
    """[MS-OXCMSG] 2.2.3.3.1."""

    KeepOpenReadOnly = 0x01
    KeepOpenReadWrite = 0x02
    ForceSave = 0x04


class RecipientType(enum.IntEnum):
    """[MS-OXCMSG] 2.2.3.1.2; flags of that section may be set beside it."""

    Originator = 0x00
    Primary = 0x01
    Cc = 0x02
    Bcc = 0x03


def _write_sized(writer: Writer, row: RecipientRow) -> None:
    """RecipientRowSize was written as 0 just before: put the size there, and the row behind it."""
    start = len(writer)
    row.write(writer)
    if len(writer) - start > 0xFFFF:
        raise EncodeError(f"a recipient row of {len(writer) - start} bytes")
    writer.patch_u16(start - 2, len(writer) - start)


def _read_sized(reader: Reader, size: int, columns: Sequence[PropertyTag]) -> RecipientRow:
    inner = reader.sub(size)
    # Cells of type Null take no bytes: without a limit a few bytes could ask for millions of them.
    row = RecipientRow.read_with(inner, columns[: CELLS_PER_BYTE * size])
    inner.expect_end()
    return row


@dataclasses.dataclass(slots=True)
class OpenRecipientRow:
    """[MS-OXCROPS] 2.2.6.1.2.1."""

    recipient_type: int
    code_page_id: int
    reserved: int
    recipient_row: RecipientRow

    @classmethod
    def read(cls, reader: Reader, columns: Sequence[PropertyTag]) -> Self:
        kind, code_page, reserved, size = reader.fields(_OPEN_RECIPIENT)
        return cls(kind, code_page, reserved, _read_sized(reader, size, columns))

    def write(self, writer: Writer) -> None:
        writer.fixed(_OPEN_RECIPIENT, self.recipient_type, self.code_page_id, self.reserved, 0)
        _write_sized(writer, self.recipient_row)


@dataclasses.dataclass(slots=True)
class ReadRecipientRow:
    """[MS-OXCROPS] 2.2.6.6.2.1."""

    row_id: int
    recipient_type: int
    code_page_id: int
    reserved: int
    recipient_row: RecipientRow

    @classmethod
    def read(cls, reader: Reader, columns: Sequence[PropertyTag]) -> Self:
        row_id, kind, code_page, reserved, size = reader.fields(_READ_RECIPIENT)
        return cls(row_id, kind, code_page, reserved, _read_sized(reader, size, columns))

    def write(self, writer: Writer) -> None:
        fields = (self.row_id, self.recipient_type, self.code_page_id, self.reserved)
        writer.fixed(_READ_RECIPIENT, *fields, 0)
        _write_sized(writer, self.recipient_row)


@dataclasses.dataclass(slots=True)
class ModifyRecipientRow:
    """[MS-OXCROPS] 2.2.6.5.1.1. Without a `recipient_row` the recipient is removed."""

    row_id: int
    recipient_type: int
    recipient_row: RecipientRow | None

    @classmethod
    def read(cls, reader: Reader, columns: Sequence[PropertyTag]) -> Self:
        row_id, kind, size = reader.fields(_MODIFY_RECIPIENT)
        return cls(row_id, kind, _read_sized(reader, size, columns) if size else None)

    def write(self, writer: Writer) -> None:
        writer.fixed(_MODIFY_RECIPIENT, self.row_id, self.recipient_type, 0)
        if self.recipient_row is not None:
            _write_sized(writer, self.recipient_row)


@structure
class OpenedMessageResponse(RopResponse):
    """What RopOpenMessage and RopReloadCachedInformation tell of a message.

    `recipient_count` may be more than there are rows: RopReadRecipients gets the rest.
    """

    has_named_properties: int
    subject_prefix: TypedString
    normalized_subject: TypedString
    recipient_count: int
    recipient_columns: list[PropertyTag]
    recipient_rows: list[OpenRecipientRow]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        named, prefix, subject = reader.u8(), TypedString.read(reader), TypedString.read(reader)
        count, columns = reader.u16(), property_tags16.read(reader)
        rows = _read_open_rows(reader, columns)
        return cls(index, code, named, prefix, subject, count, columns, rows)

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        _write_opened(writer, self)


def _read_open_rows(reader: Reader, columns: list[PropertyTag]) -> list[OpenRecipientRow]:
    count = reader.u8()
    return [OpenRecipientRow.read(reader, columns) for _ in range(reader.count(count, _OPEN_RECIPIENT.size))]


def _write_opened(writer: Writer, message: OpenedMessageResponse | RopOpenEmbeddedMessageResponse) -> None:
    writer.u8(message.has_named_properties)
    message.subject_prefix.write(writer)
    message.normalized_subject.write(writer)
    writer.u16(message.recipient_count)
    property_tags16.write(writer, message.recipient_columns)
    writer.u8(len(message.recipient_rows))
    for row in message.recipient_rows:
        row.write(writer)


@rop_request(RopId.OpenMessage)
@structure
class RopOpenMessageRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.6.1.1."""

    code_page_id: U16
    folder_id: FolderId64
    open_mode_flags: U8
    message_id: MessageId64


@rop_response(RopId.OpenMessage)
@structure
class RopOpenMessageResponse(OpenedMessageResponse):
    """[MS-OXCROPS] 2.2.6.1.2."""

    def learn(self, context: RopContext) -> None:
        context.states.state(context.opened()).recipient_columns = tuple(self.recipient_columns)


@rop_request(RopId.CreateMessage)
@structure
class RopCreateMessageRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.6.2.1."""

    code_page_id: U16
    folder_id: FolderId64
    associated_flag: Bool8


@rop_response(RopId.CreateMessage)
@structure
class RopCreateMessageResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.2.2. `message_id` is there where HasMessageId is set."""

    has_message_id: int
    message_id: MessageId | None = None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code, has_id = reader.fields(_CREATED)
        return cls(index, code, has_id, MessageId(reader.u64()) if has_id else None)

    def write(self, writer: Writer) -> None:
        if bool(self.has_message_id) != (self.message_id is not None):
            raise EncodeError(f"has_message_id {self.has_message_id} and message_id {self.message_id} do not agree")
        writer.fixed(_CREATED, self.handle_index, self.return_value, self.has_message_id)
        if self.message_id is not None:
            writer.u64(self.message_id)


@rop_request(RopId.SaveChangesMessage)
@structure
class RopSaveChangesMessageRequest(RopRequest):
    """[MS-OXCROPS] 2.2.6.3.1."""

    response_handle_index: U8
    input_handle_index: U8
    save_flags: U8


@rop_response(RopId.SaveChangesMessage)
@structure
class RopSaveChangesMessageResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.3.2. `handle_index` is the request's ResponseHandleIndex."""

    input_handle_index: U8
    message_id: MessageId64


@rop_request(RopId.RemoveAllRecipients)
@structure
class RopRemoveAllRecipientsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.4.1."""

    reserved: U32


@rop_response(RopId.RemoveAllRecipients)
@structure
class RopRemoveAllRecipientsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.4.2."""


@rop_request(RopId.ModifyRecipients)
@structure
class RopModifyRecipientsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.5.1."""

    recipient_columns: list[PropertyTag]
    recipient_rows: list[ModifyRecipientRow]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index = reader.fields(REQUEST_HEADER)
        columns = property_tags16.read(reader)
        count = reader.count(reader.u16(), _MODIFY_RECIPIENT.size)
        return cls(logon_id, index, columns, [ModifyRecipientRow.read(reader, columns) for _ in range(count)])

    def write(self, writer: Writer) -> None:
        writer.fixed(REQUEST_HEADER, self.logon_id, self.input_handle_index)
        property_tags16.write(writer, self.recipient_columns)
        writer.u16(len(self.recipient_rows))
        for row in self.recipient_rows:
            row.write(writer)


@rop_response(RopId.ModifyRecipients)
@structure
class RopModifyRecipientsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.5.2."""


@rop_request(RopId.ReadRecipients)
@structure
class RopReadRecipientsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.6.1. `row_id`: the recipient to begin with."""

    row_id: U32
    reserved: U16


@rop_response(RopId.ReadRecipients)
@structure
class RopReadRecipientsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.6.2. The rows have the recipient columns that opening the message told."""

    recipient_rows: list[ReadRecipientRow]

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        count = reader.count(reader.u8(), _READ_RECIPIENT.size)
        columns = context.recipient_columns() if count else ()
        return cls(index, code, [ReadRecipientRow.read(reader, columns) for _ in range(count)])

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        writer.u8(len(self.recipient_rows))
        for row in self.recipient_rows:
            row.write(writer)


@rop_request(RopId.ReloadCachedInformation)
@structure
class RopReloadCachedInformationRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.7.1."""

    reserved: U16


@rop_response(RopId.ReloadCachedInformation)
@structure
class RopReloadCachedInformationResponse(OpenedMessageResponse):
    """[MS-OXCROPS] 2.2.6.7.2."""

    def learn(self, context: RopContext) -> None:
        context.states.state(context.handle()).recipient_columns = tuple(self.recipient_columns)


@rop_request(RopId.SetMessageStatus)
@structure
class RopSetMessageStatusRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.8.1."""

    message_id: MessageId64
    message_status_flags: U32
    message_status_mask: U32


@rop_response(RopId.SetMessageStatus)
@structure
class RopSetMessageStatusResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.8.2: the status before the change. It answers RopGetMessageStatus as well."""

    message_status_flags: U32


@rop_request(RopId.GetMessageStatus, answered_by=RopId.SetMessageStatus)
@structure
class RopGetMessageStatusRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.9.1. Its response (2.2.6.9.2) has the RopId of RopSetMessageStatus."""

    message_id: MessageId64


@rop_response(RopId.GetMessageStatus)
@structure
class RopGetMessageStatusResponse(RopResponse):
    """A RopGetMessageStatus response under its own RopId, as a server may send it that departs from 2.2.6.9.2."""

    message_status_flags: U32


@rop_request(RopId.SetReadFlags)
@structure
class RopSetReadFlagsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.10.1."""

    want_asynchronous: Bool8
    read_flags: U8
    message_ids: MessageIds16


@rop_response(RopId.SetReadFlags)
@structure
class RopSetReadFlagsResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.6.10.2."""


@rop_request(RopId.SetMessageReadFlag)
@structure
class RopSetMessageReadFlagRequest(RopRequest):
    """[MS-OXCROPS] 2.2.6.11.1. `client_data` (24 bytes) is there in a logon to public folders."""

    response_handle_index: int
    input_handle_index: int
    read_flags: int
    client_data: bytes = b""

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        logon_id, response_index, index, flags = reader.fields(_READ_FLAG)
        data = b"" if context.is_private(logon_id) else reader.take(_CLIENT_DATA_SIZE)
        return cls(logon_id, response_index, index, flags, data)

    def write(self, writer: Writer) -> None:
        fields = (self.logon_id, self.response_handle_index, self.input_handle_index, self.read_flags)
        writer.fixed(_READ_FLAG, *fields)
        if len(self.client_data) not in (0, _CLIENT_DATA_SIZE):
            raise EncodeError(f"client_data of {len(self.client_data)} bytes")
        writer += self.client_data


@rop_response(RopId.SetMessageReadFlag)
@structure
class RopSetMessageReadFlagResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.11.2. `logon_id` and `client_data` (24 bytes) are there where the status changed."""

    read_status_changed: int
    logon_id: int = 0
    client_data: bytes = b""

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code, changed = reader.fields(_CREATED)
        if not changed:
            return cls(index, code, changed)
        return cls(index, code, changed, reader.u8(), reader.take(_CLIENT_DATA_SIZE))

    def write(self, writer: Writer) -> None:
        writer.fixed(_CREATED, self.handle_index, self.return_value, self.read_status_changed)
        if self.read_status_changed:
            if len(self.client_data) != _CLIENT_DATA_SIZE:
                raise EncodeError(f"client_data of {len(self.client_data)} bytes")
            writer.u8(self.logon_id)
            writer += self.client_data


@rop_request(RopId.OpenAttachment)
@structure
class RopOpenAttachmentRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.6.12.1."""

    open_attachment_flags: U8
    attachment_id: U32


@rop_response(RopId.OpenAttachment)
@structure
class RopOpenAttachmentResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.12.2."""


@rop_request(RopId.CreateAttachment)
@structure
class RopCreateAttachmentRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.6.13.1."""


@rop_response(RopId.CreateAttachment)
@structure
class RopCreateAttachmentResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.13.2."""

    attachment_id: U32


@rop_request(RopId.DeleteAttachment)
@structure
class RopDeleteAttachmentRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.14.1."""

    attachment_id: U32


@rop_response(RopId.DeleteAttachment)
@structure
class RopDeleteAttachmentResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.14.2."""


@rop_request(RopId.SaveChangesAttachment)
@structure
class RopSaveChangesAttachmentRequest(RopRequest):
    """[MS-OXCROPS] 2.2.6.15.1."""

    response_handle_index: U8
    input_handle_index: U8
    save_flags: U8


@rop_response(RopId.SaveChangesAttachment)
@structure
class RopSaveChangesAttachmentResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.15.2. `handle_index` is the request's ResponseHandleIndex."""


@rop_request(RopId.OpenEmbeddedMessage)
@structure
class RopOpenEmbeddedMessageRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.6.16.1."""

    code_page_id: U16
    open_mode_flags: U8


@rop_response(RopId.OpenEmbeddedMessage)
@structure
class RopOpenEmbeddedMessageResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.16.2."""

    reserved: int
    message_id: MessageId
    has_named_properties: int
    subject_prefix: TypedString
    normalized_subject: TypedString
    recipient_count: int
    recipient_columns: list[PropertyTag]
    recipient_rows: list[OpenRecipientRow]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code, reserved, message_id = reader.fields(_EMBEDDED)
        named, prefix, subject = reader.u8(), TypedString.read(reader), TypedString.read(reader)
        count, columns = reader.u16(), property_tags16.read(reader)
        rows = _read_open_rows(reader, columns)
        return cls(index, code, reserved, MessageId(message_id), named, prefix, subject, count, columns, rows)

    def write(self, writer: Writer) -> None:
        writer.fixed(_EMBEDDED, self.handle_index, self.return_value, self.reserved, self.message_id)
        _write_opened(writer, self)

    def learn(self, context: RopContext) -> None:
        context.states.state(context.opened()).recipient_columns = tuple(self.recipient_columns)


@rop_request(RopId.GetAttachmentTable)
@structure
class RopGetAttachmentTableRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.6.17.1."""

    table_flags: U8


@rop_response(RopId.GetAttachmentTable)
@structure
class RopGetAttachmentTableResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.17.2."""


@rop_request(RopId.GetValidAttachments)
@structure
class RopGetValidAttachmentsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.6.18.1."""


@rop_response(RopId.GetValidAttachments)
@structure
class RopGetValidAttachmentsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.6.18.2."""

    attachment_ids: Annotated[list[int], Counted(u16, u32)]
