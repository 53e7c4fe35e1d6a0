"""What waits for a session, how much of it, and who is woken."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from openchange_py.servers.emsmdb import notifications as module
from openchange_py.servers.emsmdb.notifications import Notifications
from openchange_py.servers.emsmdb.objects.folder_tables import ContentsTable
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.subscription import SubscriptionObject
from openchange_py.store.base import NO_MESSAGE, SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import Reader
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import MessageId
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.oxcnotif import (
    NotificationType,
    RopNotifyResponse,
    RopPendingResponse,
    TableEventType,
)
from tests.servers.emsmdb.parties import World, letter

SUBSCRIPTION, TABLE = 7, 8
ROOM = 0x8000


@pytest.fixture
def session(own_world: World) -> Iterator[Notifications]:
    found = Notifications()
    found.index = 0x1234
    yield found
    found.close()


@pytest.fixture
def logon(own_world: World) -> Logon:
    return Logon(own_world.mailbox, 3, own_world.entries["alice"], own_world.entries["alice"])


@pytest.fixture
def subscription(own_world: World, session: Notifications, logon: Logon) -> SubscriptionObject:
    """To messages that are made, anywhere."""
    made = SubscriptionObject(logon, NotificationType.ObjectCreated, None, NO_MESSAGE)
    session.follow(SUBSCRIPTION, made, own_world.store)
    return made


@pytest.fixture
def table(own_world: World, session: Notifications, logon: Logon) -> ContentsTable:
    """The Inbox, looked at."""
    made = ContentsTable(logon, own_world.folder(SpecialFolder.INBOX), associated=False, notifies=True)
    session.follow(TABLE, made, own_world.store)
    made.set_columns([p.PidTagSubject])
    made.use()
    assert made.row_count == 3
    return made


def save(world: World, count: int = 1) -> list[MessageId]:
    inbox = world.folder(SpecialFolder.INBOX)
    return [world.mailbox.save_message(inbox, letter(number)) for number in range(10, 10 + count)]


def decoded(packed: Sequence[bytes]) -> list[Rop]:
    """The unsolicited ROPs of some bytes."""
    found: list[Rop] = []
    for one in packed:
        kind = {0x2A: RopNotifyResponse, 0x6E: RopPendingResponse}[one[0]]
        reader = Reader(one)
        reader.skip(1)
        found.append(kind.read(reader))
        reader.expect_end()
    return found


def told(session: Notifications, room: int = ROOM) -> list[Any]:
    return decoded(session.responses(room))


@pytest.mark.usefixtures("subscription")
def test_what_happened_is_told_once(own_world: World, session: Notifications) -> None:
    assert not session.pending
    messages = save(own_world, 2)
    assert session.pending
    first, second = told(session)
    assert (first.notification_handle, first.logon_id) == (SUBSCRIPTION, 3)
    assert [one.notification_data.message_id for one in (first, second)] == messages
    assert not session.pending
    assert told(session) == []


@pytest.mark.usefixtures("subscription", "table")
def test_what_has_no_room_is_pending(own_world: World, session: Notifications) -> None:
    save(own_world)
    one = len(session.responses(ROOM)[0])
    save(own_world, 2)
    notify, pending = told(session, one + 3)
    assert isinstance(notify, RopNotifyResponse)
    assert pending == RopPendingResponse(0x1234)
    assert session.pending
    assert told(session, 3) == [RopPendingResponse(0x1234)]
    assert told(session, 2) == []
    assert len(told(session)) == 3
    assert not session.pending


@pytest.mark.usefixtures("table")
def test_who_closed_it_is_told_nothing(own_world: World, session: Notifications, subscription: Any) -> None:
    save(own_world, 2)
    one = len(session.responses(ROOM)[0])
    save(own_world, 2)
    told(session, one)
    subscription.close()
    assert {rop.notification_handle for rop in told(session)} <= {TABLE}
    save(own_world)
    assert [rop.notification_handle for rop in told(session)] == [TABLE]


def test_the_last_that_is_closed_ends_the_watch(
    own_world: World, session: Notifications, subscription: Any, table: Any
) -> None:
    feed: Any = own_world.store
    assert len(feed._database.feed._followed) == 1
    subscription.close()
    assert len(feed._database.feed._followed) == 1
    table.close()
    assert not feed._database.feed._followed


def test_a_client_that_never_fetches_costs_a_bounded_amount(
    own_world: World,
    session: Notifications,
    subscription: Any,
    table: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 8)
    messages = save(own_world, 40)
    assert len(session._waiting) <= 9
    with caplog.at_level(logging.WARNING):
        found = told(session)
    tables = [rop.notification_data for rop in found if rop.notification_handle == TABLE]
    assert [data.table_event_type for data in tables] == [TableEventType.TableChanged]
    kept = [rop.notification_data.message_id for rop in found if rop.notification_handle == SUBSCRIPTION]
    assert kept == messages[-len(kept) :], "the newest ones"
    assert f"{40 - len(kept)} are lost" in caplog.text
    table.use()
    save(own_world)
    assert [rop.notification_data.table_event_type for rop in told(session)[1:]] == [TableEventType.TableRowAdded]


def test_so_much_at_once_that_nobody_looks_at_it(
    own_world: World,
    session: Notifications,
    subscription: Any,
    table: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "MOST_LOOKS", 9)
    inbox = own_world.folder(SpecialFolder.INBOX)
    own_world.mailbox.save_messages(inbox, [letter(number) for number in range(10)])
    (rop,) = told(session)
    assert rop.notification_handle == TABLE
    assert rop.notification_data.table_event_type == TableEventType.TableChanged
    assert "11 are lost" in caplog.text


def test_a_row_that_no_buffer_holds_is_told_as_a_change(
    own_world: World, session: Notifications, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 40)
    save(own_world)
    (rop,) = told(session)
    assert rop.notification_data.table_event_type == TableEventType.TableChanged


@pytest.mark.usefixtures("subscription")
def test_who_waits_is_woken(own_world: World, session: Notifications) -> None:
    woken: list[int] = []
    assert not session.wait(lambda: woken.append(1))
    save(own_world)
    assert woken
    session.end_wait()
    assert session.wait(lambda: None), "it is pending still"
    told(session)
    assert not session.wait(lambda: None)


def test_one_waits_at_a_time(session: Notifications) -> None:
    assert not session.wait(lambda: None)
    with pytest.raises(MapiError) as raised:
        session.wait(lambda: None)
    assert raised.value.code == ErrorCode.Rejected
    session.end_wait()
    assert not session.wait(lambda: None)


@pytest.mark.usefixtures("subscription")
def test_what_goes_into_an_answer_wakes_nobody(own_world: World, session: Notifications) -> None:
    woken: list[int] = []
    session.wait(lambda: woken.append(1))
    with session.executing():
        save(own_world)
        told(session)
    assert woken == []
    with session.executing():
        save(own_world)
    assert woken == [1]


def test_the_end_of_a_session_wakes_who_waits(session: Notifications) -> None:
    woken: list[int] = []
    session.wait(lambda: woken.append(1))
    session.close()
    assert woken == [1]
    session.end_wait()
    assert session.wait(lambda: None)
