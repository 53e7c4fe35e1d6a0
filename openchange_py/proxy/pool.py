"""Several servers to relay to: which one a session goes to, and what happens while one is down.

Each account has an order of the servers of its own (rendezvous hashing: the highest hash of account and binding
comes first, so that accounts are spread evenly and only those of a lost server move). A session goes to the first
that is up and stays there, with all its connections, as long as it is up, and the account's other sessions go where
it has one. Where a server said that an account's mailbox
is on another one of them, that one comes first for the account's next sessions.

A server that can't be connected to is down: nobody is sent there until a pause is over, which doubles with every
failure, up to a bound, less a random part, so that several proxies don't come at the same moment. Then it is tried
again: beside the calls where another server is up, and with the next call where none is.

What a server that answers says of credentials or interfaces is no reason to call it down. One that accepts
connections and answers nothing is: where a call waits long, the server is asked for a sign of life beside it, and where
there is none its waiting calls are given up, long before their own limit.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from openchange_py.proxy.association import UpstreamClient
from openchange_py.proxy.handles import handle_space
from openchange_py.proxy.passage import passed_connection
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import Authority, Identity
from openchange_py.transports.tasks import spawn
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost
from openchange_py.wire.ndr import RpcInterface

logger = logging.getLogger(__name__)

#: Under what a session keeps where its handle spaces are: {space: the upstream's binding}.
_PLACES: Final = "upstreams"


class WatchedClient(UpstreamClient, Protocol):
    """A connection that can be given up; `RpcClient` is one."""

    @property
    def waiting(self) -> float:
        """Seconds that the call in flight has waited; 0 without one."""

    def abort(self, reason: str) -> None:
        """Give it up at once; a call in flight raises `ConnectionLost`."""


class UpstreamConnector(Protocol):
    """Opens connections to one server; `TcpConnector` is one."""

    @property
    def upstream(self) -> str:
        """The text of its binding."""

    async def __call__(self, call: Call, assoc_group: int) -> WatchedClient:
        """See `Connector`. Raises `ConnectionLost`; `BindError` where the server answered, and refused."""

    async def probe(self, interface: RpcInterface) -> None:
        """Raises `ConnectionLost` where the server answers nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds before a server that is down is tried again: `first`, twice that, ... `longest`.

    `patience` is how long a call waits for that try, where there is no other server; else it fails at once. A server
    that lets a call wait for longer than `silence` is asked whether it lives.
    """

    first: float = 0.5
    longest: float = 60.0
    patience: float = 2.0
    silence: float = 30.0

    def after(self, failures: int, random_part: float) -> float:
        """The pause after so many failures; `random_part` (0 to 1) takes up to half of it away."""
        pause: float = min(self.longest, self.first * 2 ** min(failures - 1, 32))
        return pause * (1 - random_part / 2)


@dataclasses.dataclass(eq=False, slots=True)
class _Member:
    """One server. It is down while `failures` is not 0."""

    connect: UpstreamConnector
    failures: int = 0
    #: On the loop's clock.
    retry_at: float = 0.0
    probing: bool = False
    #: Only one call at a time tries a server that is down.
    turn: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    #: Connections that were opened, with the calls' interfaces and accounts; the watch forgets those that ended.
    clients: dict[WatchedClient, tuple[RpcInterface, str]] = dataclasses.field(default_factory=dict)
    watched: bool = False

    def has(self, account: str) -> bool:
        """Whether there are connections of an account."""
        return any(client.connected and owner == account for client, (_, owner) in self.clients.items())


class UpstreamPool:
    """A `Connector` over one server or several. `random_part` gives numbers from 0 to 1.

    `preferred` tells the binding of the server that an account belongs to, where that is known.
    """

    def __init__(
        self,
        connectors: Sequence[UpstreamConnector],
        pauses: Pauses | None = None,
        random_part: Callable[[], float] = random.random,
        preferred: Callable[[Identity], str | None] | None = None,
    ) -> None:
        self._members = [_Member(connector) for connector in connectors]
        self._pauses = pauses or Pauses()
        self._random_part = random_part
        self._preferred = preferred or (lambda caller: None)

    def down(self) -> int:
        """How many servers are down."""
        return sum(member.failures > 0 for member in self._members)

    async def __call__(self, call: Call, assoc_group: int) -> UpstreamClient:
        """A connection for the call. Raises `ConnectionLost` where no server can be reached, or one refuses."""
        places: dict[str, str] = call.session.state.setdefault(_PLACES, {})
        space = handle_space(call.interface.name)
        if call.caller.authority is Authority.UPSTREAM:
            passed = await passed_connection(call)
            places[space] = passed.upstream
            return passed
        if assoc_group:
            return await self._reach(self._member(call.session, places[space]), call, assoc_group)
        failure = ConnectionLost("there is no server to relay to")
        for member in self._candidates(call, places):
            try:
                client = await self._reach(member, call, 0)
            except AuthenticationFailed:
                # The next one would count it as another wrong try.
                raise
            except ConnectionLost as error:
                failure = error
                continue
            places[space] = client.upstream
            return client
        raise failure

    def _member(self, session: Session, upstream: str) -> _Member:
        """The server where a session has its association; `ConnectionLost` where a reload took it away."""
        member = next((member for member in self._members if member.connect.upstream == upstream), None)
        if member is None:
            raise ConnectionLost(f"{upstream} is not relayed to any more, and {session} has its association there")
        return member

    def _candidates(self, call: Call, places: dict[str, str]) -> list[_Member]:
        """Servers that are up, the session's own first and then in the caller's order; then those that are down."""
        own = set(places.values())
        ranked = sorted(self._members, key=lambda member: rank(call.caller, member.connect.upstream), reverse=True)
        up = [member for member in ranked if not member.failures]
        down = [member for member in ranked if member.failures]
        if up:
            for member in down:
                self._probe_if_due(member, call.interface)
        preferred, account = self._preferred(call.caller), _account(call.caller)

        def ties(member: _Member) -> tuple[bool, bool, bool]:
            upstream = member.connect.upstream
            return upstream not in own, upstream != preferred, not member.has(account)

        up.sort(key=ties)
        return up + sorted(down, key=lambda member: member.retry_at)

    async def _reach(self, member: _Member, call: Call, assoc_group: int) -> UpstreamClient:
        if member.failures:
            before = member.failures
            async with member.turn:
                if member.failures > before:
                    raise ConnectionLost(f"{member.connect.upstream} is down")
                if member.failures:
                    await self._wait(member)
                    return await self._attempt(member, call, assoc_group)
        return await self._attempt(member, call, assoc_group)

    async def _wait(self, member: _Member) -> None:
        pause = member.retry_at - asyncio.get_running_loop().time()
        if pause > self._pauses.patience:
            raise ConnectionLost(f"{member.connect.upstream} is down, it is tried again in {pause:.0f} s")
        await asyncio.sleep(max(0.0, pause))

    async def _attempt(self, member: _Member, call: Call, assoc_group: int) -> UpstreamClient:
        before = member.failures
        try:
            client = await member.connect(call, assoc_group)
        except BindError:
            raise
        except ConnectionLost as error:
            self._failed(member, error, before)
            raise
        self._answered(member)
        member.clients[client] = call.interface, _account(call.caller)
        if not member.watched:
            member.watched = True
            spawn(self._watch(member), f"watch of {member.connect.upstream}")
        return client

    async def _watch(self, member: _Member) -> None:
        """As long as there are connections: give up those whose calls wait at a server that shows no life."""
        try:
            while member.clients:
                await asyncio.sleep(self._pauses.silence)
                member.clients = {client: what for client, what in member.clients.items() if client.connected}
                silent = [client for client in member.clients if client.waiting > self._pauses.silence]
                if silent and await self._is_dead(member, member.clients[silent[0]][0]):
                    for client in silent:
                        client.abort(f"{member.connect.upstream} shows no life")
        finally:
            member.watched = False

    def _probe_if_due(self, member: _Member, interface: RpcInterface) -> None:
        if not member.probing and member.retry_at <= asyncio.get_running_loop().time():
            member.probing = True
            spawn(self._probe(member, interface), f"probe of {member.connect.upstream}")

    async def _probe(self, member: _Member, interface: RpcInterface) -> None:
        before = member.failures
        try:
            await member.connect.probe(interface)
        except ConnectionLost as error:
            self._failed(member, error, before)
        else:
            self._answered(member)
        finally:
            member.probing = False

    async def _is_dead(self, member: _Member, interface: RpcInterface) -> bool:
        before = member.failures
        try:
            await member.connect.probe(interface)
        except BindError:
            return False
        except ConnectionLost as error:
            self._failed(member, error, before)
            return True
        return False

    def _failed(self, member: _Member, error: ConnectionLost, before: int) -> None:
        """A try failed that began after so many failures: of several at the same time one counts."""
        if member.failures != before:
            return
        member.failures += 1
        pause = self._pauses.after(member.failures, self._random_part())
        member.retry_at = asyncio.get_running_loop().time() + pause
        level = logging.WARNING if member.failures == 1 else logging.INFO
        text = "upstream %s is down, %d failed tries, the next in %.1f s: %s"
        logger.log(level, text, member.connect.upstream, member.failures, pause, error)

    def _answered(self, member: _Member) -> None:
        if member.failures:
            logger.warning("upstream %s is back after %d failed tries", member.connect.upstream, member.failures)
        member.failures = 0


def rank(caller: Identity, upstream: str) -> bytes:
    """What the caller's servers are ordered by, the highest first: the same in every process."""
    text = f"{_account(caller)}\0{upstream.casefold()}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _account(caller: Identity) -> str:
    return str(caller).casefold()
