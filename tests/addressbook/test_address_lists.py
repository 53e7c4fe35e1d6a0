"""The lists that every organization has."""

from __future__ import annotations

import pytest

from openchange_py.addressbook.address_lists import ADDRESS_LISTS, GLOBAL_ADDRESS_LIST, AddressList


def test_outlooks_default_lists_are_there_under_exchanges_names() -> None:
    assert [one.name for one in ADDRESS_LISTS] == [
        "All Users",
        "All Groups",
        "All Contacts",
        "Public Folders",
        "All Rooms",
    ]
    assert GLOBAL_ADDRESS_LIST.name == "Default Global Address List"


@pytest.mark.parametrize("one", [GLOBAL_ADDRESS_LIST, *ADDRESS_LISTS], ids=lambda one: one.name)
def test_searches_are_filters_that_only_find_who_has_an_alias(one: AddressList) -> None:
    assert one.search.startswith("(&(mailNickname=*)")
    depth = 0
    for character in one.search:
        depth += (character == "(") - (character == ")")
        assert depth >= 0
    assert depth == 0
