"""ROP buffers as clients and servers send them: µs to decode and to pack, requests and responses.

The buffers are those of a session with our own server: a first page of a folder, later pages, a message, its text.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from openchange_py.servers.emsmdb.server import EmsmdbServer
from openchange_py.store.source import open_store
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcrpc import EcDoRpcExt2Request, EcDoRpcExt2Response
from openchange_py.wire.rop.base import RopReleaseRequest, RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxcfold import RopGetContentsTableRequest
from openchange_py.wire.rop.oxcmsg import RopOpenMessageRequest
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesAllRequest, RopGetPropertiesSpecificRequest
from openchange_py.wire.rop.oxcprpt_streams import RopOpenStreamRequest, RopReadStreamRequest
from openchange_py.wire.rop.oxctabl import (
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSetColumnsRequest,
    RopSortTableRequest,
)
from openchange_py.wire.rpcheaderext import unpack_payloads
from tests.bench.parts import people
from tests.bench.parts.mailbox import INBOX, LOGON, MailboxSession, calling, make_mailbox
from tests.bench.parts.report import Report
from tests.bench.parts.timing import microseconds, on_loop
from tests.bench.tables import COLUMNS, MESSAGE, NEWEST, PAGE, TABLE

STREAM = 4


@dataclasses.dataclass
class Exchange:
    """A request and its answer, as bytes, and what must be known to read the answer."""

    what: str
    request: bytes
    response: bytes
    states: HandleStates


def run(quick: bool) -> Report:
    """Every buffer of the session."""
    report = Report(
        "rops",
        notes=[
            "one ROP buffer each, without RPC header and compression; best rounds, in one process",
            "unpack, pack: µs from bytes to the ROPs' fields and back",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        directory = people.make_directory(place)
        stack.callback(directory.close)
        make_mailbox(place / "mailboxes.db", directory, 2 * PAGE)
        store = open_store(f"sqlite:///{place}/mailboxes.db")
        stack.callback(store.close)
        session = Recording(EmsmdbServer(directory, store))
        on_loop(session.play())
    table = report.table(
        "ROP buffers",
        *("buffer", "request B", "unpack req", "pack req"),
        *("response B", "unpack resp", "pack resp", "unpack MB/s"),
    )
    for exchange in session.exchanges:
        table.add(*_measure(exchange, quick=quick))
    return report


def _measure(exchange: Exchange, *, quick: bool) -> list[str | int | float]:
    request = RopBuffer.unpack_request(exchange.request)
    response = RopBuffer.unpack_response(exchange.response, request, copy.deepcopy(exchange.states))
    assert request.pack() == exchange.request
    assert response.pack() == exchange.response
    states = copy.deepcopy(exchange.states)
    times = microseconds(
        {
            "request unpack": lambda: RopBuffer.unpack_request(exchange.request),
            "request pack": request.pack,
            "response unpack": lambda: RopBuffer.unpack_response(exchange.response, request, states),
            "response pack": response.pack,
        },
        quick=quick,
    )
    size = len(exchange.response)
    return [
        *(exchange.what, len(exchange.request), times["request unpack"], times["request pack"]),
        *(size, times["response unpack"], times["response pack"], size / times["response unpack"]),
    ]


class Recording(MailboxSession):
    """A session that keeps its buffers."""

    def __init__(self, server: EmsmdbServer) -> None:
        super().__init__(calling(server))
        self.exchanges: list[Exchange] = []
        self._what = ""

    async def play(self) -> None:
        """What a client does that shows a folder and a message."""
        await self.open()
        query = RopQueryRowsRequest(0, TABLE, 0, 1, PAGE)
        first = [
            RopGetContentsTableRequest(0, INBOX, TABLE, 0),
            RopSetColumnsRequest(0, TABLE, 0, list(COLUMNS)),
            RopSortTableRequest(0, TABLE, 0, 0, 0, NEWEST),
            query,
        ]
        *_, rows = await self._keep(f"table: columns, sort, {PAGE} x {len(COLUMNS)} rows", first)
        assert isinstance(rows, RopQueryRowsResponse)
        await self._keep(f"next {PAGE} rows", [query])
        mid = rows.rows[0].values[COLUMNS.index(p.PidTagMid)]
        opening = RopOpenMessageRequest(0, LOGON, MESSAGE, 0x0FFF, self.inbox, 0, mid)
        await self._keep("open a message, all properties", [opening, RopGetPropertiesAllRequest(0, MESSAGE, 0, 1)])
        specific = RopGetPropertiesSpecificRequest(0, MESSAGE, 0, 1, list(COLUMNS))
        await self._keep(f"{len(COLUMNS)} properties", [specific])
        reading = [
            RopOpenStreamRequest(0, MESSAGE, STREAM, p.PidTagBody, 0),
            RopReadStreamRequest(0, STREAM, 4096),
            RopReleaseRequest(0, STREAM),
        ]
        await self._keep("read a stream", reading)

    async def _keep(self, what: str, rops: Sequence[RopRequest]) -> list[object]:
        states = copy.deepcopy(self.states)
        stub = self.stub(rops)
        reply = await self.send(stub)
        request = unpack_payloads(EcDoRpcExt2Request.unpack(stub).rgb_in)[0]
        response = unpack_payloads(EcDoRpcExt2Response.unpack(reply).rgb_out)[0]
        self.exchanges.append(Exchange(what, request, response, states))
        answered = self.decode(rops, reply)
        self.handles = answered.handles
        return list(self.successes(answered))
