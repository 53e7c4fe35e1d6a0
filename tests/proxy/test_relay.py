"""The relay: one association per session, handles, faults, and an upstream that goes away."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from openchange_py.addressbook.base import Directory, Entry
from openchange_py.proxy.association import UpstreamClient
from openchange_py.proxy.authorize import Authorizer, CallAuthorizer
from openchange_py.proxy.credentials import KerberosLogons
from openchange_py.proxy.delegated import DelegatedCredentials, UpstreamAuthorizes
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.relay import MAXIMUM_CONNECTIONS, Relay
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    ASYNCEMSMDB,
    EMSMDB,
    EcDoAsyncConnectExResponse,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiUnbindRequest,
    NspiUnbindResponse,
    NspiUpdateStatRequest,
    NspiUpdateStatResponse,
)
from openchange_py.wire.oxnspi_types import STAT
from openchange_py.wire.rpcheaderext import pack_payload, unpack_payloads
from tests.proxy.emsmdb_calls import (
    HANDLE,
    connect,
    connected,
    disconnect,
    logon,
    old_connect,
    old_connected,
    old_rpc,
    old_rpc_answer,
    rops,
    rpc,
    rpc_answer,
)
from tests.proxy.parties import ALICE, ALICE_DN, BOB_DN, People, Upstream, people, status_of
from tests.proxy.recordings import recorded_calls

OLD_HANDLE = ContextHandle(0, uuid.UUID(int=0x01D))
ASYNC_HANDLE = ContextHandle(0, uuid.UUID(int=0xA5))


def exchange(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """Answers as an Exchange would."""
    answers: dict[tuple[str, int], bytes] = {
        ("exchange_emsmdb", 0): old_connected(OLD_HANDLE),
        ("exchange_emsmdb", 2): old_rpc_answer(rops(), handle=OLD_HANDLE),
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


def connect_asynchronously(of: Session) -> Call:
    """EcDoAsyncConnectEx: its stub is a handle, as EcDoDisconnect's is."""
    call = disconnect(of, ALICE)
    call.opnum = 14
    return call


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
        # Mailbox and referral service may be two processes there, and a group is one process'.
        assert len({c.assoc_group for c in upstream.connections}) == 2
        await relay.call(refer(session()))
        assert len({c.assoc_group for c in upstream.connections}) == 3

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


def test_the_calls_of_old_clients_are_relayed_within_their_session() -> None:
    async def work() -> None:
        upstream, client, thief = Upstream(exchange), session(), session()
        relay = relay_to(upstream)
        call = old_connect(client, ALICE, ALICE_DN)
        await relay.call(call)
        assert call.reply == old_connected(OLD_HANDLE)
        call = old_rpc(client, ALICE, rops(), handle=OLD_HANDLE)
        await relay.call(call)
        assert (call.stub, call.reply) == (upstream.stubs[-1], old_rpc_answer(rops(), handle=OLD_HANDLE))
        assert await faulted(relay, old_rpc(thief, ALICE, rops(), handle=OLD_HANDLE)) == FaultStatus.CONTEXT_MISMATCH
        await relay.call(disconnect(client, ALICE, OLD_HANDLE))
        assert await faulted(relay, old_rpc(client, ALICE, rops(), handle=OLD_HANDLE)) == FaultStatus.CONTEXT_MISMATCH

    run(work)


def test_a_handle_that_was_ended_is_gone_and_one_that_was_made_is_there() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        await relay.call(connect(client, ALICE, ALICE_DN))
        with pytest.raises(RpcFault):
            await relay.call(wait(client))
        await relay.call(connect_asynchronously(client))
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


def test_a_connection_that_was_closed_while_idle_is_replaced_and_handles_live_with_the_group() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        await relay.call(connect(client, ALICE, ALICE_DN))
        await relay.call(connect_asynchronously(client))
        await relay.call(wait(client))
        assert [c.interface for c in upstream.connections] == [EMSMDB, ASYNCEMSMDB]
        await upstream.connections[0].close()
        await relay.call(rpc(client, ALICE, rops()))
        assert [c.interface for c in upstream.connections] == [EMSMDB, ASYNCEMSMDB, EMSMDB]
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


# The upstream is lost


class AddressBook:
    """An upstream whose NSPI handles are good within the group that they were given in."""

    def __init__(self, guid: int | None = 1) -> None:
        self.guid, self.upstream = guid, Upstream(self.answer)
        self.opened: list[ContextHandle] = []
        #: Handles that the server has forgotten, though the connection lives.
        self.forgotten: set[ContextHandle] = set()

    def answer(self, interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
        guid = None if self.guid is None else uuid.UUID(int=self.guid)
        if opnum == 0:
            self.opened.append(ContextHandle(0, uuid.UUID(int=0xAB00 + len(self.opened))))
            return NspiBindResponse(guid, self.opened[-1], 0).pack()
        handle = (
            NspiUnbindRequest.unpack(stub).context_handle if opnum == 1 else NspiUpdateStatRequest.unpack(stub).h_rpc
        )
        if handle != self.opened[-1] or handle in self.forgotten:
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH)
        if opnum == 1:
            return NspiUnbindResponse(NULL_HANDLE, 1).pack()
        return NspiUpdateStatResponse(POSITION, None, 0).pack()


POSITION = STAT()


def bind(of: Session) -> Call:
    return Call(NSPI, 0, NspiBindRequest(0, POSITION, uuid.UUID(int=0)).pack(), of, ALICE)


def update_stat(of: Session, handle: ContextHandle) -> Call:
    return Call(NSPI, 2, NspiUpdateStatRequest(handle, 0, POSITION, None).pack(), of, ALICE)


def unbind(of: Session, handle: ContextHandle) -> Call:
    return Call(NSPI, 1, NspiUnbindRequest(handle).pack(), of, ALICE)


async def bound(relay: Relay, client: Session) -> ContextHandle:
    call = bind(client)
    await relay.call(call)
    return NspiBindResponse.unpack(call.reply_bytes()).context_handle


def test_an_address_book_session_is_opened_again_where_the_upstream_was_lost() -> None:
    async def work() -> None:
        book, client = AddressBook(), session()
        relay = relay_to(book.upstream)
        handle = await bound(relay, client)
        for _ in range(2):
            await book.upstream.open[0].close()
            call = update_stat(client, handle)
            await relay.call(call)
            assert call.reply == NspiUpdateStatResponse(POSITION, None, 0).pack()
        assert len(book.opened) == 3
        ended = unbind(client, handle)
        await relay.call(ended)
        assert ended.reply == NspiUnbindResponse(NULL_HANDLE, 1).pack()
        assert await faulted(relay, update_stat(client, handle)) == FaultStatus.CONTEXT_MISMATCH

    run(work)


def test_a_reading_call_in_flight_is_repeated_once() -> None:
    async def work() -> None:
        book, client = AddressBook(), session()
        relay = relay_to(book.upstream)
        handle = await bound(relay, client)
        book.upstream.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            call = update_stat(client, handle)
            group.create_task(relay.call(call))
            await until(lambda: len(book.upstream.stubs) == 2)
            # Its gate opens with the connection's end, and stays open.
            await book.upstream.open[0].close()
        assert call.reply == NspiUpdateStatResponse(POSITION, None, 0).pack()
        assert len(book.upstream.connections) == 2

    run(work)


def test_a_reading_call_is_not_repeated_for_ever() -> None:
    async def work() -> None:
        lost: list[object] = []

        def answer(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
            lost.append(opnum)
            raise ConnectionLost("reset by peer")

        relay = relay_to(Upstream(answer))
        assert await faulted(relay, refer(session())) == FaultStatus.CALL_FAILED
        assert len(lost) == 2
        assert await faulted(relay, connect(session(), ALICE, ALICE_DN)) == FaultStatus.CALL_FAILED
        assert len(lost) == 3

    run(work)


def test_an_address_book_session_that_the_upstream_forgot_is_opened_again() -> None:
    async def work() -> None:
        book, client = AddressBook(), session()
        relay = relay_to(book.upstream)
        handle = await bound(relay, client)
        book.forgotten.add(handle)
        await relay.call(update_stat(client, handle))
        assert len(book.upstream.connections) == 1
        assert len(book.opened) == 2

    run(work)


@pytest.mark.parametrize("guids", [(1, 2), (None, None)], ids=["another server's", "nobody's"])
def test_an_address_book_that_is_not_the_same_is_a_context_mismatch(guids: tuple[int | None, int | None]) -> None:
    """Minimal Entry Ids that the client has would mean other objects there: [MS-OXNSPI] 2.2.9.1."""

    async def work() -> None:
        book, client = AddressBook(guids[0]), session()
        relay = relay_to(book.upstream)
        handle = await bound(relay, client)
        await book.upstream.open[0].close()
        book.guid = guids[1]
        assert await faulted(relay, update_stat(client, handle)) == FaultStatus.CONTEXT_MISMATCH
        assert await faulted(relay, update_stat(client, handle)) == FaultStatus.CONTEXT_MISMATCH
        again = await bound(relay, client)
        await relay.call(update_stat(client, again))

    run(work)


def test_a_mailbox_session_does_not_outlive_its_association_and_nobody_inherits_its_index() -> None:
    async def work() -> None:
        upstream, client, other = Upstream(exchange), session(), session()
        relay = relay_to(upstream)
        await relay.call(connect(client, ALICE, ALICE_DN))
        await upstream.open[0].close()
        assert await faulted(relay, rpc(client, ALICE, rops())) == FaultStatus.CONTEXT_MISMATCH
        late = connect(other, ALICE, ALICE_DN, icxr_link=7)
        await relay.call(late)
        assert late.reply is None
        await relay.call(connect(client, ALICE, ALICE_DN))
        await relay.call(rpc(client, ALICE, rops()))

    run(work)


def test_a_session_has_so_many_handles_and_no_more() -> None:
    async def work() -> None:
        book, client = AddressBook(), Session("test", "client", handle_limit=2)
        relay = relay_to(book.upstream)
        first = await bound(relay, client)
        await bound(relay, client)
        assert await faulted(relay, bind(client)) == FaultStatus.OUT_OF_RESOURCES
        book.opened.append(first)
        await relay.call(unbind(client, first))
        await relay.call(bind(client))

    run(work)


def test_waiting_calls_do_not_wait_for_each_other() -> None:
    async def work() -> None:
        upstream, client = Upstream(exchange), session()
        relay = relay_to(upstream)
        await relay.call(connect(client, ALICE, ALICE_DN))
        await relay.call(connect_asynchronously(client))
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


def test_a_module_has_a_call_checked_before_it_hides_it() -> None:
    """What the relay could not read any more is checked as it was, and once."""

    class Hiding(Module):
        name = "hiding"

        async def dispatch(self, call: Call) -> None:
            if call.opnum == 11 and await self.check(call):
                request = EcDoRpcExt2Request.unpack(call.stub)
                request.rgb_in = pack_payload(rops(tail=b"\xa6" + b"\xfe" * 8), xor=True)
                call.replace_stub(request.pack())
                call.vouch()

    async def work() -> None:
        upstream = Upstream(exchange)
        relay = relay_to(upstream)
        way = ModuleStack([Hiding()]).around(EMSMDB.name, relay.call, relay.check)
        client = session()
        await way(connect(client, ALICE, ALICE_DN))
        mine = rpc(client, ALICE, rops(logon(ALICE_DN)))
        await way(mine)
        assert upstream.stubs[-1] == mine.stub
        assert b"\xfe" * 8 in bytes(byte ^ 0xA5 for byte in mine.stub)
        others = rpc(client, ALICE, rops(logon(BOB_DN)))
        await way(others)
        assert len(upstream.stubs) == 2, "a RopLogon to another's mailbox goes nowhere, hidden or not"
        assert others.norelay
        hidden = rpc(client, ALICE, rops(tail=b"\xa6" + b"\xfe" * 8))
        await relay.call(hidden)
        assert len(upstream.stubs) == 2, "what nobody vouched for must be readable"

    asyncio.run(work())


@pytest.mark.parametrize(("authorizer", "status"), [(Authorizer(people()), 0x6BA), (UpstreamAuthorizes(), 5)])
def test_access_denied_is_the_caller_s_affair_where_it_was_he_who_logged_on(
    authorizer: CallAuthorizer, status: int
) -> None:
    def refuse(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
        raise RpcFault(FaultStatus.ACCESS_DENIED)

    with pytest.raises(RpcFault) as caught:
        asyncio.run(Relay(Upstream(refuse), authorizer).call(refer(session())))
    assert status_of(caught) == status


@pytest.mark.parametrize(("authorizer", "status"), [(Authorizer(people()), 0x6BA), (UpstreamAuthorizes(), 0x721)])
def test_an_identity_that_cannot_be_taken_upstream(authorizer: CallAuthorizer, status: int) -> None:
    """Not "server unavailable", which would have the client try again."""

    async def connect_to(call: Call, assoc_group: int) -> UpstreamClient:
        raise AuthenticationFailed("no credentials")

    with pytest.raises(RpcFault) as caught:
        asyncio.run(Relay(connect_to, authorizer).call(refer(session())))
    assert status_of(caught) == status


def test_what_was_delegated_is_wiped_with_the_session_and_not_with_its_connection() -> None:
    class Tickets:
        closed = claimed = False

        def close(self) -> None:
            self.closed = True

    async def check() -> None:
        upstream, of, tickets = Upstream(exchange), session(), Tickets()
        relay = Relay(upstream, UpstreamAuthorizes())
        caller = dataclasses.replace(ALICE, delegated=tickets)
        credentials = DelegatedCredentials({"alice": bytes(16)}.get, None, "", KerberosLogons(1))
        await credentials.context(Call(RFR, 0, bytes(16), of, caller), "host/x", AuthLevel.PRIVACY)
        for _ in range(2):
            await relay.call(refer(of))
            await upstream.connections[-1].close()
        assert not tickets.closed
        await relay.end_session(of)
        assert tickets.closed

    asyncio.run(check())
