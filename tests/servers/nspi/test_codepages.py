import pytest

from openchange_py.servers.nspi.codepages import CP_TELETEX, codec, decode, encode
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError


@pytest.mark.parametrize(
    ("code_page", "text", "raw"),
    [
        (1252, "Ä€", b"\xc4\x80"),
        (1251, "Ж", b"\xc6"),
        (932, "カ", b"\x83\x4a"),
        (28605, "€", b"\xa4"),
        (65001, "Ä", b"\xc3\x84"),
        (CP_TELETEX, "é", b"\xc2e"),
        (65000, "ä", b"+AOQ-"),
        (437, "Ä", b"\x8e"),
        (949, "가", b"\xb0\xa1"),
        (936, "中", b"\xd6\xd0"),
        (10000, "Ä", b"\x80"),
        (0, "Ä", b"\xc4"),
    ],
)
def test_code_pages(code_page: int, text: str, raw: bytes) -> None:
    assert encode(text, code_page) == raw
    assert decode(raw, code_page) == text


def test_what_a_code_page_does_not_have() -> None:
    assert encode("aΩ", 1252) == b"a?"
    assert decode(b"a\x81", 1252) == "a\ufffd"
    assert encode("a\0b", 1252) == b"a"
    assert encode("\ud800", 1252) == b"?"


@pytest.mark.parametrize("code_page", [1200, 4711, 28599 + 50, 0xFFFFFFFF])
def test_code_pages_for_no_8_bit_strings(code_page: int) -> None:
    with pytest.raises(MapiError) as error:
        codec(code_page)
    assert error.value.code == ErrorCode.InvalidCodepage
