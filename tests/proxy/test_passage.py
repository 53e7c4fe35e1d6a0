"""NTLM logons that pass to the upstream, over real sockets. Between processes: tests/interop/test_delegation.py."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.failures import FailureTracker
from openchange_py.auth.ntlm import NtlmAcceptor, NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism, SpnegoInitiator
from openchange_py.proxy.delegated import UpstreamAuthorizes
from openchange_py.proxy.passage import MAXIMUM_PENDING_PER_ADDRESS, Passages, PassingAcceptor
from openchange_py.proxy.pool import UpstreamPool
from openchange_py.proxy.relay import Relay
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import AuthLevel, Authority, AuthType, Logon, SecurityError
from openchange_py.transports.tcp import RpcClient, TcpServer
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.ntlm import AuthenticateMessage, NegotiateFlags
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.spnego import KERBEROS_OID, NTLMSSP_OID, NegTokenInit, NegTokenResp, pack_mech_types
from tests.auth.ntlm_parties import NAMES, PASSWORD, PEER, authenticator
from tests.proxy.parties import NUMBERS, Number, number_call
from tests.proxy.test_upstream import connector

PATIENCE = 30.0


class Nobody:
    """A directory without accounts."""

    def account(self, name: str) -> None:
        return None


class Upstream:
    """Doubles numbers; remembers who called."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def interfaces(self) -> list[RpcInterface]:
        return [NUMBERS, RFR]

    async def handle(self, call: Call) -> bytes:
        if call.opnum:
            raise RpcFault(FaultStatus.OP_RANGE_ERROR)
        self.calls.append(call)
        return Number(2 * Number.unpack(call.stub).value).pack()

    async def unbind(self, session: Session) -> None:
        pass


class Proxy:
    """Relays to it, and passes logons."""

    def __init__(self, port: int, timeout: float = PATIENCE) -> None:
        self.failures = FailureTracker()
        there = connector(port, timeout=timeout)
        self.passages = Passages(there.open, {NUMBERS.syntax: NUMBERS}, self.failures)
        self.authenticator = LocalAuthenticator(Nobody(), NAMES, failures=self.failures)
        self.authenticator.passing = self.passages.acceptor
        self.relay = Relay(UpstreamPool([there]), UpstreamAuthorizes())
        self.calls: list[Call] = []

    def interfaces(self) -> list[RpcInterface]:
        return [NUMBERS, RFR]

    async def handle(self, call: Call) -> bytes:
        self.calls.append(call)
        await self.relay.call(call)
        return call.reply_bytes()

    async def unbind(self, session: Session) -> None:
        await self.relay.end_session(session)


Work = Callable[[Upstream, Proxy, int], Awaitable[None]]


def between(work: Work, **options: Any) -> None:
    """Run `work` with an upstream, a proxy and the proxy's port."""

    async def run() -> None:
        upstream = Upstream()
        server = TcpServer(upstream, authenticator())
        _, port = await server.start("127.0.0.1")
        proxy = Proxy(port, **options)
        front = TcpServer(proxy, proxy.authenticator)
        _, front_port = await front.start("127.0.0.1")
        try:
            await work(upstream, proxy, front_port)
        finally:
            await front.stop()
            await server.stop()

    asyncio.run(run())


def initiator(name: str = "alice", password: str = PASSWORD, level: AuthLevel = AuthLevel.CONNECT) -> NtlmInitiator:
    return NtlmInitiator(NtlmCredential.from_password(name, "EXAMPLE", password), level=level)


async def dial(port: int, context: Mechanism, level: AuthLevel = AuthLevel.CONNECT, group: int = 0) -> RpcClient:
    return await RpcClient.connect("127.0.0.1", port, NUMBERS, context=context, level=level, assoc_group=group)


async def log_on_and_call(port: int, context: Mechanism) -> None:
    """A server tells of bare NTLM's failure with the first call, of SPNEGO's at once."""
    client = await dial(port, context)
    await client.call(0, bytes(4))


@pytest.mark.parametrize("spnego", [False, True], ids=["bare", "spnego"])
def test_a_logon_that_passes(spnego: bool) -> None:
    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        client = await dial(port, SpnegoInitiator(initiator()) if spnego else initiator())
        assert Number.unpack(await client.call(0, Number(21).pack())).value == 42
        [here], [there] = proxy.calls, upstream.calls
        for caller in (here.caller, there.caller):
            assert (str(caller), caller.level) == ("EXAMPLE\\alice", AuthLevel.CONNECT)
        assert here.caller.authority is Authority.UPSTREAM
        assert Number.unpack(await client.call(0, bytes(4), interface=RFR)).value == 0
        assert len({call.session for call in upstream.calls}) == 1
        await client.close()

    between(work)


@pytest.mark.parametrize("spnego", [False, True], ids=["bare", "spnego"])
def test_wrong_passwords_are_slowed_down_before_the_upstream_sees_them(spnego: bool) -> None:
    """Or its account could be locked out from here as quickly as one types."""

    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        for _ in range(5):
            wrong = initiator(password="wrong")
            with pytest.raises((RpcFault, ConnectionLost)):
                await log_on_and_call(port, SpnegoInitiator(wrong) if spnego else wrong)
        assert proxy.failures.wait("alice", "127.0.0.1") > 0
        context = initiator()
        acceptor = proxy.authenticator.acceptor(AuthType.NTLMSSP, "127.0.0.1:1", logon())
        assert isinstance(acceptor, PassingAcceptor)
        proof = context.step(await acceptor.exchange(context.step(b"")))
        with pytest.raises(SecurityError, match="logon refused"):
            await acceptor.exchange(proof)
        assert upstream.calls == []

    between(work)


def logon(level: AuthLevel = AuthLevel.CONNECT, interface: RpcInterface = NUMBERS) -> Logon:
    return Logon(level, interface.syntax, lambda: 7)


def test_what_is_authenticated_here() -> None:
    passages = Proxy(1).passages
    for level in (AuthLevel.PACKET, AuthLevel.INTEGRITY, AuthLevel.PRIVACY):
        local = authenticator().acceptor(AuthType.NTLMSSP, PEER)
        assert local is not None
        assert passages.acceptor(local, PEER, logon(level)) is local
    local = authenticator().acceptor(AuthType.NTLMSSP, PEER)
    assert isinstance(local, NtlmAcceptor)
    assert passages.acceptor(local, PEER, logon(interface=RFR)) is local
    assert passages.acceptor(local, PEER, Logon(AuthLevel.CONNECT, None, lambda: 0)) is local


def test_kerberos_first_is_authenticated_here_with_what_follows() -> None:
    """The upstream could not read a ticket for us; NTLM is the client's reserve."""

    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        source, client = authenticator(), initiator()
        source.passing = proxy.passages.acceptor
        acceptor = source.acceptor(AuthType.SPNEGO, PEER, logon())
        assert isinstance(acceptor, PassingAcceptor)
        mech_types = pack_mech_types([KERBEROS_OID, NTLMSSP_OID])
        await acceptor.exchange(NegTokenInit(mech_types, b"a ticket").pack())
        inside = SpnegoInitiator(client)
        inside._mech_types, inside._started = mech_types, True
        challenge = await acceptor.exchange(NegTokenResp(response_token=client.step(b"")).pack())
        await acceptor.exchange(inside.step(challenge))
        assert acceptor.complete
        assert acceptor.identity is not None
        assert acceptor.identity.authority is Authority.DIRECTORY

    between(work)


def test_logons_that_wait_for_their_client_are_few() -> None:
    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        waiting = [PassingAcceptor(proxy.passages, local(), PEER, NUMBERS, int) for _ in range(9)]
        for acceptor in waiting[:MAXIMUM_PENDING_PER_ADDRESS]:
            await acceptor.exchange(initiator().step(b""))
        with pytest.raises(SecurityError, match=r"too many logons of 192\.0\.2\.7"):
            await waiting[-1].exchange(initiator().step(b""))
        other = PassingAcceptor(proxy.passages, local(), "192.0.2.8:1", NUMBERS, int)
        await other.exchange(initiator().step(b""))
        # Whoever comes back with nonsense makes room.
        for acceptor in (*waiting[:MAXIMUM_PENDING_PER_ADDRESS], other):
            with pytest.raises(SecurityError, match="malformed"):
                await acceptor.exchange(b"nonsense")
            assert acceptor._connecting is not None
            await asyncio.wait([acceptor._connecting])
        assert proxy.passages._pending == {}
        again = PassingAcceptor(proxy.passages, local(), PEER, NUMBERS, int)
        assert await again.exchange(initiator().step(b""))
        with pytest.raises(SecurityError):
            await again.exchange(b"")

    between(work)


def test_whoever_never_comes_back_is_forgotten() -> None:
    """With the time limit of the connection upstream."""

    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        acceptor = PassingAcceptor(proxy.passages, local(), PEER, NUMBERS, int)
        with contextlib.suppress(SecurityError):
            await acceptor.exchange(initiator().step(b""))
        assert acceptor._connecting is not None
        assert isinstance(await acceptor._connecting, ConnectionLost)
        assert proxy.passages._pending == {}

    between(work, timeout=0.05)


def local() -> NtlmAcceptor:
    context = authenticator().acceptor(AuthType.NTLMSSP, PEER)
    assert isinstance(context, NtlmAcceptor)
    return context


def test_an_upstream_that_is_not_there_is_no_wrong_password() -> None:
    async def check() -> None:
        proxy = Proxy(1)
        acceptor = PassingAcceptor(proxy.passages, local(), PEER, NUMBERS, int)
        with pytest.raises(SecurityError, match="logon refused"):
            await acceptor.exchange(initiator().step(b""))
        assert len(proxy.failures) == 0

    asyncio.run(check())


@pytest.mark.parametrize("name", ["", "a\\b", "a\nb"])
def test_a_name_that_is_none_does_not_pass(name: str) -> None:
    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        acceptor = PassingAcceptor(proxy.passages, local(), PEER, NUMBERS, int)
        await acceptor.exchange(initiator().step(b""))
        message = AuthenticateMessage(NegotiateFlags.UNICODE, "EXAMPLE", name, "", nt_challenge_response=bytes(24))
        with pytest.raises(SecurityError, match="no account's name"):
            await acceptor.exchange(message.pack())
        assert acceptor.identity is None

    between(work)


@pytest.mark.parametrize("garbage", [b"", b"NTLMSSP\0\3\0\0\0", b"\xa1\x03\x30\x01\x00", b"\xff" * 40])
def test_garbage_after_the_challenge(garbage: bytes) -> None:
    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        acceptor = PassingAcceptor(proxy.passages, local(), PEER, NUMBERS, int)
        await acceptor.exchange(initiator().step(b""))
        with pytest.raises(SecurityError):
            await acceptor.exchange(garbage)
        assert acceptor.identity is None

    between(work)


def test_a_context_without_keys_protects_nothing() -> None:
    context = PassingAcceptor(Proxy(1).passages, local(), PEER, NUMBERS, int)
    assert context.signature_size(AuthLevel.CONNECT) == 0
    with pytest.raises(SecurityError):
        context.signature_size(AuthLevel.INTEGRITY)
    for use in (
        lambda: context.sign(b""),
        lambda: context.verify(b"", b""),
        lambda: context.seal(b"", b"", b""),
        lambda: context.unseal(b"", b"", b"", b""),
    ):
        with pytest.raises(SecurityError, match="no keys"):
            use()


def test_the_upstream_connection_ends_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        used = await dial(port, initiator())
        await used.call(0, bytes(4))
        unused = await dial(port, initiator(), group=used.assoc_group)
        await unused.call(0, bytes(4))
        passed = [logon for logons in proxy.passages._open.values() for logon in logons]
        assert len(passed) == 2
        assert {logon.client.assoc_group for logon in passed} == {passed[0].client.assoc_group}
        await unused.close()
        assert await used.call(0, bytes(4))
        await used.close()
        await asyncio.gather(*(logon.client._gone.wait() for logon in passed))
        assert proxy.passages._open == {}

    between(work)


def test_a_caller_who_passed_has_no_other_connection() -> None:
    """Not even where the connection is gone: nobody else's takes its place."""

    async def work(upstream: Upstream, proxy: Proxy, port: int) -> None:
        client = await dial(port, initiator())
        await client.call(0, bytes(4))
        caller = proxy.calls[0].caller
        for logons in list(proxy.passages._open.values()):
            for passed in logons:
                await passed.client.close()
        with pytest.raises(RpcFault) as caught:
            await client.call(0, bytes(4))
        assert caught.value.status == FaultStatus.SERVER_UNAVAILABLE
        with pytest.raises(RpcFault) as caught:
            await proxy.relay.call(number_call(caller=dataclasses.replace(caller, delegated=None)))
        assert caught.value.status == FaultStatus.SEC_PKG_ERROR
        with contextlib.suppress(ConnectionLost):
            await client.close()

    between(work)
