"""The address book's client against the real server, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from openchange_py.addressbook.base import Kind
from openchange_py.client.errors import AmbiguousName, ClientError, NoSuchName
from openchange_py.client.nspi import COLUMNS, NameMatch, NspiClient
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiGetMatchesResponse,
    NspiGetSpecialTableResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesWResponse,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r
from tests.client.scripted import HANDLE, ScriptedChannel
from tests.node import RunningNode, node_in_thread

T = TypeVar("T")

PEOPLE = 250


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node that knows many more people than alice and bob."""
    with node_in_thread(tmp_path_factory.mktemp("people")) as running:
        for number in range(PEOPLE):
            running.directory.create(Kind.CONTACT, "", _contact(number))
        yield running


def _contact(number: int) -> dict[str, list[str | bytes]]:
    mail = f"person{number:03}@elsewhere.test"
    return {
        "objectClass": ["contact"],
        "cn": [f"Person {number:03}"],
        "displayName": [f"Person {number:03} Ångström"],
        "mail": [mail],
        "proxyAddresses": [f"SMTP:{mail}"],
        "legacyExchangeDN": [f"/o=First Organization/ou=First Administrative Group/cn=Recipients/cn=person{number:03}"],
        "targetAddress": [f"SMTP:{mail}"],
    }


def bound(node: RunningNode, work: Callable[[NspiClient], Awaitable[T]]) -> T:
    """Do something in a session of alice's."""

    async def in_session() -> T:
        channel = await node.connector().connect(NSPI)
        try:
            nspi = NspiClient(channel)
            assert isinstance(await nspi.bind(), uuid.UUID)
            found = await work(nspi)
            await nspi.unbind()
            return found
        finally:
            await channel.close()

    return asyncio.run(in_session())


def names_of(node: RunningNode, **how: int) -> list[str]:
    async def work(nspi: NspiClient) -> list[str]:
        return [row[p.PidTagDisplayName] async for row in nspi.query_rows(**how)]  # type: ignore[arg-type]

    return bound(node, work)


@pytest.mark.parametrize("page", [7, 100, 1000])
def test_the_whole_address_list_comes_page_by_page(people: RunningNode, page: int) -> None:
    names = names_of(people, page=page)
    assert names == ["Alice Example", "Bob Example", *(f"Person {n:03} Ångström" for n in range(PEOPLE))]


def test_no_more_entries_than_wanted(people: RunningNode) -> None:
    assert names_of(people, limit=3, page=2) == ["Alice Example", "Bob Example", "Person 000 Ångström"]
    assert names_of(people, limit=0) == []


def test_other_address_lists(people: RunningNode) -> None:
    lists = {found.name: found.container_id for found in bound(people, lambda nspi: nspi.special_table())}
    assert lists["Global Address List"] == 0
    assert names_of(people, container_id=lists["All Users"]) == ["Alice Example", "Bob Example"]


def test_names_are_resolved_in_order(people: RunningNode) -> None:
    names = ["alice", "nobody at all", "Person", "bob@example.test"]
    found = bound(people, lambda nspi: nspi.resolve_names(names))
    assert [one.name for one in found] == names
    matches = [NameMatch.RESOLVED, NameMatch.UNRESOLVED, NameMatch.AMBIGUOUS, NameMatch.RESOLVED]
    assert [one.match for one in found] == matches
    assert found[0].properties[p.PidTagAccount] == "alice"
    assert found[3].properties[p.PidTagDisplayName] == "Bob Example"


def test_a_name_that_means_one_entry(people: RunningNode) -> None:
    entry = bound(people, lambda nspi: nspi.resolve("person 007"))
    assert entry[p.PidTagSmtpAddress] == "person007@elsewhere.test"


def test_a_name_that_nobody_has(people: RunningNode) -> None:
    with pytest.raises(NoSuchName, match="knows no 'mallory'"):
        bound(people, lambda nspi: nspi.resolve("mallory"))


def test_a_name_that_several_have(people: RunningNode) -> None:
    with pytest.raises(AmbiguousName, match="'Example' may be one of several") as several:
        bound(people, lambda nspi: nspi.resolve("Example"))
    assert [entry[p.PidTagAccount] for entry in several.value.candidates] == ["alice", "bob"]
    # More than a person wants to read are not listed.
    with pytest.raises(AmbiguousName) as many:
        bound(people, lambda nspi: nspi.resolve("Person"))
    assert many.value.candidates == []


def test_distinguished_names_and_properties(people: RunningNode) -> None:
    dn = people.entry("bob").legacy_exchange_dn

    async def work(nspi: NspiClient) -> None:
        known, unknown = await nspi.dn_to_mid([dn.upper(), "/o=nobody"])
        assert unknown == 0
        properties = await nspi.get_props(known, [p.PidTagDisplayName, p.PidTagTitle])
        assert properties == {p.PidTagDisplayName: "Bob Example"}
        assert p.PidTagEntryId in await nspi.get_props(known)
        assert await nspi.get_props(0x7FFFFFFF, [p.PidTagDisplayName]) == {}

    bound(people, work)


def scripted(*answers: object) -> tuple[NspiClient, ScriptedChannel]:
    """A bound client of a server that gives these answers."""

    def give(answer: object) -> Callable[[object], object]:
        return lambda request: answer

    channel = ScriptedChannel(*map(give, (NspiBindResponse(None, HANDLE, 0), *answers)))
    nspi = NspiClient(channel)  # type: ignore[arg-type]
    asyncio.run(nspi.bind())
    return nspi, channel


def row(**values: object) -> PropertyRow_r:
    return PropertyRow_r([PropertyValue_r(getattr(p, name), value) for name, value in values.items()])


def test_the_name_that_fits_exactly_is_meant() -> None:
    """A server may call `al` ambiguous where `alan` begins with it too; the account `al` is meant all the same."""
    rows = [
        row(PidTagDisplayName="Al", PidTagAccount="al", PidTagSmtpAddress="al@example.test"),
        row(PidTagDisplayName="Alan", PidTagAccount="alan", PidTagSmtpAddress="alan@example.test"),
    ]
    matches = NspiGetMatchesResponse(STAT(), [20, 21], rows, 0)
    for name in ("al", "AL@example.test"):
        nspi, _ = scripted(NspiResolveNamesWResponse([1], [], 0), matches)
        assert asyncio.run(nspi.resolve(name))[p.PidTagDisplayName] == "Al"


def test_answers_that_do_not_fit_the_question() -> None:
    for mids, rows in (([], []), ([2], []), ([2, 2], [row()]), ([0], [row()])):
        nspi, _ = scripted(NspiResolveNamesWResponse(list(mids), list(rows), 0))
        with pytest.raises(ClientError, match="NspiResolveNamesW"):
            asyncio.run(nspi.resolve_names(["alice"]))


async def _all(nspi: NspiClient) -> int:
    return len([entry async for entry in nspi.query_rows(page=2)])


def test_a_server_that_does_not_move_on_is_left() -> None:
    standing = NspiQueryRowsResponse(STAT(current_rec=30, num_pos=1, total_recs=9), [row(), row()], 0)
    nspi, channel = scripted(*[standing] * 10)
    with pytest.raises(ClientError, match="does not move on"):
        asyncio.run(_all(nspi))
    assert len([request for request in channel.requests if isinstance(request, NspiQueryRowsRequest)]) == 2


def test_a_page_without_rows_is_the_last_one() -> None:
    nspi, _ = scripted(
        NspiQueryRowsResponse(STAT(current_rec=30, num_pos=2, total_recs=3), [row(), row()], 0),
        NspiQueryRowsResponse(STAT(current_rec=31, num_pos=3, total_recs=3), None, 0),
    )
    assert asyncio.run(_all(nspi)) == 2


def test_errors_name_their_call() -> None:
    nspi, _ = scripted(NspiQueryRowsResponse(STAT(), None, ErrorCode.InvalidBookmark))
    with pytest.raises(MapiError, match="InvalidBookmark: NspiQueryRows"):
        asyncio.run(_all(nspi))
    refusing = ScriptedChannel(lambda request: NspiBindResponse(None, HANDLE, ErrorCode.LogonFailed))
    with pytest.raises(MapiError, match="LogonFailed: NspiBind"):
        asyncio.run(NspiClient(refusing).bind())  # type: ignore[arg-type]


def test_address_lists_without_name_or_with_an_absurd_depth() -> None:
    rows = [row(PidTagAddressBookContainerId=0), row(PidTagDisplayName="Deep", PidTagDepth=0x7FFFFFFF)]
    nspi, _ = scripted(NspiGetSpecialTableResponse(1, rows, 0))
    first, second = asyncio.run(nspi.special_table())
    assert (first.name, first.container_id) == ("Global Address List", 0)
    assert second.depth < 100


def test_texts_are_asked_for_as_unicode() -> None:
    assert not [tag for tag in COLUMNS if tag.type == 0x001E]
    _, channel = scripted()
    (bind,) = channel.requests
    assert isinstance(bind, NspiBindRequest)
    assert bind.stat.code_page not in (0, 1200)
