"""Folders: [MS-OXCFOLD]. Counts are kept with the folder, in the transaction that changes them.

Not done yet: renaming, moving and deleting folders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from openchange_py.store import ids, properties, schema
from openchange_py.store.base import EventKind, Folder, NoSuchObject, StoreError, StoreEvent
from openchange_py.store.changes import Change
from openchange_py.store.messages import Place
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId
from openchange_py.wire.oxcdata.properties import PropertyMap

#: [MS-OXCFOLD] 2.2.2.2.2.3 (PidTagFolderType).
FOLDER_ROOT = 0
FOLDER_GENERIC = 1
FOLDER_SEARCH = 2

NAME_LIMIT = 255

_F = schema.folders.c
_CHILD = schema.folders.alias("child")
_SELECT: Select[Any] = select(
    schema.folders,
    exists(select(_CHILD.c.id).where(_CHILD.c.mailbox_id == _F.mailbox_id, _CHILD.c.parent_id == _F.id))
    .correlate(schema.folders)
    .label("subfolders"),
).where(_F.mailbox_id == bindparam("mailbox"))
_SELECT_ONE = _SELECT.where(_F.id == bindparam("folder"))
_SELECT_CHILDREN = _SELECT.where(_F.parent_id == bindparam("folder")).order_by(_F.sort_name)
_SELECT_ALL = _SELECT.order_by(_F.sort_name)
_SELECT_NAMED = select(_F.id).where(
    _F.mailbox_id == bindparam("mailbox"), _F.parent_id == bindparam("parent"), _F.sort_name == bindparam("name")
)
_INSERT = insert(schema.folders)
_COUNT_MESSAGE = (
    update(schema.folders)
    .where(_F.mailbox_id == bindparam("mailbox"), _F.id == bindparam("folder"))
    .values(
        content_count=_F.content_count + bindparam("messages"),
        content_unread_count=_F.content_unread_count + bindparam("unread"),
        associated_content_count=_F.associated_content_count + bindparam("associated"),
        message_size=_F.message_size + bindparam("size"),
        deleted_count_total=_F.deleted_count_total + bindparam("deleted"),
        local_commit_time_max=bindparam("time"),
    )
    .returning(_F.parent_id, _F.content_count, _F.content_unread_count)
)
#: What of a folder changes with which of its counts.
_COUNT_TAGS = {
    "messages": proptags.PidTagContentCount,
    "unread": proptags.PidTagContentUnreadCount,
    "associated": proptags.PidTagAssociatedContentCount,
    "size": proptags.PidTagMessageSizeExtended,
    "deleted": proptags.PidTagDeletedCountTotal,
}


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFolder(Folder):
    """A folder as it was when it was read."""

    id: FolderId
    parent_id: FolderId
    properties: PropertyMap


@dataclasses.dataclass(frozen=True, slots=True)
class NewFolder:
    """A folder to be created. `special` is its number in `SpecialFolder`."""

    name: str
    parent: int | None
    container_class: str = ""
    folder_type: int = FOLDER_GENERIC
    special: int | None = None


def read_folder(place: Place, connection: Connection, folder: int | None) -> StoredFolder:
    """The folder of that counter; `NoSuchObject`."""
    row = connection.execute(_SELECT_ONE, {"mailbox": place.mailbox_id, "folder": folder}).mappings().one_or_none()
    if row is None:
        raise NoSuchObject("no such folder")
    return _folder(place, row)


def read_children(place: Place, connection: Connection, folder: int) -> list[StoredFolder]:
    """Direct subfolders, sorted by name."""
    rows = connection.execute(_SELECT_CHILDREN, {"mailbox": place.mailbox_id, "folder": folder}).mappings()
    return [_folder(place, row) for row in rows]


def read_descendants(place: Place, connection: Connection, folder: int) -> list[StoredFolder]:
    """All folders below it, each behind its parent, siblings sorted by name."""
    children: dict[int | None, list[Any]] = {}
    for row in connection.execute(_SELECT_ALL, {"mailbox": place.mailbox_id}).mappings():
        children.setdefault(row["parent_id"], []).append(row)
    result: list[StoredFolder] = []
    waiting = children.pop(folder, [])[::-1]
    while waiting:
        row = waiting.pop()
        result.append(_folder(place, row))
        waiting.extend(children.pop(row["id"], [])[::-1])
    return result


def find_folder(place: Place, connection: Connection, start: int, names: Iterable[str]) -> int:
    """The counter of the folder that those names lead to from `start`; `NoSuchObject`."""
    folder = start
    for name in names:
        scope = {"mailbox": place.mailbox_id, "parent": folder, "name": _sort_name(name)}
        found = connection.execute(_SELECT_NAMED, scope).scalar_one_or_none()
        if found is None:
            raise NoSuchObject(f"no folder {name!r}")
        folder = found
    return folder


def insert_folder(place: Place, connection: Connection, new: NewFolder, counter: int, change_number: int) -> None:
    """Creates a folder; `StoreError` where its parent has one of that name."""
    name = new.name.strip()
    if not name or len(name) > NAME_LIMIT or any(ord(char) < 0x20 or 0xD800 <= ord(char) < 0xE000 for char in name):
        raise StoreError(f"{new.name!r} is no folder name: 1 to {NAME_LIMIT} characters, no control characters")
    change = Change.first(place.replica_guid, change_number)
    row = {
        "mailbox_id": place.mailbox_id,
        "id": counter,
        "parent_id": new.parent,
        "name": name,
        "sort_name": _sort_name(name),
        "container_class": new.container_class,
        "folder_type": new.folder_type,
        "special": new.special,
        "local_commit_time_max": change.time,
        "properties": properties.pack({}),
        **change.columns(),
    }
    try:
        connection.execute(_INSERT, row)
    except IntegrityError as error:
        raise StoreError(f"there is a folder {name!r} already") from error


@dataclasses.dataclass(frozen=True, slots=True)
class Counted:
    """By how much a folder's counts change. `size` is bytes."""

    messages: int = 0
    unread: int = 0
    associated: int = 0
    size: int = 0
    deleted: int = 0


def count_messages(place: Place, connection: Connection, folder: int | None, by: Counted, time: int) -> StoreEvent:
    """Keeps a folder's counts after its messages changed, and gives the event that this is.

    `NoSuchObject` where there is no such folder.
    """
    changes = dataclasses.asdict(by)
    values = {"mailbox": place.mailbox_id, "folder": folder, "time": time, **changes}
    row = connection.execute(_COUNT_MESSAGE, values).one_or_none()
    if row is None or folder is None:
        raise NoSuchObject("no such folder")
    return StoreEvent(
        EventKind.MODIFIED,
        FolderId(ids.object_id(folder)),
        parent_id=FolderId(ids.object_id(folder if row.parent_id is None else row.parent_id)),
        tags=tuple(_COUNT_TAGS[name] for name, change in changes.items() if change),
        total=row.content_count if by.messages else None,
        unread=row.content_unread_count if by.unread else None,
    )


def folder_event(kind: EventKind, folder: Folder) -> StoreEvent:
    """That something happened to a folder itself."""
    return StoreEvent(kind, folder.id, parent_id=folder.parent_id)


def _sort_name(name: str) -> str:
    return name.strip().casefold()[: schema.SORT_TEXT]


def _folder(place: Place, row: Any) -> StoredFolder:
    parent = row["id"] if row["parent_id"] is None else row["parent_id"]
    values = properties.unpack(row["properties"], place.content) | _computed(place, row, parent)
    return StoredFolder(FolderId(ids.object_id(row["id"])), FolderId(ids.object_id(parent)), values)


def _computed(place: Place, row: Any, parent: int) -> PropertyMap:
    """[MS-OXCFOLD] 2.2.2: a folder's properties that its row tells. The root is its own parent."""
    return {
        proptags.PidTagDisplayName: row["name"],
        proptags.PidTagFolderId: ids.object_id(row["id"]),
        proptags.PidTagParentFolderId: ids.object_id(parent),
        proptags.PidTagSourceKey: ids.global_id(place.replica_guid, row["id"]),
        proptags.PidTagParentSourceKey: ids.global_id(place.replica_guid, parent),
        proptags.PidTagContentCount: row["content_count"],
        proptags.PidTagContentUnreadCount: row["content_unread_count"],
        proptags.PidTagAssociatedContentCount: row["associated_content_count"],
        proptags.PidTagSubfolders: bool(row["subfolders"]),
        proptags.PidTagFolderType: row["folder_type"],
        proptags.PidTagContainerClass: row["container_class"],
        proptags.PidTagMessageSize: min(row["message_size"], 0x7FFFFFFF),
        proptags.PidTagMessageSizeExtended: row["message_size"],
        proptags.PidTagDeletedCountTotal: row["deleted_count_total"],
        proptags.PidTagCreationTime: row["creation_time"],
        proptags.PidTagLastModificationTime: row["last_modification_time"],
        proptags.PidTagHierRev: row["last_modification_time"],
        proptags.PidTagLocalCommitTime: row["last_modification_time"],
        proptags.PidTagLocalCommitTimeMax: row["local_commit_time_max"],
        proptags.PidTagChangeNumber: ids.object_id(row["change_number"]),
        proptags.PidTagChangeKey: row["change_key"],
        proptags.PidTagPredecessorChangeList: row["predecessor_change_list"],
        # [MS-OXCPRPT] 2.2.1.1: everything that an owner may do with a folder.
        proptags.PidTagAccess: 0x3F,
        proptags.PidTagAccessLevel: 1,
        # [MS-OXCPERM] 2.2.7: all rights of an owner.
        proptags.PidTagRights: 0x7FB,
        # [MS-OXCPRPT] 2.2.1.7: a Folder object.
        proptags.PidTagObjectType: 3,
    }
