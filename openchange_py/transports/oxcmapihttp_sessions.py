"""Session Contexts of MAPI over HTTP: [MS-OXCMAPIHTTP] 3.2.1, 3.2.5. A cookie names one, on whatever connection.

A session is one account's, and ends by Disconnect or Unbind, by its age since the last request, or where its account
opens too many: the one that was used longest ago gives way.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from openchange_py.rpc.call import DEFAULT_HANDLE_LIMIT, Session
from openchange_py.rpc.security import Authority, Identity
from openchange_py.rpc.share import Share
from openchange_py.transports.tasks import spawn
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle

_log: Final = logging.getLogger(__name__)

Owner = tuple[str, str, bool]

#: Answers longer than this are not kept for clients that ask again.
_KEPT: Final = 64 * 1024


def owner_of(caller: Identity) -> Owner:
    """Whose a session is. What only the upstream says of a client is not what we know of the account of that name."""
    return caller.domain.casefold(), caller.account.casefold(), caller.authority is Authority.UPSTREAM


@dataclasses.dataclass(eq=False, slots=True)
class MapiSession:
    """One Session Context, and what a client needs that asks again because it got no answer."""

    cookie: str
    owner: Owner
    session: Session
    handle: ContextHandle = NULL_HANDLE
    #: Of the asynchronous interface, once a client waited for notifications.
    waiting_handle: ContextHandle | None = None
    #: What the next request must bring along; the one before is taken too, from who did not get the last answer.
    sequence: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(12))
    previous: str = ""
    #: The last request's id, and for a while its answer.
    last_request: str = ""
    last_answer: bytes | None = None
    #: Requests that are being answered.
    busy: int = 0
    used: float = 0.0
    ended: bool = False
    #: One request after the other, save those that wait for something to happen.
    turn: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    def accepted(self) -> None:
        """A request is executed: the next one brings another sequence, or this one's where its answer got lost."""
        self.previous, self.sequence = self.sequence, secrets.token_urlsafe(12)
        self.last_answer = None

    def answered(self, request_id: str, answer: bytes) -> None:
        """It is executed, and here is its answer for who asks again."""
        self.last_request = request_id
        self.last_answer = answer if len(answer) <= _KEPT else None


@dataclasses.dataclass(frozen=True, slots=True)
class SessionLimits:
    """Sessions at one endpoint: of all, of one account, and how long without a request (seconds)."""

    sessions: int = 10_000
    per_account: int = 64
    idle_seconds: float = 900.0
    handles: int = DEFAULT_HANDLE_LIMIT


class TooManySessions(Exception):
    """All that there may be are open, and busy."""


class MapiSessions:
    """The sessions of one endpoint. `end` is told of each that ended, once."""

    def __init__(
        self,
        limits: SessionLimits,
        end: Callable[[Session], Awaitable[None]],
        transport: str,
        share: Share | None = None,
    ) -> None:
        self.limits = limits
        self._share = share or Share()
        self._end = end
        self._transport = transport
        #: The one that was used longest ago first.
        self._sessions: collections.OrderedDict[str, MapiSession] = collections.OrderedDict()
        self._of: dict[Owner, collections.OrderedDict[str, MapiSession]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, caller: Identity, peer: str) -> MapiSession:
        """A fresh session. Raises `TooManySessions`."""
        owner = owner_of(caller)
        mine = self._of.get(owner)
        if mine is not None and len(mine) >= self.limits.per_account:
            self._give_way(mine)
        if len(self._sessions) >= self.limits.sessions:
            self._give_way(self._sessions)
        cookie = f"{self._share.number}-{secrets.token_urlsafe(32)}"
        made = MapiSession(cookie, owner, Session(self._transport, peer, handle_limit=self.limits.handles))
        self._sessions[cookie] = made
        self._of.setdefault(owner, collections.OrderedDict())[cookie] = made
        self.touch(made)
        self._sweep_later()
        return made

    def elsewhere(self, cookie: str) -> int | None:
        """Which other process has the session of a cookie, if there is one; None: this one, or nobody."""
        number = cookie.partition("-")[0]
        if not (number.isascii() and number.isdigit() and len(number) < 4 and int(number) < self._share.count):
            return None
        return self._share.elsewhere(int(number))

    def find(self, cookie: str) -> MapiSession | None:
        """The session of a cookie; None for one that is not there, or not any more."""
        return self._sessions.get(cookie)

    def touch(self, session: MapiSession) -> None:
        """It was used just now."""
        session.used = asyncio.get_running_loop().time()
        if not session.ended:
            self._sessions.move_to_end(session.cookie)
            self._of[session.owner].move_to_end(session.cookie)

    def close(self, session: MapiSession) -> asyncio.Task[None] | None:
        """End it: its cookie is worth nothing from now on. Harmless the second time."""
        if session.ended:
            return None
        session.ended = True
        session.last_answer = None
        del self._sessions[session.cookie]
        mine = self._of[session.owner]
        del mine[session.cookie]
        if not mine:
            del self._of[session.owner]
        return spawn(self._ending(session), f"end of {session.session}")

    async def close_all(self) -> None:
        """The server stops."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        ending = [task for session in list(self._sessions.values()) if (task := self.close(session)) is not None]
        if ending:
            await asyncio.wait(ending)

    async def _ending(self, session: MapiSession) -> None:
        try:
            await self._end(session.session)
        except Exception:
            _log.exception("%s: error while it was ended", session.session)

    def _give_way(self, sessions: collections.OrderedDict[str, MapiSession]) -> None:
        idle = next((session for session in sessions.values() if not session.busy), None)
        if idle is None:
            raise TooManySessions(f"{len(sessions)} sessions, each of them busy")
        _log.info("%s ended: there are %d, and another one is opened", idle.session, len(sessions))
        self.close(idle)

    def _sweep_later(self) -> None:
        if self._sweeper is None and self._sessions:
            seconds = max(0.02, self.limits.idle_seconds / 8)
            self._sweeper = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now, idle = asyncio.get_running_loop().time(), self.limits.idle_seconds
        for session in list(self._sessions.values()):
            if session.used > now - idle / 8:
                break
            # Who lost the answer has asked again by now.
            session.last_answer = None
            if not session.busy and session.used <= now - idle:
                _log.info("%s ended: no request for %.0f s", session.session, self.limits.idle_seconds)
                self.close(session)
        self._sweep_later()
