"""`ocpy newuser`: accounts with a mailbox, made, changed and removed."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any, Final

import click

from openchange_py.addressbook.accounts import ACCOUNT_DISABLED, ACCOUNT_ENABLED, exchange_attributes
from openchange_py.addressbook.base import AttributeValue, Directory, DirectoryError, Entry, EntryExists, Kind
from openchange_py.cli.directory import open_directory
from openchange_py.cli.settings import password_option, read_password, with_settings
from openchange_py.config import Settings, declared
from openchange_py.store.base import NoSuchObject, Store
from openchange_py.store.source import open_store

_MAIL: Final = re.compile(r"[^\s@<>\"(),:;\\\[\]]+@[^\s@<>\"(),:;\\\[\]]+")
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\$?")

_ACTIONS: Final = ("create", "mailbox", "update", "disable", "enable", "delete")


@click.command("newuser")
@click.argument("user")
@click.option(
    "--create", is_flag=True, help="Put the Exchange attributes on the account; the embedded directory makes it."
)
@click.option("--mailbox", is_flag=True, help="Make the mailbox with its special folders.")
@click.option("--update", is_flag=True, help="Change --mail, --display-name or the password.")
@click.option("--disable", is_flag=True, help="The account may log in no more; nothing is deleted.")
@click.option("--enable", is_flag=True, help="The account may log in again.")
@click.option("--delete", is_flag=True, help="Delete the account and its mailbox.")
@click.option("--mail", metavar="ADDRESS", help="Mail address; default: USER@ the mail domain of smb.conf.")
@click.option("--display-name", metavar="NAME", help="The name that the address book shows; default: USER.")
@click.option("--given-name", metavar="NAME", help="First name, for the address book.")
@click.option("--surname", metavar="NAME", help="Last name, for the address book.")
@click.option("--hidden/--listed", default=None, help="Leave the account out of the address lists, or show it in them.")
@click.option("--change-password", is_flag=True, help="With --update: set a new password.")
@click.option(
    "--no-password", is_flag=True, help="With --create: none is kept here, a domain controller or Kerberos checks it."
)
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@password_option
@with_settings
def command(settings: Settings, user: str, **given: Any) -> None:
    """Make, change and remove the account USER and its mailbox.

    \b
      ocpy newuser --create --mailbox alice --mail alice@example.test
      ocpy newuser --update alice --display-name "Alice Liddell"
      ocpy newuser --disable alice

    The password comes from a prompt, from --password-file or from standard input; an account of a domain needs none
    here (--no-password, and ocpy:domain controller or ocpy:keytab in smb.conf). All is safe to repeat: what is
    done already is said so.
    """
    actions = [name for name in _ACTIONS if given[name]]
    if not actions:
        raise click.UsageError("say what to do: " + ", ".join(f"--{name}" for name in _ACTIONS))
    if len(actions) > 1 and actions != ["create", "mailbox"]:
        raise click.UsageError("only --create and --mailbox go together: " + ", ".join(f"--{a}" for a in actions))
    if not _ACCOUNT.fullmatch(user):
        raise click.BadParameter(
            f"{user!r}: letters, digits, dots, hyphens and underscores, and at the end $ of a machine",
            param_hint="USER",
        )
    if given["mail"] is not None and not _MAIL.fullmatch(given["mail"]):
        raise click.BadParameter(f"{given['mail']!r} is no mail address", param_hint="--mail")
    directory = directory_of(settings)
    for action in actions:
        _PERFORM[action](settings, directory, user, given)


def directory_of(settings: Settings) -> Directory:
    """The configured directory, which is closed when the command ends."""
    return click.get_current_context().with_resource(closing(open_directory(settings)))


def existing(directory: Directory, user: str) -> Entry:
    """The account's entry; an error that says what to do where there is none."""
    entry = directory.by_account(user)
    if entry is None:
        raise DirectoryError(f"there is no account {user}: `ocpy newuser --create {user}` makes it")
    return entry


def _create(settings: Settings, directory: Directory, user: str, given: dict[str, Any]) -> None:
    organization = directory.organization()
    mail = given["mail"] or f"{user}@{settings[declared.MAIL_DOMAIN]}"
    present = directory.by_account(user)
    if present is not None and present.legacy_exchange_dn:
        raise EntryExists(f"the account {user} exists: --update changes it, --mailbox makes its mailbox")
    taken = directory.by_address(mail)
    if taken is not None:
        raise EntryExists(f"the address {mail} is {taken.account or taken.display_name}'s")
    if given["no_password"] and given["password_file"]:
        raise click.UsageError("--no-password and --password-file contradict each other")
    password = None if given["no_password"] else read_password(given["password_file"], user, confirm=True)
    server = settings[declared.NETBIOS_NAME]
    attributes: dict[str, list[AttributeValue]] = {
        **exchange_attributes(organization, server, user, mail, given["display_name"] or user),
        **_names(given),
    }
    entry = directory.create(Kind.USER, user, attributes)
    if password is not None:
        _set_first_password(directory, entry, password)
    click.echo(f"Account {user} <{mail}> created: {entry.legacy_exchange_dn}")


def _set_first_password(directory: Directory, entry: Entry, password: str) -> None:
    """What fails leaves no account behind."""
    try:
        directory.set_password(entry, password)
    except BaseException:
        directory.delete(entry)
        raise


def _names(given: dict[str, Any]) -> dict[str, list[AttributeValue]]:
    """The attributes of the options that were given."""
    changes: dict[str, list[AttributeValue]] = {}
    for option, attribute in (("given_name", "givenName"), ("surname", "sn"), ("display_name", "displayName")):
        if given[option]:
            changes[attribute] = [given[option]]
    if given["hidden"] is not None:
        changes["msExchHideFromAddressLists"] = ["TRUE" if given["hidden"] else "FALSE"]
    return changes


def _mailbox(settings: Settings, directory: Directory, user: str, given: dict[str, Any]) -> None:
    entry = existing(directory, user)
    guid = entry.mailbox_guid
    if guid is None:
        raise DirectoryError(f"the account {user} has no Exchange attributes: run `ocpy newuser --create {user}`")
    store = open_store(settings[declared.DATABASE])
    try:
        try:
            store.mailbox(guid)
        except NoSuchObject:
            store.create_mailbox(guid, entry.legacy_exchange_dn, entry.display_name)
            click.echo(f"Mailbox of {user} created")
        else:
            click.echo(f"Mailbox of {user}: there already")
    finally:
        store.close()


def _update(settings: Settings, directory: Directory, user: str, given: dict[str, Any]) -> None:
    entry = existing(directory, user)
    changes: dict[str, list[AttributeValue]] = _names(given)
    if given["mail"]:
        taken = directory.by_address(given["mail"])
        if taken is not None and taken.guid != entry.guid:
            raise EntryExists(f"the address {given['mail']} is {taken.account or taken.display_name}'s")
        changes["mail"] = [given["mail"]]
        changes["proxyAddresses"] = [*_primary_address(entry, given["mail"])]
    if not changes and not given["change_password"]:
        raise click.UsageError("--update: say what to change")
    password = read_password(given["password_file"], user, confirm=True) if given["change_password"] else None
    if changes:
        entry = directory.modify(entry, changes)
    if password is not None:
        directory.set_password(entry, password)
    click.echo(f"Account {user} changed")


def _primary_address(entry: Entry, mail: str) -> list[str]:
    """proxyAddresses with a new primary one; the old one stays as a secondary, so that its mail still arrives."""
    others = [
        address.replace("SMTP:", "smtp:", 1)
        for address in entry.all("proxyAddresses")
        if address.casefold() != f"smtp:{mail}".casefold()
    ]
    return [f"SMTP:{mail}", *others]


def _set_enabled(directory: Directory, user: str, enabled: bool) -> None:
    entry = existing(directory, user)
    directory.set_enabled(entry, enabled)
    state = ACCOUNT_ENABLED if enabled else ACCOUNT_DISABLED
    directory.modify(entry, {"msExchUserAccountControl": [str(state)]})
    click.echo(f"Account {user} {'enabled' if enabled else 'disabled'}")


def _disable(settings: Settings, directory: Directory, user: str, given: dict[str, Any]) -> None:
    _set_enabled(directory, user, False)


def _enable(settings: Settings, directory: Directory, user: str, given: dict[str, Any]) -> None:
    _set_enabled(directory, user, True)


def _delete(settings: Settings, directory: Directory, user: str, given: dict[str, Any]) -> None:
    entry = existing(directory, user)
    if not given["yes"]:
        click.confirm(f"Delete the account {user} and everything in its mailbox?", abort=True, err=True)
    if entry.mailbox_guid is not None:
        store = open_store(settings[declared.DATABASE])
        try:
            _delete_mailbox(store, entry)
        finally:
            store.close()
    # The account goes last: what fails before can be repeated.
    directory.delete(entry)
    click.echo(f"Account {user} and its mailbox deleted")


def _delete_mailbox(store: Store, entry: Entry) -> None:
    assert entry.mailbox_guid is not None
    try:
        store.delete_mailbox(entry.mailbox_guid)
    except NoSuchObject:
        click.echo(f"{entry.account} had no mailbox", err=True)


_PERFORM: Final = {
    "create": _create,
    "mailbox": _mailbox,
    "update": _update,
    "disable": _disable,
    "enable": _enable,
    "delete": _delete,
}
