import pytest

from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, AttributeValue, DirectoryError, DisplayType, Entry, Kind
from openchange_py.addressbook.departments import SENIORITY, mark, root, set_root, tree
from openchange_py.addressbook.embedded import EmbeddedDirectory
from tests.addressbook.conftest import ORGANIZATION


def group(directory: EmbeddedDirectory, name: str, *members: Entry, **more: list[AttributeValue]) -> Entry:
    attributes = {"displayName": [name.title()], "legacyExchangeDN": [ORGANIZATION.recipient_dn(name)]}
    links = {"member": [member.legacy_exchange_dn for member in members]}
    return directory.create(Kind.GROUP, name, {**attributes, **more}, links)


@pytest.fixture
def company(directory: EmbeddedDirectory) -> dict[str, Entry]:
    """A board over sales and support; support over itself in a circle, and a group that is no department."""
    support = group(directory, "support")
    sales = group(directory, "sales", **{SENIORITY: ["20"]})
    friends = group(directory, "friends")
    board = group(directory, "board", support, sales, friends)
    directory.change_links(support, "member", [board])
    for one in (support, sales):
        mark(directory, one, True)
    return {"board": board, "sales": sales, "support": support, "friends": friends}


def shown(directory: EmbeddedDirectory) -> list[tuple[int, str]]:
    top = root(directory)
    return [(depth, one.display_name) for depth, one in tree(directory, top)] if top else []


def test_no_hierarchy_without_a_root(directory: EmbeddedDirectory, company: dict[str, Entry]) -> None:
    assert root(directory) is None
    set_root(directory, None)
    assert directory.by_legacy_dn(f"/o={ORGANIZATION.name}") is None


def test_departments_below_the_root(directory: EmbeddedDirectory, company: dict[str, Entry]) -> None:
    """Those who stand higher first, each once, though they are members of one another."""
    set_root(directory, company["board"])
    assert shown(directory) == [(0, "Board"), (1, "Sales"), (1, "Support")]
    mark(directory, company["sales"], False)
    assert shown(directory) == [(0, "Board"), (1, "Support")]


def test_another_root_takes_the_place_of_the_first(directory: EmbeddedDirectory, company: dict[str, Entry]) -> None:
    for name in ("board", "board", "sales"):
        set_root(directory, company[name])
    assert shown(directory) == [(0, "Sales")]
    set_root(directory, None)
    assert shown(directory) == []


def test_the_organization_is_in_no_list_of_people(directory: EmbeddedDirectory, company: dict[str, Entry]) -> None:
    lists = directory.lists(None)
    before = lists.count(GLOBAL_ADDRESS_LIST)
    set_root(directory, company["board"])
    top = lists.by_legacy_dn(f"/O={ORGANIZATION.name.upper()}")
    assert top
    assert (top.kind, top.display_type, top.display_name) == (
        Kind.ORGANIZATION,
        DisplayType.ORGANIZATION,
        ORGANIZATION.name,
    )
    assert lists.count(GLOBAL_ADDRESS_LIST) == before
    assert lists.resolve(ORGANIZATION.name, GLOBAL_ADDRESS_LIST, 5) == []


def test_only_groups_are_departments(directory: EmbeddedDirectory) -> None:
    names = {"displayName": ["Alice"], "legacyExchangeDN": [ORGANIZATION.recipient_dn("alice")]}
    alice = directory.create(Kind.USER, "alice", names)
    with pytest.raises(DirectoryError, match="Alice is no group"):
        set_root(directory, alice)
    assert root(directory) is None


@pytest.mark.parametrize("number", ["", "x", "12½", "٣", "-1"])
def test_a_seniority_that_is_no_number_counts_as_none(
    directory: EmbeddedDirectory, company: dict[str, Entry], number: str
) -> None:
    if number:
        directory.modify(company["support"], {SENIORITY: [number]})
    set_root(directory, company["board"])
    assert shown(directory)[0] == (0, "Board")
    assert shown(directory)[1] == (1, "Sales")
