import dataclasses
from typing import Any

import pytest

from openchange_py.addressbook.base import AttributeValue
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
    NspiSeekEntriesRequest,
)
from openchange_py.wire.oxnspi_restrictions import (
    ContentRestriction_r,
    ExistRestriction_r,
    NotRestriction_r,
    OrRestriction_r,
    PropertyRestriction_r,
    Restriction_r,
)
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
    contacts = list_of(directory, "All Contacts")
    assert names(matches(client, STAT(container_id=contacts), contains_o)) == ["Zoe Contact"]
    assert names(matches(client, STAT(container_id=contacts), anr("zoe"))) == ["Zoe Contact"]
    assert names(matches(client, STAT(container_id=contacts), anr("alice"))) == []


def list_of(directory: EmbeddedDirectory, name: str) -> int:
    return next(int(c.mid) for c in directory.lists(None).containers() if c.name == name)


def test_the_container_of_the_stat_is_current_rec_afterwards(client: Client, directory: EmbeddedDirectory) -> None:
    # Constraint 15, which makes no difference between the two kinds of table.
    stat = STAT(sort_type=1000, container_id=p.PidTagAddressBookMember, current_rec=mid(directory, "staff"), delta=3)
    answer = matches(client, stat, None)
    stat.container_id = stat.current_rec
    assert answer.stat == stat
    contacts = STAT(container_id=list_of(directory, "All Contacts"), num_pos=2, total_recs=9, delta=-1)
    answer = matches(client, contacts, anr("zoe"))
    contacts.container_id = 0
    assert answer.stat == contacts


def test_more_matches_than_asked_for(client: Client, directory: EmbeddedDirectory) -> None:
    everybody = ContentRestriction_r(1, 0x3001001F, PropertyValue_r(0x3001001F, ""))
    members = STAT(sort_type=1000, container_id=p.PidTagAddressBookMember, current_rec=mid(directory, "staff"))
    for stat, restriction, requested in (
        (STAT(), anr("a"), 0),
        (STAT(), everybody, 4),
        (STAT(), NotRestriction_r(ExistRestriction_r(0, p.PidTagGeneration, 0)), 4),
        (members, None, 1),
    ):
        response = matches(client, stat, restriction, requested)
        assert (response.return_value, response.out_mids, response.rows) == (ErrorCode.TableTooBig, None, None)
        assert response.stat == stat
        assert matches(client, stat, restriction, 5).return_value == 0


def test_more_matches_than_the_server_gives(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAXIMUM_MATCHES", 0)
    assert matches(client, STAT(), anr("alice")).return_value == ErrorCode.TableTooBig


def test_the_members_of_a_group_are_a_table(client: Client, directory: EmbeddedDirectory) -> None:
    staff = mid(directory, "staff")
    for sort_type in (1000, 1001):
        stat = STAT(sort_type=sort_type, container_id=p.PidTagAddressBookMember, current_rec=staff)
        assert names(matches(client, stat, None)) == ["Alice Liddell", "Bob Zorn"]
    stat = STAT(current_rec=mid(directory, "bob"))
    named = PropertyName_r(None, p.PidTagAddressBookManager - (1 << 32))
    response = client.ask(NspiGetMatchesRequest, 0, stat, None, 0, None, named, 9, DISPLAY_NAME)
    assert names(response) == ["Alice Liddell"]
    stat = STAT(sort_type=1000, container_id=p.PidTagAddressBookReports, current_rec=mid(directory, "carl"))
    nobody = matches(client, stat, None)
    assert (nobody.return_value, nobody.out_mids, nobody.rows) == (0, [], [])


def test_members_are_sorted_as_the_client_s_language_has_it(client: Client, directory: EmbeddedDirectory) -> None:
    staff = directory.by_account("staff")
    assert staff
    directory.change_links(staff, "member", [create(directory, "arla", "Ärla Ek"), create(directory, "zed", "Zed")])
    stat = STAT(sort_type=1000, container_id=p.PidTagAddressBookMember, current_rec=int(staff.mid))
    assert names(matches(client, stat, None)) == ["Alice Liddell", "Ärla Ek", "Bob Zorn", "Zed"]
    stat.sort_locale = 0x041D
    assert names(matches(client, stat, None)) == ["Alice Liddell", "Bob Zorn", "Zed", "Ärla Ek"]


MEMBER = p.PidTagAddressBookMember


@pytest.mark.parametrize(
    ("stat", "restriction", "error"),
    [
        # What is no object, and what is no table.
        (STAT(sort_type=1000, container_id=MEMBER, current_rec=4711), None, ErrorCode.GeneralFailure),
        (STAT(sort_type=1000, container_id=MEMBER, current_rec=1), None, ErrorCode.GeneralFailure),
        (STAT(), None, ErrorCode.GeneralFailure),
        (STAT(sort_type=1000, container_id=p.PidTagTitle, current_rec=-1), None, ErrorCode.NotSupported),
        (STAT(sort_type=1000, container_id=0x66130003, current_rec=-1), None, ErrorCode.NotSupported),
        (STAT(sort_type=1001, container_id=p.PidTagAddressBookReports, current_rec=-1), None, ErrorCode.NotSupported),
        # What is no list.
        (STAT(container_id=4711), anr("ali"), ErrorCode.InvalidBookmark),
        (STAT(container_id=4711, sort_type=3), anr("ali"), ErrorCode.InvalidBookmark),
        (STAT(container_id=MEMBER, current_rec=-1), None, ErrorCode.InvalidBookmark),
        (STAT(code_page=0x4B0), anr("ali"), ErrorCode.InvalidCodepage),
        (STAT(code_page=4711), PropertyRestriction_r(4, 0x360C001E, PropertyValue_r(0x360C001E, b"a")),
         ErrorCode.InvalidCodepage),
        (STAT(sort_type=5), anr("ali"), ErrorCode.GeneralFailure),
        (STAT(sort_type=1000), anr("ali"), ErrorCode.GeneralFailure),
        (STAT(sort_type=1001), anr("ali"), ErrorCode.GeneralFailure),
        (STAT(), PropertyRestriction_r(6, p.PidTagTitle, PropertyValue_r(p.PidTagTitle, "a.*")), ErrorCode.TooComplex),
        (STAT(), NotRestriction_r(None), ErrorCode.TooComplex),
        (STAT(), OrRestriction_r([ExistRestriction_r(0, p.PidTagTitle, 0)] * 64), ErrorCode.TooComplex),
    ],
)  # fmt: skip
def test_errors_of_get_matches(
    client: Client, directory: EmbeddedDirectory, stat: STAT, restriction: Restriction_r | None, error: ErrorCode
) -> None:
    stat = dataclasses.replace(stat, current_rec=mid(directory, "staff")) if stat.current_rec < 0 else stat
    response = matches(client, stat, restriction)
    assert (response.return_value, response.out_mids, response.rows, response.stat) == (error, None, None, stat)


@pytest.mark.parametrize(
    ("reserved1", "reserved", "error"), [(1, None, ErrorCode.InvalidParameter), (0, [], ErrorCode.TooComplex)]
)
def test_what_is_reserved_has_to_stay_so(client: Client, reserved1: int, reserved: Any, error: ErrorCode) -> None:
    answer = client.ask(NspiGetMatchesRequest, reserved1, STAT(), reserved, 0, anr("ali"), None, 9, None)
    assert (answer.return_value, answer.out_mids, answer.rows, answer.stat) == (error, None, None, STAT())
    # Reserved2 is ignored.
    assert client.ask(NspiGetMatchesRequest, 0, STAT(), None, 7, anr("ali"), None, 9, None).return_value == 0


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alice liddell", "Alice Liddell"),
        ("Liddell, Alice", "Alice Liddell"),
        ("liddell,al", "Alice Liddell"),
        ("al lid", "Alice Liddell"),
        ("ally", "Alice Liddell"),
        ("=ally", "Alice Liddell"),
        ("=all", None),
        ("wonder", "Alice Liddell"),
        ("=Wonderland", None),
        ("x400:c=xx", "Alice Liddell"),
        ("400:", None),
        ("smtp:ali@other", "Alice Liddell"),
        ("ali@other.test", "Alice Liddell"),
        ("ari", "Alice Liddell"),
        ("ariel", "Alice Liddell"),
        ("rideru", "Alice Liddell"),
        ("C=XX;S=Liddell", "Alice Liddell"),
        (ORGANIZATION.recipient_dn("ALICE"), "Alice Liddell"),
        ("room 101", "Alice Liddell"),
        ("dora", None),
        ("=Dora Hidden", None),
        ("=", None),
        (" ", None),
        (",", None),
    ],
)
def test_what_names_resolve_by(client: Client, directory: EmbeddedDirectory, name: str, expected: str | None) -> None:
    alice = directory.by_account("alice")
    assert alice
    addresses: list[AttributeValue] = ["SMTP:alice@example.test", "smtp:ali@other.test", "X400:C=XX;S=Liddell"]
    directory.modify(
        alice,
        {
            "mailNickname": ["ally"],
            "givenName": ["Alice Wonder"],
            "sn": ["Liddell"],
            "proxyAddresses": addresses,
            "msDS-PhoneticDisplayName": ["Arisu"],
            "msDS-PhoneticFirstName": ["Ariel"],
            "msDS-PhoneticLastName": ["Rideru"],
            "physicalDeliveryOfficeName": ["Room 101"],
        },
    )
    answer = client.ask(NspiResolveNamesWRequest, 0, STAT(), DISPLAY_NAME, [name])
    assert (answer.mids, names(answer)) == (([RESOLVED], [expected]) if expected else ([UNRESOLVED], []))


def test_a_name_that_stands_twice_is_answered_twice(client: Client) -> None:
    response = client.ask(NspiResolveNamesWRequest, 0, STAT(), DISPLAY_NAME, ["ali", "bob", "ali", None, ""])
    assert response.mids == [RESOLVED, RESOLVED, RESOLVED, UNRESOLVED, UNRESOLVED]
    assert names(response) == ["Alice Liddell", "Bob Zorn", "Alice Liddell"]
    nobody = client.ask(NspiResolveNamesWRequest, 0, STAT(), DISPLAY_NAME, [])
    assert (nobody.mids, nobody.rows, nobody.return_value) == ([], [], 0)


@pytest.mark.parametrize("meta", ["*", "(", ")", "\\", "%", "_", "[a]", "^", "$", "'", '"', "; --", "&", "|", "!", "?"])
def test_no_character_of_a_name_means_anything_but_itself(
    client: Client, directory: EmbeddedDirectory, meta: str
) -> None:
    for wild in (meta, f"al{meta}", f"{meta}ce", f"a{meta}ice", f"alice{meta}", f"*)(cn={meta}*"):
        assert client.ask(NspiResolveNamesWRequest, 0, STAT(), None, [wild]).mids == [UNRESOLVED]
        assert client.ask(NspiResolveNamesRequest, 0, STAT(), None, [wild.encode()]).mids == [UNRESOLVED]
        assert client.ask(NspiDNToMIdRequest, 0, [wild.encode(), b"/o=" + wild.encode()]).out_mids == [0, 0]
        target = PropertyValue_r(p.PidTagDisplayName, wild)
        found = client.ask(NspiSeekEntriesRequest, 0, STAT(), target, None, DISPLAY_NAME)
        assert found.return_value in (0, ErrorCode.NotFound)
    odd = f"Odd{meta}Name"
    create(directory, "odd", odd)
    assert names(client.ask(NspiResolveNamesWRequest, 0, STAT(), DISPLAY_NAME, [odd])) == [odd]


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
