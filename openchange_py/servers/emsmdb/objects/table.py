"""Table objects: [MS-OXCTABL] 3.2. A table is a fixed list of rows' keys; the rows are read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.folder import folder_properties
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import attachment_properties, message_identity
from openchange_py.store.base import Attachment, Folder, Message, SortKey
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag

#: RopSeekRow's Origin (BOOKMARK_BEGINNING, _CURRENT, _END): [MS-OXCTABL] 2.2.2.1.1.
BEGINNING, CURRENT, END = range(3)

#: TBL_LEAF_ROW, [MS-OXCTABL] 2.2.1.3 (PidTagRowType).
_LEAF_ROW = 1


class TableObject(ServerObject):
    """Columns, rows and a position between 0 and the number of rows."""

    __slots__ = ("columns", "position")

    def __init__(self, logon: Logon) -> None:
        super().__init__(logon)
        self.columns: tuple[PropertyTag, ...] | None = None
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

    def needed_columns(self) -> tuple[PropertyTag, ...]:
        """The columns; `NullObject` before RopSetColumns ([MS-OXCTABL] 3.2.5.5)."""
        if self.columns is None:
            raise MapiError(ErrorCode.NullObject, "the table has no columns yet")
        return self.columns

    def seek(self, origin: int, offset: int) -> int:
        """Move by `offset` rows from `origin`, stopping at the ends; gives the rows that were really moved."""
        base = {BEGINNING: 0, CURRENT: self.position, END: self.row_count}.get(origin)
        if base is None:
            raise MapiError(ErrorCode.InvalidParameter, f"no such origin: {origin}")
        self.position = min(max(base + offset, 0), self.row_count)
        return self.position - base


class HierarchyTable(TableObject):
    """A folder's subfolders: [MS-OXCFOLD] 2.2.1.13."""

    __slots__ = ("_base_depth", "_folders")

    def __init__(self, logon: Logon, folder_id: FolderId, *, deep: bool) -> None:
        super().__init__(logon)
        self._folders: list[Folder] = logon.mailbox.subfolders(folder_id, deep=deep)
        self._base_depth = {folder_id: 0}
        for folder in self._folders:
            self._base_depth[folder.id] = self._base_depth.get(folder.parent_id, 0) + 1

    @property
    def row_count(self) -> int:
        return len(self._folders)

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        mailbox = self.mailbox_logon.mailbox
        return [
            {**folder_properties(mailbox, folder), p.PidTagDepth: self._base_depth[folder.id]}
            for folder in self._folders[start:stop]
        ]


#: Columns of a contents table that are made from the ids: only computed where one of them is asked for.
_IDENTITY = frozenset(
    {
        p.PidTagEntryId,
        p.PidTagRecordKey,
        p.PidTagParentEntryId,
        p.PidTagMappingSignature,
        p.PidTagStoreRecordKey,
    }
)


class ContentsTable(TableObject):
    """A folder's messages, or its associated ones: [MS-OXCFOLD] 2.2.1.14."""

    __slots__ = ("_associated", "_folder_id", "_ids")

    def __init__(self, logon: Logon, folder_id: FolderId, *, associated: bool) -> None:
        super().__init__(logon)
        self._folder_id = folder_id
        self._associated = associated
        self._ids: list[MessageId] = logon.mailbox.message_ids(folder_id, associated=associated)

    @property
    def row_count(self) -> int:
        return len(self._ids)

    def sort(self, keys: Sequence[SortKey]) -> None:
        mailbox = self.mailbox_logon.mailbox
        self._ids = mailbox.message_ids(self._folder_id, associated=self._associated, sort=keys)
        self.position = 0

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        mailbox, ids = self.mailbox_logon.mailbox, self._ids[start:stop]
        stored = mailbox.message_rows(ids, tags)
        identified = not _IDENTITY.isdisjoint(tags)
        for message_id, row in zip(ids, stored, strict=True):
            if identified:
                row.update(message_identity(mailbox, self._folder_id, message_id))
            row[p.PidTagMid] = row[p.PidTagInstID] = int(message_id)
            row[p.PidTagFolderId] = int(self._folder_id)
            row[p.PidTagInstanceNum] = 0
            row[p.PidTagInstanceKey] = int(message_id).to_bytes(8, "little")
            row[p.PidTagRowType] = _LEAF_ROW
            row[p.PidTagDepth] = 0
        return stored


class AttachmentTable(TableObject):
    """A message's attachments: [MS-OXCMSG] 2.2.3.17."""

    __slots__ = ("_attachments",)

    def __init__(self, logon: Logon, message: Message) -> None:
        super().__init__(logon)
        self._attachments: Sequence[Attachment] = message.attachments()

    @property
    def row_count(self) -> int:
        return len(self._attachments)

    def rows(self, start: int, stop: int, tags: Sequence[PropertyTag]) -> list[PropertyMap]:
        return [attachment_properties(attachment) for attachment in self._attachments[start:stop]]
