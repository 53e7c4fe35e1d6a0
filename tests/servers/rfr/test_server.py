from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.addressbook.accounts import exchange_attributes
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

ORGANIZATION = Organization("First Organization", "Exchange Administrative Group")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[EmbeddedDirectory]:
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    directory = EmbeddedDirectory(url)
    directory.provision(ORGANIZATION, "SRV")
    yield directory
    directory.close()


def ask(directory: EmbeddedDirectory, request: RpcMessage, caller: Identity = Identity("alice")) -> Any:  # noqa: B008
    opnum = next(number for number, m in RFR.methods.items() if m.request is type(request))
    call = Call(RFR, opnum, request.pack(), Session("tcp", "127.0.0.1"), caller)
    RfrServer(directory, "srv.example.test").call(call)
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
