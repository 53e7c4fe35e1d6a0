"""The index of the cache: which streams there are, of what size and hash, and what was counted. SQLAlchemy Core.

It may share its database with nothing, and holds nothing that can't be had again: it has no migrations. Tables of
another layout, or an SQLite file that is damaged, are dropped and begun anew; files without a row are removed as if
they had been left behind by a crash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

#: Of the tables below; another number for other ones.
_VERSION: Final = 1
#: Seconds that a writer waits for another one.
_BUSY_SECONDS: Final = 10
#: Names in one statement.
_BATCH: Final = 500

_metadata = MetaData()
_version = Table("cache_version", _metadata, Column("version", Integer, primary_key=True))
_streams = Table(
    "cache_streams",
    _metadata,
    Column("name", String(64), primary_key=True),
    Column("subject", String(64), nullable=False, index=True),
    Column("version", String(64), nullable=False),
    Column("tag", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("stored_at", Float, nullable=False, index=True),
    Column("used_at", Float, nullable=False, index=True),
    Column("hits", BigInteger, nullable=False),
)
_counters = Table(
    "cache_counters",
    _metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)


class CacheError(Exception):
    """The cache can't be used; the message says why, for a person."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A stored stream; `subject` and `version` tell its message and that one's version.

    `size` is bytes, `hash` the SHA-256 of them all in hexadecimal digits; times are seconds since 1970.
    """

    name: str
    subject: str
    version: str
    tag: int
    size: int
    hash: str
    stored_at: float = 0.0
    used_at: float = 0.0
    hits: int = 0


class StreamIndex:
    """The rows. Safe from several threads and processes; every method may take as long as a disk does."""

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
            self.engine = _engine(self.url)
        except (ArgumentError, ImportError, SQLAlchemyError) as error:
            raise CacheError(f"the index of the cache: {error}") from error

    def open(self) -> None:
        """Make the tables where there are none of this version; `CacheError`."""
        try:
            self._prepare()
        except (DatabaseError, CacheError) as error:
            damaged = _sqlite_file(self.url)
            if damaged is None or not _is_damage(error):
                raise error if isinstance(error, CacheError) else CacheError(self._told(error)) from error
            self.engine.dispose()
            for suffix in ("", "-wal", "-shm"):
                damaged.with_name(damaged.name + suffix).unlink(missing_ok=True)
            self._prepare()

    def close(self) -> None:
        """Close pooled connections."""
        self.engine.dispose()

    def find(self, name: str) -> Entry | None:
        """The stream of that name."""
        with self._reading() as connection:
            row = connection.execute(select(_streams).where(_streams.c.name == name)).first()
        return None if row is None else Entry(**row._mapping)

    def add(self, entry: Entry) -> None:
        """One more stream, in the place of what had its name."""
        now = time.time()
        row = dataclasses.asdict(entry) | {"stored_at": now, "used_at": now, "hits": 0}
        with self._writing() as connection:
            connection.execute(delete(_streams).where(_streams.c.name == entry.name))
            connection.execute(insert(_streams).values(row))

    def remove(self, names: Iterable[str]) -> int:
        """Forget streams; how many there were."""
        names, removed = list(names), 0
        with self._writing() as connection:
            for start in range(0, len(names), _BATCH):
                chosen = _streams.c.name.in_(names[start : start + _BATCH])
                removed += connection.execute(delete(_streams).where(chosen)).rowcount
        return removed

    def of_subjects(self, subjects: Sequence[str]) -> list[str]:
        """The names of all streams of these messages."""
        found: list[str] = []
        with self._reading() as connection:
            for start in range(0, len(subjects), _BATCH):
                chosen = _streams.c.subject.in_(subjects[start : start + _BATCH])
                found += connection.scalars(select(_streams.c.name).where(chosen))
        return found

    def superseded(self, entry: Entry) -> list[str]:
        """The names of streams of the same message in another version."""
        others = (_streams.c.subject == entry.subject, _streams.c.version != entry.version)
        with self._reading() as connection:
            return list(connection.scalars(select(_streams.c.name).where(*others)))

    def known(self, names: Iterable[str]) -> set[str]:
        """Those of the names that there are."""
        names, found = list(names), set[str]()
        with self._reading() as connection:
            for start in range(0, len(names), _BATCH):
                chosen = _streams.c.name.in_(names[start : start + _BATCH])
                found.update(connection.scalars(select(_streams.c.name).where(chosen)))
        return found

    def page(self, behind: str = "", count: int = _BATCH) -> list[str]:
        """Some names in their order, the first behind the one that is given."""
        wanted = select(_streams.c.name).where(_streams.c.name > behind).order_by(_streams.c.name).limit(count)
        with self._reading() as connection:
            return list(connection.scalars(wanted))

    def total(self) -> tuple[int, int]:
        """How many streams there are, and their bytes."""
        with self._reading() as connection:
            row = connection.execute(select(func.count(), func.coalesce(func.sum(_streams.c.size), 0))).one()
        return int(row[0]), int(row[1])

    def older_than(self, stored_at: float, count: int = _BATCH) -> list[str]:
        """Some streams that were stored before that time."""
        with self._reading() as connection:
            wanted = select(_streams.c.name).where(_streams.c.stored_at < stored_at).limit(count)
            return list(connection.scalars(wanted))

    def least_used(self, count: int = 50) -> list[tuple[str, int]]:
        """Names and sizes of the streams that were not used for the longest time."""
        wanted = select(_streams.c.name, _streams.c.size).order_by(_streams.c.used_at, _streams.c.name).limit(count)
        with self._reading() as connection:
            return [(row.name, row.size) for row in connection.execute(wanted)]

    def count(self, counted: Mapping[str, int], uses: Mapping[str, int]) -> None:
        """Add to the counters, and tell which streams were used how often."""
        now = time.time()
        with self._writing() as connection:
            for name, number in counted.items():
                added = update(_counters).where(_counters.c.name == name).values(value=_counters.c.value + number)
                if not connection.execute(added).rowcount:
                    connection.execute(insert(_counters).values(name=name, value=number))
            for name, number in uses.items():
                used = {"used_at": now, "hits": _streams.c.hits + number}
                connection.execute(update(_streams).where(_streams.c.name == name).values(used))

    def counters(self) -> dict[str, int]:
        """All that was counted, by all processes."""
        with self._reading() as connection:
            return {row.name: row.value for row in connection.execute(select(_counters))}

    def forget_counters(self) -> None:
        """Begin to count anew."""
        with self._writing() as connection:
            connection.execute(delete(_counters))

    def _prepare(self) -> None:
        path = _sqlite_file(self.url)
        if path is not None:
            try:
                # SQLite gives its -wal and -shm files the same mode.
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
            except OSError as error:
                raise CacheError(f"the index of the cache: {path}: {error.strerror}") from error
        with self.engine.execution_options(cache_write=True).begin() as connection:
            if not self._is_current(connection):
                _metadata.drop_all(connection)
                _metadata.create_all(connection)
                connection.execute(insert(_version).values(version=_VERSION))
            if path is not None and (said := connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()) != "ok":
                raise CacheError(f"the index of the cache: malformed: {said}")

    def _is_current(self, connection: Connection) -> bool:
        there = inspect(connection)
        if not all(there.has_table(table.name) for table in _metadata.sorted_tables):
            return False
        return list(connection.scalars(select(_version.c.version))) == [_VERSION]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._errors(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._errors(), self.engine.execution_options(cache_write=True).begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise CacheError(self._told(error)) from error

    def _told(self, error: SQLAlchemyError) -> str:
        shown = self.url.render_as_string(hide_password=True)
        return f"the index of the cache, {shown}: {getattr(error, 'orig', None) or error}"


def _sqlite_file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def _is_damage(error: Exception) -> bool:
    return any(word in str(error) for word in ("malformed", "not a database", "disk image"))


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(url, hide_parameters=True, pool_size=8, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare_connection(connection: Any, _record: object) -> None:
    """NORMAL: a row that the power took is a file to fetch again, and never a wrong one."""
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", f"busy_timeout = {_BUSY_SECONDS * 1000}"):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("cache_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
