"""`ocpy access`: who else may open a mailbox."""

from __future__ import annotations

import json

import click

from openchange_py.addressbook.base import FULL_ACCESS_ATTRIBUTE, Directory, DirectoryError, Entry
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
    granted = dict.fromkeys(entry.all(FULL_ACCESS_ATTRIBUTE))
    for account in revoke:
        granted.pop(existing(directory, account).legacy_exchange_dn, None)
    for account in grant:
        granted[_name(directory, account)] = None
    if grant or revoke:
        entry = directory.modify(entry, {FULL_ACCESS_ATTRIBUTE: list(granted) or None})
    _show(directory, entry, as_json)


def _name(directory: Directory, account: str) -> str:
    """What an account is granted something by."""
    dn = existing(directory, account).legacy_exchange_dn
    if not dn:
        raise DirectoryError(f"the account {account} has no Exchange attributes: run `ocpy newuser --create {account}`")
    return dn


def _show(directory: Directory, entry: Entry, as_json: bool) -> None:
    holders = []
    for dn in entry.all(FULL_ACCESS_ATTRIBUTE):
        holder = directory.by_legacy_dn(dn)
        holders.append({"account": holder.account if holder else None, "dn": dn})
    if as_json:
        click.echo(json.dumps({"mailbox": entry.account, "full_access": holders}))
        return
    if not holders:
        click.echo(f"Nobody but {entry.account} may open the mailbox of {entry.account}")
    for granted in holders:
        click.echo(f"{granted['account'] or '(deleted account)'} has full access to the mailbox of {entry.account}")
