"""What clients write, who may, and that nothing is changed where a call fails."""

import uuid

import pytest

from openchange_py.addressbook.base import DirectoryError, Entry, Kind
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.rpc.security import Identity
from openchange_py.servers.nspi.entryids import ephemeral_entry_id, permanent_entry_id
from openchange_py.servers.nspi.modifying import MAXIMUM_CERTIFICATES, MAXIMUM_ENTRY_IDS
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxnspi import (
    NspiGetMatchesRequest,
    NspiGetPropsRequest,
    NspiModLinkAttRequest,
    NspiModPropsRequest,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r
from tests.servers.nspi.conftest import ORGANIZATION, Client, mid

MEMBER, DELEGATES = int(p.PidTagAddressBookMember), int(p.PidTagAddressBookPublicDelegates)
SMIME, X509 = p.PidTagUserX509Certificate, p.PidTagAddressBookX509Certificate
DELETE = 1


def as_account(client: Client, account: str) -> Client:
    return Client(client.server, caller=Identity(account)).bind()


def entry(directory: EmbeddedDirectory, account: str) -> Entry:
    found = directory.by_account(account)
    assert found
    return found


@pytest.fixture
def group(directory: EmbeddedDirectory) -> Entry:
    """Alice's group, with Bob in it."""
    attributes = {"displayName": ["Friends"], "legacyExchangeDN": [ORGANIZATION.recipient_dn("friends")]}
    alice, bob = (entry(directory, name).legacy_exchange_dn for name in ("alice", "bob"))
    return directory.create(Kind.GROUP, "friends", attributes, {"managedBy": [alice], "member": [bob]})


def certificates(client: Client, directory: EmbeddedDirectory, account: str) -> list[object]:
    stat = STAT(current_rec=mid(directory, account))
    return [value.value for value in client.ask(NspiGetPropsRequest, 0, stat, [SMIME, X509]).row.values]


def mod_props(client: Client, current: int, tags: list[int] | None, *values: PropertyValue_r, **stat: int) -> ErrorCode:
    row = PropertyRow_r(list(values))
    return ErrorCode(client.ask(NspiModPropsRequest, 0, STAT(current_rec=current, **stat), tags, row).return_value)


def linked(client: Client, current: int, tag: int) -> list[int]:
    """As a client reads a table of references: 3.1.4.1.10."""
    stat = STAT(sort_type=1000, container_id=tag, current_rec=current)
    response = client.ask(NspiGetMatchesRequest, 0, stat, None, 0, None, None, 1000, None)
    assert response.return_value == 0
    found: list[int] = response.out_mids
    return found


def mod_link(client: Client, tag: int, current: int, *entry_ids: bytes | None, flags: int = 0) -> ErrorCode:
    return ErrorCode(client.ask(NspiModLinkAttRequest, flags, tag, current, list(entry_ids)).return_value)


def permanent(directory: EmbeddedDirectory, account: str) -> bytes:
    return permanent_entry_id(0, entry(directory, account).legacy_exchange_dn)


def test_an_account_publishes_its_certificates_and_takes_them_back(
    client: Client, directory: EmbeddedDirectory
) -> None:
    alice, missing = mid(directory, "alice"), int(ErrorCode.NotFound)
    both = (PropertyValue_r(SMIME, [b"smime"]), PropertyValue_r(X509, [b"one", b"two"]))
    assert mod_props(client, alice, [SMIME, X509], *both) == ErrorCode.Success
    assert certificates(client, directory, "alice") == [[b"smime"], [b"one", b"two"]]
    # What the row has replaces all that was there; what is only among the tags goes.
    assert mod_props(client, alice, [SMIME, X509], PropertyValue_r(X509, [b"three"])) == ErrorCode.Success
    assert certificates(client, directory, "alice") == [missing, [b"three"]]
    assert mod_props(client, alice, [X509], PropertyValue_r(X509, [])) == ErrorCode.Success
    assert certificates(client, directory, "alice") == [missing, missing]
    assert mod_props(client, alice, []) == ErrorCode.Success


def test_the_reserved_parameter_of_mod_props_is_ignored(client: Client, directory: EmbeddedDirectory) -> None:
    request = (7, STAT(current_rec=mid(directory, "alice")), [X509], PropertyRow_r(None))
    assert client.ask(NspiModPropsRequest, *request).return_value == 0


def test_errors_of_mod_props(client: Client, directory: EmbeddedDirectory) -> None:
    alice, bob, staff = (mid(directory, name) for name in ("alice", "bob", "staff"))
    value = PropertyValue_r(X509, [b"c"])
    assert mod_props(client, alice, [X509], value, code_page=0x4B0) == ErrorCode.InvalidCodepage
    assert mod_props(client, alice, None, value) == ErrorCode.InvalidParameter
    for nobody in (0, 1, 2, 4711, 0xFFFFFFFF):
        assert mod_props(client, nobody, [X509], value) == ErrorCode.InvalidParameter
    assert mod_props(client, staff, [X509], value) == ErrorCode.InvalidObject
    assert mod_props(client, bob, [X509], value) == ErrorCode.AccessDenied
    assert mod_props(client, alice, [p.PidTagTitle]) == ErrorCode.AccessDenied
    assert mod_props(client, alice, [], value, PropertyValue_r(p.PidTagTitle, "Queen")) == ErrorCode.AccessDenied
    assert mod_props(client, alice, [], PropertyValue_r(X509.with_type(0x102), b"c")) == ErrorCode.AccessDenied
    large = PropertyValue_r(X509, [bytes(MAXIMUM_CERTIFICATES), b"c"])
    assert mod_props(client, alice, [], large) == ErrorCode.AccessDenied
    for account in ("alice", "bob"):
        assert certificates(client, directory, account) == [int(ErrorCode.NotFound)] * 2


def test_who_owns_a_group_changes_its_members(client: Client, directory: EmbeddedDirectory, group: Entry) -> None:
    """By permanent and by ephemeral entry ids; what is so already makes no difference."""
    bob, carl, dora = (mid(directory, name) for name in ("bob", "carl", "dora"))
    guid = directory.lists(group).guid
    mixed = (permanent(directory, "carl"), ephemeral_entry_id(0, dora, guid), permanent(directory, "bob"))
    assert mod_link(client, MEMBER, group.mid, *mixed) == ErrorCode.Success
    assert linked(client, group.mid, MEMBER) == [bob, carl, dora]
    gone = (ephemeral_entry_id(0, bob, guid), permanent(directory, "alice"), permanent_entry_id(0, "/o=gone"))
    assert mod_link(client, MEMBER, group.mid, *gone, flags=DELETE | 0xFFFE) == ErrorCode.Success
    assert linked(client, group.mid, MEMBER) == [carl, dora]
    assert mod_link(client, MEMBER, group.mid) == ErrorCode.Success


def test_an_account_has_delegates(client: Client, directory: EmbeddedDirectory) -> None:
    alice, bob = mid(directory, "alice"), mid(directory, "bob")
    assert mod_link(client, DELEGATES, alice, permanent(directory, "bob")) == ErrorCode.Success
    assert linked(client, alice, DELEGATES) == [bob]
    assert mod_link(client, DELEGATES, alice, permanent(directory, "bob"), flags=DELETE) == ErrorCode.Success
    assert linked(client, alice, DELEGATES) == []


def test_errors_of_mod_link_att(client: Client, directory: EmbeddedDirectory, group: Entry) -> None:
    alice, bob = mid(directory, "alice"), mid(directory, "bob")
    carl = permanent(directory, "carl")
    assert mod_link(client, 0x6613000D, group.mid, carl) == ErrorCode.NotFound
    for nobody in (0, 2, 4711, 0xFFFFFFFF):
        assert mod_link(client, MEMBER, nobody, carl) == ErrorCode.InvalidParameter
    assert mod_link(client, MEMBER, alice, carl) == ErrorCode.AccessDenied  # of no group
    assert mod_link(client, DELEGATES, group.mid, carl) == ErrorCode.AccessDenied  # of no user
    assert mod_link(client, DELEGATES, bob, carl) == ErrorCode.AccessDenied  # somebody else's
    assert mod_link(client, int(p.PidTagAddressBookManager), alice, carl) == ErrorCode.AccessDenied
    assert mod_link(client, int(p.PidTagTitle), alice, carl) == ErrorCode.AccessDenied
    assert linked(client, group.mid, MEMBER) == [bob]


@pytest.mark.parametrize("flags", [0, DELETE])
def test_who_does_not_own_a_group_changes_nothing(
    client: Client, directory: EmbeddedDirectory, group: Entry, flags: int
) -> None:
    """Neither a member nor somebody who owns another group, by whatever entry id."""
    bob = as_account(client, "bob")
    for target in (permanent(directory, "bob"), permanent(directory, "carl")):
        assert mod_link(bob, MEMBER, group.mid, target, flags=flags) == ErrorCode.AccessDenied
    assert mod_link(client, MEMBER, mid(directory, "staff"), permanent(directory, "bob"), flags=flags) == 0x80070005
    assert linked(client, group.mid, MEMBER) == [mid(directory, "bob")]


def test_entry_ids_that_name_nobody_who_could_be_a_member(
    client: Client, directory: EmbeddedDirectory, group: Entry
) -> None:
    guid, carl = directory.lists(group).guid, permanent(directory, "carl")
    server = permanent_entry_id(3, ORGANIZATION.server_dn("SRV"))
    for bad in (
        None,
        b"",
        carl[:20],
        carl + b"more",
        bytes(28) + b"x\0",  # of another provider
        ephemeral_entry_id(0, mid(directory, "carl"), uuid.UUID(int=1)),  # of another server
        ephemeral_entry_id(0, 4711, guid),
        permanent_entry_id(0, "/o=gone"),
        permanent_entry_id(1, group.legacy_exchange_dn),  # the group itself
        server,
    ):
        assert mod_link(client, MEMBER, group.mid, carl, bad) == ErrorCode.AccessDenied, bad
    many = [carl] * (MAXIMUM_ENTRY_IDS + 1)
    assert mod_link(client, MEMBER, group.mid, *many) == ErrorCode.AccessDenied
    assert linked(client, group.mid, MEMBER) == [mid(directory, "bob")]


def test_a_directory_that_cannot_be_written_is_access_denied(
    client: Client, directory: EmbeddedDirectory, group: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3.1.4.1.14 and .15: for any other reason."""

    def away(*_arguments: object, **_more: object) -> None:
        raise DirectoryError("ldaps://dc.example.test is away")

    monkeypatch.setattr(directory, "modify", away)
    monkeypatch.setattr(directory, "change_links", away)
    alice = mid(directory, "alice")
    assert mod_props(client, alice, [X509], PropertyValue_r(X509, [b"c"])) == ErrorCode.AccessDenied
    assert mod_link(client, MEMBER, group.mid, permanent(directory, "carl")) == ErrorCode.AccessDenied
    assert mod_link(client, MEMBER, group.mid, permanent(directory, "bob"), flags=DELETE) == ErrorCode.AccessDenied
