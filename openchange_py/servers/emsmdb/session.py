"""What a client has between EcDoConnectEx and EcDoDisconnect: [MS-OXCRPC] 3.1.1."""

from __future__ import annotations

import codecs

from openchange_py.addressbook.base import Directory, Entry
from openchange_py.servers.emsmdb.handles import HandleTable
from openchange_py.store.base import Store

#: Code pages whose Python codec has another name than `cpN`.
_CODECS = {1200: "utf-16-le", 20127: "ascii", 20261: "latin-1", 28591: "latin-1", 65000: "utf-7", 65001: "utf-8"}

_FALLBACK = "cp1252"


def codec_of(code_page: int) -> str:
    """The Python codec of a Windows code page; Western European where there is none."""
    name = _CODECS.get(code_page, f"cp{code_page}")
    try:
        codecs.lookup(name)
    except LookupError:
        return _FALLBACK
    return name


class EmsmdbSession:
    """One session context: who is connected, as whom, and the objects that are open."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        caller: Entry,
        user: Entry,
        *,
        code_page: int,
        client_version: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self.directory = directory
        self.store = store
        #: The account that authenticated: what it may do decides.
        self.caller = caller
        #: The user whose DN the client presented: the same, or one whose mailbox `caller` has full access to.
        self.user = user
        self.codec = codec_of(code_page)
        self.client_version = client_version
        self.objects = HandleTable()

    def close(self) -> None:
        """Let go of everything."""
        self.objects.clear()
