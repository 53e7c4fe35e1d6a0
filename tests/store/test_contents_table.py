"""Contents tables of large folders: the usual orders come from an index."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from openchange_py.store import contents_table
from openchange_py.store.base import Mailbox, MessageDraft, SortKey, SpecialFolder
from openchange_py.store.database import Database
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire import proptags


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(address)
    return address


@pytest.fixture
def mailbox(url: str) -> Iterator[Mailbox]:
    store = open_store(url)
    yield store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    store.close()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "tag",
    [
        proptags.PidTagMessageDeliveryTime,
        proptags.PidTagSubject,
        proptags.PidTagNormalizedSubject,
        proptags.PidTagSentRepresentingName,
    ],
)
def test_the_usual_orders_need_no_sorting(url: str, tag: int, descending: bool) -> None:
    key = SortKey(proptags.PidTagSubject.__class__(tag), descending)
    query = contents_table._ids_query((key,)).compile(
        dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True}
    )
    database = Database(url)
    with database.reading() as connection:
        values = {"mailbox": 1, "folder": 5, "associated": False}
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {query}", tuple(values[n] for n in query.positiontup or ())
        )
        steps = " ".join(str(row[-1]) for row in plan)
    database.close()
    assert "COVERING INDEX" in steps
    assert "TEMP B-TREE" not in steps


def test_a_damaged_row_is_told_as_such(url: str, mailbox: Mailbox) -> None:
    identifier = mailbox.save_message(mailbox.special_folders()[SpecialFolder.INBOX], MessageDraft({}))
    database = Database(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE message_properties SET properties = x'0105'"))
    database.close()
    with pytest.raises(contents_table.properties.StoreError, match="damaged"):
        mailbox.message_rows([identifier], [proptags.PidTagSearchKey])
    assert mailbox.message_rows([identifier], [proptags.PidTagMid]) == [{proptags.PidTagMid: identifier}]


def test_texts_of_any_length_sort_with_the_others(mailbox: Mailbox) -> None:
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    long = mailbox.save_message(inbox, MessageDraft({proptags.PidTagBody: "b" * 50_000}))
    others = [mailbox.save_message(inbox, MessageDraft({proptags.PidTagBody: body})) for body in ("a", "C")]
    assert mailbox.message_ids(inbox, sort=[SortKey(proptags.PidTagBody)]) == [others[0], long, others[1]]


def test_large_values_that_are_no_texts_sort_too(mailbox: Mailbox) -> None:
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    values = [b"b" * 50_000, b"a", b"c"]
    ids = [mailbox.save_message(inbox, MessageDraft({proptags.PidTagHtml: value})) for value in values]
    assert mailbox.message_ids(inbox, sort=[SortKey(proptags.PidTagHtml)]) == [ids[1], ids[0], ids[2]]
