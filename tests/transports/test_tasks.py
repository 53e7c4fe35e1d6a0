"""Tasks that neither vanish nor fail silently."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading

import pytest

from openchange_py.transports.tasks import in_thread_if_long, spawn


def test_a_task_survives_without_anybody_holding_it() -> None:
    async def main() -> bool:
        gate, finished = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await gate.wait()
            finished.set()

        spawn(work(), "work")
        await asyncio.sleep(0)
        gc.collect()
        gate.set()
        return await asyncio.wait_for(finished.wait(), 10)

    assert asyncio.run(main())


def test_a_failure_is_logged_with_the_task_s_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("a bug")

    async def main() -> None:
        task = spawn(fail(), "the failing one")
        await asyncio.wait([task])
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "the failing one" in caplog.text
    assert "ZeroDivisionError: a bug" in caplog.text


def test_long_work_is_done_beside_the_loop() -> None:
    async def main() -> list[bool]:
        threads = [await in_thread_if_long(size, threading.current_thread) for size in (0, 1 << 16, (1 << 16) + 1)]
        return [thread is threading.current_thread() for thread in threads]

    assert asyncio.run(main()) == [True, True, False]
