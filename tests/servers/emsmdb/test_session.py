"""The session context."""

from __future__ import annotations

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.session import ClientSettings, EmsmdbSession
from tests.servers.emsmdb.parties import Client, World


def test_closing_lets_go_of_all_objects(world: World) -> None:
    entry = world.entries["alice"]
    session = EmsmdbSession(world.directory, world.store, entry, entry)
    session.objects.add(ServerObject())
    session.close()
    assert len(session.objects) == 0
    assert session.settings == ClientSettings(1252, 0x409, 0x409)


def test_a_session_knows_who_called_and_as_whom(world: World) -> None:
    client = Client(world, "relay", dn=world.dn("alice"), cpid=932)
    session = client.session.handles[client.cxh]
    assert (session.caller.account, session.user.account) == ("relay", "alice")
    assert session.settings == ClientSettings(932, 0x407, 0x409)
