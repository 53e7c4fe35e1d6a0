"""A virtual connection of RPC over HTTP as a transport, what both roles do alike. [MS-RPCH] 3.2.1.

`rpch_tunnel.py` is the server's, `rpch_client.py` the client's. What is written waits here for the other side's receive
window, and what comes is held in ours while nobody wants to read.
"""

from __future__ import annotations

import asyncio
import collections
from typing import Any, Final

from openchange_py.rpc.rpch import Channel, RpchEvent, VirtualConnection

#: Bytes that may wait for the other side's window before its writer is told to wait, and how few let it go on.
_HIGH: Final = 64 << 10
_LOW: Final = 16 << 10


class VirtualTransport(asyncio.Transport):
    """The transport of who takes it for a socket, from `Established` on; does what the virtual connection says."""

    def __init__(self, connection: VirtualConnection) -> None:
        super().__init__()
        self._connection: Any = connection
        self._loop = asyncio.get_running_loop()
        self._extra: dict[str, Any] = {}
        #: Events are done one behind the other, also those that come of doing one.
        self._events: collections.deque[RpchEvent] = collections.deque()
        self._running = self._closing = self._blocked = self._socket_full = False
        self._sent_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def _user(self) -> Any:
        """Who takes it for a socket: an `asyncio.Protocol`; None before and behind."""
        raise NotImplementedError

    def _do(self, event: RpchEvent) -> None:
        """One event."""
        raise NotImplementedError

    def run(self, events: list[RpchEvent]) -> None:
        """Do what the virtual connection says, one behind the other."""
        self._events.extend(events)
        if self._running:
            return
        self._running = True
        try:
            while self._events:
                self._do(self._events.popleft())
        finally:
            self._running = False
        self._block_or_go_on()

    def received(self, channel: Channel, data: bytes) -> None:
        """Bytes came on one of its channels."""
        self.run(self._connection.receive(channel, data))

    def give_up(self, reason: str) -> None:
        """End it at once."""
        events: list[RpchEvent] = []
        self._connection.end(reason, events)
        self.run(events)

    def _is_quiet(self) -> bool:
        """Nothing was sent for so long that a ping is due."""
        return bool(self._loop.time() - self._sent_at >= self._connection.ping_interval * 0.9)

    # Back-pressure

    def socket_full(self, full: bool) -> None:
        """The other side does not read what is on our channel, or reads again."""
        self._socket_full = full
        self._block_or_go_on()

    def _block_or_go_on(self) -> None:
        user, queued = self._user(), self._connection.queued
        blocked = self._socket_full or queued > (_LOW if self._blocked else _HIGH)
        if user is not None and blocked is not self._blocked:
            self._blocked = blocked
            (user.pause_writing if blocked else user.resume_writing)()
        if self._closing and not queued and not self._connection.closed:
            self.give_up("closed")

    # What a protocol takes for its socket

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.BaseTransport`."""
        return self._extra.get(name, default)

    def write(self, data: Any) -> None:
        """Whole PDUs, one or several."""
        self.run(self._connection.send(bytes(data)))

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport`."""
        size: int = self._connection.queued
        return size

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self.run(self._connection.resume_reading())

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._closing

    def close(self) -> None:
        """Close behind what waits to be sent."""
        self._closing = True
        self._block_or_go_on()

    def abort(self) -> None:
        """Close at once."""
        for channel in self._connection.channels():
            if channel.owner is not None:
                channel.owner.abort()
        self.give_up("aborted")
