"""The dispatcher: every call goes through the modules to a local server or to the relay.

Calls of one session are handled one at a time, in the order in which they came, save those of
`exchange_async_emsmdb`, which wait for events while the session's other calls go on. A local server handles
a whole call in a worker thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeAlias, runtime_checkable

from openchange_py.auth.standing import Standing
from openchange_py.proxy.printing import Printer
from openchange_py.proxy.stack import Answer, ModuleStack
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.log_context import in_this_context
from openchange_py.rpc.security import AuthLevel, Authority, Identity
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcInterface, RpcMessage

logger = logging.getLogger(__name__)

#: Interfaces whose calls wait for something, beside the session's other calls: [MS-OXCRPC] 3.3.4.1.
WAITING_INTERFACES: Final = frozenset({"exchange_async_emsmdb"})


class LocalServer(Protocol):
    """What answers an interface on this machine. Plain synchronous code, called in a worker thread."""

    @property
    def name(self) -> str:
        """The name that the configuration knows it by."""

    @property
    def interface(self) -> RpcInterface:
        """The interface that it answers."""

    def call(self, call: Call) -> None:
        """Set `call.response` or `call.reply`, or raise `RpcFault`. One call at a time per session."""

    def end_session(self, session: Session) -> None:
        """The session ended; its handles are still there."""


@runtime_checkable
class WaitingServer(Protocol):
    """A local server whose calls wait for something: on the event loop, without a thread each."""

    @property
    def name(self) -> str:
        """The name that the configuration knows it by."""

    @property
    def interface(self) -> RpcInterface:
        """The interface that it answers."""

    async def wait(self, call: Call) -> None:
        """As `LocalServer.call`; beside the session's other calls where the interface is one of those that wait."""

    def end_session(self, session: Session) -> None:
        """The session ended; its handles are still there. In a worker thread."""


AnyServer: TypeAlias = LocalServer | WaitingServer


class CallRelay(Protocol):
    """What relays calls to another server."""

    async def call(self, call: Call) -> None:
        """Have the call answered; raises `RpcFault`."""

    async def check(self, call: Call) -> RpcMessage | None:
        """The response that refuses the call to its caller; None where it may be relayed. Raises `RpcFault`."""

    async def end_session(self, session: Session) -> None:
        """Close what was opened for the session, calls in flight too."""


class Dispatcher:
    """What transports hand their calls to (a `CallHandler`).

    `servers` are the local servers by interface name, `relayed` the interfaces that go to `relay`.
    `minimum_levels` is the protection that an interface's calls must have at least.
    """

    def __init__(
        self,
        servers: Mapping[str, AnyServer],
        stack: ModuleStack | None = None,
        *,
        relayed: Mapping[str, RpcInterface] | None = None,
        relay: CallRelay | None = None,
        minimum_levels: Mapping[str, AuthLevel] | None = None,
        printer: Printer | None = None,
        worker_threads: int = 8,
    ) -> None:
        self._servers = dict(servers)
        self.relayed = dict(relayed or {})
        if self.relayed and relay is None:
            raise ValueError(f"nothing to relay {', '.join(self.relayed)} to")
        #: What relayed calls go to.
        self.relay = relay
        #: Whether callers may still log on; None: nobody asks again.
        self.standing: Standing | None = None
        self.stack = stack or ModuleStack()
        self._minimum_levels = dict(minimum_levels or {})
        self._printer = printer
        #: Per interface, what its calls go through.
        self._ways: dict[str, Answer] = {}
        self._workers = ThreadPoolExecutor(worker_threads, "server")
        #: Threads that the calls of one account may have, and what its further calls wait for.
        self._share = max(1, worker_threads * 3 // 4)
        self._shares: dict[str, asyncio.Semaphore] = {}

    def interfaces(self) -> list[RpcInterface]:
        """The interfaces that are served, local ones first."""
        return [*(server.interface for server in self._servers.values()), *self.relayed.values()]

    async def handle(self, call: Call) -> bytes:
        """The response stub; raises `RpcFault`."""
        self._check_level(call)
        if self.standing is not None and not self.standing.is_known(call.caller):
            # Not in a worker: a directory that does not answer must not hold up the calls of others.
            await asyncio.to_thread(self.standing.check, call.caller)
        if self.waits(call):
            return await self._handle(call)
        turn = self._turn(call.session)
        await turn.acquire()
        try:
            return await self._handle(call)
        finally:
            turn.release()

    async def unbind(self, session: Session) -> None:
        """The session ended: close its upstream connections, then tell modules and servers."""
        if self.relay is not None:
            await self._guarded("relay", self.relay.end_session(session))
        # A worker may still be at the session's last call.
        async with self._turn(session):
            await self.stack.unbind(session)
            for server in dict.fromkeys(self._servers.values()):
                await self._guarded(server.name, self._in_worker(server.end_session, session))

    def set_printer(self, printer: Printer | None) -> None:
        """Log calls, ROP by ROP, from now on, or no more."""
        self._printer = printer

    def set_minimum_levels(self, levels: Mapping[str, AuthLevel]) -> None:
        """Demand other levels from now on."""
        self._minimum_levels = dict(levels)

    def close(self) -> None:
        """No more calls; those in workers are finished."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def waits(self, call: Call) -> bool:
        """Whether the call waits for something to happen, and must not hold up the session's other calls."""
        return call.interface.name in WAITING_INTERFACES

    def minimum_level(self, interface: RpcInterface) -> AuthLevel:
        """The protection that calls of an interface must have at least."""
        return self._minimum_levels.get(interface.name, AuthLevel.NONE)

    def _turn(self, session: Session) -> asyncio.Lock:
        """What makes a session's calls wait for each other."""
        turn = session.state.get(self)
        if turn is None:
            turn = session.state[self] = asyncio.Lock()
        assert isinstance(turn, asyncio.Lock)
        return turn

    def _check_level(self, call: Call) -> None:
        minimum = self.minimum_level(call.interface)
        if call.caller.level < minimum:
            levels = f"level {call.caller.level.name.lower()}, {minimum.name.lower()} is demanded"
            logger.warning("%s: %s of %s refused: %s", call.session, call.name, call.caller, levels)
            raise RpcFault(FaultStatus.ACCESS_DENIED, "authentication level too low")

    async def _handle(self, call: Call) -> bytes:
        """All of a call's way, and what becomes of everything that goes wrong on it."""
        try:
            await self._through_modules(call.interface.name)(call)
            return call.reply_bytes()
        except RpcFault as fault:
            logger.debug("%s: %s: %s", call.session, call.name, fault)
            raise
        except DecodeError as error:
            logger.warning("%s: %s: bad stub: %s", call.session, call.name, error)
            raise RpcFault(FaultStatus.BAD_STUB_DATA, str(error)) from error
        except Exception as error:
            logger.exception("%s: %s failed", call.session, call.name)
            raise RpcFault(FaultStatus.UNSPECIFIED, "internal error") from error

    def _through_modules(self, interface: str) -> Answer:
        way = self._ways.get(interface)
        if way is None:
            answer = self._answer if self._printer is None else self._answer_printed
            check = self.relay.check if self.relay is not None and interface in self.relayed else None
            way = self._ways[interface] = self.stack.around(interface, answer, check)
        return way

    async def _answer_printed(self, call: Call) -> None:
        """As `_answer`; a binding's `print` flag has it shown in the log."""
        printer = self._printer
        assert printer is not None
        call.forget_answer()
        await printer.print_request(call)
        try:
            await self._answer(call)
        except RpcFault as fault:
            printer.print_fault(call, fault)
            raise
        printer.print_response(call)

    async def _answer(self, call: Call) -> None:
        """By the local server or the relay."""
        call.forget_answer()
        server = self._servers.get(call.interface.name)
        if server is not None:
            if call.caller.authority is Authority.UPSTREAM:
                logger.warning("%s: %s refused: only the upstream knows %s", call.session, call.name, call.caller)
                raise RpcFault(FaultStatus.ACCESS_DENIED, "not authenticated by this server")
            if isinstance(server, WaitingServer):
                await server.wait(call)
                return
            async with self._share_of(call.caller):
                await self._in_worker(_answer_locally, server, call)
        elif call.interface.name in self.relayed and self.relay is not None:
            await self.relay.call(call)
        else:
            raise RpcFault(FaultStatus.UNKNOWN_INTERFACE, call.interface.name)

    def _share_of(self, caller: Identity) -> asyncio.Semaphore:
        """One account, however many sessions it opens, leaves threads to the others."""
        share = self._shares.get(caller.account)
        if share is None:
            share = self._shares[caller.account] = asyncio.Semaphore(self._share)
        return share

    async def _in_worker(self, function: Callable[..., None], *arguments: object) -> None:
        """Run in a worker thread.

        A thread can't be cancelled. Who cancels this waits for the thread all the same, because the session's
        lock, which the caller holds, must not be given up while the thread works.
        """
        work = asyncio.get_running_loop().run_in_executor(self._workers, in_this_context(function), *arguments)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            while not work.done():
                try:
                    await asyncio.wait([work])
                except asyncio.CancelledError:
                    continue
            if not work.cancelled():
                work.exception()
            raise

    async def _guarded(self, who: str, ending: Awaitable[None]) -> None:
        """One part's clean-up, which must not keep the other parts from theirs."""
        try:
            await ending
        except Exception:
            logger.exception("%s failed at the end of a session", who)


def _answer_locally(server: LocalServer, call: Call) -> None:
    """In the worker thread: decoding, the server's work, and encoding."""
    server.call(call)
    call.reply_bytes()
