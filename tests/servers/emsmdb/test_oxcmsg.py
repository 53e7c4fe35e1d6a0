"""[MS-OXCMSG] as a client sees it."""

from __future__ import annotations

import pytest

from openchange_py.store.base import MessageDraft, Recipient, SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, make_id
from openchange_py.wire.rop.base import RopFailure, RopRequest
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcmsg import (
    RopGetAttachmentTableRequest,
    RopOpenAttachmentRequest,
    RopOpenAttachmentResponse,
    RopOpenEmbeddedMessageRequest,
    RopOpenEmbeddedMessageResponse,
    RopOpenMessageRequest,
    RopOpenMessageResponse,
    RopReadRecipientsRequest,
    RopReloadCachedInformationRequest,
    RopReloadCachedInformationResponse,
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


@pytest.mark.parametrize(("flags", "code"), [(0, ErrorCode.NotFound), (2, ErrorCode.NotImplemented)])
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
