"""`python -m tests.bench.parts.forwarder PORT`: forwards bytes to PORT, on the event loop that the product uses.

What a relay costs that looks at nothing. Says its own port on standard output, forwards until it is terminated.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from openchange_py.cli.serve import run
from openchange_py.transports.tasks import spawn


class Leg(asyncio.Protocol):
    """One side of a forwarded connection; what comes before the other side is there waits."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.other: Any = None
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.waiting += data
        else:
            self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


class Accepted(Leg):
    """The client's side."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        spawn(self._connect(), "connecting")

    async def _connect(self) -> None:
        transport, leg = await asyncio.get_running_loop().create_connection(Leg, "127.0.0.1", self._port)
        leg.other, self.other = self.transport, transport
        self.other.write(self.waiting)


async def _forward(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Accepted(port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run(_forward(int(sys.argv[1])))
