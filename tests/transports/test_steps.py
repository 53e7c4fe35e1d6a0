"""Steps of authentication beside the event loop, and on it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from openchange_py.rpc.security import SecurityError
from openchange_py.transports.steps import stepped
from tests.auth.ntlm_parties import acceptor


class Waiting:
    """A context that waits for somebody else."""

    def __init__(self) -> None:
        self.other: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def step(self, token: bytes) -> bytes:
        raise AssertionError("not this one")

    async def exchange(self, token: bytes) -> bytes:
        return token + await self.other


def test_a_step_that_computes_runs_in_a_thread() -> None:
    context, threads = acceptor(), []
    step = context.step
    context.step = lambda token: threads.append(threading.current_thread()) or step(token)  # type: ignore[method-assign]
    with pytest.raises(SecurityError, match="malformed"):
        asyncio.run(stepped(context, b"NTLMSSP"))
    assert threads != [threading.main_thread()]


def test_a_step_that_waits_holds_no_thread() -> None:
    async def check() -> None:
        contexts = [Waiting() for _ in range(1000)]
        steps = [asyncio.ensure_future(stepped(context, b"to")) for context in contexts]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert threading.active_count() < 100
        for context in contexts:
            context.other.set_result(b"gether")
        assert set(await asyncio.gather(*steps)) == {b"together"}

    asyncio.run(check())
