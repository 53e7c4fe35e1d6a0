"""Extended buffers: [MS-OXCRPC] 2.2.2.1 (RPC_HEADER_EXT) and 3.1.4.2.1 (how payloads are chained).

What rgbIn, rgbOut, rgbAuxIn and rgbAuxOut of the EMSMDB calls hold, and the ROP and auxiliary buffers of
MAPI over HTTP: one payload or several, each behind its own header, each compressed and obfuscated on its own.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader
from openchange_py.wire.codecs import U16, Structure, structure
from openchange_py.wire.lzxpress import compress as lz77_compress
from openchange_py.wire.lzxpress import decompress as lz77_decompress

HEADER_SIZE: Final = 8
#: What the ROPs of one payload may hold (3.1.4.2.1.2). Readers allow the 64 KiB that SizeActual can say, because
#: a table of handles comes on top.
MAXIMUM_ROPS: Final = 0x8000
#: What one call's payloads may hold together after decompression: its 256 KiB buffer, and the compression gain of
#: chained payloads that a client which asked for 96 of them gets.
MAXIMUM_TOTAL: Final = 96 * MAXIMUM_ROPS
MAXIMUM_PAYLOADS: Final = 96
#: The same of a request, which servers read: as much as without compression (BIG_RANGE_ULONG, 2.2.1.3). A few hundred
#: bytes could otherwise ask for a million ROPs.
MAXIMUM_REQUEST: Final = 0x40000

_XOR_MAGIC: Final = bytes(value ^ 0xA5 for value in range(256))


class RpcHeaderFlags(enum.IntFlag, boundary=enum.KEEP):
    """Flags of RPC_HEADER_EXT."""

    Compressed = 0x0001
    XorMagic = 0x0002
    Last = 0x0004


#: For what looks at every call: the header and its flags, without making objects.
_HEADER: Final = struct.Struct("<HHHH")
_OBFUSCATED: Final = int(RpcHeaderFlags.XorMagic)
_LAST: Final = int(RpcHeaderFlags.Last)


@structure
class RpcHeaderExt(Structure):
    """[MS-OXCRPC] 2.2.2.1. `size` counts the bytes that follow, `size_actual` what they decompress to."""

    version: U16
    flags: U16
    size: U16
    size_actual: U16


@dataclasses.dataclass(slots=True)
class ExtendedBuffer:
    """One payload, readable, and how it travelled."""

    payload: bytes
    flags: RpcHeaderFlags


def obfuscate(data: bytes) -> bytes:
    """XOR with 0xA5 (3.1.4.1.1.3); its own reverse."""
    return data.translate(_XOR_MAGIC)


def extended_buffers(rgb: bytes, *, total: int = MAXIMUM_TOTAL) -> Iterator[ExtendedBuffer]:
    """The payloads of a buffer, in order, obfuscation and compression undone.

    Raises `DecodeError` (ecRpcFormat to the client) where a header is wrong, the chain does not end with the Last
    flag and the buffer, or the payloads together exceed `total` bytes.
    """
    reader = Reader(rgb)
    for _ in range(MAXIMUM_PAYLOADS):
        header = RpcHeaderExt.read(reader)
        total -= header.size_actual
        if header.version != 0:
            raise DecodeError(f"RPC_HEADER_EXT version {header.version}", reader.pos - HEADER_SIZE)
        if total < 0:
            raise DecodeError("payloads exceed what one call may hold", reader.pos)
        flags = RpcHeaderFlags(header.flags)
        yield ExtendedBuffer(_readable(reader.take(header.size), flags, header.size_actual), flags)
        if flags & RpcHeaderFlags.Last:
            reader.expect_end()
            return
    raise DecodeError(f"more than {MAXIMUM_PAYLOADS} payloads", reader.pos)


def _readable(data: bytes, flags: RpcHeaderFlags, size_actual: int) -> bytes:
    if flags & RpcHeaderFlags.XorMagic:
        data = obfuscate(data)
    if flags & RpcHeaderFlags.Compressed:
        return lz77_decompress(data, size_actual)
    if len(data) != size_actual:
        raise DecodeError(f"Size {len(data)} and SizeActual {size_actual} of an uncompressed payload differ")
    return data


def may_contain_any(rgb: bytes, values: bytes) -> bool:
    """Whether a payload of a buffer may hold one of these bytes; where it may not, that is certain.

    Nothing is decompressed for it: LZ77 repeats bytes that stood before, so that what is nowhere in the compressed
    bytes is nowhere in the payload. Raises `DecodeError` for a chain of payloads that is none.
    """
    hidden = obfuscate(values)
    for flags, start, end, _size_actual in _chain(rgb):
        for value in hidden if flags & _OBFUSCATED else values:
            if rgb.find(value, start, end) >= 0:
                return True
    return False


def decompressed_size(rgb: bytes) -> int:
    """What the payloads of a buffer hold together, in bytes, as their headers say. Raises `DecodeError`."""
    return sum(size_actual for _, _, _, size_actual in _chain(rgb))


def _chain(rgb: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Per payload its flags, where it starts and ends as it travels, and SizeActual."""
    pos = 0
    for _ in range(MAXIMUM_PAYLOADS if rgb else 0):
        if len(rgb) - pos < HEADER_SIZE:
            raise DecodeError(f"{HEADER_SIZE} bytes needed, {len(rgb) - pos} left", pos)
        version, flags, size, size_actual = _HEADER.unpack_from(rgb, pos)
        start, pos = pos + HEADER_SIZE, pos + HEADER_SIZE + size
        if version != 0 or pos > len(rgb):
            raise DecodeError(f"RPC_HEADER_EXT version {version}, {size} bytes", start - HEADER_SIZE)
        yield flags, start, pos, size_actual
        if flags & _LAST:
            break
    if pos != len(rgb):
        raise DecodeError("the chain of payloads does not end with the buffer", pos)


def unpack_payloads(rgb: bytes, *, total: int = MAXIMUM_TOTAL) -> list[bytes]:
    """All payloads of a buffer; an empty buffer (cbAuxIn = 0) has none. Raises `DecodeError`."""
    return [buffer.payload for buffer in extended_buffers(rgb, total=total)] if rgb else []


def pack_payload(payload: bytes, *, compress: bool = False, xor: bool = False, last: bool = True) -> bytes:
    """Header and payload. Compression is dropped where it doesn't make the payload smaller, as Size must be."""
    if len(payload) > 0xFFFF:
        raise EncodeError(f"payload of {len(payload)} bytes: SizeActual has 16 bits")
    flags, data = RpcHeaderFlags(0), payload
    if compress:
        packed = lz77_compress(payload)
        if len(packed) < len(payload):
            flags, data = RpcHeaderFlags.Compressed, packed
    if xor:
        flags, data = flags | RpcHeaderFlags.XorMagic, obfuscate(data)
    if last:
        flags |= RpcHeaderFlags.Last
    return RpcHeaderExt(0, flags, len(data), len(payload)).pack() + data


def pack_payloads(payloads: Iterable[bytes], *, compress: bool = False, xor: bool = False) -> bytes:
    """A chain of payloads, the last of them marked so."""
    chain = list(payloads)
    final = len(chain) - 1
    return b"".join(
        pack_payload(payload, compress=compress, xor=xor, last=index == final) for index, payload in enumerate(chain)
    )
