"""LZ77 with DIRECT2 against the document's examples, a real server's output, and hostile input."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.lzxpress import MAXIMUM_MATCH, WINDOW, compress, decompress

ALPHABET = b"abcdefghijklmnopqrstuvwxyz"

#: [MS-XCA] 3.1 has both of [MS-OXCRPC]'s examples.
DOCUMENT_EXAMPLES = [
    (ALPHABET, "3f000000" + ALPHABET.hex()),
    (b"abc" * 100, "ffffff1f61626317000fff2601"),
]


@pytest.mark.parametrize(("plain", "packed"), DOCUMENT_EXAMPLES)
def test_document_examples(plain: bytes, packed: str) -> None:
    assert decompress(bytes.fromhex(packed), len(plain)) == plain
    assert compress(plain).hex() == packed


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_round_trip(plain: bytes) -> None:
    assert decompress(compress(plain), len(plain)) == plain


@pytest.mark.parametrize("letters", [1, 2, 3, 4, 8, 64, 256])
def test_round_trip_of_compressible_payloads(letters: int) -> None:
    chosen = random.Random(letters)
    for size in (*range(70), 1000, WINDOW + 50, 0xFFFF):
        plain = bytes(chosen.randrange(letters) for _ in range(size))
        assert decompress(compress(plain), size) == plain


@pytest.mark.parametrize("length", [3, 9, 10, 24, 25, 26, 279, 280, 281, 5000, 0xFFFF])
def test_every_length_encoding(length: int) -> None:
    """The lengths around which a match takes another field, twice, so that both halves of a nibble are used."""
    first, second = b"\x01" * length, b"\x02" * length
    plain = b"xy" + first + b"\x01" + b"z" + second + b"\x02"
    assert decompress(compress(plain), len(plain)) == plain


def test_longest_match() -> None:
    plain = bytes(MAXIMUM_MATCH + 10)
    assert decompress(compress(plain), len(plain)) == plain


def test_window_is_8192_bytes() -> None:
    """A repetition exactly one window back is found; one byte further back it can't be said."""
    chosen = random.Random(0)
    block = bytes(chosen.randrange(256) for _ in range(WINDOW))
    near, far = block + block[:200], block + b"!" + block[:200]
    assert decompress(compress(near), len(near)) == near
    assert decompress(compress(far), len(far)) == far
    assert len(compress(near)) < len(compress(far))


def test_overlapping_match_repeats_what_it_writes() -> None:
    # One literal, one match of offset 1 and length 9.
    assert decompress(bytes.fromhex("ffffff7f") + b"a" + b"\x06\x00", 10) == b"a" * 10


@pytest.mark.parametrize(
    ("packed", "size", "reason"),
    [
        ("", 1, "ends early"),
        ("000000", 1, "ends early"),
        ("00000000" + "61" * 3, 4, "ends early"),
        ("ffffff7f61", 10, "ends early"),
        ("ffffff7f6107", 10, "ends early"),
        ("ffffff7f610700", 10, "ends early"),
        ("ffffff7f6107000fff", 10, "ends early"),
        ("ffffffff0000", 3, "1 bytes before the start"),
        ("ffffff7f610e00", 10, "1 bytes before the start"),
        ("ffffff7f610600", 9, "passes the announced size"),
        ("ffffff7f6107000fffffff", 4096, "passes the announced size"),
        ("ffffff7f6107000fff1500", 4096, "too small"),
    ],
)
def test_hostile_input(packed: str, size: int, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decompress(bytes.fromhex(packed), size)


@given(st.binary(max_size=200), st.integers(0, 0xFFFF))
@settings(max_examples=200, deadline=None)
def test_any_garbage_gives_a_value_or_decode_error(data: bytes, size: int) -> None:
    try:
        plain = decompress(data, size)
    except DecodeError:
        return
    assert len(plain) == size


@given(st.lists(st.integers(0, 255), max_size=60), st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_truncated_input(values: list[int], cut: int) -> None:
    plain = bytes(values) * 3
    packed = compress(plain)
    try:
        assert decompress(packed[: len(packed) - cut], len(plain)) == plain  # only end marks were cut off
    except DecodeError:
        assert cut > 0
