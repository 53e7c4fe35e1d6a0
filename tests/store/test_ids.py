"""Identifiers of the store against those of [MS-OXCDATA] 2.2.1."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from openchange_py.store import ids
from openchange_py.store.base import NoSuchObject, StoreError
from openchange_py.store.database import Database
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire.oxcdata.ids import make_id

counters = st.integers(0, (1 << 48) - 1)


@given(counters)
def test_object_ids_are_those_of_the_private_replica(counter: int) -> None:
    assert ids.object_id(counter) == make_id(1, counter)
    assert ids.message_ids([counter]) == [make_id(1, counter)]
    assert ids.counter_of(ids.object_id(counter)) == counter


@given(counters, st.integers(0, 0xFFFF).filter(lambda replica: replica != 1))
def test_ids_of_other_replicas_are_of_elsewhere(counter: int, replica: int) -> None:
    assert ids.counter_of(make_id(replica, counter)) is None


@pytest.mark.parametrize("value", [-1, 1 << 64 | 1, -(1 << 64) + 1])
def test_numbers_that_are_no_id(value: int) -> None:
    assert ids.counter_of(value) is None


def test_a_global_id() -> None:
    guid = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    assert ids.global_id(guid, 0x0102).hex() == "33221100554477668899aabbccddeeff" "000000000102"  # fmt: skip


def test_ranges_follow_each_other_and_end(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(url)
    store = open_store(url)
    store.create_mailbox(uuid.uuid4(), "/o=x", "x")
    database = Database(url)
    with database.writing() as connection:
        first = ids.allocate(connection, 1, 10)
        assert ids.allocate(connection, 1, 1) == first + 10
        with pytest.raises(NoSuchObject):
            ids.allocate(connection, 2, 1)
        connection.execute(text("UPDATE mailboxes SET next_counter = :last"), {"last": (1 << 48) - 1})
        assert ids.allocate(connection, 1, 1) == (1 << 48) - 1
        with pytest.raises(StoreError, match="used up"):
            ids.allocate(connection, 1, 1)
    database.close()
    store.close()


def test_row_numbers_grow_and_are_never_the_same() -> None:
    made = [ids.fresh_row() for _ in range(5000)]
    assert made == sorted(set(made))
    assert 0 < made[-1] < 1 << 63
