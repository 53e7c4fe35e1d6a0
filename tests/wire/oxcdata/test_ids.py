"""Identifiers of folders and messages."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.wire.oxcdata.ids import LongTermId, make_id, split_id

counters = st.integers(0, (1 << 48) - 1)


def test_an_id_is_a_replica_id_and_a_big_endian_counter() -> None:
    """[MS-OXCTABL] 4.5.3.2 prints the FolderId 01 00 00 00 00 f1 1f 32 as 0x321ff10000000001."""
    assert make_id(1, 0xF11F32) == 0x321FF10000000001
    assert make_id(1, 0xF11F32).to_bytes(8, "little").hex(" ") == "01 00 00 00 00 f1 1f 32"


@given(st.integers(0, 0xFFFF), counters)
def test_ids_come_apart_again(replica_id: int, counter: int) -> None:
    assert split_id(make_id(replica_id, counter)) == (replica_id, counter)


@pytest.mark.parametrize("counter", [-1, 1 << 48])
def test_a_counter_of_more_than_48_bits_is_refused(counter: int) -> None:
    with pytest.raises(ValueError, match="48 bits"):
        make_id(1, counter)


@given(st.uuids(), counters)
def test_long_term_ids_come_back(replica: uuid.UUID, counter: int) -> None:
    value = LongTermId.of(replica, counter)
    assert len(value.pack()) == 24
    assert LongTermId.unpack(value.pack()) == value
    assert value.counter == counter
