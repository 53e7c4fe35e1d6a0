"""`ocpy client put` and `ocpy client delete`: Internet messages into a mailbox, through its server."""

from __future__ import annotations

import mimetypes
import os
import sys
from pathlib import Path
from typing import BinaryIO

import click

from openchange_py.cli.client_options import ConnectionOptions, connection_options, run_profile
from openchange_py.cli.client_output import show_json, size_text
from openchange_py.cli.client_reading import Wanted, folder_option, json_option, mailbox_option
from openchange_py.cli.progress import ProgressBar
from openchange_py.client.mailbox import format_id
from openchange_py.client.messages import RecipientInfo
from openchange_py.client.profile import Profile
from openchange_py.client.writing import RemoteDraft
from openchange_py.mime.importer import ImportRefused, message_draft
from openchange_py.store.base import AttachmentDraft, MessageDraft, Recipient
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import MessageId


@click.command("put")
@click.argument("file", metavar="FILE", type=click.File("rb"))
@click.option(
    "--attach",
    "attached",
    metavar="FILE",
    multiple=True,
    type=click.File("rb"),
    help="Attach this file as well, however large it is; repeat it for more.",
)
@click.option("--unread", is_flag=True, help="Leave it unread.")
@folder_option
@mailbox_option
@json_option
@connection_options
def put(
    options: ConnectionOptions,
    file: BinaryIO,
    attached: tuple[BinaryIO, ...],
    unread: bool,
    folder: str,
    mailbox: str | None,
    as_json: bool,
) -> None:
    """Save the Internet message in FILE (.eml; - is standard input) in a folder, with all that is attached to it.

    \b
      ocpy client put letter.eml --folder Drafts
      ocpy client put letter.eml --attach ~/film.mp4
    """
    try:
        draft = message_draft(file.read(), is_read=not unread)
    except ImportRefused as error:
        raise click.ClickException(f"{file.name}: {error}") from error

    async def work(profile: Profile) -> MessageId:
        opened = await profile.mailbox(mailbox)
        target = await opened.find_folder(folder)
        async with await opened.create_message(target.id) as message:
            await upload(message, draft)
            for one in attached:
                await _attach(message, one)
            return await message.save()

    message_id = format_id(run_profile(options, work))
    if as_json:
        show_json({"id": message_id, "folder": folder})
    else:
        click.echo(f"saved as {message_id} in {folder}")


async def upload(message: RemoteDraft, draft: MessageDraft) -> None:
    """Put all of a draft into a message that is open for writing; saving it is left to the caller."""
    await message.set_properties(draft.properties)
    await message.set_recipients([_recipient(one) for one in draft.recipients])
    for attachment in draft.attachments:
        await _upload_attachment(message, attachment)


async def _upload_attachment(message: RemoteDraft, draft: AttachmentDraft) -> None:
    async with await message.new_attachment() as attachment:
        await attachment.set_properties(draft.properties)
        if draft.embedded is not None:
            async with await attachment.new_message() as inner:
                await upload(inner, draft.embedded)
                await inner.save()
        await attachment.save()


async def _attach(message: RemoteDraft, file: BinaryIO) -> None:
    name = Path(file.name).name
    size = os.fstat(file.fileno()).st_size
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    with ProgressBar(name, size_text) as bar:
        await message.attach(name, file, kind, lambda written: bar(written, size))


def _recipient(one: Recipient) -> RecipientInfo:
    values = one.properties
    address = values.get(p.PidTagSmtpAddress) or values.get(p.PidTagEmailAddress) or ""
    return RecipientInfo(one.kind, values.get(p.PidTagDisplayName) or address, address)


@click.command("delete")
@click.argument("messages", metavar="ID...", nargs=-1, required=True)
@folder_option
@mailbox_option
@connection_options
def delete(options: ConnectionOptions, messages: tuple[str, ...], folder: str, mailbox: str | None) -> None:
    """Delete messages of a folder, named by their ids or numbers (1 is the newest), for good.

    \b
      ocpy client delete 1-2a 1-2b --folder "Deleted Items"
    """
    wanted = [Wanted.parse(text, folder, (), "ID") for text in messages]

    async def work(profile: Profile) -> bool:
        opened = await profile.mailbox(mailbox)
        target = (await opened.find_folder(folder)).id
        ids = [one.id or (await opened.message_at(target, one.number or 0)).id for one in wanted]
        return await opened.delete_messages(target, ids)

    if not run_profile(options, work):
        click.echo("not all of them were there", err=True)
        sys.exit(1)
