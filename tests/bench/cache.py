"""An attachment read directly, through a relay, and through module cache that has it not yet, or has it.

Client, proxies and server are processes of their own, on loopback: how much a slow line would save is in the calls and
bytes that went to the server.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from openchange_py.cli.processes import ServeProcess
from openchange_py.client.connection import Account, Connector, Server
from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.mailbox import MailboxClient
from openchange_py.proxy.streamcache.cache import CacheLimits, StreamCache, default_url
from openchange_py.rpc.security import AuthLevel
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcrpc import EMSMDB
from tests.bench.parts import people
from tests.bench.parts.mailbox import make_mailbox
from tests.bench.parts.nodes import relay_options, server_options, write_node
from tests.bench.parts.report import Report
from tests.bench.parts.timing import on_loop
from tests.bench.writing import Nowhere
from tests.large_messages import MEGABYTE, upload

SIZE = 20
ROUNDS = 5
DIRECT, RELAY, MISS, HIT = "direct", "relay", "cache, not there yet", "cache, there"


def run(quick: bool) -> Report:
    """All ways in turn, round by round."""
    size = 1 if quick else SIZE
    notes = [
        f"an attachment of {size} MiB, sealed on both sides of each proxy; MiB/s of the best of {ROUNDS} rounds",
        "reads, bytes: RopReadStreams that the proxy sent to the server, and what they brought",
    ]
    report = Report("cache", notes=notes)
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as name, _nodes(Path(name)) as (ports, cache):
        on_loop(_measure(report, ports, cache, size, 1 if quick else ROUNDS))
    return report


@contextlib.contextmanager
def _nodes(place: Path) -> Iterator[tuple[dict[str, int], StreamCache]]:
    """The ports of server, relay and caching relay; and the cache, beside its server."""
    with contextlib.ExitStack() as stack:
        directory = people.make_directory(place)
        stack.callback(directory.close)
        exchange = write_node(place, "exchange", server_options())
        make_mailbox(exchange / "mailboxes.db", directory, 1)
        ports = {DIRECT: stack.enter_context(ServeProcess(exchange)).ready["rpc"]["port"]}
        for way, modules in ((RELAY, ""), (HIT, "cache")):
            node = write_node(place, modules or "relay", relay_options(ports[DIRECT], AuthLevel.PRIVACY, modules))
            ports[way] = stack.enter_context(ServeProcess(node)).ready["rpc"]["port"]
        ports[MISS] = ports[HIT]
        folder = place / "cache" / "cache"
        cache = StreamCache(folder, default_url(folder), CacheLimits(1 << 40, 1e9))
        cache.open()
        stack.callback(cache.close)
        yield ports, cache


async def _measure(report: Report, ports: dict[str, int], cache: StreamCache, size: int, rounds: int) -> None:
    ways = (DIRECT, RELAY, MISS, HIT)
    best = dict.fromkeys(ways, float("inf"))
    async with _mailbox(ports[DIRECT]) as mailbox:
        folder = (await mailbox.find_folder("Inbox")).id
        message_id = await upload(mailbox, folder, size=size * MEGABYTE)
    reads: dict[str, tuple[int, int] | tuple[None, None]] = {}
    for _ in range(rounds):
        for way in ways:
            if way == MISS:
                cache.clear()
            before = cache.index.counters()
            best[way] = min(best[way], await _read(ports[way], folder, message_id))
            if way in (MISS, HIT):
                counted = _written_down(cache, before)
                reads[way] = (counted["upstream_reads"], counted["upstream_bytes"])
    table = report.table("reading", "way", "MiB/s", "vs direct", "vs relay", "reads", "bytes")
    for way in ways:
        rate, sent = size / best[way], reads.get(way, (None, None))
        table.add(way, round(rate, 1), best[DIRECT] / best[way], best[RELAY] / best[way], *sent)


def _written_down(cache: StreamCache, before: dict[str, int]) -> dict[str, int]:
    """What the proxy counted since then, once it wrote it down; it does when the stream is closed."""
    names = ("reads", "upstream_reads", "upstream_bytes")
    deadline = time.monotonic() + 10
    while (now := cache.index.counters()).get("reads", 0) <= before.get("reads", 0):
        if time.monotonic() > deadline:
            raise TimeoutError("the proxy did not write down what it counted")
        time.sleep(0.01)
    return {name: now.get(name, 0) - before.get(name, 0) for name in names}


@contextlib.asynccontextmanager
async def _mailbox(port: int) -> AsyncIterator[MailboxClient]:
    """The client's mailbox at one of the nodes."""
    account = Account(people.USER, people.DOMAIN, people.PASSWORD)
    server = Server("127.0.0.1", ports={EMSMDB.name: port})
    channel = await Connector(server, account, level=AuthLevel.PRIVACY).connect(EMSMDB)
    session = EmsmdbClient(channel)
    await session.connect(people.USER_DN)
    try:
        yield await MailboxClient.logon(session, people.USER_DN)
    finally:
        await session.disconnect()
        await channel.close()


async def _read(port: int, folder: FolderId, message_id: MessageId) -> float:
    """Seconds."""
    async with _mailbox(port) as mailbox, await mailbox.open_message(folder, message_id) as message:
        started = time.perf_counter()
        await message.save_attachment(0, Nowhere())
        return time.perf_counter() - started
