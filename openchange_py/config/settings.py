"""Typed settings: `settings[OPTION]` is the option's value, in the option's type.

A parameter that is ours by its name (`dcerpc_mapiproxy:`, `mpm_*:`, `ocpy:`, `ocpy_*:`) and that nobody declared is an
error with the nearest declared name; Samba's other parameters and sections are read and left alone.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from openchange_py.config.options import Option
from openchange_py.config.parser import (
    ConfigError,
    Parameter,
    Place,
    parse_file,
    problem,
    same_name,
    unquote,
)
from openchange_py.config.substitution import substitute

T = TypeVar("T")

#: The password in a URL such as postgresql://user:password@host/database.
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]*@")

DEFAULT_PATH = Path("/etc/openchange-py/smb.conf")


@dataclasses.dataclass(frozen=True, slots=True)
class EffectiveOption:
    """One option as it is in force: its value as text (secrets hidden), and where it was set."""

    option: Option[Any]
    value: str
    place: Place | None

    @property
    def is_default(self) -> bool:
        return self.place is None


class Settings:
    """One configuration, of which everything was checked when it was loaded."""

    def __init__(self, path: Path, parameters: Iterable[Parameter], options: Iterable[Option[Any]]) -> None:
        self.path = path
        self.options = {option.key: option for option in options}
        #: What a person should know, though it keeps nothing from working.
        self.warnings: list[str] = []
        self._raw: dict[str, Parameter] = {}
        self._values: dict[str, Any] = {}
        self._resolving: set[str] = set()
        self._take(parameters)

    def __getitem__(self, option: Option[T]) -> T:
        if option.key not in self._values:
            if option.key in self._resolving:
                raise self.error(option, "its substitutions lead back to itself")
            self._resolving.add(option.key)
            try:
                self._values[option.key] = self._value_of(option)
            finally:
                self._resolving.discard(option.key)
        value: T = self._values[option.key]
        return value

    def is_set(self, option: Option[Any]) -> bool:
        """Whether the file sets the option."""
        return option.key in self._raw

    def parameters(self) -> dict[str, Parameter]:
        """What was set of the declared options, by their keys, as it stands in the file."""
        return dict(self._raw)

    def place(self, option: Option[Any]) -> Place | None:
        """Where the option was set; None where its default is in force."""
        raw = self._raw.get(option.key)
        return raw.place if raw else None

    def error(self, option: Option[Any], reason: str) -> ConfigError:
        """The error that names the option and where it was set."""
        return ConfigError(problem(self.place(option) or self.path, option.name, reason))

    def effective(self) -> list[EffectiveOption]:
        """Every declared option with the value that is in force, for a person to read."""
        return [EffectiveOption(option, self.shown(option), self.place(option)) for option in self.options.values()]

    def check(self) -> None:
        """Read every value; one `ConfigError` for all that are wrong."""
        problems: list[str] = []
        for option in self.options.values():
            try:
                self[option]
            except ConfigError as error:
                problems += [line for line in error.problems if line not in problems]
        if problems:
            raise ConfigError(*problems)
        self._warn_of_readable_secrets()

    def _take(self, parameters: Iterable[Parameter]) -> None:
        """Keep the last value of every declared option; refuse what is ours and undeclared."""
        problems = []
        for parameter in parameters:
            key = same_name(parameter.name)
            ours = is_ours(key)
            if ours and key not in self.options:
                problems.append(problem(parameter.place, parameter.name, self._unknown(key)))
            elif ours and parameter.section != "global":
                problems.append(problem(parameter.place, parameter.name, "belongs into [global]"))
            elif parameter.section == "global" and key in self.options:
                self._raw[key] = parameter
        if problems:
            raise ConfigError(*problems)

    def _unknown(self, key: str) -> str:
        ours = [name for name in self.options if is_ours(name)]
        same_prefix = [name for name in ours if name.partition(":")[0] == key.partition(":")[0]]
        near = difflib.get_close_matches(key, same_prefix or ours, 1, 0.0)
        return f"unknown option; did you mean {self.options[near[0]].name}?" if near else "unknown option"

    def _value_of(self, option: Option[T]) -> T:
        raw = self._raw.get(option.key)
        if raw is None:
            return option.default_for(self)
        try:
            if option.secret:
                return option.parse(raw.value)
            value = raw.value if option.keeps_quotes else unquote(raw.value)
            return option.parse(substitute(value, self._name_for))
        except (ValueError, LookupError) as error:
            raise ConfigError(problem(raw.place, option.name, str(error))) from error

    def _name_for(self, letter: str) -> str:
        """What `%L` and `%D` stand for."""
        return str(self[self.options[same_name("netbios name" if letter == "L" else "workgroup")]])

    def shown(self, option: Option[Any]) -> str:
        """The value as text, secrets hidden."""
        value = self[option]
        if option.secret:
            return "(hidden)" if value else ""
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, enum.Enum):
            return value.name.lower()
        return "" if value is None else _URL_PASSWORD.sub(r"\1:(hidden)@", str(value))

    def _warn_of_readable_secrets(self) -> None:
        for option in self.options.values():
            raw = self._raw.get(option.key)
            if raw is None or not raw.value or not (option.secret or _URL_PASSWORD.search(raw.value)):
                continue
            if world_readable(raw.place.file):
                self.warnings.append(problem(raw.place, option.name, "every user of this machine can read this file"))


def is_ours(key: str) -> bool:
    """Whether a parameter is this program's by its name."""
    prefix, colon, _ = key.partition(":")
    return bool(colon) and (prefix in ("ocpy", "dcerpc_mapiproxy") or prefix.startswith(("mpm_", "ocpy_")))


def world_readable(path: Path) -> bool:
    """Whether everybody may read a file."""
    return bool(path.stat().st_mode & stat.S_IROTH)


def read(path: Path, options: Iterable[Option[Any]], *, lenient: bool = False) -> Settings:
    """The settings of a file, unchecked but for names; `ConfigError`.

    `lenient`: names that nobody declared are left out. It is for who must look into the file to learn what is declared.
    """
    known = tuple(options)

    def expand(value: str, place: Place, so_far: list[Parameter]) -> str:
        try:
            return substitute(value, Settings(path, declared(so_far), known)._name_for)
        except (ValueError, LookupError) as error:
            raise ConfigError(problem(place, "include", str(error))) from error

    names = {option.key for option in known}

    def declared(parameters: list[Parameter]) -> list[Parameter]:
        return [p for p in parameters if same_name(p.name) in names] if lenient else parameters

    return Settings(path, declared(parse_file(path, expand)), known)
