"""A mailbox as a client sees it: [MS-OXCSTOR] (logon), [MS-OXCFOLD] (folders), [MS-OXCTABL] (lists of messages).

    mailbox = await MailboxClient.logon(session, mailbox_dn)
    inbox = await mailbox.find_folder("Inbox")
    page = await mailbox.messages(inbox.id, limit=20)
    async with await mailbox.open_message(inbox.id, page.messages[0].id) as message:
        print((await message.info()).subject, await message.body())

Creating and changing messages: `writing`.

Not done yet: public folders, creating and changing folders.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
from collections.abc import Sequence
from typing import Final

from openchange_py.client.emsmdb import EmsmdbClient, Executed
from openchange_py.client.errors import ClientError, NoSuchFolder, NoSuchMessage
from openchange_py.client.messages import LOGON_CODE_PAGE, RemoteMessage
from openchange_py.client.objects import RemoteObject, RemoteTable, TableView
from openchange_py.client.text import time_of
from openchange_py.client.writing import RemoteDraft
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, make_id, split_id
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag
from openchange_py.wire.oxcdata.sorting import Order, SortOrder
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcfold import (
    RopDeleteMessagesRequest,
    RopDeleteMessagesResponse,
    RopGetContentsTableRequest,
    RopGetContentsTableResponse,
    RopGetHierarchyTableRequest,
    RopOpenFolderRequest,
)
from openchange_py.wire.rop.oxcmsg import (
    OpenModeFlags,
    RopCreateMessageRequest,
    RopOpenMessageRequest,
    RopOpenMessageResponse,
    RopSetReadFlagsRequest,
    RopSetReadFlagsResponse,
)
from openchange_py.wire.rop.oxcstor import LogonFlags, OpenFlags, RopLogonPrivateResponse, RopLogonRequest

#: Places in RopLogon's FolderIds ([MS-OXCSTOR] 2.2.1.1.3), and the names that find them in every language.
IPM_SUBTREE: Final = 3
_WELL_KNOWN: Final = {"inbox": 4, "outbox": 5, "sent items": 6, "deleted items": 7}

#: TableFlags of RopGetHierarchyTable: all descendants ([MS-OXCFOLD] 2.2.1.13.1).
_DEPTH: Final = 0x04
#: Folders in folders; a hierarchy that is deeper is a loop.
_DEEPEST: Final = 300

#: Message ids that one ROP names.
_IDS: Final = 1000
#: rfSuppressReceipt and rfClearReadFlag: [MS-OXCMSG] 2.2.3.10.1.
_SUPPRESS_RECEIPT: Final = 0x01
_CLEAR_READ_FLAG: Final = 0x04

#: PidTagMessageFlags: [MS-OXCMSG] 2.2.1.6.
MF_READ: Final = 0x00000001

_FOLDER_COLUMNS: Final[tuple[PropertyTag, ...]] = (
    p.PidTagFolderId,
    p.PidTagParentFolderId,
    p.PidTagDisplayName,
    p.PidTagContainerClass,
    p.PidTagContentCount,
    p.PidTagContentUnreadCount,
)

_MESSAGE_COLUMNS: Final[tuple[PropertyTag, ...]] = (
    p.PidTagMid,
    p.PidTagSubject,
    p.PidTagSentRepresentingName,
    p.PidTagSenderName,
    p.PidTagDisplayTo,
    p.PidTagMessageDeliveryTime,
    p.PidTagClientSubmitTime,
    p.PidTagMessageSize,
    p.PidTagMessageFlags,
    p.PidTagHasAttachments,
    p.PidTagImportance,
    p.PidTagMessageClass,
)

_NEWEST_FIRST: Final = (SortOrder(p.PidTagMessageDeliveryTime, Order.Descending),)


@dataclasses.dataclass(frozen=True, slots=True)
class FolderInfo:
    """A folder below the top of the mailbox. `path` is `Inbox/Projects`; a slash in a name stands as `\\/`."""

    id: FolderId
    parent_id: FolderId
    name: str
    path: str
    depth: int
    container_class: str
    count: int
    unread: int


@dataclasses.dataclass(frozen=True, slots=True)
class MessageSummary:
    """A row of a list of messages. `number` counts from 1 in the list's order, `size` is bytes, the time UTC."""

    id: MessageId
    number: int
    subject: str
    sender: str
    to: str
    time: datetime.datetime | None
    size: int
    is_read: bool
    has_attachments: bool
    importance: int
    message_class: str


@dataclasses.dataclass(frozen=True, slots=True)
class MessagePage:
    """Some messages of a folder, and how many it has."""

    total: int
    messages: list[MessageSummary]


def format_id(message_id: int) -> str:
    """`1-2a`: replica id and GlobalCounter of a FolderId or MessageId, in hexadecimal digits."""
    replica, counter = split_id(message_id)
    return f"{replica:x}-{counter:x}"


def parse_id(text: str) -> MessageId:
    """What `format_id` makes. Raises `ValueError`."""
    replica, dash, counter = text.partition("-")
    if not dash or not (0 <= int(replica, 16) <= 0xFFFF and 0 <= int(counter, 16) < 1 << 48):
        raise ValueError(f"{text!r} is no message id")
    return MessageId(make_id(int(replica, 16), int(counter, 16)))


class MailboxClient(RemoteObject):
    """One mailbox that a session is logged on to; `answer` is what RopLogon told."""

    def __init__(self, session: EmsmdbClient, handle: int, logon_id: int, answer: RopLogonPrivateResponse) -> None:
        super().__init__(session, handle, logon_id)
        self.answer = answer

    @classmethod
    async def logon(cls, session: EmsmdbClient, mailbox_dn: str, logon_id: int = 0) -> MailboxClient:
        """RopLogon to the mailbox of that legacy distinguished name. Raises `MapiError` (LoginPermission, ...)."""
        essdn = mailbox_dn.encode("utf-8") + b"\0"
        flags = OpenFlags.HomeLogon | OpenFlags.NoMail | OpenFlags.UsePerMdbReplidMapping
        request = RopLogonRequest(logon_id, 0, LogonFlags.Private, flags, 0, essdn)
        done = await session.execute([request], [NO_HANDLE])
        return cls(session, done.handles[0], logon_id, done.first(RopLogonPrivateResponse))

    async def folders(self) -> list[FolderInfo]:
        """All folders below the top of the mailbox, each behind its parent."""
        top = self.answer.folder_ids[IPM_SUBTREE]
        rops: list[RopRequest] = [
            RopOpenFolderRequest(self.logon_id, 0, 1, top, 0),
            RopGetHierarchyTableRequest(self.logon_id, 1, 2, _DEPTH),
        ]
        done = await self.session.execute(rops, [self.handle, NO_HANDLE, NO_HANDLE])
        self.session.release(done.handles[1], self.logon_id)
        async with RemoteTable(self.session, done.handles[2], self.logon_id) as table:
            rows = [row async for row in table.rows(TableView(_FOLDER_COLUMNS))]
        return _tree(rows, top)

    async def find_folder(self, path: str) -> FolderInfo:
        """The folder of that path, case ignored; `Inbox` and its like in every language. Raises `NoSuchFolder`."""
        folders = await self.folders()
        wanted = path.strip("/").casefold()
        for folder in folders:
            if folder.path.casefold() == wanted:
                return folder
        place = _WELL_KNOWN.get(wanted)
        if place is not None:
            for folder in folders:
                if folder.id == self.answer.folder_ids[place]:
                    return folder
        near = difflib.get_close_matches(path, [folder.path for folder in folders], 3, 0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise NoSuchFolder(f"the mailbox has no folder {path!r}{hint}")

    async def messages(self, folder_id: FolderId, start: int = 0, limit: int | None = None) -> MessagePage:
        """The folder's messages from row `start` (0 is the newest) on, newest first, at most `limit`."""
        rops: list[RopRequest] = [
            RopOpenFolderRequest(self.logon_id, 0, 1, folder_id, 0),
            RopGetContentsTableRequest(self.logon_id, 1, 2, 0),
        ]
        done = await self.session.execute(rops, [self.handle, NO_HANDLE, NO_HANDLE])
        self.session.release(done.handles[1], self.logon_id)
        total = done.first(RopGetContentsTableResponse).row_count
        view = TableView(_MESSAGE_COLUMNS, _NEWEST_FIRST, start, limit)
        async with RemoteTable(self.session, done.handles[2], self.logon_id) as table:
            rows = [row async for row in table.rows(view)] if start < total else []
        return MessagePage(total, [_summary(row, start + index) for index, row in enumerate(rows, 1)])

    async def message_at(self, folder_id: FolderId, number: int) -> MessageSummary:
        """The message of that number in the list, 1 is the newest. Raises `NoSuchMessage`."""
        if number > 0:
            page = await self.messages(folder_id, number - 1, 1)
            if page.messages:
                return page.messages[0]
            raise NoSuchMessage(f"there is no message {number}: the folder has {page.total}")
        raise NoSuchMessage(f"there is no message {number}: they are counted from 1")

    async def open_message(self, folder_id: FolderId, message_id: MessageId) -> RemoteMessage:
        """Open a message to read it. Raises `NoSuchMessage`."""
        done = await self._open(folder_id, message_id, OpenModeFlags.ReadOnly)
        return RemoteMessage(self.session, done.handles[1], self.logon_id, done.first(RopOpenMessageResponse))

    async def _open(self, folder_id: FolderId, message_id: MessageId, mode: int) -> Executed:
        request = RopOpenMessageRequest(self.logon_id, 0, 1, LOGON_CODE_PAGE, folder_id, mode, message_id)
        try:
            return await self.session.execute([request], [self.handle, NO_HANDLE])
        except MapiError as error:
            if error.code != ErrorCode.NotFound:
                raise
            raise NoSuchMessage(f"there is no message {format_id(message_id)}") from error

    async def create_message(self, folder_id: FolderId, *, associated: bool = False) -> RemoteDraft:
        """A new message, which is in the folder when it is saved: RopCreateMessage. Raises `MapiError`."""
        request = RopCreateMessageRequest(self.logon_id, 0, 1, LOGON_CODE_PAGE, folder_id, associated)
        done = await self.session.execute([request], [self.handle, NO_HANDLE])
        return RemoteDraft(self.session, done.handles[1], self.logon_id)

    async def change_message(self, folder_id: FolderId, message_id: MessageId) -> RemoteDraft:
        """Open a message to change it. Raises `MapiError` (AccessDenied), `NoSuchMessage`."""
        opened = await self._open(folder_id, message_id, OpenModeFlags.ReadWrite)
        return RemoteDraft(self.session, opened.handles[1], self.logon_id)

    async def delete_messages(self, folder_id: FolderId, message_ids: Sequence[MessageId]) -> bool:
        """RopDeleteMessages; whether all of them were there."""
        complete = True
        for start in range(0, len(message_ids), _IDS):
            wanted = list(message_ids[start : start + _IDS])
            done = await self._in_folder(folder_id, RopDeleteMessagesRequest(self.logon_id, 1, False, False, wanted))
            complete = complete and not done.first(RopDeleteMessagesResponse).partial_completion
        return complete

    async def mark_read(self, folder_id: FolderId, message_ids: Sequence[MessageId], *, read: bool = True) -> bool:
        """RopSetReadFlags, without read receipts; whether all of them were there."""
        complete = True
        flags = _SUPPRESS_RECEIPT if read else _SUPPRESS_RECEIPT | _CLEAR_READ_FLAG
        for start in range(0, len(message_ids), _IDS):
            wanted = list(message_ids[start : start + _IDS])
            done = await self._in_folder(folder_id, RopSetReadFlagsRequest(self.logon_id, 1, False, flags, wanted))
            complete = complete and not done.first(RopSetReadFlagsResponse).partial_completion
        return complete

    async def _in_folder(self, folder_id: FolderId, request: RopRequest) -> Executed:
        """A ROP that acts on the folder, whose handle is at index 1."""
        rops: list[RopRequest] = [RopOpenFolderRequest(self.logon_id, 0, 1, folder_id, 0), request]
        done = await self.session.execute(rops, [self.handle, NO_HANDLE])
        self.session.release(done.handles[1], self.logon_id)
        return done


def _tree(rows: list[PropertyMap], top: FolderId) -> list[FolderInfo]:
    """The rows with their paths, each behind its parent, siblings in the order that the server gave them."""
    children: dict[int, list[PropertyMap]] = {}
    for row in rows:
        if p.PidTagFolderId in row:
            children.setdefault(row.get(p.PidTagParentFolderId, top), []).append(row)
    found: list[FolderInfo] = []
    waiting = [(row, "", 0) for row in children.pop(top, [])[::-1]]
    while waiting:
        row, prefix, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ClientError(f"folders in folders, more than {_DEEPEST} deep")
        folder = _folder(row, prefix, depth)
        found.append(folder)
        below = children.pop(folder.id, [])
        waiting += [(child, f"{folder.path}/", depth + 1) for child in below[::-1]]
    return found


def _folder(row: PropertyMap, prefix: str, depth: int) -> FolderInfo:
    name = row.get(p.PidTagDisplayName) or ""
    return FolderInfo(
        id=FolderId(row[p.PidTagFolderId]),
        parent_id=FolderId(row.get(p.PidTagParentFolderId, 0)),
        name=name,
        path=prefix + name.replace("/", "\\/"),
        depth=depth,
        container_class=row.get(p.PidTagContainerClass) or "",
        count=row.get(p.PidTagContentCount, 0),
        unread=row.get(p.PidTagContentUnreadCount, 0),
    )


def _summary(row: PropertyMap, number: int) -> MessageSummary:
    return MessageSummary(
        id=MessageId(row.get(p.PidTagMid, 0)),
        number=number,
        subject=row.get(p.PidTagSubject) or "",
        sender=row.get(p.PidTagSentRepresentingName) or row.get(p.PidTagSenderName) or "",
        to=row.get(p.PidTagDisplayTo) or "",
        time=time_of(row.get(p.PidTagMessageDeliveryTime) or row.get(p.PidTagClientSubmitTime)),
        size=row.get(p.PidTagMessageSize, 0),
        is_read=bool(row.get(p.PidTagMessageFlags, 0) & MF_READ),
        has_attachments=bool(row.get(p.PidTagHasAttachments, False)),
        importance=row.get(p.PidTagImportance, 1),
        message_class=row.get(p.PidTagMessageClass) or "",
    )
