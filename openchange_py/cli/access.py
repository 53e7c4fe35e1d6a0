"""`ocpy access`: who else may open a mailbox."""

from __future__ import annotations

import json

import click

from openchange_py.addressbook.base import Directory, DirectoryError, Entry
from openchange_py.cli.people import directory_of, existing
from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings


@click.command("access")
@click.argument("user")
@click.option("--grant", metavar="ACCOUNT", multiple=True, help="Give ACCOUNT full access to USER's mailbox.")
@click.option("--revoke", metavar="ACCOUNT", multiple=True, help="Take it away again.")
@click.option("--json", "as_json", is_flag=True, help="List as JSON.")
@with_settings
def command(settings: Settings, user: str, grant: tuple[str, ...], revoke: tuple[str, ...], as_json: bool) -> None:
    """Show or change who, besides USER, has full access to USER's mailbox.

    A proxy that relays with one account for all (dcerpc_mapiproxy:username) needs that account to have full access to
    the mailboxes behind it; the proxy itself checks that each user opens no mailbox but what he may open.
    """
    directory = directory_of(settings)
    entry = existing(directory, user)
    if entry.mailbox_guid is None and grant:
        raise DirectoryError(f"{user} has no mailbox: `ocpy newuser --create --mailbox {user}` makes it")
    less = [existing(directory, account) for account in revoke]
    more = [_grantable(directory, account) for account in grant]
    if more or less:
        directory.change_full_access(entry, more, less)
    _show(directory, entry, as_json)


def _grantable(directory: Directory, account: str) -> Entry:
    """Who has a name that a client can log on to a server with."""
    entry = existing(directory, account)
    if not entry.legacy_exchange_dn:
        raise DirectoryError(f"the account {account} has no Exchange attributes: run `ocpy newuser --create {account}`")
    return entry


def _show(directory: Directory, entry: Entry, as_json: bool) -> None:
    holders = directory.full_access(entry)
    if as_json:
        described = [{"account": one.account, "dn": one.legacy_exchange_dn} for one in holders]
        click.echo(json.dumps({"mailbox": entry.account, "full_access": described}))
        return
    if not holders:
        click.echo(f"Nobody but {entry.account} may open the mailbox of {entry.account}")
    for one in holders:
        click.echo(f"{one.account or one.display_name} has full access to the mailbox of {entry.account}")
