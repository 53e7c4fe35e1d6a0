"""The TCP client: what its user gets when things go wrong."""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

import pytest

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.rpc.call import RpcFault
from openchange_py.rpc.initiator import Initiator
from openchange_py.rpc.representation import StubFormat
from openchange_py.rpc.security import AuthLevel, SecurityError
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost, NoAnswer, RpcClient
from openchange_py.wire.mgmt import MGMT, InqIfIdsResponse, InqStatsRequest, InqStatsResponse
from openchange_py.wire.ndr import RpcInterface
from tests.auth.ntlm_parties import PASSWORD
from tests.rpc.echo import ECHO, OTHER, REVERSE, WAIT, WHO
from tests.transports.serving import LOOPS, client, run, serving

ABSENT = RpcInterface("absent", "60a15ec5-4de8-11d7-a637-005056a2bbbb", 1)


@pytest.mark.parametrize("loop", LOOPS)
def test_two_interfaces_on_one_connection(loop: str) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            caller = await client(port, AuthLevel.PRIVACY)
            await caller.alter_context(OTHER)
            assert (await caller.call(WHO, b"", interface=OTHER)).startswith(b"other ")
            assert (await caller.call(WHO, b"")).startswith(b"echo ")
            with pytest.raises(BindError, match="ABSTRACT_SYNTAX_NOT_SUPPORTED"):
                await caller.call(WHO, b"", interface=ABSENT)
            assert (await caller.call(WHO, b"", interface=OTHER)).startswith(b"other ")
            await caller.close()

    run(main, loop)


def test_an_interface_that_the_server_does_not_offer() -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            with pytest.raises(BindError, match="ABSTRACT_SYNTAX_NOT_SUPPORTED"):
                await client(port, interface=ABSENT)

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("level", [AuthLevel.NONE, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("stubs", [StubFormat(ndr64=True), StubFormat(big_endian=True)], ids=["ndr64", "bigendian"])
def test_a_client_of_another_representation_has_stubs_of_ours(loop: str, level: AuthLevel, stubs: StubFormat) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            caller = await client(port, level, interface=MGMT, stubs=stubs)
            answer = InqStatsResponse.unpack(await caller.call(1, InqStatsRequest(4).pack()))
            assert len(answer.statistics) == 4
            listed = InqIfIdsResponse.unpack(await caller.call(0, b""))
            assert ECHO.syntax in (listed.if_id_vector or ())
            with pytest.raises(RpcFault, match="bad stub"):
                await caller.call(1, b"\1")
            with pytest.raises(RpcFault, match="not supported"):
                await caller.call(REVERSE, b"ab", interface=OTHER)
            assert caller.connected
            await caller.close()

    run(main, loop)


def test_a_server_that_does_not_prove_itself_is_refused_as_such() -> None:
    class Doubting(NtlmInitiator):
        def step(self, token: bytes) -> bytes:
            if token:
                raise SecurityError("not that server")
            return super().step(token)

    async def main() -> None:
        async with serving() as (_, _, port):
            context = Doubting(NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD))
            with pytest.raises(AuthenticationFailed, match="not that server"):
                await RpcClient.connect("127.0.0.1", port, ECHO, context=context, level=AuthLevel.PRIVACY)

    run(main)


def test_nobody_listens() -> None:
    async def main() -> None:
        async with serving() as (server, _, port):
            await server.stop()
            with pytest.raises(ConnectionLost, match=str(port)):
                await client(port)

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_that_says_nothing(loop: str) -> None:
    async def main() -> None:
        silent = await asyncio.start_server(lambda reader, writer: reader.read(), "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match="did not answer within"):
            await client(port, connect_timeout=0.05)
        silent.close()

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_lost_connection_fails_the_call_in_flight_and_all_later_ones(loop: str) -> None:
    async def main() -> None:
        async with serving() as (server, handler, port):
            caller = await client(port)
            waiting = asyncio.ensure_future(caller.call(WAIT, b""))
            queued = asyncio.ensure_future(caller.call(REVERSE, b""))
            await handler.waiting.wait()
            for connection in list(server._connections):
                connection.abort()
            for call in (waiting, queued):
                with pytest.raises(ConnectionLost):
                    await call
            assert not caller.connected
            with pytest.raises(ConnectionLost):
                await caller.call(REVERSE, b"")
            handler.gate.set()
            await caller.close()

    run(main, loop)


def test_a_call_that_takes_too_long_takes_the_connection_with_it() -> None:
    async def main() -> None:
        async with serving() as (_, handler, port):
            caller = await client(port, call_timeout=0.05)
            with pytest.raises(NoAnswer, match=r"no answer within 0\.05 s"):
                await caller.call(WAIT, b"")
            with pytest.raises(ConnectionLost):
                await caller.call(REVERSE, b"")
            handler.gate.set()

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_each_call_has_its_own_limit(loop: str) -> None:
    """The limit of a call that was answered ends no later one, and a longer limit before does not lengthen the next."""

    async def main() -> None:
        async with serving() as (_, handler, port):
            caller = await client(port, call_timeout=30)
            assert await caller.call(REVERSE, b"ab", call_timeout=0.05) == b"ba"
            asyncio.get_running_loop().call_later(0.15, handler.gate.set)
            assert await caller.call(WAIT, b"") == b"waited"
            handler.gate.clear()
            with pytest.raises(ConnectionLost, match=r"no answer within 0\.05 s"):
                await caller.call(WAIT, b"", call_timeout=0.05)
            handler.gate.set()

    run(main, loop)


def test_a_cancelled_call_can_not_be_mistaken_for_the_next_one_s_answer() -> None:
    async def main() -> None:
        async with serving() as (_, handler, port):
            caller = await client(port)
            waiting = asyncio.ensure_future(caller.call(WAIT, b""))
            await handler.waiting.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(ConnectionLost):
                await caller.call(REVERSE, b"")
            handler.gate.set()

    run(main)


def test_concurrent_calls_take_their_turn() -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            caller = await client(port, AuthLevel.INTEGRITY)
            answers = await asyncio.gather(*(caller.call(REVERSE, b"%03d" % i) for i in range(50)))
            assert answers == [(b"%03d" % i)[::-1] for i in range(50)]
            await caller.close()

    run(main)


def test_a_level_needs_credentials() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="belong together"):
            await RpcClient.connect("127.0.0.1", 1, ECHO, level=AuthLevel.CONNECT)

    run(main)


def test_a_wrong_password_is_told_by_the_first_call() -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            caller = await client(port, AuthLevel.PRIVACY, password="wrong")
            with pytest.raises(Exception, match="fault 0x00000005"):
                await caller.call(REVERSE, b"")
            again = await client(port, AuthLevel.PRIVACY)
            assert await again.call(REVERSE, b"ab") == b"ba"
            await caller.close()
            await again.close()

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_closing_a_connection_whose_server_reads_nothing_cuts_it_off_in_the_end(loop: str) -> None:
    async def main() -> None:
        accepted: list[asyncio.Transport] = []

        class Deaf(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.append(cast("asyncio.Transport", transport))
                accepted[0].pause_reading()

        running = asyncio.get_running_loop()
        server = await running.create_server(Deaf, "127.0.0.1", 0)
        caller = RpcClient(Initiator())
        await running.create_connection(lambda: caller, *server.sockets[0].getsockname())
        assert caller._transport is not None
        caller._transport.write(bytes(32 << 20))
        with contextlib.suppress(TimeoutError):  # uvloop does not wait for what the system's buffer has no room for
            await asyncio.wait_for(caller.close(), 0.1)
        await asyncio.wait_for(caller._gone.wait(), 5)
        accepted[0].abort()
        server.close()

    run(main, loop)
