"""Private mailboxes: [MS-OXCSTOR]. Creating them with their special folders, and all that is asked of one.

Not done yet: public folders, quotas.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select
from sqlalchemy.exc import IntegrityError

from openchange_py.store import changing, contents_table, folders, ids, messages, names, notify, properties, schema
from openchange_py.store.base import (
    Content,
    EventKind,
    Folder,
    Mailbox,
    Message,
    MessageDraft,
    NoSuchObject,
    SortKey,
    SpecialFolder,
    StoreError,
    StoreEvent,
    WritableContent,
)
from openchange_py.store.changes import Change, now
from openchange_py.store.database import Database
from openchange_py.store.folders import Counted
from openchange_py.store.pending import PendingContent
from openchange_py.store.writer import MessageWriter, SavedSize, finish_writing
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.named import PropertyName
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag

_ROOT, _IPM = SpecialFolder.ROOT, SpecialFolder.IPM_SUBTREE
#: [MS-OXOSFLD] 2.2.1: parent, name and container class of the special folders, parents first.
SPECIAL_FOLDERS: tuple[tuple[SpecialFolder, SpecialFolder | None, str, str], ...] = (
    (SpecialFolder.ROOT, None, "Root", ""),
    (SpecialFolder.DEFERRED_ACTION, _ROOT, "Deferred Action", ""),
    (SpecialFolder.SPOOLER_QUEUE, _ROOT, "Spooler Queue", ""),
    (SpecialFolder.IPM_SUBTREE, _ROOT, "Top of Information Store", "IPF.Note"),
    (SpecialFolder.INBOX, _IPM, "Inbox", "IPF.Note"),
    (SpecialFolder.OUTBOX, _IPM, "Outbox", "IPF.Note"),
    (SpecialFolder.SENT_ITEMS, _IPM, "Sent Items", "IPF.Note"),
    (SpecialFolder.DELETED_ITEMS, _IPM, "Deleted Items", "IPF.Note"),
    (SpecialFolder.COMMON_VIEWS, _ROOT, "Common Views", ""),
    (SpecialFolder.SCHEDULE, _ROOT, "Schedule", ""),
    (SpecialFolder.SEARCH, _ROOT, "Finder", ""),
    (SpecialFolder.VIEWS, _ROOT, "Views", ""),
    (SpecialFolder.SHORTCUTS, _ROOT, "Shortcuts", ""),
    (SpecialFolder.CALENDAR, _IPM, "Calendar", "IPF.Appointment"),
    (SpecialFolder.CONTACTS, _IPM, "Contacts", "IPF.Contact"),
    (SpecialFolder.DRAFTS, _IPM, "Drafts", "IPF.Note"),
    (SpecialFolder.JOURNAL, _IPM, "Journal", "IPF.Journal"),
    (SpecialFolder.NOTES, _IPM, "Notes", "IPF.StickyNote"),
    (SpecialFolder.TASKS, _IPM, "Tasks", "IPF.Task"),
    (SpecialFolder.JUNK, _IPM, "Junk Email", "IPF.Note"),
    (SpecialFolder.REMINDERS, _ROOT, "Reminders", "Outlook.Reminder"),
    (SpecialFolder.FREEBUSY_DATA, _ROOT, "Freebusy Data", ""),
)

#: [MS-OXCSTOR] 3.2.5.2: what a new mailbox receives where.
RECEIVE_FOLDERS = (
    ("", SpecialFolder.INBOX),
    ("IPM", SpecialFolder.INBOX),
    ("REPORT.IPM", SpecialFolder.INBOX),
    ("IPC", SpecialFolder.ROOT),
)

_M = schema.mailboxes.c
_F = schema.folders.c
_R = schema.receive_folders.c
_SELECT_SPECIAL = select(_F.special, _F.id).where(_F.mailbox_id == bindparam("mailbox"), _F.special.is_not(None))
_SELECT_RECEIVE = select(_R.sort_class, _R.message_class, _R.folder_id).where(_R.mailbox_id == bindparam("mailbox"))
_SELECT_STATE = select(_M.creation_time, _M.properties).where(_M.id == bindparam("mailbox"))
_SELECT_SIZE = select(func.coalesce(func.sum(_F.message_size), 0)).where(_F.mailbox_id == bindparam("mailbox"))


class StoredMailbox(Mailbox):
    """One private mailbox."""

    def __init__(self, database: Database, row: Any) -> None:
        self.guid = row.guid
        self.replica_guid = row.replica_guid
        self.legacy_exchange_dn = row.legacy_exchange_dn
        self.display_name = row.display_name
        self._database = database
        self._place = messages.Place(database, row.id, row.replica_guid)
        self._special: dict[SpecialFolder, FolderId] = {}

    def __repr__(self) -> str:
        return f"<Mailbox {self.legacy_exchange_dn or self.guid}>"

    def special_folders(self) -> Mapping[SpecialFolder, FolderId]:
        """They never change."""
        if not self._special:
            with self._database.reading() as connection:
                rows = connection.execute(_SELECT_SPECIAL, {"mailbox": self._place.mailbox_id}).all()
            if not rows:
                raise NoSuchObject("the mailbox was deleted")
            self._special = {SpecialFolder(number): FolderId(ids.object_id(counter)) for number, counter in rows}
        return self._special

    def properties(self) -> PropertyMap:
        """The store object's own properties: [MS-OXCSTOR] 2.2.2.1."""
        scope = {"mailbox": self._place.mailbox_id}
        with self._database.reading() as connection:
            row = connection.execute(_SELECT_STATE, scope).one_or_none()
            size = connection.execute(_SELECT_SIZE, scope).scalar_one()
        if row is None:
            raise NoSuchObject("the mailbox was deleted")
        return properties.unpack(row.properties, self._place.content) | {
            proptags.PidTagDisplayName: self.display_name,
            proptags.PidTagMailboxOwnerName: self.display_name,
            proptags.PidTagCreationTime: row.creation_time,
            proptags.PidTagMessageSize: min(int(size), 0x7FFFFFFF),
            proptags.PidTagMessageSizeExtended: int(size),
            proptags.PidTagAccessLevel: 1,
            proptags.PidTagObjectType: 1,
        }

    def receive_folder(self, message_class: str) -> tuple[FolderId, str]:
        """The folder for that message class, and the prefix of it that decided ([MS-OXCSTOR] 3.2.5.2)."""
        with self._database.reading() as connection:
            rows = connection.execute(_SELECT_RECEIVE, {"mailbox": self._place.mailbox_id}).all()
        by_class = {row.sort_class: row for row in rows}
        prefix = message_class.casefold()
        while prefix and prefix not in by_class:
            prefix = prefix.rpartition(".")[0]
        if prefix not in by_class:
            raise NoSuchObject(f"no receive folder for {message_class!r}")
        return FolderId(ids.object_id(by_class[prefix].folder_id)), by_class[prefix].message_class

    def folder(self, folder_id: FolderId) -> Folder:
        """`NoSuchObject`."""
        with self._database.reading() as connection:
            return folders.read_folder(self._place, connection, ids.counter_of(folder_id))

    def folder_by_path(self, path: str) -> Folder:
        """`Inbox` or `Inbox/Projects`, below the IPM subtree, without regard to case; `NoSuchObject`."""
        start = ids.counter_of(self.special_folders()[SpecialFolder.IPM_SUBTREE])
        names = [name for name in path.split("/") if name.strip()]
        with self._database.reading() as connection:
            counter = folders.find_folder(self._place, connection, start or 0, names)
            return folders.read_folder(self._place, connection, counter)

    def subfolders(self, folder_id: FolderId, *, deep: bool = False) -> list[Folder]:
        """Children sorted by name; `deep`: all descendants, each behind its parent. `NoSuchObject`."""
        read = folders.read_descendants if deep else folders.read_children
        with self._database.reading() as connection:
            counter = self._existing(connection, folder_id)
            return list(read(self._place, connection, counter))

    def create_folder(self, parent: FolderId, name: str, container_class: str = "IPF.Note") -> Folder:
        """`NoSuchObject` for the parent, `StoreError` where it has a folder of that name."""
        with self._changing(2) as (connection, first, happened):
            new = folders.NewFolder(name, self._existing(connection, parent), container_class)
            folders.insert_folder(self._place, connection, new, first, first + 1)
            folder = folders.read_folder(self._place, connection, first)
            happened.append(folders.folder_event(EventKind.CREATED, folder))
        return folder

    def message_ids(
        self, folder_id: FolderId, *, associated: bool = False, sort: Sequence[SortKey] = ()
    ) -> list[MessageId]:
        """Ids of a folder's messages in order (newest delivery first where no sort is given)."""
        with self._database.reading() as connection:
            counter = self._existing(connection, folder_id)
            return contents_table.sorted_ids(self._place, connection, counter, associated, sort)

    def message_rows(self, ids: Sequence[MessageId], tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        """For each id, in order, those of the properties that it has; an empty map for one that is gone."""
        with self._database.reading() as connection:
            return contents_table.read_rows(self._place, connection, ids, tuple(tags))

    def message(self, message_id: MessageId) -> Message:
        """`NoSuchObject`."""
        return messages.read_message(self._place, ids.counter_of(message_id))

    def save_message(self, folder_id: FolderId, draft: MessageDraft, *, associated: bool = False) -> MessageId:
        """Save a new message with all its parts in one transaction."""
        return self.save_messages(folder_id, [draft], associated=associated)[0]

    def save_messages(
        self, folder_id: FolderId, drafts: Sequence[MessageDraft], *, associated: bool = False
    ) -> list[MessageId]:
        """Save several messages in one transaction: all of them, or none."""
        return self._save(folder_id, drafts, associated)

    def deliver_message(self, folder_id: FolderId, draft: MessageDraft) -> MessageId:
        """Save mail that was received: who waits for new mail is told."""
        return self._save(folder_id, [draft], associated=False, delivered=True)[0]

    def _save(
        self, folder_id: FolderId, drafts: Sequence[MessageDraft], associated: bool, *, delivered: bool = False
    ) -> list[MessageId]:
        folder = ids.counter_of(folder_id)
        for draft in drafts:
            finish_writing(draft)
        with self._changing(2 * len(drafts)) as (connection, first, happened):
            folders.count_messages(self._place, connection, folder, Counted(), now())
            saved, message_ids = [], ids.message_ids(range(first, first + 2 * len(drafts), 2))
            for number, draft in enumerate(drafts):
                change = Change.first(self.replica_guid, first + 2 * number + 1)
                writer = MessageWriter(self._place, connection, change)
                mid = first + 2 * number
                saved.append(writer.save(draft, folder=folder or 0, mid=mid, associated=associated))
            happened += [StoreEvent(EventKind.CREATED, folder_id, one, associated) for one in message_ids]
            if delivered:
                happened += [_new_mail(folder_id, *one) for one in zip(message_ids, drafts, strict=True)]
            by = _counted(saved, associated)
            happened.append(folders.count_messages(self._place, connection, folder, by, now()))
        return message_ids

    @contextmanager
    def _changing(self, numbers: int = 1) -> Iterator[tuple[Connection, int, list[StoreEvent]]]:
        """A transaction, the first of its fresh numbers, and the list of what it makes happen.

        Who follows the mailbox is told once it is committed.
        """
        happened: list[StoreEvent] = []
        with self._database.writing() as connection:
            first = ids.allocate(connection, self._place.mailbox_id, numbers)
            yield connection, first, happened
            notify.record(connection, self._place.mailbox_id, first + numbers - 1, happened)
        self._database.feed.committed(self._place.mailbox_id)

    def new_content(self, base: Content | None = None) -> WritableContent:
        """A large value to be written and then saved with a message; it begins with what `base` has."""
        return PendingContent(self._place, base)

    def change_message(self, message_id: MessageId, draft: MessageDraft, *, seen: int | None = None) -> None:
        """Save all of a message anew, in one transaction; `ObjectChanged`, `NoSuchObject`."""
        finish_writing(draft)
        with self._changing() as (connection, number, happened):
            mid = ids.counter_of(message_id)
            happened += changing.change_message(self._place, connection, mid, draft, number, seen)

    def delete_messages(self, folder_id: FolderId, message_ids: Sequence[MessageId]) -> int:
        """Delete those of the messages that are in the folder; how many they were. `NoSuchObject`: no such folder."""
        with self._changing() as (connection, number, happened):
            folder = self._existing(connection, folder_id)
            happened += changing.delete_messages(self._place, connection, folder, message_ids, number)
            deleted = len(happened) - 1
            if not deleted:
                happened.clear()
        return deleted

    def set_read(self, folder_id: FolderId, message_ids: Sequence[MessageId] | None, read: bool) -> list[MessageId]:
        """Mark messages of a folder (None: all) as read or not; which of them there are in it. `NoSuchObject`."""
        with self._changing() as (connection, number, happened):
            folder = self._existing(connection, folder_id)
            found, events = changing.set_read(self._place, connection, folder, message_ids, read, number)
            happened += events
        return found

    def property_ids(self, wanted: Sequence[PropertyName], *, create: bool = False) -> list[int]:
        """The ids (from 0x8000) of names of properties, 0 for an unknown one; `create` makes it known."""
        with self._database.reading() as connection:
            found = names.read_ids(self._place, connection, wanted)
        if create and not all(found):
            with self._database.writing() as connection:
                ids.allocate(connection, self._place.mailbox_id, 1)
                found = names.create_ids(self._place, connection, wanted)
        return found

    def property_names(self) -> Mapping[int, PropertyName]:
        """All known names of properties, by id."""
        with self._database.reading() as connection:
            return names.read_names(self._place, connection)

    def _existing(self, connection: Connection, folder_id: FolderId) -> int:
        """The counter of a folder that exists."""
        folder = folders.read_folder(self._place, connection, ids.counter_of(folder_id))
        counter = ids.counter_of(folder.id)
        if counter is None:
            raise NoSuchObject("no such folder")
        return counter


def _counted(saved: Sequence[SavedSize], associated: bool) -> Counted:
    """By how much a folder's counts change for messages that were saved into it."""
    size = sum(one.size for one in saved)
    if associated:
        return Counted(associated=len(saved), size=size)
    return Counted(messages=len(saved), unread=sum(not one.is_read for one in saved), size=size)


def _new_mail(folder_id: FolderId, message_id: MessageId, draft: MessageDraft) -> StoreEvent:
    flags = draft.properties.get(proptags.PidTagMessageFlags, 0)
    message_class = draft.properties.get(proptags.PidTagMessageClass, "IPM.Note")
    return StoreEvent(
        EventKind.NEW_MAIL, folder_id, message_id, message_flags=int(flags), message_class=str(message_class)
    )


def insert_mailbox(
    database: Database, connection: Connection, guid: uuid.UUID, legacy_exchange_dn: str, display_name: str
) -> StoredMailbox:
    """Creates a mailbox with its special and receive folders; `StoreError` where it exists."""
    row = {
        "guid": guid,
        "replica_guid": uuid.uuid4(),
        "legacy_exchange_dn": legacy_exchange_dn,
        "display_name": display_name,
        "next_counter": 1,
        "creation_time": now(),
        "properties": properties.pack({}),
    }
    try:
        created = connection.execute(insert(schema.mailboxes).returning(schema.mailboxes), row).one()
    except IntegrityError as error:
        raise StoreError(f"there is a mailbox {guid} already") from error
    place = messages.Place(database, created.id, created.replica_guid)
    counters = _insert_special_folders(place, connection)
    receive = [
        {
            "mailbox_id": created.id,
            "sort_class": message_class.casefold(),
            "message_class": message_class,
            "folder_id": counters[special],
            "last_modification_time": created.creation_time,
        }
        for message_class, special in RECEIVE_FOLDERS
    ]
    connection.execute(insert(schema.receive_folders), receive)
    return StoredMailbox(database, created)


def _insert_special_folders(place: messages.Place, connection: Connection) -> dict[SpecialFolder, int]:
    first = ids.allocate(connection, place.mailbox_id, 2 * len(SPECIAL_FOLDERS))
    counters: dict[SpecialFolder, int] = {}
    types = {SpecialFolder.ROOT: folders.FOLDER_ROOT, SpecialFolder.REMINDERS: folders.FOLDER_SEARCH}
    for number, (special, parent, name, container_class) in enumerate(SPECIAL_FOLDERS):
        counters[special] = first + number
        new = folders.NewFolder(
            name,
            None if parent is None else counters[parent],
            container_class,
            types.get(special, folders.FOLDER_GENERIC),
            special,
        )
        folders.insert_folder(place, connection, new, counters[special], first + len(SPECIAL_FOLDERS) + number)
    return counters
