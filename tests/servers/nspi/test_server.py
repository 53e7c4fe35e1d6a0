import dataclasses
import uuid

import pytest

from openchange_py.addressbook.base import Kind
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import ANONYMOUS, Identity
from openchange_py.servers.nspi.registry import METHODS
from openchange_py.servers.nspi.server import NspiServer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NULL_HANDLE
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiDNToMIdRequest,
    NspiGetMatchesRequest,
    NspiUnbindRequest,
    NspiUpdateStatRequest,
)
from openchange_py.wire.oxnspi_types import STAT
from tests.conftest import json_lines, shared_path
from tests.servers.nspi.conftest import FQDN, SERVER_NAME, Client, create, mid


def test_bind_gives_a_handle_and_the_directory_s_guid(client: Client, directory: EmbeddedDirectory) -> None:
    response = client.send(NspiBindRequest(0, STAT(), uuid.UUID(int=0)))
    assert response.server_guid == directory.lists(None).guid
    assert not response.context_handle.is_null
    assert client.send(NspiBindRequest(0, STAT())).server_guid is None  # no place for it was given


def test_anonymous_callers_are_refused(client: Client) -> None:
    client.caller = ANONYMOUS
    with pytest.raises(RpcFault) as fault:
        client.send(NspiBindRequest(0x20, STAT()))
    assert fault.value.status == FaultStatus.ACCESS_DENIED


def test_an_account_that_is_not_in_the_directory_cannot_bind(client: Client) -> None:
    client.caller = Identity("stranger")
    response = client.send(NspiBindRequest(0, STAT()))
    assert response.return_value == ErrorCode.LogonFailed
    assert response.context_handle == NULL_HANDLE


@pytest.mark.parametrize("code_page", [0x4B0, 4711])
def test_a_code_page_for_no_8_bit_strings_is_refused(client: Client, code_page: int) -> None:
    assert client.send(NspiBindRequest(0, STAT(code_page=code_page))).return_value == ErrorCode.InvalidCodepage


def test_unbind_answers_1_and_ends_the_handle(client: Client) -> None:
    response = client.send(NspiUnbindRequest(client.handle))
    assert (response.context_handle, response.return_value) == (NULL_HANDLE, 1)
    with pytest.raises(RpcFault) as fault:
        client.ask(NspiDNToMIdRequest, 0, [b"/o=x"])
    assert fault.value.status == FaultStatus.CONTEXT_MISMATCH


def test_a_handle_is_its_session_s_alone(client: Client) -> None:
    client.session = Session("tcp", "127.0.0.2")
    with pytest.raises(RpcFault) as fault:
        client.ask(NspiDNToMIdRequest, 0, [b"/o=x"])
    assert fault.value.status == FaultStatus.CONTEXT_MISMATCH


def test_another_account_of_the_same_association_cannot_use_a_handle(client: Client) -> None:
    client.caller = Identity("bob")
    with pytest.raises(RpcFault) as fault:
        client.ask(NspiDNToMIdRequest, 0, [b"/o=x"])
    assert fault.value.status == FaultStatus.ACCESS_DENIED


def test_handles_are_limited(client: Client) -> None:
    answers = {client.send(NspiBindRequest(0, STAT())).return_value for _ in range(300)}
    assert answers == {ErrorCode.Success, ErrorCode.LogonFailed}


def test_every_call_with_a_codec_is_answered() -> None:
    requests = {method.request for method in NSPI.methods.values() if method.request}
    assert requests - set(METHODS) == {NspiBindRequest, NspiUnbindRequest}


def test_a_call_without_codec_and_a_bad_stub_are_not_the_server_s(client: Client) -> None:
    with pytest.raises(RpcFault) as fault:
        client.server.call(Call(NSPI, 15, b"", client.session, client.caller))
    assert fault.value.status == FaultStatus.OP_RANGE_ERROR
    with pytest.raises(DecodeError):
        client.server.call(Call(NSPI, 2, b"\xff" * 30, client.session, client.caller))


def test_a_broken_directory_is_a_general_failure(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/d.db"
    upgrade(url)
    directory = EmbeddedDirectory(url)  # never provisioned
    directory.create(Kind.USER, "alice", {"displayName": ["Alice"]})
    client = Client(NspiServer(directory, SERVER_NAME, FQDN))
    assert client.send(NspiBindRequest(0, STAT())).return_value == ErrorCode.GeneralFailure
    directory.close()


def test_a_call_that_gets_no_memory_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """3.1.4: NotEnoughMemory, and the next call is answered."""

    def exhausted(_book: object, _request: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        registered = dataclasses.replace(METHODS[NspiDNToMIdRequest], method=exhausted)  # type: ignore[arg-type]
        patched.setitem(METHODS, NspiDNToMIdRequest, registered)
        assert client.ask(NspiDNToMIdRequest, 0, [b"/o=x"]).return_value == ErrorCode.OutOfMemory
    assert client.ask(NspiDNToMIdRequest, 0, [b"/o=x"]).return_value == 0


def test_an_error_leaves_the_stat_alone(client: Client) -> None:
    stat = STAT(container_id=4711, current_rec=5, delta=7)
    response = client.ask(NspiUpdateStatRequest, 0, stat, 3)
    assert response.return_value == ErrorCode.InvalidBookmark
    assert (response.stat, response.delta) == (stat, 3)


@pytest.mark.parametrize(
    "recording",
    ["profile-tcp-connect-2000", "profile-tcp-connect-2007", "profile-tcp-connect-2010", "profile-tcp-badname"],
)
def test_libmapi_makes_its_profile_as_recorded(directory: EmbeddedDirectory, recording: str) -> None:
    """Every request of a recorded profile creation works; ids and DNs that came from the server are this one's."""
    alice = directory.by_account("alice")
    assert alice
    directory.modify(alice, {"proxyAddresses": ["SMTP:user1@example.test"]})
    create(directory, "user2", "User Two")
    client = Client(NspiServer(directory, SERVER_NAME, FQDN))
    seen = []
    for call in json_lines(shared_path("wire") / f"calls-{recording}.jsonl"):
        if call["interface"] != "nspi" or call["fault"]:
            continue
        method = NSPI.methods[call["opnum"]]
        assert method.request
        request = method.request.unpack(bytes.fromhex(call["request_stub_hex"]))
        if method.name == "NspiBind":
            client.bind()
            continue
        handle = "context_handle" if method.name == "NspiUnbind" else "h_rpc"
        changes = {handle: client.handle}
        if method.name == "NspiQueryRows" and request.e_table:
            changes |= {"e_table": [mid(directory, "alice")], "stat": dataclasses.replace(request.stat, current_rec=99)}
        if method.name == "NspiDNToMId":
            server = directory.organization().server_dn(SERVER_NAME)
            changes["names"] = [server.encode()]
        if method.name == "NspiGetProps":
            changes["stat"] = dataclasses.replace(request.stat, current_rec=seen[-1].out_mids[0])
        seen.append(client.send(dataclasses.replace(request, **changes)))
        assert seen[-1].return_value in (0, 1), method.name
    if recording.endswith("badname"):
        matches = next(r for r in seen if type(r).__name__ == "NspiGetMatchesResponse")
        assert (matches.out_mids, matches.rows) == ([], [])
        return
    rows = next(r for r in seen if type(r).__name__ == "NspiQueryRowsResponse").rows
    values = {value.prop_tag >> 16: value.value for value in rows[0].values}
    assert values[0x3001] == b"Alice Liddell"
    assert values[0x8006].endswith(b"/cn=Configuration/cn=Servers/cn=SRV/cn=Microsoft Private MDB")
    assert values[0x800F] == [b"SMTP:user1@example.test"]
    network = next(r for r in seen if type(r).__name__ == "NspiGetPropsResponse").row.values[0]
    assert b"ncacn_ip_tcp:srv.example.test" in network.value


def test_get_matches_of_garbage_types_does_not_raise(client: Client) -> None:
    response = client.ask(NspiGetMatchesRequest, 0, STAT(sort_type=77), None, 0, None, None, 10, None)
    assert response.return_value == ErrorCode.GeneralFailure
