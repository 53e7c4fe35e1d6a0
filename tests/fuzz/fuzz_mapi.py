"""Targets of the mailbox and address book protocols: stubs, payloads, ROP buffers, LZ77."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from openchange_py.wire.auxbuffer import unpack_aux
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.lzxpress import compress, decompress
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.dissect import describe_buffer
from openchange_py.wire.rpcheaderext import pack_payload, unpack_payloads
from tests.conftest import SHARED, json_lines
from tests.fuzz.target import target


def _recorded(pattern: str, field: str, most: int = 400) -> list[bytes]:
    """Recorded bytes, where the recordings are beside the checkout."""
    found: list[bytes] = []
    for path in sorted((SHARED / "wire").glob(pattern)):
        for line in json_lines(path):
            value = line.get(field)
            texts = value if isinstance(value, list) else [value] if value else []
            found += [bytes.fromhex(text) for text in texts if text]
            if len(found) > most:
                return found[:most]
    return found


def _stub_seeds(interface: RpcInterface) -> Sequence[bytes]:
    return [bytes([opnum]) + bytes(size) for opnum in interface.methods for size in (24, 80, 200)]


def _stubs(interface: RpcInterface, data: bytes) -> None:
    """The first byte is the opnum; its upper bit makes it a response. What decodes packs to what decodes."""
    if not data:
        return
    method = interface.methods.get(data[0] & 0x7F)
    kind = None if method is None else method.response if data[0] & 0x80 else method.request
    if kind is None:
        return
    with contextlib.suppress(DecodeError, EncodeError):
        packed = kind.unpack(data[1:]).pack()
        try:
            kind.unpack(packed)
        except DecodeError as error:
            raise AssertionError(f"{kind.__name__} does not decode what it packed") from error


@target("nspi", lambda: _stub_seeds(NSPI))
def fuzz_nspi(data: bytes) -> None:
    """NSPI and RFR stubs, requests and responses."""
    _stubs(NSPI, data)
    _stubs(RFR, data)


@target("emsmdb", lambda: [*_stub_seeds(EMSMDB), *_stub_seeds(ASYNCEMSMDB)])
def fuzz_emsmdb(data: bytes) -> None:
    """EMSMDB stubs, requests and responses."""
    _stubs(EMSMDB, data)
    _stubs(ASYNCEMSMDB, data)


@target("rop", lambda: [b"\0\0" + seed for seed in _recorded("calls-*.jsonl*", "rop_request_hex")])
def fuzz_rop(data: bytes) -> None:
    """ROP buffers: a request, and the response behind it, decoded, described and packed again."""
    split = int.from_bytes(data[:2], "little")
    request_bytes, response_bytes = data[2 : 2 + split] if split else data[2:], data[2 + split :]
    states = HandleStates()
    try:
        request = RopBuffer.unpack_request(request_bytes, states)
    except DecodeError:
        return
    _described(request)
    for chained in (False, True):
        with contextlib.suppress(DecodeError):
            _described(RopBuffer.unpack_response(response_bytes, request, states, chained=chained))


def _described(buffer: RopBuffer) -> None:
    assert describe_buffer(buffer)
    with contextlib.suppress(EncodeError):
        buffer.pack()


@target("payload", lambda: [pack_payload(bytes(range(256)) * 3, compress=c, xor=x) for c in (0, 1) for x in (0, 1)])
def fuzz_payload(data: bytes) -> None:
    """RPC_HEADER_EXT chains and auxiliary buffers."""
    with contextlib.suppress(DecodeError):
        for payload in unpack_payloads(data):
            assert len(payload) <= 0xFFFF
            unpack_aux(payload)
    with contextlib.suppress(DecodeError):
        unpack_aux(data)


@target("lz77", lambda: [b"\0\x10" + compress(b"abcabcabc" * 50), b"\xff\x01" + compress(bytes(600))])
def fuzz_lz77(data: bytes) -> None:
    """LZ77: what was compressed comes back, and garbage gives no more than was announced."""
    assert decompress(compress(data), len(data)) == data
    size = int.from_bytes(data[:2], "little")
    with contextlib.suppress(DecodeError):
        assert len(decompress(data[2:], size)) == size
