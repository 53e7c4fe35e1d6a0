"""ncacn_np: named pipes that Samba's smbd serves over SMB 2 and 3, and hands over. [MS-RPCE] 2.1.1.2.

    server = PipeServer(handler, authenticator, groups=AssociationGroups("ncacn_np"))
    await server.listen(Path("/run/samba/ncalrpc/np"), "lsass")

smbd speaks SMB with the client, and connects to the unix socket of the pipe's name with `wire/named_pipe_auth.py`'s
handshake. Who the SMB session belongs to is told and not used: a caller is who authenticated in the bind, here as
over TCP, because smbd's accounts are its own and may be others than the directory's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import stat
from pathlib import Path
from typing import Any, Final, cast

from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_connection import ServerConnection
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.named_pipe_auth import NamedPipeAuthRequest, messages_of, pack_reply, request_length

_log: Final = logging.getLogger(__name__)


class PipeTaken(OSError):
    """Another process serves the pipe."""


class PipeServer(TcpServer):
    """A `TcpServer` whose clients come over named pipes. One instance serves one pipe."""

    transport = "ncacn_np"
    path: Path | None = None
    _inode = 0

    async def listen(self, folder: Path, name: str) -> Path:
        """Serve the pipe `name`: the path of its socket below `folder`, which is made, closed to other users.

        Raises `PipeTaken` where another process serves it, `OSError` where the socket can't be made.
        """
        path = _free_path(folder, name)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: PipeConnection(self), str(path), backlog=512)
        self.path, self._inode = path, _close_to_others(path)
        self.endpoint = rf"\PIPE\{name}"
        _log.info("listening on pipe %s: %s", path, ", ".join(interface.name for interface in self.interfaces))
        return path

    def connection(self) -> ServerConnection:
        """A connection of a client whom smbd handed over."""
        return self._connection()

    async def stop(self) -> None:
        """See `TcpServer.stop`. The socket goes with it, unless another process has put its own there."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                if self.path.stat().st_ino == self._inode:
                    self.path.unlink()
        await super().stop()


def _free_path(folder: Path, name: str) -> Path:
    """Where the socket goes; one that nobody serves any more is removed. `PipeTaken` where somebody does."""
    path = folder / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        return path
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise PipeTaken(f"{path} is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return path
    raise PipeTaken(f"{path} is served by another process")


def _close_to_others(path: Path) -> int:
    """Only smbd and this user may connect: who connects tells who the client is. Returns the socket's inode."""
    path.chmod(0o600)
    return path.stat().st_ino


class PipeConnection(asyncio.Protocol):
    """One pipe that a client opened: the handshake with smbd, then messages to and from a `ServerConnection`."""

    def __init__(self, server: PipeServer) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._inner: ServerConnection | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports follow asyncio.Transport without being one.
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._server.limits.handshake_seconds, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._inner is None:
            try:
                self._shake_hands()
            except DecodeError as error:
                _log.error("%s: %s", self._server.path, error)
                self._transport.abort()
        if self._inner is not None:
            self._deliver(self._inner)

    def _shake_hands(self) -> None:
        """Read smbd's request when it is whole, and become a connection of its client's."""
        length = request_length(self._buffer)
        if length is None or len(self._buffer) < length:
            return
        request = NamedPipeAuthRequest.unpack(bytes(self._buffer[:length]))
        del self._buffer[:length]
        if self._timer is not None:
            self._timer.cancel()
        self._transport.write(pack_reply())
        peer = (request.client_address or "?", request.client_port)
        reached = (request.server_address, request.server_port)
        self._inner = self._server.connection()
        self._inner.connection_made(MessageTransport(self._transport, peer, reached))

    def _deliver(self, inner: ServerConnection) -> None:
        """The client's messages, each behind its length."""
        buffer, pos = self._buffer, 0
        while len(buffer) - pos >= 2:
            end = pos + 2 + int.from_bytes(buffer[pos : pos + 2], "little")
            if end > len(buffer):
                break
            if end > pos + 2:
                inner.data_received(bytes(buffer[pos + 2 : end]))
            pos = end
        del buffer[:pos]

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def eof_received(self) -> bool:
        """A pipe has no half that could be closed alone: the client is gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)


class MessageTransport(asyncio.Transport):
    """What a `ServerConnection` takes for its socket: writes each PDU as a message, and knows the SMB client."""

    def __init__(self, transport: asyncio.Transport, peer: tuple[str, int], reached: tuple[str, int]) -> None:
        super().__init__({"peername": peer, "sockname": reached})
        self._transport = transport

    def write(self, data: Any) -> None:
        """Whole PDUs, one or several."""
        self._transport.writelines(messages_of(bytes(data)))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `asyncio.WriteTransport`."""
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport`."""
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self._transport.resume_reading()

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._transport.is_closing()

    def close(self) -> None:
        """See `asyncio.BaseTransport`."""
        self._transport.close()

    def abort(self) -> None:
        """See `asyncio.WriteTransport`."""
        self._transport.abort()
