"""Message and attachment objects, and what a client changes of them before it saves: [MS-OXCMSG] 1.3 and 3.2.5.

An attachment's changes are the message object's when the attachment is saved, an embedded message's its attachment's;
they are in the mailbox when the message is saved.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Sequence
from typing import Final

from openchange_py.servers.emsmdb.codepages import OF_LOGON
from openchange_py.servers.emsmdb.entryids import folder_entry_id, message_entry_id
from openchange_py.servers.emsmdb.objects.logon import Logon, owner_entry_id
from openchange_py.servers.emsmdb.objects.working import WorkingObject
from openchange_py.servers.emsmdb.values import value_size
from openchange_py.store.base import (
    Attachment,
    AttachmentDraft,
    Content,
    Mailbox,
    Message,
    MessageDraft,
    Recipient,
    WritableContent,
)
from openchange_py.store.subjects import split_subject
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType, PropertyValue

#: MAPI_MESSAGE and MAPI_ATTACH, [MS-OXCPRPT] 2.2.1.7.
_MESSAGE_TYPE = 5
_ATTACHMENT_TYPE = 7

_FULL_MESSAGE_ACCESS = 0x00000003
#: PidTagAccessLevel: [MS-OXCPRPT] 2.2.1.2.
_READ_ONLY, _MODIFY = 0, 1

#: mfRead and mfUnsent of PidTagMessageFlags: [MS-OXCMSG] 2.2.1.6.
MF_READ: Final = 0x00000001
MF_UNSENT: Final = 0x00000008

#: Bytes of memory that a recipient takes, about; of one that a client brought, besides its values.
_RECIPIENT_WEIGHT = 1024
#: What a message may have at the most; a count of them has 16 bits, and they are in memory while it is open.
MOST_RECIPIENTS: Final = 20_000
MOST_ATTACHMENTS: Final = 2_048
#: PidTagAttachSize of an attachment that has nothing yet ([MS-OXCMSG] 3.2.5.13).
_EMPTY_ATTACHMENT: Final = 0x40

_STREAM_TYPES = frozenset({PropertyType.Binary, PropertyType.String, PropertyType.String8, PropertyType.Object})

#: [MS-OXCPRPT] 2.2.1, [MS-OXCMSG] 2.2.1.2 and 2.2.1.7, [MS-OXOMSG] 2.2.1.7-9, [MS-OXCFXICS] 2.2.1.2.
_OF_EVERY_OBJECT = (
    p.PidTagAccess,
    p.PidTagAccessLevel,
    p.PidTagObjectType,
    p.PidTagRecordKey,
    p.PidTagCreationTime,
    p.PidTagLastModificationTime,
    p.PidTagMappingSignature,
    p.PidTagStoreRecordKey,
)
_OF_A_MESSAGE = (
    *_OF_EVERY_OBJECT,
    p.PidTagMid,
    p.PidTagInstID,
    p.PidTagInstanceNum,
    p.PidTagFolderId,
    p.PidTagParentFolderId,
    p.PidTagEntryId,
    p.PidTagParentEntryId,
    p.PidTagSourceKey,
    p.PidTagParentSourceKey,
    p.PidTagChangeNumber,
    p.PidTagChangeKey,
    p.PidTagPredecessorChangeList,
    p.PidTagLocalCommitTime,
    p.PidTagMessageSize,
    p.PidTagMessageSizeExtended,
    p.PidTagHasAttachments,
    p.PidTagAssociated,
    p.PidTagRead,
    p.PidTagDisplayTo,
    p.PidTagDisplayCc,
    p.PidTagDisplayBcc,
    p.PidTagMessageCodepage,
    p.PidTagHasNamedProperties,
)

#: 100 ns between 1601-01-01 and 1970-01-01.
_EPOCH = 116444736000000000


def _now() -> int:
    return time.time_ns() // 100 + _EPOCH


@dataclasses.dataclass(slots=True)
class WorkingAttachment:
    """An attachment as its message object has it: as it is saved there (`stored`), or with what was saved into it."""

    number: int
    properties: PropertyMap
    stored: Attachment | None = None
    embedded: MessageDraft | None = None

    def draft(self) -> AttachmentDraft:
        """To be saved with the message."""
        inner = self.embedded
        if inner is None and self.stored is not None and (message := self.stored.embedded()) is not None:
            inner = draft_of(message)
        return AttachmentDraft(self.properties, inner, self.number)


def draft_of(message: Message) -> MessageDraft:
    """A saved message as it would be saved again."""
    attachments = [WorkingAttachment(one.number, one.properties, one).draft() for one in message.attachments()]
    return MessageDraft(dict(message.properties), list(message.recipients), attachments)


class MessageObject(WorkingObject):
    """An open message, or one that is embedded in an attachment."""

    __slots__ = (
        "_attachments",
        "_attachments_weight",
        "_closed",
        "_code_page",
        "_deleted",
        "_numbers",
        "_pending",
        "_recipients_weight",
        "_stored",
        "associated",
        "folder_id",
        "message_id",
        "parent",
        "recipients",
    )
    stream_types = _STREAM_TYPES
    computed = frozenset(tag.id for tag in _OF_A_MESSAGE)

    def __init__(
        self,
        logon: Logon,
        message: Message | None = None,
        code_page: int = OF_LOGON,
        *,
        writable: bool = False,
        parent: AttachmentObject | None = None,
    ) -> None:
        super().__init__(logon, writable=writable)
        self._code_page = code_page if code_page != OF_LOGON else logon.code_page
        self.parent = parent
        self.associated = False
        self.folder_id = FolderId(0)
        #: 0 before it is saved, and in an attachment.
        self.message_id = MessageId(0)
        #: By PidTagRowid.
        self.recipients: dict[int, Recipient] = {}
        self._recipients_weight = 0
        self._attachments_weight = 0
        self._stored: Message | None = None
        self._attachments: dict[int, WorkingAttachment] | None = None
        self._deleted: set[int] = set()
        self._numbers = 0
        self._pending: list[WritableContent] = []
        self._closed = False
        if message is not None:
            self.load_message(message)

    @classmethod
    def new(
        cls, logon: Logon, folder_id: FolderId, code_page: int, *, associated: bool, parent: AttachmentObject | None
    ) -> MessageObject:
        """A message that is not saved yet: [MS-OXCMSG] 3.2.5.2."""
        message = cls(logon, None, code_page, writable=True, parent=parent)
        message.folder_id = folder_id
        message.associated = associated
        message.values = _initial_values(logon)
        message.touched = True
        message._attachments = {}
        return message

    @classmethod
    def of_draft(cls, logon: Logon, draft: MessageDraft, code_page: int, parent: AttachmentObject) -> MessageObject:
        """An embedded message that was saved into its attachment, but not with that into the mailbox."""
        message = cls(logon, None, code_page, writable=parent.writable, parent=parent)
        message.load(draft.properties)
        message.recipients = dict(enumerate(draft.recipients))
        message._recipients_weight = _RECIPIENT_WEIGHT * len(message.recipients)
        message._attachments = {}
        for index, one in enumerate(draft.attachments):
            number = index if one.number is None else one.number
            message._attachments[number] = WorkingAttachment(number, one.properties, None, one.embedded)
        return message

    def load_message(self, message: Message) -> None:
        """What is saved, without changes."""
        self.load(message.properties)
        self.message_id, self.folder_id = message.id, message.folder_id
        self.associated = bool(message.properties.get(p.PidTagAssociated, False))
        self.recipients = dict(enumerate(message.recipients))
        self._recipients_weight = _RECIPIENT_WEIGHT * len(self.recipients)
        self._attachments_weight = 0
        self._stored = message
        self._attachments = None

    @property
    def root(self) -> MessageObject:
        """The message that all of this is saved with."""
        return self if self.parent is None else self.parent.message.root

    @property
    def weight(self) -> int:
        """Its recipients, and what was set or written; what else is large of it is read piecewise."""
        written = sum(content.held for content in self._pending)
        return self._recipients_weight + self._attachments_weight + self._held + written

    @property
    def code_page(self) -> int:
        return self._code_page

    def new_content(self, base: Content | None) -> WritableContent:
        root = self.root
        if root._closed:
            raise MapiError(ErrorCode.InvalidObject, "the message was released, nothing of it can be saved any more")
        content = self.mailbox_logon.mailbox.new_content(base)
        root._pending.append(content)
        return content

    def close(self) -> None:
        """What was written and not saved goes away."""
        self._closed = True
        pending, self._pending = self._pending, []
        for content in pending:
            content.discard()

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        mailbox = self.mailbox_logon.mailbox
        return {
            p.PidTagRtfInSync: False,
            p.PidTagMessageCodepage: self.code_page,
            p.PidTagMessageSize: self._unsaved_size(),
            p.PidTagHasAttachments: bool(self._attachments),
            **self.current(),
            **(message_identity(mailbox, self.folder_id, self.message_id) if self.message_id else {}),
            p.PidTagObjectType: _MESSAGE_TYPE,
            p.PidTagAccess: _FULL_MESSAGE_ACCESS,
            p.PidTagAccessLevel: _MODIFY if self.writable else _READ_ONLY,
        }

    def _unsaved_size(self) -> int:
        """Of a message that was never saved; a saved one has its size among its values."""
        if p.PidTagMessageSize in self.values:
            return 0
        values = [*self.values.values(), *(v for one in self.recipients.values() for v in one.properties.values())]
        return min(sum(map(_size, values)), 0x7FFFFFFF)

    def property_was_set(self, tag: PropertyTag) -> None:
        """[MS-OXCMSG] 2.2.1.9, 2.2.1.10 and 2.2.1.46: subject, prefix and normalized subject say the same."""
        values = self.values
        if tag.id == p.PidTagSubject.id:
            prefix, subject = values.get(p.PidTagSubjectPrefix), values.get(p.PidTagSubject)
            self.drop(p.PidTagSubjectPrefix.id)
            self.drop(p.PidTagNormalizedSubject.id)
            if isinstance(subject, str):
                if not isinstance(prefix, str) or not subject.startswith(prefix):
                    prefix, _ = split_subject(subject)
                self.put(p.PidTagSubjectPrefix, prefix)
                self.put(p.PidTagNormalizedSubject, subject[len(prefix) :])
        elif tag.id in (p.PidTagSubjectPrefix.id, p.PidTagNormalizedSubject.id):
            prefix, normalized = values.get(p.PidTagSubjectPrefix, ""), values.get(p.PidTagNormalizedSubject)
            self.drop(p.PidTagSubject.id)
            if isinstance(prefix, str) and isinstance(normalized, str):
                self.put(p.PidTagSubject, prefix + normalized)

    def attachments(self) -> dict[int, WorkingAttachment]:
        """By number, in order, with what was saved into this message object."""
        if self._attachments is None:
            stored = [] if self._stored is None else self._stored.attachments()
            self._attachments = {one.number: WorkingAttachment(one.number, one.properties, one) for one in stored}
        return dict(sorted(self._attachments.items()))

    def attachment(self, number: int) -> WorkingAttachment:
        """The attachment of that number; `NotFound`."""
        found = self.attachments().get(number)
        if found is None:
            raise MapiError(ErrorCode.NotFound, f"no attachment has number {number}")
        return found

    def new_attachment(self) -> AttachmentObject:
        """One more, which is there when it is saved; `MaxAttachmentExceeded`."""
        self.check_writable()
        known = self.attachments()
        self._numbers = max(self._numbers, max(known, default=-1) + 1)
        if self._numbers >= MOST_ATTACHMENTS:
            raise MapiError(ErrorCode.MaxAttachmentExceeded, f"attachment {self._numbers}")
        now = _now()
        values: PropertyMap = {
            p.PidTagRenderingPosition: -1,
            p.PidTagCreationTime: now,
            p.PidTagLastModificationTime: now,
        }
        attachment = AttachmentObject(self, WorkingAttachment(self._numbers, values), writable=True)
        attachment.touched = True
        self._numbers += 1
        return attachment

    def put_attachment(self, attachment: WorkingAttachment) -> None:
        """An attachment was saved."""
        self.check_writable()
        if attachment.number in self._deleted:
            raise MapiError(ErrorCode.ObjectDeleted, f"attachment {attachment.number} was deleted")
        self.attachments()
        assert self._attachments is not None
        self._attachments[attachment.number] = attachment
        self._attachments_weight += _memory(attachment.properties, attachment.embedded)
        self.touched = True

    def delete_attachment(self, number: int) -> None:
        """`NotFound`; open handles of it can't save it any more."""
        self.check_writable()
        self.attachment(number)
        assert self._attachments is not None
        del self._attachments[number]
        self._deleted.add(number)
        self._numbers = max(self._numbers, number + 1)
        self.touched = True

    def put_recipient(self, row_id: int, recipient: Recipient | None) -> None:
        """Add, replace or (None) remove the recipient of that PidTagRowid."""
        if recipient is None:
            self.recipients.pop(row_id, None)
        elif row_id not in self.recipients and len(self.recipients) >= MOST_RECIPIENTS:
            raise MapiError(ErrorCode.TooBig, f"a message has at most {MOST_RECIPIENTS} recipients here")
        else:
            self.recipients[row_id] = recipient
            # What one that was replaced weighed stays counted until the message is saved.
            self._recipients_weight += _RECIPIENT_WEIGHT + sum(map(_size, recipient.properties.values()))
        self.touched = True

    def recipient_rows(self) -> list[tuple[int, Recipient]]:
        """All of them, by PidTagRowid."""
        return sorted(self.recipients.items())

    def draft(self) -> MessageDraft:
        """All of it, to be saved. Whoever saves is its last modifier."""
        values = self.draft_values()
        user = self.mailbox_logon.user
        values[p.PidTagLastModifierName] = user.display_name
        values[p.PidTagLastModifierEntryId] = owner_entry_id(user)
        for tag in (p.PidTagLastModificationTime, p.PidTagDisplayTo, p.PidTagDisplayCc, p.PidTagDisplayBcc):
            values.pop(tag, None)
        recipients = [recipient for _, recipient in self.recipient_rows()]
        return MessageDraft(values, recipients, [one.draft() for one in self.attachments().values()])

    def save(self, *, force: bool, largest: int) -> None:
        """[MS-OXCMSG] 3.2.5.3. `ObjectChanged` (of the store) where somebody else saved it and `force` is not set."""
        self.check_writable()
        if not self.touched and (self.message_id or self.parent is not None):
            return
        draft = self.draft()
        if (size := draft_size(draft)) > largest:
            raise MapiError(ErrorCode.TooBig, f"a message of {size} bytes, {largest} are allowed")
        if self.parent is not None:
            self.parent.put_embedded(draft)
            self.touched = False
            return
        mailbox = self.mailbox_logon.mailbox
        if self.message_id:
            seen = None if force else self.values[p.PidTagChangeNumber]
            mailbox.change_message(self.message_id, draft, seen=seen)
        else:
            self.message_id = mailbox.save_message(self.folder_id, draft, associated=self.associated)
        # What is frozen and in memory is saved. Other values are, or an attachment that is not saved yet has them.
        self._pending = [content for content in self._pending if not (content.frozen and content.held)]
        self.load_message(mailbox.message(self.message_id))

    def set_read(self, read: bool) -> bool:
        """Mark it as read or not, at once and not only for this handle; whether that changed anything."""
        flags = self.values.get(p.PidTagMessageFlags, 0)
        changed = bool(flags & MF_READ) != read
        if self.message_id:
            if not self.mailbox_logon.mailbox.set_read(self.folder_id, [self.message_id], read):
                raise MapiError(ErrorCode.NotFound, "the message was deleted")
            self.values[p.PidTagRead] = read
        self.values[p.PidTagMessageFlags] = flags & ~MF_READ | MF_READ * read
        return changed


def _initial_values(logon: Logon) -> PropertyMap:
    """[MS-OXCMSG] 3.2.5.2: what a message has before its client set anything."""
    now, user = _now(), owner_entry_id(logon.user)
    return {
        p.PidTagImportance: 1,
        p.PidTagMessageClass: "IPM.Note",
        p.PidTagSensitivity: 0,
        p.PidTagDisplayTo: "",
        p.PidTagDisplayCc: "",
        p.PidTagDisplayBcc: "",
        p.PidTagMessageFlags: MF_READ | MF_UNSENT,
        p.PidTagTrustSender: 1,
        p.PidTagCreationTime: now,
        p.PidTagLastModificationTime: now,
        p.PidTagSearchKey: uuid.uuid4().bytes,
        p.PidTagMessageLocaleId: logon.settings.locale,
        p.PidTagLocaleId: logon.settings.locale,
        p.PidTagCreatorName: logon.user.display_name,
        p.PidTagCreatorEntryId: user,
        p.PidTagLastModifierName: logon.user.display_name,
        p.PidTagLastModifierEntryId: user,
        p.PidTagHasNamedProperties: False,
    }


def _size(value: PropertyValue) -> int:
    return value.size if hasattr(value, "read") else value_size(value)


def draft_size(draft: MessageDraft) -> int:
    """About how many bytes a message has, with all that is in it."""
    own = sum(map(_size, draft.properties.values()))
    own += sum(_size(value) for one in draft.recipients for value in one.properties.values())
    for attachment in draft.attachments:
        own += sum(map(_size, attachment.properties.values()))
        own += 0 if attachment.embedded is None else draft_size(attachment.embedded)
    return own


def _memory(values: PropertyMap, embedded: MessageDraft | None) -> int:
    """About how many bytes of memory an attachment takes; what is written as a stream is counted elsewhere."""
    own = sum(value_size(value) for value in values.values() if not hasattr(value, "read"))
    if embedded is None:
        return own
    own += sum(_memory(one.properties, None) + _RECIPIENT_WEIGHT for one in embedded.recipients)
    own += sum(_memory(one.properties, one.embedded) for one in embedded.attachments)
    return own + _memory(embedded.properties, None)


def message_identity(mailbox: Mailbox, folder_id: FolderId, message_id: MessageId) -> PropertyMap:
    """Entry ids and keys of a saved message, for the object and for a contents table's rows."""
    entry_id = message_entry_id(mailbox, folder_id, message_id)
    return {
        p.PidTagEntryId: entry_id,
        p.PidTagRecordKey: entry_id,
        p.PidTagParentEntryId: folder_entry_id(mailbox, folder_id),
        p.PidTagMid: int(message_id),
        p.PidTagFolderId: int(folder_id),
        p.PidTagMappingSignature: mailbox.replica_guid.bytes_le,
        p.PidTagStoreRecordKey: mailbox.guid.bytes_le,
    }


class AttachmentObject(WorkingObject):
    """An open attachment of a message."""

    __slots__ = ("_embedded", "_embedded_weight", "_stored", "message", "number")
    stream_types = _STREAM_TYPES
    computed = frozenset(tag.id for tag in (*_OF_EVERY_OBJECT, p.PidTagAttachNumber, p.PidTagAttachSize))

    def __init__(self, message: MessageObject, attachment: WorkingAttachment, *, writable: bool) -> None:
        super().__init__(message.mailbox_logon, writable=writable)
        self.message = message
        self.number = attachment.number
        self.load(attachment.properties)
        self._stored = attachment.stored
        self._embedded = attachment.embedded
        self._embedded_weight = _memory({}, self._embedded)

    @property
    def code_page(self) -> int:
        """[MS-OXCPRPT] 3.2.5.1: the code page that its message was opened with."""
        return self.message.code_page

    @property
    def weight(self) -> int:
        """What was set of it, and the message in it."""
        return self._held + self._embedded_weight

    def new_content(self, base: Content | None) -> WritableContent:
        return self.message.new_content(base)

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        level = _MODIFY if self.writable else _READ_ONLY
        return {**attachment_properties(self.number, self.current()), p.PidTagAccessLevel: level}

    def embedded(self, code_page: int, *, writable: bool, create: bool) -> MessageObject:
        """The message in it: [MS-OXCMSG] 3.2.5.16. `create`: a new one where there is none, else `NotFound`."""
        logon = self.mailbox_logon
        if writable or create:
            self.check_writable()
        if self._embedded is not None:
            message = MessageObject.of_draft(logon, self._embedded, code_page, self)
            message.writable = writable or create
            return message
        stored = None if self._stored is None else self._stored.embedded()
        if stored is not None:
            return MessageObject(logon, stored, code_page, writable=writable or create, parent=self)
        if not create:
            raise MapiError(ErrorCode.NotFound, "the attachment is no message")
        return MessageObject.new(logon, FolderId(0), code_page, associated=False, parent=self)

    def put_embedded(self, draft: MessageDraft) -> None:
        """The message in it was saved."""
        self.check_writable()
        self._embedded = draft
        self._embedded_weight = _memory({}, draft)
        self.touched = True

    def save(self) -> None:
        """[MS-OXCMSG] 3.2.5.15: what was changed is the message object's from now on."""
        self.check_writable()
        if self.touched:
            values = self.draft_values() | {p.PidTagLastModificationTime: _now()}
            values.pop(p.PidTagAttachSize, None)
            self.message.put_attachment(WorkingAttachment(self.number, values, self._stored, self._embedded))
            self.touched = False


def attachment_properties(number: int, values: PropertyMap) -> PropertyMap:
    """An attachment's properties, for the object and for an attachment table's rows."""
    properties: PropertyMap = {
        **values,
        p.PidTagAttachNumber: number,
        p.PidTagObjectType: _ATTACHMENT_TYPE,
        p.PidTagAccessLevel: _MODIFY,
    }
    if p.PidTagAttachSize not in values:
        properties[p.PidTagAttachSize] = min(_EMPTY_ATTACHMENT + sum(map(_size, values.values())), 0x7FFFFFFF)
    return properties
