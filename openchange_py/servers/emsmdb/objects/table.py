"""Table objects: [MS-OXCTABL] 3.2. Those of folders are in `folder_tables`."""

from __future__ import annotations

from collections.abc import Sequence

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import (
    MessageObject,
    WorkingAttachment,
    attachment_properties,
)
from openchange_py.servers.emsmdb.rows import RowMaker
from openchange_py.store.base import SortKey
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag
from openchange_py.wire.rop.oxctabl import Bookmark


class TableObject(ServerObject):
    """Columns, rows and a position between 0 and the number of rows."""

    __slots__ = ("position", "row_maker")

    def __init__(self, logon: Logon) -> None:
        super().__init__(logon)
        self.row_maker: RowMaker | None = None
        self.position = 0

    def use(self) -> None:
        """A ROP looks at the rows: from here on they are what there is now."""

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
