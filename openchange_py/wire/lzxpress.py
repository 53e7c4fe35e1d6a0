"""LZ77 with DIRECT2 encoding: [MS-OXCRPC] 3.1.4.1.1.2, which [MS-XCA] 2.3 calls Plain LZ77.

A 32-bit group of flags, most significant first, tells of the 32 items that follow which are literals (0) and
which are matches (1). A match is 16 bits, 13 of offset and 3 of length; longer ones take a nibble shared by two
matches, then a byte, then 16 bits.

Done in runs and slices, because a loop over single bytes costs tens of milliseconds per payload. Not done: the
32-bit match length that [MS-XCA] adds, which no payload of 64 KiB needs.
"""

from __future__ import annotations

from typing import Final

from openchange_py.wire.buffer import DecodeError

#: How far back a match may reach, in bytes.
WINDOW: Final = 8192
MINIMUM_MATCH: Final = 3
#: The longest match that the 16-bit length holds.
MAXIMUM_MATCH: Final = 0xFFFF + MINIMUM_MATCH

#: Length (less 3) where the next field takes over: the 3 bits, the nibble, the byte.
_BITS_FULL: Final = 7
_NIBBLE_FULL: Final = 15
_BYTE_FULL: Final = 255
#: Matches up to this length put all their positions into the dictionary; of longer ones only the ends matter.
_INDEXED_MATCH: Final = 16
#: After this many misses (a power of two, as a shift) the search steps one byte more: bytes that don't compress.
_PATIENCE: Final = 6


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes that `data` was compressed from. Bytes of `data` behind that are not looked at.

    Raises `DecodeError` for input that ends early, reaches back before its start, or holds more than `size`
    in one match; what is allocated never exceeds `size`.
    """
    try:
        return bytes(_decompress(data, size))
    except IndexError:
        raise DecodeError("compressed data ends early", len(data)) from None


def _decompress(data: bytes, size: int) -> bytearray:  # one loop: a call per match would double its cost
    out = bytearray()
    pos, nibble_at = 0, -1
    while len(out) < size:
        flags = data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16 | data[pos + 3] << 24
        pos += 4
        left = 32
        while left:
            literals = left - flags.bit_length()
            if literals:
                literals = min(literals, size - len(out))
                if pos + literals > len(data):
                    raise IndexError
                out += data[pos : pos + literals]
                pos += literals
                left = flags.bit_length()
            if not left or len(out) == size:
                break
            left -= 1
            flags ^= 1 << left
            match = data[pos] | data[pos + 1] << 8
            pos += 2
            length = match & 7
            if length == _BITS_FULL:
                if nibble_at < 0:
                    nibble_at = pos
                    length = data[pos] & 15
                    pos += 1
                else:
                    length = data[nibble_at] >> 4
                    nibble_at = -1
                if length == _NIBBLE_FULL:
                    length, pos = _long_length(data, pos)
                length += _BITS_FULL
            _copy(out, (match >> 3) + 1, length + MINIMUM_MATCH, size, pos)
    return out


def _long_length(data: bytes, pos: int) -> tuple[int, int]:
    """A length behind a full nibble (what is above the 3 bits), and the position after it."""
    length = data[pos]
    pos += 1
    if length == _BYTE_FULL:
        length = data[pos] | data[pos + 1] << 8
        pos += 2
        if length < _NIBBLE_FULL + _BITS_FULL:
            raise DecodeError(f"16-bit match length {length} is too small", pos - 2)
        length -= _NIBBLE_FULL + _BITS_FULL
    return length + _NIBBLE_FULL, pos


def _copy(out: bytearray, offset: int, length: int, size: int, pos: int) -> None:
    """Append a match. One that is longer than its offset repeats what it has just written."""
    start = len(out) - offset
    if start < 0:
        raise DecodeError(f"match reaches {-start} bytes before the start", pos)
    if len(out) + length > size:
        raise DecodeError(f"match of {length} bytes passes the announced size {size}", pos)
    if offset >= length:
        out += out[start : start + length]
    else:
        out += (out[start:] * (length // offset + 1))[:length]


class _Encoder:
    """The output, its open group of flags, and the nibble that the next long match may share."""

    __slots__ = ("flag_at", "flag_count", "flags", "nibble_at", "out")

    def __init__(self) -> None:
        self.out = bytearray(4)
        self.flag_at = self.flag_count = self.flags = 0
        self.nibble_at = -1

    def literals(self, data: bytes, start: int, end: int) -> None:
        while start < end:
            taken = min(end - start, 32 - self.flag_count)
            self.out += data[start : start + taken]
            start += taken
            self.flags <<= taken
            self.count(taken)

    def match(self, offset: int, length: int) -> None:
        out = self.out
        length -= MINIMUM_MATCH
        head = (offset - 1) << 3 | min(length, _BITS_FULL)
        out += head.to_bytes(2, "little")
        if length >= _BITS_FULL:
            self.nibble(min(length - _BITS_FULL, _NIBBLE_FULL))
            beyond = length - _BITS_FULL - _NIBBLE_FULL
            if beyond >= _BYTE_FULL:
                out.append(_BYTE_FULL)
                out += length.to_bytes(2, "little")
            elif beyond >= 0:
                out.append(beyond)
        self.flags = self.flags << 1 | 1
        self.count(1)

    def nibble(self, value: int) -> None:
        if self.nibble_at < 0:
            self.nibble_at = len(self.out)
            self.out.append(value)
        else:
            self.out[self.nibble_at] |= value << 4
            self.nibble_at = -1

    def count(self, items: int) -> None:
        self.flag_count += items
        if self.flag_count == 32:
            self.close_group()
            self.flag_at = len(self.out)
            self.out += b"\0\0\0\0"
            self.flags = self.flag_count = 0

    def close_group(self) -> None:
        """Put the flags in their place; unused ones are 1, which is how a decoder sees the end."""
        unused = 32 - self.flag_count
        flags = self.flags << unused | (1 << unused) - 1
        self.out[self.flag_at : self.flag_at + 4] = flags.to_bytes(4, "little")


def compress(data: bytes) -> bytes:
    """`data` compressed, greedily: the latest position with the same three bytes is taken as it comes.

    The result may be longer than `data`, by up to an eighth; the caller decides what to send.
    """
    encoder = _Encoder()
    latest: dict[bytes, int] = {}
    end = len(data) - MINIMUM_MATCH + 1
    pos = start = misses = 0
    while pos < end:
        key = data[pos : pos + 3]
        found = latest.get(key, -WINDOW - 1)
        latest[key] = pos
        if pos - found > WINDOW:
            pos += 1 + (misses >> _PATIENCE)
            misses += 1
            continue
        misses = 0
        length = _match_length(data, found, pos)
        encoder.literals(data, start, pos)
        encoder.match(pos - found, length)
        start = pos + length
        for inside in (
            range(pos + 1, min(start, end)) if length <= _INDEXED_MATCH else range(start - 2, min(start, end))
        ):
            latest[data[inside : inside + 3]] = inside
        pos = start
    encoder.literals(data, start, len(data))
    encoder.close_group()
    return bytes(encoder.out)


def _match_length(data: bytes, found: int, pos: int) -> int:
    """How many bytes at `found` and `pos` are alike, of which the first three are."""
    here, there, step = pos + MINIMUM_MATCH, found + MINIMUM_MATCH, 16
    limit = min(len(data), pos + MAXIMUM_MATCH)
    while here < limit:
        step = min(step, limit - here)
        left, right = data[there : there + step], data[here : here + step]
        if left != right:
            difference = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
            return here - pos + ((difference & -difference).bit_length() - 1 >> 3)
        here += step
        there += step
        step *= 2
    return limit - pos
