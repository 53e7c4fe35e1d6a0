"""A running node whose mailboxes hold what the tests of this folder read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openchange_py.store.base import AttachmentDraft, MessageDraft, Recipient
from openchange_py.wire import proptags as p
from tests.node import RunningNode, node_in_thread

#: 2024-01-01 00:00 UTC as FILETIME.
NEW_YEAR = 133485408000000000
MINUTE = 600_000_000

#: Longer than one payload of 32 KiB, with characters of two and four bytes in UTF-16.
LONG_TEXT = "".join(f"{number} Grüße 🌻\r\n" for number in range(6000))
LONG_HTML = ("<p>" + "Привет " * 9000 + "</p>").encode("cp1251")
ALL_BYTES = bytes(range(256)) * 2000
RECIPIENTS = 700
MANY = 900


def draft(subject: str, minute: int, **more: object) -> MessageDraft:
    """A small message, delivered that many minutes into 2024."""
    properties = {
        p.PidTagSubject: subject,
        p.PidTagMessageClass: "IPM.Note",
        p.PidTagMessageDeliveryTime: NEW_YEAR + minute * MINUTE,
        p.PidTagSenderName: "Bob Example",
        p.PidTagSenderSmtpAddress: "bob@example.test",
        p.PidTagSentRepresentingName: "Carol Chief",
        p.PidTagSentRepresentingSmtpAddress: "carol@example.test",
        p.PidTagMessageFlags: 0,
        **{getattr(p, name): value for name, value in more.items()},
    }
    return MessageDraft(properties)


def recipient(kind: int, name: str, address: str) -> Recipient:
    """An SMTP recipient."""
    return Recipient(
        kind,
        {
            p.PidTagDisplayName: name,
            p.PidTagAddressType: "SMTP",
            p.PidTagEmailAddress: address,
            p.PidTagSmtpAddress: address,
        },
    )


def file(name: str, data: bytes, kind: str = "application/octet-stream", **more: object) -> AttachmentDraft:
    """An attachment with bytes."""
    return AttachmentDraft(
        {
            p.PidTagAttachLongFilename: name,
            p.PidTagAttachMimeTag: kind,
            p.PidTagAttachMethod: 1,
            p.PidTagAttachDataBinary: data,
            **{getattr(p, key): value for key, value in more.items()},
        }
    )


def rich_message() -> MessageDraft:
    """Long bodies, hundreds of recipients, attachments, a message in a message in it."""
    message = draft(
        "RE: everything",
        10_000,
        PidTagSubjectPrefix="RE: ",
        PidTagNormalizedSubject="everything",
        PidTagBody=LONG_TEXT,
        PidTagHtml=LONG_HTML,
        PidTagInternetCodepage=1251,
        PidTagImportance=2,
        PidTagInternetMessageId="<everything@example.test>",
        PidTagClientSubmitTime=NEW_YEAR,
    )
    message.recipients = [
        recipient(1 if number < 600 else 2, f"Person {number}", f"person{number}@example.test")
        for number in range(RECIPIENTS)
    ]
    innermost = draft("Innermost", 1, PidTagBody="the kernel")
    innermost.attachments = [file("kernel.bin", b"\0\1\2")]
    inner = draft("Inner", 2, PidTagBody="a shell")
    inner.recipients = [recipient(1, "Alice Example", "alice@example.test")]
    inner.attachments = [AttachmentDraft({p.PidTagAttachMethod: 5, p.PidTagDisplayName: "Innermost"}, innermost)]
    message.attachments = [
        file("all bytes.bin", ALL_BYTES),
        file("empty.txt", b"", "text/plain", PidTagAttachmentHidden=True, PidTagAttachContentId="empty@example.test"),
        AttachmentDraft({p.PidTagAttachMethod: 5, p.PidTagDisplayName: "Inner"}, inner),
    ]
    return message


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """Alice's Inbox: `MANY` messages, and the rich one as the newest. Bob's is empty."""
    mail = [draft(f"message {number}", number) for number in range(MANY)]
    with node_in_thread(tmp_path_factory.mktemp("node"), {"alice": [*mail, rich_message()]}) as running:
        mailbox = running.mailbox("alice")
        inbox = mailbox.folder_by_path("Inbox").id
        projects = mailbox.create_folder(inbox, "Projects")
        mailbox.create_folder(projects.id, "Ångström/2024")
        mailbox.save_message(projects.id, draft("in a subfolder", 5, PidTagMessageFlags=1))
        yield running
