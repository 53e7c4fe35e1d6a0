"""The keys that two hops share: a file of lines `ID KEY`, both hexadecimal, the first for what is sent.

    # made by `ocpy hopkey`
    3f9a01c2 8d0c...64 digits
    77b2e410 55aa...64 digits

All of them open what comes, so that keys change without a break: add the new one at both hops, make it the first at
both, then drop the old one. The file is read again when it changes. It must be readable by its owner alone.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

KEY_SIZE: Final = 32
_LINE: Final = re.compile(r"([0-9a-fA-F]{8})\s+([0-9a-fA-F]{64})", re.ASCII)
_HEADER: Final = (
    "# Keys of module encrypt, made by `ocpy hopkey`. The first is for what is sent, all open what comes.\n"
)
#: The file is looked at so often, in seconds.
_INTERVAL: Final = 1.0


class KeyFileError(ValueError):
    """A file that can't be used; the message says why, and never what is in it."""


def read_keys(path: Path) -> dict[bytes, bytes]:
    """The keys by id, in the file's order. Raises `KeyFileError`."""
    try:
        with path.open(encoding="ascii") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyFileError(f"{path}: others than its owner may use it; chmod 600 it, and make new keys")
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    keys: dict[bytes, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or bytes.fromhex(match[1]) in keys:
            raise KeyFileError(f"{path}:{number}: no ID and KEY of 8 and 64 hexadecimal digits, or an ID that is taken")
        keys[bytes.fromhex(match[1])] = bytes.fromhex(match[2])
    if not keys:
        raise KeyFileError(f"{path} holds no key")
    return keys


def write_keys(path: Path, keys: dict[bytes, bytes]) -> None:
    """Replace the file, whole or not at all; only its owner may read it. Raises `OSError`."""
    lines = [f"{key_id.hex()} {key.hex()}\n" for key_id, key in keys.items()]
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(_HEADER + "".join(lines))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def new_key(keys: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """A fresh key, and an id that none of these has."""
    key_id = secrets.token_bytes(4)
    while key_id in keys:
        key_id = secrets.token_bytes(4)
    return key_id, secrets.token_bytes(KEY_SIZE)


class KeyFile:
    """The keys of a file, as it is now; a change that can't be read leaves those before in force."""

    def __init__(self, path: Path, changed: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._changed, self._clock = path, changed, clock
        self._mark = self._look()
        self._keys = read_keys(path)
        self._looked = clock()

    @property
    def keys(self) -> dict[bytes, bytes]:
        """By id, the one for what is sent first."""
        now = self._clock()
        if now - self._looked >= _INTERVAL:
            self._looked = now
            mark = self._look()
            if mark != self._mark:
                self._mark = mark
                self._read_again()
        return self._keys

    def _read_again(self) -> None:
        try:
            self._keys = read_keys(self._path)
            self._changed(f"{self._path} was read again: {len(self._keys)} keys")
        except KeyFileError as error:
            self._changed(f"the keys before stay in force: {error}")

    def _look(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0, 0
        return status.st_mtime_ns, status.st_ino, status.st_size
