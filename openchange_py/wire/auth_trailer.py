"""What protects a PDU: the sec_trailer at its end, and the verification trailer behind a request's stub.

[MS-RPCE] 2.2.2.11 (sec_trailer) and 2.2.2.13 (verification trailer).
"""

from __future__ import annotations

import dataclasses
import struct
from typing import Final

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import SyntaxId
from openchange_py.wire.syntax import read_syntax_id, write_syntax_id

#: In little- and in big-endian order.
_SEC_TRAILER: Final = (struct.Struct("<BBBBI"), struct.Struct(">BBBBI"))
_COMMAND: Final = struct.Struct("<HH")
_HEADER2: Final = struct.Struct("<B3xIIHH")

#: Bytes of a sec_trailer without its authentication value.
SEC_TRAILER_SIZE: Final = _SEC_TRAILER[0].size
#: The stub of a protected PDU is padded to a multiple of this, so that the sec_trailer is aligned.
AUTH_PAD_ALIGNMENT: Final = 16
#: Padding is of what stands behind a request's header: in PDUs that have less in front of their body, too.
_PADDED_FROM: Final = 24
#: Where the common header ends.
_SMALLEST_BODY_END: Final = 16


class BadSecTrailer(DecodeError):
    """The end of a PDU is no sec_trailer, though its header announces one."""


@dataclasses.dataclass(slots=True, unsafe_hash=True)
class SecTrailer:
    """sec_trailer and the authentication value behind it. Type and level may be any number.

    Not to be changed, but not frozen: that would triple what one costs, and every PDU has one.
    """

    auth_type: int
    auth_level: int
    auth_context_id: int
    auth_value: bytes
    auth_pad_length: int = 0
    auth_reserved: int = 0

    @classmethod
    def at_end(cls, data: bytes, auth_length: int, big_endian: bool = False) -> tuple[SecTrailer, int]:
        """The trailer at the end of a PDU whose header announces `auth_length`, and where it starts.

        Raises `BadSecTrailer` where it reaches into the common header, or its padding into the PDU's.
        """
        start = len(data) - auth_length - SEC_TRAILER_SIZE
        if start < _SMALLEST_BODY_END:
            raise BadSecTrailer(f"authentication value of {auth_length} bytes in a PDU of {len(data)}", 10)
        auth_type, level, pad, reserved, context_id = _SEC_TRAILER[big_endian].unpack_from(data, start)
        if pad and pad > start - _PADDED_FROM:
            raise BadSecTrailer(f"{pad} bytes of authentication padding in {start}", start + 2)
        return cls(auth_type, level, context_id, data[start + SEC_TRAILER_SIZE :], pad, reserved), start

    def pack(self, big_endian: bool = False) -> bytes:
        """The trailer's bytes, authentication value included."""
        try:
            head = _SEC_TRAILER[big_endian].pack(
                self.auth_type, self.auth_level, self.auth_pad_length, self.auth_reserved, self.auth_context_id
            )
        except struct.error as error:
            raise EncodeError(f"sec_trailer: {error}") from error
        return head + self.auth_value


def sec_trailer(auth_type: int, level: int, pad_length: int, context_id: int, big_endian: bool = False) -> bytes:
    """A sec_trailer's bytes, without the authentication value."""
    return _SEC_TRAILER[big_endian].pack(auth_type, level, pad_length, 0, context_id)


_MAGIC: Final = bytes.fromhex("8ae3137102f43671")
_COMMAND_MASK: Final = 0x3FFF
_COMMAND_END: Final = 0x4000
_MUST_PROCESS: Final = 0x8000
_BITMASK_1: Final = 0x0001
_PCONTEXT: Final = 0x0002
_HEADER_2: Final = 0x0003
#: Every known command together takes 76 bytes; nothing is sought further from the stub's end than this.
_LONGEST: Final = 512

#: rpc_sec_vt_bitmask: the client offered header signing when it bound.
CLIENT_SUPPORT_HEADER_SIGNING: Final = 0x00000001


@dataclasses.dataclass(frozen=True, slots=True)
class VerificationHeader:
    """SEC_VT_HEADER2: the request header's fields as the client sent them."""

    ptype: int
    drep: int
    call_id: int
    context_id: int
    opnum: int


@dataclasses.dataclass(frozen=True, slots=True)
class VerificationTrailer:
    """rpc_sec_verification_trailer: commands in wire order, each with the flags in its upper two bits."""

    commands: tuple[tuple[int, bytes], ...]

    @property
    def bitmask(self) -> int | None:
        """SEC_VT_BITMASK1."""
        body = self._body(_BITMASK_1, 4)
        return None if body is None else int.from_bytes(body, "little")

    @property
    def presentation_context(self) -> tuple[SyntaxId, SyntaxId] | None:
        """SEC_VT_PCONTEXT: interface and transfer syntax."""
        body = self._body(_PCONTEXT, 40)
        return None if body is None else (read_syntax_id(body, 0), read_syntax_id(body, 20))

    @property
    def header(self) -> VerificationHeader | None:
        """SEC_VT_HEADER2."""
        body = self._body(_HEADER_2, _HEADER2.size)
        return None if body is None else VerificationHeader(*_HEADER2.unpack(body))

    @property
    def unknown_must_process(self) -> bool:
        """A command that has to be understood is not known here."""
        known = {_BITMASK_1: 4, _PCONTEXT: 40, _HEADER_2: _HEADER2.size}
        return any(
            command & _MUST_PROCESS and known.get(command & _COMMAND_MASK) != len(body)
            for command, body in self.commands
        )

    def _body(self, wanted: int, size: int) -> bytes | None:
        return next((b for c, b in self.commands if c & _COMMAND_MASK == wanted and len(b) == size), None)

    @classmethod
    def of(cls, interface: SyntaxId, transfer: SyntaxId, bitmask: int) -> VerificationTrailer:
        """What a client adds: the bitmask and the presentation context."""
        context = write_syntax_id(interface) + write_syntax_id(transfer)
        return cls(((_BITMASK_1, bitmask.to_bytes(4, "little")), (_PCONTEXT | _COMMAND_END, context)))

    def pack(self) -> bytes:
        """The trailer's bytes; the caller aligns the stub before it to 4."""
        return _MAGIC + b"".join(_COMMAND.pack(command, len(body)) + body for command, body in self.commands)


def split_verification_trailer(stub: bytes) -> tuple[bytes, VerificationTrailer | None]:
    """A request's stub without its verification trailer, and the trailer where there is one.

    The trailer is the last thing in the stub, aligned to 4; nothing tells its length, so it is sought from the
    end. Padding between stub and trailer stays with the stub.
    """
    start = len(stub)
    earliest = max(0, len(stub) - _LONGEST)
    while (start := stub.rfind(_MAGIC, earliest, start)) >= 0:
        if start % 4 == 0 and (commands := _commands(stub, start + len(_MAGIC))) is not None:
            return stub[:start], VerificationTrailer(commands)
        start += len(_MAGIC) - 1
    return stub, None


def _commands(stub: bytes, pos: int) -> tuple[tuple[int, bytes], ...] | None:
    """The commands from `pos`; None where the last one does not end where the stub does."""
    commands = []
    while pos + _COMMAND.size <= len(stub):
        command, length = _COMMAND.unpack_from(stub, pos)
        pos += _COMMAND.size + length
        if pos > len(stub):
            return None
        commands.append((command, stub[pos - length : pos]))
        if command & _COMMAND_END:
            return tuple(commands) if pos == len(stub) else None
    return None
