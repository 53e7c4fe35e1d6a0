"""What a directory in LDAP does besides what all of them promise (tests/contract), on a real slapd."""

from __future__ import annotations

import dataclasses
import logging
import ssl
import uuid
from pathlib import Path

import pytest

from openchange_py.addressbook.base import (
    SHOW_IN_ADDRESS_BOOK,
    DirectoryError,
    Entry,
    EntryExists,
    Kind,
    NoSuchEntry,
    Organization,
)
from openchange_py.addressbook.departments import SENIORITY, mark, root, set_root, tree
from openchange_py.addressbook.ldap.connection import DirectoryAway
from openchange_py.addressbook.ldap.directory import LdapDirectory
from openchange_py.addressbook.migrate import upgrade
from tests.addressbook.ldap.conftest import ORGANIZATION, SECOND, servers_of
from tests.mailboxes import exchange_attributes
from tests.slapd import ADMIN_PASSWORD, BASE, Slapd

PEOPLE = f"ou=people,{BASE}"
#: What means something in a filter, a distinguished name, LDIF or SQL.
STRANGE = [
    "*",
    "(",
    ")",
    "\\",
    "x)(objectClass=*",
    "a,b",
    "a+b=c",
    "#a",
    '"a"',
    "<a>",
    "a;b",
    "a=b",
    "älice",
    "'; --",
    "%",
]


def unique(name: str) -> str:
    """The server is the module's: names are of the test alone."""
    return f"{name}{uuid.uuid4().hex[:8]}"


def user(directory: LdapDirectory, name: str, organization: Organization = ORGANIZATION, **more: list[str]) -> Entry:
    attributes = exchange_attributes(organization, "SRV", name, f"{name}@example.test", f"The {name}")
    return directory.create(Kind.USER, name, attributes | more)


def group(directory: LdapDirectory, name: str) -> Entry:
    names = {"displayName": [name], "mailNickname": [name], "legacyExchangeDN": [ORGANIZATION.recipient_dn(name)]}
    return directory.create(Kind.GROUP, "", names)


def lists_of(directory: LdapDirectory, entry: Entry) -> set[str]:
    lists = directory.lists(entry)
    return {one.name for one in lists.containers() if lists.position(one.mid, entry) is not None}


def members(directory: LdapDirectory, entry: Entry) -> list[str]:
    return [one.display_name for one in directory.lists(entry).linked(entry, "member")]


def test_what_is_written_is_on_the_server_and_in_the_index_at_once(exchange: Slapd, directory: LdapDirectory) -> None:
    made = user(directory, unique("alice"), title=["Reader"])
    assert made.name.startswith("uid=alice")
    assert made.name.endswith(PEOPLE)
    assert directory.by_guid(made.guid) == made
    assert lists_of(directory, made) == {"Default Global Address List", "All Users"}
    fresh = LdapDirectory(directory.servers, str(directory.database.url))
    assert fresh.by_guid(made.guid) == made
    fresh.close()


def test_another_index_of_the_same_server_says_the_same(directory: LdapDirectory, tmp_path: Path) -> None:
    made = user(directory, unique("alice"), givenName=["Alice"])
    url = f"sqlite:///{tmp_path}/other.db"
    upgrade(url)
    other = LdapDirectory(directory.servers, url, ORGANIZATION.name)
    other.catch_up()
    assert dataclasses.replace(other.by_guid(made.guid), mid=made.mid) == made
    other.close()


@pytest.mark.parametrize("text", STRANGE)
def test_every_value_means_itself_and_harms_nobody(directory: LdapDirectory, text: str) -> None:
    name = unique("odd")
    other = user(directory, unique("other"))
    made = user(directory, name, displayName=[text], title=[text], physicalDeliveryOfficeName=[text])
    assert (made.display_name, made.first("title")) == (text, text)
    changed = directory.modify(
        made, {"info": [text], "proxyAddresses": [f"SMTP:{name}@example.test", f"smtp:{name}{text}"]}
    )
    assert directory.by_address(f"{name}{text}") == changed
    assert directory.by_address(text) is None
    dn = ORGANIZATION.recipient_dn(f"c{name}")
    contact = directory.create(Kind.CONTACT, "", {"displayName": [f"{text}{name}"], "legacyExchangeDN": [dn]})
    assert contact.display_name == f"{text}{name}"
    team = group(directory, f"{text}t{name}")
    directory.change_links(team, "member", add=[made, contact, team])
    assert set(members(directory, team)) == {text, contact.display_name}
    directory.delete(team)
    directory.delete(contact)
    directory.delete(changed)
    assert directory.by_guid(other.guid) == other
    assert directory.modify(other, {"title": ["still there"]}).first("title") == "still there"


@pytest.mark.parametrize("text", [*STRANGE, "\0", "a\0b", "\ud800", "", " ", "x" * 100_000])
def test_no_search_input_matches_what_it_is_not(directory: LdapDirectory, text: str) -> None:
    user(directory, unique("alice"))
    assert directory.by_account(text) is None
    assert directory.by_address(text) is None
    assert directory.by_legacy_dn(text) is None
    assert directory.account(text) is None


def test_a_taken_name_is_refused_and_nothing_is_made(directory: LdapDirectory) -> None:
    name, other = unique("alice"), unique("bob")
    alice = user(directory, name)
    for clash in (
        {"legacyExchangeDN": [alice.legacy_exchange_dn.upper()]},
        {"proxyAddresses": [f"smtp:{name.upper()}@example.test"]},
        {"mail": [f"{name}@EXAMPLE.test"]},
    ):
        with pytest.raises(EntryExists, match=f"is The {name}'s already"):
            user(directory, other, **clash)
    with pytest.raises(EntryExists):
        user(directory, name.upper())
    bob = user(directory, other)
    with pytest.raises(EntryExists, match=f"The {name}"):
        directory.modify(bob, {"mail": [f"{name}@example.test"], "title": ["Boss"]})
    assert directory.by_guid(bob.guid) == bob
    assert directory.modify(bob, {"mail": [f"{other}@example.test"]}).first("mail") == f"{other}@example.test"


def test_organizations_keep_apart(directory: LdapDirectory) -> None:
    name = unique("alice")
    first = user(directory, name)
    second = user(
        directory, unique("other"), SECOND, mail=[f"{name}@example.test"], proxyAddresses=[f"SMTP:{name}@example.test"]
    )
    assert [one.name for one in directory.organizations()] == [ORGANIZATION.name, SECOND.name]
    assert directory.organization() == ORGANIZATION
    assert directory.lists(second).by_guid(first.guid) is None
    assert directory.lists(first).by_address(f"{name}@example.test") == first
    assert directory.lists(second).by_address(f"{name}@example.test") == second
    assert lists_of(directory, second) == {"Default Global Address List", "All Users"}


def test_members_come_and_go_and_an_empty_group_is_empty(directory: LdapDirectory) -> None:
    alice, bob, team = (
        user(directory, unique("alice")),
        user(directory, unique("bob")),
        group(directory, unique("team")),
    )
    assert members(directory, team) == []
    directory.change_links(team, "member", add=[alice, bob])
    directory.change_links(team, "member", add=[alice])
    assert members(directory, team) == sorted([alice.display_name, bob.display_name])
    directory.change_links(team, "member", add=[alice], remove=[bob])
    assert members(directory, team) == [alice.display_name]
    directory.change_links(team, "member", remove=[alice, bob])
    assert members(directory, team) == []
    directory.change_links(team, "member", add=[bob])
    assert members(directory, team) == [bob.display_name]
    assert [one.display_name for one in directory.lists(bob).linked(bob, "memberOf")] == [team.display_name]
    with pytest.raises(DirectoryError, match="no link"):
        directory.change_links(team, "title", add=[bob])


def test_lists_follow_what_an_entry_is(directory: LdapDirectory) -> None:
    made = directory.create(Kind.USER, name := unique("late"), {"displayName": [name]})
    assert made.legacy_exchange_dn == ""
    full = exchange_attributes(ORGANIZATION, "SRV", name, f"{name}@example.test", name)
    mailbox = directory.modify(made, full)
    assert lists_of(directory, mailbox) == {"Default Global Address List", "All Users"}
    assert lists_of(directory, directory.modify(mailbox, {"mailNickname": None})) == set()


def test_an_entry_that_was_moved_is_found(exchange: Slapd, directory: LdapDirectory) -> None:
    made = user(directory, unique("mover"))
    where = unique("place")
    exchange.change(f"dn: ou={where},{BASE}\nobjectClass: organizationalUnit\n\n")
    uid = made.name.partition(",")[0]
    exchange.change(
        f"dn: {made.name}\nchangetype: modrdn\nnewrdn: {uid}\ndeleteoldrdn: 1\nnewsuperior: ou={where},{BASE}\n\n"
    )
    changed = directory.modify(made, {"title": ["Boss"]})
    assert changed.name == f"{uid},ou={where},{BASE}"
    assert (changed.mid, changed.first("title")) == (made.mid, "Boss")


def test_who_is_gone_is_said_to_be(exchange: Slapd, directory: LdapDirectory) -> None:
    made = user(directory, unique("gone"))
    exchange.change(f"dn: {made.name}\nchangetype: delete\n\n")
    for change in (
        lambda: directory.modify(made, {"title": ["x"]}),
        lambda: directory.set_enabled(made, False),
        lambda: directory.set_password(made, "x"),
        lambda: directory.delete(made),
    ):
        with pytest.raises(NoSuchEntry, match="not in the directory any more"):
            change()


def test_who_gets_a_deleted_one_s_name_inherits_no_mailbox(directory: LdapDirectory) -> None:
    """Full access is kept beside the directory: what is read from it again takes none away, and gives none."""
    name = unique("alice")
    alice, bob, carol = user(directory, name), user(directory, unique("bob")), user(directory, unique("carol"))
    directory.change_full_access(bob, [alice, carol])
    bob = directory.modify(bob, {"title": ["King"]})
    assert {one.guid for one in directory.full_access(bob)} == {alice.guid, carol.guid}
    directory.delete(alice)
    user(directory, name)
    assert [one.guid for one in directory.full_access(bob)] == [carol.guid]


def test_what_the_schema_has_no_place_for_is_left_out_and_told(
    directory: LdapDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    """Exchange's setup adds more to a schema than was ever published: a room is one without them too."""
    name = unique("room")
    with caplog.at_level(logging.WARNING):
        room = user(directory, name, msExchResourceMetaData=["ResourceType:Room"])
        room = directory.modify(room, {"msExchResourceCapacity": ["12"], "title": ["Blue"]})
    assert room.first("title") == "Blue"
    assert "msExchResourceMetaData is not kept" in caplog.text
    assert "msExchResourceCapacity is not kept" in caplog.text
    with pytest.raises(DirectoryError, match="msExchCoManagedByLink: only Exchange"):
        directory.change_links(room, "msExchCoManagedByLink", [room])
    directory.change_links(room, "msExchCoManagedByLink", remove=[room])


def test_the_index_holds_no_password(directory: LdapDirectory) -> None:
    made = user(directory, unique("secretive"))
    directory.set_password(made, "Sesame-1")
    account = directory.account(str(made.account))
    assert account is not None
    assert (account.nt_hash, account.enabled) == (None, True)
    directory.set_enabled(made, False)
    disabled = directory.account(str(made.account))
    assert disabled is not None
    assert not disabled.enabled


def test_what_is_made_elsewhere_is_refused(directory: LdapDirectory) -> None:
    with pytest.raises(DirectoryError, match="ocpy provision"):
        directory.create(Kind.SERVER, "", {"cn": ["SRV2"]})
    with pytest.raises(DirectoryError, match="no link"):
        directory.create(Kind.USER, unique("x"), {"displayName": ["x"]}, {"title": ["x"]})
    with pytest.raises(DirectoryError, match="needs a displayName"):
        directory.create(Kind.CONTACT, "", {"title": ["x"]})


def test_links_of_a_new_entry_are_as_told(directory: LdapDirectory) -> None:
    boss = user(directory, unique("boss"))
    name = unique("worker")
    made = directory.create(
        Kind.USER,
        name,
        exchange_attributes(ORGANIZATION, "SRV", name, f"{name}@example.test", name),
        {"manager": [boss.name], SHOW_IN_ADDRESS_BOOK: []},
    )
    assert lists_of(directory, made) == set()
    assert [one.guid for one in directory.lists(made).linked(made, "manager")] == [boss.guid]
    assert [one.guid for one in directory.lists(boss).linked(boss, "directReports")] == [made.guid]


def test_with_the_server_away_reading_goes_on_and_writing_says_why(
    exchange: Slapd, directory: LdapDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = user(directory, unique("alice"))
    exchange.stop()
    try:
        assert directory.by_guid(made.guid) == made
        assert lists_of(directory, made) == {"Default Global Address List", "All Users"}
        for change in (
            lambda: directory.modify(made, {"title": ["x"]}),
            lambda: user(directory, unique("bob")),
            lambda: directory.delete(made),
        ):
            with pytest.raises(DirectoryAway, match=exchange.ldaps):
                change()
    finally:
        exchange.start()
    assert directory.modify(made, {"title": ["x"]}).first("title") == "x"
    assert ADMIN_PASSWORD not in caplog.text
    assert servers_of(exchange) == directory.servers


def test_a_large_group(exchange: Slapd, directory: LdapDirectory) -> None:
    mark = unique("m")
    exchange.change("".join(person(f"{mark}-{number}") for number in range(2500)))
    directory.catch_up()
    everybody = [one for one in directory.entries() if (one.account or "").startswith(mark)]
    assert len(everybody) == 2500
    team = group(directory, unique("large"))
    directory.change_links(team, "member", add=everybody)
    assert directory.lists(team).link_count(team, "member") == 2500
    directory.change_links(team, "member", remove=everybody[1:])
    assert members(directory, team) == [everybody[0].display_name]


def person(name: str) -> str:
    """As another program would write it."""
    about = ["objectClass: inetOrgPerson", "objectClass: mailRecipient", f"cn: {name}", "sn: x", f"uid: {name}"]
    return "\n".join(
        [f"dn: uid={name},{PEOPLE}", *about, f"legacyExchangeDN: {ORGANIZATION.recipient_dn(name)}", "", ""]
    )


def test_departments_are_made_in_the_organization_that_is_there(directory: LdapDirectory) -> None:
    groups = {name: group(directory, unique(name)) for name in ("board", "sales", "support")}
    directory.change_links(groups["board"], "member", [groups["sales"], groups["support"]])
    for name in ("sales", "support"):
        mark(directory, groups[name], True)
    directory.modify(groups["support"], {SENIORITY: ["2"]})
    set_root(directory, groups["board"])
    directory.catch_up()
    top = root(directory)
    assert top
    assert [(depth, one.guid) for depth, one in tree(directory, top)] == [
        (0, groups["board"].guid),
        (1, groups["support"].guid),
        (1, groups["sales"].guid),
    ]
    mark(directory, groups["sales"], False)
    set_root(directory, groups["support"])
    directory.catch_up()
    assert (found := root(directory))
    assert found.guid == groups["support"].guid
    set_root(directory, None)
    directory.catch_up()
    assert root(directory) is None


def test_certificates_are_written_and_read(directory: LdapDirectory, exchange: Slapd) -> None:
    certificate = ssl.PEM_cert_to_DER_cert(exchange.ca_file.read_text("ascii"))
    alice = user(directory, unique("alice"))
    changes = {"userCertificate": [certificate], "userSMIMECertificate": [b"any bytes\0\xff"]}
    directory.modify(alice, changes)
    directory.catch_up()
    found = directory.by_legacy_dn(alice.legacy_exchange_dn)
    assert found
    assert {name: found.attributes[name] for name in changes} == changes
    directory.modify(found, dict.fromkeys(changes))
    found = directory.by_legacy_dn(alice.legacy_exchange_dn)
    assert found
    assert not changes.keys() & found.attributes.keys()
