"""Change numbers, change keys and predecessor change lists: [MS-OXCFXICS] 2.2.1.2."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from openchange_py.store.changes import Change, now


def test_the_first_change_of_an_object() -> None:
    change = Change.first(uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"), 0x1234)
    key = bytes.fromhex("33221100554477668899aabbccddeeff000000001234")
    assert (change.number, change.key, change.predecessors) == (0x1234, key, b"\x16" + key)
    assert change.columns()["creation_time"] == change.columns()["last_modification_time"] == change.time


def test_the_clock_counts_from_1601() -> None:
    shown = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=now() // 10)
    assert abs(shown - datetime.now(UTC)) < timedelta(minutes=1)
