"""Connections without sockets: both ends in one process, on its event loop.

What is left of a call's time is what this project's code takes: no system calls, no other process that has to be
waited for. Bytes arrive in the loop's next round, as they would from a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from openchange_py.rpc.initiator import Initiator
from openchange_py.rpc.security import AuthLevel, SecurityContext
from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.transports.tcp_connection import ServerConnection
from openchange_py.wire.ndr import RpcInterface


class MemoryTransport(asyncio.Transport):
    """One end, that of `protocol`. `other` is the opposite one."""

    other: MemoryTransport

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 2)})
        self._protocol = protocol
        self._call_soon: Callable[..., Any] = asyncio.get_running_loop().call_soon
        self._closing = False
        #: What came while the protocol did not read; None while it reads.
        self._unread: list[bytes] | None = None

    def write(self, data: Any) -> None:
        if not self._closing:
            self._call_soon(self.other.receive, data)

    def receive(self, data: bytes) -> None:
        """Bytes from the other end."""
        if self._unread is None:
            self._protocol.data_received(data)
        else:
            self._unread.append(data)

    def pause_reading(self) -> None:
        if self._unread is None:
            self._unread = []

    def resume_reading(self) -> None:
        unread, self._unread = self._unread, None
        for data in unread or ():
            self._call_soon(self.receive, data)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._call_soon(self._protocol.connection_lost, None)
            self._call_soon(self.other.close)

    abort = close


def link(one: asyncio.Protocol, other: asyncio.Protocol) -> None:
    """Connect two protocols."""
    ends = MemoryTransport(one), MemoryTransport(other)
    ends[0].other, ends[1].other = ends[1], ends[0]
    one.connection_made(ends[0])
    other.connection_made(ends[1])


async def connect(
    server: TcpServer, interface: RpcInterface, context: SecurityContext | None, level: AuthLevel, group: int = 0
) -> RpcClient:
    """`RpcClient.connect` to a server that listens nowhere."""
    client = RpcClient(Initiator(context, level, assoc_group=group))
    link(client, ServerConnection(server, 1))
    await client._bind(interface, context)
    return client


class Echo(asyncio.Protocol):
    """Sends back what it gets; the other side of the bare echo that calls are compared with."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class EchoClient(asyncio.Protocol):
    """Sends and waits for as much as it sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._answer: asyncio.Future[None] | None = None
        self._missing = 0

    def data_received(self, data: bytes) -> None:
        self._missing -= len(data)
        if self._missing <= 0 and self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    async def call(self, data: bytes) -> None:
        """One exchange."""
        self._missing = len(data)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        await self._answer

    async def close(self) -> None:
        """No more exchanges."""
        self._transport.close()
