from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.addressbook.base import Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import ANONYMOUS, Identity
from openchange_py.servers.rfr.server import RfrServer
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxabref import RFR, Name, RfrGetFQDNFromServerDNRequest, RfrGetNewDSARequest
from openchange_py.wire.oxcdata.errors import ErrorCode
from tests.conftest import json_lines, shared_path
from tests.mailboxes import exchange_attributes

ORGANIZATION = Organization("First Organization", "Exchange Administrative Group")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[EmbeddedDirectory]:
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    directory = EmbeddedDirectory(url)
    directory.provision(ORGANIZATION, "SRV")
    yield directory
    directory.close()


def ask(
    directory: EmbeddedDirectory,
    request: RpcMessage,
    caller: Identity = Identity("alice"),  # noqa: B008
    **how: Any,
) -> Any:
    opnum = next(number for number, m in RFR.methods.items() if m.request is type(request))
    call = Call(RFR, opnum, request.pack(), Session("tcp", "127.0.0.1"), caller)
    RfrServer(directory, "SRV", "srv.example.test", **how).call(call)
    response = RFR.methods[opnum].response
    assert response
    return response.unpack(call.reply_bytes())


def fqdn(dn: str) -> RfrGetFQDNFromServerDNRequest:
    return RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn.encode())


def test_this_server_is_the_one_to_use(directory: EmbeddedDirectory) -> None:
    response = ask(directory, RfrGetNewDSARequest(0, b"/o=x/cn=alice", Name(b"x"), Name(None)))
    assert (response.unused, response.server, response.return_value) == (None, Name(b"srv.example.test"), 0)


def test_who_gives_no_place_for_a_name_gets_none(directory: EmbeddedDirectory) -> None:
    assert ask(directory, RfrGetNewDSARequest(0, b"")).server is None


def test_every_recorded_request_is_answered_with_this_server(directory: EmbeddedDirectory) -> None:
    for call in json_lines(shared_path("wire") / "calls-profile-tcp-connect-2007.jsonl"):
        if call["interface"] == "rfr":
            request = RfrGetNewDSARequest.unpack(bytes.fromhex(call["request_stub_hex"]))
            assert ask(directory, request).server == Name(b"srv.example.test")


def test_the_name_of_a_server_of_the_organization(directory: EmbeddedDirectory) -> None:
    directory.provision(ORGANIZATION, "BEHIND")
    for server in ("SRV", "srv", "BEHIND"):
        response = ask(directory, fqdn(ORGANIZATION.server_dn(server)))
        assert (response.server_fqdn, response.return_value) == (b"srv.example.test", 0)


def test_what_is_no_server_has_no_name(directory: EmbeddedDirectory) -> None:
    attributes = exchange_attributes(ORGANIZATION, "SRV", "alice", "alice@example.test", "Alice")
    alice = directory.create(Kind.USER, "alice", attributes)
    for dn in (ORGANIZATION.server_dn("OTHER"), alice.legacy_exchange_dn, "no distinguished name"):
        response = ask(directory, fqdn(dn))
        assert (response.server_fqdn, response.return_value) == (None, ErrorCode.NotFound)


def test_anonymous_callers_are_refused(directory: EmbeddedDirectory) -> None:
    with pytest.raises(RpcFault) as fault:
        ask(directory, RfrGetNewDSARequest(0, b""), ANONYMOUS)
    assert fault.value.status == FaultStatus.ACCESS_DENIED


def test_a_directory_that_fails_is_a_general_failure(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    directory = EmbeddedDirectory(f"sqlite:///{tmp_path}/empty.db")
    assert ask(directory, fqdn(ORGANIZATION.server_dn("SRV"))).return_value == ErrorCode.GeneralFailure
    directory.close()


# Several servers


@pytest.fixture
def servers(directory: EmbeddedDirectory) -> EmbeddedDirectory:
    """SRV, which is asked, EX2 and EX3, whose addresses are known, and EX4, whose is not."""
    for name in ("EX2", "EX3", "EX4"):
        directory.provision(ORGANIZATION, name)
    for name in ("EX2", "EX3"):
        entry = directory.by_legacy_dn(ORGANIZATION.server_dn(name))
        assert entry
        directory.modify(entry, {"networkAddress": [f"netbios:{name}", f"ncacn_ip_tcp:{name.lower()}.example.test"]})
    return directory


def chosen(directory: EmbeddedDirectory, user: str, caller: str = "alice", **how: Any) -> str:
    request = RfrGetNewDSARequest(0, ORGANIZATION.recipient_dn(user).encode() if user else b"", None, Name(None))
    response = ask(directory, request, Identity(caller), **how)
    assert response.return_value == 0
    return str(response.server.value.decode())


USERS = [f"user{number:03}" for number in range(300)]
HOSTS = {"srv.example.test", "ex2.example.test", "ex3.example.test"}


def test_users_are_spread_over_the_servers_that_have_an_address(servers: EmbeddedDirectory) -> None:
    found = {user: chosen(servers, user) for user in USERS}
    counts = {host: list(found.values()).count(host) for host in HOSTS}
    assert sum(counts.values()) == len(USERS)
    assert min(counts.values()) > len(USERS) / 5


def test_a_user_has_the_same_server_always_and_wherever_he_asks(servers: EmbeddedDirectory) -> None:
    assert [chosen(servers, user) for user in USERS[:30]] == [chosen(servers, user.upper()) for user in USERS[:30]]
    # Without a DN it is the caller that counts.
    for account in ("alice", "bob", "carol"):
        assert chosen(servers, "", account) == chosen(servers, "", account.upper())
    assert len({chosen(servers, "", account) for account in USERS[:30]}) == 3


def test_a_server_that_is_taken_out_moves_only_its_own_users(servers: EmbeddedDirectory) -> None:
    before = {user: chosen(servers, user) for user in USERS}
    after = {user: chosen(servers, user, excluded=["ex2"]) for user in USERS}
    assert {after[user] for user in USERS} == HOSTS - {"ex2.example.test"}
    assert all(after[user] == host for user, host in before.items() if host != "ex2.example.test")


def test_when_all_are_taken_out_the_one_that_answers_is_named(servers: EmbeddedDirectory) -> None:
    assert chosen(servers, "alice", excluded=["SRV", "EX2", "EX3"]) == "srv.example.test"


def test_in_front_of_others_this_server_is_the_one_for_all(servers: EmbeddedDirectory) -> None:
    assert {chosen(servers, user, relays=True) for user in USERS[:30]} == {"srv.example.test"}
    for name in ("SRV", "EX2", "EX4"):
        response = ask(servers, fqdn(ORGANIZATION.server_dn(name)), relays=True)
        assert response.server_fqdn == b"srv.example.test"


def test_each_server_has_its_own_name(servers: EmbeddedDirectory) -> None:
    names = {
        name: ask(servers, fqdn(ORGANIZATION.server_dn(name))).server_fqdn for name in ("SRV", "EX2", "ex3", "EX4")
    }
    assert names == {
        "SRV": b"srv.example.test",
        "EX2": b"ex2.example.test",
        "ex3": b"ex3.example.test",
        "EX4": b"srv.example.test",  # nobody knows where it is, but here
    }


def test_a_directory_that_fails_refers_to_the_one_that_answers(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    directory = EmbeddedDirectory(f"sqlite:///{tmp_path}/empty.db")
    assert chosen(directory, "alice") == "srv.example.test"
    directory.close()
