"""The relay against no relay, plain TCP relays and Samba's relay: latency, calls/s, CPU time per call.

Client, relay and upstream are processes of their own. The client is `RpcClient` in this process, the relay is
`ocpy serve` with EMSMDB relayed, the upstream a real RPC server whose handler answers as much as it was asked. Samba's
relay does not know EMSMDB: through it, and beside it without a relay, go calls of rpcecho, which are of the same size.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openchange_py.cli.processes import ServeProcess
from openchange_py.rpc.security import AuthLevel, SecurityContext
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxcrpc import EMSMDB
from tests.bench.parts import calls, people, processes, samba
from tests.bench.parts.nodes import relay_options, write_node
from tests.bench.parts.report import Report, Table, median_ratio, quantile
from tests.bench.parts.timing import on_loop

LEVELS = (AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY)
SIZES = {"100 B": 100, "4 KiB": 4096, "32 KiB": 32768}
DIRECT, FORWARDER, SOCAT, HAPROXY = "no relay", "forwarder", "socat", "haproxy"
DIRECT_ECHO, SAMBA = "no relay, echo", "samba, echo"
#: Our relay by its modules: pass-through, every hook, all ROPs counted, everything decoded and written to /dev/null.
OURS = {"": "ocpy", "dummy": "ocpy+dummy", "stats": "ocpy+stats", "print": "ocpy+print"}
#: Clients at a time, for calls/s.
CLIENTS = 8


@dataclasses.dataclass(frozen=True)
class Calls:
    """What is called, and what makes its stub, for a connection and a size."""

    interface: RpcInterface
    opnum: int
    stub: Callable[[RpcClient, int], Awaitable[bytes]]


async def _mailbox_stub(client: RpcClient, size: int) -> bytes:
    return calls.rpc_request(await calls.connect(client, people.USER_DN), size)


async def _echo_stub(client: RpcClient, size: int) -> bytes:
    return calls.echo_request(size)


MAILBOX = Calls(EMSMDB, calls.EC_DO_RPC_EXT2, _mailbox_stub)
ECHO = Calls(calls.RPCECHO, calls.ECHO_DATA, _echo_stub)


@dataclasses.dataclass
class Way:
    """One way to the upstream, and what was measured on it."""

    name: str
    port: int
    pid: int | None = None
    host: str = "127.0.0.1"
    calls: Calls = MAILBOX
    context: Callable[[AuthLevel], SecurityContext | None] = people.client_context
    clients: list[RpcClient] = dataclasses.field(default_factory=list)
    stubs: list[bytes] = dataclasses.field(default_factory=list)
    latencies: list[int] = dataclasses.field(default_factory=list)
    alone: list[float] = dataclasses.field(default_factory=list)
    together: list[float] = dataclasses.field(default_factory=list)
    #: µs of the relay's process per call, one for each round.
    alone_cpu: list[float] = dataclasses.field(default_factory=list)
    together_cpu: list[float] = dataclasses.field(default_factory=list)

    async def connect(self, level: AuthLevel, count: int) -> None:
        """Open the connections, each with a session of its own."""
        for _ in range(count):
            client = await RpcClient.connect(
                self.host, self.port, self.calls.interface, context=self.context(level), level=level
            )
            self.clients.append(client)

    async def prepare(self, size: int) -> None:
        """Sessions, and the stubs to send in them."""
        self.stubs = [await self.calls.stub(client, size) for client in self.clients]

    def forget(self) -> None:
        """What was measured so far."""
        for measured in (self.latencies, self.alone, self.together, self.alone_cpu, self.together_cpu):
            measured.clear()

    async def measure_alone(self, count: int) -> None:
        """One client, one call after the other."""
        call, opnum, stub, latencies = self.clients[0].call, self.calls.opnum, self.stubs[0], self.latencies
        before = self._cpu()
        for _ in range(count):
            begin = time.perf_counter_ns()
            answer = await call(opnum, stub)
            latencies.append(time.perf_counter_ns() - begin)
        # The median call of the round: a process of somebody else's in between is no call's time.
        self.alone.append(statistics.median(latencies[-count:]) / 1000)
        self.alone_cpu.append((self._cpu() - before) / count * 1e6)
        assert len(answer) >= len(stub) - 4

    async def measure_together(self, count: int) -> None:
        """All clients at once."""

        async def calling(client: RpcClient, stub: bytes) -> None:
            for _ in range(count):
                await client.call(self.calls.opnum, stub)

        pairs = zip(self.clients, self.stubs, strict=True)
        before, start = self._cpu(), time.perf_counter_ns()
        await asyncio.gather(*(calling(client, stub) for client, stub in pairs))
        made = count * len(self.clients)
        self.together.append((time.perf_counter_ns() - start) / made / 1000)
        self.together_cpu.append((self._cpu() - before) / made * 1e6)

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        self.clients.clear()

    def _cpu(self) -> float:
        return 0.0 if self.pid is None else processes.cpu_seconds(self.pid)

    def cpu(self, measured: list[float]) -> float | None:
        """The median round; None where there is no relay, or one process per connection, or the kernel is silent."""
        return None if self.pid is None or any(map(math.isnan, measured)) else statistics.median(measured)


def run(quick: bool) -> Report:
    """All ways in turn, round by round."""
    report = Report(
        "relay",
        notes=[
            "client, relay and upstream in processes of their own; every figure from the same rounds, ways in turn",
            "echo: calls of rpcecho, which Samba's relay knows, against the same without a relay",
            "µs: median and 99th percentile of a call, one client; added: to the median, against no relay",
            f"calls/s: one client (by each round's median), and {CLIENTS} at once; vs: ratio, median over the rounds",
            "CPU: µs of the relay's process per call, system calls included; less where calls come in quick succession",
        ],
    )
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocpy-bench-")))
        people.make_directory(place).close()
        upstream = processes.said_port(stack.enter_context(processes.python("upstream", str(place))))
        plain = stack.enter_context(_plain_ways(place, upstream))
        no_samba = samba.missing()
        if no_samba:
            report.notes.append(f"without Samba's relay: {no_samba}")
        for level in LEVELS[-1:] if quick else LEVELS:
            with _ways(place, upstream, level, with_samba=not no_samba) as ways:
                on_loop(_measure_level(report, [*plain, *ways], level, quick=quick))
            for way in plain:
                way.forget()
    return report


@contextlib.contextmanager
def _plain_ways(place: Path, upstream: int) -> Iterator[list[Way]]:
    """No relay, and those that forward bytes."""
    with contextlib.ExitStack() as stack:
        forwarder = stack.enter_context(processes.python("forwarder", str(upstream)))
        ways = [Way(DIRECT, upstream), Way(FORWARDER, processes.said_port(forwarder), forwarder.pid)]
        if (found := stack.enter_context(processes.socat(upstream))) is not None:
            ways.append(Way(SOCAT, found[0]))
        if (found := stack.enter_context(processes.haproxy(upstream, place))) is not None:
            ways.append(Way(HAPROXY, *found))
        yield ways


@contextlib.contextmanager
def _ways(place: Path, upstream: int, level: AuthLevel, *, with_samba: bool) -> Iterator[list[Way]]:
    """Our relay, a process for each choice of modules, and Samba's."""
    with contextlib.ExitStack() as stack:
        relays = [
            ServeProcess(write_node(place, f"{level.name}-{modules}", relay_options(upstream, level, modules)))
            for modules in OURS
        ]
        for relay in relays:
            stack.callback(relay.stop)
        with ThreadPoolExecutor() as starting:
            list(starting.map(ServeProcess.__enter__, relays))
        ways = [
            Way(OURS[modules], relay.ready["rpc"]["port"], relay.ready["pid"])
            for modules, relay in zip(OURS, relays, strict=True)
        ]
        if with_samba:
            ways.append(Way(DIRECT_ECHO, upstream, calls=ECHO))
            address = stack.enter_context(samba.relay(upstream, level, place / f"samba-{level.name}"))
            port = asyncio.run(samba.port_of(address))
            ways.append(Way(SAMBA, port, host=address, calls=ECHO, context=samba.context))
        yield ways


async def _measure_level(report: Report, ways: list[Way], level: AuthLevel, *, quick: bool) -> None:
    for way in ways:
        await way.connect(level, 2 if quick else CLIENTS)
    for name, size in list(SIZES.items())[: 1 if quick else None]:
        table = report.table(
            f"{level.name.lower()}, stubs of {name} both ways",
            *("way", "p50 µs", "p99 µs", "added", "calls/s", "vs none", "vs fwd", "CPU µs"),
            *(f"{CLIENTS}: calls/s", f"{CLIENTS}: vs none", f"{CLIENTS}: vs fwd", f"{CLIENTS}: CPU µs"),
        )
        await _measure(ways, size, quick=quick)
        _fill(table, ways)
    for way in ways:
        await way.close()


async def _measure(ways: list[Way], size: int, *, quick: bool) -> None:
    rounds, alone, together = (2, 3, 2) if quick else (11, 100, 25)
    for way in ways:
        await way.prepare(size)
    for way in ways:
        await way.measure_together(together)
        await way.measure_alone(alone)
        way.forget()
    for number in range(rounds):
        first = number % len(ways)
        for way in (*ways[first:], *ways[:first]):
            await way.measure_alone(alone)
        for way in (*ways[first:], *ways[:first]):
            await way.measure_together(together)


def _fill(table: Table, ways: list[Way]) -> None:
    direct = {way.calls: way for way in ways if way.name in (DIRECT, DIRECT_ECHO)}
    forwarder = ways[1]
    for way in ways:
        none = direct[way.calls]
        p50, p99 = statistics.median(way.latencies) / 1000, quantile(way.latencies, 0.99) / 1000
        table.add(
            *(way.name, p50, p99, p50 - statistics.median(none.latencies) / 1000),
            *(int(1e6 / statistics.median(way.alone)), *_ratios(none.alone, forwarder.alone, way.alone)),
            way.cpu(way.alone_cpu),
            *(int(1e6 / statistics.median(way.together)), *_ratios(none.together, forwarder.together, way.together)),
            way.cpu(way.together_cpu),
        )


def _ratios(none: list[float], forwarder: list[float], times: list[float]) -> tuple[float, float]:
    """Calls/s, against no relay and against the forwarder: the ratio of their times the other way round."""
    return median_ratio(none, times), median_ratio(forwarder, times)
