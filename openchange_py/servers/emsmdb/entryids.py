"""Entry ids of a mailbox's folders and messages, and the properties that are made of them.

[MS-OXCDATA] 2.2.4, [MS-OXOSFLD] 2.2.4 (where a client finds its special folders).
"""

from __future__ import annotations

from openchange_py.store.base import Folder, Mailbox, SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.entryids import FolderEntryId, MessageEntryId
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, split_id
from openchange_py.wire.oxcdata.properties import PropertyMap

#: eitLTPrivateFolder and eitLTPrivateMessage, [MS-OXCDATA] 2.2.4.1 and 2.2.4.2.
_PRIVATE_FOLDER = 0x0001
_PRIVATE_MESSAGE = 0x0007

#: The properties of the root and Inbox folders that name special folders: [MS-OXOSFLD] 2.2.4.
_SPECIAL_ENTRY_IDS = {
    p.PidTagIpmAppointmentEntryId: SpecialFolder.CALENDAR,
    p.PidTagIpmContactEntryId: SpecialFolder.CONTACTS,
    p.PidTagIpmDraftsEntryId: SpecialFolder.DRAFTS,
    p.PidTagIpmJournalEntryId: SpecialFolder.JOURNAL,
    p.PidTagIpmNoteEntryId: SpecialFolder.NOTES,
    p.PidTagIpmTaskEntryId: SpecialFolder.TASKS,
    p.PidTagRemindersOnlineEntryId: SpecialFolder.REMINDERS,
}

#: The same of the store object: [MS-OXOSFLD] 2.2.3 and [MS-OXCSTOR] 2.2.2.1.
_STORE_ENTRY_IDS = {
    p.PidTagIpmSubtreeEntryId: SpecialFolder.IPM_SUBTREE,
    p.PidTagIpmOutboxEntryId: SpecialFolder.OUTBOX,
    p.PidTagIpmSentMailEntryId: SpecialFolder.SENT_ITEMS,
    p.PidTagIpmWastebasketEntryId: SpecialFolder.DELETED_ITEMS,
    p.PidTagCommonViewsEntryId: SpecialFolder.COMMON_VIEWS,
    p.PidTagViewsEntryId: SpecialFolder.VIEWS,
    p.PidTagFinderEntryId: SpecialFolder.SEARCH,
}


def folder_entry_id(mailbox: Mailbox, folder_id: FolderId) -> bytes:
    """A folder's entry id; the provider UID is the mailbox's GUID, as in Exchange."""
    counter = split_id(folder_id)[1].to_bytes(6, "big")
    return FolderEntryId(0, mailbox.guid, _PRIVATE_FOLDER, mailbox.replica_guid, counter, b"\0\0").pack()


def message_entry_id(mailbox: Mailbox, folder_id: FolderId, message_id: MessageId) -> bytes:
    """A message's entry id."""
    folder, message = (split_id(value)[1].to_bytes(6, "big") for value in (folder_id, message_id))
    replica = mailbox.replica_guid
    return MessageEntryId(0, mailbox.guid, _PRIVATE_MESSAGE, replica, folder, b"\0\0", replica, message, b"\0\0").pack()


def folder_identity(mailbox: Mailbox, folder: Folder) -> PropertyMap:
    """Entry ids and keys of a folder, and on root and Inbox the entry ids of the special folders."""
    entry_id = folder_entry_id(mailbox, folder.id)
    properties: PropertyMap = {
        p.PidTagEntryId: entry_id,
        p.PidTagRecordKey: entry_id,
        p.PidTagInstanceKey: entry_id,
        p.PidTagParentEntryId: folder_entry_id(mailbox, folder.parent_id),
    }
    special = mailbox.special_folders()
    if folder.id in (special[SpecialFolder.ROOT], special[SpecialFolder.INBOX]):
        for tag, name in _SPECIAL_ENTRY_IDS.items():
            if name in special:
                properties[tag] = folder_entry_id(mailbox, special[name])
    return properties


def store_folder_entry_ids(mailbox: Mailbox) -> PropertyMap:
    """The store object's entry ids of special folders."""
    special = mailbox.special_folders()
    return {tag: folder_entry_id(mailbox, special[name]) for tag, name in _STORE_ENTRY_IDS.items()}
