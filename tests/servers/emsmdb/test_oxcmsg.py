"""[MS-OXCMSG] as a client sees it."""

from __future__ import annotations

import pytest

from openchange_py.store.base import MessageDraft, Recipient, SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, make_id
from openchange_py.wire.oxcdata.recipients import RecipientRow
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.rop.base import RopFailure, RopRequest
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcmsg import (
    ModifyRecipientRow,
    RopCreateAttachmentRequest,
    RopCreateMessageRequest,
    RopDeleteAttachmentRequest,
    RopGetAttachmentTableRequest,
    RopModifyRecipientsRequest,
    RopOpenAttachmentRequest,
    RopOpenAttachmentResponse,
    RopOpenEmbeddedMessageRequest,
    RopOpenEmbeddedMessageResponse,
    RopOpenMessageRequest,
    RopOpenMessageResponse,
    RopReadRecipientsRequest,
    RopReloadCachedInformationRequest,
    RopReloadCachedInformationResponse,
    RopRemoveAllRecipientsRequest,
    RopSaveChangesAttachmentRequest,
    RopSaveChangesMessageRequest,
    RopSetMessageReadFlagRequest,
    RopSetMessageReadFlagResponse,
    RopSetReadFlagsRequest,
    SaveFlags,
)
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest
from openchange_py.wire.rop.oxctabl import RopSetColumnsRequest
from tests.servers.emsmdb.parties import DATA, NONE, RECIPIENTS, Client, World, to


def open_message(client: Client, message_id: int, *, flags: int = 0, handle: int | None = None) -> object:
    request = RopOpenMessageRequest(0, 0, 1, 0x0FFF, FolderId(0), flags, MessageId(message_id))
    return client.execute(request, handles=[client.logon if handle is None else handle, NONE]).rops[0]


@pytest.mark.parametrize("flags", [0x00, 0x01, 0x03, 0x04, 0xF0])
def test_opening_tells_of_subject_and_recipients(client: Client, world: World, flags: int) -> None:
    response = open_message(client, world.rich, flags=flags)
    assert isinstance(response, RopOpenMessageResponse)
    assert (response.handle_index, response.return_value, response.has_named_properties) == (1, 0, 0)
    assert (response.subject_prefix.value, response.normalized_subject.value) == ("AW: ", "Grüße aus 東京")
    shown = [(row.recipient_type, row.recipient_row.display_name) for row in response.recipient_rows]
    assert (response.recipient_count, shown) == (2, [(1, "Bob"), (2, "Carol")])
    assert response.recipient_rows[0].recipient_row.email_address == "bob@example.test"


def test_a_folder_of_the_same_mailbox_opens_any_message(client: Client, world: World) -> None:
    response = open_message(client, world.rich, handle=client.folder(SpecialFolder.CALENDAR))
    assert isinstance(response, RopOpenMessageResponse)


@pytest.mark.parametrize("message_id", [0, make_id(1, 0x7FFFFFFF), make_id(2, 30), 0xFFFFFFFFFFFFFFFF])
def test_a_message_that_is_none(client: Client, message_id: int) -> None:
    assert open_message(client, message_id) == RopFailure(1, ErrorCode.NotFound, RopId.OpenMessage)


def test_another_mailbox_s_message_is_none(world: World) -> None:
    assert open_message(Client(world, "bob"), world.rich) == RopFailure(1, ErrorCode.NotFound, RopId.OpenMessage)


def test_a_message_opens_no_message(client: Client, world: World) -> None:
    response = open_message(client, world.rich, handle=client.message(world.rich))
    assert response == RopFailure(1, ErrorCode.NullObject, RopId.OpenMessage)


def test_more_recipients_than_a_response_holds_are_read_one_batch_behind_the_other(
    client: Client, world: World
) -> None:
    opened = open_message(client, world.crowd)
    assert isinstance(opened, RopOpenMessageResponse)
    names = [row.recipient_row.display_name for row in opened.recipient_rows]
    assert opened.recipient_count == RECIPIENTS
    assert 0 < len(names) < RECIPIENTS
    message = client.message(world.crowd)
    read: list[int] = []
    while len(read) < RECIPIENTS:
        response = client.ask(RopReadRecipientsRequest(0, 0, len(read), 0), message)
        assert response.return_value == 0
        read += [row.row_id for row in response.recipient_rows]
        names[read[0] :] = names[read[0] :]
    assert read == list(range(RECIPIENTS))
    assert names == [f"Name {n:03}" for n in range(len(names))]


def test_opening_in_a_small_buffer_leaves_the_recipients_to_read_recipients(client: Client, world: World) -> None:
    request = RopOpenMessageRequest(0, 0, 1, 0x0FFF, FolderId(0), 0, world.crowd)
    answer = client.execute(request, handles=[client.logon, NONE], out_size=8 + 2 + 8 + 100).rops[0]
    assert isinstance(answer, RopOpenMessageResponse)
    assert (answer.recipient_count, answer.recipient_rows) == (RECIPIENTS, [])


def test_recipients_that_are_not_there(client: Client, world: World) -> None:
    message = client.message(world.rich)
    for row, code in ((0, 0), (1, 0), (2, ErrorCode.NotFound), (0xFFFFFFFF, ErrorCode.NotFound)):
        assert client.ask(RopReadRecipientsRequest(0, 0, row, 0), message).return_value == code
    small = client.ask(RopReadRecipientsRequest(0, 0, 0, 0), message, out_size=8 + 2 + 4 + 20)
    assert small.return_value == ErrorCode.BufferTooSmall


def test_a_message_to_nobody(own_world: World) -> None:
    client = Client(own_world)
    nobody = own_world.mailbox.save_message(own_world.folder(SpecialFolder.DRAFTS), MessageDraft({}))
    opened = open_message(client, nobody)
    assert isinstance(opened, RopOpenMessageResponse)
    assert (opened.subject_prefix.value, opened.recipient_count, opened.recipient_rows) == (None, 0, [])
    response = client.ask(RopReadRecipientsRequest(0, 0, 0, 0), client.message(nobody))
    assert response.return_value == ErrorCode.NotFound


def test_odd_subjects_and_recipients_do_not_keep_a_message_from_being_opened(own_world: World) -> None:
    client = Client(own_world)
    users_dn = own_world.dn("bob")
    odd = [
        to("N\0ul \ud800", "a\0b@example.test"),
        to("x" * 40000, "y" * 40000),
        Recipient(0x10000001 & 0xFF, {}),
        Recipient(1, {p.PidTagAddressType: "EX", p.PidTagEmailAddress: users_dn, p.PidTagDisplayName: "Bob"}),
    ]
    draft = MessageDraft({p.PidTagSubject: "s" * 50000}, odd)
    opened = open_message(client, own_world.mailbox.save_message(own_world.folder(SpecialFolder.DRAFTS), draft))
    assert isinstance(opened, RopOpenMessageResponse)
    assert opened.normalized_subject.value == "s" * 2048
    rows = [row.recipient_row for row in opened.recipient_rows]
    assert [row.display_name for row in rows] == ["N", "x" * 1024, "", "Bob"]
    assert rows[3].x500_dn == users_dn.encode()


def test_reloading_tells_what_opening_told(client: Client, world: World) -> None:
    opened = open_message(client, world.rich)
    assert isinstance(opened, RopOpenMessageResponse)
    again = client.ask(RopReloadCachedInformationRequest(0, 0, 0), client.message(world.rich))
    assert isinstance(again, RopReloadCachedInformationResponse)
    assert again.recipient_rows == opened.recipient_rows
    assert again.normalized_subject == opened.normalized_subject


def test_attachments(client: Client, world: World) -> None:
    table = client.open(RopGetAttachmentTableRequest(0, 0, 1, 0), client.message(world.rich))
    columns = [p.PidTagAttachNumber, p.PidTagAttachLongFilename, p.PidTagAttachMethod, p.PidTagAttachDataBinary]
    client.ask(RopSetColumnsRequest(0, 0, 0, columns), table)
    first, second = (row.values for row in client.rows(table).rows)
    assert first == [0, "größe.bin", 1, DATA[:510]]
    assert second[0] == 1
    assert second[2] == 5


def test_a_message_without_attachments(client: Client, world: World) -> None:
    table = client.open(RopGetAttachmentTableRequest(0, 0, 1, 0), client.message(world.crowd))
    client.columns(table, p.PidTagAttachNumber)
    assert client.rows(table).rows == []


def test_opening_an_attachment(client: Client, world: World) -> None:
    message = client.message(world.rich)
    for number in (0, 1):
        answer = client.execute(RopOpenAttachmentRequest(0, 0, 1, 0, number), handles=[message, NONE])
        assert answer.rops == [RopOpenAttachmentResponse(1, 0)]
    for number in (2, 0xFFFFFFFF):
        answer = client.execute(RopOpenAttachmentRequest(0, 0, 1, 0, number), handles=[message, NONE])
        assert answer.rops == [RopFailure(1, ErrorCode.NotFound, RopId.OpenAttachment)]


def test_the_message_in_an_attachment(client: Client, world: World) -> None:
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 0, 1), client.message(world.rich))
    answer = client.execute(RopOpenEmbeddedMessageRequest(0, 0, 1, 0x0FFF, 0), handles=[attachment, NONE])
    (response,) = answer.rops
    assert isinstance(response, RopOpenEmbeddedMessageResponse)
    assert (response.message_id, response.normalized_subject.value) == (0, "inner é")
    assert [row.recipient_row.display_name for row in response.recipient_rows] == ["Carol"]
    tags = [p.PidTagSubject.with_type(0x1E), p.PidTagMessageClass, p.PidTagEntryId]
    values = client.ask(RopGetPropertiesSpecificRequest(0, 0, 0, 1, tags), answer.handles[1]).row_data.values
    assert values[:2] == ["inner é".encode("cp1252"), "IPM.Note"]
    assert values[2].code == ErrorCode.NotFound


@pytest.mark.parametrize(("flags", "code"), [(0, ErrorCode.NotFound), (2, ErrorCode.AccessDenied)])
def test_an_attachment_that_is_no_message(client: Client, world: World, flags: int, code: ErrorCode) -> None:
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), client.message(world.rich))
    answer = client.execute(RopOpenEmbeddedMessageRequest(0, 0, 1, 0x0FFF, flags), handles=[attachment, NONE])
    assert answer.rops == [RopFailure(1, code, RopId.OpenEmbeddedMessage)]


@pytest.mark.parametrize(
    "request_",
    [
        RopReadRecipientsRequest(0, 0, 0, 0),
        RopReloadCachedInformationRequest(0, 0, 0),
        RopGetAttachmentTableRequest(0, 0, 1, 0),
        RopOpenAttachmentRequest(0, 0, 1, 0, 0),
        RopOpenEmbeddedMessageRequest(0, 0, 1, 0x0FFF, 0),
        RopSaveChangesMessageRequest(0, 1, 0, 0),
        RopModifyRecipientsRequest(0, 0, [], []),
        RopRemoveAllRecipientsRequest(0, 0, 0),
        RopCreateAttachmentRequest(0, 0, 1),
        RopDeleteAttachmentRequest(0, 0, 0),
        RopSaveChangesAttachmentRequest(0, 1, 0, 0),
        RopSetMessageReadFlagRequest(0, 1, 0, 0),
    ],
)
def test_an_object_of_the_wrong_kind(client: Client, request_: RopRequest) -> None:
    for handle in (client.folder(), NONE):
        answer = client.execute(request_, handles=[handle, NONE])
        assert answer.rops[0].return_value == ErrorCode.NullObject  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("code_page", "subject"),
    [
        (0x0FFF, "AW: Grüße aus ??"),
        (65001, "AW: Grüße aus 東京"),
        (932, "AW: Gr??e aus 東京"),
        (4711, "AW: Grüße aus ??"),
    ],
)
def test_8_bit_texts_are_in_the_code_page_that_the_message_was_opened_with(
    client: Client, world: World, code_page: int, subject: str
) -> None:
    codec = {65001: "utf-8", 932: "cp932"}.get(code_page, "cp1252")
    tags = [p.PidTagSubject.with_type(0x1E), p.PidTagSubject]
    message = client.message(world.rich, code_page)
    values = client.ask(RopGetPropertiesSpecificRequest(0, 0, 0, 0, tags), message).row_data.values
    assert values == [subject.encode(codec), "AW: Grüße aus 東京"]
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), message)
    name = RopGetPropertiesSpecificRequest(0, 0, 0, 0, [p.PidTagAttachLongFilename.with_type(0x1E)])
    assert client.ask(name, attachment).row_data.values == ["größe.bin".encode(codec, "replace")]
    table = client.open(RopGetAttachmentTableRequest(0, 0, 1, 0), message)
    client.columns(table, *name.property_tags)
    assert client.rows(table, 1).rows[0].values == ["größe.bin".encode(codec, "replace")]


ALL = (p.PidTagSubject, p.PidTagMessageClass, p.PidTagImportance, p.PidTagMessageFlags, p.PidTagAccessLevel)


def row(number: int, name: str, kind: int = 1) -> ModifyRecipientRow:
    return ModifyRecipientRow(number, kind, RecipientRow.smtp(f"{name.lower()}@example.test", name))


def shown(client: Client, message: int) -> list[tuple[int, str]]:
    response = client.ask(RopReloadCachedInformationRequest(0, 0, 0), message)
    return [(one.recipient_type, one.recipient_row.display_name) for one in response.recipient_rows]


def test_a_new_message_has_what_the_document_says(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    values = client.get(message, *ALL, p.PidTagHasAttachments, p.PidTagDisplayTo, p.PidTagTrustSender)
    assert values == [ErrorCode.NotFound, "IPM.Note", 1, 9, 1, False, "", 1]
    made, modified, key, mid, size = client.get(
        message,
        p.PidTagCreationTime,
        p.PidTagLastModificationTime,
        p.PidTagSearchKey,
        p.PidTagMid,
        p.PidTagMessageSize,
    )
    assert made == modified
    assert (len(key), mid) == (16, ErrorCode.NotFound)
    assert 0 < size < 1000
    names = (p.PidTagCreatorName, p.PidTagLastModifierName, p.PidTagMessageLocaleId, p.PidTagHasNamedProperties)
    assert client.get(message, *names) == ["Alice É.", "Alice É.", 0x407, False]


def test_nobody_sees_a_message_before_it_is_saved(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.new_message(SpecialFolder.DRAFTS)
    assert client.set(message, {p.PidTagSubject: "RE: new", p.PidTagBody: "text"}) == []
    drafts = own_world.folder(SpecialFolder.DRAFTS)
    assert own_world.mailbox.message_ids(drafts) == []
    saved = client.save(message)
    assert saved.return_value == 0
    assert (saved.handle_index, saved.input_handle_index) == (1, 0)
    assert own_world.mailbox.message_ids(drafts) == [saved.message_id]
    opened = open_message(other, saved.message_id)
    assert isinstance(opened, RopOpenMessageResponse)
    assert (opened.subject_prefix.value, opened.normalized_subject.value) == ("RE: ", "new")
    assert client.get(message, p.PidTagMid, p.PidTagBody) == [saved.message_id, "text"]
    counted = own_world.mailbox.folder(drafts).properties
    assert (counted[p.PidTagContentCount], counted[p.PidTagContentUnreadCount]) == (1, 0)


def test_an_associated_message(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message(associated=True)
    saved = client.save(message).message_id
    assert saved in own_world.mailbox.message_ids(own_world.folder(SpecialFolder.INBOX), associated=True)
    assert client.get(message, p.PidTagAssociated) == [True]


@pytest.mark.parametrize("folder", [0, make_id(1, 0x7FFFFFFF), make_id(2, 5)])
def test_a_message_in_a_folder_that_is_none(client: Client, folder: int) -> None:
    request = RopCreateMessageRequest(0, 0, 1, 0x0FFF, FolderId(folder), False)
    answer = client.execute(request, handles=[client.logon, NONE])
    assert answer.rops == [RopFailure(1, ErrorCode.NotFound, RopId.CreateMessage)]
    assert answer.handles[1] == NONE


def test_a_search_folder_has_no_messages_of_its_own(client: Client, world: World) -> None:
    request = RopCreateMessageRequest(0, 0, 1, 0x0FFF, world.folder(SpecialFolder.REMINDERS), False)
    answer = client.execute(request, handles=[client.logon, NONE])
    assert answer.rops == [RopFailure(1, ErrorCode.NotSupported, RopId.CreateMessage)]


def test_recipients_are_added_replaced_and_removed(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.new_message()
    client.ask(RopModifyRecipientsRequest(0, 0, [], [row(0, "Bob"), row(1, "Carol", 2), row(7, "Dan")]), message)
    assert shown(client, message) == [(1, "Bob"), (2, "Carol"), (1, "Dan")]
    identifier = client.save(message).message_id
    assert client.get(message, p.PidTagDisplayTo, p.PidTagDisplayCc) == ["Bob; Dan", "Carol"]
    message = client.message(identifier, mode=1)
    removed = ModifyRecipientRow(0, 1, None)
    client.ask(RopModifyRecipientsRequest(0, 0, [], [removed, row(1, "Eve", 3), row(9, "Fay")]), message)
    assert shown(client, message) == [(3, "Eve"), (1, "Dan"), (1, "Fay")]
    response = client.ask(RopReadRecipientsRequest(0, 0, 1, 0), message)
    assert [one.row_id for one in response.recipient_rows] == [1, 2, 9]
    assert shown(other, other.message(identifier)) == [(1, "Bob"), (2, "Carol"), (1, "Dan")]
    assert client.save(message).return_value == 0
    assert shown(other, other.message(identifier)) == [(3, "Eve"), (1, "Dan"), (1, "Fay")]
    assert client.ask(RopRemoveAllRecipientsRequest(0, 0, 0), message).return_value == 0
    assert client.ask(RopRemoveAllRecipientsRequest(0, 0, 0), message).return_value == 0
    assert shown(client, message) == []
    client.save(message)
    assert shown(other, other.message(identifier)) == []


def test_a_recipients_columns_are_kept(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    one = row(0, "Bob")
    assert one.recipient_row is not None
    one.recipient_row.columns = (p.PidTagObjectType, p.PidTagSmtpAddress.with_type(0x1E))
    one.recipient_row.properties = PropertyRow([6, b"bob@example.test"])
    client.ask(RopModifyRecipientsRequest(0, 0, list(one.recipient_row.columns), [one]), message)
    (kept,) = own_world.mailbox.message(client.save(message).message_id).recipients
    assert kept.properties[p.PidTagSmtpAddress] == "bob@example.test"
    assert kept.properties[p.PidTagObjectType] == 6


def test_too_many_recipients(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openchange_py.servers.emsmdb.objects.message.MOST_RECIPIENTS", 2)
    client = Client(own_world)
    request = RopModifyRecipientsRequest(0, 0, [], [row(0, "Bob"), row(1, "Carol"), row(2, "Dan")])
    assert client.ask(request, client.new_message()).return_value == ErrorCode.TooBig


def test_who_saves_second_is_told_and_may_insist(own_world: World) -> None:
    first, second = Client(own_world), Client(own_world, "relay")
    identifier = own_world.letters[0]
    mine, theirs = first.message(identifier, mode=3), second.message(identifier, mode=3)
    first.set(mine, {p.PidTagSubject: "mine"})
    second.set(theirs, {p.PidTagSubject: "theirs", p.PidTagImportance: 2})
    assert second.get(theirs, p.PidTagSubject) == ["theirs"]
    assert first.save(mine).return_value == 0
    assert second.get(theirs, p.PidTagSubject) == ["theirs"]
    refused = second.save(theirs)
    assert refused == RopFailure(1, ErrorCode.ObjectChanged, RopId.SaveChangesMessage)
    assert first.get(first.message(identifier), p.PidTagSubject, p.PidTagImportance) == ["mine", 1]
    assert second.save(theirs, SaveFlags.ForceSave).return_value == 0
    assert first.get(first.message(identifier), p.PidTagSubject, p.PidTagImportance) == ["theirs", 2]
    names = (p.PidTagLastModifierName, p.PidTagAccessLevel)
    assert second.get(theirs, *names) == ["Relay É.", 1]


def test_saving_twice_and_saving_nothing(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.letters[0], mode=1)
    before = client.get(message, p.PidTagChangeKey)
    assert client.save(message).message_id == own_world.letters[0]
    assert client.get(message, p.PidTagChangeKey) == before
    for subject in ("one", "two"):
        client.set(message, {p.PidTagSubject: subject})
        assert client.save(message, SaveFlags.KeepOpenReadWrite).return_value == 0
    assert client.get(message, p.PidTagChangeKey) != before
    assert client.get(client.message(own_world.letters[0]), p.PidTagSubject) == ["two"]


def test_a_message_that_was_deleted_meanwhile_is_not_saved(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.letters[0], mode=1)
    client.set(message, {p.PidTagSubject: "late"})
    own_world.mailbox.delete_messages(own_world.folder(SpecialFolder.INBOX), [own_world.letters[0]])
    assert client.save(message).return_value == ErrorCode.ObjectDeleted


def test_what_is_opened_read_only_is_not_changed(client: Client, world: World) -> None:
    message = client.message(world.rich)
    assert client.get(message, p.PidTagAccessLevel) == [0]
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 3, 0), message)
    requests: list[tuple[RopRequest, int]] = [
        (RopSaveChangesMessageRequest(0, 0, 0, 0), message),
        (RopModifyRecipientsRequest(0, 0, [], [row(0, "Bob")]), message),
        (RopRemoveAllRecipientsRequest(0, 0, 0), message),
        (RopCreateAttachmentRequest(0, 0, 0), message),
        (RopDeleteAttachmentRequest(0, 0, 0), message),
        (RopOpenAttachmentRequest(0, 0, 0, 1, 0), message),
        (RopSaveChangesAttachmentRequest(0, 0, 0, 0), attachment),
    ]
    for request, handle in requests:
        assert client.ask(request, handle).return_value == ErrorCode.AccessDenied, request


def test_keep_open_read_only(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    assert client.save(message, SaveFlags.KeepOpenReadOnly).return_value == 0
    assert client.get(message, p.PidTagAccessLevel) == [0]
    assert client.save(message).return_value == ErrorCode.AccessDenied


def test_another_user_writes_nothing(own_world: World) -> None:
    bob = Client(own_world, "bob")
    assert bob.log_on("alice").return_value == ErrorCode.LoginPermission
    request = RopCreateMessageRequest(0, 0, 1, 0x0FFF, own_world.folder(SpecialFolder.INBOX), False)
    created = bob.save(bob.open(request, bob.logon)).message_id
    inbox = own_world.folder(SpecialFolder.INBOX)
    assert own_world.mailbox.message_ids(inbox) == own_world.letters[::-1]
    # Ids are a mailbox's own: the folder of that id, and the message that was made, are bob's.
    guid = own_world.entries["bob"].mailbox_guid
    assert guid is not None
    assert own_world.store.mailbox(guid).message_ids(inbox) == [created]


def attach(client: Client, message: int, **values: object) -> tuple[int, int]:
    """A new attachment that is not saved: its number and handle."""
    answer = client.execute(RopCreateAttachmentRequest(0, 0, 1), handles=[message, NONE])
    handle = answer.handles[1]
    client.set(handle, {getattr(p, f"PidTag{name}"): value for name, value in values.items()})
    return answer.rops[0].attachment_id, handle  # type: ignore[attr-defined]


def numbers(client: Client, message: int) -> list[int]:
    table = client.open(RopGetAttachmentTableRequest(0, 0, 1, 0), message)
    client.columns(table, p.PidTagAttachNumber)
    return [one.values[0] for one in client.rows(table).rows]


def test_an_attachment_is_there_when_it_is_saved_and_in_the_mailbox_when_the_message_is(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.new_message()
    number, first = attach(client, message, AttachLongFilename="a.txt", AttachDataBinary=b"data", AttachMethod=1)
    assert number == 0
    assert client.get(first, p.PidTagAttachNumber, p.PidTagRenderingPosition) == [0, -1]
    assert numbers(client, message) == []
    saved = client.ask(RopSaveChangesAttachmentRequest(0, 0, 0, 0), first)
    assert saved.return_value == 0
    second, _ = attach(client, message)
    assert second == 1
    assert numbers(client, message) == [0]
    identifier = client.save(message).message_id
    assert client.get(message, p.PidTagHasAttachments) == [True]
    opened = other.message(identifier)
    attachment = other.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), opened)
    assert other.get(attachment, p.PidTagAttachLongFilename, p.PidTagAttachDataBinary) == ["a.txt", b"data"]
    # Its handle goes on: what is saved into it is the message's with the next save.
    client.set(first, {p.PidTagAttachLongFilename: "b.txt"})
    client.ask(RopSaveChangesAttachmentRequest(0, 0, 0, SaveFlags.KeepOpenReadOnly), first)
    assert client.set(first, {p.PidTagAttachLongFilename: "c.txt"}) == ErrorCode.AccessDenied
    assert client.save(message).return_value == 0
    attachment = other.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), other.message(identifier))
    assert other.get(attachment, p.PidTagAttachLongFilename, p.PidTagAttachDataBinary) == ["b.txt", b"data"]


def test_deleting_attachments(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.message(own_world.rich, mode=1)
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 1, 0), message)
    assert client.ask(RopDeleteAttachmentRequest(0, 0, 0), message).return_value == 0
    assert client.ask(RopDeleteAttachmentRequest(0, 0, 0), message).return_value == ErrorCode.NotFound
    client.set(attachment, {p.PidTagAttachLongFilename: "gone"})
    assert client.ask(RopSaveChangesAttachmentRequest(0, 0, 0, 0), attachment).return_value == ErrorCode.ObjectDeleted
    assert (numbers(client, message), numbers(other, other.message(own_world.rich))) == ([1], [0, 1])
    assert attach(client, message)[0] == 2
    client.save(message)
    assert numbers(other, other.message(own_world.rich)) == [1]
    # The number of one that was deleted is not given again under the same handle.
    client.ask(RopDeleteAttachmentRequest(0, 0, 1), message)
    assert attach(client, message)[0] == 3


def test_too_many_attachments(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openchange_py.servers.emsmdb.objects.message.MOST_ATTACHMENTS", 1)
    client = Client(own_world)
    message = client.new_message()
    attach(client, message)
    answer = client.execute(RopCreateAttachmentRequest(0, 0, 1), handles=[message, NONE])
    assert answer.rops == [RopFailure(1, ErrorCode.MaxAttachmentExceeded, RopId.CreateAttachment)]


def embed(client: Client, attachment: int, flags: int = 2) -> int:
    return client.open(RopOpenEmbeddedMessageRequest(0, 0, 1, 0x0FFF, flags), attachment)


def test_a_message_is_embedded_when_all_that_it_is_in_is_saved(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.new_message()
    _, attachment = attach(client, message, AttachMethod=5)
    inner = embed(client, attachment)
    client.set(inner, {p.PidTagSubject: "inner"})
    client.ask(RopModifyRecipientsRequest(0, 0, [], [row(0, "Bob")]), inner)
    assert client.save(inner).message_id == 0
    assert client.get(embed(client, attachment, 0), p.PidTagSubject) == ["inner"]
    client.ask(RopSaveChangesAttachmentRequest(0, 0, 0, 0), attachment)
    identifier = client.save(message).message_id
    read = embed(other, other.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), other.message(identifier)), 0)
    assert other.get(read, p.PidTagSubject) == ["inner"]
    assert shown(other, read) == [(1, "Bob")]
    # Changed again, one level deeper.
    message = client.message(identifier, mode=1)
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 1, 0), message)
    inner = embed(client, attachment, 1)
    _, deeper = attach(client, inner, AttachDataBinary=b"deep" * 5000)
    for handle in (deeper, attachment):
        if handle == attachment:
            assert client.save(inner).return_value == 0
        client.ask(RopSaveChangesAttachmentRequest(0, 0, 0, 0), handle)
    assert client.save(message).return_value == 0
    found = own_world.mailbox.message(identifier).attachments()[0].embedded()
    assert found is not None
    assert found.attachments()[0].properties[p.PidTagAttachDataBinary].read(0, 4) == b"deep"
    assert found.properties[p.PidTagSubject] == "inner"


def test_a_message_that_is_larger_than_allowed(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    client.session.handles[client.cxh].largest_message = 1000
    client.set(message, {p.PidTagBody: "x" * 1000})
    assert client.save(message).return_value == ErrorCode.TooBig
    client.set(message, {p.PidTagBody: "x"})
    assert client.save(message).return_value == 0


def unread(world: World) -> int:
    count: int = world.mailbox.folder(world.folder(SpecialFolder.INBOX)).properties[p.PidTagContentUnreadCount]
    return count


def test_a_message_is_marked_as_read_at_once(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.message(own_world.letters[0])
    key = client.get(message, p.PidTagChangeKey)
    for flags, read in ((0x00, 1), (0x05, 0), (0x01, 1), (0x10, 1), (0x20, 1), (0x40, 1)):
        request = RopSetMessageReadFlagRequest(0, 1, 0, flags)
        answer = client.execute(request, handles=[message, client.logon])
        assert answer.rops == [RopSetMessageReadFlagResponse(1, 0, 0)]
        assert unread(own_world) == 3 - read
        opened = other.message(own_world.letters[0])
        assert other.get(opened, p.PidTagMessageFlags)[0] & 1 == read
        assert client.get(message, p.PidTagMessageFlags)[0] & 1 == read
        assert other.get(opened, p.PidTagChangeKey) == key
    # It was no change: a handle that was opened before saves without a conflict.
    changed = other.message(own_world.letters[0], mode=1)
    client.ask(RopSetMessageReadFlagRequest(0, 0, 0, 5), message)
    other.set(changed, {p.PidTagImportance: 0})
    assert other.save(changed).return_value == 0
    assert unread(own_world) == 3
    wrong = client.ask(RopSetMessageReadFlagRequest(0, 0, 0, 0x14), message)
    assert wrong.return_value == ErrorCode.InvalidParameter


def test_marking_an_unsaved_message_marks_what_will_be_saved(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    client.ask(RopSetMessageReadFlagRequest(0, 0, 0, 5), message)
    client.save(message)
    assert unread(own_world) == 4


def test_marking_messages_of_a_folder(own_world: World) -> None:
    client = Client(own_world)
    folder, letters = client.folder(), own_world.letters
    done = client.ask(RopSetReadFlagsRequest(0, 0, False, 1, letters[:2]), folder)
    assert (done.return_value, done.partial_completion, unread(own_world)) == (0, False, 1)
    done = client.ask(RopSetReadFlagsRequest(0, 0, True, 5, [letters[0], own_world.rich]), folder)
    assert (done.return_value, done.partial_completion, unread(own_world)) == (0, True, 2)
    assert client.ask(RopSetReadFlagsRequest(0, 0, False, 0, []), folder).return_value == 0
    assert unread(own_world) == 0
    assert client.ask(RopSetReadFlagsRequest(0, 0, False, 0x10, letters), folder).return_value == 0
    wrong = client.ask(RopSetReadFlagsRequest(0, 0, False, 0, letters), client.message(letters[0]))
    assert wrong.return_value == ErrorCode.NullObject
