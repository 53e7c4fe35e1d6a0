"""The folder object."""

from __future__ import annotations

from openchange_py.servers.emsmdb.objects.folder import FOLDER_CHILD_COUNT, FolderObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.store.base import SpecialFolder
from openchange_py.wire import proptags as p
from tests.servers.emsmdb.parties import World, letter


def folder(world: World, special: SpecialFolder) -> FolderObject:
    logon = Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"])
    return FolderObject(logon, world.folder(special))


def test_counts_follow_what_is_saved(own_world: World) -> None:
    drafts = folder(own_world, SpecialFolder.DRAFTS)
    assert drafts.properties()[p.PidTagContentCount] == 0
    own_world.mailbox.save_message(drafts.folder_id, letter(1))
    assert drafts.properties()[p.PidTagContentCount] == 1


def test_subfolders_are_counted_where_that_is_asked_for(own_world: World) -> None:
    inbox = folder(own_world, SpecialFolder.INBOX)
    assert inbox.properties([FOLDER_CHILD_COUNT])[FOLDER_CHILD_COUNT] == 0
    for name in ("one", "two"):
        own_world.mailbox.create_folder(inbox.folder_id, name)
    assert inbox.properties([FOLDER_CHILD_COUNT])[FOLDER_CHILD_COUNT] == 2
    assert FOLDER_CHILD_COUNT not in inbox.properties()
    assert inbox.properties()[p.PidTagSubfolders] is True
