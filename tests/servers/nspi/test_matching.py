from typing import Any

import pytest

from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi import matching
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxnspi import (
    NspiDNToMIdRequest,
    NspiGetMatchesRequest,
    NspiResolveNamesRequest,
    NspiResolveNamesWRequest,
)
from openchange_py.wire.oxnspi_restrictions import ContentRestriction_r, PropertyRestriction_r, Restriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyName_r, PropertyValue_r
from tests.servers.nspi.conftest import ORGANIZATION, Client, create, mid

UNRESOLVED, AMBIGUOUS, RESOLVED = 0, 1, 2
DISPLAY_NAME = [p.PidTagDisplayName]


def anr(name: str) -> Restriction_r:
    return PropertyRestriction_r(4, p.PidTagAnr, PropertyValue_r(p.PidTagAnr, name))


def matches(client: Client, stat: STAT, restriction: Restriction_r | None, requested: int = 50) -> Any:
    return client.ask(NspiGetMatchesRequest, 0, stat, None, 0, restriction, None, requested, DISPLAY_NAME)


def names(response: Any) -> list[str]:
    return [row.values[0].value for row in response.rows]


def test_a_name_that_is_looked_for(client: Client, directory: EmbeddedDirectory) -> None:
    response = matches(client, STAT(), anr("ali"))
    assert response.return_value == 0
    assert (response.out_mids, names(response)) == ([mid(directory, "alice")], ["Alice Liddell"])
    nothing = matches(client, STAT(), anr("nobody"))
    assert (nothing.out_mids, nothing.rows, nothing.return_value) == ([], [], 0)


def test_a_name_in_the_client_s_code_page(client: Client, directory: EmbeddedDirectory) -> None:
    create(directory, "oe", "Öttinger")
    tag = p.PidTagAnr.with_type(PropertyType.String8)
    restriction = PropertyRestriction_r(4, tag, PropertyValue_r(tag, "Ött".encode("cp850")))
    assert names(matches(client, STAT(code_page=850), restriction)) == ["Öttinger"]


def test_rows_have_ephemeral_entry_ids(client: Client, directory: EmbeddedDirectory) -> None:
    response = client.ask(NspiGetMatchesRequest, 0, STAT(), None, 0, anr("ali"), None, 9, [p.PidTagEntryId])
    entry_id = response.rows[0].values[0].value
    assert entry_id[:4] == b"\x87\0\0\0"
    assert entry_id[-4:] == mid(directory, "alice").to_bytes(4, "little")


def test_no_columns_no_rows(client: Client) -> None:
    response = client.ask(NspiGetMatchesRequest, 0, STAT(), None, 0, anr("ali"), None, 9, None)
    assert response.rows is None
    assert len(response.out_mids) == 1


def test_a_restriction_is_applied_to_its_container(client: Client, directory: EmbeddedDirectory) -> None:
    contains_o = ContentRestriction_r(0x10001, p.PidTagDisplayName, PropertyValue_r(p.PidTagDisplayName, "o"))
    assert names(matches(client, STAT(), contains_o)) == ["Bob Zorn", "Zoe Contact"]
    contacts = next(int(c.mid) for c in directory.lists(None).containers() if c.name == "All Contacts")
    assert names(matches(client, STAT(container_id=contacts), contains_o)) == ["Zoe Contact"]
    assert names(matches(client, STAT(container_id=contacts), None)) == ["Zoe Contact"]


def test_more_matches_than_asked_for(client: Client) -> None:
    for restriction in (None, anr("a"), ContentRestriction_r(1, 0x3001001F, PropertyValue_r(0x3001001F, ""))):
        response = matches(client, STAT(), restriction, 0)
        assert (response.return_value, response.out_mids, response.rows) == (ErrorCode.TableTooBig, None, None)
    assert len(matches(client, STAT(), None, 5).out_mids) == 5


def test_the_members_of_a_group_are_a_table(client: Client, directory: EmbeddedDirectory) -> None:
    stat = STAT(sort_type=1000, container_id=p.PidTagAddressBookMember, current_rec=mid(directory, "staff"))
    response = matches(client, stat, None)
    assert names(response) == ["Alice Liddell", "Bob Zorn"]
    assert response.stat.container_id == p.PidTagAddressBookMember
    stat = STAT(current_rec=mid(directory, "bob"))
    named = PropertyName_r(None, p.PidTagAddressBookManager - (1 << 32))
    response = client.ask(NspiGetMatchesRequest, 0, stat, None, 0, None, named, 9, DISPLAY_NAME)
    assert names(response) == ["Alice Liddell"]


@pytest.mark.parametrize(
    ("stat", "error"),
    [
        (STAT(sort_type=1000, container_id=p.PidTagTitle, current_rec=19), ErrorCode.NotFound),
        (STAT(sort_type=1000, container_id=p.PidTagAddressBookMember, current_rec=4711), ErrorCode.NotFound),
        (STAT(container_id=4711), ErrorCode.InvalidBookmark),
        (STAT(code_page=0x4B0), ErrorCode.InvalidCodepage),
        (STAT(sort_type=5), ErrorCode.GeneralFailure),
    ],
)
def test_no_such_table(client: Client, stat: STAT, error: ErrorCode) -> None:
    response = matches(client, stat, anr("ali"))
    assert (response.return_value, response.out_mids, response.rows, response.stat) == (error, None, None, stat)


def test_distinguished_names_become_ids(client: Client, directory: EmbeddedDirectory) -> None:
    alice, server = ORGANIZATION.recipient_dn("alice"), ORGANIZATION.server_dn("SRV")
    container = directory.lists(None).containers()[1]
    asked = [
        alice.upper().encode(),
        b"/o=nobody",
        None,
        b"",
        server.encode(),
        f"/guid={container.guid}".encode(),
        b"\xff",
    ]
    response = client.ask(NspiDNToMIdRequest, 0, asked)
    server_entry = directory.by_legacy_dn(server)
    assert server_entry
    assert response.out_mids == [mid(directory, "alice"), 0, 0, 0, server_entry.mid, container.mid, 0]
    assert all(m == 0 or m >= 0x10 for m in response.out_mids)


def test_too_many_names_are_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAXIMUM_NAMES", 2)
    assert client.ask(NspiDNToMIdRequest, 0, [b"/o=x"] * 3).return_value == ErrorCode.TooComplex
    assert client.ask(NspiResolveNamesWRequest, 0, STAT(), None, ["x"] * 3).return_value == ErrorCode.TooComplex


def test_each_name_is_resolved_ambiguous_or_not(client: Client, directory: EmbeddedDirectory) -> None:
    create(directory, "bobby", "Bobby Tables")
    asked = ["ali", "nobody", "bo", "", None, "SMTP:alice@example.test", "dora", "carl ω"]
    response = client.ask(NspiResolveNamesWRequest, 0, STAT(), DISPLAY_NAME, asked)
    assert response.mids == [
        RESOLVED, UNRESOLVED, AMBIGUOUS, UNRESOLVED, UNRESOLVED, RESOLVED, UNRESOLVED, RESOLVED,
    ]  # fmt: skip
    assert names(response) == ["Alice Liddell", "Alice Liddell", "Carl Ωmega"]


def test_names_in_8_bits(client: Client, directory: EmbeddedDirectory) -> None:
    create(directory, "oe", "Öttinger")
    tags = [p.PidTagDisplayName.with_type(PropertyType.String8)]
    response = client.ask(NspiResolveNamesRequest, 0, STAT(code_page=1252), tags, [b"\xd6tt", None, b"carl"])
    assert response.mids == [RESOLVED, UNRESOLVED, RESOLVED]
    assert names(response) == [b"\xd6ttinger", b"Carl ?mega"]


def test_names_of_one_list_only(client: Client, directory: EmbeddedDirectory) -> None:
    groups = next(int(c.mid) for c in directory.lists(None).containers() if c.name == "All Groups")
    response = client.ask(NspiResolveNamesWRequest, 0, STAT(container_id=groups), DISPLAY_NAME, ["alice", "staff"])
    assert response.mids == [UNRESOLVED, RESOLVED]


@pytest.mark.parametrize(
    ("stat", "error"),
    [(STAT(container_id=9), ErrorCode.InvalidBookmark), (STAT(code_page=0x4B0), ErrorCode.InvalidCodepage)],
)
def test_no_list_to_resolve_in(client: Client, stat: STAT, error: ErrorCode) -> None:
    for kind, asked in ((NspiResolveNamesRequest, [b"a"]), (NspiResolveNamesWRequest, ["a"])):
        response = client.ask(kind, 0, stat, None, asked)
        assert (response.return_value, response.mids, response.rows) == (error, None, None)
