"""Restrictions of all types."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from openchange_py.wire.oxcdata.restrictions import (
    MAXIMUM_DEPTH,
    AndRestriction,
    BitmapRelOp,
    BitMaskRestriction,
    CommentRestriction,
    ComparePropertiesRestriction,
    ContentRestriction,
    CountRestriction,
    ExistRestriction,
    FuzzyLevelHigh,
    FuzzyLevelLow,
    NotRestriction,
    OrRestriction,
    PropertyRestriction,
    RelOp,
    Restriction,
    SizedRestriction,
    SizeRestriction,
    SubObjectRestriction,
    read_restriction,
)
from openchange_py.wire.proptags import (
    PidTagImportance,
    PidTagMessageFlags,
    PidTagMessageRecipients,
    PidTagMessageSize,
    PidTagSubject,
)
from tests.wire.oxcdata.strategies import bytes_or_decode_error, garbage, restrictions

EXIST = ExistRestriction(PidTagSubject)
HIGH = TaggedPropertyValue(PidTagImportance, 2)

# Layouts of [MS-OXCDATA] 2.12.1 to 2.12.12, each written out by hand.
GOLDEN: list[tuple[Restriction, str]] = [
    (AndRestriction([EXIST, EXIST]), "00 02 00 08 1f 00 37 00 08 1f 00 37 00"),
    (OrRestriction([]), "01 00 00"),
    (NotRestriction(EXIST), "02 08 1f 00 37 00"),
    (
        ContentRestriction(
            FuzzyLevelLow.Prefix, FuzzyLevelHigh.IgnoreCase, PidTagSubject, TaggedPropertyValue(PidTagSubject, "a")
        ),
        "03 02 00 01 00 1f 00 37 00 1f 00 37 00 61 00 00 00",
    ),
    (PropertyRestriction(RelOp.Equal, PidTagImportance, HIGH), "04 04 03 00 17 00 03 00 17 00 02 00 00 00"),
    (
        ComparePropertiesRestriction(RelOp.LessThan, PidTagImportance, PidTagMessageSize),
        "05 00 03 00 17 00 03 00 08 0e",
    ),
    (BitMaskRestriction(BitmapRelOp.EqualToZero, PidTagMessageFlags, 1), "06 00 03 00 07 0e 01 00 00 00"),
    (SizeRestriction(RelOp.GreaterThan, PidTagSubject, 10), "07 02 1f 00 37 00 0a 00 00 00"),
    (EXIST, "08 1f 00 37 00"),
    (SubObjectRestriction(PidTagMessageRecipients, EXIST), "09 0d 00 12 0e 08 1f 00 37 00"),
    (CommentRestriction([HIGH], EXIST), "0a 01 03 00 17 00 02 00 00 00 01 08 1f 00 37 00"),
    (CommentRestriction([], None), "0a 00 00"),
    (CountRestriction(5, EXIST), "0b 05 00 00 00 08 1f 00 37 00"),
]


@pytest.mark.parametrize(("restriction", "raw"), GOLDEN)
def test_wire_form_of_each_type(restriction: Restriction, raw: str) -> None:
    assert restriction.pack().hex(" ") == raw
    assert Restriction.unpack(bytes.fromhex(raw)) == restriction
    assert type(restriction).unpack(bytes.fromhex(raw)) == restriction


@settings(max_examples=200, deadline=None)
@given(restrictions)
def test_restrictions_come_back(restriction: Restriction) -> None:
    assert Restriction.unpack(restriction.pack()) == restriction


@settings(max_examples=300, deadline=None)
@given(garbage)
def test_garbage_is_a_restriction_or_a_decode_error(data: bytes) -> None:
    bytes_or_decode_error(data, read_restriction)


@settings(max_examples=200, deadline=None)
@given(restrictions, garbage)
def test_a_spoilt_restriction_is_a_restriction_or_a_decode_error(restriction: Restriction, data: bytes) -> None:
    raw = restriction.pack()
    bytes_or_decode_error(raw[: len(raw) // 2] + data, read_restriction)


def test_depth_is_bounded() -> None:
    nested = b"\2" * (MAXIMUM_DEPTH - 1) + EXIST.pack()
    assert Restriction.unpack(nested).pack() == nested
    for raw in (b"\2" + nested, b"\2" * 60000, b"\0\1\0" * 20000, b"\x0a\0\1" * 20000):
        with pytest.raises(DecodeError, match="nest deeper"):
            read_restriction(Reader(raw))


@pytest.mark.parametrize("raw", ["0c", "00 ff ff 08", "0a 00 02", "08 00", "", "04 04 03 00 17 00 fd 00 79 66 08"])
def test_what_is_no_restriction_is_refused(raw: str) -> None:
    with pytest.raises(DecodeError):
        read_restriction(Reader(bytes.fromhex(raw)))


def test_an_error_tells_where_it_is() -> None:
    with pytest.raises(DecodeError, match=r"^AndRestriction\.NotRestriction: RestrictType 0x20 is unknown at offset 4"):
        read_restriction(Reader(bytes.fromhex("00 01 00 02 20 00")))


def test_another_restriction_than_the_expected_one_is_refused() -> None:
    with pytest.raises(DecodeError, match="ExistRestriction where a AndRestriction is expected"):
        AndRestriction.unpack(EXIST.pack())


@pytest.mark.parametrize(("value", "raw"), [(EXIST, "05 00 08 1f 00 37 00"), (None, "00 00")])
def test_a_restriction_behind_its_size(value: Restriction | None, raw: str) -> None:
    writer = Writer()
    SizedRestriction().write(writer, value)
    assert bytes(writer).hex(" ") == raw
    assert SizedRestriction().read(Reader(bytes(writer))) == value


def test_the_size_of_a_restriction_must_be_right() -> None:
    for raw in ("06 00 08 1f 00 37 00 00", "04 00 08 1f 00 37 00"):
        with pytest.raises(DecodeError):
            SizedRestriction().read(Reader(bytes.fromhex(raw)))
    with pytest.raises(EncodeError, match="bytes"):
        SizedRestriction().write(Writer(), AndRestriction([EXIST] * 20000))
    with pytest.raises(EncodeError):
        CommentRestriction([HIGH] * 256, None).pack()
