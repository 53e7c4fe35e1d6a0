"""Properties that columns keep: what is declared about them holds together."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.store import schema
from openchange_py.store.base import StoreError
from openchange_py.store.columns import DERIVED, HOT_COLUMNS, ORDER, row_plan
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyTag

BY_TAG = {hot.tag: hot for hot in HOT_COLUMNS}
REPLICA = uuid.UUID(int=1)


def test_no_column_is_declared_twice_and_all_are_of_messages() -> None:
    columns = [hot.column.name for hot in HOT_COLUMNS]
    assert len(set(columns)) == len(columns)
    for column in [*(hot.column for hot in HOT_COLUMNS), *ORDER.values()]:
        assert column.table is schema.messages


@pytest.mark.parametrize(("value", "stored"), [(2, 2), (-1, -1), (0xFFFFFFFF, -1), (1 << 31, -(1 << 31)), (1 << 40, 0)])
def test_numbers_fit_their_column(value: int, stored: int) -> None:
    assert BY_TAG[proptags.PidTagImportance].value({proptags.PidTagImportance: value}) == stored


def test_defaults() -> None:
    assert BY_TAG[proptags.PidTagMessageClass].value({}) == "IPM.Note"
    assert BY_TAG[proptags.PidTagMessageDeliveryTime].value({}) is None


def test_a_text_column_takes_texts() -> None:
    with pytest.raises(StoreError, match="PidTagSenderName"):
        BY_TAG[proptags.PidTagSenderName].value({proptags.PidTagSenderName: 5})


def test_a_plan_selects_what_it_needs_once() -> None:
    tags = (proptags.PidTagSubject, proptags.PidTagNormalizedSubject, proptags.PidTagMid, PropertyTag(0x8001001F))
    plan = row_plan(tags)
    assert [column.name for column in plan.columns] == ["mid", "subject_prefix", "normalized_subject"]
    assert plan.packed == {PropertyTag(0x8001001F)}
    assert plan.values(REPLICA, (5, "Re: ", "x")) == {
        proptags.PidTagSubject: "Re: x",
        proptags.PidTagNormalizedSubject: "x",
        proptags.PidTagMid: 0x0500000000000001,
    }
    assert plan.values(REPLICA, (None, None, None)) == {}


@pytest.mark.parametrize(
    ("row", "flags"),
    [((0, False, False, False), 0), ((0xFF, True, False, True), 0xEF), ((8, True, True, False), 8 | 1 | 0x10)],
)
def test_message_flags(row: tuple[object, ...], flags: int) -> None:
    assert DERIVED[proptags.PidTagMessageFlags].compute(REPLICA, *row) == flags


def test_a_size_beyond_31_bits_is_capped_in_the_short_form() -> None:
    assert DERIVED[proptags.PidTagMessageSize].compute(REPLICA, 1 << 40) == 0x7FFFFFFF
    assert DERIVED[proptags.PidTagMessageSizeExtended].compute(REPLICA, 1 << 40) == 1 << 40
