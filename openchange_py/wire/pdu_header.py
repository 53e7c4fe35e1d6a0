"""What all connection-oriented PDUs have in common: C706 chapter 12.6.3 with the extensions of [MS-RPCE] 2.2.2.

Integers are little- or big-endian, as the PDU's own header says; characters are ASCII and floats IEEE.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from typing import Any, ClassVar, Final, Self, TypeVar, dataclass_transform

from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer


def byte_orders(layout: str) -> tuple[struct.Struct, struct.Struct]:
    """A layout in little- and in big-endian order, to be indexed with `big_endian`."""
    return struct.Struct("<" + layout), struct.Struct(">" + layout)


T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def pdu(cls: type[T]) -> type[T]:
    """Declare a PDU. It is frozen for who reads and checks the code; at run time that would triple what one costs."""
    return dataclasses.dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)


HEADER: Final = byte_orders("BBBB4sHHI")

HEADER_SIZE: Final = 16
#: Little-endian integers, ASCII characters, IEEE floats.
LITTLE_ENDIAN: Final = b"\x10\0\0\0"
BIG_ENDIAN: Final = b"\0\0\0\0"
#: To be indexed with `big_endian`.
REPRESENTATIONS: Final = (LITTLE_ENDIAN, BIG_ENDIAN)


class PduType(enum.IntEnum):
    """C706 12.6.4.1, [MS-RPCE] 2.2.2.1."""

    REQUEST = 0
    RESPONSE = 2
    FAULT = 3
    BIND = 11
    BIND_ACK = 12
    BIND_NAK = 13
    ALTER_CONTEXT = 14
    ALTER_CONTEXT_RESP = 15
    AUTH3 = 16
    SHUTDOWN = 17
    CO_CANCEL = 18
    ORPHANED = 19

    # It is looked up for every PDU; Enum's own hash is Python code.
    __hash__ = int.__hash__


class Pfc:
    """pfc_flags, C706 12.6.3.1 and [MS-RPCE] 2.2.2.3. Plain numbers: every PDU is tested for them."""

    FIRST_FRAG: Final = 0x01
    LAST_FRAG: Final = 0x02
    PENDING_CANCEL: Final = 0x04
    #: The same bit in bind, alter_context and their answers.
    SUPPORT_HEADER_SIGN: Final = 0x04
    CONC_MPX: Final = 0x10
    DID_NOT_EXECUTE: Final = 0x20
    MAYBE: Final = 0x40
    OBJECT_UUID: Final = 0x80
    WHOLE: Final = FIRST_FRAG | LAST_FRAG


class UnsupportedVersion(DecodeError):
    """The PDU is of another protocol version than 5."""


class UnsupportedRepresentation(DecodeError):
    """The PDU's characters or floats are not in the representation read here."""


@dataclasses.dataclass(frozen=True, slots=True)
class PduHeader:
    """The 16 bytes that every PDU starts with, in either byte order."""

    version: int
    version_minor: int
    ptype: int
    flags: int
    drep: bytes
    frag_length: int
    auth_length: int
    call_id: int

    @classmethod
    def unpack_from(cls, data: bytes | bytearray) -> PduHeader:
        """The header at the start of `data`."""
        if len(data) < HEADER_SIZE:
            raise DecodeError(f"{HEADER_SIZE} bytes needed, {len(data)} left", 0)
        return cls(*HEADER[not data[4] & 0xF0].unpack_from(data))


@pdu
class Pdu:
    """What all PDUs have. `pack()` of a decoded PDU gives the same bytes."""

    ptype: ClassVar[PduType]

    call_id: int
    flags: int = Pfc.WHOLE
    auth: SecTrailer | None = None
    version_minor: int = 0
    big_endian: bool = False

    @classmethod
    def decode(
        cls, data: bytes, end: int, call_id: int, flags: int, auth: SecTrailer | None, minor: int, big: bool
    ) -> Self:
        """Decode the body between the common header and `end`, where sec_trailer or nothing follows.

        The other arguments are the fields that are declared here.
        """
        body = cls.read(Reader(data, HEADER_SIZE, end), big)
        return cls(**body, call_id=call_id, flags=flags, auth=auth, version_minor=minor, big_endian=big)

    @classmethod
    def read(cls, reader: Reader, big: bool) -> dict[str, Any]:
        """The fields of the body."""
        raise NotImplementedError(f"{cls.__name__} has no layout")

    def write(self, writer: Writer) -> None:
        """Append the body."""
        raise NotImplementedError(f"{type(self).__name__} has no layout")

    def pack(self) -> bytes:
        """The whole PDU."""
        writer = Writer(HEADER_SIZE)
        self.write(writer)
        if self.auth is not None:
            writer += self.auth.pack(self.big_endian)
        try:
            HEADER[self.big_endian].pack_into(writer, 0, *self.head(len(writer)))
        except struct.error as error:
            raise EncodeError(f"{type(self).__name__}: {error}") from error
        return bytes(writer)

    def head(self, length: int) -> tuple[int, int, int, int, bytes, int, int, int]:
        """The common header's fields for a PDU of `length` bytes."""
        auth_length = 0 if self.auth is None else len(self.auth.auth_value)
        representation = REPRESENTATIONS[self.big_endian]
        return 5, self.version_minor, self.ptype, self.flags, representation, length, auth_length, self.call_id


@pdu
class BodylessPdu(Pdu):
    """A PDU whose body means nothing; `padding` keeps what stands there."""

    padding: bytes = b""

    @classmethod
    def read(cls, reader: Reader, big: bool) -> dict[str, Any]:
        return {"padding": reader.rest()}

    def write(self, writer: Writer) -> None:
        writer += self.padding
