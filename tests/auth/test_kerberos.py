"""Kerberos, both sides with the system's library; the tickets are impacket's. tests/interop has a real KDC."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openchange_py.addressbook.base import Account, DirectoryError, DisplayType, Entry, MinimalEntryId
from openchange_py.auth import kerberos
from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.kerberos import KerberosAcceptor, KerberosUnavailable, Keytab
from openchange_py.auth.kerberos_initiator import KerberosCredential, KerberosInitiator
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import SpnegoAcceptor, SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityError
from openchange_py.wire.spnego import (
    KERBEROS_OID,
    MS_KERBEROS_OID,
    NTLMSSP_OID,
    NegState,
    NegTokenInit,
    NegTokenResp,
    pack_mech_types,
)
from tests.auth.kerberos_parties import AES128, AES256, RC4, REALM, SERVICE, Realm
from tests.auth.ntlm_parties import NAMES, PASSWORD, PEER, Accounts

ALICE = Identity("alice", "EXAMPLE", AuthLevel.CONNECT)


class People(Accounts):
    """The accounts of the NTLM tests; `robert@example.test` is bob's principal, `sales@example.test` his mail."""

    broken = False

    def __init__(self) -> None:
        super().__init__()
        bob = Account("bob", "", None)
        self._accounts |= {"bob": bob, "robert@example.test": bob, "sales@example.test": bob}

    def account(self, name: str) -> Account | None:
        if self.broken:
            raise DirectoryError("gone")
        return super().account(name)

    def by_account(self, account: str) -> Entry | None:
        names = {"userPrincipalName": ["Robert@Example.Test"]}
        return Entry(uuid.UUID(int=1), MinimalEntryId(16), DisplayType.MAILUSER, "", "Bob", account, names)


@pytest.fixture(params=[AES256], ids=["aes256"])
def realm(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Realm:
    made = Realm(tmp_path, request.param)
    monkeypatch.setenv("KRB5_CONFIG", str(made.krb5_conf))
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    return made


def acceptor(realm: Realm, people: People | None = None) -> KerberosAcceptor:
    return KerberosAcceptor(Keytab(realm.keytab), people or People(), REALM, "EXAMPLE", PEER)


def initiator(realm: Realm, principal: str = "alice", level: AuthLevel = AuthLevel.PRIVACY, **ticket: object):
    credential = KerberosCredential(ccache=realm.ticket(principal, **ticket))  # type: ignore[arg-type]
    return KerberosInitiator(credential, SERVICE, level=level)


def log_on(client: KerberosInitiator, server: KerberosAcceptor) -> None:
    assert server.step(client.step(server.step(client.step(b"")))) == b""
    assert client.complete
    assert server.complete


ALL_KEYS = pytest.mark.parametrize("realm", [AES256, AES128, RC4], ids=["aes256", "aes128", "rc4"], indirect=True)


@ALL_KEYS
def test_three_legs_and_protected_messages_of_every_size(realm: Realm) -> None:
    client, server = initiator(realm), acceptor(realm)
    log_on(client, server)
    assert server.identity == ALICE
    for sender, receiver in ((client, server), (server, client)):
        for size in (0, 1, 16, 4096):
            body = bytes(i % 251 for i in range(size))
            signature = sender.sign(b"head" + body)
            assert len(signature) == sender.signature_size(AuthLevel.INTEGRITY)
            receiver.verify(b"head" + body, signature)
            for before, after in ((b"header", b"trailer"), (b"", b"")):
                sealed, signature = sender.seal(before, body, after)
                assert len(signature) == sender.signature_size(AuthLevel.PRIVACY)
                assert len(sealed) == size
                assert size < 16 or sealed != body
                assert receiver.unseal(before, sealed, after, signature) == body
    assert server.signature_size(AuthLevel.CONNECT) == 0


def framed(ap_req: bytes) -> bytes:
    """RFC 4121 4.1, with the definite lengths of a token between 256 and 65535 bytes."""
    body = bytes.fromhex("06092a864886f712010202") + b"\1\0" + ap_req
    return b"\x60\x82" + len(body).to_bytes(2, "big") + body


def test_a_framed_token_in_dce_style_as_impacket_sends_it(realm: Realm) -> None:
    client, server = initiator(realm), acceptor(realm)
    server.step(client.step(server.step(framed(client.step(b"")))))
    assert server.identity == ALICE


def test_two_legs_without_dce_style(realm: Realm) -> None:
    """Good to sign with, and not to seal; and whoever overhears the first leg can't use it again."""
    client, server = initiator(realm), acceptor(realm)
    client._flags &= ~gssapi_flag("dce_style")
    first = client.step(b"")
    assert first.startswith(b"\x60")
    client.step(server.step(first))
    assert server.identity == ALICE
    server.verify(b"text", client.sign(b"text"))
    for context in (client, server):
        with pytest.raises(SecurityError, match="sealing"):
            context.seal(b"", b"text", b"")
        with pytest.raises(SecurityError, match="sealing"):
            context.signature_size(AuthLevel.PRIVACY)
    with pytest.raises(SecurityError, match=r"(?i)replay|duplicate"):
        acceptor(realm).step(first)


def test_the_first_of_three_legs_is_worth_nothing_without_the_third(realm: Realm) -> None:
    client, server, other = initiator(realm), acceptor(realm), acceptor(realm)
    first = client.step(b"")
    proof = client.step(server.step(first))
    other.step(first)
    assert not other.complete
    assert other.identity is None
    with pytest.raises(SecurityError):
        other.step(proof)
    assert other.identity is None


def gssapi_flag(name: str) -> object:
    import gssapi

    return gssapi.RequirementFlag[name]


def test_size_of_an_aes_token_is_windows_own(realm: Realm) -> None:
    """And asking for it uses up no sequence number: the first message is still taken."""
    client, server = initiator(realm), acceptor(realm)
    log_on(client, server)
    assert (server.signature_size(AuthLevel.INTEGRITY), server.signature_size(AuthLevel.PRIVACY)) == (28, 76)
    sealed, signature = server.seal(b"", b"first", b"")
    assert client.unseal(b"", sealed, b"", signature) == b"first"


@pytest.mark.parametrize("part", ["before", "body", "after", "signature"])
def test_a_flipped_bit_is_noticed(realm: Realm, part: str) -> None:
    client, server = initiator(realm), acceptor(realm)
    log_on(client, server)
    sealed, signature = client.seal(b"before", b"secret", b"after")
    pdu = {"before": b"before", "body": sealed, "after": b"after", "signature": signature}
    pdu[part] = pdu[part][:-1] + bytes([pdu[part][-1] ^ 1])
    with pytest.raises(SecurityError):
        server.unseal(pdu["before"], pdu["body"], pdu["after"], pdu["signature"])


def test_repeated_and_reordered_messages_are_refused(realm: Realm) -> None:
    client, server = initiator(realm), acceptor(realm)
    log_on(client, server)
    first, second, third = (client.sign(text) for text in (b"1", b"2", b"3"))
    server.verify(b"1", first)
    with pytest.raises(SecurityError, match="duplicate"):
        server.verify(b"1", first)
    with pytest.raises(SecurityError):
        server.verify(b"3", third)
    with pytest.raises(SecurityError):
        server.verify(b"2", second)


def test_a_signed_message_is_not_taken_for_a_sealed_one(realm: Realm) -> None:
    from gssapi import raw as gss

    client, server = initiator(realm), acceptor(realm)
    log_on(client, server)
    iov = gss.IOV(*kerberos._layout(b"", b"clear text", b""), gss.IOVBufferType.header, std_layout=False)
    gss.wrap_iov(client._context, iov, confidential=False)
    assert iov[1].value == b"clear text"
    with pytest.raises(SecurityError, match="not sealed"):
        server.unseal(b"", iov[1].value, b"", iov[3].value)


@pytest.mark.parametrize(
    ("principal", "options", "log"),
    [
        ("carol", {}, "disabled"),
        ("nobody", {}, "no such account"),
        ("host/pc.example.test", {}, "not the name of a user"),
        ("alice", {"crealm": "OTHER.TEST"}, "not of the realm"),
        ("sales", {}, "no such account"),  # bob's mail address, another one's principal
    ],
)
def test_who_is_not_let_in(
    realm: Realm, caplog: pytest.LogCaptureFixture, principal: str, options: dict[str, str], log: str
) -> None:
    client, server = initiator(realm, principal, **options), acceptor(realm)
    proof = client.step(server.step(client.step(b"")))
    with pytest.raises(SecurityError, match=r"^logon refused$"):
        server.step(proof)
    assert log in caplog.text
    assert PEER in caplog.text
    assert server.identity is None
    with pytest.raises(SecurityError):
        server.sign(b"text")
    with pytest.raises(SecurityError, match="over"):
        server.step(proof)


def test_by_user_principal_name(realm: Realm) -> None:
    client, server = initiator(realm, "robert"), acceptor(realm)
    log_on(client, server)
    assert server.identity == Identity("bob", "EXAMPLE", AuthLevel.CONNECT)


def test_a_directory_that_fails_lets_nobody_in(realm: Realm, caplog: pytest.LogCaptureFixture) -> None:
    people = People()
    people.broken = True
    client, server = initiator(realm), acceptor(realm, people)
    proof = client.step(server.step(client.step(b"")))
    with pytest.raises(SecurityError, match=r"^logon refused$"):
        server.step(proof)
    assert "gone" in caplog.text


@pytest.mark.parametrize("options", [{"other_key": True}, {"hours": -1}], ids=["another service's key", "expired"])
def test_a_ticket_that_is_not_good(realm: Realm, options: dict[str, object]) -> None:
    server = acceptor(realm)
    with pytest.raises(SecurityError, match="Kerberos"):
        server.step(initiator(realm, **options).step(b""))
    assert not server.complete


def spnego(realm: Realm) -> SpnegoAcceptor:
    keytab, people = Keytab(realm.keytab), People()
    source = LocalAuthenticator(
        people, NAMES, kerberos=lambda peer, _: KerberosAcceptor(keytab, people, REALM, "EXAMPLE", peer)
    )
    assert isinstance(source.acceptor(AuthType.KERBEROS, PEER), KerberosAcceptor)
    made = source.acceptor(AuthType.SPNEGO, PEER)
    assert isinstance(made, SpnegoAcceptor)
    return made


def test_inside_spnego(realm: Realm) -> None:
    client, server = SpnegoInitiator(initiator(realm)), spnego(realm)
    first = server.step(client.step(b""))
    chosen = NegTokenResp.unpack(first)
    assert (chosen.neg_state, chosen.supported_mech) == (NegState.ACCEPT_INCOMPLETE, MS_KERBEROS_OID)
    last = server.step(client.step(first))
    assert NegTokenResp.unpack(last).neg_state is NegState.ACCEPT_COMPLETED
    assert NegTokenResp.unpack(last).mech_list_mic is not None
    assert client.step(last) == b""
    assert server.identity == ALICE
    assert not server.always_signs_headers
    sealed, signature = client.seal(b"", b"body", b"")
    assert server.unseal(b"", sealed, b"", signature) == b"body"


@pytest.mark.parametrize("dce_style", [True, False])
def test_bare_in_place_of_spnego(realm: Realm, dce_style: bool) -> None:
    client, server = initiator(realm), spnego(realm)
    if not dce_style:
        client._flags &= ~gssapi_flag("dce_style")
    token = client.step(server.step(client.step(b"")))
    assert server.complete is not dce_style
    if dce_style:
        assert server.step(token) == b""
    assert server.identity == ALICE
    server.verify(b"text", client.sign(b"text"))
    with pytest.raises(SecurityError, match="over"):
        server.step(token)


def test_bare_kerberos_that_is_not_offered(realm: Realm) -> None:
    server = LocalAuthenticator(People(), NAMES).acceptor(AuthType.SPNEGO, PEER)
    assert server is not None
    with pytest.raises(SecurityError, match="not offered"):
        server.step(initiator(realm).step(b""))


@pytest.mark.parametrize("mic", ["right", "wrong", "none"])
def test_kerberos_that_the_client_likes_less_than_what_we_do_not_have(realm: Realm, mic: str) -> None:
    """RFC 4178 5: the token was another mechanism's, and the list of mechanisms must be proven."""
    client, server = initiator(realm), spnego(realm)
    mech_types = pack_mech_types(["1.3.6.1.4.1.311.2.2.30", KERBEROS_OID, NTLMSSP_OID])
    chosen = NegTokenResp.unpack(server.step(NegTokenInit(mech_types, b"NEGOEX").pack()))
    assert chosen == NegTokenResp(NegState.REQUEST_MIC, KERBEROS_OID)
    answer = NegTokenResp.unpack(server.step(NegTokenResp(response_token=client.step(b"")).pack()))
    proof = client.step(answer.response_token or b"")
    made = {"right": client.sign_mech_list(mech_types), "wrong": client.sign_mech_list(b"edited"), "none": None}[mic]
    last = NegTokenResp(response_token=proof, mech_list_mic=made).pack()
    if mic == "right":
        client.verify_mech_list(mech_types, NegTokenResp.unpack(server.step(last)).mech_list_mic or b"")
        assert server.identity == ALICE
    else:
        with pytest.raises(SecurityError):
            server.step(last)
        assert server.identity is None


def test_spnego_with_both_takes_what_the_client_likes_best(realm: Realm) -> None:
    client = NtlmInitiator(NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD))
    server = spnego(realm)
    mech_types = pack_mech_types([NTLMSSP_OID, KERBEROS_OID])
    chosen = NegTokenResp.unpack(server.step(NegTokenInit(mech_types, client.step(b"")).pack()))
    assert chosen.supported_mech == NTLMSSP_OID
    proof = client.step(chosen.response_token or b"")
    server.step(NegTokenResp(response_token=proof, mech_list_mic=client.sign_mech_list(mech_types)).pack())
    assert server.identity == ALICE
    assert server.always_signs_headers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    garbage=st.binary(max_size=200),
    prefix=st.sampled_from([b"", b"\x60\x50\x06\x09*\x86H\x86\xf7\x12\x01\x02\x02", b"\x6e\x40"]),
)
def test_garbage_is_refused(realm: Realm, garbage: bytes, prefix: bytes) -> None:
    server = acceptor(realm)
    with contextlib.suppress(SecurityError):
        server.step(prefix + garbage)
    assert not server.complete
    assert server.identity is None


def test_a_keytab_that_is_not_there(realm: Realm, tmp_path: Path) -> None:
    with pytest.raises(KerberosUnavailable, match=r"absent\.keytab"):
        Keytab(tmp_path / "absent.keytab")
    (tmp_path / "empty.keytab").write_bytes(b"\x05\x02")
    with pytest.raises(KerberosUnavailable, match=r"empty\.keytab"):
        Keytab(tmp_path / "empty.keytab")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kerberos, "gss", None)
    with pytest.raises(KerberosUnavailable, match=r"openchange-py\[kerberos\].*libkrb5-dev"):
        Keytab(tmp_path / "any.keytab")
    assert LocalAuthenticator(People(), NAMES).acceptor(AuthType.KERBEROS, PEER) is None
