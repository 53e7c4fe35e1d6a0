"""Having a stream's file fetched by a program (`mpm_cache:sync_cmd`), such as rsync from the next proxy's cache.

The command is a list of words, run without a shell. In each of them

    __FILE__   is the absolute file that it has to write, which has the same name in the next proxy's `mpm_cache:path`
    __NAME__   the same without that path in front, for proxies that keep their caches in different places
    __USER__   the account of the client that asks first
    __SIZE__   the stream's bytes
    __HASH__   its SHA-256, in hexadecimal digits

What it wrote is taken if its size and hash are right, and removed otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

#: What an account's name may have in it to be put into a command: nothing that a program could take for an option.
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,255}")
_MARK: Final = re.compile(r"__(?:FILE|NAME|USER|SIZE|HASH)__")
#: Bytes of what the program says on its standard error that stand in the log.
_SAID: Final = 500


def command(value: str) -> str:
    """A program and its arguments; quotes keep words together, and one of them has `__FILE__` in it."""
    words = command_words(value)
    if words and not any("__FILE__" in word for word in words[1:]):
        raise ValueError("the command does not say __FILE__, which is what it has to write")
    return value


def command_words(value: str) -> Sequence[str]:
    """A command as its words. `ValueError` for a quote without its end."""
    return tuple(shlex.split(value))


def filled_in(words: Sequence[str], values: Mapping[str, str]) -> list[str] | None:
    """The command with its marks replaced; None where the account's name is none to be put there."""
    if any("__USER__" in word for word in words) and not _ACCOUNT.fullmatch(values["__USER__"]):
        return None
    return [_MARK.sub(lambda mark: values[mark[0]], word) for word in words]


async def run(words: Sequence[str], target: Path, seconds: float) -> bool:
    """Run the command; whether it says that it did it. After `seconds` it is killed, with all that it started.

    `target` is what it has to write; it is not there before.
    """
    await asyncio.to_thread(target.unlink, missing_ok=True)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        logger.warning("mpm_cache:sync_cmd: %s: %s", words[0], error.strerror or error)
        return False
    try:
        said = await asyncio.wait_for(_wait(process), seconds)
    except TimeoutError:
        logger.warning("mpm_cache:sync_cmd: %s took longer than %g s", words[0], seconds)
        return False
    finally:
        _kill(process)
        await process.wait()
    if process.returncode:
        text = said.decode("utf-8", "replace").strip()
        logger.warning("mpm_cache:sync_cmd: %s ended with %d: %s", words[0], process.returncode, text)
    return process.returncode == 0


async def _wait(process: asyncio.subprocess.Process) -> bytes:
    """The end of what it says, once it ended."""
    said = b""
    assert process.stderr is not None
    while data := await process.stderr.read(4096):
        said = (said + data)[-_SAID:]
    await process.wait()
    return said


def _kill(process: asyncio.subprocess.Process) -> None:
    """It and all that it started, which is a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
