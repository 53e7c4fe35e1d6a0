"""The tables of folders, which follow what changes: [MS-OXCFOLD] 2.2.1.13 and 2.2.1.14, [MS-OXCNOTIF] 3.1.4.3.

A table keeps the keys of its rows, sorted; the rows are read when they are asked for. Where something changed, the keys
are read anew at the next look, and the position stays with the row that comes next.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Final

from openchange_py.servers.emsmdb.objects.folder import folder_properties
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import message_identity
from openchange_py.servers.emsmdb.objects.table import TableObject
from openchange_py.store.base import EventKind, Folder, SortKey, StoreEvent
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag
from openchange_py.wire.rop.oxcnotif import Availability, NotificationData, NotificationType, TableEventType

#: TBL_LEAF_ROW, [MS-OXCTABL] 2.2.1.3 (PidTagRowType).
_LEAF_ROW = 1

#: Of a table with more rows than this it is only told that it changed: where in it costs too much to find.
MOST_FOLLOWED_ROWS: Final = 10_000

_ROW_EVENTS: Final = {
    EventKind.CREATED: TableEventType.TableRowAdded,
    EventKind.COPIED: TableEventType.TableRowAdded,
    EventKind.MOVED: TableEventType.TableRowAdded,
    EventKind.MODIFIED: TableEventType.TableRowModified,
    EventKind.DELETED: TableEventType.TableRowDeleted,
}

#: What became of which row.
RowChange = tuple[TableEventType, int]


class FolderTable(TableObject):
    """A table of what is in a folder. With `notifies` its client is told of changes, once it looked at the rows."""

    __slots__ = ("_known_keys", "_silent", "_stale", "_viewed", "folder_id", "forget", "notifies")
    collapses = True

    def __init__(self, logon: Logon, folder_id: FolderId, *, notifies: bool = False) -> None:
        super().__init__(logon)
        self.folder_id = folder_id
        self.notifies = notifies
        self.forget: Callable[[], None] | None = None
        #: As 64-bit numbers: a list would take five times the memory for as long as the table is open.
        self._known_keys: array[int] | None = None
        self._stale = False
        #: Whether there is a view, without which nothing is told, and whether the client knows that it changed.
        self._viewed = False
        self._silent = False

    def close(self) -> None:
        if self.forget is not None:
            self.forget()

    def _load(self) -> array[int]:
        """The rows' keys as they are now, in order."""
        raise NotImplementedError

    def _change(self, event: StoreEvent) -> RowChange | None:
        """What an event does to the table; None: nothing."""
        raise NotImplementedError

    def _row_event(self, change: RowChange, before: int | None, row: bytes) -> NotificationData:
        """The notification: `before` is the key in front of the row, 0 where it is the first, None where it is gone."""
        raise NotImplementedError

    @property
    def keys(self) -> array[int]:
        """The rows' keys, as the client knows them."""
        if self._known_keys is None:
            self._stale = False
            self._known_keys = self._load()
        return self._known_keys

    @property
    def row_count(self) -> int:
        return len(self.keys)

    def use(self) -> None:
        """A ROP that makes a view; the client is told of changes (again)."""
        self._viewed, self._silent = True, False
        self._renew()

    def _renew(self) -> None:
        if not self._stale or self._known_keys is None:
            return
        old, self._stale = self._known_keys, False
        self._known_keys = self._load()
        self.position = moved_position(self.position, old, self._known_keys)

    def heard(self, event: StoreEvent | None) -> bool:
        """See `notifications.Target`. After a TableChanged nothing more is told before the table is looked at."""
        if event is not None and self._change(event) is None:
            return False
        self._stale = True
        if self._silent or not (self.notifies and self._viewed):
            return False
        self._silent = event is None
        return True

    def notification(self, event: StoreEvent | None) -> NotificationData | None:
        if event is not None and self._silent:
            return None  # the client knows already that the table changed
        change = None if event is None else self._change(event)
        if change is None or self.row_maker is None or self.row_count > MOST_FOLLOWED_ROWS:
            return self.too_large()
        kind, key = change
        if kind is TableEventType.TableRowDeleted:
            return self._row_event(change, None, b"")
        self._renew()
        try:
            place = self.keys.index(key)
        except ValueError:
            return None  # it is gone again, which another event tells
        (row,) = self.rows(place, place + 1, self.row_maker.wanted)
        before = self.keys[place - 1] if place else 0
        return self._row_event(change, before, bytes(self.row_maker.row(row)))

    def too_large(self) -> NotificationData:
        """TableChanged."""
        self._silent = True
        return NotificationData(NotificationType.TableModified, TableEventType.TableChanged)


def moved_position(position: int, old: array[int], new: array[int]) -> int:
    """Where a position is when rows came and went: in front of the same row, or of the next one that is left.

    At the beginning it stays there, so that a new first row is read; behind all rows it stays behind the last old one.
    """
    if not position:
        return 0
    places = {key: place for place, key in enumerate(new)}
    for key in old[position:]:
        if key in places:
            return places[key]
    for key in reversed(old[:position]):
        if key in places:
            return places[key] + 1
    return 0


class HierarchyTable(FolderTable):
    """A folder's subfolders, all of them with `deep`: [MS-OXCFOLD] 2.2.1.13. Soft-deleted ones there are none."""

    __slots__ = ("_deep", "_depths", "_folders", "_soft_deleted")

    def __init__(
        self,
        logon: Logon,
        folder_id: FolderId,
        *,
        deep: bool = False,
        soft_deleted: bool = False,
        notifies: bool = False,
    ) -> None:
        super().__init__(logon, folder_id, notifies=notifies)
        self._deep = deep
        self._soft_deleted = soft_deleted
        self._folders: list[Folder] = []
        self._depths: dict[int, int] = {folder_id: 0}

    def _load(self) -> array[int]:
        folders = self.mailbox_logon.mailbox.subfolders(self.folder_id, deep=self._deep)
        depths: dict[int, int] = {self.folder_id: 0}
        for folder in folders:
            depths[folder.id] = depths.get(folder.parent_id, 0) + 1
        self._folders = [] if self._soft_deleted else folders
        self._depths = depths
        return array("Q", (folder.id for folder in self._folders))

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        mailbox, _ = self.mailbox_logon.mailbox, self.keys
        return [
            {**folder_properties(mailbox, folder, tags), p.PidTagDepth: self._depths[folder.id]}
            for folder in self._folders[start:stop]
        ]

    def _has(self, parent: int) -> bool:
        """Whether folders of that parent are rows."""
        return parent == self.folder_id or (self._deep and parent in self._depths)

    def _change(self, event: StoreEvent) -> RowChange | None:
        if event.message_id or self._soft_deleted or event.folder_id == self.folder_id:
            return None
        if self._has(event.parent_id):
            return _ROW_EVENTS[event.kind], event.folder_id
        if event.kind is EventKind.MOVED and self._has(event.old_parent_id):
            return TableEventType.TableRowDeleted, event.old_folder_id
        return None

    def _row_event(self, change: RowChange, before: int | None, row: bytes) -> NotificationData:
        data = NotificationData(NotificationType.TableModified, change[0], table_row_folder_id=FolderId(change[1]))
        if before is not None:
            data.insert_after_table_row_folder_id, data.table_row_data = FolderId(before), row
        return data


#: Columns of a contents table that no stored property tells: only made where one of them is asked for.
_MADE_HERE = frozenset(
    {
        p.PidTagEntryId,
        p.PidTagRecordKey,
        p.PidTagParentEntryId,
        p.PidTagMappingSignature,
        p.PidTagStoreRecordKey,
        p.PidTagInstanceKey,
        p.PidTagRowType,
        p.PidTagDepth,
    }
)


class ContentsTable(FolderTable):
    """A folder's messages, or its associated ones: [MS-OXCFOLD] 2.2.1.14. Of soft-deleted ones there are none here.

    The list of ids is read when the first row is asked for: clients sort before that, and it may be long.
    """

    __slots__ = ("_associated", "_order", "_soft_deleted")

    def __init__(
        self,
        logon: Logon,
        folder_id: FolderId,
        *,
        associated: bool,
        soft_deleted: bool = False,
        notifies: bool = False,
    ) -> None:
        super().__init__(logon, folder_id, notifies=notifies)
        self._associated = associated
        self._soft_deleted = soft_deleted
        self._order: Sequence[SortKey] = ()

    def _load(self) -> array[int]:
        if self._soft_deleted:
            return array("Q")
        mailbox = self.mailbox_logon.mailbox
        return array("Q", mailbox.message_ids(self.folder_id, associated=self._associated, sort=self._order))

    def announced_rows(self) -> int:
        """RowCount of RopGetContentsTable, as the folder itself counts its messages."""
        if self._soft_deleted:
            return 0
        counts = self.mailbox_logon.mailbox.folder(self.folder_id).properties
        count: int = counts[p.PidTagAssociatedContentCount if self._associated else p.PidTagContentCount]
        return count

    def sort(self, keys: Sequence[SortKey]) -> None:
        self._order, self._known_keys = tuple(keys), None
        self.position = 0

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        mailbox, ids = self.mailbox_logon.mailbox, [MessageId(key) for key in self.keys[start:stop]]
        rows = mailbox.message_rows(ids, tags)
        for message_id, row in zip(ids, rows, strict=True):
            if not row:
                row.update(message_identity(mailbox, self.folder_id, message_id))
        if not _MADE_HERE.isdisjoint(tags):
            for message_id, row in zip(ids, rows, strict=True):
                row.update(message_identity(mailbox, self.folder_id, message_id))
                row[p.PidTagInstanceKey] = int(message_id).to_bytes(8, "little")
                row[p.PidTagRowType] = _LEAF_ROW
                row[p.PidTagDepth] = 0
        return rows

    def _change(self, event: StoreEvent) -> RowChange | None:
        if not event.message_id or event.associated != self._associated or event.kind is EventKind.NEW_MAIL:
            return None
        if event.folder_id == self.folder_id:
            return _ROW_EVENTS[event.kind], event.message_id
        if event.kind is EventKind.MOVED and event.old_folder_id == self.folder_id:
            return TableEventType.TableRowDeleted, event.old_message_id
        return None

    def _row_event(self, change: RowChange, before: int | None, row: bytes) -> NotificationData:
        flags = NotificationType.TableModified | Availability.Message
        data = NotificationData(flags, change[0], table_row_folder_id=self.folder_id)
        data.table_row_message_id, data.table_row_instance = MessageId(change[1]), 0
        if before is not None:
            data.insert_after_table_row_folder_id = self.folder_id if before else FolderId(0)
            data.insert_after_table_row_id, data.insert_after_table_row_instance = MessageId(before), 0
            data.table_row_data = row
        return data
