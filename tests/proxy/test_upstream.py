"""Upstream connections with NTLM over real sockets, and the relay on top of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openchange_py.auth.spnego import Mechanism
from openchange_py.config.routes import Credentials
from openchange_py.proxy import upstream
from openchange_py.proxy.authorize import Authorizer
from openchange_py.proxy.credentials import SpecifiedAccount
from openchange_py.proxy.relay import Relay
from openchange_py.proxy.upstream import TcpConnector, find_port
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import AuthLevel, AuthType, SecurityContext, SecurityError
from openchange_py.transports.tcp import ConnectionLost, TcpServer
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Request
from openchange_py.wire.oxnspi import NSPI
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.proxy.emsmdb_calls import HANDLE, connect, connected, rops, rpc, rpc_answer
from tests.proxy.parties import ALICE, ALICE_DN, people, status_of

ACCOUNTS = authenticator()
CREDENTIALS = Credentials("alice", "EXAMPLE", PASSWORD)


class Exchange:
    """The upstream's call handler: answers, and remembers who called in which session."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.ended: list[Session] = []
        #: What the connections authenticated with.
        self.mechanisms: list[AuthType] = []

    def acceptor(self, auth_type: AuthType, peer: str, logon: object = None) -> SecurityContext | None:
        self.mechanisms.append(auth_type)
        return ACCOUNTS.acceptor(auth_type, peer)

    def interfaces(self) -> list[RpcInterface]:
        return [EMSMDB, RFR]

    async def handle(self, call: Call) -> bytes:
        self.calls.append(call)
        if call.interface is RFR:
            raise RpcFault(0x00001234)
        return connected() if call.opnum == 10 else rpc_answer(rops())

    async def unbind(self, session: Session) -> None:
        self.ended.append(session)


async def no_mapper(binding: Binding, interface: RpcInterface, seconds: float) -> int:
    raise AssertionError("the binding has a port")


def with_exchange(work: Callable[[Exchange, int], Awaitable[None]]) -> None:
    """Run `work` beside a listening server."""

    async def run() -> None:
        exchange = Exchange()
        server = TcpServer(exchange, exchange)
        _, port = await server.start("127.0.0.1")
        try:
            await work(exchange, port)
        finally:
            await server.stop()

    asyncio.run(run())


def connector(port: int, flags: str = "", credentials: Credentials = CREDENTIALS, **options: Any) -> TcpConnector:
    binding = Binding.parse(f"ncacn_ip_tcp:127.0.0.1[{port}{flags}]")
    return TcpConnector(binding, SpecifiedAccount(credentials), no_mapper, **options)


def needed(interface: RpcInterface) -> Call:
    """A call that needs a connection."""
    return Call(interface, 0, b"", Session("test", "client"), ALICE)


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("", "PRIVACY"),
        (",sign,ntlm", "INTEGRITY"),
        (",packet", "PACKET"),
        (",connect", "CONNECT"),
        (",seal,spnego", "PRIVACY"),
        (",sign,spnego,ntlm", "INTEGRITY"),
    ],
)
def test_calls_carry_the_specified_credentials_at_the_bindings_level(flags: str, level: str) -> None:
    async def work(exchange: Exchange, port: int) -> None:
        client = await connector(port, flags)(needed(EMSMDB), 0)
        assert await client.call(11, b"stub") == rpc_answer(rops())
        assert client.upstream == f"ncacn_ip_tcp:127.0.0.1[{port}{flags}]"
        assert client.server_names == ("EXCH1", "exch1.example.test", "127.0.0.1")
        await client.close()
        assert exchange.mechanisms == [AuthType.SPNEGO if "spnego" in flags else AuthType.NTLMSSP]
        [call] = exchange.calls
        assert (call.stub, call.caller.account, call.caller.level.name) == (b"stub", "alice", level)

    with_exchange(work)


@pytest.mark.parametrize("flags", ["ndr64", "bigendian", "bigendian,sign,spnego", "validate,padcheck"])
def test_other_representations_are_spoken_on_the_wire_alone(flags: str) -> None:
    async def work(exchange: Exchange, port: int) -> None:
        client = await connector(port, f",{flags}")(needed(EMSMDB), 0)
        request = EcDoRpcExt2Request(HANDLE, 0, b"some ROPs" * 10_000, 0x8000).pack()  # is made anew in a thread
        assert await client.call(11, request) == rpc_answer(rops())
        with pytest.raises(RpcFault, match="bad stub data"):
            await client.call(11, b"stub")
        await client.close()
        assert [call.stub for call in exchange.calls] == [request]

    with_exchange(work)


def test_localaddress_is_where_connections_come_from() -> None:
    async def work(exchange: Exchange, port: int) -> None:
        client = await connector(port, ",localaddress=127.0.0.5")(needed(EMSMDB), 0)
        await client.call(11, b"stub")
        await client.close()
        assert exchange.calls[0].session.peer.startswith("127.0.0.5:")

    with_exchange(work)


def test_the_service_principal_is_the_interfaces_unless_the_binding_tells_another() -> None:
    targets: list[str] = []

    class Asked(SpecifiedAccount):
        async def context(
            self, call: Call, target: str, level: AuthLevel, mechanism: AuthType | None = None
        ) -> Mechanism:
            targets.append(target)
            raise SecurityError("no ticket")

    async def connect(options: str, interface: RpcInterface) -> None:
        binding = Binding.parse(f"ncacn_ip_tcp:192.0.2.1[1024{options}]")
        with pytest.raises(ConnectionLost, match=r"no credentials for EXAMPLE\\alice: no ticket"):
            await TcpConnector(binding, Asked(CREDENTIALS), no_mapper)(needed(interface), 0)

    asyncio.run(connect(",target_hostname=exch1.example.test", EMSMDB))
    asyncio.run(connect("", RFR))
    asyncio.run(connect(",target_principal=host/exch1", NSPI))
    assert targets == ["exchangeMDB/exch1.example.test", "exchangeRFR/192.0.2.1", "host/exch1"]


def test_a_sessions_mailbox_calls_are_one_association_upstream_and_end_with_it() -> None:
    async def work(exchange: Exchange, port: int) -> None:
        relay, session = Relay(connector(port), Authorizer(people())), Session("test", "client")
        connecting = connect(session, ALICE, ALICE_DN)
        await relay.call(connecting)
        assert connecting.reply == connected()
        await relay.call(rpc(session, ALICE, rops()))
        with pytest.raises(RpcFault) as caught:
            await relay.call(Call(RFR, 0, bytes(16), session, ALICE))
        assert status_of(caught) == 0x00001234
        connecting, working, referral = exchange.calls
        assert connecting.session is working.session is not referral.session
        await relay.end_session(session)
        async with asyncio.timeout(10):
            while len(exchange.ended) < 2:  # noqa: ASYNC110  the server tells nobody
                await asyncio.sleep(0)

    with_exchange(work)


def test_a_wrong_password_is_no_fault_of_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async def work(exchange: Exchange, port: int) -> None:
        relay = Relay(connector(port, "", Credentials("alice", "EXAMPLE", "wrong")), Authorizer(people()))
        with pytest.raises(RpcFault) as caught:
            await relay.call(connect(Session("test", "client"), ALICE, ALICE_DN))
        assert status_of(caught) == FaultStatus.SERVER_UNAVAILABLE
        assert exchange.calls == []

    with_exchange(work)
    assert "the upstream refuses the relay's account" in caplog.text


def test_the_endpoint_mapper_is_asked_once_until_nothing_answers_there() -> None:
    async def work(exchange: Exchange, port: int) -> None:
        asked: list[str] = []
        ports = [port]

        async def mapper(binding: Binding, interface: RpcInterface, seconds: float) -> int:
            asked.append(f"{binding.host} {interface.name}")
            return ports[0]

        connecting = TcpConnector(Binding.parse("ncacn_ip_tcp:127.0.0.1"), SpecifiedAccount(CREDENTIALS), mapper)
        for _ in range(2):
            await (await connecting(needed(EMSMDB), 0)).close()
        assert asked == ["127.0.0.1 exchange_emsmdb"]
        await (await connecting(needed(RFR), 0)).close()
        # It moved: the same call finds it.
        connecting._ports[EMSMDB.name] = 1
        await (await connecting(needed(EMSMDB), 0)).close()
        assert asked.count("127.0.0.1 exchange_emsmdb") == 2
        # It is gone, and its endpoint mapper does not know it yet.
        connecting._ports[EMSMDB.name] = ports[0] = 1
        with pytest.raises(ConnectionLost):
            await connecting(needed(EMSMDB), 0)
        assert asked.count("127.0.0.1 exchange_emsmdb") == 3

    with_exchange(work)


def test_the_endpoint_mapper_is_found_at_its_well_known_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def ept_map(host: str, port: int, interface: RpcInterface, **options: object) -> int:
        asked.extend((host, port, interface, options))
        return 1025

    monkeypatch.setattr(upstream, "ept_map", ept_map)
    assert asyncio.run(find_port(Binding.parse("ncacn_ip_tcp:exchange[localaddress=192.0.2.7]"), EMSMDB, 5.0)) == 1025
    assert asked == ["exchange", 135, EMSMDB, {"connect_timeout": 5.0, "local_address": "192.0.2.7"}]
