"""[MS-OXCFOLD]: opening folders and their tables, deleting messages.

Not done yet: everything that changes folders, moving and copying messages, search folders, conversations. Nothing is
soft-deleted: what is deleted is gone, OpenSoftDeleted opens what there is, tables of soft-deleted objects are empty.
SuppressesNotifications of a hierarchy table suppresses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from openchange_py.servers.emsmdb.objects.folder import FolderObject
from openchange_py.servers.emsmdb.objects.folder_tables import ContentsTable, HierarchyTable
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import PRIVATE_REPLICA_ID, FolderId, MessageId, split_id
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.oxcfold import (
    RopDeleteMessagesRequest,
    RopDeleteMessagesResponse,
    RopGetContentsTableRequest,
    RopGetContentsTableResponse,
    RopGetHierarchyTableRequest,
    RopGetHierarchyTableResponse,
    RopHardDeleteMessagesRequest,
    RopHardDeleteMessagesResponse,
    RopOpenFolderRequest,
    RopOpenFolderResponse,
)

#: TableFlags: [MS-OXCFOLD] 2.2.1.13.1 and 2.2.1.14.1.
_ASSOCIATED: Final = 0x02
_DEPTH: Final = 0x04
_SOFT_DELETES: Final = 0x20
_NO_NOTIFICATIONS: Final = 0x10
_CONVERSATION_MEMBERS: Final = 0x80
_HIERARCHY_FLAGS: Final = 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80
_CONTENTS_FLAGS: Final = 0x02 | 0x08 | 0x10 | 0x20 | 0x40 | _CONVERSATION_MEMBERS


@handles(RopOpenFolderRequest)
def open_folder(call: RopCall, request: RopOpenFolderRequest) -> RopOpenFolderResponse:
    """RopOpenFolder: [MS-OXCFOLD] 3.2.5.1."""
    logon = call.object(request, (Logon, FolderObject)).mailbox_logon
    if split_id(request.folder_id)[0] != PRIVATE_REPLICA_ID:
        raise MapiError(ErrorCode.NotFound, f"folder 0x{request.folder_id:016x} is of no replica of this mailbox")
    folder = logon.mailbox.folder(FolderId(request.folder_id))
    call.open(request.output_handle_index, FolderObject(logon, folder.id))
    return RopOpenFolderResponse(request.output_handle_index, ErrorCode.Success, 0, 0)


@handles(RopGetHierarchyTableRequest)
def get_hierarchy_table(call: RopCall, request: RopGetHierarchyTableRequest) -> RopGetHierarchyTableResponse:
    """RopGetHierarchyTable: [MS-OXCFOLD] 3.2.5.13."""
    folder = call.object(request, FolderObject)
    if request.table_flags & ~_HIERARCHY_FLAGS:
        raise MapiError(ErrorCode.NotSupported, f"TableFlags 0x{request.table_flags:02x}")
    table = HierarchyTable(
        folder.mailbox_logon,
        folder.folder_id,
        deep=bool(request.table_flags & _DEPTH),
        soft_deleted=bool(request.table_flags & _SOFT_DELETES),
        notifies=not request.table_flags & _NO_NOTIFICATIONS,
    )
    call.follow(request.output_handle_index, table)
    return RopGetHierarchyTableResponse(request.output_handle_index, ErrorCode.Success, table.row_count)


@handles(RopGetContentsTableRequest)
def get_contents_table(call: RopCall, request: RopGetContentsTableRequest) -> RopGetContentsTableResponse:
    """RopGetContentsTable: [MS-OXCFOLD] 3.2.5.14."""
    folder = call.object(request, FolderObject)
    if request.table_flags & ~_CONTENTS_FLAGS:
        raise MapiError(ErrorCode.InvalidParameter, f"TableFlags 0x{request.table_flags:02x}")
    if request.table_flags & _CONVERSATION_MEMBERS:
        raise MapiError(ErrorCode.NotSupported, "tables of conversations")
    table = ContentsTable(
        folder.mailbox_logon,
        folder.folder_id,
        associated=bool(request.table_flags & _ASSOCIATED),
        soft_deleted=bool(request.table_flags & _SOFT_DELETES),
        notifies=not request.table_flags & _NO_NOTIFICATIONS,
    )
    call.follow(request.output_handle_index, table)
    return RopGetContentsTableResponse(request.output_handle_index, ErrorCode.Success, table.announced_rows())


def _delete(call: RopCall, request: RopRequest, message_ids: Sequence[int]) -> bool:
    """Delete messages of the folder; whether one of them was not there (PartialCompletion)."""
    folder = call.object(request, FolderObject)
    wanted = {MessageId(value) for value in message_ids}
    return folder.mailbox_logon.mailbox.delete_messages(folder.folder_id, list(wanted)) < len(wanted)


@handles(RopDeleteMessagesRequest)
def delete_messages(call: RopCall, request: RopDeleteMessagesRequest) -> RopDeleteMessagesResponse:
    """RopDeleteMessages: [MS-OXCFOLD] 3.2.5.11. At once, however it was asked for; nobody is told of unread ones."""
    partial = _delete(call, request, request.message_ids)
    return RopDeleteMessagesResponse(request.input_handle_index, ErrorCode.Success, partial)


@handles(RopHardDeleteMessagesRequest)
def hard_delete_messages(call: RopCall, request: RopHardDeleteMessagesRequest) -> RopHardDeleteMessagesResponse:
    """RopHardDeleteMessages: [MS-OXCFOLD] 3.2.5.12."""
    partial = _delete(call, request, request.message_ids)
    return RopHardDeleteMessagesResponse(request.input_handle_index, ErrorCode.Success, partial)
