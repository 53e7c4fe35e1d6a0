"""What happens in mailboxes, told to those who follow it."""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Iterator, Sequence

import pytest

from openchange_py.store import notify
from openchange_py.store.base import EventKind, Mailbox, MessageDraft, NoSuchObject, Store, StoreEvent
from openchange_py.store.source import SqlStore, open_store
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId

MAIL = MessageDraft({p.PidTagMessageClass: "IPM.Note", p.PidTagSubject: "Hello"})


class Heard:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.told: queue.Queue[list[StoreEvent] | None] = queue.Queue()

    def __call__(self, events: Sequence[StoreEvent] | None) -> None:
        self.told.put(None if events is None else list(events))

    def all(self) -> list[list[StoreEvent] | None]:
        """What was told by now."""
        found = []
        while not self.told.empty():
            found.append(self.told.get())
        return found


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `check` looks, however short the last one is ago."""
    monkeypatch.setattr(notify, "CHECK_INTERVAL", 0.0)


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def other_process(url: str, mailbox: Mailbox) -> Iterator[Mailbox]:
    """The same mailbox, as another process has it open."""
    opened = open_store(url)
    yield opened.mailbox(mailbox.guid)
    opened.close()


@pytest.fixture
def watched(store: Store, mailbox: Mailbox, heard: Heard) -> Mailbox:
    """The mailbox, of which `heard` is told."""
    store.watch(mailbox.guid, heard)
    return store.mailbox(mailbox.guid)


def test_who_changes_something_tells_his_own_process_before_he_is_answered(
    watched: Mailbox, inbox: FolderId, heard: Heard
) -> None:
    message = watched.save_message(inbox, MAIL)
    assert heard.all() == [
        [
            StoreEvent(EventKind.CREATED, inbox, message),
            StoreEvent(
                EventKind.MODIFIED,
                inbox,
                parent_id=watched.folder(inbox).parent_id,
                tags=(p.PidTagContentCount, p.PidTagContentUnreadCount, p.PidTagMessageSizeExtended),
                total=1,
                unread=1,
            ),
        ]
    ]


@pytest.mark.usefixtures("asked_often")
def test_another_process_is_noticed_when_somebody_asks(
    store: SqlStore, mailbox: Mailbox, other_process: Mailbox, inbox: FolderId, heard: Heard
) -> None:
    watch = store.watch(mailbox.guid, heard)
    saved = other_process.save_message(inbox, MAIL)
    assert heard.all() == []
    watch.check()
    (events,) = heard.all()
    assert events is not None
    assert events[0] == StoreEvent(EventKind.CREATED, inbox, saved)
    watch.check()
    assert heard.all() == [], "nothing is told twice"


def test_another_process_is_noticed_without_asking_where_somebody_waits(
    store: SqlStore, mailbox: Mailbox, other_process: Mailbox, inbox: FolderId, heard: Heard
) -> None:
    watch = store.watch(mailbox.guid, heard)
    watch.keep_checking(True)
    saved = other_process.deliver_message(inbox, MAIL)
    events = heard.told.get(timeout=30)
    assert events is not None
    assert [event.kind for event in events] == [
        EventKind.CREATED,
        EventKind.NEW_MAIL,
        EventKind.MODIFIED,
    ]
    assert events[1] == StoreEvent(EventKind.NEW_MAIL, inbox, saved, message_class="IPM.Note")


def test_nobody_looks_where_nobody_waits(store: SqlStore, mailbox: Mailbox) -> None:
    watch = store.watch(mailbox.guid, lambda _: None)
    assert not lookers()
    watch.keep_checking(True)
    (looker,) = lookers()
    watch.keep_checking(False)
    looker.join(30)
    assert not looker.is_alive()
    watch.keep_checking(True)
    assert lookers()
    store.close()
    assert not lookers()


def lookers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "store events"]


@pytest.mark.usefixtures("asked_often")
def test_a_watch_begins_now_and_ends_when_it_is_closed(
    store: SqlStore, mailbox: Mailbox, inbox: FolderId, heard: Heard
) -> None:
    local = store.mailbox(mailbox.guid)
    local.save_message(inbox, MAIL)
    watch = store.watch(mailbox.guid, heard)
    watch.check()
    assert heard.all() == []
    watch.close()
    local.save_message(inbox, MAIL)
    assert heard.all() == []


@pytest.mark.usefixtures("asked_often")
def test_a_later_watch_is_not_told_of_what_was_before_it(
    store: SqlStore, mailbox: Mailbox, other_process: Mailbox, inbox: FolderId, heard: Heard
) -> None:
    store.watch(mailbox.guid, heard)
    other_process.save_message(inbox, MAIL)
    late = Heard()
    store.watch(mailbox.guid, late)
    assert len(heard.all()) == 1
    assert late.all() == []


def test_a_listener_that_fails_keeps_nothing_from_the_others(
    store: SqlStore, mailbox: Mailbox, inbox: FolderId, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("broken")

    store.watch(mailbox.guid, fails)
    store.watch(mailbox.guid, heard)
    store.mailbox(mailbox.guid).save_message(inbox, MAIL)
    assert len(heard.all()) == 1
    assert "a listener failed" in caplog.text


@pytest.mark.usefixtures("asked_often")
def test_who_is_too_far_behind_is_told_that_he_does_not_know(
    store: SqlStore,
    mailbox: Mailbox,
    other_process: Mailbox,
    inbox: FolderId,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notify, "KEPT_NUMBERS", 6)
    watch = store.watch(mailbox.guid, heard)
    for _ in range(5):
        other_process.save_message(inbox, MAIL)
    watch.check()
    assert heard.all() == [None]
    with store._database.reading() as connection:
        kept = connection.exec_driver_sql("SELECT count(*) FROM events").scalar_one()
    assert kept <= 4, "the log does not grow"


def test_a_transaction_of_too_many_events_is_told_as_one_that_nobody_knows(
    watched: Mailbox, inbox: FolderId, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "MOST_EVENTS", 3)
    watched.save_messages(inbox, [MAIL, MAIL])
    watched.save_messages(inbox, [MAIL, MAIL, MAIL])
    first, second = heard.all()
    assert first is not None
    assert len(first) == 3
    assert second is None


def test_what_fails_tells_nobody(watched: Mailbox, heard: Heard) -> None:
    with pytest.raises(NoSuchObject):
        watched.save_message(FolderId(0x7FFFFFFFFFFF0001), MAIL)
    assert heard.all() == []


def test_a_mailbox_that_is_not_there_can_not_be_followed(store: SqlStore) -> None:
    with pytest.raises(NoSuchObject):
        store.watch(uuid.uuid4(), lambda _: None)


def test_nothing_that_happened_is_no_event(watched: Mailbox, inbox: FolderId, heard: Heard) -> None:
    message = watched.save_message(inbox, MAIL)
    heard.all()
    watched.set_read(inbox, [message], False)
    watched.delete_messages(inbox, [MessageId(0x7FFFFFFFFFFF0001)])
    assert heard.all() == []
