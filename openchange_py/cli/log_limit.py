"""No client fills the disk with what the log says about it: so many lines a minute, and then how many were left out.

Counted is by address and account, so that strangers at a shared address do not hide what its users do. Lines of
debugging are not counted, nor what modules and `print` write: who asks for them wants them all.
"""

from __future__ import annotations

import collections
import contextvars
import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from openchange_py.rpc.log_context import log_fields
from openchange_py.rpc.peers import address_of, network_of

logger = logging.getLogger(__name__)

_WINDOW: Final = 60.0
#: Clients at one time; of more the oldest are told of and forgotten.
_CAPACITY: Final = 10_000
_UNCOUNTED: Final = ("openchange_py.proxy.printing", "openchange_py.proxy.modules", __name__)

_Client = tuple[str, str]


@dataclasses.dataclass(slots=True)
class _Window:
    began: float
    lines: int = 0
    left_out: int = 0


class LineLimit(logging.Filter):
    """A handler's filter that lets `lines` a minute through about one client. `clock` is in seconds, monotonic."""

    def __init__(self, lines: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._lines = lines
        self._clock = clock
        self._guard = threading.Lock()
        #: In the order in which they began.
        self._windows: collections.OrderedDict[_Client, _Window] = collections.OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.levelno < logging.INFO or not _is_counted(record.name):
            return True
        fields = log_fields(record.args)
        peer = fields.get("peer")
        if peer is None:
            return True
        client = network_of(address_of(str(peer))), str(fields.get("account", ""))
        now = self._clock()
        with self._guard:
            over = self._over(now)
            window = self._windows.setdefault(client, _Window(now))
            window.lines += 1
            window.left_out += window.lines > self._lines
            first = window.left_out == 1
        self._tell(over)
        if first:
            _log("more lines about %s (%s) than %d a minute are left out", *client, self._lines)
        return not window.left_out

    def finish(self) -> None:
        """Tell what was left out so far."""
        with self._guard:
            over = list(self._windows.items())
            self._windows.clear()
        self._tell(over)

    def _over(self, now: float) -> list[tuple[_Client, _Window]]:
        """Take out the windows that are over."""
        over = []
        while self._windows:
            window = next(iter(self._windows.values()))
            if now < window.began + _WINDOW and len(self._windows) < _CAPACITY:
                break
            over.append(self._windows.popitem(last=False))
        return over

    def _tell(self, windows: list[tuple[_Client, _Window]]) -> None:
        for client, window in windows:
            if window.left_out:
                _log("%d lines about %s (%s) were left out", window.left_out, *client)


def _is_counted(name: str) -> bool:
    return name.startswith("openchange_py.") and not name.startswith(_UNCOUNTED)


def _log(message: str, *arguments: object) -> None:
    """A line that is about no call: whoever's line comes next is not to blame."""
    contextvars.Context().run(logger.warning, message, *arguments)
