"""The brake on guessing, names, and the authenticator."""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path

import pytest

from openchange_py.addressbook.accounts import exchange_attributes
from openchange_py.addressbook.base import Account, DirectoryError, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.auth.accounts import FailureTracker, LocalAuthenticator, account_name, address_of
from openchange_py.auth.ntlm import NtlmAcceptor, NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import SpnegoAcceptor
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityError
from tests.auth.ntlm_parties import NAMES, PASSWORD, PEER, acceptor, authenticator, impacket_logon


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def log_on(source: LocalAuthenticator, user: str, password: str, peer: str = PEER) -> bool:
    server = acceptor(source, peer)
    client = NtlmInitiator(NtlmCredential.from_password(user, "", password))
    try:
        server.step(client.step(server.step(client.step(b""))))
    except SecurityError:
        return False
    return server.complete


def test_guessing_is_slowed_down(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    source = authenticator(failures=FailureTracker(tolerated=3, pause=10, clock=clock))
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
    source = authenticator(failures=FailureTracker(tolerated=3, pause=10, clock=Clock()))
    for user, port in (("alice", 1), ("EXAMPLE\\ALICE", 2), ("alice@example.test", 3)):
        assert not log_on(source, user, "guess", f"192.0.2.7:{port}")
    assert not log_on(source, "alice", PASSWORD, "192.0.2.7:4")


def test_nobody_locks_a_user_out_from_elsewhere() -> None:
    source = authenticator(failures=FailureTracker(tolerated=1, pause=10, clock=Clock()))
    assert not log_on(source, "alice", "guess", "203.0.113.9:1")
    assert not log_on(source, "alice", PASSWORD, "203.0.113.9:1")
    assert log_on(source, "alice", PASSWORD, "192.0.2.7:1")


def test_pauses_double_up_to_a_limit_and_are_forgotten() -> None:
    clock = Clock()
    tracker = FailureTracker(tolerated=2, pause=1, longest_pause=300, memory=900, clock=clock)
    assert [tracker.failed("alice", "a") for _ in range(12)] == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert tracker.wait("ALICE", "a") == 300
    clock.now += 299
    assert tracker.wait("alice", "a") == pytest.approx(1)
    clock.now += 602
    assert tracker.wait("alice", "a") == 0
    assert tracker.failed("alice", "a") == 0
    for _ in range(5000):
        assert tracker.failed("alice", "a") <= 300


def test_memory_is_bounded() -> None:
    tracker = FailureTracker(tolerated=1, capacity=100, clock=Clock())
    for number in range(1000):
        tracker.failed("x" * 10_000 + str(number), "a")
    assert len(tracker) == 100
    assert tracker.wait("x" * 10_000 + "999", "a") > 0
    assert tracker.wait("x" * 10_000 + "0", "a") == 0
    tracker.succeeded("x" * 10_000 + "999", "a")
    assert len(tracker) == 99


def test_several_threads_lose_no_failure() -> None:
    tracker = FailureTracker(tolerated=1000, clock=Clock())
    threads = [
        threading.Thread(target=lambda: [tracker.failed("alice", "a") for _ in range(249)] and None) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tracker.failed("alice", "a") for _ in range(4)] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("10.0.0.1:1234", "10.0.0.1"),
        ("[::1]:1234", "::1"),
        ("::1", "::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("host:", "host:"),
        ("", ""),
    ],
)
def test_address_of(peer: str, address: str) -> None:
    assert address_of(peer) == address


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
        entry = directory.create_entry("alice", attributes)
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
