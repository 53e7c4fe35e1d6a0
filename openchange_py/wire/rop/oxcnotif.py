"""ROPs of [MS-OXCNOTIF], notifications: [MS-OXCROPS] 2.2.14, all of them.

Of the NotificationType 0x0400 the document says only that it is reserved: its RopNotify has no fields here.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from typing import Any, Final, Self

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import U16, Codec, Sized, Structure, structure, u16, u32, u64
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.rows import PropertyRow, read_row
from openchange_py.wire.rop.base import (
    OPEN_HEADER,
    RopOpenRequest,
    RopResponse,
    RopUnsolicited,
    property_tags16,
    rop_request,
    rop_response,
)
from openchange_py.wire.rop.ids import RopId

_NOTIFY: Final = struct.Struct("<IB")
_IDS: Final = struct.Struct("<QQ")


class NotificationType(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCNOTIF] 2.2.1.1 and 2.2.1.2.1.1: a flag in RopRegisterNotification, one value in RopNotify."""

    CriticalError = 0x0001
    NewMail = 0x0002
    ObjectCreated = 0x0004
    ObjectDeleted = 0x0008
    ObjectModified = 0x0010
    ObjectMoved = 0x0020
    ObjectCopied = 0x0040
    SearchComplete = 0x0080
    TableModified = 0x0100
    StatusObjectModified = 0x0200
    Extended = 0x0400


class Availability(enum.IntFlag, boundary=enum.KEEP):
    """The upper four bits of NotificationFlags: [MS-OXCNOTIF] 2.2.1.4.1.2."""

    TotalMessageCount = 0x1000
    UnreadMessageCount = 0x2000
    SearchFolder = 0x4000
    Message = 0x8000


class TableEventType(enum.IntEnum):
    """[MS-OXCNOTIF] 2.2.1.4.1.2."""

    TableChanged = 0x0001
    TableRowAdded = 0x0003
    TableRowDeleted = 0x0004
    TableRowModified = 0x0005
    TableRestrictionChanged = 0x0007


@rop_request(RopId.RegisterNotification)
@structure
class RopRegisterNotificationRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.14.1.1. `reserved` is there with the Extended type; the ids where not the whole store is meant.

    A `folder_id` and a `message_id` of 0 beside `want_whole_store` are not on the wire.
    """

    notification_types: int
    reserved: int | None
    want_whole_store: int
    folder_id: FolderId = FolderId(0)
    message_id: MessageId = MessageId(0)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index, output_index = reader.fields(OPEN_HEADER)
        types = reader.u16()
        reserved = reader.u8() if types & NotificationType.Extended else None
        whole = reader.u8()
        folder_id, message_id = (0, 0) if whole else reader.fields(_IDS)
        ids = FolderId(folder_id), MessageId(message_id)
        return cls(logon_id, index, output_index, types, reserved, whole, *ids)

    def write(self, writer: Writer) -> None:
        writer.fixed(OPEN_HEADER, self.logon_id, self.input_handle_index, self.output_handle_index)
        writer.u16(self.notification_types)
        if self.notification_types & NotificationType.Extended:
            writer.u8(self.reserved or 0)
        writer.u8(self.want_whole_store)
        if not self.want_whole_store:
            writer.fixed(_IDS, self.folder_id, self.message_id)


@rop_response(RopId.RegisterNotification)
@structure
class RopRegisterNotificationResponse(RopResponse):
    """[MS-OXCROPS] 2.2.14.1.2. `handle_index` is the request's output handle index."""


class ChangedTags(Codec):
    """TagCount and Tags. None is the count 0xFFFF, for which the tags are not there."""

    minimum_size = 2

    def read(self, reader: Reader) -> list[PropertyTag] | None:
        if reader.data[reader.pos : min(reader.pos + 2, reader.end)] == b"\xff\xff":
            reader.skip(2)
            return None
        return property_tags16.read(reader)

    def write(self, writer: Writer, value: list[PropertyTag] | None) -> None:
        if value is None:
            writer.u16(0xFFFF)
        else:
            property_tags16.write(writer, value)


class MessageClass(Codec):
    """UnicodeFlag and MessageClass: str where the flag says so, otherwise bytes."""

    minimum_size = 2

    def read(self, reader: Reader) -> str | bytes:
        flag = reader.u8()
        if flag > 1:
            raise DecodeError(f"UnicodeFlag {flag}", reader.pos - 1)
        return reader.utf16() if flag else reader.string8()

    def write(self, writer: Writer, value: str | bytes) -> None:
        writer.u8(isinstance(value, str))
        if isinstance(value, str):
            writer.utf16(value)
        else:
            writer.string8(value)


_TAGS, _CLASS, _ROW = ChangedTags(), MessageClass(), Sized(u16)
_ROW_EVENTS: Final = (TableEventType.TableRowAdded, TableEventType.TableRowDeleted, TableEventType.TableRowModified)
_NO_OBJECT: Final = (NotificationType.TableModified, NotificationType.StatusObjectModified, NotificationType.Extended)
_MOVES: Final = (NotificationType.ObjectMoved, NotificationType.ObjectCopied)
_HAVE_PARENT: Final = (NotificationType.ObjectCreated, NotificationType.ObjectDeleted, *_MOVES)
_HAVE_TAGS: Final = (NotificationType.ObjectCreated, NotificationType.ObjectModified)


def _table_layout(event: int, message: bool) -> list[tuple[str, Codec]]:
    """The fields of a TableModified notification."""
    layout: list[tuple[str, Codec]] = []
    if event in _ROW_EVENTS:
        layout.append(("table_row_folder_id", u64))
        if message:
            layout += [("table_row_message_id", u64), ("table_row_instance", u32)]
    if event in (TableEventType.TableRowAdded, TableEventType.TableRowModified):
        layout.append(("insert_after_table_row_folder_id", u64))
        if message:
            layout += [("insert_after_table_row_id", u64), ("insert_after_table_row_instance", u32)]
        layout.append(("table_row_data", _ROW))
    return layout


def _object_layout(kind: int, message: bool, search: bool) -> list[tuple[str, Codec]]:
    """The fields of a notification about a folder or a message."""
    layout: list[tuple[str, Codec]] = [("folder_id", u64)]
    if message:
        layout.append(("message_id", u64))
    if kind in _HAVE_PARENT and message == search:
        layout.append(("parent_folder_id", u64))
    if kind in _MOVES:
        layout += [("old_folder_id", u64), ("old_message_id" if message else "old_parent_folder_id", u64)]
    if kind in _HAVE_TAGS:
        layout.append(("tags", _TAGS))
    return layout


def _layout(flags: int, event: int | None) -> list[tuple[str, Codec]]:
    """Which fields stand behind NotificationFlags and TableEventType: the conditions of the document in one place."""
    kind, message, search = flags & 0x0FFF, bool(flags & Availability.Message), bool(flags & Availability.SearchFolder)
    layout: list[tuple[str, Codec]] = []
    if event is not None:
        layout += _table_layout(event, message)
    if kind not in _NO_OBJECT:
        layout += _object_layout(kind, message, search)
    if flags & Availability.TotalMessageCount:
        layout.append(("total_message_count", u32))
    if flags & Availability.UnreadMessageCount:
        layout.append(("unread_message_count", u32))
    if kind == NotificationType.NewMail:
        layout += [("message_flags", u32), ("message_class", _CLASS)]
    return layout


@structure
class NotificationData(Structure):
    """[MS-OXCNOTIF] 2.2.1.4.1.2. A field that the flags and the event don't call for is None, and is not written.

    `tags` is None too where the server does not tell what changed. `message_class` is str or bytes, as on the wire.
    """

    notification_flags: int
    table_event_type: int | None = None
    table_row_folder_id: FolderId | None = None
    table_row_message_id: MessageId | None = None
    table_row_instance: int | None = None
    insert_after_table_row_folder_id: FolderId | None = None
    insert_after_table_row_id: MessageId | None = None
    insert_after_table_row_instance: int | None = None
    table_row_data: bytes | None = None
    folder_id: FolderId | None = None
    message_id: MessageId | None = None
    parent_folder_id: FolderId | None = None
    old_folder_id: FolderId | None = None
    old_message_id: MessageId | None = None
    old_parent_folder_id: FolderId | None = None
    tags: list[PropertyTag] | None = None
    total_message_count: int | None = None
    unread_message_count: int | None = None
    message_flags: int | None = None
    message_class: str | bytes | None = None

    @property
    def notification_type(self) -> int:
        """The lower 12 bits of the flags; compare with `NotificationType`."""
        return self.notification_flags & 0x0FFF

    def row(self, columns: Sequence[PropertyTag]) -> PropertyRow:
        """The row of a table event, by the columns that were set on the table; raises `DecodeError`."""
        reader = Reader(self.table_row_data or b"")
        row = read_row(reader, columns)
        reader.expect_end()
        return row

    @classmethod
    def read(cls, reader: Reader) -> Self:
        flags = reader.u16()
        event = reader.u16() if flags & 0x0FFF == NotificationType.TableModified else None
        values: dict[str, Any] = {name: codec.read(reader) for name, codec in _layout(flags, event)}
        return cls(flags, event, **values)

    def write(self, writer: Writer) -> None:
        writer.u16(self.notification_flags)
        event = None
        if self.notification_type == NotificationType.TableModified:
            event = self.table_event_type
            if event is None:
                raise EncodeError("a TableModified notification without its event")
            writer.u16(event)
        for name, codec in _layout(self.notification_flags, event):
            value = getattr(self, name)
            if value is None and codec is not _TAGS:
                raise EncodeError(f"a notification 0x{self.notification_flags:04X} without {name}")
            codec.write(writer, value)


@rop_response(RopId.Notify)
@structure
class RopNotifyResponse(RopUnsolicited):
    """[MS-OXCROPS] 2.2.14.2. `notification_handle`: the handle of RopRegisterNotification, or of the table."""

    notification_handle: int
    logon_id: int
    notification_data: NotificationData

    @classmethod
    def read(cls, reader: Reader) -> Self:
        handle, logon_id = reader.fields(_NOTIFY)
        return cls(handle, logon_id, NotificationData.read(reader))

    def write(self, writer: Writer) -> None:
        writer.fixed(_NOTIFY, self.notification_handle, self.logon_id)
        self.notification_data.write(writer)


@rop_response(RopId.Pending)
@structure
class RopPendingResponse(RopUnsolicited):
    """[MS-OXCROPS] 2.2.14.3: notifications wait for the session of that index (icxr of EcDoConnectEx)."""

    session_index: U16
