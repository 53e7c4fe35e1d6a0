"""Autodiscover of a relay for people whom only the server behind it knows: two whole nodes, over HTTPS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from openchange_py.addressbook.base import Kind
from openchange_py.cli.autodiscover import _pox_request
from openchange_py.servers.autodiscover import soap
from tests.auth.test_http import basic
from tests.mailboxes import exchange_attributes
from tests.node import ORGANIZATION, RunningNode, password_of, running_node
from tests.transports.http_parties import get, make_pair, raw_client, trusting
from tests.transports.serving import run

ZOE = ORGANIZATION.recipient_dn("zoe")
PAGES = {"xml": _pox_request, "svc": soap.request_all}

#: Asks the proxy for an address, as alice or somebody else, in one of both protocols.
Ask = Callable[..., Coroutine[Any, Any, str]]


def relaying(tmp_path: Path, test: Callable[[RunningNode, Ask], Coroutine[Any, Any, None]], *options: str) -> None:
    """Upstream are zoe, with a further address, the group staff and the hidden ann besides; the proxy has them not."""
    (upstream_place := tmp_path / "upstream").mkdir()
    (proxy_place := tmp_path / "proxy").mkdir()
    (proxy_place / "password").write_text(password_of("bob") + "\n")
    certificate, key = make_pair(proxy_place)

    async def main() -> None:
        async with running_node(upstream_place) as upstream:
            for user in ("zoe", "ann"):
                attributes = exchange_attributes(ORGANIZATION, "EXCH1", user, f"{user}@example.test", user.capitalize())
                attributes["proxyAddresses"] = [*attributes["proxyAddresses"], f"smtp:{user}.z@other.test"]
                if user == "ann":
                    attributes["msExchHideFromAddressLists"] = ["TRUE"]
                upstream.directory.create(Kind.USER, user, attributes)
            group = {"displayName": ["Staff"], "mail": ["staff@example.test"]}
            upstream.directory.create(Kind.GROUP, "staff", group | {"proxyAddresses": ["SMTP:staff@example.test"]})
            binding = f"dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{upstream.rpc_port},seal]"
            if any("binding" in option for option in options):
                binding = ""
            settings = [
                "dcerpc_mapiproxy:server = false",
                binding,
                "dcerpc_mapiproxy:username = bob",
                f"dcerpc_mapiproxy:password file = {proxy_place}/password",
                "ocpy:https port = 0",
                f"ocpy:tls certificate = {certificate}",
                f"ocpy:tls key = {key}",
                "ocpy:external fqdn = proxy.example.test",
                *options,
            ]
            async with running_node(proxy_place, options=settings) as proxy:
                port = json.loads(proxy.ready_file.read_text())["https"]["port"]

                async def ask(page: str, address: str, user: str = "alice") -> str:
                    fields = f"Authorization: {basic(user, password_of(user))}", "X-MapiHttpCapability: 1"
                    body = PAGES[page](address).decode()
                    async with raw_client(port, trusting(certificate)) as client:
                        request = get(f"/autodiscover/autodiscover.{page}", *fields, method="POST", body=body)
                        status, _, answer = await client.answer(request)
                    assert status == 200
                    return answer.decode()

                await test(upstream, ask)

    run(main)


@pytest.mark.parametrize("address", ["zoe@example.test", "ZOE.Z@other.test"])
def test_who_is_known_upstream_alone_is_led_to_this_server(tmp_path: Path, address: str) -> None:
    async def test(upstream: RunningNode, ask: Ask) -> None:
        told = await ask("xml", address)
        assert f"<LegacyDN>{ZOE}</LegacyDN>" in told
        assert "<AutoDiscoverSMTPAddress>zoe@example.test</AutoDiscoverSMTPAddress>" in told
        assert "<ExternalUrl>https://proxy.example.test:" in told
        assert "/mapi/emsmdb/?MailboxId=" in told
        assert f"<Value>{ZOE}</Value>" in await ask("svc", address)
        assert (await ask("xml", address)) == told, "the name of the mailbox stays the same"

    relaying(tmp_path, test)


@pytest.mark.parametrize("address", ["nobody@example.test", "staff@example.test", "zo@example.test"])
def test_others_are_unknown(tmp_path: Path, address: str) -> None:
    """Nobody, a group, and the beginning of a name."""

    async def test(upstream: RunningNode, ask: Ask) -> None:
        assert "<ErrorCode>500</ErrorCode>" in await ask("xml", address)
        assert "<ErrorCode>InvalidUser</ErrorCode>" in await ask("svc", address)

    relaying(tmp_path, test)


def test_who_is_hidden_upstream_is_unknown(tmp_path: Path) -> None:
    async def test(upstream: RunningNode, ask: Ask) -> None:
        assert "<ErrorCode>500</ErrorCode>" in await ask("xml", "ann@example.test")

    relaying(tmp_path, test)


def test_where_the_address_book_is_this_server_s_nobody_is_asked(tmp_path: Path) -> None:
    async def test(upstream: RunningNode, ask: Ask) -> None:
        assert "<ErrorCode>500</ErrorCode>" in await ask("xml", "zoe@example.test")

    relaying(tmp_path, test, "dcerpc_mapiproxy:nspi_server = nspi")


def test_an_upstream_that_does_not_answer_is_an_error_that_passes(tmp_path: Path) -> None:
    """Not "unknown", upon which clients give up."""

    async def test(upstream: RunningNode, ask: Ask) -> None:
        assert "<ErrorCode>603</ErrorCode>" in await ask("xml", "zoe@example.test")
        assert "<ErrorCode>InternalServerError</ErrorCode>" in await ask("svc", "zoe@example.test")

    relaying(tmp_path, test, "dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[9]")


def test_several_at_a_time(tmp_path: Path) -> None:
    async def test(upstream: RunningNode, ask: Ask) -> None:
        told = await asyncio.gather(*(ask("xml", "zoe@example.test", user) for user in ("alice", "bob") * 4))
        assert all(ZOE in one for one in told)

    relaying(tmp_path, test)
