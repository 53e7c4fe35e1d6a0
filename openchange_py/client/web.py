"""A server that a client reaches over HTTP: MAPI over HTTP, and RPC over HTTP version 2.

    web = Web(WebTransport.MAPI_HTTP, "exch1.example.test", tls=ClientTls())
    connector = Connector(Server("exch1.example.test"), Account.parse("alice", password), web=web)

The account logs on with NTLM or Kerberos; over RPC over HTTP at the RPC proxy, on every channel, and as over TCP at the
server behind.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from typing import Final, Protocol

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.http_initiator import MechanismLogon
from openchange_py.auth.spnego import Mechanism, SpnegoInitiator
from openchange_py.client.errors import ClientError
from openchange_py.rpc.security import AuthLevel, SecurityContext
from openchange_py.transports import rpch_client
from openchange_py.transports.http_client import Place
from openchange_py.transports.oxcmapihttp_bridge import SessionGroup
from openchange_py.transports.oxcmapihttp_client import MapiEndpoints, MapiHttpClient
from openchange_py.transports.rpch_client import EXCHANGE_PORTS, RpcProxyPlace
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.transports.tls import ClientTls
from openchange_py.wire.ndr import RpcInterface

HTTPS_PORT: Final = 443
#: The service that Kerberos tickets for HTTP are of.
_HTTP: Final = "HTTP"


class MakeMechanism(Protocol):
    """What makes a fresh initiator of who logs on; None where nobody does."""

    def __call__(self, service_class: str = "", *, bindings: ChannelBindings | None = None) -> Mechanism | None:
        """`service_class` is that of the server's principal; "" stands for the interface's own."""


class WebTransport(enum.Enum):
    """What is spoken over HTTP."""

    MAPI_HTTP = "mapihttp"
    RPC_HTTP = "http"


@dataclasses.dataclass(slots=True)
class Web:
    """Where the server is, and its name where `host` is an address. `tls` None: plain HTTP, on this machine."""

    transport: WebTransport
    host: str
    port: int = HTTPS_PORT
    tls: ClientTls | None = None
    name: str = ""
    _group: SessionGroup = dataclasses.field(default_factory=SessionGroup)

    async def connect(
        self,
        interface: RpcInterface,
        mechanism: MakeMechanism,
        level: AuthLevel,
        spnego: bool,
        *,
        assoc_group: int,
        connect_timeout: float,
        call_timeout: float,
    ) -> MapiHttpClient | RpcClient:
        """A connection for the interface. Raises `ConnectionLost`, `RpcFault`, `ClientError`."""
        if self.transport is WebTransport.MAPI_HTTP:
            endpoints = MapiEndpoints(Place(self.host, self.port, self.tls, self.name))
            return await MapiHttpClient.connect(
                endpoints,
                interface,
                MechanismLogon(functools.partial(_make, mechanism), spnego=spnego),
                group=self._group,
                connect_timeout=connect_timeout,
                call_timeout=call_timeout,
            )
        inner = mechanism()
        context: SecurityContext | None = SpnegoInitiator(inner) if inner is not None and spnego else inner
        return await rpch_client.connect(
            self._proxy(interface, mechanism, spnego),
            interface,
            context=context,
            level=level,
            assoc_group=assoc_group,
            connect_timeout=connect_timeout,
            call_timeout=call_timeout,
        )

    def _proxy(self, interface: RpcInterface, mechanism: MakeMechanism, spnego: bool) -> RpcProxyPlace:
        port = EXCHANGE_PORTS.get(interface.name)
        if port is None:
            raise ClientError(f"{interface.name} is not reached over RPC over HTTP")
        logon = None if mechanism(_HTTP) is None else MechanismLogon(functools.partial(_make, mechanism), spnego=spnego)
        return RpcProxyPlace(
            Place(self.host, self.port, self.tls, self.name), self.name or self.host, port, logon=logon
        )


async def _make(mechanism: MakeMechanism, bindings: ChannelBindings | None) -> Mechanism:
    made = mechanism(_HTTP, bindings=bindings)
    if made is None:
        raise ClientError("HTTP wants to know who logs on")
    return made
