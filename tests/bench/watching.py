"""The modules that watch: what each adds to a call, for small ROPs, bytes and rows of a table.

In one process, without sockets and without a server: the module stack alone, around what answers at once.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from openchange_py.proxy.hooks import Module
from openchange_py.proxy.modules.dummy import DummyModule
from openchange_py.proxy.modules.print import PrintModule
from openchange_py.proxy.modules.record import RecordModule
from openchange_py.proxy.modules.stats import StatsModule
from openchange_py.proxy.stack import ModuleStack
from openchange_py.proxy.testing import settings_of
from openchange_py.rpc.call import Call, Session
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Request, EcDoRpcExt2Response
from openchange_py.wire.proptags import PidTagMessageSize, PidTagSenderName, PidTagSubject
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest, RopOpenFolderResponse
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamRequest, RopReadStreamResponse
from openchange_py.wire.rop.oxctabl import (
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
)
from openchange_py.wire.rpcheaderext import pack_payload
from tests.bench.parts.report import Report

_COLUMNS = [PidTagSubject, PidTagSenderName, PidTagMessageSize]
_ROWS = [PropertyRow([f"Subject of message {number}", "Alice Example", number]) for number in range(20)]
_CXH = ContextHandle(0, uuid.UUID(int=1))

#: What is asked and answered.
CALLS: dict[str, tuple[Rop, Rop]] = {
    "RopOpenFolder": (RopOpenFolderRequest(0, 0, 1, 9, 0), RopOpenFolderResponse(1, 0, 0, 0)),
    "RopReadStream, 4 KiB": (RopReadStreamRequest(0, 0, 4096), RopReadStreamResponse(0, 0, b"text " * 819)),
    "RopQueryRows, 20 rows": (RopQueryRowsRequest(0, 0, 0, 1, 20), RopQueryRowsResponse(0, 0, 2, _ROWS, _COLUMNS)),
}
_SET_COLUMNS = (RopSetColumnsRequest(0, 0, 0, _COLUMNS), RopSetColumnsResponse(0, 0, 0))


def modules(place: Path) -> dict[str, tuple[list[type[Module]], dict[str, str]]]:
    """What stands in the stack, with its options."""
    return {
        "none": ([], {}),
        "dummy": ([DummyModule], {}),
        "stats, rops = no": ([StatsModule], {"mpm_stats:rops": "no"}),
        "stats": ([StatsModule], {}),
        "print to /dev/null": ([PrintModule], {"mpm_print:file": "/dev/null"}),
        "record, none": ([RecordModule], {"mpm_record:file": "/dev/null", "mpm_record:anonymize": "none"}),
        "record, content": ([RecordModule], {"mpm_record:file": str(place / "calls")}),
    }


def run(quick: bool) -> Report:
    """Every module with every kind of call."""
    report = Report("watching", notes=["µs per call through the module stack, median of the rounds"])
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as place:
        table = report.table("added by the module", "module", *CALLS)
        for name, (kinds, options) in modules(Path(place)).items():
            table.add(name, *(asyncio.run(_measure(kinds, options, *rops, quick=quick)) for rops in CALLS.values()))
    return report


async def _measure(kinds: list[type[Module]], options: dict[str, str], ask: Rop, answer: Rop, *, quick: bool) -> float:
    stack = ModuleStack([kind() for kind in kinds])
    for kind in kinds:
        await stack.init(settings_of(kind, options))
    reply = _reply(answer)

    async def inside(call: Call) -> None:
        call.answer(reply)

    way, session, stub = stack.around(EMSMDB.name, inside), Session("bench", ""), _stub(ask)
    reply = _reply(_SET_COLUMNS[1])
    await way(Call(EMSMDB, 11, _stub(_SET_COLUMNS[0]), session))
    reply = _reply(answer)
    rounds, count = (2, 2) if quick else (9, 200)
    measured = []
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        for _ in range(count):
            await way(Call(EMSMDB, 11, stub, session))
        measured.append((time.perf_counter_ns() - begin) / count / 1000)
    await stack.unbind(session)
    await stack.close()
    return statistics.median(measured)


def _stub(rop: Rop) -> bytes:
    return EcDoRpcExt2Request(_CXH, 0, pack_payload(RopBuffer([rop], [5, 6]).pack(), xor=True), 0x8007).pack()


def _reply(rop: Rop) -> bytes:
    rgb_out = pack_payload(RopBuffer([rop], [5, 6]).pack(), xor=True)
    return EcDoRpcExt2Response(_CXH, 0, rgb_out, b"", 0, 0).pack()
