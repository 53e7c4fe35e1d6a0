"""Code pages and times."""

from __future__ import annotations

import codecs
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.client.text import codec_of, decode, time_of


@pytest.mark.parametrize(
    ("code_page", "text"),
    [
        (1251, "Привет"),
        (932, "日本語"),
        (20866, "Привет"),
        (28591, "Grüße"),
        (28605, "10 €"),
        (50220, "日本語"),
        (65001, "🌻"),
    ],
)
def test_texts_in_code_pages(code_page: int, text: str) -> None:
    assert decode(text.encode(codec_of(code_page)), code_page) == text


def test_what_no_code_page_can_be_is_western() -> None:
    assert decode(b"\x80", 99999) == "€"
    assert decode("already text") == "already text"
    assert decode(None) == ""


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 70000))
def test_any_bytes_in_any_code_page_are_some_text(raw: bytes, code_page: int) -> None:
    assert isinstance(decode(raw, code_page), str)
    codecs.lookup(codec_of(code_page))


def test_times() -> None:
    assert time_of(133485408000000000) == datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert time_of(None) is None
    assert time_of(0) is None
    assert time_of(0xFFFFFFFFFFFFFFFF) is None
    # What Outlook writes for "never" is a time like others.
    assert time_of(0x0CB34557A3DD4000) == datetime.datetime(4501, 1, 1, tzinfo=datetime.UTC)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 0xFFFFFFFFFFFFFFFF))
def test_any_time_can_be_shown_or_is_none(value: int) -> None:
    time = time_of(value)
    assert time is None or time.astimezone().isoformat()
