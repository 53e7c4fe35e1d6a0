"""Character sets: those that mail names, and none that fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.mime import charsets


@pytest.mark.parametrize(
    ("name", "codepage"),
    [
        ("UTF-8", 65001),
        ("us-ascii", 20127),
        ("ISO-8859-1", 28591),
        ("latin1", 28591),
        ("iso-8859-15", 28605),
        ("windows-1252", 1252),
        ("cp1251", 1251),
        ("koi8-r", 20866),
        ("ISO-2022-JP", 50220),
        ("Shift_JIS", 932),
        ("gb2312", 54936),
        ("big5", 950),
        ("ks_c_5601-1987", 949),
        ('"utf-8"', 65001),
        ("no-such-charset", None),
        ("", None),
        ("idna", None),
        ("hex", None),
        ("rot13", None),
        ("unicode_escape", None),
        ("x\0y", None),
        ("x" * 5000, None),
    ],
)
def test_code_pages(name: str, codepage: int | None) -> None:
    assert charsets.codepage(name) == codepage


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (b"caf\xc3\xa9", "utf-8", "café"),
        (b"caf\xe9", "iso-8859-1", "café"),
        # Declared wrongly: UTF-8 is tried, then what is wrong is shown.
        (b"caf\xc3\xa9", "us-ascii", "café"),
        (b"caf\xe9", "us-ascii", "café"),
        (b"caf\xe9", "utf-8", "café"),
        (b"caf\xe9 \x81", "utf-8", "café \ufffd"),
        (b"\x1b$B\xff", "iso-2022-jp", "\ufffd"),
        (b"caf\xc3\xa9", "no-such-charset", "café"),
        (b"caf\xc3\xa9", None, "café"),
        (b"a\0", "utf-16", "a"),
    ],
)
def test_decoding(raw: bytes, charset: str | None, text: str) -> None:
    assert charsets.decode(raw, charset) == text


@given(
    st.binary(max_size=80), st.one_of(st.text(max_size=20), st.sampled_from(["utf-7", "utf-16", "hz", "iso-2022-kr"]))
)
def test_decoding_never_fails(raw: bytes, charset: str) -> None:
    assert isinstance(charsets.decode(raw, charset), str)


@pytest.mark.parametrize(
    ("html", "charset"),
    [
        (b'<html><meta charset="utf-8">', "utf-8"),
        (b'<META http-equiv=Content-Type content="text/html; charset=koi8-r">', "koi8-r"),
        (b"<p>charset=utf-8", None),
        (b"", None),
    ],
)
def test_the_charset_that_a_page_declares(html: bytes, charset: str | None) -> None:
    assert charsets.declared_in_html(html) == charset
