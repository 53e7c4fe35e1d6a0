"""NT hashes from a real slapd: who is let in, what is refused, and a directory that is away, strange or an impostor."""

from __future__ import annotations

import dataclasses
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Account, DirectoryError
from openchange_py.addressbook.ldap.connection import LdapServers
from openchange_py.auth import ldap_passwords, ntlm_crypto
from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.failures import FailureTracker, Patience
from openchange_py.auth.ldap_passwords import LdapPasswords
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.rpc.security import SecurityError
from tests.auth.ntlm_parties import NAMES, PASSWORD, PEER, acceptor
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, READER, READER_PASSWORD, Slapd, running_slapd

HASH = ntlm_crypto.nt_hash(PASSWORD)
#: Names that mean something in a filter, each of which would match everybody if it were not escaped.
STRANGE_NAMES = ["*", "a*", "alice)(uid=*", "alice)(|(uid=*", "\\2a", "al\0ice", "(", "älice", "ali\\ce"]


def entry(name: str, uid: str, *lines: str, nt_hash: bytes | None = HASH) -> str:
    hashed = [] if nt_hash is None else [f"sambaNTPassword: {nt_hash.hex().upper()}"]
    about = ["objectClass: inetOrgPerson", "objectClass: sambaSamAccount", "sn: x", f"uid: {uid}", "sambaSID: S-1-5-21"]
    return "\n".join([f"dn: cn={name},ou=Users,{BASE}", f"cn: {name}", *about, *hashed, *lines, "", ""])


ENTRIES = (
    entry("alice", "alice", "sambaAcctFlags: [U          ]", "sambaDomainName: EXAMPLE")
    + entry("alice elsewhere", "alice", "sambaDomainName: OTHER", nt_hash=bytes(16))
    + entry("bob", "Bob")
    + entry("carol", "carol", "sambaAcctFlags: [UD         ]")
    + entry("locked", "locked", "sambaAcctFlags: [UL         ]")
    + entry("expired", "expired", "sambaKickoffTime: 1000")
    + entry("soon", "soon", "sambaKickoffTime: 2000")
    + entry("stranger", "stranger", "sambaDomainName: OTHER")
    + entry("nobody", "nohash", nt_hash=None)
    + entry("twin1", "twin")
    + entry("twin2", "twin")
    + entry("spaces", "two  words")
    + entry("empty", "empty", nt_hash=ntlm_crypto.nt_hash(""))
    + entry("unset", "unset", "sambaNTPassword: NO PASSWORDXXXXXXXXXXXXXXXXXXXXX", nt_hash=None)
)


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("slapd")) as server:
        server.change(ENTRIES)
        yield server


def servers(slapd: Slapd, *urls: str) -> LdapServers:
    return LdapServers(urls or (slapd.ldaps,), BASE, ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file)


class Site:
    """A password directory, and a server that logs clients on with it."""

    def __init__(self, where: LdapServers) -> None:
        self.now = 0.0
        self.passwords = LdapPasswords(where, "EXAMPLE", clock=lambda: 1500.0, monotonic=lambda: self.now)
        self.failures = FailureTracker(Patience(tolerated=2, pause=10), clock=lambda: self.now)
        self.source = LocalAuthenticator(self, NAMES, failures=self.failures, passwords=self.passwords)

    def account(self, name: str) -> Account | None:
        """Everybody has a mailbox, erin a password here; the rest is the password directory's."""
        return Account(name, "", HASH if name == "erin" else None)

    def tells(self, name: str) -> tuple[bytes | None, bool]:
        found = self.passwords.complete(Account(name, "EXAMPLE", None))
        assert (found.name, found.domain) == (name, "EXAMPLE")
        return found.nt_hash, found.enabled

    def log_on(self, user: str, password: str = PASSWORD) -> bool:
        server, client = acceptor(self.source, PEER), NtlmInitiator(NtlmCredential.from_password(user, "", password))
        try:
            server.step(client.step(server.step(client.step(b""))))
        except SecurityError:
            return False
        return server.complete


@pytest.fixture
def site(slapd: Slapd) -> Iterator[Site]:
    made = Site(servers(slapd))
    yield made
    made.passwords.close()


def test_a_hash_of_the_directory_lets_in_and_a_wrong_password_does_not(site: Site) -> None:
    assert site.log_on("alice")
    assert site.log_on("BOB")
    assert not site.log_on("alice", "guess")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("alice", (HASH, True)),
        ("ALICE", (HASH, True)),
        ("carol", (HASH, False)),
        ("locked", (HASH, False)),
        ("expired", (HASH, False)),
        ("soon", (HASH, True)),
        ("stranger", (None, True)),
        ("nohash", (None, True)),
        ("unset", (None, True)),
        ("empty", (None, True)),
        ("twin", (None, True)),
        ("nobody", (None, True)),  # a cn, no uid
        ("two  words", (HASH, True)),
        ("two words", (None, True)),  # equal by the schema's matching rule alone
    ],
)
def test_what_is_told(site: Site, name: str, told: tuple[bytes | None, bool]) -> None:
    assert site.tells(name) == told
    if told != (HASH, True):
        assert not site.log_on(name)


def test_an_empty_password_lets_nobody_in(site: Site) -> None:
    assert not site.log_on("empty", "")


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_names_mean_nothing_to_the_filter(site: Site, name: str) -> None:
    assert site.tells(name) == (None, True)
    assert site.tells("alice") == (HASH, True), "the connection is still good"


def test_an_account_with_a_hash_of_its_own_is_checked_with_that(slapd: Slapd) -> None:
    site = Site(servers(slapd, "ldap://127.0.0.1:1"))
    assert site.log_on("erin")
    site.passwords.close()


def test_changes_count_at_once(slapd: Slapd, site: Site) -> None:
    slapd.change(entry("frank", "frank"))
    assert site.log_on("frank")
    dn = f"dn: cn=frank,ou=Users,{BASE}\nchangetype: modify\n"
    slapd.change(dn + "replace: sambaAcctFlags\nsambaAcctFlags: [UD         ]\n")
    assert not site.log_on("frank")
    slapd.change(dn + f"replace: sambaAcctFlags\n-\nreplace: sambaNTPassword\nsambaNTPassword: {'0' * 32}\n")
    assert not site.log_on("frank")


def test_several_entries_of_one_name_are_none_and_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert not site.log_on("twin")
    assert "several entries of 'twin'" in caplog.text


def test_who_may_not_read_hashes_is_told_so(slapd: Slapd, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(dataclasses.replace(servers(slapd), bind_dn=READER, password=READER_PASSWORD))
    assert site.tells("alice") == (None, True)
    assert "tells no sambaNTPassword of 'alice': may we read it?" in caplog.text
    site.passwords.close()


def test_start_tls(slapd: Slapd) -> None:
    site = Site(servers(slapd, slapd.ldap))
    assert site.log_on("alice")
    site.passwords.close()


def refusal(where: LdapServers) -> str:
    site = Site(where)
    with pytest.raises(DirectoryError) as caught:
        site.tells("alice")
    site.passwords.close()
    return str(caught.value)


@pytest.mark.parametrize("url", ["ldap", "ldaps"])
def test_who_can_not_prove_that_he_is_the_directory_gets_no_password(slapd: Slapd, url: str) -> None:
    """By another CA's certificate, or by one that is made out to another name."""
    there = getattr(slapd, url)
    other_ca = dataclasses.replace(servers(slapd, there), ca_file=slapd.place / "other-ca.pem")
    assert "certificate" in refusal(other_ca).lower()
    assert "certificate" in refusal(servers(slapd, there.replace("localhost", "127.0.0.1"))).lower()
    assert "certificate" in refusal(dataclasses.replace(servers(slapd, there), ca_file=None)).lower()


def test_a_wrong_bind_or_base_is_told(slapd: Slapd) -> None:
    wrong = refusal(dataclasses.replace(servers(slapd), password="another secret"))
    assert f"bind as {ADMIN} refused: invalidCredentials" in wrong
    assert "secret" not in wrong
    assert "noSuchObject" in refusal(dataclasses.replace(servers(slapd), base="dc=nowhere"))


def test_the_next_server_is_asked_where_the_first_is_dead(slapd: Slapd) -> None:
    site = Site(servers(slapd, "ldaps://127.0.0.1:1", slapd.ldaps))
    assert site.log_on("alice")
    site.passwords.close()


def test_a_directory_that_goes_and_comes_back(slapd: Slapd, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert site.log_on("alice")
    slapd.stop()
    try:
        assert not site.log_on("alice")
        assert "the directory failed: password directory: " in caplog.text
        assert site.failures.wait("alice", "192.0.2.7") == 0, "no guess was made"
    finally:
        slapd.start()
    assert not site.log_on("alice"), "nobody is asked so soon after"
    site.now += 6
    assert site.log_on("alice")


def test_a_connection_that_was_lost_is_made_anew_at_once(slapd: Slapd, site: Site) -> None:
    assert site.log_on("alice")
    slapd.stop()
    slapd.start()
    assert site.log_on("alice")


def test_many_at_once(site: Site) -> None:
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(site.tells, ["alice", "carol", "nobody"] * 30))
    assert told == [(HASH, True), (HASH, False), (None, True)] * 30


def test_who_has_to_wait_is_refused_without_asking(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert not site.log_on("alice", "guess")
    site.passwords.close()
    assert not site.log_on("alice")
    assert "too many failures from 192.0.2.7" in caplog.messages[-1]


class Impostor:
    """Takes connections and answers each with the same bytes, or with nothing."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.taken: list[socket.socket] = []
        self.thread = threading.Thread(target=self._take)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.listener.getsockname()[1]}"

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
                self.taken.append(connection)
                if self.answer is not None:
                    connection.recv(4096)
                    connection.sendall(self.answer)
            except OSError:
                return

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        for one in [self.listener, *self.taken]:
            one.close()
        self.thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01",  # two gigabytes announced
        b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00" * 3,  # success for whatever was asked
        b"\x30\x05\x02\x01\x01\x79\x00",
    ],
    ids=["http", "huge", "bind response", "empty"],
)
def test_garbage_for_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(ldap_passwords, "_STEP_SECONDS", 1)
    impostor = Impostor(answer)
    try:
        assert refusal(LdapServers((impostor.url,), BASE, ADMIN, ADMIN_PASSWORD)).startswith("password directory: ")
    finally:
        impostor.stop()


def test_a_directory_that_says_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap_passwords, "_PATIENCE", 0.05)
    monkeypatch.setattr(ldap_passwords, "_STEP_SECONDS", 1)
    impostor = Impostor(None)
    try:
        where = LdapServers((impostor.url,), BASE, ADMIN, ADMIN_PASSWORD, start_tls=False)
        assert "no answer within 0.05 s" in refusal(where)
    finally:
        impostor.stop()


def test_no_secret_is_logged_or_shown(slapd: Slapd, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert site.log_on("alice")
    assert not site.log_on("alice", "guess")
    slapd.stop()
    assert not site.log_on("alice")
    slapd.start()
    for text in (caplog.text, repr(servers(slapd)), repr(Account("alice", "", HASH))):
        for secret in (ADMIN_PASSWORD, PASSWORD, HASH.hex(), HASH.hex().upper()):
            assert secret not in text
