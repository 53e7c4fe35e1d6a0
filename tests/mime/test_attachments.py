"""Attachments: names, placement in the body, messages in messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.mime.attachments import file_name, safe_name
from openchange_py.mime.importer import message_draft
from openchange_py.mime.parser import parse
from openchange_py.store.base import AttachmentDraft
from openchange_py.wire import proptags


def attachment(head: str, body: str = "data") -> AttachmentDraft:
    (draft,) = message_draft(f"Subject: x\n{head}\n\n{body}".encode("utf-8", "surrogateescape")).attachments
    return draft


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("Content-Disposition: attachment; filename=a.bin", "a.bin"),
        ('Content-Type: image/gif; name="a b.gif"', "a b.gif"),
        ("Content-Disposition: attachment; filename*=utf-8''gr%C3%BC%C3%9Fe.txt", "grüße.txt"),
        ("Content-Disposition: attachment; filename*0*=utf-8''gr%C3%BC; filename*1=sse.txt", "grüsse.txt"),
        ('Content-Disposition: attachment; filename="=?utf-8?Q?gr=C3=BC=C3=9Fe=2Etxt?="', "grüße.txt"),
        ("Content-Disposition: attachment; filename=grüße.txt", "grüße.txt"),
        ("Content-Disposition: attachment; filename*=nonsense''a%FF.txt", "aÿ.txt"),
        ("Content-Disposition: attachment; filename=../../etc/passwd", "passwd"),
        ('Content-Disposition: attachment; filename="C:\\\\temp\\\\a.doc"', "a.doc"),
        ("Content-Disposition: attachment; filename=..", ""),
        ("Content-Disposition: attachment; filename*0*=''%", "%"),
        ("Content-Disposition: attachment", ""),
    ],
)
def test_names(head: str, name: str) -> None:
    assert file_name(parse(f"{head}\n\nx".encode())) == name


@given(st.text(max_size=400))
def test_any_name_is_fit_for_a_file(name: str) -> None:
    safe = safe_name(name)
    assert len(safe) <= 255
    assert not set(safe) & set('/\\\0\n<>:"|?*')
    assert safe.strip(". ") or not safe


def test_a_long_name_keeps_its_extension() -> None:
    name = safe_name("x" * 400 + ".docx")
    assert len(name) == 255
    assert name.endswith("x.docx")


def test_what_an_attachment_has() -> None:
    draft = attachment('Content-Type: application/pdf\nContent-Disposition: attachment; filename="annual report.pdf"')
    assert draft.properties == {
        proptags.PidTagAttachMimeTag: "application/pdf",
        proptags.PidTagRenderingPosition: -1,
        proptags.PidTagAttachLongFilename: "annual report.pdf",
        proptags.PidTagAttachFilename: "annualre.pdf",
        proptags.PidTagAttachExtension: ".pdf",
        proptags.PidTagDisplayName: "annual report.pdf",
        proptags.PidTagAttachMethod: 1,
        proptags.PidTagAttachDataBinary: b"data",
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("image/jpeg", "ATT00001.jpg"),
        ("application/x-odd", "ATT00001.dat"),
        ("application/octet-stream", "ATT00001.dat"),
    ],
)
def test_a_part_without_a_name_gets_one(kind: str, name: str) -> None:
    assert attachment(f"Content-Type: {kind}").properties[proptags.PidTagAttachLongFilename] == name


def related(html: str, image_head: str) -> AttachmentDraft:
    raw = (
        "Subject: x\nContent-Type: multipart/related; boundary=b\n\n"
        f"--b\nContent-Type: text/html\n\n{html}\n--b\nContent-Type: image/gif\n{image_head}\n\ngif\n--b--\n"
    )
    (draft,) = message_draft(raw.encode()).attachments
    return draft


def test_an_image_that_the_html_shows_is_hidden_from_the_list() -> None:
    draft = related('<img src="cid:one@x">', "Content-ID: <one@x>")
    assert draft.properties[proptags.PidTagAttachContentId] == "one@x"
    assert draft.properties[proptags.PidTagAttachFlags] == 4
    assert draft.properties[proptags.PidTagAttachmentHidden] is True
    located = related('<img src="pics/one.gif">', "Content-Location: pics/one.gif")
    assert located.properties[proptags.PidTagAttachContentLocation] == "pics/one.gif"
    assert located.properties[proptags.PidTagAttachmentHidden] is True


def test_an_image_that_the_html_does_not_show_is_in_the_list() -> None:
    draft = related("<p>no image", "Content-ID: <one@x>")
    assert proptags.PidTagAttachmentHidden not in draft.properties


def test_a_message_in_a_message() -> None:
    draft = attachment("Content-Type: message/rfc822", "Subject: inner\nFrom: a@b.test\n\ntext")
    assert draft.embedded is not None
    assert draft.embedded.properties[proptags.PidTagSubject] == "inner"
    assert draft.properties[proptags.PidTagAttachMethod] == 5
    assert draft.properties[proptags.PidTagDisplayName] == "inner"
    assert proptags.PidTagAttachDataBinary not in draft.properties


def test_a_report_stays_readable() -> None:
    body = "Reporting-MTA: dns; a.test\n\nFinal-Recipient: rfc822; b@c.test\nAction: failed\n"
    draft = attachment("Content-Type: message/delivery-status", body)
    assert b"Final-Recipient: rfc822; b@c.test\nAction: failed\n" in draft.properties[proptags.PidTagAttachDataBinary]


def test_a_report_with_a_multipart_that_has_no_parts_keeps_its_bytes() -> None:
    """Found by atheris: Python decodes such text, and can't write it again."""
    body = "Content-Type: multipart/mixed\n\nno parts: \u00ff\n"
    draft = attachment("Content-Type: message/delivery-status", body)
    data = draft.properties[proptags.PidTagAttachDataBinary]
    assert isinstance(data, bytes)
    assert b"no parts: " in data
