"""A mailbox in every kind of database that there is.

SQLite always; PostgreSQL where OCPY_TEST_POSTGRESQL names a database that tests may write to
(`postgresql+psycopg://user@/name`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.store.base import Mailbox, SpecialFolder, Store
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire.oxcdata.ids import FolderId

POSTGRESQL = os.environ.get("OCPY_TEST_POSTGRESQL", "")


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRESQL else ["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the store's tables."""
    address = POSTGRESQL if request.param == "postgresql" else f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(address)
    return address


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def mailbox(store: Store) -> Mailbox:
    return store.create_mailbox(uuid.uuid4(), "/o=Example/ou=Site/cn=Recipients/cn=alice", "Alice Example")


@pytest.fixture
def inbox(mailbox: Mailbox) -> FolderId:
    return mailbox.special_folders()[SpecialFolder.INBOX]
