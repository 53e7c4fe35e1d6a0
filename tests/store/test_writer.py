"""Saving a message anew: what it was is gone, what stays is not copied."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from openchange_py.store import schema
from openchange_py.store.base import (
    AttachmentDraft,
    Mailbox,
    Message,
    MessageDraft,
    Recipient,
    StoreError,
)
from openchange_py.store.database import Database
from openchange_py.store.writer import EMBEDDING_LIMIT, finish_writing
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId


def draft_of(message: Message) -> MessageDraft:
    """A message as it would be saved again."""
    attachments = []
    for one in message.attachments():
        inner = one.embedded()
        attachments.append(AttachmentDraft(one.properties, inner and draft_of(inner), one.number))
    return MessageDraft(dict(message.properties), list(message.recipients), attachments)


def rich() -> MessageDraft:
    inner = MessageDraft({p.PidTagSubject: "inner", p.PidTagBody: "i" * 30_000})
    inner.attachments = [AttachmentDraft({p.PidTagAttachDataBinary: b"deep" * 10_000})]
    outer = MessageDraft({p.PidTagSubject: "RE: outer", p.PidTagBody: "o" * 30_000, p.PidTagHtml: b"h" * 20_000})
    outer.recipients = [Recipient(1, {p.PidTagDisplayName: "Bob"})]
    outer.attachments = [
        AttachmentDraft({p.PidTagAttachDataBinary: b"first" * 10_000}),
        AttachmentDraft({}, inner),
        AttachmentDraft({p.PidTagAttachDataBinary: b"small"}),
    ]
    return outer


def contents(url: str) -> set[int]:
    database = Database(url)
    with database.reading() as connection:
        found = set(connection.execute(select(schema.contents.c.id)).scalars())
    database.close()
    return found


def test_saving_what_was_read_changes_nothing_and_copies_nothing(url: str, mailbox: Mailbox, inbox: FolderId) -> None:
    identifier = mailbox.save_message(inbox, rich())
    before, kept = mailbox.message(identifier), contents(url)
    size = mailbox.folder(inbox).properties[p.PidTagMessageSizeExtended]
    mailbox.change_message(identifier, draft_of(before))
    after = mailbox.message(identifier)
    assert contents(url) == kept
    changed = {tag for tag in before.properties if after.properties[tag] != before.properties[tag]}
    large = {p.PidTagBody, p.PidTagHtml}
    assert changed - large <= {
        p.PidTagChangeNumber,
        p.PidTagChangeKey,
        p.PidTagPredecessorChangeList,
        p.PidTagLastModificationTime,
        p.PidTagLocalCommitTime,
        p.PidTagMessageSize,
        p.PidTagMessageSizeExtended,
    }
    assert after.recipients == before.recipients
    inner = after.attachments()[1].embedded()
    assert inner is not None
    assert inner.attachments()[0].properties[p.PidTagAttachDataBinary].read(0, 4) == b"deep"
    assert inner.properties[p.PidTagSubject] == "inner"
    again = mailbox.folder(inbox).properties[p.PidTagMessageSizeExtended]
    assert 0 <= again - size < 500
    assert again == after.properties[p.PidTagMessageSizeExtended]


def test_what_the_new_draft_has_not_is_gone(url: str, mailbox: Mailbox, inbox: FolderId) -> None:
    identifier = mailbox.save_message(inbox, rich())
    draft = draft_of(mailbox.message(identifier))
    del draft.properties[p.PidTagHtml]
    draft.properties[p.PidTagBody] = "short"
    draft.attachments = draft.attachments[2:]
    draft.recipients = []
    mailbox.change_message(identifier, draft)
    message = mailbox.message(identifier)
    assert p.PidTagHtml not in message.properties
    assert message.properties[p.PidTagBody] == "short"
    assert message.properties[p.PidTagDisplayTo] == ""
    (attachment,) = message.attachments()
    assert attachment.number == 2
    assert contents(url) == set()
    database = Database(url)
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(schema.messages)).scalar_one() == 1
    database.close()


def test_a_value_that_stands_twice_in_the_new_draft_is_copied_once(mailbox: Mailbox, inbox: FolderId) -> None:
    identifier = mailbox.save_message(inbox, rich())
    draft = draft_of(mailbox.message(identifier))
    draft.attachments.append(AttachmentDraft({p.PidTagAttachDataBinary: draft.properties[p.PidTagHtml]}))
    mailbox.change_message(identifier, draft)
    message = mailbox.message(identifier)
    new = message.attachments()[3]
    assert new.number == 3
    for value in (message.properties[p.PidTagHtml], new.properties[p.PidTagAttachDataBinary]):
        assert value.read(0, value.size) == b"h" * 20_000


def test_a_change_that_fails_leaves_the_message_as_it_was(mailbox: Mailbox, inbox: FolderId) -> None:
    identifier = mailbox.save_message(inbox, rich())
    draft = draft_of(mailbox.message(identifier))
    draft.attachments = []
    draft.recipients = [Recipient(1, {p.PidTagDisplayName: 5})]
    with pytest.raises(StoreError, match="PidTagDisplayName"):
        mailbox.change_message(identifier, draft)
    assert len(mailbox.message(identifier).attachments()) == 3
    assert mailbox.message(identifier).properties[p.PidTagHtml].read(0, 1) == b"h"


def test_messages_in_each_other_beyond_the_limit_are_left_to_the_save_to_refuse(
    mailbox: Mailbox, inbox: FolderId
) -> None:
    draft = MessageDraft({})
    for _ in range(EMBEDDING_LIMIT + 5):
        draft = MessageDraft({}, attachments=[AttachmentDraft({}, draft)])
    finish_writing(draft)
    with pytest.raises(StoreError, match="each other"):
        mailbox.save_message(inbox, draft)
