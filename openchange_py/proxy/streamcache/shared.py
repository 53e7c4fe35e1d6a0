"""Streams that clients of this process have open: each is in the cache, or is being filled, once for all of them.

Nobody owns the filling. Every client has the stream open upstream himself, in the same version; who needs bytes that
are not there takes the stream's lock and fetches the next ones, through his own session, for everybody. A client
that leaves midway leaves at most the lock, and the next one goes on where the bytes end: each byte is fetched once,
whoever comes and goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from openchange_py.proxy.streamcache.cache import StreamCache
from openchange_py.proxy.streamcache.files import OpenFile, Part, WouldBlock
from openchange_py.proxy.streamcache.index import CacheError, Entry

#: Seconds that a client waits for bytes that another one fetches, before it goes and fetches its own.
PATIENCE: Final = 30.0
#: Different streams that are open at a time: each takes a file descriptor.
MAXIMUM_STREAMS: Final = 512


class SharedStream:
    """One stream in one version, for all clients that have it open. `filled` bytes from its beginning are here."""

    def __init__(self, cache: StreamCache, entry: Entry, room: Callable[[], int]) -> None:
        self._cache = cache
        self._room = room
        #: Its hash is known when it is whole.
        self.entry = entry
        self.filled = 0
        self.users = 0
        #: It is stored.
        self.whole = False
        #: It can't be stored; whoever has it open reads upstream.
        self.failed = False
        #: Held by who fetches.
        self.lock = asyncio.Lock()
        #: The program that fetches the whole of it (`sync_cmd`), running or done; None where nobody tried.
        self.synchronizing: asyncio.Task[None] | None = None
        #: Nobody needs to try that any more.
        self.asked = False
        self._part: Part | None = None
        #: Open from the first byte to the last user, so that nobody ever reads what its descriptor became.
        self._file: OpenFile | None = None
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        """Bytes of the whole stream."""
        return self.entry.size

    @property
    def is_synchronizing(self) -> bool:
        """A program is fetching it."""
        return self.synchronizing is not None and not self.synchronizing.done()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Hold `lock`. False where it is not to be had in time: its holder waits for his own upstream, perhaps long."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.lock.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self.lock.release()

    async def open(self) -> None:
        """Find it in the cache, or begin it there. Afterwards it is whole, empty, or `failed`."""
        try:
            found = await asyncio.to_thread(self._cache.find, self.entry.name)
            if found is not None:
                self._file, self.entry = found
                self.filled, self.whole = self.size, True
                return
            self._part = await asyncio.to_thread(self._cache.begin, self.entry.name)
        except (OSError, CacheError) as error:
            self._fail(error)
            return
        if self._part is None:
            self.failed = True  # another process fills it, and what it has so far can't be seen from here
        else:
            self._file = self._part.file

    async def read(self, offset: int, count: int) -> bytes:
        """Bytes below `filled`. `OSError` where the file lost them."""
        if self._file is None:
            raise OSError("not a file of the cache any more")
        try:
            return self._file.read_now(offset, count)
        except WouldBlock:
            return await asyncio.to_thread(self._file.read, offset, count)

    async def append(self, data: bytes) -> None:
        """The bytes behind `filled`; with the last ones it is stored. Only under `lock`. What fails is `failed`."""
        part = self._part
        if part is None or self.failed or self.whole or self.is_synchronizing:
            return
        if len(data) > self._room():
            self.fail("too many streams are being fetched at once for mpm_cache:max_size")
            return
        if self.filled + len(data) > self.size:
            self.fail(f"a stream has more than its {self.size} bytes")
            return
        try:
            await asyncio.to_thread(self._write, part, self.filled, data)
            if self.filled + len(data) == self.size:
                self.entry = dataclasses.replace(self.entry, hash=self._digest.hexdigest())
                await asyncio.to_thread(self._cache.publish, part, self.entry)
                self.whole = True
        except (OSError, CacheError) as error:
            self._fail(error)
            return
        self.filled += len(data)

    async def adopt(self, source: Path, digest: str) -> bool:
        """Take it whole from a file; False where that is not the stream. Nothing may have been appended, or be.

        Raises `OSError`, `CacheError`.
        """
        if self._part is None or self.filled or self.failed:
            return False
        entry = dataclasses.replace(self.entry, hash=digest)
        if not await asyncio.to_thread(self._cache.adopt, self._part, source, entry):
            return False
        self.entry, self.filled, self.whole = entry, self.size, True
        return True

    def fail(self, reason: str) -> None:
        """It can't be stored."""
        self._fail(CacheError(reason))

    async def close(self) -> None:
        """Nobody has it open any more; what is not whole is gone."""
        part, file, self._part, self._file = self._part, self._file, None, None
        await asyncio.to_thread(_close, part, file)

    def _write(self, part: Part, offset: int, data: bytes) -> None:
        part.write(offset, data)
        self._digest.update(data)

    def _fail(self, error: Exception) -> None:
        if not self.failed:
            self._cache.trouble(error)
        self.failed = True


def _close(part: Part | None, file: OpenFile | None) -> None:
    with contextlib.suppress(OSError):
        if part is not None:
            part.close()
        if file is not None:
            file.close()


@dataclasses.dataclass(eq=False, slots=True)
class _Turn:
    """Whose turn it is to open or close the stream of one name."""

    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    waiting: int = 0


class SharedStreams:
    """The streams that are open, by name."""

    def __init__(self, cache: StreamCache) -> None:
        self._cache = cache
        self._streams: dict[str, SharedStream] = {}
        self._turns: dict[str, _Turn] = {}

    def __len__(self) -> int:
        return len(self._streams)

    async def acquire(self, entry: Entry) -> SharedStream | None:
        """The stream, for one more user, who has to `release` it; None where it can't be had."""
        async with self._turn(entry.name):
            shared = self._streams.get(entry.name)
            if shared is None:
                if entry.size > self._room() or len(self) >= MAXIMUM_STREAMS:
                    return None
                shared = self._streams[entry.name] = SharedStream(self._cache, entry, self._room)
                await shared.open()
                self._cache.count("hits" if shared.whole else "misses")
            else:
                self._cache.count("hits" if shared.whole else "joined")
            shared.users += 1
        if shared.failed:
            await self.release(shared)
            return None
        return shared

    async def release(self, shared: SharedStream) -> None:
        """One user less."""
        async with self._turn(shared.entry.name):
            shared.users -= 1
            if not shared.users:
                del self._streams[shared.entry.name]
                await shared.close()

    def _room(self) -> int:
        """Bytes that may be fetched besides what is being fetched."""
        fetched = sum(shared.filled for shared in self._streams.values() if not shared.whole)
        return self._cache.limits.max_size - fetched

    @contextlib.asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(name, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[name]
