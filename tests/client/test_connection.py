"""Connecting, and what is told where that fails."""

from __future__ import annotations

import asyncio
import socket

import pytest

from openchange_py.client.connection import Account, Channel, Connector, Server
from openchange_py.client.errors import ClientError, LogonRefused, Unreachable
from openchange_py.rpc.call import RpcFault
from openchange_py.rpc.security import AuthLevel
from openchange_py.wire.ndr import NULL_HANDLE, RpcInterface
from openchange_py.wire.oxcrpc import EMSMDB, EcDummyRpcRequest, EcDummyRpcResponse
from openchange_py.wire.oxnspi import NSPI, NspiUnbindRequest, NspiUnbindResponse
from tests.node import RunningNode

NOWHERE = RpcInterface("nowhere", "00000000-1111-2222-3333-444444444444", 1)


@pytest.mark.parametrize(
    ("text", "name", "domain"),
    [
        ("alice", "alice", ""),
        ("EXAMPLE\\alice", "alice", "EXAMPLE"),
        ("alice@example.test", "alice@example.test", ""),
        ("EXAMPLE\\alice@example.test", "alice@example.test", "EXAMPLE"),
    ],
)
def test_forms_of_an_account(text: str, name: str, domain: str) -> None:
    account = Account.parse(text, "secret")
    assert (account.name, account.domain) == (name, domain)
    assert "secret" not in repr(account)
    assert str(account) == text


def connect(connector: Connector, interface: RpcInterface = EMSMDB) -> None:
    async def work() -> None:
        channel = await connector.connect(interface)
        try:
            await channel.call(EcDummyRpcRequest(), EcDummyRpcResponse)
        finally:
            await channel.close()

    asyncio.run(work())


def test_ports_are_asked_for_or_known(node: RunningNode) -> None:
    connect(node.connector())
    known = Server(node.server.host, 1, {EMSMDB.name: node.rpc_port})
    connect(Connector(known, node.account("alice")))


@pytest.mark.parametrize("spnego", [False, True])
@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("account", [Account("bob", "EXAMPLE", "Secret-0"), Account("mallory", "", "Bob-1")])
def test_wrong_credentials(node: RunningNode, account: Account, level: AuthLevel, spnego: bool) -> None:
    with pytest.raises(LogonRefused, match="wrong name or password") as refused:
        connect(Connector(node.server, account, level=level, spnego=spnego))
    assert ("more protection" in str(refused.value)) is (level < AuthLevel.PRIVACY)
    assert account.password not in str(refused.value)


def test_nothing_listens_there() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but not listening: nobody else gets it
        port = bound.getsockname()[1]
        with pytest.raises(Unreachable, match=f"127.0.0.1 port {port}: nothing listens there .* endpoint mapper"):
            connect(Connector(Server("127.0.0.1", port), Account("alice", "", "x")))
        with pytest.raises(Unreachable, match="is that the port of exchange_emsmdb"):
            connect(Connector(Server("127.0.0.1", 1, {EMSMDB.name: port}), Account("alice", "", "x")))


def test_no_such_host() -> None:
    with pytest.raises(Unreachable, match="no host of that name"):
        connect(Connector(Server("no-such-host.invalid"), Account("alice", "", "x")))


def test_an_interface_that_is_not_offered(node: RunningNode) -> None:
    with pytest.raises(Unreachable, match="does not offer nowhere"):
        connect(node.connector(), NOWHERE)
    elsewhere = Server(node.server.host, 1, {NOWHERE.name: node.rpc_port})
    with pytest.raises(Unreachable, match="refuses nowhere"):
        connect(Connector(elsewhere, node.account("alice")), NOWHERE)


def test_a_server_that_says_nothing() -> None:
    async def work() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connector = Connector(Server("127.0.0.1", port), Account("alice", "", "x"), connect_timeout=0.2)
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
            await connector.connect(EMSMDB)
        server.close()

    asyncio.run(work())


def test_a_server_of_another_kind() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.test ESMTP\r\n")
        await writer.drain()

    async def work() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable):
            await Connector(Server("127.0.0.1", port), Account("alice", "", "x")).connect(EMSMDB)
        server.close()

    asyncio.run(work())


def test_faults_after_the_first_call_are_faults(node: RunningNode) -> None:
    """A context handle that is not one of the session's."""

    async def work() -> None:
        channel = await node.connector().connect(NSPI)
        with pytest.raises(RpcFault, match="0x1c00001a"):
            await channel.call(NspiUnbindRequest(NULL_HANDLE), NspiUnbindResponse)
        await channel.close()

    asyncio.run(work())


def test_a_call_may_be_bytes(node: RunningNode) -> None:
    async def work() -> None:
        channel = await node.connector().connect(NSPI)
        with pytest.raises(RpcFault, match="0x1c00001a"):
            await channel.exchange(1, NspiUnbindRequest(NULL_HANDLE).pack())
        await channel.close()

    asyncio.run(work())


def test_a_malformed_answer_is_an_error() -> None:
    class Garbage:
        peer = "garbage:0"

        async def call(self, opnum: int, stub: bytes) -> bytes:
            return b"\1\2\3"

    channel = Channel(Garbage(), EMSMDB, "")  # type: ignore[arg-type]
    with pytest.raises(ClientError, match="the answer to EcDummyRpc is malformed"):
        asyncio.run(channel.call(EcDummyRpcRequest(), EcDummyRpcResponse))
