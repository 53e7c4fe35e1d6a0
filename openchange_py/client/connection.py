"""Where a server is, who connects, and the connections that a client's calls go through.

    connector = Connector(Server("exch1.example.test"), Account.parse("alice", password))
    channel = await connector.connect(NSPI)
    response = await channel.call(NspiUnbindRequest(handle), NspiUnbindResponse)
    await channel.close()

With `kerberos` its credential logs on instead of a password. Not done yet: following a referral to another host (the
host that the caller named is always used).
"""

from __future__ import annotations

import dataclasses
import functools
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism, SpnegoInitiator
from openchange_py.client.errors import ClientError, LogonRefused, Unreachable
from openchange_py.client.web import Web, WebTransport
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.representation import StubFormat
from openchange_py.rpc.security import AuthLevel, SecurityContext
from openchange_py.transports import pipe_client
from openchange_py.transports.epmapper import EPMAPPER_PORT, NotRegistered, ept_map
from openchange_py.transports.oxcmapihttp_client import MapiHttpClient
from openchange_py.transports.pipe_client import PipePlace
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost, RpcClient
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcInterface, RpcMessage

if TYPE_CHECKING:
    from openchange_py.auth.kerberos_initiator import InitiatorCredential

R = TypeVar("R", bound=RpcMessage)

#: Seconds for connecting with its authentication, and for one call.
CONNECT_TIMEOUT: Final = 30.0
CALL_TIMEOUT: Final = 300.0

#: What an alter_context with credentials that are not accepted is answered with, by Windows and by others.
_LOGON_FAULTS: Final = (FaultStatus.ACCESS_DENIED, FaultStatus.SEC_PKG_ERROR)


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """Who logs on. `name` is what stands in the credentials, `alice` or `alice@example.test`."""

    name: str
    domain: str
    password: str = dataclasses.field(repr=False)

    @classmethod
    def parse(cls, text: str, password: str) -> Account:
        """From `alice`, `alice@example.test` or `EXAMPLE\\alice`."""
        domain, _, name = text.rpartition("\\")
        return cls(name, domain, password)

    def __str__(self) -> str:
        return f"{self.domain}\\{self.name}" if self.domain else self.name


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A host with its endpoint mapper's port. `ports` are interfaces, by name, whose port is known already."""

    host: str
    port: int = EPMAPPER_PORT
    ports: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Channel:
    """A connection that is bound to one interface."""

    def __init__(self, client: RpcClient | MapiHttpClient, interface: RpcInterface, refusal: str) -> None:
        self._client = client
        self._interface = interface
        self._refusal = refusal
        self._opnums = {method.request: method.opnum for method in interface.methods.values()}
        self._used = False

    @property
    def peer(self) -> str:
        """Address and port of the server."""
        return self._client.peer

    async def call(self, request: RpcMessage, response: type[R]) -> R:
        """The decoded response. Raises `RpcFault`, `ConnectionLost`, `LogonRefused`, and `ClientError` for garbage."""
        opnum = self._opnums[type(request)]
        try:
            stub = await self._client.call(opnum, request.pack())
        except RpcFault as fault:
            # With NTLM the server tells what it thinks of the credentials in answer to the first call.
            if fault.status == FaultStatus.ACCESS_DENIED and not self._used:
                raise LogonRefused(self._refusal) from fault
            raise
        self._used = True
        try:
            return response.unpack(stub)
        except DecodeError as error:
            name = self._interface.method_name(opnum)
            raise ClientError(f"{self.peer}: the answer to {name} is malformed: {error}") from error

    @property
    def assoc_group(self) -> int:
        """The association group that the server put the connection into: context handles are good within it."""
        return self._client.assoc_group

    async def exchange(self, opnum: int, stub: bytes) -> bytes:
        """A call as bytes: the response stub. Raises `RpcFault`, `ConnectionLost`."""
        return await self._client.call(opnum, stub)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()


class Connector:
    """Opens channels to one server as one account; without an account the connections are anonymous.

    `kerberos` logs the account on with tickets for `target`'s services, the server's host where that is empty;
    `forward` has the server go on to another one as the account. With `web` everything goes over HTTP, with
    `pipe` over that named pipe.
    """

    def __init__(
        self,
        server: Server,
        account: Account | None = None,
        *,
        level: AuthLevel = AuthLevel.PRIVACY,
        spnego: bool = False,
        ndr64: bool = False,
        kerberos: InitiatorCredential | None = None,
        forward: bool = False,
        target: str = "",
        web: Web | None = None,
        pipe: PipePlace | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        self._web = web
        self._pipe = pipe
        self.server = server
        self.account = account
        self._level = level if account is not None else AuthLevel.NONE
        self._spnego = spnego
        self._ndr64 = ndr64
        self._connect_timeout = connect_timeout
        self._call_timeout = call_timeout
        self._kerberos = kerberos
        self._forward = forward
        self._target = target or server.host
        self._credential = None
        if account is not None and kerberos is None:
            self._credential = NtlmCredential.from_password(account.name, account.domain, account.password)

    async def port(self, interface: RpcInterface) -> int:
        """The interface's port, asked of the endpoint mapper where it is not known. Raises `Unreachable`."""
        known = self.server.ports.get(interface.name)
        if known is not None:
            return known
        host, port = self.server.host, self.server.port
        try:
            return await ept_map(host, port, interface, connect_timeout=self._connect_timeout)
        except NotRegistered as error:
            raise Unreachable(f"{host} does not offer {interface.name}") from error
        except ConnectionLost as error:
            raise unreachable(host, port, "its endpoint mapper", error) from error

    async def connect(
        self, interface: RpcInterface, *, beside: Channel | None = None, call_timeout: float | None = None
    ) -> Channel:
        """A channel for the interface, in the association group of the one `beside`. `call_timeout` is seconds.

        Raises `Unreachable`, `LogonRefused`.
        """
        group = 0 if beside is None else beside.assoc_group
        web, timeout = self._web, call_timeout or self._call_timeout
        host, port = await self._place(interface)
        client: RpcClient | MapiHttpClient
        try:
            if web is not None:
                client = await self._over_http(web, interface, group, timeout)
            elif self._pipe is not None:
                client = await pipe_client.connect(
                    self._pipe,
                    self._smb_logon(interface),
                    interface,
                    context=self._context(interface),
                    level=self._level,
                    assoc_group=group,
                    connect_timeout=self._connect_timeout,
                    call_timeout=timeout,
                )
            else:
                client = await RpcClient.connect(
                    host,
                    port,
                    interface,
                    context=self._context(interface),
                    level=self._level,
                    assoc_group=group,
                    connect_timeout=self._connect_timeout,
                    call_timeout=timeout,
                    stubs=StubFormat(ndr64=self._ndr64),
                )
        except RpcFault as fault:
            if fault.status in _LOGON_FAULTS and self.account is not None:
                raise LogonRefused(self._refusal()) from fault
            raise Unreachable(f"{host} port {port}: {fault}") from fault
        except AuthenticationFailed as error:
            raise LogonRefused(f"{host}: {error}") from error
        except ConnectionLost as error:
            raise unreachable(host, port, interface.name, error) from error
        return Channel(client, interface, self._refusal())

    async def _place(self, interface: RpcInterface) -> tuple[str, int]:
        """Host and port that a connection for the interface goes to."""
        over = self._web or self._pipe
        return (self.server.host, await self.port(interface)) if over is None else (over.host, over.port)

    async def _over_http(
        self, web: Web, interface: RpcInterface, group: int, call_timeout: float
    ) -> RpcClient | MapiHttpClient:
        by_mapi = web.transport is WebTransport.MAPI_HTTP
        return await web.connect(
            interface,
            functools.partial(self._mechanism, interface),
            AuthLevel.CONNECT if by_mapi else self._level,
            self._spnego,
            assoc_group=group,
            connect_timeout=self._connect_timeout,
            call_timeout=call_timeout,
        )

    def _context(self, interface: RpcInterface) -> SecurityContext | None:
        mechanism = self._mechanism(interface)
        return SpnegoInitiator(mechanism) if self._spnego and mechanism is not None else mechanism

    def _smb_logon(self, interface: RpcInterface) -> SpnegoInitiator:
        mechanism = self._mechanism(interface, "cifs", max(self._level, AuthLevel.INTEGRITY))
        if mechanism is None:
            raise LogonRefused(f"{self.server.host}: nobody opens a named pipe without an account")
        return SpnegoInitiator(mechanism)

    def _mechanism(
        self,
        interface: RpcInterface,
        service_class: str = "",
        level: AuthLevel | None = None,
        bindings: ChannelBindings | None = None,
    ) -> Mechanism | None:
        """`service_class` is that of the service principal, where it is not the interface's; and so is `level`.

        `bindings` are for the tickets of a logon over HTTP.
        """
        level = level or self._level
        if self._kerberos is not None:
            # Imported where it is used: nobody else waits for the library.
            from openchange_py.auth.kerberos_initiator import SERVICES, Delegate, KerberosInitiator

            service = f"{service_class or SERVICES.get(interface.name, 'host')}/{self._target}"
            delegate = Delegate.ALWAYS if self._forward else Delegate.NO
            return KerberosInitiator(self._kerberos, service, level=level, delegate=delegate, bindings=bindings)
        if self._credential is None:
            return None
        service = f"{service_class or 'host'}/{self._target}"
        return NtlmInitiator(self._credential, level=level, target_name=service)

    def _refusal(self) -> str:
        if self.account is None:
            return f"{self.server.host} does not serve clients that do not log on"
        text = f"{self.server.host} refused the logon of {self.account}: "
        if self._kerberos is not None:
            text += "an account that it does not have, or a disabled one"
        else:
            text += "wrong name or password, a disabled account, or too many wrong tries just before"
        if self._level < AuthLevel.PRIVACY:
            text += f"; or it demands more protection than the level {self._level.name.lower()}"
        return text


def unreachable(host: str, port: int, what: str, error: ConnectionLost) -> ClientError:
    """What to tell, and what to check, where a connection could not be made."""
    cause: Any = error.__cause__
    if isinstance(cause, ConnectionRefusedError):
        advice = f"is the server running, and is that the port of {what}?"
        return Unreachable(f"{host} port {port}: nothing listens there (connection refused); {advice}")
    if isinstance(cause, socket.gaierror):
        return Unreachable(f"{host}: there is no host of that name ({cause.strerror})")
    if isinstance(cause, OSError) and cause.strerror:
        return Unreachable(f"{host} port {port}: {cause.strerror}")
    if isinstance(error, BindError):
        return Unreachable(f"{host} port {port} refuses {what}: {error}")
    return Unreachable(f"{host} port {port} ({what}): {error}")
