"""XIDs and predecessor change lists."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.xid import PredecessorChangeList, Xid
from tests.wire.oxcdata.strategies import garbage, unpack_or_decode_error

A, B = uuid.UUID(bytes_le=b"\1" * 16), uuid.UUID(bytes_le=b"\2" * 16)

xids = st.builds(Xid, st.sampled_from([A, B]) | st.uuids(), st.binary(min_size=1, max_size=8))
change_lists = st.builds(PredecessorChangeList, st.lists(xids, max_size=4))
counters = st.integers(0, (1 << 48) - 1)
versions = st.lists(st.builds(Xid.of, st.sampled_from([A, B]), counters), max_size=4).map(
    PredecessorChangeList().merged
)


def test_wire_form() -> None:
    """Layouts of [MS-OXCFXICS] 2.2.2.2 and 2.2.2.3, written out by hand."""
    change = Xid.of(A, 0x0102)
    assert change.pack().hex() == "01" * 16 + "000000000102"
    assert Xid.unpack(change.pack()) == change
    assert change.counter == 0x0102
    changes = PredecessorChangeList([change, Xid(B, b"\7")])
    raw = "16" + "01" * 16 + "000000000102" + "11" + "02" * 16 + "07"
    assert changes.pack().hex() == raw
    assert PredecessorChangeList.unpack(bytes.fromhex(raw)) == changes


@settings(max_examples=100, deadline=None)
@given(change_lists)
def test_change_lists_come_back(changes: PredecessorChangeList) -> None:
    assert PredecessorChangeList.unpack(changes.pack()) == changes


@settings(max_examples=200, deadline=None)
@given(garbage, change_lists)
def test_garbage_is_a_change_list_or_a_decode_error(data: bytes, changes: PredecessorChangeList) -> None:
    unpack_or_decode_error(data, PredecessorChangeList.unpack)
    unpack_or_decode_error(changes.pack() + data, PredecessorChangeList.unpack)
    unpack_or_decode_error(data, Xid.unpack)


@pytest.mark.parametrize("raw", [b"\x10" + bytes(16), b"\x19" + bytes(25), b"\x16" + bytes(21), b"\0"])
def test_sizes_that_no_xid_has_are_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        PredecessorChangeList.unpack(raw)


@pytest.mark.parametrize("size", [0, 9])
def test_a_local_id_of_no_possible_size_is_an_encode_error(size: int) -> None:
    with pytest.raises(EncodeError):
        PredecessorChangeList([Xid(A, bytes(size))]).pack()


def test_what_a_version_includes() -> None:
    version = PredecessorChangeList([Xid.of(A, 5)])
    assert version.includes(Xid.of(A, 5))
    assert version.includes(Xid.of(A, 4))
    assert not version.includes(Xid.of(A, 6))
    assert not version.includes(Xid.of(B, 1))


def test_two_versions_that_each_lack_a_change_of_the_other_are_in_conflict() -> None:
    ours, theirs = PredecessorChangeList([Xid.of(A, 5), Xid.of(B, 1)]), PredecessorChangeList([Xid.of(B, 2)])
    assert not ours.includes_all(theirs)
    assert not theirs.includes_all(ours)
    merged = ours.merged(theirs.xids)
    assert merged == PredecessorChangeList([Xid.of(A, 5), Xid.of(B, 2)])
    assert merged.includes_all(ours)
    assert merged.includes_all(theirs)


@settings(max_examples=100, deadline=None)
@given(versions, versions)
def test_merging_loses_nothing_and_does_not_depend_on_the_order(
    first: PredecessorChangeList, second: PredecessorChangeList
) -> None:
    merged = first.merged(second.xids)
    assert merged == second.merged(first.xids)
    assert merged.includes_all(first)
    assert merged.includes_all(second)
    namespaces = [xid.namespace_guid.bytes_le for xid in merged.xids]
    assert namespaces == sorted(set(namespaces))
