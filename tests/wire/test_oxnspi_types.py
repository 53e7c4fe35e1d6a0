import contextlib
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import NdrReader, NdrWriter
from openchange_py.wire.oxnspi_types import (
    STAT,
    PropertyRow_r,
    PropertyValue_r,
    read_row,
    read_rows,
    read_stat,
    read_strings,
    read_tags,
    read_value,
    read_wstrings,
    write_row,
    write_rows,
    write_stat,
    write_strings,
    write_tags,
    write_value,
    write_wstrings,
)


def written(write: Any, value: Any) -> bytes:
    writer = NdrWriter()
    write(writer, value)
    return bytes(writer)


def read(function: Any, data: bytes) -> Any:
    reader = NdrReader(data)
    value = function(reader)
    reader.expect_end()
    return value


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
RAW = st.binary(max_size=20)
RAW8 = RAW.map(lambda raw: raw.replace(b"\0", b"x"))
GUID = st.uuids()
TIME = st.integers(0, (1 << 64) - 1)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
INT16 = st.integers(-(1 << 15), (1 << 15) - 1)
ANY = {
    0x0000: st.integers(0, 0xFFFFFFFF),
    0x0001: st.integers(0, 0xFFFFFFFF),
    0x000D: st.integers(0, 0xFFFFFFFF),
    0x0002: INT16,
    0x0003: INT32,
    0x000A: st.integers(0, 0xFFFFFFFF),
    0x000B: st.integers(0, 0xFFFF),
    0x001E: st.none() | RAW8,
    0x001F: st.none() | TEXT,
    0x0040: TIME,
    0x0048: st.none() | GUID,
    0x0102: st.none() | RAW,
    0x1002: st.none() | st.lists(INT16, max_size=4),
    0x1003: st.none() | st.lists(INT32, max_size=4),
    0x101E: st.none() | st.lists(st.none() | RAW8, max_size=4),
    0x101F: st.none() | st.lists(st.none() | TEXT, max_size=4),
    0x1040: st.none() | st.lists(TIME, max_size=4),
    0x1048: st.none() | st.lists(st.none() | GUID, max_size=4),
    0x1102: st.none() | st.lists(st.none() | RAW, max_size=4),
}
VALUES = st.sampled_from(sorted(ANY)).flatmap(
    lambda kind: st.builds(
        PropertyValue_r, st.integers(0, 0xFFFF).map(lambda number: number << 16 | kind), ANY[kind], st.integers(0, 5)
    )
)
ROWS = st.builds(PropertyRow_r, st.none() | st.lists(VALUES, max_size=5), st.integers(0, 5))


@settings(max_examples=300, deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_rows_of_every_type_come_back(rows: list[PropertyRow_r]) -> None:
    assert read(read_rows, written(write_rows, rows)) == rows


@settings(max_examples=200, deadline=None)
@given(VALUES, st.integers(0, 3))
def test_a_value_comes_back_wherever_it_stands(value: PropertyValue_r, offset: int) -> None:
    writer = NdrWriter()
    writer += bytes(offset)
    write_value(writer, value)
    reader = NdrReader(bytes(writer), offset)
    assert read_value(reader) == value
    reader.expect_end()


@pytest.mark.parametrize(
    ("tag", "value", "expected"),
    [
        (0x00020003, -1, "03000200 00000000 03000000 ffffffff"),
        (0x00020002, -2, "02000200 00000000 02000000 feff"),
        (0x0002000B, 1, "0b000200 00000000 0b000000 0100"),
        (0x0002000A, 0x8004010F, "0a000200 00000000 0a000000 0f010480"),
        (0x00020040, 0x0102030405060708, "40000200 00000000 40000000 08070605 04030201"),
        (0x0002001E, b"ab", "1e000200 00000000 1e000000 00000200 03000000 00000000 03000000 616200"),
        (0x0002001F, "ä", "1f000200 00000000 1f000000 00000200 02000000 00000000 02000000 e4000000"),
        (0x0002001F, None, "1f000200 00000000 1f000000 00000000"),
        (0x00020102, b"abc", "02010200 00000000 02010000 03000000 00000200 03000000 616263"),
        (0x00020048, uuid.UUID(int=1), "48000200 00000000 48000000 00000200" + "00" * 15 + "01"),
        (0x00021002, [1, -1], "02100200 00000000 02100000 02000000 00000200 02000000 0100ffff"),
        (0x00021040, [1], "40100200 00000000 40100000 01000000 00000200 01000000 01000000 00000000"),
        (
            0x0002101E,
            [b"a", None],
            "1e100200 00000000 1e100000 02000000 00000200 02000000 04000200 00000000 02000000 00000000 02000000 6100",
        ),
        (
            0x00021102,
            [b"a", b""],
            "02110200 00000000 02110000 02000000 00000200 02000000 01000000 04000200 00000000 08000200"
            "01000000 61 000000 00000000",
        ),
    ],
)
def test_each_arm_of_the_union(tag: int, value: Any, expected: str) -> None:
    # Layouts by [MS-OXNSPI] 2.2.2.11 and C706 14.3: pointers' targets behind the whole structure.
    assert written(write_value, PropertyValue_r(tag, value)).hex() == expected.replace(" ", "")
    assert read(read_value, bytes.fromhex(expected)) == PropertyValue_r(tag, value)


def test_a_short_value_is_padded_between_others_but_not_at_the_end() -> None:
    short = PropertyValue_r(0x0002000B, 1)
    assert len(written(write_row, PropertyRow_r([short, short]))) == 12 + 4 + 16 + 14


def test_null_and_empty_arrays_are_different() -> None:
    assert written(write_row, PropertyRow_r(None)).hex() == "00000000" * 3
    assert written(write_row, PropertyRow_r([])).hex() == "0000000000000000" + "00000200" + "00000000"


def test_a_value_whose_union_arm_is_not_its_tag_s_is_refused() -> None:
    with pytest.raises(DecodeError, match="0x00020003 has a value of type 0x000B"):
        read(read_value, bytes.fromhex("03000200 00000000 0b000000 01000000"))


def test_a_type_that_the_protocol_does_not_have_is_refused_both_ways() -> None:
    with pytest.raises(DecodeError, match="no value of type 0x0014"):
        read(read_value, bytes.fromhex("14000200 00000000 14000000 0100000000000000"))
    with pytest.raises(EncodeError, match="no value of type 0x0014"):
        written(write_value, PropertyValue_r(0x00020014, 1))


@pytest.mark.parametrize(
    ("tag", "value"),
    [(0x00020003, 1 << 32), (0x0002000B, 70_000), (0x00020003, None), (0x0002001F, "a\0b"), (0x0002001E, b"a\0b")],
)
def test_what_does_not_fit_is_our_caller_s_mistake(tag: int, value: Any) -> None:
    with pytest.raises(EncodeError):
        written(write_value, PropertyValue_r(tag, value))


@pytest.mark.parametrize(
    "data",
    [
        "ffffff7f ffffff7f",  # rows without end
        "01000000 01000000 00000000 a0860100 00000200 a0860100",  # 100,000 values in no bytes
        "01000000 02000000",  # two counts that disagree
        "01000000 01000000 00000000 05000000 00000000",  # values behind a null pointer
    ],
)
def test_a_count_that_the_bytes_do_not_justify_is_refused(data: str) -> None:
    with pytest.raises(DecodeError):
        read(read_rows, bytes.fromhex(data))


def test_a_binary_larger_than_the_protocol_has_is_refused() -> None:
    size = (2_097_153).to_bytes(4, "little")
    head = bytes.fromhex("02010200 00000000 02010000") + size + bytes.fromhex("00000200") + size
    with pytest.raises(DecodeError, match="at most 2097152"):
        read(read_value, head + bytes(2_097_153))


def test_a_stat() -> None:
    stat = STAT(0, 1, 2, -3, 4, 5, 1252, 1033, 1031)
    assert written(write_stat, stat).hex() == (
        "000000000100000002000000fdffffff0400000005000000e40400000904000007040000"
    )
    assert read(read_stat, written(write_stat, stat)) == stat


def test_tags_and_strings() -> None:
    assert read(read_tags, written(write_tags, [1, 2])) == [1, 2]
    assert read(read_strings, written(write_strings, [b"a", None, b""])) == [b"a", None, b""]
    assert read(read_wstrings, written(write_wstrings, ["ä", None])) == ["ä", None]


def test_tags_with_another_maximum_count_are_accepted_if_it_is_not_too_small() -> None:
    assert read(read_tags, bytes.fromhex("05000000 01000000 00000000 01000000 1f000130")) == [0x3001001F]
    with pytest.raises(DecodeError):
        read(read_tags, bytes.fromhex("00000000 01000000 00000000 01000000 1f000130"))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([read_rows, read_row, read_value, read_tags, read_strings, read_wstrings]), st.binary())
def test_any_garbage_gives_a_value_or_a_decode_error(function: Any, data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert function(NdrReader(data)) is not None
