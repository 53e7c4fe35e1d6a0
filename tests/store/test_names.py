"""Ids of named properties: one per name and mailbox, for ever."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from openchange_py.store import names
from openchange_py.store.base import Mailbox, StoreError
from openchange_py.store.source import open_store
from openchange_py.wire.oxcdata.named import Kind, PropertyName

COMMON = uuid.UUID("00062008-0000-0000-c000-000000000046")
STRINGS = uuid.UUID("00020329-0000-0000-c000-000000000046")
LID, TEXT = PropertyName.of_lid(COMMON, 0x8501), PropertyName.of_name(STRINGS, "Keywords")


def test_a_name_gets_an_id_when_it_is_created_and_keeps_it(mailbox: Mailbox, url: str) -> None:
    assert mailbox.property_ids([LID, TEXT]) == [0, 0]
    first, second = mailbox.property_ids([LID, TEXT], create=True)
    assert first >= names.FIRST_ID
    assert second == first + 1
    assert mailbox.property_ids([TEXT, LID, TEXT], create=True) == [second, first, second]
    assert mailbox.property_names() == {first: LID, second: TEXT}
    other = open_store(url)
    assert other.mailbox(mailbox.guid).property_ids([TEXT]) == [second]
    other.close()


def test_names_differ_by_set_and_by_case(mailbox: Mailbox) -> None:
    wanted = [TEXT, PropertyName.of_name(STRINGS, "keywords"), PropertyName.of_name(COMMON, "Keywords"), LID]
    assert len(set(mailbox.property_ids(wanted, create=True))) == 4


def test_the_same_name_by_several_threads_has_one_id(mailbox: Mailbox) -> None:
    wanted = [PropertyName.of_lid(COMMON, number) for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: mailbox.property_ids(wanted, create=True), range(4)))
    assert all(ids == found[0] for ids in found)
    assert len(set(found[0])) == 20


def test_when_the_ids_are_used_up_there_is_none(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "LAST_ID", names.FIRST_ID)
    assert mailbox.property_ids([LID, TEXT], create=True) == [names.FIRST_ID, 0]


def test_what_is_no_name(mailbox: Mailbox) -> None:
    with pytest.raises(StoreError):
        mailbox.property_ids([PropertyName(Kind.NoName, COMMON)])
