"""The proxy of a configuration: modules, local servers and relay put together.

servers = {"nspi": NspiServer(...), "rfr": RfrServer(...)}
dispatcher = await assemble(settings, servers, directory)
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from openchange_py.addressbook.base import Directory
from openchange_py.auth.delegation import ServiceLogon, user_principal
from openchange_py.auth.failures import FailureTracker
from openchange_py.auth.kerberos import KerberosUnavailable, require_library
from openchange_py.config import declared
from openchange_py.config.declared import NamedPipes
from openchange_py.config.routes import (
    RelayAs,
    Route,
    describe_relay,
    machine_logon,
    relay_as,
    relay_credentials,
    routes,
)
from openchange_py.config.settings import Settings
from openchange_py.proxy.authorize import Authorizer
from openchange_py.proxy.credentials import KerberosLogons, MachineAccount, SpecifiedAccount, UpstreamCredentials
from openchange_py.proxy.delegated import DelegatedCredentials, NtHashOf, UpstreamAuthorizes
from openchange_py.proxy.dispatcher import AnyServer, Dispatcher, WaitingServer
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.loading import load_modules
from openchange_py.proxy.names import NameBook, OwnNames, UpstreamNames
from openchange_py.proxy.passage import Passages
from openchange_py.proxy.pool import Pauses, UpstreamPool
from openchange_py.proxy.printing import Printer
from openchange_py.proxy.relay import Connector, Relay
from openchange_py.proxy.rewrite import Renamer
from openchange_py.proxy.rewrite_local import RenamedServer
from openchange_py.proxy.stack import ModuleStack
from openchange_py.proxy.upstream import TcpConnector, find_port
from openchange_py.proxy.upstream_mapihttp import MapiHttpConnector
from openchange_py.proxy.upstream_np import PipeConnector
from openchange_py.proxy.upstream_rpch import RpchConnector
from openchange_py.rpc.binding import NAMED_PIPE, RPC_HTTP, Binding
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.security import AuthLevel, AuthType, SecurityError
from openchange_py.transports.tls import TlsError
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB
from openchange_py.wire.oxnspi import NSPI

logger = logging.getLogger(__name__)

INTERFACES: Final[dict[str, RpcInterface]] = {
    interface.name: interface for interface in (EMSMDB, ASYNCEMSMDB, NSPI, RFR)
}


async def assemble(
    settings: Settings,
    servers: Mapping[str, AnyServer],
    directory: Directory,
    *,
    modules: Sequence[Module] | None = None,
    connect: Connector | None = None,
    metrics: Metrics | None = None,
    nt_hash_of: NtHashOf = lambda _: None,
) -> Dispatcher:
    """The dispatcher, its modules initialized. Logs what it is made of.

    `servers` are the local servers by the name that the configuration calls them; those of one name may be
    several, for several interfaces: `{"emsmdb": ..., "emsmdb/exchange_async_emsmdb": ...}`. `nt_hash_of` is for
    relaying as the caller. `modules` and `connect` are for tests. Raises `ConfigError`, `ModuleError`.
    """
    metrics = metrics or Metrics()
    stack = ModuleStack(load_modules(settings) if modules is None else modules)
    for module in stack.modules:
        module.metrics = metrics
    await stack.init(settings)
    local: dict[str, AnyServer] = {}
    relayed: dict[str, RpcInterface] = {}
    for route in routes(settings):
        if route.server is None:
            relayed[route.interface] = INTERFACES[route.interface]
        elif (found := _find_server(settings, route, servers)) is not None:
            local[route.interface] = found
        else:
            continue
        logger.info("%s: %s", route.interface, route)
    replace_names = settings[declared.REPLACE_NAMES]
    if relayed and replace_names:
        for name in {NSPI.name, RFR.name} & local.keys():
            server = local[name]
            if not isinstance(server, WaitingServer):
                local[name] = RenamedServer(server, own_names(settings), directory)
    return Dispatcher(
        local,
        stack,
        relayed=relayed,
        relay=_relay(settings, directory, connect, metrics, nt_hash_of) if relayed else None,
        minimum_levels=minimum_levels(settings),
        printer=_printer(settings),
        worker_threads=settings[declared.WORKER_THREADS],
    )


def reconfigure(dispatcher: Dispatcher, settings: Settings, nt_hash_of: NtHashOf = lambda _: None) -> None:
    """What can change while calls are on their way: levels of protection, and what the next relay connection uses.

    Raises `ConfigError`, and then nothing has changed.
    """
    if isinstance(dispatcher.relay, Relay):
        if dispatcher.relay.as_caller is not (relay_as(settings) is RelayAs.CALLER):
            # What is checked here with one account for all is not checked with the callers' own.
            raise settings.error(declared.DELEGATED_AUTH, "can't change while calls are relayed: restart")
        renamer = dispatcher.relay.renamer
        dispatcher.relay.connect = upstream_connector(settings, renamer, nt_hash_of)
        if renamer is not None:
            _learn_bindings(renamer, settings)
    dispatcher.set_printer(_printer(settings))
    dispatcher.set_minimum_levels(minimum_levels(settings))


def _printer(settings: Settings) -> Printer | None:
    return Printer() if any(binding.print for binding in settings[declared.BINDING]) else None


def _find_server(settings: Settings, route: Route, servers: Mapping[str, AnyServer]) -> AnyServer | None:
    """The server that a route names. Only `exchange_async_emsmdb` may be without: clients can do without it."""
    for key in (f"{route.server}/{route.interface}", str(route.server)):
        server = servers.get(key)
        if server is not None and server.interface.name == route.interface:
            return server
    if route.interface == declared.ASYNC_EMSMDB:
        return None
    fitting = sorted(name for name, server in servers.items() if server.interface.name == route.interface)
    known = ", ".join(fitting) or "none"
    raise settings.error(route.option, f"no local server {route.server!r} for {route.interface}; known: {known}")


def _relay(
    settings: Settings, directory: Directory, connect: Connector | None, metrics: Metrics, nt_hash_of: NtHashOf
) -> Relay:
    renamer = make_renamer(settings)
    logger.info("relayed calls come from %s", describe_relay(settings))
    relay = Relay(
        connect or upstream_connector(settings, renamer, nt_hash_of),
        UpstreamAuthorizes() if relay_as(settings) is RelayAs.CALLER else Authorizer(directory),
        timeout=settings[declared.RELAY_TIMEOUT],
        metrics=metrics,
        renamer=renamer,
    )
    metrics.gauges.append(("upstream_connections_open", "Relay connections open now.", relay.open_connections))
    metrics.gauges.append(("upstreams_down", "Servers to relay to that are down now.", lambda: _down(relay)))
    return relay


def _down(relay: Relay) -> int:
    """A reload gives the relay another pool."""
    return relay.connect.down() if isinstance(relay.connect, UpstreamPool) else 0


def make_renamer(settings: Settings) -> Renamer | None:
    """What keeps the names of the servers relayed to from clients. Raises `ConfigError`."""
    if not settings[declared.REPLACE_NAMES]:
        return None
    configured = settings[declared.UPSTREAM_NAMES]
    for name in configured:
        if UpstreamNames().with_name(name) == UpstreamNames():
            raise settings.error(declared.UPSTREAM_NAMES, f"{name!r} is neither a server's name nor an address")
    renamer = Renamer(NameBook(own_names(settings), configured))
    _learn_bindings(renamer, settings)
    return renamer


def own_names(settings: Settings) -> OwnNames:
    """What clients see of this server."""
    netbios, fqdn = settings[declared.NETBIOS_NAME], settings[declared.FQDN].encode("idna").decode("ascii")
    bindings = [f"netbios:{netbios}", f"ncacn_ip_tcp:{fqdn}"]
    if settings[declared.NAMED_PIPES] is not NamedPipes.OFF:
        bindings.append(f"ncacn_np:{netbios}")
    return OwnNames(netbios, fqdn, tuple(bindings))


def _learn_bindings(renamer: Renamer, settings: Settings) -> None:
    for binding in settings[declared.BINDING]:
        principal = (binding.target_principal or "").partition("/")[2].partition("@")[0]
        renamer.book.learn(str(binding), *filter(None, (binding.target_hostname, principal, binding.host)))


def upstream_credentials(settings: Settings, nt_hash_of: NtHashOf) -> UpstreamCredentials:
    """Who relays, as the settings say now."""
    kind, keytab, realm = relay_as(settings), settings[declared.KEYTAB], settings[declared.REALM]
    if any(binding.mechanism is AuthType.KERBEROS for binding in settings[declared.BINDING]):
        try:
            require_library()
        except KerberosUnavailable as error:
            raise settings.error(declared.BINDING, f"flag krb5: {error}") from error
    logons = KerberosLogons(settings[declared.CONNECT_TIMEOUT])
    if kind is RelayAs.SPECIFIED:
        return SpecifiedAccount(relay_credentials(settings), logons)
    if kind is RelayAs.MACHINE:
        return MachineAccount(machine_logon(settings), logons)
    service = None
    if keytab is not None and realm:
        service = ServiceLogon(keytab, user_principal(settings[declared.MACHINE_ACCOUNT], realm))
    return DelegatedCredentials(nt_hash_of, service, realm, logons)


def upstream_connector(
    settings: Settings, renamer: Renamer | None = None, nt_hash_of: NtHashOf = lambda _: None
) -> UpstreamPool:
    """What opens connections to the servers relayed to, with the credentials that the settings say now.

    `renamer` knows whom a server sent to another one of them.
    """
    credentials, timeout = upstream_credentials(settings, nt_hash_of), settings[declared.CONNECT_TIMEOUT]
    return UpstreamPool(
        [_connector(settings, binding, credentials, timeout) for binding in settings[declared.BINDING]],
        Pauses(silence=timeout),
        preferred=renamer.preferred if renamer is not None else None,
    )


def _connector(
    settings: Settings, binding: Binding, credentials: UpstreamCredentials, timeout: float
) -> TcpConnector | MapiHttpConnector:
    try:
        if binding.by_url:
            return MapiHttpConnector(binding, credentials, timeout)
        if binding.transport == RPC_HTTP:
            return RpchConnector(binding, credentials, timeout)
        if binding.transport == NAMED_PIPE:
            return PipeConnector(binding, credentials, timeout)
        return TcpConnector(binding, credentials, find_port, timeout)
    except (TlsError, SecurityError) as error:
        raise settings.error(declared.BINDING, str(error)) from error


def make_passages(settings: Settings, dispatcher: Dispatcher, failures: FailureTracker) -> Passages | None:
    """What passes NTLM logons to the server relayed to; None where that is not configured, or nothing is relayed."""
    if not settings[declared.PASS_NTLM_THROUGH] or not dispatcher.relayed:
        return None
    (binding,), timeout = settings[declared.BINDING], settings[declared.CONNECT_TIMEOUT]
    connector = TcpConnector(binding, upstream_credentials(settings, lambda _: None), find_port, timeout)
    logger.warning("NTLM logons at level connect are passed to %s, which alone checks them", binding)
    interfaces = {interface.syntax: interface for interface in dispatcher.relayed.values()}
    return Passages(connector.open, interfaces, failures)


def minimum_levels(settings: Settings) -> dict[str, AuthLevel]:
    """Mail and address book as configured; the referral service for everybody who authenticated."""
    level = settings[declared.MINIMUM_AUTH_LEVEL]
    return {EMSMDB.name: level, ASYNCEMSMDB.name: level, NSPI.name: level, RFR.name: AuthLevel.CONNECT}
