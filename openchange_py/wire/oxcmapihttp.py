"""[MS-OXCMAPIHTTP] (v20240820): what stands in requests and responses over HTTP; here the mailbox endpoint's bodies.

The address book's bodies are in `oxcmapihttp_nspi`. A response's body stands behind meta-tags and additional header
fields (2.2.2.2): `pack_answer` and `split_answer`.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.codecs import U32, Bytes32, Sized, String8, Structure, Utf16, structure, u32

CONTENT_TYPE: Final = "application/mapi-http"
#: 2.2.7: what a chunked response begins with, what it goes on with, and what its result stands behind.
PROCESSING: Final = b"PROCESSING\r\n"
PENDING: Final = b"PENDING\r\n"
DONE: Final = b"DONE\r\n"

Aux = Annotated[bytes, Sized(u32)]


class ResponseCode(enum.IntEnum):
    """2.2.3.3.3: X-ResponseCode."""

    Success = 0
    UnknownFailure = 1
    InvalidVerb = 2
    InvalidPath = 3
    InvalidHeader = 4
    InvalidRequestType = 5
    InvalidContextCookie = 6
    MissingHeader = 7
    AnonymousNotAllowed = 8
    TooLarge = 9
    ContextNotFound = 10
    NoPrivilege = 11
    InvalidRequestBody = 12
    MissingCookie = 13
    Reserved = 14
    InvalidSequence = 15
    EndpointDisabled = 16
    InvalidResponse = 17
    EndpointShuttingDown = 18


@structure
class ConnectRequest(Structure):
    """2.2.4.1.1."""

    user_dn: String8
    flags: U32
    default_code_page: U32
    lcid_sort: U32
    lcid_string: U32
    auxiliary_buffer: Aux = b""


@structure
class ConnectResponse(Structure):
    """2.2.4.1.2. Times are milliseconds."""

    status_code: U32
    error_code: U32
    polls_max: U32
    retry_count: U32
    retry_delay: U32
    dn_prefix: String8
    display_name: Utf16
    auxiliary_buffer: Aux = b""


@structure
class ExecuteRequest(Structure):
    """2.2.4.2.1. `rop_buffer` is an extended buffer with its RPC_HEADER_EXT; `max_rop_out` is room for the answer's."""

    flags: U32
    rop_buffer: Bytes32
    max_rop_out: U32
    auxiliary_buffer: Aux = b""


@structure
class ExecuteResponse(Structure):
    """2.2.4.2.2."""

    status_code: U32
    error_code: U32
    flags: U32
    rop_buffer: Bytes32
    auxiliary_buffer: Aux = b""


@structure
class DisconnectRequest(Structure):
    """2.2.4.3.1."""

    auxiliary_buffer: Aux = b""


@structure
class ErrorCodeResponse(Structure):
    """2.2.4.3.2, 2.2.5.2.2, 2.2.5.13.2, 2.2.5.14.2: of requests that have no result but how they went."""

    status_code: U32
    error_code: U32
    auxiliary_buffer: Aux = b""


@structure
class NotificationWaitRequest(Structure):
    """2.2.4.4.1."""

    flags: U32
    auxiliary_buffer: Aux = b""


@structure
class NotificationWaitResponse(Structure):
    """2.2.4.4.2. `event_pending` 1: the client should Execute for its events; 0: nothing happened for long."""

    status_code: U32
    error_code: U32
    event_pending: U32
    auxiliary_buffer: Aux = b""


@structure
class FailureResponse(Structure):
    """2.2.4.1.3 and its like for every request type: nothing but why it failed."""

    status_code: U32
    auxiliary_buffer: Aux = b""


def pack_answer(body: bytes, fields: list[tuple[str, str]]) -> bytes:
    """What ends a response: DONE, additional header fields, and the body (2.2.2.2)."""
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return DONE + head.encode("latin-1") + b"\r\n" + body


def split_answer(data: bytes) -> tuple[dict[str, str], bytes]:
    """Additional header fields (lower-case names) and body of a whole response. Raises `DecodeError`."""
    pos = 0
    for tag in (PROCESSING, PENDING):
        while data.startswith(tag, pos):
            pos += len(tag)
    if not data.startswith(DONE, pos):
        raise DecodeError("neither PROCESSING, PENDING nor DONE", pos)
    end = data.find(b"\r\n\r\n", pos)
    if end < 0:
        raise DecodeError("no empty line between header fields and body", pos)
    lines = data[pos + len(DONE) : end + 2].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, data[end + 4 :]


#: X-RequestType of the mailbox endpoint, and the bodies; PING has none. 2.2.3.3.1.
MAILBOX_TYPES: Final[dict[str, tuple[type[Structure], type[Structure]]]] = {
    "Connect": (ConnectRequest, ConnectResponse),
    "Execute": (ExecuteRequest, ExecuteResponse),
    "Disconnect": (DisconnectRequest, ErrorCodeResponse),
    "NotificationWait": (NotificationWaitRequest, NotificationWaitResponse),
}
