"""ROPs of [MS-OXCSTOR], the store object: [MS-OXCROPS] 2.2.3, all of them."""

from __future__ import annotations

import enum
import re
import struct
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Final, Self, cast

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import (
    U8,
    U16,
    U32,
    U64,
    Bool8,
    Bytes8,
    Bytes16,
    Counted,
    Fixed,
    Guid,
    String8,
    Structure,
    structure,
    u16,
)
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId, FolderId64, LongTermId
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.proptags import PidTagFolderId, PidTagLastModificationTime, PidTagMessageClass
from openchange_py.wire.rop.base import (
    REQUEST_HEADER,
    RESPONSE_HEADER,
    RopHandleRequest,
    RopRequest,
    RopResponse,
    read_rows,
    rop_failure,
    rop_request,
    rop_response,
    write_rows,
)
from openchange_py.wire.rop.context import HandleStates, RopContext
from openchange_py.wire.rop.ids import RopId

_LOGON: Final = struct.Struct("<BBBII")
_WRITE_PER_USER: Final = struct.Struct("<BI")

#: RopLogon answers with this many special folders.
SPECIAL_FOLDERS: Final = 13


class LogonFlags(enum.IntFlag):
    """[MS-OXCSTOR] 2.2.1.1.1 and 2.2.1.1.3."""

    Private = 0x01
    Undercover = 0x02
    Ghosted = 0x04
    SplProcess = 0x08


class OpenFlags(enum.IntFlag):
    """[MS-OXCSTOR] 2.2.1.1.1."""

    UseAdminPrivilege = 0x00000001
    Public = 0x00000002
    HomeLogon = 0x00000004
    TakeOwnership = 0x00000008
    AlternateServer = 0x00000100
    IgnoreHomeMdb = 0x00000200
    NoMail = 0x00000400
    UsePerMdbReplidMapping = 0x01000000
    SupportProgress = 0x20000000


class ResponseFlags(enum.IntFlag):
    """[MS-OXCSTOR] 2.2.1.1.3."""

    Reserved = 0x01
    OwnerRight = 0x02
    SendAsRight = 0x04
    OutOfOffice = 0x10


class FolderIdsCodec(Fixed):
    """The 13 FolderIds of RopLogon, in the order of [MS-OXCSTOR] 2.2.1.1.3 and 2.2.1.1.4."""

    def __init__(self) -> None:
        super().__init__(f"{SPECIAL_FOLDERS}Q")
        self.format = None

    def read(self, reader: Reader) -> list[FolderId]:
        return [FolderId(value) for value in reader.fields(self._struct)]

    def write(self, writer: Writer, value: list[FolderId]) -> None:
        writer.fixed(self._struct, *value)


FolderIds = Annotated[list[FolderId], FolderIdsCodec()]


@structure
class LogonTime(Structure):
    """[MS-OXCROPS] 2.2.3.1.2.1: the server's clock, UTC. `day_of_week` 0 is Sunday."""

    seconds: U8
    minutes: U8
    hour: U8
    day_of_week: U8
    day: U8
    month: U8
    year: U16


@structure
class ServerNames(Structure):
    """Servers with a replica of a public folder; the first `cheap_server_count` of them cost least to reach."""

    cheap_server_count: int
    servers: list[bytes]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        count = reader.u16()
        cheap = reader.u16()
        return cls(cheap, [reader.string8() for _ in range(reader.count(count, 1))])

    def write(self, writer: Writer) -> None:
        writer.u16(len(self.servers))
        writer.u16(self.cheap_server_count)
        for server in self.servers:
            writer.string8(server)


@rop_request(RopId.Logon)
@structure
class RopLogonRequest(RopRequest):
    """[MS-OXCROPS] 2.2.3.1.1. `essdn`: the mailbox owner's distinguished name with its terminating zero, or empty."""

    output_handle_index: U8
    logon_flags: U8
    open_flags: U32
    store_state: U32
    essdn: Bytes16

    @property
    def input_handle_index(self) -> int:
        """It acts on no object; this is where the handle table will have the one that it makes."""
        return self.output_handle_index

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        logon_id, index, flags, open_flags, state = reader.fields(_LOGON)
        context.set_logon(logon_id, bool(flags & LogonFlags.Private))
        return cls(logon_id, index, flags, open_flags, state, reader.take(reader.u16()))


#: A RopLogon request from its RopId up to the beginning of a legacyExchangeDN; found wherever it begins.
_LOGON_LOOKALIKE: Final = re.compile(rb"(?s)(?=\xfe.{13}/[oO]=)")


def logon_lookalikes(payload: bytes) -> Iterator[RopLogonRequest]:
    """Whatever in a ROP buffer could be read as a RopLogon for a printable DN, at whatever offset it begins.

    For who must not trust his own reading of the ROPs in front of it to be everybody's.
    """
    for match in _LOGON_LOOKALIKE.finditer(payload):
        with suppress(DecodeError):
            logon = RopLogonRequest.read_in(Reader(payload, match.start() + 1), RopContext(HandleStates()))
            dn = logon.essdn.partition(b"\0")[0]
            if dn.isascii() and dn.decode("ascii").isprintable():
                yield logon


@rop_response(RopId.Logon)
@structure
class RopLogonResponse(RopResponse):
    """A logon that succeeded; it is one of the two classes below, by the Private flag of its LogonFlags."""

    logon_flags: U8
    folder_ids: FolderIds

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        at = reader.pos + RESPONSE_HEADER.size
        if at >= reader.end:
            raise reader.short(RESPONSE_HEADER.size + 1)
        private = reader.data[at] & LogonFlags.Private
        kind: type[RopLogonResponse] = RopLogonPrivateResponse if private else RopLogonPublicResponse
        return cast("Self", kind.read(reader))

    def learn(self, context: RopContext) -> None:
        context.set_logon(context.answered(RopLogonRequest).logon_id, bool(self.logon_flags & LogonFlags.Private))


@structure
class RopLogonPrivateResponse(RopLogonResponse):
    """[MS-OXCROPS] 2.2.3.1.2: a private mailbox. `gwart_time` is a FILETIME (100 ns since 1601-01-01 UTC)."""

    response_flags: U8
    mailbox_guid: Guid
    repl_id: U16
    repl_guid: Guid
    logon_time: LogonTime
    gwart_time: U64
    store_state: U32


@structure
class RopLogonPublicResponse(RopLogonResponse):
    """[MS-OXCROPS] 2.2.3.1.3: the public folders."""

    repl_id: U16
    repl_guid: Guid
    per_user_guid: Guid


@rop_failure(RopId.Logon, ErrorCode.WrongServer)
@structure
class RopLogonRedirectResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.1.4: log on at another server. `server_name` has its terminating zero."""

    logon_flags: U8
    server_name: Bytes8


@rop_request(RopId.GetReceiveFolder)
@structure
class RopGetReceiveFolderRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.2.1."""

    message_class: String8


@rop_response(RopId.GetReceiveFolder)
@structure
class RopGetReceiveFolderResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.2.2."""

    folder_id: FolderId64
    explicit_message_class: String8


@rop_request(RopId.SetReceiveFolder)
@structure
class RopSetReceiveFolderRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.3.1."""

    folder_id: FolderId64
    message_class: String8


@rop_response(RopId.SetReceiveFolder)
@structure
class RopSetReceiveFolderResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.3.2."""


@rop_request(RopId.GetReceiveFolderTable)
@structure
class RopGetReceiveFolderTableRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.4.1."""


#: The columns of a receive folder row: [MS-OXCSTOR] 2.2.1.4.2. The message class is 8-bit there.
RECEIVE_FOLDER_COLUMNS: Final = (
    PidTagFolderId,
    PidTagMessageClass.with_type(PropertyType.String8),
    PidTagLastModificationTime,
)


@rop_response(RopId.GetReceiveFolderTable)
@structure
class RopGetReceiveFolderTableResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.4.2. The rows have the `RECEIVE_FOLDER_COLUMNS`."""

    rows: list[PropertyRow]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        return cls(index, code, read_rows(reader, reader.u32(), RECEIVE_FOLDER_COLUMNS))

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        writer.u32(len(self.rows))
        write_rows(writer, self.rows, RECEIVE_FOLDER_COLUMNS)


@rop_request(RopId.GetStoreState)
@structure
class RopGetStoreStateRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.5.1."""


@rop_response(RopId.GetStoreState)
@structure
class RopGetStoreStateResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.5.2."""

    store_state: U32


@rop_request(RopId.GetOwningServers)
@structure
class RopGetOwningServersRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.6.1."""

    folder_id: FolderId64


@rop_response(RopId.GetOwningServers)
@structure
class RopGetOwningServersResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.6.2: OwningServersCount, CheapServersCount and OwningServers."""

    owning_servers: ServerNames


@rop_request(RopId.PublicFolderIsGhosted)
@structure
class RopPublicFolderIsGhostedRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.7.1."""

    folder_id: FolderId64


@rop_response(RopId.PublicFolderIsGhosted)
@structure
class RopPublicFolderIsGhostedResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.7.2. `servers` is there where the folder is ghosted."""

    is_ghosted: int
    servers: ServerNames | None = None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        is_ghosted = reader.u8()
        return cls(index, code, is_ghosted, ServerNames.read(reader) if is_ghosted else None)

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        writer.u8(self.is_ghosted)
        write_servers(writer, self.is_ghosted, self.servers)


def write_servers(writer: Writer, is_ghosted: int, servers: ServerNames | None) -> None:
    """The names behind an IsGhosted field: there if, and only if, it is set."""
    if bool(is_ghosted) != (servers is not None):
        raise EncodeError(f"is_ghosted {is_ghosted} and servers {servers!r} do not agree")
    if servers is not None:
        servers.write(writer)


@rop_request(RopId.LongTermIdFromId)
@structure
class RopLongTermIdFromIdRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.8.1. `object_id` is a FolderId or a MessageId."""

    object_id: U64


@rop_response(RopId.LongTermIdFromId)
@structure
class RopLongTermIdFromIdResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.8.2."""

    long_term_id: LongTermId


@rop_request(RopId.IdFromLongTermId)
@structure
class RopIdFromLongTermIdRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.9.1."""

    long_term_id: LongTermId


@rop_response(RopId.IdFromLongTermId)
@structure
class RopIdFromLongTermIdResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.9.2. `object_id` is a FolderId or a MessageId."""

    object_id: U64


@rop_request(RopId.GetPerUserLongTermIds)
@structure
class RopGetPerUserLongTermIdsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.10.1."""

    database_guid: Guid


@rop_response(RopId.GetPerUserLongTermIds)
@structure
class RopGetPerUserLongTermIdsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.10.2."""

    long_term_ids: Annotated[list[LongTermId], Counted(u16, LongTermId)]


@rop_request(RopId.GetPerUserGuid)
@structure
class RopGetPerUserGuidRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.11.1."""

    long_term_id: LongTermId


@rop_response(RopId.GetPerUserGuid)
@structure
class RopGetPerUserGuidResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.11.2."""

    database_guid: Guid


@rop_request(RopId.ReadPerUserInformation)
@structure
class RopReadPerUserInformationRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.12.1. Offset and size in bytes."""

    folder_id: LongTermId
    reserved: U8
    data_offset: U32
    max_data_size: U16


@rop_response(RopId.ReadPerUserInformation)
@structure
class RopReadPerUserInformationResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.12.2."""

    has_finished: Bool8
    data: Bytes16


@rop_request(RopId.WritePerUserInformation)
@structure
class RopWritePerUserInformationRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.3.13.1. `repl_guid` is there at offset 0 of a private mailbox's logon."""

    folder_id: LongTermId
    has_finished: int
    data_offset: int
    data: bytes
    repl_guid: uuid.UUID | None = None

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        logon_id, index = reader.fields(REQUEST_HEADER)
        folder_id = LongTermId.read(reader)
        has_finished, offset = reader.fields(_WRITE_PER_USER)
        data = reader.take(reader.u16())
        has_guid = offset == 0 and context.is_private(logon_id)
        repl_guid = uuid.UUID(bytes_le=reader.take(16)) if has_guid else None
        return cls(logon_id, index, folder_id, has_finished, offset, data, repl_guid)

    def write(self, writer: Writer) -> None:
        writer.fixed(REQUEST_HEADER, self.logon_id, self.input_handle_index)
        self.folder_id.write(writer)
        writer.fixed(_WRITE_PER_USER, self.has_finished, self.data_offset)
        writer.u16(len(self.data))
        writer += self.data
        if self.repl_guid is not None:
            writer += self.repl_guid.bytes_le


@rop_response(RopId.WritePerUserInformation)
@structure
class RopWritePerUserInformationResponse(RopResponse):
    """[MS-OXCROPS] 2.2.3.13.2."""
