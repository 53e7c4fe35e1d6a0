"""NTLM exchanges: acceptor and initiator with each other, with impacket, and with recorded clients."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket import ntlm as impacket_ntlm

from openchange_py.addressbook.base import Account
from openchange_py.auth import ntlm_crypto
from openchange_py.auth.accounts import StoredHashVerifier
from openchange_py.auth.failures import FailureTracker
from openchange_py.auth.ntlm import NtlmAcceptor, NtlmCredential, NtlmInitiator, ServerNames, filetime_now
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, AuthType, Identity, SecurityContext, SecurityError
from openchange_py.wire.ntlm import (
    AuthenticateMessage,
    AvId,
    AvPair,
    ChallengeMessage,
    MsvAvFlags,
    NegotiateFlags,
    NegotiateMessage,
    NtlmV2ClientChallenge,
    TargetInfo,
    av_flags,
    av_value,
)
from tests.auth.ntlm_parties import NAMES, PASSWORD, PEER, Accounts, acceptor, authenticator, impacket_logon
from tests.wire import ntlm_examples as example

ALICE = NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD)


def exchange(server: NtlmAcceptor, client: NtlmInitiator) -> None:
    """All three messages."""
    server.step(client.step(server.step(client.step(b""))))


def logged_on(level: AuthLevel = AuthLevel.PRIVACY) -> tuple[NtlmAcceptor, NtlmInitiator]:
    server, client = acceptor(), NtlmInitiator(ALICE, level=level)
    exchange(server, client)
    return server, client


def assert_protected(sender: SecurityContext, receiver: SecurityContext) -> None:
    """Sealed and signed messages in turn arrive as they were sent."""
    for body in (b"first", b"", b"x" * 4000):
        sealed, signature = sender.seal(b"head", body, b"tail")
        assert len(signature) == sender.signature_size(AuthLevel.PRIVACY)
        assert not body or sealed != body
        assert receiver.unseal(b"head", sealed, b"tail", signature) == body
        receiver.verify(body, sender.sign(body))


def test_own_initiator_and_acceptor() -> None:
    server, client = logged_on()
    assert server.complete
    assert client.complete
    assert server.identity == Identity("alice", "EXAMPLE", AuthLevel.CONNECT)
    assert client.identity is None
    assert_protected(client, server)
    assert_protected(server, client)


def test_both_sides_have_the_key_that_others_derive_theirs_from() -> None:
    server, client = logged_on()
    assert client.session_key == server.session_key
    assert len(client.session_key) == 16
    with pytest.raises(SecurityError, match="not complete"):
        _ = NtlmInitiator(ALICE).session_key


def test_signing_alone_and_connect_level() -> None:
    server, client = logged_on(AuthLevel.INTEGRITY)
    server.verify(b"message", client.sign(b"message"))
    with pytest.raises(SecurityError, match="not negotiated"):
        client.seal(b"", b"body", b"")
    server, client = logged_on(AuthLevel.CONNECT)
    assert server.identity == Identity("alice", "EXAMPLE", AuthLevel.CONNECT)
    with pytest.raises(SecurityError, match="not negotiated"):
        client.sign(b"message")
    assert server.signature_size(AuthLevel.CONNECT) == 0


def test_challenge_names_the_server() -> None:
    message = ChallengeMessage.unpack(acceptor().step(NtlmInitiator(ALICE).step(b"")))
    assert message.target_name == "EXAMPLE"
    names = {pair.av_id: pair.value.decode("utf-16-le") for pair in message.av_pairs if pair.av_id != AvId.TIMESTAMP}
    assert names == {
        AvId.NB_DOMAIN_NAME: "EXAMPLE",
        AvId.NB_COMPUTER_NAME: "EXCH1",
        AvId.DNS_DOMAIN_NAME: "example.test",
        AvId.DNS_COMPUTER_NAME: "exch1.example.test",
    }
    stamp = int.from_bytes(av_value(message.av_pairs, AvId.TIMESTAMP) or b"", "little")
    assert abs(stamp - filetime_now()) < 60 * 10**7


def test_the_initiator_tells_what_the_server_calls_itself() -> None:
    server, client = acceptor(), NtlmInitiator(ALICE)
    assert client.server_names == ()
    client.step(server.step(client.step(b"")))
    assert client.server_names == ("EXCH1", "exch1.example.test")


def test_initiator_sends_what_the_document_asks_for() -> None:
    server = acceptor()
    client = NtlmInitiator(ALICE, target_name="exchangeMDB/exch1", workstation="PC", channel_bindings=b"c" * 16)
    message = AuthenticateMessage.unpack(client.step(server.step(client.step(b""))))
    blob = NtlmV2ClientChallenge.unpack(message.client_challenge)
    assert av_flags(blob.av_pairs) == MsvAvFlags.MIC_PROVIDED
    assert av_value(blob.av_pairs, AvId.TARGET_NAME) == "exchangeMDB/exch1".encode("utf-16-le")
    assert av_value(blob.av_pairs, AvId.CHANNEL_BINDINGS) == b"c" * 16
    assert message.lm_challenge_response == bytes(24)
    assert message.workstation == "PC"


# -- names, passwords, refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", ["", "EXAMPLE", "other"])
@pytest.mark.parametrize("user", ["alice", "ALICE", "EXAMPLE\\alice", "alice@example.test"])
def test_forms_of_the_user_name(user: str, domain: str) -> None:
    server = acceptor()
    exchange(server, NtlmInitiator(NtlmCredential.from_password(user, domain, PASSWORD)))
    assert server.identity is not None
    assert server.identity.account == "alice"


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [
        ("alice", "Gues5ed", "wrong password"),
        ("nobody", PASSWORD, "no such account"),
        ("carol", PASSWORD, "account is disabled"),
        ("carol", "Gues5ed", "wrong password"),
        ("dave", PASSWORD, "no NT hash"),
        ("ali\0ce", PASSWORD, "no such account"),
        ("ali\ud800ce", PASSWORD, "no such account"),
        ("x" * 2000, PASSWORD, "no such account"),
    ],
)
def test_refusals_look_alike_and_are_logged(
    user: str, password: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = acceptor()
    with caplog.at_level(logging.DEBUG), pytest.raises(SecurityError) as error:
        exchange(server, NtlmInitiator(NtlmCredential.from_password(user, "", password)))
    assert str(error.value) == "logon refused"
    assert not server.complete
    assert server.identity is None
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert reason in record.getMessage()
    assert PEER in record.getMessage()
    assert len(record.getMessage()) < 300
    assert password not in caplog.text
    with pytest.raises(SecurityError):
        server.sign(b"message")


def test_refusals_do_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    hmac_md5 = ntlm_crypto.hmac_md5

    def counting(key: bytes, data: bytes) -> bytes:
        computed.append("hmac")
        return hmac_md5(key, data)

    counts = set()
    for user, password in (("alice", "wrong"), ("nobody", "wrong"), ("carol", PASSWORD), ("dave", "wrong")):
        server, client = acceptor(), NtlmInitiator(NtlmCredential.from_password(user, "", password))
        token = client.step(server.step(client.step(b"")))
        computed.clear()
        monkeypatch.setattr(ntlm_crypto, "hmac_md5", counting)
        with pytest.raises(SecurityError):
            server.step(token)
        monkeypatch.setattr(ntlm_crypto, "hmac_md5", hmac_md5)
        counts.add(len(computed))
    assert len(counts) == 1


def edited(token: bytes, **changes: object) -> bytes:
    """An AUTHENTICATE_MESSAGE with other fields."""
    message = AuthenticateMessage.unpack(token)
    for name, value in changes.items():
        setattr(message, name, value)
    return message.pack()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nt_challenge_response": bytes(24)}, "version 1"),
        ({"nt_challenge_response": b""}, "version 1"),
        ({"nt_challenge_response": bytes(16) + b"\x02\x02" + bytes(40)}, "not NTLM version 2"),
        ({"nt_challenge_response": bytes(30)}, "malformed"),
        ({"encrypted_random_session_key": b"short"}, "16 bytes"),
        ({"encrypted_random_session_key": b"k" * 16}, "wrong MIC"),
        ({"mic": bytes(16)}, "wrong MIC"),
        ({"mic": None, "version": None}, "wrong MIC"),
        ({"workstation": "elsewhere"}, "wrong MIC"),
        ({"negotiate_flags": NegotiateFlags.UNICODE}, "extended session security"),
        ({"user_name": "carol"}, "logon refused"),
        ({"domain_name": "OTHER"}, "logon refused"),
    ],
)
def test_an_authenticate_message_changed_on_its_way(changes: dict[str, object], reason: str) -> None:
    server, client = acceptor(), NtlmInitiator(ALICE)
    token = client.step(server.step(client.step(b"")))
    with pytest.raises(SecurityError, match=reason):
        server.step(edited(token, **changes))
    assert not server.complete


def test_a_challenge_changed_on_its_way() -> None:
    """Whoever takes a flag out of the challenge breaks the MIC."""
    server, client = acceptor(), NtlmInitiator(ALICE, level=AuthLevel.CONNECT)
    challenge = ChallengeMessage.unpack(server.step(client.step(b"")))
    challenge.negotiate_flags &= ~NegotiateFlags.ALWAYS_SIGN
    with pytest.raises(SecurityError, match="wrong MIC"):
        server.step(client.step(challenge.pack()))


@pytest.mark.parametrize(
    ("add", "remove"),
    [
        (NegotiateFlags.DATAGRAM, NegotiateFlags(0)),
        (NegotiateFlags(0), NegotiateFlags.EXTENDED_SESSIONSECURITY),
        (NegotiateFlags(0), NegotiateFlags.KEY_128),
        (NegotiateFlags(0), NegotiateFlags.KEY_EXCH),
    ],
)
def test_weak_clients_are_refused_at_once(add: NegotiateFlags, remove: NegotiateFlags) -> None:
    message = NegotiateMessage.unpack(NtlmInitiator(ALICE).step(b""))
    message.negotiate_flags = message.negotiate_flags & ~remove | add
    with pytest.raises(SecurityError):
        acceptor().step(message.pack())


@pytest.mark.parametrize("flag", [NegotiateFlags.KEY_128, NegotiateFlags.SEAL, NegotiateFlags.EXTENDED_SESSIONSECURITY])
def test_initiator_refuses_a_weak_server(flag: NegotiateFlags) -> None:
    server, client = acceptor(), NtlmInitiator(ALICE)
    challenge = ChallengeMessage.unpack(server.step(client.step(b"")))
    challenge.negotiate_flags &= ~flag
    with pytest.raises(SecurityError, match="does not grant"):
        client.step(challenge.pack())
    assert not client.complete


def test_anonymous() -> None:
    negotiate = NegotiateMessage(NtlmInitiator(ALICE).flags).pack()
    server = acceptor()
    server.step(negotiate)
    flags = ChallengeMessage.unpack(acceptor().step(negotiate)).negotiate_flags
    token = AuthenticateMessage(
        flags | NegotiateFlags.ANONYMOUS, lm_challenge_response=b"\0", encrypted_random_session_key=bytes(16)
    ).pack()
    with pytest.raises(SecurityError, match="anonymous"):
        server.step(token)
    server = acceptor(authenticator(allow_anonymous=True))
    server.step(negotiate)
    server.step(token)
    assert server.complete
    assert server.identity == ANONYMOUS


@pytest.mark.parametrize(
    ("bound", "sent", "accepted"),
    [
        (None, b"a" * 16, True),
        (b"a" * 16, b"a" * 16, True),
        (b"a" * 16, bytes(16), True),
        (b"a" * 16, b"b" * 16, False),
    ],
)
def test_channel_bindings(bound: bytes | None, sent: bytes, accepted: bool) -> None:
    verifier = StoredHashVerifier(Accounts(), FailureTracker())
    server = NtlmAcceptor(verifier, NAMES, PEER, channel_bindings=bound)
    client = NtlmInitiator(ALICE, channel_bindings=sent)
    if accepted:
        exchange(server, client)
        assert server.complete
    else:
        with pytest.raises(SecurityError, match="another TLS channel"):
            exchange(server, client)


def test_oem_client() -> None:
    """A client without Unicode: names are in its code page, the hash is over Unicode all the same."""
    server = NtlmAcceptor(
        StoredHashVerifier(Accounts(), FailureTracker()), dataclasses.replace(NAMES, workgroup="ÜBER"), PEER
    )
    flags = NegotiateFlags.OEM | NegotiateFlags.EXTENDED_SESSIONSECURITY | NegotiateFlags.NTLM
    challenge = ChallengeMessage.unpack(server.step(NegotiateMessage(flags).pack()))
    assert challenge.target_name == "?BER"
    blob = NtlmV2ClientChallenge.new(0, bytes(8), []).pack()
    key = ntlm_crypto.ntowf_v2(ntlm_crypto.nt_hash(PASSWORD), "alice", "D")
    proof = ntlm_crypto.nt_proof_str(key, challenge.server_challenge, blob)
    server.step(AuthenticateMessage(flags, "D", "alice", nt_challenge_response=proof + blob).pack())
    assert server.identity == Identity("alice", "EXAMPLE", AuthLevel.CONNECT)


def test_an_old_server_without_timestamp_gets_an_lm_response() -> None:
    client = NtlmInitiator(ALICE, random=lambda size: b"r" * size, clock=lambda: 42)
    sent = NegotiateMessage.unpack(client.step(b"")).negotiate_flags
    challenge = ChallengeMessage(sent, b"s" * 8, "EXAMPLE", TargetInfo([AvPair(AvId.NB_DOMAIN_NAME, b"")]).pack())
    message = AuthenticateMessage.unpack(client.step(challenge.pack()))
    key = ntlm_crypto.ntowf_v2(ntlm_crypto.nt_hash(PASSWORD), "alice", "EXAMPLE")
    assert message.lm_challenge_response == ntlm_crypto.lm_v2_response(key, b"s" * 8, b"r" * 8)
    assert NtlmV2ClientChallenge.unpack(message.client_challenge).time_stamp == 42


# -- foreign clients and servers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "domain"), [("alice", "EXAMPLE"), ("alice@example.test", ""), ("Alice", "whatever")])
def test_impacket_client(user: str, domain: str) -> None:
    server = acceptor()
    token, session = impacket_logon(server, user, PASSWORD, domain)
    assert server.step(token) == b""
    assert server.identity == Identity("alice", "EXAMPLE", AuthLevel.CONNECT)
    for body in (b"request", b"x" * 3000):
        sealed, signature = session.seal("Client", b"head", body, b"tail")
        assert server.unseal(b"head", sealed, b"tail", signature) == body
        server.verify(body, session.sign("Client", body))
        assert server.seal(b"head", body, b"tail") == session.seal("Server", b"head", body, b"tail")
        assert server.sign(body) == session.sign("Server", body)


def test_impacket_client_with_wrong_password() -> None:
    server = acceptor()
    token, _ = impacket_logon(server, "alice", "wrong")
    with pytest.raises(SecurityError, match="logon refused"):
        server.step(token)


def test_impacket_client_without_ntlmv2() -> None:
    server = acceptor()
    type1 = impacket_ntlm.getNTLMSSPType1("PC", "", signingRequired=True, use_ntlmv2=False)
    type2 = server.step(type1.getData())
    type3, _ = impacket_ntlm.getNTLMSSPType3(type1, type2, "alice", PASSWORD, "", use_ntlmv2=False)
    with pytest.raises(SecurityError, match="version 1"):
        server.step(type3.getData())


def test_impacket_verifies_our_client() -> None:
    """A server made of impacket's functions computes our client's proof and session key, and unseals."""
    client = NtlmInitiator(ALICE)
    sent = NegotiateMessage.unpack(client.step(b"")).negotiate_flags
    challenge = impacket_ntlm.NTLMAuthChallenge()
    challenge["flags"] = sent | impacket_ntlm.NTLMSSP_NEGOTIATE_TARGET_INFO
    challenge["challenge"] = b"12345678"
    challenge["domain_name"] = "EXAMPLE".encode("utf-16-le")
    challenge["Version"] = b"\x06\x01\0\0\0\0\0\x0f"
    challenge["domain_offset"] = 56
    challenge["TargetInfoFields"] = ServerNames("EXCH1", "exch1.example.test", "EXAMPLE").target_info(10**17)
    challenge["TargetInfoFields_offset"] = 56 + 14
    response = impacket_ntlm.NTLMAuthChallengeResponse()
    response.fromString(client.step(challenge.getData()))
    assert response.getUserString() == "EXAMPLE/ALICE"
    key = impacket_ntlm.NTOWFv2("alice", PASSWORD, "EXAMPLE")
    assert impacket_ntlm.hmac_md5(key, b"12345678" + response["ntlm"][16:]) == response["ntlm"][:16]
    session_key = impacket_ntlm.generateEncryptedSessionKey(
        impacket_ntlm.hmac_md5(key, response["ntlm"][:16]), response["session_key"]
    )
    flags = response["flags"]
    handle = impacket_ntlm.ARC4.new(impacket_ntlm.SEALKEY(flags, session_key, "Client")).encrypt
    sign_key = impacket_ntlm.SIGNKEY(flags, session_key, "Client")
    sealed, signature = impacket_ntlm.SEAL(flags, sign_key, b"", b"headbody", b"body", 0, handle)
    assert client.seal(b"head", b"body", b"") == (sealed, signature.getData())


class RecordedAccounts:
    """The account of the recordings."""

    def account(self, name: str) -> Account | None:
        known = ntlm_crypto.nt_hash(example.RECORDED_PASSWORD)
        return Account("user1", "EXAMPLE", known) if name == "user1@example.test" else None


def test_recorded_clients_are_accepted() -> None:
    """The acceptor, made to send the recorded challenge, accepts what the real client answered to it."""
    exchanges = example.recorded_exchanges()
    assert exchanges
    for recorded in exchanges:
        challenge = ChallengeMessage.unpack(recorded.challenge)
        server = NtlmAcceptor(
            StoredHashVerifier(RecordedAccounts(), FailureTracker()),
            NAMES,
            PEER,
            random=lambda size, challenge=challenge: challenge.server_challenge,
        )
        server.step(recorded.negotiate)
        server.flags &= challenge.negotiate_flags
        server.step(recorded.authenticate)
        assert server.identity == Identity("user1", "EXAMPLE", AuthLevel.CONNECT), recorded.where


# -- whatever comes, in whatever state -----------------------------------------------------------------------------


def server_started() -> NtlmAcceptor:
    server = acceptor()
    server.step(NtlmInitiator(ALICE).step(b""))
    return server


def client_started() -> NtlmInitiator:
    client = NtlmInitiator(ALICE)
    client.step(b"")
    return client


STATES: dict[str, Callable[[], NtlmAcceptor | NtlmInitiator]] = {
    "new acceptor": acceptor,
    "acceptor that sent its challenge": server_started,
    "complete acceptor": lambda: logged_on()[0],
    "new initiator": lambda: NtlmInitiator(ALICE),
    "initiator that sent its first message": client_started,
    "complete initiator": lambda: logged_on()[1],
}


def messages() -> dict[str, bytes]:
    server, client = acceptor(), NtlmInitiator(ALICE)
    negotiate = client.step(b"")
    challenge = server.step(negotiate)
    return {"nothing": b"", "negotiate": negotiate, "challenge": challenge, "authenticate": client.step(challenge)}


LEGAL = {
    ("new acceptor", "negotiate"),
    ("new initiator", "nothing"),
    ("initiator that sent its first message", "challenge"),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("message", ["nothing", "negotiate", "challenge", "authenticate"])
def test_every_message_in_every_state(state: str, message: str) -> None:
    """What is not the next message is refused, and whatever followed would be refused too."""
    context = STATES[state]()
    token = messages()[message]
    was_complete = context.complete
    if (state, message) in LEGAL:
        assert context.step(token)
        return
    with pytest.raises(SecurityError):
        context.step(token)
    assert context.complete == was_complete
    for again in messages().values():
        with pytest.raises(SecurityError):
            context.step(again)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(STATES)), st.binary(max_size=120), st.integers(0, 4) | st.none())
def test_garbage_in_every_state(state: str, garbage: bytes, message_type: int | None) -> None:
    context = STATES[state]()
    if message_type is not None:
        garbage = b"NTLMSSP\0" + message_type.to_bytes(4, "little") + garbage
    was_complete = context.complete
    with contextlib.suppress(SecurityError):
        context.step(garbage)
    assert context.complete == was_complete


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_messages_never_log_on(data: st.DataObject) -> None:
    """Any bit of the AUTHENTICATE_MESSAGE: the MIC covers it, or it is refused before."""
    server, client = acceptor(), NtlmInitiator(ALICE)
    token = bytearray(client.step(server.step(client.step(b""))))
    token[data.draw(st.integers(0, len(token) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SecurityError):
        server.step(bytes(token))


def test_truncated_messages_are_refused() -> None:
    server, client = acceptor(), NtlmInitiator(ALICE)
    challenge = server.step(client.step(b""))
    token = client.step(challenge)
    for end in range(len(token)):
        server = server_started()
        with pytest.raises(SecurityError):
            server.step(token[:end])
    for end in range(len(challenge)):
        with pytest.raises(SecurityError):
            client_started().step(challenge[:end])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=20))
def test_garbage_signatures_are_refused(before: bytes, sealed: bytes, signature: bytes) -> None:
    server, _ = logged_on()
    with pytest.raises(SecurityError):
        server.unseal(before, sealed, b"", signature)


def test_auth_type() -> None:
    assert acceptor().auth_type == AuthType.NTLMSSP
