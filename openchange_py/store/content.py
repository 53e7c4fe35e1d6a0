"""Large values: kept as chunks outside their message's row, written and read in pieces.

The bytes are the value's wire form, without a terminating zero: a String as UTF-16LE.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, insert, select

from openchange_py.store import schema
from openchange_py.store.base import Content, NoSuchObject, StoreError
from openchange_py.store.database import Database
from openchange_py.store.ids import fresh_row

#: Values above this many bytes stand outside the row.
INLINE_LIMIT = 8192
#: Bytes per chunk.
CHUNK_SIZE = 65536
#: Chunks that are handed to the database at once.
_BATCH = 16

_INSERT_CONTENT = insert(schema.contents)
_INSERT_CHUNKS = insert(schema.content_chunks)
_SELECT_CHUNKS = (
    select(schema.content_chunks.c.number, schema.content_chunks.c.data)
    .where(
        schema.content_chunks.c.content_id == bindparam("content_id"),
        schema.content_chunks.c.number.between(bindparam("first"), bindparam("last")),
    )
    .order_by(schema.content_chunks.c.number)
)


@dataclasses.dataclass(frozen=True, slots=True)
class ContentReference:
    """What a row keeps of a large value: where it is, and its bytes."""

    id: int
    size: int


class StoredContent(Content):
    """A large value of a saved message, read in pieces."""

    __slots__ = ("_database", "_reference")

    def __init__(self, database: Database, reference: ContentReference) -> None:
        self._database = database
        self._reference = reference

    @property
    def size(self) -> int:
        """Bytes."""
        return self._reference.size

    @property
    def reference(self) -> ContentReference:
        """What rows keep of it."""
        return self._reference

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer only at the end."""
        if offset < 0 or count < 0:
            raise ValueError(f"offset {offset}, count {count}")
        end = min(offset + count, self.size)
        if offset >= end:
            return b""
        first, last = offset // CHUNK_SIZE, (end - 1) // CHUNK_SIZE
        scope = {"content_id": self._reference.id, "first": first, "last": last}
        with self._database.reading() as connection:
            chunks = [data for _, data in connection.execute(_SELECT_CHUNKS, scope)]
        if not chunks:
            raise NoSuchObject("the value was changed or deleted meanwhile")
        data = b"".join(chunks)[offset - first * CHUNK_SIZE : end - first * CHUNK_SIZE]
        if len(data) != end - offset:
            raise StoreError(f"large value {self._reference.id} is damaged")
        return data

    def __repr__(self) -> str:
        return f"<StoredContent {self._reference.id}, {self.size} bytes>"


def write_content(connection: Connection, message_id: int, value: bytes | Content) -> ContentReference:
    """Keeps a large value with that message, a few chunks in memory at a time."""
    size = content_size(value)
    content_id = fresh_row()
    connection.execute(_INSERT_CONTENT, {"id": content_id, "message_id": message_id, "size": size})
    batch: list[dict[str, object]] = []
    for number, data in enumerate(_chunks(value, size)):
        batch.append({"content_id": content_id, "number": number, "data": data})
        if len(batch) == _BATCH:
            connection.execute(_INSERT_CHUNKS, batch)
            batch = []
    if batch:
        connection.execute(_INSERT_CHUNKS, batch)
    return ContentReference(content_id, size)


def content_size(value: bytes | Content) -> int:
    """Bytes of a large value."""
    return len(value) if isinstance(value, bytes) else value.size


def _chunks(value: bytes | Content, size: int) -> Iterator[bytes]:
    for offset in range(0, size, CHUNK_SIZE):
        count = min(CHUNK_SIZE, size - offset)
        data = value[offset : offset + count] if isinstance(value, bytes) else value.read(offset, count)
        if len(data) != count:
            raise StoreError(f"a large value of {size} bytes gave {len(data)} of {count} at {offset}")
        yield data
