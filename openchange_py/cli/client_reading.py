"""`ocpy client read` and `ocpy client attachment`: one message, and what is attached to it."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import Any, Final

import click

from openchange_py.cli.client_options import ConnectionOptions, connection_options, run_profile
from openchange_py.cli.client_output import (
    printable,
    printable_lines,
    show_fields,
    show_json,
    size_text,
    text_of_html,
    time_json,
    time_text,
)
from openchange_py.cli.client_saving import new_file, target_path
from openchange_py.cli.progress import ProgressBar
from openchange_py.client.errors import NoSuchMessage
from openchange_py.client.mailbox import MailboxClient, parse_id
from openchange_py.client.messages import AttachmentInfo, MessageInfo, RecipientInfo, RemoteMessage
from openchange_py.client.profile import Profile
from openchange_py.wire.oxcdata.ids import MessageId

_RECIPIENT_KINDS: Final = {0: "originator", 1: "to", 2: "cc", 3: "bcc"}

json_option = click.option("--json", "as_json", is_flag=True, help="JSON for programs.")
mailbox_option = click.option(
    "--mailbox", metavar="NAME", help="Whose mailbox: a name or a legacy distinguished name; default: one's own."
)
folder_option = click.option(
    "--folder", metavar="PATH", default="Inbox", show_default=True, help="The folder: Inbox, Inbox/Projects."
)
embedded_option = click.option(
    "--embedded",
    metavar="N",
    type=click.IntRange(1),
    multiple=True,
    help="Go on to the message that is attachment N; repeat it for one in that one.",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A message: of a folder by its number (1 is the newest) or its id, and the way down to one in it."""

    folder: str
    number: int | None
    id: MessageId | None
    embedded: tuple[int, ...]

    @classmethod
    def parse(cls, text: str, folder: str, embedded: tuple[int, ...], hint: str) -> Wanted:
        """From `1-2a` or `3`. Raises `BadParameter`."""
        if text.isascii() and text.isdigit() and int(text) > 0:
            return cls(folder, int(text), None, embedded)
        try:
            return cls(folder, None, parse_id(text), embedded)
        except ValueError:
            reason = f"{text!r} is neither a message id such as 1-2a nor a number from 1 on"
            raise click.BadParameter(reason, param_hint=hint) from None

    async def open(self, stack: contextlib.AsyncExitStack, mailbox: MailboxClient) -> RemoteMessage:
        """Open it; `stack` closes it. Raises `NoSuchFolder`, `NoSuchMessage`."""
        folder = (await mailbox.find_folder(self.folder)).id
        message_id = self.id
        if message_id is None:
            message_id = (await mailbox.message_at(folder, self.number or 0)).id
        message = await stack.enter_async_context(await mailbox.open_message(folder, message_id))
        for position in self.embedded:
            found = attachment_at(await message.attachments(), position)
            message = await stack.enter_async_context(await message.embedded(found.number))
        return message


def attachment_at(attachments: list[AttachmentInfo], position: int) -> AttachmentInfo:
    """The attachment at a place of the list, counted from 1. Raises `NoSuchMessage`."""
    if position > len(attachments):
        raise NoSuchMessage(f"there is no attachment {position}: the message has {len(attachments)}")
    return attachments[position - 1]


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """A message as it was read."""

    info: MessageInfo
    body: str | None
    page: str | None
    attachments: list[AttachmentInfo]


@click.command("read")
@click.argument("message", metavar="[ID]", required=False)
@click.option("--number", metavar="N", type=click.IntRange(1), help="Message number N of the folder, 1 is the newest.")
@folder_option
@embedded_option
@click.option("--html", is_flag=True, help="The HTML body as it is, instead of the plain text.")
@mailbox_option
@json_option
@connection_options
def read(
    options: ConnectionOptions,
    message: str | None,
    number: int | None,
    folder: str,
    embedded: tuple[int, ...],
    html: bool,
    mailbox: str | None,
    as_json: bool,
) -> None:
    """Show a message: who wrote it to whom, its text, and what is attached.

    \b
      ocpy client read --number 1
      ocpy client read 1-2a --folder Inbox/Projects
      ocpy client read --number 3 --embedded 1       the message in its first attachment

    ID is what `ocpy client messages` shows. Reading leaves the message unread.
    """
    if (message is None) == (number is None):
        raise click.UsageError("say which message: its ID, or --number N")
    wanted = Wanted.parse(message or str(number), folder, embedded, "ID")
    found = run_profile(options, lambda profile: _read(profile, mailbox, wanted, html))
    if as_json:
        show_json(_message_json(found))
    elif html:
        if found.page is None:
            raise click.ClickException("the message has no HTML body")
        click.echo(printable_lines(found.page).rstrip("\n"))
    else:
        _show(found)


async def _read(profile: Profile, mailbox: str | None, wanted: Wanted, html: bool) -> _Found:
    async with contextlib.AsyncExitStack() as stack:
        message = await wanted.open(stack, await profile.mailbox(mailbox))
        info, body = await message.info(), await message.body()
        page = await message.html() if html or body is None else None
        return _Found(info, body, page, await message.attachments())


def _show(found: _Found) -> None:
    _show_head(found.info, found.attachments)
    click.echo()
    text = found.body
    if text is None:
        text = "(no text)" if found.page is None else text_of_html(found.page)
    click.echo(printable_lines(text).rstrip("\n"))


def _person(person: RecipientInfo) -> str:
    if person.name and person.address and person.name != person.address:
        return f"{person.name} <{person.address}>"
    return person.name or person.address


def _show_head(info: MessageInfo, attachments: list[AttachmentInfo]) -> None:
    lists = (("To", 1), ("Cc", 2), ("Bcc", 3))
    sent_by = "" if info.submitter == info.sender else _person(info.submitter)
    show_fields(
        [
            ("From", _person(info.sender)),
            ("Sent by", sent_by),
            *((name, ", ".join(_person(r) for r in info.recipients if r.kind == kind)) for name, kind in lists),
            ("Date", time_text(info.submitted or info.delivered)),
            ("Subject", info.subject or "(no subject)"),
            *((f"Attachment {n}", _attachment_text(attached)) for n, attached in enumerate(attachments, 1)),
        ]
    )


def _attachment_text(attached: AttachmentInfo) -> str:
    kind = "a message" if attached.is_message else attached.mime_type
    details = [kind, size_text(attached.size), "shown in the HTML" if attached.hidden else ""]
    return f"{attached.name or '(no name)'} ({', '.join(detail for detail in details if detail)})"


def _message_json(found: _Found) -> dict[str, Any]:
    info = found.info
    return {
        "subject": info.subject,
        "from": {"name": info.sender.name, "address": info.sender.address},
        "sender": {"name": info.submitter.name, "address": info.submitter.address},
        "recipients": [
            {"kind": _RECIPIENT_KINDS.get(r.kind, str(r.kind)), "name": r.name, "address": r.address}
            for r in info.recipients
        ],
        "submitted": time_json(info.submitted),
        "delivered": time_json(info.delivered),
        "message_class": info.message_class,
        "message_id": info.message_id,
        "size": info.size,
        "importance": info.importance,
        "body": found.body,
        "html": found.page,
        "attachments": [
            {**dataclasses.asdict(attached), "number": position, "is_message": attached.is_message}
            for position, attached in enumerate(found.attachments, 1)
        ],
    }


@click.command("attachment")
@click.option("--message", metavar="ID", required=True, help="The message: its ID, or its number in the folder.")
@click.option("--number", metavar="N", type=click.IntRange(1), help="Which attachment; needed where it has several.")
@click.option("--save", metavar="FILE", required=True, help="FILE, or DIR/ to keep its own name, or - to print it.")
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
@folder_option
@embedded_option
@mailbox_option
@json_option
@connection_options
def attachment(
    options: ConnectionOptions,
    message: str,
    number: int | None,
    save: str,
    force: bool,
    folder: str,
    embedded: tuple[int, ...],
    mailbox: str | None,
    as_json: bool,
) -> None:
    """Save an attachment of a message.

    \b
      ocpy client attachment --message 1 --number 2 --save report.pdf
      ocpy client attachment --message 1-2a --save ~/Downloads/
      ocpy client attachment --message 1 --save - | sha256sum

    A name that the sender chose is made harmless; no file is overwritten without --force.
    """
    wanted = Wanted.parse(message, folder, embedded, "--message")
    path, size = run_profile(options, lambda profile: _save(profile, mailbox, wanted, number, save, force))
    if as_json and save != "-":
        show_json({"file": path, "size": size})
    elif save != "-":
        click.echo(f"{path}: {size_text(size)}")


async def _save(
    profile: Profile, mailbox: str | None, wanted: Wanted, number: int | None, save: str, force: bool
) -> tuple[str, int]:
    """Where it was saved, and its bytes."""
    async with contextlib.AsyncExitStack() as stack:
        message = await wanted.open(stack, await profile.mailbox(mailbox))
        attachments = await message.attachments()
        if number is None and len(attachments) > 1:
            names = "; ".join(f"{n} {printable(attached.name)}" for n, attached in enumerate(attachments, 1))
            raise click.ClickException(f"say which attachment with --number: {names}")
        position = number or 1
        attached = attachment_at(attachments, position)
        if attached.is_message:
            raise click.ClickException(f"attachment {position} is a message: `read --embedded {position}` shows it")
        if save == "-":
            size = await message.save_attachment(attached.number, sys.stdout.buffer)
            return "-", size
        path = target_path(save, attached, position)
        with new_file(path, force=force) as file, ProgressBar(path.name, size_text) as progress:
            return str(path), await message.save_attachment(attached.number, file, progress)
