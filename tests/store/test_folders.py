"""A folder's properties: [MS-OXCFOLD] 2.2.2."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.store.base import Mailbox, MessageDraft, SpecialFolder
from openchange_py.store.folders import FOLDER_GENERIC, FOLDER_ROOT
from openchange_py.store.ids import counter_of, global_id
from openchange_py.store.migrate import upgrade
from openchange_py.store.source import open_store
from openchange_py.wire import proptags


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    url = f"sqlite:///{tmp_path}/mailboxes.db"
    upgrade(url)
    store = open_store(url)
    yield store.create_mailbox(uuid.uuid4(), "/o=x", "Alice")
    store.close()


def test_what_a_hierarchy_table_asks_for(mailbox: Mailbox) -> None:
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    folder = mailbox.create_folder(inbox, " Projects ", "IPF.Task")
    properties = folder.properties
    assert properties[proptags.PidTagDisplayName] == "Projects"
    assert properties[proptags.PidTagContainerClass] == "IPF.Task"
    assert properties[proptags.PidTagFolderType] == FOLDER_GENERIC
    assert properties[proptags.PidTagFolderId] == folder.id
    assert properties[proptags.PidTagParentFolderId] == folder.parent_id == inbox
    source_key = global_id(mailbox.replica_guid, counter_of(folder.id) or 0)
    assert properties[proptags.PidTagSourceKey] == source_key
    parent_key = global_id(mailbox.replica_guid, counter_of(inbox) or 0)
    assert properties[proptags.PidTagParentSourceKey] == parent_key
    assert properties[proptags.PidTagPredecessorChangeList] == b"\x16" + properties[proptags.PidTagChangeKey]
    assert mailbox.folder(folder.id).properties == properties


def test_the_root_is_its_own_parent(mailbox: Mailbox) -> None:
    root = mailbox.folder(mailbox.special_folders()[SpecialFolder.ROOT])
    assert root.parent_id == root.id
    assert root.properties[proptags.PidTagFolderType] == FOLDER_ROOT
    assert root.properties[proptags.PidTagSubfolders] is True
    assert root.id not in {folder.id for folder in mailbox.subfolders(root.id, deep=True)}


def test_saving_mail_moves_the_commit_time_and_not_the_folders_change_number(mailbox: Mailbox) -> None:
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    before = mailbox.folder(inbox).properties
    mailbox.save_message(inbox, MessageDraft({}))
    after = mailbox.folder(inbox).properties
    assert after[proptags.PidTagLocalCommitTimeMax] > before[proptags.PidTagLocalCommitTimeMax]
    assert after[proptags.PidTagChangeNumber] == before[proptags.PidTagChangeNumber]
