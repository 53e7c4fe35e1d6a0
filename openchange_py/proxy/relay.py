"""The relay: calls go to another server and their responses come back as they are.

Each client session has its own association upstream: one connection per interface that it uses, opened with
its first call, all in one association group, so that the context handles of one connection are good on the
others. Connections of one client session share it. Handles are passed through; a client may use only those
that its own session was given, because upstream all sessions come from one account.

Not done yet: server names in responses (EcDoConnectEx's DN prefix) are passed on as the upstream says them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from openchange_py.proxy.authorize import Authorizer
from openchange_py.proxy.handles import NULL_HANDLE, handle_given, handle_taken, makes_handle
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire.buffer import DecodeError

logger = logging.getLogger(__name__)

#: Connections per interface that one session may have; only calls that wait use more than one.
MAXIMUM_CONNECTIONS: Final = 16
_CLOSE_SECONDS: Final = 5.0


class UpstreamClient(Protocol):
    """One connection to the upstream, bound to one interface; `RpcClient` is one. One call at a time."""

    @property
    def connected(self) -> bool:
        """Calls can be made."""

    @property
    def assoc_group(self) -> int:
        """The association group's id there."""

    @property
    def upstream(self) -> str:
        """Which server it is: the text of its binding, the same for all connections there."""

    async def call(
        self, opnum: int, stub: bytes, object_uuid: uuid.UUID | None = None, *, call_timeout: float | None = None
    ) -> bytes:
        """The response stub; raises `RpcFault`, `ConnectionLost`, that too where it takes longer (seconds)."""

    async def close(self) -> None:
        """Close the connection; a call in flight raises `ConnectionLost`."""


#: Opens the connection that a call needs (its interface, session and caller say which), in an association group
#: (0: a new one). Raises `ConnectionLost`.
Connector = Callable[[Call, int], Awaitable[UpstreamClient]]


@dataclasses.dataclass(eq=False, slots=True)
class _Association:
    """What one client session has open upstream."""

    group: int = 0
    #: Context handles, their bytes.
    handles: set[bytes] = dataclasses.field(default_factory=set)
    idle: dict[str, list[UpstreamClient]] = dataclasses.field(default_factory=dict)
    busy: list[tuple[str, UpstreamClient]] = dataclasses.field(default_factory=list)
    #: Connections that answered a call, and so accepted the relay's account.
    proven: set[UpstreamClient] = dataclasses.field(default_factory=set)
    #: Only one connection at a time is opened: the first tells the group of the others.
    opening: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    ended: bool = False

    def all_clients(self) -> list[UpstreamClient]:
        return [*(client for clients in self.idle.values() for client in clients), *(c for _, c in self.busy)]

    def forget_lost(self) -> None:
        """Without its last connection the group is gone there, and its handles with it."""
        clients = self.all_clients()
        if clients and all(client.connected for client in clients):
            return
        for interface, idle in self.idle.items():
            self.idle[interface] = [client for client in idle if client.connected]
        self.proven = {client for client in self.proven if client.connected}
        if not any(client.connected for client in clients):
            self.group = 0
            self.handles.clear()


class Relay:
    """Relays calls through connections that `connect` opens.

    `authorizer` decides what a caller may do with the account that the relay uses. `timeout` is seconds per call.
    """

    def __init__(
        self, connect: Connector, authorizer: Authorizer, *, timeout: float = 600.0, metrics: Metrics | None = None
    ) -> None:
        #: Opens new connections; another one may take its place at any time.
        self.connect = connect
        self._metrics = metrics or Metrics()
        #: Replaced, never changed: the thread that shows metrics reads it.
        self._opened: frozenset[UpstreamClient] = frozenset()
        self._authorizer = authorizer
        self._timeout = timeout

    def open_connections(self) -> int:
        """Upstream connections that are open now."""
        return sum(client.connected for client in self._opened)

    async def call(self, call: Call) -> None:
        """Have the call answered upstream; raises `RpcFault`, also the upstream's own, unchanged."""
        association = self._association(call.session)
        association.forget_lost()
        taken = handle_taken(call.interface.name, call.opnum, call.stub)
        if taken is not None and taken not in association.handles:
            logger.warning("%s: %s of %s with a foreign context handle", call.session, call.name, call.caller)
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, "not a context handle of this session")
        refusal = await self._authorizer.authorize(call)
        if refusal is not None:
            call.response = refusal
            return
        reply = await self._call_upstream(association, call)
        self._learn(association, call, taken, reply)
        call.answer(reply)

    async def end_session(self, session: Session) -> None:
        """Close what was opened for the session."""
        self._authorizer.forget(session)
        association = session.state.get(self)
        if not isinstance(association, _Association):
            session.state[self] = _Association(ended=True)
            return
        association.ended = True
        await asyncio.gather(*map(_close, association.all_clients()))
        association.idle.clear()

    def _association(self, session: Session) -> _Association:
        association = session.state.get(self)
        if association is None:
            association = session.state[self] = _Association()
        assert isinstance(association, _Association)
        if association.ended:
            raise RpcFault(FaultStatus.CALL_FAILED, "the session is over")
        return association

    async def _call_upstream(self, association: _Association, call: Call) -> bytes:
        name = call.interface.name
        client = await self._take(association, call)
        association.busy.append((name, client))
        answered = False
        try:
            reply = await client.call(call.opnum, call.stub, call.object_uuid, call_timeout=self._timeout)
            answered = True
            association.proven.add(client)
        except RpcFault as fault:
            answered = True
            if fault.status == FaultStatus.ACCESS_DENIED and client not in association.proven:
                # How a server says that the logon failed, when the bind was long acknowledged. The client would
                # take it for its own password's fault.
                logger.warning("%s: the upstream refuses the relay's account: %s", call.session, fault)
                raise RpcFault(FaultStatus.SERVER_UNAVAILABLE, "the relay's account was refused") from fault
            logger.info("%s: the upstream answers %s with %s", call.session, call.name, fault)
            raise
        except ConnectionLost as error:
            logger.warning("%s: %s was lost upstream: %s", call.session, call.name, error)
            raise RpcFault(FaultStatus.CALL_FAILED, "the server relayed to did not answer") from error
        finally:
            association.busy.remove((name, client))
            if answered and client.connected and not association.ended:
                association.idle.setdefault(name, []).append(client)
            else:
                # An answer that comes too late must not be taken for the next call's.
                await _close(client)
                association.proven.discard(client)
                association.forget_lost()
        return reply

    async def _take(self, association: _Association, call: Call) -> UpstreamClient:
        """An idle connection for the call's interface, or a new one."""
        idle = association.idle.get(call.interface.name, [])
        while idle:
            client = idle.pop()
            if client.connected:
                return client
        if sum(name == call.interface.name for name, _ in association.busy) >= MAXIMUM_CONNECTIONS:
            raise RpcFault(FaultStatus.SERVER_TOO_BUSY, "too many calls wait upstream")
        async with association.opening:
            return await self._open(association, call)

    async def _open(self, association: _Association, call: Call) -> UpstreamClient:
        try:
            client = await self.connect(call, association.group)
        except ConnectionLost as error:
            self._metrics.upstream["failed"] += 1
            logger.warning("%s: no upstream connection for %s: %s", call.session, call.interface.name, error)
            raise RpcFault(FaultStatus.SERVER_UNAVAILABLE, "the server relayed to can't be reached") from error
        self._metrics.upstream["opened"] += 1
        self._opened = frozenset((client, *(other for other in self._opened if other.connected)))
        if association.ended:
            await _close(client)
            raise RpcFault(FaultStatus.CALL_FAILED, "the session is over")
        association.group = client.assoc_group
        logger.info("%s: upstream connection for %s of %s", call.session, call.interface.name, call.caller)
        return client

    def _learn(self, association: _Association, call: Call, taken: bytes | None, reply: bytes) -> None:
        """Keep the handles that the upstream gave, forget those that it ended."""
        self._authorizer.learn(call, reply)
        try:
            given = handle_given(call.interface.name, call.opnum, reply)
        except DecodeError as error:
            logger.warning("%s: response to %s without its context handle: %s", call.session, call.name, error)
            return
        if given is None:
            return
        if taken not in (None, given) and not makes_handle(call.interface.name, call.opnum):
            association.handles -= {taken}
        if given != NULL_HANDLE:
            association.handles.add(given)


async def _close(client: UpstreamClient) -> None:
    """Close a connection, but don't wait long for an upstream that reads nothing any more."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
