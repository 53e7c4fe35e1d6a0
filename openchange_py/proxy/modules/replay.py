"""Answers calls from a recording (module `record`), without any server behind it: to test a client.

    dcerpc_mapiproxy:server = true
    dcerpc_mapiproxy:modules = replay
    mpm_replay:file = /var/lib/ocpy/session.jsonl.gz

A client that does what the recorded one did gets what that one got, bytes and handles as they were. Calls are told by
what they ask for, not by their handles, times and auxiliary buffers; where names and contents were replaced in the
recording, texts count by their lengths (`proxy.likeness`). Each client session follows a recorded one, per interface:
the first not yet followed that begins alike. Who comes when all are followed begins again with the first.

`mpm_replay:mode = strict`: each call must be the recorded one's next. `lenient`: it may be any later one, then any at
all, of that session first. What is not there is answered with fault 0x000006be, and the log says what it was.

A client that waits for events (EcDoAsyncWaitEx), which nobody recorded, waits the five minutes that it would wait.

Whoever may log on to this server gets what was recorded, whoever's it was.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import logging
from pathlib import Path
from typing import Final

from openchange_py.config.options import Option, choice, path
from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import ANY, Module
from openchange_py.proxy.likeness import Likeness
from openchange_py.proxy.recording import RecordedCall, Recording, read_recording
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EcDoAsyncWaitExResponse

logger = logging.getLogger(__name__)


class Mode(enum.Enum):
    """`mpm_replay:mode`."""

    STRICT = "strict"
    LENIENT = "lenient"

    def __str__(self) -> str:
        return self.value


def recording_file(value: str) -> Path | None:
    """An absolute path: what `record` wrote."""
    return path(value) if value else None


FILE = Option("mpm_replay:file", recording_file, None, "the recording")
MODE = Option(
    "mpm_replay:mode", choice(Mode, {m.value: m for m in Mode}), Mode.LENIENT, "in the recorded order, or in any"
)

_NEVER: Final = FaultStatus.CALL_FAILED
#: Seconds after which EcDoAsyncWaitEx says that nothing happened: [MS-OXCRPC] 3.3.4.1.
_QUIET: Final = 300.0


@dataclasses.dataclass(eq=False)
class Track:
    """The calls of one recorded session at one interface, with what each asks for."""

    calls: list[tuple[bytes, RecordedCall]] = dataclasses.field(default_factory=list)
    #: Client sessions that follow it now, and that did so before.
    followers: int = 0
    followed: int = 0

    def find(self, key: bytes, start: int, end: int | None = None) -> int | None:
        """Where such a call is from a place on."""
        places = range(start, len(self.calls) if end is None else end)
        return next((place for place in places if self.calls[place][0] == key), None)


@dataclasses.dataclass
class _Follower:
    track: Track
    next: int = 0


class ReplayModule(Module):
    """The whole recording is in memory; every call is answered here."""

    name = "replay"
    description = "answers from a recording, without a server"
    endpoint = ANY
    options = (FILE, MODE)

    async def init(self, settings: Settings) -> None:
        """Reads the recording."""
        where = settings[FILE]
        if where is None:
            raise settings.error(FILE, "is needed: the recording to answer from")
        recording = await asyncio.to_thread(read_recording, where)
        self._strict = settings[MODE] is Mode.STRICT
        self._likeness = Likeness(recording.anonymize)
        self._tracks = await tracks_of(recording)
        logger.info("%s: %d calls to answer from", where, len(recording.calls))

    async def dispatch(self, call: Call) -> None:
        """Answer it."""
        key = await self._likeness.key(call)
        call.norelay = True
        try:
            recorded = self._find(call, key)
        except RpcFault:
            if call.interface is not ASYNCEMSMDB:
                raise
            await asyncio.sleep(_QUIET)
            call.response = EcDoAsyncWaitExResponse(0, ErrorCode.Success)
            return
        if recorded.fault is not None:
            raise RpcFault(recorded.fault, "as recorded")
        if recorded.reply is None:
            raise RpcFault(_NEVER, "the recording has no answer to this call")
        call.answer(recorded.reply)
        self._likeness.learn(call)

    def unbind(self, session: Session) -> None:
        """The client left: another may follow the same tracks."""
        followers: dict[str, _Follower] = session.state.pop(self, {})
        for follower in followers.values():
            follower.track.followers -= 1

    def _find(self, call: Call, key: bytes) -> RecordedCall:
        followers: dict[str, _Follower] = call.session.state.setdefault(self, {})
        follower = followers.get(call.interface.name)
        if follower is None:
            track = self._begin(call, key)
            follower = followers[call.interface.name] = _Follower(track)
            track.followers += 1
            track.followed += 1
        place = self._place(follower, key)
        if place is None and not self._strict:
            place = self._change_track(call, follower, key)
        if place is None:
            raise self._missing(call, follower)
        follower.next = place + 1
        return follower.track.calls[place][1]

    def _change_track(self, call: Call, follower: _Follower, key: bytes) -> int | None:
        """Two recorded sessions may begin alike, and the client is in the other one."""
        for track in self._tracks[call.interface.name]:
            place = track.find(key, 0)
            if place is not None:
                follower.track.followers -= 1
                track.followers += 1
                follower.track = track
                return place
        return None

    def _begin(self, call: Call, key: bytes) -> Track:
        """The track that a session follows from its first call on."""
        tracks = self._tracks.get(call.interface.name, [])
        fitting = [track for track in tracks if track.calls[0][0] == key]
        if not self._strict:
            fitting = fitting or [track for track in tracks if track.find(key, 0) is not None]
        if not fitting:
            raise self._missing(call, None)
        return min(fitting, key=lambda track: (track.followers, track.followed))

    def _place(self, follower: _Follower, key: bytes) -> int | None:
        track = follower.track
        if self._strict:
            return track.find(key, follower.next, min(follower.next + 1, len(track.calls)))
        later = track.find(key, follower.next)
        return track.find(key, 0) if later is None else later

    def _missing(self, call: Call, follower: _Follower | None) -> RpcFault:
        waiting = "" if follower is None else _expected(follower)
        logger.warning("%s: %s of %s is not in the recording%s", call.session, call.name, call.caller, waiting)
        return RpcFault(_NEVER, f"{call.name} is not in the recording")


def _expected(follower: _Follower) -> str:
    if follower.next >= len(follower.track.calls):
        return ", which is at its end there"
    return f"; there, {follower.track.calls[follower.next][1].name} (call {follower.next + 1}) would be the next"


async def tracks_of(recording: Recording) -> dict[str, list[Track]]:
    """By interface, what each recorded session did there. Calls whose request was left out are not in them."""
    likeness = Likeness(recording.anonymize)
    found: dict[str, dict[int, Track]] = {}
    sessions: dict[int, Session] = {}
    for recorded in recording.calls:
        if recorded.request is None:
            continue
        session = sessions.setdefault(recorded.session, Session("recording", ""))
        call = Call(recorded.interface, recorded.opnum, recorded.request, session)
        key = await likeness.key(call)
        if recorded.reply is not None:
            call.answer(recorded.reply)
            likeness.learn(call)
        tracks = found.setdefault(recorded.interface.name, {})
        tracks.setdefault(recorded.session, Track()).calls.append((key, recorded))
    return {interface: list(tracks.values()) for interface, tracks in found.items()}
