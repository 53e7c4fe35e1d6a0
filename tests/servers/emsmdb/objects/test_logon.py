"""The logon object."""

from __future__ import annotations

from openchange_py.servers.emsmdb.objects.logon import Logon, owner_entry_id
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.entryids import PermanentEntryId
from tests.servers.emsmdb.parties import World


def test_a_logon_is_its_own(world: World) -> None:
    logon = Logon(world.mailbox, 3, world.entries["relay"], world.entries["alice"])
    assert logon.logon is logon.mailbox_logon is logon
    assert (logon.logon_id, logon.code_page) == (3, 1252)


def test_owner_and_user_of_a_mailbox(world: World) -> None:
    properties = Logon(world.mailbox, 0, world.entries["relay"], world.entries["alice"]).properties()
    assert properties[p.PidTagMailboxOwnerName] == "Alice É."
    assert properties[p.PidTagMailboxOwnerEntryId] == owner_entry_id(world.entries["alice"])
    assert properties[p.PidTagUserEntryId] == owner_entry_id(world.entries["relay"])
    entry_id = PermanentEntryId.unpack(owner_entry_id(world.entries["alice"]))
    assert entry_id.distinguished_name == world.dn("alice").encode()


def test_what_the_mailbox_holds(world: World) -> None:
    properties = Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"]).properties()
    assert properties[p.PidTagMessageSizeExtended] > 50_000
    assert properties[p.PidTagObjectType] == 1
