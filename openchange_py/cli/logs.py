"""Where the log of a running server goes, how much of it there is, and how a line looks.

One entry cannot look like two: whatever clients put into names and tokens, text lines begin with a time only where
an entry begins, and JSON lines are one object each.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, Final

from openchange_py.cli.log_limit import LineLimit
from openchange_py.config import Settings, declared
from openchange_py.config.declared import LogFormat
from openchange_py.rpc.log_context import LogFields, log_fields

#: `log level` in numbers of Python's logging: 0 warnings, 1 events, 2 and above everything.
_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)

_FORMAT: Final = "%(asctime)s%(worker)s %(levelname)s %(name)s: %(message)s"


class TextFormatter(logging.Formatter):
    """Lines for people. Control characters of a message are escaped, lines of a traceback are indented."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        record.worker = f" {name}" if (name := worker_of(record)) else ""
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return _indented(stack_info)


class JsonFormatter(logging.Formatter):
    """One object per line: time, level, part and message, and what the entry is about (`rpc.log_context`)."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        entry: LogFields = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("openchange_py."),
            "message": record.getMessage(),
        }
        if worker := worker_of(record):
            entry["worker"] = worker
        entry |= {name: value for name, value in log_fields(record.args).items() if name not in entry}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        # ASCII alone: no byte of a client's name means anything to who reads the file.
        return json.dumps(entry)


def worker_of(record: logging.LogRecord) -> str:
    """Which of several processes that write one log made the entry; "" where there is one, or for their supervisor."""
    name = record.processName or ""
    return name if name.startswith("worker ") else ""


def printable(text: str) -> str:
    """Text with everything escaped that could move the cursor, end a line or turn its direction."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _indented(text: str) -> str:
    return "\n".join(f"    {printable(line)}" for line in text.split("\n"))


def start_log(settings: Settings) -> None:
    """Log to `log file`, or to standard error, at `log level`. Called again, it opens the file again.

    Raises `OSError` where the file can't be opened; then all is as before.
    """
    levels = settings[declared.LOG_LEVEL]
    path = settings[declared.LOG_FILE]
    handler = logging.StreamHandler(sys.stderr) if path is None else _file_handler(path)
    handler.setFormatter(JsonFormatter() if settings[declared.LOG_FORMAT] is LogFormat.JSON else TextFormatter())
    if lines := settings[declared.LOG_LINES]:
        handler.addFilter(LineLimit(lines))
    finish_log()
    root = logging.getLogger()
    before = root.handlers[:]
    root.addHandler(handler)
    for old in before:
        root.removeHandler(old)
        if isinstance(old, logging.FileHandler):
            old.close()
    _set_levels(levels.general, dict(levels.parts))


def finish_log() -> None:
    """Tell what was left out of the log so far."""
    for handler in logging.getLogger().handlers:
        for limit in handler.filters:
            if isinstance(limit, LineLimit):
                limit.finish()


def _set_levels(general: int, parts: dict[str, int]) -> None:
    """Levels of the program and its parts; a part that has none any more follows the program again."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("openchange_py.") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)
    logging.getLogger("openchange_py").setLevel(python_level(general))
    for part, level in parts.items():
        logging.getLogger(f"openchange_py.{part}").setLevel(python_level(level))


def python_level(level: int) -> int:
    """Samba's number as Python's."""
    return _LEVELS[min(max(level, 0), len(_LEVELS) - 1)]


def _file_handler(path: Path) -> logging.Handler:
    """A log names accounts and addresses: nobody else reads it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640))
    return logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
