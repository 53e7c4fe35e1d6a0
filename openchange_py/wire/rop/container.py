"""ROPs that carry other ROPs between two proxies: RopIds that [MS-OXCROPS] reserves, and no server ever sees.

A container is RopId, LogonId 0, InputHandleIndex 0, a 16-bit size, and as many bytes. 0xA5 is MAPIProxy's, of its
module `pack`; 0xA6 and 0xA7 are this program's. They are not registered as ROPs: whoever does not expect one finds a
RopId that is unknown.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from typing import Final

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader
from openchange_py.wire.rop.base import REQUESTS, RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates, RopContext

_HEADER: Final = struct.Struct("<BBBH")
#: What a container takes beside what is in it, when it is all of a ROP buffer: its header and RopSize.
CONTAINER_OVERHEAD: Final = _HEADER.size + 2
#: An index into the ROPs of a buffer is one byte.
MAXIMUM_INDEX: Final = 0xFF


class ContainerId(enum.IntEnum):
    """The RopIds."""

    Packed = 0xA5
    Compressed = 0xA6
    Encrypted = 0xA7


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """One container; `rest` is what stands behind it in the bytes that it was read from."""

    rop_id: int
    blob: bytes
    rest: bytes = b""

    @classmethod
    def unpack(cls, rop_id: int, data: bytes) -> Container | None:
        """The container of that kind which the bytes begin with; None where they begin with something else.

        Raises `DecodeError` where it is cut off or its header is another one.
        """
        if not data or data[0] != rop_id:
            return None
        reader = Reader(data)
        _, logon_id, index, size = reader.fields(_HEADER)
        if logon_id or index:
            raise DecodeError(f"LogonId {logon_id}, handle index {index} of a container", 1)
        return cls(rop_id, reader.take(size), reader.rest())

    def pack(self) -> bytes:
        """The wire form, `rest` left out. Raises `EncodeError` where it is too large."""
        if len(self.blob) > 0xFFFF:
            raise EncodeError(f"{len(self.blob)} bytes in a container")
        return _HEADER.pack(self.rop_id, 0, 0, len(self.blob)) + self.blob


def wrapped(rop_id: int, blob: bytes) -> bytes:
    """A ROP buffer that is one container, without handles."""
    return RopBuffer([], [], Container(rop_id, blob).pack()).pack()


def unwrapped(rop_id: int, payload: bytes) -> bytes | None:
    """What the container in such a ROP buffer holds; None for any other buffer. Raises `DecodeError`."""
    if len(payload) < CONTAINER_OVERHEAD or payload[2] != rop_id:
        return None
    container = Container.unpack(rop_id, payload[2:])
    if container is None or container.rest or int.from_bytes(payload[:2], "little") != len(payload):
        raise DecodeError("a container that is not all of its buffer", 2)
    return container.blob


def pack_indexed(rops: list[tuple[int, RopRequest]]) -> bytes:
    """What a 0xA5 container holds: each ROP behind the index, one byte, of where it stood."""
    return b"".join(bytes([index]) + rop.pack() for index, rop in rops)


def unpack_indexed(blob: bytes, handles: list[int], states: HandleStates | None = None) -> list[tuple[int, RopRequest]]:
    """The reverse. Raises `DecodeError`, also for indexes that do not rise."""
    reader, context = Reader(blob), RopContext(states or HandleStates(), handles)
    found: list[tuple[int, RopRequest]] = []
    while reader.remaining:
        index, rop_id = reader.u8(), reader.u8()
        kind = REQUESTS.get(rop_id)
        if kind is None:
            raise DecodeError(f"RopId 0x{rop_id:02X} in a container", reader.pos - 1)
        if found and index <= found[-1][0]:
            raise DecodeError(f"index {index} behind {found[-1][0]} in a container", reader.pos - 2)
        found.append((index, kind.read_in(reader, context)))
    return found
