"""Reading messages: [MS-OXCMSG]. `writer.py` saves them."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from openchange_py.store import properties, schema
from openchange_py.store.base import Attachment, Content, Message, NoSuchObject, Recipient
from openchange_py.store.columns import FULL_PLAN
from openchange_py.store.content import ContentReference, StoredContent
from openchange_py.store.database import Database
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap

_C = schema.messages.c
_SELECT_MESSAGE = select(_C.id, schema.message_properties.c.properties, *FULL_PLAN.columns).join(
    schema.message_properties, schema.message_properties.c.message_id == _C.id
)
_SELECT_BY_MID = _SELECT_MESSAGE.where(_C.mailbox_id == bindparam("mailbox"), _C.mid == bindparam("mid"))
_SELECT_EMBEDDED = _SELECT_MESSAGE.where(_C.parent_id == bindparam("parent"), _C.parent_number == bindparam("number"))
_SELECT_RECIPIENTS = (
    select(schema.recipients.c.kind, schema.recipients.c.properties)
    .where(schema.recipients.c.message_id == bindparam("message"))
    .order_by(schema.recipients.c.number)
)
_SELECT_ATTACHMENTS = (
    select(schema.attachments.c.number, schema.attachments.c.size, schema.attachments.c.properties)
    .where(schema.attachments.c.message_id == bindparam("message"))
    .order_by(schema.attachments.c.number)
)


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where messages are: database, mailbox and its replica."""

    database: Database
    mailbox_id: int
    replica_guid: uuid.UUID

    def content(self, reference: ContentReference) -> Content:
        """The large value behind a reference."""
        return StoredContent(self.database, reference)


class StoredAttachment(Attachment):
    """A saved attachment."""

    def __init__(self, place: Place, message_row: int, number: int, own_properties: PropertyMap) -> None:
        self.number = number
        self.properties = own_properties
        self._place = place
        self._message_row = message_row

    def embedded(self) -> Message | None:
        """The message in it, where it is one."""
        scope = {"parent": self._message_row, "number": self.number}
        with self._place.database.reading() as connection:
            row = connection.execute(_SELECT_EMBEDDED, scope).one_or_none()
            return None if row is None else StoredMessage(self._place, connection, row)


class StoredMessage(Message):
    """A saved message, or one embedded in an attachment (`id` and `folder_id` are then 0)."""

    def __init__(self, place: Place, connection: Connection, row: Sequence[Any]) -> None:
        self._place = place
        self._row = row[0]
        self.properties = properties.unpack(row[1], place.content) | FULL_PLAN.values(place.replica_guid, row[2:])
        self.id = MessageId(self.properties.get(proptags.PidTagMid, 0))
        self.folder_id = FolderId(self.properties.get(proptags.PidTagFolderId, 0))
        self.recipients: Sequence[Recipient] = [
            Recipient(kind, properties.unpack(blob, place.content))
            for kind, blob in connection.execute(_SELECT_RECIPIENTS, {"message": self._row})
        ]

    def attachments(self) -> Sequence[Attachment]:
        """In the order of their numbers."""
        with self._place.database.reading() as connection:
            rows = connection.execute(_SELECT_ATTACHMENTS, {"message": self._row}).all()
        return [
            StoredAttachment(self._place, self._row, number, self._attachment_properties(number, size, blob))
            for number, size, blob in rows
        ]

    def _attachment_properties(self, number: int, size: int, blob: bytes) -> PropertyMap:
        """[MS-OXCMSG] 2.2.2: with what every attachment has."""
        times = (proptags.PidTagCreationTime, proptags.PidTagLastModificationTime)
        return (
            {tag: self.properties[tag] for tag in times}
            | properties.unpack(blob, self._place.content)
            | {
                proptags.PidTagAttachNumber: number,
                proptags.PidTagAttachSize: min(size, 0x7FFFFFFF),
                proptags.PidTagAccessLevel: 1,
                proptags.PidTagObjectType: 7,
            }
        )


def read_message(place: Place, mid: int | None) -> StoredMessage:
    """The message of that counter; `NoSuchObject`."""
    with place.database.reading() as connection:
        row = connection.execute(_SELECT_BY_MID, {"mailbox": place.mailbox_id, "mid": mid}).one_or_none()
        if row is None:
            raise NoSuchObject("no such message")
        return StoredMessage(place, connection, row)
