"""A connection whose bytes another process wants, and which can't be given away: TLS, or a tunnel that is here.

    splice, file = Splice.of(transport)      # `file` is for the other process; the splice is the connection's protocol

What comes goes to the other process, and what that one writes goes to the client; each side waits for the other.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Self, cast

from openchange_py.transports.http_request import HttpReceiver
from openchange_py.transports.tasks import spawn

#: What a client may leave unread of what is said to it.
_WRITE_SECONDS: Final = 120.0


class Splice(HttpReceiver):
    """The protocol of the client's transport. It ends when either side does."""

    def __init__(self, near: asyncio.Transport, end: socket.socket) -> None:
        self._near = near
        self._far: asyncio.Transport | None = None
        #: What came before the way to the other process was there.
        self._early: list[bytes] = []
        self._lost = False
        self._timer: asyncio.TimerHandle | None = None
        near.pause_reading()
        spawn(self._open(end), "splice")

    @classmethod
    def of(cls, near: asyncio.Transport) -> tuple[Self, int]:
        """The splice, and what the other process is to be given."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        return cls(near, ours), theirs.detach()

    async def _open(self, end: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: _Far(self), end)

    # The client's side

    def data_received(self, data: bytes) -> None:
        if self._far is not None:
            self._far.write(data)
        else:
            self._early.append(data)

    def pause_writing(self) -> None:
        if self._far is not None:
            self._far.pause_reading()
            self._limit()  # as long as nothing is read, nobody sees whether the other process is there

    def resume_writing(self) -> None:
        if self._far is not None:
            self._far.resume_reading()
            self._stop_timer()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._stop_timer()
        if self._far is not None:
            self._far.close()

    def shut_down(self) -> None:
        """The server stops: so does the process at the other side, which says all there is to say and closes."""

    # The other process' side

    def opened(self, far: asyncio.Transport) -> None:
        """It can be written to."""
        self._far = far
        far.writelines(self._early)
        self._early.clear()
        if self._lost:
            far.close()
        else:
            self._near.resume_reading()

    def write(self, data: bytes) -> None:
        """To the client."""
        self._near.write(data)

    def full(self, full: bool) -> None:
        """The other process does not read, or reads again."""
        if not (self._lost or self._near.is_closing()):
            (self._near.pause_reading if full else self._near.resume_reading)()

    def ended(self) -> None:
        """The other process closed, or is gone."""
        self._far = None
        if not self._lost:
            self._near.close()
            self._limit()

    def _limit(self) -> None:
        """Cut a client off that does not read for too long."""
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(_WRITE_SECONDS, self._near.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Far(asyncio.Protocol):
    """The protocol of the way to the other process."""

    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._splice.opened(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._splice.write(data)

    def pause_writing(self) -> None:
        self._splice.full(True)

    def resume_writing(self) -> None:
        self._splice.full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._splice.ended()
