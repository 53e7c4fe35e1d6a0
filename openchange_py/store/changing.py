"""Changing, deleting and marking messages that are saved: [MS-OXCMSG] 3.2.5.3 and 3.2.5.10, [MS-OXCFOLD] 3.2.5.11.

Each call within the caller's transaction, which has allocated a number first: writers of one mailbox wait for each
other there, so that what is read here stays true until it is committed.

Not done yet: soft deletion. What is deleted is gone; that it was there is kept in `deletions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from openchange_py.store import folders, ids, schema
from openchange_py.store.base import EventKind, MessageDraft, NoSuchObject, ObjectChanged, StoreEvent
from openchange_py.store.changes import Change, now
from openchange_py.store.folders import Counted
from openchange_py.store.messages import Place
from openchange_py.store.writer import MessageWriter
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId, MessageId

#: `deletions.kind` of a message.
DELETED_MESSAGE = 1

#: What changes of a message that is read.
_READ_TAGS = (proptags.PidTagMessageFlags, proptags.PidTagRead)

#: Values of one IN list; databases limit them.
_BATCH = 500

_C = schema.messages.c
_COLUMNS = (_C.id, _C.mid, _C.folder_id, _C.associated, _C.is_read, _C.size)
_SELECT_ONE = select(*_COLUMNS, _C.change_number, _C.predecessor_change_list).where(
    _C.mailbox_id == bindparam("mailbox"), _C.mid == bindparam("mid")
)
_SELECT_ALL = select(*_COLUMNS).where(_C.mailbox_id == bindparam("mailbox"), _C.folder_id == bindparam("folder"))
_SELECT_THESE = _SELECT_ALL.where(_C.mid.in_(bindparam("mids", expanding=True)))
_DELETE = delete(schema.messages).where(_C.id.in_(bindparam("rows", expanding=True)))
_MARK = (
    update(schema.messages)
    .where(_C.id.in_(bindparam("rows", expanding=True)))
    .values(is_read=bindparam("read"), read_change_number=bindparam("change"))
)
_INSERT_DELETIONS = insert(schema.deletions)


def change_message(
    place: Place, connection: Connection, mid: int | None, draft: MessageDraft, change_number: int, seen: int | None
) -> list[StoreEvent]:
    """Save a message anew as that change; `ObjectChanged` where it has another change number than `seen`."""
    row = connection.execute(_SELECT_ONE, {"mailbox": place.mailbox_id, "mid": mid}).one_or_none()
    if row is None:
        raise NoSuchObject("the message was deleted")
    if seen is not None and ids.counter_of(seen) != row.change_number:
        raise ObjectChanged("the message was saved by somebody else meanwhile")
    change = Change.first(place.replica_guid, change_number).following(row.predecessor_change_list)
    saved = MessageWriter(place, connection, change).save_anew(draft, row.id, is_read=row.is_read)
    by = Counted(size=saved.size - row.size)
    counted = folders.count_messages(place, connection, row.folder_id, by, change.time)
    return [_event(EventKind.MODIFIED, row), counted]


def delete_messages(
    place: Place, connection: Connection, folder: int, message_ids: Sequence[MessageId], change_number: int
) -> list[StoreEvent]:
    """Delete those that are in the folder; the last event is the folder's, the others are theirs."""
    found = _rows(place, connection, folder, message_ids)
    time = now()
    deletions = [
        {
            "mailbox_id": place.mailbox_id,
            "kind": DELETED_MESSAGE,
            "object_id": row.mid,
            "folder_id": folder,
            "change_number": change_number,
            "deletion_time": time,
        }
        for row in found
    ]
    if deletions:
        connection.execute(_INSERT_DELETIONS, deletions)
    for start in range(0, len(found), _BATCH):
        connection.execute(_DELETE, {"rows": [row.id for row in found[start : start + _BATCH]]})
    plain = [row for row in found if not row.associated]
    by = Counted(
        messages=-len(plain),
        unread=-sum(not row.is_read for row in plain),
        associated=len(plain) - len(found),
        size=-sum(row.size for row in found),
        deleted=len(found),
    )
    counted = folders.count_messages(place, connection, folder, by, time)
    return [*(_event(EventKind.DELETED, row) for row in found), counted]


def set_read(
    place: Place,
    connection: Connection,
    folder: int,
    message_ids: Sequence[MessageId] | None,
    read: bool,
    change_number: int,
) -> tuple[list[MessageId], list[StoreEvent]]:
    """Mark messages of the folder, but associated ones; which of them there are, and what that makes happen.

    [MS-OXCFXICS] 3.2.5.6: that a message was read is a change of its own, its change number and key stay.
    """
    found = [row for row in _rows(place, connection, folder, message_ids) if not row.associated]
    changed = [row for row in found if row.is_read != read]
    for start in range(0, len(changed), _BATCH):
        rows = [row.id for row in changed[start : start + _BATCH]]
        connection.execute(_MARK, {"rows": rows, "read": read, "change": change_number})
    unread = -len(changed) if read else len(changed)
    counted = folders.count_messages(place, connection, folder, Counted(unread=unread), now())
    events = [_event(EventKind.MODIFIED, row, _READ_TAGS) for row in changed]
    return ids.message_ids(row.mid for row in found), [*events, counted] if changed else []


def _event(kind: EventKind, row: Any, tags: tuple[int, ...] | None = None) -> StoreEvent:
    """That something happened to the message of a row."""
    folder, message = FolderId(ids.object_id(row.folder_id)), MessageId(ids.object_id(row.mid))
    return StoreEvent(kind, folder, message, row.associated, tags=tags)


def _rows(place: Place, connection: Connection, folder: int, message_ids: Sequence[MessageId] | None) -> list[Any]:
    """The rows of those messages (None: all) that are in the folder, each once."""
    scope: dict[str, Any] = {"mailbox": place.mailbox_id, "folder": folder}
    if message_ids is None:
        return list(connection.execute(_SELECT_ALL, scope).all())
    mids = [counter for counter in dict.fromkeys(map(ids.counter_of, message_ids)) if counter is not None]
    found: list[Any] = []
    for start in range(0, len(mids), _BATCH):
        found += connection.execute(_SELECT_THESE, scope | {"mids": mids[start : start + _BATCH]}).all()
    return found
