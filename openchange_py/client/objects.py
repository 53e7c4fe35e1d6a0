"""Server objects that a client holds by handle, their properties, streams and tables.

[MS-OXCPRPT] (properties, streams) and [MS-OXCTABL] (tables).
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Self

from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.errors import ClientError, IncompleteStream
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType
from openchange_py.wire.oxcdata.rows import PropertyError
from openchange_py.wire.oxcdata.sorting import SortOrder
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest, RopGetPropertiesSpecificResponse
from openchange_py.wire.rop.oxcprpt_streams import (
    BYTE_COUNT_IN_MAXIMUM,
    OpenModeFlags,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
)
from openchange_py.wire.rop.oxctabl import (
    Bookmark,
    QueryRowsFlags,
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSeekRowRequest,
    RopSetColumnsRequest,
    RopSortTableRequest,
)

#: Bytes of a stream that one call asks for: what a chain of payloads can bring in 256 KiB.
_CHUNK: Final = 0x38000
#: Rows that one RopQueryRows asks for; the server gives as many as fit.
_ROWS: Final = 500
#: More than any table has; a server that never ends one is stopped here.
_MAXIMUM_ROWS: Final = 5_000_000
#: A value that is taken whole, such as a body, has at most this many bytes.
MAXIMUM_VALUE: Final = 64 << 20

_STREAMED: Final = frozenset({PropertyType.String, PropertyType.String8, PropertyType.Binary})


class RemoteObject:
    """A server object of a session. As an async context manager it is released at the end."""

    def __init__(self, session: EmsmdbClient, handle: int, logon_id: int = 0) -> None:
        self.session = session
        self.handle = handle
        self.logon_id = logon_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.release()

    def release(self) -> None:
        """Close it; it is of no use afterwards."""
        handle, self.handle = self.handle, NO_HANDLE
        self.session.release(handle, self.logon_id)

    async def properties(self, tags: Sequence[PropertyTag]) -> PropertyMap:
        """Those of the properties that it has. A text or binary that is too large for a row is read as a stream.

        Raises `ClientError` for one of more than `MAXIMUM_VALUE` bytes.
        """
        values, large = await self._row(tags)
        for tag in large:
            values[tag] = await self.value(tag)
        return values

    async def _row(self, tags: Sequence[PropertyTag]) -> tuple[PropertyMap, list[PropertyTag]]:
        """What RopGetPropertiesSpecific gives, and the tags of what is too large for it."""
        request = RopGetPropertiesSpecificRequest(self.logon_id, 0, 0, 1, list(tags))
        try:
            done = await self.session.execute([request], [self.handle])
        except MapiError as error:
            if error.code != ErrorCode.BufferTooSmall:
                raise
            return await self._halves(tags)
        response = done.first(RopGetPropertiesSpecificResponse)
        return response.properties, [
            tag for tag, cell in zip(tags, response.row_data.values, strict=True) if _large(tag, cell)
        ]

    async def _halves(self, tags: Sequence[PropertyTag]) -> tuple[PropertyMap, list[PropertyTag]]:
        """The same in two buffers, where one was too small for all of it."""
        if len(tags) == 1:
            return {}, list(tags)
        middle = len(tags) // 2
        values, large = await self._row(tags[:middle])
        more, more_large = await self._row(tags[middle:])
        return values | more, large + more_large

    async def value(self, tag: PropertyTag, limit: int = MAXIMUM_VALUE) -> Any:
        """A text or binary property, read whole as a stream: RopOpenStream. Raises `MapiError` (NotFound)."""
        async with await self.open_stream(tag) as stream:
            if stream.size > limit:
                raise ClientError(f"{tag.name} of {stream.size} bytes is larger than {limit}")
            data = b"".join([chunk async for chunk in stream.chunks()])
        if tag.type == PropertyType.String:
            return data[: len(data) & ~1].decode("utf-16-le", "replace").rstrip("\0")
        return data.rstrip(b"\0") if tag.type == PropertyType.String8 else data

    async def open_stream(self, tag: PropertyTag) -> RemoteStream:
        """A property as a stream to read: RopOpenStream."""
        request = RopOpenStreamRequest(self.logon_id, 0, 1, tag, OpenModeFlags.ReadOnly)
        done = await self.session.execute([request], [self.handle, NO_HANDLE])
        size = done.first(RopOpenStreamResponse).stream_size
        return RemoteStream(self.session, done.handles[1], self.logon_id, size=size)


def _large(tag: PropertyTag, cell: Any) -> bool:
    return isinstance(cell, PropertyError) and cell.code == ErrorCode.OutOfMemory and tag.type in _STREAMED


class RemoteStream(RemoteObject):
    """An open stream. `size` is bytes."""

    def __init__(self, session: EmsmdbClient, handle: int, logon_id: int = 0, *, size: int) -> None:
        super().__init__(session, handle, logon_id)
        self.size = size

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes from the beginning to `size`. Raises `IncompleteStream` where the server ends before."""
        left = self.size
        while left > 0:
            request = RopReadStreamRequest(self.logon_id, 0, BYTE_COUNT_IN_MAXIMUM, min(left, _CHUNK))
            done = await self.session.execute([request], [self.handle])
            data = b"".join(read.data for read in done.responses if isinstance(read, RopReadStreamResponse))
            if not data:
                raise IncompleteStream(f"the value ended {left} bytes before its {self.size} bytes had come")
            yield data[:left]
            left -= len(data)


@dataclasses.dataclass(slots=True)
class TableView:
    """How a table is read: its columns, its order (the server's own where empty), and which rows."""

    columns: Sequence[PropertyTag]
    sort: Sequence[SortOrder] = ()
    start: int = 0
    limit: int | None = None


class RemoteTable(RemoteObject):
    """An open table."""

    async def rows(self, view: TableView) -> AsyncIterator[PropertyMap]:
        """The wanted rows in order, as many at a time as fit the server's answers."""
        left = view.limit if view.limit is not None else _MAXIMUM_ROWS
        prepare = self._prepared(view)
        while left > 0:
            count = min(left, _ROWS)
            query = RopQueryRowsRequest(self.logon_id, 0, QueryRowsFlags.Advance, 1, count)
            done = await self.session.execute([*prepare, query], [self.handle])
            prepare = []
            answers = [answer for answer in done.responses if isinstance(answer, RopQueryRowsResponse)]
            rows = [row for answer in answers for row in answer.rows][:left]
            for row in rows:
                yield row.to_map(view.columns)
            left -= len(rows)
            if not rows or answers[-1].origin == Bookmark.End:
                return

    def _prepared(self, view: TableView) -> list[RopRequest]:
        """What goes in front of the first RopQueryRows."""
        rops: list[RopRequest] = [RopSetColumnsRequest(self.logon_id, 0, 0, list(view.columns))]
        if view.sort:
            rops.append(RopSortTableRequest(self.logon_id, 0, 0, 0, 0, list(view.sort)))
        if view.start:
            rops.append(RopSeekRowRequest(self.logon_id, 0, Bookmark.Beginning, view.start, 0))
        return rops
