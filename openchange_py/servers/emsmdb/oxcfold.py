"""[MS-OXCFOLD]: opening folders and their tables.

Not done yet: everything that changes folders or their contents, search folders, soft-deleted objects.
"""

from __future__ import annotations

from typing import Final

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.folder import FolderObject
from openchange_py.servers.emsmdb.objects.table import ContentsTable, HierarchyTable
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import PRIVATE_REPLICA_ID, FolderId, split_id
from openchange_py.wire.rop.oxcfold import (
    RopGetContentsTableRequest,
    RopGetContentsTableResponse,
    RopGetHierarchyTableRequest,
    RopGetHierarchyTableResponse,
    RopOpenFolderRequest,
    RopOpenFolderResponse,
)

#: OpenSoftDeleted, [MS-OXCFOLD] 2.2.1.1.1.
_OPEN_SOFT_DELETED: Final = 0x04

#: TableFlags: [MS-OXCFOLD] 2.2.1.13.1 and 2.2.1.14.1.
_ASSOCIATED: Final = 0x02
_DEPTH: Final = 0x04
_SOFT_DELETES: Final = 0x20
_HIERARCHY_FLAGS: Final = 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80
_CONTENTS_FLAGS: Final = 0x02 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80


@handles(RopOpenFolderRequest)
def open_folder(call: RopCall, request: RopOpenFolderRequest) -> RopOpenFolderResponse:
    """RopOpenFolder: [MS-OXCFOLD] 3.2.5.1."""
    logon = call.object(request, ServerObject).mailbox_logon
    if request.open_mode_flags & _OPEN_SOFT_DELETED:
        raise MapiError(ErrorCode.NotFound, "no folder is soft-deleted here")
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
        raise MapiError(ErrorCode.InvalidParameter, f"TableFlags 0x{request.table_flags:02x}")
    if request.table_flags & _SOFT_DELETES:
        raise MapiError(ErrorCode.NotSupported, "there are no soft-deleted folders")
    table = HierarchyTable(folder.mailbox_logon, folder.folder_id, deep=bool(request.table_flags & _DEPTH))
    call.open(request.output_handle_index, table)
    return RopGetHierarchyTableResponse(request.output_handle_index, ErrorCode.Success, table.row_count)


@handles(RopGetContentsTableRequest)
def get_contents_table(call: RopCall, request: RopGetContentsTableRequest) -> RopGetContentsTableResponse:
    """RopGetContentsTable: [MS-OXCFOLD] 3.2.5.14."""
    folder = call.object(request, FolderObject)
    if request.table_flags & ~_CONTENTS_FLAGS:
        raise MapiError(ErrorCode.InvalidParameter, f"TableFlags 0x{request.table_flags:02x}")
    if request.table_flags & _SOFT_DELETES:
        raise MapiError(ErrorCode.NotSupported, "there are no soft-deleted messages")
    table = ContentsTable(folder.mailbox_logon, folder.folder_id, associated=bool(request.table_flags & _ASSOCIATED))
    call.open(request.output_handle_index, table)
    return RopGetContentsTableResponse(request.output_handle_index, ErrorCode.Success, table.row_count)
