"""Table objects: [MS-OXCTABL] 3.2. A table is a fixed list of rows' keys; the rows are read when they are asked for.

Not done yet: a table does not follow what changes in its folder. A row whose message is gone has only what its
id tells.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.folder import folder_properties
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import (
    MessageObject,
    WorkingAttachment,
    attachment_properties,
    message_identity,
)
from openchange_py.servers.emsmdb.rows import RowMaker
from openchange_py.store.base import Folder, SortKey
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag
from openchange_py.wire.rop.oxctabl import Bookmark

#: TBL_LEAF_ROW, [MS-OXCTABL] 2.2.1.3 (PidTagRowType).
_LEAF_ROW = 1


class TableObject(ServerObject):
    """Columns, rows and a position between 0 and the number of rows."""

    __slots__ = ("position", "row_maker")

    def __init__(self, logon: Logon) -> None:
        super().__init__(logon)
        self.row_maker: RowMaker | None = None
        self.position = 0

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        """The properties of rows `start` to `stop`, at least those of `tags` that they have."""
        raise NotImplementedError

    def sort(self, keys: Sequence[SortKey]) -> None:
        """Sort anew; the position goes to the beginning ([MS-OXCTABL] 3.2.5.3)."""
        raise MapiError(ErrorCode.NotSupported, f"a {type(self).__name__} can't be sorted")

    def set_columns(self, columns: Sequence[PropertyTag] | None) -> None:
        """What the rows have from now on; None: they have no columns."""
        self.row_maker = None if columns is None else RowMaker(columns, self.codec)

    def needed_rows(self) -> RowMaker:
        """What makes the rows; `NullObject` before RopSetColumns ([MS-OXCTABL] 3.2.5.2)."""
        if self.row_maker is None:
            raise MapiError(ErrorCode.NullObject, "the table has no columns yet")
        return self.row_maker

    def seek(self, origin: int, offset: int) -> int:
        """Move by `offset` rows from `origin`, stopping at the ends; gives the rows that were really moved."""
        places = {Bookmark.Beginning: 0, Bookmark.Current: self.position, Bookmark.End: self.row_count}
        base = places.get(origin)  # type: ignore[call-overload]  # an int serves as the key
        if base is None:
            raise MapiError(ErrorCode.InvalidParameter, f"no such origin: {origin}")
        self.position = min(max(base + offset, 0), self.row_count)
        return int(self.position - base)


class HierarchyTable(TableObject):
    """A folder's subfolders: [MS-OXCFOLD] 2.2.1.13."""

    __slots__ = ("_depths", "_folders")

    def __init__(self, logon: Logon, folder_id: FolderId, folders: list[Folder]) -> None:
        super().__init__(logon)
        self._folders = folders
        self._depths = {folder_id: 0}
        for folder in folders:
            self._depths[folder.id] = self._depths.get(folder.parent_id, 0) + 1

    @property
    def row_count(self) -> int:
        return len(self._folders)

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        mailbox = self.mailbox_logon.mailbox
        return [
            {**folder_properties(mailbox, folder, tags), p.PidTagDepth: self._depths[folder.id]}
            for folder in self._folders[start:stop]
        ]


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


class ContentsTable(TableObject):
    """A folder's messages, or its associated ones: [MS-OXCFOLD] 2.2.1.14. Of soft-deleted ones there are none here.

    The list of ids is read when the first row is asked for: clients sort before that, and it may be long.
    """

    __slots__ = ("_associated", "_folder_id", "_keys", "_known_ids", "_soft_deleted")

    def __init__(self, logon: Logon, folder_id: FolderId, *, associated: bool, soft_deleted: bool = False) -> None:
        super().__init__(logon)
        self._folder_id = folder_id
        self._associated = associated
        self._soft_deleted = soft_deleted
        self._keys: Sequence[SortKey] = ()
        #: As 64-bit numbers: a list would take five times the memory for as long as the table is open.
        self._known_ids: array[int] | None = array("Q") if soft_deleted else None

    @property
    def _ids(self) -> array[int]:
        if self._known_ids is None:
            mailbox = self.mailbox_logon.mailbox
            ids = mailbox.message_ids(self._folder_id, associated=self._associated, sort=self._keys)
            self._known_ids = array("Q", ids)
        return self._known_ids

    @property
    def row_count(self) -> int:
        return len(self._ids)

    def announced_rows(self) -> int:
        """RowCount of RopGetContentsTable, as the folder itself counts its messages."""
        if self._soft_deleted:
            return 0
        counts = self.mailbox_logon.mailbox.folder(self._folder_id).properties
        count: int = counts[p.PidTagAssociatedContentCount if self._associated else p.PidTagContentCount]
        return count

    def sort(self, keys: Sequence[SortKey]) -> None:
        if not self._soft_deleted:
            self._keys, self._known_ids = tuple(keys), None
        self.position = 0

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        mailbox, ids = self.mailbox_logon.mailbox, [MessageId(key) for key in self._ids[start:stop]]
        rows = mailbox.message_rows(ids, tags)
        for message_id, row in zip(ids, rows, strict=True):
            if not row:
                row.update(message_identity(mailbox, self._folder_id, message_id))
        if not _MADE_HERE.isdisjoint(tags):
            for message_id, row in zip(ids, rows, strict=True):
                row.update(message_identity(mailbox, self._folder_id, message_id))
                row[p.PidTagInstanceKey] = int(message_id).to_bytes(8, "little")
                row[p.PidTagRowType] = _LEAF_ROW
                row[p.PidTagDepth] = 0
        return rows


class AttachmentTable(TableObject):
    """A message's attachments: [MS-OXCMSG] 2.2.3.17."""

    __slots__ = ("_attachments", "_code_page")

    def __init__(self, parent: MessageObject) -> None:
        super().__init__(parent.mailbox_logon)
        self._code_page = parent.code_page
        self._attachments: Sequence[WorkingAttachment] = list(parent.attachments().values())

    @property
    def code_page(self) -> int:
        return self._code_page

    @property
    def row_count(self) -> int:
        return len(self._attachments)

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        return [attachment_properties(one.number, one.properties) for one in self._attachments[start:stop]]
