"""One client's TCP connection: an `Acceptor` with a socket, a queue of calls, timers and back-pressure."""

from __future__ import annotations

import asyncio
import collections
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from openchange_py.rpc.acceptor import Acceptor
from openchange_py.rpc.association import LOCAL_ADDRESS
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.connection import State
from openchange_py.rpc.events import (
    AuthTokenReceived,
    CallCancelled,
    CallOrphaned,
    ConnectionEnded,
    Event,
    Opened,
    RequestReceived,
)
from openchange_py.rpc.security import AuthLevel, Identity, SecurityError
from openchange_py.transports.tasks import spawn
from openchange_py.wire.buffer import DecodeError

if TYPE_CHECKING:
    from openchange_py.transports.tcp import TcpServer

_log: Final = logging.getLogger(__name__)


class ServerConnection(asyncio.Protocol):
    """Feeds the acceptor, handles its calls one after the other, and writes what comes of them."""

    def __init__(self, server: TcpServer, number: int) -> None:
        self.number = number
        self.peer = "?"
        self._server = server
        self._acceptor: Acceptor
        self._transport: asyncio.Transport | None = None
        self._local = ""
        #: The caller of the last call, and its session: with most connections every call's.
        self._session_of: tuple[Identity, Session] | None = None
        self._queue: collections.deque[RequestReceived] = collections.deque()
        self._working = False
        #: What answers the calls, while the one in hand only waits for something to happen.
        self._waiting: asyncio.Task[Any] | None = None
        self._stepping = False
        self._orphans: set[int] = set()
        self._draining = False
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._lost = False
        self._released = False

    @property
    def is_strangers(self) -> bool:
        """Nobody authenticated on it, and it is not being closed yet."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._acceptor.caller.is_anonymous

    def __str__(self) -> str:
        caller = self._acceptor.caller if self._transport is not None else ""
        return f"[{self.number} {self.peer} {caller}]"

    # The socket's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._server
        # uvloop's transports follow asyncio.Transport without being one.
        self._transport = transport = cast("asyncio.Transport", transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.peer = f"{peer[0]}:{peer[1]}" if peer else "?"
        self._local = str(local[0]) if local else ""
        self._acceptor = Acceptor(
            server.interfaces,
            server.groups,
            server.authenticator,
            peer=self.peer,
            endpoint=server.endpoint,
            call_limit=server.limits.call_size,
        )
        if not server.admit(self):
            self._released = True  # it never was counted
            transport.abort()
            return
        self._last = asyncio.get_running_loop().time()
        self._set_timer(server.limits.handshake_seconds)
        _log.debug("%s connected", self)

    def data_received(self, data: bytes) -> None:
        self._server.statistics.packets_in += 1
        if self._draining:
            return
        if self._acceptor.state is State.OPEN:
            self._last = asyncio.get_running_loop().time()
        self._take(self._acceptor.receive_data(data))

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()
        self._read_or_wait()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self._read_or_wait()

    def eof_received(self) -> bool:
        """A client may close its sending side and still want its answers."""
        self._tell_unfinished()
        self.drain()
        self._stop_waiting()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._released:
            return
        self._tell_unfinished()
        _log.debug("%s disconnected%s", self, f": {exc}" if exc else "")
        self._draining = self._lost = True
        self._queue.clear()
        self.resume_writing()
        if self._timer is not None:
            self._timer.cancel()
        self._stop_waiting()
        self._release_when_done()

    def _tell_unfinished(self) -> None:
        if not self._draining and (unfinished := self._acceptor.unfinished):
            _log.warning("%s ended: the client left %s", self, unfinished)

    def _stop_waiting(self) -> None:
        """The client is gone: nobody hears of what happens then."""
        if self._waiting is not None:
            self._waiting.cancel()

    # What the acceptor tells

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived):
                self._enqueue(event)
            elif isinstance(event, AuthTokenReceived):
                self._stepping = True
                self._read_or_wait()
                spawn(self._step(event), f"authentication of {self.peer}")
            elif isinstance(event, Opened):
                self._last = asyncio.get_running_loop().time()
                self._set_timer(0.0)
                _log.info("%s opened, level %s", self, AuthLevel(event.identity.level).name)
            elif isinstance(event, CallOrphaned):
                self._orphan(event.call_id)
            elif isinstance(event, CallCancelled):
                _log.debug("%s asks to cancel call %d", self, event.call_id)
            elif isinstance(event, ConnectionEnded):
                _log.warning("%s ended: %s", self, event.reason)
                self._flush()
                self.drain()
                return
        self._flush()

    def _flush(self) -> None:
        data = self._acceptor.data_to_send()
        if data and self._transport is not None:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._server.statistics.packets_out += 1
            self._transport.write(data)

    async def _step(self, event: AuthTokenReceived) -> None:
        outcome: bytes | SecurityError
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(None, event.context.step, event.token)
        except SecurityError as error:
            _log.warning("%s authentication failed: %s", self, error)
            outcome = error
        except Exception as error:
            _log.exception("%s authentication failed", self)
            outcome = SecurityError(repr(error))
        self._stepping = False
        if not self._lost:
            self._read_or_wait()
            self._take(self._acceptor.auth_result(outcome))
        if self._draining and not self._working:
            self._close()
        self._release_when_done()

    # Calls

    def _enqueue(self, request: RequestReceived) -> None:
        self._queue.append(request)
        self._read_or_wait()
        if not self._working:
            self._working = True
            spawn(self._work(), f"calls of {self.peer}")

    async def _work(self) -> None:
        """Answer the queued calls in order; ends when there are none."""
        try:
            while self._queue:
                request = self._queue.popleft()
                self._read_or_wait()
                if len(self._queue) >= self._server.limits.queued_calls:
                    await asyncio.sleep(0)  # thousands came at once, and others want to be served meanwhile
                answer = await self._answer(request)
                if request.call_id in self._orphans:
                    self._orphans.discard(request.call_id)
                else:
                    self._write(answer)
                    if self._writable is not None:
                        await self._drained(self._writable)
                self._last = asyncio.get_running_loop().time()
        finally:
            self._working = False
            if self._draining:
                self._close()
            self._release_when_done()

    async def _answer(self, request: RequestReceived) -> bytes:
        """The response's or fault's bytes, whatever happens."""
        try:
            return self._acceptor.send_response(request, await self._handle(request))
        except RpcFault as fault:
            _log.info("%s %s: %s", self, self._name(request), fault)
            status, executed = fault.status, fault.status not in _NOT_EXECUTED
        except DecodeError as error:
            _log.warning("%s %s: bad stub: %s", self, self._name(request), error)
            status, executed = FaultStatus.BAD_STUB_DATA, False
        except Exception:
            _log.exception("%s %s failed", self, self._name(request))
            status, executed = FaultStatus.CALL_FAILED, True
        self._server.statistics.faults += 1
        return self._acceptor.send_fault(request, status, executed=executed)

    async def _handle(self, request: RequestReceived) -> bytes:
        server, interface = self._server, request.context.interface
        if request.caller.level < server.minimum_level(interface):
            raise RpcFault(FaultStatus.ACCESS_DENIED, f"level {request.caller.level.name} is too low")
        session = self._session(request)
        call = Call(
            interface, request.opnum, request.stub, session, request.caller, request.call_id, request.object_uuid
        )
        server.statistics.calls += 1
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s, %d bytes", self, self._name(request), len(request.stub))
        if server.waits(call):
            self._waiting = asyncio.current_task()
            try:
                return await server.handle(call)
            finally:
                self._waiting = None
        async with session.lock:
            return await server.handle(call)

    def _session(self, request: RequestReceived) -> Session:
        if self._session_of is not None and self._session_of[0] is request.caller:
            return self._session_of[1]
        group = self._acceptor.group
        assert group is not None
        session = group.session(request.caller)
        session.state.setdefault(LOCAL_ADDRESS, self._local)
        self._session_of = request.caller, session
        return session

    def _orphan(self, call_id: int) -> None:
        queued = [request for request in self._queue if request.call_id != call_id]
        if len(queued) < len(self._queue):
            self._queue = collections.deque(queued)
        elif self._working:
            self._orphans = {call_id}

    async def _drained(self, writable: asyncio.Future[None]) -> None:
        try:
            await asyncio.wait_for(writable, self._server.limits.write_seconds)
        except TimeoutError:
            _log.warning("%s does not read its answers", self)
            self.abort()

    @staticmethod
    def _name(request: RequestReceived) -> str:
        interface = request.context.interface
        return f"call {request.call_id} {interface.name}.{interface.method_name(request.opnum)}"

    # Reading, time and the end

    def _read_or_wait(self) -> None:
        """Read on only where a client can't fill our memory: with requests, behind a token, or with unread answers."""
        on = not self._stepping and self._writable is None and len(self._queue) < self._server.limits.queued_calls
        if on is self._reading or self._transport is None or self._transport.is_closing():
            return
        self._reading = on
        (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(seconds, 0.001), self._check_time)

    def _check_time(self) -> None:
        """Close a connection that said nothing for too long; else look again when that can be the case."""
        limits, opened = self._server.limits, self._acceptor.state is State.OPEN
        if not opened:
            allowed = limits.handshake_seconds
        elif self._acceptor.caller.is_anonymous:
            allowed = limits.anonymous_idle_seconds
        else:
            allowed = limits.idle_seconds
        left = self._last + allowed - asyncio.get_running_loop().time()
        if self._working or left > 0:
            self._set_timer(left if left > 0 else allowed)
            return
        _log.warning("%s closed after %.0f s of %s", self, allowed, "silence" if opened else "handshake")
        self.abort()

    def drain(self) -> None:
        """Take no more requests; close when the queued ones are answered."""
        self._draining = True
        if not self._working and not self._stepping:
            self._close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            # A peer that does not read what is still unsent must not keep the connection open.
            self._set_close_timer()

    def _set_close_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._server.limits.write_seconds, self.abort)

    def _release_when_done(self) -> None:
        """The connection is gone and its last call finished: leave the group, which may end sessions."""
        if self._released or self._working or self._stepping or not self._lost:
            return
        self._released = True
        group, self._acceptor.group = self._acceptor.group, None
        ended = self._server.groups.leave(group) if group is not None else []
        if ended:
            spawn(self._end_sessions(ended), f"end of sessions of {self.peer}")
        else:
            self._server.release(self)

    async def _end_sessions(self, sessions: list[Session]) -> None:
        for session in sessions:
            await self._server.end(session)
        self._server.release(self)


_NOT_EXECUTED: Final[frozenset[Any]] = frozenset(
    {FaultStatus.OP_RANGE_ERROR, FaultStatus.UNKNOWN_INTERFACE, FaultStatus.SERVER_TOO_BUSY}
)
