"""Where the log of a running server goes, and how much of it there is."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Final

from openchange_py.config import Settings, declared

#: `log level` in numbers of Python's logging: 0 warnings, 1 events, 2 and above everything.
_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_log(settings: Settings) -> None:
    """Log to `log file`, or to standard error, at `log level`."""
    levels = settings[declared.LOG_LEVEL]
    path = settings[declared.LOG_FILE]
    handler = logging.StreamHandler(sys.stderr) if path is None else _file_handler(path)
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger("openchange_py").setLevel(python_level(levels.general))
    for part, level in levels.parts:
        logging.getLogger(f"openchange_py.{part}").setLevel(python_level(level))


def python_level(level: int) -> int:
    """Samba's number as Python's."""
    return _LEVELS[min(max(level, 0), len(_LEVELS) - 1)]


def _file_handler(path: Path) -> logging.Handler:
    """A log names accounts and addresses: nobody else reads it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640))
    return logging.FileHandler(path, encoding="utf-8")
