"""Writing to mailboxes through real processes: large attachments, several writers, and a server that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator

import pytest

from openchange_py.client.mailbox import MailboxClient
from openchange_py.client.messages import RemoteMessage
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from tests.interop.nodes import Node, Site, running_site
from tests.large_messages import MEGABYTE, Pattern, upload

#: A site of its own: here its nodes go down.
pytestmark = pytest.mark.xdist_group("writing")

WRITERS = 4


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site() as running:
        yield running


class Digest:
    """A file of which nothing is kept."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)


async def attached(message: RemoteMessage) -> str:
    """SHA-256 of the first attachment."""
    file = Digest()
    await message.save_attachment(0, file)  # type: ignore[arg-type]  # nothing but `write` is used
    return file.digest.hexdigest()


async def digest(site: Site, node: Node, folder: str, message_id: MessageId) -> str:
    """The same of a saved message, read in a session of its own."""
    async with site.profile(node, "alice") as profile:
        mailbox = await profile.mailbox()
        folder_id = (await mailbox.find_folder(folder)).id
        async with await mailbox.open_message(folder_id, message_id) as message:
            return await attached(message)


@pytest.mark.parametrize("through", ["exchange", "hybrid"])
def test_a_large_attachment_comes_back_byte_for_byte(site: Site, through: str) -> None:
    written, read = (site.exchange, site.hybrid) if through == "exchange" else (site.hybrid, site.exchange)

    async def write() -> MessageId:
        async with site.profile(written, "alice") as profile:
            mailbox = await profile.mailbox()
            folder = await mailbox.find_folder("Drafts")
            return await upload(mailbox, folder.id, size=20 * MEGABYTE, seed=3)

    message_id = asyncio.run(write())
    assert asyncio.run(digest(site, read, "Drafts", message_id)) == Pattern(20 * MEGABYTE, 3).digest()


def test_several_write_at_once(site: Site) -> None:
    """And nobody gets another one's bytes."""

    async def one(number: int) -> tuple[int, MessageId]:
        async with site.profile(site.hybrid, "alice") as profile:
            mailbox = await profile.mailbox()
            folder = await mailbox.find_folder("Junk Email")
            return number, await upload(mailbox, folder.id, size=3 * MEGABYTE + number, seed=number)

    async def all_of_them() -> list[tuple[int, MessageId]]:
        return await asyncio.gather(*map(one, range(WRITERS)))

    made = asyncio.run(all_of_them())
    assert len({message_id for _, message_id in made}) == WRITERS
    for number, message_id in made:
        found = asyncio.run(digest(site, site.exchange, "Junk Email", message_id))
        assert found == Pattern(3 * MEGABYTE + number, number).digest()


async def unfinished(mailbox: MailboxClient, folder: FolderId) -> None:
    """All but the last ROP of a message with a large attachment."""
    message = await mailbox.create_message(folder)
    await message.set_properties({p.PidTagSubject: "never saved"})
    await message.attach("large.bin", Pattern(5 * MEGABYTE))  # type: ignore[arg-type]


def rows(site: Site) -> tuple[int, int]:
    """Messages in the database, and those among them that are in no folder and no message."""
    with contextlib.closing(sqlite3.connect(site.place / site.exchange.name / "mailboxes.db")) as connection:
        (total,) = connection.execute("SELECT count(*) FROM messages").fetchone()
        (holders,) = connection.execute(
            "SELECT count(*) FROM messages WHERE mid IS NULL AND parent_id IS NULL"
        ).fetchone()
    return total, holders


def test_what_was_acknowledged_survives_kill_9_and_the_rest_is_nowhere(site: Site) -> None:
    async def until_killed() -> tuple[MessageId, int]:
        async with site.profile(site.exchange, "alice") as profile:
            mailbox = await profile.mailbox()
            folder = (await mailbox.find_folder("Sent Items")).id
            saved = await upload(mailbox, folder, size=5 * MEGABYTE, seed=9)
            await unfinished(mailbox, folder)
            total = (await mailbox.messages(folder)).total
            await asyncio.to_thread(site.exchange.kill)
            with pytest.raises(ConnectionLost):
                await mailbox.messages(folder)
        return saved, total

    async def afterwards() -> int:
        async with site.profile(site.exchange, "alice") as profile:
            mailbox = await profile.mailbox()
            folder = (await mailbox.find_folder("Sent Items")).id
            page = await mailbox.messages(folder)
            assert "never saved" not in {message.subject for message in page.messages}
            return page.total

    saved, total = asyncio.run(until_killed())
    site.exchange.start()
    site.exchange.wait_until_ready()
    assert asyncio.run(afterwards()) == total
    assert asyncio.run(digest(site, site.exchange, "Sent Items", saved)) == Pattern(5 * MEGABYTE, 9).digest()
    assert rows(site)[1] == 1


def test_who_goes_without_saving_leaves_nothing(site: Site) -> None:
    before = rows(site)

    async def leave() -> None:
        async with site.profile(site.exchange, "alice") as profile:
            mailbox = await profile.mailbox()
            await unfinished(mailbox, (await mailbox.find_folder("Inbox")).id)
            assert rows(site)[1] == before[1] + 1

    asyncio.run(leave())
    assert rows(site) == before
