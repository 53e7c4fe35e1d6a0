"""Nodes that stop, die and come back: what was there stays, and who relies on them is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from impacket.dcerpc.v5 import nspi, rpcrt

from openchange_py.rpc.call import FaultStatus
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rop.oxcstor import RopLogonPrivateResponse
from tests.interop.foreign import RECIPIENTS, Session, connection, session
from tests.interop.nodes import Site, running_site

#: A site of its own: here its nodes go down, and another worker may have the other site.
pytestmark = pytest.mark.xdist_group("restart")

#: Seconds in which a client must have been told that the server behind the hybrid is gone.
SOON = 10.0


@pytest.fixture(scope="module")
def own_site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def site(own_site: Site) -> Site:
    """Both nodes run."""
    for node in (own_site.exchange, own_site.hybrid):
        if not node.alive:
            node.start()
            node.wait_until_ready()
    return own_site


async def mailbox(site: Site) -> dict[str, Any]:
    """All that alice sees: folders with their ids, messages with theirs, and a text."""
    async with site.profile(site.hybrid, "alice") as profile:
        opened = await profile.mailbox()
        inbox = await opened.find_folder("Inbox")
        page = await opened.messages(inbox.id)
        async with await opened.open_message(inbox.id, page.messages[0].id) as message:
            body = await message.body()
        return {
            "folders": await opened.folders(),
            "messages": page.messages,
            "body": body,
            "guid": opened.answer.mailbox_guid,
        }


def mids(site: Site) -> list[int]:
    """Minimal Entry Ids of both users at the hybrid."""
    with connection(site, site.hybrid, NSPI) as dce:
        handle = nspi.hNspiBind(dce)["contextHandle"]
        found = nspi.hNspiDNToMId(dce, handle, [f"{RECIPIENTS}alice", f"{RECIPIENTS}bob"])
        return [mid["Data"] for mid in found["ppOutMIds"]["aulPropTag"]]


def test_data_and_ids_survive_a_restart(site: Site) -> None:
    before, mids_before = asyncio.run(mailbox(site)), mids(site)
    assert all(mid >= 0x10 for mid in mids_before)
    for node in (site.hybrid, site.exchange):
        assert node.stop() == 0
        assert not node.ready_file.exists()
    for node in (site.exchange, site.hybrid):
        node.start()
        node.wait_until_ready()
    assert asyncio.run(mailbox(site)) == before
    assert mids(site) == mids_before


def test_data_survives_kill_9(site: Site) -> None:
    before, mids_before = asyncio.run(mailbox(site)), mids(site)
    for node in (site.hybrid, site.exchange):
        node.kill()
        node.start()
        node.wait_until_ready()
    assert asyncio.run(mailbox(site)) == before
    assert mids(site) == mids_before


def test_the_server_behind_the_hybrid_dies(site: Site) -> None:
    """A client in its session gets a fault at once, the next ones too; once it is back, all get what they want."""
    with session(site, site.hybrid, "alice") as opened:
        assert isinstance(opened.log_on("alice")[0], RopLogonPrivateResponse)
        site.exchange.kill()
        started = time.monotonic()
        with (
            site.hybrid.log.expect("WARNING .*openchange_py.proxy"),
            pytest.raises(rpcrt.DCERPCException, match=f"{FaultStatus.CALL_FAILED:08x}|context_mismatch"),
        ):
            opened.log_on("alice")

        with connection(site, site.hybrid, EMSMDB, "bob") as dce:
            with (
                site.hybrid.log.expect("WARNING .*no upstream connection for exchange_emsmdb"),
                pytest.raises(rpcrt.DCERPCException, match=f"{FaultStatus.SERVER_UNAVAILABLE:08x}"),
            ):
                Session(dce).connect("bob")
            assert time.monotonic() - started < SOON
            assert mids(site)  # the address book is the hybrid's own

            site.exchange.start()
            site.exchange.wait_until_ready()
            again = Session(dce)
            assert again.connect("bob").return_value == ErrorCode.Success
            assert isinstance(again.log_on("bob")[0], RopLogonPrivateResponse)

        # The old handle died with the server; a new session on the same connection works.
        with pytest.raises(rpcrt.DCERPCException, match="context_mismatch"):
            opened.log_on("alice")
        assert opened.connect("alice").return_value == ErrorCode.Success
        assert isinstance(opened.log_on("alice")[0], RopLogonPrivateResponse)
    assert asyncio.run(mailbox(site))["messages"]


def test_ocpy_client_says_that_nothing_listens(site: Site) -> None:
    site.exchange.stop()
    done = site.client(site.hybrid, "alice", "folders", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
