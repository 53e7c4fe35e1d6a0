"""Brings the embedded directory's tables up to date, with alembic.

The version table is the directory's own, so that a database may hold mailboxes as well.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.database import DirectoryDatabase, parse_url
from openchange_py.resources import migrations_path

VERSION_TABLE = "alembic_version_directory"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_path() / "directory").replace("%", "%%"))
    return config


def upgrade(url: str) -> bool:
    """Upgrade to the newest schema; false where nothing was to do. Safe to repeat, and from several processes at once.

    The file's folder is made where it is missing, the file has mode 0600.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DirectoryError(f"directory {parsed.database}: {error.strerror}") from error
    database = DirectoryDatabase(url, create=True)
    try:
        with database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310587041)")
            before = _version(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return before != _version(connection)
    finally:
        database.close()


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def head() -> str:
    """The newest revision."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""
