"""`ocpy quickstart --check`: a client through the hybrid, and what it is given compared with what was put in."""

from __future__ import annotations

import email
import email.policy
import io
from contextlib import AsyncExitStack
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

import click

from openchange_py.cli.serve import run
from openchange_py.client.connection import Account, Connector
from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.endpoints import read_ready_file
from openchange_py.client.errors import ClientError
from openchange_py.client.mailbox import FolderInfo, MailboxClient
from openchange_py.client.messages import RemoteMessage
from openchange_py.client.nspi import NspiClient
from openchange_py.client.rfr import RfrClient
from openchange_py.resources import setup_path
from openchange_py.rpc.call import RpcFault
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire import proptags as p
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.errors import MapiError
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NSPI

_USER: Final = "alice"


class CheckFailed(Exception):
    """Something came back that was not what had been put in."""


def expect(condition: bool, what: str) -> None:
    """Raise `CheckFailed` where it does not hold."""
    if not condition:
        raise CheckFailed(what)


def run_check(place: Path, description: dict[str, Any]) -> bool:
    """Drive the client, show a transcript, and tell whether every step returned the right content."""
    outcome: list[bool] = []

    async def check() -> None:
        try:
            await _Conversation(place, description).run()
        except (CheckFailed, ClientError, MapiError, RpcFault, ConnectionLost) as error:
            click.echo(f"FAILED: {error}")
            outcome.append(False)

    run(check())
    ok = not outcome
    click.echo(
        "\nEverything that came back was right." if ok else "\nSomething is wrong: see FAILED above and the logs."
    )
    return ok


def sample_mail() -> dict[str, EmailMessage]:
    """The mail that was imported, as Python's own parser reads it, by Message-ID."""
    found: dict[str, EmailMessage] = {}
    for path in sorted((setup_path() / "sample-mailbox").glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        found[str(message["Message-ID"])] = message
    return found


class _Conversation:
    """One client's way: referral, address book, logon, folders, messages, attachment."""

    def __init__(self, place: Path, description: dict[str, Any]) -> None:
        hybrid = description["nodes"]["hybrid"]
        account = next(account for account in description["accounts"] if account["name"] == _USER)
        password = Path(account["password_file"]).read_text("utf-8").rstrip("\n")
        self._mail_address = account["mail"]
        self._connector = Connector(read_ready_file(Path(hybrid["ready_file"])), Account.parse(_USER, password))
        self._sample = sample_mail()

    async def run(self) -> None:
        """All steps in order; what is not right raises."""
        async with AsyncExitStack() as stack:
            user_dn = await self._address_book(stack)
            mailbox = await self._log_on(stack, user_dn)
            inbox = await self._folders(mailbox)
            await self._inbox(mailbox, inbox)
            await self._read(mailbox, inbox)

    async def _address_book(self, stack: AsyncExitStack) -> str:
        """Referral and name resolution: the hybrid's own servers."""
        rfr = await self._connector.connect(RFR)
        stack.push_async_callback(rfr.close)
        server = await RfrClient(rfr).new_dsa()
        _step("RFR", f"the address book server is {server}")
        channel = await self._connector.connect(NSPI)
        stack.push_async_callback(channel.close)
        nspi = NspiClient(channel)
        await nspi.bind()
        entry = await nspi.resolve(_USER)
        dn, mail = entry.get(p.PidTagEmailAddress), entry.get(p.PidTagSmtpAddress)
        _step("NSPI", f"{_USER!r} is {entry.get(p.PidTagDisplayName)} <{mail}>, {dn}")
        expect(mail == self._mail_address, f"the address of {_USER} is {self._mail_address}")
        await nspi.unbind()
        return str(dn)

    async def _log_on(self, stack: AsyncExitStack, user_dn: str) -> MailboxClient:
        """A session and a logon: relayed to node exchange."""
        channel = await self._connector.connect(EMSMDB)
        stack.push_async_callback(channel.close)
        session = EmsmdbClient(channel)
        connected = await session.connect(user_dn)
        stack.push_async_callback(session.disconnect)
        _step("EMSMDB", f"connected as {(connected.display_name or b'').decode('utf-8', 'replace')}")
        mailbox = await MailboxClient.logon(session, user_dn)
        _step("EMSMDB", f"logged on to mailbox {mailbox.answer.mailbox_guid}")
        return mailbox

    async def _folders(self, mailbox: MailboxClient) -> FolderInfo:
        folders = await mailbox.folders()
        _step("EMSMDB", "folders: " + ", ".join(f"{folder.path} ({folder.count})" for folder in folders))
        inbox = await mailbox.find_folder("Inbox")
        expect(inbox.count == len(self._sample), f"the Inbox holds {len(self._sample)} messages")
        return inbox

    async def _inbox(self, mailbox: MailboxClient, inbox: FolderInfo) -> None:
        page = await mailbox.messages(inbox.id)
        for message in page.messages:
            clip = " (with attachment)" if message.has_attachments else ""
            _step("Inbox", f"{message.number}. {message.subject}, from {message.sender}{clip}")
        expect(
            sorted(message.subject for message in page.messages)
            == sorted(str(original["Subject"]) for original in self._sample.values()),
            "the subjects are those of the imported mail",
        )

    async def _read(self, mailbox: MailboxClient, inbox: FolderInfo) -> None:
        """Every message of the Inbox, with its text, and its attachments byte for byte."""
        for summary in (await mailbox.messages(inbox.id)).messages:
            async with await mailbox.open_message(inbox.id, summary.id) as message:
                await self._compare(message)

    async def _compare(self, message: RemoteMessage, original: EmailMessage | None = None, indent: str = "") -> None:
        """One message with all that is in it; `original` is None for one that its Message-ID finds."""
        info = await message.info()
        if original is None:
            expect(info.message_id in self._sample, f"{info.message_id!r} is the Message-ID of an imported mail")
            original = self._sample[info.message_id]
        plain = original.get_body(("plain",))
        body = await message.body() or ""
        if plain is not None:
            expect(_lines(body) == _lines(plain.get_content()), f"the text of {info.subject!r} is the mail's")
        addresses = sorted(recipient.address for recipient in info.recipients)
        expect(addresses == _addresses(original), f"the recipients of {info.subject!r} are the mail's")
        _step("Read", f"{indent}{info.subject!r}: {len(body)} characters of text, to " + _names(info.recipients))
        files, messages = _parts(original)
        for part in files:
            await self._attachment(message, str(part.get_filename()), part.get_payload(decode=True), indent)
        attached = await message.attachments()
        inner = [attachment.number for attachment in attached if attachment.is_message]
        expect(len(attached) == len(files) + len(inner), f"{len(files)} files are attached to {info.subject!r}")
        expect(len(inner) == len(messages), f"{len(messages)} messages are in {info.subject!r}")
        for number, embedded in zip(inner, messages, strict=True):
            async with await message.embedded(number) as opened:
                await self._compare(opened, embedded, indent + "    within it: ")

    async def _attachment(self, message: RemoteMessage, name: str, content: Any, indent: str) -> None:
        for attachment in await message.attachments():
            if attachment.name == name:
                file = io.BytesIO()
                await message.save_attachment(attachment.number, file)
                expect(file.getvalue() == content, f"{name} is byte for byte what was attached")
                _step("Read", f"{indent}    attachment {name}: {len(content)} bytes, identical to the mail's")
                return
        raise CheckFailed(f"there is an attachment {name}")


def _parts(message: EmailMessage) -> tuple[list[EmailMessage], list[EmailMessage]]:
    """The files in a mail, and the mails in it, whose own parts are theirs."""
    files: list[EmailMessage] = []
    messages: list[EmailMessage] = []
    waiting: list[Any] = [message]
    while waiting:
        part = waiting.pop(0)
        if part.get_content_type() == "message/rfc822":
            messages.append(part.get_payload(0))
        elif part.is_multipart():
            waiting[:0] = part.get_payload()
        elif part.get_filename():
            files.append(part)
    return files, messages


def _addresses(message: EmailMessage) -> list[str]:
    """Whom a mail is to, sorted."""
    headers = [header for name in ("To", "Cc", "Bcc") for header in message.get_all(name, [])]
    return sorted(address.addr_spec for header in headers for address in header.addresses)


def _step(who: str, what: str) -> None:
    click.echo(f"{who + ':':8} {what}")


def _names(recipients: list[Any]) -> str:
    return ", ".join(f"{recipient.name} <{recipient.address}>" for recipient in recipients)


def _lines(text: str) -> list[str]:
    """The text's lines, whatever ends them."""
    return [line.rstrip() for line in text.rstrip().splitlines()]
