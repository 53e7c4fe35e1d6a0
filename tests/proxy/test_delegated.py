"""The caller's own identity upstream. With a real KDC: tests/interop/test_delegation.py."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from pathlib import Path

import pytest

from openchange_py.auth import ntlm_crypto
from openchange_py.auth.delegation import DelegatedTickets, ServiceLogon
from openchange_py.auth.kerberos_initiator import KerberosInitiator
from openchange_py.auth.krb5 import read_ap_req
from openchange_py.auth.ntlm import NtlmInitiator
from openchange_py.auth.spnego import Mechanism
from openchange_py.proxy.credentials import KerberosLogons
from openchange_py.proxy.delegated import DelegatedCredentials, UpstreamAuthorizes, end_delegation
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, Authority, AuthType, Identity, SecurityError
from openchange_py.wire.oxnspi import NSPI
from tests.auth.kerberos_parties import REALM, SERVICE, Realm, forwarding_ap_req
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.proxy.parties import ALICE, BOB, number_call

HASHES = {"alice": ntlm_crypto.nt_hash(PASSWORD)}


@pytest.fixture
def realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Realm:
    made = Realm(tmp_path)
    monkeypatch.setenv("KRB5_CONFIG", str(made.krb5_conf))
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    return made


def credentials(service: ServiceLogon | None = None) -> DelegatedCredentials:
    return DelegatedCredentials(HASHES.get, service, REALM, KerberosLogons(30.0))


def context(
    made: DelegatedCredentials,
    caller: Identity = ALICE,
    session: Session | None = None,
    mechanism: AuthType | None = None,
) -> Mechanism:
    call = number_call(caller=caller, session=session)
    return asyncio.run(made.context(call, SERVICE, AuthLevel.PRIVACY, mechanism))


def with_ticket(realm: Realm, hours: float = 1) -> Identity:
    """Alice, who forwarded a ticket that is good for so long."""
    ap_req = forwarding_ap_req(realm.ticket("alice"), realm.ticket("alice", hours=hours))
    return dataclasses.replace(
        ALICE, authority=Authority.DOMAIN, delegated=DelegatedTickets.of(read_ap_req(realm.keytab, ap_req))
    )


def test_the_hash_that_the_directory_holds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    client = context(credentials())
    server = authenticator().acceptor(AuthType.NTLMSSP, "192.0.2.1:1024")
    assert server is not None
    server.step(client.step(server.step(client.step(b""))))
    assert server.identity == dataclasses.replace(ALICE, level=AuthLevel.CONNECT)
    assert f"relayed to {SERVICE} as EXAMPLE\\alice by NT hash" in caplog.text
    assert "did not log on with Kerberos" in caplog.text
    assert HASHES["alice"].hex() not in caplog.text


def test_who_has_none_is_refused_with_every_reason(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SecurityError, match=r"forwarded ticket: .*; constrained delegation: .*; NT hash: .*not tell"):
        context(credentials(), BOB)
    assert f"EXAMPLE\\bob can't be relayed to {SERVICE}" in caplog.text


def test_nobody_has_no_identity() -> None:
    with pytest.raises(SecurityError, match="anonymous"):
        context(credentials(), ANONYMOUS)


def test_the_binding_s_mechanism_is_kept() -> None:
    with pytest.raises(SecurityError) as caught:
        context(credentials(), mechanism=AuthType.KERBEROS)
    assert "NT hash" not in str(caught.value)
    assert isinstance(context(credentials(), mechanism=AuthType.NTLMSSP), NtlmInitiator)


def test_a_forwarded_ticket_comes_first_and_ends_with_the_session(realm: Realm) -> None:
    caller, session = with_ticket(realm), Session("test", "client")
    made = credentials()
    for _ in range(2):
        assert isinstance(context(made, caller, session), KerberosInitiator)
    assert isinstance(context(made, caller, session, AuthType.NTLMSSP), NtlmInitiator)
    end_delegation(session)
    assert isinstance(caller.delegated, DelegatedTickets)
    assert caller.delegated.forwarded is not None
    assert caller.delegated.forwarded.closed
    assert isinstance(context(made, caller, Session("test", "client")), NtlmInitiator)
    end_delegation(session)


def test_a_ticket_that_expired_is_not_the_end(realm: Realm, caplog: pytest.LogCaptureFixture) -> None:
    """The client's session may last longer than what he forwarded: the next way is tried."""
    caplog.set_level("INFO")
    assert isinstance(context(credentials(), with_ticket(realm, hours=-1)), NtlmInitiator)
    assert re.search(r"by NT hash \(forwarded ticket: .*(expired|not found)", caplog.text)


def test_a_caller_s_tickets_are_not_another_session_s(realm: Realm) -> None:
    """Bob in the same process, even in what would be the same session, has what his own logon brought."""
    caller, session = with_ticket(realm), Session("test", "client")
    made = credentials()
    context(made, caller, session)
    with pytest.raises(SecurityError, match="did not log on with Kerberos"):
        context(made, BOB, session)


class Impersonating(ServiceLogon):
    """Remembers whom tickets were asked for."""

    def __init__(self, keytab: Path) -> None:
        super().__init__(keytab, f"exch1$@{REALM}")
        self.asked: list[str] = []

    def impersonated(self, principal: str):  # type: ignore[no-untyped-def]
        self.asked.append(principal)
        return super().impersonated(principal)


def test_only_who_the_domain_authenticated_is_impersonated(realm: Realm) -> None:
    """A name in our directory says nothing of the domain's account of that name."""
    service = Impersonating(realm.keytab)
    assert isinstance(context(credentials(service)), NtlmInitiator)
    assert service.asked == []
    known = dataclasses.replace(BOB, authority=Authority.DOMAIN)
    with pytest.raises(SecurityError, match=r"constrained delegation: krb5_get_init_creds_keytab"):
        context(credentials(service), known)
    assert service.asked == [f"bob@{REALM}"]


def test_evidence_is_tried_before_impersonation(realm: Realm) -> None:
    service = Impersonating(realm.keytab)
    caller = with_ticket(realm)
    assert isinstance(caller.delegated, DelegatedTickets)
    caller.delegated.close()
    bob = dataclasses.replace(caller, account="bob")
    with pytest.raises(SecurityError, match=r"session of .* is over.*with the client's ticket: .*not forwardable"):
        context(credentials(service), bob)
    assert service.asked == [f"alice@{REALM}"]  # whose ticket it is


def test_what_the_caller_may_do_is_decided_upstream() -> None:
    """NspiModProps, for instance, which a service account is not lent for."""
    authorizer = UpstreamAuthorizes()
    assert authorizer.as_caller
    assert asyncio.run(authorizer.authorize(Call(NSPI, 11, b"", Session("test", "client"), ALICE))) is None
    with pytest.raises(RpcFault) as caught:
        asyncio.run(authorizer.authorize(number_call(caller=ANONYMOUS)))
    assert caught.value.status == FaultStatus.ACCESS_DENIED
