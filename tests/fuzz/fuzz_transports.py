"""Targets of the transports: connections with their queues, timers and tasks, over a socket that is none."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from openchange_py.rpc.association import AssociationGroups
from openchange_py.transports.pipe import PipeConnection, PipeServer
from openchange_py.transports.tcp import TcpLimits, TcpServer
from openchange_py.wire.named_pipe_auth import NCACN_NP, NamedPipeAuthRequest, messages_of, pack_reply
from tests.fuzz.fuzz_rpc import CALL_LIMIT, LenientAuthenticator, check_pdus, conversations
from tests.fuzz.target import target
from tests.rpc.echo import EchoHandler

_LIMITS = TcpLimits(call_size=CALL_LIMIT, connections=4)
#: Turns of the loop in which a call is answered.
_TURNS = 12
_SMBD = NamedPipeAuthRequest(NCACN_NP, "pc", "192.0.2.7", 50000, "srv", "192.0.2.1", 445)


class _Socket(asyncio.Transport):
    """Remembers what was written; a closed one takes no more."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 50000), "sockname": ("192.0.2.1", 1024)})
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class _Patient(EchoHandler):
    """Has no answer that takes longer than a turn of the loop, nor one of 4 GiB."""

    async def handle(self, call: Any) -> bytes:
        call.opnum = (0, 0, 2, 3, 4, 5, 0, 7)[min(call.opnum, 7)]
        await asyncio.sleep(0)
        return await super().handle(call)


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


async def _feed(protocol: Any, socket: _Socket, data: bytes, pieces: int) -> None:
    """Bytes as a socket delivers them, in pieces, with time for the calls in them, and then the connection's end."""
    protocol.connection_made(socket)
    size = max(1, len(data) // pieces)
    for start in range(0, len(data), size):
        if socket.closed:
            break
        protocol.data_received(data[start : start + size])
        for _ in range(_TURNS):
            await asyncio.sleep(0)
    if not socket.closed:
        protocol.eof_received()
    protocol.connection_lost(None)


async def _conversation(pipe: bool, data: bytes, pieces: int) -> bytes:
    handler, groups = _Patient(), AssociationGroups()
    make = PipeServer if pipe else TcpServer
    server = make(handler, LenientAuthenticator(), limits=_LIMITS, groups=groups)
    socket = _Socket()
    protocol = PipeConnection(server) if isinstance(server, PipeServer) else server._connection()
    await _feed(protocol, socket, data, pieces)
    await server.stop()
    assert not server._connections, "a connection is left"
    assert server.held == 0, f"{server.held} bytes are held"
    assert len(groups) == 0, "an association group is left"
    assert len(handler.ended) == len(handler.sessions), "a session did not end"
    return bytes(socket.written)


def _tcp_seeds() -> list[bytes]:
    return [bytes([pieces]) + conversation for conversation in conversations() for pieces in (0, 9)]


@target("tcp", _tcp_seeds, longest=4096)
def fuzz_tcp(data: bytes) -> None:
    """Bytes to a TCP connection: the first says in how many pieces. Answers are PDUs, and nothing is left behind."""
    check_pdus(_loop().run_until_complete(_conversation(False, data[1:], 1 + data[0] if data else 1)))


def _pipe_seeds() -> list[bytes]:
    return [bytes([pieces]) + b"".join(messages_of(talk)) for talk in conversations() for pieces in (0, 9)]


@target("pipe-connection", _pipe_seeds, longest=4096)
def fuzz_pipe_connection(data: bytes) -> None:
    """Messages to a named pipe's connection behind smbd's request, which the first byte may leave out."""
    pieces = data[0] & 0x7F if data else 0
    request = b"" if data and data[0] & 0x80 else _SMBD.pack()
    said = _loop().run_until_complete(_conversation(True, request + data[1:], 1 + pieces))
    if not request:
        return
    assert said.startswith(pack_reply())
    answers, pos = said[len(pack_reply()) :], 0
    while pos < len(answers):
        end = pos + 2 + int.from_bytes(answers[pos : pos + 2], "little")
        check_pdus(answers[pos + 2 : end])
        pos = end
