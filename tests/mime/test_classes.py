"""The message class that mail gets."""

from __future__ import annotations

import pytest

from openchange_py.mime.classes import message_class
from openchange_py.mime.parser import parse
from tests.conftest import shared_path


def report(kind: str, field: str) -> bytes:
    return (
        "Content-Type: multipart/report; boundary=b\n\n--b\n\ntext\n"
        f"--b\nContent-Type: message/{kind}\n\nReporting-MTA: dns; x\n\n{field}\n--b--\n"
    ).encode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"Subject: x\n\ny", "IPM.Note"),
        (report("delivery-status", "Action: failed"), "REPORT.IPM.Note.NDR"),
        (report("delivery-status", "ACTION:Delivered (to mailbox)"), "REPORT.IPM.Note.DR"),
        (report("delivery-status", "Action: delayed"), "REPORT.IPM.Note.Delayed.DR"),
        (report("delivery-status", "Action: relayed"), "REPORT.IPM.Note.Relayed.DR"),
        (report("delivery-status", "Action: expanded"), "REPORT.IPM.Note.Expanded.DR"),
        (report("delivery-status", "Nothing: said"), "REPORT.IPM.Note.NDR"),
        (
            report("disposition-notification", "Disposition: manual-action/MDN-sent-manually; displayed"),
            "REPORT.IPM.Note.IPNRN",
        ),
        (report("disposition-notification", "Disposition: automatic-action/x; deleted"), "REPORT.IPM.Note.IPNNRN"),
        (report("feedback-report", "x: y"), "IPM.Note"),
        (b"Content-Type: application/x-pkcs7-mime; name=smime.p7m\n\nx", "IPM.Note.SMIME"),
        (b"Content-Type: application/pkcs7-mime\n\nx", "IPM.Note.SMIME"),
    ],
)
def test_classes(raw: bytes, expected: str) -> None:
    assert message_class(parse(raw)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bounce.txt", "REPORT.IPM.Note.NDR"),
        ("delivery-status.txt", "REPORT.IPM.Note.NDR"),
        ("delivery-status-multiple-blank-lines.txt", "REPORT.IPM.Note.NDR"),
        ("disposition-notification.txt", "REPORT.IPM.Note.IPNRN"),
        ("feedback-report.txt", "IPM.Note"),
        ("simple-multipart.eml", "IPM.Note"),
    ],
)
def test_real_mail(name: str, expected: str) -> None:
    assert message_class(parse(shared_path(f"mail/messages/{name}").read_bytes())) == expected
