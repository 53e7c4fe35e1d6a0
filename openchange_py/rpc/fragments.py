"""Fragments: cutting the byte stream into PDUs, joining a call's fragments, cutting a stub into them.

C706 12.6.3 (fragmentation), [MS-RPCE] 3.3.1.5.4 (fragment sizes).
"""

from __future__ import annotations

import dataclasses
import struct
from typing import TYPE_CHECKING, Final

from openchange_py.rpc.protection import Protection
from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.pdu import HEADER_SIZE, PduType, Pfc, Request, Response

if TYPE_CHECKING:
    from openchange_py.rpc.events import PresentationContext

#: What Windows and Samba offer for a TCP connection.
DEFAULT_FRAGMENT: Final = 5840
#: MustRecvFragSize of C706 12.6.3: every implementation can receive this much.
SMALLEST_FRAGMENT: Final = 1432
#: Windows and Samba never agree on less.
SMALLEST_AGREED: Final = 2048

_LITTLE: Final = struct.Struct("<H")
_BIG: Final = struct.Struct(">H")


class Framer:
    """Cuts a byte stream into PDUs by their fragment length. Holds at most one PDU and what came behind it."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Append what came from the network."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole PDU, or None while it is not all there; `DecodeError` where no PDU can be."""
        buffer = self._buffer
        if len(buffer) < HEADER_SIZE:
            return None
        if buffer[0] != 5 and buffer[2] != PduType.BIND:  # a bind of another version has its own answer
            raise DecodeError(f"no DCE/RPC: {bytes(buffer[:8])!r}", 0)
        length: int = (_LITTLE if buffer[4] & 0xF0 else _BIG).unpack_from(buffer, 8)[0]
        if length < HEADER_SIZE:
            raise DecodeError(f"fragment length {length}", 8)
        if len(buffer) < length:
            return None
        if len(buffer) == length:
            self._buffer = bytearray()
            return bytes(buffer)
        fragment = bytes(buffer[:length])
        del buffer[:length]
        return fragment


class Assembly:
    """A call whose fragments are still coming, as its first one has it. Takes little more memory than its stub."""

    __slots__ = ("_first", "_more", "context", "first", "protection", "size")

    def __init__(
        self, first: Request | Response, context: PresentationContext | None, protection: Protection | None
    ) -> None:
        self.first = first
        self.context = context
        self.protection = protection
        self.size = 0
        self._first = b""
        self._more: bytearray | None = None

    @property
    def call_id(self) -> int:
        return self.first.call_id

    @property
    def context_id(self) -> int:
        return self.first.context_id

    @property
    def auth(self) -> SecTrailer | None:
        """The first fragment's."""
        return self.first.auth

    def add(self, stub: bytes) -> None:
        """Append a fragment's stub."""
        self.size += len(stub)
        if self._more is not None:
            self._more += stub
        elif self._first:
            self._more = bytearray(self._first)
            self._more += stub
        else:
            self._first = stub

    def stub(self) -> bytes:
        """All fragments joined."""
        return self._first if self._more is None else bytes(self._more)


def fragment_size(ours: int, theirs: int) -> int:
    """The most bytes of a fragment that we send: the smaller size, but never below what all must accept."""
    return max(min(ours, theirs), SMALLEST_FRAGMENT)


def agreed_size(ours: int, *theirs: int) -> int:
    """What a server answers a bind's fragment sizes with, one size for both directions, as Windows does."""
    return max(min(ours, *theirs) // 8 * 8, SMALLEST_AGREED)


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
        return pdu.pack() if protection is None else protection.protect(pdu)
    others = pdu.flags & ~Pfc.WHOLE
    sent = []
    for start in range(0, len(stub), room):
        part = stub[start : start + room]
        last = Pfc.LAST_FRAG if start + room >= len(stub) else 0
        flags = others | (Pfc.FIRST_FRAG if start == 0 else 0) | last
        one = dataclasses.replace(pdu, stub=part, flags=flags, alloc_hint=len(stub) - start)
        sent.append(one.pack() if protection is None else protection.protect(one))
    return b"".join(sent)
