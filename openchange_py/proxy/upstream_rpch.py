"""Connections to a server relayed to by RPC over HTTP: [MS-RPCH] version 2."""

from __future__ import annotations

import functools
from typing import Final

from openchange_py.proxy.credentials import SpecifiedAccount, UpstreamCredentials
from openchange_py.proxy.upstream import TcpConnector, find_port
from openchange_py.proxy.upstream_mapihttp import NO_PASSWORD, answers, web_logon
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call
from openchange_py.rpc.security import SecurityError
from openchange_py.transports import rpch_client
from openchange_py.transports.http_client import Place
from openchange_py.transports.rpch_client import EXCHANGE_PORTS, RpcProxyPlace
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.transports.tls import ClientTls
from openchange_py.wire.ndr import RpcInterface

_HTTPS_PORT: Final = 443
_MAILBOX_PORT: Final = EXCHANGE_PORTS["exchange_emsmdb"]


class RpchConnector(TcpConnector):
    """A `TcpConnector` through an RPC proxy, over TLS, which is logged on to with the same credentials.

    Raises `TlsError`, `SecurityError`.
    """

    def __init__(self, binding: Binding, credentials: UpstreamCredentials, timeout: float = 30.0) -> None:
        super().__init__(binding, credentials, find_port, timeout)
        host, https_port = binding.rpc_proxy or (binding.host, _HTTPS_PORT)
        tls, name = ClientTls(binding.authorities, binding.pin), binding.proxy_hostname
        self._proxy = Place(host, https_port, tls, name, binding.local_address)
        if binding.basic and not isinstance(credentials, SpecifiedAccount):
            raise SecurityError(NO_PASSWORD)
        self._web_logon = functools.partial(web_logon, binding, credentials, name or host)

    async def probe(self, interface: RpcInterface) -> None:
        """See `TcpConnector.probe`: whether the RPC proxy answers."""
        await answers(self._proxy, RpcProxyPlace(self._proxy, self._binding.host, _MAILBOX_PORT).path, self._timeout)

    async def _connect_at(self, port: int, interface: RpcInterface, call: Call | None, assoc_group: int) -> RpcClient:
        assert call is not None, "only probes come without one"
        binding = self._binding
        return await rpch_client.connect(
            RpcProxyPlace(self._proxy, binding.host, port, logon=self._web_logon(call)),
            interface,
            context=await self._context(call),
            level=binding.protection,
            assoc_group=assoc_group,
            connect_timeout=self._timeout,
            stubs=binding.stubs,
        )

    async def _port(self, interface: RpcInterface) -> int:
        return self._binding.port or EXCHANGE_PORTS.get(interface.name, _MAILBOX_PORT)
