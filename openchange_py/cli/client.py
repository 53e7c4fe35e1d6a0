"""`ocpy client`: what a user does, in the address book and in mailboxes."""

from __future__ import annotations

import dataclasses
import io
import sys
from typing import Any, Final

import click

from openchange_py.cli.client_details import details
from openchange_py.cli.client_options import (
    ConnectionOptions,
    connection_options,
    group_options,
    run,
    run_profile,
)
from openchange_py.cli.client_output import (
    Table,
    printable,
    show_fields,
    show_json,
    size_text,
    time_json,
    time_text,
)
from openchange_py.cli.client_reading import attachment, folder_option, json_option, mailbox_option, read
from openchange_py.cli.client_watching import watch
from openchange_py.cli.client_writing import delete, put
from openchange_py.client.endpoints import list_endpoints
from openchange_py.client.mailbox import FolderInfo, MessageSummary, format_id
from openchange_py.client.profile import Profile
from openchange_py.wire import proptags as p
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


@click.group("client", context_settings={"help_option_names": ["-h", "--help"]})
@group_options
def command() -> None:
    """Log on to a server as a user: look up people, list folders and messages, read, save and delete mail.

    \b
    The server is a host with an endpoint mapper, or a ready file:
      ocpy client --server exch1.example.test --user alice folders
      ocpy client --endpoints /run/ocpy.json --user alice --password-file pw messages --folder Inbox
      ocpy client --server exch1 --user 'EXAMPLE\\alice' read --number 1
      ocpy client attachment --message 1 --number 2 --save ~/Downloads/

    These options may stand in front of the subcommand or behind it. OCPY_SERVER, OCPY_USER and OCPY_PASSWORD_FILE say
    what is not said there. The password is asked for, or read from --password-file or from standard input; with
    --kerberos the tickets that kinit got take its place.

    Exit codes: 0 done, 1 not possible (one line says why), 2 wrong usage.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name from the other side of the world is no reason to stop


@command.command("endpoints")
@json_option
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
@json_option
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
@json_option
@connection_options
def list_(options: ConnectionOptions, limit: int | None, address_list: str | None, lists: bool, as_json: bool) -> None:
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
@mailbox_option
@json_option
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
@folder_option
@click.option("--limit", metavar="N", type=click.IntRange(0), default=50, show_default=True, help="At most N.")
@click.option("--start", metavar="N", type=click.IntRange(1), default=1, help="Begin with number N; 1 is the newest.")
@mailbox_option
@json_option
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


command.add_command(details)
command.add_command(read)
command.add_command(attachment)
command.add_command(put)
command.add_command(delete)
command.add_command(watch)
