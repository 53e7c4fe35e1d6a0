"""What a client has between EcDoConnectEx and EcDoDisconnect: [MS-OXCRPC] 3.1.1."""

from __future__ import annotations

import dataclasses

from openchange_py.addressbook.base import Directory, Entry
from openchange_py.servers.emsmdb.codepages import FALLBACK
from openchange_py.servers.emsmdb.handles import HandleTable
from openchange_py.store.base import Store


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
        self.objects = HandleTable()

    def close(self) -> None:
        """Let go of everything."""
        self.objects.clear()
