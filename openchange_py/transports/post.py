"""Messages and open files between a supervisor and one of its workers: a pair of unix sockets that have no name.

Nobody else can reach them, so what comes is believed. A message is one packet (SOCK_SEQPACKET): what it is about as
JSON, then bytes as they are; open files travel beside it (SCM_RIGHTS).
"""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import json
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

_log: Final = logging.getLogger(__name__)

#: Bytes of one message; less than what the system lets one packet have.
LARGEST: Final = 128 << 10
#: Messages that wait because the other side does not read.
_WAITING: Final = 4096
_FILES: Final = 4


@dataclasses.dataclass(slots=True)
class Message:
    """One message. Who takes it owns its files, and closes them."""

    kind: str
    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: bytes = b""
    files: Sequence[int] = ()

    def pack(self) -> bytes:
        """As one packet, but for the files."""
        return json.dumps({**self.about, "kind": self.kind}, separators=(",", ":")).encode() + b"\n" + self.data

    @classmethod
    def unpack(cls, packet: bytes, files: Sequence[int] = ()) -> Message:
        """What came."""
        head, _, data = packet.partition(b"\n")
        about = json.loads(head)
        return cls(about.pop("kind"), about, data, files)

    def close(self) -> None:
        """Nobody wants its files."""
        for file in self.files:
            os.close(file)
        self.files = ()


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def receive(end: socket.socket) -> Message | None:
    """The next message; None where the other side is gone. Waits where the socket is a blocking one."""
    files = array.array("i")
    # Not socket.recv_fds, which forgets its flags: what workers start would have the files, too.
    packet, beside, _, _ = end.recvmsg(LARGEST, socket.CMSG_SPACE(_FILES * files.itemsize), socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(data[: len(data) - len(data) % files.itemsize])
    return Message.unpack(packet, files.tolist()) if packet else None


class Post:
    """One end, on the running event loop.

    `received` gets each message, `lost` is called where the other side is gone.
    """

    def __init__(self, end: socket.socket, received: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._end = end
        self._received = received
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._waiting: collections.deque[Message] = collections.deque()
        self.closed = False
        end.setblocking(False)
        self._loop.add_reader(end.fileno(), self._read)

    @property
    def waits(self) -> bool:
        """The other side does not read as fast as is sent."""
        return bool(self._waiting)

    def send(self, message: Message) -> bool:
        """Send a message, whose files are closed here then; False where that can't be."""
        if self.closed or len(self._waiting) >= _WAITING or len(packet := message.pack()) > LARGEST:
            message.close()
            return False
        if self._waiting or not self._send(message, packet):
            if not self._waiting:
                self._loop.add_writer(self._end.fileno(), self._write)
            self._waiting.append(message)
        return True

    def close(self) -> None:
        """Send and receive no more."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._end.fileno())
        self._loop.remove_writer(self._end.fileno())
        self._end.close()
        for message in self._waiting:
            message.close()
        self._waiting.clear()

    def _send(self, message: Message, packet: bytes) -> bool:
        """Whether it is done with; False where it has to wait."""
        try:
            socket.send_fds(self._end, [packet], message.files)
        except BlockingIOError:
            return False
        except OSError as error:
            _log.debug("%s was not sent: %s", message.kind, error)
        message.close()
        return True

    def _write(self) -> None:
        while self._waiting:
            message = self._waiting[0]
            if not self._send(message, message.pack()):
                return
            self._waiting.popleft()
        self._loop.remove_writer(self._end.fileno())

    def _read(self) -> None:
        try:
            message = receive(self._end)
        except BlockingIOError:
            return
        except OSError:
            message = None
        if message is None:
            self.close()
            self._lost()
            return
        try:
            self._received(message)
        except Exception:
            _log.exception("message %s failed", message.kind)
