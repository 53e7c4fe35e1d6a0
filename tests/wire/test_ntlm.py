"""[MS-NLMP] 2.2: golden messages of section 4.2, recorded ones of real clients, and garbage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ntlm import (
    AuthenticateMessage,
    AvId,
    AvPair,
    ChallengeMessage,
    MsvAvFlags,
    NegotiateFlags,
    NegotiateMessage,
    NtlmsspMessageSignature,
    NtlmV2ClientChallenge,
    TargetInfo,
    Version,
    av_flags,
    av_value,
    unpack_message,
)
from tests.wire import ntlm_examples as example

# What Samba 4.17 and impacket send first (no golden bytes of it in the document's NTLMv2 example).
SAMBA_NEGOTIATE = bytes.fromhex("4e544c4d53535000010000000582086200000000280000000000000028000000060100000000000f")
IMPACKET_NEGOTIATE = bytes.fromhex("4e544c4d5353500001000000358288e000000000000000000000000000000000")
GOLDEN = [SAMBA_NEGOTIATE, IMPACKET_NEGOTIATE, example.CHALLENGE_MESSAGE, example.AUTHENTICATE_MESSAGE]


def test_challenge_of_the_document() -> None:
    message = ChallengeMessage.unpack(example.CHALLENGE_MESSAGE)
    assert message.negotiate_flags == 0xE28A8233
    assert message.server_challenge == example.SERVER_CHALLENGE
    assert message.target_name == "Server"
    assert message.version == Version(6, 0, 6000)
    assert message.av_pairs == [
        AvPair(AvId.NB_DOMAIN_NAME, "Domain".encode("utf-16-le")),
        AvPair(AvId.NB_COMPUTER_NAME, "Server".encode("utf-16-le")),
    ]
    built = ChallengeMessage(
        NegotiateFlags(0xE28A8233), example.SERVER_CHALLENGE, "Server", example.TARGET_INFO, Version(6, 0, 6000)
    )
    assert built.pack() == example.CHALLENGE_MESSAGE


def test_authenticate_of_the_document() -> None:
    built = AuthenticateMessage(
        NegotiateFlags(0xE2888235),
        example.DOMAIN,
        example.USER,
        example.WORKSTATION,
        example.LM_V2_RESPONSE,
        example.NT_PROOF_STR + example.TEMP,
        example.ENCRYPTED_SESSION_KEY,
        Version(5, 1, 2600),
    )
    assert AuthenticateMessage.unpack(example.AUTHENTICATE_MESSAGE) == built
    assert built.pack() == example.AUTHENTICATE_MESSAGE
    assert built.mic is None


def test_client_challenge_of_the_document() -> None:
    pairs = TargetInfo.unpack(example.TARGET_INFO).av_pairs
    built = NtlmV2ClientChallenge.new(0, example.CLIENT_CHALLENGE, pairs)
    assert built.pack() == example.TEMP
    assert NtlmV2ClientChallenge.unpack(example.TEMP) == built


def test_signature_of_the_document() -> None:
    signature = NtlmsspMessageSignature.unpack(example.SIGNATURE)
    assert signature == NtlmsspMessageSignature(bytes.fromhex("7fb38ec5c55d4976"), 0)
    assert signature.pack() == example.SIGNATURE
    with pytest.raises(DecodeError, match="signature version 2"):
        NtlmsspMessageSignature.unpack(b"\x02" + example.SIGNATURE[1:])


def test_negotiate_with_names() -> None:
    message = NegotiateMessage(NegotiateFlags.OEM_DOMAIN_SUPPLIED, "DOMÄNE", "PC", Version(10, 0, 19041))
    data = message.pack()
    assert data[40:] == "DOMÄNEPC".encode("cp437")
    assert NegotiateMessage.unpack(data) == message


@pytest.mark.parametrize("data", GOLDEN, ids=["samba", "impacket", "challenge", "authenticate"])
def test_same_bytes_and_no_truncation_accepted(data: bytes) -> None:
    assert unpack_message(data).pack() == data
    # Behind the descriptors of an empty payload stands only the optional version.
    shortest = 32 if data == SAMBA_NEGOTIATE else len(data)
    for end in range(shortest):
        with pytest.raises(DecodeError):
            unpack_message(data[:end])


def test_mic_is_read_where_the_payload_leaves_room_for_it() -> None:
    message = AuthenticateMessage(NegotiateFlags.UNICODE, user_name="alice", version=Version(6, 1, 0), mic=b"M" * 16)
    data = message.pack()
    assert data[72:88] == b"M" * 16
    assert AuthenticateMessage.unpack(data).mic == b"M" * 16
    with pytest.raises(EncodeError, match="MIC"):
        AuthenticateMessage(NegotiateFlags.UNICODE, mic=b"M" * 16).pack()


def test_an_edited_message_is_laid_out_anew() -> None:
    message = AuthenticateMessage.unpack(example.AUTHENTICATE_MESSAGE)
    message.user_name = "somebody else"
    again = AuthenticateMessage.unpack(message.pack())
    assert again.user_name == "somebody else"
    assert again.encrypted_random_session_key == example.ENCRYPTED_SESSION_KEY


def test_oem_names() -> None:
    message = AuthenticateMessage(NegotiateFlags.OEM, "D", "jürgen", "PC")
    assert "jürgen".encode("cp437") in message.pack()
    assert AuthenticateMessage.unpack(message.pack()).user_name == "jürgen"


def test_payload_may_not_lie_in_the_header_or_behind_the_end() -> None:
    data = bytearray(example.AUTHENTICATE_MESSAGE)
    for offset in (0, 63, len(data) - 7, 0xFFFFFFFF):
        data[40:44] = offset.to_bytes(4, "little")
        with pytest.raises(DecodeError, match="outside"):
            unpack_message(bytes(data))


def test_half_a_utf16_character_is_refused() -> None:
    data = bytearray(example.AUTHENTICATE_MESSAGE)
    data[36:38] = (7).to_bytes(2, "little")
    with pytest.raises(DecodeError, match="not UTF-16"):
        unpack_message(bytes(data))


def test_av_look_ups() -> None:
    pairs = [AvPair(AvId.FLAGS, b"\x02\0\0\0"), AvPair(99, b"x")]
    assert av_flags(pairs) == MsvAvFlags.MIC_PROVIDED
    assert av_flags([AvPair(AvId.FLAGS, b"\x02")]) == MsvAvFlags(0)
    assert av_value(pairs, AvId.TIMESTAMP) is None
    assert TargetInfo.unpack(TargetInfo(pairs).pack()).av_pairs == pairs


def test_av_pairs_without_end_are_refused() -> None:
    for data in (b"", example.TARGET_INFO[:-4], b"\0\0\x04\0abcd"):
        with pytest.raises(DecodeError):
            TargetInfo.unpack(data)


def test_recorded_messages_give_the_same_bytes() -> None:
    tokens = example.recorded_tokens()
    assert len(tokens) > 100
    for where, token in tokens:
        message = unpack_message(token)
        assert message.pack() == token, where
        if isinstance(message, AuthenticateMessage):
            blob = message.client_challenge
            assert NtlmV2ClientChallenge.unpack(blob).pack() == blob, where
        if isinstance(message, ChallengeMessage):
            assert TargetInfo.unpack(message.target_info).pack() == message.target_info, where


texts = st.text(max_size=20)
blobs = st.binary(max_size=40)
versions = st.none() | st.builds(Version, st.integers(0, 255), st.integers(0, 255), st.integers(0, 0xFFFF))
unicode_flags = st.integers(0, 0xFFFFFFFF).map(lambda flags: NegotiateFlags(flags | 1))


@settings(max_examples=200, deadline=None)
@given(st.builds(AuthenticateMessage, unicode_flags, texts, texts, texts, blobs, blobs, blobs, versions))
def test_authenticate_round_trip(message: AuthenticateMessage) -> None:
    data = message.pack()
    again = AuthenticateMessage.unpack(data)
    assert again.pack() == data
    assert (again.user_name, again.domain_name, again.workstation) == (
        message.user_name,
        message.domain_name,
        message.workstation,
    )
    assert again.nt_challenge_response == message.nt_challenge_response


@settings(max_examples=100, deadline=None)
@given(st.builds(ChallengeMessage, unicode_flags, st.binary(min_size=8, max_size=8), texts, blobs, versions))
def test_challenge_round_trip(message: ChallengeMessage) -> None:
    assert ChallengeMessage.unpack(message.pack()) == message


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 4), st.binary(max_size=200))
def test_garbage_gives_a_message_or_decode_error(message_type: int, rest: bytes) -> None:
    data = b"NTLMSSP\0" + message_type.to_bytes(4, "little") + rest
    try:
        message = unpack_message(data)
    except DecodeError:
        return
    assert unpack_message(message.pack()) == message


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(GOLDEN), st.data())
def test_damaged_messages_give_a_message_or_decode_error(golden: bytes, data: st.DataObject) -> None:
    damaged = bytearray(golden)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = unpack_message(bytes(damaged))
        if isinstance(message, ChallengeMessage):
            assert isinstance(message.av_pairs, list)
        if isinstance(message, AuthenticateMessage):
            NtlmV2ClientChallenge.unpack(message.client_challenge)
    except DecodeError:
        return
    assert len(message.pack()) <= len(golden)
