"""The relay: calls go to another server and their responses come back as they are.

Each client session has its own associations upstream, one per handle space (`handles.py`): a connection per interface
that it uses, opened with its first call, all of a space in one association group, so that the context handles of one
connection are good on the others. Connections of one client session share them. Handles are passed through; a client
may use only those that its own session was given, because upstream all sessions come from one account.

When the upstream is lost, the client's connection stays. A call in flight gets the fault that the client's own runtime
would have made of the loss (call failed: it may have been executed or not), save those that only read and need
nothing but an address book session: they are repeated once. The next call connects anew. Address book sessions are
opened again on the way. A mailbox session is gone with its association: its handle is a context mismatch from then on,
upon which the client connects to its mailbox anew.

Servers are called by their names on the upstream's side, and by this server's on the client's: `rewrite.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from openchange_py.proxy.association import (
    NSPI_BIND,
    NSPI_UNBIND,
    AddressBookSession,
    Association,
    Associations,
    UpstreamClient,
)
from openchange_py.proxy.authorize import CallAuthorizer
from openchange_py.proxy.delegated import end_delegation
from openchange_py.proxy.handles import (
    HANDLE_SIZE,
    NULL_HANDLE,
    handle_given,
    handle_space,
    handle_taken,
    makes_handle,
    opens_handle,
    repeatable,
)
from openchange_py.proxy.rewrite import Renamer
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost, NoAnswer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcMessage

logger = logging.getLogger(__name__)

#: Connections per interface that one session may have; only calls that wait use more than one.
MAXIMUM_CONNECTIONS: Final = 16
_CLOSE_SECONDS: Final = 5.0

#: Opens the connection that a call needs (its interface, session and caller say which), in an association group
#: (0: a new one). Raises `ConnectionLost`.
Connector = Callable[[Call, int], Awaitable[UpstreamClient]]


class Relay:
    """Relays calls through connections that `connect` opens.

    `authorizer` decides what a caller may do with the account that the relay uses, or that it is his own.
    `timeout` is seconds per call.
    `renamer` replaces servers' names; without it they pass.
    """

    def __init__(
        self,
        connect: Connector,
        authorizer: CallAuthorizer,
        *,
        timeout: float = 600.0,
        metrics: Metrics | None = None,
        renamer: Renamer | None = None,
    ) -> None:
        #: Opens new connections; another one may take its place at any time.
        self.connect = connect
        self._metrics = metrics or Metrics()
        #: Replaced, never changed: the thread that shows metrics reads it.
        self._opened: frozenset[UpstreamClient] = frozenset()
        self._authorizer = authorizer
        self._timeout = timeout
        #: What knows the upstreams' names.
        self.renamer = renamer

    @property
    def as_caller(self) -> bool:
        """The upstream sees each caller's own identity."""
        return self._authorizer.as_caller

    def open_connections(self) -> int:
        """Upstream connections that are open now."""
        return sum(client.connected for client in self._opened)

    async def call(self, call: Call) -> None:
        """Have the call answered upstream; raises `RpcFault`, also the upstream's own, unchanged."""
        association = self._association(call)
        self._forget_lost(association, call)
        taken = handle_taken(call.interface.name, call.opnum, call.stub)
        if taken is not None and not association.knows(taken):
            logger.warning("%s: %s of %s with a foreign context handle", call.session, call.name, call.caller)
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, "not a context handle of this session")
        if opens_handle(call.interface.name, call.opnum) and association.size >= call.session.handle_limit:
            raise RpcFault(FaultStatus.OUT_OF_RESOURCES, f"more than {call.session.handle_limit} context handles")
        if not call.is_vouched:
            refusal = await self._authorizer.authorize(call, association.upstream)
            if refusal is not None:
                call.response = refusal
                return
        client, reply = await self._answer(association, call, taken)
        self._authorizer.learn(call, reply, client.upstream)
        call.answer(self._learn(association, call, taken, reply))
        if self.renamer is not None:
            await self.renamer.response(client, call)

    async def check(self, call: Call) -> RpcMessage | None:
        """The response that refuses a call with the relay's account to its caller; None where it may be relayed.

        Raises `RpcFault`, `DecodeError`.
        """
        return await self._authorizer.authorize(call, self._association(call).upstream)

    async def end_session(self, session: Session) -> None:
        """Close what was opened for the session."""
        self._authorizer.forget(session)
        associations = session.state.setdefault(self, Associations())
        assert isinstance(associations, Associations)
        associations.end()
        await asyncio.gather(*map(_close, associations.all_clients()))
        associations.by_space.clear()
        end_delegation(session)

    def _association(self, call: Call) -> Association:
        associations = call.session.state.get(self)
        if associations is None:
            associations = call.session.state[self] = Associations()
        assert isinstance(associations, Associations)
        if associations.ended:
            raise RpcFault(FaultStatus.CALL_FAILED, "the session is over")
        return associations.of(handle_space(call.interface.name))

    def _forget_lost(self, association: Association, call: Call) -> None:
        if association.forget_lost() and call.interface.name.endswith("emsmdb"):
            self._authorizer.forget(call.session)

    # Calls

    async def _answer(self, association: Association, call: Call, taken: bytes | None) -> tuple[UpstreamClient, bytes]:
        """Which connection answered, and with what; with the second try where a call can be repeated."""
        for again in (repeatable(call.interface.name, call.opnum), False):
            client = association.idle_client(call.interface.name) or await self._take(association, call)
            try:
                return client, await self._exchange(client, association, call, taken)
            except ConnectionLost as error:
                logger.warning("%s: %s was lost upstream: %s", call.session, call.name, error)
                if not again or association.ended or isinstance(error, NoAnswer):
                    raise RpcFault(FaultStatus.CALL_FAILED, "the server relayed to did not answer") from error
            except RpcFault as fault:
                if not again or fault.status != FaultStatus.CONTEXT_MISMATCH or not association.can_reopen(taken):
                    raise
                association.handles.pop(taken or b"", None)
        raise AssertionError("the second try returns or raises")

    async def _exchange(
        self, client: UpstreamClient, association: Association, call: Call, taken: bytes | None
    ) -> bytes:
        name = call.interface.name
        association.busy.append((name, client))
        answered = False
        try:
            handle = None if taken is None else association.handles.get(taken)
            stub = call.stub if handle == taken else await self._stub(client, association, call, taken)
            if self.renamer is not None and self.renamer.renames_in_requests(call):
                stub = await self.renamer.request(client, call, stub)
            reply = await client.call(call.opnum, stub, call.object_uuid, call_timeout=self._timeout)
            answered = True
            association.proven.add(client)
        except RpcFault as fault:
            answered = True
            raise self._judged(fault, association, call, client) from fault
        finally:
            association.busy.remove((name, client))
            if answered and client.connected and not association.ended:
                association.idle.setdefault(name, []).append(client)
            else:
                # An answer that comes too late must not be taken for the next call's.
                await _close(client)
                association.proven.discard(client)
                self._forget_lost(association, call)
        return reply

    def _judged(self, fault: RpcFault, association: Association, call: Call, client: UpstreamClient) -> RpcFault:
        """The upstream's fault, or what the client gets in its place."""
        refused = fault.status == FaultStatus.ACCESS_DENIED and client not in association.proven
        if refused and not self.as_caller:
            # How a server says that the logon failed, when the bind was long acknowledged. The client would
            # take it for its own password's fault.
            logger.warning("%s: the upstream refuses the relay's account: %s", call.session, fault)
            return RpcFault(FaultStatus.SERVER_UNAVAILABLE, "the relay's account was refused")
        logger.info("%s: the upstream answers %s with %s", call.session, call.name, fault)
        return fault

    # Connections

    async def _take(self, association: Association, call: Call) -> UpstreamClient:
        """A new connection for the call's interface."""
        name = call.interface.name
        if sum(other == name for other, _ in association.busy) >= MAXIMUM_CONNECTIONS:
            raise RpcFault(FaultStatus.SERVER_TOO_BUSY, "too many calls wait upstream")
        async with association.opening:
            return await self._open(association, call)

    async def _open(self, association: Association, call: Call) -> UpstreamClient:
        try:
            client = await self.connect(call, association.group)
        except ConnectionLost as error:
            self._metrics.upstream["failed"] += 1
            logger.warning("%s: no upstream connection for %s: %s", call.session, call.interface.name, error)
            if self.as_caller and isinstance(error, AuthenticationFailed):
                raise RpcFault(FaultStatus.SEC_PKG_ERROR, "the caller's identity can't be taken further") from error
            raise RpcFault(FaultStatus.SERVER_UNAVAILABLE, "the server relayed to can't be reached") from error
        self._metrics.upstream["opened"] += 1
        self._opened = frozenset((client, *(other for other in self._opened if other.connected)))
        if association.ended:
            await _close(client)
            raise RpcFault(FaultStatus.CALL_FAILED, "the session is over")
        association.group, association.upstream = client.assoc_group, client.upstream
        if self.renamer is not None:
            self.renamer.connected(client)
        what = (client.upstream, call.interface.name, call.caller)
        logger.info("%s: upstream connection to %s for %s of %s", call.session, *what)
        return client

    # Context handles

    async def _stub(self, client: UpstreamClient, association: Association, call: Call, taken: bytes | None) -> bytes:
        """The request with the upstream's handle in it."""
        if taken is None:
            return call.stub
        handle = association.handles.get(taken)
        if handle is None:
            handle = await self._reopen(client, association, call, taken)
        return call.stub if handle == taken else handle + call.stub[HANDLE_SIZE:]

    async def _reopen(self, client: UpstreamClient, association: Association, call: Call, taken: bytes) -> bytes:
        """Open the client's address book session again, whose association was lost; gives the new handle."""
        book = association.address_books.get(taken)
        if book is None:
            # The association was lost while the call waited for its connection.
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, "the session upstream was lost")
        reply = await client.call(NSPI_BIND, book.request, call_timeout=self._timeout)
        try:
            handle = book.reopened(reply)
        except RpcFault:
            del association.address_books[taken]
            with contextlib.suppress(RpcFault, DecodeError):
                given = handle_given(call.interface.name, NSPI_BIND, reply)
                await client.call(NSPI_UNBIND, (given or NULL_HANDLE) + bytes(4), call_timeout=self._timeout)
            raise
        association.handles[taken] = handle
        logger.info("%s: address book session of %s opened again", call.session, call.caller)
        return handle

    def _learn(self, association: Association, call: Call, taken: bytes | None, reply: bytes) -> bytes:
        """Keep the handles that the upstream gave, forget those that it ended; the reply with the client's handle."""
        name, opnum = call.interface.name, call.opnum
        try:
            given = handle_given(name, opnum, reply)
        except DecodeError as error:
            logger.warning("%s: response to %s without its context handle: %s", call.session, call.name, error)
            return reply
        if given is None:
            return reply
        if taken is not None and not makes_handle(name, opnum):
            if given == association.handles.get(taken):
                return reply if given == taken else taken + reply[HANDLE_SIZE:]
            association.forget(taken)
        if given != NULL_HANDLE:
            association.handles[given] = given
            if handle_space(name) == "exchange_nsp" and opnum == NSPI_BIND:
                association.keep(given, AddressBookSession.opened(call.stub, reply))
        return reply


async def _close(client: UpstreamClient) -> None:
    """Close a connection, but don't wait long for an upstream that reads nothing any more."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
