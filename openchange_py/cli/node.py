"""A node: everything that one configuration runs, wired together and listening."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openchange_py.addressbook.base import Directory
from openchange_py.auth.standing import Standing
from openchange_py.cli.autodiscover import AutodiscoverResource, https_port, offer
from openchange_py.cli.directory import in_ldap, open_directory
from openchange_py.cli.domain import Domain, patience
from openchange_py.cli.endpoints import Endpoints
from openchange_py.cli.listening import cannot_listen
from openchange_py.cli.lockout import share_failures
from openchange_py.cli.rpc_over_http import RpcOverHttp
from openchange_py.cli.status import lag_of
from openchange_py.cli.upstream_book import UpstreamBook
from openchange_py.cli.web import Web
from openchange_py.cli.worker_metrics import answer_for_metrics
from openchange_py.config import ConfigError, Option, Settings, declared
from openchange_py.config.declared import NamedPipes
from openchange_py.config.interfaces import listen_addresses
from openchange_py.config.routes import routes
from openchange_py.proxy.assembly import assemble, make_passages, reconfigure
from openchange_py.proxy.dispatcher import AnyServer, Dispatcher
from openchange_py.proxy.loading import find_server, installed_servers, is_path
from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.share import Share
from openchange_py.servers.autodiscover import server as autodiscover_server
from openchange_py.servers.autodiscover.server import AutodiscoverServer
from openchange_py.servers.autodiscover.settings import Offer
from openchange_py.servers.emsmdb.asyncemsmdb import AsyncEmsmdbServer
from openchange_py.servers.emsmdb.server import EmsmdbServer
from openchange_py.servers.nspi.server import NspiServer
from openchange_py.servers.rfr.server import RfrServer
from openchange_py.store.source import open_store
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http_request import HttpResource
from openchange_py.transports.pipe import PipeServer, PipeTaken
from openchange_py.transports.tcp import TcpLimits, TcpServer
from openchange_py.transports.web_logon import authenticate

logger = logging.getLogger(__name__)

Address = tuple[str, int]


class Node:
    """One server: `await node.start()`, then `endpoint_mapper` and `rpc` tell what is bound, `await node.stop()`.

    With `colleagues` it is one of several processes that serve the same configuration together.
    """

    def __init__(self, settings: Settings, colleagues: Colleagues | None = None) -> None:
        self.settings = settings
        self._colleagues = colleagues
        self.endpoint_mapper: list[Address] = []
        self.rpc: list[Address] = []
        self._resources = contextlib.ExitStack()
        self._listening: list[TcpServer] = []
        self._web: Web | None = None
        self._endpoints: Endpoints | None = None
        self._tunnels: RpcOverHttp | None = None
        self._dispatcher: Dispatcher | None = None
        self._domain: Domain | None = None
        self._metrics = Metrics()
        self.metrics: Address | None = None
        self.pipes: list[Path] = []

    async def start(self) -> None:
        """Open directory and store, load modules, listen. What was begun is undone where it fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Let calls in flight finish, close everything. All servers stop at once, so that the longest call decides."""
        listening, self._listening = self._listening, []
        stopping = [server.stop() for server in listening]
        if self._web is not None:
            stopping.append(self._web.stop())
        await asyncio.gather(*stopping)
        if self._endpoints is not None:
            await self._endpoints.stop()
        if self._dispatcher is not None:
            self._dispatcher.close()
            await self._dispatcher.stack.close()
            self._dispatcher = None
        if self._domain is not None:
            await self._domain.close()
            self._domain = None
        self._resources.close()

    def reconfigure(self, settings: Settings) -> None:
        """Take from other settings what can change while this runs (`cli.reload`). Raises `ConfigError`."""
        if self._web is not None:
            self._web.reconfigure(settings)
        if self._dispatcher is not None:
            reconfigure(self._dispatcher, settings, self._domain.nt_hash_of if self._domain else lambda _: None)
        if self._domain is not None:
            self._domain.failures.patience = patience(settings)
        granted = limits(settings)
        for server in self._listening:
            server.limits = granted

    def describe(self) -> dict[str, Any]:
        """What the ready file says: the bound addresses, and per interface that is served who answers it."""
        served = {interface.name for interface in self._dispatcher.interfaces()} if self._dispatcher else set()
        return {
            "endpoint_mapper": _addresses(self.endpoint_mapper),
            "rpc": _addresses(self.rpc),
            "pipes": [str(path) for path in self.pipes],
            "https": self._web and self._web.https and _addresses(self._web.https),
            "http": self._web and self._web.http and _addresses(self._web.http),
            "http_paths": list(self._web.resources) if self._web else [],
            "metrics": self.metrics and {"host": self.metrics[0], "port": self.metrics[1]},
            "interfaces": {
                route.interface: (
                    {"server": route.server}
                    if route.server
                    else {"relay": [str(binding) for binding in route.bindings]}
                )
                for route in routes(self.settings)
                if route.interface in served
            },
        }

    async def _start(self) -> None:
        settings = self.settings
        directory = open_directory(settings)
        self._resources.callback(directory.close)
        await asyncio.to_thread(directory.start)  # the first index of a directory in LDAP takes a while
        directory.organization()  # an error that says what to do, before anything listens
        if in_ldap(settings):
            about = "Seconds that the index is behind the directory in LDAP."
            self._metrics.gauges.append(("directory_lag_seconds", about, lag_of(directory)))
        self._domain = domain = Domain.of(settings, directory)
        if self._colleagues is not None:
            share_failures(domain.failures, self._colleagues)
        self._dispatcher = await assemble(
            settings, self._servers(directory), directory, metrics=self._metrics, nt_hash_of=domain.nt_hash_of
        )
        passages = make_passages(settings, self._dispatcher, domain.failures)
        if passages is not None:
            domain.authenticator.passing = passages.acceptor
        interval = settings[declared.ACCOUNT_CHECK_INTERVAL]
        self._dispatcher.standing = Standing(directory, domain.passwords, interval=interval)
        addresses = listen_addresses(settings)
        dispatcher, granted = self._dispatcher, limits(settings)
        groups, mapper_groups = self._groups(), self._groups()

        def rpc_server() -> TcpServer:
            return TcpServer(
                dispatcher,
                domain.authenticator,
                limits=granted,
                groups=groups,
                minimum_level=dispatcher.minimum_level,
                waits=dispatcher.waits,
                metrics=self._metrics,
                principal_names=domain.principal_names,
                colleagues=self._colleagues,
            )

        self.rpc = await self._listen(addresses, declared.RPC_PORT, rpc_server)
        epmapper = EpmapperServer(
            [
                Endpoint(interface, port, "" if host in ("0.0.0.0", "::") else host, "openchange_py")  # noqa: S104
                for host, port in self.rpc
                for interface in self._dispatcher.interfaces()
            ]
        )
        mapper = InlineHandler([epmapper])
        # Anybody may ask where the interfaces are, as with Windows; tools such as rpcmap log on as nobody for it.
        self.endpoint_mapper = await self._listen(
            addresses,
            declared.ENDPOINT_MAPPER_PORT,
            lambda: TcpServer(
                mapper,
                domain.strangers,
                limits=granted,
                groups=mapper_groups,
                metrics=self._metrics,
                colleagues=self._colleagues,
            ),
        )
        if settings[declared.NAMED_PIPES] is NamedPipes.SAMBA:
            await self._listen_on_pipes(dispatcher, mapper, epmapper, domain)
        resources = self._web_resources(settings, directory, domain)
        self._web = Web(settings, self._metrics, resources, self._colleagues)
        await self._web.start(addresses)
        self._start_metrics(groups)

    async def _listen_on_pipes(
        self, dispatcher: Dispatcher, mapper: InlineHandler, epmapper: EpmapperServer, domain: Domain
    ) -> None:
        """One server per pipe; the endpoint mapper tells of those that have the interfaces.

        Of several processes the first serves them all.
        """
        settings, granted = self.settings, limits(self.settings)
        groups, first = association_groups(settings, "ncacn_np"), self._share.number == 0
        for name in settings[declared.PIPE_NAMES]:
            if name == declared.EPMAPPER_PIPE:
                server = PipeServer(mapper, domain.strangers, limits=granted, metrics=self._metrics)
            else:
                server = PipeServer(
                    dispatcher,
                    domain.authenticator,
                    limits=granted,
                    groups=groups,
                    minimum_level=dispatcher.minimum_level,
                    waits=dispatcher.waits,
                    metrics=self._metrics,
                    principal_names=domain.principal_names,
                )
                for interface in dispatcher.interfaces():
                    pipe, server_name = rf"\pipe\{name}", rf"\\{settings[declared.NETBIOS_NAME]}"
                    epmapper.register(Endpoint(interface, 0, server_name, "openchange_py", pipe=pipe))
            if not first:
                continue
            try:
                self.pipes.append(await server.listen(settings[declared.NCALRPC_DIR] / "np", name))
            except OSError as error:
                raise _no_pipe(settings, name, error) from error
            self._listening.append(server)

    def _web_resources(self, settings: Settings, directory: Directory, domain: Domain) -> dict[str, HttpResource]:
        """What answers over HTTP, by prefix of the path; `web.served` names the same."""
        logons = domain.web_logons(settings)
        assert self._dispatcher is not None
        self._endpoints = Endpoints(settings, self._dispatcher, logons, self._metrics, self._colleagues)
        tunnels = self._tunnels = RpcOverHttp(
            self._dispatcher,
            domain.authenticator,
            logons,
            self._metrics,
            limits(settings),
            self._groups("ncacn_http"),
            domain.principal_names,
            self._colleagues,
        )
        self._listening += tunnels.servers.values()

        def offered() -> Offer:
            assert self._web is not None
            return offer(settings, self._web.resources, https_port(settings, self._web.https))

        book = UpstreamBook(self._dispatcher) if declared.NSPI in self._dispatcher.relayed else None
        autodiscover = AutodiscoverServer(directory, offered, book.find if book is not None else None)
        return {
            **self._endpoints.resources,
            **tunnels.resources,
            autodiscover_server.PREFIX: AutodiscoverResource(
                autodiscover, lambda request: authenticate(request, logons, self._metrics)
            ),
        }

    def _start_metrics(self, groups: AssociationGroups) -> None:
        """Imported only here: who wants no metrics waits for no more than before."""
        endpoints, tunnels = self._endpoints, self._tunnels
        assert endpoints is not None
        assert tunnels is not None

        def sessions() -> float:
            return groups.session_count + tunnels.groups.session_count + endpoints.session_count

        self._metrics.gauges.append(("sessions", "Sessions of clients now.", sessions))
        port = self.settings[declared.METRICS_PORT]
        if port is None:
            return
        if self._colleagues is not None:
            answer_for_metrics(self._metrics, self._colleagues)
            return
        from openchange_py.transports.metrics import MetricsServer, registry_of

        address = self.settings[declared.METRICS_ADDRESS]
        server = MetricsServer(registry_of(self._metrics))
        try:
            self.metrics = server.start(address, port)
        except OSError as error:
            raise cannot_listen(self.settings, declared.METRICS_PORT, address, port, error) from error
        self._resources.callback(server.stop)

    def _servers(self, directory: Directory) -> dict[str, AnyServer]:
        """The local servers by name; the mailbox database is opened only where one of them needs it."""
        settings = self.settings
        name, fqdn = settings[declared.NETBIOS_NAME], settings[declared.FQDN]
        pipes = settings[declared.NAMED_PIPES] is not NamedPipes.OFF
        excluded: tuple[str, ...] = settings[declared.REFERRAL_EXCLUDES]
        relays = any(route.interface == declared.EMSMDB and route.server is None for route in routes(settings))
        servers: dict[str, AnyServer] = {
            "nspi": NspiServer(directory, name, fqdn, pipes=pipes, relays=relays),
            "rfr": RfrServer(directory, name, fqdn, relays=relays, excluded=excluded),
        }
        if any(route.server == EmsmdbServer.name for route in routes(settings)):
            store = open_store(settings[declared.DATABASE])
            self._resources.callback(store.close)
            servers["emsmdb"] = EmsmdbServer(
                directory,
                store,
                compress=settings[declared.COMPRESS],
                session_limit=settings[declared.MAX_SESSIONS],
                largest_message=settings[declared.MAX_MESSAGE_SIZE],
            )
            servers[f"emsmdb/{declared.ASYNC_EMSMDB}"] = AsyncEmsmdbServer()
        for word in {route.server for route in routes(settings) if route.server} - servers.keys():
            if is_path(word) or word in installed_servers():
                custom = servers[word] = find_server(settings, word)(settings, directory)
                self._resources.callback(custom.close)
        return servers

    @property
    def _share(self) -> Share:
        return self._colleagues.share if self._colleagues is not None else Share()

    def _groups(self, transport: str = "ncacn_ip_tcp") -> AssociationGroups:
        return association_groups(self.settings, transport, self._share)

    async def _listen(
        self, addresses: list[str], option: Option[int], make_server: Callable[[], TcpServer]
    ) -> list[Address]:
        """One server per address, all on the same port, which the first one finds where it is 0."""
        port, bound = self.settings[option], []
        for address in addresses:
            server = make_server()
            try:
                host, port = await server.start(address, port, purpose=option.name)
            except OSError as error:
                raise cannot_listen(self.settings, option, address, port, error) from error
            self._listening.append(server)
            bound.append((host, port))
        return bound


def limits(settings: Settings) -> TcpLimits:
    """What a client may take, as configured."""
    idle = settings[declared.IDLE_TIMEOUT]
    return TcpLimits(
        connections=settings[declared.MAX_CONNECTIONS],
        handshake_seconds=settings[declared.AUTHENTICATION_TIMEOUT],
        idle_seconds=idle or float("inf"),
        call_size=settings[declared.MAX_CALL_SIZE],
        connections_per_address=settings[declared.MAX_CONNECTIONS_PER_ADDRESS],
        held_size=settings[declared.MAX_PENDING_SIZE],
        presentation_contexts=settings[declared.MAX_PRESENTATION_CONTEXTS],
        security_contexts=settings[declared.MAX_SECURITY_CONTEXTS],
    )


def association_groups(
    settings: Settings, transport: str = "ncacn_ip_tcp", share: Share | None = None
) -> AssociationGroups:
    """The clients' groups on one transport, with the limits of their sessions."""
    return AssociationGroups(transport, handle_limit=settings[declared.MAX_CONTEXT_HANDLES], share=share)


def _addresses(bound: list[Address]) -> dict[str, Any]:
    """The first address, which clients on this machine use, and all of them."""
    host, port = bound[0]
    return {"host": host, "port": port, "all": [list(address) for address in bound]}


def _no_pipe(settings: Settings, name: str, error: OSError) -> ConfigError:
    """The error, and what to do about it."""
    if isinstance(error, PipeTaken):
        hint = (
            f"{error}: Samba's own, perhaps; leave the pipe out, or use an smbd with `rpc start on demand helpers = no`"
        )
    else:
        hint = (
            f"{settings[declared.NCALRPC_DIR]}/np: {error.strerror or error}; smbd and this server must both reach it"
        )
    return settings.error(declared.PIPE_NAMES, f"can't serve pipe {name}: {hint}")
