from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.addressbook.base import AttributeValue, Entry, Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.hosts import OwnNames
from openchange_py.addressbook.migrate import upgrade
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import Identity
from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.servers.nspi.server import NspiServer
from openchange_py.wire.ndr import ContextHandle, RpcMessage
from openchange_py.wire.oxnspi import NSPI, NspiBindRequest
from openchange_py.wire.oxnspi_types import STAT
from tests.mailboxes import exchange_attributes

ORGANIZATION = Organization("First Organization", "Exchange Administrative Group")
SERVER_NAME, FQDN = "SRV", "srv.example.test"
OPNUMS = {method.request: opnum for opnum, method in NSPI.methods.items() if method.request}


def create(directory: EmbeddedDirectory, account: str, name: str, **more: list[AttributeValue]) -> Entry:
    attributes = exchange_attributes(ORGANIZATION, SERVER_NAME, account, f"{account}@example.test", name)
    return directory.create(Kind.USER, account, attributes | more)


@dataclasses.dataclass
class Client:
    """Calls the server as the dispatcher does: stub in, stub out."""

    server: NspiServer
    session: Session = dataclasses.field(default_factory=lambda: Session("tcp", "127.0.0.1"))
    caller: Identity = dataclasses.field(default_factory=lambda: Identity("alice"))
    handle: ContextHandle | None = None

    def send(self, request: RpcMessage) -> Any:
        """The decoded answer; `RpcFault` where the call faults."""
        call = Call(NSPI, OPNUMS[type(request)], request.pack(), self.session, self.caller)
        self.server.call(call)
        response = NSPI.methods[call.opnum].response
        assert response
        return response.unpack(call.reply_bytes())

    def bind(self) -> Client:
        response = self.send(NspiBindRequest(0, STAT()))
        assert response.return_value == 0
        self.handle = response.context_handle
        return self

    def ask(self, kind: type[RpcMessage], *parameters: Any) -> Any:
        """A call with the bound handle first."""
        return self.send(kind(self.handle, *parameters))  # type: ignore[call-arg]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[EmbeddedDirectory]:
    """Alice, Bob, Carl, Dora (hidden), a group of Alice and Bob, and a contact."""
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    directory = EmbeddedDirectory(url)
    directory.provision(ORGANIZATION, SERVER_NAME)
    alice = create(directory, "alice", "Alice Liddell", title=["Königin"], telephoneNumber=["123"])
    bob = create(directory, "bob", "Bob Zorn")
    directory.change_links(bob, "manager", [alice])
    create(directory, "carl", "Carl Ωmega")
    create(directory, "dora", "Dora Hidden", msExchHideFromAddressLists=["TRUE"])
    directory.create(
        Kind.GROUP,
        "staff",
        {
            "displayName": ["Staff"],
            "legacyExchangeDN": [ORGANIZATION.recipient_dn("staff")],
            "mail": ["staff@example.test"],
        },
        {"member": [bob.legacy_exchange_dn, alice.legacy_exchange_dn, "/o=gone"]},
    )
    directory.create(
        Kind.CONTACT,
        "",
        {
            "displayName": ["Zoe Contact"],
            "legacyExchangeDN": [ORGANIZATION.recipient_dn("zoe")],
            "targetAddress": ["SMTP:zoe@elsewhere.test"],
        },
    )
    yield directory
    directory.close()


def book_of(directory: EmbeddedDirectory, *, server: str = SERVER_NAME, pipes: bool = False) -> AddressBook:
    """As Alice sees it."""
    alice = directory.by_account("alice")
    assert alice
    return AddressBook(directory.lists(alice), alice, directory, OwnNames(server, FQDN, pipes))


@pytest.fixture
def book(directory: EmbeddedDirectory) -> AddressBook:
    return book_of(directory)


@pytest.fixture
def client(directory: EmbeddedDirectory) -> Client:
    return Client(NspiServer(directory, SERVER_NAME, FQDN)).bind()


def mid(directory: EmbeddedDirectory, account: str) -> int:
    entry = directory.by_account(account)
    assert entry
    return int(entry.mid)
