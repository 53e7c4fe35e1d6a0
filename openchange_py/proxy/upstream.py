"""Connections to the server relayed to, over TCP."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.proxy.credentials import UpstreamCredentials
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.rpc.security import SecurityContext, SecurityError
from openchange_py.transports.epmapper import EPMAPPER_PORT, ept_map
from openchange_py.transports.tcp_client import ConnectionLost, RpcClient
from openchange_py.wire.ndr import RpcInterface

logger = logging.getLogger(__name__)

#: The service class of an interface's principal.
_SERVICES: Final = {
    "exchange_emsmdb": "exchangeMDB",
    "exchange_async_emsmdb": "exchangeMDB",
    "exchange_nsp": "exchangeAB",
    "exchange_ds_rfr": "exchangeRFR",
}

#: Asks a host's endpoint mapper for the TCP port of an interface. Raises `ConnectionLost`, `RpcFault`.
FindPort = Callable[[str, RpcInterface], Awaitable[int]]


async def find_port(host: str, interface: RpcInterface) -> int:
    """The port that the host's endpoint mapper tells. Raises `ConnectionLost`."""
    return await ept_map(host, EPMAPPER_PORT, interface)


class TcpConnector:
    """Opens connections as the binding says: a `Connector` for the relay.

    Where the binding has no port, `find_port` is asked, once per interface until a connection fails.
    `timeout` is seconds for connecting and authenticating.
    """

    def __init__(
        self, binding: Binding, credentials: UpstreamCredentials, find_port: FindPort, timeout: float = 30.0
    ) -> None:
        self._binding = binding
        self._credentials = credentials
        self._find_port = find_port
        self._timeout = timeout
        self._ports: dict[str, int] = {}

    async def __call__(self, call: Call, assoc_group: int) -> RpcClient:
        """A connection bound to the call's interface. Raises `ConnectionLost`, whatever the reason is."""
        interface, level = call.interface, self._binding.protection
        try:
            client = await RpcClient.connect(
                self._binding.host,
                await self._port(interface),
                interface,
                context=await self._context(call),
                level=level,
                assoc_group=assoc_group,
                connect_timeout=self._timeout,
                local_address=self._binding.local_address,
            )
        except ConnectionLost:
            # The server may have come back under another port.
            self._ports.pop(interface.name, None)
            raise
        except RpcFault as fault:
            # A refusal that is about the relay, not about the client that happened to need the connection.
            raise ConnectionLost(f"{self._binding}: {fault}") from fault
        except SecurityError as error:
            raise ConnectionLost(f"{self._binding}: no credentials for {call.caller}: {error}") from error
        client.upstream = str(self._binding)
        return client

    async def _context(self, call: Call) -> SecurityContext:
        binding = self._binding
        target = self._target(call.interface)
        inner = await self._credentials.context(call, target, binding.protection, binding.mechanism)
        return SpnegoInitiator(inner) if binding.spnego else inner

    def _target(self, interface: RpcInterface) -> str:
        """The upstream's service principal. An Exchange has one per interface."""
        if self._binding.target_principal is not None:
            return self._binding.target_principal
        service = _SERVICES.get(interface.name, "host")
        return f"{service}/{self._binding.target_hostname or self._binding.host}"

    async def _port(self, interface: RpcInterface) -> int:
        if self._binding.port is not None:
            return self._binding.port
        port = self._ports.get(interface.name)
        if port is None:
            port = self._ports[interface.name] = await self._find_port(self._binding.host, interface)
            logger.info("%s is at port %d of %s", interface.name, port, self._binding.host)
        return port
