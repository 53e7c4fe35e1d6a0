"""NTLM inside SPNEGO: both sides with each other, impacket's client, and what a client may get wrong."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket import ntlm as impacket_ntlm
from impacket import spnego as impacket_spnego

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import SpnegoAcceptor, SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityError
from openchange_py.wire.ntlm import ChallengeMessage
from openchange_py.wire.spnego import (
    KERBEROS_OID,
    MS_KERBEROS_OID,
    NTLMSSP_OID,
    NegState,
    NegTokenInit,
    NegTokenResp,
    pack_mech_types,
)
from tests.auth.ntlm_parties import PASSWORD, PEER, authenticator

ALICE = Identity("alice", "EXAMPLE", AuthLevel.CONNECT)
WINDOWS_LIST = [MS_KERBEROS_OID, KERBEROS_OID, NTLMSSP_OID]


def acceptor() -> SpnegoAcceptor:
    context = authenticator().acceptor(AuthType.SPNEGO, PEER)
    assert isinstance(context, SpnegoAcceptor)
    return context


def ntlm(level: AuthLevel = AuthLevel.PRIVACY) -> NtlmInitiator:
    return NtlmInitiator(NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD), level=level)


def assert_protected(sender: SpnegoAcceptor | SpnegoInitiator, receiver: SpnegoAcceptor | SpnegoInitiator) -> None:
    for body in (b"first", b"second"):
        sealed, signature = sender.seal(b"head", body, b"tail")
        assert receiver.unseal(b"head", sealed, b"tail", signature) == body
        receiver.verify(body, sender.sign(body))


@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.PRIVACY])
def test_own_initiator_and_acceptor(level: AuthLevel) -> None:
    server, client = acceptor(), SpnegoInitiator(ntlm(level))
    proof = client.step(server.step(client.step(b"")))
    assert not client.complete
    accepted = server.step(proof)
    assert server.complete
    assert server.identity == ALICE
    assert NegTokenResp.unpack(proof).mech_list_mic is not None
    final = NegTokenResp.unpack(accepted)
    assert final.neg_state is NegState.ACCEPT_COMPLETED
    assert final.mech_list_mic is not None
    assert client.step(accepted) == b""
    assert client.complete
    assert server.signature_size(level) == (16 if level == AuthLevel.PRIVACY else 0)
    if level == AuthLevel.PRIVACY:
        assert_protected(client, server)
        assert_protected(server, client)
    else:
        with pytest.raises(SecurityError, match="sealing"):
            server.signature_size(AuthLevel.PRIVACY)


def test_cipher_begins_anew_behind_the_mech_list_mic() -> None:
    """[MS-SPNG] 3.3.5.1: impacket's RC4 from its first byte unseals the first message, whose number is 1."""
    server, client = acceptor(), ntlm()
    challenge = NegTokenResp.unpack(server.step(NegTokenInit(pack_mech_types([NTLMSSP_OID]), client.step(b"")).pack()))
    proof = client.step(challenge.response_token or b"")
    response = impacket_ntlm.NTLMAuthChallengeResponse()
    response.fromString(proof)
    response_key = impacket_ntlm.NTOWFv2("alice", PASSWORD, "EXAMPLE")
    base_key = impacket_ntlm.hmac_md5(response_key, response["ntlm"][:16])
    key = impacket_ntlm.generateEncryptedSessionKey(base_key, response["session_key"])
    flags = response["flags"]
    sign_key, seal_key = impacket_ntlm.SIGNKEY(flags, key), impacket_ntlm.SEALKEY(flags, key)

    def fresh_handle() -> object:
        return impacket_ntlm.ARC4.new(seal_key).encrypt

    mic = impacket_ntlm.SIGN(flags, sign_key, pack_mech_types([NTLMSSP_OID]), 0, fresh_handle())
    server.step(NegTokenResp(response_token=proof, mech_list_mic=mic.getData()).pack())
    sealed, signature = impacket_ntlm.SEAL(flags, sign_key, seal_key, b"body", b"body", 1, fresh_handle())
    assert server.unseal(b"", sealed, b"", signature.getData()) == b"body"


def windows_like(client: NtlmInitiator, server: SpnegoAcceptor) -> tuple[bytes, bytes]:
    """A client that prefers Kerberos and has no ticket for us: the list's DER and the AUTHENTICATE_MESSAGE."""
    mech_types = pack_mech_types(WINDOWS_LIST)
    chosen = NegTokenResp.unpack(server.step(NegTokenInit(mech_types, b"a Kerberos AP-REQ").pack()))
    assert chosen == NegTokenResp(NegState.REQUEST_MIC, NTLMSSP_OID)
    challenge = NegTokenResp.unpack(server.step(NegTokenResp(response_token=client.step(b"")).pack()))
    assert challenge.neg_state is NegState.ACCEPT_INCOMPLETE
    return mech_types, client.step(challenge.response_token or b"")


def test_a_client_that_prefers_kerberos() -> None:
    client, server = ntlm(), acceptor()
    mech_types, proof = windows_like(client, server)
    mic = client.sign_mech_list(mech_types)
    accepted = NegTokenResp.unpack(server.step(NegTokenResp(response_token=proof, mech_list_mic=mic).pack()))
    assert server.complete
    client.verify_mech_list(mech_types, accepted.mech_list_mic or b"")
    server.verify(b"message", client.sign(b"message"))


@pytest.mark.parametrize("edited", [None, [NTLMSSP_OID], [KERBEROS_OID, NTLMSSP_OID]])
def test_an_edited_list_of_mechanisms_is_refused(edited: list[str] | None) -> None:
    """Whoever strikes mechanisms from the list cannot make the MIC, nor may it be left away."""
    client, server = ntlm(), acceptor()
    _, proof = windows_like(client, server)
    mic = None if edited is None else client.sign_mech_list(pack_mech_types(edited))
    with pytest.raises(SecurityError):
        server.step(NegTokenResp(response_token=proof, mech_list_mic=mic).pack())
    assert not server.complete
    assert server.identity is None
    with pytest.raises(SecurityError):
        server.sign(b"message")


def test_impacket_client() -> None:
    server = acceptor()
    type1 = impacket_ntlm.getNTLMSSPType1("PC", "", signingRequired=True, use_ntlmv2=True)
    init = impacket_spnego.SPNEGO_NegTokenInit()
    init["MechTypes"] = [impacket_spnego.TypesMech["NTLMSSP - Microsoft NTLM Security Support Provider"]]
    init["MechToken"] = type1.getData()
    reply = impacket_spnego.SPNEGO_NegTokenResp(server.step(init.getData()))
    type3, key = impacket_ntlm.getNTLMSSPType3(type1, bytes(reply["ResponseToken"]), "alice", PASSWORD, "EXAMPLE")
    response = impacket_spnego.SPNEGO_NegTokenResp()
    response["ResponseToken"] = type3.getData()
    accepted = NegTokenResp.unpack(server.step(response.getData()))
    assert accepted == NegTokenResp(NegState.ACCEPT_COMPLETED)
    assert server.identity == ALICE
    flags = type3["flags"]
    handle = impacket_ntlm.ARC4.new(impacket_ntlm.SEALKEY(flags, key, "Client")).encrypt
    sealed, signature = impacket_ntlm.SEAL(
        flags, impacket_ntlm.SIGNKEY(flags, key, "Client"), b"", b"body", b"body", 0, handle
    )
    assert server.unseal(b"", sealed, b"", signature.getData()) == b"body"


def test_bare_ntlm() -> None:
    server, client = acceptor(), ntlm()
    challenge = server.step(client.step(b""))
    assert ChallengeMessage.unpack(challenge).target_name == "EXAMPLE"
    assert server.step(client.step(challenge)) == b""
    assert server.identity == ALICE
    server.verify(b"message", client.sign(b"message"))


def test_a_client_without_ntlm() -> None:
    with pytest.raises(SecurityError, match=KERBEROS_OID):
        acceptor().step(NegTokenInit(pack_mech_types([KERBEROS_OID]), b"AP-REQ").pack())


def test_wrong_password() -> None:
    server = acceptor()
    client = SpnegoInitiator(NtlmInitiator(NtlmCredential.from_password("alice", "", "wrong")))
    with pytest.raises(SecurityError, match="logon refused"):
        server.step(client.step(server.step(client.step(b""))))
    with pytest.raises(SecurityError, match="over"):
        server.step(b"")


@pytest.mark.parametrize(
    "answer",
    [
        NegTokenResp(NegState.REJECT),
        NegTokenResp(NegState.ACCEPT_INCOMPLETE, KERBEROS_OID, b"token"),
        NegTokenResp(NegState.ACCEPT_COMPLETED, NTLMSSP_OID),
    ],
)
def test_initiator_refuses_a_wrong_first_answer(answer: NegTokenResp) -> None:
    client = SpnegoInitiator(ntlm())
    client.step(b"")
    with pytest.raises(SecurityError):
        client.step(answer.pack())
    assert not client.complete


@pytest.mark.parametrize(
    "answer",
    [
        NegTokenResp(NegState.ACCEPT_INCOMPLETE),
        NegTokenResp(NegState.ACCEPT_COMPLETED, mech_list_mic=bytes(16)),
        NegTokenResp(NegState.REJECT),
    ],
)
def test_initiator_refuses_a_wrong_last_answer(answer: NegTokenResp) -> None:
    server, client = acceptor(), SpnegoInitiator(ntlm())
    client.step(server.step(client.step(b"")))
    with pytest.raises(SecurityError):
        client.step(answer.pack())
    assert not client.complete


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 2))
def test_garbage_in_every_state(garbage: bytes, steps: int) -> None:
    server, client = acceptor(), SpnegoInitiator(ntlm())
    token = b""
    for _ in range(steps):
        token = server.step(client.step(token))
    was_complete = server.complete
    for context in (server, client):
        with contextlib.suppress(SecurityError):
            context.step(garbage)
    assert server.complete == was_complete
    assert not client.complete
