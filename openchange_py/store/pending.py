"""Large values that are being written: in memory while they are small, then chunk by chunk in the database.

There they belong to a holder, a row of `messages` that is in no folder, until they are saved with a message: then only
the row that says whose they are changes. After a crash, or a lost session, a holder that nobody writes to for a day is
abandoned; the next one that is made in the same mailbox takes it away, and its chunks with it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, insert, update

from openchange_py.store import schema
from openchange_py.store.base import Content, NoSuchObject, StoreError, WritableContent
from openchange_py.store.changes import now
from openchange_py.store.content import CHUNK_SIZE, ContentReference, StoredContent
from openchange_py.store.ids import fresh_row

if TYPE_CHECKING:
    from openchange_py.store.messages import Place

#: Chunks that are kept in memory before they are written.
MEMORY_CHUNKS = 16
#: How long nobody writes to an abandoned value, in 100 ns.
ABANDONED = 24 * 3600 * 10**7

_C = schema.messages.c
_HOLDER = (_C.mid.is_(None), _C.parent_id.is_(None), _C.folder_id.is_(None))
_THIS_HOLDER = (_C.id == bindparam("holder"), _C.change_key == bindparam("token"), *_HOLDER)
_INSERT_HOLDER = insert(schema.messages)
_TOUCH = update(schema.messages).where(*_THIS_HOLDER).values(last_modification_time=bindparam("time"))
_DELETE_HOLDER = delete(schema.messages).where(*_THIS_HOLDER)
_DELETE_ABANDONED = delete(schema.messages).where(
    _C.mailbox_id == bindparam("mailbox"), *_HOLDER, _C.last_modification_time < bindparam("before")
)
_INSERT_CONTENT = insert(schema.contents)
_ADOPT = (
    update(schema.contents)
    .where(schema.contents.c.id == bindparam("content"), schema.contents.c.message_id == bindparam("holder"))
    .values(message_id=bindparam("owner"), size=bindparam("bytes"))
)
_INSERT_CHUNKS = insert(schema.content_chunks)
_DELETE_CHUNKS = delete(schema.content_chunks).where(
    schema.content_chunks.c.content_id == bindparam("content"),
    schema.content_chunks.c.number.in_(bindparam("numbers", expanding=True)),
)
_DELETE_BEHIND = delete(schema.content_chunks).where(
    schema.content_chunks.c.content_id == bindparam("content"), schema.content_chunks.c.number > bindparam("last")
)


class PendingContent(WritableContent):
    """One value that is being written. For one session, so for one thread at a time."""

    def __init__(self, place: Place, base: Content | None = None) -> None:
        self.frozen = False
        self._place = place
        self._size = 0 if base is None else base.size
        self._base = base
        #: How much of the base is still the value's beginning, where it was not written over.
        self._base_end = self._size
        #: Chunks in memory; and the lengths of those in the database, where they are not in memory as well.
        self._chunks: dict[int, bytearray] = {}
        self._written: dict[int, int] = {}
        self._content_id: int | None = None
        self._complete = False
        #: A message has it, or would: where its transaction failed, it is abandoned later.
        self._given = False
        self._holder = 0
        self._token = b""

    def __repr__(self) -> str:
        return f"<PendingContent, {self._size} bytes>"

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    @property
    def held(self) -> int:
        """Bytes of memory that it takes now."""
        return sum(map(len, self._chunks.values()))

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer only at the end."""
        end = min(offset + count, self._size)
        parts = []
        while offset < end:
            number, start = divmod(offset, CHUNK_SIZE)
            stop = min(CHUNK_SIZE, start + end - offset)
            part = bytes(self._chunk(number)[start:stop])
            parts.append(part.ljust(stop - start, b"\0"))
            offset += stop - start
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes at an offset; a gap before them is zeros. `StoreError` where it was abandoned."""
        self._check_open()
        place = 0
        while place < len(data):
            number, start = divmod(offset + place, CHUNK_SIZE)
            count = min(CHUNK_SIZE - start, len(data) - place)
            chunk = self._in_memory(number, whole=count == CHUNK_SIZE)
            if len(chunk) < start:
                chunk.extend(bytes(start - len(chunk)))
            chunk[start : start + count] = data[place : place + count]
            place += count
        self._size = max(self._size, offset + len(data))
        if len(self._chunks) > MEMORY_CHUNKS:
            self._flush()

    def resize(self, size: int) -> None:
        """Cut it off, or extend it with zeros."""
        self._check_open()
        if size < self._size:
            number, rest = divmod(size, CHUNK_SIZE)
            if rest:
                del self._in_memory(number)[rest:]
            first_gone = number + bool(rest)
            self._chunks = {n: chunk for n, chunk in self._chunks.items() if n < first_gone}
            self._written = {n: length for n, length in self._written.items() if n < first_gone}
            self._base_end = min(self._base_end, size)
        self._size = size

    def discard(self) -> None:
        """Forget it; once it is saved this does nothing."""
        if self._content_id is not None and not self._given:
            with self._place.database.writing() as connection:
                connection.execute(_DELETE_HOLDER, {"holder": self._holder, "token": self._token})

    def complete(self) -> None:
        """Before it is saved: freeze it and, where its chunks are in the database, write all that is missing there."""
        self.frozen = True
        if self._content_id is None or self._complete:
            return
        count = -(-self._size // CHUNK_SIZE)
        for number in range(count):
            length = min(CHUNK_SIZE, self._size - number * CHUNK_SIZE)
            if number in self._chunks or self._written.get(number) != length:
                chunk = self._in_memory(number)
                chunk.extend(bytes(length - len(chunk)))
            if len(self._chunks) > MEMORY_CHUNKS:
                self._flush()
        self._flush(behind=count - 1)
        self._complete = True

    @property
    def reference(self) -> ContentReference | None:
        """Where it is in the database, if it is there."""
        return None if self._content_id is None else ContentReference(self._content_id, self._size)

    def adopt(self, connection: Connection, message: int) -> ContentReference | None:
        """Give its chunks to a message, within the transaction that saves that; None where it has none to give."""
        if self._content_id is None:
            return None
        scope = {"content": self._content_id, "holder": self._holder, "owner": message, "bytes": self._size}
        if connection.execute(_ADOPT, scope).rowcount != 1:
            return None
        connection.execute(_DELETE_HOLDER, {"holder": self._holder, "token": self._token})
        self._given = True
        return ContentReference(self._content_id, self._size)

    def _check_open(self) -> None:
        if self.frozen:
            raise StoreError("the value is saved, or about to be")

    def _chunk(self, number: int) -> bytes | bytearray:
        """The bytes of a chunk, without zeros that would follow."""
        if number in self._chunks:
            return self._chunks[number]
        start = number * CHUNK_SIZE
        if number in self._written and self._content_id is not None:
            known = ContentReference(self._content_id, start + self._written[number])
            return StoredContent(self._place.database, known).read(start, CHUNK_SIZE)
        if self._base is not None and start < self._base_end:
            return self._base.read(start, min(CHUNK_SIZE, self._base_end - start))
        return b""

    def _in_memory(self, number: int, *, whole: bool = False) -> bytearray:
        """A chunk that may be changed; `whole`: it will be written over from end to end."""
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = bytearray() if whole else bytearray(self._chunk(number))
        return chunk

    def _flush(self, behind: int | None = None) -> None:
        """Write the chunks in memory to the database; `behind`: what stands behind that chunk goes away."""
        with self._place.database.writing() as connection:
            content_id = self._content_id or self._begin(connection)
            if self._content_id is not None:
                scope = {"holder": self._holder, "token": self._token, "time": now()}
                if connection.execute(_TOUCH, scope).rowcount != 1:
                    raise NoSuchObject("nobody wrote to the value for so long that it was given up")
                self._delete_chunks(connection, self._chunks)
            rows = [{"content_id": content_id, "number": n, "data": bytes(c)} for n, c in self._chunks.items()]
            if rows:
                connection.execute(_INSERT_CHUNKS, rows)
            if behind is not None:
                connection.execute(_DELETE_BEHIND, {"content": content_id, "last": behind})
        self._content_id = content_id
        self._written.update((number, len(chunk)) for number, chunk in self._chunks.items())
        self._chunks = {}

    def _delete_chunks(self, connection: Connection, numbers: Iterable[int]) -> None:
        connection.execute(_DELETE_CHUNKS, {"content": self._content_id, "numbers": list(numbers)})

    def _begin(self, connection: Connection) -> int:
        """Make the holder and the content; take away what was abandoned in this mailbox."""
        mailbox, time = self._place.mailbox_id, now()
        connection.execute(_DELETE_ABANDONED, {"mailbox": mailbox, "before": time - ABANDONED})
        self._holder, self._token = fresh_row(), secrets.token_bytes(16)
        connection.execute(_INSERT_HOLDER, _holder_row(self._holder, mailbox, self._token, time))
        content_id = fresh_row()
        connection.execute(_INSERT_CONTENT, {"id": content_id, "message_id": self._holder, "size": 0})
        return content_id


def _holder_row(row: int, mailbox: int, token: bytes, time: int) -> dict[str, Any]:
    """What a row of `messages` must have; the token tells this holder from every other one."""
    return {
        "id": row,
        "mailbox_id": mailbox,
        "associated": False,
        "is_read": False,
        "change_number": 0,
        "change_key": token,
        "predecessor_change_list": b"",
        "creation_time": time,
        "last_modification_time": time,
        "message_class": "",
        "importance": 0,
        "sensitivity": 0,
        "flags": 0,
        "status": 0,
        "size": 0,
        "has_attachments": False,
        "sort_subject": "",
        "sort_sender": "",
        "sort_sent_representing": "",
    }
