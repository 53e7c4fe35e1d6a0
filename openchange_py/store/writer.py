"""Saving messages with all their parts, within the caller's transaction and as one change: [MS-OXCMSG] 3.2.5.3."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from openchange_py.store import properties, schema
from openchange_py.store.base import AttachmentDraft, Content, MessageDraft, Recipient, StoreError
from openchange_py.store.changes import Change
from openchange_py.store.columns import DERIVED, HOT_COLUMNS, MF_READ, MF_UNSENT, stored_text
from openchange_py.store.content import ContentReference, StoredContent, content_size, write_content
from openchange_py.store.ids import fresh_row
from openchange_py.store.messages import Place
from openchange_py.store.pending import PendingContent
from openchange_py.store.subjects import complete_subject
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyValue

#: Messages in messages that are saved, at most.
EMBEDDING_LIMIT = 32

#: [MS-OXCMSG] 2.2.2.9 (PidTagAttachMethod).
ATTACH_BY_VALUE = 1
ATTACH_EMBEDDED_MESSAGE = 5

#: What follows from an attachment's row.
_OF_ATTACHMENT_ROW = frozenset(
    {
        proptags.PidTagAttachNumber,
        proptags.PidTagAttachSize,
        proptags.PidTagAccessLevel,
        proptags.PidTagObjectType,
    }
)

#: What is not a message's own, but told of every one: a message that is saved anew may bring it along.
_NOT_COUNTED = _OF_ATTACHMENT_ROW | DERIVED.keys() - {hot.tag for hot in HOT_COLUMNS} - {proptags.PidTagSubject}

#: Values of one IN list; databases limit them.
_BATCH = 500

_C = schema.messages.c
_INSERT_MESSAGE = insert(schema.messages)
_UPDATE_MESSAGE = update(schema.messages).where(_C.id == bindparam("row"))
_INSERT_PROPERTIES = insert(schema.message_properties)
_INSERT_RECIPIENTS = insert(schema.recipients)
_INSERT_ATTACHMENT = insert(schema.attachments)
_CLEAR = tuple(
    delete(table).where(table.c.message_id == bindparam("row"))
    for table in (schema.message_properties, schema.recipients, schema.attachments)
)
_SELECT_CHILDREN = select(_C.id).where(_C.parent_id.in_(bindparam("rows", expanding=True)))
_SELECT_CONTENTS = select(schema.contents.c.id).where(
    schema.contents.c.message_id.in_(bindparam("rows", expanding=True))
)
_DELETE_MESSAGES = delete(schema.messages).where(_C.id.in_(bindparam("rows", expanding=True)))
_DELETE_CONTENTS = delete(schema.contents).where(schema.contents.c.id.in_(bindparam("ids", expanding=True)))
_MOVE_CONTENT = (
    update(schema.contents).where(schema.contents.c.id == bindparam("content")).values(message_id=bindparam("owner"))
)


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
        #: Large values of the message that is saved anew: one that the draft still has is not copied.
        self._own: set[int] = set()

    def save(self, draft: MessageDraft, *, folder: int, mid: int, associated: bool) -> SavedSize:
        """As the message of that counter in that folder."""
        columns = {"folder_id": folder, "mid": mid, "associated": associated}
        size, draft = _total_size(draft), _complete(draft)
        row, saved = self._row(draft, size)
        message_id = self._insert(row | columns)
        self._save_parts(message_id, draft, depth=0)
        return saved

    def save_anew(self, draft: MessageDraft, message_id: int, *, is_read: bool) -> SavedSize:
        """In the place of what that row has: the row stays, with its identity and whether it is read."""
        trees = self._rows_of_tree(message_id)
        self._own = set(self._ids(_SELECT_CONTENTS, trees))
        children = self._ids(_SELECT_CHILDREN, [message_id])
        size, draft = _total_size(draft), _complete(draft)
        row, saved = self._row(draft, size)
        del row["creation_time"]
        self._connection.execute(_UPDATE_MESSAGE, row | {"is_read": is_read, "row": message_id})
        for clear in _CLEAR:
            self._connection.execute(clear, {"row": message_id})
        self._save_parts(message_id, draft, depth=0)
        self._delete(_DELETE_MESSAGES, "rows", children)
        self._delete(_DELETE_CONTENTS, "ids", self._own)
        return dataclasses.replace(saved, is_read=is_read)

    def _rows_of_tree(self, message_id: int) -> list[int]:
        """The rows of the message and of all that is embedded in it."""
        rows, level = [message_id], [message_id]
        while level := self._ids(_SELECT_CHILDREN, level):
            rows += level
        return rows

    def _ids(self, query: Any, rows: Sequence[int]) -> list[int]:
        found: list[int] = []
        for start in range(0, len(rows), _BATCH):
            found += self._connection.execute(query, {"rows": rows[start : start + _BATCH]}).scalars()
        return found

    def _delete(self, statement: Any, name: str, ids: Collection[int]) -> None:
        wanted = list(ids)
        for start in range(0, len(wanted), _BATCH):
            self._connection.execute(statement, {name: wanted[start : start + _BATCH]})

    def _row(self, draft: MessageDraft, size: int) -> tuple[dict[str, Any], SavedSize]:
        """The columns that a draft, and this change, decide."""
        flags = _message_flags(draft.properties)
        is_read = bool(flags & MF_READ)
        row = {
            "mailbox_id": self._place.mailbox_id,
            "is_read": is_read,
            "flags": flags,
            "size": size,
            "has_attachments": bool(draft.attachments),
            **self._change.columns(),
            **_hot_values(draft.properties),
            **_display_values(draft.recipients),
        }
        return row, SavedSize(size, is_read)

    def _insert(self, row: Mapping[str, Any]) -> int:
        message_id = fresh_row()
        self._connection.execute(_INSERT_MESSAGE, {**row, "id": message_id})
        return message_id

    def _save_parts(self, message_id: int, draft: MessageDraft, depth: int) -> None:
        """What stands in other tables."""
        large, inline = _split(draft.properties)
        packed = properties.pack(
            {tag: inline[tag] for tag in inline if tag not in DERIVED} | self._write(message_id, large)
        )
        self._connection.execute(_INSERT_PROPERTIES, {"message_id": message_id, "properties": packed})
        self._save_recipients(message_id, draft.recipients)
        number = 0
        for attachment in draft.attachments:
            number = number if attachment.number is None else attachment.number
            self._save_attachment(message_id, number, attachment, depth)
            number += 1

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
        given = {tag: value for tag, value in draft.properties.items() if tag not in _OF_ATTACHMENT_ROW}
        large, inline = _split(defaults | given)
        row = {
            "message_id": message_id,
            "number": number,
            "size": _attachment_size(draft),
            "properties": properties.pack(inline | self._write(message_id, large)),
        }
        self._connection.execute(_INSERT_ATTACHMENT, row)
        if draft.embedded is not None:
            columns = {"parent_id": message_id, "parent_number": number, "associated": False}
            size, embedded = _total_size(draft.embedded, depth), _complete(draft.embedded)
            row, _ = self._row(embedded, size)
            self._save_parts(self._insert(row | columns), embedded, depth + 1)

    def _write(
        self, message_id: int, large: Mapping[PropertyTag, bytes | Content]
    ) -> dict[PropertyTag, ContentReference]:
        return {tag: self._write_one(message_id, value) for tag, value in large.items()}

    def _write_one(self, message_id: int, value: bytes | Content) -> ContentReference:
        """Move what was written for this message, or was its own before; copy any other value."""
        if isinstance(value, PendingContent) and (adopted := value.adopt(self._connection, message_id)):
            return adopted
        known = value.reference if isinstance(value, PendingContent | StoredContent) else None
        if known is None or known.id not in self._own:
            return write_content(self._connection, message_id, value)
        self._own.discard(known.id)
        self._connection.execute(_MOVE_CONTENT, {"content": known.id, "owner": message_id})
        return known


def _complete(draft: MessageDraft) -> MessageDraft:
    return dataclasses.replace(draft, properties=complete_subject(draft.properties))


def finish_writing(draft: MessageDraft, depth: int = 0) -> None:
    """Before the transaction: write what is still in memory of the draft's large values, as it may be much."""
    if depth > EMBEDDING_LIMIT:
        return
    for values in (draft.properties, *(attachment.properties for attachment in draft.attachments)):
        for value in values.values():
            if isinstance(value, PendingContent):
                value.complete()
    for attachment in draft.attachments:
        if attachment.embedded is not None:
            finish_writing(attachment.embedded, depth + 1)


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
    return sum(4 + _value_size(value) for tag, value in values.items() if tag not in _NOT_COUNTED)


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
