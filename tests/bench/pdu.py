"""The RPC runtime alone: what a call costs its server at each level of protection, and what the relay adds.

First the server's CPU time over TCP, as a ratio to a bare echo of the same bytes on the same event loop. Then client,
relay and upstream in one process, connected in memory: CPU time of this project's code and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from openchange_py.addressbook.base import Directory
from openchange_py.proxy.authorize import Authorizer
from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.modules.dummy import DummyModule
from openchange_py.proxy.relay import Relay
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Call
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.oxcrpc import EMSMDB
from tests.bench.parts import calls, memory, people, processes
from tests.bench.parts.report import Report, Table, median_ratio
from tests.bench.parts.timing import in_turn, on_loop, server_cpu
from tests.bench.parts.upstream import Echo

LEVELS = (AuthLevel.NONE, AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY)
SIZES = {"100 B": 100, "4 KiB": 4096, "32 KiB": 32768}

#: Clients at a time, which keep the server busy.
CLIENTS = 8

Variants = dict[str, Callable[[], Awaitable[object]]]


def run(quick: bool) -> Report:
    """Every level, sizes in turn."""
    report = Report(
        "pdu",
        notes=[
            "server CPU: µs of the server's process per call over TCP, median round; echo: the same bytes sent back by",
            f"a bare asyncio.Protocol on the same event loop; one client, and {CLIENTS} at once; ratio: median round",
            "in memory: µs per call, best round, call() to answer at client and server together, no sockets;",
            "relay: that much more with the relay between",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as place, contextlib.ExitStack() as stack:
        directory = people.make_directory(Path(place))
        stack.callback(directory.close)
        server = stack.enter_context(processes.python("upstream", place))
        ports = processes.said_port(server), processes.said_port(server)
        on_loop(_measure_server(report, server.pid, *ports, quick=quick))
        on_loop(_measure(report, directory, quick=quick))
    return report


async def _measure_server(report: Report, pid: int, port: int, bare_port: int, *, quick: bool) -> None:
    """What a call costs its server."""
    echoes = [await _bare_client(bare_port) for _ in range(CLIENTS)]
    clients = {level: [await _tcp_client(port, level) for _ in range(CLIENTS)] for level in LEVELS}
    for name, size in list(SIZES.items())[: 1 if quick else None]:
        data = bytes(size)
        variants = {"echo": [functools.partial(echo.call, data) for echo in echoes]}
        for level, found in clients.items():
            variants[level.name.lower()] = [await _calling(client, size) for client in found]
        table = report.table(
            f"server CPU, stubs of {name} both ways",
            "level",
            "1: µs",
            "1: vs echo",
            f"{CLIENTS}: µs",
            f"{CLIENTS}: vs echo",
        )
        alone = await server_cpu(pid, {name: calls[:1] for name, calls in variants.items()}, quick=quick)
        together = await server_cpu(pid, variants, quick=quick)
        for level in variants:
            row = (median_ratio(times[level], times["echo"]) for times in (alone, together))
            one, eight = row
            table.add(level, statistics.median(alone[level]), one, statistics.median(together[level]), eight)
    for client in (*echoes, *(client for found in clients.values() for client in found)):
        await client.close()


async def _bare_client(port: int) -> memory.EchoClient:
    _, client = await asyncio.get_running_loop().create_connection(memory.EchoClient, "127.0.0.1", port)
    return client


async def _tcp_client(port: int, level: AuthLevel) -> RpcClient:
    context = None if level == AuthLevel.NONE else people.client_context(level)
    return await RpcClient.connect("127.0.0.1", port, EMSMDB, context=context, level=level)


async def _measure(report: Report, directory: Directory, *, quick: bool) -> None:
    for name, size in list(SIZES.items())[: 1 if quick else None]:
        table = report.table(
            f"in memory, stubs of {name} both ways",
            "level",
            "echo",
            "call",
            "vs echo",
            "relay",
            "vs echo",
            "relay+dummy",
        )
        for level in LEVELS:
            async with _variants(directory, level, size) as variants:
                _fill(table, level, await in_turn(variants, quick=quick, clock=time.process_time))


def _fill(table: Table, level: AuthLevel, times: dict[str, float]) -> None:
    echo, call = times["echo"], times["call"]
    if "relay" not in times:
        table.add(level.name.lower(), echo, call, call / echo, None, None, None)
        return
    relay, dummy = times["relay"] - call, times["dummy"] - call
    table.add(level.name.lower(), echo, call, call / echo, relay, relay / echo, dummy)


@contextlib.asynccontextmanager
async def _variants(directory: Directory, level: AuthLevel, size: int) -> AsyncIterator[Variants]:
    """The bare echo, a call, and one through the relay without and with a module; nobody relays anonymous calls."""
    upstream = TcpServer(Echo(), people.authenticator(directory))
    one = memory.EchoClient()
    memory.link(one, memory.Echo())
    data = bytes(size)
    variants: Variants = {"echo": lambda: one.call(data)}
    clients = [await _client(upstream, level)]
    if level != AuthLevel.NONE:
        relays = [_relay(directory, upstream, level, modules) for modules in ((), (DummyModule(),))]
        clients += [await _client(relay, level) for relay in relays]
    for name, client in zip(("call", "relay", "dummy"), clients, strict=False):
        variants[name] = await _calling(client, size)
    yield variants
    for client in clients:
        await client.close()


async def _client(server: TcpServer, level: AuthLevel) -> RpcClient:
    return await memory.connect(server, EMSMDB, people.client_context(level), level)


async def _calling(client: RpcClient, size: int) -> Callable[[], Awaitable[object]]:
    stub = calls.rpc_request(await calls.connect(client, people.USER_DN), size)
    assert len(await client.call(calls.EC_DO_RPC_EXT2, stub)) == size
    return lambda: client.call(calls.EC_DO_RPC_EXT2, stub)


def _relay(directory: Directory, upstream: TcpServer, level: AuthLevel, modules: tuple[Module, ...]) -> TcpServer:
    """The relay's server; its connections go to the upstream's."""

    async def connect(call: Call, group: int) -> RpcClient:
        return await memory.connect(upstream, call.interface, people.relay_context(level), level, group)

    relay = Relay(connect, Authorizer(directory))
    dispatcher = Dispatcher(
        {},
        ModuleStack(modules),
        relayed={EMSMDB.name: EMSMDB},
        relay=relay,
        minimum_levels={EMSMDB.name: AuthLevel.CONNECT},
    )
    return TcpServer(
        dispatcher,
        people.authenticator(directory, "HYBRID"),
        minimum_level=dispatcher.minimum_level,
        waits=dispatcher.waits,
    )
