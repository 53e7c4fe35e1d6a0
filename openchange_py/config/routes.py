"""Which interfaces are there, and who answers each: a local server by its name, or the server relayed to."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Any

from openchange_py.config import declared
from openchange_py.config.declared import ASYNC_EMSMDB, EMSMDB, NSPI, RFR
from openchange_py.config.options import Option
from openchange_py.config.parser import ConfigError, problem
from openchange_py.config.settings import Settings, world_readable
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.security import AuthLevel, AuthType

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


class RelayAs(enum.Enum):
    """Who the server relayed to takes the relay for."""

    #: `dcerpc_mapiproxy:username`.
    SPECIFIED = "the specified account"
    #: `dcerpc_mapiproxy:use_machine_account`.
    MACHINE = "the machine account"
    #: `dcerpc_mapiproxy:delegated_auth`.
    CALLER = "the caller himself"


def relay_as(settings: Settings) -> RelayAs:
    """Which of the three is in force; `ConfigError` where more than one is set."""
    switches = {declared.DELEGATED_AUTH: RelayAs.CALLER, declared.USE_MACHINE_ACCOUNT: RelayAs.MACHINE}
    chosen = [option for option in switches if settings[option]]
    if len(chosen) > 1:
        raise settings.error(chosen[0], f"{chosen[1].name} is set as well: choose one")
    if not chosen:
        return RelayAs.SPECIFIED
    specified: tuple[Option[Any], ...] = (declared.USERNAME, declared.PASSWORD, declared.PASSWORD_FILE)
    for option in specified:
        if settings[option]:
            raise settings.error(option, f"{chosen[0].name} is set as well: choose one")
    return switches[chosen[0]]


def describe_relay(settings: Settings) -> str:
    """Who relayed calls come from, for a person."""
    kind = relay_as(settings)
    if kind is RelayAs.SPECIFIED:
        return f"{kind.value} {settings[declared.DOMAIN]}\\{settings[declared.USERNAME]}"
    if kind is RelayAs.MACHINE:
        return f"{kind.value} {settings[declared.MACHINE_ACCOUNT]}"
    passing = "; NTLM logons at level connect pass through" if settings[declared.PASS_NTLM_THROUGH] else ""
    return f"{kind.value}{passing}"


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """The account to relay with."""

    username: str
    domain: str
    password: str = dataclasses.field(repr=False)
    realm: str = ""

    @property
    def principal(self) -> str:
        """`relay@EXAMPLE.TEST`, empty where no realm is known."""
        if "@" in self.username:
            return self.username
        return f"{self.username}@{self.realm}" if self.realm else ""


def relay_credentials(settings: Settings) -> Credentials:
    """The specified credentials; `ConfigError` where they are incomplete."""
    username, password = settings[declared.USERNAME], settings[declared.PASSWORD]
    path = settings[declared.PASSWORD_FILE]
    if not username:
        others = f"{declared.USE_MACHINE_ACCOUNT.name} or {declared.DELEGATED_AUTH.name}"
        raise settings.error(declared.USERNAME, f"is needed to relay, or {others}")
    if path is not None:
        if password:
            raise settings.error(declared.PASSWORD_FILE, f"{declared.PASSWORD.name} is set as well")
        password = secret_line(settings, declared.PASSWORD_FILE)
    if not password:
        raise settings.error(declared.PASSWORD, f"is needed to relay, or {declared.PASSWORD_FILE.name}")
    return Credentials(username, settings[declared.DOMAIN], password, settings[declared.REALM])


@dataclasses.dataclass(frozen=True, slots=True)
class MachineLogon:
    """The machine's account in the domain, to relay with: its keytab, or its password, or both."""

    account: str
    domain: str
    realm: str
    keytab: Path | None
    password: str = dataclasses.field(repr=False)

    @property
    def principal(self) -> str:
        """`EXCH1$@EXAMPLE.TEST`."""
        return f"{self.account}@{self.realm}"


def machine_logon(settings: Settings) -> MachineLogon:
    """The machine's credentials; `ConfigError` where there are none, or no realm for the keytab."""
    keytab, file = settings[declared.KEYTAB], settings[declared.MACHINE_PASSWORD_FILE]
    if keytab is None and file is None:
        needs = f"needs {declared.KEYTAB.name} or {declared.MACHINE_PASSWORD_FILE.name}"
        raise settings.error(declared.USE_MACHINE_ACCOUNT, needs)
    if keytab is not None and not settings[declared.REALM]:
        raise settings.error(declared.KEYTAB, f"Kerberos needs `{declared.REALM.name}`")
    return MachineLogon(
        settings[declared.MACHINE_ACCOUNT],
        settings[declared.WORKGROUP],
        settings[declared.REALM],
        keytab,
        "" if file is None else secret_line(settings, declared.MACHINE_PASSWORD_FILE),
    )


def secret_line(settings: Settings, option: Option[Path | None]) -> str:
    """The first line of the file that the option names."""
    path = settings[option]
    assert path is not None
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise settings.error(option, f"{path} can't be read: {error}") from error
    if not lines or not lines[0]:
        raise settings.error(option, f"{path} holds no password")
    if world_readable(path):
        warning = f"every user of this machine can read {path}"
        settings.warnings.append(problem(settings.place(option), option.name, warning))
    return lines[0]


def check_routes(settings: Settings) -> None:
    """Refuse a configuration whose parts don't fit together; `ConfigError`."""
    relayed = [route for route in routes(settings) if route.server is None]
    if not relayed:
        return
    problems: list[str] = []
    if not settings[declared.BINDING]:
        reason = f"is needed: {', '.join(route.interface for route in relayed)} would be relayed"
        problems += settings.error(declared.BINDING, reason).problems
    try:
        _check_credentials(settings)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(*problems)


def _check_credentials(settings: Settings) -> None:
    kind = relay_as(settings)
    if settings[declared.PASS_NTLM_THROUGH]:
        _check_passing(settings, kind)
    mechanisms = {binding.mechanism for binding in settings[declared.BINDING]}
    if kind is RelayAs.SPECIFIED:
        kerberos, ntlm = bool(relay_credentials(settings).principal), True
        missing = f"Kerberos needs `{declared.REALM.name}`"
    elif kind is RelayAs.MACHINE:
        machine = machine_logon(settings)
        kerberos, ntlm = machine.keytab is not None or bool(machine.realm), bool(machine.password)
        missing = f"Kerberos needs `{declared.REALM.name}` or {declared.KEYTAB.name}"
    else:
        kerberos, ntlm = settings[declared.KEYTAB] is not None, True
        missing = f"the tickets of callers need {declared.KEYTAB.name}"
    if AuthType.KERBEROS in mechanisms and not kerberos:
        raise settings.error(declared.BINDING, f"flag krb5: {missing}")
    if AuthType.NTLMSSP in mechanisms and not ntlm:
        raise settings.error(declared.BINDING, f"flag ntlm: NTLM needs {declared.MACHINE_PASSWORD_FILE.name}")


def _check_passing(settings: Settings, kind: RelayAs) -> None:
    """A logon that passes protects nothing: nobody may have asked for more."""
    option, bindings = declared.PASS_NTLM_THROUGH, settings[declared.BINDING]
    if kind is not RelayAs.CALLER:
        raise settings.error(option, f"needs {declared.DELEGATED_AUTH.name}")
    if settings[declared.MINIMUM_AUTH_LEVEL] > AuthLevel.CONNECT:
        raise settings.error(option, f"needs {declared.MINIMUM_AUTH_LEVEL.name} = connect")
    if len(bindings) > 1:
        raise settings.error(option, "works with one server to relay to only")
    if any(binding.transport != "ncacn_ip_tcp" for binding in bindings):
        raise settings.error(option, "works over ncacn_ip_tcp only")
    if any(binding.level not in (None, AuthLevel.CONNECT) for binding in bindings):
        raise settings.error(option, "the binding demands more protection than level connect")
    if any(binding.mechanism is AuthType.KERBEROS for binding in bindings):
        raise settings.error(option, "the binding demands Kerberos")
