"""A server process for foreign DCE/RPC test suites: endpoint mapper on port 135, netlogon and rpcecho beside it.

    python -m tests.interop.rpc_test_server 127.77.0.1 [MODULE:FUNCTION [FOLDER]]

with the accounts that a function makes, and LSA's one call on pipes in a folder where smbd seeks them. It prints one
line of JSON once it listens, and serves until its standard input is closed. The one account is `EXAMPLE\\alice` by
default; anybody may log on as nobody, as on Windows' endpoint mapper. Root, for port 135.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
from pathlib import Path

from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.call import Call
from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.rpc.security import Authenticator
from openchange_py.transports.pipe import PipeServer
from openchange_py.transports.tcp import TcpLimits, TcpServer
from tests.auth.ntlm_parties import authenticator
from tests.interop.interfaces import RPCECHO, LsaServer, NetlogonServer, RpcEchoServer

#: What Windows and Samba take of one call, whoever makes it.
LIMITS = TcpLimits(call_size=4 << 20, anonymous_call_size=4 << 20)


class Applications(InlineHandler):
    """netlogon and rpcecho; TestSleep takes its time."""

    def __init__(self) -> None:
        super().__init__([NetlogonServer(), RpcEchoServer()])

    async def handle(self, call: Call) -> bytes:
        reply = await super().handle(call)
        if sleeps(call):
            await asyncio.sleep(min(call.request.value, 10))  # type: ignore[attr-defined]
        return reply


def sleeps(call: Call) -> bool:
    """A call that waits, beside others of its session."""
    return call.interface is RPCECHO and call.opnum == 6


async def lsa_pipe(folder: Path, accounts: Authenticator) -> PipeServer:
    """As Windows has it: who opens `lsarpc` is told that it is `lsass`."""
    server = PipeServer(InlineHandler([LsaServer()]), accounts, groups=AssociationGroups("ncacn_np"))
    await server.listen(folder, "lsarpc")
    server.endpoint = r"\pipe\lsass"
    return server


async def serve(address: str, accounts: Authenticator, pipes: Path | None = None) -> None:
    mapper = EpmapperServer()
    applications = TcpServer(Applications(), accounts, limits=LIMITS, waits=sleeps)
    _, port = await applications.start(address, 0)
    for interface in applications.handler.interfaces():
        mapper.register(Endpoint(interface, port, address))
    endpoint_mapper = TcpServer(InlineHandler([mapper]), accounts, limits=LIMITS)
    await endpoint_mapper.start(address, 135)
    servers = [endpoint_mapper, applications]
    if pipes is not None:
        servers.append(await lsa_pipe(pipes, accounts))
    print(json.dumps({"address": address, "applications": port}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for server in servers:
        await server.stop()


def accounts(maker: str) -> Authenticator:
    """What `MODULE:FUNCTION` makes; EXAMPLE\\alice and nobody where it is empty."""
    if not maker:
        return authenticator(allow_anonymous=True)
    module, _, function = maker.partition(":")
    made: Authenticator = getattr(importlib.import_module(module), function)()
    return made


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    maker, folder = [*sys.argv[2:], "", ""][:2]
    asyncio.run(serve(sys.argv[1], accounts(maker), Path(folder) if folder else None))
