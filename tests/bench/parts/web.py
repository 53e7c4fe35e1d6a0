"""`python -m tests.bench.parts.web CERTIFICATE KEY`: an endpoint over a handler that echoes, and a bare h11 echo.

Says both ports on standard output, and those of both with TLS; serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import cast

import h11

from openchange_py.cli.serve import run
from openchange_py.transports.tls import TlsCertificate
from tests.transports.mapi_parties import mapi_serving


class BareEcho(asyncio.Protocol):
    """The least that a server with h11 does: the body back, in one chunk."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        while isinstance(event := self._http.next_event(), h11.Event):
            if isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._answer()

    def _answer(self) -> None:
        # X-ResponseCode is what the client of the other server looks for.
        fields = [("Content-Type", "application/mapi-http"), ("Transfer-Encoding", "chunked"), ("X-ResponseCode", "0")]
        http, body, self._body = self._http, self._body, b""
        head = http.send(h11.Response(status_code=200, headers=fields)) or b""
        self._transport.write(head + (http.send(h11.Data(data=body)) or b"") + (http.send(h11.EndOfMessage()) or b""))
        http.start_next_cycle()


async def _serve() -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        for tls in (None, TlsCertificate(Path(sys.argv[1]), Path(sys.argv[2]))):
            serving = await stack.enter_async_context(mapi_serving(tls=tls))
            serving.handler.calls = _Forgetful()
            bare = await loop.create_server(BareEcho, "127.0.0.1", 0, ssl=tls.context if tls is not None else None)
            stack.callback(bare.close)
            print(serving.port, bare.sockets[0].getsockname()[1], sep="\n", flush=True)
        await stopping.wait()


class _Forgetful(list):  # type: ignore[type-arg]
    """The handler remembers its calls for tests; here it need not."""

    def append(self, value: object) -> None:
        return


if __name__ == "__main__":
    run(_serve())
