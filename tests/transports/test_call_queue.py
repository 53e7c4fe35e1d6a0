"""Calls of one connection beside each other, cancelled, orphaned, and without an answer."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.rpc.call import Call, FaultStatus
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp import TcpLimits
from openchange_py.wire.mgmt import MGMT, InqStatsResponse
from openchange_py.wire.ndr import NDR20, NdrReader, RpcInterface, SyntaxId
from openchange_py.wire.ndr64 import Ndr64Reader
from openchange_py.wire.pdu import (
    AlterContext,
    AlterContextResp,
    Bind,
    CoCancel,
    Fault,
    Orphaned,
    Pdu,
    Pfc,
    PresentationContextElement,
    Request,
    Response,
    Shutdown,
    decode_pdu,
)
from openchange_py.wire.syntax import NDR64
from tests.rpc.echo import ECHO, REVERSE, WAIT, EchoHandler
from tests.rpc.parties import Pair
from tests.transports.serving import LOOPS, client, run, serving


def waits(call) -> bool:
    return call.opnum == WAIT and call.interface is ECHO


def request(call_id: int, opnum: int = REVERSE, stub: bytes = b"ab", **options) -> bytes:
    return Request(call_id=call_id, context_id=0, opnum=opnum, stub=stub, **options).pack()


class Raw:
    """A client that speaks PDUs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(
        cls, port: int, interface: RpcInterface = ECHO, *, mixed: bool = False, transfer: SyntaxId = NDR20
    ) -> Raw:
        raw = cls(*await asyncio.open_connection("127.0.0.1", port))
        contexts = (PresentationContextElement(0, interface.syntax, (transfer,)),)
        flags = Pfc.WHOLE | (Pfc.CONC_MPX if mixed else 0)
        raw.send(Bind(call_id=1, flags=flags, contexts=contexts).pack())
        await raw.receive()
        return raw

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def receive(self) -> Pdu:
        head = await self.reader.readexactly(16)
        return decode_pdu(head + await self.reader.readexactly(int.from_bytes(head[8:10], "little") - 16))

    async def call_ids(self, count: int) -> list[int]:
        return [(await self.receive()).call_id for _ in range(count)]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_call_that_waits_holds_up_no_other_one_of_a_client_that_mixes_them(loop: str) -> None:
    async def main() -> None:
        async with serving(waits=waits) as (_, handler, port):
            raw = await Raw.connect(port, mixed=True)
            raw.send(request(2, WAIT), request(3), request(4))
            assert await raw.call_ids(2) == [3, 4]
            handler.gate.set()
            assert await raw.call_ids(1) == [2]
            raw.writer.close()

    run(main, loop)


def test_without_multiplexing_answers_come_in_order() -> None:
    async def main() -> None:
        async with serving(waits=waits) as (_, handler, port):
            raw = await Raw.connect(port)
            raw.send(request(2, WAIT), request(3))
            await handler.waiting.wait()
            handler.gate.set()
            assert await raw.call_ids(2) == [2, 3]
            raw.writer.close()

    run(main)


@pytest.mark.parametrize("loop", LOOPS)
def test_one_task_answers_the_calls_of_a_connection_and_ends_with_it(loop: str) -> None:
    tasks = []

    class Remembering(EchoHandler):
        async def handle(self, call: Call) -> bytes:
            tasks.append(asyncio.current_task())
            return await super().handle(call)

    async def main() -> None:
        async with serving() as (server, handler, port):
            server.handler = Remembering()
            server.handler.all_ended = handler.all_ended
            raw = await Raw.connect(port)
            for call_id in (2, 3, 4):
                raw.send(request(call_id, stub=b"ab"))
                assert (await raw.receive()).stub == b"ba"
            raw.send(request(5), request(6), request(7))
            assert await raw.call_ids(3) == [5, 6, 7]
            assert len(tasks) == 6
            assert len(set(tasks)) == 1
            assert not tasks[0].done()
            raw.writer.close()
            await handler.all_ended.wait()
            await asyncio.wait([tasks[0]])

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_call_in_another_one_s_wake_finds_who_answers_it(loop: str) -> None:
    """The first worker is busy, a second one comes and stays, and the first one goes."""

    async def main() -> None:
        async with serving(waits=waits) as (_, handler, port):
            raw = await Raw.connect(port, mixed=True)
            raw.send(request(2, WAIT))
            await handler.waiting.wait()
            raw.send(request(3))
            assert await raw.call_ids(1) == [3]
            handler.gate.set()
            assert await raw.call_ids(1) == [2]
            for call_id in (4, 5):
                raw.send(request(call_id))
                assert await raw.call_ids(1) == [call_id]
            raw.writer.close()

    run(main, loop)


def test_as_many_calls_are_handled_at_a_time_as_are_allowed() -> None:
    async def main() -> None:
        async with serving(waits=waits, limits=TcpLimits(mixed_calls=2)) as (_, handler, port):
            raw = await Raw.connect(port, mixed=True)
            raw.send(request(2, WAIT), request(3, WAIT), request(4))
            await handler.waiting.wait()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(raw.reader.readexactly(1), 0.1)
            handler.gate.set()
            assert sorted(await raw.call_ids(3)) == [2, 3, 4]
            raw.writer.close()

    run(main)


def test_a_waiting_call_that_is_cancelled_is_told_so() -> None:
    async def main() -> None:
        async with serving(waits=waits) as (_, handler, port):
            raw = await Raw.connect(port)
            raw.send(request(2, WAIT))
            await handler.waiting.wait()
            raw.send(CoCancel(call_id=7).pack(), CoCancel(call_id=2).pack())
            fault = await raw.receive()
            assert isinstance(fault, Fault)
            assert (fault.call_id, fault.status) == (2, FaultStatus.CANCELLED)
            raw.send(request(3))
            assert await raw.call_ids(1) == [3]
            raw.writer.close()

    run(main)


def test_an_orphaned_waiting_call_ends_and_gets_no_answer() -> None:
    async def main() -> None:
        async with serving(waits=waits) as (_, handler, port):
            raw = await Raw.connect(port)
            raw.send(request(2, WAIT))
            await handler.waiting.wait()
            raw.send(Orphaned(call_id=2).pack(), request(3))
            assert await raw.call_ids(1) == [3]
            raw.writer.close()

    run(main)


@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
def test_an_orphaned_call_takes_no_number_of_the_answers_that_follow(level: AuthLevel) -> None:
    """Signatures are numbered: one that is made and not sent would make the client refuse the next."""

    async def main() -> None:
        async with serving(waits=waits) as (_, handler, port):
            pair = Pair(level)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert pair.context is not None
            writer.write(pair.client.send_bind([ECHO.syntax], pair.context.step(b"")))
            head = await reader.readexactly(16)
            challenge = head + await reader.readexactly(int.from_bytes(head[8:10], "little") - 16)
            writer.write(pair.to_client(challenge))
            call_id, data = pair.client.send_request(0, WAIT, b"")
            writer.write(data)
            await handler.waiting.wait()
            writer.write(Orphaned(call_id=call_id).pack())
            pair.client._waiting = None
            writer.write(pair.client.send_request(0, REVERSE, b"ab")[1])
            head = await reader.readexactly(16)
            pair.to_client(head + await reader.readexactly(int.from_bytes(head[8:10], "little") - 16))
            assert pair.client_events[-1].stub == b"ba"  # type: ignore[attr-defined]
            writer.close()

    run(main)


def test_a_call_that_wants_no_answer_gets_none() -> None:
    async def main() -> None:
        async with serving() as (server, _, port):
            raw = await Raw.connect(port)
            raw.send(request(2, flags=Pfc.WHOLE | Pfc.MAYBE), request(3))
            assert await raw.call_ids(1) == [3]
            assert server.statistics.calls == 2
            raw.writer.close()

    run(main)


def test_a_big_endian_client_is_understood_and_answered_in_our_order() -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            raw = await Raw.connect(port, MGMT)
            raw.send(request(2, 1, b"\0\0\0\2", big_endian=True))
            answer = await raw.receive()
            assert isinstance(answer, Response)
            assert not answer.big_endian
            assert len(InqStatsResponse.unpack(answer.stub).statistics) == 2
            raw.send(request(3, 1, b"\0", big_endian=True))
            fault = await raw.receive()
            assert isinstance(fault, Fault)
            assert fault.status == FaultStatus.BAD_STUB_DATA
            raw.writer.close()

    run(main)


def test_an_ndr64_client_is_understood_and_answered_in_it() -> None:
    async def main() -> None:
        async with serving() as (server, _, port):
            raw = await Raw.connect(port, MGMT, transfer=NDR64)
            raw.send(request(2, 1, b"\2\0\0\0"))
            answer = await raw.receive()
            assert isinstance(answer, Response)
            assert answer.stub[:16] == bytes.fromhex("02000000000000000200000000000000")
            assert len(InqStatsResponse.unpack(answer.stub, Ndr64Reader).statistics) == 2
            for stub, options, status in (
                (b"\2", {}, FaultStatus.BAD_STUB_DATA),
                (b"\0\0\0\2", {"big_endian": True}, FaultStatus.CANNOT_SUPPORT),
            ):
                raw.send(request(3, 1, stub, **options))
                fault = await raw.receive()
                assert isinstance(fault, Fault)
                assert fault.status == status
            assert server.statistics.faults == 2
            raw.writer.close()

    run(main)


def test_both_transfer_syntaxes_on_one_connection() -> None:
    """Each call is in its presentation context's."""

    async def main() -> None:
        async with serving() as (_, _, port):
            raw = await Raw.connect(port, MGMT)
            wide = (PresentationContextElement(1, MGMT.syntax, (NDR64,)),)
            raw.send(AlterContext(call_id=2, contexts=wide).pack())
            assert isinstance(await raw.receive(), AlterContextResp)
            for context, reads in ((0, NdrReader), (1, Ndr64Reader), (0, NdrReader)):
                raw.send(Request(call_id=3, context_id=context, opnum=1, stub=b"\4\0\0\0").pack())
                answer = await raw.receive()
                assert isinstance(answer, Response)
                assert len(InqStatsResponse.unpack(answer.stub, reads).statistics) == 4
            raw.writer.close()

    run(main)


@pytest.mark.parametrize("opnum", [REVERSE, WAIT])
def test_an_answer_that_can_not_be_told_in_ndr64_is_a_fault(opnum: int) -> None:
    """Calls of an interface without codecs, also those that wait."""

    async def main() -> None:
        async with serving(waits=waits) as (_, handler, port):
            handler.gate.set()
            raw = await Raw.connect(port, transfer=NDR64)
            raw.send(request(2, opnum))
            fault = await raw.receive()
            assert isinstance(fault, Fault)
            assert fault.status == FaultStatus.CANNOT_SUPPORT
            raw.writer.close()

    run(main)


def test_who_is_idle_when_the_server_stops_is_told_and_who_waits_is_answered() -> None:
    async def main() -> None:
        async with serving(waits=waits) as (server, handler, port):
            idle, waiting = await Raw.connect(port), await Raw.connect(port)
            ours = await client(port)
            waiting.send(request(2, WAIT))
            await handler.waiting.wait()
            await server.stop()
            assert isinstance(await idle.receive(), Shutdown)
            fault = await waiting.receive()
            assert isinstance(fault, Fault)
            assert fault.status == FaultStatus.CANCELLED
            for raw in (idle, waiting):
                assert await raw.reader.read() == b""
                raw.writer.close()
            assert not ours.connected

    run(main)


def test_calls_that_would_wait_for_a_client_that_sends_no_more_do_not() -> None:
    async def main() -> None:
        async with serving(waits=waits) as (_, handler, port):
            raw = await Raw.connect(port)
            raw.send(request(2, WAIT), request(3, WAIT), request(4))
            await handler.waiting.wait()
            raw.writer.write_eof()
            answers = [await raw.receive() for _ in range(3)]
            assert [getattr(answer, "status", None) for answer in answers] == [FaultStatus.CANCELLED] * 2 + [None]
            assert await raw.reader.read() == b""
            assert not handler.gate.is_set()
            raw.writer.close()

    run(main)
