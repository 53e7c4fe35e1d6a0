"""Saving attachments: names that a stranger chose, files that exist already, and large ones that take a while."""

from __future__ import annotations

import contextlib
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

import click

from openchange_py.client.messages import AttachmentInfo

#: Bytes that a file name may have on the usual file systems, less what a suffix such as `.part` takes.
_LONGEST_NAME: Final = 240

_NOT_IN_NAMES: Final = re.compile(r'[<>:"|?*\\/]')
#: Names that are devices on Windows, whatever their extension.
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


def safe_file_name(name: str, fallback: str) -> str:
    """A file name made of an attachment's: no folders, no control characters, not hidden, not too long."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    visible = "".join(
        char for char in last if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    cleaned = _NOT_IN_NAMES.sub("_", visible).strip().lstrip(".").rstrip(". ")
    if not cleaned:
        return fallback
    if _DEVICES.fullmatch(cleaned):
        cleaned = f"_{cleaned}"
    return _limited(cleaned)


def _limited(name: str) -> str:
    """Not more bytes than a file name may have; the extension stays."""
    if len(name.encode("utf-8")) <= _LONGEST_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    suffix = f".{extension}" if dot and len(extension) <= 16 else ""
    room = _LONGEST_NAME - len(suffix.encode("utf-8"))
    return (stem if suffix else name).encode("utf-8")[:room].decode("utf-8", "ignore") + suffix


def target_path(save: str, attachment: AttachmentInfo, position: int) -> Path:
    """Where `--save` puts an attachment: the file that it names, or one in the folder that it names."""
    path = Path(save)
    if not (save.endswith("/") or path.is_dir()):
        return path
    if not path.is_dir():
        raise click.ClickException(f"{save}: there is no such directory")
    return path / safe_file_name(attachment.name, f"attachment-{position}")


@contextlib.contextmanager
def new_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file to write, all of it or nothing. Without `force` one that exists is left alone: `ClickException`."""
    try:
        with _replacing(path) if force else _creating(path) as file:
            yield file
    except FileExistsError:
        raise click.ClickException(f"{path} exists already: --force overwrites it") from None


@contextlib.contextmanager
def _creating(path: Path) -> Iterator[BinaryIO]:
    file = open(path, "xb")  # noqa: SIM115  closed below, and removed where it stays incomplete
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".ocpy-", delete=False) as file:
        temporary = Path(file.name)
        try:
            yield cast("BinaryIO", file)
            file.flush()
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
