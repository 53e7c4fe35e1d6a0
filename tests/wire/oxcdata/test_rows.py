"""Property rows, standard and flagged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxcdata.rows import ABSENT, NOT_FOUND, PropertyError, PropertyRow, read_row, write_row
from openchange_py.wire.oxcdata.values import TypedPropertyValue
from openchange_py.wire.proptags import (
    PidTagDepth,
    PidTagFolderId,
    PidTagInstanceNum,
    PidTagInstID,
    PidTagMessageFlags,
    PidTagMid,
    PidTagRowType,
    PidTagSubject,
)
from tests.wire.oxcdata.strategies import PLAIN, bytes_or_decode_error, garbage, plain_tags, tags, u32

SUBJECT_UNSPECIFIED = PidTagSubject.with_type(PropertyType.Unspecified)


def packed(columns: list[PropertyTag], row: PropertyRow) -> bytes:
    writer = Writer()
    write_row(writer, columns, row)
    return bytes(writer)


def test_first_row_of_the_documents_example() -> None:
    """[MS-OXCTABL] 4.5.3.2: a category's row, which has no message id."""
    columns = [PidTagFolderId, PidTagMid, PidTagInstID, PidTagInstanceNum, PidTagRowType, PidTagDepth, PidTagSubject]
    raw = bytes.fromhex(
        "01 00 01 00 00 00 00 f1 1f 32 0a 0f 01 04 80 00 01 00 00 00 00 f1 88 bd"
        "00 00 00 00 00 00 03 00 00 00 00 00 00 00 00 0a 0f 01 04 80"
    )
    row = read_row(Reader(raw), columns)
    assert row == PropertyRow([0x321FF10000000001, NOT_FOUND, 0xBD88F10000000001, 0, 3, 0, NOT_FOUND], True)
    assert row.values[1].code is ErrorCode.NotFound
    assert packed(columns, row) == raw
    assert PidTagMid not in row.to_map(columns)


def test_a_row_whose_cells_all_have_values_is_standard() -> None:
    row = PropertyRow.of(["Hi", 1])
    raw = packed([PidTagSubject, PidTagMessageFlags], row)
    assert raw.hex(" ") == "00 48 00 69 00 00 00 01 00 00 00"
    assert read_row(Reader(raw), [PidTagSubject, PidTagMessageFlags]) == row


def test_a_row_with_errors_and_absent_values_is_flagged() -> None:
    row = PropertyRow.of([PropertyError(ErrorCode.OutOfMemory), ABSENT])
    raw = packed([PidTagSubject, PidTagMessageFlags], row)
    assert raw.hex(" ") == "01 0a 0e 00 07 80 01"
    assert read_row(Reader(raw), [PidTagSubject, PidTagMessageFlags]) == row


def test_a_flagged_row_without_errors_stays_flagged() -> None:
    raw = bytes.fromhex("01 00 05 00 00 00")
    row = read_row(Reader(raw), [PidTagMessageFlags])
    assert row == PropertyRow([5], True)
    assert packed([PidTagMessageFlags], row) == raw


@pytest.mark.parametrize(
    ("raw", "cell"),
    [
        ("00 1f 00 61 00 00 00", TypedPropertyValue(PropertyType.String, "a")),
        ("01 1f 00 00 61 00 00 00", TypedPropertyValue(PropertyType.String, "a")),
        ("01 0a 00 0a 0f 01 04 80", TypedPropertyValue(PropertyType.ErrorCode, NOT_FOUND)),
        ("01 1f 00 01", TypedPropertyValue(PropertyType.String, ABSENT)),
    ],
)
def test_a_column_of_unspecified_type_has_the_type_in_front(raw: str, cell: Any) -> None:
    row = read_row(Reader(bytes.fromhex(raw)), [SUBJECT_UNSPECIFIED])
    assert row.values == [cell]
    assert packed([SUBJECT_UNSPECIFIED], row).hex(" ") == raw


def test_the_row_of_an_objects_properties() -> None:
    properties = {PidTagSubject: "Hi", PidTagMessageFlags: 1}
    assert PropertyRow.from_map([PidTagSubject], properties) == PropertyRow(["Hi"])
    assert PropertyRow.from_map([PidTagMid, PidTagSubject], properties) == PropertyRow([NOT_FOUND, "Hi"], True)
    unknown = PidTagMid.with_type(PropertyType.Unspecified)
    columns = [SUBJECT_UNSPECIFIED, unknown, PidTagMessageFlags]
    row = PropertyRow.from_map(columns, properties)
    assert read_row(Reader(packed(columns, row)), columns).to_map(columns) == properties


@settings(max_examples=200, deadline=None)
@given(st.data(), st.lists(plain_tags, max_size=6))
def test_rows_come_back(data: st.DataObject, columns: list[PropertyTag]) -> None:
    errors = st.just(ABSENT) | st.builds(PropertyError, u32)
    cells = [data.draw(PLAIN[tag.type] | errors) for tag in columns]
    row = PropertyRow.of(cells)
    reader = Reader(packed(columns, row))
    assert read_row(reader, columns) == row
    reader.expect_end()


@settings(max_examples=300, deadline=None)
@given(st.lists(plain_tags | tags | st.just(SUBJECT_UNSPECIFIED), max_size=5), garbage)
def test_garbage_is_a_row_or_a_decode_error(columns: list[PropertyTag], data: bytes) -> None:
    bytes_or_decode_error(
        data, lambda reader: read_row(reader, columns), lambda writer, row: write_row(writer, columns, row)
    )


@pytest.mark.parametrize("raw", ["02 00", "01 02 00", "01 0a 00", "00 05"])
def test_what_is_no_row_is_refused(raw: str) -> None:
    with pytest.raises(DecodeError):
        read_row(Reader(bytes.fromhex(raw)), [PidTagMessageFlags])


def test_an_error_names_the_column() -> None:
    with pytest.raises(DecodeError, match=r"^PidTagMessageFlags: 4 bytes needed, 1 left at offset 5"):
        read_row(Reader(bytes.fromhex("00 61 00 00 00 01")), [PidTagSubject, PidTagMessageFlags])
    with pytest.raises(DecodeError, match="0x0077 is unknown"):
        read_row(Reader(bytes(9)), [PropertyTag(0x10000077)])
    with pytest.raises(EncodeError, match="PidTagSubject"):
        packed([PidTagSubject], PropertyRow.of([1]))


@pytest.mark.parametrize(
    "row",
    [
        PropertyRow([]),
        PropertyRow([1, 2]),
        PropertyRow([NOT_FOUND]),
        PropertyRow([ABSENT]),
        PropertyRow(["text"], True),
    ],
)
def test_cells_that_do_not_fit_are_an_encode_error(row: PropertyRow) -> None:
    with pytest.raises(EncodeError):
        packed([PidTagMessageFlags], row)
    with pytest.raises(EncodeError):
        packed([SUBJECT_UNSPECIFIED], row)
