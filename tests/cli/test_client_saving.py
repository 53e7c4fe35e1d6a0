"""File names that strangers chose, files that exist, and files that do not come whole."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.cli.client_saving import new_file, safe_file_name, target_path
from openchange_py.client.messages import AttachmentInfo


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("Einkaufszettel für Samstag.txt", "Einkaufszettel für Samstag.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\win.ini", "win.ini"),
        (".bashrc", "bashrc"),
        ("..", "fallback"),
        ("", "fallback"),
        ("/", "fallback"),
        ("a\0b\x1b[2J.txt", "ab[2J.txt"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("con.txt", "_con.txt"),
        ("what?.txt", "what_.txt"),
        ("trailing. ", "trailing"),
        ("e\u0301.txt", "é.txt"),
        ("ü" * 300 + ".docx", "ü" * 117 + ".docx"),
    ],
)
def test_names(name: str, safe: str) -> None:
    assert safe_file_name(name, "fallback") == safe


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_any_name_is_a_file_in_the_folder(name: str) -> None:
    safe = safe_file_name(name, "fallback")
    assert Path("/folder") / safe == Path("/folder", safe)
    assert (Path("/folder") / safe).resolve().parent == Path("/folder")
    assert not safe.startswith(".")
    assert 0 < len(safe.encode("utf-8")) <= 255
    assert not set(safe) & set("/\\\0\n")


def attached(name: str) -> AttachmentInfo:
    return AttachmentInfo(0, name, "", 0, 1, "", False)


def test_where_it_is_saved(tmp_path: Path) -> None:
    evil = attached("../evil.txt")
    assert target_path(str(tmp_path), evil, 1) == tmp_path / "evil.txt"
    assert target_path(f"{tmp_path}/", attached(""), 3) == tmp_path / "attachment-3"
    assert target_path(str(tmp_path / "mine.txt"), evil, 1) == tmp_path / "mine.txt"
    with pytest.raises(click.ClickException, match="no such directory"):
        target_path(f"{tmp_path}/missing/", evil, 1)


@pytest.mark.parametrize("force", [False, True])
def test_a_new_file(tmp_path: Path, force: bool) -> None:
    with new_file(tmp_path / "new", force=force) as file:
        file.write(b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new").read_bytes() == b"data"


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"old")
    with pytest.raises(click.ClickException, match="exists already: --force"), new_file(old, force=False) as file:
        file.write(b"new")
    assert old.read_bytes() == b"old"
    with new_file(old, force=True) as file:
        file.write(b"new")
        assert old.read_bytes() == b"old"  # until all of it is there
    assert old.read_bytes() == b"new"


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_does_not_come_whole_is_no_file(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "partial"
    if force:
        path.write_bytes(b"old")

    def fail() -> None:
        with new_file(path, force=force) as file:
            file.write(b"half")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert [found.name for found in tmp_path.iterdir()] == (["partial"] if force else [])
    assert not force or path.read_bytes() == b"old"
