"""Large values in bounded memory, and damaged ones."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from openchange_py.store.base import AttachmentDraft, Content, Mailbox, MessageDraft, SpecialFolder, StoreError
from openchange_py.store.content import CHUNK_SIZE, StoredContent
from openchange_py.store.database import Database
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire import proptags

SIZE = 50_000_000
#: Reads a large attachment in pieces of 32 KiB and says its digest and how much memory that took (KiB).
READER = """
import hashlib, resource, sys, uuid
from openchange_py.store.base import SpecialFolder
from openchange_py.store.source import open_store
from openchange_py.wire import proptags

mailbox = open_store(sys.argv[1]).mailbox(uuid.UUID(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
identifier, = mailbox.message_ids(mailbox.special_folders()[SpecialFolder.INBOX])
attachment, = mailbox.message(identifier).attachments()
content, digest = attachment.properties[proptags.PidTagAttachDataBinary], hashlib.sha256()
for offset in range(0, content.size, 32768):
    digest.update(content.read(offset, 32768))
print(digest.hexdigest(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


class Generated(Content):
    """A large value that is nowhere as a whole. `lost`: bytes that it fails to give."""

    def __init__(self, size: int, lost: int = 0) -> None:
        self._size = size
        self._lost = lost

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, count: int) -> bytes:
        return hashlib.sha256(offset.to_bytes(8, "big")).digest()[:1] * (min(count, self._size - offset) - self._lost)


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(address)
    return address


@pytest.fixture
def mailbox(url: str) -> Iterator[Mailbox]:
    store = open_store(url)
    yield store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    store.close()


def save(mailbox: Mailbox, value: bytes | Content) -> Content:
    draft = MessageDraft({}, attachments=[AttachmentDraft({proptags.PidTagAttachDataBinary: value})])
    saved = mailbox.save_message(mailbox.special_folders()[SpecialFolder.INBOX], draft)
    content: Content = mailbox.message(saved).attachments()[0].properties[proptags.PidTagAttachDataBinary]
    return content


def test_a_large_attachment_needs_little_memory(url: str, mailbox: Mailbox) -> None:
    value = Generated(SIZE)
    expected = hashlib.sha256()
    for offset in range(0, SIZE, CHUNK_SIZE):
        expected.update(value.read(offset, CHUNK_SIZE))
    assert save(mailbox, value).size == SIZE
    command = [sys.executable, "-c", READER, url, str(mailbox.guid)]
    digest, memory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert digest == expected.hexdigest()
    assert int(memory) < 30_000


def test_a_value_that_ends_early_is_refused(mailbox: Mailbox) -> None:
    with pytest.raises(StoreError, match="gave"):
        save(mailbox, Generated(100_000, lost=1))
    assert mailbox.message_ids(mailbox.special_folders()[SpecialFolder.INBOX]) == []


def test_a_lost_chunk_is_noticed(url: str, mailbox: Mailbox) -> None:
    content = save(mailbox, b"x" * 200_000)
    assert isinstance(content, StoredContent)
    database = Database(url)
    with database.writing() as connection:
        connection.execute(text("DELETE FROM content_chunks WHERE number = 1"))
    database.close()
    assert content.read(0, CHUNK_SIZE) == b"x" * CHUNK_SIZE
    with pytest.raises(StoreError, match="damaged"):
        content.read(CHUNK_SIZE - 1, 2)


def test_chunks_go_with_their_message(url: str, mailbox: Mailbox) -> None:
    save(mailbox, b"x" * 200_000)
    database = Database(url)
    with database.writing() as connection:
        assert connection.execute(text("SELECT count(*) FROM content_chunks")).scalar_one() == 4
        connection.execute(text("DELETE FROM messages"))
        assert connection.execute(text("SELECT count(*) FROM content_chunks")).scalar_one() == 0
    database.close()


@pytest.mark.parametrize(("offset", "count"), [(-1, 5), (0, -1)])
def test_places_that_cannot_be(mailbox: Mailbox, offset: int, count: int) -> None:
    with pytest.raises(ValueError, match="offset"):
        save(mailbox, b"x" * 10_000).read(offset, count)
