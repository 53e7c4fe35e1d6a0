"""Clients that err, on purpose or not: a clear error or a clean close, a log line, and the next one is served."""

from __future__ import annotations

import concurrent.futures
import contextlib
import random
import socket
from collections.abc import Iterator

import pytest
from impacket.dcerpc.v5 import nspi, rpcrt

from openchange_py.wire.epm import EPMAPPER
from openchange_py.wire.mgmt import MGMT
from openchange_py.wire.ndr import NDR20, RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB, RpcFlags
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.pdu import Bind, PresentationContextElement, Request
from openchange_py.wire.rop.base import RopResponse
from openchange_py.wire.rpcheaderext import pack_payload
from tests.interop.foreign import RECIPIENTS, Session, connection, raw_call, session
from tests.interop.nodes import PATIENCE, Node, Site, ocpy

pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture(params=["hybrid", "exchange"])
def node(request: pytest.FixtureRequest, site: Site) -> Iterator[Node]:
    """Each of the two. Behind every test both live, and serve the next client."""
    chosen = getattr(site, request.param)
    yield chosen
    assert site.hybrid.alive
    assert site.exchange.alive
    assert_serves(site, chosen)


def assert_serves(site: Site, node: Node, user: str = "bob") -> None:
    """Another client gets what it asks for, from the address book and from a mailbox."""
    with connection(site, node, NSPI, user) as dce:
        handle = nspi.hNspiBind(dce)["contextHandle"]
        found = nspi.hNspiDNToMId(dce, handle, [RECIPIENTS + user])
        assert found["ppOutMIds"]["aulPropTag"][0]["Data"]
    with session(site, node, user) as opened:
        response, _ = opened.log_on(user)
        assert response.return_value == ErrorCode.Success


# Credentials


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [("alice", "wrong", "wrong password"), ("mallory", "any", "no such account")],
    ids=["wrong password", "unknown user"],
)
def test_credentials_that_are_refused(site: Site, node: Node, user: str, password: str, reason: str) -> None:
    with (
        node.log.expect(rf"WARNING .*: logon of '{user}' refused: {reason}"),
        connection(site, node, NSPI, user, password=password) as dce,
        pytest.raises(rpcrt.DCERPCException, match="access_denied"),
    ):
        nspi.hNspiBind(dce)


def test_ocpy_client_says_what_is_wrong_with_the_credentials(site: Site) -> None:
    node = site.hybrid
    arguments = ["client", "--endpoints", node.ready_file, "--user", "alice", "--password-file", "-", "folders"]
    with node.log.expect("logon of 'alice' refused: wrong password"):
        done = ocpy(*arguments, stdin="wrong\n", check=False)
    assert done.returncode == 1
    assert "127.0.0.1 refused the logon of alice: wrong name or password" in done.stderr
    assert "Traceback" not in done.stderr
    site.client(node, "alice", "folders")


def test_the_anonymous_get_nothing(site: Site, node: Node) -> None:
    for interface in (NSPI, RFR, EMSMDB):
        with (
            node.log.expect(f"{interface.name}.*fault 0x00000005"),
            connection(site, node, interface, None) as dce,
            pytest.raises(rpcrt.DCERPCException, match="access_denied"),
        ):
            raw_call(dce, 0, b"")


# Names


def test_connecting_as_an_unknown_dn(site: Site, node: Node) -> None:
    with node.log.expect("nobody"), connection(site, node, EMSMDB) as dce:
        answer = Session(dce).connect("nobody")
        assert answer.return_value in (ErrorCode.AccessDenied, ErrorCode.UnknownUser)
        assert answer.cxh.is_null


def test_logging_on_to_the_mailbox_of_an_unknown_dn(site: Site, node: Node) -> None:
    with node.log.expect("WARNING .*RopLogon.*nobody"), session(site, node, "alice") as opened:
        response, _ = opened.log_on("nobody")
        assert response.return_value == ErrorCode.UnknownUser
        assert opened.log_on("alice")[0].return_value == ErrorCode.Success


def test_another_s_dn(site: Site, node: Node) -> None:
    with node.log.expect(r"WARNING .*(bob.*cn=alice|cn=alice.*bob)"), connection(site, node, EMSMDB, "bob") as dce:
        answer = Session(dce).connect("alice")
        assert answer.return_value == ErrorCode.AccessDenied
        assert answer.cxh.is_null


# Bytes that are no PDUs


def bind_pdu(interface: RpcInterface = NSPI) -> bytes:
    return Bind(call_id=1, contexts=(PresentationContextElement(0, interface.syntax, (NDR20,)),)).pack()


@contextlib.contextmanager
def raw_client(node: Node) -> Iterator[socket.socket]:
    with socket.create_connection((node.host, node.rpc_port), PATIENCE) as client:
        yield client


def until_closed(client: socket.socket) -> bytes:
    """What the server says before it closes; a reset is a close too."""
    said = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            said += chunk
    return bytes(said)


def test_random_bytes(site: Site, node: Node) -> None:
    generator = random.Random(7)
    for size in (1, 15, 16, 17, 200, 5000):
        with node.log.expect("WARNING .*127.0.0.1:.* ended: "), raw_client(node) as client:
            client.sendall(generator.randbytes(size))
            client.shutdown(socket.SHUT_WR)
            until_closed(client)


def test_a_pdu_that_ends_early(site: Site, node: Node) -> None:
    """At every byte of a bind, and of a request behind a whole one."""
    bind = bind_pdu()
    request = Request(call_id=2, context_id=0, opnum=0, stub=bytes(40)).pack()
    for whole, cut in ((b"", bind), (bind, request)):
        for length in (1, 10, 16, len(cut) // 2, len(cut) - 1):
            with node.log.expect(r"WARNING .*127\.0\.0\.1:.* ended: "), raw_client(node) as client:
                client.sendall(whole + cut[:length])
                client.shutdown(socket.SHUT_WR)
                until_closed(client)


def test_lengths_that_lie(site: Site, node: Node) -> None:
    bind = bytearray(bind_pdu())
    for length in (0, 1, 15, 0xFFFF):
        bind[8:10] = length.to_bytes(2, "little")
        with node.log.expect(r"WARNING .*127\.0\.0\.1:.* ended: "), raw_client(node) as client:
            client.sendall(bind)
            client.shutdown(socket.SHUT_WR)
            until_closed(client)


def test_a_client_that_says_nothing(site: Site) -> None:
    """It is closed when the time for authenticating is over, also where it began a PDU; meanwhile others are served."""
    began = [(site.hybrid, b""), (site.exchange, b""), (site.hybrid, bind_pdu()[:20]), (site.exchange, b"\5")]
    with contextlib.ExitStack() as stack:
        clients = []
        for node, said in began:
            client = stack.enter_context(raw_client(node))
            client.sendall(said)
            stack.enter_context(node.log.expect(r"WARNING .*127\.0\.0\.1:.* closed after 3 s of handshake"))
            clients.append(client)
        assert_serves(site, site.hybrid)
        for client in clients:
            assert until_closed(client) == b""
    assert_serves(site, site.hybrid)


# Stubs that are none


def garbage(seed: int) -> list[bytes]:
    generator = random.Random(seed)
    return [b"", b"\0" * 64, b"\xff" * 64, *(generator.randbytes(size) for size in (3, 40, 300, 3000))]


@pytest.mark.parametrize("interface", [NSPI, RFR, EMSMDB, ASYNCEMSMDB, MGMT, EPMAPPER], ids=lambda one: one.name)
def test_garbage_for_every_opnum(site: Site, node: Node, interface: RpcInterface) -> None:
    """Every call is answered, by a response or a fault, on a connection that goes on; the log names those faulted."""
    port = node.mapper_port if interface is EPMAPPER else None
    user = None if interface is EPMAPPER else "alice"
    start, faults = node.log.position, 0
    with connection(site, node, interface, user, port=port) as dce:
        for opnum in range(max(interface.methods) + 2):
            for stub in garbage(opnum):
                try:
                    raw_call(dce, opnum, stub)
                except rpcrt.DCERPCException:
                    faults += 1
    assert faults
    node.log.wait_for_lines(f" {interface.name}.", faults, start)
    assert not [line for line in node.log.lines[start:] if "Traceback" in line]


def test_garbage_behind_a_good_context_handle(site: Site, node: Node) -> None:
    start = node.log.position
    with connection(site, node, NSPI) as dce:
        handle = nspi.hNspiBind(dce)["contextHandle"].getData()
        for opnum in range(2, 21):
            for stub in garbage(opnum):
                with contextlib.suppress(rpcrt.DCERPCException):
                    raw_call(dce, opnum, handle + stub)
        assert raw_call(dce, 1, handle + bytes(4))[-4:] == b"\1\0\0\0"
    assert not [line for line in node.log.lines[start:] if "Traceback" in line]


def test_garbage_instead_of_rops(site: Site, node: Node) -> None:
    start = node.log.position
    generator = random.Random(3)
    flags = RpcFlags.NoCompression | RpcFlags.NoXorMagic
    with session(site, node, "alice") as opened:
        for size in (0, 1, 7, 8, 9, 40, 400):
            assert opened.send(generator.randbytes(size), flags).return_value == ErrorCode.RpcFormat
        for size in (0, 1, 2, 3, 50, 500):
            payload = generator.randbytes(size)
            answer = opened.send(pack_payload(payload, xor=True), flags)
            assert answer.return_value == ErrorCode.RpcFormat
        response, _ = opened.log_on("alice")
        assert isinstance(response, RopResponse)
        assert response.return_value == ErrorCode.Success
    node.log.wait_for("WARNING .*EcDoRpcExt2", start)
    assert not [line for line in node.log.lines[start:] if "Traceback" in line]


# Many at once


def test_clients_at_once(site: Site) -> None:
    def one(number: int) -> None:
        node = site.hybrid if number % 4 else site.exchange
        for _ in range(3):
            assert_serves(site, node, ("alice", "bob")[number % 2])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(one, number) for number in range(8)]:
            future.result(PATIENCE)
