"""Which parts are bodies, which attachments, and what the bodies become."""

from __future__ import annotations

import zlib

import pytest

from openchange_py.mime.bodies import body_properties, layout
from openchange_py.mime.parser import parse
from openchange_py.wire import proptags


def multipart(kind: str, *parts: str) -> str:
    """A part of that multipart type; parts are `TYPE|content` or whole parts."""
    boundary = f"b{zlib.crc32(repr((kind, parts)).encode())}"
    whole = [
        part if part.startswith("Content-Type") else "Content-Type: {}\n\n{}".format(*part.split("|")) for part in parts
    ]
    body = "".join(f"--{boundary}\n{part}\n" for part in whole)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n{body}--{boundary}--\n'


def summary(raw: str) -> tuple[str | None, str | None, list[str]]:
    """Plain body, HTML body and the attachments' contents."""
    found = layout(parse(b"Subject: x\n" + raw.encode()))

    def content(part: object) -> str | None:
        return None if part is None else str(part.get_payload()).strip()  # type: ignore[attr-defined]

    return content(found.plain), content(found.html), [content(leaf.part) or "" for leaf in found.attachments]


PLAIN, HTML, GIF = "text/plain|plain", "text/html|html", "image/gif|gif"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Content-Type: text/plain\n\nplain", ("plain", None, [])),
        ("\nplain", ("plain", None, [])),
        ("Content-Type: text/html\n\nhtml", (None, "html", [])),
        ("Content-Type: text/plain; name=a.txt\n\nplain", ("plain", None, [])),
        ("Content-Type: image/gif\n\ngif", (None, None, ["gif"])),
        (multipart("alternative", PLAIN, HTML), ("plain", "html", [])),
        (multipart("alternative", HTML, PLAIN), ("plain", "html", [])),
        (multipart("alternative", PLAIN, HTML, "text/html|better"), ("plain", "better", ["html"])),
        (multipart("alternative", PLAIN, "text/calendar|ics"), ("plain", None, ["ics"])),
        (multipart("mixed", PLAIN, HTML), ("plain", None, ["html"])),
        (multipart("mixed", PLAIN, GIF, "text/plain|more"), ("plain", None, ["gif", "more"])),
        (multipart("mixed", GIF, PLAIN), ("plain", None, ["gif"])),
        (multipart("mixed", PLAIN, "text/plain; name=a.txt|named"), ("plain", None, ["named"])),
        (multipart("mixed", "text/plain; name=a.txt|named", PLAIN), ("plain", None, ["named"])),
        (multipart("related", HTML, GIF), (None, "html", ["gif"])),
        (multipart("related", GIF, HTML), (None, "html", ["gif"])),
        (multipart("alternative", PLAIN, multipart("related", HTML, GIF)), ("plain", "html", ["gif"])),
        (multipart("mixed", multipart("alternative", PLAIN, HTML), GIF), ("plain", "html", ["gif"])),
        (
            multipart("alternative", PLAIN, multipart("mixed", HTML, GIF, "text/html|end")),
            ("plain", "html", ["gif", "end"]),
        ),
        (multipart("signed", PLAIN, "application/pkcs7-signature|p7s"), ("plain", None, ["p7s"])),
        ("Content-Type: multipart/mixed\n\nno boundary", ("no boundary", None, [])),
        ("Content-Type: multipart/mixed; boundary=b\n\n", (None, None, [])),
    ],
)
def test_every_part_is_a_body_or_an_attachment(raw: str, expected: object) -> None:
    assert summary(raw) == expected


def test_a_text_with_attachment_disposition_is_one() -> None:
    assert summary("Content-Type: text/plain\nContent-Disposition: attachment\n\ntext") == (None, None, ["text"])


@pytest.mark.parametrize(
    ("head", "body", "text", "codepage"),
    [
        ("text/plain; charset=iso-8859-1", b"caf\xe9\n", "café\r\n", 28591),
        ("text/plain; charset=utf-8", b"a\r\nb\rc\nd", "a\r\nb\r\nc\r\nd", 65001),
        ("text/plain; charset=nonsense", b"caf\xc3\xa9", "café", 65001),
        ("text/plain", b"a\0b", "a\ufffdb", 65001),
        ("text/plain; charset=iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本", 50220),
    ],
)
def test_plain_bodies(head: str, body: bytes, text: str, codepage: int) -> None:
    raw = f"Content-Type: {head}\nContent-Transfer-Encoding: 8bit\n\n".encode() + body
    properties = body_properties(layout(parse(raw)))
    assert properties == {
        proptags.PidTagBody: text,
        proptags.PidTagInternetCodepage: codepage,
        proptags.PidTagNativeBody: 1,
    }


@pytest.mark.parametrize(
    ("charset", "body", "html", "codepage"),
    [
        ("; charset=iso-8859-1", b"<p>caf\xe9", b"<p>caf\xe9", 28591),
        ("", b"<p>plain", b"<p>plain", 20127),
        ("", b"<p>caf\xe9", "<p>café".encode(), 65001),
        ("; charset=us-ascii", b"<p>caf\xc3\xa9", "<p>café".encode(), 65001),
        ("; charset=nonsense", b"<p>caf\xe9", "<p>café".encode(), 65001),
        ("", b'<meta charset="koi8-r"><p>\xc1', b'<meta charset="koi8-r"><p>\xc1', 20866),
    ],
)
def test_html_bodies_stay_bytes_with_a_code_page_that_reads_them(
    charset: str, body: bytes, html: bytes, codepage: int
) -> None:
    properties = body_properties(layout(parse(f"Content-Type: text/html{charset}\n\n".encode() + body)))
    assert properties[proptags.PidTagHtml] == html
    assert properties[proptags.PidTagInternetCodepage] == codepage
    assert properties[proptags.PidTagNativeBody] == 3


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-uuencode", "nonsense"])
def test_broken_transfer_encodings_keep_what_can_be_read(encoding: str) -> None:
    raw = f"Content-Transfer-Encoding: {encoding}\nSubject: x\n\n=ZZ hello !".encode()
    assert proptags.PidTagBody in body_properties(layout(parse(raw)))
