import pytest

from openchange_py.addressbook.base import DirectoryError, DisplayType
from openchange_py.addressbook.rows import AttributeMap, derive, fold_address, from_json, to_json


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
    ("attributes", "display_type", "kind"),
    [
        ({}, DisplayType.MAILUSER, "user"),
        ({}, DisplayType.DISTLIST, "group"),
        ({}, DisplayType.REMOTE_MAILUSER, "contact"),
        ({"objectClass": ["top", "Contact"]}, DisplayType.MAILUSER, "contact"),
        ({"objectClass": ["msExchExchangeServer"]}, DisplayType.AGENT, "server"),
    ],
)
def test_the_kind_of_an_entry(attributes: dict[str, list[str]], display_type: DisplayType, kind: str) -> None:
    assert derive(AttributeMap(attributes | {"cn": ["x"]}), display_type).columns["kind"] == kind


def test_a_display_name_is_taken_from_what_there_is() -> None:
    for name in ("mail", "sAMAccountName", "cn", "displayName"):
        assert derive(AttributeMap({name: ["x"]}), DisplayType.MAILUSER).columns["display_name"] == "x"
    with pytest.raises(DirectoryError, match="needs a displayName"):
        derive(AttributeMap({"title": ["x"]}), DisplayType.MAILUSER)


def test_whole_names_and_beginnings() -> None:
    derived = derive(
        AttributeMap({"displayName": ["Anna Berg"], "sAMAccountName": ["ab"], "proxyAddresses": ["SMTP:a@b"]}),
        DisplayType.MAILUSER,
    )
    assert derived.tokens == {b"anna berg": True, b"berg": False, b"ab": True, b"smtp:a@b": True, b"a@b": True}
    assert derived.addresses == {"smtp:a@b"}
