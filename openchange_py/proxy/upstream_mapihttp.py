"""Connections to a server relayed to by MAPI over HTTP."""

from __future__ import annotations

import asyncio
import weakref
from typing import Final

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.http_initiator import MechanismLogon, PasswordLogon
from openchange_py.auth.kerberos_initiator import WEB_SERVICE
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

NO_PASSWORD: Final = "flag basic needs the name and password of an account to relay with"


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
        if binding.basic and not isinstance(credentials, SpecifiedAccount):
            raise SecurityError(NO_PASSWORD)

    @property
    def upstream(self) -> str:
        """The text of the binding."""
        return str(self._binding)

    async def __call__(self, call: Call, assoc_group: int) -> MapiHttpClient:
        """A connection for the call's interface. Raises `ConnectionLost`, whatever the reason is."""
        group = self._groups.get(assoc_group) or SessionGroup()
        host = self._binding.target_hostname or self._binding.host
        logon = web_logon(self._binding, self._credentials, host, call)
        client = await MapiHttpClient.connect(
            self._endpoints, call.interface, logon, group=group, connect_timeout=self._timeout
        )
        self._groups[group.number] = group
        client.upstream = self.upstream
        return client

    async def probe(self, interface: RpcInterface) -> None:
        """Raises `ConnectionLost` where the server answers nothing."""
        endpoint = MAILBOX if interface.name.endswith("emsmdb") else ADDRESS_BOOK
        await answers(self._endpoints.place, self._endpoints.target(endpoint), self._timeout)


def web_logon(binding: Binding, credentials: UpstreamCredentials, host: str, call: Call) -> WebInitiator:
    """What the connections that `call` needs log on with at the web server `host`. Raises `SecurityError`.

    It is used again where a connection has to be: the call's contents are not kept for that.
    """
    if binding.basic:
        if not isinstance(credentials, SpecifiedAccount):
            raise SecurityError(NO_PASSWORD)
        return PasswordLogon(*credentials.name_and_password)
    needed = Call(call.interface, call.opnum, b"", call.session, call.caller)

    # What another transport's binding says of a principal is of the server behind the web server.
    target = (binding.target_principal if binding.by_url else None) or f"{WEB_SERVICE}/{host}"

    async def make(bindings: ChannelBindings | None) -> Mechanism:
        try:
            return await credentials.context(needed, target, AuthLevel.CONNECT, binding.mechanism, bindings)
        except SecurityError as error:
            raise AuthenticationFailed(f"{binding}: no credentials for {needed.caller}: {error}") from error

    return MechanismLogon(make, spnego=binding.spnego)


async def answers(place: Place, target: str, seconds: float) -> None:
    """Raises `ConnectionLost` where a web server says nothing at all for so long."""
    client = None
    try:
        async with asyncio.timeout(seconds):
            client = await HttpClient.connect(place)
            await client.request("POST", target, [])
    except TimeoutError:
        raise ConnectionLost(f"{place.host}:{place.port}: no answer within {seconds:g} s") from None
    finally:
        if client is not None:
            client.abort("it was only asked whether it lives")
