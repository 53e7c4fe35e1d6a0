"""`ocpy import`: mail from files into a mailbox."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from openchange_py.addressbook.base import DirectoryError
from openchange_py.cli.people import directory_of, existing
from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings, declared
from openchange_py.mime.importer import ImportRefused, ImportReport, import_mail
from openchange_py.store.source import open_store


@click.command("import")
@click.argument("user")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--folder", default="Inbox", show_default=True, help="The folder to put it into: Inbox, Inbox/Projects.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
@with_settings
def command(settings: Settings, user: str, paths: tuple[Path, ...], folder: str, as_json: bool) -> None:
    """Import mail into USER's mailbox.

    \b
    PATH is a message (.eml), an mbox file, a maildir, or a folder of .eml files:
      ocpy import alice ~/old-mail.mbox --folder Inbox

    Mail that can't be imported is named with the reason, and the rest goes on; the exit code is then 1.
    """
    directory = directory_of(settings)
    entry = existing(directory, user)
    if entry.mailbox_guid is None:
        raise DirectoryError(f"{user} has no mailbox: `ocpy newuser --create --mailbox {user}` makes it")
    store = open_store(settings[declared.DATABASE])
    try:
        mailbox = store.mailbox(entry.mailbox_guid)
        reports = [_import(mailbox, path, folder, quiet=as_json) for path in paths]
    finally:
        store.close()
    _tell(user, folder, reports, as_json)
    if any(report.refused for report in reports):
        sys.exit(1)


def _import(mailbox: Any, path: Path, folder: str, *, quiet: bool) -> ImportReport:
    """One path; on a terminal the count goes up while it runs."""
    live = not quiet and sys.stderr.isatty()

    def progress(report: ImportReport) -> None:
        done = report.imported + len(report.refused)
        if live and done % 20 == 0:
            click.echo(f"\r{path}: {done} messages", err=True, nl=False)

    try:
        report = import_mail(mailbox, path, folder, progress)
    except ImportRefused as error:
        return ImportReport(0, [(str(path), str(error))])
    finally:
        if live:
            click.echo("\r\033[K", err=True, nl=False)
    return report


def _tell(user: str, folder: str, reports: list[ImportReport], as_json: bool) -> None:
    imported = sum(report.imported for report in reports)
    refused = [item for report in reports for item in report.refused]
    if as_json:
        details = [{"source": source, "reason": reason} for source, reason in refused]
        click.echo(json.dumps({"imported": imported, "refused": details}))
        return
    for source, reason in refused:
        click.echo(f"{source}: not imported: {reason}", err=True)
    click.echo(
        f"{imported} messages imported into {folder} of {user}" + (f", {len(refused)} refused" if refused else "")
    )
