"""The dispatcher: who answers, in which order, and what becomes of errors."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from openchange_py.addressbook.base import Account
from openchange_py.auth.standing import Standing
from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.printing import Printer
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, Authority
from openchange_py.wire.oxcrpc import ASYNCEMSMDB
from tests.proxy.parties import ALICE, BOB, NUMBERS, Doubler, Number, number_call, status_of


class RelayDouble:
    """Relays to nowhere: what was relayed, and an answer."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.relayed: list[bytes] = []
        self.log = [] if log is None else log

    async def call(self, call: Call) -> None:
        self.relayed.append(call.stub)
        call.answer(Number(len(self.relayed)).pack())

    async def check(self, call: Call) -> None:
        self.log.append("check")

    async def end_session(self, session: Session) -> None:
        self.log.append("relay")


def relaying(relay: RelayDouble, *modules: Module) -> Dispatcher:
    return Dispatcher({}, ModuleStack(modules), relayed={NUMBERS.name: NUMBERS}, relay=relay)


def serving(server: Doubler, *modules: Module, **options: Any) -> Dispatcher:
    return Dispatcher({NUMBERS.name: server}, ModuleStack(modules), **options)


def run(dispatcher: Dispatcher, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    try:
        return asyncio.run(work())
    finally:
        dispatcher.close()


def handled(dispatcher: Dispatcher, call: Call) -> int:
    reply: bytes = run(dispatcher, lambda: dispatcher.handle(call))
    return Number.unpack(reply).value


def test_a_local_server_answers_in_a_worker_thread() -> None:
    threads = []
    server = Doubler(lambda call: threads.append(threading.current_thread()))
    assert handled(serving(server), number_call(21)) == 42
    assert threads != [threading.main_thread()]


class Patient:
    """A server whose calls wait until they are let go."""

    name = "patient"
    interface = ASYNCEMSMDB

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.ended: list[Session] = []

    async def wait(self, call: Call) -> None:
        await self.goes_on.wait()
        call.answer(b"answered")

    def end_session(self, session: Session) -> None:
        self.ended.append(session)


def test_calls_that_wait_take_no_thread_and_hold_up_no_other_call() -> None:
    async def work() -> None:
        patient, session = Patient(), Session("test", "client")
        dispatcher = Dispatcher({ASYNCEMSMDB.name: patient, NUMBERS.name: Doubler()}, worker_threads=1)
        waiting = [
            asyncio.ensure_future(dispatcher.handle(Call(ASYNCEMSMDB, 0, b"", session, ALICE))) for _ in range(9)
        ]
        call = number_call(21)
        call.session = session
        assert Number.unpack(await dispatcher.handle(call)).value == 42
        assert not any(one.done() for one in waiting)
        patient.goes_on.set()
        assert await asyncio.gather(*waiting) == [b"answered"] * 9
        await dispatcher.unbind(session)
        assert patient.ended == [session]
        dispatcher.close()

    asyncio.run(work())


def test_interfaces_of_servers_and_relay() -> None:
    dispatcher = Dispatcher({NUMBERS.name: Doubler()}, relayed={ASYNCEMSMDB.name: ASYNCEMSMDB}, relay=RelayDouble())
    assert dispatcher.interfaces() == [NUMBERS, ASYNCEMSMDB]
    assert dispatcher.waits(Call(ASYNCEMSMDB, 0, b"", Session("test", "client")))
    assert not dispatcher.waits(number_call())
    dispatcher.close()


def test_a_stub_that_nobody_edits_is_relayed_as_it_came() -> None:
    relay = RelayDouble()
    call = number_call()
    call.replace_stub(b"\x01\x02\x03 not even a number")
    assert handled(relaying(relay), call) == 1
    assert relay.relayed == [b"\x01\x02\x03 not even a number"]


def test_norelay_answers_from_the_module() -> None:
    class Answering(Module):
        def dispatch(self, call: Call) -> None:
            call.norelay = True
            call.response = Number(7)

    relay = RelayDouble()
    assert handled(relaying(relay, Answering()), number_call()) == 7
    assert relay.relayed == []


def test_norelay_without_an_answer_is_a_fault() -> None:
    class Silent(Module):
        def dispatch(self, call: Call) -> None:
            call.norelay = True

    with pytest.raises(RpcFault) as caught:
        handled(relaying(RelayDouble(), Silent()), number_call())
    assert status_of(caught) == FaultStatus.CALL_FAILED


def test_ahead_dispatches_again_and_the_module_sees_the_response() -> None:
    class ReadAhead(Module):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def dispatch(self, call: Call) -> None:
            if call.response is not None:
                self.seen.append(cast("Number", call.response).value)
                call.replace_stub(Number(99).pack())
            call.ahead = len(self.seen) < 2

    module, relay = ReadAhead(), RelayDouble()
    assert handled(relaying(relay, module), number_call(5)) == 3
    assert module.seen == [1, 2]
    assert relay.relayed == [Number(5).pack(), Number(99).pack(), Number(99).pack()]


def test_a_module_that_goes_ahead_forever_is_stopped() -> None:
    class Stuck(Module):
        def dispatch(self, call: Call) -> None:
            call.ahead = True

    with pytest.raises(RpcFault, match="ahead 1000 times"):
        handled(relaying(RelayDouble(), Stuck()), number_call())


@pytest.mark.parametrize("relayed", [False, True])
def test_the_minimum_level_is_demanded(relayed: bool) -> None:
    levels = {NUMBERS.name: AuthLevel.INTEGRITY}
    relay = RelayDouble()
    routes: dict[str, Any] = {"relayed": {NUMBERS.name: NUMBERS}, "relay": relay} if relayed else {}
    servers = {} if relayed else {NUMBERS.name: Doubler()}
    dispatcher = Dispatcher(servers, minimum_levels=levels, **routes)
    assert dispatcher.minimum_level(NUMBERS) is AuthLevel.INTEGRITY
    with pytest.raises(RpcFault) as caught:
        handled(dispatcher, number_call(caller=ANONYMOUS))
    assert status_of(caught) == FaultStatus.ACCESS_DENIED
    assert relay.relayed == []


def test_errors_of_a_server(caplog: pytest.LogCaptureFixture) -> None:
    def crash(call: Call) -> None:
        raise ZeroDivisionError("a bug")

    def deny(call: Call) -> None:
        raise RpcFault(FaultStatus.ACCESS_DENIED)

    bad = number_call()
    bad.replace_stub(b"\x01")
    for server, call, status in (
        (Doubler(crash), number_call(), FaultStatus.UNSPECIFIED),
        (Doubler(deny), number_call(), FaultStatus.ACCESS_DENIED),
        (Doubler(), bad, FaultStatus.BAD_STUB_DATA),
        (Doubler(), Call(ASYNCEMSMDB, 0, b"", Session("test", "client")), FaultStatus.UNKNOWN_INTERFACE),
    ):
        with pytest.raises(RpcFault) as caught:
            handled(serving(server), call)
        assert status_of(caught) == status
    assert "Double failed" in caplog.text
    assert "ZeroDivisionError: a bug" in caplog.text


def test_calls_of_one_session_wait_for_each_other_and_others_do_not() -> None:
    session, other = Session("test", "client"), Session("test", "other")
    inside: list[Session] = []
    together: set[frozenset[int]] = set()
    meeting = threading.Barrier(2, timeout=10)

    def work(call: Call) -> None:
        inside.append(call.session)
        together.add(frozenset(s.number for s in inside))
        assert inside.count(session) <= 1
        if cast("Number", call.request).value == 1:
            meeting.wait()
        inside.remove(call.session)

    dispatcher = serving(Doubler(work))
    calls = [number_call(1, session=session), number_call(2, session=session), number_call(1, session=other)]

    async def all_at_once() -> list[bytes]:
        return await asyncio.gather(*(dispatcher.handle(call) for call in calls))

    replies = run(dispatcher, all_at_once)
    assert [Number.unpack(reply).value for reply in replies] == [2, 4, 2]
    assert frozenset({session.number, other.number}) in together


def test_a_cancelled_call_keeps_its_turn_until_the_worker_is_done() -> None:
    started, go_on, order = threading.Event(), threading.Event(), []

    def work(call: Call) -> None:
        value = cast("Number", call.request).value
        if value == 1:
            started.set()
            go_on.wait(10)
        order.append(value)

    dispatcher = serving(Doubler(work))
    session = Session("test", "client")

    async def cancelled_then_next() -> None:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(dispatcher.handle(number_call(1, session=session)))
            await asyncio.to_thread(started.wait, 10)
            second = group.create_task(dispatcher.handle(number_call(2, session=session)))
            first.cancel()
            await asyncio.sleep(0)
            assert not second.done()
            go_on.set()

    run(dispatcher, cancelled_then_next)
    assert order == [1, 2]


def test_unbind_tells_relay_modules_and_servers(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    class Watching(Module):
        def unbind(self, session: Session) -> None:
            log.append("module")

    class Failing(Doubler):
        def end_session(self, session: Session) -> None:
            super().end_session(session)
            raise ZeroDivisionError("a bug")

    server, session = Failing(), Session("test", "client")
    dispatcher = serving(server, Watching(), relayed={}, relay=RelayDouble(log))
    run(dispatcher, lambda: dispatcher.unbind(session))
    assert (log, server.ended) == (["relay", "module"], [session])
    assert "doubler failed at the end of a session" in caplog.text


def test_the_print_flag_shows_every_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    def deny(call: Call) -> None:
        if cast("Number", call.request).value == 13:
            raise RpcFault(FaultStatus.ACCESS_DENIED)

    assert handled(serving(Doubler(deny), printer=Printer()), number_call(21)) == 42
    with pytest.raises(RpcFault):
        handled(serving(Doubler(deny), printer=Printer()), number_call(13))
    text = caplog.text
    assert "> numbers Double: 4 bytes\n    value: 21" in text
    assert "< numbers Double: 4 bytes\n    value: 42" in text
    assert "< numbers Double: fault 0x00000005" in text


def test_relayed_interfaces_need_a_relay() -> None:
    with pytest.raises(ValueError, match="nothing to relay numbers to"):
        Dispatcher({}, relayed={NUMBERS.name: NUMBERS})


def test_one_account_leaves_threads_to_the_others() -> None:
    go_on, busy = threading.Event(), threading.Semaphore(0)

    def work(call: Call) -> None:
        if call.caller == ALICE:
            busy.release()
            go_on.wait(20)

    dispatcher = Dispatcher({NUMBERS.name: Doubler(work)}, worker_threads=4)

    async def main() -> None:
        greedy = [asyncio.ensure_future(dispatcher.handle(number_call(n))) for n in range(12)]
        for _ in range(3):
            assert await asyncio.to_thread(busy.acquire, timeout=10)
        reply = await asyncio.wait_for(dispatcher.handle(number_call(21, caller=BOB)), 10)
        assert Number.unpack(reply).value == 42
        assert not any(call.done() for call in greedy)
        go_on.set()
        assert [Number.unpack(reply).value for reply in await asyncio.gather(*greedy)] == [2 * n for n in range(12)]

    try:
        asyncio.run(main())
    finally:
        go_on.set()
        dispatcher.close()


def test_modules_may_have_relayed_calls_checked_and_local_ones_need_no_check() -> None:
    class Hiding(Module):
        async def dispatch(self, call: Call) -> None:
            assert await self.check(call)

    relay = RelayDouble()
    handled(relaying(relay, Hiding()), number_call())
    assert relay.log == ["check"]
    assert handled(serving(Doubler(), Hiding()), number_call(4)) == 8


def test_whoever_may_not_log_on_any_more_is_refused() -> None:
    class Accounts:
        enabled = True

        def account(self, name: str) -> Account:
            return Account(name, "", bytes(16), self.enabled)

    accounts, server = Accounts(), Doubler()
    dispatcher = serving(server)
    dispatcher.standing = Standing(accounts, interval=0)
    assert handled(dispatcher, number_call(21)) == 42
    accounts.enabled = False
    dispatcher = serving(server)
    dispatcher.standing = Standing(accounts, interval=0)
    with pytest.raises(RpcFault) as caught:
        handled(dispatcher, number_call(21))
    assert status_of(caught) == FaultStatus.ACCESS_DENIED


def test_a_local_server_takes_nobody_on_the_upstream_s_word() -> None:
    server = Doubler(lambda call: pytest.fail("it was called"))
    with pytest.raises(RpcFault) as caught:
        handled(serving(server), number_call(caller=dataclasses.replace(ALICE, authority=Authority.UPSTREAM)))
    assert status_of(caught) == FaultStatus.ACCESS_DENIED
