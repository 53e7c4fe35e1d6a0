"""EcDoAsyncWaitEx: [MS-OXCRPC] 3.3.4.1."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
import uuid
from collections.abc import Coroutine
from typing import Any

import pytest
from sqlalchemy import event

from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.rpc.call import Call
from openchange_py.servers.emsmdb.asyncemsmdb import AsyncEmsmdbServer
from openchange_py.store.base import SpecialFolder
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    ASYNCEMSMDB,
    EMSMDB,
    NOTIFICATION_PENDING,
    EcDoAsyncConnectExRequest,
    EcDoAsyncConnectExResponse,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
)
from openchange_py.wire.rop.oxcnotif import NotificationType, RopRegisterNotificationRequest
from tests.servers.emsmdb.parties import Client, World, letter

NEW_MAIL = RopRegisterNotificationRequest(0, 0, 1, NotificationType.NewMail, None, 1)
#: What the issue grants a session that waits.
BYTES_PER_SESSION = 40 << 10
SESSIONS = 1000


def acxh_of(client: Client) -> ContextHandle:
    response: EcDoAsyncConnectExResponse = client.call(14, EcDoAsyncConnectExRequest(client.cxh))
    assert response.return_value == ErrorCode.Success
    return response.acxh


def subscribed(world: World) -> tuple[Client, ContextHandle]:
    """alice, who wants to hear of new mail."""
    client = Client(world)
    client.open(NEW_MAIL, client.logon)
    return client, acxh_of(client)


def deliver(world: World) -> None:
    world.mailbox.deliver_message(world.folder(SpecialFolder.INBOX), letter(50))


def dispatching(world: World, longest_wait: float = 60.0) -> Dispatcher:
    waiting = AsyncEmsmdbServer(longest_wait)
    return Dispatcher({EMSMDB.name: world.server, ASYNCEMSMDB.name: waiting}, worker_threads=1)


async def wait(dispatcher: Dispatcher, client: Client, acxh: ContextHandle) -> tuple[int, int]:
    """flagsOut and return value."""
    call = Call(ASYNCEMSMDB, 0, EcDoAsyncWaitExRequest(acxh).pack(), client.session, client.identity)
    response = EcDoAsyncWaitExResponse.unpack(await dispatcher.handle(call))
    return response.flags_out, response.return_value


def run(dispatcher: Dispatcher, work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    finally:
        dispatcher.close()


async def begun(client: Client) -> None:
    """The session's call waits by now."""
    notifications = client.session.handles[client.cxh].notifications
    await asyncio.sleep(0)
    assert notifications._wake is not None


def test_what_happens_ends_the_wait(own_world: World) -> None:
    dispatcher, (client, acxh) = dispatching(own_world), subscribed(own_world)

    async def work() -> None:
        waiting = asyncio.ensure_future(wait(dispatcher, client, acxh))
        await begun(client)
        assert not waiting.done()
        await asyncio.to_thread(deliver, own_world)
        assert await waiting == (NOTIFICATION_PENDING, 0)
        assert await wait(dispatcher, client, acxh) == (NOTIFICATION_PENDING, 0), "until it is fetched"
        client.execute(handles=[])
        (told,) = client.told
        assert told.notification_data.notification_type == NotificationType.NewMail
        assert told.notification_data.message_class == "IPM.Note"

    run(dispatcher, work())


def test_five_quiet_minutes_end_it_too(own_world: World) -> None:
    dispatcher, (client, acxh) = dispatching(own_world, longest_wait=0.0), subscribed(own_world)

    async def work() -> None:
        assert await wait(dispatcher, client, acxh) == (0, 0)

    run(dispatcher, work())


def test_a_second_call_of_a_session_is_rejected(own_world: World) -> None:
    """[MS-OXCNOTIF] 3.1.5.3."""
    dispatcher, (client, acxh) = dispatching(own_world), subscribed(own_world)

    async def work() -> None:
        first = asyncio.ensure_future(wait(dispatcher, client, acxh))
        await begun(client)
        assert await wait(dispatcher, client, acxh_of(client)) == (0, ErrorCode.Rejected)
        deliver(own_world)
        assert await first == (NOTIFICATION_PENDING, 0)

    run(dispatcher, work())


def test_a_handle_that_is_none_is_answered_at_once(own_world: World) -> None:
    """3.3.4.1: as if events were pending. So are other sessions' handles, and those of the other interface."""
    dispatcher, (client, acxh) = dispatching(own_world), subscribed(own_world)
    stranger = Client(own_world, "bob")

    async def work() -> None:
        for handle in (ContextHandle(0, uuid.uuid4()), client.cxh):
            assert await wait(dispatcher, client, handle) == (NOTIFICATION_PENDING, 0)
        assert await wait(dispatcher, stranger, acxh) == (NOTIFICATION_PENDING, 0)

    run(dispatcher, work())


@pytest.mark.parametrize("disconnects", [True, False])
def test_the_end_of_the_session_ends_the_wait(own_world: World, disconnects: bool) -> None:
    dispatcher, (client, acxh) = dispatching(own_world), subscribed(own_world)

    async def work() -> None:
        waiting = asyncio.ensure_future(wait(dispatcher, client, acxh))
        await begun(client)
        if disconnects:
            client.disconnect()
            assert not client.session.handles, "its asynchronous handle is gone as well"
        else:
            await dispatcher.unbind(client.session)
        assert await waiting == (NOTIFICATION_PENDING, 0)

    run(dispatcher, work())


def test_who_gives_up_may_wait_again(own_world: World) -> None:
    dispatcher, (client, acxh) = dispatching(own_world), subscribed(own_world)

    async def work() -> None:
        given_up = asyncio.ensure_future(wait(dispatcher, client, acxh))
        await begun(client)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        again = asyncio.ensure_future(wait(dispatcher, client, acxh))
        await begun(client)
        deliver(own_world)
        assert await again == (NOTIFICATION_PENDING, 0)

    run(dispatcher, work())


def statements_of(world: World, until: int) -> tuple[list[str], threading.Event]:
    """What the mailbox database is asked from now on, and what is set when it was asked that often."""
    store: Any = world.store
    asked: list[str] = []
    enough = threading.Event()

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)
        if len(asked) >= until:
            enough.set()

    event.listen(store._database.engine, "before_cursor_execute", before)
    return asked, enough


def test_a_thousand_waiting_sessions_cost_little_and_hear_of_mail(own_world: World) -> None:
    """Of memory, logon included; no threads; and of the database one look at a time for all of them."""
    dispatcher = dispatching(own_world)
    subscribed(own_world)  # what is made once
    gc.collect()
    tracemalloc.start()
    parties = [subscribed(own_world) for _ in range(SESSIONS)]

    async def work() -> None:
        waiting = [asyncio.ensure_future(wait(dispatcher, client, acxh)) for client, acxh in parties]
        await begun(parties[-1][0])
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert used / SESSIONS < BYTES_PER_SESSION
        asked, enough = statements_of(own_world, until=4)
        assert await asyncio.to_thread(enough.wait, 60)
        looked = [statement for statement in asked if "next_counter" in statement]
        assert len(looked) >= len(asked) // 2, "besides it transactions begin"
        await asyncio.to_thread(deliver, own_world)
        assert await asyncio.gather(*waiting) == [(NOTIFICATION_PENDING, 0)] * SESSIONS

    run(dispatcher, work())
