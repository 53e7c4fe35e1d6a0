"""Reading .eml files, mbox and maildir."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.mime import mailboxes
from openchange_py.mime.mailboxes import read_mail
from openchange_py.mime.parser import ImportRefused


def messages(path: Path) -> list[tuple[bytes, bool]]:
    return [(source.read(), source.is_read) for source in read_mail(path)]


def test_an_eml_file(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(b"Subject: x\r\n\r\nFrom here on\r\n")
    assert messages(path) == [(b"Subject: x\r\n\r\nFrom here on\r\n", False)]


def test_an_mbox(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(
        b"From a@b Mon Jan  5 08:30:00 2026\nSubject: 1\nStatus: RO\n\none\n\nFrom the text: \nno field here\n\n"
        b"From a@b Mon Jan  5 08:30:00 2026\nSubject: 2\nStatus: O\n\n>From two\nlast line without an empty one\n"
        b"From - \nSubject: 3\n\nthree\n"
    )
    assert messages(path) == [
        (b"Subject: 1\nStatus: RO\n\none\n\nFrom the text: \nno field here\n", True),
        (b"Subject: 2\nStatus: O\n\n>From two\nlast line without an empty one\n", False),
        (b"Subject: 3\n\nthree\n", False),
    ]
    assert [source.name for source in read_mail(path)] == [f"{path}#{number}" for number in (1, 2, 3)]


def test_an_mbox_with_crlf_and_a_line_without_end(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"From a\r\nSubject: 1\r\n\r\none\r\n\r\nFrom a\r\nSubject: 2\r\n\r\n" + b"x" * 200_000)
    assert messages(path) == [
        (b"Subject: 1\r\n\r\none\r\n", False),
        (b"Subject: 2\r\n\r\n" + b"x" * 200_000, False),
    ]


def test_a_message_that_is_too_large_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "SIZE_LIMIT", 100)
    path = tmp_path / "box"
    path.write_bytes(b"From a\nSubject: 1\n\n" + b"x\n" * 100 + b"\nFrom a\nSubject: 2\n\ntwo\n")
    first, second = read_mail(path)
    with pytest.raises(ImportRefused, match="a message can have 100"):
        first.read()
    assert second.read() == b"Subject: 2\n\ntwo\n"


def test_a_maildir(tmp_path: Path) -> None:
    for name in ("cur", "new", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "cur" / "1.host:2,RS").write_bytes(b"Subject: seen\n\n")
    (tmp_path / "cur" / "2.host:2,").write_bytes(b"Subject: unseen\n\n")
    (tmp_path / "new" / "3.host").write_bytes(b"Subject: new\n\n")
    (tmp_path / "new" / ".hidden").write_bytes(b"")
    (tmp_path / "tmp" / "4.host").write_bytes(b"Subject: half\n\n")
    assert messages(tmp_path) == [
        (b"Subject: seen\n\n", True),
        (b"Subject: unseen\n\n", False),
        (b"Subject: new\n\n", False),
    ]


def test_a_folder_of_eml_files(tmp_path: Path) -> None:
    (tmp_path / "b.eml").write_bytes(b"Subject: b\n\n")
    (tmp_path / "a.EML").write_bytes(b"Subject: a\n\n")
    assert [raw for raw, _ in messages(tmp_path)] == [b"Subject: a\n\n", b"Subject: b\n\n"]


def test_other_files_of_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"Subject: a\n\n")
    (tmp_path / "notes.txt").write_bytes(b"x")
    mail, other = read_mail(tmp_path)
    assert mail.read() == b"Subject: a\n\n"
    assert other.name == str(tmp_path / "notes.txt")
    with pytest.raises(ImportRefused, match=r"\.eml"):
        other.read()


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="no maildir"):
        list(read_mail(tmp_path))
    with pytest.raises(ImportRefused, match="there is no file"):
        list(read_mail(tmp_path / "missing"))


def test_a_file_that_went_away_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"Subject: a\n\n")
    (source,) = read_mail(tmp_path)
    (tmp_path / "a.eml").unlink()
    with pytest.raises(ImportRefused, match="cannot read"):
        source.read()
