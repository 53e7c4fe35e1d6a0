"""URLs, and transactions that are durable and do not fail each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from openchange_py.store.base import StoreError
from openchange_py.store.database import Database, create_file


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/test.db")
    with opened.writing() as connection:
        connection.execute(text("CREATE TABLE numbers (value INTEGER)"))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "not a database URL"),
        ("", "not a database URL"),
        ("mysql://user@host/db", "SQLite or PostgreSQL"),
        ("sqlite://", "database file"),
        ("sqlite:///:memory:", "database file"),
        ("sqlite:///file:x?mode=memory&uri=true", "plain database file"),
    ],
)
def test_urls_that_keep_no_mailboxes(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Database(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+nosuchdriver://user:secret@host/db",
        "postgresql+psycopg://user:secret@host:port/db",
        "mysql://user:secret@host/db",
    ],
)
def test_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(StoreError) as error:
        Database(url)
    assert "secret" not in str(error.value)


def test_what_stands_in_mailboxes_is_not_in_errors(database: Database) -> None:
    for statement in ("INSERT INTO numbers (value, more) VALUES (:v, :v)", "INSERT INTO missing VALUES (:v)"):
        with pytest.raises(StoreError) as error, database.writing() as connection:
            connection.execute(text(statement), {"v": "confidential"})
        assert "confidential" not in f"{error.value} {error.value.__cause__}"


def test_sqlite_is_told_to_be_durable(database: Database) -> None:
    with database.reading() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() == 60_000


def test_a_reader_sees_one_state_and_does_not_stop_writers(database: Database) -> None:
    with database.reading() as reader:
        assert reader.execute(text("SELECT count(*) FROM numbers")).scalar_one() == 0
        with database.writing() as writer:
            writer.execute(text("INSERT INTO numbers VALUES (1)"))
        assert reader.execute(text("SELECT count(*) FROM numbers")).scalar_one() == 0
    with database.reading() as reader:
        assert reader.execute(text("SELECT count(*) FROM numbers")).scalar_one() == 1


def test_an_exception_takes_everything_back(database: Database) -> None:
    def fail() -> None:
        with database.writing() as writer:
            writer.execute(text("INSERT INTO numbers VALUES (1)"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.reading() as reader:
        assert reader.execute(text("SELECT count(*) FROM numbers")).scalar_one() == 0


def test_the_databases_errors_are_store_errors(database: Database) -> None:
    with pytest.raises(StoreError, match="no such table"), database.reading() as reader:
        reader.execute(text("SELECT * FROM missing"))


def test_a_link_is_not_followed_to_create_a_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot create"):
        create_file(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()
