"""Connections to a server relayed to by MAPI over HTTP."""

from __future__ import annotations

import asyncio
import weakref
from typing import Final

from openchange_py.auth.http_initiator import MechanismLogon, PasswordLogon
from openchange_py.auth.spnego import Mechanism
from openchange_py.proxy.credentials import SpecifiedAccount, UpstreamCredentials
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call
from openchange_py.rpc.security import AuthLevel, SecurityError
from openchange_py.rpc.web_logon import WebInitiator
from openchange_py.transports.http_client import HttpClient, Place
from openchange_py.transports.oxcmapihttp_bridge import ADDRESS_BOOK, MAILBOX, SessionGroup
from openchange_py.transports.oxcmapihttp_client import MapiEndpoints, MapiHttpClient
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost
from openchange_py.transports.tls import ClientTls
from openchange_py.wire.ndr import RpcInterface

#: The service class of web servers' principals.
_SERVICE: Final = "HTTP"


class MapiHttpConnector:
    """Opens connections as one binding by URL says: a `Connector` for the relay. Raises `TlsError`, `SecurityError`.

    `timeout` is seconds for connecting and authenticating.
    """

    def __init__(self, binding: Binding, credentials: UpstreamCredentials, timeout: float = 30.0) -> None:
        self._binding = binding
        self._credentials = credentials
        self._timeout = timeout
        tls = ClientTls(binding.authorities, binding.pin) if binding.secure else None
        assert binding.port is not None
        place = Place(binding.host, binding.port, tls, binding.target_hostname or "", binding.local_address)
        self._endpoints = MapiEndpoints(place, binding.path, binding.query)
        #: As long as one of its connections is there.
        self._groups: weakref.WeakValueDictionary[int, SessionGroup] = weakref.WeakValueDictionary()
        self._basic = self._password_logon() if binding.basic else None

    @property
    def upstream(self) -> str:
        """The text of the binding."""
        return str(self._binding)

    async def __call__(self, call: Call, assoc_group: int) -> MapiHttpClient:
        """A connection for the call's interface. Raises `ConnectionLost`, whatever the reason is."""
        group = self._groups.get(assoc_group) or SessionGroup()
        client = await MapiHttpClient.connect(
            self._endpoints, call.interface, self._logon(call), group=group, connect_timeout=self._timeout
        )
        self._groups[group.number] = group
        client.upstream = self.upstream
        return client

    async def probe(self, interface: RpcInterface) -> None:
        """Raises `ConnectionLost` where the server answers nothing."""
        endpoint = MAILBOX if interface.name.endswith("emsmdb") else ADDRESS_BOOK
        client = None
        try:
            async with asyncio.timeout(self._timeout):
                client = await HttpClient.connect(self._endpoints.place)
                await client.request("POST", self._endpoints.target(endpoint), [])
        except TimeoutError:
            raise ConnectionLost(f"{self._binding}: no answer within {self._timeout:g} s") from None
        finally:
            if client is not None:
                client.abort("it was only asked whether it lives")

    def _password_logon(self) -> WebInitiator:
        if not isinstance(self._credentials, SpecifiedAccount):
            raise SecurityError("flag basic needs the name and password of an account to relay with")
        return PasswordLogon(*self._credentials.name_and_password)

    def _logon(self, call: Call) -> WebInitiator:
        """It is used again where a connection has to be: the call's contents are not kept for that."""
        if self._basic is not None:
            return self._basic
        needed = Call(call.interface, call.opnum, b"", call.session, call.caller)

        async def make() -> Mechanism:
            binding = self._binding
            target = binding.target_principal or f"{_SERVICE}/{binding.target_hostname or binding.host}"
            try:
                return await self._credentials.context(needed, target, AuthLevel.CONNECT, binding.mechanism)
            except SecurityError as error:
                raise AuthenticationFailed(f"{binding}: no credentials for {needed.caller}: {error}") from error

        return MechanismLogon(make, spnego=self._binding.spnego)
