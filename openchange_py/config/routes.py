"""Which interfaces are there, and who answers each: a local server by its name, or the server relayed to."""

from __future__ import annotations

import dataclasses

from openchange_py.config import declared
from openchange_py.config.declared import ASYNC_EMSMDB, EMSMDB, NSPI, RFR
from openchange_py.config.options import Option
from openchange_py.config.parser import ConfigError, problem
from openchange_py.config.settings import Settings, world_readable
from openchange_py.rpc.binding import Binding

#: The local server that `server = true` gives an interface, and the option that names another.
DEFAULT_SERVERS = {NSPI: "nspi", EMSMDB: "emsmdb", RFR: "rfr"}
SERVER_OPTIONS: dict[str, Option[str]] = {
    NSPI: declared.NSPI_SERVER,
    EMSMDB: declared.EMSMDB_SERVER,
    RFR: declared.RFR_SERVER,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One interface: `server` names the local server, or `bindings` the servers relayed to."""

    interface: str
    server: str | None
    bindings: tuple[Binding, ...]

    @property
    def option(self) -> Option[str]:
        """The option that names the interface's local server."""
        return SERVER_OPTIONS[EMSMDB if self.interface == ASYNC_EMSMDB else self.interface]

    def __str__(self) -> str:
        if self.server and self.interface == ASYNC_EMSMDB:
            return f"not offered yet by local server {self.server}"
        return f"local server {self.server}" if self.server else f"relay to {', '.join(map(str, self.bindings))}"


def routes(settings: Settings) -> list[Route]:
    """A route per interface; `exchange_async_emsmdb` goes where `exchange_emsmdb` goes."""
    names = settings[declared.SERVED_INTERFACES]
    found: list[Route] = []
    for interface in dict.fromkeys(names):
        if interface == ASYNC_EMSMDB:
            continue
        if interface not in SERVER_OPTIONS:
            known = ", ".join(SERVER_OPTIONS)
            raise settings.error(declared.SERVED_INTERFACES, f"unknown interface {interface!r}; known are {known}")
        route = _route(settings, interface)
        found.append(route)
        if interface == EMSMDB:
            found.append(dataclasses.replace(route, interface=ASYNC_EMSMDB))
    if not found:
        raise settings.error(declared.SERVED_INTERFACES, "no interface is left to serve")
    return found


def _route(settings: Settings, interface: str) -> Route:
    name = settings[SERVER_OPTIONS[interface]]
    if not name and settings[declared.SERVER]:
        name = DEFAULT_SERVERS[interface]
    return Route(interface, name or None, () if name else settings[declared.BINDING])


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """The account to relay with."""

    username: str
    domain: str
    password: str = dataclasses.field(repr=False)


def relay_credentials(settings: Settings) -> Credentials:
    """The specified credentials; `ConfigError` where they are incomplete."""
    username, password = settings[declared.USERNAME], settings[declared.PASSWORD]
    path = settings[declared.PASSWORD_FILE]
    if not username:
        raise settings.error(declared.USERNAME, "is needed to relay: no other way to authenticate is available yet")
    if path is not None:
        if password:
            raise settings.error(declared.PASSWORD_FILE, f"{declared.PASSWORD.name} is set as well")
        password = _first_line(settings)
    if not password:
        raise settings.error(declared.PASSWORD, f"is needed to relay, or {declared.PASSWORD_FILE.name}")
    return Credentials(username, settings[declared.DOMAIN], password)


def _first_line(settings: Settings) -> str:
    path = settings[declared.PASSWORD_FILE]
    assert path is not None
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise settings.error(declared.PASSWORD_FILE, f"{path} can't be read: {error}") from error
    if not lines or not lines[0]:
        raise settings.error(declared.PASSWORD_FILE, f"{path} holds no password")
    if world_readable(path):
        warning = f"every user of this machine can read {path}"
        settings.warnings.append(problem(settings.place(declared.PASSWORD_FILE), declared.PASSWORD_FILE.name, warning))
    return lines[0]


def check_routes(settings: Settings) -> None:
    """Refuse a configuration whose parts don't fit together; `ConfigError`."""
    for option in (declared.DELEGATED_AUTH, declared.USE_MACHINE_ACCOUNT):
        if settings[option]:
            raise settings.error(option, f"isn't available yet: set {declared.USERNAME.name} and its password")
    relayed = [route for route in routes(settings) if route.server is None]
    if not relayed:
        return
    problems: list[str] = []
    if not settings[declared.BINDING]:
        reason = f"is needed: {', '.join(route.interface for route in relayed)} would be relayed"
        problems += settings.error(declared.BINDING, reason).problems
    try:
        relay_credentials(settings)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(*problems)
