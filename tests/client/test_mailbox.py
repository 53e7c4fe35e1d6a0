"""Folders and lists of messages, against the real server."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from openchange_py.client.errors import ClientError, NoSuchFolder, NoSuchMessage
from openchange_py.client.mailbox import MailboxClient, _tree, format_id, parse_id
from openchange_py.client.profile import Profile
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from tests.client.conftest import MANY
from tests.node import RunningNode

T = TypeVar("T")


def in_mailbox(node: RunningNode, work: Callable[[MailboxClient], Awaitable[T]], owner: str | None = None) -> T:
    """Do something in alice's mailbox, or with her account in another one."""

    async def logged_on() -> T:
        async with Profile(node.connector()) as profile:
            return await work(await profile.mailbox(owner))

    return asyncio.run(logged_on())


def test_the_tree_of_folders_has_paths_and_counts(node: RunningNode) -> None:
    folders = in_mailbox(node, lambda mailbox: mailbox.folders())
    by_path = {folder.path: folder for folder in folders}
    assert {"Inbox", "Inbox/Projects", "Inbox/Projects/Ångström\\/2024", "Sent Items", "Calendar"} <= by_path.keys()
    assert (by_path["Inbox"].count, by_path["Inbox"].unread) == (MANY + 1, MANY + 1)
    assert (by_path["Inbox/Projects"].count, by_path["Inbox/Projects"].unread) == (1, 0)
    assert by_path["Inbox/Projects"].depth == 1
    assert by_path["Inbox/Projects"].parent_id == by_path["Inbox"].id
    assert by_path["Calendar"].container_class == "IPF.Appointment"
    paths = [folder.path for folder in folders]
    assert paths.index("Inbox/Projects") == paths.index("Inbox") + 1


@pytest.mark.parametrize("path", ["Inbox", "inbox", "/INBOX/", "Inbox/Projects", "inbox/projects/ångström\\/2024"])
def test_folders_are_found_whatever_the_case(node: RunningNode, path: str) -> None:
    folder = in_mailbox(node, lambda mailbox: mailbox.find_folder(path))
    assert folder.path.casefold() == path.strip("/").casefold()


def test_a_folder_that_is_not_there_is_told_with_what_is_near(node: RunningNode) -> None:
    with pytest.raises(NoSuchFolder, match="no folder 'Inbx'; did you mean Inbox"):
        in_mailbox(node, lambda mailbox: mailbox.find_folder("Inbx"))


def test_special_folders_are_found_by_their_english_names(node: RunningNode) -> None:
    """A mailbox made in another language calls its Inbox otherwise; RopLogon tells which folder it is."""

    async def work(mailbox: MailboxClient) -> str:
        folders = await mailbox.folders()
        renamed = next(folder for folder in folders if folder.name == "Drafts")
        mailbox.answer.folder_ids[5] = renamed.id

        async def without_outbox() -> list[object]:
            return [folder for folder in folders if folder.name != "Outbox"]

        mailbox.folders = without_outbox  # type: ignore[method-assign, assignment]
        return (await mailbox.find_folder("Outbox")).name

    assert in_mailbox(node, work) == "Drafts"


def test_all_messages_come_page_by_page_newest_first(node: RunningNode) -> None:
    async def work(mailbox: MailboxClient) -> list[str]:
        inbox = await mailbox.find_folder("Inbox")
        page = await mailbox.messages(inbox.id)
        assert page.total == MANY + 1
        assert [message.number for message in page.messages] == list(range(1, MANY + 2))
        assert len({message.id for message in page.messages}) == MANY + 1
        return [message.subject for message in page.messages]

    assert in_mailbox(node, work) == ["RE: everything", *(f"message {n}" for n in reversed(range(MANY)))]


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        (0, 2, ["RE: everything", f"message {MANY - 1}"]),
        (1, 1, [f"message {MANY - 1}"]),
        (MANY - 1, 10, ["message 1", "message 0"]),
        (MANY + 1, 10, []),
        (5000, 10, []),
        (0, 0, []),
    ],
)
def test_a_part_of_the_messages(node: RunningNode, start: int, limit: int, expected: list[str]) -> None:
    async def work(mailbox: MailboxClient) -> list[str]:
        inbox = await mailbox.find_folder("Inbox")
        return [message.subject for message in (await mailbox.messages(inbox.id, start, limit)).messages]

    assert in_mailbox(node, work) == expected


def test_what_a_list_tells_of_a_message(node: RunningNode) -> None:
    async def work(mailbox: MailboxClient) -> None:
        inbox = await mailbox.find_folder("Inbox")
        newest, second = (await mailbox.messages(inbox.id, 0, 2)).messages
        assert newest.sender == "Carol Chief"
        assert newest.has_attachments
        assert newest.importance == 2
        assert not newest.is_read
        assert newest.to.startswith("Person 0")
        assert newest.size > 500_000
        assert newest.time == datetime.datetime(2024, 1, 7, 22, 40, tzinfo=datetime.UTC)
        assert not second.has_attachments
        projects = await mailbox.find_folder("Inbox/Projects")
        assert [m.is_read for m in (await mailbox.messages(projects.id)).messages] == [True]

    in_mailbox(node, work)


def test_a_message_by_its_number(node: RunningNode) -> None:
    async def work(mailbox: MailboxClient) -> None:
        inbox = await mailbox.find_folder("Inbox")
        assert (await mailbox.message_at(inbox.id, 2)).subject == f"message {MANY - 1}"
        with pytest.raises(NoSuchMessage, match=f"no message {MANY + 2}: the folder has {MANY + 1}"):
            await mailbox.message_at(inbox.id, MANY + 2)
        with pytest.raises(NoSuchMessage, match="counted from 1"):
            await mailbox.message_at(inbox.id, 0)
        with pytest.raises(NoSuchMessage, match="no message 1-fffff"):
            await mailbox.open_message(inbox.id, parse_id("1-fffff"))

    in_mailbox(node, work)


def test_somebody_elses_mailbox_is_the_servers_to_refuse(node: RunningNode) -> None:
    with pytest.raises(MapiError, match="RopLogon") as refused:
        in_mailbox(node, lambda mailbox: mailbox.folders(), owner="bob")
    assert refused.value.code == ErrorCode.LoginPermission


def test_ids_are_short_texts() -> None:
    assert format_id(parse_id("1-2a")) == "1-2a"
    assert parse_id("1-2A") == MessageId(0x2A00_0000_0000_0001)
    for wrong in ("", "1", "1-", "-1", "x-1", "1-1-1", "10000-1", "1-1000000000000", "1--1"):
        with pytest.raises(ValueError):
            parse_id(wrong)


def test_folders_that_are_in_each_other_are_left_out() -> None:
    """A hierarchy with a loop ends; what hangs in the loop alone is no part of the tree."""

    def row(number: int, parent: int) -> dict[object, object]:
        return {p.PidTagFolderId: number, p.PidTagParentFolderId: parent, p.PidTagDisplayName: f"f{number}"}

    rows = [row(3, 2), row(2, 1), row(5, 6), row(6, 5), row(4, 4)]
    assert [folder.path for folder in _tree(rows, FolderId(1))] == ["f2", "f2/f3"]  # type: ignore[arg-type]


def test_folders_too_deep_in_each_other_are_an_error() -> None:
    rows = [{p.PidTagFolderId: n + 1, p.PidTagParentFolderId: n, p.PidTagDisplayName: "f"} for n in range(1, 500)]
    with pytest.raises(ClientError, match="deep"):
        _tree(rows, FolderId(1))
