"""`ocpy contact`: people elsewhere, whom the address book shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from openchange_py.addressbook.base import Entry, Kind, NoSuchEntry
from openchange_py.addressbook.recipients import MAIL_CONTACT
from openchange_py.cli.bulk import bulk_options, run_csv
from openchange_py.cli.people import (
    Performer,
    changes_of,
    check_alias,
    detail_options,
    one_action,
)
from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings

_ACTIONS: Final = ("create", "update", "delete")
#: Columns of a CSV file besides those of `bulk.DETAIL_COLUMNS`.
COLUMNS: Final = ("contact",)


@click.command("contact")
@click.argument("contact", required=False)
@click.option("--create", is_flag=True, help="Make the contact.")
@click.option("--update", is_flag=True, help="Change what the other options say.")
@click.option("--delete", is_flag=True, help="Delete the contact.")
@detail_options
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@bulk_options
@with_settings
def command(settings: Settings, contact: str | None, csv_file: str | None, as_json: bool, **given: Any) -> None:
    """Make, change and remove CONTACT, who has no account here and gets mail elsewhere.

    \b
      ocpy contact --create carol --mail carol@elsewhere.test --display-name "Carol Elsewhere"
      ocpy contact --update carol --phone "+49 30 1234"
      ocpy contact --create --csv contacts.csv

    CONTACT is a short name for it, of which its distinguished name is made. A CSV file has a line of column names
    first: `contact` and `mail`, which every line needs, and the names of the other options. All is safe to repeat.
    """
    actions = one_action(given, _ACTIONS)
    if not actions:
        raise click.UsageError("say what to do: " + ", ".join(f"--{name}" for name in _ACTIONS))
    contacts = _Contacts(settings)
    if csv_file is not None:
        if contact is not None or actions == ["delete"]:
            raise click.UsageError("--csv goes with --create or --update, without CONTACT")

        def perform(row: dict[str, Any]) -> list[str]:
            return contacts.perform(actions, row.pop("contact"), given | row)

        run_csv(csv_file, "contact", COLUMNS, perform, as_json)
        return
    if contact is None:
        raise click.UsageError("CONTACT, or --csv FILE, is needed")
    for line in contacts.perform(actions, contact, given):
        click.echo(line)


class _Contacts(Performer):
    """What is done to one contact after the other."""

    def _create(self, contact: str, given: Mapping[str, Any]) -> str:
        check_alias(contact, "CONTACT")
        if not given["mail"]:
            raise click.UsageError("a contact needs --mail: where its mail goes")
        entry, made = self._recipients.create(MAIL_CONTACT, contact, changes_of(given, {}))
        if not made:
            return f"Contact {contact}: there already"
        return f"Contact {contact} <{entry.smtp_address}> created: {entry.legacy_exchange_dn}"

    def _update(self, contact: str, given: Mapping[str, Any]) -> str:
        entry = self._existing(contact)
        changes = changes_of(given, {})
        if not changes:
            raise click.UsageError("--update: say what to change")
        self._recipients.update(entry, changes)
        return f"Contact {contact} changed"

    def _delete(self, contact: str, given: Mapping[str, Any]) -> str:
        entry = self._existing(contact)
        if not given["yes"]:
            click.confirm(f"Delete the contact {contact}?", abort=True, err=True)
        self._directory.delete(entry)
        return f"Contact {contact} deleted"

    def _existing(self, contact: str) -> Entry:
        entry = self._recipients.find(contact)
        if entry is None or entry.kind is not Kind.CONTACT:
            raise NoSuchEntry(f"there is no contact {contact}: `ocpy contact --create {contact}` makes it")
        return entry
