"""`ocpy status`: how the directory is, and the same as a metric."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from contextlib import closing

import click

from openchange_py.addressbook.base import Directory, DirectoryError, DirectoryStatus
from openchange_py.cli.directory import open_directory
from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--max-lag",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How far an index may be behind its directory.",
)
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Ask the directory's server first, and believe it, though it shows hardly any of the entries of before.",
)
@with_settings
def command(settings: Settings, as_json: bool, max_lag: float, accept_loss: bool) -> None:
    """Show how the directory is: its entries, and how far an index is behind a directory in LDAP.

    Without --accept-loss the directory's server is not asked: what is shown is what the server that follows it last
    saw. Exit code 0: fine; 1: the directory's server is away, or the index is further behind than --max-lag, or never
    was complete.
    """
    with closing(open_directory(settings)) as directory:
        if accept_loss:
            directory.catch_up(accept_loss=True)
        status = directory.status()
    trouble = trouble_of(status, max_lag)
    if as_json:
        told = dataclasses.asdict(status)
        told["last_contact"] = status.last_contact and status.last_contact.isoformat(timespec="seconds")
        click.echo(json.dumps({"directory": {**told, "ok": trouble is None}}))
    else:
        click.echo(f"Directory {status.url} ({status.kind}): {status.entries} entries")
        if status.lag is not None:
            click.echo(f"  behind by {status.lag:.0f} s at most")
        if status.last_contact is not None:
            click.echo(f"  last answer {status.last_contact:%Y-%m-%d %H:%M:%S} UTC")
        if trouble is not None:
            click.echo(f"  {trouble}")
    sys.exit(trouble is not None)


def trouble_of(status: DirectoryStatus, max_lag: float) -> str | None:
    """What is wrong with it; None where nothing is."""
    if status.error is not None:
        return f"error: {status.error}"
    if status.lag is not None and status.lag > max_lag:
        return f"error: nobody has followed it for {status.lag:.0f} s: does a server run?"
    return None


def lag_of(directory: Directory) -> Callable[[], float]:
    """The seconds that the index is behind, as a metric; not a number where that can't be told."""

    def lag() -> float:
        try:
            found = directory.status().lag
        except DirectoryError:
            found = None
        return float("nan") if found is None else found

    return lag
