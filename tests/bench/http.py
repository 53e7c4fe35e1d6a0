"""MAPI over HTTP against a bare h11 echo: Execute calls/s per core with keep-alive, µs of CPU per call.

Server and echo are in one process of its own, on one event loop; one client sends them the same requests in turn over
connections that stay open, plain and with TLS (the echo's is the event loop's own). The handler behind the endpoint
costs next to nothing, and nobody authenticates twice: what is measured is the HTTP server, the translation to a call
and back, and the session.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from openchange_py.wire.oxcmapihttp import ExecuteRequest
from tests.bench.parts import processes
from tests.bench.parts.processes import cpu_seconds
from tests.bench.parts.report import Report, median_ratio
from tests.bench.parts.timing import on_loop
from tests.transports.http_parties import RawClient, make_pair, raw_client, trusting
from tests.transports.mapi_parties import MapiClient

SIZES = {"100 B": 100, "4 KiB": 4096, "32 KiB": 32768}
ROUNDS, CALLS = 8, 400


def run(quick: bool = False) -> Report:
    """Both ways in turn, size by size."""
    report = Report("http")
    columns = "ROPs", "calls/s per core", "µs CPU", "echo µs CPU", "vs echo"
    plain = report.table("Execute over HTTP/1.1 with keep-alive", *columns)
    secure = report.table("The same with TLS", *columns)
    rounds, calls = (1, 3) if quick else (ROUNDS, CALLS)

    async def main(place: Path) -> None:
        certificate, key = make_pair(place)
        with processes.python("web", str(certificate), str(key)) as process:
            for table, context in ((plain, None), (secure, trusting(certificate))):
                port, echo = processes.said_port(process), processes.said_port(process)
                async with raw_client(port, context) as client, raw_client(echo, context) as bare:
                    outlook = MapiClient()
                    await outlook.connect(client)
                    for name, size in SIZES.items():
                        body = ExecuteRequest(3, bytes(size), 0x8000)
                        ours, theirs = [], []
                        for _ in range(rounds):
                            ours.append(await _round(outlook, client, body, calls, process.pid))
                            theirs.append(await _round(outlook, bare, body, calls, process.pid))
                        best = min(ours)
                        table.add(name, round(1e6 / best), best, min(theirs), median_ratio(ours, theirs))

    with TemporaryDirectory() as place:
        on_loop(main(Path(place)))
    return report


async def _round(outlook: MapiClient, client: RawClient, body: ExecuteRequest, calls: int, pid: int) -> float:
    """µs of the server's CPU per call."""
    before, started = cpu_seconds(pid), time.perf_counter()
    for _ in range(calls):
        answer = await outlook.ask(client, "Execute", body)
        assert answer.status == 200
    await asyncio.sleep(0)
    spent = cpu_seconds(pid) - before
    return (spent if spent == spent and spent > 0 else time.perf_counter() - started) / calls * 1e6
