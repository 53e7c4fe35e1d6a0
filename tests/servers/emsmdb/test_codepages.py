"""Code pages of clients."""

from __future__ import annotations

import pytest

from openchange_py.servers.emsmdb.codepages import codec_of, is_known, narrow


@pytest.mark.parametrize(
    ("code_page", "text", "raw"),
    [
        (1252, "é€", b"\xe9\x80"),
        (0, "é", b"\xe9"),
        (1251, "ж", b"\xe6"),
        (932, "東", b"\x93\x8c"),
        (936, "中", b"\xd6\xd0"),
        (949, "한", b"\xc7\xd1"),
        (950, "中", b"\xa4\xa4"),
        (28591, "é", b"\xe9"),
        (28605, "€", b"\xa4"),
        (20866, "ж", b"\xd6"),
        (50220, "a", b"a"),
        (54936, "中", b"\xd6\xd0"),
        (65001, "é", b"\xc3\xa9"),
        (1252, "東\ud800", b"??"),
    ],
)
def test_texts_in_a_code_page(code_page: int, text: str, raw: bytes) -> None:
    assert is_known(code_page)
    assert narrow(text, codec_of(code_page)) == raw


@pytest.mark.parametrize("code_page", [1200, 1201])
def test_utf_16_is_known_but_no_8_bit_text(code_page: int) -> None:
    assert is_known(code_page)
    assert codec_of(code_page) == "cp1252"


@pytest.mark.parametrize("code_page", [1, 4711, 0xFFFFFFFF, 28590, 28607])
def test_unknown_code_pages(code_page: int) -> None:
    assert not is_known(code_page)
    assert codec_of(code_page) == "cp1252"
