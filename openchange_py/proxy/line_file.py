"""A file that modules write lines to while calls pass: a slow disk holds up nobody, a full one fails no call.

    file = LineFile(Path("/var/log/ocpy/calls.jsonl"))     # raises OSError where it can't be opened
    file.write('{"call": "NspiBind"}')
    file.close()                                           # what is pending is written first

A thread of its own writes. What waits for it is bounded; what does not fit is left out and counted, and so is what
the disk refuses: the log says so, and `lost` makes a line of the file of it. The file is its owner's alone (0600), and
what is there already is kept. Moved away (logrotate) it is opened anew with the next line, without a signal. A name
that ends in `.gz` means gzip; what was written is readable after `kill -9` as well.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import logging
import os
import stat
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

logger = logging.getLogger(__name__)

#: Bytes that may wait to be written.
_PENDING: Final = 16 << 20
#: Seconds that the end of the program waits for the disk.
_PATIENCE: Final = 10.0
#: Bytes that are written at a time.
_PIECE: Final = 64 << 10


class LineFile:
    """Lines of text, written in the order of `write`, which any thread may call.

    `limit`: bytes that the file may have as it is on the disk; then it ends, or with `rotate` is renamed to `NAME.1`
    (which is replaced) and begun anew. `header` gives the first line of each new file.
    """

    def __init__(
        self,
        path: Path,
        *,
        limit: int = 0,
        rotate: bool = False,
        header: Callable[[], str] | None = None,
        lost: Callable[[int], str] | None = None,
        pending: int = _PENDING,
    ) -> None:
        self.path = path
        #: Lines that are in no file.
        self.dropped = 0
        #: The limit is reached.
        self.full = False
        self._limit, self._rotate, self._header, self._lost, self._pending = limit, rotate, header, lost, pending
        self._waiting: list[bytes] = []
        self._size = self._untold = 0
        self._failing = self._closing = self._begun = False
        self._changed = threading.Condition()
        self._file, self._raw = self._open()
        self._thread = threading.Thread(target=self._run, name=f"write {path.name}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Have it written, soon."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._changed:
            if self.full or self._closing or self._size + len(data) > self._pending:
                self._drop(1)
                return
            self._waiting.append(data)
            self._size += len(data)
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, and close it. Harmless the second time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            logger.error("%s: still can't be written to; what waits is lost", self.path)

    def _drop(self, count: int) -> None:
        if not self._untold and not self.full:
            logger.warning("%s: lines are left out, the disk does not keep up", self.path)
        self.dropped += count
        self._untold += count

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                lines, self._waiting, self._size = self._waiting, [], 0
                untold, self._untold = self._untold, 0
                closing = self._closing
            if untold and self._lost is not None and not self.full:
                lines.append(self._lost(untold).encode() + b"\n")
            if lines:
                self._write(lines)
            if closing:
                with contextlib.suppress(OSError):
                    self._close_file()
                return

    def _write(self, lines: list[bytes]) -> None:
        try:
            if self._moved():
                self._close_file()
                self._file, self._raw = self._open()
            self._write_within_limit(lines)
            if self._failing:
                logger.info("%s: can be written to again", self.path)
            self._failing = False
        except OSError as error:
            if not self._failing:
                logger.error("%s: %s; lines are left out", self.path, error.strerror or error)
            self._failing = True
            self.dropped += len(lines)

    def _write_within_limit(self, lines: list[bytes]) -> None:
        """In pieces, so that the file never passes its limit, and has lines as long as one fits."""
        while lines and not self.full:
            taken = self._fitting(lines)
            if taken:
                self._file.write(b"".join(lines[:taken]))
                self._file.flush()
                self._begun = True
                del lines[:taken]
            elif self._begun:
                self._end_file()
            else:  # it would not fit into an empty file either
                del lines[0]
                self.dropped += 1
        self.dropped += len(lines)

    def _fitting(self, lines: list[bytes]) -> int:
        """How many lines are to be written at once: one may be longer than a piece, none than the room."""
        room = self._limit - self._written() if self._limit else sys.maxsize
        taken = size = 0
        for line in lines:
            size += len(line)
            if size > room or (taken and size > _PIECE):
                break
            taken += 1
        return taken

    def _written(self) -> int:
        """Bytes on the disk. A compressed file's next lines count as they are, which is more than they will take."""
        return os.fstat(self._raw.fileno()).st_size

    def _end_file(self) -> None:
        if not self._rotate:
            self.full = True
            logger.warning("%s: has its %d bytes, nothing more is written to it", self.path, self._limit)
            return
        self._close_file()
        self.path.replace(self.path.with_name(self.path.name + ".1"))
        self._file, self._raw = self._open()

    def _moved(self) -> bool:
        try:
            there, ours = os.stat(self.path), os.fstat(self._raw.fileno())
        except (OSError, ValueError):
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _open(self) -> tuple[IO[bytes] | Any, IO[bytes]]:
        # Not through a link: who may write in the folder must not have this server write, and take over, another file.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        raw = os.fdopen(os.open(self.path, flags, 0o600), "ab", buffering=0)
        status = os.fstat(raw.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
            os.fchmod(raw.fileno(), 0o600)
        self._begun = status.st_size > 0
        if self._begun and stat.S_ISREG(status.st_mode) and self.path.suffix != ".gz" and not _ends_a_line(self.path):
            raw.write(b"\n")  # whoever wrote before was killed
        if self.path.suffix == ".gz":
            _take(raw, self.path)
        file = _GzipFile(raw) if self.path.suffix == ".gz" else raw
        if self._header is not None and status.st_size == 0:
            file.write(self._header().encode() + b"\n")
            file.flush()
        return file, raw

    def _close_file(self) -> None:
        try:
            self._file.close()
        finally:
            self._raw.close()


def _take(raw: IO[bytes], path: Path) -> None:
    """Have a file to oneself: what two processes compress into one, nobody can read."""
    try:
        fcntl.flock(raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raw.close()
        raise OSError(errno.EBUSY, "another process writes to it", str(path)) from None


def _ends_a_line(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class _GzipFile(gzip.GzipFile):
    """Every flush makes what was written readable."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__(filename="", mode="ab", fileobj=raw, compresslevel=6)

    def flush(self, zlib_mode: int = zlib.Z_SYNC_FLUSH) -> None:
        if not self.closed:
            super().flush(zlib_mode)
