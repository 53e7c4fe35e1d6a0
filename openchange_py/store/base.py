"""The mailbox store's interface. Servers know mailboxes only through it; `schema.py` and its neighbours keep them.

Plain synchronous calls, safe from several threads. Property values are as `wire.oxcdata.properties` says;
texts are always `str` (a server converts for clients that want String8). A value that is too large for a row
stands in a `PropertyMap` as `Content`.
"""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.named import PropertyName
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag


class StoreError(Exception):
    """The store cannot do what was asked; the message says why, for a person."""


class NoSuchObject(StoreError):
    """No mailbox, folder, message or attachment of that id."""


class ObjectChanged(StoreError):
    """Somebody else saved the object meanwhile."""


class SpecialFolder(enum.IntEnum):
    """A private mailbox's special folders; 0-12 are their places in RopLogon's FolderIds ([MS-OXCSTOR] 2.2.1.1.3)."""

    ROOT = 0
    DEFERRED_ACTION = 1
    SPOOLER_QUEUE = 2
    IPM_SUBTREE = 3
    INBOX = 4
    OUTBOX = 5
    SENT_ITEMS = 6
    DELETED_ITEMS = 7
    COMMON_VIEWS = 8
    SCHEDULE = 9
    SEARCH = 10
    VIEWS = 11
    SHORTCUTS = 12
    CALENDAR = 13
    CONTACTS = 14
    DRAFTS = 15
    JOURNAL = 16
    NOTES = 17
    TASKS = 18
    JUNK = 19
    REMINDERS = 20
    FREEBUSY_DATA = 21


class Content(Protocol):
    """A large value that is read in pieces. The bytes are the value's wire form (a String as UTF-16LE)."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer only at the end."""


class WritableContent(Content, Protocol):
    """A large value that is being written, piece by piece, in bounded memory; nobody sees it before it is saved.

    Once it is `frozen`, because a draft has it, it is written no more.
    """

    frozen: bool

    @property
    def held(self) -> int:
        """Bytes of memory that it takes now."""

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes at an offset; a gap before them is zeros. `StoreError` where it was abandoned (see `discard`)."""

    def resize(self, size: int) -> None:
        """Cut it off, or extend it with zeros."""

    def discard(self) -> None:
        """Forget it; once it is saved this does nothing. What nobody discards and nobody writes for a day goes too."""


class RecipientType(enum.IntEnum):
    """[MS-OXCMSG] 2.2.3.1.2 (RecipientType)."""

    ORIGINATOR = 0
    TO = 1
    CC = 2
    BCC = 3


@dataclasses.dataclass(slots=True)
class Recipient:
    """One recipient and its properties (PidTagDisplayName, PidTagEmailAddress, PidTagSmtpAddress, ...)."""

    kind: int
    properties: PropertyMap


@dataclasses.dataclass(slots=True)
class AttachmentDraft:
    """An attachment to be saved: its properties, PidTagAttachDataBinary among them, or an embedded message.

    Without a number it gets the next one.
    """

    properties: PropertyMap
    embedded: MessageDraft | None = None
    number: int | None = None


@dataclasses.dataclass(slots=True)
class MessageDraft:
    """A message to be saved."""

    properties: PropertyMap
    recipients: list[Recipient] = dataclasses.field(default_factory=list)
    attachments: list[AttachmentDraft] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class SortKey:
    """One column that a table is sorted by."""

    tag: PropertyTag
    descending: bool = False


class EventKind(enum.IntEnum):
    """What happened to an object; the numbers are those of [MS-OXCNOTIF] 2.2.1.4.1.2."""

    NEW_MAIL = 0x0002
    CREATED = 0x0004
    DELETED = 0x0008
    MODIFIED = 0x0010
    MOVED = 0x0020
    COPIED = 0x0040


#: Where an event is about no folder, or no message.
NO_FOLDER, NO_MESSAGE = FolderId(0), MessageId(0)


@dataclasses.dataclass(frozen=True, slots=True)
class StoreEvent:
    """Something that happened to a message, or, where `message_id` is 0, to the folder itself."""

    kind: EventKind
    folder_id: FolderId
    message_id: MessageId = NO_MESSAGE
    #: Whether it is one of the folder's associated messages.
    associated: bool = False
    #: The folder's parent; of a message 0.
    parent_id: FolderId = NO_FOLDER
    #: Where what was moved or copied came from: of a message its folder and id, of a folder its id and parent.
    old_folder_id: FolderId = NO_FOLDER
    old_message_id: MessageId = NO_MESSAGE
    old_parent_id: FolderId = NO_FOLDER
    #: Which properties changed; None: that is not known.
    tags: tuple[int, ...] | None = None
    #: How many messages, and unread ones, the folder has now; None where that did not change.
    total: int | None = None
    unread: int | None = None
    #: Of new mail: PidTagMessageFlags and PidTagMessageClass.
    message_flags: int = 0
    message_class: str = ""


#: Told of what happened, in the order in which it did, in any thread; None: so much that nobody can say what.
Listener: TypeAlias = Callable[[Sequence[StoreEvent] | None], None]


class Watch(Protocol):
    """Somebody's interest in what happens in a mailbox. What this process changes he is told of at once."""

    def check(self) -> None:
        """Tell of what other processes changed, where nobody looked for a while."""

    def keep_checking(self, wanted: bool) -> None:
        """Look for what other processes changed again and again, without being asked, or no more."""

    def close(self) -> None:
        """He is told of nothing any more."""


class Attachment(Protocol):
    """A saved attachment."""

    number: int
    properties: PropertyMap

    def embedded(self) -> Message | None:
        """The message in it, where it is one."""


class Message(Protocol):
    """A saved message, or one embedded in an attachment (`id` is then 0)."""

    id: MessageId
    folder_id: FolderId
    properties: PropertyMap
    recipients: Sequence[Recipient]

    def attachments(self) -> Sequence[Attachment]:
        """In the order of their numbers."""


class Folder(Protocol):
    """A folder. `properties` has all that a hierarchy table or RopGetPropertiesSpecific can ask for, counts too."""

    id: FolderId
    parent_id: FolderId
    properties: PropertyMap


class Mailbox(Protocol):
    """One mailbox."""

    guid: uuid.UUID
    replica_guid: uuid.UUID
    legacy_exchange_dn: str
    display_name: str

    def special_folders(self) -> Mapping[SpecialFolder, FolderId]: ...

    def properties(self) -> PropertyMap:
        """The store object's own properties."""

    def receive_folder(self, message_class: str) -> tuple[FolderId, str]:
        """The folder for that message class, and the prefix of it that decided ([MS-OXCSTOR] 3.2.5.2)."""

    def folder(self, folder_id: FolderId) -> Folder:
        """`NoSuchObject`."""

    def folder_by_path(self, path: str) -> Folder:
        """`Inbox` or `Inbox/Projects`, below the IPM subtree; `NoSuchObject`."""

    def subfolders(self, folder_id: FolderId, *, deep: bool = False) -> list[Folder]:
        """Children sorted by name; `deep`: all descendants, each behind its parent."""

    def create_folder(self, parent: FolderId, name: str, container_class: str = "IPF.Note") -> Folder: ...

    def message_ids(
        self, folder_id: FolderId, *, associated: bool = False, sort: Sequence[SortKey] = ()
    ) -> list[MessageId]:
        """Ids of a folder's messages in order (newest delivery first where no sort is given)."""

    def message_rows(self, ids: Sequence[MessageId], tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        """For each id, in order, those of the properties that it has; an empty map for one that is gone."""

    def message(self, message_id: MessageId) -> Message:
        """`NoSuchObject`."""

    def save_message(self, folder_id: FolderId, draft: MessageDraft, *, associated: bool = False) -> MessageId:
        """Save a new message with all its parts in one transaction."""

    def deliver_message(self, folder_id: FolderId, draft: MessageDraft) -> MessageId:
        """The same for mail that was received: who waits for new mail is told."""

    def save_messages(
        self, folder_id: FolderId, drafts: Sequence[MessageDraft], *, associated: bool = False
    ) -> list[MessageId]:
        """Save several messages in one transaction: all of them, or none."""

    def new_content(self, base: Content | None = None) -> WritableContent:
        """A large value to be written and then saved with a message; it begins with what `base` has."""

    def change_message(self, message_id: MessageId, draft: MessageDraft, *, seen: int | None = None) -> None:
        """Save all of a message anew, with a new change number, in one transaction; whether it is read stays.

        `seen` is the PidTagChangeNumber that the draft was made from: `ObjectChanged` where the message has another
        one by now; None overwrites whatever there is. Values of the draft that are the message's own large ones are
        not copied. `NoSuchObject`.
        """

    def delete_messages(self, folder_id: FolderId, message_ids: Sequence[MessageId]) -> int:
        """Delete those of the messages that are in the folder; how many they were. `NoSuchObject`: no such folder."""

    def set_read(self, folder_id: FolderId, message_ids: Sequence[MessageId] | None, read: bool) -> list[MessageId]:
        """Mark messages of a folder (None: all) as read or not; which of them there are in it. `NoSuchObject`."""

    def property_ids(self, wanted: Sequence[PropertyName], *, create: bool = False) -> list[int]:
        """The ids (from 0x8000) of names of properties, 0 for an unknown one; `create` makes it known."""

    def property_names(self) -> Mapping[int, PropertyName]:
        """All known names of properties, by id."""


class Store(Protocol):
    """All mailboxes of one database."""

    def create_mailbox(self, guid: uuid.UUID, legacy_exchange_dn: str, display_name: str) -> Mailbox:
        """With its special folders; `StoreError` where it exists."""

    def mailbox(self, guid: uuid.UUID) -> Mailbox:
        """`NoSuchObject`."""

    def mailboxes(self) -> list[Mailbox]: ...
    def watch(self, guid: uuid.UUID, listener: Listener) -> Watch:
        """Be told of what happens in a mailbox from now on; `NoSuchObject`."""

    def delete_mailbox(self, guid: uuid.UUID) -> None: ...
    def close(self) -> None: ...
