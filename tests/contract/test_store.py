"""What every mailbox store must do, whatever keeps it: `store.base`. Changing what is there: `test_store_writing`."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from openchange_py.store.base import (
    AttachmentDraft,
    Mailbox,
    MessageDraft,
    NoSuchObject,
    Recipient,
    SortKey,
    SpecialFolder,
    Store,
    StoreError,
)
from openchange_py.store.source import open_store
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, split_id
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag

UNKNOWN_FOLDER, UNKNOWN_MESSAGE = FolderId(0x7FFFFFFFFFFF0001), MessageId(0x7FFFFFFFFFFF0001)


def draft(subject: str = "hello", **more: object) -> MessageDraft:
    properties: PropertyMap = {proptags.PidTagSubject: subject}
    for name, value in more.items():
        properties[getattr(proptags, f"PidTag{name}")] = value
    return MessageDraft(properties)


def subjects(mailbox: Mailbox, ids: list[MessageId]) -> list[str]:
    return [row[proptags.PidTagSubject] for row in mailbox.message_rows(ids, [proptags.PidTagSubject])]


class TestMailboxes:
    def test_a_new_mailbox_is_found_again(self, url: str, store: Store, mailbox: Mailbox) -> None:
        other = open_store(url)
        again = other.mailbox(mailbox.guid)
        assert (again.guid, again.replica_guid) == (mailbox.guid, mailbox.replica_guid)
        assert (again.legacy_exchange_dn, again.display_name) == (mailbox.legacy_exchange_dn, "Alice Example")
        assert again.special_folders() == mailbox.special_folders()
        assert mailbox.guid in {one.guid for one in other.mailboxes()}
        other.close()

    def test_a_second_mailbox_of_that_guid_is_refused(self, store: Store, mailbox: Mailbox) -> None:
        with pytest.raises(StoreError, match="already"):
            store.create_mailbox(mailbox.guid, "/o=x", "Other")
        assert store.mailbox(mailbox.guid).display_name == "Alice Example"

    def test_a_deleted_mailbox_is_gone_with_its_mail(self, store: Store, mailbox: Mailbox, inbox: FolderId) -> None:
        kept = store.create_mailbox(uuid.uuid4(), "/o=kept", "Kept")
        kept_id = kept.save_message(kept.special_folders()[SpecialFolder.INBOX], draft("kept"))
        message = mailbox.save_message(inbox, draft(Body="x" * 20000))
        store.delete_mailbox(mailbox.guid)
        with pytest.raises(NoSuchObject):
            store.mailbox(mailbox.guid)
        with pytest.raises(NoSuchObject):
            store.delete_mailbox(mailbox.guid)
        with pytest.raises(NoSuchObject):
            mailbox.message(message)
        with pytest.raises(NoSuchObject):
            mailbox.save_message(inbox, draft())
        assert kept.message(kept_id).properties[proptags.PidTagSubject] == "kept"

    def test_mailboxes_do_not_see_each_other(self, store: Store, mailbox: Mailbox, inbox: FolderId) -> None:
        other = store.create_mailbox(uuid.uuid4(), "/o=other", "Other")
        mailbox.save_message(inbox, draft())
        assert other.message_ids(other.special_folders()[SpecialFolder.INBOX]) == []
        # Ids are a mailbox' own: that of one is unknown, or another message, in the other.
        with pytest.raises(NoSuchObject):
            other.message(mailbox.message_ids(inbox)[0])

    def test_store_properties(self, mailbox: Mailbox, inbox: FolderId) -> None:
        before = mailbox.properties()[proptags.PidTagMessageSizeExtended]
        mailbox.save_message(inbox, draft(Body="x" * 50_000))
        properties = mailbox.properties()
        assert properties[proptags.PidTagDisplayName] == "Alice Example"
        assert properties[proptags.PidTagMessageSizeExtended] >= before + 100_000


class TestFolders:
    def test_all_special_folders_are_there(self, mailbox: Mailbox) -> None:
        special = mailbox.special_folders()
        assert set(special) == set(SpecialFolder)
        assert len(set(special.values())) == len(SpecialFolder)
        root, top = special[SpecialFolder.ROOT], special[SpecialFolder.IPM_SUBTREE]
        names = {folder.id: folder.properties[proptags.PidTagDisplayName] for folder in mailbox.subfolders(top)}
        assert names[special[SpecialFolder.INBOX]] == "Inbox"
        assert names[special[SpecialFolder.SENT_ITEMS]] == "Sent Items"
        assert mailbox.folder(root).parent_id == root
        assert mailbox.folder(top).parent_id == root
        calendar = mailbox.folder(special[SpecialFolder.CALENDAR])
        assert calendar.properties[proptags.PidTagContainerClass] == "IPF.Appointment"

    def test_children_are_sorted_and_descendants_follow_their_parents(self, mailbox: Mailbox, inbox: FolderId) -> None:
        for name in ("beta", "Alpha", "gamma"):
            mailbox.create_folder(inbox, name)
        deep = mailbox.create_folder(mailbox.folder_by_path("inbox/BETA").id, "inner")
        assert [one.properties[proptags.PidTagDisplayName] for one in mailbox.subfolders(inbox)] == [
            "Alpha",
            "beta",
            "gamma",
        ]
        root = mailbox.special_folders()[SpecialFolder.ROOT]
        order = [one.id for one in mailbox.subfolders(root, deep=True)]
        assert order.index(deep.parent_id) + 1 == order.index(deep.id)
        assert order.index(inbox) < order.index(deep.parent_id)
        assert len(order) == len(SpecialFolder) - 1 + 4

    def test_a_folder_by_its_path(self, mailbox: Mailbox, inbox: FolderId) -> None:
        projects = mailbox.create_folder(inbox, "Projekte für Später")
        assert mailbox.folder_by_path("inbox/PROJEKTE FÜR SPÄTER").id == projects.id
        with pytest.raises(NoSuchObject, match="nowhere"):
            mailbox.folder_by_path("Inbox/nowhere")

    @pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\0b", "a\nb", "\ud800"])
    def test_bad_folder_names(self, mailbox: Mailbox, inbox: FolderId, name: str) -> None:
        with pytest.raises(StoreError):
            mailbox.create_folder(inbox, name)
        assert mailbox.subfolders(inbox) == []

    def test_names_are_unique_among_siblings_without_case(self, mailbox: Mailbox, inbox: FolderId) -> None:
        mailbox.create_folder(inbox, "Projects")
        with pytest.raises(StoreError, match="already"):
            mailbox.create_folder(inbox, "PROJECTS")
        mailbox.create_folder(mailbox.special_folders()[SpecialFolder.DRAFTS], "projects")

    def test_unknown_folders(self, mailbox: Mailbox) -> None:
        foreign_replica = FolderId(0x0100000000000002)
        for folder in (UNKNOWN_FOLDER, foreign_replica, FolderId(0), FolderId((1 << 64) - 1), FolderId(-1)):
            with pytest.raises(NoSuchObject):
                mailbox.folder(folder)
            with pytest.raises(NoSuchObject):
                mailbox.subfolders(folder)
            with pytest.raises(NoSuchObject):
                mailbox.message_ids(folder)
            with pytest.raises(NoSuchObject):
                mailbox.create_folder(folder, "x")
            with pytest.raises(NoSuchObject):
                mailbox.save_message(folder, draft())

    def test_counts_follow_what_is_saved(self, mailbox: Mailbox, inbox: FolderId) -> None:
        mailbox.save_message(inbox, draft(MessageFlags=0))
        mailbox.save_message(inbox, draft(MessageFlags=1))
        mailbox.save_message(inbox, draft(MessageFlags=0), associated=True)
        properties = mailbox.folder(inbox).properties
        assert properties[proptags.PidTagContentCount] == 2
        assert properties[proptags.PidTagContentUnreadCount] == 1
        assert properties[proptags.PidTagAssociatedContentCount] == 1
        assert properties[proptags.PidTagSubfolders] is False
        assert properties[proptags.PidTagMessageSize] > 0
        mailbox.create_folder(inbox, "inner")
        assert mailbox.folder(inbox).properties[proptags.PidTagSubfolders] is True

    @pytest.mark.parametrize(
        ("message_class", "prefix", "folder"),
        [
            ("IPM.Note", "IPM", SpecialFolder.INBOX),
            ("ipm.note.custom", "IPM", SpecialFolder.INBOX),
            ("REPORT.IPM.Note.NDR", "REPORT.IPM", SpecialFolder.INBOX),
            ("IPMX", "", SpecialFolder.INBOX),
            ("", "", SpecialFolder.INBOX),
            ("IPC.Something", "IPC", SpecialFolder.ROOT),
        ],
    )
    def test_receive_folder(self, mailbox: Mailbox, message_class: str, prefix: str, folder: SpecialFolder) -> None:
        assert mailbox.receive_folder(message_class) == (mailbox.special_folders()[folder], prefix)


class TestMessages:
    def test_what_is_saved_is_what_is_read(self, mailbox: Mailbox, inbox: FolderId) -> None:
        properties: PropertyMap = {
            proptags.PidTagSubject: "Re: größer",
            proptags.PidTagMessageClass: "IPM.Note.Custom",
            proptags.PidTagSenderName: "Bob",
            proptags.PidTagMessageDeliveryTime: 133000000000000000,
            proptags.PidTagImportance: 2,
            proptags.PidTagBody: "text",
            proptags.PidTagHtml: b"<p>text</p>",
            PropertyTag(0x80010048): uuid.UUID(int=7),
            PropertyTag(0x80021003): [1, -2, 3],
            PropertyTag(0x8003101F): ["a", "ü"],
            PropertyTag(0x80040005): 2.5,
            PropertyTag(0x8005000B): True,
            PropertyTag(0x80060014): -(1 << 62),
            PropertyTag(0x80071102): [b"", b"\0\1"],
        }
        message = mailbox.message(mailbox.save_message(inbox, MessageDraft(dict(properties))))
        assert {tag: message.properties[tag] for tag in properties} == properties
        assert message.folder_id == inbox

    def test_what_a_message_has_by_itself(self, mailbox: Mailbox, inbox: FolderId) -> None:
        identifier = mailbox.save_message(inbox, draft("AW: Re: lunch"))
        properties = mailbox.message(identifier).properties
        assert properties[proptags.PidTagMid] == identifier
        assert properties[proptags.PidTagFolderId] == inbox
        assert properties[proptags.PidTagMessageClass] == "IPM.Note"
        assert properties[proptags.PidTagSubjectPrefix] == "AW: "
        assert properties[proptags.PidTagNormalizedSubject] == "Re: lunch"
        assert properties[proptags.PidTagConversationTopic] == "Re: lunch"
        assert properties[proptags.PidTagHasAttachments] is False
        assert len(properties[proptags.PidTagSearchKey]) == 16
        counter = split_id(identifier)[1].to_bytes(6, "big")
        assert properties[proptags.PidTagSourceKey] == mailbox.replica_guid.bytes_le + counter
        change = split_id(properties[proptags.PidTagChangeNumber])[1].to_bytes(6, "big")
        key = mailbox.replica_guid.bytes_le + change
        assert properties[proptags.PidTagChangeKey] == key
        assert properties[proptags.PidTagPredecessorChangeList] == b"\x16" + key
        assert properties[proptags.PidTagCreationTime] == properties[proptags.PidTagLastModificationTime]

    def test_ids_and_change_numbers_are_never_used_twice(self, mailbox: Mailbox, inbox: FolderId) -> None:
        ids = [mailbox.save_message(inbox, draft()) for _ in range(5)]
        ids += mailbox.save_messages(inbox, [draft(), draft()])
        rows = mailbox.message_rows(ids, [proptags.PidTagChangeNumber])
        folders = mailbox.subfolders(mailbox.special_folders()[SpecialFolder.ROOT], deep=True)
        used = [*ids, *(row[proptags.PidTagChangeNumber] for row in rows)]
        used += [folder.id for folder in folders]
        used += [folder.properties[proptags.PidTagChangeNumber] for folder in folders]
        assert len(set(used)) == len(used)

    def test_recipients(self, mailbox: Mailbox, inbox: FolderId) -> None:
        saved = draft()
        saved.recipients = [
            Recipient(1, {proptags.PidTagDisplayName: "Bob", proptags.PidTagSmtpAddress: "bob@example.test"}),
            Recipient(2, {proptags.PidTagSmtpAddress: "carol@example.test"}),
            Recipient(1, {proptags.PidTagDisplayName: "Zoë"}),
        ]
        message = mailbox.message(mailbox.save_message(inbox, saved))
        assert list(message.recipients) == saved.recipients
        assert message.properties[proptags.PidTagDisplayTo] == "Bob; Zoë"
        assert message.properties[proptags.PidTagDisplayCc] == "carol@example.test"
        assert message.properties[proptags.PidTagDisplayBcc] == ""

    def test_attachments_and_messages_in_messages(self, mailbox: Mailbox, inbox: FolderId) -> None:
        innermost = draft("innermost", Body="y" * 9000)
        inner = draft("inner")
        inner.attachments = [AttachmentDraft({}, innermost)]
        outer = draft("outer")
        outer.attachments = [
            AttachmentDraft({proptags.PidTagAttachDataBinary: b"data", proptags.PidTagAttachLongFilename: "a.bin"}),
            AttachmentDraft({proptags.PidTagDisplayName: "inner"}, inner),
        ]
        message = mailbox.message(mailbox.save_message(inbox, outer))
        plain, embedded = message.attachments()
        assert message.properties[proptags.PidTagHasAttachments] is True
        assert message.properties[proptags.PidTagMessageFlags] & 0x10
        assert (plain.number, embedded.number) == (0, 1)
        assert plain.properties[proptags.PidTagAttachDataBinary] == b"data"
        assert plain.properties[proptags.PidTagAttachMethod] == 1
        assert plain.embedded() is None
        assert embedded.properties[proptags.PidTagAttachMethod] == 5
        read = embedded.embedded()
        assert read is not None
        assert read.properties[proptags.PidTagSubject] == "inner"
        assert (read.id, read.folder_id) == (0, 0)
        deepest = read.attachments()[0].embedded()
        assert deepest is not None
        assert deepest.properties[proptags.PidTagBody].read(0, 4) == b"y\0y\0"
        assert mailbox.message_ids(inbox) == [message.id]
        assert message.properties[proptags.PidTagMessageSize] > read.properties[proptags.PidTagMessageSize] > 18000

    def test_too_many_messages_in_each_other_are_refused_and_leave_nothing(
        self, mailbox: Mailbox, inbox: FolderId
    ) -> None:
        saved = draft()
        for _ in range(2000):
            saved = MessageDraft({}, attachments=[AttachmentDraft({}, saved)])
        with pytest.raises(StoreError, match="each other"):
            mailbox.save_message(inbox, saved)
        assert mailbox.message_ids(inbox) == []
        assert mailbox.folder(inbox).properties[proptags.PidTagContentCount] == 0

    def test_a_failed_save_leaves_nothing(self, mailbox: Mailbox, inbox: FolderId) -> None:
        bad = draft()
        bad.recipients = [Recipient(1, {proptags.PidTagDisplayName: 5})]
        good = draft("good")
        with pytest.raises(StoreError, match="PidTagDisplayName"):
            mailbox.save_messages(inbox, [good, bad])
        assert mailbox.message_ids(inbox) == []
        assert mailbox.folder(inbox).properties[proptags.PidTagContentCount] == 0

    @pytest.mark.parametrize(
        ("tag", "value"),
        [
            (proptags.PidTagSubject, b"bytes"),
            (proptags.PidTagImportance, "high"),
            (proptags.PidTagMessageFlags, "read"),
            (PropertyTag(0x80010003), "text"),
            (PropertyTag(0x80010003), 1 << 70),
            (PropertyTag(0x8001001F), 5),
            (PropertyTag(0x80010102), "text"),
            (PropertyTag(0x80011003), 5),
            (PropertyTag(0x80010048), b"0123456789abcdef"),
            (PropertyTag(0x80010001), None),
        ],
    )
    def test_a_value_of_the_wrong_type_is_refused(
        self, mailbox: Mailbox, inbox: FolderId, tag: PropertyTag, value: object
    ) -> None:
        with pytest.raises(StoreError):
            mailbox.save_message(inbox, MessageDraft({tag: value}))

    def test_odd_texts(self, mailbox: Mailbox, inbox: FolderId) -> None:
        saved = draft("a\0b\ud800c", Body="x\ud800y")
        message = mailbox.message(mailbox.save_message(inbox, saved))
        assert message.properties[proptags.PidTagSubject] == "ab\ufffdc"
        assert message.properties[proptags.PidTagBody] == "x\ud800y"

    def test_unknown_messages(self, mailbox: Mailbox, inbox: FolderId) -> None:
        known = mailbox.save_message(inbox, draft())
        for unknown in (UNKNOWN_MESSAGE, MessageId(0), MessageId(-1), MessageId(known + 1)):
            with pytest.raises(NoSuchObject):
                mailbox.message(unknown)
        rows = mailbox.message_rows([UNKNOWN_MESSAGE, known, MessageId(0)], [proptags.PidTagSubject])
        assert rows == [{}, {proptags.PidTagSubject: "hello"}, {}]


class TestContentsTables:
    def test_newest_delivery_comes_first(self, mailbox: Mailbox, inbox: FolderId) -> None:
        for name, time in (("old", 10), ("new", 30), ("undated", None), ("middle", 20)):
            mailbox.save_message(inbox, draft(name, MessageDeliveryTime=time) if time else draft(name))
        assert subjects(mailbox, mailbox.message_ids(inbox)) == ["new", "middle", "old", "undated"]

    def test_associated_messages_are_apart(self, mailbox: Mailbox, inbox: FolderId) -> None:
        plain, hidden = mailbox.save_message(inbox, draft()), mailbox.save_message(inbox, draft(), associated=True)
        assert mailbox.message_ids(inbox) == [plain]
        assert mailbox.message_ids(inbox, associated=True) == [hidden]

    @pytest.mark.parametrize(
        ("tag", "values"),
        [
            (proptags.PidTagSubject, ["alpha", "Beta", "RE: gamma", "δ"]),
            (proptags.PidTagNormalizedSubject, ["alpha", "Beta", "gamma"]),
            (proptags.PidTagSenderName, ["ann", "Bob", "carl"]),
            (proptags.PidTagImportance, [0, 1, 2]),
            (proptags.PidTagClientSubmitTime, [1, 20, 300]),
            (proptags.PidTagHtml, [b"a", b"b"]),
            (PropertyTag(0x8001001F), ["alpha", "Beta", "gamma"]),
            (PropertyTag(0x80010003), [-5, 0, 7]),
            (PropertyTag(0x8001101F), [["a"], ["a", "b"], ["b"]]),
            (PropertyTag(0x80010048), [uuid.UUID(int=1), uuid.UUID(int=1 << 120)]),
        ],
    )
    def test_sorting(self, mailbox: Mailbox, inbox: FolderId, tag: PropertyTag, values: list[object]) -> None:
        saved = {index: mailbox.save_message(inbox, MessageDraft({tag: values[index]})) for index in (1, 0)}
        for index in range(2, len(values)):
            saved[index] = mailbox.save_message(inbox, MessageDraft({tag: values[index]}))
        ascending = [saved[index] for index in range(len(values))]
        assert mailbox.message_ids(inbox, sort=[SortKey(tag)]) == ascending
        assert mailbox.message_ids(inbox, sort=[SortKey(tag, descending=True)]) == ascending[::-1]

    def test_sorting_by_several_keys(self, mailbox: Mailbox, inbox: FolderId) -> None:
        for name, importance in (("b", 1), ("a", 2), ("a", 1), ("c", 2)):
            mailbox.save_message(inbox, draft(name, Importance=importance))
        keys = [SortKey(proptags.PidTagImportance, descending=True), SortKey(proptags.PidTagSubject)]
        assert subjects(mailbox, mailbox.message_ids(inbox, sort=keys)) == ["a", "c", "a", "b"]

    def test_rows_give_what_a_message_gives(self, mailbox: Mailbox, inbox: FolderId) -> None:
        saved = draft("Re: x", Body="text", Importance=2)
        saved.recipients = [Recipient(1, {proptags.PidTagDisplayName: "Bob"})]
        identifier = mailbox.save_message(inbox, saved)
        whole = mailbox.message(identifier).properties
        assert mailbox.message_rows([identifier], list(whole)) == [whole]
        assert mailbox.message_rows([identifier], []) == [{}]

    def test_rows_come_in_the_order_asked_for(self, mailbox: Mailbox, inbox: FolderId) -> None:
        ids = mailbox.save_messages(inbox, [draft(str(number)) for number in range(1200)])
        asked = [*ids[::-1], ids[3]]
        assert subjects(mailbox, asked) == [*map(str, range(1199, -1, -1)), "3"]


class TestConcurrency:
    def test_threads_that_save_at_once_lose_nothing(self, mailbox: Mailbox, inbox: FolderId) -> None:
        with ThreadPoolExecutor(8) as pool:
            saved = list(pool.map(lambda number: mailbox.save_message(inbox, draft(str(number))), range(80)))
        assert len(set(saved)) == 80
        assert sorted(subjects(mailbox, saved)) == sorted(map(str, range(80)))
        assert mailbox.folder(inbox).properties[proptags.PidTagContentCount] == 80

    def test_what_another_connection_saved_is_seen(self, url: str, mailbox: Mailbox, inbox: FolderId) -> None:
        other = open_store(url)
        other.mailbox(mailbox.guid).save_message(inbox, draft("from elsewhere"))
        other.close()
        assert subjects(mailbox, mailbox.message_ids(inbox)) == ["from elsewhere"]


class TestLargeValues:
    def test_large_values_are_read_in_pieces(self, mailbox: Mailbox, inbox: FolderId) -> None:
        text, data = "ä" * 70_001, bytes(range(256)) * 1000
        saved = draft(Body=text)
        saved.attachments = [AttachmentDraft({proptags.PidTagAttachDataBinary: data})]
        message = mailbox.message(mailbox.save_message(inbox, saved))
        body = message.properties[proptags.PidTagBody]
        assert body.size == 2 * len(text)
        assert b"".join(body.read(at, 5000) for at in range(0, body.size, 5000)).decode("utf-16-le") == text
        content = message.attachments()[0].properties[proptags.PidTagAttachDataBinary]
        assert content.size == len(data)
        for offset, count in (
            (0, 10),
            (65530, 20),
            (131072, 65536),
            (255_990, 100),
            (256_000, 1),
            (10**9, 1),
            (0, 10**9),
        ):
            assert content.read(offset, count) == data[offset : offset + count]

    def test_small_values_stay_as_they_are(self, mailbox: Mailbox, inbox: FolderId) -> None:
        message = mailbox.message(mailbox.save_message(inbox, draft(Body="x" * 4096, Html=b"y" * 8192)))
        assert message.properties[proptags.PidTagBody] == "x" * 4096
        assert message.properties[proptags.PidTagHtml] == b"y" * 8192

    def test_a_large_value_can_be_saved_again_from_what_was_read(self, mailbox: Mailbox, inbox: FolderId) -> None:
        first = mailbox.message(mailbox.save_message(inbox, draft(Html=b"z" * 100_000)))
        second = mailbox.message(mailbox.save_message(inbox, MessageDraft(dict(first.properties))))
        assert second.properties[proptags.PidTagHtml].read(0, 200_000) == b"z" * 100_000
        assert second.id != first.id
