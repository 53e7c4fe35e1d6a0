"""Compression between two hops: zstd, with a dictionary of what ROP buffers are made of.

A ROP buffer is short, a few hundred bytes mostly, and says little that was not said before: with a dictionary zstd
begins where it would arrive after some hundred kilobytes. Both hops must have the same one. One that was trained on the
traffic of one's own server does best: `zstd --train` makes it of ROP buffers as files.

A blob is one byte, 0 where the rest is the buffer as it was, or 1, the dictionary's id (its lower 16 bits) and a zstd
frame without magic number.

    near the client                       near the server
    modules = compress                    modules = compress
                                          mpm_compress:lasthop = yes

`mpm_compress:scope = packed` compresses what module `pack` packed and nothing else; then `compress` stands behind
`pack` at the near hop, and before it at the last one.
"""

from __future__ import annotations

import enum
import importlib.resources
from pathlib import Path
from typing import Any, Final

import zstandard

from openchange_py.config.options import Option, boolean, choice, integer, optional_path
from openchange_py.config.settings import Settings
from openchange_py.proxy.hop import HopModule
from openchange_py.rpc.call import Call
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.container import Container, ContainerId

#: What a ROP buffer can have, handle table included: SizeActual has 16 bits.
MAXIMUM_SIZE: Final = 0xFFFF
#: What a zstd frame begins with elsewhere (RFC 8878, 3.1.1).
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
#: The first byte of a blob: how it is stored.
STORED, ZSTD = b"\0", b"\1"


class Scope(enum.Enum):
    """What of a request is compressed."""

    BUFFER = "buffer"
    PACKED = "packed"


LASTHOP = Option("mpm_compress:lasthop", boolean, False, "this is the hop near the server: it decompresses requests")
LEVEL = Option("mpm_compress:level", integer(1, 19), 3, "zstd's level: more is smaller and slower")
SCOPE = Option(
    "mpm_compress:scope",
    choice(Scope, {"buffer": Scope.BUFFER, "packed": Scope.PACKED}),
    Scope.BUFFER,
    "whole ROP buffers both ways, or only what module pack packed",
)
DICTIONARY = Option(
    "mpm_compress:dictionary", optional_path, None, "a zstd dictionary, the same at both hops; default: the one shipped"
)


class CompressModule(HopModule):
    """Requests and responses shorter between two hops."""

    name = "compress"
    description = "compresses ROP buffers between two hops"
    container = ContainerId.Compressed
    #: How it is stored; zstd is used only where it helps.
    overhead = 1
    options = (LASTHOP, LEVEL, SCOPE, DICTIONARY)

    def init(self, settings: Settings) -> None:
        """Read the options and the dictionary."""
        self.lasthop = settings[LASTHOP]
        self._packed_only = settings[SCOPE] is Scope.PACKED
        dictionary = load_dictionary(settings[DICTIONARY])
        self._dictionary = (dictionary.dict_id() & 0xFFFF).to_bytes(2, "little")
        form = zstandard.FORMAT_ZSTD1_MAGICLESS
        parameters = zstandard.ZstdCompressionParameters.from_level(
            settings[LEVEL], format=form, write_dict_id=False, write_content_size=True
        )
        self._compressor = zstandard.ZstdCompressor(compression_params=parameters, dict_data=dictionary)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, format=form)

    def wrap(self, payload: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        """Compressed, or stored where that is shorter."""
        compressed = self._dictionary + self._compressor.compress(payload)
        return (ZSTD + compressed if len(compressed) < len(payload) else STORED + payload), True

    def open(self, blob: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        """The buffer, of at most what a buffer may have: a frame that promises more is not looked at."""
        how, data = blob[:1], blob[1:]
        if how == STORED:
            return data, True
        if how != ZSTD:
            raise DecodeError(f"stored in way {how.hex() or 'none'}, which is unknown", 0)
        if data[:2] != self._dictionary:
            raise DecodeError("compressed with another dictionary than this hop's", 1)
        try:
            size = zstandard.frame_content_size(_MAGIC + data[2:])
            if not 0 <= size <= MAXIMUM_SIZE:
                raise DecodeError(f"a compressed buffer of {size} bytes", 3)
            return self._decompressor.decompress(data[2:], max_output_size=MAXIMUM_SIZE), True
        except zstandard.ZstdError as error:
            raise DecodeError(str(error), 3) from None

    def _wrapped(self, call: Call, payload: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        if not self._packed_only:
            return super()._wrapped(call, payload, direction, exchange)
        try:
            buffer = RopBuffer.unpack_request(payload)
            packed = Container.unpack(ContainerId.Packed, buffer.tail)
        except DecodeError:
            return payload, None  # the server's to refuse
        if packed is None:
            return payload, None
        blob, _ = self.wrap(packed.blob, direction, exchange)
        self._count(packed.blob, blob)
        buffer.tail = Container(ContainerId.Compressed, blob).pack() + packed.rest
        return buffer.pack(), None

    def _opened(self, call: Call, payload: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        if not self._packed_only:
            return super()._opened(call, payload, direction, exchange)
        try:
            buffer = RopBuffer.unpack_request(payload)
            compressed = Container.unpack(ContainerId.Compressed, buffer.tail)
            if compressed is None:
                return payload, None
            opened, _ = self.open(compressed.blob, direction, exchange)
            self._count(opened, compressed.blob)
            buffer.tail = Container(ContainerId.Packed, opened).pack() + compressed.rest
            return buffer.pack(), None
        except (DecodeError, EncodeError) as error:
            raise self.refusal(call, error) from error


def load_dictionary(path: Path | None) -> zstandard.ZstdCompressionDict:
    """The dictionary of a file, or the one shipped. Raises `OSError`, `ValueError`."""
    if path is not None:
        data = path.read_bytes()
    else:
        data = importlib.resources.files("openchange_py.proxy.modules").joinpath("rops.zdict").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(data)
    if not dictionary.dict_id():
        raise ValueError(f"{path} is no zstd dictionary")
    return dictionary
