"""What is put right before parsing, and the bounds."""

from __future__ import annotations

import pytest

from openchange_py.mime import parser
from openchange_py.mime.parser import ImportRefused, header_block, parse


def test_a_byte_order_mark_and_empty_lines_before_the_header() -> None:
    assert parse(b"\xef\xbb\xbfSubject: x\n\ny")["Subject"] == "x"
    assert parse(b"\r\n\nSubject: x\n\ny")["Subject"] == "x"


def test_a_broken_line_among_the_fields_belongs_to_the_one_before() -> None:
    message = parse(b"X-Long: one\ntwo three\nSubject: x\nContent-Type: text/html\n\nbody")
    assert message["Subject"] == "x"
    assert message["X-Long"].split() == ["one", "two", "three"]
    assert message.get_content_type() == "text/html"
    assert message.get_payload() == "body"


def test_a_body_without_an_empty_line_before_it_stays_a_body() -> None:
    message = parse(b"Subject: x\nthis is text\nmore: of it\n")
    assert message.keys() == ["Subject"]
    assert message.get_payload().startswith("this is text")


def test_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "SIZE_LIMIT", 100)
    with pytest.raises(ImportRefused, match="101 bytes; a message can have 100"):
        parse(b"Subject: " + b"x" * 92)
    with pytest.raises(ImportRefused, match="empty"):
        parse(b"\r\n\r\n")
    with pytest.raises(ImportRefused, match="no mail header"):
        parse(b"just text\n")


@pytest.mark.parametrize("raw", [b"a: b\n\nc", b"a: b\r\n\r\nc", b"a: b"])
def test_the_header_block(raw: bytes) -> None:
    assert header_block(raw) == b"a: b"
