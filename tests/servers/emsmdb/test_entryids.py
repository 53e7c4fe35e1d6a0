"""Entry ids of folders and messages."""

from __future__ import annotations

from openchange_py.servers.emsmdb.entryids import (
    folder_entry_id,
    folder_identity,
    message_entry_id,
    store_folder_entry_ids,
)
from openchange_py.store.base import SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.entryids import FolderEntryId, MessageEntryId
from openchange_py.wire.oxcdata.ids import split_id
from tests.servers.emsmdb.parties import World


def test_a_folder_s_entry_id_tells_mailbox_replica_and_counter(world: World) -> None:
    inbox = world.folder(SpecialFolder.INBOX)
    entry_id = FolderEntryId.unpack(folder_entry_id(world.mailbox, inbox))
    assert entry_id.provider_uid == world.mailbox.guid
    assert entry_id.database_guid == world.mailbox.replica_guid
    assert int.from_bytes(entry_id.global_counter, "big") == split_id(inbox)[1]


def test_a_message_s_entry_id_tells_its_folder_too(world: World) -> None:
    inbox = world.folder(SpecialFolder.INBOX)
    entry_id = MessageEntryId.unpack(message_entry_id(world.mailbox, inbox, world.letters[0]))
    assert int.from_bytes(entry_id.folder_global_counter, "big") == split_id(inbox)[1]
    assert int.from_bytes(entry_id.message_global_counter, "big") == split_id(world.letters[0])[1]


def test_only_root_and_inbox_name_the_special_folders(world: World) -> None:
    calendar = folder_entry_id(world.mailbox, world.folder(SpecialFolder.CALENDAR))
    for special in SpecialFolder:
        folder = world.mailbox.folder(world.folder(special))
        identity = folder_identity(world.mailbox, folder)
        named = identity.get(p.PidTagIpmAppointmentEntryId)
        assert named == (calendar if special in (SpecialFolder.ROOT, SpecialFolder.INBOX) else None)
        assert identity[p.PidTagEntryId] == folder_entry_id(world.mailbox, folder.id)
        assert identity[p.PidTagParentEntryId] == folder_entry_id(world.mailbox, folder.parent_id)


def test_the_store_names_folders(world: World) -> None:
    named = store_folder_entry_ids(world.mailbox)
    subtree = world.folder(SpecialFolder.IPM_SUBTREE)
    assert named[p.PidTagIpmSubtreeEntryId] == folder_entry_id(world.mailbox, subtree)
    assert len(set(named.values())) == len(named) == 7
