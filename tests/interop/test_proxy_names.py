"""Processes in a row, outer proxy, inner proxy, server: clients of each see that one's names, and everything works.

And the hybrid of the other tests, whose address book is its own. The servers have different names in the directory that
they share, and are told apart by those.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from openchange_py.client.connection import Account, Connector
from openchange_py.client.endpoints import read_ready_file
from openchange_py.client.nspi import NspiClient
from openchange_py.client.rfr import RfrClient
from openchange_py.wire import proptags as p
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxnspi import NSPI
from tests.interop.nodes import Node, Site

pytestmark = pytest.mark.xdist_group("names")

SERVERS = "/o=First Organization/ou=First Administrative Group/cn=Configuration/cn=Servers/cn="
HOME = p.PidTagAddressBookHomeMessageDatabase

_PROXY = """\
[global]
    netbios name = {name}
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    log level = 1
    ocpy:data directory = {place}/{name}
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:fqdn = {name}.example.test
    ocpy:endpoint mapper port = 0
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{port},seal]
    dcerpc_mapiproxy:username = {user}
    dcerpc_mapiproxy:password file = {place}/passwords/{user}
    dcerpc_mapiproxy:domain = EXAMPLE
"""


class Row:
    """The nodes, each in front of the one behind it."""

    def __init__(self, place: Path) -> None:
        self.site = Site(place)
        for node in (self.site.exchange, self.site.hybrid):
            text = node.config.read_text("utf-8")
            node.config.write_text(text.replace("ocpy:fqdn = localhost", f"ocpy:fqdn = {node.name}.corp.test"), "utf-8")
        self.inner = Node("inner", place / "inner.conf")
        self.outer = Node("outer", place / "outer.conf")

    def start(self) -> None:
        self.site.set_up()
        self.site.start()
        behind = self.site.exchange
        for node, user in ((self.inner, "relay"), (self.outer, "alice")):
            (self.site.place / node.name).mkdir()
            settings = {"place": self.site.place, "name": node.name, "port": behind.rpc_port, "user": user}
            node.config.write_text(_PROXY.format(**settings), "utf-8")
            node.start()
            node.wait_until_ready()
            behind = node

    def stop(self) -> None:
        for node in (self.outer, self.inner):
            node.abandon()
        self.site.stop()


@pytest.fixture(scope="module")
def row() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="ocpy-names-") as place:
        row = Row(Path(place))
        try:
            row.start()
            yield row
        finally:
            row.stop()


@asynccontextmanager
async def address_book(row: Row, node: Node) -> AsyncIterator[tuple[NspiClient, RfrClient]]:
    """Address book and referrals of a node, as alice."""
    account = Account("alice", "EXAMPLE", row.site.passwords["alice"])
    connector = Connector(read_ready_file(node.ready_file), account)
    channels = [await connector.connect(interface) for interface in (NSPI, RFR)]
    nspi = NspiClient(channels[0])
    await nspi.bind()
    try:
        yield nspi, RfrClient(channels[1])
    finally:
        await nspi.unbind()
        for channel in channels:
            await channel.close()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(limited())


NODES = ["exchange", "hybrid", "inner", "outer"]


def node_of(row: Row, name: str) -> Node:
    found = getattr(row if name in ("inner", "outer") else row.site, name)
    assert isinstance(found, Node)
    return found


def fqdn_of(name: str) -> str:
    return f"{name}.corp.test" if name in ("exchange", "hybrid") else f"{name}.example.test"


def restart_proxies(row: Row) -> None:
    """Nothing is remembered."""
    for node in (row.outer, row.inner):
        assert node.stop() == 0
    for node, behind in ((row.inner, row.site.exchange), (row.outer, row.inner)):
        text = node.config.read_text("utf-8")
        before = text.partition("127.0.0.1[")[2].partition(",")[0]
        node.config.write_text(text.replace(f"[{before},seal]", f"[{behind.rpc_port},seal]"), "utf-8")
        node.start()
        node.wait_until_ready()


@pytest.mark.parametrize("name", NODES)
def test_the_home_server_of_a_mailbox_is_the_node_that_is_asked(row: Row, name: str) -> None:
    """What a client does to find its server: [MS-OXOABK] 2.2.5.1, [MS-OXABREF] 3.1.4."""

    async def work() -> None:
        async with address_book(row, node_of(row, name)) as (nspi, rfr):
            alice = await nspi.resolve("alice", [HOME])
            home = alice[HOME]
            assert home == f"{SERVERS}{name.upper()}/cn=Microsoft Private MDB"
            server_dn = home.removesuffix("/cn=Microsoft Private MDB")
            [mid] = await nspi.dn_to_mid([server_dn])
            assert mid
            server = await nspi.get_props(mid, [p.PidTagAddressBookNetworkAddress, p.PidTagEmailAddress])
            assert server == {
                p.PidTagAddressBookNetworkAddress: [f"netbios:{name.upper()}", f"ncacn_ip_tcp:{fqdn_of(name)}"],
                p.PidTagEmailAddress: server_dn,
            }
            assert await rfr.fqdn_of(server_dn) == await rfr.new_dsa() == fqdn_of(name)

    run(work)


@pytest.mark.parametrize("name", NODES)
def test_all_that_is_known_of_the_server_has_no_other_nodes_name(row: Row, name: str) -> None:
    async def work() -> None:
        async with address_book(row, node_of(row, name)) as (nspi, _):
            [mid] = await nspi.dn_to_mid([SERVERS + name])
            shown = repr(await nspi.get_props(mid)).casefold()
            assert name in shown
            assert not [other for other in NODES if other != name and other in shown]

    run(work)


def test_the_first_call_behind_a_restart_may_name_the_proxy(row: Row) -> None:
    restart_proxies(row)

    async def work() -> None:
        async with address_book(row, row.outer) as (nspi, _):
            [mid] = await nspi.dn_to_mid([SERVERS + "OUTER"])
        async with address_book(row, row.site.exchange) as (nspi, _):
            assert [mid] == await nspi.dn_to_mid([SERVERS + "EXCHANGE"])

    run(work)


def test_mail_is_read_through_both(row: Row) -> None:
    directly, relayed = (
        row.site.client(node, "alice", "messages", "--json") for node in (row.site.exchange, row.outer)
    )
    assert directly == relayed
