"""Heads: fields, cookies, targets."""

from __future__ import annotations

import pytest

from openchange_py.transports.http_message import Headers, HttpError, Target, reason_of


def test_fields_are_found_whatever_their_case() -> None:
    headers = Headers([(b"X-RequestType", b"Connect"), (b"accept", b"a"), (b"Accept", b"b")])
    assert headers.get("x-requesttype") == headers.get("X-REQUESTTYPE") == "Connect"
    assert headers.get("missing", "nothing") == "nothing"
    assert headers.all("ACCEPT") == ["a", "b"]
    assert "X-requestType" in headers
    assert len(headers) == len(list(headers)) == 3


def test_cookies() -> None:
    headers = Headers([(b"Cookie", b'MapiContext=a=b; other; MapiSequence="2"'), (b"cookie", b"MapiContext=second")])
    assert headers.cookies() == {"MapiContext": "a=b", "MapiSequence": "2"}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/mapi/emsmdb/?MailboxId=a@b", Target("/mapi/emsmdb/", "MailboxId=a@b")),
        ("HTTP://h.test:80/p%20q?r", Target("/p q", "r", "h.test:80")),
        ("https://h.test?r", Target("/", "r", "h.test")),
        ("*", Target("*")),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize("text", ["", "x", "/a%00b", "/a%0d%0aSet-Cookie:x", "ftp://h/x"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(HttpError) as caught:
        Target.parse(text)
    assert caught.value.status == 400


def test_words_for_a_status() -> None:
    assert (reason_of(404), reason_of(599)) == ("Not Found", "Status")
    assert str(HttpError(401)) == "401 Unauthorized"
