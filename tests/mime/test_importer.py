"""What is imported equals what Python's `email` reads; odd mail is imported or refused with a reason."""

from __future__ import annotations

import email
import email.header
import email.utils
import mailbox as stdlib_mailbox
import time
import tracemalloc
import uuid
from collections.abc import Iterator
from email.message import EmailMessage, Message
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.mime.importer import ImportRefused, ImportReport, import_mail, message_draft
from openchange_py.mime.mailboxes import read_mail
from openchange_py.resources import setup_path
from openchange_py.store.base import Mailbox, MessageDraft, NoSuchObject, SpecialFolder
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire import proptags
from tests.conftest import SHARED, shared_path

ODD = sorted((SHARED / "mail" / "messages").glob("*"))


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    url = f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(url)
    store = open_store(url)
    yield store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    store.close()


def filetime(value: str) -> int:
    return int(email.utils.mktime_tz(email.utils.parsedate_tz(value))) * 10_000_000 + 116444736000000000  # type: ignore[arg-type]


def decoded(value: str) -> str:
    """A header text, unfolded, as Python decodes it."""
    unfolded = value.replace("\r", "").replace("\n", "")
    return str(email.header.make_header(email.header.decode_header(unfolded))).strip()


def header(message: Message, name: str) -> str:
    """A header field as Python decodes it."""
    return decoded(message.get(name, ""))


def leaves(message: Message) -> Iterator[Message]:
    """The leaf parts of a message; embedded messages count as one."""
    if message.get_content_maintype() == "multipart" and message.is_multipart():
        for part in message.get_payload():
            yield from leaves(part)
    else:
        yield message


def check(message: Message, draft: MessageDraft) -> None:
    """The draft holds what Python's `email` reads, every leaf part of it once."""
    properties = draft.properties
    assert properties[proptags.PidTagSubject] == header(message, "Subject")
    for field, tag in (
        ("From", proptags.PidTagSentRepresentingSmtpAddress),
        ("Sender", proptags.PidTagSenderSmtpAddress),
    ):
        name, address = email.utils.parseaddr(message.get(field, ""))
        if address:
            assert properties[tag] == address
            if field == "From":
                assert properties[proptags.PidTagSentRepresentingName] == (decoded(name) or address)
    if message["Date"]:
        assert properties[proptags.PidTagClientSubmitTime] == filetime(message["Date"])
    for kind, field in ((1, "To"), (2, "Cc"), (3, "Bcc")):
        read = [pair for pair in email.utils.getaddresses(message.get_all(field, [])) if pair[1]]
        kept = [one.properties for one in draft.recipients if one.kind == kind]
        if not any(address.startswith("@") for _, address in read):
            assert [one[proptags.PidTagSmtpAddress] for one in kept] == [address for _, address in read]
            assert [one[proptags.PidTagDisplayName] for one in kept] == [
                decoded(name) or address for name, address in read
            ]
    check_parts(message, draft)


def check_parts(message: Message, draft: MessageDraft) -> None:
    bodies = [draft.properties.get(tag) for tag in (proptags.PidTagBody, proptags.PidTagHtml)]
    waiting = list(draft.attachments)
    for part in leaves(message):
        if part.get_content_type() == "message/rfc822":
            attachment = waiting.pop(0)
            assert attachment.embedded is not None
            check(part.get_payload(0), attachment.embedded)  # type: ignore[arg-type]
            continue
        raw = part.get_payload(decode=True)
        if not isinstance(raw, bytes):
            assert waiting.pop(0).properties[proptags.PidTagAttachMimeTag] == part.get_content_type()
            continue
        charset = part.get_content_charset() or "utf-8"
        text = raw.decode(charset, "replace").replace("\r\n", "\n").replace("\n", "\r\n")
        if part.get_content_type() == "text/plain" and text == bodies[0]:
            bodies[0] = None
        elif part.get_content_type() == "text/html" and raw == bodies[1]:
            bodies[1] = None
        else:
            attachment = waiting.pop(0)
            assert attachment.properties[proptags.PidTagAttachDataBinary] == raw
            name = part.get_filename()
            if name and name.isascii() and not set(name) & set('<>:"/\\|?*'):
                assert attachment.properties[proptags.PidTagAttachLongFilename] == name
    assert not waiting
    assert bodies == [None, None]


def test_a_list_of_real_mail_is_what_python_reads() -> None:
    path = shared_path("mail/list.mbox")
    read = list(stdlib_mailbox.mbox(path, create=False))
    drafts = [message_draft(source.read()) for source in read_mail(path)]
    assert len(read) == len(drafts) == 29
    for message, draft in zip(read, drafts, strict=True):
        check(message, draft)


def test_a_list_of_real_mail_is_saved(mailbox: Mailbox) -> None:
    path = shared_path("mail/list.mbox")
    seen: list[int] = []
    report = import_mail(mailbox, path, "Inbox", lambda report: seen.append(report.imported))
    assert (report.imported, report.refused) == (29, [])
    assert seen == list(range(1, 30))
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    subjects = {header(message, "Subject") for message in stdlib_mailbox.mbox(path, create=False)}
    ids = mailbox.message_ids(inbox)
    rows = mailbox.message_rows(ids, [proptags.PidTagSubject, proptags.PidTagMessageDeliveryTime])
    assert {row[proptags.PidTagSubject] for row in rows} == subjects
    times = [row[proptags.PidTagMessageDeliveryTime] for row in rows]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("path", ODD, ids=lambda path: path.name)
def test_odd_mail_is_imported(path: Path, mailbox: Mailbox) -> None:
    started = time.process_time()
    report = import_mail(mailbox, path)
    assert (report.imported, report.refused) == (1, [])
    assert time.process_time() - started < 5


@pytest.mark.parametrize("path", sorted((setup_path() / "sample-mailbox").glob("*.eml")), ids=lambda path: path.name)
def test_the_sample_mailbox_is_what_python_reads(path: Path) -> None:
    raw = path.read_bytes()
    check(email.message_from_bytes(raw), message_draft(raw))


def test_the_sample_mailbox_shows_what_there_is_to_see(mailbox: Mailbox) -> None:
    report = import_mail(mailbox, setup_path() / "sample-mailbox")
    assert report == ImportReport(9, [])
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    by_subject: dict[str, list[MessageDraft]] = {}
    for identifier in mailbox.message_ids(inbox):
        message = mailbox.message(identifier)
        by_subject.setdefault(message.properties[proptags.PidTagNormalizedSubject], []).append(message)  # type: ignore[arg-type]
    assert len(by_subject["Lunch on Monday?"]) == 3
    (badge,) = mailbox.message(by_subject["Our new badge"][0].id).attachments()  # type: ignore[attr-defined]
    assert badge.properties[proptags.PidTagAttachDataBinary].startswith(b"\x89PNG")
    assert badge.properties[proptags.PidTagAttachmentHidden] is True
    assert "Grüße aus Zürich · Привет · 日本語" in by_subject


def test_what_is_no_mail_is_refused_with_a_reason(mailbox: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    for name, raw in (
        ("a", b""),
        ("b", b"\0\1\2binary"),
        ("c", b"Subject: fine\n\ntext"),
        ("d", b"no header at all\n"),
    ):
        (tmp_path / "mail" / f"{name}.eml").write_bytes(raw)
    report = import_mail(mailbox, tmp_path / "mail", mailbox.special_folders()[SpecialFolder.DRAFTS])
    assert report.imported == 1
    reasons = {Path(source).name: reason for source, reason in report.refused}
    assert reasons == {"a.eml": "it is empty", "b.eml": "it has no mail header", "d.eml": "it has no mail header"}


def test_a_folder_that_is_not_there(mailbox: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"Subject: x\n\ny")
    with pytest.raises(NoSuchObject, match="Nowhere"):
        import_mail(mailbox, tmp_path / "a.eml", "Inbox/Nowhere")


def test_mail_without_any_date_is_delivered_now(mailbox: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"Subject: x\n\ny")
    import_mail(mailbox, tmp_path / "a.eml")
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    properties = mailbox.message(mailbox.message_ids(inbox)[0]).properties
    delivered = properties[proptags.PidTagMessageDeliveryTime]
    assert abs(delivered - properties[proptags.PidTagCreationTime]) < 600_000_000
    assert proptags.PidTagClientSubmitTime not in properties


def test_the_header_is_kept_as_it_was_sent() -> None:
    draft = message_draft(b"Subject: x\nX-Odd: a\n b\n\nbody\n\nX-Not: header")
    assert draft.properties[proptags.PidTagTransportMessageHeaders] == "Subject: x\r\nX-Odd: a\r\n b"


def nested(levels: int) -> bytes:
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(levels))
    return b"Subject: deep\n" + head + b"\ntext"


def embedded(levels: int) -> bytes:
    return b"Content-Type: message/rfc822\nSubject: x\n\n" * levels + b"Subject: innermost\n\ntext"


def test_nesting_is_bounded() -> None:
    assert message_draft(nested(30)).properties[proptags.PidTagBody].strip() == "text"
    for raw in (nested(65), nested(20_000), embedded(20_000)):
        started = time.process_time()
        with pytest.raises(ImportRefused, match="in each other"):
            message_draft(raw)
        assert time.process_time() - started < 5


def test_messages_too_deep_for_messages_in_messages_are_kept_as_files() -> None:
    draft = message_draft(embedded(20))
    depth = 0
    while draft.attachments[0].embedded is not None:
        draft = draft.attachments[0].embedded
        depth += 1
    assert depth == 16
    assert b"Subject: innermost" in draft.attachments[0].properties[proptags.PidTagAttachDataBinary]


def test_too_many_parts_are_refused() -> None:
    raw = b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 20_000 + b"--b--\n"
    with pytest.raises(ImportRefused, match="parts"):
        message_draft(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"To: " + b"(" * 100_000 + b"\n\nx",
        b"To: " + b'"' * 100_001 + b"\n\nx",
        b"To: " + b"a@b," * 50_000 + b"\n\nx",
        b"Subject: " + b"=?utf-8?Q?a?= " * 20_000 + b"\n\nx",
        b"Subject: " + b"=?" * 100_000 + b"\n\nx",
        b"Subject: x\nContent-Type: text/plain" + b"; a=b" * 20_000 + b"\n\nx",
        b"Subject: x\nContent-Type: text/html\n\n" + b"<meta " * 50_000,
        b"Subject: x\nDate: " + b"1" * 100_000 + b"\n\nx",
        b"Subject: x\n" + b"X: y\n" * 50_000 + b"\nx",
    ],
    ids=["comments", "quotes", "recipients", "words", "half words", "parameters", "meta", "date", "fields"],
)
def test_hostile_headers_take_bounded_time_and_memory(raw: bytes) -> None:
    started = time.process_time()
    tracemalloc.start()
    draft = message_draft(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert draft.properties[proptags.PidTagTransportMessageHeaders]
    assert time.process_time() - started < 30
    assert peak < 200 * len(raw) + 20_000_000


LINES = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b",
        b'Content-Type: multipart/alternative; boundary="b"',
        b"Content-Type: message/rfc822",
        b"Content-Type: text/html; charset=utf-16",
        b"Content-Type: text/plain; charset=idna; name*0*=''%ff; name*1=x",
        b'Content-Disposition: attachment; filename="=?utf-8?B?4pyT?="',
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Transfer-Encoding: x-uuencode",
        b"Subject: =?utf-7?Q?+AAA-?= =?x?B?!!?=",
        b"From: \xff\xfe <a@b>, c",
        b"Date: Mon, 99 Foo 99999999999 99:99:99 +99999999",
        b"--b",
        b"--b--",
        b"begin 666 x",
        b"",
        b" ",
    ]
)


@given(st.lists(st.one_of(LINES, st.binary(max_size=30)), max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_imported_or_refused(lines: list[bytes]) -> None:
    raw = b"\n".join(lines)
    try:
        draft = message_draft(raw)
    except ImportRefused as refused:
        assert str(refused)  # noqa: PT017
    else:
        assert isinstance(draft.properties[proptags.PidTagSubject], str)


def test_a_message_that_python_wrote() -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Größe", "Zoë <z@example.test>", "a@example.test"
    message.set_content("plain\n")
    message.add_alternative("<p>html é</p>\n", subtype="html")
    message.add_attachment(b"\0\1\2", maintype="application", subtype="x-odd", filename="größe.bin")
    draft = message_draft(bytes(message), is_read=True)
    assert draft.properties[proptags.PidTagMessageFlags] == 1
    assert draft.properties[proptags.PidTagBody] == "plain\r\n"
    assert draft.properties[proptags.PidTagHtml] == "<p>html é</p>\n".encode()
    assert draft.properties[proptags.PidTagInternetCodepage] == 65001
    assert draft.properties[proptags.PidTagNativeBody] == 3
    (attachment,) = draft.attachments
    assert attachment.properties[proptags.PidTagAttachLongFilename] == "größe.bin"
    assert attachment.properties[proptags.PidTagAttachDataBinary] == b"\0\1\2"
