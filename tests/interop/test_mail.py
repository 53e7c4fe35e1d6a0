"""Real mail, imported and read back through hybrid, relay and server, is what Python's `email` reads from the file.

Nothing of `openchange_py.mime` is used here, and no rule of it: what is expected comes from the file alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import email
import email.header
import email.policy
import email.utils
import io
import mailbox
import re
from email.message import Message
from typing import Any

import pytest

from openchange_py.client.mailbox import MessageSummary
from openchange_py.client.messages import MessageInfo, RecipientInfo, RemoteMessage
from tests.conftest import shared_path
from tests.interop.nodes import Site

pytestmark = pytest.mark.xdist_group("site")

COUNT = 29
#: Stands for the name of an attachment that its sender gave none.
MADE_UP = "(made up)"


@dataclasses.dataclass
class Content:
    """A message, as both sides give it."""

    subject: str
    sender: tuple[str, str]
    submitter: tuple[str, str]
    recipients: list[tuple[int, str, str]]
    date: datetime.datetime | None
    plain: list[str]
    html: list[str]
    attachments: list[tuple[str, bytes]]
    embedded: list[Content]


# What the file says


def expected(message: Message) -> Content:
    """By Python's `email`; a part is a body if it is text, unnamed and not attached, and the first of its kind."""
    plain, html, others = sorted_parts(message)
    sender = first_address(message, "From")
    return Content(
        subject=text_of(message["Subject"]),
        sender=sender,
        submitter=first_address(message, "Sender") if message["Sender"] else sender,
        recipients=[
            (kind, name or address, address)
            for kind, field in ((1, "To"), (2, "Cc"), (3, "Bcc"))
            for name, address in addresses(message, field)
        ],
        date=date_of(message),
        plain=lines(decoded_text(plain)),
        html=lines(decoded_text(html)),
        attachments=[(name_of(part), content_of(part)) for part in others if not is_message(part)],
        embedded=[expected(part.get_payload(0)) for part in others if is_message(part)],
    )


def sorted_parts(message: Message) -> tuple[Message | None, Message | None, list[Message]]:
    """The plain body, the HTML body, and all other leaves in their order; a message in it is a leaf."""
    bodies: dict[str, Message] = {}
    others = []
    for part, alternative in leaves(message, False):
        kind = part.get_content_type()
        named = part.get_filename() is not None or part.get_content_disposition() == "attachment"
        wanted = kind in ("text/plain", "text/html") and not named
        if wanted and kind not in bodies and (not bodies or alternative):
            bodies[kind] = part
        else:
            others.append(part)
    return bodies.get("text/plain"), bodies.get("text/html"), others


def leaves(part: Message, alternative: bool) -> Any:
    if part.get_content_maintype() != "multipart":
        yield part, alternative
        return
    for child in part.get_payload():
        yield from leaves(child, alternative or part.get_content_subtype() == "alternative")


def is_message(part: Message) -> bool:
    return part.get_content_type() == "message/rfc822"


def content_of(part: Message) -> bytes:
    if part.is_multipart():  # message/delivery-status, which Python takes apart
        return b"".join(child.as_bytes(policy=email.policy.compat32) for child in part.get_payload())
    return part.get_payload(decode=True)


def decoded_text(part: Message | None) -> str:
    return "" if part is None else part.get_payload(decode=True).decode(part.get_content_charset("ascii"))


def lines(text: str | None) -> list[str]:
    return re.split(r"\r\n|\r|\n", (text or "").rstrip("\r\n"))


def text_of(value: str | None) -> str:
    """Unfolded (RFC 5322, 2.2.3) and decoded."""
    value = re.sub(r"\r?\n", "", value or "")
    return str(email.header.make_header(email.header.decode_header(value)))


def addresses(message: Message, field: str) -> list[tuple[str, str]]:
    """An empty group, as of `unlisted-recipients:;`, has none."""
    pairs = email.utils.getaddresses(message.get_all(field, []))
    return [(text_of(name), address) for name, address in pairs if name or address]


def first_address(message: Message, field: str) -> tuple[str, str]:
    name, address = (addresses(message, field) or [("", "")])[0]
    return name or address, address


def date_of(message: Message) -> datetime.datetime | None:
    value = message["Date"]
    return None if value is None else email.utils.parsedate_to_datetime(value).astimezone(datetime.UTC)


def name_of(part: Message) -> str:
    """The sender's name for it; where there is none the server makes one, `ATT00001.dat`."""
    name = part.get_filename()
    if name is None:
        return MADE_UP
    return DRIVE_NAME if name.startswith("C:") else name


# What the hybrid gives


async def received(message: RemoteMessage) -> tuple[MessageInfo, Content]:
    info = await message.info()
    attachments, embedded = [], []
    for attachment in await message.attachments():
        if attachment.is_message:
            async with await message.embedded(attachment.number) as inner:
                embedded.append((await received(inner))[1])
        else:
            content = io.BytesIO()
            await message.save_attachment(attachment.number, content)
            made_up = re.fullmatch(r"ATT\d{5}\.\w+", attachment.name)
            attachments.append((MADE_UP if made_up else attachment.name, content.getvalue()))
    return info, Content(
        subject=info.subject,
        sender=person(info.sender),
        submitter=person(info.submitter),
        recipients=[(one.kind, *person(one)) for one in info.recipients],
        date=info.submitted,
        plain=lines(await message.body()),
        html=lines(await message.html()),
        attachments=attachments,
        embedded=embedded,
    )


def person(one: RecipientInfo) -> tuple[str, str]:
    return one.name, one.address


async def read_all(site: Site) -> dict[str, Content]:
    found = {}
    async with site.profile(site.hybrid, "bob") as profile:
        opened = await profile.mailbox()
        inbox = await opened.find_folder("Inbox")
        for summary in (await opened.messages(inbox.id)).messages:
            async with await opened.open_message(inbox.id, summary.id) as message:
                info, content = await received(message)
                found[info.message_id] = content
    return found


Mails = tuple[dict[str, Content], dict[str, Content]]

#: Where one cannot go by Python's reading, which differs between its versions: what is right instead, and why.
EXCEPTIONS: dict[str, dict[str, Any]] = {
    # From and To are UUCP paths, which RFC 5322 has no form for: each is one address, and none is lost.
    "<9209252113.AA00975@ ebony >": {
        "sender": ("develop!nextmime@ebony@sblab.att.com",) * 2,
        "submitter": ("develop!nextmime@ebony@sblab.att.com",) * 2,
        "recipients": [
            (1, *("@develop:sblab!att!thumper.bellcore.com!nsb",) * 2),
            (2, *("robb@develop",) * 2),
        ],
    },
}
#: A file name with a drive, and yen signs for backslashes in a header without charset: made a name for a file.
DRIVE_NAME = "C_\xa5win95\xa5TEMP\xa5nsmailRJ.tiff"


@pytest.fixture(scope="module")
def mails(site: Site) -> Mails:
    """What is expected and what came, by Message-ID."""
    path = shared_path("mail/list.mbox")
    report = site.import_mail("bob", path)
    assert report == {"imported": COUNT, "refused": []}
    box = mailbox.mbox(path)
    originals = [email.message_from_bytes(box.get_bytes(key)) for key in box.iterkeys()]
    wanted = {" ".join(original["Message-ID"].split()): expected(original) for original in originals}
    return wanted, asyncio.run(read_all(site))


def test_every_message_came_back(mails: Mails) -> None:
    wanted, came = mails
    assert len(wanted) == COUNT
    assert set(came) == set(wanted)


@pytest.mark.parametrize("index", range(COUNT))
def test_what_comes_back_is_what_the_file_says(mails: Mails, index: int) -> None:
    wanted, came = mails
    message_id = list(wanted)[index]
    assert came[message_id] == dataclasses.replace(wanted[message_id], **EXCEPTIONS.get(message_id, {}))


def test_the_list_of_messages(mails: Mails, site: Site) -> None:
    """What a table of the folder tells of them, sorted by the server: the latest first."""
    wanted, _ = mails

    async def listed() -> list[MessageSummary]:
        async with site.profile(site.hybrid, "bob", compress=True, obfuscate=True) as profile:
            opened = await profile.mailbox()
            return (await opened.messages((await opened.find_folder("Inbox")).id)).messages

    rows = asyncio.run(listed())
    assert sorted(row.subject for row in rows) == sorted(content.subject for content in wanted.values())
    assert [row.number for row in rows] == list(range(1, COUNT + 1))
    times = [row.time for row in rows]
    assert times == sorted(times, reverse=True)
    with_attachments = [content for content in wanted.values() if content.attachments or content.embedded]
    assert sum(row.has_attachments for row in rows) == len(with_attachments)
