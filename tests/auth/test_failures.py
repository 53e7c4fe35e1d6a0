"""The brake on guessing: who has to wait, how long, and who does not."""

from __future__ import annotations

import threading

import pytest

from openchange_py.auth.failures import FailureTracker, Patience
from tests.auth.clock import Clock


def test_pauses_double_up_to_a_limit_and_are_forgotten() -> None:
    clock = Clock()
    tracker = FailureTracker(Patience(tolerated=2, pause=1, longest_pause=300, memory=900), clock=clock)
    assert [tracker.failed("alice", "a") for _ in range(12)] == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert tracker.wait("ALICE", "a") == 300
    clock.now += 299
    assert tracker.wait("alice", "a") == pytest.approx(1)
    clock.now += 602
    assert tracker.wait("alice", "a") == 0
    assert tracker.failed("alice", "a") == 0
    for _ in range(5000):
        assert tracker.failed("alice", "a") <= 300


def test_memory_is_bounded() -> None:
    tracker = FailureTracker(Patience(tolerated=1, tolerated_accounts=0), capacity=100, clock=Clock())
    for number in range(1000):
        tracker.failed("x" * 10_000 + str(number), "a")
    assert len(tracker) == 100
    assert tracker.wait("x" * 10_000 + "999", "a") > 0
    assert tracker.wait("x" * 10_000 + "0", "a") == 0
    tracker.succeeded("x" * 10_000 + "999", "a")
    assert len(tracker) == 99


def test_several_threads_lose_no_failure() -> None:
    tracker = FailureTracker(Patience(tolerated=1000), clock=Clock())
    threads = [
        threading.Thread(target=lambda: [tracker.failed("alice", "a") for _ in range(249)] and None) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tracker.failed("alice", "a") for _ in range(4)] == [0, 0, 0, 1]


def test_accounts_that_fail_from_one_address() -> None:
    """Each counts once, however often it fails, and no more once it succeeded."""
    clock = Clock()
    tracker = FailureTracker(Patience(tolerated=1000, tolerated_accounts=3, pause=10), clock=clock)
    for name in ("a", "a", "b", "b", "a"):
        assert tracker.failed(name, "192.0.2.7") == 0
    tracker.succeeded("a", "192.0.2.7")
    assert tracker.failed("c", "192.0.2.7") == 0
    assert tracker.failed("d", "192.0.2.7") == 10
    assert [tracker.wait(name, "192.0.2.7") for name in ("d", "new", "a")] == [10, 10, 0]
    assert tracker.wait("new", "192.0.2.8") == 0
    assert tracker.failed("e", "192.0.2.7") == 20
    clock.now += 901
    assert tracker.wait("new", "192.0.2.7") == 0
    assert tracker.failed("f", "192.0.2.7") == 0


def test_accounts_per_address_without_limit() -> None:
    tracker = FailureTracker(Patience(tolerated_accounts=0), clock=Clock())
    assert not any(tracker.failed(f"user{number}", "a") for number in range(1000))
    assert tracker.wait("new", "a") == 0


def test_addresses_of_one_ipv6_customer_are_one() -> None:
    tracker = FailureTracker(Patience(tolerated=2, pause=10), clock=Clock())
    tracker.failed("alice", "2001:db8:1:2::1")
    assert tracker.failed("alice", "2001:db8:1:2:ffff::99") == 10
    assert tracker.wait("alice", "2001:db8:1:3::1") == 0
    tracker.failed("bob", "::ffff:192.0.2.7")
    assert tracker.failed("bob", "192.0.2.7") == 10


def test_memory_of_addresses_and_of_who_succeeded_is_bounded() -> None:
    tracker = FailureTracker(capacity=100, clock=Clock())
    for number in range(1000):
        tracker.failed("alice", f"address {number}")
        tracker.succeeded("bob", f"address {number}")
    assert len(tracker) == len(tracker._addresses) == len(tracker._known) == 100


def test_other_patience_from_now_on() -> None:
    tracker = FailureTracker(clock=Clock())
    for _ in range(3):
        assert tracker.failed("alice", "a") == 0
    tracker.patience = Patience(tolerated=3, pause=7)
    assert tracker.wait("alice", "a") == 7


def test_another_process_hears_of_what_happens_and_is_told_what_was() -> None:
    clock = Clock()
    first, second, late = (
        FailureTracker(Patience(tolerated=2, tolerated_accounts=2, pause=10), capacity=50, clock=clock)
        for _ in range(3)
    )
    first.told = second.hear
    second.told = first.hear
    first.failed("alice", "10.0.0.1")
    assert second.failed("alice", "10.0.0.1") == first.wait("alice", "10.0.0.1") == 10
    second.succeeded("carol", "10.0.0.1")
    first.failed("bob", "10.0.0.1")
    late.take(second.export())
    for tracker in (first, second, late):
        assert tracker.wait("alice", "10.0.0.1") == 10
        assert tracker.wait("carol", "10.0.0.1") == 0, "she logged on from there"
        assert tracker.wait("dora", "10.0.0.1") == 10, "two accounts failed from there"
    first.succeeded("alice", "10.0.0.1")
    assert second.wait("alice", "10.0.0.1") == 0
    for number in range(200):
        first.failed(f"user {number}", "10.0.0.2")
    late.take(first.export())
    assert len(late) <= 50
