"""The client of ncacn_np: a named pipe of a server, over SMB 2 and 3. [MS-RPCE] 2.1.1.2.

    place = PipePlace("exch1.example.test", "EXAMPLE\\\\alice", password)
    client = await connect(place, EMSMDB, context=context, level=AuthLevel.PRIVACY)

What comes of it is an `RpcClient` like one over TCP. `smbprotocol` speaks SMB: always signed, and encrypted where the
server wants it. It blocks, so that each pipe has a thread that reads and one that writes; neither keeps the process
from ending. Not done yet: Kerberos at SMB.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import logging
import queue
import threading
import uuid
from collections.abc import Callable
from typing import Any, Final, Protocol

from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost, RpcClient
from openchange_py.wire.named_pipe_auth import messages_of
from openchange_py.wire.ndr import RpcInterface, SyntaxId

SMB_PORT: Final = 445
#: The pipe that Exchange has its interfaces on.
PIPE: Final = "protected_storage"
#: Seconds for reaching the server, and for its first answer.
_PATIENCE: Final = 30
#: No fragment is longer: a read takes the whole message.
_LONGEST_MESSAGE: Final = 0x10000
#: Bytes that may wait to be written before `RpcClient` is told to wait.
_HIGH: Final = 64 << 10
#: Of the length in front of each of `messages_of`'s messages, which SMB has in its header.
_MESSAGE_LENGTH: Final = 2
#: Messages that the reading thread may be ahead of the loop.
_AHEAD: Final = 16


class SmbUnavailable(Exception):
    """There is no SMB client, and what to do about it."""


def require_library() -> None:
    """Raise `SmbUnavailable` where the `smbprotocol` package is not installed."""
    try:
        found = importlib.util.find_spec("smbprotocol") is not None
    except ValueError:
        found = False
    if not found:
        raise SmbUnavailable("named pipes need the Python package smbprotocol: pip install 'openchange-py[np]'")


@dataclasses.dataclass(frozen=True, slots=True)
class PipePlace:
    """A server, and who logs on at SMB: `alice`, `alice@example.test` or `EXAMPLE\\alice`."""

    host: str
    user: str
    password: str = dataclasses.field(repr=False)
    port: int = SMB_PORT
    pipe: str = PIPE


async def connect(place: PipePlace, interface: RpcInterface | SyntaxId, **options: Any) -> RpcClient:
    """An `RpcClient` over the pipe. `options` are those of `RpcClient.over`, and so are the errors.

    Raises `SmbUnavailable`, and `AuthenticationFailed` also where SMB refuses the logon.
    """
    require_library()

    async def reach(client: asyncio.Protocol) -> None:
        pipe = SmbPipe(place)
        try:
            await _in_thread(pipe.open, "opening a pipe")
        except BaseException:
            _start(pipe.close, "closing a pipe")
            raise
        PipeTransport(pipe, client).start()

    return await RpcClient.over(reach, rf"\\{place.host}\pipe\{place.pipe}", interface, **options)


class BlockingPipe(Protocol):
    """A pipe of messages. One thread reads and another writes; both raise `OSError` once it is closed."""

    peername: tuple[str, int]

    def read(self) -> bytes:
        """The next bytes; none at its end."""

    def write(self, message: bytes) -> None:
        """One whole PDU."""

    def close(self) -> None:
        """End it, from any thread: whoever waits in it stops waiting."""


class SmbPipe:
    """A pipe in the share IPC$, with an SMB connection of its own."""

    def __init__(self, place: PipePlace) -> None:
        from smbprotocol.connection import Connection

        # Its records hold packets, and what goes wrong comes as an exception as well.
        logging.getLogger("smbprotocol").setLevel(logging.CRITICAL)
        self._place = place
        self.peername = (place.host, place.port)
        self._connection = Connection(uuid.uuid4(), place.host, place.port, require_signing=True)
        self._pipe: Any = None
        self._closed = False

    def open(self) -> None:
        """Connect, log on, open the pipe. Raises `OSError`, of which `ConnectionLost` and `AuthenticationFailed`."""
        from smbprotocol.exceptions import LogonFailure, SMBAuthenticationError

        try:
            self._connection.connect(timeout=_PATIENCE)
            if not self._closed:
                self._log_on_and_open()
        except (LogonFailure, SMBAuthenticationError) as error:
            raise AuthenticationFailed(f"SMB refused the logon of {self._place.user}") from error
        except Exception as error:
            raise self._loss(error) from error
        finally:
            if self._closed:  # while there was nothing yet that could be closed
                self.close()

    def _log_on_and_open(self) -> None:
        from smbprotocol import open as smb
        from smbprotocol.session import Session
        from smbprotocol.tree import TreeConnect

        place = self._place
        session = Session(self._connection, place.user, place.password, require_encryption=False, auth_protocol="ntlm")
        session.connect()
        share = TreeConnect(session, rf"\\{place.host}\IPC$")
        share.connect()
        self._pipe = smb.Open(share, place.pipe)
        access = smb.FilePipePrinterAccessMask
        self._pipe.create(
            smb.ImpersonationLevel.Impersonation,
            access.GENERIC_READ | access.GENERIC_WRITE,
            0,
            smb.ShareAccess.FILE_SHARE_READ | smb.ShareAccess.FILE_SHARE_WRITE,
            smb.CreateDisposition.FILE_OPEN,
            smb.CreateOptions.FILE_NON_DIRECTORY_FILE,
        )

    def read(self) -> bytes:
        """See `BlockingPipe`."""
        try:
            length = min(_LONGEST_MESSAGE, self._connection.max_read_size)
            return bytes(self._pipe.read(0, length))
        except Exception as error:
            raise self._loss(error) from error

    def write(self, message: bytes) -> None:
        """See `BlockingPipe`."""
        try:
            self._pipe.write(message)
        except Exception as error:
            raise self._loss(error) from error

    def close(self) -> None:
        """See `BlockingPipe`. The server closes what is open in a connection that ends."""
        self._closed = True
        if self._connection.transport is not None:
            with contextlib.suppress(OSError):
                self._connection.transport.close()

    def _loss(self, error: Exception) -> OSError:
        """smbprotocol raises all kinds of exceptions for what a server may send; the socket's own are told apart."""
        if isinstance(error.__cause__, OSError):
            return error.__cause__
        host, name = self._place.host, self._place.pipe
        return ConnectionLost(rf"\\{host}\pipe\{name}: {str(error) or type(error).__name__}")


class PipeTransport(asyncio.Transport):
    """A `BlockingPipe` as the transport of `protocol`."""

    def __init__(self, pipe: BlockingPipe, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": pipe.peername})
        self._pipe = pipe
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._queued = 0
        self._ahead = threading.Semaphore(_AHEAD)
        self._closing = self._lost = self._blocked = False

    def start(self) -> None:
        """Tell the protocol, and begin to read."""
        self._protocol.connection_made(self)
        _start(self._read, "pipe reader")
        _start(self._write, "pipe writer")

    # In the threads

    def _read(self) -> None:
        error: Exception | None = None
        try:
            while data := self._pipe.read():
                self._ahead.acquire()
                _call(self._loop, self._received, data)
        except OSError as caught:
            error = caught
        _call(self._loop, self._end, error)

    def _write(self) -> None:
        try:
            while (message := self._outgoing.get()) is not None:
                self._pipe.write(message)
                _call(self._loop, self._written, len(message))
        except OSError as error:
            _call(self._loop, self._end, error)
        # Wakes the reader, whose last word is that the pipe is gone.
        self._pipe.close()

    # In the loop

    def _received(self, data: bytes) -> None:
        self._ahead.release()
        if not self._lost:
            self._protocol.data_received(data)

    def _written(self, count: int) -> None:
        self._queued -= count
        if self._blocked and self._queued <= _HIGH:
            self._blocked = False
            self._protocol.resume_writing()

    def _end(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        expected, self._closing = self._closing, True
        self._outgoing.put(None)
        self._protocol.connection_lost(None if expected else error)

    def write(self, data: Any) -> None:
        """Whole PDUs, one or several."""
        if self._closing:
            return
        for message in messages_of(bytes(data)):
            pdu = message[_MESSAGE_LENGTH:]
            self._queued += len(pdu)
            self._outgoing.put(pdu)
        if self._queued > _HIGH and not self._blocked:
            self._blocked = True
            self._protocol.pause_writing()

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._closing

    def close(self) -> None:
        """Close behind what waits to be sent."""
        if not self._closing:
            self._closing = True
            self._outgoing.put(None)

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        _start(self._pipe.close, "closing a pipe")


def _start(function: Callable[[], None], name: str) -> None:
    """Run it in a thread that the process does not wait for, as it would for those of asyncio."""
    threading.Thread(target=function, name=name, daemon=True).start()


async def _in_thread(function: Callable[[], None], name: str) -> None:
    """As `asyncio.to_thread`, in such a thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            function()
        except Exception as caught:
            error = caught
        _call(loop, settle, error)

    _start(run, name)
    await done


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    """In the loop; where that is closed nobody wants to know any more."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)
