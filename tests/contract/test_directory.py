"""What every `Directory` promises. A backend's class gives the `directory` fixture: one that was never provisioned."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.base import (
    GLOBAL_ADDRESS_LIST,
    AttributeValue,
    Directory,
    DirectoryError,
    DisplayType,
    Entry,
    EntryExists,
    Kind,
    MinimalEntryId,
    NoSuchEntry,
    Organization,
    SortOrder,
    may_open_mailbox,
)
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.addressbook.sortkeys import sort_key
from tests.mailboxes import exchange_attributes

ORGANIZATION = Organization("First Organization", "Exchange Administrative Group")


def create(directory: Directory, account: str, display_name: str, **more: list[AttributeValue]) -> Entry:
    attributes = exchange_attributes(ORGANIZATION, "SRV", account, f"{account}@example.test", display_name)
    return directory.create(Kind.USER, account, attributes | more)


def names(entries: list[Entry]) -> list[str]:
    return [entry.display_name for entry in entries]


class DirectoryContract:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Iterator[Directory]:
        raise NotImplementedError

    @pytest.fixture
    def provisioned(self, directory: Directory) -> Directory:
        directory.provision(ORGANIZATION, "SRV")
        return directory

    @pytest.fixture
    def people(self, provisioned: Directory) -> Directory:
        everyone = {"carl": "Carl Berg", "anna": "anna Adams", "aebby": "Äbby Ott", "bob": "Bob Zorn"}
        for account, name in everyone.items():
            create(provisioned, account, name)
        return provisioned

    # Provisioning.

    def test_the_organization_is_there_after_provisioning(self, directory: Directory) -> None:
        with pytest.raises(NoSuchEntry):
            directory.organization()
        assert directory.provision(ORGANIZATION, "SRV") is True
        assert directory.organization() == ORGANIZATION

    def test_provisioning_again_changes_nothing(self, provisioned: Directory) -> None:
        before = provisioned.lists(None).containers(), list(provisioned.entries())
        assert provisioned.provision(ORGANIZATION, "SRV") is False
        assert (provisioned.lists(None).containers(), list(provisioned.entries())) == before

    def test_another_server_of_the_organization_is_added(self, provisioned: Directory) -> None:
        assert provisioned.provision(ORGANIZATION, "OTHER") is True
        assert provisioned.by_legacy_dn(ORGANIZATION.server_dn("SRV"))
        assert provisioned.by_legacy_dn(ORGANIZATION.server_dn("OTHER"))

    def test_an_organization_keeps_its_administrative_group(self, provisioned: Directory) -> None:
        with pytest.raises(DirectoryError, match="First Organization"):
            provisioned.provision(Organization(ORGANIZATION.name, "Group"), "SRV")
        assert provisioned.organization() == ORGANIZATION

    def test_the_global_address_list_has_id_0_and_comes_first(self, provisioned: Directory) -> None:
        containers = provisioned.lists(None).containers()
        assert containers[0].mid == GLOBAL_ADDRESS_LIST == 0
        lists = ["All Contacts", "All Groups", "All Rooms", "All Users", "Public Folders"]
        assert [c.name for c in containers] == ["Global Address List", *lists]
        assert len({c.guid for c in containers}) == 6
        assert all(c.mid >= 0x10 for c in containers[1:])

    # Entries.

    def test_a_new_entry_is_what_was_asked_for(self, provisioned: Directory) -> None:
        entry = create(provisioned, "alice", "Alice Liddell", title=["Reader"], thumbnailPhoto=[b"\xff\x00"])
        assert (entry.account, entry.display_name) == ("alice", "Alice Liddell")
        assert entry.display_type == DisplayType.MAILUSER
        assert entry.legacy_exchange_dn == ORGANIZATION.recipient_dn("alice")
        assert entry.first("title") == "Reader"
        assert entry.attributes["thumbnailPhoto"] == [b"\xff\x00"]
        assert isinstance(entry.mailbox_guid, uuid.UUID)
        assert entry.mid >= 0x10

    def test_an_entry_is_found_by_all_its_names_without_case(self, provisioned: Directory) -> None:
        addresses: list[AttributeValue] = ["SMTP:alice@example.test", "smtp:al@example.test"]
        entry = create(provisioned, "alice", "Alice", proxyAddresses=addresses)
        assert provisioned.by_guid(entry.guid) == entry
        assert provisioned.by_account("ALICE") == entry
        assert provisioned.by_legacy_dn(entry.legacy_exchange_dn.upper()) == entry
        for address in ("alice@example.test", "AL@EXAMPLE.TEST", "SMTP:al@example.test", "smtp:ALICE@example.test"):
            assert provisioned.by_address(address) == entry
        assert provisioned.lists(None).by_mid([entry.mid]) == {entry.mid: entry}

    def test_what_is_not_there_is_none(self, provisioned: Directory) -> None:
        assert provisioned.by_guid(uuid.uuid4()) is None
        assert provisioned.by_account("nobody") is None
        assert provisioned.by_account("") is None
        assert provisioned.by_legacy_dn("/o=Elsewhere") is None
        assert provisioned.by_legacy_dn("") is None
        assert provisioned.by_address("nobody@example.test") is None
        assert (
            provisioned.lists(None).by_mid([MinimalEntryId(0), MinimalEntryId(4711), MinimalEntryId(0xFFFFFFFF)]) == {}
        )
        assert provisioned.account("nobody") is None

    @pytest.mark.parametrize("name", ["\ud800", "a\0b", "'; --", "%", "x" * 100_000, "@", "a@\udfff"])
    def test_a_hostile_name_is_just_not_there(self, provisioned: Directory, name: str) -> None:
        assert provisioned.by_account(name) is None
        assert provisioned.by_legacy_dn(name) is None
        assert provisioned.by_address(name) is None
        assert provisioned.account(name) is None

    @pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000, ""])
    def test_a_name_that_cannot_be_kept_is_refused(self, provisioned: Directory, name: str) -> None:
        with pytest.raises(DirectoryError):
            provisioned.create(Kind.USER, "", {"displayName": [name]})

    def test_a_name_is_taken_once(self, provisioned: Directory) -> None:
        alice = create(provisioned, "alice", "Alice")
        attributes = exchange_attributes(ORGANIZATION, "SRV", "bob", "bob@example.test", "Bob")
        for account, clash in (
            ("ALICE", {"legacyExchangeDN": [ORGANIZATION.recipient_dn("x")]}),
            ("bob", {"legacyExchangeDN": [alice.legacy_exchange_dn.upper()]}),
            ("bob", {"proxyAddresses": ["smtp:Alice@example.test"]}),
            ("bob", {"mail": ["alice@EXAMPLE.test"]}),
        ):
            with pytest.raises(EntryExists):
                provisioned.create(Kind.USER, account, attributes | clash)
        assert provisioned.by_account("bob") is None
        assert provisioned.create(Kind.USER, "bob", attributes).display_name == "Bob"

    def test_modify_replaces_and_removes(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna
        changed = people.modify(anna, {"title": ["Boss"], "MAIL": None, "displayName": ["Zoe Adams"]})
        assert (changed.first("title"), changed.first("mail"), changed.display_name) == ("Boss", None, "Zoe Adams")
        assert (changed.guid, changed.mid) == (anna.guid, anna.mid)
        assert people.by_guid(anna.guid) == changed
        assert people.by_address("anna@example.test") == changed  # proxyAddresses still has it
        assert names(people.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 9))[-1] == "Zoe Adams"
        assert names(people.lists(None).resolve("zoe", GLOBAL_ADDRESS_LIST, 9)) == ["Zoe Adams"]
        assert people.lists(None).resolve("=anna Adams", GLOBAL_ADDRESS_LIST, 9) == []

    def test_modify_keeps_names_unique_and_changes_nothing_else_when_it_fails(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna
        with pytest.raises(EntryExists):
            people.modify(anna, {"proxyAddresses": ["SMTP:bob@example.test"], "title": ["Boss"]})
        assert people.by_guid(anna.guid) == anna

    def test_delete(self, people: Directory) -> None:
        bob = people.by_account("bob")
        assert bob
        people.delete(bob)
        assert people.by_account("bob") is None
        assert people.lists(None).by_mid([bob.mid]) == {}
        assert people.by_address("bob@example.test") is None
        assert people.lists(None).count(GLOBAL_ADDRESS_LIST) == 3
        assert people.lists(None).resolve("bob", GLOBAL_ADDRESS_LIST, 9) == []
        for change in (lambda: people.delete(bob), lambda: people.modify(bob, {"title": ["x"]})):
            with pytest.raises(NoSuchEntry):
                change()

    def test_an_id_is_never_given_twice(self, people: Directory) -> None:
        bob = people.by_account("bob")
        assert bob
        people.delete(bob)
        assert create(people, "bob", "Bob Zorn").mid > bob.mid

    def test_entries_are_all_of_them(self, people: Directory) -> None:
        create(people, "ghost", "Ghost", msExchHideFromAddressLists=["TRUE"])
        accounts = {entry.account for entry in people.entries() if entry.account}
        assert accounts == {"carl", "anna", "aebby", "bob", "ghost"}

    # Address lists.

    def test_a_list_is_in_display_name_order_whatever_the_case_and_the_accents(self, people: Directory) -> None:
        expected = ["Äbby Ott", "anna Adams", "Bob Zorn", "Carl Berg"]
        assert names(people.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 10)) == expected
        assert names(people.lists(None).page(GLOBAL_ADDRESS_LIST, 1, 2)) == expected[1:3]
        assert people.lists(None).page(GLOBAL_ADDRESS_LIST, 4, 10) == []
        assert people.lists(None).count(GLOBAL_ADDRESS_LIST) == 4

    def test_position_and_page_agree(self, people: Directory) -> None:
        for row, entry in enumerate(people.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 10)):
            assert people.lists(None).position(GLOBAL_ADDRESS_LIST, entry) == row

    @pytest.mark.parametrize(
        ("sought", "row"), [("", 0), ("a", 0), ("anna", 1), ("ANNA ADAMS", 1), ("annb", 2), ("bob z", 2), ("z", 4)]
    )
    def test_seek_finds_the_first_row_at_or_behind_a_name(self, people: Directory, sought: str, row: int) -> None:
        assert people.lists(None).seek(GLOBAL_ADDRESS_LIST, sought) == row

    def test_a_hidden_entry_is_in_no_list_but_there(self, people: Directory) -> None:
        ghost = create(people, "ghost", "Ghost", msExchHideFromAddressLists=["TRUE"])
        assert people.lists(None).count(GLOBAL_ADDRESS_LIST) == 4
        assert people.lists(None).position(GLOBAL_ADDRESS_LIST, ghost) is None
        assert people.lists(None).resolve("ghost", GLOBAL_ADDRESS_LIST, 9) == []
        assert people.by_account("ghost") == ghost
        people.modify(ghost, {"msExchHideFromAddressLists": None})
        assert people.lists(None).count(GLOBAL_ADDRESS_LIST) == 5

    def test_an_account_without_exchange_attributes_is_in_no_list(self, people: Directory) -> None:
        plain = people.create(Kind.USER, "plain", {"displayName": ["Plain"]})
        assert plain.legacy_exchange_dn == ""
        assert plain.mailbox_guid is None
        assert people.lists(None).count(GLOBAL_ADDRESS_LIST) == 4

    def test_each_list_has_its_kind(self, people: Directory) -> None:
        dn = ORGANIZATION.recipient_dn
        people.create(Kind.GROUP, "staff", {"displayName": ["Staff"], "legacyExchangeDN": [dn("staff")]})
        people.create(
            Kind.CONTACT,
            "",
            {"displayName": ["Dora"], "legacyExchangeDN": [dn("dora")], "objectClass": ["contact"]},
        )
        counts = {
            container.name: people.lists(None).count(container.mid) for container in people.lists(None).containers()
        }
        filled = {"Global Address List": 6, "All Users": 4, "All Groups": 1, "All Contacts": 1}
        assert counts == {**filled, "All Rooms": 0, "Public Folders": 0}
        by_name = {container.name: container.mid for container in people.lists(None).containers()}
        assert names(people.lists(None).resolve("d", by_name["All Contacts"], 5)) == ["Dora"]
        assert people.lists(None).resolve("d", by_name["All Groups"], 5) == []

    def test_a_list_that_is_not_there(self, people: Directory) -> None:
        nowhere = MinimalEntryId(4711)
        for ask in (
            lambda: people.lists(None).count(nowhere),
            lambda: people.lists(None).page(nowhere, 0, 1),
            lambda: people.lists(None).seek(nowhere, "a"),
            lambda: people.lists(None).resolve("a", nowhere, 1),
        ):
            with pytest.raises(NoSuchEntry):
                ask()

    # Name resolution.

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("anna", ["anna Adams"]),
            ("ANNA AD", ["anna Adams"]),
            ("adams", ["anna Adams"]),
            ("adams, anna", ["anna Adams"]),
            ("an ad", ["anna Adams"]),
            ("abby", ["Äbby Ott"]),
            ("a", ["Äbby Ott", "anna Adams"]),
            ("carl@example.test", ["Carl Berg"]),
            ("SMTP:carl@example.test", ["Carl Berg"]),
            ("carl@", ["Carl Berg"]),
            (ORGANIZATION.recipient_dn("bob"), ["Bob Zorn"]),
            ("=bob", ["Bob Zorn"]),
            ("=bo", []),
            ("nobody", []),
            ("b%", []),
            ("b_b", []),
            ("*", []),
            ("", []),
            ("   ", []),
            ("a" * 100_000, []),
            ("\ud800", []),
        ],
    )
    def test_a_name_resolves(self, people: Directory, name: str, expected: list[str]) -> None:
        assert names(people.lists(None).resolve(name, GLOBAL_ADDRESS_LIST, 10)) == expected

    def test_a_whole_name_is_not_ambiguous_because_others_begin_with_it(self, provisioned: Directory) -> None:
        for account in ("user1", "user10", "user11"):
            create(provisioned, account, f"The {account}")
        assert names(provisioned.lists(None).resolve("user1", GLOBAL_ADDRESS_LIST, 10)) == ["The user1"]
        assert len(provisioned.lists(None).resolve("user", GLOBAL_ADDRESS_LIST, 10)) == 3
        assert len(provisioned.lists(None).resolve("user", GLOBAL_ADDRESS_LIST, 2)) == 2

    # Searching a list.

    def test_the_keys_of_a_list_are_in_its_order(self, people: Directory) -> None:
        lists = people.lists(None)
        page = lists.page(GLOBAL_ADDRESS_LIST, 0, 9)
        assert list(lists.keys(GLOBAL_ADDRESS_LIST)) == [(sort_key(one.display_name), one.mid) for one in page]
        some = {page[3].mid, page[0].mid, MinimalEntryId(4711)}
        assert lists.sorted(GLOBAL_ADDRESS_LIST, some) == [page[0].mid, page[3].mid]

    def test_a_list_has_the_order_of_a_language(self, people: Directory) -> None:
        lists, swedish = people.lists(None), SortOrder(0x041D)
        page = lists.page(GLOBAL_ADDRESS_LIST, 0, 9, swedish)
        assert names(page) == ["anna Adams", "Bob Zorn", "Carl Berg", "Äbby Ott"]
        assert lists.sorted(GLOBAL_ADDRESS_LIST, {page[3].mid, page[0].mid}, swedish) == [page[0].mid, page[3].mid]
        assert (
            lists.seek(GLOBAL_ADDRESS_LIST, "ä", swedish) == lists.position(GLOBAL_ADDRESS_LIST, page[3], swedish) == 3
        )

    @pytest.mark.parametrize(
        ("beginning", "found"),
        [("an", 1), ("adams", 1), ("a", 2), ("smtp:", None), ("carl@", 1), ("nobody", 0), ("", None), ("%", 0)],
    )
    def test_who_has_a_name_that_begins_so(self, people: Directory, beginning: str, found: int | None) -> None:
        mids = people.lists(None).named(beginning, 3)
        assert (None if mids is None else len(mids)) == found

    def test_who_has_a_value_that_begins_so(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna
        people.modify(anna, {"title": ["Chief Reader"], "department": ["Lesehalle"]})
        lists = people.lists(None)
        assert lists.named("chief", 3, "title") == lists.named("LÉSE", 3, "department") == {anna.mid}
        for beginning, attribute in (("reader", "title"), ("chief", "department"), ("chief", None), ("title", None)):
            assert lists.named(beginning, 3, attribute) == set()
        assert names(lists.resolve("chief", GLOBAL_ADDRESS_LIST, 9)) == []

    def test_many_names_resolve_as_each_does(self, people: Directory) -> None:
        lists = people.lists(None)
        asked = [
            "anna",
            "ANNA@example.test",
            "a",
            "=bob",
            "=bo",
            "nobody",
            "",
            "anna",
            "adams, anna",
            "x" * 9999,
            "a\0b",
        ]
        found = lists.resolve_all(asked, GLOBAL_ADDRESS_LIST, 2)
        assert found == [lists.resolve(name, GLOBAL_ADDRESS_LIST, 2) for name in asked]
        assert [len(some) for some in found] == [1, 1, 2, 1, 0, 0, 0, 1, 1, 0, 0]
        assert lists.resolve_all([], GLOBAL_ADDRESS_LIST, 2) == []

    def test_many_distinguished_names_at_once(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna
        people.modify(anna, {"proxyAddresses": ["SMTP:anna@example.test", "X500:/o=Old/cn=anna"]})
        asked = [anna.legacy_exchange_dn.upper(), "/o=nobody", "", "/O=OLD/CN=ANNA", anna.legacy_exchange_dn, "\0"]
        found = people.lists(None).mids_by_legacy_dn(asked)
        assert found == [anna.mid, None, None, anna.mid, anna.mid, None]
        assert people.lists(None).mids_by_legacy_dn([]) == []

    def test_links_of_a_page_are_read_at_once(self, people: Directory) -> None:
        anna, bob, carl = (people.by_account(name) for name in ("anna", "bob", "carl"))
        assert anna
        assert bob
        assert carl
        for report in (bob, carl):
            people.change_links(report, "manager", [anna])
        lists, page = people.lists(None), [anna, bob, carl]
        assert lists.link_counts(page, "manager") == {bob.mid: 1, carl.mid: 1}
        assert lists.link_counts(page, "directReports") == {anna.mid: 2}
        assert lists.link_counts(page, "directReports", Kind.USER) == {anna.mid: 2}
        assert lists.link_counts(page, "directReports", Kind.CONTACT) == {}
        assert lists.link_counts([], "directReports") == {}
        both = [(bob.legacy_exchange_dn, "Bob Zorn"), (carl.legacy_exchange_dn, "Carl Berg")]
        assert lists.linked_names(page, "directReports") == {anna.mid: both}
        assert lists.linked_names(page, "directReports", 1) == {anna.mid: both[:1]}
        assert set(lists.linked_names(page, "manager", 1)) == {bob.mid, carl.mid}

    # Accounts.

    def test_an_account_logs_on_with_the_hash_of_its_password(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna
        assert people.account("anna").nt_hash is None
        people.set_password(anna, "Password")
        for name in ("anna", "ANNA", "anna@example.test"):
            account = people.account(name)
            assert account
            # [MS-NLMP] 4.2.1: NTOWFv1 of "Password"
            assert account.nt_hash == bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852")
            assert (account.name, account.enabled) == ("anna", True)
        people.set_enabled(anna, False)
        assert people.account("anna").enabled is False

    def test_a_password_is_not_printed(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna
        people.set_password(anna, "Password")
        account = people.account("anna")
        assert "a4f49c" not in repr(account)
        assert "xa4" not in repr(account)
        assert "nt_hash" not in repr(people.by_account("anna"))

    def test_a_deleted_account_s_password_does_not_come_back(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna
        people.set_password(anna, "Password")
        people.delete(anna)
        create(people, "anna", "anna Adams")
        assert people.account("anna").nt_hash is None

    def test_full_access_is_given_and_taken(self, people: Directory) -> None:
        anna, bob, carl = (people.by_account(name) for name in ("anna", "bob", "carl"))
        assert anna
        assert bob
        assert carl
        people.change_full_access(bob, [carl, anna])
        people.change_full_access(bob, [anna])
        assert names(people.full_access(bob)) == ["anna Adams", "Carl Berg"]
        assert may_open_mailbox(people, anna, bob)
        assert may_open_mailbox(people, bob, bob)
        assert not may_open_mailbox(people, bob, anna)
        people.modify(bob, {"title": ["King"]})
        people.change_full_access(bob, remove=[carl])
        assert names(people.full_access(bob)) == ["anna Adams"]

    def test_nobody_inherits_the_full_access_of_a_deleted_account(self, people: Directory) -> None:
        anna, bob = people.by_account("anna"), people.by_account("bob")
        assert anna
        assert bob
        people.change_full_access(bob, [anna])
        people.delete(anna)
        again = create(people, "anna", "anna Adams")
        assert not may_open_mailbox(people, again, bob)
        assert people.full_access(bob) == []
        with pytest.raises(NoSuchEntry):
            people.change_full_access(bob, [anna])
        # Nor who was let into a mailbox, when another one gets its name.
        people.change_full_access(bob, [again])
        people.delete(bob)
        assert people.full_access(create(people, "bob", "Bob Zorn")) == []


class TestEmbeddedDirectory(DirectoryContract):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Iterator[Directory]:
        url = f"sqlite:///{tmp_path}/directory.db"
        upgrade(url)
        directory = EmbeddedDirectory(url)
        yield directory
        directory.close()
