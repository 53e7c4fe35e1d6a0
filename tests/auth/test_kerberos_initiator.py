"""The Kerberos client: credentials, and what its context asks for. The exchange itself is in test_kerberos.py."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest

from openchange_py.addressbook.base import Account
from openchange_py.auth import kerberos
from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.kerberos import KerberosAcceptor, KerberosUnavailable, Keytab
from openchange_py.auth.kerberos_initiator import (
    Delegate,
    KerberosCredential,
    KerberosInitiator,
    SharedCredential,
    principal_of,
)
from openchange_py.auth.spnego import SpnegoAcceptor, SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, SecurityError
from tests.auth.kerberos_parties import REALM, SERVICE, Realm
from tests.auth.ntlm_parties import PEER


class Everybody:
    def account(self, name: str) -> Account | None:
        return Account(name, "EXAMPLE", None)

    def by_account(self, account: str) -> None:
        return None


@pytest.fixture
def realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Realm:
    made = Realm(tmp_path)
    monkeypatch.setenv("KRB5_CONFIG", str(made.krb5_conf))
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    return made


def acceptor(realm: Realm) -> KerberosAcceptor:
    return KerberosAcceptor(Keytab(realm.keytab), Everybody(), REALM, "EXAMPLE", PEER)


@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.PACKET, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("spnego", [False, True], ids=["raw", "spnego"])
def test_what_the_level_needs_is_negotiated(realm: Realm, level: AuthLevel, spnego: bool) -> None:
    inner = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice")), SERVICE, level=level)
    client = SpnegoInitiator(inner) if spnego else inner
    server = SpnegoAcceptor([acceptor(realm)]) if spnego else acceptor(realm)
    token = b""
    while not (client.complete and server.complete):
        token = client.step(token)
        token = server.step(token) if token else b""
    assert server.identity is not None
    assert server.identity.account == "alice"
    server.verify(b"text", client.sign(b"text"))
    assert client.signature_size(level) == server.signature_size(level)
    if level == AuthLevel.PRIVACY:
        sealed, signature = client.seal(b"", b"body", b"")
        assert server.unseal(b"", sealed, b"", signature) == b"body"


WEB = "HTTP/exch1.example.test"
OURS, OTHER = b"this certificate's hash", b"another one's"


@pytest.fixture
def web(tmp_path: Path, realm: Realm) -> Realm:
    """One where the server is a web server."""
    (tmp_path / "web").mkdir()
    return Realm(tmp_path / "web", service=WEB)


def web_acceptor(web: Realm, end_point: bytes, required: bool) -> SpnegoAcceptor:
    bindings = ChannelBindings(end_point, required)
    return SpnegoAcceptor(
        [KerberosAcceptor(Keytab(web.keytab), Everybody(), REALM, "EXAMPLE", PEER, bindings=bindings)]
    )


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("said", [OURS, OTHER, None], ids=["the channel", "another channel", "no channel"])
def test_toward_a_web_server_the_channel_is_named(web: Realm, said: bytes | None, required: bool) -> None:
    bindings = None if said is None else ChannelBindings(said)
    inner = KerberosInitiator(KerberosCredential(ccache=web.ticket("alice")), WEB, bindings=bindings)
    client, server = SpnegoInitiator(inner), web_acceptor(web, OURS, required)
    if said == OURS or (said is None and not required):
        proof = server.step(client.step(b""))
        assert not client.complete
        assert client.step(proof) == b""
        assert client.complete
        assert server.complete
    else:
        with pytest.raises(SecurityError):
            server.step(client.step(b""))


def test_a_web_server_has_to_prove_who_it_is(web: Realm) -> None:
    inner = KerberosInitiator(KerberosCredential(ccache=web.ticket("alice")), WEB)
    client, server = SpnegoInitiator(inner), web_acceptor(web, OURS, False)
    proof = bytearray(server.step(client.step(b"")))
    proof[-1] ^= 1
    with pytest.raises(SecurityError):
        client.step(bytes(proof))
    assert not client.complete


def test_toward_smb_there_are_two_legs_and_a_key(tmp_path: Path, realm: Realm) -> None:
    """DCE style's third is RPC's. SPNEGO says with the second that it is over: [MS-SMB2] 3.2.5.3."""
    (tmp_path / "smb").mkdir()
    smb = Realm(tmp_path / "smb", service="cifs/exch1.example.test")
    for enclosed in (False, True):
        inner = KerberosInitiator(KerberosCredential(ccache=smb.ticket("alice")), "cifs/exch1.example.test")
        client = SpnegoInitiator(inner) if enclosed else inner
        server = acceptor(smb)
        other = SpnegoAcceptor([server]) if enclosed else server
        with pytest.raises(SecurityError, match="not complete"):
            _ = client.session_key
        assert client.step(other.step(client.step(b""))) == b""
        assert client.complete
        assert other.complete
        assert client.session_key == other.session_key
        assert len(client.session_key) == 32


def test_the_first_token_can_be_made_beforehand(realm: Realm, tmp_path: Path) -> None:
    """What asks the KDC is done by then: the ticket may even be gone."""
    ccache = realm.ticket("alice")
    client = KerberosInitiator(KerberosCredential(ccache=ccache), SERVICE)
    client.prepare()
    Path(ccache.removeprefix("FILE:")).unlink()
    server = acceptor(realm)
    server.step(client.step(server.step(client.step(b""))))
    assert server.complete
    with pytest.raises(SecurityError, match="over"):
        client.step(b"")


def test_a_context_keeps_no_credential_when_it_is_complete(realm: Realm) -> None:
    credential = KerberosCredential(ccache=realm.ticket("alice"))
    kept = weakref.ref(shared := SharedCredential(credential))
    client, server = KerberosInitiator(shared, SERVICE), acceptor(realm)
    del shared
    token = client.step(server.step(client.step(b"")))
    assert kept() is None
    server.step(token)
    server.verify(b"text", client.sign(b"text"))


def test_a_ticket_for_the_service_alone_delegates_nothing(realm: Realm) -> None:
    """There is no TGT in the cache that could be forwarded: the logon works nevertheless."""
    for delegate in Delegate:
        client = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice")), SERVICE, delegate=delegate)
        server = acceptor(realm)
        server.step(client.step(server.step(client.step(b""))))
        assert server.complete


class Counting:
    """Acquires from credential caches, one after the other."""

    def __init__(self, *ccaches: str) -> None:
        self.left = list(ccaches)

    def acquire(self) -> Any:
        return KerberosCredential(ccache=self.left.pop(0)).acquire()


def test_a_shared_credential_is_acquired_once_while_it_is_good(realm: Realm) -> None:
    source = Counting(realm.ticket("alice"), realm.ticket("alice"))
    shared = SharedCredential(source)
    assert shared.acquire() is shared.acquire()
    assert len(source.left) == 1


@pytest.mark.parametrize("hours", [0.05, -1], ids=["expires soon", "expired"])
def test_a_shared_credential_is_renewed(realm: Realm, hours: float) -> None:
    source = Counting(realm.ticket("alice", hours=hours), realm.ticket("bob"))
    shared = SharedCredential(source)
    shared.acquire()
    client = KerberosInitiator(shared, SERVICE)
    server = acceptor(realm)
    server.step(client.step(server.step(client.step(b""))))
    assert server.identity is not None
    assert server.identity.account == "bob"


def test_a_shared_credential_that_could_not_be_acquired_is_tried_again(realm: Realm, tmp_path: Path) -> None:
    shared = SharedCredential(Counting(f"FILE:{tmp_path}/absent", realm.ticket("alice")))
    with pytest.raises(SecurityError, match="credential"):
        shared.acquire()
    shared.acquire()


def test_without_ticket(realm: Realm, tmp_path: Path) -> None:
    client = KerberosInitiator(KerberosCredential(ccache=f"FILE:{tmp_path}/absent.ccache"), SERVICE)
    with pytest.raises(SecurityError, match="credential"):
        client.step(b"")


def test_a_keytab_needs_its_kdc(realm: Realm) -> None:
    """The realm of these tests has none: the error names the principal; tests/interop has one that answers."""
    credential = KerberosCredential("exch1$@EXAMPLE.TEST", keytab=realm.keytab)
    client = KerberosInitiator(credential, SERVICE)
    with pytest.raises(SecurityError, match=r"Kerberos"):
        client.step(b"")


def test_no_password_in_its_representation() -> None:
    assert "hunter2" not in repr(KerberosCredential("alice", "hunter2"))


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kerberos, "gss", None)
    with pytest.raises(KerberosUnavailable, match=r"openchange-py\[kerberos\]"):
        KerberosCredential("alice", "secret").acquire()


def test_whose_tickets_these_are(realm: Realm, tmp_path: Path) -> None:
    assert principal_of(KerberosCredential(ccache=realm.ticket("alice"))) == f"alice@{REALM}"
    with pytest.raises(SecurityError, match="absent"):
        principal_of(KerberosCredential(ccache=f"FILE:{tmp_path}/absent"))
