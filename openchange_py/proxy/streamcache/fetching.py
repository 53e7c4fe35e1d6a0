"""Fetching what a stream does not have yet, through the stream that a client has open upstream."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Final

from openchange_py.config.settings import Settings
from openchange_py.proxy.rops import PassingRop
from openchange_py.proxy.streamcache.cache import StreamCache
from openchange_py.proxy.streamcache.names import message_of
from openchange_py.proxy.streamcache.options import AHEAD, SYNC, SYNC_MIN
from openchange_py.proxy.streamcache.shared import SharedStream
from openchange_py.proxy.streamcache.synchronizing import Synchronizer
from openchange_py.proxy.streamcache.views import is_pristine, version_in, version_request
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.oxcprpt_streams import (
    BYTE_COUNT_IN_MAXIMUM,
    Origin,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
    RopSeekStreamResponse,
)

#: Bytes that are asked for at once upstream, at least, and where more are wanted.
_PIECE, _LARGE_PIECE = 0x7C00, 0x38000
#: A stream read further behind what is there than this is not read from its beginning on: it passes.
_JUMP: Final = 0x10000
#: Seconds that a client waits at a time while all of a stream is fetched.
_AHEAD_SECONDS: Final = 20.0


@dataclasses.dataclass(eq=False, slots=True)
class ClientStream:
    """A stream that a client has open, and that is answered from here until the cache steps `aside`."""

    shared: SharedStream
    #: Who opened it.
    account: str
    #: Where the client is in it, and where the upstream's stream is (None: not known).
    position: int = 0
    upstream: int | None = 0
    aside: bool = False


class Fetcher:
    """Has bytes put into streams, by whatever way is configured."""

    def __init__(self, cache: StreamCache, settings: Settings, synchronizer: Synchronizer) -> None:
        self._cache = cache
        self._settings = settings
        self._synchronizer = synchronizer

    async def provide(self, rop: PassingRop, stream: ClientStream, end: int) -> bool:
        """Have the bytes up to `end` in the file; False where that can't be."""
        shared = stream.shared
        if shared.whole or (end <= shared.filled and not self._settings[AHEAD]):
            return True
        if self._settings[SYNC] and shared.size >= self._settings[SYNC_MIN]:
            await self._synchronizer.synchronize(rop, shared)
        if self._settings[AHEAD]:
            await self.fetch_ahead(rop, stream)
        if end > shared.filled + _JUMP and stream.position > shared.filled:
            return False
        while shared.filled < end:
            if not await self._fetch(rop, stream, end):
                return False
        return True

    async def fetch_ahead(self, rop: PassingRop, stream: ClientStream) -> None:
        """All of it, or as much as comes in a while: the client waits."""
        shared, now = stream.shared, asyncio.get_running_loop().time
        deadline = now() + _AHEAD_SECONDS
        while not shared.whole and now() < deadline:
            if not await self._fetch(rop, stream, min(shared.filled + _LARGE_PIECE, shared.size)):
                return

    async def _fetch(self, rop: PassingRop, stream: ClientStream, end: int) -> bool:
        """Fetch the next bytes, for all who have the stream open, unless somebody else just does."""
        shared = stream.shared
        async with shared.turn() as ours:
            if not ours or shared.failed:
                return False
            return shared.filled >= end or await self._fetch_piece(rop, stream, end)

    async def _fetch_piece(self, rop: PassingRop, stream: ClientStream, end: int) -> bool:
        """The bytes behind those that are there, from the client's own stream, after seeking to them.

        With the last ones the message is asked for its version again: a server that shows a client others' changes
        would have given other bytes than those of the version that the entry is for.
        """
        assert rop.object is not None
        assert rop.object.handle is not None
        shared, start = stream.shared, stream.shared.filled
        count = min(max(end - start, _PIECE), shared.size - start)
        requests, handles = _requests(rop.request.logon_id, start, count), [rop.object.handle]
        message = message_of(rop.object)
        last = start + count == shared.size and message is not None and is_pristine(rop.objects, message)
        if last and message is not None and message.handle is not None:
            requests.insert(0, version_request(rop.request.logon_id, 1))
            handles.append(message.handle)
        stream.upstream = None
        answer = await rop.send(requests, handles, chain=count > _PIECE)
        if last and version_in(answer) != shared.entry.version:
            shared.fail("a message was changed while a stream of it was read")
            return False
        if not any(isinstance(each, RopSeekStreamResponse) and each.new_position == start for each in answer.rops):
            return False
        reads = [each for each in answer.rops if isinstance(each, RopReadStreamResponse) and not each.return_value]
        return await self._take(stream, start, [each.data for each in reads])

    async def _take(self, stream: ClientStream, start: int, pieces: list[bytes]) -> bool:
        shared, data = stream.shared, b"".join(pieces)
        self._cache.count("upstream_reads", len(pieces))
        self._cache.count("upstream_bytes", len(data))
        if not pieces:
            return False
        stream.upstream = start + len(data)
        if not data:
            shared.fail(f"a stream of {shared.size} bytes ended after {start}")
            return False
        await shared.append(data)
        return not shared.failed


def _requests(logon_id: int, start: int, count: int) -> list[RopRequest]:
    """Read `count` bytes from `start` on of the stream at handle index 0."""
    long = count > _PIECE
    seek = RopSeekStreamRequest(logon_id, 0, Origin.Beginning, start)
    if long:
        return [seek, RopReadStreamRequest(logon_id, 0, BYTE_COUNT_IN_MAXIMUM, count)]
    return [seek, RopReadStreamRequest(logon_id, 0, count)]
