"""An echo server on a free port, on both event loops, for tests of the transports."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp import RpcClient, TcpServer
from openchange_py.wire.ndr import RpcInterface
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.rpc.echo import ECHO, EchoHandler
from tests.rpc.parties import ntlm

LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


def run(main: Callable[[], Coroutine[Any, Any, None]], loop: str = "asyncio") -> None:
    """Run a test's coroutine, at most 30 s."""

    async def limited() -> None:
        async with asyncio.timeout(30):
            await main()

    if loop == "uvloop":
        import uvloop

        uvloop.run(limited())
    else:
        asyncio.run(limited())


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[TcpServer, EchoHandler, int]]:
    """A running server, its handler and its port."""
    handler = EchoHandler()
    server = TcpServer(handler, authenticator(), **options)
    _, port = await server.start("127.0.0.1", 0)
    try:
        yield server, handler, port
    finally:
        await server.stop()


async def client(
    port: int,
    level: AuthLevel = AuthLevel.NONE,
    *,
    interface: RpcInterface = ECHO,
    password: str = PASSWORD,
    user: str = "alice",
    **options: Any,
) -> RpcClient:
    """A connected client."""
    context = ntlm(level, password, user)
    return await RpcClient.connect("127.0.0.1", port, interface, context=context, level=level, **options)
