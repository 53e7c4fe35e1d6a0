"""Connections to the server relayed to: over TCP, with specified credentials, NTLM.

Not done yet: the binding's `localaddress`, and other mechanisms than NTLM.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.config.routes import Credentials
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import RpcFault
from openchange_py.transports.epmapper import EPMAPPER_PORT, ept_map
from openchange_py.transports.tcp_client import ConnectionLost, RpcClient
from openchange_py.wire.ndr import RpcInterface

logger = logging.getLogger(__name__)

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

    def __init__(self, binding: Binding, credentials: Credentials, find_port: FindPort, timeout: float = 30.0) -> None:
        self._binding = binding
        self._credential = NtlmCredential.from_password(credentials.username, credentials.domain, credentials.password)
        self._find_port = find_port
        self._timeout = timeout
        self._ports: dict[str, int] = {}

    async def __call__(self, interface: RpcInterface, assoc_group: int) -> RpcClient:
        """A connection bound to `interface`. Raises `ConnectionLost`, whatever the reason is."""
        level = self._binding.protection
        target = self._binding.target_hostname or self._binding.host
        try:
            return await RpcClient.connect(
                self._binding.host,
                await self._port(interface),
                interface,
                context=NtlmInitiator(self._credential, level=level, target_name=f"host/{target}"),
                level=level,
                assoc_group=assoc_group,
                connect_timeout=self._timeout,
            )
        except ConnectionLost:
            # The server may have come back under another port.
            self._ports.pop(interface.name, None)
            raise
        except RpcFault as fault:
            # A refusal that is about the relay, not about the client that happened to need the connection.
            raise ConnectionLost(f"{self._binding}: {fault}") from fault

    async def _port(self, interface: RpcInterface) -> int:
        if self._binding.port is not None:
            return self._binding.port
        port = self._ports.get(interface.name)
        if port is None:
            port = self._ports[interface.name] = await self._find_port(self._binding.host, interface)
            logger.info("%s is at port %d of %s", interface.name, port, self._binding.host)
        return port
