"""What a session has to be told of, until it fetches it: [MS-OXCNOTIF] 3.1.1 and 3.1.5.

Subscriptions and tables are its targets. The store tells of events in any thread; what a target wants to hear of waits
here, and the session's next ROP buffer takes it along. A client that never comes is owed a bounded amount: tables are
then told that they changed, and of subscriptions the oldest events are lost, which the log says.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from openchange_py.store.base import Store, StoreError, StoreEvent, Watch
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.rop.oxcnotif import NotificationData, RopNotifyResponse, RopPendingResponse

if TYPE_CHECKING:
    from openchange_py.servers.emsmdb.objects.logon import Logon

logger = logging.getLogger(__name__)

#: Events that wait for one session, at most, but for one per table.
MOST_WAITING: Final = 512
#: Targets times events of one transaction, at most: of more nobody is told more than that there was something. Whoever
#: writes to the mailbox waits for this.
MOST_LOOKS: Final = 20_000
#: A notification that is larger than this (bytes) fits into no ROP buffer beside others.
LARGEST: Final = 0x6000
_PENDING_SIZE: Final = 3


class Target(Protocol):
    """What notifications have the handle of: [MS-OXCNOTIF] 2.2.1.4.1.1 (NotificationHandle)."""

    #: Whether one notification says it all where there are too many.
    collapses: bool
    #: Called when it is closed.
    forget: Callable[[], None] | None

    @property
    def mailbox_logon(self) -> Logon: ...

    def heard(self, event: StoreEvent | None) -> bool:
        """Whether the client is to be told of it; None: of so much that nobody knows what. In any thread."""

    def notification(self, event: StoreEvent | None) -> NotificationData | None:
        """What the client is told; None: nothing after all. In the session's thread."""

    def too_large(self) -> NotificationData | None:
        """What it is told instead of a notification that no buffer holds."""


class Notifications:
    """One session's. `index` is the session's, as EcDoConnectEx told it."""

    def __init__(self) -> None:
        self.index = 0
        self._guard = threading.Lock()
        self._targets: dict[int, Target] = {}
        self._watches: dict[Logon, Watch] = {}
        #: What each target is to be told, oldest first.
        self._waiting: list[tuple[int, StoreEvent | None]] = []
        #: What did not fit into the last buffer: handle and RopNotify.
        self._unsent: tuple[int, bytes] | None = None
        self._lost = 0
        self._wake: Callable[[], None] | None = None
        self._executing = False
        self._closed = False

    def follow(self, handle: int, target: Target, store: Store) -> None:
        """From now on the target hears of events in its logon's mailbox, until it is closed."""
        logon = target.mailbox_logon
        if logon not in self._watches:
            watch = store.watch(logon.mailbox.guid, functools.partial(self._happened, logon))
            with self._guard:
                self._watches[logon] = watch
                waited_for = self._wake is not None
            watch.keep_checking(waited_for)
        target.forget = functools.partial(self._forget, handle, logon)
        with self._guard:
            self._targets[handle] = target

    def _forget(self, handle: int, logon: Logon) -> None:
        watch = None
        with self._guard:
            self._targets.pop(handle, None)
            if not any(target.mailbox_logon is logon for target in self._targets.values()):
                watch = self._watches.pop(logon, None)
        if watch is not None:
            watch.close()

    @contextlib.contextmanager
    def executing(self) -> Iterator[None]:
        """While a ROP buffer runs: what happens goes into its answer, and wakes nobody unless it does not fit."""
        self._executing = True
        try:
            yield
        finally:
            self._executing = False
            self._wake_up()

    def responses(self, room: int) -> list[bytes]:
        """RopNotify for what waits, as many as `room` bytes hold, and RopPending where that is not all (3.1.5.7)."""
        for watch in list(self._watches.values()):
            watch.check()
        found: list[bytes] = []
        while (one := self._next()) is not None:
            if len(one[1]) > room:
                self._unsent = one
                if room >= _PENDING_SIZE:
                    found.append(RopPendingResponse(self.index).pack())
                break
            found.append(one[1])
            room -= len(one[1])
        return found

    @property
    def pending(self) -> bool:
        """Whether something waits to be fetched."""
        return bool(self._waiting) or self._unsent is not None or self._closed

    def wait(self, wake: Callable[[], None]) -> bool:
        """Whether something is pending; where not, `wake` is called, in any thread, when something is.

        `MapiError` (Rejected) where somebody waits already.
        """
        with self._guard:
            if self._wake is not None:
                raise MapiError(ErrorCode.Rejected, "a call waits already")
            if self.pending:
                return True
            self._wake = wake
            watches = list(self._watches.values())
        for watch in watches:
            watch.keep_checking(True)
        return False

    def end_wait(self) -> None:
        """Nobody waits any more."""
        with self._guard:
            self._wake = None
            watches = list(self._watches.values())
        for watch in watches:
            watch.keep_checking(False)

    def close(self) -> None:
        """The session ends; who waits need not any longer."""
        with self._guard:
            self._closed = True
            self._targets.clear()
            self._waiting.clear()
            watches = list(self._watches.values())
            self._watches.clear()
        for watch in watches:
            watch.close()
        self._wake_up()

    def _wake_up(self) -> None:
        wake = self._wake
        if wake is not None and self.pending and not self._executing:
            wake()

    def _happened(self, logon: Logon, events: Sequence[StoreEvent] | None) -> None:
        """The store's listener for a logon's mailbox."""
        with self._guard:
            targets = [(handle, one) for handle, one in self._targets.items() if one.mailbox_logon is logon]
            if events is not None and len(events) * len(targets) > MOST_LOOKS:
                self._lost += len(events)
                events = None
            for event in [None] if events is None else events:
                for handle, target in targets:
                    if target.heard(event):
                        self._put((handle, event))
        self._wake_up()

    def _put(self, entry: tuple[int, StoreEvent | None]) -> None:
        if self._waiting and self._waiting[-1] == entry:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._make_room()
        self._waiting.append(entry)

    def _make_room(self) -> None:
        tables = {handle for handle, target in self._targets.items() if target.collapses}
        kept = [entry for entry in self._waiting if entry[0] not in tables]
        changed = [
            (handle, None) for handle in dict.fromkeys(handle for handle, _ in self._waiting) if handle in tables
        ]
        for handle, _ in changed:
            self._targets[handle].heard(None)
        excess = max(0, len(kept) - MOST_WAITING // 2)
        self._lost += excess
        self._waiting = [*kept[excess:], *changed]

    def _next(self) -> tuple[int, bytes] | None:
        """The next RopNotify with its handle."""
        if self._unsent is not None:
            unsent, self._unsent = self._unsent, None
            if unsent[0] in self._targets:
                return unsent
        while True:
            with self._guard:
                lost, self._lost = self._lost, 0
                if not self._waiting:
                    return None
                handle, event = self._waiting.pop(0)
                target = self._targets.get(handle)
            if lost:
                logger.warning("a session did not fetch its notifications: %d are lost", lost)
            packed = None if target is None else _packed(handle, target, event)
            if packed is not None:
                return handle, packed


def _packed(handle: int, target: Target, event: StoreEvent | None) -> bytes | None:
    logon_id = target.mailbox_logon.logon_id
    try:
        data = target.notification(event)
    except StoreError as error:
        logger.debug("nothing to tell of any more: %s", error)
        return None
    if data is None:
        return None
    packed = RopNotifyResponse(handle, logon_id, data).pack()
    if len(packed) <= LARGEST:
        return packed
    instead = target.too_large()
    return None if instead is None else RopNotifyResponse(handle, logon_id, instead).pack()
