"""`ocpy departments`: the hierarchical address book."""

from __future__ import annotations

import json

import click

from openchange_py.addressbook.administration import Recipients
from openchange_py.addressbook.base import Directory, Entry, NoSuchEntry
from openchange_py.addressbook.departments import SENIORITY, mark, root, set_root, tree
from openchange_py.cli.people import directory_of, recipients_of
from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings

#: [MS-OXOABK] 2.2.3.24: PtypInteger32.
_LARGEST = (1 << 31) - 1


@click.command("departments")
@click.option("--root", "top", metavar="GROUP", help="Put GROUP at the top; clients see the hierarchy from then on.")
@click.option("--no-root", is_flag=True, help="Show clients no hierarchy any more.")
@click.option(
    "--add", metavar="GROUP", multiple=True, help="Make GROUP a department, below those that it is a member of."
)
@click.option("--remove", metavar="GROUP", multiple=True, help="Make GROUP an ordinary group again.")
@click.option(
    "--seniority",
    metavar="NAME=NUMBER",
    multiple=True,
    help="How high a person or department stands among its neighbours; nothing behind the = takes it back.",
)
@click.option("--json", "as_json", is_flag=True, help="List as JSON.")
@with_settings
def command(
    settings: Settings,
    top: str | None,
    no_root: bool,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    seniority: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show or change the departments that clients find people by.

    \b
      ocpy departments --root board --add sales --add support --seniority sales=20
    """
    if top and no_root:
        raise click.UsageError("--root and --no-root contradict each other")
    directory = directory_of(settings)
    recipients = recipients_of(settings, directory)
    for group, department in (*((name, True) for name in add), *((name, False) for name in remove)):
        mark(directory, _entry(recipients, group), department)
    for text in seniority:
        _set_seniority(directory, recipients, text)
    if top or no_root:
        set_root(directory, _entry(recipients, top) if top else None)
    _show(directory, as_json)


def _set_seniority(directory: Directory, recipients: Recipients, text: str) -> None:
    name, equals, number = text.partition("=")
    is_number = number.isascii() and number.isdigit() and int(number) <= _LARGEST
    if not equals or (number and not is_number):
        raise click.UsageError(f"--seniority {text}: NAME=NUMBER is needed")
    directory.modify(_entry(recipients, name), {SENIORITY: [number] if number else None})


def _entry(recipients: Recipients, name: str) -> Entry:
    found = recipients.find(name)
    if found is None:
        raise NoSuchEntry(f"there is no {name} in the directory")
    return found


def _show(directory: Directory, as_json: bool) -> None:
    first = root(directory)
    found = list(tree(directory, first)) if first is not None else []
    if as_json:
        shown = [{"name": one.display_name, "depth": depth, "dn": one.legacy_exchange_dn} for depth, one in found]
        click.echo(json.dumps(shown))
        return
    if not found:
        click.echo("There are no departments: --root puts a group at the top", err=True)
    for depth, one in found:
        click.echo("  " * depth + one.display_name)
