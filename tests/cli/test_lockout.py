"""Failed logons count in every worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from openchange_py.auth.failures import FailureTracker, Patience
from openchange_py.cli.lockout import share_failures
from tests.transports.office import office
from tests.transports.serving import run

PATIENCE = Patience(tolerated=3, tolerated_accounts=2, pause=100)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000_000):
        if condition():
            return
        await asyncio.sleep(0)


def test_failures_anywhere_count_everywhere_and_a_success_too() -> None:
    async def main() -> None:
        async with office(3) as made:
            trackers = [FailureTracker(PATIENCE) for _ in made.workers]
            for tracker, colleagues in zip(trackers, made.workers, strict=True):
                share_failures(tracker, colleagues)
            for tracker in trackers:
                await asyncio.to_thread(tracker.failed, "alice", "10.0.0.1")
            await until(lambda: all(tracker.wait("alice", "10.0.0.1") for tracker in trackers))
            assert all(tracker.wait("alice", "10.0.0.2") == 0 for tracker in trackers)
            trackers[1].failed("bob", "10.0.0.1")
            await until(lambda: all(tracker.wait("carol", "10.0.0.1") for tracker in trackers))
            trackers[2].succeeded("alice", "10.0.0.1")
            await until(lambda: not any(tracker.wait("alice", "10.0.0.1") for tracker in trackers))

    run(main)


def test_who_begins_anew_is_told_by_another_one() -> None:
    async def main() -> None:
        async with office(2) as made:
            first, new = (FailureTracker(PATIENCE) for _ in range(2))
            share_failures(first, made.workers[0])
            for number in range(1200):  # more than a message holds
                first.failed(f"user {number}", f"10.0.{number % 250}.1")
            for _ in range(3):
                first.failed("alice", "10.9.0.1")
            first.succeeded("known", "10.9.0.1")
            share_failures(new, made.workers[1])
            await until(lambda: len(new) == len(first))
            await until(lambda: new.wait("alice", "10.9.0.1") > 0)
            assert new.wait("user 1", "10.0.1.1") == pytest.approx(first.wait("user 1", "10.0.1.1"), abs=10)
            assert new.wait("stranger", "10.0.1.1") > 0, "many accounts failed from there"

    run(main)
