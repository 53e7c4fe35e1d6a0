"""`ocpy newuser`: accounts with a mailbox, made, changed and removed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from openchange_py.addressbook.administration import Changes
from openchange_py.addressbook.base import AttributeValue, DirectoryError, Entry
from openchange_py.addressbook.recipients import (
    ACCOUNT_DISABLED,
    ACCOUNT_ENABLED,
    EQUIPMENT_MAILBOX,
    MAILBOX_TYPES,
    ROOM_MAILBOX,
    USER_MAILBOX,
    RecipientType,
    recipient_type,
)
from openchange_py.cli.bulk import bulk_options, run_csv
from openchange_py.cli.people import (
    Performer,
    changes_of,
    detail_options,
    existing,
    one_action,
)
from openchange_py.cli.settings import password_option, read_password, with_settings
from openchange_py.config import Settings, declared
from openchange_py.store.base import NoSuchObject, Store
from openchange_py.store.source import open_store

_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\$?")

_ACTIONS: Final = ("create", "mailbox", "update", "disable", "enable", "delete")


@click.command("newuser")
@click.argument("user", required=False)
@click.option(
    "--create",
    is_flag=True,
    help="Put the Exchange attributes on the account, which is made where the directory does not have it.",
)
@click.option("--mailbox", is_flag=True, help="Make the mailbox with its special folders.")
@click.option("--update", is_flag=True, help="Change what the other options say.")
@click.option("--disable", is_flag=True, help="The account may log in no more; nothing is deleted.")
@click.option("--enable", is_flag=True, help="The account may log in again.")
@click.option("--delete", is_flag=True, help="Delete the account and its mailbox.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(sorted(MAILBOX_TYPES)),
    help="With --create: a user's mailbox (the default), or one that nobody logs on to.",
)
@click.option("--capacity", type=click.IntRange(0, 100_000), help="How many people a room is for.")
@click.option("--manager", metavar="NAME", help="Who USER reports to; empty: nobody.")
@detail_options
@click.option("--change-password", is_flag=True, help="With --update: set a new password.")
@click.option(
    "--no-password", is_flag=True, help="With --create: none is kept here, a domain controller or Kerberos checks it."
)
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@password_option
@bulk_options
@with_settings
def command(settings: Settings, user: str | None, csv_file: str | None, as_json: bool, **given: Any) -> None:
    """Make, change and remove the account USER and its mailbox.

    \b
      ocpy newuser --create --mailbox alice --mail alice@example.test
      ocpy newuser --create --mailbox blue-room --type room --capacity 12 --display-name "Blue Room"
      ocpy newuser --update alice --display-name "Alice Liddell" --manager bob
      ocpy newuser --disable alice
      ocpy newuser --create --mailbox --csv people.csv

    The password comes from a prompt, from --password-file or from standard input; an account of a domain needs none
    here (--no-password, and ocpy:domain controller or ocpy:keytab in smb.conf). All is safe to repeat: what is
    done already is said so.

    A CSV file has a line of column names first: `user`, which every line needs, and `password`, `type`, `capacity`,
    `manager` and the names of the other options with a value. Keep a file with passwords to yourself (mode 0600).
    """
    actions = one_action(given, _ACTIONS, ("create", "mailbox"))
    if not actions:
        raise click.UsageError("say what to do: " + ", ".join(f"--{name}" for name in _ACTIONS))
    if csv_file is not None:
        if user is not None or actions == ["delete"]:
            raise click.UsageError("--csv goes without USER, and not with --delete, which takes one USER at a time")
        people = _People(settings)
        run_csv(csv_file, "user", COLUMNS, lambda row: people.perform(actions, row.pop("user"), given | row), as_json)
        return
    if user is None:
        raise click.UsageError("Missing argument 'USER' (or --csv FILE)")
    for line in _People(settings).perform(actions, user, given):
        click.echo(line)


#: Columns of a CSV file besides those of `bulk.DETAIL_COLUMNS`.
COLUMNS: Final = ("user", "password", "type", "capacity", "manager")


class _People(Performer):
    """What is done to one account after the other."""

    def perform(self, actions: Sequence[str], name: str, given: Mapping[str, Any]) -> list[str]:
        """What was done, in lines for people."""
        if not _ACCOUNT.fullmatch(name):
            raise click.BadParameter(
                f"{name!r}: letters, digits, dots, hyphens and underscores, and at the end $ of a machine",
                param_hint="USER",
            )
        _changes(given)  # what is wrong with it is told before a password is asked for
        return super().perform(actions, name, given)

    def _create(self, user: str, given: Mapping[str, Any]) -> str:
        recipient = _mailbox_type(given["kind"])
        _check_capacity(given, recipient)
        if given["no_password"] and (given["password_file"] or given.get("password")):
            raise click.UsageError("--no-password and a password contradict each other")
        self._recipients.organization  # noqa: B018  an error that says what to do, before a password is asked for
        present = self._directory.by_account(user)
        wants_password = present is None and recipient.logs_on and not given["no_password"]
        password = self._password(user, given) if wants_password else None
        entry, made = self._recipients.create(recipient, user, _changes(given))
        if present is None:
            self._prepare_logon(entry, password, logs_on=recipient.logs_on)
        if not made:
            return f"Account {user}: there already"
        return f"Account {user} <{entry.smtp_address}> created: {entry.legacy_exchange_dn}"

    def _password(self, user: str, given: Mapping[str, Any]) -> str:
        return given.get("password") or read_password(given["password_file"], user, confirm=True)

    def _prepare_logon(self, entry: Entry, password: str | None, *, logs_on: bool) -> None:
        """A new account's password, or that nobody logs on with it; what fails leaves no account behind."""
        try:
            if password is not None:
                self._directory.set_password(entry, password)
            self._directory.set_enabled(entry, logs_on)
        except BaseException:
            self._directory.delete(entry)
            raise

    def _mailbox(self, user: str, given: Mapping[str, Any]) -> str:
        entry = existing(self._directory, user)
        guid = entry.mailbox_guid
        if guid is None:
            raise DirectoryError(f"the account {user} has no Exchange attributes: run `ocpy newuser --create {user}`")
        store = self._store()
        try:
            store.mailbox(guid)
        except NoSuchObject:
            store.create_mailbox(guid, entry.legacy_exchange_dn, entry.display_name)
            return f"Mailbox of {user} created"
        return f"Mailbox of {user}: there already"

    def _store(self) -> Store:
        """Opened when it is needed first, closed when the command ends."""
        context = click.get_current_context()
        store: Store | None = context.meta.get(__name__)
        if store is None:
            store = context.meta[__name__] = open_store(self._settings[declared.DATABASE])
            context.call_on_close(store.close)
        return store

    def _update(self, user: str, given: Mapping[str, Any]) -> str:
        entry = existing(self._directory, user)
        _check_capacity(given, recipient_type(entry.attributes))
        changes = _changes(given)
        new_password = given["change_password"] or bool(given.get("password"))
        if not changes and not new_password:
            raise click.UsageError("--update: say what to change")
        password = self._password(user, given) if new_password else None
        entry = self._recipients.update(entry, changes)
        if password is not None:
            self._directory.set_password(entry, password)
        return f"Account {user} changed"

    def _disable(self, user: str, given: Mapping[str, Any]) -> str:
        return self._set_enabled(user, False)

    def _enable(self, user: str, given: Mapping[str, Any]) -> str:
        return self._set_enabled(user, True)

    def _set_enabled(self, user: str, enabled: bool) -> str:
        entry = existing(self._directory, user)
        self._directory.set_enabled(entry, enabled)
        state: list[AttributeValue] = [str(ACCOUNT_ENABLED if enabled else ACCOUNT_DISABLED)]
        if entry.mailbox_guid is not None:
            self._directory.modify(entry, {"msExchUserAccountControl": state})
        return f"Account {user} {'enabled' if enabled else 'disabled'}"

    def _delete(self, user: str, given: Mapping[str, Any]) -> str:
        entry = existing(self._directory, user)
        if not given["yes"]:
            click.confirm(f"Delete the account {user} and everything in its mailbox?", abort=True, err=True)
        if entry.mailbox_guid is not None:
            try:
                self._store().delete_mailbox(entry.mailbox_guid)
            except NoSuchObject:
                click.echo(f"{entry.account} had no mailbox", err=True)
        # The account goes last: what fails before can be repeated.
        self._directory.delete(entry)
        return f"Account {user} and its mailbox deleted"


def _mailbox_type(name: str | None) -> RecipientType:
    if name is not None and name not in MAILBOX_TYPES:
        raise click.BadParameter(f"{name!r} is none of {', '.join(sorted(MAILBOX_TYPES))}", param_hint="--type")
    return MAILBOX_TYPES[name or USER_MAILBOX.name]


def _check_capacity(given: Mapping[str, Any], recipient: RecipientType | None) -> None:
    if given["capacity"] is not None and recipient not in (ROOM_MAILBOX, EQUIPMENT_MAILBOX):
        raise click.UsageError("--capacity is for rooms and equipment")


def _changes(given: Mapping[str, Any]) -> Changes:
    manager = given["manager"]
    links: dict[str, tuple[list[str], list[str]]] = {"manager": ([manager], [])} if manager else {}
    changes = changes_of(given, links, ("manager",) if manager == "" else ())
    if given["capacity"] is not None:
        changes.attributes["msExchResourceCapacity"] = [str(given["capacity"])]
    return changes
