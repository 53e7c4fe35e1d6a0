"""Client, proxy and server as processes of their own: each transport of the client times each of the upstream.

Over all of them the same happens: the address book is looked into, mail is read, a message with attachment is written
and saved byte for byte, new mail is told of, nobody opens what is not his, and the server's name is not to be seen.
One smbd hands the pipes of all of them over, each of which is called as its node.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from openchange_py.transports.pipe_client import PipePlace
from openchange_py.transports.tls import ClientTls
from openchange_py.wire import proptags as p
from tests.conftest import ROOT
from tests.interop.new_mail import deliver, soonest
from tests.interop.nodes import PATIENCE, Node, Site, ocpy
from tests.interop.smbd import missing, running_smbd

pytestmark = pytest.mark.xdist_group("bridge")

CLIENTS: Final = ("tcp", "np", "http", "mapihttp")
RPC_OVER_HTTP: Final = "/rpc/rpcproxy.dll"
UPSTREAMS: Final = {
    "over-tcp": "ncacn_ip_tcp:127.0.0.1[{port},seal]",
    "over-np": r"ncacn_np:{smb}[\pipe\exchange,seal]",
    "over-http": "ncacn_http:localhost[RpcProxy=localhost:{https},seal,ca={ca}]",
    "over-mapihttp": "https://127.0.0.1:{https}/mapi/[ca={ca}]",
}
HOME: Final = p.PidTagAddressBookHomeMessageDatabase

_PIPES: Final = """\
    ncalrpc dir = {place}/ncalrpc
    ocpy:named pipes = samba
    ocpy:pipe names = {name}
"""
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
        #: Why there are no named pipes, or where they are.
        self.no_pipes = missing()
        self.smb = ""
        exchange = self.site.exchange.config
        text = exchange.read_text("utf-8").replace("ocpy:fqdn = localhost", "ocpy:fqdn = exchange.corp.test")
        exchange.write_text(text + self._listening("exchange"), "utf-8")
        self.proxies: dict[str, Node] = {}
        self._smbd = contextlib.ExitStack()

    def start(self) -> None:
        self.site.set_up()
        self.site.import_mail("bob", ROOT / "setup" / "sample-mailbox")
        if not self.no_pipes:
            self.smb = self._smbd.enter_context(running_smbd(self.place, passwords=self.site.passwords))
        exchange = self.site.exchange
        exchange.start()
        exchange.wait_until_ready()
        _, https = read_https(exchange.ready_file)
        for name, binding in UPSTREAMS.items():
            if name == "over-np" and self.no_pipes:
                continue
            (self.place / name).mkdir()
            node = self.proxies[name] = Node(name, self.place / f"{name}.conf")
            text = binding.format(port=exchange.rpc_port, https=https, ca=self.certificate, smb=self.smb)
            text = _PROXY.format(name=name, place=self.place, binding=text) + self._listening(name)
            node.config.write_text(text, "utf-8")
            node.start()
        for node in self.proxies.values():
            node.wait_until_ready()

    def _listening(self, name: str) -> str:
        """Over HTTPS and pipes, too."""
        pipes = "" if self.no_pipes else _PIPES.format(place=self.place, name=name)
        return _HTTPS.format(place=self.place) + pipes

    def stop(self) -> None:
        try:
            codes = [node.stop() for node in self.proxies.values() if node.alive]
        finally:
            for node in self.proxies.values():
                node.abandon()
            self.site.stop()
            self._smbd.close()
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
        if self.transport == "np":
            return ["--server", self.bridges.smb, "--transport", "np", "--pipe", self.node.name, *account]
        web = [] if self.transport == "tcp" else ["--ca", self.bridges.certificate]
        return ["--endpoints", self.node.ready_file, "--transport", self.transport, *web, *account]

    def client(self, *arguments: str | Path, user: str = "alice", check: bool = True) -> Any:
        """`ocpy client` as a process; what it printed as JSON, where it was asked to."""
        done = ocpy("client", *self.options(user), *arguments, check=check)
        return json.loads(done.stdout) if "--json" in arguments and check else done

    def profile(self) -> Profile:
        """The client library, as alice."""
        account = Account("alice", "EXAMPLE", self.bridges.site.passwords["alice"])
        web, pipe = None, None
        if self.transport == "np":
            pipe = PipePlace(self.bridges.smb, self.node.name)
        elif self.transport != "tcp":
            host, port = read_https(self.node.ready_file)
            web = Web(WebTransport(self.transport), host, port, ClientTls(self.bridges.certificate))
        server = read_ready_file(self.node.ready_file)
        return Profile(Connector(server, account, web=web, pipe=pipe, connect_timeout=PATIENCE, call_timeout=PATIENCE))


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
    return way_of(bridges, *request.param)


def way_of(bridges: Bridges, transport: str, name: str) -> Way:
    """It, where there can be one."""
    if bridges.no_pipes and (transport == "np" or name == "over-np"):
        pytest.skip(f"no named pipes: {bridges.no_pipes}")
    return Way(bridges, transport, bridges.proxies[name])


#: What is read: lists, a message with its body, and the address book.
QUESTIONS: Final = (("folders",), ("read", "--number", "1", "--folder", "Inbox"), ("list",))


@pytest.fixture(scope="module")
def directly(bridges: Bridges) -> dict[tuple[str, ...], Any]:
    """What the server itself answers bob over TCP, in whose mailbox nothing changes."""
    way = Way(bridges, "tcp", bridges.site.exchange)
    return {question: way.client(*question, "--json", user="bob") for question in QUESTIONS}


def test_the_same_mail_is_there_on_every_way(directly: dict[tuple[str, ...], Any], way: Way) -> None:
    for question, answer in directly.items():
        assert way.client(*question, "--json", user="bob") == answer, question


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


@pytest.mark.parametrize("transport", CLIENTS)
def test_a_wrong_password(bridges: Bridges, transport: str, tmp_path: Path) -> None:
    """The upstream hears nothing of it."""
    way = way_of(bridges, transport, "over-tcp")
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
