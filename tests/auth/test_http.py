"""Who calls over HTTP: each scheme, what binds it to a connection and a channel, and what is refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.failures import FailureTracker, Patience
from openchange_py.auth.http import Bindings, ConnectionLogon, Scheme, WebLogons
from openchange_py.auth.kerberos import KerberosAcceptor, Keytab
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, Identity, SecurityContext
from openchange_py.rpc.web_logon import Channel, Outcome
from tests.auth.kerberos_parties import REALM, SERVICE, Realm
from tests.auth.ntlm_parties import NAMES, PASSWORD, PEER, Accounts, authenticator
from tests.auth.test_bearer import token, tokens
from tests.auth.test_kerberos import People

__all__ = ["tokens"]

TLS = Channel(PEER, secure=True, end_point=b"\x05" * 32)
PLAIN = Channel(PEER, secure=False)
PROXIED = Channel(PEER, secure=True, shared=True)


def basic(user: str = "alice", password: str = PASSWORD, codec: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode(codec)).decode("ascii")


def initiator(password: str = PASSWORD, bindings: ChannelBindings | None = None) -> NtlmInitiator:
    credential = NtlmCredential.from_password("alice", "EXAMPLE", password)
    named = {} if bindings is None else {"channel_bindings": bindings.ntlm_hash}
    return NtlmInitiator(credential, level=AuthLevel.CONNECT, **named)


def exchange(logon: ConnectionLogon, scheme: str, client: SecurityContext, channel: Channel) -> Outcome:
    """The client's tokens until the server is content, or refuses."""
    received = b""
    for _ in range(4):
        sent = client.step(received)
        outcome = logon.step(f"{scheme} {base64.b64encode(sent).decode('ascii')}", channel)
        if outcome.identity is not None or outcome.failed:
            return outcome
        (challenge,) = outcome.fields
        word, _, text = challenge.partition(" ")
        assert word == scheme
        received = base64.b64decode(text)
    raise AssertionError("no end")


def test_who_says_nothing_is_asked() -> None:
    logon = WebLogons(authenticator(), realm='mail "x"').logon()
    assert logon.step("", TLS) == Outcome(None, ("Negotiate", "NTLM", 'Basic realm="mail x", charset="UTF-8"'))
    assert logon.step("", PLAIN).fields == ("Negotiate", "NTLM")
    assert logon.step("", PROXIED).fields == ("Negotiate", 'Basic realm="mail x", charset="UTF-8"')


@pytest.mark.parametrize("user", ["alice", "EXAMPLE\\alice", "alice@example.test"])
def test_basic(user: str) -> None:
    identity = WebLogons(authenticator()).logon().step(basic(user), TLS).identity
    assert identity is not None
    assert (identity.account, identity.domain, identity.level) == ("alice", "EXAMPLE", AuthLevel.PRIVACY)


def test_basic_of_a_client_that_knows_no_utf_8() -> None:
    assert WebLogons(authenticator()).logon().step(basic(codec="latin-1"), TLS).identity is not None


@pytest.mark.parametrize(
    "credentials",
    [
        basic(password="wrong"),
        basic("nobody"),
        basic("carol"),
        basic("dave"),
        basic(""),
        basic(password=""),
        "Basic",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"alice").decode("ascii"),
        "Basic " + base64.b64encode("alice:\ud800".encode("utf-8", "surrogatepass")).decode("ascii"),
        "Digest x",
        "NTLM",
        "NTLM !!!!",
        "Negotiate " + base64.b64encode(b"\x60garbage").decode("ascii"),
        "NTLM " + base64.b64encode(b"NTLMSSP\0\3\0\0\0").decode("ascii"),
    ],
)
def test_what_is_refused(credentials: str) -> None:
    outcome = WebLogons(authenticator()).logon().step(credentials, TLS)
    assert (outcome.identity, outcome.failed) == (None, True)
    assert outcome.fields[0] == "Negotiate"


def test_no_password_without_tls() -> None:
    source = Accounts()
    logon = WebLogons(LocalAuthenticator(source, NAMES)).logon()
    assert logon.step(basic(), PLAIN).failed
    assert not source.asked


def test_a_password_binds_nobody_to_the_connection() -> None:
    logon = WebLogons(authenticator()).logon()
    assert logon.step(basic(), TLS).identity is not None
    assert logon.step("", TLS).identity is None


def test_the_same_password_is_checked_once_a_minute() -> None:
    source, now = Accounts(), [0.0]
    logon = WebLogons(LocalAuthenticator(source, NAMES), clock=lambda: now[0]).logon()
    for _ in range(3):
        assert logon.step(basic(), TLS).identity is not None
    assert len(source.asked) == 1
    assert logon.known(basic(password="wrong"), TLS) is None
    now[0] = 61.0
    logon.step(basic(), TLS)
    assert len(source.asked) == 2
    assert logon.step(basic(password="wrong"), TLS).failed
    assert logon.known(basic(), TLS) is None


def test_guesses_are_counted_with_those_over_rpc() -> None:
    failures = FailureTracker(Patience(tolerated=2))
    logons = WebLogons(LocalAuthenticator(Accounts(), NAMES, failures=failures))
    for _ in range(2):
        assert logons.logon().step(basic(password="wrong"), TLS).failed
    assert failures.wait("alice", "192.0.2.7") > 0
    assert logons.logon().step(basic(), TLS).failed
    elsewhere = Channel("198.51.100.1:7", secure=True)
    assert logons.logon().step(basic(), elsewhere).identity is not None


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
@pytest.mark.parametrize("channel", [TLS, PLAIN], ids=["TLS", "plain"])
def test_ntlm_is_bound_to_its_connection(scheme: str, channel: Channel) -> None:
    logons = WebLogons(authenticator())
    logon = logons.logon()
    client = initiator() if scheme == "NTLM" else SpnegoInitiator(initiator())
    identity = exchange(logon, scheme, client, channel).identity
    assert identity is not None
    assert identity.account == "alice"
    assert identity.level is (AuthLevel.PRIVACY if channel.secure else AuthLevel.CONNECT)
    assert logon.step("", channel).identity == identity
    assert logons.logon().step("", channel).identity is None


def test_who_logs_on_anew_is_nobody_until_it_is_done() -> None:
    logon = WebLogons(authenticator()).logon()
    exchange(logon, "NTLM", initiator(), TLS)
    first = base64.b64encode(initiator().step(b"")).decode("ascii")
    assert logon.step(f"NTLM {first}", TLS).identity is None
    assert logon.step("", TLS).identity is None
    assert exchange(logon, "NTLM", initiator("wrong"), TLS).failed
    assert logon.step("", TLS).identity is None
    assert exchange(logon, "NTLM", initiator(), TLS).identity is not None


def test_ntlm_is_not_possible_where_others_share_the_connection() -> None:
    logon = WebLogons(authenticator()).logon()
    assert exchange(logon, "NTLM", initiator(), PROXIED).failed
    assert exchange(logon, "Negotiate", SpnegoInitiator(initiator()), PROXIED).failed
    assert logon.step(basic(), PROXIED).identity is not None
    assert logon.step("", PROXIED).identity is None


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
@pytest.mark.parametrize(
    ("asked", "named", "good"),
    [
        (Bindings.ALLOWED, None, True),
        (Bindings.ALLOWED, b"\x05" * 32, True),
        (Bindings.ALLOWED, b"\x06" * 32, False),
        (Bindings.REQUIRED, None, False),
        (Bindings.REQUIRED, b"\x05" * 32, True),
        (Bindings.OFF, b"\x06" * 32, True),
    ],
)
def test_channel_bindings_of_ntlm(scheme: str, asked: Bindings, named: bytes | None, good: bool) -> None:
    logon = WebLogons(authenticator(), bindings=asked).logon()
    inner = initiator(bindings=ChannelBindings(named) if named is not None else None)
    outcome = exchange(logon, scheme, inner if scheme == "NTLM" else SpnegoInitiator(inner), TLS)
    assert (outcome.identity is not None) is good


@pytest.mark.parametrize(
    ("asked", "named", "good"),
    [
        (Bindings.ALLOWED, None, True),
        (Bindings.ALLOWED, b"\x05" * 32, True),
        (Bindings.ALLOWED, b"\x06" * 32, False),
        (Bindings.REQUIRED, None, False),
        (Bindings.REQUIRED, b"\x05" * 32, True),
        (Bindings.OFF, b"\x06" * 32, True),
    ],
)
def test_kerberos_and_its_channel_bindings(
    asked: Bindings, named: bytes | None, good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm = Realm(tmp_path)
    monkeypatch.setenv("KRB5_CONFIG", str(realm.krb5_conf))
    monkeypatch.setenv("KRB5CCNAME", realm.ticket("alice"))
    import gssapi

    people, keytab = People(), Keytab(realm.keytab)
    source = LocalAuthenticator(
        people,
        NAMES,
        kerberos=lambda peer, bindings: KerberosAcceptor(keytab, people, REALM, "EXAMPLE", peer, bindings=bindings),
    )
    channel = gssapi.raw.ChannelBindings(application_data=ChannelBindings(named).application_data) if named else None
    client = gssapi.SecurityContext(
        name=gssapi.Name(f"{SERVICE}@{REALM}", gssapi.NameType.kerberos_principal),
        mech=gssapi.OID.from_int_seq("1.3.6.1.5.5.2"),
        flags=gssapi.RequirementFlag.mutual_authentication,
        usage="initiate",
        channel_bindings=channel,
    )
    logon = WebLogons(source, [Scheme.NEGOTIATE], bindings=asked).logon()
    outcome = logon.step("Negotiate " + base64.b64encode(client.step()).decode("ascii"), TLS)
    assert (outcome.identity is not None) is good
    if outcome.identity is not None:
        assert (outcome.identity.account, outcome.identity.level) == ("alice", AuthLevel.PRIVACY)
        (proof,) = outcome.fields
        client.step(base64.b64decode(proof.removeprefix("Negotiate ")))
        assert client.complete  # the server proved who it is, too


def test_bearer(tokens: object) -> None:
    logons = WebLogons(authenticator(), [Scheme.BEARER, Scheme.NTLM], bearer=tokens)  # type: ignore[arg-type]
    logon = logons.logon()
    assert logon.step("", TLS).fields[0].startswith("Bearer realm=")
    identity = logon.step(f"Bearer {token()}", TLS).identity
    assert identity is not None
    assert (identity.account, identity.level) == ("alice", AuthLevel.PRIVACY)
    assert logon.step("", TLS).identity is None
    assert logon.step("Bearer", TLS).failed
    assert logon.step(f"Bearer {token()}", PLAIN).failed
    assert WebLogons(authenticator(), [Scheme.BEARER, Scheme.NTLM]).logon().step("", TLS).fields == ("NTLM",)


def test_no_secret_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0, "openchange_py")
    logon = WebLogons(authenticator()).logon()
    for credentials in (basic(), basic(password="guess-7"), "Bearer tok-7", "Basic !guess-7"):
        logon.step(credentials, TLS)
    logon.close()
    assert "refused" in caplog.text
    for secret in (PASSWORD, "guess-7", "tok-7", basic()[6:]):
        assert secret not in caplog.text


def test_a_logon_again_wipes_what_the_one_before_gave_along() -> None:
    """A client may log on again and again on one connection; tickets that no session took don't add up."""

    class Tickets:
        claimed = False
        closed = 0

        def close(self) -> None:
            self.closed += 1

    logon = WebLogons(authenticator()).logon()
    unused, used = Tickets(), Tickets()
    used.claimed = True
    for tickets in (unused, used):
        logon._delegating.append(Identity("alice", "EXAMPLE", AuthLevel.CONNECT, delegated=tickets))
    assert exchange(logon, "NTLM", initiator(), TLS).identity is not None
    assert (unused.closed, used.closed) == (1, 0)
    assert len(logon._delegating) == 1
