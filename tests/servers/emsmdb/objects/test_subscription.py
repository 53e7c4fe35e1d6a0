"""Which events a subscription hears of, and how they are told."""

from __future__ import annotations

import pytest

from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.subscription import SubscriptionObject, notification_of
from openchange_py.store.base import NO_MESSAGE, EventKind, StoreEvent
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import Reader
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.rop.oxcnotif import NotificationData, NotificationType
from tests.servers.emsmdb.parties import World

INBOX, OTHER, TOP, LETTER = FolderId(0x0101), FolderId(0x0201), FolderId(0x0301), MessageId(0x1001)
EVERYTHING = 0x0FFF

MAIL = StoreEvent(EventKind.NEW_MAIL, INBOX, LETTER, message_flags=4, message_class="IPM.Note")
ELSEWHERE = StoreEvent(EventKind.CREATED, OTHER, MessageId(0x2001))
COUNTED = StoreEvent(EventKind.MODIFIED, INBOX, parent_id=TOP, tags=(p.PidTagContentCount,), total=3, unread=2)
NEW_FOLDER = StoreEvent(EventKind.CREATED, OTHER, parent_id=INBOX)
MOVED = StoreEvent(EventKind.MOVED, OTHER, MessageId(0x3001), old_folder_id=INBOX, old_message_id=LETTER)


def subscription(
    world: World, types: int = EVERYTHING, folder: FolderId | None = None, message: MessageId = NO_MESSAGE
) -> SubscriptionObject:
    return SubscriptionObject(
        Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"]), types, folder, message
    )


def test_the_whole_store(world: World) -> None:
    whole = subscription(world)
    assert all(whole.heard(event) for event in (MAIL, ELSEWHERE, COUNTED, NEW_FOLDER, MOVED))
    assert not whole.heard(None), "nobody knows what"
    assert whole.notification(None) is None


@pytest.mark.parametrize(
    ("event", "folder", "message"),
    [
        (MAIL, True, True),
        (ELSEWHERE, False, False),
        (COUNTED, True, False),
        (NEW_FOLDER, True, False),
        (MOVED, True, True),
    ],
)
def test_a_folder_and_a_message(world: World, event: StoreEvent, folder: bool, message: bool) -> None:
    assert subscription(world, folder=INBOX).heard(event) is folder
    assert subscription(world, folder=INBOX, message=LETTER).heard(event) is message


@pytest.mark.parametrize("kind", list(EventKind))
def test_only_what_was_asked_for(world: World, kind: EventKind) -> None:
    event = StoreEvent(kind, INBOX, LETTER)
    assert subscription(world, types=kind).heard(event)
    assert not subscription(world, types=EVERYTHING & ~kind).heard(event)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            MAIL,
            NotificationData(0x8002, folder_id=INBOX, message_id=LETTER, message_flags=4, message_class="IPM.Note"),
        ),
        (ELSEWHERE, NotificationData(0x8004, folder_id=OTHER, message_id=MessageId(0x2001))),
        (NEW_FOLDER, NotificationData(0x0004, folder_id=OTHER, parent_folder_id=INBOX)),
        (StoreEvent(EventKind.DELETED, INBOX, LETTER), NotificationData(0x8008, folder_id=INBOX, message_id=LETTER)),
        (
            COUNTED,
            NotificationData(
                0x3010, folder_id=INBOX, tags=[p.PidTagContentCount], total_message_count=3, unread_message_count=2
            ),
        ),
        (
            MOVED,
            NotificationData(
                0x8020, folder_id=OTHER, message_id=MessageId(0x3001), old_folder_id=INBOX, old_message_id=LETTER
            ),
        ),
        (
            StoreEvent(EventKind.COPIED, OTHER, parent_id=TOP, old_folder_id=INBOX, old_parent_id=TOP),
            NotificationData(
                0x0040, folder_id=OTHER, parent_folder_id=TOP, old_folder_id=INBOX, old_parent_folder_id=TOP
            ),
        ),
    ],
    ids=lambda value: value.kind.name if isinstance(value, StoreEvent) else "",
)
def test_every_kind_has_the_document_s_fields(event: StoreEvent, expected: NotificationData) -> None:
    """[MS-OXCNOTIF] 2.2.1.4.1.2."""
    data = notification_of(event)
    assert data == expected
    assert NotificationData.read(Reader(data.pack())) == expected
    assert data.notification_type == NotificationType(event.kind)
