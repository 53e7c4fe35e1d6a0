"""The engine under the store: connections, transactions, and what SQLite must be told for both to be safe.

Every call of the store is one transaction. Writers of SQLite begin with BEGIN IMMEDIATE: they wait for each other
(`BUSY_TIMEOUT`) instead of failing half-way, and ids that are allocated in a transaction are in the order of commits.
PostgreSQL gets the same order from the lock on the mailbox' row (`ids.allocate`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from openchange_py.store.base import StoreError
from openchange_py.store.notify import ChangeFeed

#: Seconds that a writer waits for another one.
BUSY_TIMEOUT = 60

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # FULL: an acknowledged save is on the disk. In WAL mode NORMAL would lose the last ones with the power.
    "PRAGMA synchronous = FULL",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -16384",
)


class Database:
    """One database of mailboxes. Safe from several threads and processes."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        try:
            self.engine = _create_engine(self.url)
        except (SQLAlchemyError, ImportError) as error:
            raise StoreError(f"mailbox database {self}: {error}") from error
        self._writer = self.engine.execution_options(ocpy_write=True)
        #: Who follows what happens in its mailboxes.
        self.feed = ChangeFeed(self)

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with self._errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed, durably, at the end of the block; an exception rolls it back."""
        with self._errors(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(f"mailbox database {self}: {error.orig}") from error

    def close(self) -> None:
        """Closes pooled connections."""
        self.feed.close()
        self.engine.dispose()


def _without_password(url: str) -> str:
    """A URL that nobody could parse, as it may be shown."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}://...@{rest.rpartition('@')[2]}" if separator and "@" in rest else url


def parse_url(url: str) -> URL:
    """A database URL; `StoreError` where it is not one, or one that cannot keep mailboxes."""
    try:
        parsed = make_url(url)
        parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StoreError(
            f"not a database URL: {_without_password(url)!r} (sqlite:////path/to/file, postgresql+psycopg://...)"
        ) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"mailboxes are kept in SQLite or PostgreSQL, not in {parsed.get_backend_name()}")
    if parsed.get_backend_name() == "sqlite" and sqlite_path(parsed) is None:
        raise StoreError("mailboxes need a database file: sqlite:////path/to/file")
    return parsed


def sqlite_path(url: URL) -> Path | None:
    """The file of an SQLite database; None for another database, or one in memory."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    if url.database.startswith("file:"):
        raise StoreError("mailboxes need a plain database file name, not a file: URI")
    return Path(url.database)


def create_file(path: Path) -> None:
    """An empty database file that its owner alone can read; SQLite gives its -wal and -shm files the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise StoreError(f"cannot create the mailbox database {path}: {error.strerror}") from error


def _create_engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(
        url, hide_parameters=True, pool_size=16, max_overflow=64, connect_args={"timeout": BUSY_TIMEOUT}
    )
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare_connection(connection: Any, _record: object) -> None:
    """Transactions are begun by `_begin`, not by the driver, which would begin them late and deferred."""
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("ocpy_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
