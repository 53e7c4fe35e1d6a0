"""What following an LDAP directory has to remember, in one row of its index: the place, the time, and whose turn it is.

Of all processes that share an index one follows, and at any time at most one reads the server, which may be another:
a command that wants to see what others changed. Both are leases: who dies loses them after a while. Times are the
database server's where there is one, since its clients' clocks differ.
"""

from __future__ import annotations

import dataclasses
import os
import time
import uuid
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.database import DirectoryDatabase
from openchange_py.addressbook.schema import follower

#: So long a reader may take for one part of what the server says; who died is waited for as long.
BUSY_SECONDS = 60.0

_ROW = follower.c.id == 1


class LeaseLost(DirectoryError):
    """Another process took over, since this one took too long."""


@dataclasses.dataclass(frozen=True, slots=True)
class FollowerState:
    """See `schema.follower`; `now` is when it was read."""

    now: float
    source: str = ""
    cookie: str | None = None
    contact: float | None = None
    as_of: float | None = None
    compared: float | None = None
    error: str | None = None


class FollowerRow:
    """One follower's view of the row; `source` names the server that it follows."""

    def __init__(self, database: DirectoryDatabase, source: str) -> None:
        self._database = database
        self._source = source
        self._me = f"{os.uname().nodename}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    def read(self) -> FollowerState:
        """How things are."""
        with self._database.reading() as connection:
            row = connection.execute(select(follower)).first()
            return _state(row, _now(connection))

    def begin(self, keep: float, *, take_over: bool = False) -> FollowerState | None:
        """Get the turn to read the server; None where it is another's.

        Who follows stays it for `keep` seconds after his last turn; `take_over` reads in between, and stays nothing.
        """
        with self._database.writing() as connection:
            row, now = connection.execute(select(follower).with_for_update()).first(), _now(connection)
            if row is None:
                connection.execute(insert(follower).values(id=1, source="", **_NOBODY))
                row = connection.execute(select(follower)).one()
            if row.busy != self._me and row.busy_until > now:
                return None
            values: dict[str, Any] = {"busy": self._me, "busy_until": now + BUSY_SECONDS}
            if not take_over:
                if row.holder != self._me and row.held_until > now:
                    return None
                values |= {"holder": self._me, "held_until": now + keep + BUSY_SECONDS}
            if row.source != self._source:
                # Another server's cookie says nothing here.
                values |= {"source": self._source, "cookie": None, "compared": None}
            connection.execute(update(follower).where(_ROW).values(values))
            return _state(connection.execute(select(follower)).one(), now)

    def go_on(self, **values: Any) -> None:
        """Keep the turn, and remember something; `LeaseLost`."""
        with self._database.writing() as connection:
            mine = update(follower).where(_ROW, follower.c.busy == self._me)
            if not connection.execute(mine.values(busy_until=_now(connection) + BUSY_SECONDS, **values)).rowcount:
                raise LeaseLost("another process reads the directory's server by now")

    def end(self, keep: float, **values: Any) -> None:
        """Give the turn back, and remember something; nothing where it was lost."""
        with self._database.writing() as connection:
            now = _now(connection)
            mine = update(follower).where(_ROW, follower.c.busy == self._me)
            connection.execute(mine.values(busy="", busy_until=0.0, **values))
            held = update(follower).where(_ROW, follower.c.holder == self._me)
            connection.execute(held.values(held_until=now + keep))

    def retire(self) -> None:
        """Let another one follow at once."""
        with self._database.writing() as connection:
            connection.execute(
                update(follower).where(_ROW, follower.c.busy == self._me).values(busy="", busy_until=0.0)
            )
            held = update(follower).where(_ROW, follower.c.holder == self._me)
            connection.execute(held.values(holder="", held_until=0.0))


_NOBODY = {"holder": "", "held_until": 0.0, "busy": "", "busy_until": 0.0}


def _now(connection: Connection) -> float:
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())


def _state(row: Any, now: float) -> FollowerState:
    if row is None:
        return FollowerState(now)
    return FollowerState(now, row.source, row.cookie, row.contact, row.as_of, row.compared, row.error)
