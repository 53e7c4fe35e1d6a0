"""ROPs of [MS-OXCFOLD], the folder object: [MS-OXCROPS] 2.2.4, all of them."""

from __future__ import annotations

import struct
from typing import Annotated, ClassVar, Final, Self

from openchange_py.wire.buffer import EncodeError, Reader, Writer
from openchange_py.wire.codecs import U8, U32, Bool8, Codec, structure
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId, FolderId64, MessageId
from openchange_py.wire.oxcdata.restrictions import RestrictionData16
from openchange_py.wire.rop.base import (
    OPEN_HEADER,
    RopHandleRequest,
    RopOpenRequest,
    RopRequest,
    RopResponse,
    read_text,
    rop_failure,
    rop_request,
    rop_response,
    write_text,
)
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcstor import ServerNames, write_servers

_CREATE: Final = struct.Struct("<BBBBBBB")
_CREATED: Final = struct.Struct("<BIQB")
_OPENED: Final = struct.Struct("<BIBB")
_MOVE_FOLDER: Final = struct.Struct("<BBBBBQ")
_COPY_FOLDER: Final = struct.Struct("<BBBBBBQ")


class IdsCodec(Codec):
    """64-bit identifiers behind their 16-bit count."""

    minimum_size = 2

    def read(self, reader: Reader) -> list[int]:
        count = reader.count(reader.u16(), 8)
        pos = reader.pos
        reader.pos = pos + 8 * count
        return list(struct.unpack_from(f"<{count}Q", reader.data, pos))

    def write(self, writer: Writer, value: list[int]) -> None:
        writer.u16(len(value))
        try:
            writer += struct.pack(f"<{len(value)}Q", *value)
        except struct.error as error:
            raise EncodeError(f"identifiers: {error}") from error


FolderIds16 = Annotated[list[FolderId], IdsCodec()]
MessageIds16 = Annotated[list[MessageId], IdsCodec()]


@rop_request(RopId.OpenFolder)
@structure
class RopOpenFolderRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.4.1.1. `open_mode_flags`: 0x04 opens a soft-deleted folder."""

    folder_id: FolderId64
    open_mode_flags: U8


@rop_response(RopId.OpenFolder)
@structure
class RopOpenFolderResponse(RopResponse):
    """[MS-OXCROPS] 2.2.4.1.2. `servers` is there where the folder is ghosted."""

    has_rules: int
    is_ghosted: int
    servers: ServerNames | None = None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code, has_rules, is_ghosted = reader.fields(_OPENED)
        return cls(index, code, has_rules, is_ghosted, ServerNames.read(reader) if is_ghosted else None)

    def write(self, writer: Writer) -> None:
        writer.fixed(_OPENED, self.handle_index, self.return_value, self.has_rules, self.is_ghosted)
        write_servers(writer, self.is_ghosted, self.servers)


@rop_request(RopId.CreateFolder)
@structure
class RopCreateFolderRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.4.2.1. `folder_type`: 1 generic, 2 search. Names: str, or bytes without the Unicode flag."""

    folder_type: int
    use_unicode_strings: int
    open_existing: int
    reserved: int
    display_name: str | bytes
    comment: str | bytes

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index, output, kind, unicode, existing, reserved = reader.fields(_CREATE)
        name, comment = read_text(reader, unicode), read_text(reader, unicode)
        return cls(logon_id, index, output, kind, unicode, existing, reserved, name, comment)

    def write(self, writer: Writer) -> None:
        writer.fixed(OPEN_HEADER, self.logon_id, self.input_handle_index, self.output_handle_index)
        for flag in (self.folder_type, self.use_unicode_strings, self.open_existing, self.reserved):
            writer.u8(flag)
        write_text(writer, self.use_unicode_strings, self.display_name)
        write_text(writer, self.use_unicode_strings, self.comment)


@rop_response(RopId.CreateFolder)
@structure
class RopCreateFolderResponse(RopResponse):
    """[MS-OXCROPS] 2.2.4.2.2. `has_rules` and `is_ghosted` are there for a folder that existed."""

    folder_id: FolderId
    is_existing_folder: int
    has_rules: int = 0
    is_ghosted: int = 0
    servers: ServerNames | None = None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code, folder_id, existing = reader.fields(_CREATED)
        if not existing:
            return cls(index, code, FolderId(folder_id), existing)
        has_rules, is_ghosted = reader.u8(), reader.u8()
        servers = ServerNames.read(reader) if is_ghosted else None
        return cls(index, code, FolderId(folder_id), existing, has_rules, is_ghosted, servers)

    def write(self, writer: Writer) -> None:
        writer.fixed(_CREATED, self.handle_index, self.return_value, self.folder_id, self.is_existing_folder)
        if self.is_existing_folder:
            writer.u8(self.has_rules)
            writer.u8(self.is_ghosted)
            write_servers(writer, self.is_ghosted, self.servers)


@structure
class PartialCompletionResponse(RopResponse):
    """A response that tells, in success and in failure, whether something was left undone."""

    success_only: ClassVar[bool] = False

    partial_completion: Bool8


@structure
class NullDestinationResponse(RopResponse):
    """The handle table has no object at the index of the destination: ReturnValue 0x00000503.

    `dest_handle_index` is that index, in 32 bits.
    """

    dest_handle_index: U32
    partial_completion: Bool8


@rop_request(RopId.DeleteFolder)
@structure
class RopDeleteFolderRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.4.3.1."""

    delete_folder_flags: U8
    folder_id: FolderId64


@rop_response(RopId.DeleteFolder)
@structure
class RopDeleteFolderResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.4.3.2."""


@rop_request(RopId.SetSearchCriteria)
@structure
class RopSetSearchCriteriaRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.4.4.1."""

    restriction_data: RestrictionData16
    folder_ids: FolderIds16
    search_flags: U32


@rop_response(RopId.SetSearchCriteria)
@structure
class RopSetSearchCriteriaResponse(RopResponse):
    """[MS-OXCROPS] 2.2.4.4.2."""


@rop_request(RopId.GetSearchCriteria)
@structure
class RopGetSearchCriteriaRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.4.5.1."""

    use_unicode: Bool8
    include_restriction: Bool8
    include_folders: Bool8


@rop_response(RopId.GetSearchCriteria)
@structure
class RopGetSearchCriteriaResponse(RopResponse):
    """[MS-OXCROPS] 2.2.4.5.2."""

    restriction_data: RestrictionData16
    logon_id: U8
    folder_ids: FolderIds16
    search_flags: U32


@structure
class RopSourceRequest(RopRequest):
    """The header of ROPs with a source and a destination."""

    source_handle_index: U8
    dest_handle_index: U8

    @property
    def input_handle_index(self) -> int:
        """The source."""
        return self.source_handle_index


@rop_request(RopId.MoveCopyMessages)
@structure
class RopMoveCopyMessagesRequest(RopSourceRequest):
    """[MS-OXCROPS] 2.2.4.6.1."""

    message_ids: MessageIds16
    want_asynchronous: Bool8
    want_copy: Bool8


@rop_response(RopId.MoveCopyMessages)
@structure
class RopMoveCopyMessagesResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.4.6.2."""


@rop_failure(RopId.MoveCopyMessages, ErrorCode.DestinationNullObject)
@structure
class RopMoveCopyMessagesNullDestinationResponse(NullDestinationResponse):
    """[MS-OXCROPS] 2.2.4.6.3."""


@rop_request(RopId.MoveFolder)
@structure
class RopMoveFolderRequest(RopSourceRequest):
    """[MS-OXCROPS] 2.2.4.7.1. `new_folder_name`: str, or bytes without the Unicode flag."""

    want_asynchronous: int
    use_unicode: int
    folder_id: FolderId
    new_folder_name: str | bytes

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, source, dest, want_asynchronous, unicode, folder_id = reader.fields(_MOVE_FOLDER)
        name = read_text(reader, unicode)
        return cls(logon_id, source, dest, want_asynchronous, unicode, FolderId(folder_id), name)

    def write(self, writer: Writer) -> None:
        writer.fixed(OPEN_HEADER, self.logon_id, self.source_handle_index, self.dest_handle_index)
        writer.u8(self.want_asynchronous)
        writer.u8(self.use_unicode)
        writer.u64(self.folder_id)
        write_text(writer, self.use_unicode, self.new_folder_name)


@rop_response(RopId.MoveFolder)
@structure
class RopMoveFolderResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.4.7.2."""


@rop_failure(RopId.MoveFolder, ErrorCode.DestinationNullObject)
@structure
class RopMoveFolderNullDestinationResponse(NullDestinationResponse):
    """[MS-OXCROPS] 2.2.4.7.3."""


@rop_request(RopId.CopyFolder)
@structure
class RopCopyFolderRequest(RopSourceRequest):
    """[MS-OXCROPS] 2.2.4.8.1. `new_folder_name`: str, or bytes without the Unicode flag."""

    want_asynchronous: int
    want_recursive: int
    use_unicode: int
    folder_id: FolderId
    new_folder_name: str | bytes

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, source, dest, want_asynchronous, recursive, unicode, folder_id = reader.fields(_COPY_FOLDER)
        name = read_text(reader, unicode)
        return cls(logon_id, source, dest, want_asynchronous, recursive, unicode, FolderId(folder_id), name)

    def write(self, writer: Writer) -> None:
        writer.fixed(OPEN_HEADER, self.logon_id, self.source_handle_index, self.dest_handle_index)
        writer.u8(self.want_asynchronous)
        writer.u8(self.want_recursive)
        writer.u8(self.use_unicode)
        writer.u64(self.folder_id)
        write_text(writer, self.use_unicode, self.new_folder_name)


@rop_response(RopId.CopyFolder)
@structure
class RopCopyFolderResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.4.8.2."""


@rop_failure(RopId.CopyFolder, ErrorCode.DestinationNullObject)
@structure
class RopCopyFolderNullDestinationResponse(NullDestinationResponse):
    """[MS-OXCROPS] 2.2.4.8.3."""


@rop_request(RopId.EmptyFolder)
@structure
class RopEmptyFolderRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.4.9.1."""

    want_asynchronous: Bool8
    want_delete_associated: Bool8


@rop_response(RopId.EmptyFolder)
@structure
class RopEmptyFolderResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.4.9.2."""


@rop_request(RopId.HardDeleteMessagesAndSubfolders)
@structure
class RopHardDeleteMessagesAndSubfoldersRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.4.10.1."""

    want_asynchronous: Bool8
    want_delete_associated: Bool8


@rop_response(RopId.HardDeleteMessagesAndSubfolders)
@structure
class RopHardDeleteMessagesAndSubfoldersResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.4.10.2."""


@rop_request(RopId.DeleteMessages)
@structure
class RopDeleteMessagesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.4.11.1."""

    want_asynchronous: Bool8
    notify_non_read: Bool8
    message_ids: MessageIds16


@rop_response(RopId.DeleteMessages)
@structure
class RopDeleteMessagesResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.4.11.2."""


@rop_request(RopId.HardDeleteMessages)
@structure
class RopHardDeleteMessagesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.4.12.1."""

    want_asynchronous: Bool8
    notify_non_read: Bool8
    message_ids: MessageIds16


@rop_response(RopId.HardDeleteMessages)
@structure
class RopHardDeleteMessagesResponse(PartialCompletionResponse):
    """[MS-OXCROPS] 2.2.4.12.2."""


@rop_request(RopId.GetHierarchyTable)
@structure
class RopGetHierarchyTableRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.4.13.1."""

    table_flags: U8


@rop_response(RopId.GetHierarchyTable)
@structure
class RopGetHierarchyTableResponse(RopResponse):
    """[MS-OXCROPS] 2.2.4.13.2."""

    row_count: U32


@rop_request(RopId.GetContentsTable)
@structure
class RopGetContentsTableRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.4.14.1."""

    table_flags: U8


@rop_response(RopId.GetContentsTable)
@structure
class RopGetContentsTableResponse(RopResponse):
    """[MS-OXCROPS] 2.2.4.14.2."""

    row_count: U32
