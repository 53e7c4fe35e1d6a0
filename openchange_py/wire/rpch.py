"""RTS PDUs, with which RPC over HTTP version 2 controls its channels: [MS-RPCH] 2.2.3 and 2.2.4.

An RTS PDU is a header, flags and a row of commands; what it is called depends on those, on its channel and on what
came before. `SHAPES` has the flags and commands of each by the document's name, `rts` makes one.
"""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import struct
import uuid
from typing import ClassVar, Final, Self

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer

#: PTYPE of an RTS PDU, 2.2.3.6.1.
RTS: Final = 20
#: The common header, and behind it Flags and NumberOfCommands.
_HEADER: Final = struct.Struct("<BBBB4sHHIHH")
RTS_HEADER_SIZE: Final = _HEADER.size
_WHOLE: Final = 0x03
_LITTLE_ENDIAN: Final = b"\x10\0\0\0"
#: No RTS PDU of the document has more commands than 7.
_MAX_COMMANDS: Final = 16


class RtsFlag(enum.IntFlag):
    """2.2.3.6.1."""

    NONE = 0
    PING = 0x01
    OTHER_CMD = 0x02
    RECYCLE_CHANNEL = 0x04
    IN_CHANNEL = 0x08
    OUT_CHANNEL = 0x10
    EOF = 0x20
    ECHO = 0x40


class Forward(enum.IntEnum):
    """Whom a PDU is for, 2.2.3.3."""

    CLIENT = 0
    IN_PROXY = 1
    SERVER = 2
    OUT_PROXY = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """One command, 2.2.3.5. This one has nothing but its type."""

    type: ClassVar[int]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """What follows the type."""
        return cls()

    def write(self, writer: Writer) -> None:
        """Append what follows the type."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Number(Command):
    value: int

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.u32())

    def write(self, writer: Writer) -> None:
        writer.u32(self.value)


@dataclasses.dataclass(frozen=True, slots=True)
class _Id(Command):
    value: uuid.UUID

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(uuid.UUID(bytes_le=reader.take(16)))

    def write(self, writer: Writer) -> None:
        writer += self.value.bytes_le


class ReceiveWindowSize(_Number):
    """2.2.3.5.1: bytes of RPC PDUs that the receiver of a channel can hold, 8 KiB to 256 KiB."""

    type = 0


@dataclasses.dataclass(frozen=True, slots=True)
class FlowControlAck(Command):
    """2.2.3.5.2, 2.2.3.4: bytes of RPC PDUs received on a channel so far, and how many more may come."""

    type = 1
    bytes_received: int
    available_window: int
    channel: uuid.UUID

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.u32(), reader.u32(), uuid.UUID(bytes_le=reader.take(16)))

    def write(self, writer: Writer) -> None:
        writer.u32(self.bytes_received)
        writer.u32(self.available_window)
        writer += self.channel.bytes_le


class ConnectionTimeout(_Number):
    """2.2.3.5.3: milliseconds, 120,000 to 14,400,000."""

    type = 2


class Cookie(_Id):
    """2.2.3.5.4: names a virtual connection or a channel."""

    type = 3


class ChannelLifetime(_Number):
    """2.2.3.5.5: bytes that a channel may carry, 128 KiB to 2 GiB."""

    type = 4


class ClientKeepalive(_Number):
    """2.2.3.5.6: milliseconds, at least 60,000; 0: as the receiver likes."""

    type = 5


class Version(_Number):
    """2.2.3.5.7: always 1."""

    type = 6


class Empty(Command):
    """2.2.3.5.8."""

    type = 7


@dataclasses.dataclass(frozen=True, slots=True)
class Padding(Command):
    """2.2.3.5.9."""

    type = 8
    data: bytes

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.take(reader.u32()))

    def write(self, writer: Writer) -> None:
        writer.u32(len(self.data))
        writer += self.data


class NegativeAnce(Command):
    """2.2.3.5.10: a successor channel was not established."""

    type = 9


class Ance(Command):
    """2.2.3.5.11: a successor channel was established."""

    type = 10


@dataclasses.dataclass(frozen=True, slots=True)
class ClientAddress(Command):
    """2.2.3.5.12, 2.2.3.2: an IPv4 or IPv6 address; 12 bytes that mean nothing stand behind it."""

    type = 11
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    padding: bytes = bytes(12)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        kind = reader.u32()
        if kind > 1:
            raise DecodeError(f"address type {kind}", reader.pos - 4)
        return cls(ipaddress.ip_address(reader.take(16 if kind else 4)), reader.take(12))

    def write(self, writer: Writer) -> None:
        writer.u32(0 if self.address.version == 4 else 1)
        writer += self.address.packed + self.padding


class AssociationGroupId(_Id):
    """2.2.3.5.13: the same in all virtual connections of a client's association."""

    type = 12


class Destination(_Number):
    """2.2.3.5.14: a `Forward`."""

    type = 13


class PingTrafficSentNotify(_Number):
    """2.2.3.5.15: bytes of pings that the outbound proxy has sent."""

    type = 14


_COMMANDS: Final[dict[int, type[Command]]] = {
    kind.type: kind
    for kind in (
        ReceiveWindowSize, FlowControlAck, ConnectionTimeout, Cookie, ChannelLifetime, ClientKeepalive, Version, Empty,
        Padding, NegativeAnce, Ance, ClientAddress, AssociationGroupId, Destination, PingTrafficSentNotify,
    )
}  # fmt: skip

Shape = tuple[RtsFlag, tuple[type[Command], ...]]

_N, _RECYCLE, _IN, _OUT = RtsFlag.NONE, RtsFlag.RECYCLE_CHANNEL, RtsFlag.IN_CHANNEL, RtsFlag.OUT_CHANNEL
_LIMITS: Final = (ReceiveWindowSize, ConnectionTimeout)
_SUCCESSOR: Final = (Version, Cookie, Cookie, Cookie)

#: 2.2.4: flags and commands of every PDU. Cookies are, in this order, those of the virtual connection, the predecessor
#: (or only) channel, and the successor.
SHAPES: Final[dict[str, Shape]] = {
    "CONN/A1": (_N, (Version, Cookie, Cookie, ReceiveWindowSize)),
    "CONN/A2": (_OUT, (Version, Cookie, Cookie, ChannelLifetime, ReceiveWindowSize)),
    "CONN/A3": (_N, (ConnectionTimeout,)),
    "CONN/B1": (_N, (Version, Cookie, Cookie, ChannelLifetime, ClientKeepalive, AssociationGroupId)),
    "CONN/B2": (_IN, (Version, Cookie, Cookie, *_LIMITS, AssociationGroupId, ClientAddress)),
    "CONN/B3": (_N, (ReceiveWindowSize, Version)),
    "CONN/C1": (_N, (Version, *_LIMITS)),
    "CONN/C2": (_N, (Version, *_LIMITS)),
    "IN_R1/A1": (_RECYCLE, _SUCCESSOR),
    "IN_R1/A2": (_IN | _RECYCLE, (*_SUCCESSOR, *_LIMITS)),
    "IN_R1/A3": (_N, (Destination, Version, *_LIMITS)),
    "IN_R1/A4": (_N, (Destination, Version, *_LIMITS)),
    "IN_R1/A5": (_N, (Cookie,)),
    "IN_R1/A6": (_N, (Cookie,)),
    "IN_R1/B1": (_N, (Empty,)),
    "IN_R1/B2": (_N, (ReceiveWindowSize,)),
    "IN_R2/A1": (_RECYCLE, _SUCCESSOR),
    "IN_R2/A2": (_N, (Cookie,)),
    "IN_R2/A3": (_N, (Destination,)),
    "IN_R2/A4": (_N, (Destination,)),
    "IN_R2/A5": (_N, (Cookie,)),
    "OUT_R1/A1": (_RECYCLE, (Destination,)),
    "OUT_R1/A2": (_RECYCLE, (Destination,)),
    "OUT_R1/A3": (_RECYCLE, (*_SUCCESSOR, ReceiveWindowSize)),
    "OUT_R1/A4": (_OUT | _RECYCLE, (*_SUCCESSOR, ChannelLifetime, *_LIMITS)),
    "OUT_R1/A5": (_OUT, (Destination, Version, ConnectionTimeout)),
    "OUT_R1/A6": (_OUT, (Destination, Version, ConnectionTimeout)),
    "OUT_R1/A7": (_OUT, (Destination, Cookie)),
    "OUT_R1/A8": (_OUT, (Destination, Cookie)),
    "OUT_R1/A9": (_N, (Ance,)),
    "OUT_R1/A10": (_N, (Ance,)),
    "OUT_R1/A11": (_N, (Ance,)),
    "OUT_R2/A1": (_RECYCLE, (Destination,)),
    "OUT_R2/A2": (_RECYCLE, (Destination,)),
    "OUT_R2/A3": (_RECYCLE, (*_SUCCESSOR, ReceiveWindowSize)),
    "OUT_R2/A4": (_N, (Cookie,)),
    "OUT_R2/A5": (_N, (Destination, Ance)),
    "OUT_R2/A6": (_N, (Destination, Ance)),
    "OUT_R2/A7": (_OUT, (Destination, Cookie, Version)),
    "OUT_R2/A8": (_OUT, (Destination, Cookie)),
    "OUT_R2/B1": (_N, (Ance,)),
    "OUT_R2/B2": (_N, (NegativeAnce,)),
    "OUT_R2/B3": (RtsFlag.EOF, (Ance,)),
    "OUT_R2/C1": (RtsFlag.PING, (Empty,)),
    "Keep-Alive": (RtsFlag.OTHER_CMD, (ClientKeepalive,)),
    "Ping Traffic Sent Notify": (RtsFlag.OTHER_CMD, (PingTrafficSentNotify,)),
    "Echo": (RtsFlag.ECHO, ()),
    "Ping": (RtsFlag.PING, ()),
    "FlowControlAck": (RtsFlag.OTHER_CMD, (FlowControlAck,)),
    "FlowControlAckWithDestination": (RtsFlag.OTHER_CMD, (Destination, FlowControlAck)),
}


@dataclasses.dataclass(frozen=True, slots=True)
class RtsPdu:
    """One RTS PDU."""

    flags: RtsFlag = RtsFlag.NONE
    commands: tuple[Command, ...] = ()

    @classmethod
    def unpack(cls, data: bytes) -> RtsPdu:
        """Decode a whole one. `DecodeError` for what the header must not have, and for unknown flags or commands."""
        if len(data) < RTS_HEADER_SIZE:
            raise DecodeError(f"{RTS_HEADER_SIZE} bytes needed, {len(data)} left", 0)
        version, minor, ptype, pfc, drep, length, auth_length, call_id, flags, count = _HEADER.unpack_from(data)
        if (version, minor, ptype, pfc, drep) != (5, 0, RTS, _WHOLE, _LITTLE_ENDIAN) or auth_length or call_id:
            raise DecodeError("no header of an RTS PDU", 0)
        if length != len(data):
            raise DecodeError(f"fragment length {length} in a PDU of {len(data)} bytes", 8)
        if flags > 0x7F or count > _MAX_COMMANDS:
            raise DecodeError(f"RTS flags {flags:#x} with {count} commands", 16)
        reader = Reader(data, RTS_HEADER_SIZE)
        commands = tuple(_read_command(reader) for _ in range(count))
        reader.expect_end()
        return cls(RtsFlag(flags), commands)

    def pack(self) -> bytes:
        """The whole PDU."""
        writer = Writer(RTS_HEADER_SIZE)
        for command in self.commands:
            writer.u32(command.type)
            command.write(writer)
        head = (5, 0, RTS, _WHOLE, _LITTLE_ENDIAN, len(writer), 0, 0, self.flags, len(self.commands))
        try:
            _HEADER.pack_into(writer, 0, *head)
        except struct.error as error:
            raise EncodeError(f"RTS PDU: {error}") from error
        return bytes(writer)

    @property
    def shape(self) -> Shape:
        """Flags and kinds of commands. A Padding that stands for an Empty (OUT_R2/C1) is told as Empty."""
        kinds = tuple(type(command) for command in self.commands)
        return self.flags, (Empty,) if kinds == (Padding,) else kinds

    def is_a(self, name: str) -> bool:
        """Whether it has the shape of that PDU."""
        return self.shape == SHAPES[name]

    @property
    def name(self) -> str:
        """For the log: the first PDU with its shape."""
        shape = self.shape
        found = next((name for name, known in SHAPES.items() if known == shape), None)
        return found or f"RTS PDU {self.flags!r} {[type(command).__name__ for command in self.commands]}"


def _read_command(reader: Reader) -> Command:
    kind = _COMMANDS.get(number := reader.u32())
    if kind is None:
        raise DecodeError(f"RTS command {number}", reader.pos - 4)
    with reader.within(kind.__name__):
        return kind.read(reader)


def rts(name: str, *values: int | uuid.UUID | FlowControlAck) -> RtsPdu:
    """The PDU of that name with the values of its commands in their order; commands without a value are left out."""
    flags, kinds = SHAPES[name]
    left = iter(values)
    commands: list[Command] = []
    for kind in kinds:
        if issubclass(kind, _Number | _Id):
            commands.append(kind(next(left)))  # type: ignore[arg-type]
        elif kind is FlowControlAck:
            commands.append(next(left))  # type: ignore[arg-type]
        else:
            commands.append(kind())
    return RtsPdu(flags, tuple(commands))
