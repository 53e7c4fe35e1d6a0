"""Values, rows and restrictions of the address book over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcmapihttp_values import (
    FORMS,
    NOT_FOUND,
    ColumnsAndRows,
    RowsCodec,
    read_restriction,
    read_value,
    write_restriction,
    write_value,
)
from openchange_py.wire.oxnspi_restrictions import (
    AndRestriction_r,
    BitMaskRestriction_r,
    ComparePropsRestriction_r,
    ContentRestriction_r,
    ExistRestriction_r,
    NotRestriction_r,
    OrRestriction_r,
    PropertyRestriction_r,
    SizeRestriction_r,
    SubRestriction_r,
)
from openchange_py.wire.oxnspi_types import PropertyValue_r

NAME, NUMBER, ANY = PropertyTag(0x3001001F), PropertyTag(0x0FFE0003), PropertyTag(0x3A000000)


@pytest.mark.parametrize(
    ("kind", "value", "data"),
    [
        (0x001F, "a", "ff61000000"),
        (0x001F, None, "00"),
        (0x001E, b"a", "ff6100"),
        (0x0102, b"ab", "ff020000006162"),
        (0x0003, -1, "ffffffff"),
        (0x000D, 0, "00000000"),
        (0x000B, True, "01"),
        (0x0040, 5, "0500000000000000"),
        (0x0048, uuid.UUID(int=0), "00" * 16),
        (0x1003, [1, 2], "ff020000000100000002000000"),
        (0x101F, ["a", None], "ff02000000ff6100000000"),
        (0x1102, [b"", b"x"], "ff02000000ff00000000ff0100000078"),
        (0x1003, None, "00"),
    ],
)
def test_values(kind: int, value: Any, data: str) -> None:
    writer = Writer()
    write_value(writer, kind, value)
    assert bytes(writer).hex() == data
    reader = Reader(bytes(writer))
    assert read_value(reader, kind) == value
    reader.expect_end()


@pytest.mark.parametrize(
    ("kind", "data"), [(0x0FFF, "00"), (0x0102, "ffffffffff"), (0x1003, "ffffffff7f"), (0x00FD, "00"), (0x0000, "0000")]
)
def test_what_is_no_value(kind: int, data: str) -> None:
    with pytest.raises(DecodeError):
        read_value(Reader(bytes.fromhex(data)), kind)


@pytest.mark.parametrize(("kind", "value"), [(0x0003, None), (0x0FFF, 1), (0x001F, b"a"), (0x1003, 7)])
def test_what_cannot_be_written(kind: int, value: Any) -> None:
    with pytest.raises(EncodeError):
        write_value(Writer(), kind, value)


def test_rows_with_all_values_and_with_errors() -> None:
    whole = [PropertyValue_r(NAME, "a"), PropertyValue_r(NUMBER, 7), PropertyValue_r(PropertyTag(0x3A000003), 1)]
    missing = PropertyValue_r(PropertyTag(0x3001000A), NOT_FOUND)
    typed_error = PropertyValue_r(PropertyTag(0x3A00000A), 5)
    table = ColumnsAndRows([NAME, NUMBER, ANY], [whole, [missing, whole[1], typed_error]])
    writer = Writer()
    RowsCodec().write(writer, table)
    head = "030000001f0001300300fe0f0000003a02000000"
    assert (
        bytes(writer).hex()
        == head + "00ff61000000070000000300010000" + "00" + "010a0f010480000700000" + "00a000a05000000"
    )
    reader = Reader(bytes(writer))
    assert RowsCodec().read(reader) == table
    reader.expect_end()


def test_a_value_that_is_missing_without_a_code() -> None:
    data = bytes.fromhex("010000001f000130" + "01000000" + "01" + "01")
    ((cell,),) = RowsCodec().read(Reader(data)).rows
    assert (cell.prop_tag, cell.value) == (0x3001000A, NOT_FOUND)


@pytest.mark.parametrize(
    "data", ["010000001f00013001000000" + "02", "010000001f00013001000000" + "0107", "00000000ffffffff", "ffffffff"]
)
def test_what_are_no_rows(data: str) -> None:
    with pytest.raises(DecodeError):
        RowsCodec().read(Reader(bytes.fromhex(data)))


VALUE = PropertyValue_r(NAME, "u")
RESTRICTIONS = [
    AndRestriction_r([ExistRestriction_r(0, NAME, 0), NotRestriction_r(ContentRestriction_r(0x10001, NAME, VALUE))]),
    OrRestriction_r(
        [PropertyRestriction_r(4, NUMBER, PropertyValue_r(NUMBER, 6)), PropertyRestriction_r(4, NAME, None)]
    ),
    ComparePropsRestriction_r(4, NAME, NUMBER),
    BitMaskRestriction_r(1, NUMBER, 0xFF),
    SizeRestriction_r(2, NAME, 9),
    SubRestriction_r(7, ExistRestriction_r(0, NAME, 0)),
]


@pytest.mark.parametrize("restriction", RESTRICTIONS, ids=lambda value: type(value).__name__)
def test_restrictions(restriction: Any) -> None:
    writer = Writer()
    write_restriction(writer, restriction)
    reader = Reader(bytes(writer))
    assert read_restriction(reader, FORMS[0]) == restriction
    reader.expect_end()


def test_the_forms_of_a_restriction() -> None:
    text = "7500" + "0000"
    for form, data in zip(
        FORMS,
        (
            "0001000000" + "0404" + "1f000130" + "ff" + "1f000130" + "ff" + text,
            "000100" + "0404" + "1f000130" + "ff" + "1f000130" + "ff" + text,
            "0001000000" + "0404" + "1f000130" + "1f000130" + "ff" + text,
            "000100" + "0404" + "1f000130" + "1f000130" + "ff" + text,
            "0001000000" + "0404" + "1f000130" + "1f000130" + text,
            "000100" + "0404" + "1f000130" + "1f000130" + text,
        ),
        strict=True,
    ):
        reader = Reader(bytes.fromhex(data))
        assert read_restriction(reader, form) == AndRestriction_r([PropertyRestriction_r(4, NAME, VALUE)])
        reader.expect_end()


def test_restrictions_that_stand_too_deep_in_one_another() -> None:
    with pytest.raises(DecodeError, match="deep"):
        read_restriction(Reader(b"\x02" * 1000), FORMS[0])
    nested: Any = ExistRestriction_r(0, NAME, 0)
    for _ in range(70):
        nested = NotRestriction_r(nested)
    with pytest.raises(EncodeError, match="deep"):
        write_restriction(Writer(), nested)
    with pytest.raises(EncodeError, match="without what it is about"):
        write_restriction(Writer(), NotRestriction_r(None))
