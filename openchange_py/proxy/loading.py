"""Modules and local servers that are named in the configuration: installed ones by name, and files by path.

    [project.entry-points."openchange_py.modules"]      dcerpc_mapiproxy:modules = mine, ./audit.py
    mine = "my_package.mine:MineModule"
    [project.entry-points."openchange_py.servers"]      dcerpc_mapiproxy:rfr_server = myrfr
    myrfr = "my_package.rfr:MyRfrServer"

A path is absolute, or begins with `./` or `../` and starts at the configuration's folder; `FILE.py:CLASS` names one of
several classes. A file runs with the server's rights, so one that others may write to is refused.
"""

from __future__ import annotations

import difflib
import importlib.util
import logging
import os
import stat
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from openchange_py.config.declared import MODULES, OPTIONS
from openchange_py.config.options import Option
from openchange_py.config.routes import SERVER_OPTIONS
from openchange_py.config.settings import Settings, read
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.servers import CustomServer
from openchange_py.proxy.stack import ModuleError

logger = logging.getLogger(__name__)

GROUP: Final = "openchange_py.modules"
SERVER_GROUP: Final = "openchange_py.servers"

T = TypeVar("T", Module, CustomServer)

#: Files that were loaded, by their real path: what a file declares has one identity per process.
_loaded: dict[Path, ModuleType] = {}


def is_path(word: str) -> bool:
    """Whether a word of the configuration is a file's path rather than an installed name."""
    return word.startswith(("/", "./", "../"))


def plugin_options(path: Path) -> list[Option[Any]]:
    """The options of every installed module and server, loaded or not, and of those that a configuration names by path.

    What is installed and can't be imported has none. Raises `ConfigError`, `ModuleError` for a file named by path.
    """
    found: dict[str, Option[Any]] = {}
    for cls in (*_importable(GROUP), *_importable(SERVER_GROUP), *classes_by_path(path)):
        found |= {option.key: option for option in cls.options}
    return list(found.values())


def classes_by_path(path: Path) -> list[type[Module] | type[CustomServer]]:
    """The classes in the files that a configuration names."""
    settings = read(path, OPTIONS, lenient=True)
    modules = [find_module(settings, word) for word in settings[MODULES] if is_path(word)]
    words = dict.fromkeys(settings[option] for option in SERVER_OPTIONS.values())
    return [*modules, *(find_server(settings, word) for word in words if is_path(word))]


def installed_modules() -> list[type[Module]]:
    """Every installed module that can be imported, by name."""
    return [cls for cls in _importable(GROUP) if issubclass(cls, Module)]


def load_modules(settings: Settings) -> list[Module]:
    """The configured modules, in their order; `ConfigError`, `ModuleError`."""
    for name in sorted(entry.name for entry in entry_points(group=GROUP)):
        logger.info("module %s registered", name)
    modules: list[Module] = []
    for word in settings[MODULES]:
        cls = find_module(settings, word)
        if any(module.name == cls.name for module in modules):
            raise settings.error(MODULES, f"{cls.name} is there twice")
        cls.check_options(settings)
        modules.append(cls())
        logger.info("module %s loaded for %s: %s", cls.name, cls.endpoint, cls.description)
    return modules


def check_modules(settings: Settings) -> None:
    """Whether the configured modules are there, and their options go together; `ConfigError`, `ModuleError`."""
    for word in settings[MODULES]:
        find_module(settings, word).check_options(settings)


def find_module(settings: Settings, word: str) -> type[Module]:
    """The class of a module that the configuration names; `ConfigError`, `ModuleError`."""
    cls = _find(settings, MODULES, word, GROUP, Module)
    _check_options(f"module {word}", cls, f"mpm_{cls.name}")
    return cls


def find_server(settings: Settings, word: str) -> type[CustomServer]:
    """The class of a server that the configuration names; `ConfigError`, `ModuleError`."""
    option = next((o for o in SERVER_OPTIONS.values() if settings[o] == word), next(iter(SERVER_OPTIONS.values())))
    cls = _find(settings, option, word, SERVER_GROUP, CustomServer)
    _check_options(f"server {word}", cls, f"ocpy_{cls.name}")
    return cls


def installed_servers() -> list[str]:
    """The names of the installed servers, besides this program's own."""
    return sorted(entry.name for entry in entry_points(group=SERVER_GROUP))


def _importable(group: str) -> Iterable[type[Module] | type[CustomServer]]:
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        try:
            if group == GROUP:
                cls: type[Module] | type[CustomServer] = _of_entry(entry, Module)
                _check_options(f"module {entry.name}", cls, f"mpm_{cls.name}")
            else:
                cls = _of_entry(entry, CustomServer)
                _check_options(f"server {entry.name}", cls, f"ocpy_{cls.name}")
            yield cls
        except ModuleError as error:
            logger.warning("%s", error)


def _find(settings: Settings, option: Option[Any], word: str, group: str, base: type[T]) -> type[T]:
    if is_path(word):
        return _of_file(settings, option, word, base)
    installed = {entry.name: entry for entry in entry_points(group=group)}
    if word not in installed:
        near = difflib.get_close_matches(word, installed, 1, 0.0)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise settings.error(option, f"no {_kind(base)} {word!r} is installed{hint}")
    return _of_entry(installed[word], base)


def _kind(base: type) -> str:
    return "module" if base is Module else "server"


def _of_entry(entry: EntryPoint, base: type[T]) -> type[T]:
    """The class behind an entry point, checked; `ModuleError`."""
    what = f"{_kind(base)} {entry.name}"
    try:
        found = entry.load()
    except Exception as error:
        raise ModuleError(f"{what} ({entry.value}) can't be imported: {error!r}") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise ModuleError(f"{what}: {entry.value} is no class made from {base.__name__}")
    if found.name != entry.name:
        raise ModuleError(f"{what}: {entry.value} calls itself {found.name!r}")
    return found


def _of_file(settings: Settings, option: Option[Any], word: str, base: type[T]) -> type[T]:
    """The class that a file declares, or the one that is asked for by name; `ConfigError`, `ModuleError`."""
    name, colon, wanted = word.partition(":")
    path = (settings.path.parent / name).resolve()
    try:
        code = _code_of(path)
    except OSError as error:
        raise settings.error(option, f"{path} can't be read: {error.strerror or error}") from error
    classes = [
        value
        for value in vars(code).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == code.__name__
    ]
    fitting = [cls for cls in classes if cls.__name__ == wanted] if colon else classes
    if len(fitting) != 1:
        names = ", ".join(cls.__name__ for cls in classes) or "none"
        hint = f"name one as {name}:CLASS" if len(fitting) > 1 else f"those that there are: {names}"
        raise ModuleError(f"{path}: {len(fitting)} classes made from {base.__name__}; {hint}")
    if not fitting[0].name:
        raise ModuleError(f"{path}: {fitting[0].__name__} has no name")
    return fitting[0]


def _code_of(path: Path) -> ModuleType:
    """A file, run once per process. Raises `OSError`, `ModuleError`."""
    if path in _loaded:
        return _loaded[path]
    status = path.stat()
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid not in (0, os.geteuid()):
        raise ModuleError(f"{path} is not run: others than this program's user may write to it")
    spec = importlib.util.spec_from_file_location(f"openchange_py_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModuleError(f"{path} is no Python file")
    code = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = code  # dataclasses look their module up
    try:
        spec.loader.exec_module(code)
    except OSError:
        raise
    except Exception as error:
        raise ModuleError(f"{path} can't be run: {error!r}") from error
    _loaded[path] = code
    return code


def _check_options(what: str, cls: type[Module] | type[CustomServer], prefix: str) -> None:
    for option in cls.options:
        if option.prefix != prefix:
            raise ModuleError(f"{what}: option {option.name} does not begin with {prefix}:")
