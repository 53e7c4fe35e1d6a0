"""Fragments: cutting the byte stream into PDUs, joining a call's fragments, cutting a stub into them.

C706 12.6.3 (fragmentation), [MS-RPCE] 3.3.1.5.4 (fragment sizes).
"""

from __future__ import annotations

import dataclasses
import struct
import uuid
from typing import Final

from openchange_py.rpc.protection import Protection
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.pdu import HEADER_SIZE, PduType, Pfc, Request, Response

#: What Windows and Samba offer for a TCP connection.
DEFAULT_FRAGMENT: Final = 5840
#: MustRecvFragSize of C706 12.6.3: every implementation can receive this much.
SMALLEST_FRAGMENT: Final = 1432

_LITTLE: Final = struct.Struct("<H")
_BIG: Final = struct.Struct(">H")


class Framer:
    """Cuts a byte stream into PDUs by their fragment length. Holds at most one PDU and what came behind it."""

    __slots__ = ("_buffer", "_pos")

    def __init__(self) -> None:
        #: Bytes as they came, as long as whole PDUs come; a bytearray that grows where one comes in pieces.
        self._buffer: bytes | bytearray = b""
        self._pos = 0

    @property
    def pending(self) -> int:
        """Bytes that `next` has not given yet."""
        return len(self._buffer) - self._pos

    def feed(self, data: bytes) -> None:
        """Append what came from the network."""
        if self._pos == len(self._buffer):
            self._buffer, self._pos = bytes(data), 0
            return
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer)
        del self._buffer[: self._pos]
        self._pos = 0
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole PDU, or None while it is not all there; `DecodeError` where no PDU can be."""
        buffer, pos = self._buffer, self._pos
        left = len(buffer) - pos
        if left < HEADER_SIZE:
            return None
        if buffer[pos] != 5 and buffer[pos + 2] != PduType.BIND:  # a bind of another version has its own answer
            raise DecodeError(f"no DCE/RPC: {bytes(buffer[pos : pos + 8])!r}", 0)
        length: int = (_LITTLE if buffer[pos + 4] & 0xF0 else _BIG).unpack_from(buffer, pos + 8)[0]
        if length < HEADER_SIZE:
            raise DecodeError(f"fragment length {length}", 8)
        if left < length:
            return None
        if left == length:
            self._buffer, self._pos = b"", 0
            return bytes(buffer[pos:] if pos else buffer)
        self._pos = pos + length
        return bytes(buffer[pos : self._pos])


@dataclasses.dataclass(slots=True)
class Assembly:
    """A call whose fragments are still coming."""

    call_id: int
    context_id: int
    opnum: int
    object_uuid: uuid.UUID | None
    protection: Protection | None
    #: The first fragment's stub, which mostly is all of it, and behind it those of the others. One growing buffer: an
    #: object for each fragment would take forty times the bytes of a client that sends single ones.
    first: bytes = b""
    others: bytearray = dataclasses.field(default_factory=bytearray)

    def add(self, stub: bytes, limit: int) -> bool:
        """Append a fragment's stub; false where the call would become larger than `limit` bytes."""
        if len(self.first) + len(self.others) + len(stub) > limit:
            return False
        if self.first:
            self.others += stub
        else:
            self.first = stub
        return True

    def stub(self) -> bytes:
        """All fragments joined."""
        return self.first + self.others if self.others else self.first


def fragment_size(ours: int, theirs: int) -> int:
    """The size both sides agree on, in bytes: the smaller one, but never below what all must accept."""
    return max(min(ours, theirs), SMALLEST_FRAGMENT)


def fragments_of(pdu: Request | Response, max_fragment: int, protection: Protection | None) -> bytes:
    """The PDU cut into fragments of at most `max_fragment` bytes, each signed or sealed.

    `pdu` has the whole stub and the flags of a whole call.
    """
    stub = pdu.stub
    if protection is not None and not protection.protects:
        protection = None
    header = pdu.stub_offset
    room = max_fragment - header if protection is None else protection.room(max_fragment, header)
    if len(stub) <= room:
        return _fragment(pdu, pdu.flags, stub, pdu.alloc_hint, protection)
    others = pdu.flags & ~Pfc.WHOLE
    sent = []
    for start in range(0, len(stub), room):
        last = Pfc.LAST_FRAG if start + room >= len(stub) else 0
        flags = others | (Pfc.FIRST_FRAG if start == 0 else 0) | last
        sent.append(_fragment(pdu, flags, stub[start : start + room], len(stub) - start, protection))
    return b"".join(sent)


def _fragment(
    pdu: Request | Response, flags: int, part: bytes, alloc_hint: int, protection: Protection | None
) -> bytes:
    if protection is not None:
        return protection.protect(pdu, flags, part, alloc_hint)
    return pdu.fragment_head(flags, alloc_hint, len(part), 0) + part
