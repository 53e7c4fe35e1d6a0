"""Everything that is spoken over HTTP, as configured: listeners for HTTPS and plain HTTP, and the certificate."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from openchange_py.cli.listening import cannot_listen
from openchange_py.config import Settings, declared
from openchange_py.config.declared import EMSMDB, NSPI, AutoPort
from openchange_py.config.routes import routes
from openchange_py.rpc.metrics import Metrics
from openchange_py.servers.autodiscover.server import PREFIX as AUTODISCOVER
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http import HttpLimits, HttpServer
from openchange_py.transports.http_request import HttpResource
from openchange_py.transports.oxcmapihttp import ADDRESS_BOOK_PATH, MAILBOX_PATH
from openchange_py.transports.rpch import PATHS as RPC_PATHS
from openchange_py.transports.tls import TlsCertificate, TlsError

logger = logging.getLogger(__name__)

Address = tuple[str, int]

HTTPS_PORT = 443

#: What a node serves over HTTP, by prefix of the path, and the interface that must be there for it.
SERVED: Final[Mapping[str, str | None]] = {
    AUTODISCOVER: None,
    MAILBOX_PATH: EMSMDB,
    ADDRESS_BOOK_PATH: NSPI,
    **dict.fromkeys(RPC_PATHS),
}


def served(settings: Settings) -> list[str]:
    """The paths that a node would serve: what Autodiscover offers, without that one runs."""
    interfaces = {route.interface for route in routes(settings)}
    return [path for path, needed in SERVED.items() if needed is None or needed in interfaces]


class Web:
    """The HTTP servers of a node: `await web.start(addresses)`, then `https` and `http` tell what is bound."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        resources: Mapping[str, HttpResource],
        colleagues: Colleagues | None = None,
    ) -> None:
        self._settings = settings
        self._colleagues = colleagues
        self._metrics = metrics
        self.resources = resources
        self._servers: list[HttpServer] = []
        self._tls: TlsCertificate | None = None
        self.https: list[Address] = []
        self.http: list[Address] = []

    async def start(self, addresses: Sequence[str]) -> None:
        """Listen as configured, or not at all. Raises `ConfigError`."""
        self._tls = self._certificate()
        if self._tls is not None:
            self.https = await self._listen_https(addresses)
        self.http = await self._listen_http(addresses)

    async def stop(self) -> None:
        """Let requests in flight finish, close everything."""
        servers, self._servers = self._servers, []
        await asyncio.gather(*(server.stop() for server in servers))

    def reconfigure(self, settings: Settings) -> None:
        """Take limits, and certificate and key as the files are now."""
        granted = limits(settings)
        for server in self._servers:
            server.limits = granted
        if self._tls is not None:
            try:
                self._tls.reload(settings[declared.TLS_CERTIFICATE], settings[declared.TLS_KEY])
            except TlsError as error:
                raise settings.error(declared.TLS_CERTIFICATE, str(error)) from error

    def _certificate(self) -> TlsCertificate | None:
        settings = self._settings
        port, path = settings[declared.HTTPS_PORT], settings[declared.TLS_CERTIFICATE]
        if port is None:
            return None
        if port is AutoPort.AUTO and not settings.is_set(declared.TLS_CERTIFICATE) and not path.exists():
            logger.info("no HTTPS: there is no %s; `ocpy provision` makes one", path)
            return None
        try:
            return TlsCertificate(path, settings[declared.TLS_KEY])
        except TlsError as error:
            raise settings.error(declared.TLS_CERTIFICATE, f"{error}; `ocpy provision` makes one") from error

    async def _listen_https(self, addresses: Sequence[str]) -> list[Address]:
        port = self._settings[declared.HTTPS_PORT]
        if not isinstance(port, AutoPort):
            assert port is not None
            return await self._listen(addresses, port, tls=True)
        try:
            return await self._listen(addresses, HTTPS_PORT, tls=True)
        except OSError as error:
            await self.stop()
            bound = await self._listen(addresses, 0, tls=True)
            logger.warning("HTTPS is on port %d: %d can't be bound: %s", bound[0][1], HTTPS_PORT, error)
            return bound

    async def _listen_http(self, addresses: Sequence[str]) -> list[Address]:
        settings = self._settings
        port = settings[declared.HTTP_PORT]
        if port is None:
            return []
        open_to_all = settings[declared.HTTP_WITHOUT_TLS]
        far = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
        if far and not open_to_all and not settings[declared.TRUSTED_PROXIES]:
            raise settings.error(
                declared.HTTP_PORT,
                f"plain HTTP on {', '.join(far)} would be open to everybody: name the proxies that may use it "
                f"(`{declared.TRUSTED_PROXIES.name}`), or set `{declared.HTTP_WITHOUT_TLS.name} = yes`",
            )
        bound = []
        for address in addresses:
            restricted = address in far and not open_to_all
            bound += await self._listen([address], port, tls=False, only_proxies=restricted)
            port = bound[0][1]
        return bound

    async def _listen(
        self, addresses: Sequence[str], port: int, *, tls: bool, only_proxies: bool = False
    ) -> list[Address]:
        """One server per address, all on the same port, which the first one finds where it is 0."""
        bound = []
        for address in addresses:
            server = HttpServer(
                self.resources,
                limits=limits(self._settings),
                tls=self._tls if tls else None,
                trusted_proxies=self._settings[declared.TRUSTED_PROXIES],
                only_proxies=only_proxies,
                metrics=self._metrics,
                colleagues=self._colleagues,
            )
            option = declared.HTTPS_PORT if tls else declared.HTTP_PORT
            try:
                host, port = await server.start(address, port, purpose=option.name)
            except OSError as error:
                if tls and self._settings[declared.HTTPS_PORT] is AutoPort.AUTO and port == HTTPS_PORT:
                    raise
                raise cannot_listen(self._settings, option, address, port, error) from error
            self._servers.append(server)
            bound.append((host, port))
        return bound


def limits(settings: Settings) -> HttpLimits:
    """What a client may take, as configured: the same as over TCP."""
    idle = settings[declared.IDLE_TIMEOUT]
    return HttpLimits(
        connections=settings[declared.MAX_CONNECTIONS],
        connections_per_address=settings[declared.MAX_CONNECTIONS_PER_ADDRESS],
        head_seconds=settings[declared.AUTHENTICATION_TIMEOUT],
        body_seconds=settings[declared.AUTHENTICATION_TIMEOUT],
        idle_seconds=idle or float("inf"),
        body_size=settings[declared.MAX_CALL_SIZE],
        held_size=settings[declared.MAX_PENDING_SIZE],
    )
