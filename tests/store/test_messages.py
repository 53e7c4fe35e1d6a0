"""Messages in the tables: sizes, and that deleting one leaves nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from openchange_py.store import schema
from openchange_py.store.base import AttachmentDraft, Mailbox, MessageDraft, Recipient, SpecialFolder
from openchange_py.store.database import Database
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire import proptags


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(address)
    return address


@pytest.fixture
def mailbox(url: str) -> Iterator[Mailbox]:
    store = open_store(url)
    yield store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    store.close()


def nested() -> MessageDraft:
    inner = MessageDraft({proptags.PidTagBody: "x" * 20_000}, [Recipient(1, {proptags.PidTagDisplayName: "Bob"})])
    return MessageDraft({}, [Recipient(1, {proptags.PidTagDisplayName: "Bob"})], [AttachmentDraft({}, inner)])


def test_nothing_is_left_of_a_deleted_message(url: str, mailbox: Mailbox) -> None:
    mailbox.save_message(mailbox.special_folders()[SpecialFolder.INBOX], nested())
    tables = [schema.messages, schema.message_properties, schema.recipients, schema.attachments]
    tables += [schema.contents, schema.content_chunks]
    database = Database(url)
    with database.writing() as connection:
        assert all(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
        connection.execute(text("DELETE FROM messages WHERE parent_id IS NULL"))
        assert not any(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
    database.close()


def test_an_embedded_message_is_in_no_folder(mailbox: Mailbox) -> None:
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    outer = mailbox.message(mailbox.save_message(inbox, nested()))
    embedded = outer.attachments()[0].embedded()
    assert embedded is not None
    for tag in (proptags.PidTagMid, proptags.PidTagFolderId, proptags.PidTagSourceKey):
        assert tag in outer.properties
        assert tag not in embedded.properties
    assert embedded.properties[proptags.PidTagChangeNumber] == outer.properties[proptags.PidTagChangeNumber]
    assert mailbox.folder(inbox).properties[proptags.PidTagContentCount] == 1
    assert embedded.recipients[0].properties[proptags.PidTagDisplayName] == "Bob"


def test_the_size_counts_all_parts(mailbox: Mailbox) -> None:
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    draft = MessageDraft(
        {proptags.PidTagBody: "x" * 100},
        [Recipient(1, {proptags.PidTagDisplayName: "Bob"})],
        [AttachmentDraft({proptags.PidTagAttachDataBinary: b"y" * 30_000})],
    )
    message = mailbox.message(mailbox.save_message(inbox, draft))
    assert message.properties[proptags.PidTagMessageSize] == (4 + 200) + (4 + 6) + (4 + 30_000)
    assert message.attachments()[0].properties[proptags.PidTagAttachSize] == 4 + 30_000
    assert mailbox.folder(inbox).properties[proptags.PidTagMessageSize] == 30_218


def test_times_that_are_given_are_kept(mailbox: Mailbox) -> None:
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    times = {proptags.PidTagCreationTime: 5, proptags.PidTagLastModificationTime: 6}
    message = mailbox.message(mailbox.save_message(inbox, MessageDraft(dict(times))))
    assert {tag: message.properties[tag] for tag in times} == times


@pytest.mark.parametrize(
    ("flags", "expected", "read"), [(0, 0, False), (1, 1, True), (0x51, 1, True), (None, 8, False)]
)
def test_flags(mailbox: Mailbox, flags: int | None, expected: int, read: bool) -> None:
    """Read is a state of its own; attachments and associated follow from what was saved; a draft is unsent."""
    draft = MessageDraft({} if flags is None else {proptags.PidTagMessageFlags: flags})
    message = mailbox.message(mailbox.save_message(mailbox.special_folders()[SpecialFolder.INBOX], draft))
    assert message.properties[proptags.PidTagMessageFlags] == expected
    assert message.properties[proptags.PidTagRead] is read
