"""Being told of what happens, over a real connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from openchange_py.client.notifications import subscribe
from openchange_py.client.profile import Profile
from openchange_py.mime.importer import message_draft
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.rop.oxcnotif import NotificationType, RopNotifyResponse
from tests.node import RunningNode, running_node

MAIL = b"Subject: hello\r\n\r\nbody"


def deliver(node: RunningNode, count: int = 1) -> list[int]:
    """As another process does it."""
    mailbox = node.mailbox("alice")
    inbox = mailbox.folder_by_path("Inbox").id
    return [mailbox.deliver_message(inbox, message_draft(MAIL)) for _ in range(count)]


def test_new_mail_is_told_as_it_comes(tmp_path: Path) -> None:
    async def work() -> None:
        async with running_node(tmp_path) as node, Profile(node.connector()) as profile:
            mailbox = await profile.mailbox()
            subscription = await subscribe(mailbox, NotificationType.NewMail)
            waiter = await profile.waiter()
            events = waiter.events()
            told: list[RopNotifyResponse] = []
            for count in (1, 3):
                expected = await asyncio.to_thread(deliver, node, count)
                async with asyncio.timeout(30):
                    told = [await anext(events) for _ in range(count)]
                assert [one.notification_data.message_id for one in told] == expected
            assert {one.notification_handle for one in told} == {subscription.handle}
            subscription.release()
            await asyncio.to_thread(deliver, node)
            assert await profile.mailbox() is not mailbox
            assert await (await profile.session()).fetch() == []

    asyncio.run(work())


def test_thousands_of_events_come_in_several_answers(tmp_path: Path) -> None:
    async def work() -> None:
        async with running_node(tmp_path) as node, Profile(node.connector()) as profile:
            mailbox = await profile.mailbox()
            inbox = (await mailbox.find_folder("Inbox")).id
            await subscribe(mailbox, NotificationType.ObjectCreated, inbox)
            waiter = await profile.waiter()
            store = node.mailbox("alice")
            saved = await asyncio.to_thread(store.save_messages, inbox, [message_draft(MAIL)] * 400)
            assert await waiter.wait()
            told = await (await profile.session()).fetch()
            assert [one.notification_data.message_id for one in told] == saved

    asyncio.run(work())


def test_a_second_wait_of_one_session_is_rejected(tmp_path: Path) -> None:
    async def work() -> None:
        async with running_node(tmp_path) as node, Profile(node.connector()) as profile:
            mailbox = await profile.mailbox()
            await subscribe(mailbox, NotificationType.NewMail)
            first = asyncio.ensure_future((await profile.waiter()).wait())
            second = await profile.waiter()
            with pytest.raises(MapiError) as raised:
                await second.wait()
            assert raised.value.code == ErrorCode.Rejected
            await asyncio.to_thread(deliver, node)
            assert await first

    asyncio.run(work())
