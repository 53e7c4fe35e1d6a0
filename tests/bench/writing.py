"""A large attachment written and read: MiB/s in pieces of 30 KiB, at a node and through a hybrid, all sealed.

Client and server are processes of their own; the client is the client library, which waits for the answer to every
piece before it sends the next one.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from pathlib import Path

from openchange_py.cli.processes import ServeProcess
from openchange_py.client.connection import Account, Connector, Server
from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.mailbox import MailboxClient
from openchange_py.rpc.security import AuthLevel
from openchange_py.wire.oxcrpc import EMSMDB
from tests.bench.parts import people
from tests.bench.parts.mailbox import make_mailbox
from tests.bench.parts.nodes import relay_options, server_options, write_node
from tests.bench.parts.report import Report
from tests.bench.parts.timing import on_loop
from tests.large_messages import MEGABYTE, upload

SIZE = 50
ROUNDS = 3


class Nowhere(io.RawIOBase):
    """A file that takes everything and keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return len(data)  # type: ignore[arg-type]


def run(quick: bool) -> Report:
    """Both layers in turn."""
    report = Report("writing", notes=[f"an attachment of {1 if quick else SIZE} MiB, SQLite; best of {ROUNDS} rounds"])
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        directory = people.make_directory(place)
        stack.callback(directory.close)
        exchange = write_node(place, "exchange", server_options())
        make_mailbox(exchange / "mailboxes.db", directory, 1)
        ports = [stack.enter_context(ServeProcess(exchange)).ready["rpc"]["port"]]
        hybrid = write_node(place, "hybrid", relay_options(ports[0], AuthLevel.PRIVACY))
        ports.append(stack.enter_context(ServeProcess(hybrid)).ready["rpc"]["port"])
        on_loop(_measure(report, ports, quick=quick))
    return report


async def _measure(report: Report, ports: list[int], *, quick: bool) -> None:
    size = 1 if quick else SIZE
    best = {(port, what): float("inf") for port in ports for what in ("write", "read")}
    for _ in range(1 if quick else ROUNDS):
        for port in ports:
            account = Account(people.USER, people.DOMAIN, people.PASSWORD)
            server = Server("127.0.0.1", ports={EMSMDB.name: port})
            channel = await Connector(server, account, level=AuthLevel.PRIVACY).connect(EMSMDB)
            session = EmsmdbClient(channel)
            await session.connect(people.USER_DN)
            for what, seconds in (await _round(await MailboxClient.logon(session, people.USER_DN), size)).items():
                best[port, what] = min(best[port, what], seconds)
            await session.disconnect()
            await channel.close()
    table = report.table("MiB/s", "what", "node", "through a hybrid", "hybrid vs node")
    for what in ("write", "read"):
        rates = [size / best[port, what] for port in ports]
        table.add(what, *(round(rate, 1) for rate in rates), rates[1] / rates[0])


async def _round(mailbox: MailboxClient, size: int) -> dict[str, float]:
    folder = (await mailbox.find_folder("Inbox")).id
    started = time.perf_counter()
    message_id = await upload(mailbox, folder, size=size * MEGABYTE)
    written = time.perf_counter()
    async with await mailbox.open_message(folder, message_id) as message:
        await message.save_attachment(0, Nowhere())  # type: ignore[arg-type]
    read = time.perf_counter()
    await mailbox.delete_messages(folder, [message_id])
    return {"write": written - started, "read": read - written}
