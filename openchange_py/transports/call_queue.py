"""The calls of one connection on their way: a queue, those who work on it, and what becomes of each call.

One after the other, as their client waits for each answer; several at a time where it negotiated concurrent
multiplexing, and takes the answers in any order (C706 12.6.3.1).

One who has nothing more to do stays and waits for the connection's next call: a task is dearer than a future.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from openchange_py.rpc.association import LOCAL_ADDRESS
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.events import RequestReceived
from openchange_py.rpc.log_context import LogFields, set_log_context
from openchange_py.rpc.representation import request_stub, response_stub
from openchange_py.rpc.security import Identity
from openchange_py.transports.tasks import in_thread_if_long, spawn
from openchange_py.wire.buffer import DecodeError

if TYPE_CHECKING:
    from openchange_py.rpc.acceptor import Acceptor
    from openchange_py.transports.tcp import TcpServer
    from openchange_py.transports.tcp_connection import ServerConnection

_log: Final = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Failure:
    """What a call is answered with that has no response."""

    status: int
    executed: bool = True


class CallQueue:
    """Takes a connection's requests, has the server answer them, and writes the answers.

    `size` is the bytes of requests that wait.
    """

    def __init__(self, connection: ServerConnection, server: TcpServer, acceptor: Acceptor, local: str) -> None:
        self.size = 0
        self._connection = connection
        self._server = server
        self._acceptor = acceptor
        self._local = local
        #: The caller of the last call, and its session: with most connections every call's.
        self._session_of: tuple[Identity, Session] | None = None
        self._queue: collections.deque[RequestReceived] = collections.deque()
        #: Those who work on a call, or are about to.
        self._workers = 0
        #: What the one waits for who has nothing to do.
        self._idle: asyncio.Future[None] | None = None
        self._dropped = False
        self._in_work: set[int] = set()
        self._orphans: set[int] = set()
        self._waiting: dict[int, asyncio.Task[bytes | _Failure]] = {}
        self._ending = False

    @property
    def working(self) -> bool:
        """A call is being handled, or its answer written."""
        return self._workers > 0

    @property
    def full(self) -> bool:
        """Nothing more should be read before the server catches up."""
        return len(self._queue) >= self._server.limits.queued_calls

    def add(self, request: RequestReceived) -> None:
        """One more request."""
        self._queue.append(request)
        self.size += len(request.stub)
        if self._workers < (self._server.limits.mixed_calls if self._acceptor.multiplexed else 1):
            self._workers += 1
            idle, self._idle = self._idle, None
            if idle is None or idle.done():
                spawn(self._work(), f"calls of {self._connection.peer}")
            else:
                idle.set_result(None)

    def orphan(self, call_id: int) -> None:
        """The client wants no answer any more: forget the call where it did not start, or its answer."""
        queued = [request for request in self._queue if request.call_id != call_id]
        if len(queued) < len(self._queue):
            self._queue = collections.deque(queued)
            self.size = sum(len(request.stub) for request in queued)
        elif call_id in self._in_work:
            self._orphans.add(call_id)
            self.cancel(call_id)

    def cancel(self, call_id: int) -> None:
        """End a call that only waits for something to happen; any other one ends by itself."""
        task = self._waiting.get(call_id)
        if task is not None:
            task.cancel()

    def cancel_waiting(self) -> None:
        """No call may wait any longer, none that comes either."""
        self._ending = True
        for task in self._waiting.values():
            task.cancel()

    def drop(self) -> None:
        """The client is gone: what did not start never will."""
        self._queue.clear()
        self.size = 0
        self._dropped = True
        self.cancel_waiting()
        if self._idle is not None:
            self._idle.cancel()

    async def _work(self) -> None:
        """Answer calls; ends where another one waits for more of them, or none will come."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._answer_queued()
            finally:
                self._workers -= 1
                self._connection.worker_done()
            if self._idle is not None or self._dropped:
                return
            self._idle = waiting = loop.create_future()
            await waiting

    async def _answer_queued(self) -> None:
        """Answer queued calls in order, until there are none."""
        while self._queue:
            request = self._queue.popleft()
            self.size -= len(request.stub)
            self._connection.read_or_wait()
            self._in_work.add(request.call_id)
            if self.full:
                await asyncio.sleep(0)  # thousands came at once, and others want to be served meanwhile
            outcome = await self._outcome(request)
            self._in_work.discard(request.call_id)
            if request.call_id in self._orphans:
                self._orphans.discard(request.call_id)
            elif not request.maybe:
                self._connection.write_answer(self._answer(request, outcome))
                if self._connection.blocked:
                    await self._connection.unblocked()
        set_log_context(self._connection)  # nothing of the last call is kept

    def _answer(self, request: RequestReceived, outcome: bytes | _Failure) -> bytes:
        """The PDUs. They are protected here, and so numbered: nothing may come between this and their writing."""
        if not isinstance(outcome, _Failure):
            try:
                return self._acceptor.send_response(request, outcome)
            except Exception:
                _log.exception("%s %s: its answer can't be sent", self._connection, _name(request))
                outcome = _Failure(FaultStatus.CALL_FAILED)
        self._server.statistics.faults += 1
        self._server.metrics.fault(outcome.status)
        return self._acceptor.send_fault(request, outcome.status, executed=outcome.executed)

    async def _outcome(self, request: RequestReceived) -> bytes | _Failure:
        """The response's stub, or why there is none, whatever happens."""
        logged = LoggedCall(self._connection, request)
        set_log_context(logged)
        metrics, started = self._server.metrics, time.perf_counter()
        try:
            call = self._call(request)
            logged.session = call.session
            if request.big_endian or request.context.ndr64:
                call.replace_stub(await in_thread_if_long(len(request.stub), request_stub, request))
            if self._server.waits(call):
                return await self._wait_for(call, request)
            reply = await self._server.handle(call)
            return await _in_its_syntax(request, reply) if request.context.ndr64 else reply
        except Exception as error:
            return self._failure(request, error)
        finally:
            metrics.call(request.context.interface, request.opnum, time.perf_counter() - started)

    def _call(self, request: RequestReceived) -> Call:
        server, interface = self._server, request.context.interface
        if request.caller.level < server.minimum_level(interface):
            raise RpcFault(FaultStatus.ACCESS_DENIED, f"level {request.caller.level.name} is too low")
        server.statistics.calls += 1
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s, %d bytes", self._connection, _name(request), len(request.stub))
        session = self._session(request)
        caller, object_uuid = request.caller, request.object_uuid
        return Call(interface, request.opnum, request.stub, session, caller, request.call_id, object_uuid)

    def _session(self, request: RequestReceived) -> Session:
        if self._session_of is not None and self._session_of[0] is request.caller:
            return self._session_of[1]
        group = self._acceptor.group
        assert group is not None
        session = group.session(request.caller)
        session.state.setdefault(LOCAL_ADDRESS, self._local)
        self._session_of = request.caller, session
        return session

    async def _wait_for(self, call: Call, request: RequestReceived) -> bytes | _Failure:
        """Handle a call that waits for something to happen, and that its client may cancel."""
        if call.call_id in self._waiting:
            raise RpcFault(FaultStatus.PROTOCOL_ERROR, "the id of a call that is not answered yet")
        if self._ending:
            return _Failure(FaultStatus.CANCELLED)
        task = self._waiting[call.call_id] = spawn(self._handled(call, request), _name(request))
        try:
            outcome: bytes | _Failure = await task
            return outcome
        except asyncio.CancelledError:
            if not task.cancelled():
                task.cancel()
                raise
            _log.info("%s %s was cancelled", self._connection, _name(request))
            return _Failure(FaultStatus.CANCELLED)
        finally:
            del self._waiting[call.call_id]

    async def _handled(self, call: Call, request: RequestReceived) -> bytes | _Failure:
        try:
            return await _in_its_syntax(request, await self._server.handle(call))
        except Exception as error:
            return self._failure(request, error)

    def _failure(self, request: RequestReceived, error: Exception) -> _Failure:
        """What an exception is told as, logged here."""
        if isinstance(error, RpcFault):
            _log.info("%s %s: %s", self._connection, _name(request), error)
            return _Failure(error.status, error.status not in _NOT_EXECUTED)
        if isinstance(error, DecodeError):
            _log.warning("%s %s: bad stub: %s", self._connection, _name(request), error)
            return _Failure(FaultStatus.BAD_STUB_DATA, executed=False)
        _log.error("%s %s failed", self._connection, _name(request), exc_info=error)
        return _Failure(FaultStatus.CALL_FAILED)


async def _in_its_syntax(request: RequestReceived, reply: bytes) -> bytes:
    return await in_thread_if_long(len(reply), response_stub, request, reply)


def _name(request: RequestReceived) -> str:
    interface = request.context.interface
    return f"call {request.call_id} {interface.name}.{interface.method_name(request.opnum)}"


class LoggedCall:
    """What is logged while a call is handled is about that call."""

    __slots__ = ("_connection", "_request", "session")

    def __init__(self, connection: ServerConnection, request: RequestReceived) -> None:
        self._connection = connection
        self._request = request
        #: None before it is known.
        self.session: Session | None = None

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`."""
        interface, opnum = self._request.context.interface, self._request.opnum
        fields = self._connection.log_fields() | {"account": str(self._request.caller)}
        if self.session is not None:
            fields["session"] = self.session.number
        return fields | {
            "interface": interface.name,
            "call": interface.method_name(opnum),
            "call_id": self._request.call_id,
        }


_NOT_EXECUTED: Final[frozenset[Any]] = frozenset(
    {FaultStatus.OP_RANGE_ERROR, FaultStatus.UNKNOWN_INTERFACE, FaultStatus.SERVER_TOO_BUSY}
)
