"""As much of SMB 2 and 3 as a named pipe needs: [MS-SMB2] 2.2.

A message is a header and a body. Buffers in bodies are told by their offset from the header's start; `body_of` makes a
body with one buffer directly behind its fixed fields, `buffer_of` reads one from wherever it is.
Not done: compounded requests, compression, whatever is about files.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Sequence
from typing import Annotated, Final, Self

from openchange_py.wire.buffer import DecodeError, Reader, Writer
from openchange_py.wire.codecs import U8, U16, U32, U64, Fixed, Guid, Rest, Structure, structure

#: 2.2.1.2, 2.2.41: how a message begins, and one that is encrypted.
PLAIN: Final = b"\xfeSMB"
SEALED: Final = b"\xfdSMB"
HEADER_SIZE: Final = 64
SEALED_HEADER_SIZE: Final = 52
#: Where signature and nonce stand in their headers; what is encrypted is authenticated from the nonce on.
SIGNATURE: Final = slice(48, 64)
SEALED_SIGNATURE: Final = slice(4, 20)
SEALED_NONCE: Final = slice(20, 36)

Four = Annotated[bytes, Fixed("4s")]
Sixteen = Annotated[bytes, Fixed("16s")]


class Command(enum.IntEnum):
    """2.2.1.2."""

    NEGOTIATE = 0
    SESSION_SETUP = 1
    TREE_CONNECT = 3
    CREATE = 5
    READ = 8
    WRITE = 9
    IOCTL = 11


class Flag(enum.IntFlag):
    """2.2.1.2, Flags."""

    RESPONSE = 0x01
    ASYNC = 0x02
    SIGNED = 0x08


class Dialect(enum.IntEnum):
    """2.2.3, Dialects."""

    SMB_2_0_2 = 0x0202
    SMB_2_1 = 0x0210
    SMB_3_0 = 0x0300
    SMB_3_0_2 = 0x0302
    SMB_3_1_1 = 0x0311


class Cipher(enum.IntEnum):
    """2.2.3.1.2."""

    AES_128_CCM = 1
    AES_128_GCM = 2
    AES_256_CCM = 3
    AES_256_GCM = 4


class ContextType(enum.IntEnum):
    """2.2.3.1."""

    PREAUTH_INTEGRITY = 1
    ENCRYPTION = 2


class Status(enum.IntEnum):
    """[MS-ERREF] 2.3.1: the NTSTATUS values that something depends on, or that are told a person by name."""

    SUCCESS = 0
    PENDING = 0x00000103
    BUFFER_OVERFLOW = 0x80000005
    ACCESS_DENIED = 0xC0000022
    OBJECT_NAME_NOT_FOUND = 0xC0000034
    MORE_PROCESSING_REQUIRED = 0xC0000016
    NO_LOGON_SERVERS = 0xC000005E
    WRONG_PASSWORD = 0xC000006A
    LOGON_FAILURE = 0xC000006D
    ACCOUNT_RESTRICTION = 0xC000006E
    INVALID_LOGON_HOURS = 0xC000006F
    INVALID_WORKSTATION = 0xC0000070
    PASSWORD_EXPIRED = 0xC0000071
    ACCOUNT_DISABLED = 0xC0000072
    PIPE_NOT_AVAILABLE = 0xC00000AC
    PIPE_BUSY = 0xC00000AE
    PIPE_DISCONNECTED = 0xC00000B0
    BAD_NETWORK_NAME = 0xC00000CC
    PIPE_BROKEN = 0xC000014B
    LOGON_TYPE_NOT_GRANTED = 0xC000015B
    ACCOUNT_EXPIRED = 0xC0000193
    USER_SESSION_DELETED = 0xC0000203
    PASSWORD_MUST_CHANGE = 0xC0000224
    ACCOUNT_LOCKED_OUT = 0xC0000234
    NETWORK_SESSION_EXPIRED = 0xC000035C


def status_name(status: int) -> str:
    """`LOGON_FAILURE`, or the number."""
    return {int(member): member.name for member in Status}.get(status, f"status 0x{status:08x}")


#: 2.2.3, SecurityMode.
SIGNING_REQUIRED: Final = 0x02
#: 2.2.3, Capabilities.
CAP_ENCRYPTION: Final = 0x40
#: 2.2.6, SessionFlags.
IS_GUEST: Final = 0x01
IS_NULL: Final = 0x02
ENCRYPT_DATA: Final = 0x04
#: 2.2.10, ShareFlags.
SHARE_ENCRYPT_DATA: Final = 0x8000
#: 2.2.31, CtlCode; and what is no file's.
FSCTL_VALIDATE_NEGOTIATE_INFO: Final = 0x00140204
NO_FILE: Final = b"\xff" * 16
#: 2.2.31.
_IS_FSCTL: Final = 1
#: 2.2.3.1.1: SHA-512, the only one.
_SHA_512: Final = 1
_SALT: Final = 32
#: 2.2.13: DesiredAccess to read and write data and attributes, ShareAccess, FILE_OPEN, Impersonation.
_PIPE_ACCESS: Final = 0x0012019F
_SHARE_READ_WRITE: Final = 3
_OPEN: Final = 1
_IMPERSONATION: Final = 2


@structure
class Header(Structure):
    """2.2.1.2; of a response that is asynchronous `reserved` and `tree_id` are its AsyncId."""

    protocol: Four
    structure_size: U16
    credit_charge: U16
    status: U32
    command: U16
    credits: U16
    flags: U32
    next_command: U32
    message_id: U64
    reserved: U32
    tree_id: U32
    session_id: U64
    signature: Sixteen

    @classmethod
    def of(cls, command: int, message_id: int, session_id: int, tree_id: int = 0, **fields: int) -> Self:
        """One with the other fields as most requests have them."""
        given = {"credit_charge": 1, "status": 0, "credits": 0, "flags": 0} | fields
        return cls(
            PLAIN,
            HEADER_SIZE,
            given["credit_charge"],
            given["status"],
            command,
            given["credits"],
            given["flags"],
            0,
            message_id,
            0,
            tree_id,
            session_id,
            bytes(16),
        )

    @classmethod
    def of_message(cls, message: bytes) -> Self:
        """The header of a message. Raises `DecodeError`."""
        header = cls.read(Reader(message))
        if header.protocol != PLAIN or header.structure_size != HEADER_SIZE:
            raise DecodeError(f"no SMB 2 message: {header.protocol.hex()}", 0)
        return header


@structure
class SealedHeader(Structure):
    """2.2.41, SMB2 TRANSFORM_HEADER."""

    protocol: Four
    signature: Sixteen
    nonce: Sixteen
    original_size: U32
    reserved: U16
    flags: U16
    session_id: U64


def body_of(fixed: Structure, buffer: bytes) -> bytes:
    """A body: its fixed fields, and what stands behind them. There is always one byte, which structure sizes count."""
    return fixed.pack() + (buffer or b"\0")


def buffer_of(message: bytes, offset: int, length: int) -> bytes:
    """A buffer of a message, its offset counted from the header's start. Raises `DecodeError`."""
    if not length:
        return b""
    if offset < HEADER_SIZE or offset + length > len(message):
        raise DecodeError(f"a buffer of {length} bytes", offset)
    return message[offset : offset + length]


def behind(size: int) -> int:
    """The offset of a buffer behind so many bytes of fixed fields."""
    return HEADER_SIZE + size


@structure
class NegotiateRequest(Structure):
    """2.2.3; dialects and contexts follow."""

    structure_size: U16
    dialect_count: U16
    security_mode: U16
    reserved: U16
    capabilities: U32
    client_guid: Guid
    context_offset: U32
    context_count: U16
    reserved2: U16
    rest: Rest

    @classmethod
    def of(cls, guid: uuid.UUID, dialects: Sequence[int], salt: bytes, ciphers: Sequence[int]) -> Self:
        """One that demands signatures."""
        listed = b"".join(dialect.to_bytes(2, "little") for dialect in dialects)
        listed += bytes(-(36 + len(listed)) % 8)
        contexts = pack_contexts(
            [(ContextType.PREAUTH_INTEGRITY, integrity(salt)), (ContextType.ENCRYPTION, encryption(ciphers))]
        )
        offset = behind(36 + len(listed))
        return cls(36, len(dialects), SIGNING_REQUIRED, 0, CAP_ENCRYPTION, guid, offset, 2, 0, listed + contexts)


def integrity(salt: bytes) -> bytes:
    """2.2.3.1.1, of SHA-512."""
    return b"".join(number.to_bytes(2, "little") for number in (1, len(salt), _SHA_512)) + salt


def encryption(ciphers: Sequence[int]) -> bytes:
    """2.2.3.1.2."""
    return b"".join(number.to_bytes(2, "little") for number in (len(ciphers), *ciphers))


def pack_contexts(contexts: Sequence[tuple[int, bytes]]) -> bytes:
    """2.2.3.1: each at a multiple of 8."""
    writer = Writer()
    for kind, data in contexts:
        writer += bytes(-len(writer) % 8)
        writer.u16(kind)
        writer.u16(len(data))
        writer.u32(0)
        writer += data
    return bytes(writer)


@structure
class NegotiateResponse(Structure):
    """2.2.4."""

    structure_size: U16
    security_mode: U16
    dialect: U16
    context_count: U16
    server_guid: Guid
    capabilities: U32
    max_transact: U32
    max_read: U32
    max_write: U32
    system_time: U64
    start_time: U64
    token_offset: U16
    token_length: U16
    context_offset: U32

    def cipher(self, message: bytes) -> int | None:
        """What SMB 3.1.1 encrypts with; None: nothing. Raises `DecodeError`, also without SHA-512."""
        found: int | None = None
        kinds = set()
        reader = Reader(message, min(self.context_offset, len(message)))
        for number in range(self.context_count):
            if number:
                reader.skip(min(-reader.pos % 8, reader.remaining))
            kind, length = reader.u16(), reader.u16()
            reader.skip(4)
            data = reader.sub(length)
            kinds.add(kind)
            if kind == ContextType.PREAUTH_INTEGRITY and (data.u16(), data.u16(), data.u16())[::2] != (1, _SHA_512):
                raise DecodeError("the server's hash is not SHA-512", reader.pos)
            if kind == ContextType.ENCRYPTION:
                found = data.u16() and (data.u16() or None)
        if ContextType.PREAUTH_INTEGRITY not in kinds:
            raise DecodeError("SMB 3.1.1 without its hash", self.context_offset)
        return found or None


@structure
class SessionSetupRequest(Structure):
    """2.2.5; the token follows."""

    structure_size: U16
    flags: U8
    security_mode: U8
    capabilities: U32
    channel: U32
    token_offset: U16
    token_length: U16
    previous_session: U64

    @classmethod
    def of(cls, token: bytes) -> bytes:
        """The body."""
        return body_of(cls(25, 0, SIGNING_REQUIRED, 0, 0, behind(24), len(token), 0), token)


@structure
class SessionSetupResponse(Structure):
    """2.2.6."""

    structure_size: U16
    session_flags: U16
    token_offset: U16
    token_length: U16


@structure
class TreeConnectRequest(Structure):
    """2.2.9; the path follows."""

    structure_size: U16
    flags: U16
    path_offset: U16
    path_length: U16

    @classmethod
    def of(cls, path: str) -> bytes:
        r"""The body; `path` is `\\server\share`."""
        name = path.encode("utf-16-le")
        return body_of(cls(9, 0, behind(8), len(name)), name)


@structure
class TreeConnectResponse(Structure):
    """2.2.10."""

    structure_size: U16
    share_type: U8
    reserved: U8
    share_flags: U32
    capabilities: U32
    maximal_access: U32


@structure
class CreateRequest(Structure):
    """2.2.13; the name follows."""

    structure_size: U16
    security_flags: U8
    oplock_level: U8
    impersonation_level: U32
    create_flags: U64
    reserved: U64
    desired_access: U32
    file_attributes: U32
    share_access: U32
    create_disposition: U32
    create_options: U32
    name_offset: U16
    name_length: U16
    contexts_offset: U32
    contexts_length: U32

    @classmethod
    def of_pipe(cls, pipe: str) -> bytes:
        """The body that opens a pipe, whose name stands alone."""
        name = pipe.encode("utf-16-le")
        access = (_IMPERSONATION, 0, 0, _PIPE_ACCESS, 0, _SHARE_READ_WRITE, _OPEN, 0)
        return body_of(cls(57, 0, 0, *access, behind(56), len(name), 0, 0), name)


@structure
class CreateResponse(Structure):
    """2.2.14; times and sizes are no pipe's."""

    structure_size: U16
    oplock_level: U8
    flags: U8
    create_action: U32
    times_and_sizes: Annotated[bytes, Fixed("48s")]
    file_attributes: U32
    reserved: U32
    file_id: Sixteen
    contexts_offset: U32
    contexts_length: U32


@structure
class ReadRequest(Structure):
    """2.2.19."""

    structure_size: U16
    padding: U8
    flags: U8
    length: U32
    offset: U64
    file_id: Sixteen
    minimum: U32
    channel: U32
    remaining: U32
    info_offset: U16
    info_length: U16

    @classmethod
    def of(cls, file_id: bytes, length: int) -> bytes:
        """The body."""
        return body_of(cls(49, behind(16), 0, length, 0, file_id, 0, 0, 0, 0, 0), b"")


@structure
class ReadResponse(Structure):
    """2.2.20."""

    structure_size: U16
    data_offset: U8
    reserved: U8
    data_length: U32
    data_remaining: U32
    reserved2: U32


@structure
class WriteRequest(Structure):
    """2.2.21; the data follow."""

    structure_size: U16
    data_offset: U16
    length: U32
    offset: U64
    file_id: Sixteen
    channel: U32
    remaining: U32
    info_offset: U16
    info_length: U16
    flags: U32

    @classmethod
    def of(cls, file_id: bytes, data: bytes) -> bytes:
        """The body."""
        return body_of(cls(49, behind(48), len(data), 0, file_id, 0, 0, 0, 0, 0), data)


@structure
class WriteResponse(Structure):
    """2.2.22."""

    structure_size: U16
    reserved: U16
    count: U32
    remaining: U32
    info_offset: U16
    info_length: U16


@structure
class IoctlRequest(Structure):
    """2.2.31; the input follows."""

    structure_size: U16
    reserved: U16
    code: U32
    file_id: Sixteen
    input_offset: U32
    input_length: U32
    max_input: U32
    output_offset: U32
    output_length: U32
    max_output: U32
    flags: U32
    reserved2: U32

    @classmethod
    def of(cls, code: int, data: bytes, max_output: int) -> bytes:
        """The body, of what is about no file."""
        fixed = cls(57, 0, code, NO_FILE, behind(56), len(data), 0, 0, 0, max_output, _IS_FSCTL, 0)
        return body_of(fixed, data)


@structure
class IoctlResponse(Structure):
    """2.2.32."""

    structure_size: U16
    reserved: U16
    code: U32
    file_id: Sixteen
    input_offset: U32
    input_length: U32
    output_offset: U32
    output_length: U32
    flags: U32
    reserved2: U32


@structure
class Negotiated(Structure):
    """2.2.32.6, VALIDATE_NEGOTIATE_INFO response: what the server negotiated, under its signature."""

    capabilities: U32
    server_guid: Guid
    security_mode: U16
    dialect: U16


def validation(guid: uuid.UUID, dialects: Sequence[int]) -> bytes:
    """2.2.31.4, VALIDATE_NEGOTIATE_INFO request: what `NegotiateRequest.of` said."""
    writer = Writer()
    writer.u32(CAP_ENCRYPTION)
    writer += guid.bytes_le
    writer.u16(SIGNING_REQUIRED)
    writer.u16(len(dialects))
    for dialect in dialects:
        writer.u16(dialect)
    return bytes(writer)
