"""The client library over HTTP, with a whole server behind: address book, mailbox, events; RPC over HTTP: who may."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openchange_py.client.connection import Account, Connector, Server
from openchange_py.client.errors import ClientError, LogonRefused, Unreachable
from openchange_py.client.profile import Profile
from openchange_py.client.web import Web, WebTransport
from openchange_py.transports.tls import ClientTls
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcrpc import EMSMDB
from tests.node import RunningNode, running_node
from tests.rpc.echo import ECHO
from tests.transports.http_parties import make_pair
from tests.transports.serving import run

MAPI = WebTransport.MAPI_HTTP


@contextlib.asynccontextmanager
async def https_node(place: Path) -> AsyncIterator[tuple[RunningNode, Web]]:
    """A node, and where it is over HTTPS."""
    certificate, key = make_pair(place)
    options = ["ocpy:https port = 0", f"ocpy:tls certificate = {certificate}", f"ocpy:tls key = {key}"]
    async with running_node(place, options=options) as node:
        port = json.loads(node.ready_file.read_text())["https"]["port"]
        yield node, Web(MAPI, "localhost", port, ClientTls(certificate))


@pytest.mark.parametrize("spnego", [False, True])
def test_address_book_and_mailbox_over_mapi_over_http(tmp_path: Path, spnego: bool) -> None:
    async def main() -> None:
        async with https_node(tmp_path) as (node, web):
            connector = Connector(node.server, node.account("alice"), web=web, spnego=spnego, call_timeout=30.0)
            async with Profile(connector) as profile:
                nspi = await profile.address_book()
                assert {row.get(p.PidTagAccount) async for row in nspi.query_rows()} >= {"alice", "bob"}
                mailbox = await profile.mailbox()
                assert "Inbox" in {folder.name for folder in await mailbox.folders()}
                assert await profile.referral() == "localhost"

    run(main)


def test_who_is_refused_and_what_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with https_node(tmp_path) as (node, web):
            with pytest.raises(LogonRefused, match="refuses the logon"):
                await Connector(node.server, Account("alice", "EXAMPLE", "wrong"), web=web).connect(EMSMDB)
            with pytest.raises(ClientError, match="who logs on"):
                await Connector(node.server, web=web).connect(EMSMDB)
            stranger = Web(MAPI, web.host, web.port, ClientTls())
            with pytest.raises(Unreachable, match="certificate"):
                await Connector(node.server, node.account("alice"), web=stranger).connect(EMSMDB)
        with pytest.raises(Unreachable, match="nothing listens there"):
            await Connector(node.server, node.account("alice"), web=web).connect(EMSMDB)

    run(main)


def test_rpc_over_http_says_what_it_can_not() -> None:
    async def main() -> None:
        account = Account("alice", "EXAMPLE", "secret")
        web = Web(WebTransport.RPC_HTTP, "127.0.0.1", 1, ClientTls())
        with pytest.raises(ClientError, match="is not reached over"):
            await Connector(Server("127.0.0.1"), account, web=web).connect(ECHO)
        web = Web(WebTransport.RPC_HTTP, "127.0.0.1", 1, ClientTls())
        with pytest.raises(Unreachable, match="exchange_emsmdb"):
            await Connector(Server("127.0.0.1"), account, web=web).connect(EMSMDB)

    run(main)


@pytest.mark.parametrize("spnego", [False, True])
def test_a_mailbox_over_rpc_over_http(tmp_path: Path, spnego: bool) -> None:
    async def main() -> None:
        async with https_node(tmp_path) as (node, web):
            web = Web(WebTransport.RPC_HTTP, web.host, web.port, web.tls)
            connector = Connector(node.server, node.account("alice"), web=web, spnego=spnego, call_timeout=30.0)
            async with Profile(connector) as profile:
                mailbox = await profile.mailbox()
                assert "Inbox" in {folder.name for folder in await mailbox.folders()}
            with pytest.raises(LogonRefused):
                await Connector(node.server, Account("alice", "EXAMPLE", "wrong"), web=web).connect(EMSMDB)

    run(main)
