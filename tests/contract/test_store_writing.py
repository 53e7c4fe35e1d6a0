"""What every mailbox store must do where messages are written piece by piece, changed, deleted and marked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from openchange_py.store.base import (
    AttachmentDraft,
    Mailbox,
    MessageDraft,
    NoSuchObject,
    ObjectChanged,
    StoreError,
)
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.named import PropertyName

UNKNOWN = MessageId(0x7FFFFFFFFFFF0001)
#: More than any store keeps in memory of a value that is being written.
LARGE = 3_000_001


def letter(subject: str = "hello") -> MessageDraft:
    return MessageDraft({p.PidTagSubject: subject, p.PidTagMessageFlags: 0})


def counts(mailbox: Mailbox, folder: FolderId) -> tuple[int, int, int]:
    properties = mailbox.folder(folder).properties
    tags = (p.PidTagContentCount, p.PidTagContentUnreadCount, p.PidTagDeletedCountTotal)
    first, second, third = (properties[tag] for tag in tags)
    return first, second, third


class TestLargeValues:
    def test_written_in_pieces_and_saved(self, mailbox: Mailbox, inbox: FolderId) -> None:
        value, model = mailbox.new_content(), bytearray()
        for start in range(0, LARGE, 30_000):
            piece = bytes((start // 30_000 % 251,)) * min(30_000, LARGE - start)
            value.write(start, piece)
            model += piece
        value.write(1_000_000, b"in the middle")
        model[1_000_000:1_000_013] = b"in the middle"
        value.resize(LARGE + 100_000)
        model += bytes(100_000)
        assert value.held < 2_000_000
        file = AttachmentDraft({p.PidTagAttachDataBinary: value})
        identifier = mailbox.save_message(inbox, MessageDraft({}, attachments=[file]))
        (attachment,) = mailbox.message(identifier).attachments()
        saved = attachment.properties[p.PidTagAttachDataBinary]
        assert saved.read(0, saved.size) == model
        with pytest.raises(StoreError):
            value.write(0, b"x")

    def test_a_saved_value_is_changed_on_a_copy(self, mailbox: Mailbox, inbox: FolderId) -> None:
        identifier = mailbox.save_message(inbox, MessageDraft({p.PidTagHtml: b"a" * LARGE}))
        before = mailbox.message(identifier)
        value = mailbox.new_content(before.properties[p.PidTagHtml])
        value.write(5, b"b")
        assert before.properties[p.PidTagHtml].read(4, 3) == b"aaa"
        draft = MessageDraft(before.properties | {p.PidTagHtml: value})
        mailbox.change_message(identifier, draft)
        after = mailbox.message(identifier).properties[p.PidTagHtml]
        assert (after.size, after.read(4, 3), after.read(LARGE - 1, 5)) == (LARGE, b"aba", b"a")

    def test_what_is_discarded_is_gone(self, mailbox: Mailbox, inbox: FolderId) -> None:
        value = mailbox.new_content()
        value.write(0, b"x" * LARGE)
        value.discard()
        with pytest.raises(NoSuchObject):
            value.read(0, 1)
        with pytest.raises(StoreError):
            mailbox.save_message(inbox, MessageDraft({p.PidTagHtml: value}))
        assert mailbox.message_ids(inbox) == []

    def test_several_at_once(self, mailbox: Mailbox, inbox: FolderId) -> None:
        def write(number: int) -> MessageId:
            value = mailbox.new_content()
            for start in range(0, LARGE, 100_000):
                value.write(start, bytes((number,)) * 100_000)
            return mailbox.save_message(inbox, MessageDraft({p.PidTagHtml: value}))

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(write, range(4)))
        for number, identifier in enumerate(made):
            saved = mailbox.message(identifier).properties[p.PidTagHtml]
            assert saved.read(0, saved.size) == bytes((number,)) * saved.size


class TestChanges:
    def test_a_change_of_what_was_seen(self, mailbox: Mailbox, inbox: FolderId) -> None:
        identifier = mailbox.save_message(inbox, letter())
        seen = mailbox.message(identifier).properties[p.PidTagChangeNumber]
        mailbox.change_message(identifier, letter("first"), seen=seen)
        with pytest.raises(ObjectChanged):
            mailbox.change_message(identifier, letter("second"), seen=seen)
        mailbox.change_message(identifier, letter("third"))
        assert mailbox.message(identifier).properties[p.PidTagSubject] == "third"
        with pytest.raises(NoSuchObject):
            mailbox.change_message(UNKNOWN, letter())

    def test_of_many_who_saw_the_same_one_wins(self, mailbox: Mailbox, inbox: FolderId) -> None:
        identifier = mailbox.save_message(inbox, letter())
        seen = mailbox.message(identifier).properties[p.PidTagChangeNumber]

        def change(number: int) -> bool:
            try:
                mailbox.change_message(identifier, letter(f"{number}"), seen=seen)
            except ObjectChanged:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(change, range(8)))
        assert sum(won) == 1
        assert mailbox.message(identifier).properties[p.PidTagSubject] == str(won.index(True))

    def test_deleting_and_marking(self, mailbox: Mailbox, inbox: FolderId) -> None:
        ids = mailbox.save_messages(inbox, [letter(str(number)) for number in range(4)])
        assert mailbox.set_read(inbox, [*ids[:2], UNKNOWN], True) == ids[:2]
        assert counts(mailbox, inbox) == (4, 2, 0)
        assert mailbox.delete_messages(inbox, [*ids[1:3], UNKNOWN]) == 2
        assert counts(mailbox, inbox) == (2, 1, 2)
        assert set(mailbox.set_read(inbox, None, False)) == {ids[0], ids[3]}
        assert counts(mailbox, inbox) == (2, 2, 2)
        for call in (mailbox.delete_messages, lambda folder, wanted: mailbox.set_read(folder, wanted, True)):
            with pytest.raises(NoSuchObject):
                call(FolderId(UNKNOWN), ids)

    def test_deleting_twice_at_once_counts_once(self, mailbox: Mailbox, inbox: FolderId) -> None:
        ids = mailbox.save_messages(inbox, [letter() for _ in range(20)])
        with ThreadPoolExecutor(4) as pool:
            deleted = list(pool.map(lambda _: mailbox.delete_messages(inbox, ids), range(4)))
        assert sorted(deleted) == [0, 0, 0, 20]
        assert counts(mailbox, inbox) == (0, 0, 20)


class TestNames:
    def test_a_name_has_one_id_whoever_asks_first(self, mailbox: Mailbox) -> None:
        property_set = mailbox.guid
        names = [PropertyName.of_lid(property_set, n) for n in range(10)]
        names.append(PropertyName.of_name(property_set, "größe"))
        assert mailbox.property_ids(names) == [0] * 11
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: mailbox.property_ids(names, create=True), range(4)))
        assert all(ids == found[0] for ids in found)
        assert min(found[0]) >= 0x8000
        assert mailbox.property_names() == dict(zip(found[0], names, strict=True))
