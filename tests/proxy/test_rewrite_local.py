"""A hybrid's own address book over the organization's directory, in which mailboxes are on other servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.addressbook import migrate
from openchange_py.addressbook.base import Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.proxy.names import OwnNames
from openchange_py.proxy.rewrite_local import RenamedServer
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.servers.nspi.server import NspiServer
from openchange_py.servers.rfr.server import RfrServer
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import RpcInterface, RpcMessage
from openchange_py.wire.oxabref import RFR, RfrGetFQDNFromServerDNRequest, RfrGetFQDNFromServerDNResponse
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiDNToMIdRequest,
    NspiDNToMIdResponse,
    NspiGetPropsRequest,
    NspiGetPropsResponse,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
)
from openchange_py.wire.oxnspi_types import STAT
from tests.mailboxes import exchange_attributes

ORGANIZATION = Organization("Example", "First")
OWN = OwnNames("HYBRID", "hybrid.example.test", ("netbios:HYBRID", "ncacn_ip_tcp:hybrid.example.test"))
ALICE = Identity("alice", "EXAMPLE", AuthLevel.PRIVACY)
CAROL = Identity("carol", "EXAMPLE", AuthLevel.PRIVACY)
BOB = Identity("bob", "EXAMPLE", AuthLevel.PRIVACY)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[EmbeddedDirectory]:
    """Alice is on EX1, bob on EX2."""
    url = f"sqlite:///{tmp_path}/directory.db"
    migrate.upgrade(url)
    directory = EmbeddedDirectory(url)
    directory.provision(ORGANIZATION, "EX1")
    directory.provision(ORGANIZATION, "EX2")
    for user, server in (("alice", "EX1"), ("bob", "EX2")):
        attributes = exchange_attributes(ORGANIZATION, server, user, f"{user}@example.test", user.title())
        directory.create(Kind.USER, user, attributes)
    yield directory
    directory.close()


class Book:
    """The hybrid's address book and referrals, and one session."""

    def __init__(self, directory: EmbeddedDirectory, caller: Identity = ALICE) -> None:
        self.caller = caller
        servers = [
            NspiServer(directory, OWN.netbios, OWN.fqdn, relays=True),
            RfrServer(directory, OWN.netbios, OWN.fqdn, relays=True),
        ]
        self.servers = {server.interface.name: RenamedServer(server, OWN, directory) for server in servers}  # type: ignore[attr-defined]
        self.session = Session("test", "client")
        self.seen: list[bytes] = []
        answer: NspiBindResponse = self.ask(NSPI, 0, NspiBindRequest(0, STAT(), None))
        self.handle = answer.context_handle

    def ask(self, interface: RpcInterface, opnum: int, request: RpcMessage) -> Any:
        call = Call(interface, opnum, request.pack(), self.session, self.caller)
        self.servers[interface.name].call(call)
        self.seen.append(call.reply_bytes())
        response = interface.methods[opnum].response
        assert response is not None
        return response.unpack(self.seen[-1])

    def mid(self, dn: str) -> int:
        request = NspiDNToMIdRequest(self.handle, 0, [dn.encode()])
        answer: NspiDNToMIdResponse = self.ask(NSPI, 7, request)
        return (answer.out_mids or [0])[0]

    def properties(self, mid: int) -> dict[int, Any]:
        answer: NspiGetPropsResponse = self.ask(NSPI, 9, NspiGetPropsRequest(self.handle, 0, STAT(current_rec=mid)))
        assert answer.row is not None
        return {value.prop_tag: value.value for value in answer.row.values or []}


def test_all_mailboxes_are_on_this_server(directory: EmbeddedDirectory) -> None:
    book = Book(directory)
    tags = [p.PidTagAddressBookHomeMessageDatabase, p.PidTagDisplayName]
    request = NspiResolveNamesWRequest(book.handle, 0, STAT(), tags, ["alice", "bob"])
    answer: NspiResolveNamesWResponse = book.ask(NSPI, 20, request)
    home = f"{ORGANIZATION.server_dn('HYBRID')}/cn=Microsoft Private MDB"
    assert [[value.value for value in row.values or []] for row in answer.rows or []] == [
        [home, "Alice"],
        [home, "Bob"],
    ]
    for user in ("alice", "bob"):
        properties = book.properties(book.mid(ORGANIZATION.recipient_dn(user)))
        assert properties[p.PidTagAddressBookHomeMessageDatabase.with_type(PropertyType.String8)] == home.encode()
    for reply in book.seen:
        for name in (b"ex1", b"ex2", "ex1".encode("utf-16-le"), "ex2".encode("utf-16-le")):
            assert b"/cn=" + name not in reply.lower()
            assert "/cn=".encode("utf-16-le") + name not in reply.lower()


def test_this_servers_name_is_the_callers_own_server(directory: EmbeddedDirectory) -> None:
    book = Book(directory)
    own = ORGANIZATION.server_dn("hybrid")
    mids = [book.mid(own), Book(directory, BOB).mid(own)]
    assert mids == [directory.by_legacy_dn(ORGANIZATION.server_dn(name)).mid for name in ("EX1", "EX2")]  # type: ignore[union-attr]
    tag = p.PidTagAddressBookNetworkAddress.with_type(PropertyType.MultipleString8)
    assert book.properties(mids[0])[tag] == [binding.encode() for binding in OWN.bindings]
    dn = own.encode()
    found = book.ask(RFR, 1, RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn))
    assert found == RfrGetFQDNFromServerDNResponse(OWN.fqdn.encode(), 0)


def test_a_mailbox_behind_an_array_of_servers(directory: EmbeddedDirectory) -> None:
    """Whose name in the directory is a qualified one."""
    array = ORGANIZATION.server_dn("outlook.corp.test")
    attributes = exchange_attributes(ORGANIZATION, "outlook.corp.test", "carol", "carol@example.test", "Carol")
    carol = directory.create(Kind.USER, "carol", attributes)
    book = Book(directory)
    properties = book.properties(book.mid(carol.legacy_exchange_dn))
    home = properties[p.PidTagAddressBookHomeMessageDatabase.with_type(PropertyType.String8)]
    assert home == f"{ORGANIZATION.server_dn(OWN.fqdn)}/cn=Microsoft Private MDB".encode()
    directory.provision(ORGANIZATION, "outlook.corp.test")
    entry = directory.by_legacy_dn(array)
    assert entry is not None
    assert Book(directory, CAROL).mid(ORGANIZATION.server_dn(OWN.fqdn)) == entry.mid


def test_a_directory_that_knows_this_server_is_asked_as_it_is(directory: EmbeddedDirectory) -> None:
    directory.provision(ORGANIZATION, "HYBRID")
    entry = directory.by_legacy_dn(ORGANIZATION.server_dn("HYBRID"))
    assert entry is not None
    assert Book(directory).mid(ORGANIZATION.server_dn("hybrid")) == entry.mid


def test_who_has_no_mailbox_has_no_server(directory: EmbeddedDirectory) -> None:
    directory.create(Kind.USER, "nobody", {"displayName": ["Nobody"]})
    stranger = Identity("nobody", "EXAMPLE", AuthLevel.PRIVACY)
    assert Book(directory, stranger).mid(ORGANIZATION.server_dn("hybrid")) == 0


def test_an_answer_that_names_this_server_alone_is_not_made_anew(directory: EmbeddedDirectory) -> None:
    server = RenamedServer(NspiServer(directory, OWN.netbios, OWN.fqdn, relays=True), OWN, directory)
    for encoding in ("ascii", "utf-16-le"):
        own = ORGANIZATION.server_dn("HYBRID").lower()
        assert not server._names_others(f"{own}\0 {own}/cn=x\0".encode(encoding))
        for other in ("hybrid2", "hybri", "ex"):
            assert server._names_others(f"{own}\0{ORGANIZATION.server_dn(other).lower()}\0".encode(encoding))
    assert (server.name, server.interface) == ("nspi", NSPI)
