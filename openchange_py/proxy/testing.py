"""For the tests of modules: one module, driven without sockets and without a server.

    async with driven(QuotaModule, {"mpm_quota:limit": "10 KiB"}) as module:
        passed = await module.rops([WRITE], [7], answers=[WRITTEN])
        assert passed.asked.rops == [WRITE]        # what the server would have seen
        assert passed.responses == [WRITTEN]       # what the client gets

`call` has any call answered, with bytes or by a function; what the module raises, the test gets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from openchange_py.config import OPTIONS, Settings
from openchange_py.config.parser import Parameter, Place
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.rop_carrier import carrier_of
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Request
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rpcheaderext import MAXIMUM_ROPS, pack_payload

#: Answers ROPs as a server would: given what it was asked, the responses, or a whole buffer with its handles.
Server = Callable[[RopBuffer], Sequence[Rop] | RopBuffer]

_EC_DO_RPC, _EC_DO_RPC_EXT2 = 2, 11


@dataclasses.dataclass
class Passed:
    """What became of ROPs: what the server was asked (None: nothing), and what the client got."""

    asked: RopBuffer | None
    responses: list[Rop]
    handles: list[int]
    call: Call


class DrivenModule:
    """A module with a client at one end and a server at the other."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.session = Session("test", "client")
        self.caller = Identity("alice", "EXAMPLE", AuthLevel.PRIVACY)
        self.cxh = ContextHandle(0, uuid.uuid4())
        self._states = HandleStates()
        self._stack = ModuleStack([module])

    async def call(self, call: Call, answer: bytes | Callable[[Call], Awaitable[None] | None]) -> Call:
        """Have a call answered; raises `RpcFault` as the client would get it."""

        async def inside(call: Call) -> None:
            if isinstance(answer, bytes):
                call.answer(answer)
            elif (result := answer(call)) is not None:
                await result

        await self._stack.around(call.interface.name, inside)(call)
        call.reply_bytes()
        return call

    async def rops(
        self, requests: Sequence[Rop], handles: Sequence[int], answers: Sequence[Rop] | Server, *, old: bool = False
    ) -> Passed:
        """Have ROPs answered, in one buffer: of EcDoRpcExt2, or of EcDoRpc, as `old` clients call."""
        asked: list[RopBuffer] = []

        async def server(call: Call) -> None:
            carrier = carrier_of(call)
            assert carrier is not None
            [payload] = await carrier.requests()
            asked.append(RopBuffer.unpack_request(payload))
            answer = answers(asked[-1]) if callable(answers) else answers
            buffer = answer if isinstance(answer, RopBuffer) else RopBuffer(list(answer), asked[-1].handles)
            carrier.set_responses([buffer.pack()])

        sent = RopBuffer(list(requests), list(handles))
        if old:
            opnum, stub = _EC_DO_RPC, EcDoRpcRequest.of(self.cxh, sent.pack()).pack()
        else:
            rgb_in = pack_payload(sent.pack(), xor=True)
            opnum, stub = _EC_DO_RPC_EXT2, EcDoRpcExt2Request(self.cxh, 0, rgb_in, MAXIMUM_ROPS + 8).pack()
        call = await self.call(Call(EMSMDB, opnum, stub, self.session, self.caller), server)
        carrier = carrier_of(call)
        assert carrier is not None
        payloads = carrier.responses()
        if not payloads:
            raise RpcFault(int(getattr(call.response, "return_value", 0)), "the call failed as a whole")
        got = RopBuffer.unpack_response(payloads[0], sent, self._states)
        return Passed(asked[0] if asked else None, got.rops, got.handles, call)

    async def end_session(self) -> None:
        """The client leaves; a new one comes with the next call."""
        await self._stack.unbind(self.session)
        self.session = Session("test", "client")
        self._states = HandleStates()


def settings_of(module: type[Module], options: Mapping[str, str] | None = None) -> Settings:
    """A configuration that sets these options; `ConfigError` for wrong ones."""
    path = Path("test.conf")
    lines = enumerate((options or {}).items(), 1)
    parameters = [Parameter("global", name, value, Place(path, number)) for number, (name, value) in lines]
    settings = Settings(path, parameters, (*OPTIONS, *module.options))
    for option in module.options:
        _ = settings[option]
    return settings


@contextlib.asynccontextmanager
async def driven(module: type[Module], options: Mapping[str, str] | None = None) -> AsyncIterator[DrivenModule]:
    """The module, initialized with these options; at the end the session ends and the module is closed."""
    stack = ModuleStack([module()])
    await stack.init(settings_of(module, options))
    party = DrivenModule(stack.modules[0])
    try:
        yield party
    finally:
        await party.end_session()
        await stack.close()
