"""`ocpy testparm`: the configuration as it is in force, and who answers each interface."""

from __future__ import annotations

import json

import click

from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings
from openchange_py.config.routes import describe_relay, relay_as, routes
from openchange_py.proxy.loading import check_modules


@click.command("testparm")
@click.option(
    "-a", "--all", "everything", is_flag=True, help="Options that have their default, too, each with its help."
)
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@click.option("--autodiscover", metavar="ADDRESS", help="What Autodiscover would tell about this mail address.")
@with_settings
def command(settings: Settings, everything: bool, as_json: bool, autodiscover: str | None) -> None:
    """Check the configuration, and show what it means.

    Shows what smb.conf sets (with -a every option, its default and what it is for; passwords never), and per
    interface the local server that answers it, or where it is relayed to. Exits with 1 where something is wrong.
    """
    check_modules(settings)
    if autodiscover is not None:
        _show_autodiscover(settings, autodiscover, as_json)
        return
    if as_json:
        click.echo(json.dumps(_as_json(settings), indent=2))
        return
    click.echo(f"# {settings.path}\n[global]")
    for effective in settings.effective():
        if effective.is_default and not everything:
            continue
        if everything:
            origin = "default" if effective.is_default else str(effective.place)
            click.echo(f"    # {effective.option.help} ({origin})")
        click.echo(f"    {effective.option.name} = {effective.value}")
    click.echo()
    for route in routes(settings):
        click.echo(f"{route.interface}: {route}")
    if any(route.server is None for route in routes(settings)):
        click.echo(f"relayed as {describe_relay(settings)}")


def _show_autodiscover(settings: Settings, address: str, as_json: bool) -> None:
    """As the user himself would get it, from a server that serves all that this one can."""
    # Imported only here: directory and HTTP take a while to load.
    from openchange_py.cli.autodiscover import answers_for, readable

    answers = answers_for(settings, address)
    click.echo(json.dumps(answers, indent=2) if as_json else readable(answers))


def _as_json(settings: Settings) -> dict[str, object]:
    options = {
        effective.option.name: {
            "value": effective.value,
            "set_at": None if effective.place is None else str(effective.place),
            "help": effective.option.help,
        }
        for effective in settings.effective()
    }
    interfaces = [
        {
            "interface": route.interface,
            "server": route.server,
            "relay": None if route.server else [str(binding) for binding in route.bindings],
        }
        for route in routes(settings)
    ]
    relayed = any(route.server is None for route in routes(settings))
    return {
        "file": str(settings.path),
        "options": options,
        "interfaces": interfaces,
        "relayed_as": relay_as(settings).name.lower() if relayed else None,
    }
