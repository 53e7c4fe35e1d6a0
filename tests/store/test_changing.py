"""Changing, deleting and marking messages: change tracking, counts, two writers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from openchange_py.store import schema
from openchange_py.store.base import (
    Mailbox,
    MessageDraft,
    NoSuchObject,
    ObjectChanged,
    SpecialFolder,
)
from openchange_py.store.database import Database
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, split_id
from openchange_py.wire.oxcdata.properties import PropertyMap

UNKNOWN = MessageId(0x7FFFFFFFFFFF0001)


def letter(subject: str = "hello", *, read: bool = False) -> MessageDraft:
    return MessageDraft({p.PidTagSubject: subject, p.PidTagMessageFlags: int(read)})


def counts(mailbox: Mailbox, folder: FolderId) -> tuple[int, ...]:
    properties = mailbox.folder(folder).properties
    tags = (
        p.PidTagContentCount,
        p.PidTagContentUnreadCount,
        p.PidTagAssociatedContentCount,
        p.PidTagDeletedCountTotal,
        p.PidTagMessageSizeExtended,
    )
    return tuple(properties[tag] for tag in tags)


def state(mailbox: Mailbox, identifier: MessageId) -> PropertyMap:
    return mailbox.message(identifier).properties


def test_a_change_has_a_number_a_key_and_a_time_of_its_own(mailbox: Mailbox, inbox: FolderId) -> None:
    identifier = mailbox.save_message(inbox, letter())
    before = state(mailbox, identifier)
    mailbox.change_message(identifier, letter("changed"), seen=before[p.PidTagChangeNumber])
    after = state(mailbox, identifier)
    assert after[p.PidTagSubject] == "changed"
    assert split_id(after[p.PidTagChangeNumber])[1] > split_id(before[p.PidTagChangeNumber])[1]
    counter = split_id(after[p.PidTagChangeNumber])[1].to_bytes(6, "big")
    assert after[p.PidTagChangeKey] == mailbox.replica_guid.bytes_le + counter
    assert after[p.PidTagPredecessorChangeList] == b"\x16" + after[p.PidTagChangeKey]
    assert after[p.PidTagLastModificationTime] > before[p.PidTagLastModificationTime]
    assert after[p.PidTagCreationTime] == before[p.PidTagCreationTime]
    for same in (p.PidTagMid, p.PidTagSourceKey, p.PidTagFolderId):
        assert after[same] == before[same]


def test_who_saw_an_older_version_is_told_unless_he_insists(mailbox: Mailbox, inbox: FolderId) -> None:
    identifier = mailbox.save_message(inbox, letter())
    seen = state(mailbox, identifier)[p.PidTagChangeNumber]
    mailbox.change_message(identifier, letter("first"), seen=seen)
    with pytest.raises(ObjectChanged):
        mailbox.change_message(identifier, letter("second"), seen=seen)
    assert state(mailbox, identifier)[p.PidTagSubject] == "first"
    mailbox.change_message(identifier, letter("third"))
    assert state(mailbox, identifier)[p.PidTagSubject] == "third"


def test_of_many_writers_that_saw_the_same_version_one_wins(mailbox: Mailbox, inbox: FolderId) -> None:
    identifier = mailbox.save_message(inbox, letter())
    seen = state(mailbox, identifier)[p.PidTagChangeNumber]

    def change(number: int) -> bool:
        try:
            mailbox.change_message(identifier, letter(f"writer {number}"), seen=seen)
        except ObjectChanged:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(change, range(8)))
    assert sum(won) == 1
    assert state(mailbox, identifier)[p.PidTagSubject] == f"writer {won.index(True)}"
    assert counts(mailbox, inbox)[:4] == (1, 1, 0, 0)


def test_whether_it_is_read_is_not_the_drafts_to_say(mailbox: Mailbox, inbox: FolderId) -> None:
    identifier = mailbox.save_message(inbox, letter())
    mailbox.set_read(inbox, [identifier], True)
    mailbox.change_message(identifier, letter("unread?"))
    assert state(mailbox, identifier)[p.PidTagMessageFlags] & 1
    assert counts(mailbox, inbox)[:2] == (1, 0)


def test_deleting(mailbox: Mailbox, inbox: FolderId, url: str) -> None:
    read, unread, kept = (mailbox.save_message(inbox, letter(read=flag)) for flag in (True, False, False))
    hidden = mailbox.save_message(inbox, letter(), associated=True)
    drafts = mailbox.special_folders()[SpecialFolder.DRAFTS]
    elsewhere = mailbox.save_message(drafts, letter())
    wanted = [read, unread, unread, hidden, elsewhere, UNKNOWN, MessageId(0), MessageId(-1)]
    assert mailbox.delete_messages(inbox, wanted) == 3
    assert mailbox.message_ids(inbox) == [kept]
    assert mailbox.message_ids(inbox, associated=True) == []
    size = state(mailbox, kept)[p.PidTagMessageSizeExtended]
    assert counts(mailbox, inbox) == (1, 1, 0, 3, size)
    assert counts(mailbox, drafts)[:4] == (1, 1, 0, 0)
    with pytest.raises(NoSuchObject):
        mailbox.message(read)
    with pytest.raises(NoSuchObject):
        mailbox.change_message(read, letter())
    database = Database(url)
    with database.reading() as connection:
        gone = connection.execute(select(schema.deletions.c.object_id, schema.deletions.c.change_number)).all()
    database.close()
    assert {counter for counter, _ in gone} == {split_id(one)[1] for one in (read, unread, hidden)}
    assert min(change for _, change in gone) > split_id(state(mailbox, kept)[p.PidTagChangeNumber])[1]


def test_the_id_of_a_deleted_message_is_never_used_again(mailbox: Mailbox, inbox: FolderId) -> None:
    old = mailbox.save_message(inbox, MessageDraft({p.PidTagHtml: b"old" * 10_000}))
    opened = mailbox.message(old)
    mailbox.delete_messages(inbox, [old])
    new = MessageDraft({p.PidTagHtml: b"new" * 10_000})
    mailbox.save_message(inbox, new)
    with pytest.raises(NoSuchObject):
        opened.properties[p.PidTagHtml].read(0, 3)
    assert list(opened.attachments()) == []


def test_marking_as_read_is_no_change_of_the_message(mailbox: Mailbox, inbox: FolderId) -> None:
    first, second = mailbox.save_message(inbox, letter()), mailbox.save_message(inbox, letter(read=True))
    hidden = mailbox.save_message(inbox, letter(), associated=True)
    before = state(mailbox, first)[p.PidTagChangeKey]
    assert mailbox.set_read(inbox, [first, second, hidden, UNKNOWN], True) == [first, second]
    assert counts(mailbox, inbox)[:3] == (2, 0, 1)
    assert state(mailbox, first)[p.PidTagRead] is True
    assert state(mailbox, first)[p.PidTagChangeKey] == before
    assert set(mailbox.set_read(inbox, None, False)) == {first, second}
    assert counts(mailbox, inbox)[:2] == (2, 2)


def test_an_unknown_folder(mailbox: Mailbox) -> None:
    for call in (mailbox.delete_messages, lambda folder, ids: mailbox.set_read(folder, ids, True)):
        with pytest.raises(NoSuchObject):
            call(FolderId(UNKNOWN), [])


def test_many_at_once(mailbox: Mailbox, inbox: FolderId) -> None:
    ids = mailbox.save_messages(inbox, [letter() for _ in range(1203)])
    assert len(mailbox.set_read(inbox, ids, True)) == 1203
    assert mailbox.delete_messages(inbox, ids) == 1203
    assert counts(mailbox, inbox) == (0, 0, 0, 1203, 0)
