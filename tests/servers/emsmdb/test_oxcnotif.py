"""Subscriptions and tables of a session, from RopRegisterNotification to RopNotify: [MS-OXCNOTIF]."""

from __future__ import annotations

from typing import Any

import pytest

from openchange_py.store import notify
from openchange_py.store.base import SpecialFolder
from openchange_py.store.source import open_store
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.rop.oxcfold import (
    RopDeleteMessagesRequest,
    RopGetContentsTableRequest,
    RopGetHierarchyTableRequest,
)
from openchange_py.wire.rop.oxcmsg import RopSetReadFlagsRequest
from openchange_py.wire.rop.oxcnotif import (
    NotificationData,
    NotificationType,
    RopNotifyResponse,
    RopPendingResponse,
    RopRegisterNotificationRequest,
    TableEventType,
)
from openchange_py.wire.rop.oxctabl import RopQueryPositionRequest, RopQueryRowsRequest
from tests.servers.emsmdb.parties import NONE, Client, OldClient, World, letter

EVERYTHING = 0x01FF
SUBJECT: tuple[PropertyTag, ...] = (p.PidTagSubject,)


def register(
    client: Client, types: int = EVERYTHING, *, folder: int | None = None, message: int = 0, on: int | None = None
) -> int:
    """The handle of a subscription; without a folder to the whole store."""
    request = RopRegisterNotificationRequest(
        0, 0, 1, types, None, int(folder is None), FolderId(folder or 0), MessageId(message)
    )
    return client.open(request, client.logon if on is None else on)


def news(client: Client, handle: int | None = None) -> list[NotificationData]:
    """What the client was told since it asked for last, of one handle or of any."""
    client.execute(handles=[])
    told, client.told = client.told, []
    assert all(isinstance(rop, RopNotifyResponse) for rop in told), told
    return [rop.notification_data for rop in told if handle in (None, rop.notification_handle)]


def kinds(client: Client) -> list[tuple[int, Any]]:
    """The same as flags and message."""
    return [(data.notification_flags, data.message_id) for data in news(client)]


def test_what_happens_to_messages(own_world: World) -> None:
    client, inbox = Client(own_world), own_world.folder(SpecialFolder.INBOX)
    register(client)
    counted = (0x3010, None)
    message = own_world.mailbox.deliver_message(inbox, letter(9))
    assert kinds(client) == [(0x8004, message), (0x8002, message), counted]
    client.ask(RopSetReadFlagsRequest(0, 0, False, 1, [message]), client.folder())
    read, unread = [rop.notification_data for rop in client.told]
    assert (read.notification_flags, read.message_id) == (0x8010, message)
    assert read.tags == [p.PidTagMessageFlags, p.PidTagRead]
    assert (unread.notification_flags, unread.folder_id, unread.unread_message_count) == (0x2010, inbox, 3)
    client.told.clear()
    handle = client.message(message, mode=1)
    assert client.set(handle, {p.PidTagSubject: "changed"}) == []
    assert client.save(handle).return_value == 0
    assert [rop.notification_data.notification_flags for rop in client.told] == [0x8010, 0x0010]
    client.told.clear()
    client.ask(RopDeleteMessagesRequest(0, 0, False, False, [message]), client.folder())
    deleted, counts = [rop.notification_data for rop in client.told]
    assert (deleted.notification_flags, deleted.folder_id, deleted.message_id) == (0x8008, inbox, message)
    assert (counts.total_message_count, counts.unread_message_count) == (3, None)


def test_what_happens_to_folders(own_world: World) -> None:
    client, inbox = Client(own_world), own_world.folder(SpecialFolder.INBOX)
    register(client, NotificationType.ObjectCreated)
    folder = own_world.mailbox.create_folder(inbox, "Projects")
    (data,) = news(client)
    assert (data.notification_flags, data.folder_id, data.parent_folder_id) == (0x0004, folder.id, inbox)


def test_folders_and_messages_are_told_apart(own_world: World) -> None:
    client, inbox = Client(own_world), own_world.folder(SpecialFolder.INBOX)
    sent = own_world.folder(SpecialFolder.SENT_ITEMS)
    of_inbox = register(client, folder=inbox)
    of_letter = register(client, folder=inbox, message=own_world.letters[0])
    own_world.mailbox.save_message(sent, letter(7))
    assert news(client) == []
    own_world.mailbox.set_read(inbox, own_world.letters[:2], True)
    client.execute(handles=[])
    heard = [(rop.notification_handle, rop.notification_data.message_id) for rop in client.told]
    first, second = own_world.letters[:2]
    assert heard == [(of_inbox, first), (of_letter, first), (of_inbox, second), (of_inbox, None)]


def test_a_released_subscription_is_silent(own_world: World) -> None:
    client, inbox = Client(own_world), own_world.folder(SpecialFolder.INBOX)
    handle = register(client)
    own_world.mailbox.save_message(inbox, letter(7))
    client.release(handle)
    assert client.told == []
    own_world.mailbox.save_message(inbox, letter(8))
    assert news(client) == []
    register(client)
    client.release(client.logon)
    own_world.mailbox.save_message(inbox, letter(9))
    assert news(client) == []


def test_documented_errors(client: Client, world: World) -> None:
    for types in (0x0000, 0x1000, 0x8000):
        request = RopRegisterNotificationRequest(0, 0, 1, types, None, 1)
        answer = client.execute(request, handles=[client.logon, NONE])
        assert (answer.rops[0].return_value, answer.handles[1]) == (ErrorCode.InvalidParameter, NONE)
    request = RopRegisterNotificationRequest(0, 0, 1, EVERYTHING, None, 1)
    assert client.execute(request, handles=[NONE, NONE]).rops[0].return_value == ErrorCode.NullObject
    assert client.execute(request, handles=[client.logon]).rops[0].return_value == ErrorCode.NullObject


def test_any_object_of_the_logon_serves(own_world: World) -> None:
    client = Client(own_world)
    handle = register(client, on=client.folder())
    own_world.mailbox.save_message(own_world.folder(SpecialFolder.INBOX), letter(7))
    assert len(news(client, handle)) == 2


def test_a_contents_table_tells_of_its_rows(own_world: World) -> None:
    client, inbox = Client(own_world), own_world.folder(SpecialFolder.INBOX)
    table = client.contents(*SUBJECT)
    own_world.mailbox.save_message(inbox, letter(3))
    assert news(client) == [], "nobody looked at it"
    client.rows(table, 1)
    message = own_world.mailbox.save_message(inbox, letter(4))
    (data,) = news(client, table)
    assert (data.notification_flags, data.table_event_type) == (0x8100, TableEventType.TableRowAdded)
    assert (data.table_row_message_id, data.insert_after_table_row_id) == (message, 0)
    assert data.row(SUBJECT).values == ["RE: letter 4"]
    own_world.mailbox.delete_messages(inbox, [message])
    (data,) = news(client, table)
    assert (data.table_event_type, data.table_row_message_id) == (TableEventType.TableRowDeleted, message)


@pytest.mark.parametrize("request_kind", [RopQueryPositionRequest, RopQueryRowsRequest])
def test_looking_makes_the_view(own_world: World, request_kind: Any) -> None:
    """[MS-OXCNOTIF] 3.1.4.3."""
    client = Client(own_world)
    table = client.contents(*SUBJECT)
    more = (0, 1, 1) if request_kind is RopQueryRowsRequest else ()
    assert client.ask(request_kind(0, 0, *more), table).return_value == 0
    own_world.mailbox.save_message(own_world.folder(SpecialFolder.INBOX), letter(3))
    assert len(news(client, table)) == 1


def test_a_hierarchy_table_tells_of_its_folders(own_world: World) -> None:
    client, inbox = Client(own_world), own_world.folder(SpecialFolder.INBOX)
    table = client.open(RopGetHierarchyTableRequest(0, 0, 1, 0), client.folder(SpecialFolder.IPM_SUBTREE))
    client.columns(table, p.PidTagDisplayName, p.PidTagContentCount)
    client.rows(table, 1)
    own_world.mailbox.save_message(inbox, letter(3))
    (data,) = news(client, table)
    assert (data.table_event_type, data.table_row_folder_id) == (TableEventType.TableRowModified, inbox)
    assert data.row([p.PidTagDisplayName, p.PidTagContentCount]).values == ["Inbox", 4]


@pytest.mark.parametrize("kind", [RopGetContentsTableRequest, RopGetHierarchyTableRequest])
def test_tables_without_notifications(own_world: World, kind: Any) -> None:
    """NoNotifications of TableFlags; the rows follow all the same."""
    client, inbox = Client(own_world), own_world.folder(SpecialFolder.INBOX)
    table = client.open(kind(0, 0, 1, 0x10), client.folder())
    client.columns(table, p.PidTagDisplayName, p.PidTagSubject)
    before = len(client.rows(table).rows)
    own_world.mailbox.save_message(inbox, letter(3))
    own_world.mailbox.create_folder(inbox, "Below")
    assert news(client) == []
    assert client.ask(RopQueryPositionRequest(0, 0), table).denominator == before + 1


def test_what_does_not_fit_stays_for_the_next_answer(own_world: World) -> None:
    client, inbox = Client(own_world), own_world.folder(SpecialFolder.INBOX)
    register(client, NotificationType.ObjectCreated)
    messages = own_world.mailbox.save_messages(inbox, [letter(number) for number in range(9)])
    found: list[int] = []
    for _ in range(20):
        client.execute(handles=[], out_size=100)
        told, client.told = client.told, []
        found += [rop.notification_data.message_id for rop in told if isinstance(rop, RopNotifyResponse)]
        if not any(isinstance(rop, RopPendingResponse) for rop in told):
            break
        assert told[-1].session_index == client.connected.icxr
    assert found == messages


def test_other_processes_are_heard_of(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "CHECK_INTERVAL", 0.0)
    client = Client(own_world)
    register(client, NotificationType.NewMail)
    store: Any = own_world.store
    other = open_store(str(store._database))
    delivered = other.mailbox(own_world.mailbox.guid).deliver_message(own_world.folder(SpecialFolder.INBOX), letter(5))
    other.close()
    assert kinds(client) == [(0x8002, delivered)]


def test_old_clients_are_told_in_their_answers(own_world: World) -> None:
    client = OldClient(own_world)
    register(client, NotificationType.NewMail)
    delivered = own_world.mailbox.deliver_message(own_world.folder(SpecialFolder.INBOX), letter(5))
    assert kinds(client) == [(0x8002, delivered)]


def test_others_mailboxes_are_not_heard_of(own_world: World) -> None:
    bob = Client(own_world, "bob")
    register(bob)
    own_world.mailbox.deliver_message(own_world.folder(SpecialFolder.INBOX), letter(5))
    assert news(bob) == []
