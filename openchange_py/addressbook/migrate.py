"""Brings the embedded directory's tables up to date, with alembic.

The version table is the directory's own, so that a database may hold mailboxes as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, update

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.database import DirectoryDatabase, parse_url
from openchange_py.addressbook.index import parts
from openchange_py.addressbook.indexing import Transaction
from openchange_py.addressbook.rows import DERIVATION
from openchange_py.addressbook.schema import counter, entry
from openchange_py.resources import migrations_path

VERSION_TABLE = "alembic_version_directory"
#: The newest revision, with keys and tokens that an older version derived otherwise.
UNDERIVED: Final = "underived"


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
            return _derive_anew(connection) or before != _version(connection)
    finally:
        database.close()


def current(url: str) -> str | None:
    """The tables' revision, or `UNDERIVED`; None where there are none. Nothing is made."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return None
    database = DirectoryDatabase(url)
    try:
        with database.reading() as connection:
            version = _version(connection)
            if version != head():
                return version
            derivation = select(counter.c.value).where(counter.c.name == "derivation")
            return version if connection.execute(derivation).scalar() == DERIVATION else UNDERIVED
    finally:
        database.close()


def _derive_anew(connection: Connection) -> bool:
    """Entries that an older version derived keys and tokens of otherwise: by ones as they are today."""
    current = update(counter).where(counter.c.name == "derivation", counter.c.value != DERIVATION)
    if not connection.execute(current.values(value=DERIVATION)).rowcount:
        return False
    transaction = Transaction(connection, strict=False)
    for some in parts(connection.execute(select(entry.c.mid)).scalars().all()):
        transaction.renew(some)
    transaction.finish()
    return True


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def head() -> str:
    """The newest revision."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""
