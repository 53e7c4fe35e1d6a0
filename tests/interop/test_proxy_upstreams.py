"""A proxy in front of two servers, all of them processes: servers die and come back, and clients stay connected.

Both servers have the same directory and the same mailboxes, and each user goes to one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from openchange_py.client.connection import Account, Channel, Connector, Server
from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.mailbox import MailboxClient
from openchange_py.client.nspi import NspiClient
from openchange_py.client.profile import dn_of
from openchange_py.client.rfr import RfrClient
from openchange_py.proxy.pool import rank
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.security import Identity
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.properties import PropertyMap
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NSPI
from tests.interop.nodes import PATIENCE, Node, reserved_port
from tests.interop.smbd import require_smbd, running_smbd
from tests.node import DOMAIN, add_user, password_of, provision

#: Everything here goes down and up: one worker's.
pytestmark = pytest.mark.xdist_group("upstreams")

_COMMON: Final = """\
[global]
    netbios name = {name}
    workgroup = EXAMPLE
    interfaces = {address}
    bind interfaces only = yes
    ocpy:data directory = {place}/{name}
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:database = sqlite:///{place}/mailboxes.db
    ocpy:mail domain = example.test
    ocpy:fqdn = exch1.example.test
"""

_UPSTREAM: Final = """\
    dcerpc_mapiproxy:server = true
    dcerpc_mapiproxy:modules = {place}/hold.py
    ocpy:endpoint mapper port = {mapper_port}
    ocpy:rpc port = {port}
"""

_PROXY: Final = """\
    dcerpc_mapiproxy:server = false
    dcerpc_mapiproxy:binding = {bindings}
    dcerpc_mapiproxy:username = relay
    dcerpc_mapiproxy:password file = {place}/relay.password
    dcerpc_mapiproxy:domain = EXAMPLE
    ocpy:endpoint mapper port = 0
    ocpy:connect timeout = 5 s
    ocpy:relay timeout = 1 h
"""

#: Holds calls up while there is a file; every server has it.
_HOLD: Final = """\
import asyncio
import logging
import pathlib

from openchange_py.proxy.hooks import Module


class HoldModule(Module):
    name = "hold"
    description = "holds calls up"

    async def dispatch(self, call):
        gate = pathlib.Path(__file__).parent / "held"
        if gate.exists():
            logging.getLogger("openchange_py.hold").info("%s held up", call.name)
        while gate.exists():
            await asyncio.sleep(0.01)
"""

#: How a lost call ends for a client that can't know whether it was executed.
LOST: Final = FaultStatus.CALL_FAILED


#: Its pipe has its name.
_PIPES: Final = """\
    ocpy:named pipes = samba
    ocpy:pipe names = {name}
    ncalrpc dir = {place}/ncalrpc
"""


class Farm:
    """The servers and the proxy in front of them; `homes` has two users for each server, by its number.

    With `smb`, the address of an smbd, the proxy reaches them over named pipes.
    """

    def __init__(self, place: Path, smb: str = "") -> None:
        self.place = place
        self._reservations = [reserved_port(), reserved_port()]
        ports = [reservation.getsockname()[1] for reservation in self._reservations]
        self.bindings = [f"ncacn_ip_tcp:127.0.0.1[{port},seal]" for port in ports]
        if smb:
            self.bindings = [rf"ncacn_np:{smb}[\pipe\exch{number},seal]" for number in (0, 1)]
        self.homes = {home: self._users_of(home) for home in (0, 1)}
        self._provision()
        self.upstreams = [
            self._node(f"exch{number}", _UPSTREAM + _PIPES * bool(smb), mapper_port=0, port=port)
            for number, port in enumerate(ports)
        ]
        self.proxy = self._node("proxy", _PROXY, bindings=" ".join(self.bindings))

    def start(self) -> None:
        """Whatever does not run."""
        started = [node for node in (*self.upstreams, self.proxy) if not node.alive]
        for node in started:
            node.start()
        for node in started:
            node.wait_until_ready()

    def stop(self) -> None:
        """Nothing runs behind this."""
        for node in (self.proxy, *self.upstreams):
            node.abandon()
        for reservation in self._reservations:
            reservation.close()

    def connector(self, user: str) -> Connector:
        """At the proxy as a user."""
        server = Server(self.proxy.host, self.proxy.mapper_port)
        return Connector(server, Account(user, DOMAIN, password_of(user)), connect_timeout=PATIENCE)

    def _users_of(self, home: int) -> list[str]:
        binding, other = self.bindings[home], self.bindings[1 - home]
        names = (f"user{number}" for number in range(1000))
        found = (name for name in names if rank(Identity(name, DOMAIN), binding) > rank(Identity(name, DOMAIN), other))
        return [next(found), next(found)]

    def _provision(self) -> None:
        directory, store = provision(self.place, {})
        relay = add_user(directory, store, "relay", "Relay")
        for user in (*self.homes[0], *self.homes[1]):
            entry = add_user(directory, store, user, f"{user} Example")
            directory.change_full_access(entry, [relay])
        store.close()
        directory.close()
        password = self.place / "relay.password"
        password.write_text(password_of("relay") + "\n", "utf-8")
        password.chmod(0o600)

    def _node(self, name: str, template: str, **settings: object) -> Node:
        return make_node(self.place, name, "127.0.0.1", template, **settings)


def make_node(place: Path, name: str, address: str, template: str, **settings: object) -> Node:
    """A node that is not started."""
    config = place / f"{name}.conf"
    (place / "hold.py").write_text(_HOLD, "utf-8")
    config.write_text((_COMMON + template).format(name=name, address=address, place=place, **settings), "utf-8")
    (place / name).mkdir()
    return Node(name, config)


@pytest.fixture(scope="module", params=["tcp", "np"])
def own_farm(request: pytest.FixtureRequest) -> Iterator[Farm]:
    with tempfile.TemporaryDirectory(prefix="ocpy-farm-") as place, contextlib.ExitStack() as stack:
        smb = ""
        if request.param == "np":
            require_smbd()
            smb = stack.enter_context(running_smbd(Path(place), passwords={"relay": password_of("relay")}))
        farm = Farm(Path(place), smb)
        try:
            yield farm
        finally:
            farm.stop()


@pytest.fixture
def farm(own_farm: Farm) -> Farm:
    """All of them run, and the proxy begins anew."""
    own_farm.proxy.abandon()
    own_farm.start()
    return own_farm


class Client:
    """A user with one connection per interface, of which none is ever opened again."""

    def __init__(self, mailbox: Channel, address_book: Channel) -> None:
        self._channel = mailbox
        self.address_book = NspiClient(address_book)
        self.me: PropertyMap = {}

    async def begin(self, user: str) -> None:
        """Bind the address book, and connect to the mailbox."""
        await self.address_book.bind()
        self.me = await self.address_book.resolve(user)
        await self.connect()

    async def connect(self) -> None:
        """A new mailbox session over the same connection."""
        self.session = EmsmdbClient(self._channel)
        await self.session.connect(dn_of(self.me))

    async def folders(self) -> int:
        """Log on to the mailbox, and count its folders."""
        mailbox = await MailboxClient.logon(self.session, dn_of(self.me))
        return len(await mailbox.folders())


@contextlib.asynccontextmanager
async def connected(farm: Farm, user: str) -> AsyncIterator[Client]:
    connector = farm.connector(user)
    mailbox, address_book = await connector.connect(EMSMDB), await connector.connect(NSPI)
    client = Client(mailbox, address_book)
    try:
        await client.begin(user)
        yield client
    finally:
        await mailbox.close()
        await address_book.close()


async def referred(farm: Farm, user: str) -> str:
    """A new client's first call of all."""
    channel = await farm.connector(user).connect(RFR)
    try:
        return await RfrClient(channel).new_dsa()
    finally:
        await channel.close()


async def status(client: Client) -> int:
    """How a mailbox call ends that fails."""
    with pytest.raises(RpcFault) as caught:
        await client.folders()
    return caught.value.status


async def until_answered(client: Client) -> None:
    """Try to get a new mailbox session as a client does: again and again, over the same connection."""
    async with asyncio.timeout(PATIENCE):
        while await unavailable(client):  # noqa: ASYNC110  a client knows no better
            await asyncio.sleep(0.05)


async def unavailable(client: Client) -> bool:
    """Whether a mailbox session can't be had now."""
    try:
        await client.connect()
    except RpcFault as fault:
        if fault.status != FaultStatus.SERVER_UNAVAILABLE:
            raise
        return True
    return False


def connected_to(farm: Farm, user: str, start: int) -> set[str]:
    """The bindings that the proxy says it connected to for a user, from a line of its log on; there is one at least."""
    pattern = rf"upstream connection to (\S+) for \S+ of EXAMPLE\\{user}$"
    farm.proxy.log.wait_for(pattern, start)
    found = (re.search(pattern, line) for line in farm.proxy.log.lines[start:])
    return {match[1] for match in found if match is not None}


async def until_home(farm: Farm, home: int) -> None:
    """Until the proxy has seen that a server is back; it looks beside other users' calls."""
    async with asyncio.timeout(PATIENCE):
        while not any(f"upstream {farm.bindings[home]} is back" in line for line in farm.proxy.log.lines):
            await referred(farm, farm.homes[1 - home][0])
            await asyncio.sleep(0.05)


def test_users_are_spread_and_all_that_is_a_users_goes_to_one_server(farm: Farm) -> None:
    start = farm.proxy.log.position

    async def main() -> None:
        for user in (*farm.homes[0], *farm.homes[1]):
            for _ in range(2):
                async with connected(farm, user) as client:
                    assert await client.folders() > 5
                assert await referred(farm, user) == "exch1.example.test"

    asyncio.run(main())
    for home, users in farm.homes.items():
        for user in users:
            assert connected_to(farm, user, start) == {farm.bindings[home]}


@pytest.mark.parametrize("home", [0, 1])
def test_where_a_server_dies_its_users_go_to_the_other_and_none_is_disconnected(farm: Farm, home: int) -> None:
    user, neighbour = farm.homes[home][0], farm.homes[1 - home][0]

    async def main() -> None:
        async with connected(farm, user) as client, connected(farm, neighbour) as other:
            await client.folders()
            await other.folders()
            farm.upstreams[home].kill()
            # The address book session goes on at the other server, which has the same address book: same GUID.
            assert (await client.address_book.resolve(user)) == client.me
            # The mailbox session died with its server: the client must begin a new one, and may at once.
            assert await status(client) == FaultStatus.CONTEXT_MISMATCH
            await client.connect()
            assert await client.folders() > 5
            assert await other.folders() > 5
            start = farm.proxy.log.position
            assert await referred(farm, user) == "exch1.example.test"
            assert connected_to(farm, user, start) == {farm.bindings[1 - home]}
            farm.start()
            await until_home(farm, home)
            # Who has begun something stays where it is, with whatever he begins more.
            start = farm.proxy.log.position
            await referred(farm, user)
            assert connected_to(farm, user, start) == {farm.bindings[1 - home]}
            assert await client.folders() > 5
            start = farm.proxy.log.position
            await referred(farm, farm.homes[home][1])
            assert connected_to(farm, farm.homes[home][1], start) == {farm.bindings[home]}
        async with asyncio.timeout(PATIENCE):
            # The proxy notices the end of the client's connections some time later.
            await referred(farm, user)
            while farm.bindings[home] not in connected_to(farm, user, start):
                await referred(farm, user)

    with farm.proxy.log.expect(
        rf"WARNING .*upstream {re.escape(farm.bindings[home])} is down",
        rf"WARNING .*upstream {re.escape(farm.bindings[home])} is back",
    ):
        asyncio.run(main())


def test_calls_in_flight_are_lost_or_repeated(farm: Farm) -> None:
    user = farm.homes[0][0]

    async def main() -> None:
        async with connected(farm, user) as client:
            gate = farm.place / "held"
            gate.touch()
            start = farm.proxy.log.position
            lost = asyncio.ensure_future(status(client))
            read = asyncio.ensure_future(client.address_book.resolve(user))
            for name in ("EcDoRpcExt2", "NspiResolveNamesW"):
                await asyncio.to_thread(farm.upstreams[0].log.wait_for, f"{name} held up")
            farm.upstreams[0].kill()
            gate.unlink()
            assert await lost == LOST
            assert await read == client.me
            assert connected_to(farm, user, start) == {farm.bindings[1]}

    asyncio.run(main())


def test_calls_are_not_left_to_a_server_that_hangs(farm: Farm) -> None:
    user, neighbour = farm.homes[0][0], farm.homes[1][0]

    async def main() -> None:
        async with connected(farm, user) as client, connected(farm, neighbour) as other:
            farm.upstreams[0].signal(signal.SIGSTOP)
            try:
                hanging = asyncio.ensure_future(status(client))
                assert await other.folders() > 5
                assert await hanging == LOST
                # The kernel accepts connections for it still, and nobody answers there: it counts as down.
                await client.connect()
                assert await client.folders() > 5
            finally:
                farm.upstreams[0].signal(signal.SIGCONT)

    with farm.proxy.log.expect(rf"{re.escape(farm.bindings[0])} is down.* did not answer", "shows no life"):
        asyncio.run(main())


def test_where_every_server_is_down_clients_wait_connected_until_one_is_back(farm: Farm) -> None:
    user = farm.homes[0][0]

    async def main() -> None:
        async with connected(farm, user) as client:
            for upstream in farm.upstreams:
                upstream.kill()
            assert await status(client) in (LOST, FaultStatus.CONTEXT_MISMATCH)
            with pytest.raises(RpcFault) as caught:
                await client.connect()
            assert caught.value.status == FaultStatus.SERVER_UNAVAILABLE
            farm.start()
            await until_answered(client)
            assert await client.folders() > 5
            assert (await client.address_book.resolve(user)) == client.me

    asyncio.run(main())


def test_a_server_is_taken_out_of_service_without_a_restart(farm: Farm) -> None:
    user = farm.homes[0][0]
    config = farm.proxy.config.read_text("utf-8")

    async def main() -> None:
        async with connected(farm, user) as client:
            await client.folders()
            farm.proxy.config.write_text(config.replace(farm.bindings[0], ""), "utf-8")
            start = farm.proxy.log.position
            farm.proxy.signal(signal.SIGHUP)
            await asyncio.to_thread(farm.proxy.log.wait_for, "binding: the new value is in force", start)
            assert await referred(farm, user) == "exch1.example.test"
            async with connected(farm, user) as new:
                await new.folders()
            assert connected_to(farm, user, start) == {farm.bindings[1]}
            # What was begun there goes on.
            assert await client.folders() > 5

    try:
        asyncio.run(main())
    finally:
        farm.proxy.config.write_text(config, "utf-8")


def private_address() -> str:
    """A loopback address of this process alone, so that its endpoint mapper can have its well-known port."""
    if os.geteuid() != 0:
        pytest.skip("an endpoint mapper at port 135 needs root")
    number = os.getpid()
    address = f"127.78.{number >> 8 & 0xFF}.{number & 0xFF or 1}"
    with socket.socket() as probe:
        try:
            probe.bind((address, 135))
        except OSError as error:
            pytest.skip(f"no endpoint mapper at {address}: {error}")
    return address


def test_without_a_port_the_endpoint_mapper_is_asked_again_where_the_server_moved(tmp_path: Path) -> None:
    address = private_address()
    directory, store = provision(tmp_path, {})
    relay = add_user(directory, store, "relay", "Relay")
    alice = directory.by_account("alice")
    assert alice is not None
    directory.change_full_access(alice, [relay])
    store.close()
    directory.close()
    password = tmp_path / "relay.password"
    password.write_text(password_of("relay") + "\n", "utf-8")
    password.chmod(0o600)
    upstream = make_node(tmp_path, "exch0", address, _UPSTREAM, mapper_port=135, port=0)
    proxy = make_node(tmp_path, "proxy", "127.0.0.1", _PROXY, bindings=f"ncacn_ip_tcp:{address}[seal]")

    async def answers() -> None:
        server = Server(proxy.host, proxy.mapper_port)
        connector = Connector(server, Account("alice", DOMAIN, password_of("alice")), connect_timeout=PATIENCE)
        channel = await connector.connect(NSPI)
        book = NspiClient(channel)
        await book.bind()
        me = await book.resolve("alice")
        port = upstream.rpc_port
        with socket.create_server((address, 0)) as taken:
            upstream.kill()
            # The system may give the port to the same server again.
            with contextlib.suppress(OSError):
                taken = socket.create_server((address, port))
            upstream.start()
            await asyncio.to_thread(upstream.wait_until_ready)
            taken.close()
        assert upstream.rpc_port != port
        assert await book.resolve("alice") == me
        await channel.close()

    try:
        upstream.start()
        proxy.start()
        upstream.wait_until_ready()
        proxy.wait_until_ready()
        with proxy.log.expect(f"exchange_nsp is at port .* of {address}", "address book session of .* opened again"):
            asyncio.run(answers())
    finally:
        proxy.abandon()
        upstream.abandon()
