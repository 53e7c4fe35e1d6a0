"""Several servers to relay to: who goes where, and what happens while one is down."""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from openchange_py.proxy.pool import Pauses, UpstreamPool, rank
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB
from openchange_py.wire.oxnspi import NSPI
from tests.proxy.parties import Upstream, UpstreamConnection

#: Nobody waits for a server that is down, and it is tried again at once.
AT_ONCE = Pauses(0.0, 0.0, 0.0)
#: A server that is down stays so for longer than a test takes.
FOR_LONG = Pauses(3600.0, 3600.0, 0.0)


class Connection(UpstreamConnection):
    """One that can be watched: `waiting` is what a test says."""

    waiting = 0.0
    given_up = ""

    def abort(self, reason: str) -> None:
        self.connected, self.given_up = False, reason


class Server:
    """A connector to one server double, which can be down, or refuse."""

    def __init__(self, name: str) -> None:
        self.upstream = f"ncacn_ip_tcp:{name}"
        self.error: ConnectionLost | None = None
        self.tries = self.probes = 0
        self.gate: asyncio.Event | None = None
        self.groups: list[int] = []
        self.opened: list[Connection] = []
        self._double = Upstream(lambda interface, opnum, stub: b"")

    async def __call__(self, call: Call, assoc_group: int) -> Connection:
        self.tries += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.groups.append(assoc_group)
        connection = Connection(self._double, call.interface, assoc_group or 0x1000 + len(self.opened))
        connection.upstream = self.upstream
        self.opened.append(connection)
        return connection

    async def probe(self, interface: RpcInterface) -> None:
        self.probes += 1
        if self.error is not None:
            raise self.error


def servers(number: int) -> list[Server]:
    return [Server(f"exch{i}") for i in range(number)]


def needed(name: str = "alice", *, interface: RpcInterface = EMSMDB, session: Session | None = None) -> Call:
    """A call that needs a connection."""
    caller = Identity(name, "EXAMPLE", AuthLevel.PRIVACY)
    return Call(interface, 0, b"", session or Session("test", "client"), caller)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await work()

    asyncio.run(limited())


@pytest.fixture
def pair() -> tuple[Server, Server]:
    """Two servers, the first of which is alice's."""
    found = sorted(servers(2), key=lambda server: rank(needed().caller, server.upstream), reverse=True)
    return found[0], found[1]


def test_accounts_are_spread_and_each_stays_where_it_is() -> None:
    async def work() -> None:
        three = servers(3)
        homes = {}
        for name in (f"user{i}" for i in range(300)):
            found = {(await UpstreamPool(three)(needed(spelled), 0)).upstream for spelled in (name, name.upper(), name)}
            [homes[name]] = found
        counts = collections.Counter(homes.values())
        assert len(counts) == 3
        assert min(counts.values()) > 60
        # Without the last server nobody else's place changes.
        for name, home in homes.items():
            if home != three[2].upstream:
                assert (await UpstreamPool(three[:2])(needed(name), 0)).upstream == home

    run(work)


def test_a_server_that_is_down_is_left_alone_and_comes_back(
    pair: tuple[Server, Server], caplog: pytest.LogCaptureFixture
) -> None:
    home, other = pair

    async def work() -> None:
        pool = UpstreamPool(pair, AT_ONCE)
        home.error = ConnectionLost("connection refused")
        assert (await pool(needed(), 0)).upstream == other.upstream
        assert (home.tries, pool.down()) == (1, 1)
        # The next ones go to the other one at once, while the one that is down is probed beside them.
        assert (await pool(needed(), 0)).upstream == other.upstream
        while home.probes < 1:  # noqa: ASYNC110  the probe tells nobody
            await asyncio.sleep(0)
        assert (home.tries, pool.down()) == (1, 1)
        home.error = None
        await pool(needed(), 0)
        while pool.down():  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert home.tries == 1
        # Whoever has something there has all of it there; others go home, and he too when it is over.
        assert (await pool(needed(), 0)).upstream == other.upstream
        for connection in other.opened:
            await connection.close()
        assert (await pool(needed(), 0)).upstream == home.upstream

    with caplog.at_level(logging.INFO):
        run(work)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert warnings[0].startswith(f"upstream {home.upstream} is down, 1 failed tries")
    assert "connection refused" in warnings[0]
    assert warnings[1] == f"upstream {home.upstream} is back after 2 failed tries"


def test_it_is_not_probed_before_its_pause_is_over(pair: tuple[Server, Server]) -> None:
    home, other = pair

    async def work() -> None:
        pool = UpstreamPool(pair, FOR_LONG)
        home.error = ConnectionLost("down")
        for _ in range(3):
            assert (await pool(needed(), 0)).upstream == other.upstream
        other.error = ConnectionLost("down too")
        with pytest.raises(ConnectionLost, match="is tried again in"):
            await pool(needed(), 0)
        for _ in range(3):
            with pytest.raises(ConnectionLost, match="is tried again in"):
                await pool(needed(), 0)
        assert (home.tries, other.tries, home.probes) == (1, 4, 0)

    run(work)


def test_the_pause_doubles_up_to_a_bound_and_a_part_of_it_is_random() -> None:
    pauses = Pauses(0.5, 60.0)
    assert [pauses.after(n, 0.0) for n in (1, 2, 3, 7, 8, 100_000)] == [0.5, 1.0, 2.0, 32.0, 60.0, 60.0]
    assert pauses.after(8, 1.0) == 30.0
    run_with = []

    async def work() -> None:
        [server] = servers(1)
        server.error = ConnectionLost("down")
        pool = UpstreamPool([server], Pauses(1000.0, 1000.0, 0.0), random_part=lambda: 1.0)
        with pytest.raises(ConnectionLost, match="down"):
            await pool(needed(), 0)
        with pytest.raises(ConnectionLost) as caught:
            await pool(needed(), 0)
        run_with.append(str(caught.value))

    run(work)
    assert run_with == ["ncacn_ip_tcp:exch0 is down, it is tried again in 500 s"]


def test_calls_wait_for_the_only_server_and_one_of_them_tries_it() -> None:
    async def work() -> None:
        [server] = servers(1)
        pool = UpstreamPool([server], Pauses(0.001, 0.001, 10.0))
        server.error = ConnectionLost("down")
        with pytest.raises(ConnectionLost):
            await pool(needed(), 0)
        server.gate = asyncio.Event()
        calls = [asyncio.ensure_future(pool(needed(f"user{i}"), 0)) for i in range(5)]
        while server.tries < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        server.gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionLost] * 5
        assert server.tries == 2
        server.error = None
        assert (await pool(needed(), 0)).upstream == server.upstream

    run(work)


def test_of_calls_that_fail_at_the_same_moment_one_counts(pair: tuple[Server, Server]) -> None:
    home, _ = pair

    async def work() -> None:
        pool = UpstreamPool([home], Pauses(100.0, 10_000.0, 0.0), random_part=lambda: 0.0)
        home.error, home.gate = ConnectionLost("down"), asyncio.Event()
        calls = [asyncio.ensure_future(pool(needed(f"user{i}"), 0)) for i in range(5)]
        while home.tries < 5:  # noqa: ASYNC110
            await asyncio.sleep(0)
        home.gate.set()
        await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(ConnectionLost, match="tried again in 100 s"):
            await pool(needed(), 0)

    run(work)


def test_calls_that_wait_at_a_server_without_life_are_given_up() -> None:
    async def work() -> None:
        [server] = servers(1)
        pool = UpstreamPool([server], Pauses(100.0, 100.0, 0.0, silence=0.01))
        waiting, quick = [(await pool(needed(name), 0), server.opened[-1])[1] for name in ("alice", "bob")]
        quick.waiting = 0.005
        waiting.waiting = 1.0
        # The server lives: what takes long takes long.
        while server.probes < 2:  # noqa: ASYNC110  the watch tells nobody
            await asyncio.sleep(0)
        assert waiting.connected
        assert pool.down() == 0
        # It refuses: it lives, too.
        server.error = BindError("no such interface")
        probes = server.probes
        while server.probes < probes + 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert waiting.connected
        server.error = ConnectionLost("no answer")
        while waiting.connected:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert waiting.given_up == "ncacn_ip_tcp:exch0 shows no life"
        assert quick.connected
        assert pool.down() == 1
        await quick.close()
        while pool._members[0].watched:  # noqa: ASYNC110
            await asyncio.sleep(0)

    run(work)


def test_an_association_stays_at_its_server_and_so_does_its_session(pair: tuple[Server, Server]) -> None:
    home, other = pair

    async def work() -> None:
        pool, session = UpstreamPool(pair, AT_ONCE), Session("test", "client")
        home.error = ConnectionLost("down")
        first = await pool(needed(session=session), 0)
        assert first.upstream == other.upstream
        home.error = None
        await pool(needed("bob"), 0)
        while pool.down():  # noqa: ASYNC110
            await asyncio.sleep(0)
        second = await pool(needed(session=session, interface=ASYNCEMSMDB), first.assoc_group)
        third = await pool(needed(session=session, interface=NSPI), 0)
        assert {second.upstream, third.upstream} == {other.upstream}
        assert other.groups[-2:] == [first.assoc_group, 0]
        # Where only some of the association's connections can be made, the others can't be elsewhere.
        other.error = ConnectionLost("down")
        with pytest.raises(ConnectionLost):
            await pool(needed(session=session), first.assoc_group)
        assert (await pool(needed(session=session, interface=RFR), 0)).upstream == home.upstream

    run(work)


def test_after_a_reload_an_association_is_kept_or_refused(pair: tuple[Server, Server]) -> None:
    async def work() -> None:
        session = Session("test", "client")
        first = await UpstreamPool(pair)(needed(session=session), 0)
        assert (await UpstreamPool(pair)(needed(session=session), first.assoc_group)).upstream == first.upstream
        with pytest.raises(ConnectionLost, match="is not relayed to any more"):
            await UpstreamPool(pair[1:])(needed(session=session), first.assoc_group)

    run(work)


def test_a_server_that_refuses_is_not_down(pair: tuple[Server, Server]) -> None:
    home, other = pair

    async def work() -> None:
        pool = UpstreamPool(pair)
        home.error = BindError("no such interface")
        assert (await pool(needed(), 0)).upstream == other.upstream
        await other.opened[0].close()
        home.error = AuthenticationFailed("wrong password")
        tries = other.tries
        with pytest.raises(AuthenticationFailed):
            await pool(needed(), 0)
        assert (other.tries, pool.down()) == (tries, 0)

    run(work)


def test_the_server_that_an_account_was_sent_to_comes_first(pair: tuple[Server, Server]) -> None:
    first, second = pair

    async def work() -> None:
        pool = UpstreamPool(
            pair, AT_ONCE, preferred=lambda caller: second.upstream if caller.account == "alice" else None
        )
        session = Session("test", "client")
        client = await pool(needed(session=session), 0)
        assert client.upstream == second.upstream
        # But a session stays where it is, and where that server is down the next one has it.
        second.error = ConnectionLost("down")
        assert (await pool(needed(), 0)).upstream == first.upstream

    run(work)
