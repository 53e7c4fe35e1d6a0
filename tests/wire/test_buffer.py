"""Reading and writing of plain bytes: golden bytes, what does not fit, the end that is never passed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer

#: Name of the primitive, value, its bytes.
NUMBERS = [
    ("u8", 0xFE, "fe"),
    ("u16", 0x0102, "0201"),
    ("u32", 0x01020304, "04030201"),
    ("u64", 0x0102030405060708, "0807060504030201"),
    ("i32", -2, "feffffff"),
    ("i64", -2, "feffffffffffffff"),
]

#: Every read that takes bytes, by name.
READS: dict[str, Callable[[Reader], Any]] = {
    **{name: lambda reader, name=name: getattr(reader, name)() for name, _, _ in NUMBERS},  # type: ignore[misc]
    "string8": Reader.string8,
    "utf16": Reader.utf16,
    "rest": Reader.rest,
    "take": lambda reader: reader.take(5),
    "skip": lambda reader: reader.skip(5),
    "sub": lambda reader: reader.sub(5),
    "fields": lambda reader: reader.fields(struct.Struct("<HI")),
    "expect_end": Reader.expect_end,
}


@pytest.mark.parametrize(("name", "value", "hexed"), NUMBERS)
def test_numbers_are_little_endian(name: str, value: int, hexed: str) -> None:
    writer = Writer()
    getattr(writer, name)(value)
    assert writer.hex() == hexed
    reader = Reader(bytes(writer))
    assert getattr(reader, name)() == value
    reader.expect_end()


@pytest.mark.parametrize(("name", "value", "hexed"), NUMBERS)
def test_a_number_that_is_cut_off_is_an_error_and_takes_nothing(name: str, value: int, hexed: str) -> None:
    reader = Reader(b"\0" + bytes.fromhex(hexed)[:-1], 1)
    with pytest.raises(DecodeError, match=f"{len(hexed) // 2} bytes needed, {len(hexed) // 2 - 1} left at offset 1"):
        getattr(reader, name)()
    assert reader.pos == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("u8", 256),
        ("u8", -1),
        ("u16", 1 << 16),
        ("u16", -1),
        ("u32", 1 << 32),
        ("u64", 1 << 64),
        ("i32", 1 << 31),
        ("i64", -(1 << 63) - 1),
    ],
)
def test_a_number_that_does_not_fit_is_our_callers_mistake(name: str, value: int) -> None:
    writer = Writer()
    with pytest.raises(EncodeError, match=str(value)):
        getattr(writer, name)(value)
    assert writer == b"", "nothing is left behind"


def test_several_numbers_at_once() -> None:
    reader = Reader(bytes.fromhex("010002000000ff"))
    assert reader.fields(struct.Struct("<HI")) == (1, 2)
    assert reader.remaining == 1


def test_a_reader_never_leaves_its_part() -> None:
    whole = Reader(b"abcdefgh", 1)
    part = whole.sub(3)
    assert (part.take(2), part.remaining) == (b"bc", 1)
    with pytest.raises(DecodeError, match="2 bytes needed, 1 left at offset 3"):
        part.u16()
    assert part.rest() == b"d"
    part.expect_end()
    assert whole.rest() == b"efgh"


def test_strings_end_within_their_part_though_a_zero_stands_behind() -> None:
    data = b"ab\0\0\0"
    with pytest.raises(DecodeError, match="without terminating zero at offset 0"):
        Reader(data, 0, 2).string8()
    with pytest.raises(DecodeError, match="without terminating zero at offset 0"):
        Reader(data, 0, 3).utf16()


@pytest.mark.parametrize(("start", "end"), [(0, 4), (4, 4), (-1, 2), (2, 1)])
def test_a_part_outside_of_the_bytes_is_refused(start: int, end: int) -> None:
    with pytest.raises(DecodeError, match="lies outside 3 bytes"):
        Reader(b"abc", start, end)


@pytest.mark.parametrize("count", [-1, 4, 1 << 40])
def test_counts_that_the_bytes_do_not_justify(count: int) -> None:
    for read in (Reader.take, Reader.skip, Reader.sub):
        reader = Reader(b"abc")
        with pytest.raises(DecodeError):
            read(reader, count)
        assert reader.pos == 0


def test_announced_elements_must_fit_into_what_is_left() -> None:
    reader = Reader(bytes(10), 2)
    assert reader.count(4, 2) == 4
    with pytest.raises(DecodeError, match="5 elements announced, 8 bytes left for them at offset 2"):
        reader.count(5, 2)


def test_zero_terminated_strings() -> None:
    reader = Reader(b"Gr\xfc\xdfe\0" + "Grüße \U0001f4e7\0".encode("utf-16-le"))
    assert reader.string8() == b"Gr\xfc\xdfe"
    assert reader.utf16() == "Grüße \U0001f4e7"
    reader.expect_end()


def test_a_character_that_ends_in_a_zero_byte_does_not_end_the_string() -> None:
    """U+0100 is 00 01: with the byte before it, two zero bytes that are no character."""
    text = "aĀb"
    assert Reader(text.encode("utf-16-le") + b"\0\0").utf16() == text


def test_lone_surrogates_come_back_as_they_went_in() -> None:
    """Clients send what a user typed, half an emoji too."""
    raw = bytes.fromhex("3dd8610000dc0000")
    writer = Writer()
    writer.utf16(Reader(raw).utf16())
    assert writer == raw


def test_a_string_with_a_zero_in_it_would_be_cut_by_its_reader() -> None:
    with pytest.raises(EncodeError, match="zero byte"):
        Writer().string8(b"a\0b")
    with pytest.raises(EncodeError, match="zero character"):
        Writer().utf16("a\0b")


def test_bytes_left_over_are_an_error_with_their_place() -> None:
    reader = Reader(b"abc")
    reader.skip(1)
    with pytest.raises(DecodeError, match="2 bytes left over at offset 1"):
        reader.expect_end()


def test_an_error_names_the_fields_that_lead_to_it() -> None:
    reader = Reader(b"\x01")
    with pytest.raises(DecodeError) as caught, reader.within("rows"), reader.within("subject"):
        reader.u16()
    assert caught.value.path == ("rows", "subject")
    assert caught.value.offset == 0
    assert str(caught.value) == "rows.subject: 2 bytes needed, 1 left at offset 0"
    assert str(DecodeError("nonsense")) == "nonsense"


def test_numbers_are_put_over_bytes_that_were_written_before() -> None:
    writer = Writer(b"abcdefg")
    writer.patch_u16(1, 0x3231)
    writer.patch_u32(3, 0x36353433)
    assert writer == b"a123456"


@pytest.mark.parametrize(("at", "value"), [(0, 1 << 32), (0, -1), (1, 0), (5, 0)])
def test_a_patch_must_fit_number_and_place(at: int, value: int) -> None:
    writer = Writer(b"abcd")
    with pytest.raises(EncodeError, match=f"{value} at {at}"):
        writer.patch_u32(at, value)
    assert len(writer) == 4
    with pytest.raises(EncodeError, match="0 at 3"):
        writer.patch_u16(3, 0)


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=24),
    start=st.integers(0, 8),
    reads=st.lists(st.sampled_from(sorted(READS)), max_size=8),
)
def test_any_bytes_read_in_any_way_give_values_or_decode_errors(data: bytes, start: int, reads: list[str]) -> None:
    reader = Reader(data, min(start, len(data)))
    for name in reads:
        before = reader.pos
        error = decode_error(lambda name=name: READS[name](reader))  # type: ignore[misc]
        if error is not None:
            assert (reader.pos, error.offset) == (before, before), f"{name} failed and took bytes"
        assert before <= reader.pos <= len(data)


def decode_error(read: Callable[[], Any]) -> DecodeError | None:
    try:
        read()
    except DecodeError as error:
        return error
    return None
