from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.administration import Changes, Recipients
from openchange_py.addressbook.base import (
    Directory,
    DirectoryError,
    Entry,
    EntryExists,
    Kind,
    NoSuchEntry,
    Organization,
)
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.addressbook.recipients import (
    DISTRIBUTION_GROUP,
    MAIL_CONTACT,
    ROOM_MAILBOX,
    SECURITY_GROUP,
    USER_MAILBOX,
)

ORGANIZATION = Organization("First", "Group")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    opened = EmbeddedDirectory(url)
    opened.provision(ORGANIZATION, "SRV")
    yield opened
    opened.close()


@pytest.fixture
def recipients(directory: Directory) -> Recipients:
    return Recipients(directory, "SRV", "example.test")


@pytest.fixture
def alice(recipients: Recipients) -> Entry:
    return recipients.create(USER_MAILBOX, "alice", Changes({"displayName": ["Alice Liddell"]}))[0]


def test_a_recipient_is_made_once_and_changed_by_the_second_time(recipients: Recipients, alice: Entry) -> None:
    again, made = recipients.create(USER_MAILBOX, "alice", Changes({"title": ["Queen"]}))
    assert not made
    assert (again.guid, again.mailbox_guid) == (alice.guid, alice.mailbox_guid)
    assert (again.first("title"), again.display_name) == ("Queen", "Alice Liddell")


def test_an_account_of_the_directory_gets_what_it_lacks(recipients: Recipients, directory: Directory) -> None:
    known = directory.create(Kind.USER, "bob", {"displayName": ["Bob"], "title": ["King"], "mail": ["b@example.test"]})
    entry, made = recipients.create(USER_MAILBOX, "bob", Changes())
    assert made
    assert entry.guid == known.guid
    assert (entry.display_name, entry.first("title"), entry.smtp_address) == ("Bob", "King", "b@example.test")
    assert entry.mailbox_guid is not None


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.test", "Alice Liddell"])
def test_who_is_found_by_what(recipients: Recipients, alice: Entry, name: str) -> None:
    assert recipients.existing(name).guid == alice.guid
    assert recipients.existing(alice.legacy_exchange_dn).guid == alice.guid


def test_nobody_is_found_by_half_of_a_name(recipients: Recipients, alice: Entry) -> None:
    assert recipients.find("Alice") is not None  # the account
    assert recipients.find("Lidd") is None
    with pytest.raises(NoSuchEntry, match="Lidd"):
        recipients.existing("Lidd")


def test_a_display_name_of_two_is_nobody_s(recipients: Recipients) -> None:
    for account in ("smith1", "smith2"):
        recipients.create(USER_MAILBOX, account, Changes({"displayName": ["John Smith"]}))
    with pytest.raises(DirectoryError, match=r"smith1 or .*smith2"):
        recipients.find("John Smith")


def test_a_name_that_somebody_had_before_does_not_mean_him(recipients: Recipients, alice: Entry) -> None:
    recipients.update(
        alice, Changes({"proxyAddresses": ["SMTP:alice@example.test", f"X500:{ORGANIZATION.recipient_dn('ally')}"]})
    )
    assert recipients.find("ally") is None
    ally, made = recipients.create(USER_MAILBOX, "ally", Changes())
    assert made
    assert ally.guid != alice.guid
    # The name itself stays alice's: old mail must find her.
    assert ally.legacy_exchange_dn != ORGANIZATION.recipient_dn("ally")
    assert ally.legacy_exchange_dn.startswith(ORGANIZATION.recipient_dn("ally"))


def test_a_name_is_not_made_something_else(recipients: Recipients, alice: Entry) -> None:
    for kind in (DISTRIBUTION_GROUP, MAIL_CONTACT, ROOM_MAILBOX):
        with pytest.raises(EntryExists, match="alice"):
            recipients.create(kind, "alice", Changes())
    recipients.create(DISTRIBUTION_GROUP, "staff", Changes())
    with pytest.raises(EntryExists, match="distribution"):
        recipients.create(SECURITY_GROUP, "staff", Changes())


def test_addresses_are_one_recipient_s(recipients: Recipients, alice: Entry) -> None:
    bob, _ = recipients.create(USER_MAILBOX, "bob", Changes())
    for changes in (Changes(mail="ALICE@example.test"), Changes(add_addresses=["alice@example.test"])):
        with pytest.raises(EntryExists, match="alice's"):
            recipients.update(bob, changes)
    with pytest.raises(EntryExists):
        recipients.create(USER_MAILBOX, "carl", Changes(mail="alice@example.test"))
    assert recipients.find("carl") is None


def test_addresses_come_and_go_and_the_primary_one_stays(recipients: Recipients, alice: Entry) -> None:
    alice = recipients.update(alice, Changes(add_addresses=["al@example.test", "AL@example.test"]))
    assert [one for one in alice.all("proxyAddresses") if one.startswith("smtp:")] == ["smtp:al@example.test"]
    alice = recipients.update(alice, Changes(mail="queen@example.test", remove_addresses=["al@example.test"]))
    mails = [one for one in alice.all("proxyAddresses") if one.casefold().startswith("smtp:")]
    assert mails == ["SMTP:queen@example.test", "smtp:alice@example.test"]
    with pytest.raises(DirectoryError, match="primary"):
        recipients.update(alice, Changes(remove_addresses=["queen@example.test"]))


def test_a_contact_s_mail_goes_to_its_new_address(recipients: Recipients) -> None:
    carol, _ = recipients.create(MAIL_CONTACT, "carol", Changes(mail="carol@else.test"))
    carol = recipients.update(carol, Changes(mail="carol@new.test"))
    assert carol.all("targetAddress") == ["SMTP:carol@new.test"]


def test_members_come_and_go(recipients: Recipients, alice: Entry) -> None:
    bob, _ = recipients.create(USER_MAILBOX, "bob", Changes())
    staff, _ = recipients.create(DISTRIBUTION_GROUP, "staff", Changes(links={"member": (["alice", "bob"], [])}))
    assert {one.guid for one in recipients.linked(staff, "member")} == {alice.guid, bob.guid}
    recipients.update(staff, Changes(links={"member": (["alice"], ["bob@example.test"])}))
    assert [one.guid for one in recipients.linked(staff, "member")] == [alice.guid]
    assert [one.guid for one in recipients.linked(alice, "memberOf")] == [staff.guid]


def test_one_has_one_manager_or_none(recipients: Recipients, alice: Entry) -> None:
    bob, _ = recipients.create(USER_MAILBOX, "bob", Changes(links={"manager": (["alice"], [])}))
    recipients.create(USER_MAILBOX, "carl", Changes())
    recipients.update(bob, Changes(links={"manager": (["carl"], [])}))
    assert [one.account for one in recipients.linked(bob, "manager")] == ["carl"]
    assert recipients.linked(alice, "directReports") == []
    recipients.update(bob, Changes(cleared_links=["manager"]))
    assert recipients.linked(bob, "manager") == []


def test_a_member_whom_nobody_knows_changes_nothing(recipients: Recipients, alice: Entry) -> None:
    staff, _ = recipients.create(DISTRIBUTION_GROUP, "staff", Changes())
    with pytest.raises(NoSuchEntry, match="nobody"):
        recipients.update(staff, Changes({"info": ["x"]}, links={"member": (["alice", "nobody"], [])}))
    assert recipients.existing("staff").first("info") is None
    assert recipients.linked(staff, "member") == []
    with pytest.raises(NoSuchEntry):
        recipients.create(DISTRIBUTION_GROUP, "crew", Changes(links={"member": (["nobody"], [])}))
    assert recipients.find("crew") is None


def test_an_account_without_exchange_attributes_is_no_member(recipients: Recipients, directory: Directory) -> None:
    directory.create(Kind.USER, "plain", {"displayName": ["Plain"]})
    with pytest.raises(DirectoryError, match="newuser --create plain"):
        recipients.create(DISTRIBUTION_GROUP, "staff", Changes(links={"member": (["plain"], [])}))


def test_what_changes_nothing_writes_nothing(recipients: Recipients, directory: Directory, alice: Entry) -> None:
    again = recipients.update(alice, Changes({"displayName": ["Alice Liddell"], "title": None}))
    assert again.first("whenChanged") == alice.first("whenChanged")


def test_without_a_server_in_the_directory_there_is_no_mailbox(directory: Directory) -> None:
    with pytest.raises(NoSuchEntry, match="ocpy provision"):
        Recipients(directory, "OTHER", "example.test").create(USER_MAILBOX, "alice", Changes())


@pytest.mark.parametrize(
    ("changes", "some"),
    [
        (Changes(), False),
        (Changes({"title": None}), True),
        (Changes(mail="a@b.test"), True),
        (Changes(links={"member": ((), ())}), False),
        (Changes(links={"member": ((), ("a",))}), True),
        (Changes(cleared_links=["manager"]), True),
    ],
)
def test_whether_anything_changes(changes: Changes, some: bool) -> None:
    assert bool(changes) is some
