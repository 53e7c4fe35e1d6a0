"""`ocpy quickstart --check` believes nothing: what came back is compared with the mail that was imported."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.cli.quickstart_check import run_check, sample_mail
from openchange_py.resources import setup_path
from tests.cli.conftest import Quickstarted

pytestmark = pytest.mark.xdist_group("quickstart")

#: Tables and columns of the mailbox database in which a message's content stands.
PLACES = [
    ("messages", "normalized_subject"),
    ("message_properties", "properties"),
    ("attachments", "properties"),
    ("recipients", "properties"),
    ("content_chunks", "data"),
]


@contextlib.contextmanager
def tampered(quickstarted: Quickstarted, old: str | bytes, new: str | bytes) -> Iterator[None]:
    """Other content in the mailbox behind the server's back, and the right one again afterwards."""
    database = quickstarted.place / "exchange" / "data" / "mailboxes.db"
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        changed = []
        for table, column in PLACES:
            for row, value in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
                if isinstance(value, type(old)) and old in value:  # type: ignore[operator]
                    changed.append((f"UPDATE {table} SET {column} = ? WHERE rowid = ?", row, value))
        assert changed, f"nothing holds {old!r}"
        try:
            for statement, row, value in changed:
                connection.execute(statement, (value.replace(old, new), row))
            connection.commit()
            yield
        finally:
            for statement, row, value in changed:
                connection.execute(statement, (value, row))
            connection.commit()


def check(quickstarted: Quickstarted, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    """The outcome and the transcript."""
    capsys.readouterr()
    outcome = run_check(quickstarted.place, quickstarted.description)
    return outcome, capsys.readouterr().out


def test_a_right_mailbox_is_shown_message_by_message(
    quickstarted: Quickstarted, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome, transcript = check(quickstarted, capsys)
    assert outcome, transcript
    assert transcript.endswith("Everything that came back was right.\n")
    assert "NSPI:    'alice' is Alice Example <alice@example.test>" in transcript
    assert "attachment all bytes.bin: 2048 bytes, identical to the mail's" in transcript
    assert "within it: 'Roof: two offers'" in transcript
    for message in sample_mail().values():
        assert f"Read:    {str(message['Subject'])!r}" in transcript


def files() -> list[Path]:
    return sorted((setup_path() / "sample-mailbox").glob("*.eml"))


def test_the_sample_has_what_servers_get_wrong() -> None:
    """Letters beyond ASCII, all byte values, a message within a message, an answer."""
    messages = sample_mail().values()
    assert len(messages) == len(files())
    assert any(not str(message["Subject"]).isascii() for message in messages)
    assert any(message["In-Reply-To"] for message in messages)
    parts = [part for message in messages for part in message.walk()]
    assert any(part.get_content_type() == "message/rfc822" for part in parts)
    contents = [part.get_payload(decode=True) for part in parts if part.get_filename()]
    assert any(isinstance(content, bytes) and set(content) == set(range(256)) for content in contents)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Lunch on Monday?", "Lunch on Sunday?", "FAILED: the subjects are those of the imported mail"),
        (bytes(range(256)), bytes(255) + b"\xff", "FAILED: all bytes.bin is byte for byte what was attached"),
        (b"seed list.csv", b"seed list.xls", "FAILED: there is an attachment seed list.csv"),
        (b"carol@example.test", b"xarol@example.test", "FAILED: the recipients of 'Minutes of the garden meeting'"),
    ],
)
def test_what_was_tampered_with_is_noticed(
    quickstarted: Quickstarted, capsys: pytest.CaptureFixture[str], old: Any, new: Any, words: str
) -> None:
    with tampered(quickstarted, old, new):
        outcome, transcript = check(quickstarted, capsys)
    assert not outcome, transcript
    assert words in transcript
    assert transcript.endswith("Something is wrong: see FAILED above and the logs.\n")


def test_a_text_that_was_tampered_with_is_noticed(
    quickstarted: Quickstarted, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text of the first mail, by one letter."""
    (message,) = [mail for mail in sample_mail().values() if mail["Subject"] == "Welcome to your mailbox"]
    text = message.get_content().splitlines()[0][:12]
    with tampered(quickstarted, text.encode(), text.swapcase().encode()):
        outcome, transcript = check(quickstarted, capsys)
    assert not outcome, transcript
    assert "FAILED: the text of 'Welcome to your mailbox' is the mail's" in transcript


def test_a_wrong_password_is_a_failure_in_words(quickstarted: Quickstarted, capsys: pytest.CaptureFixture[str]) -> None:
    password = Path(next(a["password_file"] for a in quickstarted.description["accounts"] if a["name"] == "alice"))
    right = password.read_text("utf-8")
    try:
        password.write_text("wrong\n", "utf-8")
        outcome, transcript = check(quickstarted, capsys)
    finally:
        password.write_text(right, "utf-8")
    assert not outcome
    assert "FAILED: " in transcript
    assert "Traceback" not in transcript


def test_a_server_that_is_gone_is_a_failure_in_words(
    quickstarted: Quickstarted, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ready = tmp_path / "endpoints.json"
    hybrid = quickstarted.description["nodes"]["hybrid"]
    closed = {"host": "127.0.0.1", "port": 1, "all": [["127.0.0.1", 1]]}
    ready.write_text(json.dumps({**hybrid, "endpoint_mapper": closed, "rpc": closed}), "utf-8")
    nodes = {**quickstarted.description["nodes"], "hybrid": {**hybrid, "ready_file": str(ready)}}
    elsewhere = Quickstarted(quickstarted.place, {**quickstarted.description, "nodes": nodes})
    outcome, transcript = check(elsewhere, capsys)
    assert not outcome
    assert "FAILED: " in transcript
    assert "127.0.0.1" in transcript
