"""A mailbox in a database file."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.store.base import Mailbox, SpecialFolder
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire.oxcdata.ids import FolderId


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with the store's tables."""
    address = f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(address)
    return address


@pytest.fixture
def mailbox(url: str) -> Iterator[Mailbox]:
    store = open_store(url)
    yield store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    store.close()


@pytest.fixture
def inbox(mailbox: Mailbox) -> FolderId:
    return mailbox.special_folders()[SpecialFolder.INBOX]
