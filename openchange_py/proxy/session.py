"""What a module keeps for one client session.

MAPIProxy's session API (create, private data, destructor, compare, release):

    kept = self.session(call)                    # create, or the one that there is
    kept.data = Reader()                         # private data
    kept.destructor = Reader.close               # called with the data, once, however the session ends
    kept.matches(other_call)                     # compare: the same client session and interface?
    kept.release()                               # let go before the session's end
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from openchange_py.rpc.call import Call, Session

logger = logging.getLogger(__name__)

_KEY = "openchange_py.proxy.session"


class ModuleSession:
    """One module's private data for the calls of one interface in one client session."""

    __slots__ = ("_owner", "_session", "data", "destructor", "interface")

    def __init__(self, session: Session, interface: str, owner: object) -> None:
        self._session, self._owner = session, owner
        self.interface = interface
        self.data: Any = None
        self.destructor: Callable[[Any], None] | None = None

    @classmethod
    def of(cls, call: Call, owner: object) -> ModuleSession:
        """The owner's session that a call belongs to, made where there is none."""
        kept = call.session.state.setdefault(_KEY, {})
        key = (owner, call.interface.name)
        found: ModuleSession | None = kept.get(key)
        if found is None:
            found = kept[key] = cls(call.session, call.interface.name, owner)
        return found

    def matches(self, call: Call) -> bool:
        """Whether a call belongs to it: the same client session and the same interface."""
        return call.session is self._session and call.interface.name == self.interface

    def release(self) -> None:
        """Destroy the data now; a later call of the session makes a new one. Harmless the second time."""
        self._session.state.get(_KEY, {}).pop((self._owner, self.interface), None)
        data, destructor = self.data, self.destructor
        self.data = self.destructor = None
        if destructor is None:
            return
        try:
            destructor(data)
        except Exception:
            logger.exception("%s: a destructor of %s failed", self._session, type(self._owner).__name__)


def release_sessions(session: Session) -> None:
    """The client's session ended: release what modules kept for it."""
    for kept in list(session.state.get(_KEY, {}).values()):
        kept.release()
    session.state.pop(_KEY, None)
