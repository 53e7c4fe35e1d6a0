"""Header texts, dates and addresses."""

from __future__ import annotations

import email.header
import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.mime import headers
from openchange_py.mime.headers import Address
from openchange_py.mime.parser import parse


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?UTF-8?b?R3LDvMOfZQ==?= aus", "Grüße aus"),
        ("=?iso-8859-1?Q?a?= =?utf-8?Q?b?=", "ab"),
        ("=?utf-8?Q?a?= x =?utf-8?Q?b?=", "a x b"),
        ("a =?utf-8?Q?b?=", "a b"),
        # One character in two words: RFC 2047 forbids it, some send it.
        ("=?utf-8?B?5pel5g==?=\r\n =?utf-8?B?nKw=?=", "日本"),
        ("=?utf-8*en?Q?a_b?=", "a b"),
        ("=?unknown?Q?a=E9?=", "aé"),
        ("=?utf-8?Q?a b?=", "a b"),
        ("=?utf-8?B?R3LDvMOfZQ?=", "Grüße"),
        ("=?utf-8?B?!?=", ""),
        ("=?utf-8?X?a?=", "=?utf-8?X?a?="),
        ("=?utf-8?Q?a", "=?utf-8?Q?a"),
        ("folded\r\n text", "folded text"),
        ("a\0b\x07c", "abc"),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert headers.decode_text(value) == text


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=200))
def test_what_python_encodes_is_decoded(text: str) -> None:
    assert headers.decode_text(email.header.Header(text, "utf-8").encode()) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"caf\xc3\xa9", "café"), (b"caf\xe9", "café"), (b"\xff\xfe", "ÿþ"), (b"=?utf-8?Q?a?= caf\xe9", "a café")],
)
def test_bytes_in_a_field(raw: bytes, text: str) -> None:
    assert headers.text_field(parse(b"Subject: " + raw + b"\n\n"), "subject") == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.test", [Address("", "a@b.test")]),
        ("A <a@b.test>, B <b@b.test>", [Address("A", "a@b.test"), Address("B", "b@b.test")]),
        ('"Doe, Jane" <j@b.test>', [Address("Doe, Jane", "j@b.test")]),
        ("a@b.test (Dr. A)", [Address("Dr. A", "a@b.test")]),
        ("=?utf-8?Q?Doe=2C_J?= <j@b.test>", [Address("Doe, J", "j@b.test")]),
        ("undisclosed-recipients:;", []),
        ("friends: a@b.test, B <b@b.test>;", [Address("", "a@b.test"), Address("B", "b@b.test")]),
        ("host!user@relay@b.test", [Address("", "host!user@relay@b.test")]),
        ("A <a@b.test>, host!user@relay@b.test", [Address("A", "a@b.test"), Address("", "host!user@relay@b.test")]),
        ("", []),
        ("<>", []),
    ],
)
def test_addresses(value: str, expected: list[Address]) -> None:
    assert headers.parse_addresses(value) == expected


def test_fields_of_one_name_are_read_together() -> None:
    message = parse(b"To: a@b.test\nTO: c@b.test\n\n")
    assert [one.address for one in headers.addresses(message, "to")] == ["a@b.test", "c@b.test"]


@given(st.text(max_size=60))
def test_any_text_is_some_addresses(value: str) -> None:
    for address in headers.parse_addresses(value):
        assert address.name or address.address


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("Mon, 05 Jan 2026 08:30:00 +0000", "2026-01-05T08:30:00"),
        ("Tue, 06 Jan 2026 17:05:00 +0100", "2026-01-06T16:05:00"),
        ("Fri, 25 Sep 92 14:13:02 PDT", "1992-09-25T21:13:02"),
        ("1 Jan 1970 00:00 GMT", "1970-01-01T00:00:00"),
    ],
)
def test_times(value: str, iso: str) -> None:
    seconds = email.utils.datetime.datetime.fromisoformat(iso + "+00:00").timestamp()
    assert headers.parse_time(value) == int(seconds) * 10_000_000 + 116444736000000000


@pytest.mark.parametrize("value", ["", None, "never", "32 Foo 1999 1:1:1", "1 Jan 99999999999999 00:00:00 +0000", "\0"])
def test_what_is_no_time(value: str | None) -> None:
    assert headers.parse_time(value) is None


def test_the_last_server_tells_the_delivery_time() -> None:
    message = parse(
        b"Received: by b; Tue, 06 Jan 2026 10:00:00 +0000\nReceived: by a; Mon, 05 Jan 2026 10:00:00 +0000\n\n"
    )
    assert headers.received_time(message) == headers.parse_time("Tue, 06 Jan 2026 10:00:00 +0000")


def test_message_ids_keep_their_form() -> None:
    assert headers.message_ids("<a@b>\r\n\t<c@d>") == "<a@b> <c@d>"
    assert headers.message_ids(None) is None
    assert headers.message_ids("  ") is None
