"""Clients that mean harm: the server's memory stays bounded, others are served, and the log says who it was."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import tracemalloc
import uuid
from collections.abc import AsyncIterator

import pytest

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp import RpcClient, TcpLimits, TcpServer
from openchange_py.wire.epm import EPMAPPER, EptLookupRequest, EptLookupResponse
from openchange_py.wire.ndr import NDR20, NULL_HANDLE, ContextHandle, SyntaxId
from openchange_py.wire.ntlm import AuthenticateMessage
from openchange_py.wire.pdu import (
    AlterContext,
    Bind,
    BindAck,
    Fault,
    Pdu,
    Pfc,
    PresentationContextElement,
    Request,
    Response,
)
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.rpc.echo import ECHO, OTHER, REVERSE
from tests.rpc.parties import Pair, pdus
from tests.transports.serving import LOOPS, client, run, serving

#: Connections that a crowd opens and leaves half open.
HALF_OPEN = 1000
#: Fragments of one call that never ends, and how many of them are looked at with `tracemalloc`, which is slow.
FRAGMENTS, TRACED = 1_000_000, 50_000
CONTEXTS = (PresentationContextElement(0, ECHO.syntax, (NDR20,)),)
BIND = Bind(call_id=1, contexts=CONTEXTS).pack()


def request(call_id: int, stub: bytes = b"ab", flags: int = Pfc.WHOLE, **options: int) -> bytes:
    return Request(call_id=call_id, context_id=0, opnum=REVERSE, stub=stub, flags=flags, **options).pack()


async def until_closed(reader: asyncio.StreamReader) -> list[Pdu]:
    """What the server says before it ends the connection."""
    said = b""
    try:
        while data := await reader.read(65536):
            said += data
    except ConnectionError:
        return []
    return pdus(said)


async def assert_others_are_served(port: int) -> None:
    for level in (AuthLevel.NONE, AuthLevel.PRIVACY):
        good = await client(port, level)
        assert await good.call(REVERSE, b"ab") == b"ba"
        await good.close()


async def exchange(pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bind and authenticate over a socket."""
    assert pair.context is not None
    writer.write(pair.client.send_bind([ECHO.syntax], pair.context.step(b"")))
    writer.write(pair.to_client(await one_pdu(reader)))


async def one_pdu(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(16)
    return head + await reader.readexactly(int.from_bytes(head[8:10], "little") - 16)


def allow_open_files(many: int) -> None:
    """Skips, loudly, where this process may not have as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < many:
        pytest.skip(f"{many} open files are needed, {hard} are allowed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < many:
        resource.setrlimit(resource.RLIMIT_NOFILE, (many, hard))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_crowd_of_half_open_connections(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """From one address, as many as it may have; then nobody waits for them longer than the handshake may take."""
    allow_open_files(HALF_OPEN + 500)
    limits = TcpLimits(connections_per_address=50, handshake_seconds=1.0)

    async def main() -> None:
        async with serving(limits=limits) as (server, _, port):
            crowd = [await open_from("127.0.0.2", port) for _ in range(HALF_OPEN)]
            for number, (_, writer) in enumerate(crowd):
                writer.write(BIND[: number % len(BIND)])
            await assert_others_are_served(port)
            assert len(server._connections) <= 52
            await asyncio.gather(*(until_closed(reader) for reader, _ in crowd))
            await assert_others_are_served(port)
            for _, writer in crowd:
                writer.close()

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main, loop)
    refused = [record.getMessage() for record in caplog.records if "(address): 50 connections" in record.getMessage()]
    assert len(refused) == HALF_OPEN - 50
    assert all(" 127.0.0.2:" in message for message in refused)
    assert sum("of handshake" in record.getMessage() for record in caplog.records) == 50


async def open_from(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_crowd_from_everywhere_gives_way_to_who_authenticates(loop: str) -> None:
    async def main() -> None:
        async with serving(limits=TcpLimits(connections=50)) as (server, _, port):
            crowd = [await open_from(f"127.0.1.{1 + n % 250}", port) for n in range(100)]
            await assert_others_are_served(port)
            assert len(server._connections) <= 50
            for _, writer in crowd:
                writer.close()

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_one_byte_at_a_time(loop: str) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number, byte in enumerate(BIND + request(2)):
                writer.write(bytes([byte]))
                await writer.drain()
                if number % 25 == 0:
                    await assert_others_are_served(port)
            answers = pdus(await one_pdu(reader) + await one_pdu(reader))
            assert [type(answer) for answer in answers] == [BindAck, Response]
            writer.close()

    run(main, loop)


@pytest.mark.parametrize("begun", [b"", BIND], ids=["bind", "call"])
def test_one_byte_per_second(begun: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """By the loop's clock, which is set by hand. It does not keep the connection: not while it binds, nor in a call."""

    async def main() -> None:
        loop, passed = asyncio.get_running_loop(), 0
        real = loop.time
        monkeypatch.setattr(loop, "time", lambda: real() + passed)
        async with serving() as (server, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            if begun:
                await one_pdu(reader)
            rest = request(2, bytes(4000)) if begun else BIND + request(2)
            limit = server.limits.anonymous_idle_seconds if begun else server.limits.handshake_seconds
            for byte in rest[: int(limit) + 5]:
                received, passed = server.statistics.packets_in, passed + 1
                writer.write(bytes([byte]))
                while server.statistics.packets_in == received and server._connections:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0)
                if not server._connections:
                    break
            assert limit - 1 <= passed <= limit + 2
            assert await until_closed(reader) == []
            writer.close()
            await assert_others_are_served(port)

    with caplog.at_level(logging.WARNING, "openchange_py"):
        asyncio.run(main())  # whose limit of time would be by that clock
    assert f"closed after {120 if begun else 30} s of {'silence' if begun else 'handshake'}" in caplog.text


@pytest.mark.parametrize("level", [AuthLevel.NONE, AuthLevel.INTEGRITY])
def test_a_call_of_4_gib_announced(level: AuthLevel, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            protection = None
            if level == AuthLevel.NONE:
                writer.write(BIND)
                await one_pdu(reader)
            else:
                pair = Pair(level)
                await exchange(pair, reader, writer)
                protection = pair.client.protection
            pdu = Request(call_id=7, flags=Pfc.FIRST_FRAG, context_id=0, opnum=REVERSE, stub=b"", alloc_hint=0xFFFFFFFF)
            data = pdu.pack() if protection is None else protection.protect(pdu, pdu.flags, bytes(16), 0xFFFFFFFF)
            tracemalloc.start()
            writer.write(data)
            (fault,) = await until_closed(reader)
            taken = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert isinstance(fault, Fault)
            assert (fault.call_id, fault.status) == (7, FaultStatus.ACCESS_DENIED)
            assert taken < 1 << 20
            writer.close()
            await assert_others_are_served(port)

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main)
    assert "ended: call 7: call of 4294967295 bytes announced" in caplog.text


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("stub", [b"", b"x"])
def test_a_million_fragments(stub: bytes, loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """Empty ones could come for ever, and take no memory; those of single bytes end where the call is too large."""

    async def main() -> None:
        async with serving() as (server, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BIND + request(2, b"", Pfc.FIRST_FRAG))
            await one_pdu(reader)
            fragments = request(2, stub, 0) * 1000
            tracemalloc.start()
            taken = 0
            for number in range(FRAGMENTS // 1000):
                if reader.at_eof() or writer.is_closing():
                    break
                if number == TRACED // 1000:
                    taken = tracemalloc.get_traced_memory()[1]
                    tracemalloc.stop()
                writer.write(fragments)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
                await asyncio.sleep(0)
                assert server.held <= 65536
            taken = taken or tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert taken < 4 << 20
            await assert_others_are_served(port)
            if not stub:
                writer.write(request(2, b"end", Pfc.LAST_FRAG))
                (answer,) = pdus(await one_pdu(reader))
                assert isinstance(answer, Response)
                assert answer.stub == b"dne"
            else:
                await until_closed(reader)
            writer.close()

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main, loop)
    assert ("ended: call 2: call of more than 65536 bytes" in caplog.text) is bool(stub)


def test_all_clients_together_hold_no_more_than_the_server_has(caplog: pytest.LogCaptureFixture) -> None:
    """Each of them is within the limit of its calls."""
    limits = TcpLimits(held_size=4 << 20, call_size=4 << 20)

    async def main() -> None:
        async with serving(limits=limits) as (server, _, port):
            greedy, highest = [], 0
            for _ in range(12):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                pair = Pair(AuthLevel.CONNECT)
                await exchange(pair, reader, writer)
                writer.write(request(2, bytes(5000), Pfc.FIRST_FRAG) + request(2, bytes(5000), 0) * 199)
                greedy.append(writer)
                for _ in range(20):
                    await asyncio.sleep(0.005)
                    highest = max(highest, server.held)
            assert 3 << 20 < highest < 6 << 20
            await assert_others_are_served(port)
            for writer in greedy:
                writer.close()
            await server.stop()
            assert server.held == 0

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main)
    ended = [record.getMessage() for record in caplog.records if "that all clients may have" in record.getMessage()]
    assert ended
    assert all("EXAMPLE\\alice] ended: it has " in message for message in ended)


@contextlib.asynccontextmanager
async def endpoint_mapper() -> AsyncIterator[int]:
    """With two entries, so that a look-up of one leaves a handle."""
    mapper = EpmapperServer([Endpoint(ECHO, 6001), Endpoint(OTHER, 6002)])
    server = TcpServer(InlineHandler([mapper]), authenticator(allow_anonymous=True))
    _, port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


def lookup(handle: ContextHandle) -> bytes:
    return EptLookupRequest(0, None, None, 1, handle, 1).pack()


def test_a_context_handle_that_is_guessed_or_overheard_is_worth_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with endpoint_mapper() as port:
            owner = await client(port, interface=EPMAPPER)
            handle = EptLookupResponse.unpack(await owner.call(2, lookup(NULL_HANDLE))).entry_handle
            assert not handle.is_null
            strangers: list[RpcClient] = [
                await client(port, interface=EPMAPPER),
                await client(port, AuthLevel.PRIVACY, interface=EPMAPPER),
                # In the owner's group, whose id he may have overheard, but as somebody else.
                await client(port, AuthLevel.PRIVACY, interface=EPMAPPER, assoc_group=owner.assoc_group),
            ]
            guesses = [
                handle,
                *(ContextHandle(0, uuid.UUID(int=handle.uuid.int ^ (1 << bit))) for bit in range(0, 128, 7)),
            ]
            for stranger in strangers:
                for guess in guesses:
                    with pytest.raises(RpcFault) as caught:
                        await stranger.call(2, lookup(guess))
                    assert caught.value.status == FaultStatus.CONTEXT_MISMATCH
            assert EptLookupResponse.unpack(await owner.call(2, lookup(handle))).entries
            for one in (owner, *strangers):
                await one.close()

    with caplog.at_level(logging.INFO, "openchange_py"):
        run(main)
    assert caplog.text.count(r"EXAMPLE\alice] call ") >= 30
    assert "no such context handle" in caplog.text


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
def test_replayed_and_changed_calls_do_not_run(level: AuthLevel, loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (server, _, port):
            damages = [None, *(8 * position + position % 8 for position in (2, 17, 20, 23, 24, 30, 41, 47, 48, 60, 71))]
            for damage in damages:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                pair = Pair(level)
                await exchange(pair, reader, writer)
                _, data = pair.client.send_request(0, REVERSE, b"transfer 10 euro to mallory")
                calls = server.statistics.calls
                if damage is None:
                    writer.write(data)
                    await one_pdu(reader)
                    calls, changed = calls + 1, data
                else:
                    changed = bytearray(data)
                    changed[damage // 8] ^= 1 << damage % 8
                writer.write(changed)
                writer.write_eof()
                answers = await until_closed(reader)
                assert answers, f"bit {damage}: no word of it"
                assert all(isinstance(answer, Fault) for answer in answers), f"bit {damage}: {answers}"
                assert server.statistics.calls == calls, f"bit {damage} ran"
                writer.close()
            await assert_others_are_served(port)

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main, loop)
    assert caplog.text.count(r"EXAMPLE\alice] ended: ") >= 10


def test_ntlm_without_its_mic(caplog: pytest.LogCaptureFixture) -> None:
    """Who takes the MIC out, to change the flags of the negotiation, is found by what the client said in its proof."""

    async def main() -> None:
        async with serving() as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            pair = Pair(AuthLevel.PRIVACY)
            assert isinstance(pair.context, NtlmInitiator)
            step = pair.context.step

            def without_mic(token: bytes) -> bytes:
                proof = AuthenticateMessage.unpack(step(token))
                proof.mic = None
                return proof.pack()

            writer.write(pair.client.send_bind([ECHO.syntax], step(b"")))
            pair.context.step = without_mic  # type: ignore[method-assign]
            writer.write(pair.to_client(await one_pdu(reader)))
            writer.write(pair.client.send_request(0, REVERSE, b"ab")[1])
            (fault,) = await until_closed(reader)
            assert isinstance(fault, Fault)
            assert fault.status == FaultStatus.ACCESS_DENIED
            writer.close()
            await assert_others_are_served(port)

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main)
    assert "127.0.0.1:" in caplog.text
    assert "NTLM messages of 'alice' were changed on their way" in caplog.text


def test_contexts_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """Presentation contexts, and security contexts that are begun and never completed."""
    limits = TcpLimits(presentation_contexts=20, security_contexts=20)

    async def main() -> None:
        async with serving(limits=limits) as (_, _, port):
            for secured in (False, True):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(BIND)
                await one_pdu(reader)
                for number in range(1, 40):
                    element = PresentationContextElement(0 if secured else number, ECHO.syntax, (NDR20,))
                    trailer = None
                    if secured:
                        token = NtlmInitiator(NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD)).step(b"")
                        trailer = Pair(AuthLevel.INTEGRITY).client.protection.trailer(token)  # type: ignore[union-attr]
                        trailer = type(trailer)(10, 5, number, token)
                    writer.write(AlterContext(call_id=number, contexts=(element,), auth=trailer).pack())
                answers = await until_closed(reader)
                assert len(answers) in (20, 21)
                assert isinstance(answers[-1], Fault)
                writer.close()
            await assert_others_are_served(port)

    with caplog.at_level(logging.WARNING, "openchange_py"):
        run(main)
    assert "more than 20 presentation contexts" in caplog.text
    assert "more than 20 security contexts" in caplog.text


def test_binds_of_interfaces_that_are_not_there_are_answered_small() -> None:
    """255 contexts of 255 transfer syntaxes do not fit a fragment; what fits is answered in its own size."""

    async def main() -> None:
        async with serving() as (_, _, port):
            unknown = SyntaxId(uuid.UUID(int=1), 1, 0)
            elements = tuple(PresentationContextElement(n, unknown, (unknown,)) for n in range(125))
            bind = Bind(call_id=1, contexts=elements).pack()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(bind)
            answer = await one_pdu(reader)
            assert len(answer) < len(bind)
            (ack,) = pdus(answer)
            assert isinstance(ack, BindAck)
            assert {result.result for result in ack.results} == {2}
            writer.close()

    run(main)
