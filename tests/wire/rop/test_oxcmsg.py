"""ROPs of [MS-OXCMSG]. The bytes follow the document's layouts; recorded ones are in `test_recorded`."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.recipients import RecipientRow
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.oxcdata.typedstring import StringType, TypedString
from openchange_py.wire.proptags import PidTagObjectType
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxcmsg import (
    ModifyRecipientRow,
    OpenRecipientRow,
    ReadRecipientRow,
    RopCreateAttachmentRequest,
    RopCreateAttachmentResponse,
    RopCreateMessageRequest,
    RopCreateMessageResponse,
    RopDeleteAttachmentRequest,
    RopDeleteAttachmentResponse,
    RopGetAttachmentTableRequest,
    RopGetAttachmentTableResponse,
    RopGetMessageStatusRequest,
    RopGetMessageStatusResponse,
    RopGetValidAttachmentsRequest,
    RopGetValidAttachmentsResponse,
    RopModifyRecipientsRequest,
    RopModifyRecipientsResponse,
    RopOpenAttachmentRequest,
    RopOpenAttachmentResponse,
    RopOpenEmbeddedMessageRequest,
    RopOpenEmbeddedMessageResponse,
    RopOpenMessageRequest,
    RopOpenMessageResponse,
    RopReadRecipientsRequest,
    RopReadRecipientsResponse,
    RopReloadCachedInformationRequest,
    RopReloadCachedInformationResponse,
    RopRemoveAllRecipientsRequest,
    RopRemoveAllRecipientsResponse,
    RopSaveChangesAttachmentRequest,
    RopSaveChangesAttachmentResponse,
    RopSaveChangesMessageRequest,
    RopSaveChangesMessageResponse,
    RopSetMessageReadFlagRequest,
    RopSetMessageReadFlagResponse,
    RopSetMessageStatusRequest,
    RopSetMessageStatusResponse,
    RopSetReadFlagsRequest,
    RopSetReadFlagsResponse,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

FOLDER, FOLDER_HEX = FolderId(0x36DF8E0E00000001), "010000000e8edf36"
MESSAGE, MESSAGE_HEX = MessageId(0x48F18E0E00000001), "010000000e8ef148"
PREFIX, PREFIX_HEX = TypedString(StringType.ReducedUnicode, "RE: "), "03 52453a2000"
SUBJECT, SUBJECT_HEX = TypedString(StringType.Unicode, "é"), "04 e900 0000"
CLIENT_DATA = bytes(range(24))
COLUMNS = [PidTagObjectType]
COLUMNS_HEX = "0100 0300fe0f"
#: An SMTP recipient with Unicode e-mail address and display name, and the one column.
ROW = RecipientRow(
    0x021B,
    email_address="a@b",
    display_name="A",
    columns=COLUMNS,
    properties=PropertyRow([6]),
)
ROW_HEX = "1b02 6100 4000 6200 0000 4100 0000 0100 00 06000000"
SIZED_ROW_HEX = f"1500 {ROW_HEX}"
OPENED_HEX = f"01 {PREFIX_HEX} {SUBJECT_HEX} 0200 {COLUMNS_HEX} 01 01 e404 0000 {SIZED_ROW_HEX}"
OPENED = (1, PREFIX, SUBJECT, 2, COLUMNS, [OpenRecipientRow(1, 1252, 0, ROW)])

EXAMPLES: list[Example] = [
    (f"03 00 00 01 ff0f {FOLDER_HEX} 03 {MESSAGE_HEX}", RopOpenMessageRequest(0, 0, 1, 0xFFF, FOLDER, 3, MESSAGE)),
    (f"03 01 00000000 {OPENED_HEX}", RopOpenMessageResponse(1, 0, *OPENED)),
    (f"06 00 00 01 ff0f {FOLDER_HEX} 00", RopCreateMessageRequest(0, 0, 1, 0xFFF, FOLDER, 0)),
    ("06 01 00000000 00", RopCreateMessageResponse(1, 0, 0)),
    (f"06 01 00000000 01 {MESSAGE_HEX}", RopCreateMessageResponse(1, 0, 1, MESSAGE)),
    ("0c 00 01 02 0a", RopSaveChangesMessageRequest(0, 1, 2, 0x0A)),
    (f"0c 01 00000000 02 {MESSAGE_HEX}", RopSaveChangesMessageResponse(1, 0, 2, MESSAGE)),
    ("0d 00 01 00000000", RopRemoveAllRecipientsRequest(0, 1, 0)),
    ("0d 01 00000000", RopRemoveAllRecipientsResponse(1, 0)),
    (
        f"0e 00 01 {COLUMNS_HEX} 0200 00000000 01 {SIZED_ROW_HEX} 01000000 02 0000",
        RopModifyRecipientsRequest(0, 1, COLUMNS, [ModifyRecipientRow(0, 1, ROW), ModifyRecipientRow(1, 2, None)]),
    ),
    ("0e 01 00000000", RopModifyRecipientsResponse(1, 0)),
    ("0f 00 01 05000000 0000", RopReadRecipientsRequest(0, 1, 5, 0)),
    ("0f 01 00000000 00", RopReadRecipientsResponse(1, 0, [])),
    ("10 00 01 0000", RopReloadCachedInformationRequest(0, 1, 0)),
    (f"10 01 00000000 {OPENED_HEX}", RopReloadCachedInformationResponse(1, 0, *OPENED)),
    (f"20 00 01 {MESSAGE_HEX} 01000000 03000000", RopSetMessageStatusRequest(0, 1, MESSAGE, 1, 3)),
    ("20 01 00000000 02000000", RopSetMessageStatusResponse(1, 0, 2)),
    (f"1f 00 01 {MESSAGE_HEX}", RopGetMessageStatusRequest(0, 1, MESSAGE)),
    ("1f 01 00000000 02000000", RopGetMessageStatusResponse(1, 0, 2)),
    (f"66 00 01 00 04 0100 {MESSAGE_HEX}", RopSetReadFlagsRequest(0, 1, 0, 4, [MESSAGE])),
    ("66 01 00000000 00", RopSetReadFlagsResponse(1, 0, 0)),
    ("11 00 01 02 05", RopSetMessageReadFlagRequest(0, 1, 2, 5)),
    ("11 01 00000000 00", RopSetMessageReadFlagResponse(1, 0, 0)),
    (f"11 01 00000000 01 03 {CLIENT_DATA.hex()}", RopSetMessageReadFlagResponse(1, 0, 1, 3, CLIENT_DATA)),
    ("22 00 01 02 01 00000000", RopOpenAttachmentRequest(0, 1, 2, 1, 0)),
    ("22 02 00000000", RopOpenAttachmentResponse(2, 0)),
    ("23 00 01 02", RopCreateAttachmentRequest(0, 1, 2)),
    ("23 02 00000000 03000000", RopCreateAttachmentResponse(2, 0, 3)),
    ("24 00 01 03000000", RopDeleteAttachmentRequest(0, 1, 3)),
    ("24 01 00000000", RopDeleteAttachmentResponse(1, 0)),
    ("25 00 01 02 0a", RopSaveChangesAttachmentRequest(0, 1, 2, 0x0A)),
    ("25 01 00000000", RopSaveChangesAttachmentResponse(1, 0)),
    ("46 00 01 02 ff0f 02", RopOpenEmbeddedMessageRequest(0, 1, 2, 0xFFF, 2)),
    (
        f"46 02 00000000 00 {MESSAGE_HEX} {OPENED_HEX}",
        RopOpenEmbeddedMessageResponse(2, 0, 0, MESSAGE, *OPENED),
    ),
    ("21 00 01 02 00", RopGetAttachmentTableRequest(0, 1, 2, 0)),
    ("21 02 00000000", RopGetAttachmentTableResponse(2, 0)),
    ("52 00 01", RopGetValidAttachmentsRequest(0, 1)),
    ("52 01 00000000 0200 01000000 02000000", RopGetValidAttachmentsResponse(1, 0, [1, 2])),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxcmsg", data)


def _buffer(rops: str, *handles: int) -> bytes:
    data = bytes.fromhex(rops)
    return (len(data) + 2).to_bytes(2, "little") + data + b"".join(h.to_bytes(4, "little") for h in handles)


READ_HEX = f"0f 00 00000000 01 05000000 02 e404 0000 {SIZED_ROW_HEX}"


@pytest.mark.parametrize(
    ("opening", "answer"),
    [
        (RopOpenMessageRequest(0, 0, 1, 0xFFF, FOLDER, 3, MESSAGE), f"03 01 00000000 {OPENED_HEX}"),
        (RopOpenEmbeddedMessageRequest(0, 0, 1, 0xFFF, 0), f"46 01 00000000 00 {MESSAGE_HEX} {OPENED_HEX}"),
        (RopReloadCachedInformationRequest(0, 1, 0), f"10 01 00000000 {OPENED_HEX}"),
    ],
)
def test_recipients_are_read_by_the_columns_that_opening_the_message_told(
    opening: RopOpenMessageRequest, answer: str
) -> None:
    states = HandleStates()
    RopBuffer.unpack_response(_buffer(answer, 3, 9), RopBuffer([opening], [3, 9]), states)
    request = RopBuffer([RopReadRecipientsRequest(0, 0, 5, 0)], [9])
    data = _buffer(READ_HEX, 9)
    buffer = RopBuffer.unpack_response(data, request, states)
    row = dataclasses.replace(ROW, columns=tuple(COLUMNS))
    assert buffer.rops == [RopReadRecipientsResponse(0, 0, [ReadRecipientRow(5, 2, 1252, 0, row)])]
    assert buffer.pack() == data


def test_recipients_of_a_message_not_seen_opening_stay_bytes() -> None:
    request = RopBuffer([RopReadRecipientsRequest(0, 0, 5, 0)], [9])
    buffer = RopBuffer.unpack_response(_buffer(READ_HEX, 9), request, HandleStates())
    assert (buffer.rops, buffer.tail) == ([], bytes.fromhex(READ_HEX))


def test_the_status_of_a_message_is_answered_under_the_other_rop_id() -> None:
    data = _buffer("20 00 00000000 04000000", 9)
    request = RopBuffer([RopGetMessageStatusRequest(0, 0, MESSAGE)], [9])
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopSetMessageStatusResponse(0, 0, 4)]


def test_client_data_belongs_to_public_logons() -> None:
    states = HandleStates()
    states.public_logons.add(4)
    data = _buffer(f"11 04 01 02 05 {CLIENT_DATA.hex()} 11 00 01 02 05")
    buffer = RopBuffer.unpack_request(data, states)
    assert buffer.rops == [
        RopSetMessageReadFlagRequest(4, 1, 2, 5, CLIENT_DATA),
        RopSetMessageReadFlagRequest(0, 1, 2, 5),
    ]
    assert buffer.pack() == data


def test_a_recipient_row_must_fill_its_size() -> None:
    data = bytes.fromhex(f"0e 00 01 {COLUMNS_HEX} 0100 00000000 01 1600 {ROW_HEX} 00")
    with pytest.raises(DecodeError, match="1 bytes left over"):
        RopModifyRecipientsRequest.unpack(data)


def test_empty_cells_of_recipients_are_bounded_by_the_size_of_the_row() -> None:
    columns = [PropertyTag(0x00010001)] * 4000
    row = RecipientRow(0, columns=columns, properties=PropertyRow([None] * 4000))
    with pytest.raises(DecodeError, match="RecipientColumnCount is 4000"):
        RopModifyRecipientsRequest.unpack(
            RopModifyRecipientsRequest(0, 0, columns, [ModifyRecipientRow(0, 1, row)]).pack()
        )


def test_flags_and_fields_that_do_not_agree_are_not_written() -> None:
    with pytest.raises(EncodeError):
        RopCreateMessageResponse(0, 0, 1, None).pack()
    with pytest.raises(EncodeError):
        RopSetMessageReadFlagRequest(0, 0, 1, 0, b"short").pack()
