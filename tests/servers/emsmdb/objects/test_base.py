"""What all server objects have."""

from __future__ import annotations

import pytest

from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.session import ClientSettings
from tests.servers.emsmdb.parties import World


def test_an_object_is_in_the_code_page_of_its_logon(world: World) -> None:
    alice = world.entries["alice"]
    value = PropertyObject(Logon(world.mailbox, 0, alice, alice, ClientSettings(932)))
    assert (value.code_page, value.codec) == (932, "cp932")
    assert value.mailbox_logon.mailbox is world.mailbox


def test_what_every_object_with_properties_must_tell() -> None:
    with pytest.raises(NotImplementedError):
        PropertyObject().properties()
