"""Reading a large inbox: rows/s of pages of 50 rows by 10 columns, first pages, messages/s, at every layer.

The same ROPs in the same session: the server alone in this process, `ocpy serve` as a process of its own over TCP,
and the same through a hybrid that relays, all sealed. What the client does with an answer is not in the figures.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from openchange_py.addressbook.base import Directory
from openchange_py.cli.processes import ServeProcess
from openchange_py.rpc.security import AuthLevel
from openchange_py.servers.emsmdb.server import EmsmdbServer
from openchange_py.store.source import open_store
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import MessageId
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.sorting import Order, SortOrder
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.rop.base import RopReleaseRequest, RopRequest
from openchange_py.wire.rop.oxcfold import RopGetContentsTableRequest
from openchange_py.wire.rop.oxcmsg import RopOpenMessageRequest
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesAllRequest, RopGetPropertiesSpecificRequest
from openchange_py.wire.rop.oxctabl import (
    Bookmark,
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSeekRowRequest,
    RopSetColumnsRequest,
    RopSortTableRequest,
)
from tests.bench.parts import people
from tests.bench.parts.mailbox import INBOX, LOGON, MailboxSession, calling, make_mailbox
from tests.bench.parts.nodes import relay_options, server_options, write_node
from tests.bench.parts.report import Report
from tests.bench.parts.timing import in_turn, on_loop

MESSAGES = 10_000
PAGE = 50
#: Places in the handle table, behind the inbox.
TABLE, FIRST, MESSAGE = 2, 3, 4

#: What Outlook shows of a folder, as columns that the store has ready.
COLUMNS: tuple[PropertyTag, ...] = (
    p.PidTagFolderId,
    p.PidTagMid,
    p.PidTagMessageClass,
    p.PidTagMessageFlags,
    p.PidTagMessageSize,
    p.PidTagMessageDeliveryTime,
    p.PidTagSubject,
    p.PidTagSentRepresentingName,
    p.PidTagImportance,
    p.PidTagHasAttachments,
)
#: The same with properties that the store keeps packed, which every row's have to be looked up for.
PACKED: tuple[PropertyTag, ...] = (*COLUMNS[:8], p.PidTagIconIndex, p.PidTagConversationTopic)

NEWEST = [SortOrder(p.PidTagMessageDeliveryTime, Order.Descending)]
SENDERS = [SortOrder(p.PidTagSentRepresentingName, Order.Ascending)]

LAYERS = ("server", "TCP", "hybrid")
Work = Callable[[], Awaitable[object]]


def run(quick: bool) -> Report:
    """All layers in turn."""
    messages = 200 if quick else MESSAGES
    report = Report(
        "tables",
        notes=[
            f"inbox of {messages} messages, SQLite; best rounds, layers in turn",
            "server: EmsmdbServer.call in this process; TCP: node of its own, sealed; hybrid: relay in front of it",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        directory = people.make_directory(place)
        stack.callback(directory.close)
        exchange = write_node(place, "exchange", server_options())
        make_mailbox(exchange / "mailboxes.db", directory, messages)
        ports = [stack.enter_context(ServeProcess(exchange)).ready["rpc"]["port"]]
        hybrid = write_node(place, "hybrid", relay_options(ports[0], AuthLevel.PRIVACY))
        ports.append(stack.enter_context(ServeProcess(hybrid)).ready["rpc"]["port"])
        on_loop(_measure(report, directory, exchange, ports, quick=quick))
    return report


async def _measure(report: Report, directory: Directory, exchange: Path, ports: Sequence[int], *, quick: bool) -> None:
    async with _sessions(directory, exchange, ports) as sessions:
        readers = [await _reader(session) for session in sessions]
        table = report.table("per second", "what", *LAYERS, "TCP vs server", "hybrid vs TCP")
        for what, unit, each in (
            (f"rows, pages of {PAGE} x {len(COLUMNS)} columns", PAGE, "page"),
            (f"rows, pages of {PAGE} x {len(PACKED)} columns, 2 of them packed", PAGE, "packed_page"),
            ("first pages: table, columns, sorted by time", 1, "newest_first"),
            ("first pages: table, columns, sorted by sender", 1, "by_sender"),
            (f"messages: open, {len(COLUMNS)} properties, release", 1, "message"),
            ("messages: open, all properties, release", 1, "whole_message"),
        ):
            works: dict[str, Work] = {
                layer: getattr(reader, each) for layer, reader in zip(LAYERS, readers, strict=True)
            }
            times = await in_turn(works, quick=quick)
            rates = [unit * 1e6 / times[layer] for layer in LAYERS]
            table.add(what, *map(round, rates), rates[1] / rates[0], rates[2] / rates[1])


@contextlib.asynccontextmanager
async def _sessions(directory: Directory, exchange: Path, ports: Sequence[int]) -> AsyncIterator[list[MailboxSession]]:
    """One session per layer."""
    store = open_store(f"sqlite:///{exchange}/mailboxes.db")
    clients = []
    try:
        sessions = [MailboxSession(calling(EmsmdbServer(directory, store)))]
        for port in ports:
            context = people.client_context(AuthLevel.PRIVACY)
            client = await RpcClient.connect("127.0.0.1", port, EMSMDB, context=context, level=AuthLevel.PRIVACY)
            clients.append(client)
            sessions.append(MailboxSession(client.call))
        yield sessions
    finally:
        for client in clients:
            await client.close()
        store.close()


async def _reader(session: MailboxSession) -> Reader:
    await session.open()
    reader = Reader(session)
    await reader.open()
    return reader


class Reader:
    """What is measured, in one session."""

    def __init__(self, session: MailboxSession) -> None:
        self._session = session
        self._stubs: dict[str, bytes] = {}
        self._messages: list[bytes] = []
        self._number = 0

    async def open(self) -> None:
        """Tables and stubs, each checked once to do what it should."""
        session = self._session
        await session.execute([RopGetContentsTableRequest(0, INBOX, TABLE, 0)])
        query = RopQueryRowsRequest(0, TABLE, 0, 1, PAGE)
        for name, columns in (("page", COLUMNS), ("packed_page", PACKED)):
            seek = RopSeekRowRequest(0, TABLE, Bookmark.Beginning, 0, 0)
            set_columns = RopSetColumnsRequest(0, TABLE, 0, list(columns))
            await self._rows([set_columns, seek, query])
            self._stubs[f"{name} first"] = session.stub([set_columns, seek, query])
            self._stubs[f"{name} next"] = session.stub([query])
        for name, order in (("newest_first", NEWEST), ("by_sender", SENDERS)):
            self._stubs[name] = session.stub(self._first_page(order))
            await self._rows(self._first_page(order))
        rows = await self._rows([set_columns, seek, query])
        mids = [row.values[COLUMNS.index(p.PidTagMid)] for row in rows.rows]
        for name, read in (
            ("message", RopGetPropertiesSpecificRequest(0, MESSAGE, 0, 1, list(COLUMNS))),
            ("whole_message", RopGetPropertiesAllRequest(0, MESSAGE, 0, 1)),
        ):
            await session.execute(self._message(mids[0], read))
            for number, mid in enumerate(mids):
                self._stubs[f"{name} {number}"] = session.stub(self._message(mid, read))

    async def _rows(self, rops: list[RopRequest]) -> RopQueryRowsResponse:
        for response in await self._session.execute(rops):
            if isinstance(response, RopQueryRowsResponse):
                assert len(response.rows) == PAGE
                return response
        raise AssertionError("no rows")

    @staticmethod
    def _first_page(order: list[SortOrder]) -> list[RopRequest]:
        """All that a client sends to show a folder."""
        return [
            RopGetContentsTableRequest(0, INBOX, FIRST, 0),
            RopSetColumnsRequest(0, FIRST, 0, list(COLUMNS)),
            RopSortTableRequest(0, FIRST, 0, 0, 0, order),
            RopQueryRowsRequest(0, FIRST, 0, 1, PAGE),
            RopReleaseRequest(0, FIRST),
        ]

    def _message(self, mid: int, read: RopRequest) -> list[RopRequest]:
        opening = RopOpenMessageRequest(0, LOGON, MESSAGE, 0x0FFF, self._session.inbox, 0, MessageId(mid))
        return [opening, read, RopReleaseRequest(0, MESSAGE)]

    async def page(self) -> object:
        """The next page of the table, or its first one again."""
        return await self._page("page")

    async def packed_page(self) -> object:
        """The same with columns that are not ready."""
        return await self._page("packed_page")

    async def _page(self, name: str) -> object:
        # 3 pages of any table that is measured, so that the position matters and no answer is short.
        self._number += 1
        return await self._session.send(self._stubs[f"{name} {'next' if self._number % 3 else 'first'}"])

    async def newest_first(self) -> object:
        """A folder's first page."""
        return await self._session.send(self._stubs["newest_first"])

    async def by_sender(self) -> object:
        """A folder's first page, sorted by another column."""
        return await self._session.send(self._stubs["by_sender"])

    async def message(self) -> object:
        """Another message's properties."""
        self._number += 1
        return await self._session.send(self._stubs[f"message {self._number % PAGE}"])

    async def whole_message(self) -> object:
        """Another message with all its properties."""
        self._number += 1
        return await self._session.send(self._stubs[f"whole_message {self._number % PAGE}"])
