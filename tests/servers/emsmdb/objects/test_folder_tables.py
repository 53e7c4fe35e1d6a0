"""The tables of folders, and what becomes of them when something changes."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from openchange_py.servers.emsmdb.objects import folder_tables
from openchange_py.servers.emsmdb.objects.folder_tables import ContentsTable, HierarchyTable, moved_position
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.store.base import EventKind, SortKey, SpecialFolder, StoreEvent
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.rop.oxcnotif import TableEventType
from tests.servers.emsmdb.parties import World, letter


@pytest.fixture
def logon(world: World) -> Logon:
    return Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"])


@pytest.fixture
def inbox(logon: Logon, world: World) -> ContentsTable:
    return ContentsTable(logon, world.folder(SpecialFolder.INBOX), associated=False)


@pytest.fixture
def own_inbox(own_world: World) -> ContentsTable:
    """One whose client is told of changes."""
    logon = Logon(own_world.mailbox, 0, own_world.entries["alice"], own_world.entries["alice"])
    table = ContentsTable(logon, own_world.folder(SpecialFolder.INBOX), associated=False, notifies=True)
    table.set_columns([p.PidTagSubject])
    return table


def test_sorting(inbox: ContentsTable, world: World) -> None:
    inbox.seek(2, 0)
    inbox.sort([SortKey(p.PidTagMessageDeliveryTime)])
    assert inbox.position == 0
    assert [row[p.PidTagMid] for row in inbox.rows(0, 3, [p.PidTagMid])] == world.letters


def test_ids_are_only_made_where_a_column_needs_them(inbox: ContentsTable) -> None:
    (row,) = inbox.rows(0, 1, [p.PidTagSubject])
    assert set(row) == {p.PidTagSubject}
    (row,) = inbox.rows(0, 1, [p.PidTagEntryId])
    assert len(row[p.PidTagEntryId]) == 70


def test_a_contents_table_of_soft_deleted_messages_stays_empty(logon: Logon, world: World) -> None:
    table = ContentsTable(logon, world.folder(SpecialFolder.INBOX), associated=False, soft_deleted=True)
    table.sort([])
    assert table.row_count == 0


def test_depths_count_from_the_folder(logon: Logon, world: World) -> None:
    root = world.folder(SpecialFolder.ROOT)
    table = HierarchyTable(logon, root, deep=True)
    depths = {row[p.PidTagDisplayName]: row[p.PidTagDepth] for row in table.rows(0, table.row_count, [])}
    assert (depths["Finder"], depths["Inbox"]) == (1, 2)


@pytest.mark.parametrize(
    ("position", "new", "expected"),
    [
        (0, [9, 1, 2, 3, 4], 0),
        (2, [9, 1, 2, 3, 4], 3),
        (2, [1, 2, 9, 3, 4], 3),
        (2, [1, 2, 4], 2),
        (1, [1, 3, 4], 1),
        (2, [1, 2], 2),
        (4, [1, 2, 3, 4, 9], 4),
        (4, [9, 1, 3], 3),
        (3, [9, 8], 0),
        (3, [], 0),
    ],
)
def test_a_position_stays_with_the_row_that_comes_next(position: int, new: list[int], expected: int) -> None:
    assert moved_position(position, array("Q", [1, 2, 3, 4]), array("Q", new)) == expected


def created(table: ContentsTable, message: MessageId) -> StoreEvent:
    return StoreEvent(EventKind.CREATED, table.folder_id, message)


def test_nothing_is_told_without_a_view(own_inbox: ContentsTable, own_world: World) -> None:
    event = created(own_inbox, own_world.letters[0])
    assert not own_inbox.heard(event)
    own_inbox.use()
    assert own_inbox.heard(event)
    own_inbox.notifies = False
    assert not own_inbox.heard(event)


def test_only_the_folder_s_own_messages_concern_a_contents_table(own_inbox: ContentsTable, own_world: World) -> None:
    own_inbox.use()
    inbox, other = own_inbox.folder_id, own_world.folder(SpecialFolder.SENT_ITEMS)
    message = own_world.letters[0]
    for event in (
        StoreEvent(EventKind.CREATED, other, message),
        StoreEvent(EventKind.CREATED, inbox, message, associated=True),
        StoreEvent(EventKind.NEW_MAIL, inbox, message),
        StoreEvent(EventKind.MODIFIED, inbox),
        StoreEvent(EventKind.MOVED, other, message, old_folder_id=FolderId(0x7FFFFFFFFFFF0001)),
    ):
        assert not own_inbox.heard(event), event


def test_after_table_changed_nothing_is_told_before_somebody_looks(own_inbox: ContentsTable, own_world: World) -> None:
    own_inbox.use()
    event = created(own_inbox, own_world.letters[0])
    assert own_inbox.heard(None)
    changed = own_inbox.notification(None)
    assert changed is not None
    assert changed.table_event_type == TableEventType.TableChanged
    assert own_inbox.notification(event) is None, "what waited in front of it"
    assert not own_inbox.heard(event)
    assert not own_inbox.heard(None)
    own_inbox.use()
    assert own_inbox.heard(event)


def told(table: ContentsTable, event: StoreEvent) -> Any:
    assert table.heard(event)
    return table.notification(event)


def test_rows_that_come_go_and_change(own_inbox: ContentsTable, own_world: World) -> None:
    own_inbox.use()
    assert own_inbox.row_count == 3
    fresh = own_world.mailbox.save_message(own_inbox.folder_id, letter(1))
    data = told(own_inbox, created(own_inbox, fresh))
    assert (data.notification_flags, data.table_event_type) == (0x8100, TableEventType.TableRowAdded)
    assert (data.table_row_folder_id, data.table_row_message_id) == (own_inbox.folder_id, fresh)
    assert data.insert_after_table_row_folder_id == own_inbox.folder_id
    assert data.insert_after_table_row_id == own_world.letters[2]
    assert data.row([p.PidTagSubject]).values == ["RE: letter 1"]
    newest = own_world.letters[2]
    data = told(own_inbox, StoreEvent(EventKind.MODIFIED, own_inbox.folder_id, newest))
    assert (data.table_event_type, data.table_row_message_id) == (TableEventType.TableRowModified, newest)
    assert (data.insert_after_table_row_folder_id, data.insert_after_table_row_id) == (0, 0)
    own_world.mailbox.delete_messages(own_inbox.folder_id, [newest])
    data = told(own_inbox, StoreEvent(EventKind.DELETED, own_inbox.folder_id, newest))
    assert (data.table_event_type, data.table_row_message_id) == (TableEventType.TableRowDeleted, newest)
    assert data.table_row_data is None


def test_a_row_that_is_gone_again_is_not_added(own_inbox: ContentsTable) -> None:
    own_inbox.use()
    assert told(own_inbox, created(own_inbox, MessageId(0x7FFFFFFFFFFF0001))) is None


def test_what_moves_is_added_here_and_deleted_there(own_inbox: ContentsTable, own_world: World) -> None:
    own_inbox.use()
    here, there, message = own_inbox.folder_id, own_world.folder(SpecialFolder.DRAFTS), own_world.letters[0]
    data = told(own_inbox, StoreEvent(EventKind.MOVED, here, message, old_folder_id=there))
    assert data.table_event_type == TableEventType.TableRowAdded
    gone = StoreEvent(EventKind.MOVED, there, MessageId(7), old_folder_id=here, old_message_id=message)
    data = told(own_inbox, gone)
    assert (data.table_event_type, data.table_row_message_id) == (TableEventType.TableRowDeleted, message)


def test_of_many_rows_and_of_rows_without_columns_it_is_told_that_they_changed(
    own_inbox: ContentsTable, own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_inbox.use()
    event = created(own_inbox, own_world.letters[0])
    monkeypatch.setattr(folder_tables, "MOST_FOLLOWED_ROWS", 2)
    assert told(own_inbox, event).table_event_type == TableEventType.TableChanged
    monkeypatch.undo()
    own_inbox.use()
    own_inbox.set_columns(None)
    assert told(own_inbox, event).table_event_type == TableEventType.TableChanged


@pytest.mark.parametrize("deep", [False, True])
def test_folders_that_come_and_change(own_world: World, deep: bool) -> None:
    mailbox, inbox = own_world.mailbox, own_world.folder(SpecialFolder.INBOX)
    top = own_world.folder(SpecialFolder.IPM_SUBTREE)
    logon = Logon(mailbox, 0, own_world.entries["alice"], own_world.entries["alice"])
    table = HierarchyTable(logon, top, deep=deep, notifies=True)
    table.set_columns([p.PidTagDisplayName])
    before = table.row_count
    table.use()
    below = mailbox.create_folder(inbox, "Below")
    assert table.heard(StoreEvent(EventKind.CREATED, below.id, parent_id=inbox)) is deep
    fresh = mailbox.create_folder(top, "Aardvark")
    event = StoreEvent(EventKind.CREATED, fresh.id, parent_id=top)
    assert table.heard(event)
    data = table.notification(event)
    assert data is not None
    assert (data.notification_flags, data.table_row_folder_id) == (0x0100, fresh.id)
    assert data.insert_after_table_row_folder_id == 0
    assert data.row([p.PidTagDisplayName]).values == ["Aardvark"]
    assert table.row_count == before + (2 if deep else 1)
    assert not table.heard(StoreEvent(EventKind.MODIFIED, top, parent_id=own_world.folder(SpecialFolder.ROOT)))
    assert not table.heard(StoreEvent(EventKind.CREATED, inbox, own_world.letters[0]))
    event = StoreEvent(EventKind.MOVED, fresh.id, parent_id=FolderId(1), old_folder_id=fresh.id, old_parent_id=top)
    assert table.heard(event)
    data = table.notification(event)
    assert data is not None
    assert (data.table_event_type, data.table_row_folder_id) == (TableEventType.TableRowDeleted, fresh.id)
