"""Names of named properties."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.named import Kind, PropertyName
from tests.wire.oxcdata.strategies import garbage, texts, u32, unpack_or_decode_error

COMMON = uuid.UUID("00062008-0000-0000-c000-000000000046")
COMMON_HEX = "08 20 06 00 00 00 00 00 c0 00 00 00 00 00 00 46"

# Layouts of [MS-OXCDATA] 2.6.1, each written out by hand.
GOLDEN = [
    (PropertyName.of_lid(COMMON, 0x8503), f"00 {COMMON_HEX} 03 85 00 00"),
    (PropertyName.of_name(COMMON, "Hi"), f"01 {COMMON_HEX} 06 48 00 69 00 00 00"),
    (PropertyName(Kind.NoName, COMMON), f"ff {COMMON_HEX}"),
]


@pytest.mark.parametrize(("name", "raw"), GOLDEN)
def test_wire_form(name: PropertyName, raw: str) -> None:
    assert name.pack().hex(" ") == raw
    assert PropertyName.unpack(bytes.fromhex(raw)) == name


@settings(max_examples=100, deadline=None)
@given(u32, texts)
def test_names_come_back(lid: int, text: str) -> None:
    for name in (PropertyName.of_lid(COMMON, lid), PropertyName.of_name(COMMON, text)):
        assert PropertyName.unpack(name.pack()) == name


@settings(max_examples=200, deadline=None)
@given(garbage)
def test_garbage_is_a_name_or_a_decode_error(data: bytes) -> None:
    for raw in (data, b"\1" + COMMON.bytes_le + data, b"\1" + COMMON.bytes_le + bytes([len(data) % 256]) + data):
        unpack_or_decode_error(raw, PropertyName.unpack)


@pytest.mark.parametrize(
    "raw",
    [
        f"02 {COMMON_HEX}",
        f"00 {COMMON_HEX} 03",
        f"01 {COMMON_HEX} 04 48 00 69 00",  # not terminated
        f"01 {COMMON_HEX} 06 48 00 00 00 00 00",  # terminated twice
        f"01 {COMMON_HEX} 09 48 00 69 00 00 00",
    ],
)
def test_what_is_no_name_is_refused(raw: str) -> None:
    with pytest.raises(DecodeError):
        PropertyName.unpack(bytes.fromhex(raw))


@pytest.mark.parametrize(
    "name",
    [
        PropertyName(Kind.Lid, COMMON),
        PropertyName(Kind.Lid, COMMON, 1, "x"),
        PropertyName(Kind.Name, COMMON, 1),
        PropertyName.of_name(COMMON, "x" * 127),
        PropertyName(7, COMMON),
    ],
)
def test_fields_that_do_not_fit_the_kind_are_an_encode_error(name: PropertyName) -> None:
    with pytest.raises(EncodeError):
        name.pack()
