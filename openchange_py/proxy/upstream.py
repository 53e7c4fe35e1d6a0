"""Connections to the server relayed to, over TCP."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from openchange_py.auth.kerberos_initiator import SERVICES
from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.proxy.credentials import UpstreamCredentials
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.rpc.security import AuthLevel, SecurityContext, SecurityError
from openchange_py.transports.epmapper import EPMAPPER_PORT, NotRegistered, ept_map
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost, RpcClient
from openchange_py.wire.ndr import RpcInterface

logger = logging.getLogger(__name__)

#: How a server answers a bind whose credentials it does not take.
_LOGON_FAULTS: Final = (FaultStatus.ACCESS_DENIED, FaultStatus.SEC_PKG_ERROR)

#: Asks the endpoint mapper of a binding's host for the TCP port of an interface, for so many seconds at most. Raises
#: `ConnectionLost`.
FindPort = Callable[[Binding, RpcInterface, float], Awaitable[int]]


async def find_port(binding: Binding, interface: RpcInterface, seconds: float) -> int:
    """The port that the host's endpoint mapper tells. Raises `ConnectionLost`."""
    return await ept_map(
        binding.host, EPMAPPER_PORT, interface, connect_timeout=seconds, local_address=binding.local_address
    )


class TcpConnector:
    """Opens connections as one binding says: a `Connector` for the relay.

    Where the binding has no port, `find_port` is asked, once per interface, and again when nothing answers there.
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

    @property
    def upstream(self) -> str:
        """The text of the binding."""
        return str(self._binding)

    async def __call__(self, call: Call, assoc_group: int) -> RpcClient:
        """A connection bound to the call's interface. Raises `ConnectionLost`, whatever the reason is."""
        try:
            client = await self._connect(call.interface, call, assoc_group)
        except RpcFault as fault:
            # A refusal that is about the relay, not about the client that happened to need the connection.
            kind = AuthenticationFailed if fault.status in _LOGON_FAULTS else BindError
            raise kind(f"{self._binding}: {fault}") from fault
        client.upstream = self.upstream
        return client

    async def open(self, interface: RpcInterface, context: SecurityContext, assoc_group: int) -> RpcClient:
        """A connection at level connect with somebody else's security context. `ConnectionLost`, `RpcFault`."""
        try:
            client = await self._connect_with(
                await self._port(interface), interface, context, AuthLevel.CONNECT, assoc_group
            )
        except AuthenticationFailed:
            raise
        except ConnectionLost:
            # Its tokens are used up: the next logon asks where the server is now.
            self._ports.pop(interface.name, None)
            raise
        client.upstream = self.upstream
        return client

    async def probe(self, interface: RpcInterface) -> None:
        """Raises `ConnectionLost` where the server does not answer a bind, or does not have the interface."""
        try:
            client = await self._connect(interface, None, 0)
        except NotRegistered:
            raise
        except (BindError, RpcFault):
            return
        await client.close()

    async def _connect(self, interface: RpcInterface, call: Call | None, assoc_group: int) -> RpcClient:
        """At the port that is known, then where the server may have moved to. Anonymous without a call."""
        known = self._ports.get(interface.name)
        try:
            return await self._connect_at(await self._port(interface), interface, call, assoc_group)
        except AuthenticationFailed:
            raise
        except ConnectionLost:
            self._ports.pop(interface.name, None)
            if known is None or (port := await self._port(interface)) == known:
                raise
        return await self._connect_at(port, interface, call, assoc_group)

    async def _connect_at(self, port: int, interface: RpcInterface, call: Call | None, assoc_group: int) -> RpcClient:
        context = None if call is None else await self._context(call)
        level = AuthLevel.NONE if call is None else self._binding.protection
        return await self._connect_with(port, interface, context, level, assoc_group)

    async def _connect_with(
        self, port: int, interface: RpcInterface, context: SecurityContext | None, level: AuthLevel, assoc_group: int
    ) -> RpcClient:
        return await RpcClient.connect(
            self._binding.host,
            port,
            interface,
            context=context,
            level=level,
            assoc_group=assoc_group,
            connect_timeout=self._timeout,
            local_address=self._binding.local_address,
            stubs=self._binding.stubs,
        )

    async def _context(self, call: Call) -> SecurityContext:
        binding = self._binding
        target = self._target(call.interface)
        try:
            inner = await self._credentials.context(call, target, binding.protection, binding.mechanism)
        except SecurityError as error:
            raise AuthenticationFailed(f"{binding}: no credentials for {call.caller}: {error}") from error
        return SpnegoInitiator(inner) if binding.spnego else inner

    def _target(self, interface: RpcInterface) -> str:
        """The upstream's service principal. An Exchange has one per interface."""
        if self._binding.target_principal is not None:
            return self._binding.target_principal
        service = SERVICES.get(interface.name, "host")
        return f"{service}/{self._binding.target_hostname or self._binding.host}"

    async def _port(self, interface: RpcInterface) -> int:
        if self._binding.port is not None:
            return self._binding.port
        port = self._ports.get(interface.name)
        if port is None:
            port = self._ports[interface.name] = await self._find_port(self._binding, interface, self._timeout)
            logger.info("%s is at port %d of %s", interface.name, port, self._binding.host)
        return port
