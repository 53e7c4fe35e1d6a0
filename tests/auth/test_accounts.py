"""Logons that are refused and slowed down, names, and the authenticator."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Account, DirectoryError, Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.auth.accounts import LocalAuthenticator, account_name
from openchange_py.auth.failures import FailureTracker, Patience
from openchange_py.auth.ntlm import NtlmAcceptor, NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import SpnegoAcceptor, SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityError
from tests.auth.clock import Clock
from tests.auth.ntlm_parties import NAMES, PASSWORD, PEER, acceptor, authenticator, impacket_logon
from tests.mailboxes import exchange_attributes


def log_on(
    source: LocalAuthenticator, user: str, password: str, peer: str = PEER, *, mechanism: AuthType = AuthType.NTLMSSP
) -> bool:
    server = source.acceptor(mechanism, peer)
    assert server is not None
    ntlm = NtlmInitiator(NtlmCredential.from_password(user, "", password))
    client = SpnegoInitiator(ntlm) if mechanism == AuthType.SPNEGO else ntlm
    try:
        server.step(client.step(server.step(client.step(b""))))
    except SecurityError:
        return False
    return server.complete


def test_guessing_is_slowed_down(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    source = authenticator(failures=FailureTracker(Patience(tolerated=3, pause=10), clock=clock))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert not log_on(source, "alice", "guess")
        assert not log_on(source, "alice", PASSWORD)
    assert "wrong password; next try in 10 s" in caplog.messages[2]
    assert "too many failures from 192.0.2.7, next try in 10 s" in caplog.messages[3]
    clock.now += 11
    assert log_on(source, "alice", PASSWORD)
    assert not log_on(source, "alice", "guess")
    assert log_on(source, "alice", PASSWORD)


def test_another_form_of_the_name_or_another_port_is_no_new_chance() -> None:
    source = authenticator(failures=FailureTracker(Patience(tolerated=3, pause=10), clock=Clock()))
    for user, port in (("alice", 1), ("EXAMPLE\\ALICE", 2), ("alice@example.test", 3)):
        assert not log_on(source, user, "guess", f"192.0.2.7:{port}")
    assert not log_on(source, "alice", PASSWORD, "192.0.2.7:4")


def test_another_mechanism_is_no_new_chance() -> None:
    source = authenticator(failures=FailureTracker(Patience(tolerated=3, pause=10), clock=Clock()))
    mechanisms = (AuthType.NTLMSSP, AuthType.SPNEGO)
    for mechanism in (*mechanisms, AuthType.SPNEGO):
        assert not log_on(source, "alice", "guess", mechanism=mechanism)
    for mechanism in mechanisms:
        assert not log_on(source, "alice", PASSWORD, mechanism=mechanism)


def test_a_password_tried_on_many_accounts(caplog: pytest.LogCaptureFixture) -> None:
    """From there nobody new may log on for a while, right password or not; who is known there, and all others, may."""
    clock = Clock()
    source = authenticator(failures=FailureTracker(Patience(tolerated_accounts=4, pause=10), clock=clock))
    with caplog.at_level(logging.WARNING):
        for number in range(4):
            assert not log_on(source, f"user{number}", "Summer-2026")
        assert "no such account; next try in 10 s" in caplog.messages[3]
        assert not log_on(source, "alice", PASSWORD)
    assert "too many failures from 192.0.2.7, next try in 10 s" in caplog.messages[4]
    assert log_on(source, "alice", PASSWORD, "192.0.2.8:1")
    clock.now += 11
    assert log_on(source, "alice", PASSWORD)
    assert not log_on(source, "user5", "Summer-2026")
    assert log_on(source, "alice", PASSWORD), "she works there"


def test_nobody_locks_a_user_out_from_elsewhere() -> None:
    source = authenticator(failures=FailureTracker(Patience(tolerated=1, pause=10), clock=Clock()))
    assert not log_on(source, "alice", "guess", "203.0.113.9:1")
    assert not log_on(source, "alice", PASSWORD, "203.0.113.9:1")
    assert log_on(source, "alice", PASSWORD, "192.0.2.7:1")


@pytest.mark.parametrize(
    ("user_name", "name"),
    [
        ("alice", "alice"),
        ("EXAMPLE\\alice", "alice"),
        ("alice@example.test", "alice@example.test"),
        ("Jürgen Groß", "Jürgen Groß"),
        ("", None),
        ("EXAMPLE\\", None),
        ("a\nb", None),
        ("\udc00", None),
        ("x" * 1025, None),
    ],
)
def test_account_name(user_name: str, name: str | None) -> None:
    assert account_name(user_name) == name


def test_mechanisms() -> None:
    source = authenticator()
    assert isinstance(source.acceptor(AuthType.NTLMSSP, PEER), NtlmAcceptor)
    assert isinstance(source.acceptor(AuthType.SPNEGO, PEER), SpnegoAcceptor)
    assert source.acceptor(AuthType.KERBEROS, PEER) is None
    assert source.acceptor(AuthType.NONE, PEER) is None


def test_accounts_of_the_embedded_directory(tmp_path: Path) -> None:
    """impacket logs on with a password that was set as `ocpy newuser` sets it; not with an old one, nor disabled."""
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    with contextlib.closing(EmbeddedDirectory(url)) as directory:
        organization = Organization("Example", "First")
        directory.provision(organization, "EXCH1")
        attributes = exchange_attributes(organization, "EXCH1", "alice", "alice@example.test", "Alice")
        entry = directory.create(Kind.USER, "alice", attributes)
        directory.set_password(entry, PASSWORD)
        source = LocalAuthenticator(directory, NAMES)
        for user in ("alice", "alice@example.test", "EXAMPLE\\Alice"):
            server = acceptor(source)
            token, _ = impacket_logon(server, user, PASSWORD)
            server.step(token)
            assert server.identity == Identity("alice", "EXAMPLE", AuthLevel.CONNECT)
        directory.set_password(entry, "Another-1")
        assert not log_on(source, "alice", PASSWORD)
        assert log_on(source, "alice", "Another-1")
        directory.set_enabled(entry, False)
        assert not log_on(source, "alice", "Another-1")


def test_a_directory_that_is_down(caplog: pytest.LogCaptureFixture) -> None:
    class Down:
        def account(self, name: str) -> Account | None:
            raise DirectoryError("no answer from the LDAP server")

    assert not log_on(LocalAuthenticator(Down(), NAMES), "alice", PASSWORD)
    assert "no answer from the LDAP server" in caplog.text
