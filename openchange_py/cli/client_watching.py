"""`ocpy client watch`: what happens in a mailbox, as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from typing import Any, Final

import click

from openchange_py.cli.client_options import ConnectionOptions, connection_options, run_profile
from openchange_py.cli.client_output import printable
from openchange_py.cli.client_reading import json_option, mailbox_option
from openchange_py.client.mailbox import MailboxClient, format_id
from openchange_py.client.notifications import EVERYTHING, subscribe
from openchange_py.client.profile import Profile
from openchange_py.wire.oxcdata.ids import FolderId
from openchange_py.wire.rop.oxcnotif import NotificationData, NotificationType

#: What --on calls the kinds of events.
KINDS: Final = {
    "new-mail": NotificationType.NewMail,
    "created": NotificationType.ObjectCreated,
    "deleted": NotificationType.ObjectDeleted,
    "modified": NotificationType.ObjectModified,
    "moved": NotificationType.ObjectMoved,
    "copied": NotificationType.ObjectCopied,
}
_NAMES: Final = {int(kind): name for name, kind in KINDS.items()}


@click.command("watch")
@click.option("--folder", help="Only what happens in this folder; default: in the whole mailbox.")
@click.option("--on", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Only such events; repeat it.")
@click.option("--count", metavar="N", type=click.IntRange(1), help="End after N events.")
@click.option("--seconds", metavar="S", type=click.FloatRange(0, min_open=True), help="End after S seconds.")
@mailbox_option
@json_option
@connection_options
def watch(
    options: ConnectionOptions,
    folder: str | None,
    kinds: tuple[str, ...],
    count: int | None,
    seconds: float | None,
    mailbox: str | None,
    as_json: bool,
) -> None:
    """Show what happens in a mailbox, as it happens, until Ctrl-C. With --json each event is a line.

    \b
      ocpy client watch --on new-mail
      ocpy client watch --folder Inbox --count 1 --json
    """
    types = 0
    for kind in kinds:
        types |= KINDS[kind]

    async def work(profile: Profile) -> None:
        opened = await profile.mailbox(mailbox)
        folder_id = None if folder is None else (await opened.find_folder(folder)).id
        await subscribe(opened, types or EVERYTHING, folder_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _show(profile, opened, count, as_json)

    run_profile(options, work)


async def _show(profile: Profile, mailbox: MailboxClient, count: int | None, as_json: bool) -> None:
    waiter, paths = await profile.waiter(), dict[FolderId, str]()
    click.echo("watching", err=True)
    shown = 0
    async for told in waiter.events():
        data = told.notification_data
        if data.folder_id is None:
            continue
        if data.folder_id not in paths:
            paths = {one.id: one.path for one in await mailbox.folders()}
        event = _event(data, paths.get(data.folder_id))
        _show_one(event, as_json)
        shown += 1
        if shown == count:
            return


def _event(data: NotificationData, folder: str | None) -> dict[str, Any]:
    message_class = data.message_class
    if isinstance(message_class, bytes):
        message_class = message_class.decode("ascii", "replace")
    return {
        "event": _NAMES.get(data.notification_type, f"0x{data.notification_type:04x}"),
        "folder": folder,
        "folder_id": None if data.folder_id is None else format_id(data.folder_id),
        "message_id": None if data.message_id is None else format_id(data.message_id),
        "message_class": message_class,
        "total": data.total_message_count,
        "unread": data.unread_message_count,
    }


def _show_one(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(event))
        return
    what = "folder" if event["message_id"] is None else f"message {event['message_id']}"
    counts = ", ".join(f"{event[key]} {key}" for key in ("total", "unread") if event[key] is not None)
    time = datetime.datetime.now().strftime("%H:%M:%S")
    where = printable(event["folder"] or str(event["folder_id"]))
    click.echo(f"{time}  {event['event']:<8}  {where}  {what}{'  ' + counts if counts else ''}")
