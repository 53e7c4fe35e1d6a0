"""ROPs of [MS-OXCNOTIF]: every layout of RopNotify, by the conditions of 2.2.1.4.1.2."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, make_id
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.proptags import PidTagImportance, PidTagSubject
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxcnotif import (
    Availability,
    NotificationData,
    NotificationType,
    RopNotifyResponse,
    RopPendingResponse,
    RopRegisterNotificationRequest,
    RopRegisterNotificationResponse,
    TableEventType,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations


def folder(counter: int) -> FolderId:
    return FolderId(make_id(1, counter))


def message(counter: int) -> MessageId:
    return MessageId(make_id(1, counter))


def id_hex(counter: int) -> str:
    return f"0100 00000000 {counter:04x}"


M, S = Availability.Message, Availability.SearchFolder
T, U = Availability.TotalMessageCount, Availability.UnreadMessageCount
Kind, Event = NotificationType, TableEventType
F1, F2, F3, F4 = (folder(counter) for counter in (1, 2, 3, 4))
M7, M8 = message(7), message(8)

#: What follows NotificationHandle and LogonId, and what it says.
NOTIFICATIONS: list[tuple[str, NotificationData]] = [
    (
        f"0280 {id_hex(1)} {id_hex(7)} 00000000 01 490050004d000000",
        NotificationData(M | Kind.NewMail, folder_id=F1, message_id=M7, message_flags=0, message_class="IPM"),
    ),
    (
        f"0280 {id_hex(1)} {id_hex(7)} 02000000 00 49504d00",
        NotificationData(M | Kind.NewMail, folder_id=F1, message_id=M7, message_flags=2, message_class=b"IPM"),
    ),
    # A message in a folder, one in a search folder, and a folder: only the latter two tell the parent.
    (
        f"0480 {id_hex(1)} {id_hex(7)} 0100 1f003700",
        NotificationData(M | Kind.ObjectCreated, folder_id=F1, message_id=M7, tags=[PidTagSubject]),
    ),
    (
        f"04c0 {id_hex(1)} {id_hex(7)} {id_hex(2)} ffff",
        NotificationData(M | S | Kind.ObjectCreated, folder_id=F1, message_id=M7, parent_folder_id=F2),
    ),
    (
        f"0400 {id_hex(1)} {id_hex(2)} 0000",
        NotificationData(Kind.ObjectCreated, folder_id=F1, parent_folder_id=F2, tags=[]),
    ),
    (f"0880 {id_hex(1)} {id_hex(7)}", NotificationData(M | Kind.ObjectDeleted, folder_id=F1, message_id=M7)),
    (f"0800 {id_hex(1)} {id_hex(2)}", NotificationData(Kind.ObjectDeleted, folder_id=F1, parent_folder_id=F2)),
    (
        f"1030 {id_hex(1)} 0000 05000000 02000000",
        NotificationData(
            T | U | Kind.ObjectModified, folder_id=F1, tags=[], total_message_count=5, unread_message_count=2
        ),
    ),
    (
        f"2080 {id_hex(1)} {id_hex(7)} {id_hex(3)} {id_hex(8)}",
        NotificationData(M | Kind.ObjectMoved, folder_id=F1, message_id=M7, old_folder_id=F3, old_message_id=M8),
    ),
    (
        f"4000 {id_hex(1)} {id_hex(2)} {id_hex(3)} {id_hex(4)}",
        NotificationData(
            Kind.ObjectCopied, folder_id=F1, parent_folder_id=F2, old_folder_id=F3, old_parent_folder_id=F4
        ),
    ),
    (f"8000 {id_hex(1)}", NotificationData(Kind.SearchComplete, folder_id=F1)),
    ("0001 0100", NotificationData(Kind.TableModified, Event.TableChanged)),
    ("0001 0700", NotificationData(Kind.TableModified, Event.TableRestrictionChanged)),
    (
        f"0081 0300 {id_hex(1)} {id_hex(7)} 00000000 {id_hex(1)} {id_hex(8)} 01000000 0900 00 01000000 61000000",
        NotificationData(
            M | Kind.TableModified,
            Event.TableRowAdded,
            table_row_folder_id=F1,
            table_row_message_id=M7,
            table_row_instance=0,
            insert_after_table_row_folder_id=F1,
            insert_after_table_row_id=M8,
            insert_after_table_row_instance=1,
            table_row_data=bytes.fromhex("00 01000000 61000000"),
        ),
    ),
    (
        f"0081 0400 {id_hex(1)} {id_hex(7)} 00000000",
        NotificationData(
            M | Kind.TableModified,
            Event.TableRowDeleted,
            table_row_folder_id=F1,
            table_row_message_id=M7,
            table_row_instance=0,
        ),
    ),
    (
        f"0001 0500 {id_hex(1)} {id_hex(2)} 0100 ff",
        NotificationData(
            Kind.TableModified,
            Event.TableRowModified,
            table_row_folder_id=F1,
            insert_after_table_row_folder_id=F2,
            table_row_data=b"\xff",
        ),
    ),
    ("0004", NotificationData(Kind.Extended)),
]

EXAMPLES: list[Example] = [
    # What the probe sends, and gromox 3.10 answers
    ("29 00 00 01 0600 01", RopRegisterNotificationRequest(0, 0, 1, 6, None, 1)),
    ("29 01 00000000", RopRegisterNotificationResponse(1, 0)),
    (
        f"29 00 00 01 7e01 00 {id_hex(1)} {id_hex(7)}",
        RopRegisterNotificationRequest(0, 0, 1, 0x17E, None, 0, F1, M7),
    ),
    ("29 00 00 01 0204 05 01", RopRegisterNotificationRequest(0, 0, 1, 0x402, 5, 1)),
    ("6e 0200", RopPendingResponse(2)),
    *((f"2a 78563412 03 {text}", RopNotifyResponse(0x12345678, 3, data)) for text, data in NOTIFICATIONS),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxcnotif", data)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 0xFFFF), st.sampled_from([0, 1, 3, 4, 5, 7, 0xFFFF]), st.binary(max_size=60))
def test_every_combination_of_flags_and_events(flags: int, event: int, rest: bytes) -> None:
    """Whatever layout the flags call for, it is an error or packs to the very bytes that were read."""
    data = flags.to_bytes(2, "little") + event.to_bytes(2, "little") + rest + bytes(70)
    raw = b"\x2a\0\0\0\0\0" + data
    try:
        RopNotifyResponse.unpack(raw)
    except DecodeError as error:
        if "left over" not in str(error):
            return
        end = error.offset
        assert RopNotifyResponse.unpack(raw[:end]).pack() == raw[:end]


def test_the_row_of_a_table_event_is_read_by_the_columns_of_its_table() -> None:
    data = NOTIFICATIONS[13][1]
    assert data.row([PidTagImportance, PidTagSubject]) == PropertyRow([1, "a"])
    assert data.notification_type == NotificationType.TableModified
    with pytest.raises(DecodeError, match="left over"):
        data.row([PidTagImportance])


def test_notifications_stand_behind_the_responses_of_a_buffer() -> None:
    request = RopBuffer([RopRegisterNotificationRequest(0, 0, 1, 0x17E, None, 1)], [5, 0xFFFFFFFF])
    notify = RopNotifyResponse(6, 0, NOTIFICATIONS[4][1])
    sent = RopBuffer([RopRegisterNotificationResponse(1, 0), notify, RopPendingResponse(0)], [5, 6])
    assert RopBuffer.unpack_response(sent.pack(), request, HandleStates()) == sent


@pytest.mark.parametrize(
    "data",
    [
        NotificationData(Kind.SearchComplete),
        NotificationData(Kind.TableModified),
        NotificationData(Kind.TableModified, Event.TableRowDeleted),
    ],
)
def test_a_notification_without_its_fields_is_not_written(data: NotificationData) -> None:
    with pytest.raises(EncodeError, match="without"):
        RopNotifyResponse(1, 0, data).pack()
