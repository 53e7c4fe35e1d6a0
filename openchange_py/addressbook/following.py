"""Keeps the index of a directory up to date with its server: `Follower`, a thread of each process that serves.

One of them follows, by a lease. It asks what changed, stores it part by part, and remembers how far it came, so that a
`kill -9` costs a part. Where the server can't tell any more what changed, when the index is new, and once a day, all is
read and compared. With the server away the index stays what it is; it is tried again, less and less often.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable

from sqlalchemy import select

from openchange_py.addressbook.base import DirectoryError, DirectoryStatus
from openchange_py.addressbook.followed import Changes, CookieExpired, Source
from openchange_py.addressbook.follower_state import FollowerRow, FollowerState
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import IndexWriter, writing
from openchange_py.addressbook.organizations import put_address_books
from openchange_py.addressbook.schema import entry, identity

logger = logging.getLogger(__name__)

#: Seconds between two comparisons of everything.
COMPARE_SECONDS = 24 * 3600.0
#: Longest wait before a server that is away is tried again.
LONGEST_BACK_OFF = 60.0
#: Asking who is still there may take this part of the time.
_PRESENT_SHARE = 0.05
#: How often a process that does not follow looks whether it should, and how often a turn is tried for.
_LOOK_SECONDS = 5.0
_TRY_SECONDS = 0.1
#: A server that shows less than this part of what it showed before is not believed: rights were taken, more likely.
_LEAST_PART = 0.1
_FEW_ENTRIES = 20
#: Entries between two lines of the log.
_PROGRESS = 10_000


class _Stopped(DirectoryError):
    """`Follower.stop` was called."""


class Follower:
    """Follows a source. `name` is what the server is called, without secret; `lag` the seconds between two looks."""

    def __init__(self, index: IndexedDirectory, name: str, connect: Callable[[], Source], *, lag: float = 10.0) -> None:
        self._index = index
        self._name = name
        self._connect = connect
        self._lag = lag
        self._row = FollowerRow(index.database, name)
        self._writer = IndexWriter(index.database)
        self._stop = threading.Event()
        #: `catch_up` and the thread take turns.
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self._source: Source | None = None
        self._away = False
        self._accept_loss = False
        self._present_due = 0.0

    def start(self) -> None:
        """Follow in a thread. An index with nothing in it is made first, for which the server has to be there."""
        if self._row.read().as_of is None:
            self.catch_up()
        self._thread = threading.Thread(target=self._run, name="directory follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; another process may go on at once."""
        self._stop.set()
        if self._thread is None:
            return
        while self._thread.is_alive():
            self._disconnect()  # ends what is waiting
            self._thread.join(_TRY_SECONDS)
        self._thread = None
        try:
            self._row.retire()
        except DirectoryError as error:
            logger.warning("%s: the lease of the directory's follower runs out by itself: %s", self._name, error)

    def catch_up(self, *, accept_loss: bool = False) -> None:
        """Follow now, whoever else does; `DirectoryError`. With `accept_loss` hardly any entries are believed too."""
        with self._turn:
            self._accept_loss = accept_loss
            while (state := self._row.begin(0.0, take_over=True)) is None:
                if self._stop.wait(_TRY_SECONDS):
                    raise self._stopped()
            source = None
            try:
                source = self._connect()
                self._round(source, state)
            except DirectoryError as error:
                self._note(error)
                raise
            finally:
                self._accept_loss = False
                self._row.end(2 * self._lag)
                if source is not None:
                    source.close()

    def status(self) -> DirectoryStatus:
        """How far the index is."""
        state = self._row.read()
        contact = state.contact and datetime.datetime.fromtimestamp(state.contact, datetime.UTC)
        lag = None if state.as_of is None else max(0.0, state.now - state.as_of)
        error = state.error or (None if state.as_of is not None else "the index was never completed")
        return DirectoryStatus("LDAP", self._name, self._index.count(), contact or None, lag, error)

    # The thread.

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                began = time.monotonic()
                followed = self._follow()
                failures = 0
                if not followed:
                    self._stop.wait(min(self._lag, _LOOK_SECONDS))
                elif self._source is not None:
                    self._source.wait(max(_TRY_SECONDS, self._lag - (time.monotonic() - began)), self._stop)
            except Exception as error:
                failures += 1
                self._failed(error)
                self._stop.wait(min(2.0 ** min(failures, 10), LONGEST_BACK_OFF))
        self._disconnect()

    def _follow(self) -> bool:
        """One round, where it is this process's turn."""
        with self._turn:
            state = self._row.begin(self._lag)
            if state is None:
                return False
            try:
                if self._source is None:
                    self._source = self._connect()
                self._round(self._source, state)
            except DirectoryError as error:
                self._note(error)
                raise
            finally:
                self._row.end(2 * self._lag)
        return True

    def _note(self, error: DirectoryError) -> None:
        """For `ocpy status`; as long as it is this process's turn."""
        if not isinstance(error, _Stopped):
            self._row.end(2 * self._lag, error=str(error))

    def _failed(self, error: Exception) -> None:
        """Said once; what reads goes on with what there is."""
        self._disconnect()
        if self._stop.is_set():
            return
        if not isinstance(error, DirectoryError):
            logger.exception("%s: following the directory failed; it is tried again", self._name)
        elif not self._away:
            logger.error("%s: the directory can't be followed; its index is served as it is: %s", self._name, error)
        self._away = True

    def _disconnect(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            try:
                source.close()
            except DirectoryError as error:
                logger.info("%s: %s", self._name, error)

    # One round.

    def _round(self, source: Source, state: FollowerState) -> None:
        began = state.now
        books = source.address_books()
        self._row.go_on(contact=began)
        with writing(self._index.database, strict=False) as transaction:
            put_address_books(transaction, books)
        compare = state.cookie is None or state.compared is None or began - state.compared > COMPARE_SECONDS
        if not compare:
            assert state.cookie is not None
            try:
                for part in source.changes(state.cookie):
                    self._store(part)
                self._remove_absent(source)
            except CookieExpired as error:
                logger.warning("%s: %s; everything is compared", self._name, error)
                compare = True
        if compare:
            self._compare(source, began)
        self._row.go_on(contact=began, as_of=began, error=None)
        if self._away:
            logger.info("%s: the directory is followed again", self._name)
        self._away = False

    def _store(self, part: Changes) -> list[int]:
        self._row.go_on()
        mids = self._writer.put(part.records)
        self._writer.remove(part.removed)
        if part.cookie is not None:
            self._row.go_on(cookie=part.cookie)
        if self._stop.is_set():
            raise self._stopped()
        return mids

    def _stopped(self) -> _Stopped:
        return _Stopped(f"{self._name}: following was stopped")

    def _compare(self, source: Source, began: float) -> None:
        """Read everything, and remove what the server has no more."""
        version = self._index.snapshot().version
        seen: set[int] = set()
        cookie = None
        for part in source.everything():
            cookie = part.cookie or cookie
            before = len(seen) // _PROGRESS
            seen.update(self._store(Changes(part.records, part.removed)))
            if len(seen) // _PROGRESS > before:
                logger.info("%s: %d entries of the directory are indexed", self._name, len(seen))
        with self._index.database.reading() as connection:
            # Not those that came in the meantime: they were written behind the reader's back.
            query = select(entry.c.mid, entry.c.guid).join(identity, identity.c.mid == entry.c.mid)
            known = {row.mid: row.guid for row in connection.execute(query.where(identity.c.version <= version))}
        self._remove([guid for mid, guid in known.items() if mid not in seen], len(known))
        self._row.go_on(cookie=cookie, compared=began)
        logger.info("%s: all %d entries of the directory are in the index", self._name, len(seen))

    def _remove_absent(self, source: Source) -> None:
        """For a server that does not tell what was deleted: whoever is not there any more."""
        began = time.monotonic()
        if began < self._present_due:
            return
        version = self._index.snapshot().version
        present = source.present()
        if present is None:
            self._present_due = float("inf")
            return
        there = self._counted(present)
        with self._index.database.reading() as connection:
            query = select(entry.c.guid).join(identity, identity.c.mid == entry.c.mid)
            known = connection.execute(query.where(identity.c.version <= version)).scalars().all()
        self._remove([guid for guid in known if guid not in there], len(known))
        self._present_due = began + (time.monotonic() - began) / _PRESENT_SHARE

    def _counted(self, present: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        there: set[uuid.UUID] = set()
        for guid in present:
            there.add(guid)
            if len(there) % _PROGRESS == 0:
                self._row.go_on()
        return there

    def _remove(self, gone: list[uuid.UUID], known: int) -> None:
        if known >= _FEW_ENTRIES and known - len(gone) < known * _LEAST_PART and not self._accept_loss:
            raise DirectoryError(
                f"{self._name} shows {known - len(gone)} of the {known} entries that it had: may this account still "
                "read them? If they are gone, `ocpy status --accept-loss` takes them out of the index"
            )
        self._row.go_on()
        self._writer.remove(gone)
