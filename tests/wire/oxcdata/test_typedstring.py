"""TypedString in all its forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader
from openchange_py.wire.oxcdata.typedstring import StringType, TypedString
from tests.wire.oxcdata.strategies import bytes_or_decode_error, garbage, texts


@pytest.mark.parametrize(
    ("raw", "kind", "value", "text"),
    [
        ("00", StringType.NoString, None, ""),
        ("01", StringType.Empty, "", ""),
        ("02 48 f6 00", StringType.String8, b"H\xf6", "Hö"),
        ("03 48 f6 00", StringType.ReducedUnicode, "Hö", "Hö"),
        ("04 48 00 f6 00 00 00", StringType.Unicode, "Hö", "Hö"),
    ],
)
def test_each_form(raw: str, kind: StringType, value: Any, text: str) -> None:
    string = TypedString(kind, value)
    assert string.pack().hex(" ") == raw
    assert TypedString.unpack(bytes.fromhex(raw)) == string
    assert string.text() == text


def test_an_8_bit_text_is_decoded_by_the_code_page_that_the_reader_knows() -> None:
    assert TypedString(StringType.String8, b"\xe4").text("cp1251") == "д"
    assert TypedString(StringType.String8, b"\x81\xff").text("ascii") == "\ufffd\ufffd"


@pytest.mark.parametrize(("text", "size"), [(None, 1), ("", 1), ("RE: ", 6), ("Zoë", 5), ("д", 5)])
def test_the_shortest_form_is_made(text: str | None, size: int) -> None:
    assert len(TypedString.of(text).pack()) == size


@settings(max_examples=100, deadline=None)
@given(texts)
def test_texts_come_back(text: str) -> None:
    assert TypedString.unpack(TypedString.of(text).pack()).text() == text


@settings(max_examples=200, deadline=None)
@given(garbage)
def test_garbage_is_a_string_or_a_decode_error(data: bytes) -> None:
    bytes_or_decode_error(data, TypedString.read)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(DecodeError, match="0x05"):
        TypedString.read(Reader(b"\5a\0"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [(0, "x"), (1, "x"), (2, "x"), (3, "д"), (3, b"x"), (4, b"x"), (4, None), (9, "x"), (2, b"\0"), (4, "\0")],
)
def test_a_value_of_another_form_is_an_encode_error(kind: int, value: Any) -> None:
    with pytest.raises(EncodeError):
        TypedString(kind, value).pack()
