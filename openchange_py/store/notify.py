"""What happens in mailboxes, told to those who follow it, in whatever process it happens: [MS-OXCNOTIF] 1.3.

Every transaction that changes something leaves a row in `events`, with the mailbox's newest number, so that the rows
are in the order of the commits. A process that changes something reads the row again at once, for its own listeners;
other processes are noticed by the mailbox's counter, which one thread looks at for all mailboxes that are waited for.
The log is short: who is too far behind is told that he does not know.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from openchange_py.store import schema
from openchange_py.store.base import EventKind, Listener, NoSuchObject, StoreError, StoreEvent, Watch

if TYPE_CHECKING:
    from openchange_py.store.database import Database

_log: Final = logging.getLogger(__name__)

#: Numbers of a mailbox that its log goes back, at most. Saving a message takes two.
KEPT_NUMBERS: Final = 4096
#: Events of one transaction that are written down; of more it is only kept that they were.
MOST_EVENTS: Final = 4096
#: Seconds between two looks for what other processes changed.
CHECK_INTERVAL: Final = 0.3

#: Values of one IN list; databases limit them.
_BATCH: Final = 500

_E = schema.events.c
_M = schema.mailboxes.c
_INSERT = insert(schema.events)
_PRUNE = delete(schema.events).where(_E.mailbox_id == bindparam("mailbox"), _E.number <= bindparam("oldest"))
_SELECT = (
    select(_E.number, _E.events)
    .where(_E.mailbox_id == bindparam("mailbox"), _E.number > bindparam("seen"))
    .order_by(_E.number)
)
_SELECT_COUNTER = select(_M.id, _M.next_counter).where(_M.guid == bindparam("guid"))
_SELECT_COUNTERS = select(_M.id, _M.next_counter).where(_M.id.in_(bindparam("mailboxes", expanding=True)))

_FIELDS: Final = tuple(field.name for field in dataclasses.fields(StoreEvent))
_TAGS: Final = _FIELDS.index("tags")


def record(connection: Connection, mailbox_id: int, number: int, events: Sequence[StoreEvent]) -> None:
    """Write down what the transaction makes happen; `number` is the last one that it allocated."""
    if not events:
        return
    known = [[getattr(event, name) for name in _FIELDS] for event in events] if len(events) <= MOST_EVENTS else None
    row = {"mailbox_id": mailbox_id, "number": number, "events": json.dumps(known, separators=(",", ":"))}
    connection.execute(_INSERT, row)
    connection.execute(_PRUNE, {"mailbox": mailbox_id, "oldest": number - KEPT_NUMBERS})


def _events(text: str) -> list[StoreEvent] | None:
    rows = json.loads(text)
    return None if rows is None else [_event(row) for row in rows]


def _event(row: list[Any]) -> StoreEvent:
    tags = row[_TAGS]
    row[_TAGS] = None if tags is None else tuple(tags)
    return StoreEvent(EventKind(row[0]), *row[1:])


class _Followed:
    """A mailbox that somebody follows. `guard` is held while listeners are told, so that they are in order."""

    __slots__ = ("checked", "counter", "guard", "mailbox_id", "seen", "waiting", "watches")

    def __init__(self, mailbox_id: int, counter: int) -> None:
        self.mailbox_id = mailbox_id
        #: The mailbox's counter when it was looked at last, and the last number that was told of.
        self.counter = counter
        self.seen = counter - 1
        self.checked = 0.0
        self.guard = threading.RLock()
        self.watches: tuple[_Watch, ...] = ()
        #: How many of them want to be told of other processes' changes without asking.
        self.waiting = 0


class _Watch(Watch):
    """One listener of one mailbox. It is told of nothing that was before it."""

    __slots__ = ("_feed", "_followed", "_wanted", "listener")

    def __init__(self, feed: ChangeFeed, followed: _Followed, listener: Listener) -> None:
        self._feed = feed
        self._followed = followed
        self._wanted = False
        self.listener = listener

    def check(self) -> None:
        self._feed.check(self._followed)

    def keep_checking(self, wanted: bool) -> None:
        if wanted is not self._wanted:
            self._wanted = wanted
            self._feed.count_waiting(self._followed, 1 if wanted else -1)

    def close(self) -> None:
        self.keep_checking(False)
        self._feed.remove(self._followed, self)


class ChangeFeed:
    """All that is followed in one database. Safe from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._followed: dict[int, _Followed] = {}
        self._looking: threading.Thread | None = None
        self._closed = threading.Event()

    def watch(self, guid: uuid.UUID, listener: Listener) -> Watch:
        """Be told of what happens in the mailbox from now on; `NoSuchObject`."""
        with self._database.reading() as connection:
            row = connection.execute(_SELECT_COUNTER, {"guid": guid}).one_or_none()
        if row is None:
            raise NoSuchObject(f"there is no mailbox {guid}")
        with self._guard:
            followed = self._followed.setdefault(row.id, _Followed(row.id, row.next_counter))
        watch = _Watch(self, followed, listener)
        with followed.guard:
            # What came since somebody else looked is told to him alone.
            self._tell_news(followed, row.next_counter)
            with self._guard:
                followed.watches = (*followed.watches, watch)
                self._followed[row.id] = followed
        return watch

    def remove(self, followed: _Followed, watch: _Watch) -> None:
        """It is closed."""
        with self._guard:
            followed.watches = tuple(one for one in followed.watches if one is not watch)
            if not followed.watches:
                self._followed.pop(followed.mailbox_id, None)

    def committed(self, mailbox_id: int) -> None:
        """This process changed something there."""
        followed = self._followed.get(mailbox_id)
        if followed is None:
            return
        try:
            self._read(followed)
        except StoreError as error:
            # What was committed stays: whoever checks next is told of it.
            _log.warning("events of mailbox %d are not told yet: %s", mailbox_id, error)

    def check(self, followed: _Followed) -> None:
        """Look what happened in one mailbox, unless somebody looked just now."""
        if time.monotonic() - followed.checked >= CHECK_INTERVAL:
            self._read(followed)

    def count_waiting(self, followed: _Followed, by: int) -> None:
        """One more, or one less, waits for what other processes change."""
        with self._guard:
            followed.waiting += by
            if by > 0 and self._looking is None and not self._closed.is_set():
                self._looking = threading.Thread(target=self._look, name="store events", daemon=True)
                self._looking.start()

    def close(self) -> None:
        """Nobody is told of anything any more."""
        self._closed.set()
        looking = self._looking
        if looking is not None and looking is not threading.current_thread():
            looking.join()

    def _look(self) -> None:
        """The thread: as long as somebody waits."""
        while not self._closed.wait(CHECK_INTERVAL):
            with self._guard:
                waiting = [followed for followed in self._followed.values() if followed.waiting]
                if not waiting:
                    self._looking = None
                    return
            try:
                self._look_at(waiting)
            except StoreError as error:
                _log.warning("events of other processes are not known: %s", error)
            except Exception:
                _log.exception("looking for events of other processes failed")

    def _look_at(self, waiting: Sequence[_Followed]) -> None:
        by_id = {followed.mailbox_id: followed for followed in waiting}
        for mailbox_id, counter in self._counters(list(by_id)):
            if counter != by_id[mailbox_id].counter:
                self._read(by_id[mailbox_id], counter)

    def _counters(self, mailbox_ids: Sequence[int]) -> Iterable[tuple[int, int]]:
        for start in range(0, len(mailbox_ids), _BATCH):
            with self._database.reading() as connection:
                scope = {"mailboxes": mailbox_ids[start : start + _BATCH]}
                rows = connection.execute(_SELECT_COUNTERS, scope).all()
            yield from ((row.id, row.next_counter) for row in rows)

    def _read(self, followed: _Followed, counter: int | None = None) -> None:
        with followed.guard:
            self._tell_news(followed, counter)

    def _tell_news(self, followed: _Followed, counter: int | None) -> None:
        scope = {"mailbox": followed.mailbox_id, "seen": followed.seen}
        with self._database.reading() as connection:
            rows = connection.execute(_SELECT, scope).all()
        followed.checked = time.monotonic()
        if counter is not None:
            followed.counter = counter
        if not rows:
            return
        missed = rows[-1].number - followed.seen > KEPT_NUMBERS
        followed.seen = rows[-1].number
        for happened in [None] if missed else [_events(row.events) for row in rows]:
            for watch in followed.watches:
                try:
                    watch.listener(happened)
                except Exception:
                    _log.exception("a listener failed")
