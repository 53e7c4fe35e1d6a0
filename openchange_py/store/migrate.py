"""Creating and upgrading the mailbox database's tables, with alembic: migrations/mailbox."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util.exc import CommandError
from sqlalchemy import Connection, inspect

from openchange_py.resources import migrations_path
from openchange_py.store.base import StoreError
from openchange_py.store.database import Database, create_file, sqlite_path
from openchange_py.store.schema import VERSION_TABLE, metadata

#: Alembic keeps what it works on in module globals.
_LOCK = threading.Lock()


def upgrade(url: str) -> str:
    """Brings the tables to this program's version and returns it; creates an SQLite file with mode 0600.

    Safe to repeat and to run twice at once. All of it happens, or nothing: a failed upgrade leaves the old tables.
    """
    database = Database(url)
    try:
        path = sqlite_path(database.url)
        if path is not None and not path.exists():
            create_file(path)
        with _LOCK, database.writing() as connection:
            command.upgrade(_config(connection), "head")
            return _current(connection) or ""
    except CommandError as error:
        raise StoreError(f"{database}: {error}") from error
    finally:
        database.close()


def current(url: str) -> str | None:
    """The version of the tables that are there; None where there are none."""
    database = Database(url)
    try:
        path = sqlite_path(database.url)
        if path is not None and not path.exists():
            return None
        with database.reading() as connection:
            return _current(connection)
    finally:
        database.close()


def is_mailbox_table(name: str | None, kind: str, _parents: Any) -> bool:
    """Whether alembic shall look at that table: a directory may live in the same database."""
    return kind != "table" or name in metadata.tables


def mailbox_migrations() -> Path:
    """The folder of this database's migrations."""
    return migrations_path() / "mailbox"


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(mailbox_migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
