"""The proxy between real sockets: every combination of local and relayed interfaces, and nothing changed on the way.

Other parts of it have files of their own beside this one: test_proxy_*.py, test_delegation.py, test_downgrade.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator, ServerNames
from openchange_py.cli.node import Node
from openchange_py.client.connection import Account, Connector, Server
from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.nspi import NspiClient
from openchange_py.client.rfr import RfrClient
from openchange_py.config import load
from openchange_py.proxy.loading import plugin_options
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import NULL_HANDLE, RpcInterface
from openchange_py.wire.oxabref import RFR, RfrGetNewDSARequest
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB, EcDoDisconnectResponse, EcDoRpcExt2Response
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rpcheaderext import pack_payload
from tests.conftest import SHARED
from tests.node import password_of, provision
from tests.proxy.emsmdb_calls import HANDLE, connect, connected, rpc
from tests.proxy.parties import ALICE
from tests.proxy.recordings import Recorded, recorded_calls

_CONF = """\
[global]
    netbios name = {name}
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    ocpy:data directory = {place}
    ocpy:fqdn = {name}.example.test
    ocpy:endpoint mapper port = 0
    ocpy:minimum auth level = connect
"""
_RELAYING = """\
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{port},connect]
    dcerpc_mapiproxy:delegated_auth = yes
    dcerpc_mapiproxy:replace names = no
"""
LOCAL_SERVERS = ("nspi", "emsmdb", "rfr")


def set_up(place: Path, side: str) -> None:
    """Directory and mailboxes in which alice has another name than on the other side."""
    place.mkdir()
    directory, store = provision(place, {})
    alice = directory.by_account("alice")
    assert alice is not None
    directory.modify(alice, {"displayName": [f"Alice {side}"]})
    directory.close()
    store.close()


@contextlib.asynccontextmanager
async def node(place: Path, name: str, options: str) -> AsyncIterator[Node]:
    config = place / f"{name}.conf"
    config.write_text(_CONF.format(name=name, place=place) + options, "utf-8")
    running = Node(load(config, plugin_options(config)))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def sides(running: Node) -> dict[str, str]:
    """Which side answers each interface, by the names that come back."""
    host, port = running.rpc[0]
    ports = {interface.name: port for interface in (NSPI, RFR, EMSMDB)}
    connector = Connector(Server(host, 0, ports), Account("alice", "EXAMPLE", password_of("alice")))
    async with contextlib.AsyncExitStack() as stack:

        async def channel(interface: RpcInterface) -> Any:
            opened = await connector.connect(interface)
            stack.push_async_callback(opened.close)
            return opened

        nspi = NspiClient(await channel(NSPI))
        await nspi.bind()
        alice = await nspi.resolve("alice")
        await nspi.unbind()
        session = EmsmdbClient(await channel(EMSMDB))
        mailbox = await session.connect(str(alice[p.PidTagEmailAddress]))
        await session.disconnect()
        referred = await RfrClient(await channel(RFR)).new_dsa()
    return {
        "nspi": str(alice[p.PidTagDisplayName]).removeprefix("Alice "),
        "emsmdb": (mailbox.display_name or b"").decode().removeprefix("Alice "),
        "rfr": referred.partition(".")[0],
    }


def test_each_interface_is_answered_from_the_side_that_the_configuration_names() -> None:
    """All eight combinations of local and relayed interfaces, each with `server` true and false."""

    async def work(place: Path) -> None:
        set_up(place / "far", "far")
        set_up(place / "near", "near")
        async with node(place / "far", "far", "    dcerpc_mapiproxy:server = yes\n") as far:
            relaying = _RELAYING.format(port=far.rpc[0][1])
            for answered, server in itertools.product(subsets(LOCAL_SERVERS), ("yes", "no")):
                chosen = "".join(f"    dcerpc_mapiproxy:{name}_server = {name}\n" for name in answered)
                options = relaying + chosen + f"    dcerpc_mapiproxy:server = {server}\n"
                async with node(place / "near", "near", options) as near:
                    found = await sides(near)
                local = LOCAL_SERVERS if server == "yes" else answered
                expected = {name: "near" if name in local else "far" for name in LOCAL_SERVERS}
                assert found == expected, f"server = {server}, local: {answered}"

    with tempfile.TemporaryDirectory(prefix="ocpy-proxy-") as place:
        run(work(Path(place)))


def subsets(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    found = tuple(names)
    return itertools.chain.from_iterable(itertools.combinations(found, size) for size in range(len(found) + 1))


class Canned:
    """The upstream: answers what the test says next, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: bytes | RpcFault = b""
        self.stubs: list[bytes] = []

    def interfaces(self) -> list[RpcInterface]:
        return [EMSMDB, ASYNCEMSMDB, NSPI, RFR]

    async def handle(self, call: Call) -> bytes:
        self.stubs.append(call.stub)
        if isinstance(self.answer, RpcFault):
            raise self.answer
        return self.answer

    async def unbind(self, session: Session) -> None:
        return


class Ways:
    """One client on two ways to the upstream: direct, and through the proxy."""

    def __init__(self, upstream: Canned, direct: int, proxy: int) -> None:
        self._upstream = upstream
        self._ports = (direct, proxy)
        self._clients: dict[tuple[int, str], RpcClient] = {}
        self._groups = [0, 0]

    async def send(self, interface: RpcInterface, opnum: int, stub: bytes, answer: bytes | RpcFault) -> None:
        """The same call on both ways; what arrives and what comes back is the same, byte for byte."""
        self._upstream.answer = answer
        results, arrived = [], []
        for way in (0, 1):
            client = await self._client(way, interface)
            before = len(self._upstream.stubs)
            try:
                results.append(await client.call(opnum, stub))
            except RpcFault as fault:
                results.append(fault.status)
            arrived.append(self._upstream.stubs[before:])
        what = f"{interface.name} {interface.method_name(opnum)} {stub[:60].hex()}"
        assert results[0] == results[1] == (answer.status if isinstance(answer, RpcFault) else answer), what
        assert arrived == [[stub], [stub]], what

    async def _client(self, way: int, interface: RpcInterface) -> RpcClient:
        client = self._clients.get((way, interface.name))
        if client is None:
            credential = NtlmCredential.from_password("alice", "EXAMPLE", password_of("alice"))
            client = self._clients[way, interface.name] = await RpcClient.connect(
                "127.0.0.1",
                self._ports[way],
                interface,
                context=NtlmInitiator(credential, level=AuthLevel.CONNECT),
                level=AuthLevel.CONNECT,
                assoc_group=self._groups[way],
            )
            self._groups[way] = client.assoc_group
        return client

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


@contextlib.asynccontextmanager
async def both_ways(place: Path, options: str) -> AsyncIterator[Ways]:
    directory, store = provision(place, {})
    upstream = Canned()
    names = ServerNames("FAR", "far.example.test", "EXAMPLE")
    server = TcpServer(upstream, LocalAuthenticator(directory, names))
    _, port = await server.start("127.0.0.1", 0)
    try:
        async with node(place, "near", _RELAYING.format(port=port) + options) as near:
            ways = Ways(upstream, port, near.rpc[0][1])
            yield ways
            await ways.close()
    finally:
        await server.stop()
        store.close()
        directory.close()


#: What looks at every call, decodes it, and must leave no trace in it.
LOOKING = {
    "nothing": "",
    "dummy": "    dcerpc_mapiproxy:modules = dummy\n",
    "print": "    dcerpc_mapiproxy:modules = print\n    mpm_print:file = /dev/null\n",
    "stats": "    dcerpc_mapiproxy:modules = stats\n",
    "all": "    dcerpc_mapiproxy:modules = stats, print, dummy\n    mpm_print:file = /dev/null\n",
}

RECORDINGS = sorted(path.name for path in (SHARED / "wire").glob("calls-*tcp*")) or ["calls-absent.jsonl"]


def corpus(names: Iterable[str]) -> Iterator[tuple[str, Recorded]]:
    for name in names:
        for recorded in recorded_calls(name):
            if recorded.reply is not None:
                yield name, recorded


#: What a client does in a session and with attachments, for those that look at everything.
FEW = ("calls-session-tcp-connect-2010.jsonl", "calls-attachments-tcp-connect-2007.jsonl.gz")


@pytest.mark.parametrize("looking", LOOKING)
def test_recorded_calls_get_the_same_answers_through_the_proxy(looking: str, tmp_path: Path) -> None:
    """Every recorded call of real clients with the answer of a real server, direct and through the proxy."""

    async def work() -> None:
        sent = 0
        names = RECORDINGS if looking == "nothing" else FEW
        for _, calls in itertools.groupby(corpus(names), lambda item: item[0]):
            place = tmp_path / str(sent)
            place.mkdir()
            async with both_ways(place, LOOKING[looking]) as ways:
                for _, call in calls:
                    await ways.send(call.interface, call.opnum, call.stub, call.reply or b"")
                    sent += 1
        assert sent > (2000 if looking == "nothing" else 300)

    run(work())


def known_and_unknown_rops() -> Iterator[tuple[bytes, bytes]]:
    """Requests and answers of every RopId there can be: whole, failed, cut off, and beside others."""
    for rop_id in range(256):
        request = bytes([rop_id, 0, 0]) + bytes(range(1, 60))
        success = bytes([rop_id, 0, 0, 0, 0, 0]) + bytes(range(1, 60))
        failure = bytes([rop_id, 0]) + (0x80040102).to_bytes(4, "little")
        for answer in (success, failure, bytes([rop_id]), b""):
            yield RopBuffer([], [7, 8], request).pack(), RopBuffer([], [7, 8], answer).pack()
    yield b"\2\0", b"\2\0"
    yield b"", b""
    yield b"\xff\xff\1\2\3", b"\xff\xff\1\2\3"


@pytest.mark.parametrize("looking", LOOKING)
def test_every_rop_there_can_be_passes_unchanged(looking: str, tmp_path: Path) -> None:
    session = Session("test", "client")

    async def work() -> None:
        async with both_ways(tmp_path, LOOKING[looking]) as ways:
            opening = connect(session, ALICE, "/o=Example/ou=First/cn=Recipients/cn=alice")
            await ways.send(EMSMDB, 10, opening.stub, connected())
            for request, answer in known_and_unknown_rops():
                rgb_out = pack_payload(answer, xor=True)
                reply = EcDoRpcExt2Response(HANDLE, 0, rgb_out, b"", 3, 0).pack()
                await ways.send(EMSMDB, 11, rpc(session, ALICE, request).stub, reply)

    run(work())


@pytest.mark.parametrize("looking", LOOKING)
def test_calls_without_a_codec_bad_ones_and_faults_pass_unchanged(looking: str, tmp_path: Path) -> None:
    session = Session("test", "client")
    referral = RfrGetNewDSARequest(0, b"", None, None).pack()

    async def work() -> None:
        async with both_ways(tmp_path, LOOKING[looking]) as ways:
            opening = connect(session, ALICE, "/o=Example/ou=First/cn=Recipients/cn=alice")
            await ways.send(EMSMDB, 10, opening.stub, connected())
            handle = HANDLE.attributes.to_bytes(4, "little") + HANDLE.uuid.bytes_le
            for opnum in (3, 5, 9):  # no codec
                await ways.send(EMSMDB, opnum, handle + b"anything else", handle + b"\1\2\3\4")
            for opnum in (12, 13, 77):
                await ways.send(EMSMDB, opnum, b"anything", b"something")
            await ways.send(RFR, 9, b"", b"")
            for status in (0x5, 0x6F7, 0x1C010003, 0x1C00001A, 0xDEADBEEF):
                await ways.send(EMSMDB, 11, rpc(session, ALICE, b"\2\0").stub, RpcFault(status))
                await ways.send(RFR, 0, referral, RpcFault(status))
            for size in (0, 1, 300, 40_000):  # answers that don't decode
                await ways.send(RFR, 0, referral, bytes(size))
                await ways.send(EMSMDB, 6, b"", b"\xff" * size)
            await ways.send(EMSMDB, 11, rpc(session, ALICE, b"\2\0").stub, handle + b"\xff" * 9)
            await ways.send(EMSMDB, 1, handle, EcDoDisconnectResponse(NULL_HANDLE, 0).pack())

    run(work())


def test_requests_that_don_t_decode_pass_where_nobody_looks(tmp_path: Path) -> None:
    """A module that has requests decoded answers these itself, so that nothing gets past one that checks them."""

    async def work() -> None:
        async with both_ways(tmp_path, "") as ways:
            for size in (0, 1, 16, 40_000):
                await ways.send(RFR, 0, b"\xff" * size, b"answer")
                await ways.send(EMSMDB, 10, b"\xff" * size, RpcFault(0x6F7))

    run(work())
