"""Mail on disk: .eml files, mbox, maildir. One message at a time is in memory."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from openchange_py.mime.parser import SIZE_LIMIT, ImportRefused

_LINE = 1 << 16
_FIELD = re.compile(rb"[\x21-\x39\x3b-\x7e]{1,200}[ \t]*:")
_STATUS = re.compile(rb"^(?:X-)?Status:[ \t]*[A-Z]*R", re.IGNORECASE | re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class MailSource:
    """One message and where it is. `read` raises `ImportRefused` where it cannot be read."""

    name: str
    read: Callable[[], bytes]
    is_read: bool = False


def read_mail(path: Path) -> Iterator[MailSource]:
    """The messages at a path, in their order; `ImportRefused` where there are none to read."""
    if path.is_dir():
        yield from _maildir(path) if (path / "cur").is_dir() or (path / "new").is_dir() else _folder(path)
    elif path.is_file():
        yield from _mbox(path) if _is_mbox(path) else iter([_file(path)])
    else:
        raise ImportRefused(f"there is no file or folder {path}")


def _file(path: Path, *, is_read: bool = False) -> MailSource:
    def read() -> bytes:
        try:
            with path.open("rb") as stream:
                return stream.read(SIZE_LIMIT + 1)
        except OSError as error:
            raise ImportRefused(f"cannot read it: {error.strerror}") from error

    return MailSource(str(path), read, is_read)


def _folder(path: Path) -> Iterator[MailSource]:
    """Its .eml files. Other files are named as refused: nothing is passed over in silence."""
    files = sorted(child for child in path.iterdir() if child.is_file() and not child.name.startswith("."))
    if not any(map(_is_eml, files)):
        raise ImportRefused(f"{path} is no maildir, and there are no .eml files in it")
    return (_file(child) if _is_eml(child) else _other_file(child) for child in files)


def _is_eml(path: Path) -> bool:
    return path.suffix.lower() == ".eml"


def _other_file(path: Path) -> MailSource:
    def read() -> bytes:
        raise ImportRefused("its name does not end in .eml; import it by its own name if it is mail")

    return MailSource(str(path), read)


def _maildir(path: Path) -> Iterator[MailSource]:
    """`cur` and `new`; the flag S says that a message was seen."""
    for name in ("cur", "new"):
        folder = path / name
        for child in sorted(folder.iterdir()) if folder.is_dir() else ():
            if child.is_file() and not child.name.startswith("."):
                yield _file(child, is_read="S" in child.name.partition(":2,")[2])


def _is_mbox(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(5) == b"From "
    except OSError as error:
        raise ImportRefused(f"cannot read {path}: {error.strerror}") from error


def _mbox(path: Path) -> Iterator[MailSource]:
    with path.open("rb") as stream:
        for number, (raw, size) in enumerate(_split(stream), 1):
            yield MailSource(f"{path}#{number}", _reader(raw, size), _STATUS.search(raw[:65536]) is not None)


def _reader(raw: bytes, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        if size > SIZE_LIMIT:
            raise ImportRefused(f"{size} bytes; a message can have {SIZE_LIMIT}")
        return raw

    return read


def _split(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Messages and their sizes. Of a message that is too large the rest is passed over.

    A message begins behind a line `From ...` that a header field follows: not all programs write the empty line
    before it that the format asks for. `>From ` stays as it is: who wrote the file is not known.
    """
    lines: list[bytes] = []
    size = 0
    begun, line_start = False, True
    line = stream.readline(_LINE)
    while line:
        following = stream.readline(_LINE)
        if line_start and line.startswith(b"From ") and (not begun or _FIELD.match(following)):
            if begun:
                yield _without_separator(lines), size
            lines, size, begun = [], 0, True
        else:
            size += len(line)
            if size <= SIZE_LIMIT:
                lines.append(line)
        line_start = line.endswith(b"\n")
        line = following
    if begun:
        yield _without_separator(lines), size


def _without_separator(lines: list[bytes]) -> bytes:
    """Without the empty line that an mbox has behind each message."""
    if lines and lines[-1] in (b"\n", b"\r\n"):
        lines = lines[:-1]
    return b"".join(lines)
