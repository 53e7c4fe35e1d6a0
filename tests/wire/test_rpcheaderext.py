"""Extended buffers: headers, chains, and everything that may be wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.rpcheaderext import (
    MAXIMUM_PAYLOADS,
    RpcHeaderExt,
    RpcHeaderFlags,
    decompressed_size,
    extended_buffers,
    may_contain_any,
    obfuscate,
    pack_payload,
    pack_payloads,
    unpack_payloads,
)
from tests.conftest import SHARED, json_lines


def test_header_golden_bytes() -> None:
    """[MS-OXCRPC] 4.3: Version 0, Last, Size and SizeActual 0x152."""
    header = RpcHeaderExt.unpack(bytes.fromhex("0000040052015201"))
    assert header == RpcHeaderExt(0, RpcHeaderFlags.Last, 0x152, 0x152)
    assert header.pack().hex() == "0000040052015201"


def test_obfuscation_is_xor_a5() -> None:
    assert obfuscate(bytes.fromhex("00a5ff")) == bytes.fromhex("a5005a")
    assert obfuscate(obfuscate(bytes(range(256)))) == bytes(range(256))


@pytest.mark.parametrize(
    ("compress", "xor", "packed"),
    [
        (False, False, "00000400" + "2c012c01" + "616263" * 100),
        (False, True, "00000600" + "2c012c01" + "c4c7c6" * 100),
        (True, False, "00000500" + "0d002c01" + "ffffff1f61626317000fff2601"),
        (True, True, "00000700" + "0d002c01" + "5a5a5abac4c7c6b2a5aa5a83a4"),
    ],
)
def test_payload_golden_bytes(compress: bool, xor: bool, packed: str) -> None:
    payload = b"abc" * 100
    assert pack_payload(payload, compress=compress, xor=xor).hex() == packed
    assert unpack_payloads(bytes.fromhex(packed)) == [payload]


def test_payload_that_does_not_compress_goes_out_as_it_is() -> None:
    assert pack_payload(b"abcdef", compress=True).hex() == "00000400" + "06000600" + b"abcdef".hex()


def test_empty_buffer_has_no_payload() -> None:
    assert unpack_payloads(b"") == []


def test_chain_of_payloads_each_with_its_own_flags() -> None:
    first, second, third = b"one" * 50, b"two", b"three" * 40
    chain = (
        pack_payload(first, compress=True, last=False)
        + pack_payload(second, xor=True, last=False)
        + pack_payload(third, compress=True, xor=True)
    )
    assert unpack_payloads(chain) == [first, second, third]
    assert [buffer.flags for buffer in extended_buffers(chain)] == [1, 2, 7]
    assert pack_payloads([first, second]) == pack_payload(first, last=False) + pack_payload(second)


@pytest.mark.parametrize(
    ("rgb", "reason"),
    [
        ("00", "8 bytes needed"),
        ("01000400" + "00000000", "version 1"),
        ("00000400" + "04000400" + "0000", "4 bytes needed, 2 left"),
        ("00000400" + "02000300" + "0000", "Size 2 and SizeActual 3"),
        ("00000400" + "00000000" + "00", "1 bytes left over"),
        ("00000000" + "00000000", "8 bytes needed, 0 left"),
        ("00000500" + "06000300" + "ffffffff0000", "before the start"),
    ],
)
def test_wrong_buffers(rgb: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        unpack_payloads(bytes.fromhex(rgb))


def test_totals_are_bounded() -> None:
    """Chained payloads of almost no bytes that decompress to 64 KiB each."""
    bomb = pack_payload(bytes(0xFFFF), compress=True, last=False)
    assert len(bomb) < 30
    with pytest.raises(DecodeError, match="exceed what one call may hold"):
        unpack_payloads(bomb * MAXIMUM_PAYLOADS)
    with pytest.raises(DecodeError, match="exceed what one call may hold"):
        unpack_payloads(bomb + pack_payload(b""), total=0xFFFE)
    with pytest.raises(DecodeError, match="more than 96 payloads"):
        unpack_payloads(pack_payload(b"", last=False) * 1000)


def test_payload_that_size_actual_cannot_say() -> None:
    with pytest.raises(EncodeError, match="16 bits"):
        pack_payload(bytes(0x10000))


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_round_trip(payloads: list[bytes], compress: bool, xor: bool) -> None:
    assert unpack_payloads(pack_payloads(payloads, compress=compress, xor=xor)) == payloads


@given(st.binary(max_size=100), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_any_garbage_gives_a_value_or_decode_error(data: bytes, flags: int) -> None:
    for rgb in (data, bytes((0, 0, flags, 0, len(data), 0)) + data):
        try:
            payloads = unpack_payloads(rgb)
        except DecodeError:
            continue
        assert all(len(payload) <= 0xFFFF for payload in payloads)


@pytest.mark.parametrize("path", sorted((SHARED / "wire").glob("mapihttp-[pr]*")), ids=lambda path: path.name)
def test_recorded_execute_bodies(path: Path) -> None:
    """MAPI over HTTP: what a real server compressed reads as what another decoder found there."""
    executed = [call for call in json_lines(path) if call["request_type"] == "Execute" and call.get("rop_response_hex")]
    assert executed
    flags = set()
    for call in executed:
        body = bytes.fromhex(call["response_body_hex"]).partition(b"\r\n\r\n")[2]
        size = int.from_bytes(body[12:16], "little")  # behind StatusCode, ErrorCode and Flags
        rgb = body[16 : 16 + size]
        flags |= {int(buffer.flags) for buffer in extended_buffers(rgb)}
        assert [payload.hex() for payload in unpack_payloads(rgb)] == call["rop_response_hex"]
    assert any(value & RpcHeaderFlags.Compressed for value in flags) == ("compressed" in path.name)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.booleans(), st.booleans(), st.integers(0, 255))
def test_a_byte_that_is_in_a_payload_is_never_missed(
    payloads: list[bytes], compress: bool, xor: bool, value: int
) -> None:
    chain = pack_payloads([payload * 3 for payload in payloads], compress=compress, xor=xor)
    assert may_contain_any(chain, bytes([value])) or all(value not in payload for payload in payloads)


def test_a_byte_that_is_nowhere_is_known_to_be() -> None:
    assert not may_contain_any(b"", b"\xfe")
    assert not may_contain_any(pack_payloads([b"abc" * 100, b"def"], compress=True, xor=True), b"\xfe")
    assert not may_contain_any(pack_payloads([bytes([0xFE ^ 0xA5])]), b"\xfe")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 255))
def test_looking_for_a_byte_in_garbage(rgb: bytes, value: int) -> None:
    """What can be read in full and holds the byte is not missed; a wrong chain is one here as well."""
    try:
        found = may_contain_any(rgb, bytes([value]))
    except DecodeError:
        with pytest.raises(DecodeError):
            unpack_payloads(rgb)
        return
    if not found:
        try:
            payloads = unpack_payloads(rgb)
        except DecodeError:
            return
        assert all(value not in payload for payload in payloads)


@pytest.mark.parametrize("rgb", ["0000", "01000400" + "0000" * 2, "0000040005000500aabb", "00000000" + "0000" * 2])
def test_looking_into_a_wrong_chain(rgb: str) -> None:
    with pytest.raises(DecodeError):
        may_contain_any(bytes.fromhex(rgb), b"\xfe")


@pytest.mark.parametrize("compress", [False, True])
def test_the_size_of_payloads_is_known_without_reading_them(compress: bool) -> None:
    chain = pack_payloads([b"abc" * 100, b"def"], compress=compress)
    assert decompressed_size(chain) == 303
    assert decompressed_size(b"") == 0
    with pytest.raises(DecodeError):
        decompressed_size(chain[:-1])


@pytest.mark.parametrize("xor", [False, True])
def test_several_bytes_are_sought_at_once(xor: bool) -> None:
    rgb = pack_payloads([b"\x01\x02", b"\x03"], xor=xor)
    assert may_contain_any(rgb, b"\x77\x03")
    assert not may_contain_any(rgb, b"\x77\x78")
    assert not may_contain_any(b"", b"\x01")
    with pytest.raises(DecodeError):
        may_contain_any(rgb[:-1], b"\x77")
