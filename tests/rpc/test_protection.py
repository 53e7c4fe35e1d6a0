"""Signing and sealing of PDUs, with the two ends of a real NTLM context."""

from __future__ import annotations

import dataclasses

import pytest

from openchange_py.rpc.protection import LEVELS, Protection
from openchange_py.rpc.security import AuthLevel, AuthType, SecurityError
from openchange_py.wire.pdu import Pfc, Request, decode_pdu
from tests.auth.ntlm_parties import acceptor
from tests.rpc.parties import ntlm


def ends(
    level: AuthLevel, *, header_signing: bool, auth_type: AuthType = AuthType.NTLMSSP
) -> tuple[Protection, Protection]:
    client, server = ntlm(level), acceptor()
    assert client is not None
    token = client.step(b"")
    while token:
        token = server.step(token)
        token = client.step(token) if token else b""
    return tuple(  # type: ignore[return-value]
        Protection(context, auth_type, level, 9, header_signing=header_signing) for context in (client, server)
    )


def protect(end: Protection, pdu: Request) -> bytes:
    """The whole PDU, protected."""
    return end.protect(pdu, pdu.flags, pdu.stub, pdu.alloc_hint)


@pytest.mark.parametrize("auth_type", [AuthType.NTLMSSP, AuthType.KERBEROS])
@pytest.mark.parametrize("header_signing", [True, False])
@pytest.mark.parametrize("level", [AuthLevel.PACKET, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("size", [0, 1, 16, 1000])
def test_what_one_end_protects_the_other_reads(
    level: AuthLevel, size: int, header_signing: bool, auth_type: AuthType
) -> None:
    client, server = ends(level, header_signing=header_signing, auth_type=auth_type)
    pdu = Request(call_id=1, context_id=0, opnum=3, stub=bytes(range(250)) * 4)
    pdu = dataclasses.replace(pdu, stub=pdu.stub[:size])
    raw = protect(client, pdu)
    decoded = decode_pdu(raw)
    assert isinstance(decoded, Request)
    assert len(decoded.stub) % 16 == 0
    assert decoded.auth is not None
    assert decoded.auth.auth_pad_length == -size % 16
    assert server.unprotect(raw, decoded) == pdu.stub


@pytest.mark.parametrize(
    ("auth_type", "header_signing", "noticed"),
    [
        (AuthType.NTLMSSP, True, True),
        (AuthType.NTLMSSP, False, True),  # NTLM signs the header always
        (AuthType.KERBEROS, True, True),
        (AuthType.KERBEROS, False, False),
    ],
)
def test_a_changed_header_is_noticed(auth_type: AuthType, header_signing: bool, noticed: bool) -> None:
    client, server = ends(AuthLevel.INTEGRITY, header_signing=header_signing, auth_type=auth_type)
    raw = bytearray(protect(client, Request(call_id=1, context_id=0, opnum=3, stub=b"stub")))
    raw[22] = 4
    pdu = decode_pdu(bytes(raw))
    assert isinstance(pdu, Request)
    if noticed:
        with pytest.raises(SecurityError):
            server.unprotect(bytes(raw), pdu)
    else:
        assert server.unprotect(bytes(raw), pdu) == b"stub"


def test_a_replayed_pdu_is_refused() -> None:
    client, server = ends(AuthLevel.PRIVACY, header_signing=True)
    raw = protect(client, Request(call_id=1, context_id=0, opnum=3, stub=b"stub"))
    pdu = decode_pdu(raw)
    assert isinstance(pdu, Request)
    assert server.unprotect(raw, pdu) == b"stub"
    with pytest.raises(SecurityError):
        server.unprotect(raw, pdu)


def test_padding_longer_than_the_stub_is_refused() -> None:
    client, server = ends(AuthLevel.CONNECT, header_signing=False)
    pdu = Request(call_id=1, context_id=0, opnum=3, stub=b"stub", auth=client.trailer(b"x", pad_length=5))
    with pytest.raises(SecurityError):
        server.unprotect(pdu.pack(), pdu)
    other = dataclasses.replace(pdu, auth=dataclasses.replace(client.trailer(b"x"), auth_context_id=1))
    with pytest.raises(SecurityError):
        server.unprotect(other.pack(), other)


def test_level_call_is_packet() -> None:
    assert LEVELS[AuthLevel.CALL] is AuthLevel.PACKET
    assert AuthLevel.NONE not in LEVELS
    assert Pfc.WHOLE == 3
