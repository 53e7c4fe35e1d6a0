"""Acting for a client; what needs a KDC is in tests/interop/test_delegation.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.addressbook.base import Account
from openchange_py.auth.delegation import CachedTickets, DelegatedTickets, ServiceLogon, user_principal
from openchange_py.auth.kerberos import KerberosAcceptor, Keytab
from openchange_py.auth.kerberos_initiator import KerberosCredential, KerberosInitiator
from openchange_py.auth.krb5 import read_ap_req
from openchange_py.rpc.security import Authority, SecurityError
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


def acceptor(realm: Realm) -> KerberosAcceptor:
    return KerberosAcceptor(Keytab(realm.keytab), Everybody(), REALM, "EXAMPLE", PEER, delegated=DelegatedTickets.of)


def tickets_in(realm: Realm, ap_req: bytes) -> DelegatedTickets:
    return DelegatedTickets.of(read_ap_req(realm.keytab, ap_req))


@pytest.mark.parametrize(
    ("account", "principal"),
    [("alice", f"alice@{REALM}"), ("a/b@c\\d", rf"a\/b\@c\\d@{REALM}"), ("EXCH1$", f"EXCH1$@{REALM}")],
)
def test_a_principal_s_name_is_escaped(account: str, principal: str) -> None:
    """`administrator@OTHER` as an account's name makes no principal of the realm OTHER."""
    assert user_principal(account, REALM) == principal


def test_an_identity_carries_what_the_client_delegated_when_the_logon_is_complete(realm: Realm) -> None:
    client = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice")), SERVICE)
    server = acceptor(realm)
    proof = client.step(server.step(client.step(b"")))
    assert server.identity is None
    server.step(proof)
    assert server.identity is not None
    assert server.identity.authority is Authority.DOMAIN
    tickets = server.identity.delegated
    assert isinstance(tickets, DelegatedTickets)
    assert tickets.principal == f"alice@{REALM}"
    assert tickets.forwarded is None
    tickets.close()


def test_what_cannot_be_read_does_not_prevent_the_logon(realm: Realm, caplog: pytest.LogCaptureFixture) -> None:
    """A client that forwards another one's ticket logs on as himself, and delegates nothing."""
    server = acceptor(realm)
    server.step(forwarding_ap_req(realm.ticket("alice"), realm.ticket("bob")))
    assert "forwarded a ticket of bob" in caplog.text
    assert isinstance(server._delegated, DelegatedTickets)
    assert server._delegated.forwarded is None


def test_tickets_of_a_session_that_is_over(realm: Realm) -> None:
    received = tickets_in(realm, forwarding_ap_req(realm.ticket("alice"), realm.ticket("alice")))
    assert received.forwarded is not None
    credential = CachedTickets(received.forwarded)
    KerberosInitiator(credential, SERVICE).prepare()
    received.close()
    with pytest.raises(SecurityError, match=f"session of alice@{REALM} is over"):
        KerberosInitiator(credential, SERVICE).prepare()


def test_a_service_without_kdc(realm: Realm) -> None:
    service = ServiceLogon(realm.keytab, SERVICE)
    for credential in (service.impersonated(f"alice@{REALM}"),):
        with pytest.raises(SecurityError, match="krb5_get_init_creds_keytab"):
            KerberosInitiator(credential, SERVICE).prepare()


def test_a_ticket_that_is_not_forwardable_is_no_evidence(realm: Realm) -> None:
    ap_req = KerberosInitiator(KerberosCredential(ccache=realm.ticket("alice")), SERVICE).step(b"")
    tickets = tickets_in(realm, ap_req)
    service = ServiceLogon(realm.keytab, SERVICE)
    with pytest.raises(SecurityError, match="not forwardable"):
        KerberosInitiator(service.constrained(tickets.ticket), SERVICE).prepare()
