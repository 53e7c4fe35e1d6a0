"""Change numbers, change keys and predecessor change lists: [MS-OXCFXICS] 2.2.1.2."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from openchange_py.store.changes import Change, now


def test_the_first_change_of_an_object() -> None:
    change = Change.first(uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"), 0x1234)
    key = bytes.fromhex("33221100554477668899aabbccddeeff000000001234")
    assert (change.number, change.key, change.predecessors) == (0x1234, key, b"\x16" + key)
    assert change.columns()["creation_time"] == change.columns()["last_modification_time"] == change.time


def test_the_clock_counts_from_1601() -> None:
    shown = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=now() // 10)
    assert abs(shown - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_change_takes_the_place_of_the_replicas_older_one() -> None:
    ours, theirs = uuid.UUID(int=7), uuid.UUID(int=1 << 120)
    first, foreign = Change.first(ours, 5), Change.first(theirs, 9)
    both = first.predecessors + foreign.predecessors
    following = Change.first(ours, 6).following(both)
    assert following.predecessors == b"".join(b"\x16" + key for key in sorted([Change.first(ours, 6).key, foreign.key]))
    assert following.number == 6


@pytest.mark.parametrize("damaged", [b"\x16", b"\x16" + b"x" * 5, b"\0\0", b"\x03abc"])
def test_a_damaged_list_is_replaced(damaged: bytes) -> None:
    change = Change.first(uuid.UUID(int=7), 6)
    assert change.following(damaged) == change
