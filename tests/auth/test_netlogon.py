"""NTLM pass-through, with a domain controller of a few lines; a real one is in tests/interop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from openchange_py.addressbook.base import Account, DirectoryError
from openchange_py.auth import ntlm_crypto
from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.failures import FailureTracker, Patience
from openchange_py.auth.netlogon import ChannelFailed, MachineAccount, NetlogonVerifier, SecureChannel
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.schannel import netlogon_credential, session_key
from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityContext, SecurityError
from openchange_py.wire.netlogon import (
    CLIENT_FLAGS,
    NetrLogonSamLogonExRequest,
    NetrLogonSamLogonExResponse,
    NetrServerAuthenticate3Request,
    NetrServerAuthenticate3Response,
    NetrServerReqChallengeRequest,
    NetrServerReqChallengeResponse,
)
from tests.auth.ntlm_parties import NAMES, PEER

MACHINE = MachineAccount("EXCH1$", "machine secret", "EXAMPLE")
USERS = {"alice": "Alice's password", "zoe": "Zoe's password"}
WRONG_PASSWORD, NO_SUCH_USER, DISABLED = 0xC000006A, 0xC0000064, 0xC0000072


class Controller:
    """Knows the machine account and some users; `faults` make it err."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.reachable = True
        self.password = MACHINE.password
        self.domain = "EXAMPLE"
        self.user_flags = 0
        self.faults: set[str] = set()
        self.asked: list[str] = []

    async def __call__(self, host: str, context: SecurityContext | None, level: AuthLevel) -> Connection:
        self.asked.append(host)
        if not self.reachable or host == "dead":
            raise ConnectionRefusedError(f"{host} refused")
        if context is not None:
            assert level == AuthLevel.PRIVACY
            assert context.step(b"")
            context.step(b"\1" + bytes(11))
        self.connections.append(Connection(self))
        return self.connections[-1]

    def check(self, request: NetrLogonSamLogonExRequest) -> NetrLogonSamLogonExResponse:
        name = request.user_name.casefold()
        if name == "carol":
            return refused(DISABLED)
        if name not in USERS:
            return refused(NO_SUCH_USER)
        key = ntlm_crypto.ntowf_v2(ntlm_crypto.nt_hash(USERS[name]), request.user_name, request.logon_domain_name)
        proof, blob = request.nt_challenge_response[:16], request.nt_challenge_response[16:]
        if proof != ntlm_crypto.nt_proof_str(key, request.lm_challenge, blob):
            return refused(WRONG_PASSWORD)
        base_key = ntlm_crypto.session_base_key(key, proof)
        return NetrLogonSamLogonExResponse(name, self.domain, self.user_flags, base_key, 0)


def refused(status: int) -> NetrLogonSamLogonExResponse:
    return NetrLogonSamLogonExResponse("", "", 0, b"", status)


class Connection:
    """One connection to the controller."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.connected = True
        self.closed = False
        self.challenge = b""
        self.logons: list[bytes] = []

    async def call(self, opnum: int, stub: bytes) -> bytes:
        if not self.connected:
            raise ConnectionResetError("connection lost")
        return {4: self._challenge, 26: self._authenticate, 39: self._logon}[opnum](stub)

    async def close(self) -> None:
        self.connected, self.closed = False, True

    def _challenge(self, stub: bytes) -> bytes:
        self.challenge = NetrServerReqChallengeRequest.unpack(stub).client_challenge
        return NetrServerReqChallengeResponse(b"\7" * 8, 0).pack()

    def _authenticate(self, stub: bytes) -> bytes:
        request = NetrServerAuthenticate3Request.unpack(stub)
        key = session_key(self.controller.password, self.challenge, b"\7" * 8)
        right = request.client_credential == netlogon_credential(self.challenge, key)
        if not right and "impostor" not in self.controller.faults:
            return NetrServerAuthenticate3Response(bytes(8), 0, 0, 0xC0000022).pack()
        flags = 0x4000 if "no AES" in self.controller.faults else CLIENT_FLAGS
        return NetrServerAuthenticate3Response(netlogon_credential(b"\7" * 8, key), flags, 1105, 0).pack()

    def _logon(self, stub: bytes) -> bytes:
        self.logons.append(stub)
        if "garbage" in self.controller.faults:
            return b"\xff" * 7
        return self.controller.check(NetrLogonSamLogonExRequest.unpack(stub)).pack()


class Accounts:
    """Whom the directory knows: zoe is not among them. `erin`'s hash is known here."""

    broken = False

    def account(self, name: str) -> Account | None:
        if self.broken:
            raise DirectoryError("gone")
        known = {
            "alice": Account("alice", "", None),
            "alice@example.test": Account("alice", "", None),
            "carol": Account("carol", "", None),
            "erin": Account("erin", "", ntlm_crypto.nt_hash("local")),
        }
        return known.get(name)


class Site:
    """A server that passes logons through, and its event loop in a thread."""

    def __init__(self, *controllers: str) -> None:
        self.now = 0.0
        self.controller = Controller()
        self.accounts = Accounts()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.channel = SecureChannel(controllers or ("dc",), MACHINE, self.controller, clock=lambda: self.now)
        failures = FailureTracker(Patience(tolerated=2), clock=lambda: self.now)
        verifier = NetlogonVerifier(self.channel, self.accounts, failures, self.loop)
        self.source = LocalAuthenticator(self.accounts, NAMES, failures=failures, pass_through=verifier)

    def log_on(
        self,
        user: str = "alice",
        password: str = USERS["alice"],
        domain: str = "EXAMPLE",
        mechanism: AuthType = AuthType.NTLMSSP,
    ) -> Identity:
        server = self.source.acceptor(mechanism, PEER)
        assert server is not None
        ntlm = NtlmInitiator(NtlmCredential.from_password(user, domain, password))
        client = SpnegoInitiator(ntlm) if mechanism == AuthType.SPNEGO else ntlm
        server.step(client.step(server.step(client.step(b""))))
        sealed, signature = server.seal(b"", b"body", b"")
        assert client.unseal(b"", sealed, b"", signature) == b"body"
        assert server.identity is not None
        return server.identity

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def stop(self) -> None:
        self.run(self.channel.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.stop()


def test_the_controller_lets_in_and_gives_the_session_key(site: Site) -> None:
    assert site.log_on() == Identity("alice", "EXAMPLE", AuthLevel.CONNECT)
    assert site.log_on(user="ALICE", domain="").account == "alice"
    assert site.controller.asked == ["dc", "dc"], "one secure channel for both"


def test_accounts_with_a_hash_here_are_checked_here(site: Site) -> None:
    assert site.log_on("erin", "local").account == "erin"
    with pytest.raises(SecurityError):
        site.log_on("erin", "wrong")
    assert not site.controller.asked


@pytest.mark.parametrize(
    ("user", "password", "log"),
    [
        ("alice", "wrong", "wrong password"),
        ("nobody", "x", "no such account"),
        ("carol", "x", "the account is disabled"),
        ("zoe", USERS["zoe"], "the directory has no account 'zoe'"),
    ],
)
def test_who_is_refused(site: Site, caplog: pytest.LogCaptureFixture, user: str, password: str, log: str) -> None:
    with pytest.raises(SecurityError, match=r"^logon refused$"):
        site.log_on(user, password)
    assert log in caplog.text


def test_users_of_other_domains_and_guests_are_not_taken_for_ours(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.controller.domain = "OTHER"
    with pytest.raises(SecurityError):
        site.log_on()
    assert "of the domain 'OTHER'" in caplog.text
    site.controller.domain, site.controller.user_flags = "EXAMPLE", 1
    with pytest.raises(SecurityError):
        site.log_on()
    assert "a guest" in caplog.text


def test_guessing_is_slowed_down_before_the_controller_is_asked(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with pytest.raises(SecurityError):
            site.log_on(password="wrong")
    with pytest.raises(SecurityError):
        site.log_on()
    assert "too many failures" in caplog.text
    site.now += 10
    assert site.log_on().account == "alice"


def test_another_name_or_mechanism_is_no_new_chance(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("alice", "alice@example.test"):
        with pytest.raises(SecurityError):
            site.log_on(name, "wrong", mechanism=AuthType.SPNEGO)
    asked = len(site.controller.connections[-1].logons)
    for mechanism in (AuthType.NTLMSSP, AuthType.SPNEGO):
        with pytest.raises(SecurityError):
            site.log_on(mechanism=mechanism)
    assert len(site.controller.connections[-1].logons) == asked
    assert caplog.text.count("too many failures") == 2


def test_a_lost_channel_is_made_anew(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.log_on()
    for connection in site.controller.connections:
        connection.connected = False
    assert site.log_on().account == "alice"
    assert len(site.controller.connections) == 4


def test_garbage_for_an_answer(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.controller.faults.add("garbage")
    with pytest.raises(SecurityError, match=r"^logon refused$"):
        site.log_on()
    assert "no domain controller could be asked" in caplog.text
    assert all(connection.closed for connection in site.controller.connections)


def test_after_a_failure_clients_are_refused_at_once_for_a_while(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.controller.reachable = False
    for _ in range(3):
        with pytest.raises(SecurityError):
            site.log_on()
    assert site.controller.asked == ["dc", "dc"], "only the first asked, twice"
    assert "dc refused" in caplog.text
    site.controller.reachable = True
    site.now += 6
    assert site.log_on().account == "alice"


def test_the_next_controller_is_asked_where_the_first_is_dead() -> None:
    site = Site("dead", "dc")
    try:
        assert site.log_on().account == "alice"
        assert site.controller.asked == ["dead", "dc", "dc"]
    finally:
        site.stop()


@pytest.mark.parametrize(
    ("fault", "password", "reason"),
    [
        ("", "another", "machine account EXCH1.* was refused .*0xc0000022"),
        ("impostor", "another", "does not know the machine account's password"),
        ("no AES", MACHINE.password, "does not do AES"),
    ],
)
def test_channels_that_are_not_made(site: Site, fault: str, password: str, reason: str) -> None:
    site.controller.faults, site.controller.password = {fault}, password
    request = NetrLogonSamLogonExRequest(None, "EXCH1", "", 0, "alice", "", bytes(8), b"", b"")
    with pytest.raises(ChannelFailed, match=reason):
        site.run(site.channel.logon(request))
    assert all(connection.closed for connection in site.controller.connections)


def test_a_directory_that_fails_lets_nobody_in(site: Site) -> None:
    site.accounts.broken = True
    with pytest.raises(SecurityError, match=r"^logon refused$"):
        site.log_on()


def test_no_secret_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    site.log_on()
    site.controller.faults.add("garbage")
    with pytest.raises(SecurityError):
        site.log_on(password="a wrong secret")
    assert "secret" not in caplog.text + repr(MACHINE)
