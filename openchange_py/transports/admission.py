"""Which connections a server takes in: so many at all, so many from one address, and strangers give way."""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from openchange_py.rpc.metrics import Metrics

_log: Final = logging.getLogger(__name__)


class Admitted(Protocol):
    """A connection as it is counted here."""

    @property
    def address(self) -> str:
        """What connections are counted by: the client's, without its port."""

    @property
    def is_strangers(self) -> bool:
        """Nobody authenticated on it or is about to, and it is not being closed yet."""

    def abort(self) -> None:
        """Close it at once."""


C = TypeVar("C", bound=Admitted)


class ConnectionLimits(Protocol):
    """See `TcpLimits`, whose fields these are."""

    @property
    def connections(self) -> int: ...
    @property
    def connections_per_address(self) -> int: ...


class Admission(Generic[C]):
    """The connections of one server, in the order in which they came. `transport` is its name in metrics."""

    def __init__(self, metrics: Metrics, transport: str) -> None:
        self.stopping = False
        self._metrics = metrics
        self._transport = transport
        self._connections: dict[C, None] = {}
        self._by_address: collections.Counter[str] = collections.Counter()
        self._gone = asyncio.Event()

    def __iter__(self) -> Iterator[C]:
        return iter(list(self._connections))

    def __len__(self) -> int:
        return len(self._connections)

    def admit(self, connection: C, limits: ConnectionLimits) -> bool:
        """Take a new connection in; false where it must be closed."""
        refusal = self._refusal(connection, limits)
        if refusal is not None:
            why, many = refusal
            _log.warning("%s closed (%s): %d connections are open", connection, why, many)
            self._metrics.refused[why] += 1
            return False
        self._connections[connection] = None
        self._by_address[connection.address] += 1
        self._metrics.connections[self._transport] += 1
        self._metrics.open_connections[self._transport] += 1
        return True

    def _refusal(self, connection: C, limits: ConnectionLimits) -> tuple[str, int] | None:
        """Why a new connection is not taken, and how many there are; None where it is.

        Where all are taken, the oldest is closed instead that nobody authenticated on.
        """
        many = len(self._connections)
        if self.stopping:
            return "stopping", many
        from_there = self._by_address[connection.address] if limits.connections_per_address else 0
        if from_there and from_there >= limits.connections_per_address:
            return "address", from_there
        if many < limits.connections:
            return None
        oldest = next((other for other in self._connections if other.is_strangers), None)
        if oldest is None:
            return "connections", many
        _log.warning("%s closed (connections): %d connections are open", oldest, many)
        self._metrics.refused["connections"] += 1
        oldest.abort()
        return None

    def release(self, connection: C) -> None:
        """A connection is gone, and nothing of it left to do."""
        self._connections.pop(connection, None)
        self._metrics.open_connections[self._transport] -= 1
        self._by_address[connection.address] -= 1
        if self._by_address[connection.address] <= 0:
            del self._by_address[connection.address]
        if not self._connections:
            self._gone.set()

    async def all_gone(self) -> None:
        """Wait until none is left."""
        while self._connections:
            self._gone.clear()
            await self._gone.wait()
