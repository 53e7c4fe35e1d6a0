"""What Samba's smbd says to the process that serves a named pipe, before the pipe's own bytes.

Samba's own protocol, no document has it; the facts are those of Debian's Samba 4.17 on the wire, which sends
level 7. smbd connects to a unix socket named as the pipe, tells in one NDR structure who its client is, and reads
one that says whether the pipe can be used. Behind that each message has its length, 16 bits, before it.

Not done: the client's security token at the end of the request, which is left unread; other levels.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Final

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import NdrReader, NdrWriter

MAGIC: Final = b"NPAM"
LEVEL: Final = 7
#: Bytes that the length takes, which it does not count.
LENGTH_SIZE: Final = 4
#: A token of a thousand groups has 68 KiB.
LONGEST_REQUEST: Final = 1 << 20
#: The longest address or name in the part that is read.
_LONGEST_NAME: Final = 1024

#: dcerpc_transport_t: a pipe.
NCACN_NP: Final = 1
#: [MS-FSCC] 2.4.33, FILE_PIPE_MESSAGE_TYPE, as SMB has it: a pipe of messages.
MESSAGE_MODE_PIPE: Final = 2
#: SMB_NMPIPE_STATUS ([MS-CIFS] 2.2.1.3): message type, read as messages, any number of instances.
MESSAGE_PIPE_STATE: Final = 0x0400 | 0x0100 | 0x00FF
PIPE_ALLOCATION: Final = 4096


def request_length(data: bytes | bytearray) -> int | None:
    """The bytes of the request at the start of `data`; None where its length has not come yet. `DecodeError`."""
    if len(data) < LENGTH_SIZE:
        return None
    length = int.from_bytes(data[:LENGTH_SIZE], "big")
    if not 16 <= length <= LONGEST_REQUEST:
        raise DecodeError(f"named pipe request of {length} bytes", 0)
    return LENGTH_SIZE + length


@dataclasses.dataclass(frozen=True, slots=True)
class NamedPipeAuthRequest:
    """named_pipe_auth_req up to the client's token: which SMB client wants the pipe, and where it reached us."""

    transport: int
    client_name: str
    client_address: str
    client_port: int
    server_name: str
    server_address: str
    server_port: int

    LEVELS: ClassVar[tuple[int, ...]] = (LEVEL,)

    @classmethod
    def unpack(cls, data: bytes) -> NamedPipeAuthRequest:
        """Raises `DecodeError`, for a level that is not known too."""
        reader = NdrReader(data, LENGTH_SIZE)
        if (magic := reader.take(4)) != MAGIC:
            raise DecodeError(f"no named pipe request: {magic.hex()}", LENGTH_SIZE)
        level = reader.u32()
        if level not in cls.LEVELS or reader.u32() != level:
            raise DecodeError(f"named pipe request of level {level}; known: {LEVEL} (Samba 4.17)", 8)
        transport = reader.u32()
        names = [reader.pointer(), reader.pointer()]
        client_port = reader.u16()
        names += [reader.pointer(), reader.pointer()]
        server_port = reader.u16()
        reader.pointer()
        client, address, server, reached = [_read_string(reader) if present else "" for present in names]
        return cls(transport, client, address, client_port, server, reached, server_port)

    def pack(self) -> bytes:
        """As smbd sends it, but for the token; for tests."""
        writer = NdrWriter()
        writer += bytes(LENGTH_SIZE) + MAGIC
        for value in (LEVEL, LEVEL, self.transport):
            writer.u32(value)
        writer.pointer(True)
        writer.pointer(True)
        writer.u16(self.client_port)
        writer.pointer(True)
        writer.pointer(True)
        writer.u16(self.server_port)
        writer.pointer(False)
        for text in (self.client_name, self.client_address, self.server_name, self.server_address):
            _write_string(writer, text)
        return _with_length(writer)


def pack_reply(status: int = 0) -> bytes:
    """named_pipe_auth_rep: a pipe of messages, or the NTSTATUS why not."""
    writer = NdrWriter()
    writer += bytes(LENGTH_SIZE) + MAGIC
    writer.u32(LEVEL)
    writer.u32(LEVEL)
    writer.u16(MESSAGE_MODE_PIPE)
    writer.u16(MESSAGE_PIPE_STATE)
    writer.u64(PIPE_ALLOCATION)
    writer.u32(status)
    return _with_length(writer)


def _with_length(writer: NdrWriter) -> bytes:
    data = bytes(writer)
    return (len(data) - LENGTH_SIZE).to_bytes(LENGTH_SIZE, "big") + data[LENGTH_SIZE:]


def _read_string(reader: NdrReader) -> str:
    """A conformant varying string, UTF-8, its terminating zero counted."""
    maximum = reader.conformance(1, _LONGEST_NAME)
    raw = reader.take(reader.varying(maximum, 1))
    try:
        return raw.removesuffix(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        raise DecodeError("name that is not UTF-8", reader.pos - len(raw)) from None


def _write_string(writer: NdrWriter, text: str) -> None:
    raw = text.encode("utf-8") + b"\0"
    if len(raw) > _LONGEST_NAME:
        raise EncodeError(f"name of {len(raw)} bytes")
    for count in (len(raw), 0, len(raw)):
        writer.u32(count)
    writer += raw


def messages_of(pdus: bytes) -> list[bytes]:
    """Whole PDUs, one after the other, as one message each: 16 bits of length, then the PDU.

    Raises `EncodeError` for bytes that are no whole PDUs.
    """
    found, pos = [], 0
    while pos < len(pdus):
        little = len(pdus) - pos >= 16 and pdus[pos + 4] & 0xF0
        length = int.from_bytes(pdus[pos + 8 : pos + 10], "little" if little else "big")
        if not 16 <= length <= len(pdus) - pos:
            raise EncodeError(f"a PDU of {length} bytes in {len(pdus) - pos}")
        found.append(length.to_bytes(2, "little") + pdus[pos : pos + length])
        pos += length
    return found
