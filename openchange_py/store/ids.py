"""Identifiers: [MS-OXCDATA] 2.2.1 and [MS-OXCFXICS] 2.2.2.1. Objects and changes draw from one GlobalCounter."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from array import array
from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, update

from openchange_py.store.base import NoSuchObject, StoreError
from openchange_py.store.schema import mailboxes
from openchange_py.wire.oxcdata.ids import PRIVATE_REPLICA_ID, MessageId

_LIMIT = 1 << 48

#: Low bits of a row's number that chance fills, so that two processes do not take the same one.
_CHANCE_BITS = 11
_row_lock = threading.Lock()
_newest_row = [0]

_ALLOCATE = (
    update(mailboxes)
    .where(mailboxes.c.id == bindparam("mailbox"))
    .values(next_counter=mailboxes.c.next_counter + bindparam("count"))
    .returning(mailboxes.c.next_counter)
)


def allocate(connection: Connection, mailbox_id: int, count: int) -> int:
    """The first of `count` numbers that nobody had before, within the caller's transaction.

    The update locks the mailbox, so that writers of one mailbox commit in the order of their numbers.
    """
    following = connection.execute(_ALLOCATE, {"mailbox": mailbox_id, "count": count}).scalar_one_or_none()
    if following is None:
        raise NoSuchObject("the mailbox was deleted")
    if following > _LIMIT:
        raise StoreError("the mailbox has used up its 2^48 identifiers")
    return int(following) - count


def object_id(counter: int) -> int:
    """The FolderId or MessageId of a private mailbox's object."""
    # `make_id` of the private replica in one step: a page of a table makes hundreds.
    return int.from_bytes(counter.to_bytes(8, "big"), "little") | PRIVATE_REPLICA_ID


def message_ids(counters: Iterable[int]) -> list[MessageId]:
    """MessageIds of many counters: a GlobalCounter is big-endian, the id around it little-endian."""
    swapped = array("Q", counters)
    swapped.byteswap()
    return [MessageId(value | PRIVATE_REPLICA_ID) for value in swapped]


def counter_of(identifier: int) -> int | None:
    """The counter of a private mailbox's FolderId or MessageId; None for an id of elsewhere."""
    if identifier & 0xFFFF != PRIVATE_REPLICA_ID or not 0 <= identifier < 1 << 64:
        return None
    return int.from_bytes(identifier.to_bytes(8, "little"), "big") & _LIMIT - 1


def global_id(replica_guid: uuid.UUID, counter: int) -> bytes:
    """GID, and an XID of that size: replica GUID and counter, 22 bytes ([MS-OXCFXICS] 2.2.2.1, 2.2.2.2)."""
    return replica_guid.bytes_le + counter.to_bytes(6, "big")


def fresh_row() -> int:
    """The number of a new row: above the earlier ones, and never one that a deleted row had.

    Who holds a deleted message open must not find another one, perhaps of another mailbox, under its number;
    SQLite by itself gives the highest number out again.
    """
    with _row_lock:
        made = time.time_ns() // 1000 << _CHANCE_BITS | secrets.randbits(_CHANCE_BITS)
        _newest_row[0] = max(made, _newest_row[0] + 1)
        return _newest_row[0]
