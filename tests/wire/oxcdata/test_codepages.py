"""Windows code pages as Python's codecs."""

from __future__ import annotations

import encodings.aliases

import pytest

from openchange_py.wire.oxcdata.codepages import _NAMES, codec_name


@pytest.mark.parametrize(
    ("code_page", "text", "raw"),
    [
        (1252, "Zoë €", b"Zo\xeb \x80"),
        (1251, "Привет", b"\xcf\xf0\xe8\xe2\xe5\xf2"),
        (932, "日本", b"\x93\xfa\x96{"),
        (28592, "ő", b"\xf5"),
        (20866, "я", b"\xd1"),
        (65001, "ü", b"\xc3\xbc"),
        (0, "é", b"\xe9"),
        (37, "A", b"\xc1"),
        (10000, "Ä", b"\x80"),
        (20261, "é", b"\xc2e"),
        (38598, "א", b"\xe0"),
    ],
)
def test_texts_are_in_the_code_page(code_page: int, text: str, raw: bytes) -> None:
    codec = codec_name(code_page)
    assert codec is not None
    assert text.encode(codec) == raw
    assert raw.decode(codec) == text


@pytest.mark.parametrize("code_page", [1200, 1201, 1, 28607, 0xFFFFFFFF])
def test_utf16_and_unknown_ones_have_none(code_page: int) -> None:
    assert codec_name(code_page) is None


def test_numbers_that_are_no_code_pages_leave_nothing_behind() -> None:
    """Python's encodings remember each name that they were asked for in vain."""
    before = len(encodings._cache)  # type: ignore[attr-defined]
    assert {codec_name(code_page) for code_page in range(1 << 20, (1 << 20) + 300)} == {None}
    assert len(encodings._cache) == before  # type: ignore[attr-defined]


def test_every_name_is_a_codec_of_pythons() -> None:
    assert all(codec_name(code_page) for code_page in _NAMES)
    known = {name for name in encodings.aliases.aliases.values() if name.startswith("cp")} - {"cp1006"}
    assert known == {codec_name(int(name[2:])) for name in known}
