"""Shows what passes, readable: calls with their parameters, ROP by ROP, as text or as one JSON object per line.

Passwords and tickets never pass here, but what is in mailboxes and address book does: who may read the output decides
who may read that. What it looks like tells `proxy.dissection`.

Calls are decoded while they pass, and written by a thread: a slow disk holds up no call, and what it does not keep up
with is left out and counted. (Decoding in that thread would cost as much, and hold up the event loop for longer at a
time, since only one thread runs Python.) A call that does not decode is shown up to there, and passes like any other.
"""

from __future__ import annotations

import enum
import json
import logging
import time
from pathlib import Path
from typing import Final

from openchange_py.config.options import Option, choice, integer, names
from openchange_py.config.settings import Settings
from openchange_py.proxy.dissection import Dissector, Record, record_text
from openchange_py.proxy.hooks import ANY, Module
from openchange_py.proxy.line_file import LineFile
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.wire.rop.base import REQUESTS, RESPONSES
from openchange_py.wire.rop.dissect import Lengths, rop_name

logger = logging.getLogger(__name__)


class Format(enum.Enum):
    """`mpm_print:format`."""

    TEXT = "text"
    JSON = "json"

    def __str__(self) -> str:
        return self.value


def output(value: str) -> Path | None:
    """An absolute path; nothing for the log."""
    if value and not value.startswith("/"):
        raise ValueError(f"{value!r} is no absolute path")
    return Path(value) if value else None


_ROPS: Final = frozenset(rop_name(rop_id).casefold() for rop_id in (*REQUESTS, *RESPONSES))


def rop_names(value: str) -> tuple[str, ...]:
    """A list of ROPs by the document's names, such as OpenFolder; nothing for all."""
    found = names(value)
    for name in found:
        if _plain(name) not in _ROPS:
            raise ValueError(f"there is no ROP {name!r}")
    return found


def _plain(name: str) -> str:
    """`openfolder` of `RopOpenFolder`."""
    return name.casefold().removeprefix("rop")


FILE = Option("mpm_print:file", output, None, "where to; nothing for the log")
FORMAT = Option("mpm_print:format", choice(Format, {f.value: f for f in Format}), Format.TEXT, "how it looks")
USERS = Option("mpm_print:users", names, (), "accounts whose calls are shown; nothing for all")
ROPS = Option("mpm_print:rops", rop_names, (), "ROPs that are shown, and no call without one; nothing for all")
LENGTHS = Option(
    "mpm_print:lengths", integer(1, 1 << 20), 64, "how much is shown of long values: bytes, characters, list elements"
)


class PrintModule(Module):
    """Every call, request and response, before and after all modules inside of this one."""

    name = "print"
    description = "shows what passes, as text or JSON lines"
    endpoint = ANY
    options = (FILE, FORMAT, USERS, ROPS, LENGTHS)

    def init(self, settings: Settings) -> None:
        """Opens the file."""
        length, rops = settings[LENGTHS], settings[ROPS]
        self._rops = frozenset(map(_plain, rops)) or None
        self._dissector = Dissector(Lengths(length, length, length), self._rops)
        self._users = frozenset(user.casefold() for user in settings[USERS])
        self._json = settings[FORMAT] is Format.JSON
        path = settings[FILE]
        self._file = None if path is None else LineFile(path, lost=self._lost)

    def close(self) -> None:
        """Writes what waits."""
        if self._file is not None:
            self._file.close()
            if self._file.dropped:
                logger.warning("%s: %d entries were left out", self._file.path, self._file.dropped)

    async def ndr_pull(self, call: Call) -> None:
        """The request as it came."""
        if not self._wants(call):
            return
        call.notes[self] = time.monotonic()
        try:
            self._show(await self._dissector.request(call))
        except Exception:
            logger.exception("%s: a request of %s is not shown", call.session, call.name)

    def ndr_push(self, call: Call) -> None:
        """The response as it goes."""
        if not self._wants(call):
            return
        try:
            self._show(self._dissector.response(call, self._seconds(call)))
        except Exception:
            logger.exception("%s: a response to %s is not shown", call.session, call.name)

    def fault(self, call: Call, fault: RpcFault) -> None:
        """The fault in its place. A call's faults are shown whatever ROPs are asked for."""
        if self._wants(call):
            self._write(self._dissector.fault(call, fault, self._seconds(call)))

    def _wants(self, call: Call) -> bool:
        if not self._users:
            return True
        caller = call.caller
        return caller.account.casefold() in self._users or str(caller).casefold() in self._users

    def _seconds(self, call: Call) -> float | None:
        start = call.notes.get(self)
        return None if start is None else time.monotonic() - start

    def _show(self, record: Record) -> None:
        if self._rops is None or any(buffer["rops"] for buffer in record.get("buffers", ())):
            self._write(record)

    def _write(self, record: Record) -> None:
        text = json.dumps(record) if self._json else record_text(record)
        if self._file is None:
            logger.info("%s", text)
        else:
            self._file.write(text if self._json else f"{record['time']} {text}")

    def _lost(self, count: int) -> str:
        return json.dumps({"left_out": count}) if self._json else f"({count} entries were left out)"
