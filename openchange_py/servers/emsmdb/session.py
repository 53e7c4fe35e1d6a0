"""What a client has between EcDoConnectEx and EcDoDisconnect: [MS-OXCRPC] 3.1.1."""

from __future__ import annotations

import collections
import dataclasses
import threading
import uuid
from typing import Final

from openchange_py.addressbook.base import Directory, Entry
from openchange_py.servers.emsmdb.codepages import FALLBACK
from openchange_py.servers.emsmdb.handles import HandleTable
from openchange_py.servers.emsmdb.notifications import Notifications
from openchange_py.store.base import Store

#: Bytes that one message may have, where nothing else is said.
LARGEST_MESSAGE: Final = 256 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client told of itself in EcDoConnectEx: [MS-OXCRPC] 3.1.4.1."""

    code_page: int = FALLBACK
    locale: int = 0x0409
    sort_locale: int = 0x0409


class EmsmdbSession:
    """One session context: who is connected, as whom, and the objects that are open."""

    def __init__(
        self, directory: Directory, store: Store, caller: Entry, user: Entry, settings: ClientSettings | None = None
    ) -> None:
        self.directory = directory
        self.store = store
        #: The account that authenticated: what it may do decides.
        self.caller = caller
        #: The user whose DN the client presented: the same, or one whose mailbox `caller` has full access to.
        self.user = user
        self.settings = settings or ClientSettings()
        #: Bytes that a message which it saves may have.
        self.largest_message = LARGEST_MESSAGE
        self.objects = HandleTable()
        self.notifications = Notifications()

    def close(self) -> None:
        """Let go of everything."""
        self.objects.clear()
        self.notifications.close()


class SessionCounter:
    """Open sessions by account and the user it connected as, over all its associations: a relay's account opens one
    for each of its users. Safe from several threads.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._sessions: dict[tuple[uuid.UUID, uuid.UUID], set[int]] = collections.defaultdict(set)

    def add(self, session: EmsmdbSession, limit: int) -> bool:
        """Count one more; false where there are `limit` already."""
        with self._guard:
            opened = self._sessions[_owner(session)]
            if len(opened) >= limit:
                return False
            opened.add(id(session))
            return True

    def remove(self, session: EmsmdbSession) -> None:
        """It is closed; said twice it counts once."""
        with self._guard:
            opened = self._sessions[_owner(session)]
            opened.discard(id(session))
            if not opened:
                del self._sessions[_owner(session)]


def _owner(session: EmsmdbSession) -> tuple[uuid.UUID, uuid.UUID]:
    return session.caller.guid, session.user.guid
