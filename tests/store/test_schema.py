"""The tables hold together, and both databases take them."""

from __future__ import annotations

import pytest
from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from openchange_py.store.schema import mailboxes, metadata


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda dialect: dialect.name)
def test_every_table_compiles_for_both_databases(dialect: object) -> None:
    for table in metadata.sorted_tables:
        assert table.name in str(CreateTable(table).compile(dialect=dialect))  # type: ignore[arg-type]
        for index in table.indexes:
            assert str(index.name) in str(CreateIndex(index).compile(dialect=dialect))  # type: ignore[arg-type]


def test_everything_goes_away_with_its_mailbox() -> None:
    reached = {mailboxes}
    for _ in metadata.tables:
        reached |= {
            table
            for table in metadata.tables.values()
            for key in table.foreign_key_constraints
            if key.referred_table in reached and key.ondelete == "CASCADE"
        }
    assert reached == set(metadata.tables.values())


def test_keys_that_tables_point_to_can_be_looked_up_from_the_other_side() -> None:
    """Deleting looks for rows that point to the deleted one: without an index that reads whole tables."""
    for table in metadata.tables.values():
        indexed = [list(table.primary_key.columns.keys())]
        indexed += [list(index.columns.keys()) for index in table.indexes]
        indexed += [list(one.columns.keys()) for one in table.constraints if isinstance(one, UniqueConstraint)]
        for key in table.foreign_key_constraints:
            first = next(iter(key.columns)).name
            assert any(columns[0] == first for columns in indexed), (table.name, key.name)
