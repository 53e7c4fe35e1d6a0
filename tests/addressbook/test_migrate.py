from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from openchange_py.addressbook import migrate, schema
from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.database import DirectoryDatabase
from openchange_py.store import migrate as mailbox_migrate


def test_upgrading_is_repeatable_and_says_whether_it_did_anything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/directory.db"
    assert migrate.upgrade(url) is True
    assert migrate.upgrade(url) is False
    assert (tmp_path / "deep/er/directory.db").stat().st_mode & 0o777 == 0o600


def test_the_migrations_make_what_the_schema_says(url: str) -> None:
    database = DirectoryDatabase(url)
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": migrate.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == migrate.head()
    database.close()


def test_a_database_may_hold_mailboxes_as_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/both.db"
    assert migrate.upgrade(url)
    mailbox_migrate.upgrade(url)
    assert migrate.upgrade(url) is False
    database = DirectoryDatabase(url)
    with database.reading() as connection:
        tables = inspect(connection).get_table_names()
    assert {"alembic_version_directory", "alembic_version_mailbox", "directory_entry"} <= set(tables)
    database.close()


def test_an_upgrade_that_fails_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/directory.db"
    database = DirectoryDatabase(url, create=True)
    with database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE directory_token (x)")  # in the way of the last table
    with pytest.raises(DirectoryError):
        migrate.upgrade(url)
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == ["directory_token"]
    database.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match=r"file/directory\.db"):
        migrate.upgrade(f"sqlite:///{tmp_path}/file/directory.db")
