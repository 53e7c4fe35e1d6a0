"""Clients that err, go silent or go away: each is dealt with, and the next one is served."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import pytest

from openchange_py.rpc.call import FaultStatus
from openchange_py.rpc.security import AuthLevel, AuthType, SecurityContext
from openchange_py.transports.tcp import TcpLimits
from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.pdu import Bind, Fault, Orphaned, Pfc, PresentationContextElement, Request, Response, decode_pdu
from tests.auth.ntlm_parties import authenticator
from tests.rpc.echo import ECHO, GROW, REVERSE, WAIT
from tests.rpc.parties import ntlm, pdus
from tests.transports.serving import LOOPS, client, run, serving

BIND = Bind(call_id=1, contexts=(PresentationContextElement(0, ECHO.syntax, (NDR20,)),)).pack()


def request(call_id: int, opnum: int = REVERSE, stub: bytes = b"ab") -> bytes:
    return Request(call_id=call_id, context_id=0, opnum=opnum, stub=stub).pack()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n",
        bytes(range(256)) * 40,
        BIND[:50],
        BIND + b"\x05\x00\x00\x03\x10\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00",
        b"\xff" * 70000,
    ],
    ids=["nothing", "http", "random", "half a bind", "length 2", "ones"],
)
def test_a_bad_client_is_closed_and_the_next_one_served(
    data: bytes, loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(limits=TcpLimits(handshake_seconds=0.1)) as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            try:
                await reader.read()
            except ConnectionError:
                assert data
            writer.close()
            good = await client(port)
            assert await good.call(REVERSE, b"ab") == b"ba"
            await good.close()

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main, loop)
    assert "[1 127.0.0.1:" in caplog.text


def test_a_silent_connection_is_closed_in_time_but_a_working_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limits = TcpLimits(anonymous_idle_seconds=0.2)
        async with serving(limits=limits) as (_, handler, port):
            silent, working = await client(port), await client(port)
            waiting = asyncio.ensure_future(working.call(WAIT, b""))
            await silent._gone.wait()
            assert not waiting.done()
            handler.gate.set()
            assert await waiting == b"waited"
            await working.close()

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main)
    assert "0 s of silence" in caplog.text


@pytest.mark.parametrize("loop", LOOPS)
def test_requests_that_do_not_wait_for_answers_are_answered_in_order(loop: str) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BIND + b"".join(request(n, stub=bytes([n] * 2000)) for n in range(2, 102)))
            writer.write_eof()
            answers = pdus(await reader.read())
            assert [answer.call_id for answer in answers] == list(range(1, 102))
            assert all(isinstance(answer, Response) for answer in answers[1:])
            writer.close()

    run(main, loop)


def test_an_orphaned_call_gets_no_answer() -> None:
    async def main() -> None:
        async with serving() as (_, handler, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BIND + request(2, WAIT) + request(3) + request(4))
            await handler.waiting.wait()
            writer.write(
                Orphaned(call_id=2).pack()
                + Orphaned(call_id=3).pack()
                + Request(call_id=5, context_id=9, opnum=0, stub=b"").pack()
            )
            seen = await reader.readexactly(60)
            while len(pdus(seen)) < 2:
                seen += await reader.readexactly(32)
            assert isinstance(pdus(seen)[-1], Fault)
            handler.gate.set()
            writer.write_eof()
            assert [pdu.call_id for pdu in pdus(seen + await reader.read())] == [1, 5, 4]
            writer.close()

    run(main)


def test_a_client_that_goes_away_in_a_call_ends_its_session_when_the_call_is_done() -> None:
    async def main() -> None:
        async with serving() as (server, handler, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BIND + request(2, WAIT))
            await handler.waiting.wait()
            writer.transport.abort()
            good = await client(port)
            assert await good.call(REVERSE, b"ab") == b"ba"
            assert handler.ended == []
            handler.gate.set()
            await good.close()
            await server.stop()
            assert {session.number for session in handler.ended} == {s.number for s in handler.sessions}

    run(main)


def test_a_client_that_does_not_read_its_answers_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving(limits=TcpLimits(write_seconds=0.1)) as (_, handler, port):
            lazy = socket.create_connection(("127.0.0.1", port))
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.sendall(BIND + b"".join(request(n, GROW, (8 << 20).to_bytes(4, "little")) for n in range(2, 6)))
            await handler.all_ended.wait()
            lazy.close()
            good = await client(port)
            assert await good.call(REVERSE, b"ab") == b"ba"
            await good.close()

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main)
    assert "does not read its answers" in caplog.text


def test_a_call_over_the_limit_is_denied() -> None:
    async def main() -> None:
        async with serving(limits=TcpLimits(call_size=1000)) as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BIND + request(2, stub=bytes(1001)))
            fault = pdus(await reader.read())[-1]
            assert isinstance(fault, Fault)
            assert fault.status == FaultStatus.ACCESS_DENIED
            writer.close()

    run(main)


def test_a_client_that_floods_while_its_token_is_checked_fills_no_memory() -> None:
    async def main() -> None:
        checking, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        class SlowAuthenticator:
            def acceptor(self, auth_type: AuthType, peer: str, logon: object = None) -> SecurityContext | None:
                context = authenticator().acceptor(auth_type, peer)
                assert context is not None
                step = context.step

                def slow(token: bytes) -> bytes:
                    loop.call_soon_threadsafe(checking.set)
                    go_on.wait(20)
                    return step(token)

                context.step = slow  # type: ignore[method-assign]
                return context

        async with serving() as (server, _, port):
            server.authenticator = SlowAuthenticator()
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            context = ntlm(AuthLevel.CONNECT)
            assert context is not None
            trailer = SecTrailer(AuthType.NTLMSSP, AuthLevel.CONNECT, 1, context.step(b""))
            writer.write(Bind(call_id=1, contexts=decode_pdu(BIND).contexts, auth=trailer).pack())  # type: ignore
            await checking.wait()
            for _ in range(200):
                writer.write(request(2, stub=bytes(5000)) * 20)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.2)
            go_on.set()
            writer.transport.abort()

    run(main)


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (BIND[:20], "a PDU of which 20 bytes came"),
        (BIND + request(2)[:20], "a PDU of which 20 bytes came"),
        (
            BIND + Request(call_id=3, context_id=0, opnum=0, stub=b"ab", flags=Pfc.FIRST_FRAG).pack(),
            "call 3 without its last fragment",
        ),
    ],
    ids=["half a bind", "half a request", "half a call"],
)
def test_a_client_that_leaves_in_the_middle_is_logged(data: bytes, left: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            writer.write_eof()
            await reader.read()
            writer.close()
            whole = await client(port)
            await whole.close()

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main, LOOPS[0])
    (record,) = caplog.records
    assert record.getMessage().endswith(f"ended: the client left {left}")


@pytest.mark.parametrize("loop", LOOPS)
def test_answers_that_a_stranger_does_not_read_do_not_pile_up(loop: str) -> None:
    """Faults, and answers to alter_context, are the connection's own: no queue of calls limits them."""

    async def main() -> None:
        async with serving() as (server, _, port):
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(("127.0.0.1", port))
                sock.setblocking(False)
                sending = asyncio.get_running_loop().sock_sendall
                await sending(sock, BIND)
                provoking = Request(call_id=1, context_id=7, opnum=0, stub=b"").pack() * 400_000
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(sending(sock, provoking), 1.5)
                (connection,) = server._connections
                assert connection._transport is not None
                assert connection._transport.get_write_buffer_size() < 1 << 20
                good = await client(port)
                assert await good.call(REVERSE, b"ab") == b"ba"
                await good.close()

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_call_that_waits_ends_with_its_client(loop: str) -> None:
    async def main() -> None:
        async with serving(waits=lambda call: call.opnum == WAIT) as (_, handler, port):
            waiting = await client(port)
            call = asyncio.ensure_future(waiting.call(WAIT, b""))
            await handler.waiting.wait()
            call.cancel()
            await handler.all_ended.wait()
            assert not handler.gate.is_set()

    run(main, loop)


def test_others_are_served_while_thousands_of_calls_that_came_at_once_are_answered() -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BIND + request(2) * 5000)
            await reader.readexactly(60)
            other = await client(port)
            assert await other.call(REVERSE, b"ab") == b"ba"
            await other.close()
            rest = 5000 * len(Response(call_id=2, context_id=0, stub=b"ba").pack())
            assert len(reader._buffer) < rest / 2  # type: ignore[attr-defined]
            await reader.readexactly(rest)
            writer.close()

    run(main)
