"""Values that are being written: any order of writes, bounded memory, and nothing left of what was given up."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from openchange_py.store import pending, schema
from openchange_py.store.base import (
    AttachmentDraft,
    Mailbox,
    MessageDraft,
    NoSuchObject,
    StoreError,
    WritableContent,
)
from openchange_py.store.content import CHUNK_SIZE
from openchange_py.store.database import Database
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId

#: More than is kept in memory.
LARGE = CHUNK_SIZE * (pending.MEMORY_CHUNKS + 3) + 17

#: Writes large values and is killed: one before its message is saved, one behind it.
WRITER = """
import os, signal, sys, uuid
from openchange_py.store.base import AttachmentDraft, MessageDraft, SpecialFolder
from openchange_py.store.source import open_store
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId

mailbox = open_store(sys.argv[1]).mailbox(uuid.UUID(sys.argv[2]))
values = [mailbox.new_content(), mailbox.new_content()]
for number in range(100):
    for value in values:
        value.write(value.size, bytes((number,)) * 50_000)
attachment = AttachmentDraft({proptags.PidTagAttachDataBinary: values[0]})
mailbox.save_message(mailbox.special_folders()[SpecialFolder.INBOX], MessageDraft({}, attachments=[attachment]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def rows(url: str, *tables: str) -> list[int]:
    database = Database(url)
    with database.reading() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(schema.metadata.tables[name])).scalar_one()
            for name in tables
        ]
    database.close()
    return counts


def whole(value: WritableContent) -> bytes:
    return value.read(0, value.size)


OFFSETS = st.integers(0, 3 * CHUNK_SIZE)
STEPS = st.lists(st.tuples(st.booleans(), OFFSETS, st.integers(0, CHUNK_SIZE + 5)), max_size=12)


@pytest.mark.parametrize("memory", [0, 1, pending.MEMORY_CHUNKS])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, base=st.sampled_from([None, b"", b"base" * 40_000]))
def test_it_is_what_a_bytearray_would_be(
    mailbox: Mailbox, inbox: FolderId, memory: int, steps: list[tuple[bool, int, int]], base: bytes | None
) -> None:
    first = mailbox.new_content()
    first.write(0, base or b"")
    first.frozen = True
    value, model = mailbox.new_content(None if base is None else first), bytearray(base or b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pending, "MEMORY_CHUNKS", memory)
        for number, (is_write, offset, count) in enumerate(steps):
            if is_write:
                data = bytes((number + 1,)) * count
                value.write(offset, data)
                if len(model) < offset and data:
                    model.extend(bytes(offset - len(model)))
                model[offset : offset + count] = data
            else:
                value.resize(offset)
                model = model[:offset].ljust(offset, b"\0")
            value.resize(len(model))
            assert whole(value) == model
            assert value.held <= (memory + 4) * CHUNK_SIZE
        identifier = mailbox.save_message(inbox, MessageDraft({proptags.PidTagHtml: value}))
    saved = mailbox.message(identifier).properties[proptags.PidTagHtml]
    assert saved.read(0, saved.size) == model
    value.discard()
    assert saved.read(0, saved.size) == model


def test_a_large_value_is_moved_to_its_message_not_copied(url: str, mailbox: Mailbox, inbox: FolderId) -> None:
    value = mailbox.new_content()
    for start in range(0, LARGE, 30_000):
        value.write(start, b"x" * min(30_000, LARGE - start))
    assert value.held <= CHUNK_SIZE * (pending.MEMORY_CHUNKS + 1)
    assert rows(url, "messages", "contents") == [1, 1]
    mailbox.save_message(
        inbox, MessageDraft({}, attachments=[AttachmentDraft({proptags.PidTagAttachDataBinary: value})])
    )
    assert rows(url, "messages", "contents") == [1, 1]
    value.discard()
    (attachment,) = mailbox.message(mailbox.message_ids(inbox)[0]).attachments()
    assert attachment.properties[proptags.PidTagAttachDataBinary].size == LARGE


def test_a_value_of_two_messages_is_copied(mailbox: Mailbox, inbox: FolderId) -> None:
    value = mailbox.new_content()
    value.write(0, b"y" * LARGE)
    for _ in range(2):
        mailbox.save_message(inbox, MessageDraft({proptags.PidTagHtml: value}))
    first, second = mailbox.message_ids(inbox)
    mailbox.delete_messages(inbox, [first])
    kept = mailbox.message(second).properties[proptags.PidTagHtml]
    assert kept.read(LARGE - 3, 10) == b"yyy"


def test_a_frozen_value_is_not_written(mailbox: Mailbox, inbox: FolderId) -> None:
    value = mailbox.new_content()
    value.write(0, b"abc")
    mailbox.save_message(inbox, MessageDraft({proptags.PidTagHtml: value}))
    for change in (lambda: value.write(0, b"d"), lambda: value.resize(0)):
        with pytest.raises(StoreError, match="saved"):
            change()


def test_discarding_leaves_nothing(url: str, mailbox: Mailbox) -> None:
    value = mailbox.new_content()
    value.write(0, b"x" * LARGE)
    value.discard()
    assert rows(url, "messages", "contents", "content_chunks") == [0, 0, 0]
    with pytest.raises(NoSuchObject):
        whole(value)
    with pytest.raises(NoSuchObject):
        value.write(0, b"x" * LARGE)


def test_what_was_abandoned_goes_with_the_next_value(url: str, mailbox: Mailbox, inbox: FolderId) -> None:
    abandoned, living = mailbox.new_content(), mailbox.new_content()
    abandoned.write(0, b"x" * LARGE)
    database = Database(url)
    with database.writing() as connection:
        connection.execute(update(schema.messages).values(last_modification_time=1))
    database.close()
    living.write(0, b"y" * LARGE)
    assert rows(url, "messages", "contents") == [1, 1]
    with pytest.raises(NoSuchObject):
        mailbox.save_message(inbox, MessageDraft({proptags.PidTagHtml: abandoned}))
    assert mailbox.message_ids(inbox) == []


def test_after_a_kill_the_saved_message_is_whole_and_the_other_value_is_nowhere(
    url: str, mailbox: Mailbox, inbox: FolderId
) -> None:
    killed = subprocess.run([sys.executable, "-c", WRITER, url, str(mailbox.guid)])
    assert killed.returncode == -9
    (identifier,) = mailbox.message_ids(inbox)
    (attachment,) = mailbox.message(identifier).attachments()
    data = attachment.properties[proptags.PidTagAttachDataBinary]
    assert data.read(0, data.size) == b"".join(bytes((number,)) * 50_000 for number in range(100))
    assert mailbox.folder(inbox).properties[proptags.PidTagContentCount] == 1
    assert rows(url, "messages", "contents") == [2, 2]
