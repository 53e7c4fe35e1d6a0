"""New mail from another process reaches clients that wait: at the server itself, and through the hybrid's relay."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from openchange_py.client.notifications import subscribe
from openchange_py.client.profile import Profile
from openchange_py.wire.rop.oxcnotif import NotificationData, NotificationType
from tests.interop import new_mail
from tests.interop.new_mail import soonest
from tests.interop.nodes import PATIENCE, Node, Site, environment, ocpy, running_site

pytestmark = pytest.mark.xdist_group("notifying site")

MAIL = "From: Bob <bob@example.test>\nTo: alice@example.test\nSubject: {subject}\n\nhello\n"
#: Sessions that wait at once in these tests.
SESSIONS = 12


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One whose mailboxes these tests fill."""
    with running_site() as running:
        yield running


@pytest.fixture(params=["exchange", "hybrid"])
def node(site: Site, request: pytest.FixtureRequest) -> Node:
    found: Node = getattr(site, request.param)
    return found


def deliver(site: Site, subject: str, user: str = "alice@example.test") -> float:
    """`ocpy deliver` as a process; when it ended."""
    return new_mail.deliver(site.exchange.config, subject, user)


def test_both_nodes_offer_the_asynchronous_interface(site: Site, node: Node) -> None:
    assert "exchange_async_emsmdb" in node.ready["interfaces"]
    listed = ocpy("client", "--server", "127.0.0.1", "--port", str(node.mapper_port), "endpoints").stdout
    assert "exchange_async_emsmdb" in listed
    shown = ocpy("testparm", "-c", node.config).stdout
    assert "not offered" not in shown


def test_new_mail_comes_within_a_second(site: Site, node: Node) -> None:
    """Over TCP; `test_http_waiting.py` and `test_bridge.py` have the other transports."""
    assert soonest(site.profile(node, "alice"), lambda subject: deliver(site, subject), node.name) < 1.0


def test_sessions_that_wait_hold_up_nobody_and_all_are_told(site: Site, node: Node) -> None:
    """More of them than the server has worker threads."""

    async def wait(profile: Profile, waiting: asyncio.Semaphore) -> NotificationData:
        await subscribe(await profile.mailbox(), NotificationType.NewMail)
        events = (await profile.waiter()).events()
        coming = asyncio.ensure_future(anext(events))
        waiting.release()
        return (await coming).notification_data

    async def work() -> None:
        async with contextlib.AsyncExitStack() as stack:
            waiting = asyncio.Semaphore(0)
            tasks = []
            for _ in range(SESSIONS):
                profile = await stack.enter_async_context(site.profile(node, "alice"))
                tasks.append(asyncio.ensure_future(wait(profile, waiting)))
                await waiting.acquire()
            other = await stack.enter_async_context(site.profile(node, "bob"))
            assert await (await other.mailbox()).folders(), "somebody else is served meanwhile"
            await asyncio.to_thread(deliver, site, "to all")
            async with asyncio.timeout(PATIENCE):
                told = await asyncio.gather(*tasks)
            assert len({data.message_id for data in told}) == 1

    asyncio.run(work())


def test_watch_as_a_process_hears_of_deliver_as_a_process(site: Site, node: Node) -> None:
    account = ["--endpoints", node.ready_file, "--user", "alice", "--password-file", site.password_file("alice")]
    watch = ["watch", "--on", "new-mail", "--count", "1", "--seconds", str(PATIENCE), "--json"]
    command = [sys.executable, "-m", "openchange_py", "client", *account, *watch]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), stdin=subprocess.DEVNULL
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "watching\n"
        deliver(site, "to watch")
        shown, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, said
    event = json.loads(shown)
    assert (event["event"], event["folder"], event["message_class"]) == ("new-mail", "Inbox", "IPM.Note")


def test_deliveries_at_once_are_all_there(site: Site) -> None:
    before = site.client(site.exchange, "bob", "messages", "--json")["total"]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: deliver(site, f"mail {number}", "bob"), range(6)))
    listed = site.client(site.exchange, "bob", "messages", "--json")
    assert listed["total"] == before + 6
    assert {message["subject"] for message in listed["messages"]} >= {f"mail {number}" for number in range(6)}


def test_who_has_no_mailbox_is_told_apart_from_what_can_be_tried_again(site: Site) -> None:
    for user, code in (("nobody@example.test", os.EX_NOUSER), ("alice", 0)):
        command = ["deliver", "-c", site.exchange.config, user]
        assert ocpy(*command, stdin=MAIL.format(subject="x"), check=False).returncode == code
    missing = ocpy("deliver", "-c", site.place / "none.conf", "alice", stdin=MAIL, check=False)
    assert missing.returncode == os.EX_TEMPFAIL, missing.stderr
