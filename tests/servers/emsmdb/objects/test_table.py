"""Table objects."""

from __future__ import annotations

import pytest

from openchange_py.servers.emsmdb.objects.folder_tables import ContentsTable
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import MessageObject
from openchange_py.servers.emsmdb.objects.table import AttachmentTable, TableObject
from openchange_py.store.base import SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from tests.servers.emsmdb.parties import World


@pytest.fixture
def logon(world: World) -> Logon:
    return Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"])


@pytest.fixture
def inbox(logon: Logon, world: World) -> ContentsTable:
    return ContentsTable(logon, world.folder(SpecialFolder.INBOX), associated=False)


def test_the_position_stays_in_the_table(inbox: ContentsTable) -> None:
    assert [inbox.seek(0, 9), inbox.position] == [3, 3]
    assert [inbox.seek(1, -2), inbox.position] == [-2, 1]
    assert [inbox.seek(2, 1), inbox.position] == [0, 3]
    with pytest.raises(MapiError) as raised:
        inbox.seek(3, 0)
    assert raised.value.code == ErrorCode.InvalidParameter


def test_rows_need_columns(inbox: ContentsTable) -> None:
    with pytest.raises(MapiError) as raised:
        inbox.needed_rows()
    assert raised.value.code == ErrorCode.NullObject
    inbox.set_columns([p.PidTagSubject])
    assert inbox.needed_rows().columns == (p.PidTagSubject,)


def test_only_contents_tables_sort(logon: Logon, world: World) -> None:
    attachments = AttachmentTable(MessageObject(logon, world.mailbox.message(world.rich), 932))
    assert (attachments.row_count, attachments.codec) == (2, "cp932")
    assert [row[p.PidTagAttachNumber] for row in attachments.rows(0, 2, [])] == [0, 1]
    with pytest.raises(MapiError) as raised:
        attachments.sort([])
    assert raised.value.code == ErrorCode.NotSupported


def test_what_every_table_must_tell(logon: Logon) -> None:
    table = TableObject(logon)
    with pytest.raises(NotImplementedError):
        table.rows(0, 1, [])
    with pytest.raises(NotImplementedError):
        _ = table.row_count
