"""Kerberos over HTTP in a Samba domain: clients, and a proxy, of a server that binds each logon to its TLS channel.

All are processes of their own. The proxy relays by MAPI over HTTP and by RPC over HTTP, with the machine's account and
as its callers: with the tickets that they forwarded, and with such as the domain lets it get in their names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.client.errors import MapiError
from openchange_py.rpc.call import RpcFault
from openchange_py.wire.oxcdata.errors import ErrorCode
from tests.interop.nodes import Node, ocpy
from tests.interop.samba_dc import MACHINE_ACCOUNT, REALM, SERVER_NAME, UPSTREAM_FQDN, UPSTREAM_NAME, SambaDc
from tests.interop.test_delegation import DN, Hops, channel, names_of, password, running, ticket
from tests.interop.web import ping

pytestmark = [pytest.mark.xdist_group("samba_dc")]

TRANSPORTS = ["mapihttp", "http"]
BINDINGS = {
    "mapihttp": "https://{host}:{port}/mapi/[krb5,ca={ca},target_hostname={fqdn}]",
    "http": "ncacn_http:{fqdn}[RpcProxy={host}:{port},proxy_hostname={fqdn},ca={ca},krb5,seal]",
}
#: What the KDC is asked for, in this order.
SERVICES = {"mapihttp": ["HTTP"], "http": ["exchangeMDB", "HTTP"]}


class WebHops(Hops):
    """The server has HTTPS, where logons must name their channel."""

    def __init__(self, dc: SambaDc, place: Path) -> None:
        super().__init__(dc, place)
        self.certificate = place / UPSTREAM_NAME / "tls" / "certificate.pem"
        text = self.upstream.config.read_text()
        self.upstream.config.write_text(text + "    ocpy:https port = 0\n    ocpy:channel binding = required\n")

    def over(self, transport: str, identity: str) -> Node:
        """A proxy that relays over it."""
        node = self.proxy(f"{transport}-{identity}", identity)
        https = self.upstream.ready["https"]
        where = {"host": https["host"], "port": https["port"], "ca": self.certificate, "fqdn": UPSTREAM_FQDN}
        lines = node.config.read_text().splitlines()
        lines = [line for line in lines if "dcerpc_mapiproxy:binding" not in line]
        node.config.write_text(
            "\n".join([*lines, f"    dcerpc_mapiproxy:binding = {BINDINGS[transport].format(**where)}\n"])
        )
        return node


@pytest.fixture(scope="module")
def hops(samba_dc: SambaDc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHops]:
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")
    made = WebHops(samba_dc, tmp_path_factory.mktemp("http_kerberos"))
    made.set_up()
    with running(made.upstream), pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module", params=TRANSPORTS)
def caller_s(hops: WebHops, request: pytest.FixtureRequest) -> Iterator[tuple[str, Node]]:
    """A proxy that relays as its callers."""
    with running(hops.over(request.param, "delegated_auth")) as node:
        yield request.param, node


def logged_on(user: str) -> str:
    return f"Kerberos logon of {user}@{REALM} as {user}"


@pytest.mark.parametrize("spnego", [[], ["--spnego"]], ids=["plain", "spnego"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ocpy_client_with_tickets(hops: WebHops, tmp_path: Path, transport: str, spnego: list[str]) -> None:
    environment = hops.dc.environment(hops.dc.kinit(tmp_path / "ccache"))
    where = ["--endpoints", hops.upstream.ready_file, "--transport", transport, "--ca", hops.certificate, *spnego]

    def client(*options: str, check: bool = True) -> Any:
        return ocpy("client", *where, "--kerberos", *options, "folders", "--json", check=check, variables=environment)

    with hops.upstream.log.expect(logged_on("alice")):
        shown = client("--target", UPSTREAM_FQDN)
    assert "Inbox" in {folder["path"] for folder in json.loads(shown.stdout)}
    # Without its name the certificate is somebody else's.
    failed = client(check=False)
    assert failed.returncode == 1
    assert "certificate verify failed" in failed.stderr


def test_who_names_no_channel_is_refused_there(hops: WebHops, tmp_path: Path) -> None:
    """What makes the other tests here prove something: curl logs on with the same ticket."""
    environment = hops.dc.environment(hops.dc.kinit(tmp_path / "ccache"))
    https = hops.upstream.ready["https"]
    place = f"{UPSTREAM_FQDN}:{https['port']}"
    resolved = ("--resolve", f"{place}:{https['host']}", "--cacert", hops.certificate)
    with hops.upstream.log.expect("does not name the TLS channel"):
        url = f"https://{place}/mapi/emsmdb/"
        assert ping(url, *resolved, "--negotiate", "--user", ":", environment=environment)[0] == 401


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_machine_account(hops: WebHops, transport: str) -> None:
    """One account for all, which the proxy authorizes for: bob gave it access to his mailbox, alice did not."""
    with running(hops.over(transport, "use_machine_account")) as node:
        with hops.upstream.log.expect(rf"Kerberos logon of {MACHINE_ACCOUNT[:-1]}\$@{REALM} as {SERVER_NAME}\$"):
            assert asyncio.run(names_of(node, password("bob"), "bob")) == "bob"

        async def alice() -> None:
            async with channel(node, ticket("alice", forward=True)) as (_, emsmdb):
                await emsmdb.connect(DN + "alice")

        with pytest.raises(MapiError) as caught:
            asyncio.run(alice())
        assert caught.value.code == ErrorCode.AccessDenied


def test_a_forwarded_ticket(hops: WebHops, caller_s: tuple[str, Node]) -> None:
    _, node = caller_s
    relayed = rf"relayed to HTTP/{UPSTREAM_FQDN} as .*alice by forwarded ticket$"
    with hops.upstream.log.expect(logged_on("alice")), node.log.expect(relayed):
        assert asyncio.run(names_of(node, ticket("alice", forward=True), "alice")) == "alice"


def test_tickets_in_the_name_of_who_has_none(hops: WebHops, caller_s: tuple[str, Node]) -> None:
    """S4U2self and S4U2proxy, for each of the services that the transport logs on at; and for fewer it is refused."""
    transport, node = caller_s
    services = [f"{service}/{UPSTREAM_FQDN}" for service in SERVICES[transport]]
    undo = [("for-any-protocol", MACHINE_ACCOUNT, "off")]
    hops.dc.delegation("for-any-protocol", MACHINE_ACCOUNT, "on")
    try:
        for service in services:
            with node.log.expect(rf"bob can't be relayed to {service}"), pytest.raises(RpcFault):
                asyncio.run(names_of(node, password("bob"), "bob"))
            hops.dc.delegation("add-service", MACHINE_ACCOUNT, service)
            undo.append(("del-service", MACHINE_ACCOUNT, service))
        with hops.upstream.log.expect(logged_on("bob")), node.log.expect("as .*bob by constrained delegation"):
            assert asyncio.run(names_of(node, password("bob"), "bob")) == "bob"
    finally:
        for command in undo:
            hops.dc.delegation(*command)


def test_two_accounts_in_one_association_group(hops: WebHops, caller_s: tuple[str, Node]) -> None:
    """Each has connections upstream of its own; sessions of MAPI over HTTP are no other account's."""
    _, node = caller_s

    async def check() -> None:
        async with channel(node, ticket("alice", forward=True)) as (first, alice):
            await alice.connect(DN + "alice")
            bobs = channel(node, ticket("bob", forward=True), group=first.assoc_group)
            async with bobs as (_, bob):
                await bob.connect(DN + "bob")
                bob._cxh = alice._cxh
                with pytest.raises(RpcFault):
                    await bob.disconnect()
            await alice.disconnect()

    with hops.upstream.log.expect(logged_on("alice"), logged_on("bob")):
        asyncio.run(check())
