"""What an option is: a name, how its text is read, a default, and help. Each is declared once.

`settings[OPTION]` gives the value in the option's type. Modules declare theirs with the same class.
"""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from openchange_py.config.parser import same_name
from openchange_py.rpc.binding import parse_bindings

if TYPE_CHECKING:
    from openchange_py.config.settings import Settings

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Option(Generic[T]):
    """One option of the `[global]` section.

    `parse` makes a value of the text (quotes removed, substitutions filled in) and raises `ValueError` with a
    reason. `default` is a value, or a function of the settings where it depends on others.
    """

    name: str
    parse: Callable[[str], T]
    default: T | Callable[[Settings], T]
    help: str
    #: Never shown, and taken as it stands: no quotes removed, no substitutions.
    secret: bool = False

    @property
    def key(self) -> str:
        """The name to compare."""
        return same_name(self.name)

    @property
    def prefix(self) -> str:
        """`ocpy` of `ocpy:fqdn`, nothing for Samba's own options."""
        return self.key.rpartition(":")[0]

    @property
    def kind(self) -> str:
        """What its text must be, for a person."""
        return (self.parse.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def keeps_quotes(self) -> bool:
        """Whether the quotes are the parser's: in a list they keep words together."""
        return self.parse in (names, networks, parse_bindings)

    def default_for(self, settings: Settings) -> T:
        """The value where the file says nothing."""
        default: Any = self.default
        value: T = default(settings) if callable(default) else default
        return value


def text(value: str) -> str:
    """Any text."""
    return value


def upper(value: str) -> str:
    """A name that is kept in upper case."""
    return value.upper()


def path(value: str) -> Path:
    """An absolute path."""
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is no absolute path")
    return Path(value)


def optional_path(value: str) -> Path | None:
    """An absolute path, or nothing."""
    return path(value) if value else None


def boolean(value: str) -> bool:
    """yes/no, true/false, on/off, 1/0."""
    word = value.casefold()
    if word in ("yes", "true", "on", "1"):
        return True
    if word in ("no", "false", "off", "0"):
        return False
    raise ValueError(f"{value!r} is neither yes nor no")


def names(value: str) -> tuple[str, ...]:
    """A list, separated by commas, semicolons or white space; quotes keep a name together."""
    lexer = shlex.shlex(value, posix=True, punctuation_chars=False)
    lexer.whitespace = " \t,;"
    lexer.whitespace_split = True
    lexer.quotes = '"'
    lexer.escape = ""
    lexer.commenters = ""
    try:
        return tuple(lexer)
    except ValueError:
        raise ValueError(f"{value!r} has a quote without its end") from None


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(value: str) -> Sequence[Network]:
    """A list of addresses and networks."""
    return tuple(ipaddress.ip_network(name, strict=False) for name in names(value))


def ldap_urls(value: str) -> tuple[str, ...]:
    """A list of LDAP servers: scheme, host and, where it is not the usual one, port; or a local socket."""
    found = names(value)
    for url in found:
        parts = urlsplit(url)
        if parts.scheme == "ldapi" and parts.netloc.casefold().startswith("%2f") and not parts.path:
            continue
        _ = parts.port  # raises for one that is no number
        if parts.scheme not in ("ldap", "ldaps") or not parts.hostname:
            raise ValueError(f"{url!r} is no ldap://HOST, ldaps://HOST or ldapi://%2Fpath%2Fof%2Fsocket")
        if parts.path.strip("/") or parts.query or parts.username is not None:
            raise ValueError(f"{url!r}: nothing but scheme, host and port belongs there")
    return found


def directory_url(value: str) -> str:
    """The URL of a database, or a list of LDAP servers."""
    if value.partition("://")[0].casefold() in ("ldap", "ldaps", "ldapi"):
        ldap_urls(value)
    return value


def host(value: str) -> str:
    """The name of a host."""
    if len(value) > 253 or not re.fullmatch(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*", value, re.ASCII):
        raise ValueError(f"{value!r} is no host's name")
    return value


def optional_https_url(value: str) -> str:
    """An https:// URL, or nothing."""
    if not value:
        return ""
    parts = urlsplit(value)
    _ = parts.port  # raises for one that is no number
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise ValueError(f"{value!r} is no https://HOST/...")
    return value


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """A number within bounds."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
            raise ValueError(f"{value!r} is no number")
        if not minimum <= int(value) <= maximum:
            raise ValueError(f"{value} is not between {minimum} and {maximum}")
        return int(value)

    parse.__doc__ = f"A number from {minimum} to {maximum}."
    return parse


def choice(members: type[E], aliases: dict[str, E]) -> Callable[[str], E]:
    """One of several words."""

    def parse(value: str) -> E:
        found = aliases.get(value.casefold())
        if found is None:
            raise ValueError(f"{value!r} is none of {', '.join(aliases)}")
        return found

    parse.__doc__ = f"One of {', '.join(aliases)}."
    return parse


def word(*known: str) -> Callable[[str], str]:
    """One of several words, as it is."""

    def parse(value: str) -> str:
        if value.casefold() not in known:
            raise ValueError(f"{value!r} is none of {', '.join(known)}")
        return value.casefold()

    parse.__doc__ = f"One of {', '.join(known)}."
    return parse


def words(*known: str) -> Callable[[str], tuple[str, ...]]:
    """Some of several words, in an order."""
    one = word(*known)

    def parse(value: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one(name) for name in names(value)))

    parse.__doc__ = f"Some of {', '.join(known)}."
    return parse


_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20}
_BYTES |= {"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30}


def seconds(value: str) -> float:
    """A time span: seconds, or with a unit (`500 ms`, `5 min`, `2 h`)."""
    amount, unit = _amount(value, "time span")
    if unit not in _SECONDS:
        raise ValueError(f"{value!r}: {unit!r} is none of {', '.join(filter(None, _SECONDS))}")
    return amount * _SECONDS[unit]


def size(value: str) -> int:
    """A size in bytes, or with a unit (`4 MiB`)."""
    amount, unit = _amount(value, "size")
    if unit not in _BYTES:
        raise ValueError(f"{value!r}: {unit!r} is none of {', '.join(filter(None, _BYTES))}")
    return int(amount * _BYTES[unit])


def _amount(value: str, what: str) -> tuple[float, str]:
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-zA-Z]*)", value, re.ASCII)
    if match is None:
        raise ValueError(f"{value!r} is no {what}")
    return float(match[1]), match[2].casefold()


@dataclasses.dataclass(frozen=True, slots=True)
class LogLevels:
    """`log level`: one number, and others for named parts of the program (`1 proxy:3 rpc:10`)."""

    general: int
    parts: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return " ".join([str(self.general), *(f"{name}:{level}" for name, level in self.parts)])


def log_levels(value: str) -> LogLevels:
    """Samba's syntax: `LEVEL [PART:LEVEL ...]`."""
    general, parts = 0, []
    level = integer(0, 10)
    for word in value.split():
        name, colon, number = word.rpartition(":")
        if not colon or name == "all":
            general = level(number)
        else:
            parts.append((name, level(number)))
    return LogLevels(general, tuple(parts))
