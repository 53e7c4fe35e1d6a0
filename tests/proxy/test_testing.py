"""The helpers that other people's module tests use."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.config import ConfigError
from openchange_py.config.options import Option, integer
from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.rops import PassingRop, on_rop
from openchange_py.proxy.testing import driven, settings_of
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamRequest, RopReadStreamResponse
from tests.proxy.parties import Number, number_call

READ, DATA = RopReadStreamRequest(0, 0, 10), RopReadStreamResponse(0, 0, b"body")
LIMIT = Option("mpm_limiting:limit", integer(1, 100), 5, "bytes")


class Limiting(Module):
    name = "limiting"
    options = (LIMIT,)
    log: list[str] = []

    def init(self, settings: Settings) -> None:
        self._limit = settings[LIMIT]

    @on_rop(RopReadStreamRequest)
    def read(self, rop: PassingRop) -> None:
        rop.request.byte_count = min(rop.request.byte_count, self._limit)
        rop.edited()

    def dispatch(self, call: Call) -> None:
        if call.opnum == 9:
            raise RpcFault(0x1234)

    def unbind(self, session: Session) -> None:
        self.log.append("unbind")

    def close(self) -> None:
        self.log.append("close")


@pytest.mark.parametrize("old", [False, True])
def test_rops_pass_the_module_and_come_back(old: bool) -> None:
    async def scenario() -> None:
        async with driven(Limiting, {"mpm_limiting:limit": "3"}) as module:
            passed = await module.rops([READ], [7], answers=[DATA], old=old)
            assert passed.call.name == ("EcDoRpc" if old else "EcDoRpcExt2")
            assert passed.asked is not None
            assert passed.asked.rops == [RopReadStreamRequest(0, 0, 3)]
            assert (passed.responses, passed.handles) == ([DATA], [7])
            served = await module.rops(
                [READ], [7], answers=lambda asked: [RopReadStreamResponse(0, asked.rops[0].byte_count, b"")], old=old
            )
            assert served.responses == [RopReadStreamResponse(0, 3, b"")]

    Limiting.log.clear()
    asyncio.run(scenario())
    assert Limiting.log == ["unbind", "close"]


def test_any_call_passes_the_module() -> None:
    async def scenario() -> None:
        async with driven(Limiting) as module:
            call = await module.call(number_call(1), Number(2).pack())
            assert Number.unpack(call.reply_bytes()).value == 2
            with pytest.raises(RpcFault):
                await module.call(number_call(1, opnum=9), b"")

    asyncio.run(scenario())


@pytest.mark.parametrize("options", [{"mpm_limiting:limit": "0"}, {"mpm_limiting:limt": "1"}])
def test_wrong_options_are_told(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="mpm_limiting:"):
        settings_of(Limiting, options)
