"""Timing code in this process: variants in turn, round by round, so that noise hits all of them alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from openchange_py.cli.serve import run
from tests.bench.parts.processes import cpu_seconds

Clock = Callable[[], float]
ROUNDS = 15
#: What one round of one variant takes, about.
_ROUND_SECONDS = 0.02


def on_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on the event loop that the product uses."""
    run(main)


async def in_turn(
    variants: Mapping[str, Callable[[], Awaitable[object]]], *, quick: bool, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """µs per call of each variant: its best round."""
    best = dict.fromkeys(variants, float("inf"))
    counts = {}
    for name, function in variants.items():
        counts[name] = 1 if quick else _count(await _time(function, 20, clock))
    for _ in range(1 if quick else ROUNDS):
        for name, function in variants.items():
            best[name] = min(best[name], await _time(function, counts[name], clock))
            # What the last call left to be done belongs to this variant, not to the next one's time.
            await asyncio.sleep(0)
    return {name: seconds * 1e6 for name, seconds in best.items()}


async def server_cpu(
    pid: int, variants: Mapping[str, Sequence[Callable[[], Awaitable[object]]]], *, quick: bool
) -> dict[str, list[float]]:
    """µs of a server's process per call of each variant, one for each round; a variant's functions run at once."""
    rounds, count = (2, 3) if quick else (ROUNDS, 150)
    times: dict[str, list[float]] = {name: [] for name in variants}

    async def calling(function: Callable[[], Awaitable[object]]) -> None:
        for _ in range(count):
            await function()

    for _ in range(rounds):
        for name, functions in variants.items():
            before = cpu_seconds(pid)
            await asyncio.gather(*map(calling, functions))
            times[name].append((cpu_seconds(pid) - before) / count / len(functions) * 1e6)
    return times


async def _time(function: Callable[[], Awaitable[object]], count: int, clock: Clock) -> float:
    start = clock()
    for _ in range(count):
        await function()
    return (clock() - start) / count


def microseconds(variants: Mapping[str, Callable[[], object]], *, quick: bool) -> dict[str, float]:
    """µs per call of each variant, of plain functions: its best round."""
    best = dict.fromkeys(variants, float("inf"))
    counts = {name: 1 if quick else _count(_time_plain(function, 5)) for name, function in variants.items()}
    for _ in range(1 if quick else ROUNDS):
        for name, function in variants.items():
            best[name] = min(best[name], _time_plain(function, counts[name]))
    return {name: seconds * 1e6 for name, seconds in best.items()}


def _time_plain(function: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count


def _count(seconds_per_call: float) -> int:
    return max(1, int(_ROUND_SECONDS / max(seconds_per_call, 1e-8)))
