"""The calls of the EMSMDB interface: [MS-OXCRPC] 3.1.4."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.servers.emsmdb.server import SERVER_VERSION, EmsmdbServer
from openchange_py.store.base import SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoConnectExRequest,
    EcDoConnectRequest,
    EcDoDisconnectRequest,
    EcDoRpcExt2Request,
    EcDummyRpcRequest,
    EcRRegisterPushNotificationRequest,
    RpcFlags,
    normalized_version,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest
from openchange_py.wire.rop.base import REQUESTS, RopBufferTooSmallResponse
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesListRequest
from openchange_py.wire.rop.oxctabl import RopQueryPositionRequest
from openchange_py.wire.rpcheaderext import RpcHeaderFlags, extended_buffers, obfuscate, pack_payload, pack_payloads
from tests.conftest import json_lines, shared_path
from tests.servers.emsmdb.parties import NONE, Client, World


def fault(client: Client, opnum: int, stub: bytes) -> int:
    call = Call(EMSMDB, opnum, stub, client.session, client.identity)
    with pytest.raises(RpcFault) as raised:
        client.world.server.call(call)
    return raised.value.status


def test_connecting_tells_who_one_is(world: World) -> None:
    connected = Client(world).connected
    assert connected.return_value == 0
    assert connected.cxh != NULL_HANDLE
    assert connected.dn_prefix == b"/o=Example/ou=Site/cn=Recipients/cn="
    assert connected.display_name == "Alice É.".encode("cp1252")
    assert connected.server_version == SERVER_VERSION
    assert normalized_version(connected.server_version) == (14, 0, 722, 0)
    assert connected.best_version == (0x0F00, 0x8000, 0)
    assert connected.time_stamp > 1_700_000_000


def test_a_name_in_the_client_s_code_page(world: World) -> None:
    assert Client(world, cpid=65001).connected.display_name == "Alice É.".encode()
    assert Client(world, cpid=932).connected.display_name == b"Alice ?."


def test_the_dn_compares_without_case(world: World) -> None:
    assert Client(world, dn=world.dn("alice").upper()).connected.return_value == 0


@pytest.mark.parametrize(
    ("account", "dn_of", "code"),
    [
        ("bob", "alice", ErrorCode.AccessDenied),
        ("relay", "bob", ErrorCode.AccessDenied),
        ("nobody", "alice", ErrorCode.AccessDenied),
        ("", "alice", ErrorCode.AccessDenied),
        ("relay", "alice", 0),
        ("alice", "alice", 0),
    ],
)
def test_who_may_connect_with_which_dn(
    world: World, caplog: pytest.LogCaptureFixture, account: str, dn_of: str, code: int
) -> None:
    client = Client(world, account, dn=world.dn(dn_of))
    assert client.connected.return_value == code
    assert (client.cxh == NULL_HANDLE) == bool(code)
    assert len(client.session.handles) == (code == 0)
    assert any("refused" in record.message for record in caplog.records) == bool(code)


@pytest.mark.parametrize("dn", ["", "/o=Example/ou=Site/cn=Recipients/cn=nobody", "alice"])
def test_an_unknown_dn(world: World, dn: str) -> None:
    assert Client(world, dn=dn).connected.return_value == ErrorCode.UnknownUser


def test_a_dn_that_is_no_text(client: Client) -> None:
    request = EcDoConnectExRequest(b"/o=\xff\xfe", 0, 0, 0, 1252, 0, 0, NONE, 1, (0, 0, 0), 0)
    assert client.call(10, request).return_value == ErrorCode.UnknownUser


def limited(world: World, sessions: int) -> World:
    """The same with another server."""
    return World(
        **{**vars(world), "server": EmsmdbServer(world.directory, world.store, session_limit=sessions)},
    )


def test_an_account_has_so_many_sessions_over_all_its_associations(world: World) -> None:
    served = limited(world, 3)
    clients = [Client(served) for _ in range(3)]
    assert {client.connected.return_value for client in clients} == {0}
    refused = Client(served).connected
    assert (refused.return_value, refused.cxh) == (ErrorCode.TooManySessions, NULL_HANDLE)
    assert Client(served, "bob", dn=world.dn("bob")).connected.return_value == 0, "others have theirs"
    assert Client(served, "relay").connected.return_value == 0, "and who connects as her, too"
    clients[0].disconnect()
    assert Client(served).connected.return_value == 0
    assert Client(served).connected.return_value == ErrorCode.TooManySessions
    served.server.end_session(clients[1].session)
    served.server.end_session(clients[1].session)
    assert Client(served).connected.return_value == 0
    assert Client(served).connected.return_value == ErrorCode.TooManySessions


def test_a_session_that_gets_no_context_handle_is_not_counted(world: World) -> None:
    served = limited(world, 2)
    client = Client(served)
    client.session.handle_limit = 1
    for _ in range(3):
        with pytest.raises(RpcFault):
            client.connect()
    client.session.handle_limit = 2
    assert client.connect().return_value == 0


def test_disconnecting_ends_the_session(client: Client) -> None:
    logon = client.logon
    session = client.session.handles[client.cxh]
    response = client.disconnect()
    assert (response.cxh, response.return_value) == (NULL_HANDLE, 0)
    assert len(session.objects) == 0
    request = EcDoRpcExt2Request(client.cxh, 0, pack_payload(RopBuffer([], [logon]).pack()), 0x8000)
    assert fault(client, 11, request.pack()) == FaultStatus.CONTEXT_MISMATCH


@pytest.mark.parametrize("handle", [NULL_HANDLE, ContextHandle(0, NULL_HANDLE.uuid), "other"])
def test_a_handle_of_no_session_of_this_association(world: World, client: Client, handle: ContextHandle | str) -> None:
    cxh = Client(world).cxh if isinstance(handle, str) else handle
    for opnum, request in (
        (1, EcDoDisconnectRequest(cxh)),
        (2, EcDoRpcRequest(cxh, b"", 0x7FFF)),
        (4, EcRRegisterPushNotificationRequest(cxh, 0, b"", 0, b"")),
        (11, EcDoRpcExt2Request(cxh, 0, b"", 0x8000)),
    ):
        assert fault(client, opnum, request.pack()) == FaultStatus.CONTEXT_MISMATCH


def test_the_end_of_an_association_closes_its_sessions(client: Client) -> None:
    client.contents(p.PidTagSubject)
    objects = client.session.handles[client.cxh].objects
    assert len(objects) == 3
    client.world.server.end_session(client.session)
    assert len(objects) == 0
    client.world.server.end_session(client.session)


def test_connecting_as_old_clients_do(client: Client, world: World) -> None:
    connected = client.old_connect()
    assert (connected.return_value, connected.cxh == NULL_HANDLE) == (0, False)
    assert connected.dn_prefix == b"/o=Example/ou=Site/cn=Recipients/cn="
    assert connected.display_name == "Alice É.".encode("cp1252")
    assert (connected.server_version, connected.best_version) == (SERVER_VERSION, (12, 6206, 1000))
    assert connected.icxr != client.connected.icxr
    for dn, code in ((world.dn("bob"), ErrorCode.AccessDenied), ("/o=nobody", ErrorCode.UnknownUser)):
        refused = client.old_connect(dn)
        assert (refused.return_value, refused.cxh) == (code, NULL_HANDLE)


def test_what_libmapi_sends_as_an_old_client(client: Client, world: World) -> None:
    """Its only recorded EcDoConnect; the server that it was sent to did not know the call."""
    (recorded,) = [
        recorded
        for recorded in json_lines(shared_path("wire/calls-folders-tcp-connect-2000.jsonl"))
        if recorded["interface"] == "emsmdb" and recorded["opnum"] == 0
    ]
    request = EcDoConnectRequest.unpack(bytes.fromhex(recorded["request_stub_hex"]))
    assert (request.client_version, request.icxr_link) == ((12, 6206, 1000), NONE)
    assert client.call(0, request).return_value == ErrorCode.UnknownUser
    request.user_dn = world.dn("alice").encode()
    assert client.call(0, request).return_value == 0


def test_sessions_of_old_clients_count(world: World) -> None:
    client = Client(limited(world, 4))
    handles = {client.old_connect().cxh for _ in range(3)}
    assert len(handles) == 3
    assert client.old_connect().return_value == client.connect().return_value == ErrorCode.TooManySessions


def test_rops_of_old_clients(client: Client, world: World) -> None:
    """A session is the same whichever call began it, and takes the ROPs of both."""
    client.cxh = client.old_connect().cxh
    inbox = world.folder(SpecialFolder.INBOX)
    request = RopBuffer([RopOpenFolderRequest(0, 0, 1, inbox, 0)], [client.logon, NONE])
    answer = client.old_send(request.pack())
    assert (answer.cxh, answer.return_value, answer.maximum) == (client.cxh, 0, 0x7FFF)
    response = RopBuffer.unpack_response(answer.payload, request, client.states)
    assert response.rops[0].return_value == 0  # type: ignore[attr-defined]
    assert client.open_objects() == 2
    assert client.old_send(b"\2\0").payload == b"\2\0"  # nothing to do, as libmapi asks for notifications
    assert (client.disconnect().return_value, client.session.handles.get(client.cxh)) == (0, None)
    assert fault(client, 2, EcDoRpcRequest.of(client.cxh, request.pack()).pack()) == FaultStatus.CONTEXT_MISMATCH


def test_an_old_client_gets_what_it_has_room_for(client: Client) -> None:
    request = RopBuffer([RopGetPropertiesListRequest(0, 0)] * 3, [client.logon])
    whole = client.old_send(request.pack())
    answered = RopBuffer.unpack_response(whole.payload, request, client.states)
    assert len(answered.rops) == 3
    short = client.old_send(request.pack(), len(whole.rgb) - 1)
    assert (short.return_value, len(short.rgb) < len(whole.rgb)) == (0, True)
    rops = RopBuffer.unpack_response(short.payload, request, client.states).rops
    assert rops[:-1] == answered.rops[: len(rops) - 1]
    assert isinstance(rops[-1], RopBufferTooSmallResponse)
    assert rops[-1].request_buffers == RopBuffer(request.rops[len(rops) - 1 :], []).pack()[2:]
    large = client.call(2, EcDoRpcRequest(client.cxh, obfuscate(request.pack()), 0x7FFF, 0xFFF0))  # libmapi's sizes
    assert (large.rgb, large.maximum) == (whole.rgb, 0x7FFF)
    nothing = client.old_send(request.pack(), 8)
    assert (nothing.return_value, nothing.rgb) == (ErrorCode.BufferTooSmall, b"")


@pytest.mark.parametrize("payload", [b"", b"\0", b"\3\0", b"\3\0\0", b"\2\0\0", b"\5\0\x8e\0\0"])
def test_what_is_no_rop_buffer_of_an_old_client(client: Client, payload: bytes) -> None:
    logon = client.logon
    answer = client.old_send(payload)
    assert (answer.cxh, answer.return_value, answer.rgb) == (client.cxh, ErrorCode.RpcFormat, b"")
    assert client.ask(RopQueryPositionRequest(0, 0), logon).return_value == ErrorCode.NotSupported


def test_dummy(client: Client) -> None:
    assert client.call(6, EcDummyRpcRequest()).return_value == 0


def test_push_notifications_are_refused(client: Client) -> None:
    response = client.call(4, EcRRegisterPushNotificationRequest(client.cxh, 0, b"12345678", 0xFFFFFFFF, b"\2\0"))
    assert (response.cxh, response.return_value) == (client.cxh, ErrorCode.NotSupported)


def test_other_calls_of_the_interface_fault(client: Client) -> None:
    stub = EcDoDisconnectRequest(client.cxh).pack()
    for opnum in (3, 5, 7, 9):
        assert fault(client, opnum, stub) == FaultStatus.OP_RANGE_ERROR


@pytest.mark.parametrize("xor", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_requests_may_be_compressed_and_obfuscated(client: Client, compress: bool, xor: bool) -> None:
    requests = [RopQueryPositionRequest(0, 0)] * 50
    answer = client.execute(*requests, handles=[client.logon], compress=compress, xor=xor)
    assert len(answer.rops) == 50


@pytest.mark.parametrize(
    "flags", [0, RpcFlags.NoXorMagic, RpcFlags.NoCompression, RpcFlags.NoXorMagic | RpcFlags.NoCompression]
)
@pytest.mark.parametrize("compress", [False, True])
def test_responses_are_as_the_client_wants_them(world: World, compress: bool, flags: int) -> None:
    served = World(**{**vars(world), "server": EmsmdbServer(world.directory, world.store, compress=compress)})
    client = Client(served)
    payload = RopBuffer([RopGetPropertiesListRequest(0, 0)] * 5, [client.logon])
    answer = client.send(pack_payload(payload.pack()), flags=flags)
    (buffer,) = extended_buffers(answer.rgb_out)
    assert bool(buffer.flags & RpcHeaderFlags.XorMagic) == (not flags & RpcFlags.NoXorMagic)
    assert bool(buffer.flags & RpcHeaderFlags.Compressed) == (compress and not flags & RpcFlags.NoCompression)
    assert len(RopBuffer.unpack_response(buffer.payload, payload, client.states).rops) == 5


def test_a_chain_of_requests_gets_a_chain_of_responses(client: Client, world: World) -> None:
    opening = RopBuffer([RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0)], [client.logon, NONE])
    asking = RopBuffer([RopQueryPositionRequest(0, 0)], [client.logon])
    answer = client.send(pack_payloads([opening.pack(), asking.pack()], compress=True, xor=True), out_size=0x10000)
    first, second = (buffer.payload for buffer in extended_buffers(answer.rgb_out))
    states = HandleStates()
    assert RopBuffer.unpack_response(first, opening, states).rops[0].return_value == 0  # type: ignore[attr-defined]
    response = RopBuffer.unpack_response(second, asking, states).rops[0]
    assert response.return_value == ErrorCode.NotSupported  # type: ignore[attr-defined]


def test_of_a_chain_with_something_wrong_nothing_is_done(client: Client, world: World) -> None:
    opening = RopBuffer(
        [RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0)], [client.logon, NONE]
    ).pack()
    before = client.open_objects()
    assert client.send(pack_payloads([opening, b"\3\0\0"])).return_value == ErrorCode.RpcFormat
    assert client.open_objects() == before


@pytest.mark.parametrize(
    "rgb_in",
    [
        b"",
        b"\0" * 7,
        b"\0\0\4\0\3\0\3\0\2\0",
        b"\0\0\4\0\2\0\3\0\2\0",
        b"\1\0\4\0\2\0\2\0\2\0",
        b"\0\0\0\0\2\0\2\0\2\0",
        b"\0\0\4\0\2\0\2\0\2\0\0",
        b"\0\0\5\0\2\0\2\0\2\0",
    ],
)
def test_what_is_no_extended_buffer(client: Client, rgb_in: bytes) -> None:
    logon = client.logon
    answer = client.send(rgb_in)
    assert (answer.cxh, answer.return_value, answer.rgb_out) == (client.cxh, ErrorCode.RpcFormat, b"")
    assert client.ask(RopQueryPositionRequest(0, 0), logon).return_value == ErrorCode.NotSupported


def test_a_few_bytes_cannot_ask_for_a_million_rops(client: Client) -> None:
    many = b"\x02\xf6" + b"\x01\x00\x07" * 20_992  # RopRelease
    answer = client.send(pack_payloads([many] * 40, compress=True))
    assert (answer.return_value, answer.rgb_out) == (ErrorCode.RpcFormat, b"")
    assert client.send(pack_payloads([many] * 4, compress=True)).return_value == ErrorCode.Success


class Quiet(logging.Handler):
    """Fails where anything is logged with a traceback, which only bugs are."""

    def emit(self, record: logging.LogRecord) -> None:
        assert record.exc_info is None, record.getMessage()


@pytest.fixture
def quiet() -> Iterator[None]:
    handler = Quiet()
    logger = logging.getLogger("openchange_py")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


def _stub(client: Client, rops: bytes, handles: list[int], out_size: int) -> bytes:
    payload = (len(rops) + 2).to_bytes(2, "little") + rops
    payload += b"".join(handle.to_bytes(4, "little") for handle in handles)
    return EcDoRpcExt2Request(client.cxh, 0, pack_payload(payload), out_size).pack()


ROP = st.builds(
    lambda rop_id, rest: bytes((rop_id,)) + rest,
    st.sampled_from(sorted(REQUESTS)),
    st.lists(st.integers(0, 4), max_size=24).map(bytes) | st.binary(max_size=24),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rops=st.lists(ROP, max_size=4).map(b"".join), out_size=st.sampled_from([0, 60, 200, 0x8008]))
def test_any_rops_get_an_answer_that_decodes(quiet: None, world: World, rops: bytes, out_size: int) -> None:
    client = Client(world)
    handles = [client.logon, client.folder(), client.contents(p.PidTagSubject), client.message(world.rich), NONE]
    call = Call(EMSMDB, 11, _stub(client, rops, handles, out_size), client.session, client.identity)
    world.server.call(call)
    answer = EMSMDB.methods[11].response.unpack(call.reply_bytes())  # type: ignore[union-attr]
    if answer.return_value:
        assert answer.return_value in (ErrorCode.RpcFormat, ErrorCode.BufferTooSmall)
        return
    (buffer,) = extended_buffers(answer.rgb_out)
    payload = (len(rops) + 2).to_bytes(2, "little") + rops + b"".join(h.to_bytes(4, "little") for h in handles)
    request = RopBuffer.unpack_request(payload)
    states = HandleStates()
    states.state(handles[2]).columns = (p.PidTagSubject,)
    response = RopBuffer.unpack_response(buffer.payload, request, states)
    assert len(response.handles) == len(handles)
    assert len(response.rops) <= len(request.rops)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(opnum=st.sampled_from([0, 1, 2, 4, 6, 10, 11]), stub=st.binary(max_size=200))
def test_any_stub_gets_an_answer_or_a_fault(quiet: None, client: Client, opnum: int, stub: bytes) -> None:
    """The dispatcher makes a fault of the `DecodeError`."""
    call = Call(EMSMDB, opnum, stub, client.session, client.identity)
    status = 0
    try:
        client.world.server.call(call)
    except (RpcFault, DecodeError) as error:
        status = getattr(error, "status", FaultStatus.BAD_STUB_DATA)
    assert status in (0, FaultStatus.BAD_STUB_DATA, FaultStatus.CONTEXT_MISMATCH)
    assert (call.response is None) == bool(status)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.binary(max_size=300))
def test_any_payload_gets_an_answer(quiet: None, client: Client, payload: bytes) -> None:
    assert client.old_send(payload).return_value in (0, ErrorCode.RpcFormat, ErrorCode.BufferTooSmall)
    answer = client.send(pack_payload(payload))
    assert answer.return_value in (0, ErrorCode.RpcFormat, ErrorCode.BufferTooSmall)
    assert client.send(payload).return_value in (0, ErrorCode.RpcFormat, ErrorCode.BufferTooSmall)


def test_how_large_a_message_may_be_is_the_servers_to_say(own_world: World) -> None:
    server = EmsmdbServer(own_world.directory, own_world.store, largest_message=1000)
    client = Client(World(**{**vars(own_world), "server": server}))
    message = client.new_message()
    assert client.set(message, {p.PidTagBody: "x" * 1000}) == []
    assert client.save(message).return_value == ErrorCode.TooBig
    assert client.set(message, {p.PidTagBody: "x"}) == []
    assert client.save(message).return_value == 0
