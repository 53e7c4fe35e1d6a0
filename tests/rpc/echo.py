"""A tiny echo interface and its handler, for tests of the RPC runtime."""

from __future__ import annotations

import asyncio

from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcInterface

ECHO = RpcInterface("echo", "60a15ec5-4de8-11d7-a637-005056a20182", 1)
OTHER = RpcInterface("other", "60a15ec5-4de8-11d7-a637-005056a20183", 2)

REVERSE, GROW, FAULT, BAD_STUB, CRASH, WHO, WAIT = range(7)


class EchoHandler:
    """Answers the stub backwards, grown, or with an error; remembers what ended."""

    def __init__(self) -> None:
        self.ended: list[Session] = []
        self.sessions: list[Session] = []
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()
        self.all_ended = asyncio.Event()

    def interfaces(self) -> list[RpcInterface]:
        return [ECHO, OTHER]

    async def handle(self, call: Call) -> bytes:
        if call.session not in self.sessions:
            self.sessions.append(call.session)
        if call.opnum == REVERSE:
            return call.stub[::-1]
        if call.opnum == GROW:
            return bytes(int.from_bytes(call.stub[:4], "little"))
        if call.opnum == FAULT:
            raise RpcFault(int.from_bytes(call.stub[:4], "little"))
        if call.opnum == BAD_STUB:
            raise DecodeError("no such stub", 3)
        if call.opnum == CRASH:
            raise ZeroDivisionError("a bug in the handler")
        if call.opnum == WHO:
            return f"{call.interface.name} {call.caller} {call.caller.level.name} {call.object_uuid}".encode()
        if call.opnum == WAIT:
            self.waiting.set()
            await self.gate.wait()
            return b"waited"
        raise RpcFault(FaultStatus.OP_RANGE_ERROR)

    async def unbind(self, session: Session) -> None:
        self.ended.append(session)
        if len(self.ended) == len(self.sessions):
            self.all_ended.set()
