"""`python -m tests.bench.parts.upstream FOLDER`: the server behind the relay, which answers as much as it is asked.

A real RPC server whose EMSMDB handler costs next to nothing, so that it does not hide what stands before it, and on the
same event loop a bare echo to compare it with. Says both ports on standard output, serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from pathlib import Path

from openchange_py.addressbook.source import open_directory
from openchange_py.cli.serve import run
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.transports.tcp import TcpServer
from openchange_py.wire.ndr import ContextHandle, NdrReader, RpcInterface
from openchange_py.wire.oxcrpc import EMSMDB
from tests.bench.parts import memory, people
from tests.bench.parts.calls import (
    EC_DO_CONNECT_EX,
    EC_DO_RPC_EXT2,
    RPCECHO,
    connect_response,
    echo_response,
    rpc_response,
)


class Echo:
    """Answers EcDoRpcExt2 with a stub of the request's size; made once per session and size."""

    def __init__(self) -> None:
        self._answer = functools.lru_cache(maxsize=4096)(_answer)

    def interfaces(self) -> list[RpcInterface]:
        return [EMSMDB, RPCECHO]

    async def handle(self, call: Call) -> bytes:
        if call.interface is RPCECHO:
            return echo_response(call.stub)
        if call.opnum == EC_DO_RPC_EXT2:
            return self._answer(call.stub[:20], len(call.stub))
        if call.opnum == EC_DO_CONNECT_EX:
            return connect_response(call.session.add_handle(self))
        raise RpcFault(FaultStatus.OP_RANGE_ERROR)

    async def unbind(self, session: Session) -> None:
        return


def _answer(handle: bytes, size: int) -> bytes:
    return rpc_response(ContextHandle.read(NdrReader(handle)), size)


async def _serve(place: Path) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    directory = open_directory(people.directory_url(place))
    server = TcpServer(Echo(), people.authenticator(directory))
    _, port = await server.start("127.0.0.1", 0)
    bare = await asyncio.get_running_loop().create_server(memory.Echo, "127.0.0.1", 0)
    print(port, bare.sockets[0].getsockname()[1], sep="\n", flush=True)
    await stopping.wait()
    bare.close()
    await server.stop()
    directory.close()


if __name__ == "__main__":
    run(_serve(Path(sys.argv[1])))
