"""ROPs of [MS-OXCFXICS], fast transfer and synchronization: [MS-OXCROPS] 2.2.12 and 2.2.13, all of them.

The streams that they carry (`transfer_data`, `transfer_buffer`, `stream_data`) stay bytes here.
"""

from __future__ import annotations

import enum
import struct
from typing import Annotated, ClassVar, Final, Self, cast

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import (
    U8,
    U16,
    U32,
    Bool8,
    Bytes16,
    Bytes32,
    Counted,
    Fixed,
    Guid,
    Structure,
    structure,
    u16,
    u64,
)
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId64, LongTermId, MessageId, MessageId64
from openchange_py.wire.oxcdata.properties import PropertyTag32
from openchange_py.wire.oxcdata.restrictions import RestrictionData16
from openchange_py.wire.oxcdata.values import TaggedPropertyValues16
from openchange_py.wire.rop.base import (
    REQUEST_HEADER,
    PropertyTags16,
    RopHandleRequest,
    RopOpenRequest,
    RopResponse,
    rop_failure,
    rop_request,
    rop_response,
)
from openchange_py.wire.rop.ids import RopId

#: BufferSize of RopFastTransferSourceGetBuffer: as much as fits, at most MaximumBufferSize.
BUFFER_SIZE_IN_MAXIMUM: Final = 0xBABE
#: ecServerBusy as this protocol has it ([MS-OXCFXICS] 2.2.3.1.1.5.2); the table of [MS-OXCDATA] 2.4 has another code.
SERVER_BUSY: Final = cast("ErrorCode", 0x00000480)

_MIDSET: Final = struct.Struct("<HI")


class SourceOperation(enum.IntEnum):
    """[MS-OXCFXICS] 2.2.3.1.2.1.1: what made the stream that will be uploaded."""

    CopyTo = 0x01
    CopyProperties = 0x02
    CopyMessages = 0x03
    CopyFolder = 0x04


class SendOptions(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCFXICS] 2.2.3.1.1.1.2."""

    Unicode = 0x01
    UseCpid = 0x02
    RecoverMode = 0x04
    ForceUnicode = 0x08
    PartialItem = 0x10
    Reserved1 = 0x20
    Reserved2 = 0x40


class TransferStatus(enum.IntEnum):
    """[MS-OXCFXICS] 2.2.3.1.1.5.2."""

    Error = 0x0000
    Partial = 0x0001
    NoRoom = 0x0002
    Done = 0x0003


class SynchronizationType(enum.IntEnum):
    """[MS-OXCFXICS] 2.2.3.2.1.1.1."""

    Contents = 0x01
    Hierarchy = 0x02


class SynchronizationFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCFXICS] 2.2.3.2.1.1.1."""

    Unicode = 0x0001
    NoDeletions = 0x0002
    IgnoreNoLongerInScope = 0x0004
    ReadState = 0x0008
    Fai = 0x0010
    Normal = 0x0020
    OnlySpecifiedProperties = 0x0080
    NoForeignIdentifiers = 0x0100
    Reserved = 0x1000
    BestBody = 0x2000
    IgnoreSpecifiedOnFai = 0x4000
    Progress = 0x8000


class SynchronizationExtraFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCFXICS] 2.2.3.2.1.1.1."""

    Eid = 0x00000001
    MessageSize = 0x00000002
    Cn = 0x00000004
    OrderByDeliveryTime = 0x00000008


class ImportFlag(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCFXICS] 2.2.3.2.4.2.1."""

    Associated = 0x10
    FailOnConflict = 0x40


class ImportDeleteFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCFXICS] 2.2.3.2.4.5.1."""

    Hierarchy = 0x01
    HardDelete = 0x02


# [MS-OXCROPS] 2.2.12: fast transfer


@rop_request(RopId.FastTransferDestinationConfigure)
@structure
class RopFastTransferDestinationConfigureRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.12.1.1. See `SourceOperation`."""

    source_operation: U8
    copy_flags: U8


@rop_response(RopId.FastTransferDestinationConfigure)
@structure
class RopFastTransferDestinationConfigureResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.1.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.FastTransferDestinationPutBuffer)
@structure
class RopFastTransferDestinationPutBufferRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.12.2.1."""

    transfer_data: Bytes16


@rop_response(RopId.FastTransferDestinationPutBuffer)
@structure
class RopFastTransferDestinationPutBufferResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.2.2: one layout whatever the ReturnValue is. See `TransferStatus`."""

    success_only: ClassVar[bool] = False

    transfer_status: U16
    in_progress_count: U16
    total_step_count: U16
    reserved: U8
    buffer_used_size: U16


@rop_request(RopId.FastTransferDestinationPutBufferExtended)
@structure
class RopFastTransferDestinationPutBufferExtendedRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.12.3.1."""

    transfer_data: Bytes16


@rop_response(RopId.FastTransferDestinationPutBufferExtended)
@structure
class RopFastTransferDestinationPutBufferExtendedResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.3.2: one layout whatever the ReturnValue is. See `TransferStatus`."""

    success_only: ClassVar[bool] = False

    transfer_status: U16
    in_progress_count: U32
    total_step_count: U32
    reserved: U8
    buffer_used_size: U16


@rop_request(RopId.FastTransferSourceGetBuffer)
@structure
class RopFastTransferSourceGetBufferRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.12.4.1. `maximum_buffer_size` is there with a `buffer_size` of 0xBABE, and only then."""

    buffer_size: int
    maximum_buffer_size: int | None = None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index = reader.fields(REQUEST_HEADER)
        size = reader.u16()
        return cls(logon_id, index, size, reader.u16() if size == BUFFER_SIZE_IN_MAXIMUM else None)

    def write(self, writer: Writer) -> None:
        if (self.maximum_buffer_size is None) == (self.buffer_size == BUFFER_SIZE_IN_MAXIMUM):
            raise EncodeError("a maximum buffer size goes with the buffer size 0xBABE")
        writer.fixed(REQUEST_HEADER, self.logon_id, self.input_handle_index)
        writer.u16(self.buffer_size)
        if self.maximum_buffer_size is not None:
            writer.u16(self.maximum_buffer_size)


@rop_response(RopId.FastTransferSourceGetBuffer)
@structure
class RopFastTransferSourceGetBufferResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.4.2. See `TransferStatus`."""

    transfer_status: U16
    in_progress_count: U16
    total_step_count: U16
    reserved: U8
    transfer_buffer: Bytes16


@rop_failure(RopId.FastTransferSourceGetBuffer, SERVER_BUSY)
@structure
class RopFastTransferSourceGetBufferBusyResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.4.3 with ReturnValue 0x00000480: try again after `backoff_time` ms."""

    backoff_time: U32


@rop_request(RopId.FastTransferSourceCopyFolder)
@structure
class RopFastTransferSourceCopyFolderRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.12.5.1. See `SendOptions`."""

    copy_flags: U8
    send_options: U8


@rop_response(RopId.FastTransferSourceCopyFolder)
@structure
class RopFastTransferSourceCopyFolderResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.5.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.FastTransferSourceCopyMessages)
@structure
class RopFastTransferSourceCopyMessagesRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.12.6.1. See `SendOptions`."""

    message_ids: Annotated[list[MessageId], Counted(u16, u64)]
    copy_flags: U8
    send_options: U8


@rop_response(RopId.FastTransferSourceCopyMessages)
@structure
class RopFastTransferSourceCopyMessagesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.6.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.FastTransferSourceCopyTo)
@structure
class RopFastTransferSourceCopyToRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.12.7.1: `property_tags` are left out. See `SendOptions`."""

    level: U8
    copy_flags: U32
    send_options: U8
    property_tags: PropertyTags16


@rop_response(RopId.FastTransferSourceCopyTo)
@structure
class RopFastTransferSourceCopyToResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.7.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.FastTransferSourceCopyProperties)
@structure
class RopFastTransferSourceCopyPropertiesRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.12.8.1: `property_tags` are copied. See `SendOptions`."""

    level: U8
    copy_flags: U8
    send_options: U8
    property_tags: PropertyTags16


@rop_response(RopId.FastTransferSourceCopyProperties)
@structure
class RopFastTransferSourceCopyPropertiesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.8.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.TellVersion)
@structure
class RopTellVersionRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.12.9.1: the version of the other server, three words as in [MS-OXCRPC] 3.1.9."""

    major: U16
    build: U16
    minor: U16


@rop_response(RopId.TellVersion)
@structure
class RopTellVersionResponse(RopResponse):
    """[MS-OXCROPS] 2.2.12.9.2."""


# [MS-OXCROPS] 2.2.13: incremental change synchronization


@rop_request(RopId.SynchronizationConfigure)
@structure
class RopSynchronizationConfigureRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.13.1.1. See `SynchronizationType`, `SendOptions`, `SynchronizationFlags`.

    `restriction_data`: None for all messages. `property_tags` are left out, or are the only ones
    with OnlySpecifiedProperties.
    """

    synchronization_type: U8
    send_options: U8
    synchronization_flags: U16
    restriction_data: RestrictionData16
    synchronization_extra_flags: U32
    property_tags: PropertyTags16


@rop_response(RopId.SynchronizationConfigure)
@structure
class RopSynchronizationConfigureResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.1.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.SynchronizationImportMessageChange)
@structure
class RopSynchronizationImportMessageChangeRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.13.2.1. See `ImportFlag`."""

    import_flag: U8
    property_values: TaggedPropertyValues16


@rop_response(RopId.SynchronizationImportMessageChange)
@structure
class RopSynchronizationImportMessageChangeResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.2.2. `handle_index` is the request's output handle index."""

    message_id: MessageId64


@structure
class MessageReadState(Structure):
    """[MS-OXCROPS] 2.2.13.3.1.1: the message by its source key."""

    message_id: Bytes16
    mark_as_read: Bool8


@rop_request(RopId.SynchronizationImportReadStateChanges)
@structure
class RopSynchronizationImportReadStateChangesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.3.1."""

    message_read_states: list[MessageReadState]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index = reader.fields(REQUEST_HEADER)
        states, message_read_states = reader.sub(reader.u16()), []
        while states.remaining:
            message_read_states.append(MessageReadState.read(states))
        return cls(logon_id, index, message_read_states)

    def write(self, writer: Writer) -> None:
        writer.fixed(REQUEST_HEADER, self.logon_id, self.input_handle_index)
        start = len(writer) + 2
        writer.u16(0)
        for state in self.message_read_states:
            state.write(writer)
        writer.patch_u16(start - 2, len(writer) - start)


@rop_response(RopId.SynchronizationImportReadStateChanges)
@structure
class RopSynchronizationImportReadStateChangesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.3.2."""


@rop_request(RopId.SynchronizationImportHierarchyChange)
@structure
class RopSynchronizationImportHierarchyChangeRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.4.1."""

    hierarchy_values: TaggedPropertyValues16
    property_values: TaggedPropertyValues16


@rop_response(RopId.SynchronizationImportHierarchyChange)
@structure
class RopSynchronizationImportHierarchyChangeResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.4.2."""

    folder_id: FolderId64


@rop_request(RopId.SynchronizationImportDeletes)
@structure
class RopSynchronizationImportDeletesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.5.1. See `ImportDeleteFlags`."""

    import_delete_flags: U8
    property_values: TaggedPropertyValues16


@rop_response(RopId.SynchronizationImportDeletes)
@structure
class RopSynchronizationImportDeletesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.5.2."""


@rop_request(RopId.SynchronizationImportMessageMove)
@structure
class RopSynchronizationImportMessageMoveRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.6.1: source keys, change key and predecessor change list."""

    source_folder_id: Bytes32
    source_message_id: Bytes32
    predecessor_change_list: Bytes32
    destination_message_id: Bytes32
    change_number: Bytes32


@rop_response(RopId.SynchronizationImportMessageMove)
@structure
class RopSynchronizationImportMessageMoveResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.6.2."""

    message_id: MessageId64


@rop_request(RopId.SynchronizationOpenCollector)
@structure
class RopSynchronizationOpenCollectorRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.13.7.1."""

    is_contents_collector: Bool8


@rop_response(RopId.SynchronizationOpenCollector)
@structure
class RopSynchronizationOpenCollectorResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.7.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.SynchronizationGetTransferState)
@structure
class RopSynchronizationGetTransferStateRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.13.8.1."""


@rop_response(RopId.SynchronizationGetTransferState)
@structure
class RopSynchronizationGetTransferStateResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.8.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.SynchronizationUploadStateStreamBegin)
@structure
class RopSynchronizationUploadStateStreamBeginRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.9.1. `transfer_buffer_size`: bytes of the stream that follows."""

    state_property: PropertyTag32
    transfer_buffer_size: U32


@rop_response(RopId.SynchronizationUploadStateStreamBegin)
@structure
class RopSynchronizationUploadStateStreamBeginResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.9.2."""


@rop_request(RopId.SynchronizationUploadStateStreamContinue)
@structure
class RopSynchronizationUploadStateStreamContinueRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.10.1."""

    stream_data: Bytes32


@rop_response(RopId.SynchronizationUploadStateStreamContinue)
@structure
class RopSynchronizationUploadStateStreamContinueResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.10.2."""


@rop_request(RopId.SynchronizationUploadStateStreamEnd)
@structure
class RopSynchronizationUploadStateStreamEndRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.11.1."""


@rop_response(RopId.SynchronizationUploadStateStreamEnd)
@structure
class RopSynchronizationUploadStateStreamEndResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.11.2."""


@structure
class LongTermIdRange(Structure):
    """[MS-OXCROPS] 2.2.13.12.1.1: both ends belong to the range."""

    min_long_term_id: LongTermId
    max_long_term_id: LongTermId


@rop_request(RopId.SetLocalReplicaMidsetDeleted)
@structure
class RopSetLocalReplicaMidsetDeletedRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.12.1."""

    long_term_id_ranges: list[LongTermIdRange]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index = reader.fields(REQUEST_HEADER)
        size, count = reader.fields(_MIDSET)
        if size != 4 + 48 * count:
            raise DecodeError(f"{size} bytes for {count} ranges of LongTermIds", reader.pos)
        return cls(logon_id, index, [LongTermIdRange.read(reader) for _ in range(reader.count(count, 48))])

    def write(self, writer: Writer) -> None:
        writer.fixed(REQUEST_HEADER, self.logon_id, self.input_handle_index)
        count = len(self.long_term_id_ranges)
        writer.fixed(_MIDSET, 4 + 48 * count, count)
        for id_range in self.long_term_id_ranges:
            id_range.write(writer)


@rop_response(RopId.SetLocalReplicaMidsetDeleted)
@structure
class RopSetLocalReplicaMidsetDeletedResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.12.2."""


@rop_request(RopId.GetLocalReplicaIds)
@structure
class RopGetLocalReplicaIdsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.13.13.1."""

    id_count: U32


@rop_response(RopId.GetLocalReplicaIds)
@structure
class RopGetLocalReplicaIdsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.13.13.2: `id_count` ids from this GlobalCounter on belong to the client."""

    repl_guid: Guid
    global_count: Annotated[bytes, Fixed("6s")]
