"""Messages: [MS-OXCMSG]. Reading them, and saving new ones with all their parts in one transaction.

Not done yet: changing and deleting saved messages.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from openchange_py.store import properties, schema
from openchange_py.store.base import (
    Attachment,
    AttachmentDraft,
    Content,
    Message,
    MessageDraft,
    NoSuchObject,
    Recipient,
    StoreError,
)
from openchange_py.store.changes import Change
from openchange_py.store.columns import DERIVED, FULL_PLAN, HOT_COLUMNS, MF_READ, MF_UNSENT, stored_text
from openchange_py.store.content import ContentReference, StoredContent, content_size, write_content
from openchange_py.store.database import Database
from openchange_py.store.subjects import complete_subject
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyValue

#: Messages in messages that are saved, at most.
EMBEDDING_LIMIT = 32

#: [MS-OXCMSG] 2.2.2.9 (PidTagAttachMethod).
ATTACH_BY_VALUE = 1
ATTACH_EMBEDDED_MESSAGE = 5

_C = schema.messages.c
_INSERT_MESSAGE = insert(schema.messages).returning(_C.id)
_INSERT_PROPERTIES = insert(schema.message_properties)
_INSERT_RECIPIENTS = insert(schema.recipients)
_INSERT_ATTACHMENT = insert(schema.attachments)

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


@dataclasses.dataclass(frozen=True, slots=True)
class SavedSize:
    """What a folder's counts need to know of a saved message."""

    size: int
    is_read: bool


class MessageWriter:
    """Saves one draft, and the drafts in it, within one transaction and as one change."""

    def __init__(self, place: Place, connection: Connection, change: Change) -> None:
        self._place = place
        self._connection = connection
        self._change = change

    def save(self, draft: MessageDraft, *, folder: int, mid: int, associated: bool) -> SavedSize:
        """As the message of that counter in that folder."""
        return self._save(draft, {"folder_id": folder, "mid": mid, "associated": associated}, depth=0)

    def _save(self, draft: MessageDraft, columns: Mapping[str, Any], depth: int) -> SavedSize:
        complete = complete_subject(draft.properties)
        large, inline = _split(complete)
        size = _total_size(draft)
        flags = _message_flags(complete)
        is_read = bool(flags & MF_READ)
        row = {
            "mailbox_id": self._place.mailbox_id,
            "is_read": is_read,
            "flags": flags,
            "size": size,
            "has_attachments": bool(draft.attachments),
            **self._change.columns(),
            **_hot_values(complete),
            **_display_values(draft.recipients),
            **columns,
        }
        message_id = self._connection.execute(_INSERT_MESSAGE, row).scalar_one()
        packed = properties.pack(
            {tag: inline[tag] for tag in inline if tag not in DERIVED} | self._write(message_id, large)
        )
        self._connection.execute(_INSERT_PROPERTIES, {"message_id": message_id, "properties": packed})
        self._save_recipients(message_id, draft.recipients)
        for number, attachment in enumerate(draft.attachments):
            self._save_attachment(message_id, number, attachment, depth)
        return SavedSize(size, is_read)

    def _save_recipients(self, message_id: int, drafts: Sequence[Recipient]) -> None:
        rows = [
            {
                "message_id": message_id,
                "number": number,
                "kind": draft.kind,
                "properties": properties.pack(draft.properties),
            }
            for number, draft in enumerate(drafts)
        ]
        if rows:
            self._connection.execute(_INSERT_RECIPIENTS, rows)

    def _save_attachment(self, message_id: int, number: int, draft: AttachmentDraft, depth: int) -> None:
        method = ATTACH_BY_VALUE if draft.embedded is None else ATTACH_EMBEDDED_MESSAGE
        defaults = {proptags.PidTagAttachMethod: method, proptags.PidTagRenderingPosition: -1}
        large, inline = _split(defaults | draft.properties)
        row = {
            "message_id": message_id,
            "number": number,
            "size": _attachment_size(draft),
            "properties": properties.pack(inline | self._write(message_id, large)),
        }
        self._connection.execute(_INSERT_ATTACHMENT, row)
        if draft.embedded is not None:
            columns = {"parent_id": message_id, "parent_number": number, "associated": False}
            self._save(draft.embedded, columns, depth + 1)

    def _write(
        self, message_id: int, large: Mapping[PropertyTag, bytes | Content]
    ) -> dict[PropertyTag, ContentReference]:
        return {tag: write_content(self._connection, message_id, value) for tag, value in large.items()}


def _split(draft: PropertyMap) -> tuple[dict[PropertyTag, bytes | Content], PropertyMap]:
    """Large values, and the others. Properties with a column of their own are never large."""
    large: dict[PropertyTag, bytes | Content] = {}
    inline: PropertyMap = {}
    for tag, value in draft.items():
        outside = None if tag in DERIVED else properties.large_value(tag, value)
        if outside is None:
            inline[tag] = value
        else:
            large[tag] = outside
    return large, inline


def _message_flags(draft: PropertyMap) -> int:
    """A draft that says nothing of it was not sent yet."""
    flags = draft.get(proptags.PidTagMessageFlags, MF_UNSENT)
    if not isinstance(flags, int):
        raise StoreError(f"{proptags.PidTagMessageFlags!r}: {type(flags).__name__} where an integer is needed")
    return flags & 0x7FFFFFFF


def _hot_values(draft: PropertyMap) -> dict[str, Any]:
    values: dict[str, Any] = {hot.column.name: hot.value(draft) for hot in HOT_COLUMNS}
    for sort, of in (
        ("sort_subject", "normalized_subject"),
        ("sort_sender", "sender_name"),
        ("sort_sent_representing", "sent_representing_name"),
    ):
        values[sort] = (values[of] or "").casefold()[: schema.SORT_TEXT]
    for tag, name in (
        (proptags.PidTagCreationTime, "creation_time"),
        (proptags.PidTagLastModificationTime, "last_modification_time"),
    ):
        if isinstance(time := draft.get(tag), int) and 0 <= time < 1 << 63:
            values[name] = time
    return values


def _display_values(recipients: Sequence[Recipient]) -> dict[str, str]:
    """[MS-OXOMSG] 2.2.1.7 and its neighbours: the recipients' display names, in their order."""
    names: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for recipient in recipients:
        if (kind := recipient.kind & 0x0F) in names:
            names[kind].append(_display_name(recipient.properties))
    return {"display_to": "; ".join(names[1]), "display_cc": "; ".join(names[2]), "display_bcc": "; ".join(names[3])}


def _display_name(recipient: PropertyMap) -> str:
    for tag in (proptags.PidTagDisplayName, proptags.PidTagSmtpAddress, proptags.PidTagEmailAddress):
        if value := recipient.get(tag):
            return stored_text(tag, value)
    return ""


def _total_size(draft: MessageDraft, depth: int = 0) -> int:
    """[MS-OXCMSG] 2.2.1.7 (PidTagMessageSize): all values, of recipients, attachments and embedded messages too."""
    if depth > EMBEDDING_LIMIT:
        raise StoreError(f"more than {EMBEDDING_LIMIT} messages in each other")
    return (
        _map_size(draft.properties)
        + sum(_map_size(recipient.properties) for recipient in draft.recipients)
        + sum(_attachment_size(attachment, depth) for attachment in draft.attachments)
    )


def _attachment_size(draft: AttachmentDraft, depth: int = 0) -> int:
    return _map_size(draft.properties) + (_total_size(draft.embedded, depth + 1) if draft.embedded else 0)


def _map_size(values: PropertyMap) -> int:
    return sum(4 + _value_size(value) for value in values.values())


def _value_size(value: PropertyValue) -> int:
    if isinstance(value, str):
        return 2 * len(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(_value_size(element) for element in value)
    if hasattr(value, "read") and hasattr(value, "size"):
        return content_size(value)
    return 8
