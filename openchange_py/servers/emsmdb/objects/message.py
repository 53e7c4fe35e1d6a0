"""Message and attachment objects: [MS-OXCMSG] 1.3."""

from __future__ import annotations

from collections.abc import Sequence

from openchange_py.servers.emsmdb.codepages import OF_LOGON
from openchange_py.servers.emsmdb.entryids import folder_entry_id, message_entry_id
from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.store.base import Attachment, Mailbox, Message
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType

#: MAPI_MESSAGE and MAPI_ATTACH, [MS-OXCPRPT] 2.2.1.7.
_MESSAGE_TYPE = 5
_ATTACHMENT_TYPE = 7

_FULL_MESSAGE_ACCESS = 0x00000003

#: Bytes of memory that a recipient's properties take, about.
_RECIPIENT_WEIGHT = 1024

_STREAM_TYPES = frozenset({PropertyType.Binary, PropertyType.String, PropertyType.String8, PropertyType.Object})


class MessageObject(PropertyObject):
    """An open message, or one that is embedded in an attachment."""

    __slots__ = ("_code_page", "message")
    stream_types = _STREAM_TYPES

    def __init__(self, logon: Logon, message: Message, code_page: int = OF_LOGON) -> None:
        super().__init__(logon)
        self.message = message
        self._code_page = code_page if code_page != OF_LOGON else logon.code_page

    @property
    def weight(self) -> int:
        """Its recipients; what else is large of it is read piecewise."""
        return _RECIPIENT_WEIGHT * len(self.message.recipients)

    @property
    def code_page(self) -> int:
        return self._code_page

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        mailbox, message = self.mailbox_logon.mailbox, self.message
        return {
            p.PidTagRtfInSync: False,
            p.PidTagMessageCodepage: self.code_page,
            **message.properties,
            **(message_identity(mailbox, message.folder_id, message.id) if message.id else {}),
            p.PidTagObjectType: _MESSAGE_TYPE,
            p.PidTagAccess: _FULL_MESSAGE_ACCESS,
            p.PidTagAccessLevel: 1,
        }


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


class AttachmentObject(PropertyObject):
    """An open attachment of a message."""

    __slots__ = ("_code_page", "attachment")
    stream_types = _STREAM_TYPES

    def __init__(self, parent: MessageObject, attachment: Attachment) -> None:
        super().__init__(parent.mailbox_logon)
        self.attachment = attachment
        self._code_page = parent.code_page

    @property
    def code_page(self) -> int:
        """[MS-OXCPRPT] 3.2.5.1: the code page that its message was opened with."""
        return self._code_page

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        return attachment_properties(self.attachment)


def attachment_properties(attachment: Attachment) -> PropertyMap:
    """An attachment's properties, for the object and for an attachment table's rows."""
    return {
        **attachment.properties,
        p.PidTagAttachNumber: attachment.number,
        p.PidTagObjectType: _ATTACHMENT_TYPE,
        p.PidTagAccessLevel: 1,
    }
