"""ROPs of [MS-OXCPRPT] about streams: [MS-OXCROPS] 2.2.9, all of them. Those about properties: `oxcprpt`."""

from __future__ import annotations

import enum
import struct
from typing import ClassVar, Final, Self

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import I64, U8, U16, U32, U64, Bytes16, structure
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag32
from openchange_py.wire.rop.base import (
    RopHandleRequest,
    RopOpenRequest,
    RopResponse,
    rop_failure,
    rop_request,
    rop_response,
)
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcprpt import NullDestinationResponse, RopCopyRequest

#: ByteCount of RopReadStream: the count stands in MaximumByteCount.
BYTE_COUNT_IN_MAXIMUM: Final = 0xBABE
#: A larger MaximumByteCount is a format error.
LARGEST_MAXIMUM_BYTE_COUNT: Final = 0x80000000

_READ: Final = struct.Struct("<BBH")


class OpenModeFlags(enum.IntEnum):
    """[MS-OXCPRPT] 2.2.14.1."""

    ReadOnly = 0x00
    ReadWrite = 0x01
    Create = 0x02
    BestAccess = 0x03


class Origin(enum.IntEnum):
    """[MS-OXCPRPT] 2.2.20.1."""

    Beginning = 0x00
    Current = 0x01
    End = 0x02


class LockFlags(enum.IntEnum):
    """[MS-OXCPRPT] 2.2.24.1: every value but this one locks out readers too."""

    OtherUsersCanRead = 0x00000001


@rop_request(RopId.OpenStream)
@structure
class RopOpenStreamRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.9.1.1. See `OpenModeFlags`."""

    property_tag: PropertyTag32
    open_mode_flags: U8


@rop_response(RopId.OpenStream)
@structure
class RopOpenStreamResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.1.2. `handle_index` is the request's output handle index."""

    stream_size: U32


@rop_request(RopId.ReadStream)
@structure
class RopReadStreamRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.9.2.1. `maximum_byte_count` is there with a `byte_count` of 0xBABE, and only then."""

    byte_count: int
    maximum_byte_count: int | None = None

    @property
    def count(self) -> int:
        """How many bytes to read at most."""
        return self.byte_count if self.maximum_byte_count is None else self.maximum_byte_count

    @classmethod
    def read(cls, reader: Reader) -> Self:
        logon_id, index, count = reader.fields(_READ)
        if count != BYTE_COUNT_IN_MAXIMUM:
            return cls(logon_id, index, count)
        maximum = reader.u32()
        if maximum > LARGEST_MAXIMUM_BYTE_COUNT:
            raise DecodeError(f"MaximumByteCount {maximum}", reader.pos - 4)
        return cls(logon_id, index, count, maximum)

    def write(self, writer: Writer) -> None:
        if (self.maximum_byte_count is None) == (self.byte_count == BYTE_COUNT_IN_MAXIMUM):
            raise EncodeError("a maximum byte count goes with the byte count 0xBABE")
        writer.fixed(_READ, self.logon_id, self.input_handle_index, self.byte_count)
        if self.maximum_byte_count is not None:
            writer.u32(self.maximum_byte_count)


@rop_response(RopId.ReadStream)
@structure
class RopReadStreamResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.2.2: one layout whatever the ReturnValue is."""

    success_only: ClassVar[bool] = False

    data: Bytes16


@structure
class WriteRequest(RopHandleRequest):
    """What the requests have that write to a stream."""

    data: Bytes16


@structure
class WrittenResponse(RopResponse):
    """The answer to a write: one layout whatever the ReturnValue is. `written_size` is bytes."""

    success_only: ClassVar[bool] = False

    written_size: U16


@rop_request(RopId.WriteStream)
@structure
class RopWriteStreamRequest(WriteRequest):
    """[MS-OXCROPS] 2.2.9.3.1."""


@rop_response(RopId.WriteStream)
@structure
class RopWriteStreamResponse(WrittenResponse):
    """[MS-OXCROPS] 2.2.9.3.2."""


@rop_request(RopId.WriteStreamExtended)
@structure
class RopWriteStreamExtendedRequest(WriteRequest):
    """[MS-OXCROPS] 2.2.9.4.1: goes on in the packed buffers that follow ([MS-OXCRPC] 3.1.4.2.1.2.1)."""


@rop_response(RopId.WriteStreamExtended)
@structure
class RopWriteStreamExtendedResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.4.2: one layout whatever the ReturnValue is. `written_size` is bytes."""

    success_only: ClassVar[bool] = False

    written_size: U32


@rop_request(RopId.CommitStream)
@structure
class RopCommitStreamRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.9.5.1."""


@rop_response(RopId.CommitStream)
@structure
class RopCommitStreamResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.5.2."""


@rop_request(RopId.GetStreamSize)
@structure
class RopGetStreamSizeRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.9.6.1."""


@rop_response(RopId.GetStreamSize)
@structure
class RopGetStreamSizeResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.6.2."""

    stream_size: U32


@rop_request(RopId.SetStreamSize)
@structure
class RopSetStreamSizeRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.9.7.1."""

    stream_size: U64


@rop_response(RopId.SetStreamSize)
@structure
class RopSetStreamSizeResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.7.2."""


@rop_request(RopId.SeekStream)
@structure
class RopSeekStreamRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.9.8.1. See `Origin`. The offset is signed, as a seek from the end goes back."""

    origin: U8
    offset: I64


@rop_response(RopId.SeekStream)
@structure
class RopSeekStreamResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.8.2."""

    new_position: U64


@rop_request(RopId.CopyToStream)
@structure
class RopCopyToStreamRequest(RopCopyRequest):
    """[MS-OXCROPS] 2.2.9.9.1."""

    byte_count: U64


@rop_response(RopId.CopyToStream)
@structure
class RopCopyToStreamResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.9.2. `handle_index` is the request's source handle index."""

    success_only: ClassVar[bool] = False

    read_byte_count: U64
    written_byte_count: U64


@rop_failure(RopId.CopyToStream, ErrorCode.DestinationNullObject)
@structure
class RopCopyToStreamNullDestinationResponse(NullDestinationResponse):
    """[MS-OXCROPS] 2.2.9.9.3."""

    read_byte_count: U64
    written_byte_count: U64


@structure
class RegionRequest(RopHandleRequest):
    """A region of a stream, in bytes. See `LockFlags`."""

    region_offset: U64
    region_size: U64
    lock_flags: U32


@rop_request(RopId.LockRegionStream)
@structure
class RopLockRegionStreamRequest(RegionRequest):
    """[MS-OXCROPS] 2.2.9.10.1."""


@rop_response(RopId.LockRegionStream)
@structure
class RopLockRegionStreamResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.10.2."""


@rop_request(RopId.UnlockRegionStream)
@structure
class RopUnlockRegionStreamRequest(RegionRequest):
    """[MS-OXCROPS] 2.2.9.11.1."""


@rop_response(RopId.UnlockRegionStream)
@structure
class RopUnlockRegionStreamResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.11.2."""


@rop_request(RopId.WriteAndCommitStream)
@structure
class RopWriteAndCommitStreamRequest(WriteRequest):
    """[MS-OXCROPS] 2.2.9.12.1."""


@rop_response(RopId.WriteAndCommitStream)
@structure
class RopWriteAndCommitStreamResponse(WrittenResponse):
    """[MS-OXCROPS] 2.2.9.12.2."""


@rop_request(RopId.CloneStream)
@structure
class RopCloneStreamRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.9.13.1."""


@rop_response(RopId.CloneStream)
@structure
class RopCloneStreamResponse(RopResponse):
    """[MS-OXCROPS] 2.2.9.13.2. `handle_index` is the request's output handle index."""
