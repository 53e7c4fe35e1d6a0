"""Messages created, changed and deleted through the client library, against the real server."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from openchange_py.client.errors import ClientError, NoSuchMessage
from openchange_py.client.mailbox import MailboxClient
from openchange_py.client.messages import RecipientInfo
from openchange_py.client.profile import Profile
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyTag
from tests.large_messages import Pattern, digest_of, upload
from tests.node import RunningNode, node_in_thread

T = TypeVar("T")

BOB = RecipientInfo(1, "Bob Exämple", "bob@example.test")
CAROL = RecipientInfo(2, "Carol", "carol@example.test")


@pytest.fixture(scope="module")
def writable_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """With empty mailboxes; every test writes into a folder of its own."""
    with node_in_thread(tmp_path_factory.mktemp("node"), {}) as running:
        yield running


@pytest.fixture
def folder(writable_node: RunningNode, request: pytest.FixtureRequest) -> FolderId:
    mailbox = writable_node.mailbox("alice")
    return mailbox.create_folder(mailbox.folder_by_path("Inbox").id, request.node.name[:200]).id


def in_mailbox(node: RunningNode, work: Callable[[MailboxClient], Awaitable[T]]) -> T:
    """Do something as alice."""

    async def opened() -> T:
        async with Profile(node.connector()) as profile:
            return await work(await profile.mailbox())

    return asyncio.run(opened())


def test_a_message_with_everything(writable_node: RunningNode, folder: FolderId) -> None:
    large = "x" * 100_000 + "é"
    named = PropertyTag(0x8001101F)

    async def work(mailbox: MailboxClient) -> None:
        async with await mailbox.create_message(folder) as message:
            values = {p.PidTagSubject: "RE: all", p.PidTagBody: large, p.PidTagHtml: b"<p>" * 20_000, named: ["a", "b"]}
            await message.set_properties(values)
            await message.set_recipients([BOB, CAROL, RecipientInfo(1, "Chief", "/o=x/ou=y/cn=Recipients/cn=chief")])
            assert await message.attach("kleine größe.txt", io.BytesIO(b"text"), "text/plain") == 0
            async with await message.new_attachment() as attachment:
                async with await attachment.new_message() as inner:
                    await inner.set_properties({p.PidTagSubject: "inner"})
                    await inner.set_recipients([BOB])
                    assert await inner.save() == 0
                await attachment.save()
            message_id = await message.save()
        async with await mailbox.open_message(folder, message_id) as read:
            info = await read.info()
            assert info.subject == "RE: all"
            assert [(r.kind, r.name, r.address) for r in info.recipients][:2] == [
                (1, BOB.name, BOB.address),
                (2, CAROL.name, CAROL.address),
            ]
            assert info.recipients[2].address == "/o=x/ou=y/cn=Recipients/cn=chief"
            assert await read.body() == large
            assert (await read.properties([named]))[named] == ["a", "b"]
            first, second = await read.attachments()
            assert (first.name, first.mime_type, second.is_message) == ("kleine größe.txt", "text/plain", True)
            target = io.BytesIO()
            assert await read.save_attachment(0, target) == 4
            async with await read.embedded(1) as embedded:
                assert (await embedded.info()).subject == "inner"

    in_mailbox(writable_node, work)


def test_changing_a_message(writable_node: RunningNode, folder: FolderId) -> None:
    async def work(mailbox: MailboxClient) -> None:
        message_id = await upload(mailbox, folder, size=100_000)
        async with await mailbox.change_message(folder, message_id) as message:
            await message.set_properties({p.PidTagSubject: "changed"})
            await message.delete_properties([p.PidTagBody])
            await message.delete_attachment(0)
            assert await message.attach("other.bin", io.BytesIO(b"other")) == 1
            await message.set_recipients([CAROL])
            assert await message.save() == message_id
            await message.set_properties({p.PidTagHtml: b"h" * 10_000})
            await message.resize_stream(p.PidTagHtml, 5000)
            assert await message.save() == message_id
        async with await mailbox.open_message(folder, message_id) as read:
            assert await read.body() is None
            assert (await read.info()).subject == "changed"
            assert [one.name for one in await read.attachments()] == ["other.bin"]
            assert await read.value(p.PidTagHtml) == b"h" * 5000

    in_mailbox(writable_node, work)


def test_two_who_change_the_same_message(writable_node: RunningNode, folder: FolderId) -> None:
    async def work(mailbox: MailboxClient) -> None:
        message_id = await upload(mailbox, folder, size=10)
        async with (
            await mailbox.change_message(folder, message_id) as first,
            await mailbox.change_message(folder, message_id) as second,
        ):
            for number, message in enumerate((first, second)):
                await message.set_properties({p.PidTagSubject: f"by {number}"})
            await first.save()
            with pytest.raises(MapiError) as raised:
                await second.save()
            assert raised.value.code == ErrorCode.ObjectChanged
            await second.save(force=True)
        assert (await mailbox.message_at(folder, 1)).subject == "by 1"

    in_mailbox(writable_node, work)


def test_deleting_and_marking(writable_node: RunningNode, folder: FolderId) -> None:
    async def work(mailbox: MailboxClient) -> None:
        ids = [await upload(mailbox, folder, size=10, subject=f"message {number}") for number in range(4)]
        assert await mailbox.mark_read(folder, ids[:2], read=False)
        assert [m.is_read for m in (await mailbox.messages(folder)).messages].count(False) == 2
        assert await mailbox.mark_read(folder, ids)
        assert all(m.is_read for m in (await mailbox.messages(folder)).messages)
        assert await mailbox.delete_messages(folder, ids[:2])
        assert not await mailbox.delete_messages(folder, [*ids[1:], MessageId(0x7FFFFFFFFFFF0001)])
        assert (await mailbox.messages(folder)).total == 0
        with pytest.raises(NoSuchMessage):
            await mailbox.change_message(folder, ids[0])

    in_mailbox(writable_node, work)


def test_what_the_server_does_not_set_is_named(writable_node: RunningNode, folder: FolderId) -> None:
    async def work(mailbox: MailboxClient) -> None:
        async with await mailbox.create_message(folder) as message:
            with pytest.raises(ClientError, match="PidTagMessageSize"):
                await message.set_properties({p.PidTagMessageSize: 5})

    in_mailbox(writable_node, work)


@pytest.mark.parametrize("size", [0, 1, 30_720, 30_721, 20_000_000])
def test_an_attachment_of_any_size(writable_node: RunningNode, folder: FolderId, tmp_path: Path, size: int) -> None:
    async def work(mailbox: MailboxClient) -> None:
        message_id = await upload(mailbox, folder, size=size, seed=7)
        async with await mailbox.open_message(folder, message_id) as message:
            with (tmp_path / "attachment").open("wb") as file:
                assert await message.save_attachment(0, file) == size

    in_mailbox(writable_node, work)
    with (tmp_path / "attachment").open("rb") as file:
        assert digest_of(file) == Pattern(size, 7).digest()
