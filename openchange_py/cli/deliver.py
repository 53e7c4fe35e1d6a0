"""`ocpy deliver`: mail from a mail transfer agent into a mailbox, as sendmail's local delivery agents do it.

The exit codes are those of sysexits.h, which mail transfer agents go by: what can be put right without the sender
(configuration, database, directory) is a temporary failure, for which mail stays in the queue.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Final

import click

from openchange_py.addressbook.base import Directory, Entry
from openchange_py.cli.directory import open_directory
from openchange_py.cli.main import describe, expected_errors
from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings, declared
from openchange_py.mime.delivery import Receiver, delivered_draft
from openchange_py.mime.parser import ImportRefused
from openchange_py.store.base import Mailbox, NoSuchObject
from openchange_py.store.source import open_store
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId

logger = logging.getLogger(__name__)

#: An envelope address: RFC 5321 4.5.3.1.3 allows 256 characters.
_LONGEST_ADDRESS: Final = 320


class Undeliverable(Exception):
    """Why a message can't be delivered, and the exit code for it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _WrongUsage(click.UsageError):
    exit_code = os.EX_USAGE


class _Agent(click.Command):
    """A command that always ends with a code of sysexits.h."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _WrongUsage(error.format_message(), error.ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Undeliverable as error:
            code, reason = error.code, str(error)
        except ImportRefused as error:
            code, reason = os.EX_DATAERR, f"the message: {error}"
        except expected_errors() as error:
            code, reason = os.EX_TEMPFAIL, describe(error)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            logger.exception("delivery failed")
            code, reason = os.EX_TEMPFAIL, f"unexpected: {type(error).__name__}"
        click.echo(f"ocpy deliver: {reason}", err=True)
        raise click.exceptions.Exit(code)


@click.command("deliver", cls=_Agent)
@click.argument("user")
@click.option("--folder", help="The folder to put it into; default: where mail of its class is received, the Inbox.")
@click.option("-f", "--from", "sender", metavar="SENDER", help="The envelope's sender, empty for a delivery report.")
@click.option("-r", "--read", "is_read", is_flag=True, help="Mark it as read.")
@with_settings
def command(settings: Settings, user: str, folder: str | None, sender: str | None, is_read: bool) -> None:
    """Deliver the Internet message on standard input to USER, an account or one of its mail addresses.

    \b
    For mail transfer agents; it may run while the server runs, whose clients hear of the mail within a second:
      ocpy deliver -f bob@example.test alice < message
      ocpy deliver alice+lists@example.test --folder Inbox/Lists < message

    \b
    Exit codes (sysexits.h): 0 delivered, 64 wrong usage, 65 the message is none or too large,
    67 USER has no mailbox here, 73 there is no such folder, 75 not now: try again later.
    """
    if sender is not None and (len(sender) > _LONGEST_ADDRESS or not sender.isprintable() or set(sender) & set("<> ")):
        raise Undeliverable(os.EX_USAGE, f"{sender!r} is no sender")
    raw = _message(settings[declared.MAX_MESSAGE_SIZE])
    directory = open_directory(settings)
    try:
        entry = _entry(directory, user)
    finally:
        directory.close()
    draft = delivered_draft(raw, _receiver(entry), sender, is_read=is_read)
    store = open_store(settings[declared.DATABASE])
    try:
        mailbox = _mailbox(store, entry)
        message_class = draft.properties[proptags.PidTagMessageClass]
        mailbox.deliver_message(_target(mailbox, folder, message_class), draft)
    finally:
        store.close()


def _message(limit: int) -> bytes:
    """Standard input, whole."""
    if sys.stdin.isatty():
        raise Undeliverable(os.EX_USAGE, "the message is read from standard input: < FILE")
    raw = sys.stdin.buffer.read(limit + 1)
    if len(raw) > limit:
        raise Undeliverable(
            os.EX_DATAERR, f"the message has more than {limit} bytes ({declared.MAX_MESSAGE_SIZE.name})"
        )
    return raw


def _entry(directory: Directory, user: str) -> Entry:
    """By account or address; `alice+lists@example.test` is alice's where nobody has it."""
    local, at, domain = user.partition("@")
    names = [user, *([local.partition("+")[0] + at + domain] if "+" in local else [])]
    for name in names:
        entry = directory.by_address(name) if at else directory.by_account(name)
        if entry is not None and entry.mailbox_guid is not None:
            return entry
    raise Undeliverable(os.EX_NOUSER, f"{user} has no mailbox here")


def _receiver(entry: Entry) -> Receiver:
    others = [address[5:] for address in entry.all("proxyAddresses") if address[:5].casefold() == "smtp:"]
    addresses = tuple(dict.fromkeys(filter(None, (entry.first("mail"), *others))))
    return Receiver(entry.display_name, entry.legacy_exchange_dn, addresses)


def _mailbox(store: Any, entry: Entry) -> Mailbox:
    try:
        mailbox: Mailbox = store.mailbox(entry.mailbox_guid)
    except NoSuchObject as error:
        raise Undeliverable(os.EX_NOUSER, f"{entry.account or entry.display_name} has no mailbox here") from error
    return mailbox


def _target(mailbox: Mailbox, folder: str | None, message_class: str) -> FolderId:
    if folder is None:
        return mailbox.receive_folder(message_class)[0]
    try:
        return mailbox.folder_by_path(folder).id
    except NoSuchObject as error:
        raise Undeliverable(os.EX_CANTCREAT, f"there is no folder {folder!r}") from error
