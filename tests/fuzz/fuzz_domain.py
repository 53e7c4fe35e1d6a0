"""Targets of what a domain sends: Kerberos' tokens, Netlogon's calls, tokens and signatures, a controller's answers."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from openchange_py.addressbook.base import Entry
from openchange_py.auth.failures import FailureTracker
from openchange_py.auth.kerberos import KerberosAcceptor, Keytab
from openchange_py.auth.kerberos_initiator import KerberosCredential, KerberosInitiator
from openchange_py.auth.krb5 import read_ap_req
from openchange_py.auth.netlogon import ChannelFailed, MachineAccount, NetlogonVerifier, SecureChannel
from openchange_py.auth.schannel import SchannelInitiator, netlogon_credential, session_key
from openchange_py.auth.spnego import SpnegoAcceptor, SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, SecurityContext, SecurityError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.kerberos import delegated_credential, ticket_of
from openchange_py.wire.netlogon import (
    CLIENT_FLAGS,
    NETLOGON,
    SEALED,
    SIGNATURE_SIZE,
    SIGNED,
    NetrLogonSamLogonExRequest,
    NetrLogonSamLogonExResponse,
    NetrServerAuthenticate3Request,
    NetrServerAuthenticate3Response,
    NetrServerReqChallengeRequest,
    NetrServerReqChallengeResponse,
)
from openchange_py.wire.spnego import unframed_ap_req
from tests.auth.kerberos_parties import REALM, SERVICE, Realm
from tests.auth.ntlm_parties import PEER, Accounts
from tests.fuzz.fuzz_mapi import _stub_seeds, _stubs
from tests.fuzz.target import target

# Kerberos


class _People(Accounts):
    """The accounts of the NTLM tests, none with a userPrincipalName."""

    def by_account(self, account: str) -> Entry | None:
        return None


@functools.cache
def _realm() -> tuple[Realm, str]:
    """A realm of this process, and alice's ticket for its service."""
    place = tempfile.TemporaryDirectory(prefix="ocpy-fuzz-")
    atexit.register(place.cleanup)
    realm = Realm(Path(place.name))
    return realm, realm.ticket("alice")


@contextlib.contextmanager
def _in_realm() -> Iterator[None]:
    """The library finds the realm's configuration; whatever else runs in this process does not."""
    directory = _realm()[0].directory
    own = {"KRB5_CONFIG": str(directory / "krb5.conf"), "KRB5RCACHEDIR": str(directory)}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _kerberos_server() -> KerberosAcceptor:
    return KerberosAcceptor(Keytab(_realm()[0].keytab), _People(), REALM, "EXAMPLE", PEER)


def _kerberos_client() -> KerberosInitiator:
    return KerberosInitiator(KerberosCredential(ccache=_realm()[1]), SERVICE)


@functools.cache
def _established() -> tuple[KerberosInitiator, KerberosAcceptor]:
    """Both sides after their three legs. What is refused leaves them as they were."""
    client, server = _kerberos_client(), _kerberos_server()
    server.step(client.step(server.step(client.step(b""))))
    return client, server


def _kerberos_tokens() -> list[bytes]:
    """Three legs, an AP-REQ as impacket frames it and one in SPNEGO, and a message's signatures."""
    with _in_realm():
        client, server = _kerberos_client(), _kerberos_server()
        first = client.step(b"")
        second = server.step(first)
        body = bytes.fromhex("06092a864886f712010202") + b"\1\0" + first
        framed = b"\x60\x82" + len(body).to_bytes(2, "big") + body
        wrapped = SpnegoInitiator(_kerberos_client()).step(b"")
        sender, _ = _established()
        sealed, signature = sender.seal(b"before", b"secret", b"after")
        checksum = bytes.fromhex("10000000") + bytes(16) + bytes.fromhex("0100000001000400") + b"CRED"
        messages = [sender.sign(b"text"), signature + sealed, checksum]
        return [first, second, client.step(second), framed, wrapped, *messages]


def _offered(context: SecurityContext, data: bytes) -> None:
    with contextlib.suppress(SecurityError):
        context.step(data)


@target("kerberos", _kerberos_tokens, longest=4096)
def fuzz_kerberos(data: bytes) -> None:
    """Kerberos tokens to both sides at each step, bare and in SPNEGO; sealed messages; what delegation reads."""
    framed = unframed_ap_req(data)
    assert framed is None or data.endswith(framed)
    for read in (ticket_of, delegated_credential):
        with contextlib.suppress(DecodeError):
            found = read(data)
            assert found is None or len(found) <= len(data) + 8
    with _in_realm():
        with contextlib.suppress(SecurityError):
            read_ap_req(_realm()[0].keytab, data)
        _offered(_kerberos_server(), data)
        _offered(SpnegoAcceptor([_kerberos_server()]), data)
        server, client = _kerberos_server(), _kerberos_client()
        server.step(client.step(b""))
        _offered(server, data)
        assert server.identity is None, "nobody but the client has the key that the third leg proves"
        _offered(client, data)
        _protected(*_established(), data)
        _kerberos_server()._look_up(data.decode("utf-8", "replace"))


def _protected(client: SecurityContext, server: SecurityContext, data: bytes) -> None:
    """A message that was not sealed or signed by the other side is refused."""
    for context in (client, server):
        for size in (context.signature_size(AuthLevel.INTEGRITY), context.signature_size(AuthLevel.PRIVACY)):
            with contextlib.suppress(SecurityError):
                context.verify(data[size:], data[:size])
            with contextlib.suppress(SecurityError):
                context.unseal(b"before", data[size:], b"after", data[:size])


# Netlogon

_MACHINE = MachineAccount("EXCH1$", "machine secret", "EXAMPLE")
_CHALLENGE = bytes(range(8))
_KEY = session_key(_MACHINE.password, bytes(8), _CHALLENGE)
_LOGON = NetrLogonSamLogonExRequest(None, "EXCH1", "EXAMPLE", 0x820, "alice", "PC", _CHALLENGE, b"proof", b"")
#: What a controller says that lets alice in, one call after the other.
_ANSWERS = (
    NetrServerReqChallengeResponse(_CHALLENGE, 0).pack(),
    NetrServerAuthenticate3Response(netlogon_credential(_CHALLENGE, _KEY), CLIENT_FLAGS, 1105, 0).pack(),
    NetrLogonSamLogonExResponse("alice", "EXAMPLE", 0x20, bytes(range(16)), 0).pack(),
)


class _Controller:
    """Answers with what it was given, one piece for each call; says nothing more when there is no more."""

    connected = True

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers

    async def __call__(self, host: str, context: SecurityContext | None, level: AuthLevel) -> _Controller:
        return self

    async def call(self, opnum: int, stub: bytes) -> bytes:
        if not self._answers:
            raise ConnectionResetError("closed")
        return self._answers.pop(0)

    async def close(self) -> None:
        return None


def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nobody."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def _pieces(data: bytes) -> list[bytes]:
    """Bytes behind their length, 16 bits."""
    found = []
    while len(data) >= 2:
        end = 2 + int.from_bytes(data[:2], "little")
        found.append(data[2:end])
        data = data[end:]
    return found


def _answer_seeds() -> list[bytes]:
    def joined(*answers: bytes) -> bytes:
        return b"".join(len(answer).to_bytes(2, "little") + answer for answer in answers)

    refused = NetrLogonSamLogonExResponse("", "", 0, b"", 0xC000006A).pack()
    return [joined(*_ANSWERS), joined(*_ANSWERS[:2], refused), joined(*_ANSWERS[:1])]


@target("controller", _answer_seeds, longest=2048)
def fuzz_controller(data: bytes) -> None:
    """A domain controller's answers, each behind its length: a channel and a logon, or the reason why not."""
    channel = SecureChannel(["dc"], _MACHINE, _Controller(_pieces(data)), random=bytes)
    verifier = NetlogonVerifier(channel, _People(), FailureTracker(), None)  # type: ignore[arg-type]
    try:
        answer = _finished(channel.logon(_LOGON))
    except ChannelFailed:
        return
    refusal, account = verifier._account(answer)
    assert account is None or (not refusal and len(answer.user_session_key) == 16)


def _netlogon_seeds() -> list[bytes]:
    requests = (
        NetrServerReqChallengeRequest("\\\\dc", "EXCH1", _CHALLENGE),
        NetrServerAuthenticate3Request(None, "EXCH1$", 2, "EXCH1", _CHALLENGE, CLIENT_FLAGS),
        _LOGON,
    )
    stubs = zip((4, 26, 39), requests, _ANSWERS, strict=True)
    found = [
        seed for opnum, asked, said in stubs for seed in (bytes([opnum]) + asked.pack(), bytes([opnum | 0x80]) + said)
    ]
    return [*found, *_stub_seeds(NETLOGON)]


@target("netlogon", _netlogon_seeds, longest=2048)
def fuzz_netlogon(data: bytes) -> None:
    """Netlogon's stubs, requests and responses: the first byte is the opnum."""
    _stubs(NETLOGON, data)


def _schannel_seeds() -> list[bytes]:
    return [b"\1" + bytes(11), *(algorithms.ljust(SIGNATURE_SIZE, b"\0") + b"text" for algorithms in (SEALED, SIGNED))]


@target("schannel", _schannel_seeds, longest=1024)
def fuzz_schannel(data: bytes) -> None:
    """Netlogon's tokens at each step, and messages that the controller is said to have sealed or signed."""
    context = SchannelInitiator(_KEY, "EXAMPLE", "EXCH1", random=bytes)
    _offered(context, data)
    context = SchannelInitiator(_KEY, "EXAMPLE", "EXCH1", random=bytes)
    context.step(b"")
    _offered(context, data)
    context = SchannelInitiator(_KEY, "EXAMPLE", "EXCH1", random=bytes)
    context.step(b"")
    context.step(b"\1" + bytes(11))
    signature, body = data[:SIGNATURE_SIZE], data[SIGNATURE_SIZE:]
    for check in (context.verify, lambda message, given: context.unseal(b"", message, b"", given)):
        try:
            check(body, signature)
        except SecurityError:
            continue
        raise AssertionError("a signature that nobody made")
