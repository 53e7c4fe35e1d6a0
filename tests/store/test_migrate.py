"""The migrations give exactly the tables of `schema.py`, at once or not at all."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from openchange_py.store import migrate, schema
from openchange_py.store.base import StoreError


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mailboxes.db"


def test_the_migrations_give_the_schema(url: str) -> None:
    migrate.upgrade(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        options = {"include_name": migrate.is_mailbox_table, "compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []
        inspector = inspect(connection)
        for table in schema.metadata.sorted_tables:
            keys = {
                key["name"]: (key["constrained_columns"], key["options"])
                for key in inspector.get_foreign_keys(table.name)
            }
            declared = {
                key.name: ([column.name for column in key.columns], {"ondelete": key.ondelete})
                for key in table.foreign_key_constraints
            }
            assert keys == declared
            assert {index["name"] for index in inspector.get_indexes(table.name)} == {one.name for one in table.indexes}
    engine.dispose()


def test_the_schema_names_the_newest_migration() -> None:
    assert ScriptDirectory(str(migrate.mailbox_migrations())).get_heads() == [schema.SCHEMA_REVISION]


def test_upgrading_is_safe_to_repeat(url: str) -> None:
    assert migrate.current(url) is None
    assert migrate.upgrade(url) == schema.SCHEMA_REVISION
    assert migrate.upgrade(url) == schema.SCHEMA_REVISION
    assert migrate.current(url) == schema.SCHEMA_REVISION


def test_upgrades_at_once_wait_for_each_other(url: str) -> None:
    program = f"from openchange_py.store.migrate import upgrade; print(upgrade({url!r}))"
    processes = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == [schema.SCHEMA_REVISION] * 3


def test_the_file_is_its_owners_alone(url: str, tmp_path: Path) -> None:
    migrate.upgrade(url)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_looking_does_not_create_the_file(url: str, tmp_path: Path) -> None:
    assert migrate.current(url) is None
    assert list(tmp_path.iterdir()) == []


def test_a_failed_upgrade_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    migrate.create_file(tmp_path / "mailboxes.db")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE recipients (unexpected INTEGER)"))
    with pytest.raises(StoreError, match="recipients"):
        migrate.upgrade(url)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["recipients"]
    engine.dispose()
    assert migrate.current(url) is None


def test_other_tables_in_the_database_are_left_alone(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE directory_entry (id INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO directory_entry VALUES (7)"))
    migrate.upgrade(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM directory_entry")).scalar_one() == 7
    engine.dispose()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot create"):
        migrate.upgrade(f"sqlite:///{tmp_path}/missing/mailboxes.db")
