"""Property values of every type in ROP buffers."""

from __future__ import annotations

import math
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType, TaggedPropertyValue
from openchange_py.wire.oxcdata.values import (
    READERS,
    WRITERS,
    TypedPropertyValue,
    read_nested_tagged,
    read_tagged,
    read_value,
    tagged_value,
    write_tagged,
    write_value,
)
from openchange_py.wire.proptags import PidTagRuleActions, PidTagRuleCondition, PidTagSubject
from tests.wire.oxcdata.strategies import (
    PLAIN,
    bytes_or_decode_error,
    garbage,
    restrictions,
    rule_actions,
    tagged_values,
)

T = PropertyType


def packed(kind: int, value: Any) -> str:
    writer = Writer()
    write_value(writer, kind, value)
    return bytes(writer).hex(" ")


def unpacked(kind: int, raw: str) -> Any:
    reader = Reader(bytes.fromhex(raw))
    value = read_value(reader, kind)
    reader.expect_end()
    return value


# Layouts of [MS-OXCDATA] 2.11.1, each written out by hand.
GOLDEN = [
    (T.Integer16, -2, "fe ff"),
    (T.Integer32, -1, "ff ff ff ff"),
    (T.Integer64, 0xBD88F10000000001, "01 00 00 00 00 f1 88 bd"),
    (T.Currency, -10000, "f0 d8 ff ff ff ff ff ff"),
    (T.Floating32, 1.5, "00 00 c0 3f"),
    (T.Floating64, -2.0, "00 00 00 00 00 00 00 c0"),
    (T.FloatingTime, 2.25, "00 00 00 00 00 00 02 40"),
    (T.ErrorCode, 0x8004010F, "0f 01 04 80"),
    (T.Boolean, True, "01"),
    (T.Boolean, False, "00"),
    (T.String8, b"H\xf6", "48 f6 00"),
    (T.String, "Hö", "48 00 f6 00 00 00"),
    (T.String, "", "00 00"),
    (T.String, "\u0100\u0001", "00 01 01 00 00 00"),
    (T.Time, 116444736000000000, "00 80 3e d5 de b1 9d 01"),
    (T.Guid, uuid.UUID("00062008-0000-0000-c000-000000000046"), "08 20 06 00 00 00 00 00 c0 00 00 00 00 00 00 46"),
    (T.Binary, b"ab", "02 00 61 62"),
    (T.Object, b"", "00 00"),
    (T.ServerId, b"\1", "01 00 01"),
    (T.Null, None, ""),
    (T.MultipleInteger32, [1, 2], "02 00 00 00 01 00 00 00 02 00 00 00"),
    (T.MultipleString, ["a", ""], "02 00 00 00 61 00 00 00 00 00"),
    (T.MultipleBinary, [b"", b"x"], "02 00 00 00 00 00 01 00 78"),
    (T.Unspecified, TypedPropertyValue(T.Integer16, 7), "02 00 07 00"),
]


@pytest.mark.parametrize(("kind", "value", "raw"), GOLDEN)
def test_wire_form_of_each_type(kind: int, value: Any, raw: str) -> None:
    assert packed(kind, value) == raw
    assert unpacked(kind, raw) == value


def test_every_property_type_is_known() -> None:
    assert {int(kind) for kind in PropertyType} <= set(READERS)
    assert set(READERS) == set(WRITERS)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_values_come_back(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(PLAIN)))
    value = data.draw(PLAIN[kind])
    writer = Writer()
    write_value(writer, kind, value)
    reader = Reader(bytes(writer))
    assert read_value(reader, kind) == value
    reader.expect_end()


@settings(max_examples=100, deadline=None)
@given(restrictions, rule_actions)
def test_values_that_hold_others_come_back(restriction: Any, actions: Any) -> None:
    for tag, value in ((PidTagRuleCondition, restriction), (PidTagRuleActions, actions)):
        tagged = TaggedPropertyValue(tag, value)
        writer = Writer()
        write_tagged(writer, tagged)
        assert read_tagged(Reader(bytes(writer))) == tagged


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(READERS)), garbage)
def test_garbage_is_a_value_or_a_decode_error(kind: int, data: bytes) -> None:
    bytes_or_decode_error(data, lambda reader: read_value(reader, kind), lambda w, value: write_value(w, kind, value))


def test_a_boolean_that_is_neither_0_nor_1_is_kept() -> None:
    assert unpacked(T.Boolean, "ff") == 0xFF
    assert packed(T.Boolean, 0xFF) == "ff"
    assert unpacked(T.Boolean, "01") is True


def test_lone_surrogates_are_kept() -> None:
    assert unpacked(T.String, "00 d8 00 00") == "\ud800"
    assert packed(T.String, "\ud800") == "00 d8 00 00"


def test_nan_is_kept_or_refused_but_never_changed() -> None:
    assert math.isnan(unpacked(T.Floating64, "01 00 00 00 00 00 f8 7f"))
    bytes_or_decode_error(
        bytes.fromhex("0100807f"), lambda r: read_value(r, T.Floating32), lambda w, v: write_value(w, T.Floating32, v)
    )


def test_flags_may_be_given_without_sign() -> None:
    assert packed(T.Integer32, 0xFFFFFFFF) == packed(T.Integer32, -1)
    assert packed(T.Integer64, -1) == "ff ff ff ff ff ff ff ff"


def test_a_column_with_the_multivalue_instance_flag_has_one_value() -> None:
    assert unpacked(0x301F, "61 00 00 00") == "a"
    assert packed(0x301F, "a") == "61 00 00 00"


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (T.Binary, "05 00 61"),
        (T.String, "61 00"),
        (T.String8, "61"),
        (T.MultipleInteger32, "ff ff ff ff 00 00 00 00"),
        (T.MultipleBinary, "ff ff ff 7f 00 00"),
        (T.Unspecified, "00 00 00 00"),
        (T.Guid, "00"),
        (0x0077, "00 00 00 00"),
    ],
)
def test_what_cannot_be_is_refused(kind: int, raw: str) -> None:
    with pytest.raises(DecodeError):
        unpacked(kind, raw)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (T.Integer32, 1 << 32),
        (T.Integer16, -(1 << 15) - 1),
        (T.Integer32, "1"),
        (T.Integer32, None),
        (T.Boolean, 256),
        (T.String, b"bytes"),
        (T.String, "zero \0 inside"),
        (T.String8, "text"),
        (T.Binary, "text"),
        (T.Binary, bytes(0x10000)),
        (T.Guid, b"16 bytes........"),
        (T.Floating32, 1e300),
        (T.MultipleInteger32, 5),
        (T.MultipleString, [1]),
        (T.Restriction, b"raw"),
        (T.Null, 0),
        (T.Unspecified, TypedPropertyValue(T.Unspecified, None)),
        (0x0077, 1),
    ],
)
def test_what_is_not_of_the_type_is_an_encode_error(kind: int, value: Any) -> None:
    with pytest.raises(EncodeError):
        packed(kind, value)


def test_a_tagged_value_is_its_tag_and_its_value() -> None:
    writer = Writer()
    tagged_value.write(writer, TaggedPropertyValue(PidTagSubject, "a"))
    assert bytes(writer).hex(" ") == "1f 00 37 00 61 00 00 00"
    assert tagged_value.read(Reader(bytes(writer))) == TaggedPropertyValue(PidTagSubject, "a")


@settings(max_examples=100, deadline=None)
@given(tagged_values())
def test_tagged_values_come_back(value: TaggedPropertyValue) -> None:
    writer = Writer()
    write_tagged(writer, value)
    assert read_tagged(Reader(bytes(writer))) == value
    assert read_nested_tagged(Reader(bytes(writer))) == value


def test_an_error_names_the_property() -> None:
    with pytest.raises(DecodeError, match=r"^PidTagSubject: .* at offset 4$"):
        read_tagged(Reader(bytes.fromhex("1f 00 37 00 61")))


@pytest.mark.parametrize("kind", [T.Unspecified, T.Restriction, T.RuleAction])
def test_what_holds_values_does_not_nest(kind: int) -> None:
    with pytest.raises(DecodeError, match="within another"):
        read_nested_tagged(Reader(PropertyTag(0x10000000 | kind).to_bytes(4, "little") + bytes(20)))
