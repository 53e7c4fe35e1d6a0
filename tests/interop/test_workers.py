"""`ocpy serve` with several workers, as real processes: what a client opens is there wherever its connections land.

Connections are dealt out in rounds, each worker once, so that two in a row are in different ones mostly. Where it
matters what happened, the metrics tell: `ocpy_given_total`, what workers gave to each other.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from openchange_py.client.connection import Account, Connector
from openchange_py.client.endpoints import read_https, read_ready_file
from openchange_py.client.errors import LogonRefused
from openchange_py.client.notifications import subscribe
from openchange_py.client.profile import Profile
from openchange_py.client.web import Web, WebTransport
from openchange_py.rpc.call import RpcFault
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.transports.tls import ClientTls
from openchange_py.wire.oxcmapihttp import DisconnectRequest, NotificationWaitRequest, ResponseCode
from openchange_py.wire.rop.oxcnotif import NotificationType
from tests.auth.test_http import basic
from tests.interop.nodes import PATIENCE, ocpy
from tests.interop.web import PASSWORDS, WebNode
from tests.transports.http_parties import raw_client, trusting
from tests.transports.mapi_parties import MapiClient

pytestmark = [pytest.mark.xdist_group("workers")]

WORKERS: Final = 3
OPTIONS: Final = f"""\
    ocpy:workers = {WORKERS}
    ocpy:metrics port = 0
    ocpy:logon pause = 60 s
    ocpy:logon failures = 4
    ocpy:authentication timeout = 60 s
"""
#: Tries before it is taken that something never happens: by chance it would not in one of millions.
TRIES: Final = 30


@pytest.fixture(scope="module")
def web() -> Iterator[WebNode]:
    with of_its_own() as running:
        yield running
        assert running.node.stop() == 0


@contextmanager
def of_its_own() -> Iterator[WebNode]:
    """A node, which may end within."""
    with tempfile.TemporaryDirectory(prefix="ocpy-workers-") as place:
        made = WebNode(Path(place), OPTIONS)
        try:
            made.node.start()
            made.node.wait_until_ready(4 * PATIENCE)  # as many processes as workers, and one
            yield made
        finally:
            made.node.abandon()


def metrics(web: WebNode) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Samples by name and labels."""
    where = web.node.ready["metrics"]
    with urllib.request.urlopen(f"http://{where['host']}:{where['port']}/metrics", timeout=PATIENCE) as answer:
        text = answer.read().decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def given(web: WebNode, what: str) -> int:
    """How often workers gave such a thing to each other."""
    return int(sum(n for labels, n in metrics(web).get("ocpy_given_total", {}).items() if ("what", what) in labels))


def profile(web: WebNode, transport: str, user: str = "alice", password: str | None = None) -> Profile:
    """The client library over a transport."""
    account = Account(user, "EXAMPLE", PASSWORDS[user] if password is None else password)
    http = None
    if transport != "tcp":
        host, port = read_https(web.node.ready_file)
        http = Web(WebTransport(transport), host, port, ClientTls(web.certificate))
    server = read_ready_file(web.node.ready_file)
    return Profile(Connector(server, account, web=http, connect_timeout=PATIENCE, call_timeout=PATIENCE))


def deliver(web: WebNode, subject: str) -> None:
    mail = f"From: bob@example.test\nTo: alice@example.test\nSubject: {subject}\n\nhello\n"
    ocpy("deliver", "-c", web.node.config, "-f", "bob@example.test", "alice", stdin=mail)


async def told_of_mail(web: WebNode, transport: str) -> None:
    """A session with a second connection on which the client waits, mail, and what the first connection says of it."""
    async with profile(web, transport) as outlook:
        mailbox = await outlook.mailbox()
        await subscribe(mailbox, NotificationType.NewMail)
        events = (await outlook.waiter()).events()
        coming = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(deliver, web, f"by {transport}")
        async with asyncio.timeout(PATIENCE):
            message = (await coming).notification_data.message_id
        page = await mailbox.messages((await mailbox.find_folder("Inbox")).id, 0, 1)
        assert (page.messages[0].id, page.messages[0].subject) == (message, f"by {transport}")


def test_every_worker_is_there_and_the_ready_file_names_it(web: WebNode) -> None:
    workers = web.node.ready["workers"]
    assert [worker["number"] for worker in workers] == list(range(WORKERS))
    pids = {worker["pid"] for worker in workers}
    assert len(pids) == WORKERS
    assert web.node.ready["pid"] not in pids
    for pid in pids:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as command:
            assert str(web.node.config) in command.read()
    assert set(metrics(web)["ocpy_sessions"]) == {(("worker", str(n)),) for n in range(WORKERS)}


@pytest.mark.parametrize(
    ("transport", "what"), [("tcp", "connection"), ("http", "channel"), ("http", "tunnelled"), ("mapihttp", "request")]
)
def test_a_second_connection_in_another_worker(web: WebNode, transport: str, what: str) -> None:
    """EcDoAsyncConnectEx and EcDoAsyncWaitEx, or NotificationWait, where the session is not."""
    before = given(web, what)
    for _ in range(TRIES):
        asyncio.run(told_of_mail(web, transport))
        if given(web, what) > before:
            return
    raise AssertionError(f"no {what} was given to another worker in {TRIES} tries")


def test_channels_in_either_order_and_anywhere(web: WebNode) -> None:
    """Virtual connections of which one channel is where it belongs, and of which none is."""
    seen: set[int] = set()

    async def look() -> None:
        async with profile(web, "http", "bob") as outlook:
            before = await asyncio.to_thread(given, web, "channel")
            await outlook.address_book()
            seen.add(await asyncio.to_thread(given, web, "channel") - before)

    for _ in range(TRIES):
        asyncio.run(look())
        if {1, 2} <= seen:
            return
    raise AssertionError(f"only these happened: {seen}")


def test_requests_of_one_session_over_many_connections(web: WebNode) -> None:
    """MAPI over HTTP with TLS: the session is found from every worker, is its account's alone, and ends for all."""
    context, port = trusting(web.certificate), read_https(web.node.ready_file)[1]

    async def main() -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(raw_client(port, context)) for _ in range(2 * WORKERS)]
            outlook = MapiClient(authorization=basic("alice", PASSWORDS["alice"]))
            await outlook.connect(clients[0], web.dn("alice"))
            cookie = outlook.cookies["MapiContext"]
            thief = MapiClient(authorization=basic("bob", PASSWORDS["bob"]))
            thief.cookies |= outlook.cookies
            before = await asyncio.to_thread(given, web, "request")
            for client in clients:
                assert (await outlook.ask(client, "PING")).code == 0
                refused = await thief.ask(client, "Disconnect", DisconnectRequest())
                assert refused.code == ResponseCode.NoPrivilege, refused.raw
                # A fresh session wherever it comes, whatever cookies come along.
                await thief.connect(client, web.dn("bob"))
                assert (await thief.ask(clients[0], "Disconnect", DisconnectRequest())).code == 0
                thief.cookies = dict(outlook.cookies)
            assert await asyncio.to_thread(given, web, "request") >= before + WORKERS - 1
            waiting = outlook.message("NotificationWait", NotificationWaitRequest(0))
            clients[1].send(waiting)
            await clients[1].reader.readuntil(b"PROCESSING\r\n\r\n")
            assert (await outlook.ask(clients[2], "Disconnect", DisconnectRequest())).code == 0
            outlook.cookies["MapiContext"] = cookie
            for client in (clients[0], *clients[2:]):
                gone = await outlook.ask(client, "Disconnect", DisconnectRequest())
                assert gone.code == ResponseCode.ContextNotFound, gone.raw

    asyncio.run(main())


def test_a_body_that_is_too_long_is_refused_wherever_the_session_is(web: WebNode) -> None:
    context, port = trusting(web.certificate), read_https(web.node.ready_file)[1]

    async def main() -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(raw_client(port, context)) for _ in range(WORKERS)]
            outlook = MapiClient(authorization=basic("alice", PASSWORDS["alice"]))
            await outlook.connect(clients[0], web.dn("alice"))
            for client in clients:
                client.send(outlook.message("Execute", b"", Content_Length=str(1 << 30)))
                assert (await outlook.answer(client)).code == ResponseCode.TooLarge

    asyncio.run(main())


def kill(web: WebNode, number: int) -> None:
    """SIGKILL, and wait until another process is that worker."""
    before = {worker["number"]: worker["pid"] for worker in web.node.ready["workers"]}
    with web.node.log.expect(
        rf"worker {number} ended \(signal 9\)", rf"worker {number} serves, process", seconds=4 * PATIENCE
    ):
        os.kill(before[number], signal.SIGKILL)
    web.node.ready = json.loads(web.node.ready_file.read_text("utf-8"))
    after = {worker["number"]: worker["pid"] for worker in web.node.ready["workers"]}
    assert after.keys() == before.keys()
    assert {n for n in before if before[n] != after[n]} == {number}


@pytest.mark.parametrize("transport", ["tcp", "http", "mapihttp"])
def test_a_worker_that_is_killed_comes_back_and_takes_only_its_own_clients_along(web: WebNode, transport: str) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            boxes = []
            for _ in range(WORKERS):
                outlook = await stack.enter_async_context(profile(web, transport))
                boxes.append(await outlook.mailbox())
            owner = await asyncio.to_thread(sessions_of, web)
            victim = min(owner, key=lambda number: owner[number] or len(owner) * 10)
            assert owner[victim] < sum(owner.values()), owner
            await asyncio.to_thread(kill, web, victim)
            outcomes = await asyncio.gather(*(box.folders() for box in boxes), return_exceptions=True)
            lost = [error for error in outcomes if isinstance(error, BaseException)]
            # Of RPC over HTTP each of four channels may have been there: who is left over, chance tells.
            assert len(lost) <= (owner[victim] if transport != "http" else len(boxes)), lost
            assert all(isinstance(error, (ConnectionLost, RpcFault)) for error in lost), lost
            again = await stack.enter_async_context(profile(web, transport))
            assert await (await again.mailbox()).folders()

    asyncio.run(main())


@contextmanager
def ending(web: WebNode) -> Iterator[None]:
    """All workers end by what is done within, or soon after."""
    processes = [os.pidfd_open(worker["pid"]) for worker in web.node.ready["workers"]]
    try:
        yield
        for process in processes:
            assert select.select([process], [], [], PATIENCE)[0], "a worker runs on"
    finally:
        for process in processes:
            os.close(process)


def test_a_worker_that_is_asked_to_end_finishes_and_gets_no_more_connections(web: WebNode) -> None:
    """Nobody who connects meanwhile is refused."""
    pids = {worker["number"]: worker["pid"] for worker in web.node.ready["workers"]}

    async def look(outlook: Profile) -> None:
        assert (await (await outlook.address_book()).resolve("bob")) is not None

    async def main() -> None:
        async with AsyncExitStack() as stack:
            waiters = []
            for _ in range(WORKERS):
                outlook = await stack.enter_async_context(profile(web, "tcp"))
                await subscribe(await outlook.mailbox(), NotificationType.NewMail)
                waiters.append(asyncio.ensure_future((await outlook.waiter()).wait()))
            with web.node.log.expect(r"worker 2 serves, process", seconds=4 * PATIENCE):
                with web.node.log.expect(r"worker 2 ends$"):
                    os.kill(pids[2], signal.SIGTERM)
                for _ in range(4 * WORKERS):
                    async with profile(web, "tcp") as outlook:
                        await look(outlook)
                await asyncio.to_thread(web.node.log.wait_for, r"worker 2 ended \(exit code 0\)")
            for waiter in waiters:
                waiter.cancel()

    asyncio.run(main())
    web.node.ready = json.loads(web.node.ready_file.read_text("utf-8"))


def sessions_of(web: WebNode) -> dict[int, int]:
    """Sessions of clients, by worker."""
    return {int(dict(labels)["worker"]): int(n) for labels, n in metrics(web)["ocpy_sessions"].items()}


def test_failed_logons_count_in_all_workers_and_are_not_forgotten_with_one(web: WebNode) -> None:
    async def log_on(password: str | None = None) -> None:
        async with profile(web, "tcp", "bob", password) as outlook:
            await outlook.address_book()

    async def main() -> None:
        for _ in range(4):
            with pytest.raises(LogonRefused):
                await log_on("wrong")
        for _ in range(WORKERS):
            with pytest.raises(LogonRefused):
                await log_on()

    asyncio.run(main())
    kill(web, 1)
    asyncio.run(refused_everywhere(log_on))


async def refused_everywhere(log_on: Any) -> None:
    """With the right password: by each of the workers, of which one is new."""
    for _ in range(2 * WORKERS):
        with pytest.raises(LogonRefused):
            await log_on()


def test_reload_reaches_all_workers_and_what_is_wrong_reaches_none(web: WebNode) -> None:
    config = web.node.config
    before = config.read_text("utf-8")
    try:
        config.write_text(before + "    ocpy:idle timeout = many\n", "utf-8")
        with web.node.log.expect(r"is not taken, the configuration before stays in force"):
            web.node.signal(signal.SIGHUP)
        config.write_text(before + "    ocpy:idle timeout = 17 s\n", "utf-8")
        told = [rf"worker {number} INFO .*ocpy:idle timeout: the new value is in force" for number in range(WORKERS)]
        with web.node.log.expect(*told):
            web.node.signal(signal.SIGHUP)
        # What needs a restart is not taken by a worker that begins anew either.
        config.write_text(before.replace("netbios name = EXCH1", "netbios name = OTHER"), "utf-8")
        kill(web, 2)
        with web.node.log.expect(r"worker 2 WARNING .*netbios name: the new value needs a restart"):
            web.node.signal(signal.SIGHUP)
    finally:
        config.write_text(before, "utf-8")
        with web.node.log.expect(*(rf"worker {number} INFO .*was read again" for number in range(WORKERS))):
            web.node.signal(signal.SIGHUP)


@pytest.mark.parametrize("transport", ["tcp", "http", "mapihttp"])
def test_stopping_answers_who_waits_and_ends_in_order(transport: str) -> None:
    """Clients that wait in a worker whose connection came to another one."""

    async def main(web: WebNode) -> None:
        async with AsyncExitStack() as stack:
            waiters = []
            for _ in range(WORKERS):
                outlook = await stack.enter_async_context(profile(web, transport))
                await subscribe(await outlook.mailbox(), NotificationType.NewMail)
                waiter = await outlook.waiter()
                waiters.append(asyncio.ensure_future(waiter.wait()))
            await asyncio.sleep(0.2)
            web.node.signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                done = await asyncio.gather(*waiters, return_exceptions=True)
            assert not any(isinstance(one, asyncio.CancelledError) for one in done)
            assert await asyncio.to_thread(web.node.wait) == 0

    with of_its_own() as web:
        with ending(web):
            asyncio.run(main(web))
        assert not web.node.ready_file.exists()
        said = "\n".join(web.node.log.lines)
        assert "Traceback" not in said, said


def test_workers_end_where_their_supervisor_is_killed() -> None:
    with of_its_own() as web, ending(web):
        web.node.kill()
