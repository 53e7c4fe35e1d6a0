"""The TCP client: one connection toward a server, for the relay and for `ocpy client`."""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, Self, cast

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.connection import DEFAULT_CALL_LIMIT
from openchange_py.rpc.events import (
    AuthTokenReceived,
    BindCompleted,
    BindRejected,
    ConnectionEnded,
    Event,
    FaultReceived,
    ResponseReceived,
)
from openchange_py.rpc.initiator import Initiator
from openchange_py.rpc.peers import peer_name
from openchange_py.rpc.representation import PLAIN, StubFormat
from openchange_py.rpc.security import AuthLevel, SecurityContext, SecurityError
from openchange_py.transports.keepalive import keep_alive
from openchange_py.transports.steps import stepped
from openchange_py.transports.tasks import in_thread_if_long, spawn
from openchange_py.wire.ndr import NDR20, RpcInterface, SyntaxId
from openchange_py.wire.pdu import BindNakReason, ContextResult, PresentationResult, ProviderReason
from openchange_py.wire.syntax import NDR64

_log: Final = logging.getLogger(__name__)


class ConnectionLost(ConnectionError):
    """The connection to the server ended, or never came to be; a call in flight may have been executed or not."""


class BindError(ConnectionLost):
    """The server refused the bind, an interface, or the credentials."""


class AuthenticationFailed(BindError):
    """Client and server could not authenticate each other."""


class NoAnswer(ConnectionLost):
    """The call took too long."""


class RpcClient(asyncio.Protocol):
    """A bound connection. Calls are made one after the other, in the order in which they were asked for.

        client = await RpcClient.connect("127.0.0.1", port, EMSMDB, context=context, level=AuthLevel.PRIVACY)
        stub = await client.call(11, request.pack())
        await client.close()

    Stubs are NDR 2.0, whatever the connection speaks. `assoc_group` and `peer` tell what the server gave and where
    it is.
    """

    def __init__(self, initiator: Initiator, *, call_timeout: float | None = None, stubs: StubFormat = PLAIN) -> None:
        self._initiator = initiator
        self._call_timeout = call_timeout
        self._stubs = None if stubs == PLAIN else stubs
        #: Of the last response.
        self._big_endian = False
        self._transport: asyncio.Transport | None = None
        self._contexts: dict[SyntaxId, int] = {}
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[bytes | tuple[PresentationResult, ...]] | None = None
        self._lost: ConnectionLost | None = None
        self._gone = asyncio.Event()
        #: When the call in flight must be answered, on the loop's clock; None while there is none.
        self._deadline: float | None = None
        self._seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.peer = "?"
        #: What its owner knows the server by.
        self.upstream = ""
        #: What the server calls itself, where its authentication tells, and its address.
        self.server_names: tuple[str, ...] = ()

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        interface: RpcInterface | SyntaxId,
        *,
        context: SecurityContext | None = None,
        level: AuthLevel = AuthLevel.NONE,
        assoc_group: int = 0,
        connect_timeout: float = 30.0,
        call_timeout: float | None = None,
        call_limit: int = DEFAULT_CALL_LIMIT,
        local_address: str | None = None,
        stubs: StubFormat = PLAIN,
    ) -> Self:
        """Connect, from `local_address` where one is given, authenticate and bind `interface`.

        `context` (an initiator) is needed where `level` is above NONE. `connect_timeout` is for all of that,
        `call_timeout` the default for a call; both in seconds. Raises `ConnectionLost`, of which `BindError` where the
        server answered and refused. `stubs` other than plain: only calls of declared interfaces that have both codecs
        can be made then.
        """
        local_addr = None if local_address is None else (local_address, 0)

        async def reach(client: asyncio.Protocol) -> None:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: client, host, port, local_addr=local_addr)

        return await cls.over(
            reach,
            f"{host}:{port}",
            interface,
            context=context,
            level=level,
            assoc_group=assoc_group,
            connect_timeout=connect_timeout,
            call_timeout=call_timeout,
            call_limit=call_limit,
            stubs=stubs,
        )

    @classmethod
    async def over(
        cls,
        reach: Callable[[asyncio.Protocol], Awaitable[None]],
        where: str,
        interface: RpcInterface | SyntaxId,
        *,
        context: SecurityContext | None = None,
        level: AuthLevel = AuthLevel.NONE,
        assoc_group: int = 0,
        connect_timeout: float = 30.0,
        call_timeout: float | None = None,
        call_limit: int = DEFAULT_CALL_LIMIT,
        stubs: StubFormat = PLAIN,
    ) -> Self:
        """As `connect`, over what `reach` makes the client's transport: `connection_made` is called before it returns.

        `where` is what errors call the place.
        """
        if (context is None) is not (level == AuthLevel.NONE):
            raise ValueError("a security context and a level above NONE belong together")
        initiator = Initiator(
            context,
            level,
            assoc_group=assoc_group,
            transfer_syntax=NDR64 if stubs.ndr64 else NDR20,
            big_endian=stubs.big_endian,
            call_limit=call_limit,
        )
        client = cls(initiator, call_timeout=call_timeout, stubs=stubs)
        try:
            async with asyncio.timeout(connect_timeout):
                await reach(client)
                await client._bind(interface, context)
            client.server_names = (*getattr(context, "server_names", ()), client.peer.rpartition(":")[0])
        except TimeoutError:
            client._abort(f"{where} did not answer within {connect_timeout:g} s")
            raise client._loss() from None
        except ConnectionLost:
            client._abort("bind failed")
            raise
        except OSError as error:
            raise ConnectionLost(f"{where}: {error}") from error
        except BaseException:
            client._abort("connecting was given up")
            raise
        return client

    @property
    def assoc_group(self) -> int:
        """The association group that the server put this connection into."""
        return self._initiator.assoc_group

    @property
    def connected(self) -> bool:
        """Calls can be made."""
        return self._lost is None and self._transport is not None

    async def call(
        self,
        opnum: int,
        stub: bytes,
        object_uuid: uuid.UUID | None = None,
        *,
        interface: RpcInterface | SyntaxId | None = None,
        call_timeout: float | None = None,
    ) -> bytes:
        """The response stub. Raises `RpcFault` for a fault, `ConnectionLost` where the connection ends before.

        `interface` other than the one connected with is negotiated with its first call. A call that takes longer
        than `call_timeout`, or is cancelled, takes the connection with it: its answer could come any time later.
        """
        await self._turn.acquire()
        try:
            self._limit(call_timeout or self._call_timeout)
            context_id = 0 if interface is None else await self._context_id(interface)
            if self._stubs is not None:
                stub = await self._made_anew(len(stub), context_id, self._stubs.request, opnum, stub)
            self._check()
            answer = await self._answered(self._initiator.send_request(context_id, opnum, stub, object_uuid)[1])
            assert isinstance(answer, bytes)
            if self._stubs is None and not self._big_endian:
                return answer
            response = functools.partial((self._stubs or PLAIN).response, big_endian=self._big_endian)
            return await self._made_anew(len(answer), context_id, response, opnum, answer)
        except asyncio.CancelledError:
            self._abort("a call was cancelled")
            raise
        finally:
            self._deadline = None
            self._turn.release()

    @property
    def waiting(self) -> float:
        """Seconds that the call in flight has waited for its answer; 0 without one, or where it has no limit."""
        if self._deadline is None:
            return 0.0
        return asyncio.get_running_loop().time() - (self._deadline - self._seconds)

    def abort(self, reason: str) -> None:
        """Give the connection up at once; a call in flight raises `ConnectionLost`."""
        self._abort(reason)

    async def alter_context(self, interface: RpcInterface | SyntaxId) -> None:
        """Negotiate one more interface; `BindError` where the server does not offer it."""
        async with self._turn:
            await self._context_id(interface)

    async def close(self) -> None:
        """Close the connection; a call in flight fails. Whoever loses patience cuts it off, unsent bytes and all."""
        if self._transport is None:
            return
        self._lost = self._lost or ConnectionLost(f"{self.peer}: closed here")
        self._transport.close()
        try:
            await self._gone.wait()
        except asyncio.CancelledError:
            self._transport.abort()
            raise

    # Exchanges: one at a time

    async def _bind(self, interface: RpcInterface | SyntaxId, context: SecurityContext | None) -> None:
        syntax, token = _syntax(interface), b""
        if context is not None:
            try:
                token = await stepped(context, b"")
            except SecurityError as error:
                raise AuthenticationFailed(f"{self.peer}: authentication failed: {error}") from error
        self._accept(syntax, 0, await self._answered(self._initiator.send_bind([syntax], token)))

    async def _context_id(self, interface: RpcInterface | SyntaxId) -> int:
        syntax = _syntax(interface)
        known = self._contexts.get(syntax)
        if known is None:
            self._check()
            known = len(self._contexts)
            self._accept(syntax, known, await self._answered(self._initiator.send_alter_context(syntax, known)))
        return known

    def _accept(self, syntax: SyntaxId, context_id: int, results: bytes | tuple[PresentationResult, ...]) -> None:
        assert not isinstance(results, bytes)
        result = results[0]
        if result.result != ContextResult.ACCEPTANCE:
            reason = {int(r): r.name for r in ProviderReason}.get(result.reason, str(result.reason))
            raise BindError(f"{self.peer}: interface {syntax} was not accepted: {reason}")
        self._contexts[syntax] = context_id

    async def _made_anew(
        self, size: int, context_id: int, convert: Callable[[RpcInterface, int, bytes], bytes], opnum: int, stub: bytes
    ) -> bytes:
        bound = next(syntax for syntax, number in self._contexts.items() if number == context_id)
        interface = RpcInterface.known.get(bound.uuid)
        if interface is None:
            raise RpcFault(FaultStatus.CANNOT_SUPPORT, f"the calls of {bound} in another representation than ours")
        return await in_thread_if_long(size, convert, interface, opnum, stub)

    async def _answered(self, data: bytes) -> bytes | tuple[PresentationResult, ...]:
        self._check()
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(data)
            if not self._writable.is_set():
                await self._writable.wait()
            return await self._answer
        finally:
            self._answer = None

    def _limit(self, seconds: float | None) -> None:
        """The call that begins now may take so long.

        A timer per call would cost more than the rest of it: one that is set already is left, and looks again when
        it is due.
        """
        if seconds is None:
            return
        loop = asyncio.get_running_loop()
        self._seconds, self._deadline = seconds, loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = loop.call_at(self._deadline, self._check_time)

    def _check_time(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        loop = asyncio.get_running_loop()
        if self._deadline <= loop.time():
            self._fail(NoAnswer(f"{self.peer}: no answer within {self._seconds:g} s"))
            self._abort("no answer")
        else:
            self._timer = loop.call_at(self._deadline, self._check_time)

    def _check(self) -> None:
        if self._lost is not None or self._transport is None:
            raise self._loss()

    def _loss(self) -> ConnectionLost:
        known = self._lost
        return type(known)(str(known)) if known is not None else ConnectionLost(f"{self.peer}: not connected")

    # The socket's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports follow asyncio.Transport without being one.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer_name(str(peer[0]), peer[1]) if peer else "?"
        keep_alive(transport)

    def data_received(self, data: bytes) -> None:
        self._take(self._initiator.receive_data(data))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionLost(f"{self.peer}: connection lost{f': {exc}' if exc else ''}"))
        self._writable.set()
        self._gone.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, ResponseReceived):
                self._big_endian = event.big_endian
                self._resolve(event.stub)
            elif isinstance(event, FaultReceived):
                self._reject(RpcFault(event.status, f"from {self.peer}"))
            elif isinstance(event, BindCompleted):
                self._resolve(event.results)
            elif isinstance(event, AuthTokenReceived):
                spawn(self._step(event), f"authentication at {self.peer}")
            elif isinstance(event, BindRejected):
                name = {int(r): r.name for r in BindNakReason}.get(event.reason, str(event.reason))
                self._fail(BindError(f"{self.peer}: bind refused: {name}"))
            elif isinstance(event, ConnectionEnded):
                self._abort(event.reason)
        data = self._initiator.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)

    async def _step(self, event: AuthTokenReceived) -> None:
        outcome: bytes | SecurityError
        try:
            outcome = await stepped(event.context, event.token)
        except SecurityError as error:
            outcome = error
        except Exception as error:
            _log.exception("%s: authentication failed", self.peer)
            outcome = SecurityError(repr(error))
        if self._lost is not None:
            return
        if isinstance(outcome, SecurityError):
            self._fail(AuthenticationFailed(f"{self.peer}: authentication failed: {outcome}"))
        self._take(self._initiator.auth_result(outcome))

    def _resolve(self, answer: bytes | tuple[PresentationResult, ...]) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _reject(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _fail(self, error: ConnectionLost) -> None:
        self._lost = self._lost or error
        self._reject(self._loss())

    def _abort(self, reason: str) -> None:
        self._fail(ConnectionLost(f"{self.peer}: {reason}"))
        if self._transport is not None:
            self._transport.abort()


def _syntax(interface: RpcInterface | SyntaxId) -> SyntaxId:
    return interface.syntax if isinstance(interface, RpcInterface) else interface
