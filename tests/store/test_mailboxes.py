"""Creating mailboxes."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from sqlalchemy import text

from openchange_py.store import mailboxes
from openchange_py.store.base import NoSuchObject, SpecialFolder, StoreError
from openchange_py.store.database import Database
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(address)
    return address


def test_every_special_folder_is_declared_once_behind_its_parent() -> None:
    seen: set[SpecialFolder | None] = {None}
    names = set()
    for special, parent, name, _ in mailboxes.SPECIAL_FOLDERS:
        assert parent in seen
        assert special not in seen
        seen.add(special)
        names.add((parent, name))
    assert seen == {None, *SpecialFolder}
    assert len(names) == len(SpecialFolder)


def test_a_failed_creation_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = (*mailboxes.SPECIAL_FOLDERS, mailboxes.SPECIAL_FOLDERS[4])
    monkeypatch.setattr(mailboxes, "SPECIAL_FOLDERS", twice)
    store = open_store(url)
    with pytest.raises(StoreError, match="Inbox"):
        store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    assert store.mailboxes() == []
    store.close()


def test_a_mailbox_without_receive_folders(url: str) -> None:
    store = open_store(url)
    mailbox = store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    database = Database(url)
    with database.writing() as connection:
        connection.execute(text("DELETE FROM receive_folders WHERE sort_class = ''"))
    database.close()
    assert mailbox.receive_folder("IPM.Note")[1] == "IPM"
    with pytest.raises(NoSuchObject, match="receive folder"):
        mailbox.receive_folder("Other")
    store.close()


def test_a_mailbox_that_was_deleted_meanwhile(url: str) -> None:
    store = open_store(url)
    guid = uuid.uuid4()
    store.create_mailbox(guid, "/o=x", "Alice")
    mailbox = store.mailbox(guid)
    store.delete_mailbox(guid)
    for ask in (mailbox.special_folders, mailbox.properties):
        with pytest.raises(NoSuchObject, match="deleted"):
            ask()
    store.close()
