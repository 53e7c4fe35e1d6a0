"""Timing code in this process: rounds of several variants in turn, so that noise hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def microseconds(variants: Mapping[str, Callable[[], object]], *, quick: bool, rounds: int = 15) -> dict[str, float]:
    """µs per call of each variant: the best of its rounds, each of which takes about 20 ms."""
    counts = {name: 1 if quick else _calls_of(function, 0.02) for name, function in variants.items()}
    best = dict.fromkeys(variants, float("inf"))
    for _ in range(1 if quick else rounds):
        for name, function in variants.items():
            best[name] = min(best[name], _time(function, counts[name]))
    return {name: seconds * 1e6 for name, seconds in best.items()}


def _calls_of(function: Callable[[], object], seconds: float) -> int:
    """How many calls take about so long."""
    count = 1
    while (taken := _time(function, count) * count) < seconds / 4:
        count *= 2 if taken <= 0 else min(max(int(seconds / 2 / taken), 2), 100)
    return max(1, int(count * seconds / taken))


def _time(function: Callable[[], object], count: int) -> float:
    """Seconds per call."""
    numbers = range(count)
    start = time.perf_counter()
    for _ in numbers:
        function()
    return (time.perf_counter() - start) / count
