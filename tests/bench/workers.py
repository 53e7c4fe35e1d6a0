"""One process and two behind the same port: calls/s of eight clients, and CPU time per call of all processes together.

Both nodes serve the same mailbox, in turn, round by round. The clients are this process, which needs a part of the
machine too: what two workers can gain at most is what is left of it, and the table tells that as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from openchange_py.cli.processes import ServeProcess
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.oxcrpc import EMSMDB
from tests.bench.parts import people
from tests.bench.parts.mailbox import MailboxSession, make_mailbox
from tests.bench.parts.nodes import server_options, write_node
from tests.bench.parts.processes import cpu_seconds
from tests.bench.parts.report import Report
from tests.bench.parts.timing import on_loop
from tests.bench.tables import Reader

CLIENTS: Final = 8
MESSAGES: Final = 2000
ROUNDS: Final = 9
#: Seconds of one round of one node, about.
_ROUND: Final = 0.5
WORKS: Final = {
    "newest_first": "first pages: table, columns, sorted by time",
    "page": "pages of 50 rows by 10 columns",
    "whole_message": "messages: open, all properties, release",
}


@dataclasses.dataclass
class Workers:
    """A node with so many, its clients, and what was measured: calls/s, and µs of CPU per call, by rounds."""

    count: int
    port: int
    processes: list[int]
    readers: list[Reader] = dataclasses.field(default_factory=list)
    rates: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)
    client_cpu: list[float] = dataclasses.field(default_factory=list)

    async def connect(self, stack: contextlib.AsyncExitStack) -> None:
        """All clients, each with a mailbox session."""
        for _ in range(CLIENTS):
            context = people.client_context(AuthLevel.CONNECT)
            client = await RpcClient.connect("127.0.0.1", self.port, EMSMDB, context=context, level=AuthLevel.CONNECT)
            stack.push_async_callback(client.close)
            session = MailboxSession(client.call)
            await session.open()
            reader = Reader(session)
            await reader.open()
            self.readers.append(reader)

    async def measure(self, work: str, seconds: float) -> None:
        """One round."""
        before, own = sum(map(cpu_seconds, self.processes)), cpu_seconds(os.getpid())
        start = time.perf_counter()

        async def calling(reader: Reader) -> int:
            calls, call = 0, getattr(reader, work)
            while time.perf_counter() < start + seconds:
                await call()
                calls += 1
            return calls

        calls = sum(await asyncio.gather(*map(calling, self.readers)))
        self.rates.append(calls / (time.perf_counter() - start))
        self.cpu.append((sum(map(cpu_seconds, self.processes)) - before) / calls * 1e6)
        self.client_cpu.append((cpu_seconds(os.getpid()) - own) / calls * 1e6)

    def forget(self) -> None:
        """What was measured so far."""
        for measured in (self.rates, self.cpu, self.client_cpu):
            measured.clear()


def run(quick: bool) -> Report:
    """Both nodes in turn."""
    report = Report(
        "workers",
        notes=[
            f"{CLIENTS} clients in one process, level connect; SQLite, inbox of {200 if quick else MESSAGES} messages",
            "medians of rounds in turn; CPU: of all of the node's processes, and of the clients'",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        directory = people.make_directory(place)
        stack.callback(directory.close)
        make_mailbox(place / "mailboxes.db", directory, 200 if quick else MESSAGES)
        nodes = []
        for count in (1, 2):
            options = {"ocpy:database": f"sqlite:///{place}/mailboxes.db", "ocpy:workers": str(count)}
            options["ocpy:max sessions per account"] = "1000"
            folder = write_node(place, f"workers{count}", server_options() | options)
            ready = stack.enter_context(ServeProcess(folder)).ready
            processes = [ready["pid"], *(worker["pid"] for worker in ready.get("workers", []))]
            nodes.append(Workers(count, ready["rpc"]["port"], processes))
        on_loop(_measure(report, nodes, quick=quick))
    return report


async def _measure(report: Report, nodes: list[Workers], *, quick: bool) -> None:
    table = report.table(
        f"{CLIENTS} clients at once",
        *("what", "1 process /s", "2 workers /s", "ratio", "µs CPU, 1", "µs CPU, 2", "of the clients"),
    )
    async with contextlib.AsyncExitStack() as stack:
        for node in nodes:
            await node.connect(stack)
        for work, what in WORKS.items():
            for _ in range(1 if quick else ROUNDS):
                for node in nodes:
                    await node.measure(work, 0.02 if quick else _ROUND)
            one, two = nodes
            rates = [statistics.median(node.rates) for node in nodes]
            ratio = statistics.median(b / a for a, b in zip(one.rates, two.rates, strict=True))
            cpu = [statistics.median(node.cpu) for node in nodes]
            clients = statistics.median([*one.client_cpu, *two.client_cpu])
            table.add(what, *map(round, rates), ratio, *map(round, cpu), round(clients))
            for node in nodes:
                node.forget()
