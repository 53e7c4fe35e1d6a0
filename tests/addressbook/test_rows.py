import uuid

import pytest

from openchange_py.addressbook.base import Attributes, DirectoryError, DisplayType, Kind, Record
from openchange_py.addressbook.rows import (
    LONGEST_ENTRY,
    LONGEST_VALUE,
    AttributeMap,
    cleaned,
    derive,
    fold_address,
    from_json,
    organization_of,
    to_json,
    without,
)
from openchange_py.addressbook.sortkeys import sort_key

GUID = uuid.UUID("9c6490e5-f001-4c47-ba18-010000009af2")
DN = "/o=First/ou=Group/cn=Recipients/cn=x"


def record(attributes: Attributes, kind: Kind = Kind.USER) -> Record:
    return Record(GUID, "", kind, True, attributes, {})


def test_attributes_are_found_whatever_their_case() -> None:
    attributes = AttributeMap({"displayName": ["Alice"]})
    assert attributes.text("DISPLAYNAME") == "Alice"
    attributes.put("displayname", ["Bob"])
    assert dict(attributes) == {"displayName": ["Bob"]}
    attributes.put("DisplayName", None)
    assert dict(attributes) == {}


def test_a_bare_text_is_no_list_of_values() -> None:
    with pytest.raises(DirectoryError, match="title"):
        AttributeMap({"title": "Boss"})


def test_a_link_is_no_attribute() -> None:
    with pytest.raises(DirectoryError, match="MEMBER is a link"):
        AttributeMap({"MEMBER": ["/o=First/cn=x"]})


def test_values_survive_json() -> None:
    attributes = {"a": ["text", b"\xff\x00"], "b": ["ä"]}
    assert from_json(to_json(attributes)) == attributes


@pytest.mark.parametrize(
    ("address", "folded"),
    [
        ("Alice@Example.test", "smtp:alice@example.test"),
        ("SMTP:a@b", "smtp:a@b"),
        ("X500:/o=First", "x500:/o=first"),
        ("/o=First:x", "smtp:/o=first:x"),
        ("", "smtp:"),
    ],
)
def test_addresses_are_looked_up_with_their_type(address: str, folded: str) -> None:
    assert fold_address(address) == folded


@pytest.mark.parametrize(
    ("kind", "display_type"),
    [
        (Kind.USER, DisplayType.MAILUSER),
        (Kind.GROUP, DisplayType.DISTLIST),
        (Kind.CONTACT, DisplayType.REMOTE_MAILUSER),
        (Kind.SERVER, DisplayType.AGENT),
    ],
)
def test_each_kind_has_its_display_type_and_servers_are_in_no_list(kind: Kind, display_type: DisplayType) -> None:
    columns = derive(record({"cn": ["x"], "legacyExchangeDN": [DN]}, kind)).columns
    assert (columns["kind"], columns["display_type"]) == (kind, display_type)
    assert columns["listed"] is (kind is not Kind.SERVER)


def test_a_display_name_is_taken_from_what_there_is() -> None:
    for name in ("mail", "sAMAccountName", "cn", "displayName"):
        assert derive(record({name: ["x"]})).columns["display_name"] == "x"
    with pytest.raises(DirectoryError, match="needs a displayName"):
        derive(record({"title": ["x"]}))
    assert derive(record({"title": ["x"]}), checked=True).columns["display_name"] == str(GUID)


def test_whole_names_and_beginnings() -> None:
    attributes = {"displayName": ["Anna Berg"], "sAMAccountName": ["ab"], "proxyAddresses": ["SMTP:a@b"]}
    derived = derive(record({**attributes, "physicalDeliveryOfficeName": ["Room 7"]}))
    assert {name for name, whole in derived.tokens.items() if whole} == {
        sort_key(name) for name in ("Anna Berg", "ab", "SMTP:a@b", "a@b")
    }
    assert {name for name, whole in derived.tokens.items() if not whole} == {sort_key("Berg"), sort_key("Room 7")}
    assert derived.addresses == {"smtp:a@b"}


def test_phonetic_names_have_their_own_order() -> None:
    attributes = {"displayName": ["山田"], "msDS-PhoneticDisplayName": ["やまだ"]}
    columns = derive(record(attributes)).columns
    assert (columns["phonetic_key"], columns["phonetic_name"]) == (sort_key("やまだ"), "やまだ")
    plain = derive(record({"displayName": ["Alice"]})).columns
    assert (plain["phonetic_key"], plain["phonetic_name"]) == (plain["sort_key"], None)


@pytest.mark.parametrize(
    ("dn", "name"),
    [
        ("/o=First Organization/ou=x", "first organization"),
        ("/O=FIRST", "first"),
        ("/o=", None),
        ("", None),
        ("/ou=x/o=First", None),
        ("o=First", None),
    ],
)
def test_the_organization_in_a_distinguished_name(dn: str, name: str | None) -> None:
    assert organization_of(dn) == name


def test_a_foreign_directory_may_hold_anything() -> None:
    hostile = {
        "displayName": ["a\0b", "Alice"],
        "sn": ["\ud800"],
        "info": ["x" * (LONGEST_VALUE + 1)],
        "mail": ["x" * 5000],
        "title": ["fine"],
        "sAMAccountName": ["x" * 256],
        "Member": ["x"],
    }
    found, complaints = cleaned(Record(GUID, "cn=\0", Kind.USER, True, hostile, {"x" * 65: ["y"], "member": ["z"]}))
    assert found.attributes == {"displayName": ["Alice"], "title": ["fine"]}
    assert (found.name, found.links) == ("", {"member": ["z"]})
    assert sorted(complaint.partition(":")[0] for complaint in complaints) == [
        "'cn=\\x00' is no name",
        "Member",
        "displayName",
        "info",
        "mail",
        "sAMAccountName",
        "sn",
    ]
    assert all(len(complaint) < 400 for complaint in complaints)


def test_an_entry_is_of_bounded_size() -> None:
    values = [bytes(LONGEST_VALUE)] * 20
    found, complaints = cleaned(record({"a": ["x"], "jpegPhoto": values, "title": ["Boss"]}))
    assert sum(map(len, found.attributes["jpegPhoto"])) <= LONGEST_ENTRY
    assert found.attributes["title"] == ["Boss"]
    assert len(complaints) == 20 - len(found.attributes["jpegPhoto"])


def test_who_loses_his_distinguished_name_is_in_no_list() -> None:
    derived = derive(record({"cn": ["x"], "legacyExchangeDN": [DN], "sAMAccountName": ["x"]}))
    without(derived, "legacy_exchange_dn_folded")
    assert (derived.columns["legacy_exchange_dn"], derived.columns["listed"]) == ("", False)
    without(derived, "account_folded")
    assert derived.columns["account"] is None
