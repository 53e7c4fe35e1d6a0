"""Two organizations in one directory: nothing of the other is reached through an address book, in any way."""

import uuid

import pytest

from openchange_py.addressbook.base import (
    GLOBAL_ADDRESS_LIST,
    ContainerKind,
    ContainerRecord,
    Entry,
    Kind,
    MinimalEntryId,
    NoSuchEntry,
    Organization,
)
from openchange_py.addressbook.followed import AddressBookRecord
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import writing
from openchange_py.addressbook.lists import IndexedLists
from openchange_py.addressbook.organizations import put_address_books
from tests.addressbook.conftest import person, put


def book(name: str) -> AddressBookRecord:
    containers = [
        ContainerRecord(uuid.uuid4(), f"cn=GAL,o={name}", "Global Address List", ContainerKind.GLOBAL),
        ContainerRecord(uuid.uuid4(), f"cn=Own,o={name}", f"Own list of {name}"),
    ]
    return AddressBookRecord(Organization(name, "Group"), containers)


@pytest.fixture
def two(index: IndexedDirectory) -> IndexedDirectory:
    """First has alice and anna1, Second bob and anna2, all in both lists; groups have members of both."""
    with writing(index.database, strict=False) as transaction:
        put_address_books(transaction, [book("First"), book("Second")])
    everybody = ["cn=alice", "cn=anna1", "cn=bob", "cn=anna2"]
    for organization, accounts in (("First", ("alice", "anna1")), ("Second", ("bob", "anna2"))):
        show = [f"cn=GAL,o={organization}", f"cn=Own,o={organization}"]
        for account in accounts:
            links = {"manager": ["cn=alice"], "publicDelegates": everybody}
            put(index, person(account, organization=organization, show=show, links=links, displayName=["Anna X"]))
        group = person(
            f"all{organization}", kind=Kind.GROUP, organization=organization, show=show, links={"member": everybody}
        )
        put(index, group)
    put(index, person("plain", legacyExchangeDN=[]))
    return index


def entry(index: IndexedDirectory, account: str) -> Entry:
    found = index.by_account(account)
    assert found
    return found


def lists_of(index: IndexedDirectory, account: str) -> IndexedLists:
    return index.lists(entry(index, account))


def accounts(entries: list[Entry]) -> set[str | None]:
    return {one.account for one in entries}


FIRST, SECOND = {"alice", "anna1", "allFirst"}, {"bob", "anna2", "allSecond"}


@pytest.mark.parametrize(
    ("caller", "own", "others"), [("alice", FIRST, SECOND), ("bob", SECOND, FIRST)], ids=["First", "Second"]
)
def test_who_belongs_to_one_sees_nothing_of_the_other(
    two: IndexedDirectory, caller: str, own: set[str], others: set[str]
) -> None:
    lists = lists_of(two, caller)
    foreign = lists_of(two, "bob" if caller == "alice" else "alice")
    assert lists.guid != foreign.guid
    assert [c.name for c in lists.containers()] == ["Global Address List", f"Own list of {lists.organization.name}"]
    for container in lists.containers():
        assert accounts(lists.page(container.mid, 0, 100)) == own
        assert lists.count(container.mid) == 3
        for name in ("anna", "a", "Anna X", "=Anna X", "all", *others):
            assert accounts(lists.resolve(name, container.mid, 100)) <= own
    foreign_list = foreign.containers()[1].mid
    for ask in (
        lambda: lists.count(foreign_list),
        lambda: lists.page(foreign_list, 0, 9),
        lambda: lists.seek(foreign_list, "a"),
        lambda: lists.resolve("a", foreign_list, 9),
        lambda: lists.position(foreign_list, entry(two, caller)),
    ):
        with pytest.raises(NoSuchEntry):
            ask()
    assert lists.by_mid([MinimalEntryId(mid) for mid in range(200)]).values()
    assert accounts(list(lists.by_mid([MinimalEntryId(mid) for mid in range(200)]).values())) == own
    for account in others | {"plain"}:
        other = entry(two, account)
        assert lists.by_guid(other.guid) is None
        assert lists.by_legacy_dn(other.legacy_exchange_dn) is None
        assert lists.by_address(f"{account}@example.test") is None
        assert lists.position(GLOBAL_ADDRESS_LIST, other) is None
        for attribute in ("member", "manager", "publicDelegates", "directReports", "memberOf", "showInAddressBook"):
            assert lists.linked(other, attribute) == lists.linked_mids(other, attribute) == []
            assert lists.link_count(other, attribute) == 0


def test_links_lead_nowhere_else_either(two: IndexedDirectory) -> None:
    first, second = lists_of(two, "alice"), lists_of(two, "bob")
    assert accounts(first.linked(entry(two, "allFirst"), "member")) == {"alice", "anna1"}
    assert second.link_count(entry(two, "allSecond"), "member") == 2
    assert accounts(first.linked(entry(two, "alice"), "memberOf")) == {"allFirst"}
    assert accounts(first.linked(entry(two, "alice"), "directReports")) == {"alice", "anna1"}
    assert second.linked(entry(two, "bob"), "manager") == []
    assert accounts(second.linked(entry(two, "bob"), "publicDelegatesBL")) == {"bob", "anna2"}


def test_links_are_in_the_order_of_names_and_bounded(two: IndexedDirectory) -> None:
    lists, group = lists_of(two, "alice"), entry(two, "allFirst")
    expected = sorted(entry(two, name).mid for name in ("alice", "anna1"))  # of the same name
    assert lists.linked_mids(group, "member") == expected
    assert [one.mid for one in lists.linked(group, "member", 1)] == expected[:1]
    assert lists.linked(group, "nothing") == []


def test_hidden_members_are_members_in_their_place(two: IndexedDirectory) -> None:
    show, hidden = ["cn=GAL,o=First"], {"msExchHideFromAddressLists": ["TRUE"], "displayName": ["Anna Middle"]}
    put(two, person("hidden", show=show, **hidden), person("alice", show=show, displayName=["Anna First"]))  # type: ignore[arg-type]
    put(two, person("allFirst", kind=Kind.GROUP, links={"member": ["cn=hidden", "cn=anna1", "cn=alice", "cn=bob"]}))
    lists, group = lists_of(two, "alice"), entry(two, "allFirst")
    mids = lists.linked_mids(group, "member")
    assert [one.account for one in lists.linked(group, "member")] == ["alice", "hidden", "anna1"]
    assert mids == [one.mid for one in lists.linked(group, "member")]
    assert lists.link_count(group, "member") == 3


def test_the_same_address_may_be_in_both(two: IndexedDirectory) -> None:
    partner: dict[str, list[str | bytes]] = {"proxyAddresses": ["SMTP:partner@elsewhere.test"]}
    put(two, person("partner1", **partner), person("partner2", organization="Second", **partner))
    assert lists_of(two, "alice").by_address("partner@elsewhere.test").account == "partner1"  # type: ignore[union-attr]
    assert lists_of(two, "bob").by_address("partner@elsewhere.test").account == "partner2"  # type: ignore[union-attr]


def test_who_belongs_to_none_sees_the_only_one(two: IndexedDirectory) -> None:
    with pytest.raises(NoSuchEntry, match="none of the directory's organizations"):
        lists_of(two, "plain")
    with writing(two.database, strict=False) as transaction:
        put_address_books(transaction, [book("First")])
    assert lists_of(two, "plain").organization.name == "First"
    with pytest.raises(NoSuchEntry, match="second"):
        lists_of(two, "bob")


def test_an_organization_that_is_gone(two: IndexedDirectory) -> None:
    lists = lists_of(two, "bob")
    with writing(two.database, strict=False) as transaction:
        put_address_books(transaction, [book("First")])
    with pytest.raises(NoSuchEntry, match="Second"):
        lists.containers()
    assert lists.by_guid(entry(two, "bob").guid) is None


def test_the_servers_of_an_organization(two: IndexedDirectory) -> None:
    """In the order of their names, and in no list of people."""
    for organization, name in (("First", "ZED"), ("First", "Alpha"), ("Second", "Other")):
        put(two, person(name, kind=Kind.SERVER, organization=organization, displayName=[name]))
    assert [server.display_name for server in lists_of(two, "alice").servers()] == ["Alpha", "ZED"]
    assert [server.display_name for server in lists_of(two, "bob").servers()] == ["Other"]
    assert lists_of(two, "alice").count(GLOBAL_ADDRESS_LIST) == 3  # alice, anna1 and the group
