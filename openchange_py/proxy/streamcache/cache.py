"""The cache as a whole: files with their rows, checked, evicted, cleaned. Synchronous; for worker threads and `ocpy
cache`.

The order makes it safe against `kill -9`: file written, synced, renamed, folder synced, then its row. A file without
a row is never served, and a row whose file is not there, or has another size or hash, is forgotten. A file that this
process did not write itself is hashed before the first byte of it is served.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from openchange_py.proxy.streamcache.files import CHUNK, OpenFile, Part, StreamFiles
from openchange_py.proxy.streamcache.index import CacheError, Entry, StreamIndex

logger = logging.getLogger(__name__)

#: What is counted. `hits`, `misses` and `joined` (another client was fetching it already) are streams opened;
#: `upstream_reads` and `upstream_bytes` what RopReadStream fetched, `reads` and `bytes_served` what clients got here.
COUNTERS: Final = (
    "hits",
    "misses",
    "joined",
    "bytes_served",
    "upstream_bytes",
    "upstream_reads",
    "reads",
    "stored",
    "evicted",
    "invalidated",
    "damaged",
    "synchronized",
)
_MAXIMUM_TROUBLES: Final = 100
#: Files whose hash this process has seen to be right.
_MAXIMUM_VERIFIED: Final = 65536

#: Told how much of a long job is done: done, of how many.
Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True, slots=True)
class CacheLimits:
    """Bytes of all streams together, and seconds that one is kept for."""

    max_size: int
    max_age: float


class StreamCache:
    """The streams below one folder, which several processes may share."""

    def __init__(self, path: Path, url: str, limits: CacheLimits, mode: int = 0o700) -> None:
        self.files = StreamFiles(path, mode)
        self.index = StreamIndex(url)
        self.limits = limits
        #: Counted and not yet in the index. Any thread may add.
        self._counted: collections.Counter[str] = collections.Counter()
        self._uses: collections.Counter[str] = collections.Counter()
        self._guard = threading.Lock()
        self._verified: dict[str, tuple[int, ...]] = {}
        #: Counted by this process alone, since it started.
        self.counts: collections.Counter[str] = collections.Counter()
        #: Troubles that are in the log, until something was stored again.
        self._told: set[str] = set()

    def open(self) -> None:
        """Make folder and index where they are not there; `CacheError`, `OSError`."""
        self.files.prepare()
        self.index.open()

    def close(self) -> None:
        """Write down what was counted, and close the index."""
        try:
            self.flush()
        finally:
            self.index.close()

    def count(self, name: str, number: int = 1) -> None:
        """Count something of `COUNTERS`."""
        with self._guard:
            self._counted[name] += number
            self.counts[name] += number

    def trouble(self, error: Exception) -> None:
        """Something keeps a stream from being stored: once to the log, as the next ones will have the same."""
        kind = f"{type(error).__name__} {error.errno}" if isinstance(error, OSError) else str(error)
        if kind not in self._told and len(self._told) < _MAXIMUM_TROUBLES:
            self._told.add(kind)
            logger.warning("streams pass without being stored: %s", error)

    def flush(self) -> None:
        """Write down what was counted since the last time; `CacheError`."""
        with self._guard:
            counted, self._counted = self._counted, collections.Counter()
            uses, self._uses = self._uses, collections.Counter()
        if not counted and not uses:
            return
        try:
            self.index.count(counted, uses)
        except CacheError:
            with self._guard:
                self._counted += counted
                self._uses += uses
            raise

    def find(self, name: str) -> tuple[OpenFile, Entry] | None:
        """A stored stream, checked; None where there is none. `CacheError`."""
        entry = self.index.find(name)
        if entry is None:
            return None
        if time.time() - entry.stored_at > self.limits.max_age:
            self._discard([name], "evicted")
            return None
        try:
            file = self.files.open(name)
        except OSError:
            self._discard([name], "damaged")
            return None
        if not self._is_right(file, entry):
            file.close()
            self._discard([name], "damaged")
            return None
        with self._guard:
            self._uses[name] += 1
        return file, entry

    def begin(self, name: str) -> Part | None:
        """The right to store that stream; None where another process is at it. `OSError`."""
        return self.files.claim(name)

    def publish(self, part: Part, entry: Entry) -> None:
        """A stream is whole, and can be found from now on. `OSError`, `CacheError`: then it is not kept."""
        part.publish()
        try:
            self.index.add(entry)
        except CacheError:
            self.files.final(entry.name).unlink(missing_ok=True)
            raise
        self._remember(entry.name, part.file)
        part.close()
        self.count("stored")
        self._told.clear()
        with contextlib.suppress(CacheError):  # it is stored all the same
            self._discard(self.index.superseded(entry), "invalidated")

    def adopt(self, part: Part, source: Path, entry: Entry) -> bool:
        """Store a stream from a file that somebody else wrote; False where that is not it. `OSError`, `CacheError`.

        It is copied while it is hashed: what else that somebody does to his file, what is served stays as it was.
        """
        with open(source, "rb") as file:
            digest, size = hashlib.sha256(), 0
            while size <= entry.size and (data := file.read(CHUNK)):
                part.write(size, data)
                digest.update(data)
                size += len(data)
        if size != entry.size or digest.hexdigest() != entry.hash:
            return False
        self.publish(part, entry)
        return True

    def invalidate(self, subjects: Iterable[str]) -> None:
        """Forget all streams of these messages. `CacheError`."""
        self._discard(self.index.of_subjects(list(subjects)), "invalidated")

    def prune(self, progress: Progress | None = None) -> int:
        """Remove what is too old, and what was used longest ago while all is too large; how many. `CacheError`."""
        removed = 0
        oldest = time.time() - self.limits.max_age
        while names := self.index.older_than(oldest):
            removed += self._discard(names, "evicted")
        size = first = self.index.total()[1]
        while size > self.limits.max_size and (candidates := self.index.least_used()):
            for name, bytes_ in candidates:
                if size <= self.limits.max_size:
                    break
                removed += self._discard([name], "evicted")
                size -= bytes_
            if progress is not None:
                progress(first - size, first - self.limits.max_size)
        return removed

    def clean(self, progress: Progress | None = None) -> int:
        """Remove what a crash left: parts of dead processes, files without rows, rows without files; how many."""
        removed = self.files.remove_dead_parts()
        names, total = [], self.index.total()[0]
        for name in self.files.names():
            names.append(name)
            if len(names) == 500:
                removed += self._remove_unknown(names)
                names = []
        removed += self._remove_unknown(names)
        behind, done = "", 0
        while page := self.index.page(behind):
            gone = [name for name in page if not self.files.final(name).exists()]
            removed += self.index.remove(gone) if gone else 0
            behind, done = page[-1], done + len(page)
            if progress is not None:
                progress(done, total)
        return removed

    def clear(self, progress: Progress | None = None) -> int:
        """Remove all streams, and forget what was counted; how many there were."""
        removed, total = 0, self.index.total()[0]
        while page := self.index.page():
            removed += self._discard(page, None)
            if progress is not None:
                progress(removed, max(total, removed))
        self.clean()
        with self._guard:
            self._counted.clear()
        self.index.forget_counters()
        return removed

    def _is_right(self, file: OpenFile, entry: Entry) -> bool:
        if file.size != entry.size:
            return False
        if self._verified.get(entry.name) == file.identity:
            return True
        try:
            if file.digest() != entry.hash:
                return False
        except OSError:
            return False
        self._remember(entry.name, file)
        return True

    def _remember(self, name: str, file: OpenFile) -> None:
        with self._guard:
            while len(self._verified) >= _MAXIMUM_VERIFIED:
                del self._verified[next(iter(self._verified))]
            self._verified[name] = file.identity

    def _discard(self, names: list[str], counter: str | None) -> int:
        """Rows first: a file that is not removed then is one without row."""
        if not names:
            return 0
        removed = self.index.remove(names)
        for name in names:
            self._verified.pop(name, None)
            try:
                self.files.remove(name)
            except OSError:
                continue
        if counter is not None:
            self.count(counter, removed)
        return removed

    def _remove_unknown(self, names: list[str]) -> int:
        if not names:
            return 0
        known, removed = self.index.known(names), 0
        for name in (name for name in names if name not in known):
            if not self.files.is_being_made(name) and self.index.find(name) is None:
                removed += self.files.remove(name)
        return removed


def default_url(path: Path) -> str:
    """Where the index is unless it is told: in the folder of the streams."""
    return f"sqlite:///{os.fspath(path)}/index.db"
