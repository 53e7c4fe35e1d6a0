"""[MS-OXCFOLD] as a client sees it."""

from __future__ import annotations

import pytest

from openchange_py.store.base import SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, make_id
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.rop.base import RopFailure
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import (
    RopDeleteMessagesRequest,
    RopGetContentsTableRequest,
    RopGetHierarchyTableRequest,
    RopHardDeleteMessagesRequest,
    RopOpenFolderRequest,
    RopOpenFolderResponse,
)
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest
from tests.servers.emsmdb.parties import NONE, Client, World

CHILD_COUNT = PropertyTag(0x66380003)


@pytest.mark.parametrize("flags", [0x00, 0x04, 0xF3])
def test_a_folder_is_opened_whatever_the_flags_say(client: Client, world: World, flags: int) -> None:
    request = RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), flags)
    answer = client.execute(request, handles=[client.logon, NONE])
    assert answer.rops == [RopOpenFolderResponse(1, 0, 0, 0)]
    assert answer.handles[1] not in (NONE, client.logon)


def test_any_folder_opens_any_other(client: Client, world: World) -> None:
    request = RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.ROOT), 0)
    assert client.open(request, client.folder()) != NONE


@pytest.mark.parametrize("folder_id", [0, make_id(1, 0x7FFFFFFF), make_id(2, 1), make_id(1, 0), 0xFFFFFFFFFFFFFFFF])
def test_a_folder_that_is_none(client: Client, folder_id: int) -> None:
    answer = client.execute(RopOpenFolderRequest(0, 0, 1, FolderId(folder_id), 0), handles=[client.logon, NONE])
    assert answer.rops == [RopFailure(1, ErrorCode.NotFound, RopId.OpenFolder)]
    assert answer.handles[1] == NONE


def test_a_message_opens_no_folder(client: Client, world: World) -> None:
    request = RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0)
    message = client.message(world.rich)
    assert client.execute(request, handles=[message, NONE]).rops[0].return_value == ErrorCode.NotSupported  # type: ignore[attr-defined]


def test_a_folder_s_properties(client: Client) -> None:
    tags = [p.PidTagDisplayName, p.PidTagContainerClass, p.PidTagContentCount, p.PidTagContentUnreadCount]
    tags += [p.PidTagAssociatedContentCount, p.PidTagSubfolders, p.PidTagComment, p.PidTagRights, CHILD_COUNT]
    response = client.ask(RopGetPropertiesSpecificRequest(0, 0, 0, 1, tags), client.folder())
    assert response.row_data.values == ["Inbox", "IPF.Note", 3, 3, 1, False, "", 0x7FB, 0]


def test_root_and_inbox_tell_where_the_special_folders_are(client: Client, world: World) -> None:
    tags = [p.PidTagIpmAppointmentEntryId, p.PidTagIpmDraftsEntryId, p.PidTagEntryId]
    request = RopGetPropertiesSpecificRequest(0, 0, 0, 1, tags)
    inbox = client.ask(request, client.folder()).row_data.values
    assert client.ask(request, client.folder(SpecialFolder.ROOT)).row_data.values[:2] == inbox[:2]
    calendar = client.ask(request, client.folder(SpecialFolder.CALENDAR)).row_data
    assert calendar.values[2] == inbox[0]
    assert calendar.values[0].code == ErrorCode.NotFound


def _names(client: Client, folder: SpecialFolder, flags: int) -> list[tuple[str, int]]:
    request = RopGetHierarchyTableRequest(0, 0, 1, flags)
    answer = client.execute(request, handles=[client.folder(folder), NONE])
    table = answer.handles[1]
    client.columns(table, p.PidTagDisplayName, p.PidTagDepth)
    rows = [tuple(row.values) for row in client.rows(table).rows]
    assert answer.rops[0].row_count == len(rows)  # type: ignore[attr-defined]
    return rows


def test_the_subfolders(client: Client) -> None:
    flat = _names(client, SpecialFolder.IPM_SUBTREE, 0)
    assert ("Inbox", 1) in flat
    assert {depth for _, depth in flat} == {1}
    assert [name for name, _ in flat] == sorted(name for name, _ in flat)


def test_all_folders_below(client: Client) -> None:
    deep = _names(client, SpecialFolder.ROOT, 0x04)
    place = deep.index(("Top of Information Store", 1))
    assert deep[place + 1] == ("Calendar", 2)
    assert len(deep) == len(SpecialFolder) - 1


def test_a_folder_without_subfolders(client: Client) -> None:
    assert _names(client, SpecialFolder.INBOX, 0x04) == []


def test_how_many_subfolders_a_folder_of_a_list_has(client: Client) -> None:
    table = client.open(RopGetHierarchyTableRequest(0, 0, 1, 0), client.folder(SpecialFolder.ROOT))
    client.columns(table, p.PidTagDisplayName, CHILD_COUNT, p.PidTagSubfolders)
    rows = {row.values[0]: row.values[1:] for row in client.rows(table).rows}
    assert rows["Top of Information Store"] == [11, True]
    assert rows["Finder"] == [0, False]


def test_nothing_is_soft_deleted(client: Client) -> None:
    assert _names(client, SpecialFolder.ROOT, 0x24) == []
    table = client.contents(p.PidTagSubject, flags=0x20)
    assert client.rows(table).rows == []


@pytest.mark.parametrize("flags", [0x01, 0x02])
def test_unknown_flags_of_a_hierarchy_table(client: Client, flags: int) -> None:
    response = client.execute(RopGetHierarchyTableRequest(0, 0, 1, flags), handles=[client.folder(), NONE]).rops[0]
    assert response == RopFailure(1, ErrorCode.NotSupported, RopId.GetHierarchyTable)


@pytest.mark.parametrize(
    ("flags", "code"),
    [(0x01, ErrorCode.InvalidParameter), (0x04, ErrorCode.InvalidParameter), (0x80, ErrorCode.NotSupported)],
)
def test_flags_of_a_contents_table_that_are_refused(client: Client, flags: int, code: ErrorCode) -> None:
    response = client.execute(RopGetContentsTableRequest(0, 0, 1, flags), handles=[client.folder(), NONE]).rops[0]
    assert response == RopFailure(1, code, RopId.GetContentsTable)


@pytest.mark.parametrize("request_type", [RopGetHierarchyTableRequest, RopGetContentsTableRequest])
def test_tables_are_a_folder_s(
    client: Client, request_type: type[RopGetHierarchyTableRequest | RopGetContentsTableRequest]
) -> None:
    for handle, code in ((client.logon, ErrorCode.NotSupported), (NONE, ErrorCode.NullObject)):
        response = client.execute(request_type(0, 0, 1, 0), handles=[handle, NONE]).rops[0]
        assert response == RopFailure(1, code, request_type.rop_id)


def test_the_messages_of_a_folder_newest_first(client: Client, world: World) -> None:
    request = RopGetContentsTableRequest(0, 0, 1, 0)
    answer = client.execute(request, handles=[client.folder(), NONE])
    assert answer.rops[0].row_count == 3  # type: ignore[attr-defined]
    client.columns(answer.handles[1], p.PidTagMid, p.PidTagSubject)
    rows = [row.values for row in client.rows(answer.handles[1]).rows]
    assert rows == [[world.letters[n], f"RE: letter {n}"] for n in (2, 1, 0)]


def test_the_associated_messages_of_a_folder(client: Client) -> None:
    table = client.contents(p.PidTagSubject, p.PidTagMessageClass, flags=0x02)
    assert [row.values for row in client.rows(table).rows] == [["settings", "IPM.Configuration"]]


@pytest.mark.parametrize("kind", [RopDeleteMessagesRequest, RopHardDeleteMessagesRequest])
def test_deleting_messages(own_world: World, kind: type[RopDeleteMessagesRequest]) -> None:
    client = Client(own_world)
    table, folder = client.contents(p.PidTagMid, p.PidTagSubject), client.folder()
    assert client.rows(table, 1).rows[0].values == [own_world.letters[2], "RE: letter 2"]
    unknown = MessageId(0x7FFFFFFFFFFF0001)
    done = client.ask(kind(0, 0, False, True, [own_world.letters[0], own_world.letters[0]]), folder)
    assert (done.return_value, done.partial_completion) == (0, False)
    done = client.ask(kind(0, 0, True, False, [own_world.letters[1], own_world.rich, unknown]), folder)
    assert (done.return_value, done.partial_completion) == (0, True)
    inbox = own_world.mailbox.folder(own_world.folder(SpecialFolder.INBOX)).properties
    counted = (p.PidTagContentCount, p.PidTagContentUnreadCount, p.PidTagDeletedCountTotal)
    assert [inbox[tag] for tag in counted] == [1, 1, 2]
    assert client.rows(table, 5).rows == []
    fresh = client.contents(p.PidTagMid)
    assert [row.values for row in client.rows(fresh).rows] == [[own_world.letters[2]]]
    assert own_world.mailbox.message(own_world.rich).id == own_world.rich


def test_messages_are_deleted_from_a_folder(client: Client, world: World) -> None:
    request = RopDeleteMessagesRequest(0, 0, False, False, list(world.letters))
    for handle, code in ((client.logon, ErrorCode.NotSupported), (NONE, ErrorCode.NullObject)):
        assert client.ask(request, handle).return_value == code
    bob = Client(world, "bob")
    refused = bob.open(RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0), bob.logon)
    done = bob.ask(request, refused)
    assert (done.return_value, done.partial_completion) == (0, True)
    assert len(world.mailbox.message_ids(world.folder(SpecialFolder.INBOX))) == 3
