"""The engine under the embedded directory, and what SQLite must be told for several processes to share it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from openchange_py.addressbook.base import DirectoryError

#: Seconds that a writer waits for another one.
BUSY_TIMEOUT = 60


class DirectoryDatabase:
    """One database that holds a directory. Safe from several threads; each process opens its own."""

    def __init__(self, url: str, *, create: bool = False) -> None:
        self.url = parse_url(url)
        try:
            self.engine = create_directory_engine(self.url, create=create)
        except (SQLAlchemyError, ImportError) as error:
            raise DirectoryError(f"directory {self}: {error}") from error

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the directory."""
        with self._errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block; an exception rolls it back."""
        with self._errors(), self.engine.execution_options(ocpy_write=True).begin() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise DirectoryError(f"directory {self}: {_reason(error)}") from error

    def close(self) -> None:
        """Close pooled connections."""
        self.engine.dispose()


def insert_many(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows of plain values (text, integers, bytes) as the driver takes them: a third of the time of `insert`."""
    if not rows:
        return
    place = {"qmark": "?", "format": "%s", "pyformat": "%s"}[connection.dialect.paramstyle]
    places = ", ".join([place] * len(columns))
    connection.exec_driver_sql(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})",  # noqa: S608  names of our own
        [tuple(row) for row in rows],
    )


def _reason(error: DBAPIError) -> str:
    text = str(error.orig)
    if isinstance(error, OperationalError) and "no such table" in text:
        return "not provisioned yet: run `ocpy provision`"
    return text


def _without_password(url: str) -> str:
    """A URL that nobody could parse, as it may be shown."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}://...@{rest.rpartition('@')[2]}" if separator and "@" in rest else url


def parse_url(url: str) -> URL:
    """A database URL; `DirectoryError` where it is not one."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise DirectoryError(
            f"not a directory URL: {_without_password(url)!r} (sqlite:////path/to/file, postgresql://...)"
        ) from error


def create_directory_engine(url: URL, *, create: bool) -> Engine:
    """The engine. `create` makes SQLite's file where it is not there; with mode 0600, which WAL and journal follow."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    if not url.database or url.database == ":memory:":
        raise DirectoryError("directory sqlite: needs a file, several processes share it")
    if create:
        _create_file(Path(url.database))
    elif not Path(url.database).exists():
        raise DirectoryError(f"there is no directory {url.database}: run `ocpy provision`")
    engine = create_engine(url, hide_parameters=True)
    event.listen(engine, "connect", _set_up_connection)
    event.listen(engine, "begin", _begin)
    return engine


def _create_file(path: Path) -> None:
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise DirectoryError(f"directory {path}: {error.strerror}") from error


def _set_up_connection(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN comes too late (before the first write only) and never before DDL; `_begin` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes then would fail at once when another one wrote in between.
    write = connection.get_execution_options().get("ocpy_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
