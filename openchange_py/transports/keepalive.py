"""Notice within minutes that the other machine is gone, however long nobody has anything to say."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

#: Seconds of silence before the first probe, between probes, how many of them; milliseconds for sent bytes.
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the system probe a TCP connection; nothing is done with any other transport."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE.items():
        if (number := getattr(socket, option, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, number, value)
