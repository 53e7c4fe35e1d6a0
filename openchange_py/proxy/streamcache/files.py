"""The files of the cache: `PATH/3f/3fa4...`, one stream's bytes each and nothing else.

A file gets its name when it is whole: it is written as `NAME.part`, synced, and renamed. Who writes has the part
locked (flock), so one process at a time makes one file, and what a killed one left behind is told from what is being
written: its lock is free. Names are hexadecimal digits that this program computed; nothing else is ever looked up
below PATH.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = ".part"
#: Bytes that are read or copied at a time.
CHUNK: Final = 1 << 20
#: Reads without waiting for a disk, where the system can.
_NOWAIT: Final = getattr(os, "RWF_NOWAIT", 0)


class WouldBlock(Exception):
    """The bytes are not in memory: read them in a thread."""


class OpenFile:
    """An open file of the cache: it can be read even after it was removed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._fd).st_size

    @property
    def identity(self) -> tuple[int, ...]:
        """What tells this file from another one in its place."""
        status = os.fstat(self._fd)
        return (status.st_ino, status.st_dev, status.st_mtime_ns, status.st_size)

    def read(self, offset: int, count: int) -> bytes:
        """So many bytes; `OSError` where there are fewer."""
        data = os.pread(self._fd, count, offset)
        while len(data) < count:
            more = os.pread(self._fd, count - len(data), offset + len(data))
            if not more:
                raise OSError(f"a file of the cache ends {count - len(data)} bytes too early")
            data += more
        return data

    def read_now(self, offset: int, count: int) -> bytes:
        """So many bytes, if the system has them in memory; else `WouldBlock`."""
        if not _NOWAIT:
            raise WouldBlock
        buffer = bytearray(count)
        try:
            got = os.preadv(self._fd, [buffer], offset, _NOWAIT)
        except OSError:
            raise WouldBlock from None
        if got < count:
            raise WouldBlock
        return bytes(buffer)

    def digest(self) -> str:
        """The SHA-256 of all its bytes, read now."""
        digest, offset = hashlib.sha256(), 0
        while data := os.pread(self._fd, CHUNK, offset):
            digest.update(data)
            offset += len(data)
        return digest.hexdigest()

    def close(self) -> None:
        """Close it; nobody may be reading."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Part:
    """The right to make one file, and its bytes so far: `file`. Held until `close`."""

    def __init__(self, fd: int, path: Path, final: Path) -> None:
        self.file = OpenFile(fd)
        self._fd: int | None = fd
        self._path, self._final = path, final
        self._published = False

    def write(self, offset: int, data: bytes) -> None:
        """Write all of it there; `OSError`."""
        if self._fd is None:
            raise OSError("a file of the cache is closed")
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            view, offset = view[written:], offset + written

    def publish(self) -> None:
        """It is whole: on the disk, under its name; `file` is the caller's to close. `OSError`."""
        assert self._fd is not None
        os.fsync(self._fd)
        os.rename(self._path, self._final)
        self._published = True
        _sync_folder(self._final.parent)

    def close(self) -> None:
        """Let go of the right. What was not published is gone, and `file` with it."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        if self._published:
            fcntl.flock(fd, fcntl.LOCK_UN)
            return
        self._path.unlink(missing_ok=True)
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class StreamFiles:
    """The folder. `mode` is that of its folders (0700); files get it without the execute bits."""

    def __init__(self, path: Path, mode: int = 0o700) -> None:
        self.path = path
        self._mode = mode
        self._file_mode = mode & 0o666

    def prepare(self) -> None:
        """Make the folder; `OSError`."""
        self.path.mkdir(parents=True, exist_ok=True, mode=self._mode)
        os.chmod(self.path, self._mode)

    @staticmethod
    def relative(name: str) -> str:
        """Where a stream's file is below the folder, the same at every proxy."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a stream")
        return f"{name[:2]}/{name}"

    def final(self, name: str) -> Path:
        """The file of a stream."""
        return self.path / self.relative(name)

    def open(self, name: str) -> OpenFile:
        """The stream's file; `OSError`."""
        return OpenFile(os.open(self.final(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))

    def claim(self, name: str) -> Part | None:
        """The right to make that file, empty; None where another process is at it. `OSError`."""
        final = self.final(name)
        path = final.with_name(final.name + _PART)
        if not final.parent.is_dir():
            final.parent.mkdir(exist_ok=True, mode=self._mode)
            os.chmod(final.parent, self._mode)
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, self._file_mode)
            try:
                if not _lock(fd):
                    os.close(fd)
                    return None
                if _is(fd, path):
                    os.ftruncate(fd, 0)
                    os.fchmod(fd, self._file_mode)
                    return Part(fd, path, final)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # another one finished it, or threw it away, just now

    def remove(self, name: str) -> bool:
        """Remove a stream's file; False where another process is making it anew."""
        part = self.claim(name)
        if part is None:
            return False
        with part:
            self.final(name).unlink(missing_ok=True)
        return True

    def remove_dead_parts(self) -> int:
        """Remove what was begun by processes that are gone; how many there were."""
        removed = 0
        for path in self.path.glob(f"??/*{_PART}"):
            name = path.name.removesuffix(_PART)
            if _is_in_its_place(name, path.parent) and (part := self.claim(name)) is not None:
                part.close()
                removed += 1
        return removed

    def names(self) -> Iterator[str]:
        """The names of all files that are there."""
        for folder in sorted(self.path.glob("??")):
            with contextlib.suppress(OSError), os.scandir(folder) as found:
                yield from [entry.name for entry in found if _is_in_its_place(entry.name, folder)]

    def is_being_made(self, name: str) -> bool:
        """Whether a process is just giving that file its row: it has it locked."""
        try:
            fd = os.open(self.final(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _lock(fd)
        finally:
            os.close(fd)


def _is_in_its_place(name: str, folder: Path) -> bool:
    return _NAME.fullmatch(name) is not None and name[:2] == folder.name


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(fd: int, path: Path) -> bool:
    """Whether an open file still has that name."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
