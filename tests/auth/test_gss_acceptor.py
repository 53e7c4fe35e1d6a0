"""Clients that forward tickets in DCE style. The whole exchange, with a KDC: tests/interop/test_delegation.py."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openchange_py.addressbook.base import Account
from openchange_py.auth.delegation import DelegatedTickets
from openchange_py.auth.gss_acceptor import AcceptorKeys, DceAcceptor
from openchange_py.auth.kerberos import KerberosAcceptor, Keytab
from openchange_py.auth.kerberos_initiator import KerberosCredential, KerberosInitiator
from openchange_py.rpc.security import SecurityError
from tests.auth.kerberos_parties import REALM, SERVICE, Realm, forwarding_ap_req
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


def test_an_exchange_makes_a_context_that_the_package_takes(realm: Realm) -> None:
    from gssapi import raw as gss

    client = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice")), SERVICE)
    server = DceAcceptor(AcceptorKeys(realm.keytab))
    proof = client.step(server.step(client.step(b"")))
    assert server.accepted is None
    assert server.step(proof) == b""
    assert server.accepted is not None
    principal, flags, exported = server.accepted
    assert principal == f"alice@{REALM}".encode()
    assert flags & 0x1000
    context = gss.import_sec_context(exported)
    for text in (b"first", b"second"):
        gss.verify_mic(context, text, client.sign(text))
        client.verify(text, gss.get_mic(context, text))


@pytest.mark.parametrize("wanted", [True, False], ids=["wanted", "not wanted"])
@pytest.mark.parametrize("forwarded", ["alice", "bob"])
def test_no_ticket_stays_behind(
    realm: Realm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: bool, forwarded: str
) -> None:
    """The library itself tells of every cache that it makes and destroys."""
    token = forwarding_ap_req(realm.ticket("alice"), realm.ticket(forwarded))
    trace = tmp_path / "trace"
    monkeypatch.setenv("KRB5_TRACE", str(trace))
    for _ in range(3):
        delegated = DelegatedTickets.of if wanted else None
        server = KerberosAcceptor(Keytab(realm.keytab), Everybody(), REALM, "EXAMPLE", PEER, delegated=delegated)
        assert server.step(token).startswith(b"\x6f")  # an AP-REP, and nothing behind it
    del server
    gc.collect()
    lines = trace.read_text("utf-8", "replace").splitlines()
    made, destroyed = (
        sum(text in line for line in lines) for text in ("Initializing MEMORY:", "Destroying ccache MEMORY:")
    )
    # One by us and one within the library, for each logon.
    assert made == destroyed == 6


def test_another_service_s_keys(realm: Realm) -> None:
    other = realm.ticket("alice", other_key=True)
    with pytest.raises(SecurityError, match="Kerberos: "):
        DceAcceptor(AcceptorKeys(realm.keytab)).step(forwarding_ap_req(other, other))


def test_a_keytab_without_keys(realm: Realm, tmp_path: Path) -> None:
    (tmp_path / "empty.keytab").write_bytes(b"\x05\x02")
    with pytest.raises(SecurityError, match="Kerberos keys: "):
        AcceptorKeys(tmp_path / "empty.keytab")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(max_size=100), prefix=st.sampled_from([b"", b"\x6e\x40", b"\x60\x20\x06\x09"]))
def test_garbage(realm: Realm, garbage: bytes, prefix: bytes) -> None:
    keys = AcceptorKeys(realm.keytab)
    with pytest.raises(SecurityError):
        DceAcceptor(keys).step(prefix + garbage)
    client = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice")), SERVICE)
    server = DceAcceptor(keys)
    server.step(client.step(b""))
    with pytest.raises(SecurityError):
        server.step(garbage)
    assert server.accepted is None
