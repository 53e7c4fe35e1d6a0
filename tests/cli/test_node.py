"""A node as a whole: what listens, what a start that fails leaves behind, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from openchange_py.cli.main import expected_errors
from openchange_py.cli.node import Node, limits
from openchange_py.cli.settings import load_settings
from openchange_py.client.connection import Account, Connector, Server
from openchange_py.client.endpoints import list_endpoints
from openchange_py.client.errors import Unreachable
from openchange_py.client.nspi import NspiClient
from openchange_py.client.rfr import RfrClient
from openchange_py.proxy import loading
from openchange_py.proxy.hooks import Module
from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.transports.tcp import TcpServer
from openchange_py.wire import proptags as p
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxnspi import NSPI
from tests.cli.commands import Installation
from tests.transports.office import office

#: Seconds for what takes a fraction of one.
PATIENCE = 30.0


def make(place: Path, extra: str = "", *users: str) -> Installation:
    """A provisioned installation whose smb.conf has these lines too."""
    return Installation.make(place, extra).provisioned(*users)


@contextlib.asynccontextmanager
async def running(installation: Installation) -> AsyncIterator[Node]:
    """A node of the installation."""
    node = Node(load_settings(installation.conf))
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, which must come to an end."""
    asyncio.run(asyncio.wait_for(test, PATIENCE))


def connector(node: Node, user: str = "alice", host: str = "127.0.0.1") -> Connector:
    """What connects as a user, asking the endpoint mapper at this address."""
    port = dict(node.endpoint_mapper)[host]
    return Connector(Server(host, port), Account(user, "EXAMPLE", f"{user}-secret"), call_timeout=PATIENCE)


def is_refused(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == errno.ECONNREFUSED


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """A port that nobody is given by chance, and that a server here may listen on."""
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield int(reservation.getsockname()[1])


def open_files(place: Path) -> list[str]:
    """The files below `place` that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(descriptor))
    return [name for name in found if name.startswith(str(place))]


def listening_sockets() -> int:
    """How many TCP sockets of this process listen."""
    inodes = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(1 for row in rows if row[3] == "0A" and row[9] in inodes)


def fails(installation: Installation) -> str:
    """Start a node, which must fail and leave nothing open; what the person reads."""
    before = listening_sockets()

    async def start() -> None:
        await Node(load_settings(installation.conf)).start()

    with pytest.raises(expected_errors()) as caught:
        run(start())
    assert listening_sockets() == before, "something listens still"
    assert open_files(installation.place) == []
    return str(caught.value)


def test_a_client_finds_every_interface_through_the_endpoint_mapper(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(make(tmp_path, "", "alice")) as node:
            rfr = await connector(node).connect(RFR)
            assert await RfrClient(rfr).new_dsa() == "exch1.example.test"
            await rfr.close()
            channel = await connector(node).connect(NSPI)
            nspi = NspiClient(channel)
            await nspi.bind()
            entry = await nspi.resolve("alice")
            assert entry.get(p.PidTagSmtpAddress) == "alice@example.test"
            await channel.close()

    run(check())


def test_it_tells_where_it_listens_and_who_answers(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(make(tmp_path)) as node:
            told = node.describe()
            assert told["rpc"] == {"host": "127.0.0.1", "port": node.rpc[0][1], "all": [["127.0.0.1", node.rpc[0][1]]]}
            assert told["endpoint_mapper"]["port"] not in (0, told["rpc"]["port"])
            assert told["interfaces"]["exchange_nsp"] == {"server": "nspi"}
            assert told["interfaces"]["exchange_emsmdb"] == {"server": "emsmdb"}

    run(check())


def test_all_addresses_have_the_same_port_though_it_was_free_to_choose(tmp_path: Path) -> None:
    """Or the endpoint mapper's answer would depend on whom one asks."""

    async def check() -> None:
        installation = make(tmp_path, "    interfaces = 127.0.0.1 127.0.0.2\n", "alice")
        async with running(installation) as node:
            assert [host for host, _ in node.rpc] == ["127.0.0.1", "127.0.0.2"]
            assert len({port for _, port in node.rpc}) == len({port for _, port in node.endpoint_mapper}) == 1
            for host in ("127.0.0.1", "127.0.0.2"):
                channel = await connector(node, host=host).connect(RFR)
                assert await RfrClient(channel).new_dsa() == "exch1.example.test"
                await channel.close()

    run(check())


@pytest.mark.parametrize("option", ["ocpy:rpc port", "ocpy:endpoint mapper port"])
def test_a_port_in_use_names_the_option_and_says_what_to_do(tmp_path: Path, option: str) -> None:
    with taken_port() as port:
        installation = make(tmp_path, f"    {option} = {port}\n")
        said = fails(installation)
    line = len(installation.conf.read_text("utf-8").splitlines())
    assert said == (
        f"{installation.conf}:{line}: {option}: can't listen on 127.0.0.1 port {port}: another program (Samba's "
        "endpoint mapper, perhaps) has it: give one of both another address (`interfaces`, `bind interfaces only`); "
        "or choose another port, or 0 for any"
    )


def test_what_listened_already_is_closed_when_the_rest_can_not(tmp_path: Path) -> None:
    with taken_port() as taken, kept_port() as kept:
        extra = f"    ocpy:rpc port = {kept}\n    ocpy:endpoint mapper port = {taken}\n"
        fails(make(tmp_path, extra))
        assert is_refused(kept)


def test_a_privileged_port_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: TcpServer, host: str = "", port: int = 0, *, purpose: str = "") -> tuple[str, int]:
        raise PermissionError(errno.EACCES, "error while attempting to bind")  # what root never sees

    monkeypatch.setattr(TcpServer, "start", refuse)
    said = fails(make(tmp_path, "    ocpy:rpc port = 593\n"))
    assert "ocpy:rpc port: can't listen on 127.0.0.1 port 593" in said
    assert "needs root or the capability CAP_NET_BIND_SERVICE" in said


def test_an_address_that_is_not_this_machines(tmp_path: Path) -> None:
    said = fails(make(tmp_path, "    interfaces = 203.0.113.7\n"))
    assert "can't listen on 203.0.113.7" in said
    assert "annot assign requested address" in said


def test_without_a_directory_it_says_which_command_makes_it(tmp_path: Path) -> None:
    assert "run `ocpy provision`" in fails(Installation.make(tmp_path))


def test_without_its_mailbox_database_it_says_which_command_makes_it(tmp_path: Path) -> None:
    installation = make(tmp_path)
    (tmp_path / "data" / "mailboxes.db").unlink()
    assert "ocpy provision" in fails(installation)


def test_a_module_that_is_not_installed_keeps_it_from_starting(tmp_path: Path) -> None:
    installation = make(tmp_path)
    with installation.conf.open("a", encoding="utf-8") as conf:
        conf.write("    dcerpc_mapiproxy:modules = nonsense\n")
    assert "no module 'nonsense' is installed" in fails(installation)


def test_an_unknown_local_server_keeps_it_from_starting(tmp_path: Path) -> None:
    said = fails(make(tmp_path, "    dcerpc_mapiproxy:nspi_server = nspy\n"))
    assert "no local server 'nspy' for exchange_nsp; known: nspi" in said


def test_a_node_that_relays_the_mailboxes_needs_no_mailbox_database(tmp_path: Path) -> None:
    """Nor its upstream server, until somebody calls: nothing listens where the binding points to."""
    (tmp_path / "relay").write_text("secret\n")
    with kept_port() as nobody:
        extra = (
            "    dcerpc_mapiproxy:server = false\n    dcerpc_mapiproxy:nspi_server = nspi\n"
            f"    dcerpc_mapiproxy:rfr_server = rfr\n    dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{nobody}]\n"
            f"    dcerpc_mapiproxy:username = relay\n    dcerpc_mapiproxy:password file = {tmp_path}/relay\n"
        )
        installation = make(tmp_path, extra, "alice")
        (tmp_path / "data" / "mailboxes.db").unlink()

        async def check() -> None:
            async with running(installation) as node:
                assert node.describe()["interfaces"]["exchange_emsmdb"]["relay"][0].startswith(
                    "ncacn_ip_tcp:127.0.0.1["
                )
                channel = await connector(node).connect(RFR)
                assert await RfrClient(channel).new_dsa() == "exch1.example.test"
                await channel.close()

        run(check())
    assert not (tmp_path / "data" / "mailboxes.db").exists()


def test_of_several_workers_the_first_serves_named_pipes_and_all_tell_of_them(tmp_path: Path) -> None:
    extra = f"    ocpy:named pipes = samba\n    ncalrpc dir = {tmp_path}/ncalrpc\n    ocpy:pipe names = lsass\n"
    installation = make(tmp_path, extra)

    async def pipes(node: Node) -> set[str]:
        host, port = node.endpoint_mapper[0]
        return {found.endpoint for found in await list_endpoints(Server(host, port)) if found.protocol == "ncacn_np"}

    async def check() -> None:
        async with office(2) as made, contextlib.AsyncExitStack() as stack:
            nodes = [Node(load_settings(installation.conf), colleagues) for colleagues in made.workers]
            for node in nodes:
                await node.start()
                stack.push_async_callback(node.stop)
            assert [len(node.pipes) for node in nodes] == [1, 0]
            assert nodes[0].rpc == nodes[1].rpc, "one listener for both"
            # Each worker's turn.
            assert await pipes(nodes[0]) == await pipes(nodes[0]) == {r"\pipe\lsass"}

    run(check())


class SlowModule(Module):
    """Holds every call until it is told to let go."""

    name = "slow"
    description = "for a test"
    endpoint = RFR.name
    entered: asyncio.Event
    released: asyncio.Event

    async def dispatch(self, call: Call) -> None:
        SlowModule.entered.set()
        await SlowModule.released.wait()


def test_stop_lets_calls_in_flight_finish_and_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("slow", f"{__name__}:SlowModule", loading.GROUP)
    monkeypatch.setattr(loading, "entry_points", lambda group: [entry])
    installation = make(tmp_path, "    dcerpc_mapiproxy:modules = slow\n", "alice")

    async def check() -> None:
        slow: Any = entry.load()
        slow.entered, slow.released = asyncio.Event(), asyncio.Event()
        node = Node(load_settings(installation.conf))
        await node.start()
        to_node, rpc_port = connector(node), node.rpc[0][1]
        channel = await to_node.connect(RFR)
        call = asyncio.ensure_future(RfrClient(channel).new_dsa())
        await slow.entered.wait()
        stopping = asyncio.ensure_future(node.stop())
        while not is_refused(rpc_port):  # noqa: ASYNC110  nothing tells it
            await asyncio.sleep(0)
        with pytest.raises(Unreachable):
            await to_node.connect(RFR)
        assert not call.done()
        assert not stopping.done()
        slow.released.set()
        assert await call == "exch1.example.test"
        await stopping
        await channel.close()
        assert open_files(tmp_path) == []

    run(check())


def test_stopping_twice_or_before_starting_is_harmless(tmp_path: Path) -> None:
    async def check() -> None:
        node = Node(load_settings(make(tmp_path).conf))
        await node.stop()
        await node.start()
        port = node.rpc[0][1]
        await node.stop()
        await node.stop()
        assert is_refused(port)

    run(check())


def test_limits_are_those_of_the_configuration(tmp_path: Path) -> None:
    extra = (
        "    ocpy:max connections = 7\n    ocpy:idle timeout = 0\n    ocpy:max call size = 64k\n"
        "    ocpy:authentication timeout = 5\n"
    )
    granted = limits(load_settings(Installation.make(tmp_path, extra).conf))
    assert (granted.connections, granted.idle_seconds, granted.handshake_seconds) == (7, float("inf"), 5)
    assert granted.call_size == 64 << 10


def test_no_more_connections_than_allowed(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(make(tmp_path, "    ocpy:max connections = 1\n")) as node:
            host, port = node.rpc[0]
            connections = [await asyncio.open_connection(host, port) for _ in range(2)]
            ends = [asyncio.ensure_future(reader.read()) for reader, _ in connections]
            ended, left = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            assert len(left) == 1, "the other one stays"
            assert all(isinstance(end.exception(), ConnectionResetError) or end.result() == b"" for end in ended)
            for _, writer in connections:
                writer.close()
            await asyncio.wait(left)

    run(check())


def test_the_session_of_an_account_that_is_disabled_ends(tmp_path: Path) -> None:
    installation = make(tmp_path, "    ocpy:account check interval = 0\n", "alice")

    async def check() -> None:
        async with running(installation) as node:
            channel = await connector(node).connect(RFR)
            assert await RfrClient(channel).new_dsa() == "exch1.example.test"
            await asyncio.to_thread(installation.ok, "newuser", "--disable", "alice")
            with pytest.raises(RpcFault) as caught:
                await RfrClient(channel).new_dsa()
            assert caught.value.status == FaultStatus.ACCESS_DENIED
            await channel.close()

    run(check())
