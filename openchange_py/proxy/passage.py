"""NTLM logons that go to the server relayed to, token by token: `dcerpc_mapiproxy:pass ntlm through`.

For accounts whose password nobody here knows. Neither side's keys are known here, so that it can only be at level
connect, and of a caller there is only the upstream's word: local servers refuse him (`Authority.UPSTREAM`). He has the
upstream connections that his tokens opened, and no other; they end with his session. All connections of a client's
association group are in one group there, whoever logged on, since the account shows only when it is too late to choose;
the relay keeps the context handles of different accounts apart.

SPNEGO passes where the client's first choice is NTLM. Who has it for a reserve behind Kerberos is authenticated here.
Not done: several servers to relay to, and a logon again where the upstream connection was lost.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from openchange_py.auth.accounts import account_name
from openchange_py.auth.failures import FailureTracker
from openchange_py.proxy.delegated import claim
from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.rpc.peers import address_of
from openchange_py.rpc.security import (
    AuthLevel,
    Authority,
    AuthType,
    Identity,
    Logon,
    SecurityContext,
    SecurityError,
)
from openchange_py.transports.steps import stepped
from openchange_py.transports.tasks import spawn
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost, RpcClient
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcInterface, SyntaxId
from openchange_py.wire.ntlm import SIGNATURE, AuthenticateMessage
from openchange_py.wire.spnego import NTLMSSP_OID, NegState, NegTokenInit, NegTokenResp

logger = logging.getLogger(__name__)

#: Logons that wait for their clients' next token, all and from one address: each has a connection upstream.
MAXIMUM_PENDING: Final = 64
MAXIMUM_PENDING_PER_ADDRESS: Final = 8
#: MessageType of an AUTHENTICATE_MESSAGE, [MS-NLMP] 2.2.1.3.
_AUTHENTICATE: Final = b"\3\0\0\0"
#: No interface has it. A server that took the logon answers nca_op_rng_error.
_NO_OPNUM: Final = 0x7FFF

#: Opens a connection upstream for an interface, with a security context, in an association group.
Open = Callable[[RpcInterface, SecurityContext, int], Awaitable[RpcClient]]


class Passages:
    """All logons that pass, and what they opened. Lives on one event loop.

    `interfaces` are those that are relayed. `failures` is what is borne of wrong passwords, so that the upstream's
    accounts are not locked out from here more quickly than ours.
    """

    def __init__(
        self, open_upstream: Open, interfaces: Mapping[SyntaxId, RpcInterface], failures: FailureTracker
    ) -> None:
        self.open = open_upstream
        self.failures = failures
        self._interfaces = interfaces
        self._pending: dict[PassingAcceptor, str] = {}
        #: By the client's association group.
        self._open: dict[int, set[PassedLogon]] = {}

    def acceptor(self, local: SecurityContext, peer: str, logon: Logon) -> SecurityContext:
        """Takes the place of a local acceptor where the logon may pass."""
        interface = self._interfaces.get(logon.interface) if logon.interface is not None else None
        passes = local.auth_type in (AuthType.NTLMSSP, AuthType.SPNEGO) and logon.level == AuthLevel.CONNECT
        if interface is None or not passes:
            return local
        return PassingAcceptor(self, local, peer, interface, logon.group)

    def upstream_group(self, group: int) -> int:
        """The association group upstream of a client's; 0 where there is none yet."""
        return next((logon.client.assoc_group for logon in self._open.get(group, ()) if logon.client.connected), 0)

    def begin(self, acceptor: PassingAcceptor, peer: str) -> None:
        """One more that waits for its client; raises `SecurityError` where too many do."""
        address = address_of(peer)
        if len(self._pending) >= MAXIMUM_PENDING:
            raise SecurityError("too many logons wait for their clients")
        if sum(other == address for other in self._pending.values()) >= MAXIMUM_PENDING_PER_ADDRESS:
            raise SecurityError(f"too many logons of {address} wait for their client")
        self._pending[acceptor] = address

    def end(self, acceptor: PassingAcceptor) -> None:
        """It waits no more."""
        self._pending.pop(acceptor, None)

    def add(self, group: int, logon: PassedLogon) -> None:
        """A logon that the upstream took."""
        self._open.setdefault(group, set()).add(logon)

    def remove(self, group: int, logon: PassedLogon) -> None:
        """Its client is gone."""
        logons = self._open.get(group, set())
        logons.discard(logon)
        if not logons:
            self._open.pop(group, None)


class PassedLogon:
    """What an identity that passed carries: its connection upstream."""

    def __init__(self, client: RpcClient, passages: Passages, group: int) -> None:
        self.client = client
        self.claimed = False
        self._passages = passages
        self._group = group

    def close(self) -> None:
        """See `Delegated.close`."""
        self._passages.remove(self._group, self)
        spawn(self.client.close(), f"end of {self.client.peer}")

    async def bound(self, interface: RpcInterface) -> BoundConnection:
        """The connection, for one interface. Raises `ConnectionLost`."""
        if not self.client.connected:
            raise ConnectionLost(f"{self.client.peer}: the connection that the client logged on with is gone")
        await self.client.alter_context(interface)
        return BoundConnection(self.client, interface)


async def passed_connection(call: Call) -> BoundConnection:
    """The upstream connection of a caller whom the upstream authenticated. Raises `ConnectionLost`."""
    passed = call.caller.delegated
    if not isinstance(passed, PassedLogon):
        raise AuthenticationFailed(f"{call.caller} has no connection upstream")
    claim(call.session, passed)
    return await passed.bound(call.interface)


class BoundConnection:
    """An `UpstreamClient` for one interface of a connection that others use too."""

    def __init__(self, client: RpcClient, interface: RpcInterface) -> None:
        self._client = client
        self._interface = interface
        self.upstream = client.upstream
        self.server_names = client.server_names
        self._closed = False

    @property
    def connected(self) -> bool:
        """See `UpstreamClient`."""
        return not self._closed and self._client.connected

    @property
    def assoc_group(self) -> int:
        """See `UpstreamClient`."""
        return self._client.assoc_group

    async def call(
        self, opnum: int, stub: bytes, object_uuid: uuid.UUID | None = None, *, call_timeout: float | None = None
    ) -> bytes:
        """See `UpstreamClient`."""
        return await self._client.call(opnum, stub, interface=self._interface, call_timeout=call_timeout)

    async def close(self) -> None:
        """The connection is the logon's, which closes it."""
        self._closed = True


class _Keyless:
    """What a security context has that protects nothing."""

    always_signs_headers = False
    auth_type: AuthType

    def __init__(self, auth_type: AuthType) -> None:
        self.auth_type = auth_type
        self.complete = False
        self.identity: Identity | None = None

    def step(self, token: bytes) -> bytes:
        """Not called: see `StepsItself`."""
        raise NotImplementedError

    def signature_size(self, level: AuthLevel) -> int:
        """See `SecurityContext.signature_size`."""
        if level > AuthLevel.CONNECT:
            raise _no_keys()
        return 0

    def sign(self, message: bytes) -> bytes:
        """See `SecurityContext.sign`."""
        raise _no_keys()

    def verify(self, message: bytes, signature: bytes) -> None:
        """See `SecurityContext.verify`."""
        raise _no_keys()

    def seal(self, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        """See `SecurityContext.seal`."""
        raise _no_keys()

    def unseal(self, before: bytes, sealed: bytes, after: bytes, signature: bytes) -> bytes:
        """See `SecurityContext.unseal`."""
        raise _no_keys()


def _no_keys() -> SecurityError:
    return SecurityError("a logon that passed has no keys")


class _PassedInitiator(_Keyless):
    """Toward the upstream: its tokens are handed over, and the client's are waited for."""

    def __init__(self, auth_type: AuthType, first: bytes) -> None:
        super().__init__(auth_type)
        #: None at the end.
        self.from_upstream: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.from_client: asyncio.Queue[bytes] = asyncio.Queue()
        self.from_client.put_nowait(first)

    async def exchange(self, token: bytes) -> bytes:
        """See `StepsItself`."""
        if token:
            self.from_upstream.put_nowait(token)
            if _is_last(token):
                self.complete = True
                return b""
        answer = await self.from_client.get()
        # Bare NTLM ends with its third message, which nothing answers.
        self.complete = answer.startswith(SIGNATURE) and _authenticate_in(answer) is not None
        return answer


class PassingAcceptor(_Keyless):
    """Toward the client. Where he does not begin with NTLM, `local` does the work."""

    def __init__(
        self,
        passages: Passages,
        local: SecurityContext,
        peer: str,
        interface: RpcInterface,
        group: Callable[[], int],
    ) -> None:
        super().__init__(local.auth_type)
        self._passages = passages
        self._local = local
        self._peer = peer
        self._interface = interface
        self._group = group
        self._upstream: _PassedInitiator | None = None
        self._connecting: asyncio.Task[RpcClient | ConnectionLost | RpcFault] | None = None
        self._passes: bool | None = None

    async def exchange(self, token: bytes) -> bytes:
        """See `StepsItself`."""
        if self._passes is None:
            self._passes = _begins_with_ntlm(token)
            if self._passes:
                return await self._begin(token)
        if not self._passes:
            answer = await stepped(self._local, token)
            self.complete, self.identity = self._local.complete, self._local.identity
            return answer
        try:
            return await self._continue(token)
        except SecurityError:
            # The upstream waits no longer for a client who is refused here.
            if self._connecting is not None:
                self._connecting.cancel()
            raise

    async def _begin(self, token: bytes) -> bytes:
        self._passages.begin(self, self._peer)
        self._upstream = _PassedInitiator(self.auth_type, token)
        self._connecting = spawn(self._connect(self._upstream), f"logon of {self._peer} upstream")
        return await self._answer(self._upstream)

    async def _connect(self, upstream: _PassedInitiator) -> RpcClient | ConnectionLost | RpcFault:
        try:
            return await self._passages.open(self._interface, upstream, self._passages.upstream_group(self._group()))
        except (ConnectionLost, RpcFault) as error:
            return error
        finally:
            self._passages.end(self)
            upstream.from_upstream.put_nowait(None)

    async def _continue(self, token: bytes) -> bytes:
        upstream = self._upstream
        if upstream is None or self.complete:
            raise SecurityError("the exchange is over")
        message = _authenticate_in(token)
        if message is None:
            upstream.from_client.put_nowait(token)
            return await self._answer(upstream)
        name, address = _name_in(message), address_of(self._peer)
        if wait := self._passages.failures.wait(name, address):
            logger.warning("%s: logon of %.80r not passed on, next try in %.0f s", self._peer, name, wait)
            raise SecurityError("logon refused")
        answer, client = await self._decided(upstream, token, name, address)
        logon, group = PassedLogon(client, self._passages, self._group()), self._group()
        self._passages.add(group, logon)
        self.identity = Identity(name, message.domain_name, AuthLevel.CONNECT, Authority.UPSTREAM, logon)
        self.complete = True
        logger.info("%s: logon of %s passed, %s took it", self._peer, self.identity, client.upstream)
        return answer

    async def _answer(self, upstream: _PassedInitiator) -> bytes:
        """The upstream's next token."""
        answer = await upstream.from_upstream.get()
        if answer is None:
            await self._connected()
            raise SecurityError("the upstream ended the exchange")
        return answer

    async def _connected(self) -> RpcClient:
        """The connection; raises `SecurityError`."""
        assert self._connecting is not None
        try:
            result = await self._connecting
        except asyncio.CancelledError:
            if not self._connecting.cancelled():
                raise
            raise SecurityError("the exchange is over") from None
        if isinstance(result, RpcClient):
            return result
        logger.warning("%s: logon did not pass: %s", self._peer, result)
        raise SecurityError("logon refused") from result

    async def _decided(
        self, upstream: _PassedInitiator, token: bytes, name: str, address: str
    ) -> tuple[bytes, RpcClient]:
        """The upstream's last token and the connection; `SecurityError` where it refuses, which is counted."""
        failures = self._passages.failures
        upstream.from_client.put_nowait(token)
        try:
            answer = b"" if token.startswith(SIGNATURE) else await self._answer(upstream)
            client = await self._connected()
        except SecurityError as error:
            if isinstance(error.__cause__, AuthenticationFailed | RpcFault):
                failures.failed(name, address)
            raise
        if not await _is_taken(client):
            failures.failed(name, address)
            logger.warning("%s: logon of %.80r refused by %s", self._peer, name, client.upstream)
            await client.close()
            raise SecurityError("logon refused")
        failures.succeeded(name, address)
        return answer, client


async def _is_taken(client: RpcClient) -> bool:
    """A server says what it thinks of NTLM's third message with the first call: one that does nothing."""
    try:
        await client.call(_NO_OPNUM, b"")
    except RpcFault as fault:
        return fault.status == FaultStatus.OP_RANGE_ERROR
    except ConnectionLost:
        return False
    return False


def _begins_with_ntlm(token: bytes) -> bool:
    if token.startswith(SIGNATURE):
        return True
    try:
        return tuple(NegTokenInit.unpack(token).mech_types[:1]) == (NTLMSSP_OID,)
    except DecodeError:
        return False


def _is_last(token: bytes) -> bool:
    """The upstream's last token of SPNEGO."""
    try:
        return not token.startswith(SIGNATURE) and NegTokenResp.unpack(token).neg_state is NegState.ACCEPT_COMPLETED
    except DecodeError as error:
        raise SecurityError(f"malformed token of the upstream: {error}") from error


def _authenticate_in(token: bytes) -> AuthenticateMessage | None:
    """The AUTHENTICATE_MESSAGE in a client's token, None where it is another one. Raises `SecurityError`."""
    try:
        ntlm = token if token.startswith(SIGNATURE) else NegTokenResp.unpack(token).response_token or b""
        return AuthenticateMessage.unpack(ntlm) if ntlm[8:12] == _AUTHENTICATE else None
    except DecodeError as error:
        raise SecurityError(f"malformed token: {error}") from error


def _name_in(message: AuthenticateMessage) -> str:
    name = message.user_name
    # Nobody is passed as nobody; and a name that two readers may read differently is nobody's.
    if account_name(name) != name:
        raise SecurityError(f"{name!r:.80} is no account's name")
    return name
