"""Declared structures: the compiled layout against one written by hand, errors with their path, what does not fit."""

from __future__ import annotations

import enum
import struct
import uuid
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import (
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bytes8,
    Bytes16,
    Bytes32,
    Converted,
    Counted,
    EnumOf,
    Fixed,
    Guid,
    Rest,
    String8,
    Structure,
    Utf16,
    structure,
    structure_fields,
    u8,
    u16,
    u32,
)


class Color(enum.IntEnum):
    RED = 1
    GREEN = 2


class Bits(enum.IntFlag):
    A = 1
    B = 2


@structure
class Point(Structure):
    x: I16
    y: I16


@structure
class Everything(Structure):
    """Runs of fixed fields, broken by others, in both orders."""

    kind: U8
    flags: U16
    tag: Annotated[bytes, Fixed("3s")]
    name: String8
    number: U32
    big: U64
    small: I32
    least: I64
    color: Annotated[int, EnumOf(u8, Color)]
    bits: Annotated[Bits, Converted(u16, Bits)]
    id: Guid
    title: Utf16
    short: Bytes8
    medium: Bytes16
    long: Bytes32
    origin: Point
    path: Annotated[list[Point], Counted(u8, Point)]
    numbers: Annotated[list[int], Counted(u32, u16)]
    tail: Rest


EXAMPLE = Everything(
    kind=1,
    flags=0x0203,
    tag=b"tag",
    name=b"name",
    number=4,
    big=5,
    small=-6,
    least=-7,
    color=Color.GREEN,
    bits=Bits.A | Bits.B,
    id=uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
    title="Tü",
    short=b"s",
    medium=b"mm",
    long=b"",
    origin=Point(1, -1),
    path=[Point(2, 3), Point(4, 5)],
    numbers=[6, 7],
    tail=b"tail",
)

EXAMPLE_HEX = (
    "01"
    "0302"
    "746167"
    "6e616d6500"
    "04000000"
    "0500000000000000"
    "faffffff"
    "f9ffffffffffffff"
    "02"
    "0300"
    "33221100554477668899aabbccddeeff"
    "5400fc000000"
    "0173"
    "02006d6d"
    "00000000"
    "0100ffff"
    "02"
    "02000300"
    "04000500"
    "02000000"
    "0600"
    "0700"
    "7461696c"
)


def by_hand(value: Everything) -> bytes:
    """The layout, field by field with `struct`: what the compiled code must equal."""
    points = [value.origin, *value.path]
    packed = [struct.pack("<hh", point.x, point.y) for point in points]
    return b"".join(
        [
            struct.pack("<BH", value.kind, value.flags) + value.tag + value.name + b"\0",
            struct.pack("<IQiqBH", value.number, value.big, value.small, value.least, value.color, value.bits),
            value.id.bytes_le + value.title.encode("utf-16-le", "surrogatepass") + b"\0\0",
            struct.pack("<B", len(value.short)) + value.short,
            struct.pack("<H", len(value.medium)) + value.medium,
            struct.pack("<I", len(value.long)) + value.long,
            packed[0] + struct.pack("<B", len(packed) - 1) + b"".join(packed[1:]),
            struct.pack(f"<I{len(value.numbers)}H", len(value.numbers), *value.numbers) + value.tail,
        ]
    )


points = st.builds(Point, st.integers(-(1 << 15), (1 << 15) - 1), st.integers(-(1 << 15), (1 << 15) - 1))
values = st.builds(
    Everything,
    kind=st.integers(0, 255),
    flags=st.integers(0, 0xFFFF),
    tag=st.binary(min_size=3, max_size=3),
    name=st.binary(max_size=5).map(lambda raw: raw.replace(b"\0", b"")),
    number=st.integers(0, (1 << 32) - 1),
    big=st.integers(0, (1 << 64) - 1),
    small=st.integers(-(1 << 31), (1 << 31) - 1),
    least=st.integers(-(1 << 63), (1 << 63) - 1),
    color=st.integers(0, 255),
    bits=st.integers(0, 3).map(Bits),
    id=st.uuids(),
    title=st.text(st.characters(exclude_characters="\0"), max_size=4),
    short=st.binary(max_size=4),
    medium=st.binary(max_size=4),
    long=st.binary(max_size=4),
    origin=points,
    path=st.lists(points, max_size=3),
    numbers=st.lists(st.integers(0, 0xFFFF), max_size=3),
    tail=st.binary(max_size=4),
)


def test_golden_bytes() -> None:
    assert EXAMPLE.pack().hex() == EXAMPLE_HEX
    assert Everything.unpack(bytes.fromhex(EXAMPLE_HEX)) == EXAMPLE


@settings(max_examples=200, deadline=None)
@given(values)
def test_the_compiled_layout_is_the_one_written_by_hand(value: Everything) -> None:
    assert value.pack() == by_hand(value)
    assert Everything.unpack(by_hand(value)) == value


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120) | st.binary(max_size=40).map(lambda raw: bytes.fromhex(EXAMPLE_HEX)[:40] + raw))
def test_any_garbage_gives_a_value_or_decode_error(data: bytes) -> None:
    try:
        value = Everything.unpack(data)
    except DecodeError as error:
        problem = error
    else:
        assert value.pack() == data
        return
    assert problem.path
    assert problem.offset is not None
    assert problem.offset <= len(data)


def test_cut_off_anywhere_it_is_an_error_that_names_the_field() -> None:
    whole = bytes.fromhex(EXAMPLE_HEX)
    for size in range(len(whole) - len(EXAMPLE.tail)):
        with pytest.raises(DecodeError) as caught:
            Everything.unpack(whole[:size])
        assert caught.value.path, f"cut to {size} bytes"


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (4, "kind..tag: 6 bytes needed, 4 left at offset 0"),
        (9, "name: string without terminating zero at offset 6"),
        (35, "color: 1 bytes needed, 0 left at offset 35"),
        (67, "long: 4 bytes needed, 1 left at offset 66"),
        (75, "path: 2 elements announced, 0 bytes left for them at offset 75"),
        (79, "path.x..y: 4 bytes needed, 0 left at offset 79"),
    ],
)
def test_an_error_says_which_field_and_where(size: int, words: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Everything.unpack(bytes.fromhex(EXAMPLE_HEX)[:size])
    assert str(caught.value) == words


def test_a_count_is_no_licence_to_allocate() -> None:
    @structure
    class Numbers(Structure):
        numbers: Annotated[list[int], Counted(u32, u8)]

    with pytest.raises(DecodeError, match="numbers: 4294967295 elements announced, 3 bytes left"):
        Numbers.unpack(b"\xff\xff\xff\xff" + b"abc")


def test_even_elements_of_no_size_are_bounded_by_the_bytes() -> None:
    @structure
    class Nothing(Structure):
        pass

    elements = Counted(u32, Nothing)
    with pytest.raises(DecodeError, match="4294967295 elements announced"):
        elements.read(Reader(b"\xff\xff\xff\xff"))
    assert elements.read(Reader(bytes(4))) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 256),
        ("kind", -1),
        ("flags", 1 << 16),
        ("number", "four"),
        ("small", 1 << 31),
        ("color", 256),
        ("bits", 1 << 16),
        ("tag", b"ta"),
        ("tag", b"tags"),
        ("name", b"na\0me"),
        ("title", "ti\0tle"),
        ("short", bytes(256)),
        ("medium", bytes(1 << 16)),
        ("path", [Point(0, 0)] * 256),
        ("path", [Point(1 << 15, 0)]),
        ("numbers", [-1]),
    ],
)
def test_what_does_not_fit_its_field_is_our_callers_mistake(field: str, value: Any) -> None:
    wrong = Everything.unpack(bytes.fromhex(EXAMPLE_HEX))
    setattr(wrong, field, value)
    with pytest.raises(EncodeError):
        wrong.pack()


def test_bytes_of_a_wrong_length_are_named_instead_of_cut() -> None:
    with pytest.raises(EncodeError, match="Everything: tag: 4 bytes in a field of 3"):
        example_with(tag=b"tags").pack()
    with pytest.raises(EncodeError, match="4 bytes in a field of 3"):
        Fixed("3s").write(Writer(), b"tags")


def example_with(**changed: Any) -> Everything:
    value = Everything.unpack(EXAMPLE.pack())
    for name, field in changed.items():
        setattr(value, name, field)
    return value


def test_a_number_without_a_name_is_kept() -> None:
    value = Everything.unpack(example_with(color=77).pack())
    assert value.color == 77
    assert not isinstance(value.color, Color)
    assert isinstance(Everything.unpack(EXAMPLE.pack()).color, Color)


def test_bytes_behind_the_last_field_are_an_error() -> None:
    with pytest.raises(DecodeError, match="1 bytes left over at offset 4"):
        Point.unpack(bytes(5))


def test_several_are_read_from_one_buffer() -> None:
    reader = Reader(bytes.fromhex("0100020003000400"))
    assert [Point.read(reader), Point.read(reader)] == [Point(1, 2), Point(3, 4)]
    reader.expect_end()


def test_a_layout_written_by_hand_is_left_alone() -> None:
    @structure
    class Odd(Structure):
        present: U8
        value: U16 = 0

        @classmethod
        def read(cls, reader: Reader) -> Odd:
            present = reader.u8()
            return cls(present, reader.u16() if present else 0)

        def write(self, writer: Writer) -> None:
            writer.u8(self.present)
            if self.present:
                writer.u16(self.value)

    @structure
    class Named(Odd):
        """Another name for the same layout."""

    assert Named.unpack(b"\0") == Named(0)
    assert type(Named.unpack(b"\1\2\0")) is Named
    assert Named(1, 2).pack() == b"\1\2\0"


def test_half_a_layout_by_hand_has_the_other_half_compiled() -> None:
    @structure
    class Lenient(Structure):
        value: U16

        @classmethod
        def read(cls, reader: Reader) -> Lenient:
            return cls(reader.u16() if reader.remaining else 7)

    assert Lenient.unpack(b"") == Lenient(7)
    assert Lenient(7).pack() == b"\7\0"


def test_a_field_without_layout_is_refused_when_it_is_declared() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.number: <class 'int'> has no codec"):

        @structure
        class Wrong(Structure):
            number: int


def test_fields_are_told_in_wire_order() -> None:
    assert structure_fields(Point(1, 2)) == [("x", 1), ("y", 2)]


def test_structures_keep_no_unknown_attributes() -> None:
    """A module that misspells a field learns it, instead of sending the old value."""
    with pytest.raises(AttributeError):
        Point(1, 2).z = 3  # type: ignore[attr-defined]
