"""The rules of name resolution are in the directory's contract; here: that it stays a look-up by key."""

import pytest
from sqlalchemy import text

from openchange_py.addressbook import resolution
from openchange_py.addressbook.base import Kind
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.resolution import resolve
from tests.addressbook.conftest import ORGANIZATION


@pytest.fixture
def alice(directory: EmbeddedDirectory) -> int:
    attributes = {"displayName": ["Alice Liddell"], "legacyExchangeDN": [ORGANIZATION.recipient_dn("alice")]}
    return int(directory.create(Kind.USER, "alice", attributes).mid)


@pytest.mark.parametrize("short_list", [0, 2000])
@pytest.mark.parametrize("name", ["alice", "al", "alice lid", "=alice"])
def test_every_step_searches_an_index(
    directory: EmbeddedDirectory, alice: int, name: str, short_list: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "_SHORT_LIST", short_list)
    (book,) = directory.snapshot().books.values()
    with directory.database.reading() as connection:
        raw = connection.connection.dbapi_connection
        assert raw
        traced: list[str] = []
        raw.set_trace_callback(traced.append)
        assert resolve(connection, name, book.id, book.list(0), 5) == [alice]
        raw.set_trace_callback(None)
        selects = [statement for statement in traced if statement.lstrip().upper().startswith("SELECT")]
        assert selects
        for statement in selects:
            plan = connection.execute(text("EXPLAIN QUERY PLAN " + statement.replace(":", "\\:"))).all()
            assert not any(step[3].startswith("SCAN directory") for step in plan), (statement, plan)


def test_a_name_of_megabytes_is_nobodys_at_once(directory: EmbeddedDirectory, alice: int) -> None:
    (book,) = directory.snapshot().books.values()
    with directory.database.reading() as connection:
        assert resolve(connection, "\ufdfa" * 5_000_000, book.id, book.list(0), 5) == []
