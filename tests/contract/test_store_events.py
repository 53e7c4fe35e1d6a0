"""What every mailbox store must do for those who follow what happens in it."""

from __future__ import annotations

from collections.abc import Sequence

from openchange_py.store.base import EventKind, Mailbox, MessageDraft, Store, StoreEvent
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId


class Heard:
    """What a listener was told, in order."""

    def __init__(self) -> None:
        self.events: list[StoreEvent] = []

    def __call__(self, events: Sequence[StoreEvent] | None) -> None:
        assert events is not None
        self.events += events

    def kinds(self) -> list[tuple[EventKind, int]]:
        """Kind and message (0: a folder) of everything that was told since it was asked for last."""
        told, self.events = self.events, []
        return [(event.kind, event.message_id) for event in told]


def test_followers_are_told_of_everything_that_changes(store: Store, mailbox: Mailbox, inbox: FolderId) -> None:
    heard = Heard()
    watch = store.watch(mailbox.guid, heard)
    draft = MessageDraft({p.PidTagMessageClass: "IPM.Note"})
    message = mailbox.deliver_message(inbox, draft)
    counted = (EventKind.MODIFIED, 0)
    assert heard.kinds() == [(EventKind.CREATED, message), (EventKind.NEW_MAIL, message), counted]
    mailbox.change_message(message, draft)
    assert heard.kinds() == [(EventKind.MODIFIED, message), counted]
    mailbox.set_read(inbox, [message], True)
    assert heard.events[0].tags == (p.PidTagMessageFlags, p.PidTagRead)
    assert heard.events[1].unread == 0
    assert heard.events[1].total is None
    assert heard.kinds() == [(EventKind.MODIFIED, message), counted]
    mailbox.delete_messages(inbox, [message])
    assert heard.events[1].total == 0
    assert heard.kinds() == [(EventKind.DELETED, message), counted]
    folder = mailbox.create_folder(inbox, "Projects")
    assert heard.events == [StoreEvent(EventKind.CREATED, folder.id, parent_id=inbox)]
    watch.close()
    mailbox.create_folder(inbox, "Others")
    assert len(heard.events) == 1
