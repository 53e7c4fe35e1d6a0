"""Bob wants Alice's mailbox, through the hybrid whose account may open every mailbox: refused, and logged."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from impacket.dcerpc.v5 import rpcrt

from openchange_py.wire.ndr import NULL_HANDLE
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB, RpcFlags
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE, HandleStates
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcstor import LogonFlags, OpenFlags, RopLogonPrivateResponse
from openchange_py.wire.rpcheaderext import obfuscate, pack_payload, pack_payloads, unpack_payloads
from tests.interop.foreign import RECIPIENTS, Session, connection, logon_rop, session
from tests.interop.nodes import Node, Site, ocpy

pytestmark = pytest.mark.xdist_group("site")

A = TypeVar("A")

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


def refusal_or(send: Callable[[], A]) -> A | None:
    """What is answered; None where it was the fault that refuses."""
    try:
        return send()
    except rpcrt.DCERPCException as error:
        refusal = str(error)
    assert "access_denied" in refusal
    return None


def assert_only_his_own_opened(request: bytes, answer: bytes, states: HandleStates) -> None:
    response = RopBuffer.unpack_response(answer, RopBuffer.unpack_request(request), states)
    assert response.handles[1] == NO_HANDLE
    for rop in response.rops:
        assert rop.return_value != 0 or rop.handle_index == OWN.output_handle_index


@pytest.mark.parametrize("way", WAYS)
def test_ways_into_another_s_mailbox(bob: Session, way: str) -> None:
    rgb_in = WAYS[way]()
    payloads = unpack_payloads(rgb_in)
    assert payloads
    answer = refusal_or(lambda: bob.send(rgb_in, PLAIN))
    if answer is None:
        return
    if answer.return_value != ErrorCode.Success:
        assert (answer.return_value, answer.rgb_out) == (ErrorCode.RpcFormat, b"")
        return
    for request, answered in zip(payloads, unpack_payloads(answer.rgb_out), strict=False):
        assert_only_his_own_opened(request, answered, bob.states)


@pytest.mark.parametrize("way", WAYS)
def test_ways_into_another_s_mailbox_by_the_old_calls(bob: Session, way: str) -> None:
    """Each ROP buffer by EcDoRpc, as it must be; and in forms that are wrong, but perhaps not to everybody."""
    assert bob.old_connect("bob").return_value == ErrorCode.Success
    rgb_in = WAYS[way]()
    for buffer in unpack_payloads(rgb_in):
        for rgb in (obfuscate(buffer), buffer, rgb_in, obfuscate(rgb_in)):
            answer = refusal_or(lambda rgb=rgb: bob.old_send(rgb))
            if answer is None:
                continue
            if answer.return_value != ErrorCode.Success:
                assert (answer.return_value, answer.rgb) == (ErrorCode.RpcFormat, b"")
                continue
            assert rgb == obfuscate(buffer)
            assert_only_his_own_opened(buffer, answer.payload, bob.states)


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


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_as_administrator(site: Site, user: str) -> None:
    """Not even of his own mailbox: the hybrid's account is not the caller's."""
    for connect in (Session.connect, Session.old_connect):
        with (
            site.hybrid.log.expect(r"WARNING .*EcDoConnect.*refused"),
            connection(site, site.hybrid, EMSMDB, "bob") as dce,
        ):
            answer = connect(Session(dce), user, flags=1)
            assert (answer.return_value, answer.cxh.is_null) == (ErrorCode.AccessDenied, True)


def test_with_another_s_dn(site: Site, node: Node) -> None:
    for connect in (Session.connect, Session.old_connect):
        with node.log.expect(r"WARNING .*EcDoConnect.*refused"), connection(site, node, EMSMDB, "bob") as dce:
            answer = connect(Session(dce), "alice")
            assert (answer.return_value, answer.cxh.is_null) == (ErrorCode.AccessDenied, True)


def test_linked_to_another_s_session(site: Site) -> None:
    """ulIcxrLink joins sessions: not those of somebody else."""
    for hers, his in ((Session.connect, Session.old_connect), (Session.old_connect, Session.connect)):
        with (
            connection(site, site.hybrid, EMSMDB, "alice") as her_dce,
            connection(site, site.hybrid, EMSMDB, "bob") as dce,
        ):
            link = hers(Session(her_dce), "alice").icxr
            with site.hybrid.log.expect(r"WARNING .*bob.* another's"):
                assert his(Session(dce), "bob", link=link).return_value == ErrorCode.AccessDenied


def test_with_another_s_context_handle(site: Site, node: Node) -> None:
    with session(site, node, "alice") as hers, session(site, node, "bob") as his:
        assert isinstance(hers.log_on("alice")[0], RopLogonPrivateResponse)
        for foreign in (hers.cxh, NULL_HANDLE):
            his.cxh = foreign
            with pytest.raises(rpcrt.DCERPCException, match="context_mismatch"):
                his.log_on("alice")
            with pytest.raises(rpcrt.DCERPCException, match="context_mismatch"):
                his.old_send(obfuscate(payload(ALICE)))
            with pytest.raises(rpcrt.DCERPCException, match="context_mismatch"):
                his.disconnect()
        assert isinstance(hers.log_on("alice")[0], RopLogonPrivateResponse)


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
