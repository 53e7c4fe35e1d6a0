"""[MS-OXCMSG]: messages, their recipients and attachments.

Not done yet: message status, RopGetValidAttachments; read receipts are neither sent nor remembered. What is deleted is
gone (`oxcfold`), so OpenSoftDeleted opens what there is.
"""

from __future__ import annotations

from typing import Final

from openchange_py.servers.emsmdb.objects.folder import FolderObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import AttachmentObject, MessageObject
from openchange_py.servers.emsmdb.objects.table import AttachmentTable
from openchange_py.servers.emsmdb.recipients import COLUMNS, open_rows, read_rows, recipient_of
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.servers.emsmdb.values import terminated
from openchange_py.store.base import NoSuchObject
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import PRIVATE_REPLICA_ID, FolderId, MessageId, split_id
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.typedstring import TypedString
from openchange_py.wire.rop.oxcmsg import (
    OpenModeFlags,
    OpenRecipientRow,
    RopCreateAttachmentRequest,
    RopCreateAttachmentResponse,
    RopCreateMessageRequest,
    RopCreateMessageResponse,
    RopDeleteAttachmentRequest,
    RopDeleteAttachmentResponse,
    RopGetAttachmentTableRequest,
    RopGetAttachmentTableResponse,
    RopModifyRecipientsRequest,
    RopModifyRecipientsResponse,
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
    RopRemoveAllRecipientsRequest,
    RopRemoveAllRecipientsResponse,
    RopSaveChangesAttachmentRequest,
    RopSaveChangesAttachmentResponse,
    RopSaveChangesMessageRequest,
    RopSaveChangesMessageResponse,
    RopSetMessageReadFlagRequest,
    RopSetMessageReadFlagResponse,
    RopSetReadFlagsRequest,
    RopSetReadFlagsResponse,
    SaveFlags,
)

#: What the responses have besides subject, columns and rows, at the most.
_OPEN_HEADER: Final = 24 + 4 * len(COLUMNS)
_READ_HEADER: Final = 7

#: Characters of a subject that the responses can tell.
_LONGEST_SUBJECT: Final = 2048

#: For an object of a kind that the ROP is not for: [MS-OXCMSG] 3.2.5.
_WRONG: Final = ErrorCode.NullObject

#: Create, of RopOpenEmbeddedMessage: [MS-OXCMSG] 2.2.3.16.1.
_CREATE: Final = 0x02

#: FOLDER_SEARCH: [MS-OXCFOLD] 2.2.2.2.2.3 (PidTagFolderType).
_SEARCH_FOLDER: Final = 2

#: rfClearReadFlag, rfGenerateReceiptOnly, rfClearNotifyRead and rfClearNotifyUnread: [MS-OXCMSG] 2.2.3.10.1.
_CLEAR_READ: Final = 0x04
_RECEIPT_ONLY: Final = 0x10
_CLEAR_NOTIFY: Final = 0x60


@handles(RopOpenMessageRequest)
def open_message(call: RopCall, request: RopOpenMessageRequest) -> RopOpenMessageResponse:
    """RopOpenMessage: [MS-OXCMSG] 3.2.5.1. The MessageId alone says which one; the FolderId is the client's belief."""
    logon = call.object(request, (Logon, FolderObject), wrong=_WRONG).mailbox_logon
    if split_id(request.message_id)[0] != PRIVATE_REPLICA_ID:
        raise MapiError(ErrorCode.NotFound, f"message 0x{request.message_id:016x} is of no replica of this mailbox")
    found = logon.mailbox.message(MessageId(request.message_id))
    # Whoever may log on to a private mailbox may write there: BestAccess is ReadWrite.
    writable = bool(request.open_mode_flags & OpenModeFlags.ReadWrite)
    message = MessageObject(logon, found, request.code_page_id, writable=writable)
    call.open(request.output_handle_index, message)
    return RopOpenMessageResponse(request.output_handle_index, ErrorCode.Success, *_opened(call, message))


@handles(RopReloadCachedInformationRequest)
def reload_cached_information(
    call: RopCall, request: RopReloadCachedInformationRequest
) -> RopReloadCachedInformationResponse:
    """RopReloadCachedInformation: [MS-OXCMSG] 3.2.5.7."""
    message = call.object(request, MessageObject, wrong=_WRONG)
    return RopReloadCachedInformationResponse(request.input_handle_index, ErrorCode.Success, *_opened(call, message))


def _opened(
    call: RopCall, message: MessageObject
) -> tuple[int, TypedString, TypedString, int, list[PropertyTag], list[OpenRecipientRow]]:
    """HasNamedProperties, SubjectPrefix, NormalizedSubject, RecipientCount, RecipientColumns, RecipientRows.

    Of a subject that is longer than any buffer it tells the beginning.
    """
    values = message.current()
    parts = (values.get(tag) for tag in (p.PidTagSubjectPrefix, p.PidTagNormalizedSubject))
    prefix, subject = (
        TypedString.of(terminated(part[:_LONGEST_SUBJECT]) if isinstance(part, str) else None) for part in parts
    )
    room = call.space - _OPEN_HEADER - len(prefix.pack()) - len(subject.pack())
    recipients = message.recipient_rows()
    return 0, prefix, subject, len(recipients), list(COLUMNS), open_rows(recipients, room)


@handles(RopReadRecipientsRequest)
def read_recipients(call: RopCall, request: RopReadRecipientsRequest) -> RopReadRecipientsResponse:
    """RopReadRecipients: [MS-OXCMSG] 3.2.5.6."""
    rows = call.object(request, MessageObject, wrong=_WRONG).recipient_rows()
    wanted = [row for row in rows if row[0] >= request.row_id]
    if not wanted:
        raise MapiError(ErrorCode.NotFound, f"recipient {request.row_id} of {len(rows)}")
    shown = read_rows(wanted, call.space - _READ_HEADER)
    if not shown:
        raise MapiError(ErrorCode.BufferTooSmall, "not one recipient fits")
    return RopReadRecipientsResponse(request.input_handle_index, ErrorCode.Success, shown)


@handles(RopGetAttachmentTableRequest)
def get_attachment_table(call: RopCall, request: RopGetAttachmentTableRequest) -> RopGetAttachmentTableResponse:
    """RopGetAttachmentTable: [MS-OXCMSG] 3.2.5.14."""
    opened = call.object(request, MessageObject, wrong=_WRONG)
    call.open(request.output_handle_index, AttachmentTable(opened))
    return RopGetAttachmentTableResponse(request.output_handle_index, ErrorCode.Success)


@handles(RopOpenAttachmentRequest)
def open_attachment(call: RopCall, request: RopOpenAttachmentRequest) -> RopOpenAttachmentResponse:
    """RopOpenAttachment: [MS-OXCMSG] 3.2.5.9."""
    message = call.object(request, MessageObject, wrong=_WRONG)
    writable = message.writable and bool(request.open_attachment_flags & OpenModeFlags.ReadWrite)
    if request.open_attachment_flags == OpenModeFlags.ReadWrite:
        message.check_writable()
    attachment = AttachmentObject(message, message.attachment(request.attachment_id), writable=writable)
    call.open(request.output_handle_index, attachment)
    return RopOpenAttachmentResponse(request.output_handle_index, ErrorCode.Success)


@handles(RopOpenEmbeddedMessageRequest)
def open_embedded_message(call: RopCall, request: RopOpenEmbeddedMessageRequest) -> RopOpenEmbeddedMessageResponse:
    """RopOpenEmbeddedMessage: [MS-OXCMSG] 3.2.5.16. An embedded message has no id of its own: MessageId is 0."""
    attachment = call.object(request, AttachmentObject, wrong=_WRONG)
    flags = request.open_mode_flags
    message = attachment.embedded(
        request.code_page_id, writable=bool(flags & OpenModeFlags.ReadWrite), create=bool(flags & _CREATE)
    )
    call.open(request.output_handle_index, message)
    return RopOpenEmbeddedMessageResponse(
        request.output_handle_index, ErrorCode.Success, 0, MessageId(0), *_opened(call, message)
    )


@handles(RopCreateMessageRequest)
def create_message(call: RopCall, request: RopCreateMessageRequest) -> RopCreateMessageResponse:
    """RopCreateMessage: [MS-OXCMSG] 3.2.5.2. It is in the folder, and has an id, when it is saved."""
    logon = call.object(request, (Logon, FolderObject), wrong=_WRONG).mailbox_logon
    if split_id(request.folder_id)[0] != PRIVATE_REPLICA_ID:
        raise MapiError(ErrorCode.NotFound, f"folder 0x{request.folder_id:016x} is of no replica of this mailbox")
    folder = logon.mailbox.folder(FolderId(request.folder_id))
    if folder.properties.get(p.PidTagFolderType) == _SEARCH_FOLDER:
        raise MapiError(ErrorCode.NotSupported, "a search folder has no messages of its own")
    message = MessageObject.new(
        logon, folder.id, request.code_page_id, associated=bool(request.associated_flag), parent=None
    )
    call.open(request.output_handle_index, message)
    return RopCreateMessageResponse(request.output_handle_index, ErrorCode.Success, 0)


@handles(RopSaveChangesMessageRequest)
def save_changes_message(call: RopCall, request: RopSaveChangesMessageRequest) -> RopSaveChangesMessageResponse:
    """RopSaveChangesMessage: [MS-OXCMSG] 3.2.5.3. A message that was saved by somebody else meanwhile: ObjectModified.

    That is 0x80040109, which [MS-OXCDATA] 2.4 names ObjectChanged.
    """
    message = call.object(request, MessageObject, wrong=_WRONG)
    force = bool(request.save_flags & SaveFlags.ForceSave)
    try:
        message.save(force=force, largest=call.session.largest_message)
    except NoSuchObject as error:
        raise MapiError(ErrorCode.ObjectDeleted, str(error)) from error
    if request.save_flags & SaveFlags.KeepOpenReadOnly and not request.save_flags & SaveFlags.KeepOpenReadWrite:
        message.writable = force
    return RopSaveChangesMessageResponse(
        request.response_handle_index, ErrorCode.Success, request.input_handle_index, message.message_id
    )


@handles(RopModifyRecipientsRequest)
def modify_recipients(call: RopCall, request: RopModifyRecipientsRequest) -> RopModifyRecipientsResponse:
    """RopModifyRecipients: [MS-OXCMSG] 3.2.5.5. Rows are added, replaced, or removed where nothing stands in them."""
    message = call.object(request, MessageObject, wrong=_WRONG)
    message.check_writable()
    call.session.objects.check_weight()
    prefix = call.session.user.legacy_exchange_dn.rpartition("/cn=")[0] + "/cn="
    for row in request.recipient_rows:
        if row.recipient_row is None:
            message.put_recipient(row.row_id, None)
        else:
            recipient = recipient_of(row.recipient_type, row.recipient_row, message.codec, prefix)
            message.put_recipient(row.row_id, recipient)
    return RopModifyRecipientsResponse(request.input_handle_index, ErrorCode.Success)


@handles(RopRemoveAllRecipientsRequest)
def remove_all_recipients(call: RopCall, request: RopRemoveAllRecipientsRequest) -> RopRemoveAllRecipientsResponse:
    """RopRemoveAllRecipients: [MS-OXCMSG] 3.2.5.4."""
    message = call.object(request, MessageObject, wrong=_WRONG)
    message.check_writable()
    for row_id in list(message.recipients):
        message.put_recipient(row_id, None)
    return RopRemoveAllRecipientsResponse(request.input_handle_index, ErrorCode.Success)


@handles(RopCreateAttachmentRequest)
def create_attachment(call: RopCall, request: RopCreateAttachmentRequest) -> RopCreateAttachmentResponse:
    """RopCreateAttachment: [MS-OXCMSG] 3.2.5.13."""
    attachment = call.object(request, MessageObject, wrong=_WRONG).new_attachment()
    call.open(request.output_handle_index, attachment)
    return RopCreateAttachmentResponse(request.output_handle_index, ErrorCode.Success, attachment.number)


@handles(RopDeleteAttachmentRequest)
def delete_attachment(call: RopCall, request: RopDeleteAttachmentRequest) -> RopDeleteAttachmentResponse:
    """RopDeleteAttachment: [MS-OXCMSG] 3.2.5.14."""
    call.object(request, MessageObject, wrong=_WRONG).delete_attachment(request.attachment_id)
    return RopDeleteAttachmentResponse(request.input_handle_index, ErrorCode.Success)


@handles(RopSaveChangesAttachmentRequest)
def save_changes_attachment(
    call: RopCall, request: RopSaveChangesAttachmentRequest
) -> RopSaveChangesAttachmentResponse:
    """RopSaveChangesAttachment: [MS-OXCMSG] 3.2.5.15. It is in the mailbox when its message is saved as well."""
    attachment = call.object(request, AttachmentObject, wrong=_WRONG)
    call.session.objects.check_weight()
    attachment.save()
    flags = request.save_flags
    if flags & SaveFlags.KeepOpenReadOnly and not flags & (SaveFlags.KeepOpenReadWrite | SaveFlags.ForceSave):
        attachment.writable = False
    return RopSaveChangesAttachmentResponse(request.response_handle_index, ErrorCode.Success)


@handles(RopSetReadFlagsRequest)
def set_read_flags(call: RopCall, request: RopSetReadFlagsRequest) -> RopSetReadFlagsResponse:
    """RopSetReadFlags: [MS-OXCMSG] 3.2.5.10. Without ids it is for all messages of the folder."""
    folder = call.object(request, FolderObject, wrong=_WRONG)
    wanted = [MessageId(value) for value in request.message_ids]
    read = _read_state(request.read_flags)
    missing = 0
    if read is not None:
        mailbox = folder.mailbox_logon.mailbox
        found = mailbox.set_read(folder.folder_id, wanted or None, read)
        missing = len(set(wanted) - set(found))
    return RopSetReadFlagsResponse(request.input_handle_index, ErrorCode.Success, bool(missing))


@handles(RopSetMessageReadFlagRequest)
def set_message_read_flag(call: RopCall, request: RopSetMessageReadFlagRequest) -> RopSetMessageReadFlagResponse:
    """RopSetMessageReadFlag: [MS-OXCMSG] 3.2.5.11. ReadStatusChanged is for public folders."""
    message = call.object(request, MessageObject, wrong=_WRONG)
    read = _read_state(request.read_flags)
    if read is not None:
        message.set_read(read)
    return RopSetMessageReadFlagResponse(request.response_handle_index, ErrorCode.Success, 0)


def _read_state(flags: int) -> bool | None:
    """What ReadFlags make of mfRead ([MS-OXCMSG] 2.2.3.10.1); None: nothing, they are about receipts alone."""
    exclusive = sum(bool(flags & flag) for flag in (_CLEAR_READ, _RECEIPT_ONLY, _CLEAR_NOTIFY))
    if exclusive > 1:
        raise MapiError(ErrorCode.InvalidParameter, f"ReadFlags 0x{flags:02x}")
    if flags & (_RECEIPT_ONLY | _CLEAR_NOTIFY):
        return None
    return not flags & _CLEAR_READ
