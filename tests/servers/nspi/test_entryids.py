import uuid

from openchange_py.addressbook.base import Container, DisplayType, MinimalEntryId
from openchange_py.servers.nspi.entryids import (
    container_dn,
    ephemeral_entry_id,
    instance_key,
    parse_entry_id,
    permanent_entry_id,
)


def test_a_permanent_entry_id() -> None:
    # The Global Address List in calls-profile-tcp-connect-2007.
    expected = "00000000dca740c8c042101ab4b908002b2fe18201000000000100002f00"
    assert permanent_entry_id(DisplayType.CONTAINER, "/").hex() == expected


def test_an_ephemeral_entry_id() -> None:
    # PidTagEntryId of NspiGetMatches in calls-profile-tcp-connect-2007.
    guid = uuid.UUID("cbb9aeb3-0931-462f-8e33-1e07b5c334c8")
    expected = "87000000b3aeb9cb31092f468e331e07b5c334c8010000000000000011000000"
    assert ephemeral_entry_id(DisplayType.MAILUSER, 17, guid).hex() == expected


def test_the_names_of_containers() -> None:
    guid = uuid.UUID("9c6490e5-f001-4c47-ba18-010000009af2")
    assert container_dn(Container(MinimalEntryId(0), guid, "GAL", None, 0)) == "/"
    assert container_dn(Container(MinimalEntryId(16), guid, "All", None, 0)) == f"/guid={guid.hex.upper()}"


def test_an_instance_key() -> None:
    assert instance_key(0x12345678) == b"\x78\x56\x34\x12"


def test_entry_ids_say_whom_they_name() -> None:
    server, other = uuid.UUID(int=7), uuid.UUID(int=8)
    assert parse_entry_id(permanent_entry_id(6, "/o=x/cn=zoe"), server) == "/o=x/cn=zoe"
    assert parse_entry_id(ephemeral_entry_id(0, 17, server), server) == 17
    assert parse_entry_id(ephemeral_entry_id(0, 17, other), server) is None
    for raw in (b"", b"\x87", ephemeral_entry_id(0, 17, server)[:-1], permanent_entry_id(0, "/o=x")[:-1]):
        assert parse_entry_id(raw, server) is None
