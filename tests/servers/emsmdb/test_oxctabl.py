"""[MS-OXCTABL] as a client sees it."""

from __future__ import annotations

import pytest

from openchange_py.store.base import MessageDraft, SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxcdata.sorting import Order, SortOrder
from openchange_py.wire.rop.base import RopBufferTooSmallResponse, RopFailure
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import RopGetContentsTableRequest, RopGetHierarchyTableRequest
from openchange_py.wire.rop.oxctabl import (
    Bookmark,
    QueryRowsFlags,
    RopQueryPositionRequest,
    RopQueryRowsRequest,
    RopSeekRowRequest,
    RopSetColumnsRequest,
    RopSortTableRequest,
)
from openchange_py.wire.rpcheaderext import pack_payload
from tests.servers.emsmdb.parties import LONG_BODY, NONE, Client, World, letter

ROP_FRAME = 2 + 4  # RopSize and one handle
QUERY_ROWS_HEADER = 9
RPC_HEADER = 8


def subjects(response: object) -> list[str]:
    return [row.values[0] for row in response.rows]  # type: ignore[attr-defined]


def sort(client: Client, table: int, *orders: tuple[PropertyTag, int], categories: int = 0, expanded: int = 0) -> int:
    request = RopSortTableRequest(0, 0, 0, categories, expanded, [SortOrder(tag, order) for tag, order in orders])
    return int(client.ask(request, table).return_value)


@pytest.mark.parametrize(
    "tag",
    [
        p.PidTagSubject.with_type(PropertyType.Unspecified),
        p.PidTagSubject.with_type(PropertyType.ErrorCode),
        PropertyTag(0x00370099),
        PropertyTag(0x00372003),
        PropertyTag(0x0037201F),
    ],
)
def test_a_bad_column_takes_all_columns_away(client: Client, tag: PropertyTag) -> None:
    table = client.contents(p.PidTagSubject)
    response = client.ask(RopSetColumnsRequest(0, 0, 0, [p.PidTagSubject, tag]), table)
    assert response == RopFailure(0, ErrorCode.InvalidParameter, RopId.SetColumns)
    assert client.rows(table).return_value == ErrorCode.NullObject


def test_a_table_has_at_least_one_column(client: Client) -> None:
    table = client.contents(p.PidTagSubject)
    assert client.ask(RopSetColumnsRequest(0, 0, 0, []), table).return_value == ErrorCode.InvalidParameter


def test_columns_may_be_of_any_other_type_and_change(client: Client) -> None:
    tag = PropertyTag
    table = client.contents(tag(0x00370001), tag(0x3701000D), tag(0x8001301F), tag(0x8001101F), tag(0x0037001E))
    values = client.rows(table, 1).rows[0].values
    assert values[4] == b"RE: letter 2"
    assert {cell.code for cell in values[:4]} == {ErrorCode.NotFound}
    client.columns(table, p.PidTagMessageClass)
    assert subjects(client.rows(table)) == ["IPM.Note", "IPM.Note"]


def test_rows_are_asked_for_behind_set_columns(client: Client) -> None:
    table = client.open(RopGetContentsTableRequest(0, 0, 1, 0), client.folder())
    assert client.rows(table).return_value == ErrorCode.NullObject
    assert client.ask(RopQueryPositionRequest(0, 0), table).denominator == 3
    assert client.ask(RopSeekRowRequest(0, 0, Bookmark.End, -1, 1), table).rows_sought == -1
    assert client.ask(RopQueryPositionRequest(0, 0), table).numerator == 2


def test_pages_forward(client: Client) -> None:
    table = client.contents(p.PidTagSubject)
    first, second, third = (client.rows(table, 2) for _ in range(3))
    assert (subjects(first), first.origin) == (["RE: letter 2", "RE: letter 1"], Bookmark.Current)
    assert (subjects(second), second.origin) == (["RE: letter 0"], Bookmark.End)
    assert (subjects(third), third.origin) == ([], Bookmark.End)


def test_pages_backward_in_the_table_s_order(client: Client) -> None:
    table = client.contents(p.PidTagSubject)
    client.rows(table)
    first, second, third = (client.rows(table, 2, forward=False) for _ in range(3))
    assert (subjects(first), first.origin) == (["RE: letter 1", "RE: letter 0"], Bookmark.Current)
    assert (subjects(second), second.origin) == (["RE: letter 2"], Bookmark.Beginning)
    assert (subjects(third), third.origin) == ([], Bookmark.Beginning)


def test_looking_without_moving(client: Client) -> None:
    table = client.contents(p.PidTagSubject)
    for _ in range(2):
        response = client.rows(table, 2, flags=QueryRowsFlags.NoAdvance)
        assert (subjects(response), response.origin) == (["RE: letter 2", "RE: letter 1"], Bookmark.Current)


@pytest.mark.parametrize("forward", [True, False])
def test_who_asks_for_no_rows_gets_none(client: Client, forward: bool) -> None:
    """As libmapi does behind the last row."""
    table = client.contents(p.PidTagSubject)
    client.rows(table, 1)
    response = client.rows(table, 0, forward=forward)
    assert (response.return_value, response.rows, response.origin) == (0, [], Bookmark.Current)
    client.rows(table)
    assert client.rows(table, 0).origin == Bookmark.End


def test_a_response_has_the_whole_rows_that_fit(client: Client) -> None:
    table = client.contents(p.PidTagSubject)
    row = 1 + 2 * len("RE: letter 0") + 2
    size = RPC_HEADER + ROP_FRAME + QUERY_ROWS_HEADER + 2 * row
    request = RopQueryRowsRequest(0, 0, 0, 1, 50)
    assert len(client.ask(request, table, out_size=size).rows) == 2
    assert len(client.ask(request, table, out_size=size).rows) == 1
    client.ask(RopSeekRowRequest(0, 0, Bookmark.Beginning, 0, 0), table)
    assert subjects(client.ask(request, table, out_size=size - 1)) == ["RE: letter 2"]


def test_reading_backward_a_response_has_the_rows_next_to_the_position(client: Client) -> None:
    table = client.contents(p.PidTagSubject)
    client.rows(table)
    size = RPC_HEADER + ROP_FRAME + QUERY_ROWS_HEADER + 2 * (1 + 2 * len("RE: letter 0") + 2)
    response = client.ask(RopQueryRowsRequest(0, 0, 0, 0, 50), table, out_size=size)
    assert subjects(response) == ["RE: letter 1", "RE: letter 0"]
    assert client.ask(RopQueryPositionRequest(0, 0), table).numerator == 1


def test_where_no_row_fits_the_client_learns_the_size_it_needs(client: Client) -> None:
    table = client.contents(p.PidTagSubject)
    request = RopQueryRowsRequest(0, 0, 0, 1, 50)
    size = ROP_FRAME + QUERY_ROWS_HEADER + 1 + 2 * len("RE: letter 0") + 2
    response = client.ask(request, table, out_size=RPC_HEADER + size - 1)
    assert response == RopBufferTooSmallResponse(size, request.pack())


def test_a_row_that_no_buffer_holds(client: Client) -> None:
    table = client.contents(p.PidTagSubject, *[p.PidTagBody] * 80, special=SpecialFolder.SENT_ITEMS)
    query = pack_payload(RopBuffer([RopQueryRowsRequest(0, 0, 0, 1, 1)], [table]).pack())
    client.ask(RopSeekRowRequest(0, 0, Bookmark.Current, 0, 0), table)
    assert client.send(query).return_value == 0  # "to all", which has no body
    refused = client.send(query)
    assert (refused.return_value, refused.rgb_out) == (ErrorCode.BufferTooSmall, b"")
    assert client.ask(RopQueryPositionRequest(0, 0), table).denominator == 2


def test_long_values_are_cut(client: Client) -> None:
    tags = (p.PidTagSubject, p.PidTagBody, p.PidTagBody.with_type(PropertyType.String8), p.PidTagHtml)
    table = client.contents(*tags, special=SpecialFolder.SENT_ITEMS)
    (row,) = [row for row in client.rows(table).rows if row.values[0] != "to all"]
    _, body, narrow, html = row.values
    assert body == LONG_BODY[:255]
    assert narrow == LONG_BODY[:255].encode("cp1252")
    assert html == b"<p>html</p>"


def test_what_is_made_of_ids(client: Client, world: World) -> None:
    tags = (p.PidTagEntryId, p.PidTagParentEntryId, p.PidTagInstID, p.PidTagInstanceNum, p.PidTagInstanceKey)
    table = client.contents(*tags, p.PidTagRowType, p.PidTagDepth, p.PidTagFolderId)
    rows = [row.values for row in client.rows(table).rows]
    assert [row[2] for row in rows] == world.letters[::-1]
    assert len({row[0] for row in rows}) == len({row[4] for row in rows}) == 3
    assert {(len(row[0]), len(row[1])) for row in rows} == {(70, 46)}
    assert {(row[3], *row[5:]) for row in rows} == {(0, 1, 0, world.folder(SpecialFolder.INBOX))}


@pytest.mark.parametrize(
    ("origin", "count", "moved", "less", "position"),
    [
        (Bookmark.Beginning, 2, 2, 0, 2),
        (Bookmark.Current, 1, 1, 0, 2),
        (Bookmark.Current, -1, -1, 0, 0),
        (Bookmark.End, -3, -3, 0, 0),
        (Bookmark.Current, 5, 2, 1, 3),
        (Bookmark.Current, -5, -1, 1, 0),
        (Bookmark.End, 1, 0, 1, 3),
        (Bookmark.Beginning, -0x80000000, 0, 1, 0),
        (Bookmark.Beginning, 0x7FFFFFFF, 3, 1, 3),
    ],
)
def test_seeking(client: Client, origin: int, count: int, moved: int, less: int, position: int) -> None:
    table = client.contents(p.PidTagSubject)
    client.rows(table, 1)
    response = client.ask(RopSeekRowRequest(0, 0, origin, count, 1), table)
    assert (response.has_sought_less, response.rows_sought) == (less, moved)
    where = client.ask(RopQueryPositionRequest(0, 0), table)
    assert (where.numerator, where.denominator) == (position, 3)


@pytest.mark.parametrize("origin", [Bookmark.Custom, 4, 0xFF])
def test_seeking_from_nowhere(client: Client, origin: int) -> None:
    table = client.contents(p.PidTagSubject)
    assert client.ask(RopSeekRowRequest(0, 0, origin, 0, 1), table).return_value == ErrorCode.InvalidParameter


def test_seeking_in_what_is_no_table_ends_the_buffer(client: Client) -> None:
    requests = [RopSeekRowRequest(0, 0, 0, 0, 1), RopQueryPositionRequest(0, 1)]
    answer = client.execute(*requests, handles=[client.logon, client.contents(p.PidTagSubject)])
    assert answer.rops == [RopFailure(0, ErrorCode.NotSupported, RopId.SeekRow)]


def test_sorting_puts_the_position_to_the_beginning(client: Client) -> None:
    table = client.contents(p.PidTagSubject, p.PidTagSenderName)
    client.rows(table)
    assert sort(client, table, (p.PidTagSenderName.with_type(PropertyType.String8), Order.Ascending)) == 0
    assert subjects(client.rows(table)) == ["RE: letter 2", "RE: letter 1", "RE: letter 0"]
    assert sort(client, table, (p.PidTagSubject, Order.Ascending)) == 0
    assert subjects(client.rows(table)) == ["RE: letter 0", "RE: letter 1", "RE: letter 2"]


def test_no_sort_order_is_the_default_one(client: Client) -> None:
    table = client.contents(p.PidTagSubject)
    sort(client, table, (p.PidTagSubject, Order.Ascending))
    assert sort(client, table) == 0
    assert subjects(client.rows(table)) == ["RE: letter 2", "RE: letter 1", "RE: letter 0"]


@pytest.mark.parametrize(
    ("tag", "order", "categories", "expanded", "code"),
    [
        (p.PidTagSubject, 0x02, 0, 0, ErrorCode.InvalidParameter),
        (p.PidTagSubject.with_type(0), Order.Ascending, 0, 0, ErrorCode.InvalidParameter),
        (p.PidTagSubject, Order.Ascending, 2, 0, ErrorCode.InvalidParameter),
        (p.PidTagSubject, Order.Ascending, 0, 1, ErrorCode.InvalidParameter),
        (p.PidTagSubject, Order.Ascending, 1, 1, ErrorCode.TooComplex),
    ],
)
def test_a_sort_order_that_is_refused_changes_nothing(
    client: Client, tag: PropertyTag, order: int, categories: int, expanded: int, code: ErrorCode
) -> None:
    table = client.contents(p.PidTagSubject)
    assert sort(client, table, (tag, order), categories=categories, expanded=expanded) == code
    assert subjects(client.rows(table, 1)) == ["RE: letter 2"]


def test_only_contents_tables_are_sorted(client: Client) -> None:
    table = client.open(RopGetHierarchyTableRequest(0, 0, 1, 0), client.folder(SpecialFolder.ROOT))
    assert sort(client, table, (p.PidTagDisplayName, Order.Ascending)) == ErrorCode.NotSupported


@pytest.mark.parametrize(
    "request_",
    [
        RopSetColumnsRequest(0, 0, 0, [p.PidTagSubject]),
        RopSortTableRequest(0, 0, 0, 0, 0, []),
        RopQueryRowsRequest(0, 0, 0, 1, 1),
        RopQueryPositionRequest(0, 0),
        RopSeekRowRequest(0, 0, 0, 0, 0),
    ],
)
def test_a_table_is_needed(client: Client, request_: RopQueryPositionRequest) -> None:
    assert client.ask(request_, client.folder()).return_value == ErrorCode.NotSupported
    assert client.ask(request_, NONE).return_value == ErrorCode.NullObject


def test_an_open_table_follows_what_comes_and_its_position_what_was_read(own_world: World) -> None:
    client = Client(own_world)
    table = client.contents(p.PidTagSubject)
    assert subjects(client.rows(table, 1)) == ["RE: letter 2"]
    own_world.mailbox.save_message(own_world.folder(SpecialFolder.INBOX), letter(3))
    assert subjects(client.rows(table)) == ["RE: letter 1", "RE: letter 0"], "where it was, nothing twice"
    client.ask(RopSeekRowRequest(0, 0, Bookmark.Beginning, 0, 0), table)
    assert subjects(client.rows(table)) == [f"RE: letter {number}" for number in (3, 2, 1, 0)]


def test_rows_that_go_are_not_read(own_world: World) -> None:
    client = Client(own_world)
    table = client.contents(p.PidTagSubject)
    assert subjects(client.rows(table, 1)) == ["RE: letter 2"]
    own_world.mailbox.delete_messages(own_world.folder(SpecialFolder.INBOX), own_world.letters[1:])
    position = client.ask(RopQueryPositionRequest(0, 0), table)
    assert (position.numerator, position.denominator) == (0, 1)
    assert subjects(client.rows(table)) == ["RE: letter 0"]
    assert subjects(client.rows(table, forward=False)) == ["RE: letter 0"]


def test_many_rows_come_in_several_responses(own_world: World) -> None:
    inbox = own_world.folder(SpecialFolder.INBOX)
    for number in range(3, 300):
        own_world.mailbox.save_message(inbox, MessageDraft({p.PidTagSubject: f"{number} " + "x" * 100}))
    client = Client(own_world)
    table = client.contents(p.PidTagSubject)
    sort(client, table, (p.PidTagMid, Order.Ascending))
    seen: list[str] = []
    while len(page := subjects(client.rows(table, 0xFFFF))):
        assert len(page) < 200
        seen += page
    assert len(seen) == len(set(seen)) == 300
    backward: list[str] = []
    while len(page := subjects(client.rows(table, 0xFFFF, forward=False))):
        backward[:0] = page
    assert backward == seen
