"""The Netlogon security support provider, held against impacket's functions."""

from __future__ import annotations

import struct

import pytest
from impacket.dcerpc.v5 import nrpc

from openchange_py.auth.schannel import SchannelInitiator, netlogon_credential, session_key
from openchange_py.rpc.security import AuthLevel, SecurityError

KEY = bytes(range(16))
CONFOUNDER = b"confound"


def established() -> SchannelInitiator:
    context = SchannelInitiator(KEY, "EXAMPLE", "EXCH1", random=lambda size: CONFOUNDER[:size])
    assert context.step(b"").endswith(b"EXAMPLE\0EXCH1\0")
    assert context.step(b"\1" + bytes(11)) == b""
    assert context.complete
    return context


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> None:
    """impacket is a client: let it number messages as a server does, without the highest bit."""
    monkeypatch.setattr(nrpc, "deriveSequenceNumber", lambda number: struct.pack(">LL", number, 0))


def test_session_key_and_credential() -> None:
    ours, theirs = b"\1" * 8, b"\2" * 8
    key = session_key("Passwörd", ours, theirs)
    assert key == nrpc.ComputeSessionKeyAES("Passwörd", ours, theirs)
    assert netlogon_credential(ours, key) == nrpc.ComputeNetlogonCredentialAES(ours, key)


def test_messages_as_impacket_makes_them() -> None:
    context = established()
    sealed, signature = nrpc.SEAL(b"first", CONFOUNDER, 0, KEY, True)
    assert context.seal(b"", b"first", b"") == (sealed, signature.getData())
    assert context.sign(b"second") == nrpc.SIGN(b"second", b"", 1, KEY, True).getData().ljust(56, b"\0")
    assert context.signature_size(AuthLevel.PRIVACY) == len(signature.getData()) == 56
    assert context.signature_size(AuthLevel.CONNECT) == 0


def test_headers_are_signed_where_they_are_given() -> None:
    context, other = established(), established()
    assert context.seal(b"head", b"body", b"tail")[1] != other.seal(b"", b"body", b"")[1]


@pytest.mark.usefixtures("controller")
def test_a_controller_s_answers() -> None:
    context = established()
    context.seal(b"", b"question", b"")
    sealed, signature = nrpc.SEAL(b"answer", CONFOUNDER, 1, KEY, True)
    assert context.unseal(b"", sealed, b"", signature.getData()) == b"answer"
    context.verify(b"signed", nrpc.SIGN(b"signed", b"", 2, KEY, True).getData().ljust(56, b"\0"))


@pytest.mark.usefixtures("controller")
@pytest.mark.parametrize("where", ["body", "algorithm", "sequence", "checksum", "confounder", "short", "key", "turn"])
def test_what_is_no_answer_of_the_controller(where: str) -> None:
    context = established()
    key, number = (bytes(16), 0) if where == "key" else (KEY, 7 if where == "turn" else 0)
    sealed, made = nrpc.SEAL(b"answer", CONFOUNDER, number, key, True)
    signature = bytearray(made.getData())
    at = {"algorithm": 2, "sequence": 8, "checksum": 16, "confounder": 24}.get(where)
    if at is not None:
        signature[at] ^= 1
    if where == "body":
        sealed = bytes([sealed[0] ^ 1]) + sealed[1:]
    with pytest.raises(SecurityError):
        context.unseal(b"", sealed, b"", bytes(signature[: 20 if where == "short" else 56]))


@pytest.mark.usefixtures("controller")
def test_a_question_sent_back_is_no_answer() -> None:
    context = established()
    sealed, signature = context.seal(b"", b"question", b"")
    with pytest.raises(SecurityError):
        context.unseal(b"", sealed, b"", signature)


def test_tokens_out_of_their_turn() -> None:
    context = SchannelInitiator(KEY, "EXAMPLE", "EXCH1")
    with pytest.raises(SecurityError, match="not complete"):
        context.sign(b"early")
    context.step(b"")
    for token in (b"", b"\1", bytes(12)):
        with pytest.raises(SecurityError):
            context.step(token)
    context.step(b"\1" + bytes(11))
    with pytest.raises(SecurityError):
        context.step(b"\1" + bytes(11))
    with pytest.raises(SecurityError, match="NetBIOS"):
        SchannelInitiator(KEY, "EXÄMPLE", "EXCH1").step(b"")
