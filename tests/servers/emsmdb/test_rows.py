"""Rows of tables."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.servers.emsmdb.objects.stream import BytesContent
from openchange_py.servers.emsmdb.rows import RowMaker, is_column_type
from openchange_py.servers.emsmdb.values import TOO_LARGE
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import Reader
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType
from openchange_py.wire.oxcdata.rows import NOT_FOUND, PropertyError, PropertyRow, read_row

SUBJECT8 = p.PidTagSubject.with_type(PropertyType.String8)
WORDS = PropertyTag(0x8001101F)


def made(properties: PropertyMap, *columns: PropertyTag, codec: str = "cp1252") -> PropertyRow:
    """The row, read back from its bytes."""
    reader = Reader(bytes(RowMaker(columns, codec).row(properties)))
    row = read_row(reader, columns)
    reader.expect_end()
    return row


def test_a_row_with_all_values_is_a_standard_one() -> None:
    # [MS-OXCDATA] 2.8.1.1: flag 0, then the values alone.
    row = RowMaker((p.PidTagImportance, p.PidTagSubject), "cp1252").row({p.PidTagImportance: 2, p.PidTagSubject: "é"})
    assert row.hex() == "00" + "02000000" + "e9000000"


def test_a_row_without_all_values_is_a_flagged_one() -> None:
    # [MS-OXCDATA] 2.8.1.2: flag 1; 0x00 in front of a value, 0x0A in front of an error code.
    row = RowMaker((p.PidTagImportance, SUBJECT8), "cp1252").row({p.PidTagSubject: "é"})
    assert row.hex() == "01" + "0a0f010480" + "00e900"


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        (p.PidTagSubject, "x" * 256, "x" * 255),
        (SUBJECT8, "x" * 256, b"x" * 255),
        (p.PidTagSubject, "a\0b", "a"),
        (p.PidTagBody, BytesContent(("y" * 9999).encode("utf-16-le")), "y" * 255),
        (p.PidTagHtml, b"z" * 511, b"z" * 510),
        (p.PidTagHtml, BytesContent(b"z" * 9999), b"z" * 510),
        (WORDS, ["w" * 100] * 10, ["w" * 100] * 2),
        (WORDS.with_type(0x101E), ["é"] * 3, [b"\xe9"] * 3),
        (PropertyTag(0x80001003), list(range(1000)), list(range(31))),
        (p.PidTagAttachDataObject, b"object", TOO_LARGE),
        (p.PidTagImportance, 0xFFFFFFFF, -1),
        (p.PidTagImportance, 1 << 40, PropertyError(ErrorCode.CorruptData)),
        (p.PidTagImportance, "text", PropertyError(ErrorCode.CorruptData)),
        (p.PidTagSubject, None, NOT_FOUND),
    ],
)
def test_what_a_row_shows(column: PropertyTag, value: object, shown: object) -> None:
    stored = {SUBJECT8: p.PidTagSubject, WORDS.with_type(0x101E): WORDS}.get(column, column)
    assert made({stored: value}, column).values == [shown]
    # Beside a value that is missing, too.
    assert made({stored: value}, p.PidTagMid, column).values == [NOT_FOUND, shown]
    assert RowMaker((column,), "cp1252").cells({stored: value})[0] in (
        shown,
        value,
    )  # what is wrong is found when it is written


def test_an_8_bit_text_is_not_cut_within_a_character() -> None:
    (value,) = made({p.PidTagSubject: "東" * 255}, SUBJECT8, codec="utf-8").values
    assert value == ("東" * 170).encode()


def test_which_types_columns_may_have() -> None:
    allowed = {kind for kind in range(0x10000) if is_column_type(kind)}
    assert set(PropertyType) - allowed == {PropertyType.Unspecified, PropertyType.ErrorCode}
    assert {kind for kind in allowed if kind & 0x2000} == {kind | 0x2000 for kind in PropertyType if kind & 0x1000}
    assert len(allowed) == len(PropertyType) - 2 + sum(1 for kind in PropertyType if kind & 0x1000)


VALUES = {
    p.PidTagSubject: st.text(max_size=600),
    p.PidTagHtml: st.binary(max_size=600),
    p.PidTagImportance: st.integers(),
    p.PidTagHasAttachments: st.booleans(),
    WORDS: st.lists(st.text(max_size=50), max_size=20),
    p.PidTagMessageDeliveryTime: st.integers(0, 1 << 65),
}


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries({}, optional=VALUES), st.lists(st.sampled_from([*VALUES, SUBJECT8]), min_size=1, max_size=8)
)
def test_any_properties_make_a_row_that_reads(properties: PropertyMap, columns: list[PropertyTag]) -> None:
    row = made(properties, *columns)
    assert len(row.values) == len(columns)
    for column, cell in zip(columns, row.values, strict=True):
        if properties.get(p.PidTagSubject if column == SUBJECT8 else column) is None:
            assert cell == NOT_FOUND
