"""[MS-NLMP] 4.2.4, byte for byte, and session security against impacket's."""

from __future__ import annotations

import pytest
from impacket import ntlm as impacket_ntlm

from openchange_py.auth import ntlm_crypto
from openchange_py.auth.ntlm_crypto import Direction, Side
from openchange_py.rpc.security import SecurityError
from openchange_py.wire.ntlm import AuthenticateMessage, ChallengeMessage
from tests.wire import ntlm_examples as example


def test_hashes_and_responses_of_the_document() -> None:
    password_hash = ntlm_crypto.nt_hash(example.PASSWORD)
    assert password_hash == bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852")  # 4.2.2.1.2
    key = ntlm_crypto.ntowf_v2(password_hash, example.USER, example.DOMAIN)
    assert key == example.NTOWF_V2
    proof = ntlm_crypto.nt_proof_str(key, example.SERVER_CHALLENGE, example.TEMP)
    assert proof == example.NT_PROOF_STR
    assert ntlm_crypto.session_base_key(key, proof) == example.SESSION_BASE_KEY
    lm_response = ntlm_crypto.lm_v2_response(key, example.SERVER_CHALLENGE, example.CLIENT_CHALLENGE)
    assert lm_response == example.LM_V2_RESPONSE
    encrypted = ntlm_crypto.rc4(example.SESSION_BASE_KEY, example.RANDOM_SESSION_KEY)
    assert encrypted == example.ENCRYPTED_SESSION_KEY


def test_keys_of_the_document() -> None:
    assert ntlm_crypto.sign_key(example.RANDOM_SESSION_KEY, Side.CLIENT) == example.CLIENT_SIGN_KEY
    assert ntlm_crypto.seal_key(example.RANDOM_SESSION_KEY, Side.CLIENT) == example.CLIENT_SEAL_KEY


def test_sealed_message_of_the_document() -> None:
    client = Direction(example.RANDOM_SESSION_KEY, Side.CLIENT, key_exchange=True)
    assert client.seal(b"", example.PLAINTEXT, b"") == (example.SEALED, example.SIGNATURE)
    server = Direction(example.RANDOM_SESSION_KEY, Side.CLIENT, key_exchange=True)
    assert server.unseal(b"", example.SEALED, b"", example.SIGNATURE) == example.PLAINTEXT


@pytest.mark.parametrize(
    ("text", "upper"),
    [
        ("alice", "ALICE"),
        ("jürgen", "JÜRGEN"),
        ("straße", "STRAßE"),
        ("ıµſ", "ıµſ"),
        ("зоя", "ЗОЯ"),
        ("\U00010428", "\U00010428"),
    ],
)
def test_upper_case_as_windows_has_it(text: str, upper: str) -> None:
    assert ntlm_crypto.nt_uppercase(text) == upper


def test_mic_ignores_what_stands_in_its_own_field() -> None:
    filled = example.AUTHENTICATE_MESSAGE[:72] + b"x" * 16 + example.AUTHENTICATE_MESSAGE[88:]
    cleared = example.AUTHENTICATE_MESSAGE[:72] + bytes(16) + example.AUTHENTICATE_MESSAGE[88:]
    mic = ntlm_crypto.message_integrity_code(bytes(16), b"n", b"c", filled)
    assert mic == ntlm_crypto.hmac_md5(bytes(16), b"n" + b"c" + cleared)


def test_recorded_proofs_verify() -> None:
    """The clients and the server that were recorded agreed; so must this code about the same messages."""
    exchanges = example.recorded_exchanges()
    assert {exchange.client.partition(" ")[0] for exchange in exchanges} >= {"OpenChange", "impacket"}
    assert len(exchanges) > 30
    password_hash = ntlm_crypto.nt_hash(example.RECORDED_PASSWORD)
    for exchange in exchanges:
        challenge = ChallengeMessage.unpack(exchange.challenge)
        message = AuthenticateMessage.unpack(exchange.authenticate)
        key = ntlm_crypto.ntowf_v2(password_hash, message.user_name, message.domain_name)
        proof = ntlm_crypto.nt_proof_str(key, challenge.server_challenge, message.client_challenge)
        assert proof == message.nt_challenge_response[:16], exchange.where
        if message.mic is not None:
            base = ntlm_crypto.session_base_key(key, proof)
            sent = message.encrypted_random_session_key
            exported = ntlm_crypto.rc4(base, sent) if sent else base
            mic = ntlm_crypto.message_integrity_code(
                exported, exchange.negotiate, exchange.challenge, exchange.authenticate
            )
            assert mic == message.mic, exchange.where


FLAGS = (
    impacket_ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY
    | impacket_ntlm.NTLMSSP_NEGOTIATE_128
    | impacket_ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH
)


@pytest.mark.parametrize("key_exchange", [True, False])
@pytest.mark.parametrize(("side", "mode"), [(Side.CLIENT, "Client"), (Side.SERVER, "Server")])
def test_impacket_seals_and_signs_alike(key_exchange: bool, side: Side, mode: str) -> None:
    flags = FLAGS if key_exchange else FLAGS & ~impacket_ntlm.NTLMSSP_NEGOTIATE_KEY_EXCH
    session_key = bytes(range(16))
    sign_key = impacket_ntlm.SIGNKEY(flags, session_key, mode)
    seal_key = impacket_ntlm.SEALKEY(flags, session_key, mode)
    handle = impacket_ntlm.ARC4.new(seal_key).encrypt
    direction = Direction(session_key, side, key_exchange=key_exchange)
    for number, body in enumerate((b"first", b"", b"x" * 5000)):
        sealed, signature = impacket_ntlm.SEAL(
            flags, sign_key, seal_key, b"head" + body + b"tail", body, 2 * number, handle
        )
        assert direction.seal(b"head", body, b"tail") == (sealed, signature.getData())
        signature = impacket_ntlm.SIGN(flags, sign_key, body, 2 * number + 1, handle)
        assert direction.sign(body) == signature.getData()


def pair() -> tuple[Direction, Direction]:
    key = bytes(16)
    return Direction(key, Side.SERVER, key_exchange=True), Direction(key, Side.SERVER, key_exchange=True)


@pytest.mark.parametrize("part", ["before", "sealed", "after", "signature"])
def test_every_part_is_protected(part: str) -> None:
    sender, receiver = pair()
    sealed, signature = sender.seal(b"before", b"body", b"after")
    parts = {"before": b"before", "sealed": sealed, "after": b"after", "signature": signature}
    parts[part] = parts[part][:-1] + bytes([parts[part][-1] ^ 1])
    with pytest.raises(SecurityError):
        receiver.unseal(parts["before"], parts["sealed"], parts["after"], parts["signature"])


def test_a_replayed_message_is_refused_and_ends_the_direction() -> None:
    sender, receiver = pair()
    first, second = sender.sign(b"message"), sender.sign(b"message")
    receiver.verify(b"message", first)
    with pytest.raises(SecurityError, match="message 0 where message 1 is due"):
        receiver.verify(b"message", first)
    with pytest.raises(SecurityError, match="earlier message"):
        receiver.verify(b"message", second)


@pytest.mark.parametrize("signature", [b"", b"\x01\0\0\0", bytes(16), bytes(17), b"\x02" + bytes(15)])
def test_malformed_signatures_are_refused(signature: bytes) -> None:
    _, receiver = pair()
    with pytest.raises(SecurityError, match="malformed signature"):
        receiver.verify(b"message", signature)
