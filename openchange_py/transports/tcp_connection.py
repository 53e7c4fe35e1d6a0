"""One client's TCP connection: an `Acceptor` with a socket, a queue of calls, timers and back-pressure.

`call_queue.py` is what becomes of the calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from openchange_py.rpc.acceptor import Acceptor
from openchange_py.rpc.call import Session
from openchange_py.rpc.connection import State
from openchange_py.rpc.events import (
    AuthTokenReceived,
    CallCancelled,
    CallOrphaned,
    ConnectionEnded,
    Event,
    GroupElsewhere,
    Opened,
    RequestReceived,
)
from openchange_py.rpc.log_context import LogFields, set_log_context
from openchange_py.rpc.peers import network_of, peer_name
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, AuthType, SecurityContext, SecurityError
from openchange_py.transports.call_queue import CallQueue
from openchange_py.transports.keepalive import keep_alive
from openchange_py.transports.steps import stepped
from openchange_py.transports.tasks import spawn

if TYPE_CHECKING:
    from openchange_py.transports.tcp import TcpServer

_log: Final = logging.getLogger(__name__)

#: A connection that holds no more than this is not to blame for the server's memory: an ordinary call or two.
_SMALL: Final = 64 * 1024


class ServerConnection(asyncio.Protocol):
    """Feeds the acceptor, has its calls handled, and writes what comes of them.

    `begun` came already where another process accepted the connection, and `extra` tells of the client what the socket
    does not.
    """

    def __init__(
        self, server: TcpServer, number: int, *, begun: bytes = b"", extra: Mapping[str, Any] | None = None
    ) -> None:
        self.number = number
        self.peer = "?"
        #: What connections are counted by: the client's, without its port.
        self.address = ""
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._acceptor: Acceptor
        self._transport: asyncio.Transport | None = None
        self._calls: CallQueue
        #: Bytes of unfinished calls, as the server was told.
        self._held = 0
        self._stepping = False
        self._draining = False
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._lost = False
        self._released = False
        self._extra = extra or {}
        #: What came before anything was answered, kept where another process may have to be told all of it.
        self._begun: bytes | None = None if server.colleagues is None else begun
        self._first = begun

    @property
    def is_strangers(self) -> bool:
        """Nobody authenticated on it or is about to, and it is not being closed yet."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._stepping:
            return False
        return self._acceptor.security.anonymous

    def __str__(self) -> str:
        caller = self._acceptor.caller if self._transport is not None else ""
        return f"[{self.number} {self.peer} {caller}]"

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`."""
        fields: LogFields = {"connection": self.number, "transport": self._server.transport, "peer": self.peer}
        if self._transport is not None:
            fields["account"] = str(self._acceptor.caller)
        return fields

    # The socket's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._server
        # uvloop's transports follow asyncio.Transport without being one.
        self._transport = transport = cast("asyncio.Transport", transport)
        peer, local = self._told(transport, "peername"), self._told(transport, "sockname")
        self.peer = peer_name(str(peer[0]), peer[1]) if peer else "?"
        self.address = network_of(str(peer[0])) if peer else ""
        self._acceptor = Acceptor(
            server.interfaces,
            server.groups,
            server.authenticator,
            peer=self.peer,
            endpoint=server.endpoint,
            call_limit=server.limits.call_size,
            anonymous_call_limit=server.limits.anonymous_call_size,
            context_limit=server.limits.presentation_contexts,
            security_limit=server.limits.security_contexts,
            transport_caller=self._told(transport, "caller") or ANONYMOUS,
        )
        self._calls = CallQueue(self, server, self._acceptor, str(local[0]) if local else "")
        if not server.admit(self):
            self._released = True  # it never was counted
            transport.abort()
            return
        keep_alive(transport)
        self._last = self._loop.time()
        self._set_timer(server.limits.handshake_seconds)
        _log.debug("%s connected", self)
        first, self._first = self._first, b""
        if first:
            self._take(self._acceptor.receive_data(first))
            self._account()

    def _told(self, transport: asyncio.BaseTransport, name: str) -> Any:
        return self._extra[name] if name in self._extra else transport.get_extra_info(name)

    def data_received(self, data: bytes) -> None:
        self._server.statistics.packets_in += 1
        self._server.metrics.bytes_received += len(data)
        if self._draining:
            return
        if self._begun is not None:
            self._begun = self._begun + data if self._acceptor.state is State.IDLE else None
        self._take(self._acceptor.receive_data(data))
        self._account()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()
        self.read_or_wait()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self.read_or_wait()

    def eof_received(self) -> bool:
        """A client may close its sending side and still want its answers."""
        self._tell_unfinished()
        self.drain()
        self._calls.cancel_waiting()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._released:
            return
        self._tell_unfinished()
        _log.debug("%s disconnected%s", self, f": {exc}" if exc else "")
        self._draining = self._lost = True
        self._calls.drop()
        self._acceptor.calls.clear()
        self._account()
        self.resume_writing()
        if self._timer is not None:
            self._timer.cancel()
        self._release_when_done()

    def _tell_unfinished(self) -> None:
        if not self._draining and (unfinished := self._acceptor.unfinished):
            _log.warning("%s ended: the client left %s", self, unfinished)

    # What the acceptor tells

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived):
                # Only whole calls count: who sends a byte now and then does not keep a connection for ever.
                self._last = self._loop.time()
                self._calls.add(event)
                self.read_or_wait()
            elif isinstance(event, AuthTokenReceived):
                self._stepping = True
                self.read_or_wait()
                spawn(self._step(event), f"authentication of {self.peer}")
            elif isinstance(event, Opened):
                self._last = self._loop.time()
                self._set_timer(0.0)
                _log.info("%s opened, level %s", self, AuthLevel(event.identity.level).name)
            elif isinstance(event, CallOrphaned):
                self._calls.orphan(event.call_id)
            elif isinstance(event, CallCancelled):
                _log.debug("%s asks to cancel call %d", self, event.call_id)
                self._calls.cancel(event.call_id)
            elif isinstance(event, GroupElsewhere):
                self._pass_on(event.process)
                return
            elif isinstance(event, ConnectionEnded):
                _log.warning("%s ended: %s", self, event.reason)
                self._flush()
                self.drain()
                return
        self._flush()

    def _pass_on(self, process: int) -> None:
        """The client's group is another process', and so is the connection from now on."""
        _log.debug("%s goes to worker %d", self, process)
        self._draining = True
        assert self._transport is not None
        self._transport.pause_reading()
        self._server.pass_on(process, self._begun or b"", self._transport)

    def _flush(self) -> None:
        data = self._acceptor.data_to_send()
        if data and self._transport is not None:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._server.statistics.packets_out += 1
            self._server.metrics.bytes_sent += len(data)
            self._transport.write(data)

    async def _step(self, event: AuthTokenReceived) -> None:
        outcome: bytes | SecurityError
        set_log_context(self)
        try:
            outcome = await stepped(event.context, event.token)
        except SecurityError as error:
            _log.warning("%s authentication failed: %s", self, error)
            outcome = error
        except Exception as error:
            _log.exception("%s authentication failed", self)
            outcome = SecurityError(repr(error))
        self._stepping = False
        self._count_authentication(event.context, outcome)
        if not self._lost:
            self.read_or_wait()
            self._take(self._acceptor.auth_result(outcome))
        if self._draining and not self._calls.working:
            self._close()
        self._release_when_done()

    def _count_authentication(self, context: SecurityContext, outcome: bytes | SecurityError) -> None:
        failed = isinstance(outcome, SecurityError)
        if failed or context.complete:
            key = AuthType(context.auth_type).name.lower(), "failure" if failed else "success"
            self._server.metrics.authentications[key] += 1

    # What the queue of calls asks for

    def write_answer(self, data: bytes) -> None:
        """Write a call's answer."""
        self._write(data)
        self._last = self._loop.time()

    @property
    def blocked(self) -> bool:
        """The client does not read."""
        return self._writable is not None

    async def unblocked(self) -> None:
        """Wait until the client reads again, or is cut off."""
        if self._writable is not None:
            await self._drained(self._writable)
        self._last = self._loop.time()

    def worker_done(self) -> None:
        """A call ended: close where that was waited for."""
        self._account()
        if self._draining and not self._calls.working:
            self._close()
        self._release_when_done()

    async def _drained(self, writable: asyncio.Future[None]) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(writable), self._server.limits.write_seconds)
        except TimeoutError:
            _log.warning("%s does not read its answers", self)
            self.abort()

    def _account(self) -> None:
        """Tell the server how many bytes of unfinished calls are held here; too many end the connection."""
        held = self._acceptor.calls.size + self._calls.size
        if held != self._held:
            server = self._server
            server.held += held - self._held
            self._held = held
            if held > _SMALL and server.held > server.limits.held_size:
                _log.warning("%s ended: it has %d of the %d bytes that all clients may have", self, held, server.held)
                server.metrics.refused["memory"] += 1
                self.abort()

    # Reading, time and the end

    def read_or_wait(self) -> None:
        """Read on only where a client can't fill our memory: with requests, behind a token, or with unread answers."""
        on = not self._stepping and self._writable is None and not self._calls.full
        if on is self._reading or self._transport is None or self._transport.is_closing():
            return
        self._reading = on
        (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(seconds, 0.001), self._check_time)

    def _check_time(self) -> None:
        """Close a connection without a call for too long; else look again when that can be the case."""
        limits, opened = self._server.limits, self._acceptor.state is State.OPEN
        if not opened:
            allowed = limits.handshake_seconds
        elif self._acceptor.security.anonymous:
            allowed = limits.anonymous_idle_seconds
        else:
            allowed = limits.idle_seconds
        left = self._last + allowed - self._loop.time()
        if self._calls.working or left > 0:
            self._set_timer(left if left > 0 else allowed)
            return
        _log.warning("%s closed after %.0f s of %s", self, allowed, "silence" if opened else "handshake")
        self.abort()

    def drain(self) -> None:
        """Take no more requests; close when the queued ones are answered."""
        self._draining = True
        if not self._calls.working and not self._stepping:
            self._close()

    def shut_down(self) -> None:
        """The server stops: as `drain`, calls that only wait are ended, and an idle client is told."""
        if self._transport is not None and self._acceptor.state is State.OPEN:
            self._calls.cancel_waiting()
            if not self._calls.working:
                self._write(self._acceptor.send_shutdown())
        self.drain()

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
        self._timer = self._loop.call_later(self._server.limits.write_seconds, self.abort)

    def _release_when_done(self) -> None:
        """The connection is gone and its last call finished: leave the group, which may end sessions."""
        if self._released or self._calls.working or self._stepping or not self._lost:
            return
        self._released = True
        self._acceptor.security.close()
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
