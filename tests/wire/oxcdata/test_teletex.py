# ruff: noqa: RUF001

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.wire.oxcdata.teletex import NAME


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("Zoë", b"Zo\xc8e"),
        ("Łódź", b"\xe8\xc2od\xc2z"),
        ("ŠČŘ ăşő", b"\xcfS\xcfC\xcfR \xc6a\xcbs\xcdo"),
        ("Ærø þ ß", b"\xe1r\xf9 \xfc \xfb"),
        ("´¨", b"\xc2 \xc8 "),
        ("Ω½§", b"\xe0\xbd\xa7"),
        ("a@b.c\\^`{|}~#$", b"a@b.c\\^`{|}~#$"),
        ("", b""),
    ],
)
def test_an_accent_stands_before_its_letter(text: str, raw: bytes) -> None:
    # RFC 1345, T.61-8bit
    assert text.encode(NAME) == raw
    assert raw.decode(NAME) == text


def test_what_teletex_does_not_have() -> None:
    assert "aЖ日".encode(NAME, "replace") == b"a??"
    assert "aЖb".encode(NAME, "ignore") == b"ab"
    assert b"a\xc0\xc9\xc1".decode(NAME, "replace") == "a\ufffd\ufffd\ufffd"
    assert b"\xa4\xa6".decode(NAME) == "$#"
    with pytest.raises(UnicodeEncodeError):
        "Ж".encode(NAME)
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode(NAME)


@given(st.binary())
def test_any_bytes_are_some_text(raw: bytes) -> None:
    raw.decode(NAME, "replace").encode(NAME, "replace")
