"""The relay: one association per session, handles, faults, and an upstream that goes away."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from openchange_py.addressbook.base import Directory, Entry
from openchange_py.proxy.authorize import Authorizer
from openchange_py.proxy.relay import MAXIMUM_CONNECTIONS, Relay
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    ASYNCEMSMDB,
    EcDoAsyncConnectExResponse,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
    EcDoDisconnectResponse,
    EcDoRpcExt2Response,
)
from openchange_py.wire.rpcheaderext import unpack_payloads
from tests.proxy.emsmdb_calls import HANDLE, connect, connected, disconnect, rops, rpc, rpc_answer
from tests.proxy.parties import ALICE, ALICE_DN, People, Upstream, people, status_of
from tests.proxy.recordings import recorded_calls

ASYNC_HANDLE = ContextHandle(0, uuid.UUID(int=0xA5))


def exchange(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """Answers as an Exchange would."""
    answers: dict[tuple[str, int], bytes] = {
        ("exchange_emsmdb", 10): connected(),
        ("exchange_emsmdb", 11): rpc_answer(rops()),
        ("exchange_emsmdb", 1): EcDoDisconnectResponse(NULL_HANDLE, 0).pack(),
        ("exchange_emsmdb", 14): EcDoAsyncConnectExResponse(ASYNC_HANDLE, 0).pack(),
        ("exchange_async_emsmdb", 0): EcDoAsyncWaitExResponse(1, 0).pack(),
        ("exchange_ds_rfr", 0): bytes(16),
    }
    return answers[interface.name, opnum]


def relay_to(upstream: Upstream, **options: Any) -> Relay:
    return Relay(upstream, Authorizer(people()), **options)


def session() -> Session:
    return Session("test", "client")


def refer(of: Session) -> Call:
    return Call(RFR, 0, bytes(16), of, ALICE)


def wait(of: Session) -> Call:
    return Call(ASYNCEMSMDB, 0, EcDoAsyncWaitExRequest(ASYNC_HANDLE).pack(), of, ALICE)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until something is the case."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0)


def test_nothing_is_opened_before_the_first_call_and_then_one_connection_per_interface() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        assert upstream.connections == []
        for call in (connect(client, ALICE, ALICE_DN), rpc(client, ALICE, rops()), refer(client), refer(client)):
            await relay.call(call)
        assert [c.interface.name for c in upstream.connections] == ["exchange_emsmdb", "exchange_ds_rfr"]
        assert len({c.assoc_group for c in upstream.connections}) == 1
        await relay.call(refer(session()))
        assert len({c.assoc_group for c in upstream.connections}) == 2

    run(work)


def test_stubs_and_replies_travel_unchanged() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        call = connect(client, ALICE, ALICE_DN)
        await relay.call(call)
        assert upstream.stubs == [call.stub]
        assert call.reply == connected()

    run(work)


def test_a_handle_of_another_session_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        upstream, client, thief = Upstream(exchange), session(), session()
        relay = relay_to(upstream)
        await relay.call(connect(client, ALICE, ALICE_DN))
        await relay.call(refer(thief))
        before = len(upstream.stubs)
        with pytest.raises(RpcFault) as caught:
            await relay.call(rpc(thief, ALICE, rops()))
        assert status_of(caught) == FaultStatus.CONTEXT_MISMATCH
        assert len(upstream.stubs) == before

    run(work)
    assert "foreign context handle" in caplog.text


def test_a_handle_that_was_ended_is_gone_and_one_that_was_made_is_there() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        await relay.call(connect(client, ALICE, ALICE_DN))
        with pytest.raises(RpcFault):
            await relay.call(wait(client))
        asynchronous = disconnect(client, ALICE)
        asynchronous.opnum = 14
        await relay.call(asynchronous)
        await relay.call(wait(client))
        await relay.call(rpc(client, ALICE, rops()))
        await relay.call(disconnect(client, ALICE))
        with pytest.raises(RpcFault) as caught:
            await relay.call(rpc(client, ALICE, rops()))
        assert status_of(caught) == FaultStatus.CONTEXT_MISMATCH

    run(work)


def test_faults_are_relayed_unchanged() -> None:
    def deny(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
        raise RpcFault(0x000006F7, "from upstream")

    async def work() -> None:
        upstream, client = Upstream(deny), session()
        relay = relay_to(upstream)
        for _ in range(2):
            with pytest.raises(RpcFault) as caught:
                await relay.call(refer(client))
            assert status_of(caught) == 0x000006F7
        assert len(upstream.connections) == 1

    run(work)


def test_an_upstream_that_cannot_be_reached() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        upstream.reachable = False
        with pytest.raises(RpcFault) as caught:
            await relay.call(refer(client))
        assert status_of(caught) == FaultStatus.SERVER_UNAVAILABLE
        upstream.reachable = True
        await relay.call(refer(client))

    run(work)


def test_a_call_in_flight_is_lost_with_its_connection_and_the_next_one_reconnects() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        await relay.call(connect(client, ALICE, ALICE_DN))
        upstream.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            lost = group.create_task(faulted(relay, rpc(client, ALICE, rops())))
            await until(lambda: len(upstream.stubs) == 2)
            await upstream.connections[0].close()
        assert lost.result() == FaultStatus.CALL_FAILED
        upstream.gate = None
        # What the old association knew died with it.
        assert await faulted(relay, rpc(client, ALICE, rops())) == FaultStatus.CONTEXT_MISMATCH
        await relay.call(connect(client, ALICE, ALICE_DN))
        assert len(upstream.open) == 1

    run(work)


@pytest.mark.parametrize("first", ["mailbox", "referral"])
def test_a_connection_that_was_closed_while_idle_is_replaced_and_handles_live_with_the_group(first: str) -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        calls = [connect(client, ALICE, ALICE_DN), refer(client)]
        for call in calls if first == "mailbox" else reversed(calls):
            await relay.call(call)
        await next(c for c in upstream.connections if c.interface.name == "exchange_emsmdb").close()
        await relay.call(rpc(client, ALICE, rops()))
        assert len({c.assoc_group for c in upstream.connections}) == 1

    run(work)


async def faulted(relay: Relay, call: Call) -> int:
    with pytest.raises(RpcFault) as caught:
        await relay.call(call)
    return status_of(caught)


def test_an_answer_that_takes_too_long() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        upstream.gate = asyncio.Event()
        assert await faulted(relay_to(upstream, timeout=0.01), refer(client)) == FaultStatus.CALL_FAILED
        assert upstream.open == []

    run(work)


def test_waiting_calls_do_not_wait_for_each_other() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        await relay.call(connect(client, ALICE, ALICE_DN))
        asynchronous = disconnect(client, ALICE)
        asynchronous.opnum = 14
        await relay.call(asynchronous)
        upstream.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            calls = [wait(client) for _ in range(MAXIMUM_CONNECTIONS)]
            for call in calls:
                group.create_task(relay.call(call))
            await until(lambda: len(upstream.stubs) == 2 + MAXIMUM_CONNECTIONS)
            assert await faulted(relay, wait(client)) == FaultStatus.SERVER_TOO_BUSY
            upstream.gate.set()
        assert all(call.reply for call in calls)
        assert len({c.assoc_group for c in upstream.connections}) == 1

    run(work)


def test_nobody_links_to_the_upstream_session_of_a_client_that_is_gone() -> None:
    async def work() -> None:
        relay, client = relay_to(Upstream(exchange)), session()
        await relay.call(connect(client, ALICE, ALICE_DN))
        linking = connect(session(), ALICE, ALICE_DN, icxr_link=7)
        await relay.call(linking)
        assert linking.reply is not None  # the upstream's
        await relay.end_session(client)
        await relay.end_session(linking.session)
        late = connect(session(), ALICE, ALICE_DN, icxr_link=7)
        await relay.call(late)
        assert late.reply is None

    run(work)


def test_the_end_of_a_session_closes_its_connections_and_ends_its_calls() -> None:
    async def work() -> None:
        upstream, client, other = Upstream(exchange), session(), session()
        relay = relay_to(upstream)
        await relay.call(refer(other))
        upstream.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(faulted(relay, refer(client)))
            await until(lambda: len(upstream.stubs) == 2)
            await relay.end_session(client)
        assert ended.result() == FaultStatus.CALL_FAILED
        assert len(upstream.open) == 1
        assert await faulted(relay, refer(client)) == FaultStatus.CALL_FAILED
        await relay.end_session(session())

    run(work)


@pytest.mark.parametrize(
    "name",
    [
        "calls-session-tcp-seal-2010.jsonl",
        "calls-folders-tcp-connect-2007.jsonl",
        "calls-freebusy-tcp-connect-2007.jsonl",
    ],
)
def test_recorded_sessions_pass_unchanged(name: str) -> None:
    """A real client's session through the relay: every stub and every reply arrives as it was recorded."""
    calls = [call for call in recorded_calls(name) if call.reply is not None]
    replies: list[bytes] = []

    class Alice(People):
        """Who alice is in the recordings, and the names that the server there did not know."""

        def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None:
            return None if legacy_exchange_dn.endswith("@example.test") else self.entries[0]

    async def work() -> tuple[Upstream, int]:
        upstream = Upstream(lambda interface, opnum, stub: replies[-1])
        relay, client = Relay(upstream, Authorizer(cast("Directory", Alice()))), session()
        refused = 0
        for recorded in calls:
            replies.append(recorded.reply or b"")
            call = Call(recorded.interface, recorded.opnum, recorded.stub, client, ALICE)
            await relay.call(call)
            if upstream.stubs[-1] is not recorded.stub:
                refused += 1
                assert recorded_error(recorded.reply) == recorded_error(call.reply_bytes()) == ErrorCode.UnknownUser
            else:
                assert call.reply == recorded.reply
        return upstream, refused

    upstream, refused = asyncio.run(work())
    assert len(upstream.stubs) + refused == len(calls) > 10
    assert 0 < refused <= 3


def recorded_error(reply: bytes | None) -> int:
    """The ReturnValue of the only ROP of a response."""
    [payload] = unpack_payloads(EcDoRpcExt2Response.unpack(reply or b"").rgb_out)
    return int.from_bytes(payload[4:8], "little")


def test_the_authorizer_answers_in_place_of_the_upstream() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        call = connect(client, ALICE, "/o=Example/ou=First/cn=Recipients/cn=bob")
        await relay_to(upstream).call(call)
        assert call.reply_bytes()[:20] == bytes(20)
        assert upstream.stubs == []

    run(work)


def test_handles_are_what_the_upstream_gave() -> None:
    assert connected()[4:20] == HANDLE.uuid.bytes_le
