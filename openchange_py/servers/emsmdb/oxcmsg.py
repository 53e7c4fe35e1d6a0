"""[MS-OXCMSG]: opening messages, their recipients and attachments.

Not done yet: everything that creates or changes messages, recipients and attachments; message status;
RopGetValidAttachments. As nothing is deleted yet, OpenSoftDeleted opens what there is.
"""

from __future__ import annotations

from typing import Final

from openchange_py.servers.emsmdb.objects.folder import FolderObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import AttachmentObject, MessageObject
from openchange_py.servers.emsmdb.objects.table import AttachmentTable
from openchange_py.servers.emsmdb.recipients import COLUMNS, open_rows, read_rows
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.servers.emsmdb.values import terminated
from openchange_py.store.base import Attachment, Message
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import PRIVATE_REPLICA_ID, MessageId, split_id
from openchange_py.wire.oxcdata.typedstring import TypedString
from openchange_py.wire.rop.oxcmsg import (
    RopGetAttachmentTableRequest,
    RopGetAttachmentTableResponse,
    RopOpenAttachmentRequest,
    RopOpenAttachmentResponse,
    RopOpenEmbeddedMessageRequest,
    RopOpenEmbeddedMessageResponse,
    RopOpenMessageRequest,
    RopOpenMessageResponse,
    RopReadRecipientsRequest,
    RopReadRecipientsResponse,
    RopReloadCachedInformationRequest,
    RopReloadCachedInformationResponse,
)

#: What the responses have besides subject, columns and rows, at the most.
_OPEN_HEADER: Final = 24 + 4 * len(COLUMNS)
_READ_HEADER: Final = 7

#: Characters of a subject, and recipients, that the responses can tell.
_LONGEST_SUBJECT: Final = 2048
_MOST_RECIPIENTS: Final = 0xFFFF

#: For an object of a kind that the ROP is not for: [MS-OXCMSG] 3.2.5.
_WRONG: Final = ErrorCode.NullObject

#: Create, of RopOpenEmbeddedMessage: [MS-OXCMSG] 2.2.3.16.1.
_CREATE: Final = 0x02


@handles(RopOpenMessageRequest)
def open_message(call: RopCall, request: RopOpenMessageRequest) -> RopOpenMessageResponse:
    """RopOpenMessage: [MS-OXCMSG] 3.2.5.1. The MessageId alone says which one; the FolderId is the client's belief."""
    logon = call.object(request, (Logon, FolderObject), wrong=_WRONG).mailbox_logon
    if split_id(request.message_id)[0] != PRIVATE_REPLICA_ID:
        raise MapiError(ErrorCode.NotFound, f"message 0x{request.message_id:016x} is of no replica of this mailbox")
    message = logon.mailbox.message(MessageId(request.message_id))
    call.open(request.output_handle_index, MessageObject(logon, message, request.code_page_id))
    prefix, subject = subject_of(message)
    rows = open_rows(message.recipients, _room(call, prefix, subject))
    return RopOpenMessageResponse(
        request.output_handle_index,
        ErrorCode.Success,
        0,
        prefix,
        subject,
        _count(message),
        list(COLUMNS),
        rows,
    )


@handles(RopReloadCachedInformationRequest)
def reload_cached_information(
    call: RopCall, request: RopReloadCachedInformationRequest
) -> RopReloadCachedInformationResponse:
    """RopReloadCachedInformation: [MS-OXCMSG] 3.2.5.7."""
    message = call.object(request, MessageObject, wrong=_WRONG).message
    prefix, subject = subject_of(message)
    return RopReloadCachedInformationResponse(
        request.input_handle_index,
        ErrorCode.Success,
        0,
        prefix,
        subject,
        _count(message),
        list(COLUMNS),
        open_rows(message.recipients, _room(call, prefix, subject)),
    )


def subject_of(message: Message) -> tuple[TypedString, TypedString]:
    """SubjectPrefix and NormalizedSubject; of a longer one than any buffer holds its beginning."""
    parts = (message.properties.get(tag) for tag in (p.PidTagSubjectPrefix, p.PidTagNormalizedSubject))
    prefix, subject = (None if part is None else terminated(part[:_LONGEST_SUBJECT]) for part in parts)
    return TypedString.of(prefix), TypedString.of(subject)


def _count(message: Message) -> int:
    return min(len(message.recipients), _MOST_RECIPIENTS)


def _room(call: RopCall, prefix: TypedString, subject: TypedString) -> int:
    return call.space - _OPEN_HEADER - len(prefix.pack()) - len(subject.pack())


@handles(RopReadRecipientsRequest)
def read_recipients(call: RopCall, request: RopReadRecipientsRequest) -> RopReadRecipientsResponse:
    """RopReadRecipients: [MS-OXCMSG] 3.2.5.6."""
    recipients = call.object(request, MessageObject, wrong=_WRONG).message.recipients
    if request.row_id >= len(recipients):
        raise MapiError(ErrorCode.NotFound, f"recipient {request.row_id} of {len(recipients)}")
    rows = read_rows(recipients, request.row_id, call.space - _READ_HEADER)
    if not rows:
        raise MapiError(ErrorCode.BufferTooSmall, "not one recipient fits")
    return RopReadRecipientsResponse(request.input_handle_index, ErrorCode.Success, rows)


@handles(RopGetAttachmentTableRequest)
def get_attachment_table(call: RopCall, request: RopGetAttachmentTableRequest) -> RopGetAttachmentTableResponse:
    """RopGetAttachmentTable: [MS-OXCMSG] 3.2.5.14."""
    opened = call.object(request, MessageObject, wrong=_WRONG)
    call.open(request.output_handle_index, AttachmentTable(opened))
    return RopGetAttachmentTableResponse(request.output_handle_index, ErrorCode.Success)


@handles(RopOpenAttachmentRequest)
def open_attachment(call: RopCall, request: RopOpenAttachmentRequest) -> RopOpenAttachmentResponse:
    """RopOpenAttachment: [MS-OXCMSG] 3.2.5.9."""
    opened = call.object(request, MessageObject, wrong=_WRONG)
    attachment = find_attachment(opened.message, request.attachment_id)
    call.open(request.output_handle_index, AttachmentObject(opened, attachment))
    return RopOpenAttachmentResponse(request.output_handle_index, ErrorCode.Success)


def find_attachment(message: Message, number: int) -> Attachment:
    """The attachment of that number; `NotFound`."""
    for attachment in message.attachments():
        if attachment.number == number:
            return attachment
    raise MapiError(ErrorCode.NotFound, f"no attachment has number {number}")


@handles(RopOpenEmbeddedMessageRequest)
def open_embedded_message(call: RopCall, request: RopOpenEmbeddedMessageRequest) -> RopOpenEmbeddedMessageResponse:
    """RopOpenEmbeddedMessage: [MS-OXCMSG] 3.2.5.13. An embedded message has no id of its own: MessageId is 0."""
    opened = call.object(request, AttachmentObject, wrong=_WRONG)
    message = opened.attachment.embedded()
    if message is None:
        code = ErrorCode.NotImplemented if request.open_mode_flags & _CREATE else ErrorCode.NotFound
        raise MapiError(code, "the attachment is no message")
    call.open(request.output_handle_index, MessageObject(opened.mailbox_logon, message, request.code_page_id))
    prefix, subject = subject_of(message)
    return RopOpenEmbeddedMessageResponse(
        request.output_handle_index,
        ErrorCode.Success,
        0,
        MessageId(0),
        0,
        prefix,
        subject,
        _count(message),
        list(COLUMNS),
        open_rows(message.recipients, _room(call, prefix, subject)),
    )
