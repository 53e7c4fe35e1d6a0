"""Recipient rows, whose flags decide which fields they have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.recipients import RecipientFlags, RecipientRow
from openchange_py.wire.oxcdata.rows import NOT_FOUND, PropertyRow
from openchange_py.wire.proptags import PidTagDisplayType, PidTagObjectType, PidTagSmtpAddress
from tests.wire.oxcdata.strategies import PLAIN, bytes_or_decode_error, garbage, plain_tags, texts, texts8, u8

COLUMNS = [PidTagObjectType, PidTagDisplayType, PidTagSmtpAddress]

# Layouts of [MS-OXCDATA] 2.8.3, each written out by hand.
GOLDEN = [
    (RecipientRow(0x0000), "00 00 00 00 00"),
    (RecipientRow.smtp("a@b", "A"), "5b 02 61 00 40 00 62 00 00 00 41 00 00 00 00 00 00"),
    (RecipientRow.exchange(b"/cn=a", "A"), "51 02 00 00 2f 63 6e 3d 61 00 41 00 00 00 00 00 00"),
    (RecipientRow(0x0006, entry_id=b"ab", search_key=b"k"), "06 00 02 00 61 62 01 00 6b 00 00 00"),
    (
        RecipientRow(0x8018, address_type=b"X", email_address=b"e", display_name=b"n"),
        "18 80 58 00 65 00 6e 00 00 00 00",
    ),
    (
        RecipientRow(0x0630, display_name="n", simple_display_name="s", transmittable_display_name="t"),
        "30 06 6e 00 00 00 73 00 00 00 74 00 00 00 00 00 00",
    ),
    (
        RecipientRow(0x0003, columns=COLUMNS[:2], properties=PropertyRow([6, NOT_FOUND], True)),
        "03 00 02 00 01 00 06 00 00 00 0a 0f 01 04 80",
    ),
]


@pytest.mark.parametrize(("row", "raw"), GOLDEN)
def test_wire_form(row: RecipientRow, raw: str) -> None:
    assert row.pack().hex(" ") == raw
    row.columns = list(row.columns)
    assert RecipientRow.read_with(Reader(bytes.fromhex(raw)), COLUMNS) == row


@st.composite
def rows(draw: st.DrawFn) -> RecipientRow:
    flags = draw(st.integers(0, 0xFFFF))
    text: st.SearchStrategy[Any] = texts if flags & RecipientFlags.Unicode else texts8
    row = RecipientRow(flags)
    if row.type == 1:
        row.address_prefix_used, row.display_type, row.x500_dn = draw(u8), draw(u8), draw(texts8)
    elif row.type in (6, 7):
        row.entry_id, row.search_key = draw(st.binary(max_size=9)), draw(st.binary(max_size=9))
    elif row.type == 0 and flags & RecipientFlags.NonStandardAddressType:
        row.address_type = draw(texts8)
    for name, flag in (
        ("email_address", RecipientFlags.EmailAddress),
        ("display_name", RecipientFlags.DisplayName),
        ("simple_display_name", RecipientFlags.SimpleDisplayName),
        ("transmittable_display_name", RecipientFlags.TransmittableDisplayName),
    ):
        if flags & flag:
            setattr(row, name, draw(text))
    row.columns = draw(st.lists(plain_tags, max_size=3))
    row.properties = PropertyRow.of([draw(PLAIN[tag.type]) for tag in row.columns])
    return row


@settings(max_examples=200, deadline=None)
@given(rows(), st.lists(plain_tags, max_size=2))
def test_rows_come_back(row: RecipientRow, more: list[PropertyTag]) -> None:
    assert RecipientRow.read_with(Reader(row.pack()), [*row.columns, *more]) == row


@settings(max_examples=300, deadline=None)
@given(st.lists(plain_tags, max_size=4), garbage)
def test_garbage_is_a_row_or_a_decode_error(columns: list[PropertyTag], data: bytes) -> None:
    bytes_or_decode_error(data, lambda reader: RecipientRow.read_with(reader, columns))


def test_more_columns_than_the_message_has_are_refused() -> None:
    with pytest.raises(DecodeError, match="RecipientColumnCount is 4, the message has 3 columns at offset 2"):
        RecipientRow.read_with(Reader(bytes.fromhex("00 00 04 00") + bytes(40)), COLUMNS)
    with pytest.raises(DecodeError):
        RecipientRow.read(Reader(bytes.fromhex("00 00 01 00") + bytes(40)))


@pytest.mark.parametrize(
    "row",
    [
        RecipientRow(0x0001),  # no X500DN
        RecipientRow(0x0006, entry_id=b"e"),
        RecipientRow(0x8000),
        RecipientRow(0x0010),  # no display name
        RecipientRow(0x0000, display_name=b"n"),  # one that no flag announces
        RecipientRow(0x0010, display_name="text"),
        RecipientRow(0x0210, display_name=b"bytes"),
        RecipientRow(0x0000, columns=COLUMNS),
    ],
)
def test_fields_that_do_not_fit_the_flags_are_an_encode_error(row: RecipientRow) -> None:
    with pytest.raises(EncodeError):
        row.pack()
