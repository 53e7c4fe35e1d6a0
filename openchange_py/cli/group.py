"""`ocpy group`: distribution lists, their members and owners."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import click

from openchange_py.addressbook.administration import Changes
from openchange_py.addressbook.base import Entry, Kind, NoSuchEntry
from openchange_py.addressbook.recipients import DISTRIBUTION_GROUP, SECURITY_GROUP
from openchange_py.cli.bulk import bulk_options, run_csv
from openchange_py.cli.people import (
    Performer,
    changes_of,
    check_alias,
    described,
    detail_options,
    one_action,
    shown,
)
from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings

_ACTIONS: Final = ("create", "update", "delete")
#: Who may change the members: the owner, and the others.
_OWNERS: Final = ("managedBy", "msExchCoManagedByLink")
#: Columns of a CSV file besides those of `bulk.DETAIL_COLUMNS`.
COLUMNS: Final = ("group", "security", "member", "owner")


@click.command("group")
@click.argument("group", required=False)
@click.option("--create", is_flag=True, help="Make the group, or put the Exchange attributes on it.")
@click.option("--update", is_flag=True, help="Change what the other options say.")
@click.option("--delete", is_flag=True, help="Delete the group; its members stay.")
@click.option("--security", is_flag=True, help="With --create: one that may be given permissions too.")
@click.option("--member", metavar="NAME", multiple=True, help="One more member: an account, address, group or contact.")
@click.option("--remove-member", metavar="NAME", multiple=True, help="A member less.")
@click.option("--owner", metavar="NAME", multiple=True, help="One more who may change the members.")
@click.option("--remove-owner", metavar="NAME", multiple=True, help="An owner less.")
@detail_options
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@bulk_options
@with_settings
def command(settings: Settings, group: str | None, csv_file: str | None, as_json: bool, **given: Any) -> None:
    """Make, change, show and remove the distribution list GROUP.

    \b
      ocpy group --create staff --mail staff@example.test --member alice --member bob --owner alice
      ocpy group --update staff --remove-member bob --member carol@elsewhere.test
      ocpy group staff                  who is in it
      ocpy group --create --csv groups.csv

    A CSV file has a line of column names first: `group`, which every line needs, `security`, `member` and `owner`
    (several are separated by ;) and the names of the other options. All is safe to repeat.
    """
    actions = one_action(given, _ACTIONS)
    groups = _Groups(settings)
    if csv_file is not None:
        if group is not None or actions not in (["create"], ["update"]):
            raise click.UsageError("--csv goes with --create or --update, without GROUP")
        run_csv(csv_file, "group", COLUMNS, lambda row: groups.perform(actions, row.pop("group"), given | row), as_json)
        return
    if group is None:
        raise click.UsageError("GROUP, or --csv FILE, is needed")
    if not actions:
        if groups.changes(given):
            raise click.UsageError("--create or --update is needed")
        groups.show(group, as_json)
    for line in groups.perform(actions, group, given) if actions else ():
        click.echo(line)


class _Groups(Performer):
    """What is done to one group after the other."""

    def changes(self, given: Mapping[str, Any], entry: Entry | None = None) -> Changes:
        """What the options change. A group has one owner in `managedBy`, the others are co-owners, as in Exchange."""
        owners, less = list(given["owner"]), list(given["remove_owner"])
        links = {"member": (given["member"], given["remove_member"])}
        first = entry is None or not self._recipients.linked(entry, "managedBy")
        links["managedBy"] = (owners[:1] if first else [], less)
        links["msExchCoManagedByLink"] = (owners[1:] if first else owners, less)
        return changes_of(given, links)

    def _create(self, group: str, given: Mapping[str, Any]) -> str:
        check_alias(group, "GROUP")
        recipient = SECURITY_GROUP if given["security"] else DISTRIBUTION_GROUP
        present = self._recipients.find(group)
        entry, made = self._recipients.create(recipient, group, self.changes(given, present))
        if not made:
            return f"Group {group}: there already"
        return f"Group {group} <{entry.smtp_address}> created: {entry.legacy_exchange_dn}"

    def _update(self, group: str, given: Mapping[str, Any]) -> str:
        entry = self._existing(group)
        changes = self.changes(given, entry)
        if not changes:
            raise click.UsageError("--update: say what to change")
        self._recipients.update(entry, changes)
        return f"Group {group} changed"

    def _delete(self, group: str, given: Mapping[str, Any]) -> str:
        entry = self._existing(group)
        if not given["yes"]:
            click.confirm(f"Delete the group {group}?", abort=True, err=True)
        self._directory.delete(entry)
        return f"Group {group} deleted"

    def _existing(self, group: str) -> Entry:
        entry = self._recipients.find(group)
        if entry is None or entry.kind is not Kind.GROUP:
            raise NoSuchEntry(f"there is no group {group}: `ocpy group --create {group}` makes it")
        return entry

    def show(self, group: str, json_wanted: bool) -> None:
        """Members and owners."""
        entry = self._existing(group)
        members = self._recipients.linked(entry, "member")
        owners = [
            *self._recipients.linked(entry, "managedBy"),
            *self._recipients.linked(entry, "msExchCoManagedByLink"),
        ]
        if json_wanted:
            names = {"members": [described(one) for one in members], "owners": [described(one) for one in owners]}
            click.echo(json.dumps(described(entry, **names)))
            return
        click.echo(f"{shown(entry)}: {len(members)} members")
        for word, some in (("owner", owners), ("member", members)):
            for one in some:
                click.echo(f"  {word}  {shown(one)}")
