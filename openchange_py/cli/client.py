"""`ocpy client`: look around as a user, in the address book and in mailboxes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from typing import Any, BinaryIO, Final

import click

from openchange_py.cli.client_options import (
    ConnectionOptions,
    connection_options,
    describe,
    group_options,
    run,
    run_profile,
)
from openchange_py.cli.client_output import (
    Table,
    printable,
    printable_lines,
    show_fields,
    show_json,
    size_text,
    text_of_html,
    time_json,
    time_text,
)
from openchange_py.cli.client_saving import ProgressBar, new_file, target_path
from openchange_py.client.endpoints import list_endpoints
from openchange_py.client.errors import NoSuchMessage
from openchange_py.client.mailbox import FolderInfo, MailboxClient, MessageSummary, format_id, parse_id
from openchange_py.client.messages import AttachmentInfo, MessageInfo, RecipientInfo, RemoteMessage
from openchange_py.client.profile import Profile
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap

#: What JSON calls the properties of an address book entry.
_ENTRY_KEYS: Final = {
    "display_name": p.PidTagDisplayName,
    "account": p.PidTagAccount,
    "mail": p.PidTagSmtpAddress,
    "dn": p.PidTagEmailAddress,
    "title": p.PidTagTitle,
    "department": p.PidTagDepartmentName,
    "company": p.PidTagCompanyName,
    "office": p.PidTagOfficeLocation,
    "telephone": p.PidTagBusinessTelephoneNumber,
}

_RECIPIENT_KINDS: Final = {0: "originator", 1: "to", 2: "cc", 3: "bcc"}

_json_option = click.option("--json", "as_json", is_flag=True, help="JSON for programs.")
_mailbox_option = click.option(
    "--mailbox", metavar="NAME", help="Whose mailbox: a name or a legacy distinguished name; default: one's own."
)
_folder_option = click.option(
    "--folder", metavar="PATH", default="Inbox", show_default=True, help="The folder: Inbox, Inbox/Projects."
)
_embedded_option = click.option(
    "--embedded",
    metavar="N",
    type=click.IntRange(1),
    multiple=True,
    help="Go on to the message that is attachment N; repeat it for one in that one.",
)


@click.group("client", context_settings={"help_option_names": ["-h", "--help"]})
@group_options
def command() -> None:
    """Log on to a server as a user: look up people, list folders and messages, read mail, save attachments.

    \b
    The server is a host with an endpoint mapper, or a ready file:
      ocpy client --server exch1.example.test --user alice folders
      ocpy client --endpoints /run/ocpy.json --user alice --password-file pw messages --folder Inbox
      ocpy client --server exch1 --user 'EXAMPLE\\alice' read --number 1
      ocpy client attachment --message 1 --number 2 --save ~/Downloads/

    These options may stand in front of the subcommand or behind it. OCPY_SERVER, OCPY_USER and OCPY_PASSWORD_FILE say
    what is not said there. The password is asked for, or read from --password-file or from standard input.

    Exit codes: 0 done, 1 not possible (one line says why), 2 wrong usage.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name from the other side of the world is no reason to stop


@command.command("endpoints")
@_json_option
@connection_options
def endpoints(options: ConnectionOptions, as_json: bool) -> None:
    """Show what the endpoint mapper of the server has registered. Needs no account.

    \b
      ocpy client endpoints --server exch1.example.test
    """
    found = run(lambda: list_endpoints(options.where()))
    if as_json:
        show_json([dataclasses.asdict(endpoint) for endpoint in found])
        return
    table = Table("INTERFACE", "VERSION", "PROTOCOL", "ADDRESS", "ENDPOINT", "ANNOTATION")
    for e in found:
        table.add(e.name or e.uuid, e.version, e.protocol, e.address, e.endpoint, e.annotation)
    table.show()


@command.command("resolve")
@click.argument("name")
@_json_option
@connection_options
def resolve(options: ConnectionOptions, name: str, as_json: bool) -> None:
    """Look up NAME in the address book: an account, a mail address, or the beginning of a name.

    \b
      ocpy client resolve alice
      ocpy client resolve alice@example.test --json

    Where several people fit they are listed, and the exit code is 1.
    """

    async def work(profile: Profile) -> PropertyMap:
        return await (await profile.address_book()).resolve(name)

    entry = run_profile(options, work)
    if as_json:
        show_json(_entry_json(entry))
        return
    labels = ("Name", "Account", "Mail", "DN", "Title", "Department", "Company", "Office", "Telephone")
    show_fields(list(zip(labels, (str(value or "") for value in _entry_json(entry).values()), strict=True)))


def _entry_json(entry: PropertyMap) -> dict[str, Any]:
    return {key: entry.get(tag) for key, tag in _ENTRY_KEYS.items()}


@command.command("list")
@click.option("--limit", metavar="N", type=click.IntRange(0), help="At most N entries; default: all.")
@click.option("--list", "address_list", metavar="NAME", help="An address list; default: the Global Address List.")
@click.option("--lists", is_flag=True, help="Show which address lists there are.")
@_json_option
@connection_options
def list_(
    options: ConnectionOptions, limit: int | None, address_list: str | None, lists: bool, as_json: bool
) -> None:
    """List the address book.

    \b
      ocpy client list --limit 20
      ocpy client list --lists
      ocpy client list --list "All Users"
    """
    if lists:
        _show_lists(options, as_json)
        return

    async def work(profile: Profile) -> list[PropertyMap]:
        nspi = await profile.address_book()
        container = 0
        if address_list is not None:
            known = {found.name.casefold(): found.container_id for found in await nspi.special_table()}
            if address_list.casefold() not in known:
                raise click.ClickException(f"there is no address list {address_list!r}: --lists shows them")
            container = known[address_list.casefold()]
        return [row async for row in nspi.query_rows(container, limit=limit)]

    rows = run_profile(options, work)
    if as_json:
        show_json([_entry_json(row) for row in rows])
        return
    table = Table("NAME", "ACCOUNT", "MAIL")
    for row in rows:
        table.add(*(row.get(tag) or "" for tag in (p.PidTagDisplayName, p.PidTagAccount, p.PidTagSmtpAddress)))
    table.show()


def _show_lists(options: ConnectionOptions, as_json: bool) -> None:
    async def work(profile: Profile) -> list[Any]:
        return await (await profile.address_book()).special_table()

    found = run_profile(options, work)
    if as_json:
        show_json([dataclasses.asdict(one) for one in found])
        return
    for one in found:
        click.echo("  " * one.depth + printable(one.name))


@command.command("folders")
@_mailbox_option
@_json_option
@connection_options
def folders(options: ConnectionOptions, mailbox: str | None, as_json: bool) -> None:
    """List the folders of a mailbox, with the messages in them and how many of them are unread.

    \b
      ocpy client folders
      ocpy client folders --mailbox bob
    """

    async def work(profile: Profile) -> list[FolderInfo]:
        return await (await profile.mailbox(mailbox)).folders()

    found = run_profile(options, work)
    if as_json:
        keys = ("name", "path", "depth", "container_class", "count", "unread")
        show_json([{"id": format_id(f.id), **{key: getattr(f, key) for key in keys}} for f in found])
        return
    table = Table("FOLDER", ">MESSAGES", ">UNREAD", "KIND")
    for f in found:
        table.add("  " * f.depth + f.name, f.count, f.unread or "", f.container_class)
    table.show()


@command.command("messages")
@_folder_option
@click.option("--limit", metavar="N", type=click.IntRange(0), default=50, show_default=True, help="At most N.")
@click.option("--start", metavar="N", type=click.IntRange(1), default=1, help="Begin with number N; 1 is the newest.")
@_mailbox_option
@_json_option
@connection_options
def messages(
    options: ConnectionOptions, folder: str, limit: int, start: int, mailbox: str | None, as_json: bool
) -> None:
    """List the messages of a folder, newest first. `*` marks what is unread, `@` what has attachments.

    \b
      ocpy client messages --limit 10
      ocpy client messages --folder "Sent Items" --json
    """

    async def work(profile: Profile) -> tuple[int, list[MessageSummary]]:
        opened = await profile.mailbox(mailbox)
        page = await opened.messages((await opened.find_folder(folder)).id, start - 1, limit)
        return page.total, page.messages

    total, found = run_profile(options, work)
    if as_json:
        show_json({"folder": folder, "total": total, "messages": [_summary_json(message) for message in found]})
        return
    table = Table(">NO", "ID", "", "DATE", ">SIZE", "FROM", "SUBJECT")
    for m in found:
        marks = ("*" if not m.is_read else " ") + ("@" if m.has_attachments else " ")
        table.add(m.number, format_id(m.id), marks, time_text(m.time), size_text(m.size), m.sender, m.subject)
    table.show()
    if len(found) < total:
        click.echo(f"{len(found)} of {total} messages: --start and --limit show others", err=True)


def _summary_json(message: MessageSummary) -> dict[str, Any]:
    return {**dataclasses.asdict(message), "id": format_id(message.id), "time": time_json(message.time)}


@command.command("read")
@click.argument("message", metavar="[ID]", required=False)
@click.option("--number", metavar="N", type=click.IntRange(1), help="Message number N of the folder, 1 is the newest.")
@_folder_option
@_embedded_option
@click.option("--html", is_flag=True, help="The HTML body as it is, instead of the plain text.")
@_mailbox_option
@_json_option
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
    wanted = _wanted(message, number)

    async def work(profile: Profile) -> tuple[MessageInfo, str | None, str | None, list[AttachmentInfo]]:
        async with contextlib.AsyncExitStack() as stack:
            opened = await _open(stack, await profile.mailbox(mailbox), folder, wanted, embedded)
            info, body = await opened.info(), await opened.body()
            page = await opened.html() if html or body is None else None
            return info, body, page, await opened.attachments()

    info, body, page, attachments = run_profile(options, work)
    if as_json:
        show_json(_message_json(info, body, page, attachments))
        return
    if html:
        if page is None:
            raise click.ClickException("the message has no HTML body")
        click.echo(printable_lines(page))
        return
    _show_head(info, attachments)
    click.echo()
    click.echo(printable_lines(body if body is not None else text_of_html(page) if page is not None else "(no text)"))


def _wanted(message: str | None, number: int | None) -> int | MessageId:
    """A message's number, or its id as a `MessageId`, of which two kinds of int the sign tells: numbers are negative."""
    if (message is None) == (number is None):
        raise click.UsageError("say which message: its ID, or --number N")
    if number is not None:
        return -number
    text = str(message)
    if text.isascii() and text.isdigit() and int(text) > 0:
        return -int(text)
    try:
        return parse_id(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no message id such as 1-2a, and no number", param_hint="ID") from None


async def _open(
    stack: contextlib.AsyncExitStack,
    mailbox: MailboxClient,
    folder: str,
    wanted: int | MessageId,
    embedded: tuple[int, ...],
) -> RemoteMessage:
    """The message, or the one in its attachments."""
    place = (await mailbox.find_folder(folder)).id
    message_id = (await mailbox.message_at(place, -wanted)).id if wanted < 0 else MessageId(wanted)
    message = await stack.enter_async_context(await mailbox.open_message(place, message_id))
    for position in embedded:
        attachment = _at(await message.attachments(), position)
        message = await stack.enter_async_context(await message.embedded(attachment.number))
    return message


def _at(attachments: list[AttachmentInfo], position: int) -> AttachmentInfo:
    """The attachment at a place of the list, counted from 1."""
    if position > len(attachments):
        raise NoSuchMessage(f"there is no attachment {position}: the message has {len(attachments)}")
    return attachments[position - 1]


def _person(person: RecipientInfo) -> str:
    if person.name and person.address and person.name != person.address:
        return f"{person.name} <{person.address}>"
    return person.name or person.address


def _show_head(info: MessageInfo, attachments: list[AttachmentInfo]) -> None:
    lists = [(name, kind) for name, kind in (("To", 1), ("Cc", 2), ("Bcc", 3))]
    sent_by = "" if info.submitter == info.sender else _person(info.submitter)
    show_fields(
        [
            ("From", _person(info.sender)),
            ("Sent by", sent_by),
            *((name, ", ".join(_person(r) for r in info.recipients if r.kind == kind)) for name, kind in lists),
            ("Date", time_text(info.submitted or info.delivered)),
            ("Subject", info.subject or "(no subject)"),
            *((f"Attachment {n}", _attachment_text(attachment)) for n, attachment in enumerate(attachments, 1)),
        ]
    )


def _attachment_text(attachment: AttachmentInfo) -> str:
    kind = "a message" if attachment.is_message else attachment.mime_type
    details = [kind, size_text(attachment.size), "shown in the HTML" if attachment.hidden else ""]
    return f"{attachment.name or '(no name)'} ({', '.join(detail for detail in details if detail)})"


def _message_json(
    info: MessageInfo, body: str | None, page: str | None, attachments: list[AttachmentInfo]
) -> dict[str, Any]:
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
        "body": body,
        "html": page,
        "attachments": [
            {**dataclasses.asdict(attachment), "number": position, "is_message": attachment.is_message}
            for position, attachment in enumerate(attachments, 1)
        ],
    }
