"""ROPs of [MS-OXOMSG], sending mail and the spooler: [MS-OXCROPS] 2.2.7, all of them."""

from __future__ import annotations

import enum
import struct
from typing import Final, Self

from openchange_py.wire.buffer import EncodeError, Reader, Writer
from openchange_py.wire.codecs import U8, U32, Bool8, String8, structure
from openchange_py.wire.oxcdata.ids import FolderId64, MessageId64
from openchange_py.wire.oxcdata.values import TaggedPropertyValues16
from openchange_py.wire.rop.base import (
    RESPONSE_HEADER,
    RopHandleRequest,
    RopResponse,
    rop_request,
    rop_response,
)
from openchange_py.wire.rop.ids import RopId

_TYPES: Final = struct.Struct("<HH")


class SubmitFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXOMSG] 2.2.3.1.1."""

    PreProcess = 0x01
    NeedsSpooler = 0x02


class LockState(enum.IntEnum):
    """[MS-OXOMSG] 2.2.3.4.1."""

    Locked = 0x00
    Unlocked = 0x01
    Finished = 0x02


@rop_request(RopId.SubmitMessage)
@structure
class RopSubmitMessageRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.1.1. See `SubmitFlags`."""

    submit_flags: U8


@rop_response(RopId.SubmitMessage)
@structure
class RopSubmitMessageResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.1.2."""


@rop_request(RopId.AbortSubmit)
@structure
class RopAbortSubmitRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.2.1."""

    folder_id: FolderId64
    message_id: MessageId64


@rop_response(RopId.AbortSubmit)
@structure
class RopAbortSubmitResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.2.2."""


@rop_request(RopId.GetAddressTypes)
@structure
class RopGetAddressTypesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.3.1."""


@rop_response(RopId.GetAddressTypes)
@structure
class RopGetAddressTypesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.3.2: b"SMTP", b"EX" and the like."""

    address_types: list[bytes]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        count, size = reader.fields(_TYPES)
        strings = reader.sub(size)
        address_types = [strings.string8() for _ in range(strings.count(count, 1))]
        strings.expect_end()
        return cls(index, code, address_types)

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        writer.fixed(_TYPES, len(self.address_types), sum(map(len, self.address_types)) + len(self.address_types))
        for address_type in self.address_types:
            writer.string8(address_type)


@rop_request(RopId.SetSpooler)
@structure
class RopSetSpoolerRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.4.1: the client will act as a mail spooler."""


@rop_response(RopId.SetSpooler)
@structure
class RopSetSpoolerResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.4.2."""


@rop_request(RopId.SpoolerLockMessage)
@structure
class RopSpoolerLockMessageRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.5.1. See `LockState`."""

    message_id: MessageId64
    lock_state: U8


@rop_response(RopId.SpoolerLockMessage)
@structure
class RopSpoolerLockMessageResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.5.2."""


@rop_request(RopId.TransportSend)
@structure
class RopTransportSendRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.6.1."""


@rop_response(RopId.TransportSend)
@structure
class RopTransportSendResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.6.2."""

    no_properties_returned: Bool8
    property_values: TaggedPropertyValues16


@rop_request(RopId.TransportNewMail)
@structure
class RopTransportNewMailRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.7.1."""

    message_id: MessageId64
    folder_id: FolderId64
    message_class: String8
    message_flags: U32


@rop_response(RopId.TransportNewMail)
@structure
class RopTransportNewMailResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.7.2."""


@rop_request(RopId.GetTransportFolder)
@structure
class RopGetTransportFolderRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.8.1."""


@rop_response(RopId.GetTransportFolder)
@structure
class RopGetTransportFolderResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.8.2."""

    folder_id: FolderId64


@rop_request(RopId.OptionsData)
@structure
class RopOptionsDataRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.7.9.1."""

    address_type: String8
    want_win32: Bool8


@rop_response(RopId.OptionsData)
@structure
class RopOptionsDataResponse(RopResponse):
    """[MS-OXCROPS] 2.2.7.9.2. `help_file_name` is None without a help file, and only then."""

    reserved: int
    optional_info: bytes
    help_file: bytes
    help_file_name: bytes | None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        index, code = reader.fields(RESPONSE_HEADER)
        reserved = reader.u8()
        optional_info = reader.take(reader.u16())
        help_file = reader.take(reader.u16())
        return cls(index, code, reserved, optional_info, help_file, reader.string8() if help_file else None)

    def write(self, writer: Writer) -> None:
        if (self.help_file_name is None) == bool(self.help_file):
            raise EncodeError("a help file and its name come together")
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)
        writer.u8(self.reserved)
        for data in (self.optional_info, self.help_file):
            writer.u16(len(data))
            writer += data
        if self.help_file_name is not None:
            writer.string8(self.help_file_name)
