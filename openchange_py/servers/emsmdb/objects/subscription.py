"""The notification subscription object: [MS-OXCNOTIF] 3.1.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.store.base import EventKind, StoreEvent
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.rop.oxcnotif import Availability, NotificationData

_MOVES: Final = (EventKind.MOVED, EventKind.COPIED)


class SubscriptionObject(ServerObject):
    """What RopRegisterNotification made: kinds of events, of the whole store, one folder or one message.

    A folder's events are those of the folder itself, of the messages in it, and of the folders directly below it.
    """

    __slots__ = ("_folder_id", "_message_id", "_types", "forget")
    collapses = False

    def __init__(self, logon: Logon, types: int, folder_id: FolderId | None, message_id: MessageId) -> None:
        """No folder: the whole store. A message of 0: all of the folder."""
        super().__init__(logon)
        self._types = types
        self._folder_id = folder_id
        self._message_id = message_id
        self.forget: Callable[[], None] | None = None

    def close(self) -> None:
        if self.forget is not None:
            self.forget()

    def heard(self, event: StoreEvent | None) -> bool:
        """Of events that nobody knows nothing can be told."""
        if event is None or not event.kind & self._types:
            return False
        if self._folder_id is None:
            return True
        if self._message_id:
            return self._message_id in (event.message_id, event.old_message_id)
        return self._folder_id in (event.folder_id, event.parent_id, event.old_folder_id, event.old_parent_id)

    def notification(self, event: StoreEvent | None) -> NotificationData | None:
        return None if event is None else notification_of(event)

    def too_large(self) -> NotificationData | None:
        return None


def notification_of(event: StoreEvent) -> NotificationData:
    """[MS-OXCNOTIF] 2.2.1.4.1.2, of an event that is no table's."""
    flags: int = event.kind
    data = NotificationData(flags, folder_id=event.folder_id)
    if event.message_id:
        flags |= Availability.Message
        data.message_id = event.message_id
    elif event.kind in (EventKind.CREATED, EventKind.DELETED, *_MOVES):
        data.parent_folder_id = event.parent_id
    if event.kind in _MOVES:
        data.old_folder_id = event.old_folder_id
        if event.message_id:
            data.old_message_id = event.old_message_id
        else:
            data.old_parent_folder_id = event.old_parent_id
    if event.kind in (EventKind.CREATED, EventKind.MODIFIED) and event.tags is not None:
        data.tags = [PropertyTag(tag) for tag in event.tags]
    if event.kind == EventKind.NEW_MAIL:
        data.message_flags, data.message_class = event.message_flags, event.message_class
    if event.total is not None:
        flags |= Availability.TotalMessageCount
        data.total_message_count = event.total
    if event.unread is not None:
        flags |= Availability.UnreadMessageCount
        data.unread_message_count = event.unread
    data.notification_flags = flags
    return data
