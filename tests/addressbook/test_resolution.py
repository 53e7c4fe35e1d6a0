"""The rules of name resolution are in the directory's contract; here: that it stays a look-up by key."""

import pytest
from sqlalchemy import text

from openchange_py.addressbook.base import Kind
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.resolution import resolve


@pytest.mark.parametrize("name", ["alice", "al", "alice lid", "=alice"])
def test_every_step_searches_an_index(directory: EmbeddedDirectory, name: str) -> None:
    directory.create(Kind.USER, "alice", {"displayName": ["Alice Liddell"], "legacyExchangeDN": ["/o=x/cn=alice"]})
    statements: list[tuple[str, object]] = []
    with directory._database.reading() as connection:
        raw = connection.connection.dbapi_connection
        assert raw
        traced: list[str] = []
        raw.set_trace_callback(traced.append)
        assert [entry.account for entry in resolve(connection, name, None, 5)] == ["alice"]
        raw.set_trace_callback(None)
        for statement in traced:
            if statement.lstrip().upper().startswith("SELECT"):
                plan = [
                    row[3] for row in connection.execute(text("EXPLAIN QUERY PLAN " + statement.replace(":", "\\:")))
                ]
                statements.append((statement, plan))
                assert not any(step.startswith("SCAN directory") for step in plan), (statement, plan)
    assert statements


def test_a_name_of_megabytes_is_nobodys_at_once(directory: EmbeddedDirectory) -> None:
    with directory._database.reading() as connection:
        assert resolve(connection, "\ufdfa" * 5_000_000, None, 5) == []
