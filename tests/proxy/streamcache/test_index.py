"""The index: rows, counters, and what becomes of a damaged one."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.proxy.streamcache.index import CacheError, Entry, StreamIndex


def entry(number: int, subject: str = "s", version: str = "v", size: int = 10) -> Entry:
    return Entry(f"{number:064x}", subject, version, 1, size, "h")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[StreamIndex]:
    made = StreamIndex(f"sqlite:///{tmp_path}/index.db")
    made.open()
    yield made
    made.close()


def test_streams_come_and_go(index: StreamIndex) -> None:
    for number in range(3):
        index.add(entry(number, size=10 + number))
    found = index.find(entry(1).name)
    assert found is not None
    assert dataclasses.replace(found, stored_at=0, used_at=0) == entry(1, size=11)
    assert index.total() == (3, 33)
    assert index.page() == [entry(number).name for number in range(3)]
    assert index.page(entry(0).name, 1) == [entry(1).name]
    assert index.known([entry(1).name, entry(9).name]) == {entry(1).name}
    assert index.remove([entry(1).name, entry(9).name]) == 1
    assert index.find(entry(1).name) is None


def test_a_stream_that_is_stored_again_takes_its_place(index: StreamIndex) -> None:
    index.add(entry(1))
    index.add(entry(1, size=11))
    assert index.total() == (1, 11)


def test_other_versions_of_a_message(index: StreamIndex) -> None:
    for number, version in enumerate("aab"):
        index.add(entry(number, version=version))
    index.add(entry(3, subject="other", version="b"))
    assert index.superseded(entry(0, version="a")) == [entry(2).name]
    assert sorted(index.of_subjects(["s", "nobody"])) == [entry(number).name for number in range(3)]


def test_what_is_counted_adds_up(index: StreamIndex) -> None:
    index.add(entry(1))
    index.add(entry(2))
    index.count({"hits": 2}, {entry(1).name: 2})
    index.count({"hits": 3, "reads": 1}, {entry(9).name: 1})
    assert index.counters() == {"hits": 5, "reads": 1}
    assert [name for name, _ in index.least_used()] == [entry(2).name, entry(1).name]
    found = index.find(entry(1).name)
    assert found is not None
    assert found.hits == 2
    assert index.older_than(0) == []
    assert len(index.older_than(found.used_at + 10)) == 2
    index.forget_counters()
    assert index.counters() == {}


def test_several_writers_wait_for_each_other(index: StreamIndex) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 20):
            index.add(entry(number))
            index.count({"stored": 1}, {})

    threads = [threading.Thread(target=write, args=(start,)) for start in range(0, 80, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index.total()[0] == index.counters()["stored"] == 80


def test_tables_of_another_layout_are_begun_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    index = StreamIndex(url)
    index.open()
    index.add(entry(1))
    index.close()
    with sqlite3.connect(tmp_path / "index.db") as database:
        database.execute("UPDATE cache_version SET version = 99")
    again = StreamIndex(url)
    again.open()
    assert again.total() == (0, 0)
    again.open()
    again.add(entry(2))
    again.close()


@pytest.mark.parametrize("damage", ["not a database", "page"])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index.db"
    index = StreamIndex(f"sqlite:///{path}")
    index.open()
    for number in range(300):
        index.add(entry(number))
    index.close()
    content = bytearray(path.read_bytes())
    if damage == "page":
        content[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    path.write_bytes(bytes(content) if damage == "page" else b"nothing of the kind" * 300)
    index.open()
    assert index.total() == (0, 0)
    index.add(entry(1))
    index.close()


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all/index.db", "oracle://x/y"])
def test_a_url_that_is_of_no_use(url: str) -> None:
    with pytest.raises(CacheError, match="index of the cache"):
        StreamIndex(url).open()
