"""[MS-OXCSTOR] as a client sees it."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.store.base import SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import LongTermId, make_id
from openchange_py.wire.rop.base import RopFailure
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest
from openchange_py.wire.rop.oxcstor import (
    ResponseFlags,
    RopGetReceiveFolderRequest,
    RopIdFromLongTermIdRequest,
    RopLogonPrivateResponse,
    RopLongTermIdFromIdRequest,
)
from tests.servers.emsmdb.parties import NONE, Client, World, grant

OWNER = ResponseFlags.Reserved | ResponseFlags.OwnerRight


def test_a_logon_tells_of_the_mailbox(client: Client, world: World) -> None:
    response = client.log_on(logon_flags=0x0F)
    assert isinstance(response, RopLogonPrivateResponse)
    special = world.mailbox.special_folders()
    assert response.folder_ids == [special[SpecialFolder(place)] for place in range(13)]
    assert response.mailbox_guid == world.entries["alice"].mailbox_guid
    assert (response.repl_id, response.repl_guid) == (1, world.mailbox.replica_guid)
    assert response.response_flags == OWNER | ResponseFlags.SendAsRight
    assert response.logon_flags == 0x07
    assert response.logon_time.year >= 2024
    assert response.logon_time.day_of_week < 7


def test_an_empty_essdn_is_the_mailbox_of_who_connected(client: Client, world: World) -> None:
    assert client.log_on("").mailbox_guid == world.entries["alice"].mailbox_guid


def test_who_was_granted_full_access_logs_on_but_may_not_send_as_the_owner(world: World) -> None:
    response = Client(world, "relay").log_on("alice")
    assert response.mailbox_guid == world.entries["alice"].mailbox_guid
    assert response.response_flags == OWNER


@pytest.mark.parametrize(
    ("account", "mailbox", "code"),
    [
        ("alice", "bob", ErrorCode.LoginPermission),
        ("relay", "bob", ErrorCode.LoginPermission),
        ("alice", "contact", ErrorCode.UnknownUser),
        ("relay", "relay", ErrorCode.UnknownUser),
    ],
)
def test_a_logon_that_is_refused(world: World, account: str, mailbox: str, code: ErrorCode) -> None:
    client = Client(world, account)
    assert client.log_on(mailbox) == RopFailure(0, code, RopId.Logon)
    assert client.last_handle == NONE
    assert client.open_objects() == 0


@pytest.mark.parametrize(
    "essdn", [b"/o=Example/cn=nobody\0", b"\xff\xfe\0", b"/o=Example/ou=Site/cn=Recipients/cn=alic"]
)
def test_an_unknown_dn(client: Client, essdn: bytes) -> None:
    assert client.log_on(essdn=essdn).return_value == ErrorCode.UnknownUser


def test_a_grant_counts_from_the_next_logon_on(own_world: World) -> None:
    bob = Client(own_world, "bob")
    assert bob.log_on("alice").return_value == ErrorCode.LoginPermission
    grant(own_world.directory, "alice", "bob")
    assert bob.log_on("alice").return_value == 0
    grant(own_world.directory, "alice")
    assert bob.log_on("alice").return_value == ErrorCode.LoginPermission


def test_what_was_taken_away_counts_for_an_empty_essdn_too(own_world: World) -> None:
    grant(own_world.directory, "alice", "bob")
    bob = Client(own_world, "bob", dn=own_world.dn("alice"))
    assert bob.log_on("").return_value == 0
    grant(own_world.directory, "alice")
    assert bob.log_on("").return_value == ErrorCode.LoginPermission


def test_an_account_that_was_disabled_or_deleted_meanwhile(own_world: World) -> None:
    bob, directory = Client(own_world, "bob"), own_world.directory
    entry = directory.by_account("bob")
    assert entry is not None
    directory.set_enabled(entry, False)
    assert bob.log_on().return_value == ErrorCode.LoginPermission
    assert bob.connect().return_value == ErrorCode.AccessDenied
    directory.set_enabled(entry, True)
    assert bob.log_on().return_value == 0
    directory.delete(entry)
    assert bob.log_on("alice").return_value == ErrorCode.LoginPermission
    assert bob.log_on("").return_value == ErrorCode.UnknownUser
    assert bob.connect(dn=own_world.dn("alice")).return_value == ErrorCode.AccessDenied


@pytest.mark.parametrize("changes", [{"logon_flags": 0}, {"open_flags": 0x02}, {"logon_flags": 0, "open_flags": 0x02}])
def test_there_are_no_public_folders(client: Client, changes: dict[str, int]) -> None:
    assert client.log_on(**changes).return_value == ErrorCode.LogonFailed


def test_no_logon_in_a_code_page_that_nobody_knows(world: World) -> None:
    client = Client(world, cpid=4711)
    assert client.connected.return_value == 0
    assert client.log_on().return_value == ErrorCode.UnknownCodePage


def test_a_second_logon_of_a_logon_id_ends_the_first(client: Client) -> None:
    folder = client.folder()
    other = client.log_on(logon_id=1).handle_index
    assert other == 0
    assert client.open_objects() == 3
    client.log_on(logon_id=0)
    request = RopGetPropertiesSpecificRequest(0, 0, 0, 1, [p.PidTagDisplayName])
    assert client.ask(request, client.last_handle).return_value == 0
    for gone in (client.logon, folder):
        assert client.ask(request, gone).return_value == ErrorCode.NullObject
    assert client.open_objects() == 2


def test_a_refused_logon_ends_none(client: Client) -> None:
    folder = client.folder()
    assert client.log_on("bob").return_value == ErrorCode.LoginPermission
    assert client.ask(RopGetPropertiesSpecificRequest(0, 0, 0, 1, [p.PidTagDisplayName]), folder).return_value == 0


def test_the_store_object_has_the_documented_properties(client: Client, world: World) -> None:
    tags = [p.PidTagMailboxOwnerName, p.PidTagCodePageId, p.PidTagLocaleId, p.PidTagSortLocaleId, p.PidTagStoreState]
    tags += [p.PidTagSerializedReplidGuidMap, p.PidTagIpmSubtreeEntryId, p.PidTagUserEntryId, p.PidTagOutOfOfficeState]
    response = client.ask(RopGetPropertiesSpecificRequest(0, 0, 0, 1, tags), client.logon)
    owner, code_page, locale, sort_locale, state, replicas, subtree, user, away = response.row_data.values
    assert (owner, code_page, locale, sort_locale, state, away) == ("Alice É.", 1252, 0x407, 0x409, 0, False)
    assert replicas == b"\1\0" + world.mailbox.replica_guid.bytes_le
    assert len(subtree) == 46
    assert world.dn("alice").encode() in user


@pytest.mark.parametrize(
    ("message_class", "special", "explicit"),
    [
        (b"", SpecialFolder.INBOX, b""),
        (b"IPM.Note", SpecialFolder.INBOX, b"IPM"),
        (b"ipm.note.smime", SpecialFolder.INBOX, b"IPM"),
        (b"REPORT.IPM.Note.NDR", SpecialFolder.INBOX, b"REPORT.IPM"),
        (b"IPC.Anything", SpecialFolder.ROOT, b"IPC"),
        (b"IPMX", SpecialFolder.INBOX, b""),
        (b"x" * 254, SpecialFolder.INBOX, b""),
    ],
)
def test_the_receive_folder_of_a_message_class(
    client: Client, world: World, message_class: bytes, special: SpecialFolder, explicit: bytes
) -> None:
    response = client.ask(RopGetReceiveFolderRequest(0, 0, message_class), client.logon)
    assert (response.folder_id, response.explicit_message_class) == (world.folder(special), explicit)


@pytest.mark.parametrize(
    "message_class", [b".IPM", b"IPM.", b"IPM..Note", b"IPM\x7f", b"\x1f", b"IPM.\xfc", b"x" * 255]
)
def test_what_is_no_message_class(client: Client, message_class: bytes) -> None:
    response = client.ask(RopGetReceiveFolderRequest(0, 0, message_class), client.logon)
    assert response.return_value == ErrorCode.InvalidParameter


def test_a_receive_folder_is_asked_of_the_logon(client: Client) -> None:
    assert client.ask(RopGetReceiveFolderRequest(0, 0, b""), client.folder()).return_value == ErrorCode.NotSupported


def test_ids_and_long_term_ids_convert_into_each_other(client: Client, world: World) -> None:
    inbox = world.folder(SpecialFolder.INBOX)
    long_term = client.ask(RopLongTermIdFromIdRequest(0, 0, inbox), client.logon).long_term_id
    assert long_term.database_guid == world.mailbox.replica_guid
    assert long_term.pad == b"\0\0"
    assert client.ask(RopIdFromLongTermIdRequest(0, 0, long_term), client.logon).object_id == inbox
    long_term.pad = b"\1\2"
    assert client.ask(RopIdFromLongTermIdRequest(0, 0, long_term), client.logon).object_id == inbox


def test_an_id_need_not_be_one_of_an_object(client: Client, world: World) -> None:
    response = client.ask(RopLongTermIdFromIdRequest(0, 0, make_id(1, 0x7FFFFFFF)), client.logon)
    assert response.long_term_id == LongTermId.of(world.mailbox.replica_guid, 0x7FFFFFFF)


@pytest.mark.parametrize("object_id", [0, make_id(2, 1), make_id(0, 1)])
def test_an_id_of_no_replica(client: Client, object_id: int) -> None:
    assert client.ask(RopLongTermIdFromIdRequest(0, 0, object_id), client.logon).return_value == ErrorCode.NotFound


@pytest.mark.parametrize(
    ("guid", "counter", "code"),
    [(uuid.UUID(int=0), 1, ErrorCode.InvalidParameter), (uuid.UUID(int=7), 1, ErrorCode.ParameterOverflow)],
)
def test_a_long_term_id_of_no_replica(client: Client, guid: uuid.UUID, counter: int, code: ErrorCode) -> None:
    request = RopIdFromLongTermIdRequest(0, 0, LongTermId.of(guid, counter))
    assert client.ask(request, client.logon).return_value == code


def test_a_long_term_id_without_a_counter_gives_no_id(client: Client, world: World) -> None:
    request = RopIdFromLongTermIdRequest(0, 0, LongTermId.of(world.mailbox.replica_guid, 0))
    response = client.ask(request, client.logon)
    assert (response.return_value, response.object_id) == (0, 0)
