import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.database import DirectoryDatabase, parse_url


def test_the_file_and_what_stands_beside_it_are_the_owner_s_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = DirectoryDatabase(f"sqlite:///{tmp_path}/d.db", create=True)
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x)"))
        files = list(tmp_path.iterdir())
        assert {path.name for path in files} >= {"d.db", "d.db-wal"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        database.close()
    finally:
        os.umask(before)


def test_an_exception_undoes_the_transaction_its_tables_too(tmp_path: Path) -> None:
    database = DirectoryDatabase(f"sqlite:///{tmp_path}/d.db", create=True)

    def fail() -> None:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(DirectoryError, match="ocpy provision"), database.reading() as connection:
        connection.execute(text("SELECT * FROM t"))
    database.close()


def test_a_reader_sees_one_state_while_another_writes(tmp_path: Path) -> None:
    database = DirectoryDatabase(f"sqlite:///{tmp_path}/d.db", create=True)
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
    with database.reading() as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        with database.writing() as writer:
            writer.execute(text("INSERT INTO t VALUES (1)"))
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
    with database.reading() as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 1
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_directory_in_memory_is_refused(url: str) -> None:
    with pytest.raises(DirectoryError, match="needs a file"):
        DirectoryDatabase(url)


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(DirectoryError, match="not a directory URL"):
        parse_url("nonsense")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"missing/d\.db"):
        DirectoryDatabase(f"sqlite:///{tmp_path}/missing/d.db", create=True)


def test_a_password_in_a_url_is_not_shown() -> None:
    assert "hidden" not in parse_url("postgresql://user:hidden@host/db").render_as_string(hide_password=True)
