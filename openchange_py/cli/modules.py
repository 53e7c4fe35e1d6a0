"""`ocpy modules`: what modules there are, which of them the configuration loads, and their options."""

from __future__ import annotations

import json
from typing import Any

import click

from openchange_py.cli.settings import configuration_path, load_settings
from openchange_py.config import Option, Settings
from openchange_py.config.declared import MODULES
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.loading import find_module, installed_modules


@click.command("modules")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@click.option("-c", "--config", metavar="FILE", default=None, help="The smb.conf to use.")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], as_json: bool, config: str | None) -> None:
    """List the modules that calls can pass through, loaded or not, with their options.

    Installed modules are those of this program and of other packages (entry points of the group
    openchange_py.modules); the configuration may name files besides. Loaded ones come first, outermost first, as
    dcerpc_mapiproxy:modules has them. Without a configuration only what is installed is shown. NAMEs choose some.
    """
    path = configuration_path(ctx, config)
    settings = load_settings(path) if config or path.exists() else None
    modules = _known(settings)
    if unknown := set(names) - {cls.name for cls, _ in modules}:
        raise click.UsageError(f"no module {', '.join(sorted(unknown))}; ocpy modules lists all")
    chosen = [(cls, loaded) for cls, loaded in modules if not names or cls.name in names]
    if as_json:
        click.echo(json.dumps([_as_json(cls, loaded, settings) for cls, loaded in chosen], indent=2))
        return
    for cls, loaded in chosen:
        click.echo(_as_text(cls, loaded, settings))


def _known(settings: Settings | None) -> list[tuple[type[Module], bool]]:
    """Every module, and whether it is loaded."""
    loaded = [find_module(settings, word) for word in settings[MODULES]] if settings is not None else []
    others = [cls for cls in installed_modules() if cls not in loaded]
    return [*((cls, True) for cls in loaded), *((cls, False) for cls in others)]


def _as_text(cls: type[Module], loaded: bool, settings: Settings | None) -> str:
    lines = [f"{cls.name} ({'loaded' if loaded else 'not loaded'}, for {cls.endpoint}): {cls.description}"]
    for option in cls.options:
        lines.append(f"    {option.name} = {_value(option, settings)}")
        lines.append(f"        {option.help} ({option.kind[:1].lower()}{option.kind[1:]})")
    return "\n".join(lines)


def _as_json(cls: type[Module], loaded: bool, settings: Settings | None) -> dict[str, Any]:
    return {
        "name": cls.name,
        "description": cls.description,
        "endpoint": cls.endpoint,
        "loaded": loaded,
        "class": f"{cls.__module__}:{cls.__qualname__}",
        "options": [
            {"name": option.name, "type": option.kind, "help": option.help, "value": _value(option, settings)}
            for option in cls.options
        ],
    }


def _value(option: Option[Any], settings: Settings | None) -> str:
    """The value in force; without a configuration the default, where it depends on none."""
    if settings is not None:
        return settings.shown(option)
    return "" if option.secret or callable(option.default) else show(option.default)


def show(value: Any) -> str:
    """A default as the configuration would have it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
