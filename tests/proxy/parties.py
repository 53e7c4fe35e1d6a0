"""Who takes part in the proxy's tests: a directory, callers, calls, an interface of its own, and an upstream."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Self, cast

from openchange_py.addressbook.base import Account, Directory, DisplayType, Entry, MinimalEntryId
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.transports.tcp_client import ConnectionLost, NoAnswer
from openchange_py.wire.ndr import NdrReader, NdrWriter, RpcInterface, RpcMessage, rpc_message

_PREFIX = "/o=Example/ou=First/cn=Recipients/cn="
ALICE_DN, BOB_DN, ASSISTANT_DN = _PREFIX + "alice", _PREFIX + "bob", _PREFIX + "assistant"
ALICE = Identity("alice", "EXAMPLE", AuthLevel.PRIVACY)
BOB = Identity("bob", "EXAMPLE", AuthLevel.PRIVACY)
#: Was given full access to alice's mailbox.
ASSISTANT = Identity("assistant", "EXAMPLE", AuthLevel.PRIVACY)


def _entry(number: int, name: str) -> Entry:
    mid = MinimalEntryId(number)
    return Entry(uuid.UUID(int=number), mid, DisplayType.MAILUSER, _PREFIX + name, name.title(), name, {})


class People:
    """The look-ups of a directory that authorization needs."""

    def __init__(self) -> None:
        self.entries = [_entry(1, "alice"), _entry(2, "bob"), _entry(3, "assistant")]
        self.asked: list[str] = []

    def account(self, name: str) -> Account | None:
        entry = self.by_account(name)
        return None if entry is None else Account(str(entry.account), "", None)

    def full_access(self, mailbox: Entry) -> list[Entry]:
        return self.entries[2:3] if mailbox.account == "alice" else []

    def by_account(self, account: str) -> Entry | None:
        self.asked.append(account)
        return next((e for e in self.entries if e.account == account.casefold()), None)

    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None:
        self.asked.append(legacy_exchange_dn)
        wanted = legacy_exchange_dn.casefold()
        return next((e for e in self.entries if e.legacy_exchange_dn.casefold() == wanted), None)


def people() -> Directory:
    """A directory of alice, bob and the assistant."""
    return cast("Directory", People())


@rpc_message
class Number(RpcMessage):
    """A stub that is one number."""

    value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.value)


#: An interface for tests: opnum 0 takes and gives a number, opnum 1 has no codec.
NUMBERS = RpcInterface("numbers", "0f5e4b7e-7b8c-4b8b-9a51-1d2f3c4b5a69", 1)
NUMBERS.declare(0, "Double", Number, Number)


def number_call(value: int = 21, *, session: Session | None = None, opnum: int = 0, caller: Identity = ALICE) -> Call:
    """A call of the numbers interface."""
    return Call(NUMBERS, opnum, Number(value).pack(), session or Session("test", "client"), caller)


class Doubler:
    """A local server: twice the number."""

    name = "doubler"
    interface = NUMBERS

    def __init__(self, work: Callable[[Call], None] | None = None) -> None:
        self._work = work
        self.ended: list[Session] = []

    def call(self, call: Call) -> None:
        if self._work is not None:
            self._work(call)
        call.response = Number(cast("Number", call.request).value * 2)

    def end_session(self, session: Session) -> None:
        self.ended.append(session)


Answer = Callable[[RpcInterface, int, bytes], bytes]


class UpstreamConnection:
    """One connection to the upstream double."""

    def __init__(self, upstream: Upstream, interface: RpcInterface, assoc_group: int) -> None:
        self._server, self.interface, self.assoc_group = upstream, interface, assoc_group
        self.connected = True
        self.upstream = "ncacn_ip_tcp:upstream"
        self.server_names: tuple[str, ...] = ()

    async def call(
        self, opnum: int, stub: bytes, object_uuid: uuid.UUID | None = None, *, call_timeout: float | None = None
    ) -> bytes:
        if not self.connected:
            raise ConnectionLost("lost before")
        self._server.stubs.append(stub)
        try:
            async with asyncio.timeout(call_timeout):
                if self._server.gate is not None:
                    await self._server.gate.wait()
        except TimeoutError:
            raise NoAnswer("too late") from None
        if not self.connected:
            raise ConnectionLost("lost meanwhile")
        return self._server.answer(self.interface, opnum, stub)

    async def close(self) -> None:
        self.connected = False
        if self._server.gate is not None:
            self._server.gate.set()


class Upstream:
    """The server relayed to, behind the shape of `RpcClient`: a `Connector` that keeps what it opened."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.stubs: list[bytes] = []
        self.connections: list[UpstreamConnection] = []
        self.gate: asyncio.Event | None = None
        self.reachable = True

    async def __call__(self, call: Call, assoc_group: int) -> UpstreamConnection:
        if not self.reachable:
            raise ConnectionLost("nobody there")
        connection = UpstreamConnection(self, call.interface, assoc_group or 0x1000 + len(self.connections))
        self.connections.append(connection)
        return connection

    @property
    def open(self) -> list[UpstreamConnection]:
        return [connection for connection in self.connections if connection.connected]


def status_of(fault: Any) -> int:
    """The status of a caught `RpcFault`."""
    assert isinstance(fault.value, RpcFault)
    return fault.value.status
