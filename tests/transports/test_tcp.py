"""The TCP server as its clients see it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.reassembly import ANONYMOUS_CALL_LIMIT
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp import ConnectionLost, TcpLimits
from openchange_py.wire.mgmt import MGMT, InqIfIdsRequest, InqIfIdsResponse
from tests.rpc.echo import BAD_STUB, CRASH, ECHO, FAULT, GROW, OTHER, REVERSE, WAIT, WHO
from tests.rpc.parties import LEVELS
from tests.transports.serving import LOOPS, client, run, serving


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("level", LEVELS)
def test_stubs_of_every_size_at_every_level(level: AuthLevel, loop: str) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            caller = await client(port, level)
            largest = ANONYMOUS_CALL_LIMIT if level == AuthLevel.NONE else 200 * 1024
            for size in (0, 100, 4096, largest):
                stub = bytes(i % 251 for i in range(size))
                assert await caller.call(REVERSE, stub) == stub[::-1]
            await caller.close()

    run(main, loop)


def test_mgmt_is_on_every_server() -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            caller = await client(port, interface=MGMT)
            answer = InqIfIdsResponse.unpack(await caller.call(0, InqIfIdsRequest().pack()))
            assert answer.if_id_vector == [ECHO.syntax, OTHER.syntax, MGMT.syntax]
            await caller.close()

    run(main)


def test_errors_of_one_call_leave_the_connection_and_the_log_tells_them(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            caller = await client(port, AuthLevel.CONNECT)
            for opnum, stub, status in (
                (FAULT, (0x1234).to_bytes(4, "little"), 0x1234),
                (BAD_STUB, b"", FaultStatus.BAD_STUB_DATA),
                (CRASH, b"", FaultStatus.CALL_FAILED),
                (99, b"", FaultStatus.OP_RANGE_ERROR),
            ):
                with pytest.raises(RpcFault) as caught:
                    await caller.call(opnum, stub)
                assert caught.value.status == status
            assert await caller.call(REVERSE, b"abc") == b"cba"
            await caller.close()

    with caplog.at_level(logging.DEBUG, "openchange_py"):
        run(main)
    assert "ZeroDivisionError: a bug in the handler" in caplog.text
    assert "EXAMPLE\\alice] call" in caplog.text
    assert "Secret" not in caplog.text


def test_the_minimum_level_is_the_interface_s_own() -> None:
    async def main() -> None:
        minimum = {ECHO: AuthLevel.INTEGRITY}
        async with serving(minimum_level=lambda interface: minimum.get(interface, AuthLevel.NONE)) as (_, _, port):
            for level in LEVELS:
                caller = await client(port, level)
                if level >= AuthLevel.INTEGRITY:
                    assert await caller.call(REVERSE, b"ab") == b"ba"
                else:
                    with pytest.raises(RpcFault) as caught:
                        await caller.call(REVERSE, b"ab")
                    assert caught.value.status == FaultStatus.ACCESS_DENIED
                assert await caller.call(REVERSE, b"ab", interface=OTHER) == b"ba"
                await caller.close()

    run(main)


def test_a_session_is_the_group_s_and_ends_with_its_last_connection() -> None:
    async def main() -> None:
        async with serving(groups=AssociationGroups()) as (server, handler, port):
            first = await client(port, AuthLevel.CONNECT)
            await first.call(WHO, b"")
            second = await client(port, AuthLevel.PRIVACY, assoc_group=first.assoc_group)
            await second.call(WHO, b"")
            await first.close()
            assert await second.call(REVERSE, b"ab") == b"ba"
            assert handler.ended == []
            assert len(handler.sessions) == 1
            await second.close()
            await server.stop()
            assert handler.ended == handler.sessions
            assert len(server.groups) == 0

    run(main)


def test_calls_of_a_session_are_handled_one_at_a_time_but_sessions_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        async with serving() as (_, handler, port):
            first = await client(port)
            second = await client(port, assoc_group=first.assoc_group)
            stranger = await client(port)
            waiting = asyncio.ensure_future(first.call(WAIT, b""))
            await handler.waiting.wait()
            held_up = asyncio.ensure_future(second.call(REVERSE, b"ab"))
            assert await stranger.call(REVERSE, b"ab") == b"ba"
            assert not held_up.done()
            handler.gate.set()
            assert await waiting == b"waited"
            assert await held_up == b"ba"
            for one in (first, second, stranger):
                await one.close()

    run(main)


def test_a_call_that_only_waits_does_not_hold_up_its_session() -> None:
    async def main() -> None:
        async with serving(waits=lambda call: call.opnum == WAIT) as (_, handler, port):
            first = await client(port)
            second = await client(port, assoc_group=first.assoc_group)
            waiting = asyncio.ensure_future(first.call(WAIT, b""))
            await handler.waiting.wait()
            assert await second.call(REVERSE, b"ab") == b"ba"
            handler.gate.set()
            assert await waiting == b"waited"
            await first.close()
            await second.close()

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_stop_finishes_the_call_in_flight(loop: str) -> None:
    async def main() -> None:
        async with serving() as (server, handler, port):
            caller, idle = await client(port), await client(port)
            waiting = asyncio.ensure_future(caller.call(WAIT, b""))
            await handler.waiting.wait()
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0)
            with pytest.raises(ConnectionLost):
                await client(port)
            handler.gate.set()
            assert await waiting == b"waited"
            await stopping
            with pytest.raises(ConnectionLost):
                await idle.call(REVERSE, b"")
            assert handler.ended == handler.sessions

    run(main, loop)


def test_stop_does_not_wait_for_ever() -> None:
    async def main() -> None:
        async with serving(limits=TcpLimits(stop_seconds=0.05)) as (server, handler, port):
            caller = await client(port)
            waiting = asyncio.ensure_future(caller.call(WAIT, b""))
            await handler.waiting.wait()
            await server.stop()
            with pytest.raises(ConnectionLost):
                await waiting
            handler.gate.set()

    run(main)


def test_one_connection_too_many_is_closed_and_the_others_live() -> None:
    async def main() -> None:
        async with serving(limits=TcpLimits(connections=2)) as (_, _, port):
            first, second = await client(port, AuthLevel.CONNECT), await client(port, AuthLevel.CONNECT)
            for one in (first, second):
                assert await one.call(REVERSE, b"ab") == b"ba"  # authenticated by now
            with pytest.raises(ConnectionLost):
                await client(port, AuthLevel.CONNECT)
            assert await first.call(REVERSE, b"ab") == b"ba"
            await second.close()
            await first.call(REVERSE, b"")
            third = await client(port, AuthLevel.CONNECT)
            assert await third.call(GROW, (300_000).to_bytes(4, "little")) == bytes(300_000)
            await first.close()
            await third.close()

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_strangers_who_hold_all_connections_keep_nobody_out(loop: str) -> None:
    async def main() -> None:
        async with serving(limits=TcpLimits(connections=5)) as (server, _, port):
            known = await client(port, AuthLevel.CONNECT)
            assert await known.call(REVERSE, b"ab") == b"ba"
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            stranger = await client(port)
            for _ in range(3):
                one_more = await client(port, AuthLevel.CONNECT)
                assert await one_more.call(REVERSE, b"ab") == b"ba"
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()
            assert await stranger.call(REVERSE, b"ab") == b"ba"  # the youngest of them
            assert await known.call(REVERSE, b"ab") == b"ba"
            assert len(server._connections) == 5

    run(main, loop)


def test_object_uuid_and_identity_reach_the_handler() -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            caller = await client(port, AuthLevel.PRIVACY)
            object_uuid = ECHO.syntax.uuid
            answer = await caller.call(WHO, b"", object_uuid)
            assert answer.decode() == f"echo EXAMPLE\\alice PRIVACY {object_uuid}"
            await caller.close()

    run(main)
