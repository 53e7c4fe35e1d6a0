"""Caches in memory, and AP-REQs read with MIT's library; the tickets are impacket's. tests/interop has a real KDC."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openchange_py.auth import krb5
from openchange_py.auth.kerberos_initiator import KerberosCredential, KerberosInitiator
from openchange_py.auth.krb5 import CredentialCache, evidence_cache, initial_ticket, read_ap_req
from openchange_py.rpc.security import SecurityError
from openchange_py.wire.kerberos import GssFlags
from tests.auth.kerberos_parties import AES256, REALM, SERVICE, Realm, forwarding_ap_req


@pytest.fixture
def realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Realm:
    made = Realm(tmp_path)
    monkeypatch.setenv("KRB5_CONFIG", str(made.krb5_conf))
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    return made


def usable(ccache: str) -> bool:
    """A service ticket can be found in it."""
    try:
        KerberosInitiator(KerberosCredential(ccache=ccache), SERVICE).prepare()
    except SecurityError:
        return False
    return True


def test_an_ap_req_without_delegation(realm: Realm) -> None:
    ap_req = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice")), SERVICE).step(b"")
    for _ in range(2):  # no replay cache is asked: that is GSSAPI's business
        received = read_ap_req(realm.keytab, ap_req)
        assert received.forwarded is None
        assert received.ticket.client == f"alice@{REALM}"
        assert (received.ticket.enctype, len(received.ticket.key)) == (AES256, 32)
        assert not received.ticket.forwardable
    assert received.ticket.ticket in ap_req
    assert received.ticket.key.hex() not in repr(received)


@pytest.mark.parametrize("encrypted", [True, False], ids=["as MIT sends it", "as Heimdal does"])
def test_a_forwarded_ticket_is_in_memory_until_it_is_wiped(realm: Realm, encrypted: bool) -> None:
    ap_req = forwarding_ap_req(realm.ticket("alice"), realm.ticket("alice"), encrypted=encrypted)
    received = read_ap_req(realm.keytab, ap_req)
    cache = received.forwarded
    assert cache is not None
    assert cache.name.startswith("MEMORY:")
    assert cache.client == f"alice@{REALM}"
    assert usable(cache.name)
    cache.close()
    assert cache.closed
    assert not usable(cache.name)
    cache.close()


def test_a_forgotten_cache_is_wiped_too(realm: Realm) -> None:
    received = read_ap_req(realm.keytab, forwarding_ap_req(realm.ticket("alice"), realm.ticket("alice")))
    assert received.forwarded is not None
    name = received.forwarded.name
    assert usable(name)
    del received
    gc.collect()
    assert not usable(name)


def test_a_forwarded_ticket_of_somebody_else_is_refused(realm: Realm) -> None:
    """Or alice's session would act as bob."""
    ap_req = forwarding_ap_req(realm.ticket("alice"), realm.ticket("bob"))
    received = read_ap_req(realm.keytab, ap_req)
    assert received.forwarded is None
    assert received.problem == f"alice@{REALM} forwarded a ticket of bob@{REALM}"
    assert received.flags == GssFlags.DELEGATE | GssFlags.DCE_STYLE | 2


def test_a_ticket_for_another_key(realm: Realm) -> None:
    ap_req = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice", other_key=True)), SERVICE).step(b"")
    with pytest.raises(SecurityError, match="krb5_rd_req"):
        read_ap_req(realm.keytab, ap_req)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_changed_ap_req_is_refused_or_means_the_same(realm: Realm, position: int, flip: int) -> None:
    ap_req = bytearray(forwarding_ap_req(realm.ticket("alice"), realm.ticket("alice")))
    ap_req[position % len(ap_req)] ^= flip
    try:
        received = read_ap_req(realm.keytab, bytes(ap_req))
    except SecurityError:
        return
    assert received.ticket.client.startswith("alice@")


@given(garbage=st.binary(max_size=300))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage(realm: Realm, garbage: bytes) -> None:
    with pytest.raises(SecurityError):
        read_ap_req(realm.keytab, garbage)


def test_evidence_is_the_client_s_ticket_in_the_name_of_the_service(realm: Realm) -> None:
    ap_req = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice")), SERVICE).step(b"")
    evidence = read_ap_req(realm.keytab, ap_req).ticket
    made = evidence_cache(evidence, CredentialCache(f"exch1$@{REALM}"))
    assert made.client == f"alice@{REALM}"
    # GSSAPI takes it for what it is: no TGT of the client, so that nothing can be got without the KDC.
    assert not usable(made.name)


def test_a_kdc_that_is_not_there(realm: Realm) -> None:
    with pytest.raises(SecurityError, match="krb5_get_init_creds_keytab"):
        initial_ticket(SERVICE, realm.keytab)


def test_names_that_are_none(realm: Realm) -> None:
    with pytest.raises(SecurityError, match="krb5_parse_name"):
        CredentialCache("a@b@c")


def test_another_kerberos_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: no such file")

    krb5._library.cache_clear()
    monkeypatch.setattr(krb5.ctypes, "CDLL", missing)
    with pytest.raises(SecurityError, match="MIT's Kerberos library"):
        CredentialCache("alice@EXAMPLE.TEST")
