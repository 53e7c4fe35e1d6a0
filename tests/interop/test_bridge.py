"""Client, proxy and server as processes of their own: each transport of the client times each of the upstream.

Over all of them the same happens: the address book is looked into, mail is read, a message with attachment is written
and saved byte for byte, new mail is told of, nobody opens what is not his, and the server's name is not to be seen.
A client over named pipes needs an smbd: `test_pipe_client.py` has it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from openchange_py.client.connection import Account, Connector
from openchange_py.client.endpoints import read_https, read_ready_file
from openchange_py.client.profile import Profile
from openchange_py.client.web import Web, WebTransport
from openchange_py.transports.tls import ClientTls
from openchange_py.wire import proptags as p
from tests.interop.new_mail import deliver, soonest
from tests.interop.nodes import PATIENCE, Node, Site, ocpy

pytestmark = pytest.mark.xdist_group("bridge")

CLIENTS: Final = ("tcp", "http", "mapihttp")
RPC_OVER_HTTP: Final = "/rpc/rpcproxy.dll"
UPSTREAMS: Final = {
    "over-tcp": "ncacn_ip_tcp:127.0.0.1[{port},seal]",
    "over-http": "ncacn_http:localhost[RpcProxy=localhost:{https},seal,ca={ca}]",
    "over-mapihttp": "https://127.0.0.1:{https}/mapi/[ca={ca}]",
}
HOME: Final = p.PidTagAddressBookHomeMessageDatabase

_HTTPS: Final = """\
    ocpy:https port = 0
    ocpy:tls certificate = {place}/server.crt
    ocpy:tls key = {place}/server.key
"""
_PROXY: Final = """\
[global]
    netbios name = {name}
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    log level = 1
    ocpy:data directory = {place}/{name}
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:mail domain = example.test
    ocpy:fqdn = {name}.example.test
    ocpy:endpoint mapper port = 0
    dcerpc_mapiproxy:username = relay
    dcerpc_mapiproxy:password file = {place}/passwords/relay
    dcerpc_mapiproxy:domain = EXAMPLE
    dcerpc_mapiproxy:modules = dummy
    dcerpc_mapiproxy:binding = {binding}
"""


class Bridges:
    """The server, and a proxy in front of it for each way to it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.site = Site(place)
        self.certificate = place / "server.crt"
        exchange = self.site.exchange.config
        text = exchange.read_text("utf-8").replace("ocpy:fqdn = localhost", "ocpy:fqdn = exchange.corp.test")
        exchange.write_text(text + _HTTPS.format(place=place), "utf-8")
        self.proxies: dict[str, Node] = {}

    def start(self) -> None:
        self.site.set_up()
        exchange = self.site.exchange
        exchange.start()
        exchange.wait_until_ready()
        _, https = read_https(exchange.ready_file)
        for name, binding in UPSTREAMS.items():
            (self.place / name).mkdir()
            node = self.proxies[name] = Node(name, self.place / f"{name}.conf")
            text = binding.format(port=exchange.rpc_port, https=https, ca=self.certificate)
            text = _PROXY.format(name=name, place=self.place, binding=text) + _HTTPS.format(place=self.place)
            node.config.write_text(text, "utf-8")
            node.start()
        for node in self.proxies.values():
            node.wait_until_ready()

    def stop(self) -> None:
        try:
            codes = [node.stop() for node in self.proxies.values() if node.alive]
        finally:
            for node in self.proxies.values():
                node.abandon()
            self.site.stop()
        assert set(codes) <= {0}, codes


class Way:
    """One transport of clients to one of the proxies, or to the server itself."""

    def __init__(self, bridges: Bridges, transport: str, node: Node) -> None:
        self.bridges, self.transport, self.node = bridges, transport, node
        if transport == "http" and RPC_OVER_HTTP not in node.ready["http_paths"]:
            pytest.skip(f"this server does not offer RPC over HTTP: {', '.join(node.ready['http_paths'])}")

    def options(self, user: str) -> list[str | Path]:
        """What stands in front of a subcommand of `ocpy client`."""
        account: list[str | Path] = ["--user", user, "--password-file", self.bridges.site.password_file(user)]
        web = [] if self.transport == "tcp" else ["--ca", self.bridges.certificate]
        return ["--endpoints", self.node.ready_file, "--transport", self.transport, *web, *account]

    def client(self, *arguments: str | Path, user: str = "alice", check: bool = True) -> Any:
        """`ocpy client` as a process; what it printed as JSON, where it was asked to."""
        done = ocpy("client", *self.options(user), *arguments, check=check)
        return json.loads(done.stdout) if "--json" in arguments and check else done

    def profile(self) -> Profile:
        """The client library, as alice."""
        account = Account("alice", "EXAMPLE", self.bridges.site.passwords["alice"])
        web = None
        if self.transport != "tcp":
            host, port = read_https(self.node.ready_file)
            web = Web(WebTransport(self.transport), host, port, ClientTls(self.bridges.certificate))
        server = read_ready_file(self.node.ready_file)
        return Profile(Connector(server, account, web=web, connect_timeout=PATIENCE, call_timeout=PATIENCE))


@pytest.fixture(scope="module")
def bridges() -> Iterator[Bridges]:
    with tempfile.TemporaryDirectory(prefix="ocpy-bridge-") as place:
        made = Bridges(Path(place))
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture(params=[(transport, name) for name in UPSTREAMS for transport in CLIENTS], ids="-".join)
def way(bridges: Bridges, request: pytest.FixtureRequest) -> Way:
    transport, name = request.param
    return Way(bridges, transport, bridges.proxies[name])


def test_the_same_mail_is_there_on_every_way(bridges: Bridges, way: Way) -> None:
    directly = Way(bridges, "tcp", bridges.site.exchange)
    for question in (
        ["folders"],
        ["messages", "--limit", "3"],
        ["read", "--number", "1"],
        ["resolve", "bob"],
        ["list"],
    ):
        assert way.client(*question, "--json") == directly.client(*question, "--json"), question


def test_a_message_with_an_attachment_is_written_and_read_again(way: Way, tmp_path: Path) -> None:
    content = secrets.token_bytes(300_000)  # several writes, and answers that are longer than a ROP buffer
    film, letter, saved = tmp_path / "film.mp4", tmp_path / "letter.eml", tmp_path / "saved"
    film.write_bytes(content)
    letter.write_text(f"Subject: by {way.transport} and {way.node.name}\nFrom: alice@example.test\n\nDear Bob,\n")
    way.client("put", letter, "--attach", film, "--folder", "Drafts")
    listed = way.client("messages", "--folder", "Drafts", "--json")["messages"]
    (message,) = [m for m in listed if m["subject"] == f"by {way.transport} and {way.node.name}"]
    way.client(
        *("attachment", "--folder", "Drafts", "--message", str(message["number"]), "--number", "1"), "--save", saved
    )
    assert saved.read_bytes() == content


def test_new_mail_comes_within_a_second(bridges: Bridges, way: Way) -> None:
    config = bridges.site.exchange.config
    assert soonest(way.profile(), lambda subject: deliver(config, subject), f"{way.transport} {way.node.name}") < 1.0


def test_nobody_opens_what_is_not_his(way: Way) -> None:
    done = way.client("folders", "--mailbox", "alice", user="bob", check=False)
    assert done.returncode == 1
    assert "access denied" in done.stderr


def test_a_wrong_password(way: Way, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("Gu3ss-1\n")
    done = way.client("folders", "--password-file", wrong, check=False)
    assert done.returncode == 1
    assert "Gu3ss" not in done.stderr


def test_the_servers_names_are_the_proxys(way: Way) -> None:
    async def work() -> None:
        async with way.profile() as profile:
            if way.transport != "mapihttp":  # which has no referrals
                assert await profile.referral() == f"{way.node.name}.example.test"
            nspi = await profile.address_book()
            homes = [str(row.get(HOME)) async for row in nspi.query_rows(tags=[HOME])]
            assert len(homes) == 2
            assert all(f"/cn=Servers/cn={way.node.name.upper()}/" in home for home in homes), homes

    asyncio.run(work())
