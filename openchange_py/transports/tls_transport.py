"""A server's end of TLS, on the client's socket itself.

    transport = await accept_tls(accepted, context, protocol, 10.0)

The TLS of asyncio and uvloop puts buffers between OpenSSL and the socket that stay as long as the connection does.
Where OpenSSL reads the socket itself, it keeps none while it has nothing to do (SSL_MODE_RELEASE_BUFFERS, which CPython
sets): of a client that only waits 14 KiB in place of 24. What is decrypted goes to the protocol record by record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from typing import Any, Final

_log: Final = logging.getLogger(__name__)

#: The most that a record may carry (RFC 8446 5.1): a read of so much leaves nothing in OpenSSL.
_RECORD: Final = 1 << 14
#: Records that one client may have read at a time, before it is others' turn.
_RECORDS: Final = 4
#: Bytes that may wait for the socket before the protocol is told to wait, and how few let it go on.
_HIGH: Final = 64 << 10
_LOW: Final = 16 << 10
#: Seconds that a client has to close its side, once we closed ours.
_LINGER: Final = 10.0


async def accept_tls(
    connection: socket.socket, context: ssl.SSLContext, protocol: asyncio.Protocol, seconds: float
) -> TlsTransport:
    """The transport of `protocol`, which `connection_made` was called of, behind the handshake.

    Raises `OSError`, `ssl.SSLError` and `TimeoutError` among them. The socket is its own, and closed where it fails.
    """
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
    except BaseException:
        connection.close()
        raise
    transport = TlsTransport(session, protocol)
    try:
        async with asyncio.timeout(seconds):
            await transport.shake_hands()
    except BaseException:
        session.close()
        raise
    transport.begin()
    return transport


class TlsTransport(asyncio.Transport):
    """A transport as asyncio has them, over a socket that does not block."""

    __slots__ = (
        "_closing",
        "_gone",
        "_loop",
        "_paused",
        "_protocol",
        "_reading",
        "_socket",
        "_timer",
        "_unsent",
        "_writing",
    )

    def __init__(self, session: ssl.SSLSocket, protocol: asyncio.Protocol) -> None:
        self._socket = session
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        #: Bytes that the socket is to take in the loop's next turn, or when it can; None where there are none.
        self._unsent: bytearray | None = None
        self._reading = self._writing = self._paused = self._closing = self._gone = False
        self._timer: asyncio.TimerHandle | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.BaseTransport`."""
        if name in ("socket", "ssl_object"):
            return self._socket
        try:
            return {"peername": self._socket.getpeername, "sockname": self._socket.getsockname}[name]()
        except (KeyError, OSError):
            return default

    # The handshake

    async def shake_hands(self) -> None:
        """Raises `OSError`."""
        while True:
            try:
                self._socket.do_handshake()
            except ssl.SSLWantReadError:
                await self._until(self._loop.add_reader, self._loop.remove_reader)
            except ssl.SSLWantWriteError:
                await self._until(self._loop.add_writer, self._loop.remove_writer)
            else:
                return

    async def _until(self, add: Any, remove: Any) -> None:
        ready, number = asyncio.Event(), self._socket.fileno()
        add(number, ready.set)
        try:
            await ready.wait()
        finally:
            remove(number)

    def begin(self) -> None:
        """The protocol's turn."""
        self._protocol.connection_made(self)
        self.resume_reading()

    # Reading

    def is_reading(self) -> bool:
        """See `asyncio.ReadTransport`."""
        return self._reading

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._socket.fileno())

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        if not (self._reading or self._closing):
            self._reading = True
            self._loop.add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        for _ in range(_RECORDS):
            try:
                data = self._socket.recv(_RECORD)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                # An end without TLS's own word for it is an end all the same.
                self._lose(None if isinstance(error, ssl.SSLEOFError) else error)
                return
            if not data:
                self._protocol.eof_received()
                self.close()
                return
            self._protocol.data_received(data)
            if not self._reading or len(data) < _RECORD:
                return

    # Writing

    def write(self, data: Any) -> None:
        """See `asyncio.WriteTransport`."""
        if self._closing or not data:
            return
        if self._unsent is None:
            # What is written in one turn of the loop goes in one record.
            self._unsent = bytearray(data)
            self._loop.call_soon(self._write_on)
        else:
            self._unsent += data
        if len(self._unsent) > _HIGH and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def _write_on(self) -> None:
        if self._unsent is None:
            return
        try:
            sent = self._send(self._unsent)
        except OSError as error:
            self._lose(error)
            return
        del self._unsent[:sent]
        if self._unsent:
            self._wait_for_room(True)
        else:
            self._unsent = None
            self._wait_for_room(False)
        if self._paused and self.get_write_buffer_size() <= _LOW:
            self._paused = False
            self._protocol.resume_writing()
        if self._closing and self._unsent is None:
            self._say_goodbye()

    def _send(self, data: bytearray) -> int:
        """How many bytes the socket took. One that took a record in part gets the same again."""
        sent = 0
        with memoryview(data) as view, contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError):
            while sent < len(view):
                with view[sent : sent + _RECORD] as record:
                    sent += self._socket.send(record)
        return sent

    def _wait_for_room(self, wait: bool) -> None:
        if wait is not self._writing:
            self._writing = wait
            if wait:
                self._loop.add_writer(self._socket.fileno(), self._write_on)
            else:
                self._loop.remove_writer(self._socket.fileno())

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport`."""
        return 0 if self._unsent is None else len(self._unsent)

    # The end

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._closing

    def close(self) -> None:
        """Close behind what waits to be sent."""
        if self._closing:
            return
        self.pause_reading()
        self._closing = True
        if self._unsent is None:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Tell the client, and wait a while for its own end: a socket that is closed before takes what we sent back."""
        try:
            with contextlib.suppress(ssl.SSLError):  # it is said, and the client says other things still
                self._socket.unwrap()
            self._socket.shutdown(socket.SHUT_WR)  # from here on OpenSSL has nothing to do with it
        except OSError as error:
            _log.debug("the end of TLS: %s", error)
            self._lose(None)
            return
        self._timer = self._loop.call_later(_LINGER, self._lose, None)
        self._loop.add_reader(self._socket.fileno(), self._discard)

    def _discard(self) -> None:
        try:
            if self._socket.recv(_RECORD):
                return
        except BlockingIOError:
            return
        except OSError as error:
            _log.debug("after the end of TLS: %s", error)
        self._lose(None)

    def abort(self) -> None:
        """Close at once."""
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._closing = self._gone = True
        self._reading = self._writing = False
        if self._timer is not None:
            self._timer.cancel()
        number = self._socket.fileno()
        self._loop.remove_reader(number)
        self._loop.remove_writer(number)
        self._socket.close()
        self._unsent = None
        self._loop.call_soon(self._protocol.connection_lost, error)
