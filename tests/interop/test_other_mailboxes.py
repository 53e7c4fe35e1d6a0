"""Bob wants Alice's mailbox, through the hybrid whose account may open every mailbox: refused, and logged."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator

import pytest
from impacket.dcerpc.v5 import rpcrt

from openchange_py.wire.ndr import NULL_HANDLE
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoConnectRequest,
    EcDoConnectResponse,
    RpcFlags,
    wire_version,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcstor import LogonFlags, OpenFlags, RopLogonPrivateResponse
from openchange_py.wire.rpcheaderext import pack_payload, pack_payloads, unpack_payloads
from tests.interop.foreign import RECIPIENTS, Session, call, connection, logon_rop, session
from tests.interop.nodes import Node, Site, ocpy

pytestmark = pytest.mark.xdist_group("site")

PLAIN = RpcFlags.NoCompression | RpcFlags.NoXorMagic


@pytest.fixture(params=["hybrid", "exchange"])
def node(request: pytest.FixtureRequest, site: Site) -> Node:
    """Each of the two: what the hybrid lets pass, node exchange takes for the relay's."""
    return getattr(site, request.param)


@pytest.fixture
def bob(site: Site, node: Node) -> Iterator[Session]:
    """Bob's own session; whatever he tried, his own mailbox is his afterwards, and nobody opened Alice's."""
    start = node.log.position, site.exchange.log.position
    with session(site, node, "bob") as opened:
        yield opened
    with session(site, node, "bob") as again:
        assert isinstance(again.log_on("bob")[0], RopLogonPrivateResponse)
    behind = site.exchange.log.lines[start[1] :]
    assert not [line for line in behind if "logged on to" in line and "cn=alice" in line]
    assert [line for line in node.log.lines[start[0] :] + behind if "WARNING" in line]


def payload(*rops: RopRequest | bytes, handles: int = 2) -> bytes:
    """A ROP input buffer of ROPs and of bytes that are none."""
    packed = b"".join(
        rop if isinstance(rop, bytes) else RopBuffer([rop], []).pack()[2:]  # without its RopSize
        for rop in rops
    )
    return struct.pack("<H", len(packed) + 2) + packed + struct.pack("<I", NO_HANDLE) * handles


ALICE, OWN = logon_rop("alice", 1), logon_rop("bob", 0)


def chained(xor: bool = False, compress: bool = False) -> bytes:
    return pack_payloads([payload(OWN), payload(ALICE)], xor=xor, compress=compress)


#: Ways to send a RopLogon to Alice's mailbox in one EcDoRpcExt2, as rgbIn.
WAYS: dict[str, Callable[[], bytes]] = {
    "alone": lambda: pack_payload(payload(ALICE)),
    "obfuscated": lambda: pack_payload(payload(ALICE), xor=True),
    "compressed": lambda: pack_payload(payload(ALICE, OWN, OWN), compress=True),
    "compressed and obfuscated": lambda: pack_payload(payload(OWN, OWN, ALICE), compress=True, xor=True),
    "second rop": lambda: pack_payload(payload(OWN, ALICE)),
    "behind a failing rop": lambda: pack_payload(payload(RopOpenFolderRequest(0, 0, 1, 1, 0), ALICE)),
    "chained": chained,
    "chained and obfuscated": lambda: chained(xor=True),
    "behind an unknown rop": lambda: pack_payload(payload(b"\x8e\x00\x00", ALICE)),
    "behind garbage": lambda: pack_payload(payload(b"\xf7" * 9, ALICE)),
    # A public logon has RopSetMessageReadFlag followed by 24 bytes more: they would hide most of a RopLogon.
    "as client data": lambda: pack_payload(
        payload(dataclasses.replace(OWN, logon_flags=LogonFlags(0)), b"\x11\x00\x00\x00\x00" + bytes(8), ALICE)
    ),
    "behind a rop cut short": lambda: pack_payload(payload(b"\x07\x00\x00", ALICE)),
    "in other letters": lambda: pack_payload(payload(logon_rop((RECIPIENTS + "ALICE").swapcase(), 1))),
    "as administrator": lambda: pack_payload(
        payload(dataclasses.replace(ALICE, open_flags=ALICE.open_flags | OpenFlags.UseAdminPrivilege))
    ),
    "as a public logon": lambda: pack_payload(payload(dataclasses.replace(ALICE, logon_flags=LogonFlags(0)))),
    "with two names": lambda: pack_payload(
        payload(dataclasses.replace(ALICE, essdn=f"{RECIPIENTS}bob\0{RECIPIENTS}alice\0".encode()))
    ),
    "with spaces": lambda: pack_payload(payload(dataclasses.replace(ALICE, essdn=f" {RECIPIENTS}alice \0".encode()))),
    "without a terminating zero": lambda: pack_payload(
        payload(dataclasses.replace(ALICE, essdn=f"{RECIPIENTS}alice".encode()))
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_into_another_s_mailbox(bob: Session, way: str) -> None:
    rgb_in = WAYS[way]()
    assert unpack_payloads(rgb_in)
    try:
        answer = bob.send(rgb_in, PLAIN)
    except rpcrt.DCERPCException as error:
        refusal = str(error)
        answer = None
    if answer is None:
        assert "access_denied" in refusal
        return
    if answer.return_value != ErrorCode.Success:
        assert answer.return_value == ErrorCode.RpcFormat
        assert answer.rgb_out == b""
        return
    for index, answered in enumerate(unpack_payloads(answer.rgb_out)):
        request = RopBuffer.unpack_request(unpack_payloads(rgb_in)[index])
        response = RopBuffer.unpack_response(answered, request, bob.states)
        assert response.handles[1] == NO_HANDLE
        for rop in response.rops:
            assert rop.return_value != 0 or rop.handle_index == OWN.output_handle_index


def test_the_error_of_a_logon_that_is_refused(site: Site, node: Node) -> None:
    with (
        session(site, node, "bob") as opened,
        node.log.expect("WARNING .*RopLogon.*refused"),
    ):
        response, handle = opened.log_on("alice")
        assert response.return_value == ErrorCode.LoginPermission
        assert handle == NO_HANDLE
        own, _ = opened.log_on("bob")
        assert isinstance(own, RopLogonPrivateResponse)


def test_as_administrator(site: Site, node: Node) -> None:
    with node.log.expect("WARNING .*EcDoConnectEx.*refused"), connection(site, node, EMSMDB, "bob") as dce:
        answer = Session(dce).connect("alice", flags=1)
        assert answer.return_value == ErrorCode.AccessDenied
        assert answer.cxh.is_null


def test_linked_to_another_s_session(site: Site) -> None:
    """ulIcxrLink joins sessions: not those of somebody else."""
    with session(site, site.hybrid, "alice") as hers, connection(site, site.hybrid, EMSMDB, "bob") as dce:
        link = hers.connect("alice").icxr
        with site.hybrid.log.expect(r"WARNING .*bob.* another's"):
            assert Session(dce).connect("bob", link=link).return_value == ErrorCode.AccessDenied


def test_with_another_s_context_handle(site: Site, node: Node) -> None:
    with session(site, node, "alice") as hers, session(site, node, "bob") as his:
        assert isinstance(hers.log_on("alice")[0], RopLogonPrivateResponse)
        his.cxh = hers.cxh
        with pytest.raises(rpcrt.DCERPCException, match="context_mismatch"):
            his.log_on("alice")
        with pytest.raises(rpcrt.DCERPCException, match="context_mismatch"):
            his.disconnect()
        assert isinstance(hers.log_on("alice")[0], RopLogonPrivateResponse)


def test_connecting_as_old_clients_do(site: Site, node: Node) -> None:
    """EcDoConnect (up to Outlook 2002) with another's DN."""
    request = EcDoConnectRequest(
        f"{RECIPIENTS}alice".encode(), 0, 7, 0, 1252, 1033, 1033, 0xFFFFFFFF, 1, wire_version(6, 0, 1000, 0), 0
    )
    with node.log.expect("WARNING .*EcDoConnect.*refused"), connection(site, node, EMSMDB, "bob") as dce:
        try:
            answer = call(dce, EMSMDB, request, EcDoConnectResponse)
        except rpcrt.DCERPCException as error:
            assert "access_denied" in str(error)
        else:
            assert (answer.return_value, answer.cxh.is_null) == (ErrorCode.AccessDenied, True)


def test_rops_of_old_clients_need_a_session(site: Site, node: Node) -> None:
    rpc = EcDoRpcRequest.of(NULL_HANDLE, payload(ALICE))
    with (
        connection(site, node, EMSMDB, "bob") as dce,
        pytest.raises(rpcrt.DCERPCException, match="access_denied|context_mismatch"),
    ):
        call(dce, EMSMDB, rpc, EcDoRpcResponse)


def test_ocpy_client_says_so(site: Site) -> None:
    done = site.client(site.hybrid, "bob", "folders", "--mailbox", "alice", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "permission" in done.stderr.lower()


def test_access_that_was_granted_works_and_ends_when_revoked(site: Site) -> None:
    command = ["access", "alice", "-c", site.exchange.config]
    ocpy(*command, "--grant", "bob")
    try:
        with session(site, site.hybrid, "bob") as opened:
            assert isinstance(opened.log_on("alice")[0], RopLogonPrivateResponse)
    finally:
        ocpy(*command, "--revoke", "bob")
    with session(site, site.hybrid, "bob") as opened:
        assert opened.log_on("alice")[0].return_value == ErrorCode.LoginPermission
