"""Opening the database: what is missing or of another version is said clearly; an acknowledged save survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from openchange_py.store.base import MessageDraft, SpecialFolder, StoreError
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire import proptags

#: Saves messages for ever and says each id once it is saved.
SAVER = """
import sys, uuid
from openchange_py.store.base import AttachmentDraft, MessageDraft, SpecialFolder
from openchange_py.store.source import open_store
from openchange_py.wire import proptags

url, guid, name, limit = sys.argv[1:]
mailbox = open_store(url).mailbox(uuid.UUID(guid))
inbox = mailbox.special_folders()[SpecialFolder.INBOX]
number = 0
while number < int(limit):
    draft = MessageDraft({proptags.PidTagSubject: f"{name} {number}", proptags.PidTagBody: name * 9000})
    print(mailbox.save_message(inbox, draft), flush=True)
    number += 1
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mailboxes.db"


def saver(url: str, guid: uuid.UUID, name: str, limit: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SAVER, url, str(guid), name, str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_missing_file_is_not_created(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="ocpy provision --openchangedb"):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE other (id INTEGER)"))
    engine.dispose()
    with pytest.raises(StoreError, match="no mailbox tables: run `ocpy provision --openchangedb`"):
        open_store(url)


@pytest.mark.parametrize(("version", "message"), [("0000", "older.*ocpy provision"), ("9999", "newer")])
def test_tables_of_another_version(url: str, version: str, message: str) -> None:
    upgrade(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version_mailbox SET version_num = :version"), {"version": version})
    engine.dispose()
    with pytest.raises(StoreError, match=message):
        open_store(url)


def test_a_file_that_is_no_database(url: str, tmp_path: Path) -> None:
    (tmp_path / "mailboxes.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match="not a database"):
        open_store(url)


def test_an_acknowledged_save_survives_kill_9(url: str) -> None:
    upgrade(url)
    store = open_store(url)
    mailbox = store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    store.close()
    process = saver(url, mailbox.guid, "a", 1_000_000)
    assert process.stdout is not None
    saved = [int(process.stdout.readline()) for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    saved += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    store = open_store(url)
    mailbox = store.mailbox(mailbox.guid)
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    kept = mailbox.message_ids(inbox, sort=())
    assert set(saved) <= set(kept)
    assert mailbox.folder(inbox).properties[proptags.PidTagContentCount] == len(kept)
    for number, identifier in enumerate(saved):
        message = mailbox.message(identifier)
        assert message.properties[proptags.PidTagSubject] == f"a {number}"
        assert message.properties[proptags.PidTagBody].read(0, 20000).decode("utf-16-le") == "a" * 9000
    assert mailbox.save_message(inbox, MessageDraft({})) not in kept
    store.close()


def test_two_processes_that_save_at_once_lose_nothing(url: str) -> None:
    upgrade(url)
    store = open_store(url)
    mailbox = store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    processes = [saver(url, mailbox.guid, name, 40) for name in ("a", "b")]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    saved = [int(line) for output in outputs for line in output.splitlines()]
    assert len(set(saved)) == 80
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    assert set(mailbox.message_ids(inbox)) == set(saved)
    rows = mailbox.message_rows(saved, [proptags.PidTagSubject, proptags.PidTagChangeNumber])
    assert [row[proptags.PidTagSubject] for row in rows] == [f"{name} {n}" for name in "ab" for n in range(40)]
    assert len({row[proptags.PidTagChangeNumber] for row in rows}) == 80
    store.close()
