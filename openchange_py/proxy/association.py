"""What a client session has open upstream: an association per handle space, and what outlives one."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import Final, Protocol

from openchange_py.proxy.handles import NULL_HANDLE, handle_given
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxnspi import NspiBindResponse

#: Opnums of exchange_nsp.
NSPI_BIND: Final = 0
NSPI_UNBIND: Final = 1
#: Clients send 44 bytes, or 60 with a GUID: one that is much longer is not kept.
_MAXIMUM_BIND: Final = 256


class UpstreamClient(Protocol):
    """One connection to the upstream, bound to one interface; `RpcClient` is one. One call at a time."""

    @property
    def connected(self) -> bool:
        """Calls can be made."""

    @property
    def assoc_group(self) -> int:
        """The association group's id there."""

    @property
    def upstream(self) -> str:
        """Which server it is: the text of its binding, the same for all connections there."""

    @property
    def server_names(self) -> tuple[str, ...]:
        """What the server calls itself, where it tells, and its address."""

    async def call(
        self, opnum: int, stub: bytes, object_uuid: uuid.UUID | None = None, *, call_timeout: float | None = None
    ) -> bytes:
        """The response stub; raises `RpcFault`, `ConnectionLost`, `NoAnswer` where it takes longer (seconds)."""

    async def close(self) -> None:
        """Close the connection; a call in flight raises `ConnectionLost`."""


@dataclasses.dataclass(frozen=True, slots=True)
class AddressBookSession:
    """What it takes to open a client's NSPI session again: [MS-OXNSPI] 3.1.4.1.1.

    The server keeps nothing in it: where the client is in a table, it says with every call, in Minimal Entry Ids, which
    are good at every server that answers NspiBind with the same GUID (2.2.9.1).
    """

    request: bytes
    server_guid: uuid.UUID

    @classmethod
    def opened(cls, request: bytes, reply: bytes) -> AddressBookSession | None:
        """The session that an NspiBind opened; None where it can't be opened again."""
        try:
            guid = NspiBindResponse.unpack(reply).server_guid
        except DecodeError:
            return None
        return cls(request, guid) if guid is not None and len(request) <= _MAXIMUM_BIND else None

    def reopened(self, reply: bytes) -> bytes:
        """The new context handle; `RpcFault` (context mismatch) where it is no longer the same address book."""
        try:
            response = NspiBindResponse.unpack(reply)
        except DecodeError as error:
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, f"NspiBind was not understood: {error}") from error
        if response.context_handle.is_null:
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, f"NspiBind answers 0x{response.return_value:08x} now")
        if response.server_guid != self.server_guid:
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, "the address book is another server's now")
        return handle_given("exchange_nsp", NSPI_BIND, reply) or NULL_HANDLE


@dataclasses.dataclass(eq=False, slots=True)
class Association:
    """A session's connections for the interfaces of one handle space, all in one association group."""

    group: int = 0
    #: The server where it is; empty before there is a connection.
    upstream: str = ""
    #: The upstream's context handle by the client's. They differ where the upstream's had to be replaced.
    handles: dict[bytes, bytes] = dataclasses.field(default_factory=dict)
    #: NSPI sessions that outlive the association, by the client's handle.
    address_books: dict[bytes, AddressBookSession] = dataclasses.field(default_factory=dict)
    idle: dict[str, list[UpstreamClient]] = dataclasses.field(default_factory=dict)
    busy: list[tuple[str, UpstreamClient]] = dataclasses.field(default_factory=list)
    #: Connections that answered a call, and so accepted the relay's account.
    proven: set[UpstreamClient] = dataclasses.field(default_factory=set)
    #: Only one connection at a time is opened: the first tells the group of the others.
    opening: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    ended: bool = False

    @property
    def size(self) -> int:
        """Context handles that are kept."""
        return len(self.handles.keys() | self.address_books.keys())

    def knows(self, handle: bytes) -> bool:
        """Whether the client was given the handle, and may use it still."""
        return handle in self.handles or handle in self.address_books

    def can_reopen(self, handle: bytes | None) -> bool:
        """Whether a handle that the upstream does not know any more can be replaced."""
        return handle in self.address_books

    def keep(self, handle: bytes, book: AddressBookSession | None) -> None:
        """What it takes to replace a new handle."""
        if book is not None:
            self.address_books[handle] = book

    def forget(self, handle: bytes) -> None:
        """The handle was ended."""
        self.handles.pop(handle, None)
        self.address_books.pop(handle, None)

    def all_clients(self) -> list[UpstreamClient]:
        """Idle and busy ones."""
        return [*(client for clients in self.idle.values() for client in clients), *(c for _, c in self.busy)]

    def idle_client(self, interface: str) -> UpstreamClient | None:
        """Takes out a connection that waits for a call."""
        idle = self.idle.get(interface, [])
        while idle:
            client = idle.pop()
            if client.connected:
                return client
        return None

    def _is_whole(self) -> bool:
        """It has connections, and lost none. Asked with every call."""
        found = False
        for clients in self.idle.values():
            for client in clients:
                if not client.connected:
                    return False
                found = True
        for _, client in self.busy:
            if not client.connected:
                return False
            found = True
        return found

    def forget_lost(self) -> bool:
        """Without its last connection the group is gone there, and its handles with it: whether that is so."""
        if self._is_whole():
            return False
        clients = self.all_clients()
        for interface, idle in self.idle.items():
            self.idle[interface] = [client for client in idle if client.connected]
        self.proven = {client for client in self.proven if client.connected}
        if not self.group or any(client.connected for client in clients):
            return False
        self.group, self.upstream = 0, ""
        self.handles.clear()
        return True


@dataclasses.dataclass(eq=False, slots=True)
class Associations:
    """All that a client session has open upstream, by handle space."""

    by_space: dict[str, Association] = dataclasses.field(default_factory=dict)
    ended: bool = False

    def of(self, space: str) -> Association:
        """The association of a handle space, empty where there is none yet."""
        found = self.by_space.get(space)
        if found is None:
            found = self.by_space[space] = Association()
        return found

    def end(self) -> None:
        """Nothing is opened any more."""
        self.ended = True
        for association in self.by_space.values():
            association.ended = True

    def all_clients(self) -> list[UpstreamClient]:
        """Of all handle spaces."""
        return [client for association in self.by_space.values() for client in association.all_clients()]
