"""Modules by name: the entry points of the group `openchange_py.modules`, of this package and of any other.

[project.entry-points."openchange_py.modules"]
mine = "my_package.mine:MineModule"
"""

from __future__ import annotations

import difflib
import logging
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from openchange_py.config.declared import MODULES
from openchange_py.config.options import Option
from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.stack import ModuleError

logger = logging.getLogger(__name__)

GROUP: Final = "openchange_py.modules"


def installed_options() -> list[Option[Any]]:
    """The options of every installed module, loaded or not. A module that can't be imported has none."""
    found: list[Option[Any]] = []
    for entry in entry_points(group=GROUP):
        try:
            found += _module_class(entry).options
        except ModuleError as error:
            logger.warning("%s", error)
    return found


def load_modules(settings: Settings) -> list[Module]:
    """The configured modules, in their order; `ConfigError`, `ModuleError`."""
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    for name in sorted(installed):
        logger.info("module %s registered", name)
    return [_load(settings, name, installed) for name in _configured(settings)]


def _configured(settings: Settings) -> tuple[str, ...]:
    names = settings[MODULES]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise settings.error(MODULES, f"{name} is there twice")
    return names


def _load(settings: Settings, name: str, installed: dict[str, EntryPoint]) -> Module:
    if name not in installed:
        near = difflib.get_close_matches(name, installed, 1, 0.0)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise settings.error(MODULES, f"no module {name!r} is installed{hint}")
    module = _module_class(installed[name])()
    logger.info("module %s loaded for %s: %s", name, module.endpoint, module.description)
    return module


def _module_class(entry: EntryPoint) -> type[Module]:
    """The class behind an entry point, checked; `ModuleError`."""
    try:
        found = entry.load()
    except Exception as error:
        raise ModuleError(f"module {entry.name} ({entry.value}) can't be imported: {error!r}") from error
    if not isinstance(found, type) or not issubclass(found, Module):
        raise ModuleError(f"module {entry.name}: {entry.value} is no class made from Module")
    if found.name != entry.name:
        raise ModuleError(f"module {entry.name}: {entry.value} calls itself {found.name!r}")
    for option in found.options:
        if option.prefix != f"mpm_{found.name}":
            raise ModuleError(f"module {entry.name}: option {option.name} does not begin with mpm_{found.name}:")
    return found
