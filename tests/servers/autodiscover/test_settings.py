"""What is told of whom, and to whom."""

from __future__ import annotations

import dataclasses
import re

import pytest

from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.rpc.security import Identity
from openchange_py.servers.autodiscover.settings import (
    VERSION,
    Finder,
    Mailbox,
    NoSettings,
    Offer,
    Problem,
    Redirect,
    is_smtp_address,
)
from openchange_py.servers.emsmdb.server import SERVER_VERSION
from openchange_py.wire.oxcrpc import wire_version
from tests.servers.autodiscover.conftest import ALICE, ALICE_DN, BOB, OFFER, ORGANIZATION, SERVER_DN

NAMES = {"netbios": "PROXY1", "internal_host": "proxy1.example.test"}
RELAYING = dataclasses.replace(OFFER, relays=True, hides_servers=True, **NAMES)  # type: ignore[arg-type]


def test_a_mailbox_here(directory: EmbeddedDirectory, finder: Finder) -> None:
    entry = directory.by_account("alice")
    assert entry is not None
    found = finder.find(ALICE, "ALICE@example.test")
    assert isinstance(found, Mailbox)
    assert found.smtp_address == "alice@example.test"
    assert found.display_name == "Alice <Ä & Co>"
    assert found.legacy_dn == ALICE_DN
    assert found.mailbox_id == f"{entry.mailbox_guid}@example.test"
    assert (found.server_dn, found.mdb_dn) == (SERVER_DN, f"{SERVER_DN}/cn=Microsoft Private MDB")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found.deployment_id)


def test_all_of_an_organization_have_one_deployment_id(finder: Finder) -> None:
    found = [finder.find(ALICE, f"{name}@example.test") for name in ("alice", "bob")]
    assert len({each.deployment_id for each in found if isinstance(each, Mailbox)}) == 1


def test_a_legacy_dn_is_used_in_place_of_the_address(finder: Finder) -> None:
    by_dn = finder.find(BOB, "bob@example.test", ALICE_DN.upper())
    assert isinstance(by_dn, Mailbox)
    assert by_dn.smtp_address == "alice@example.test"
    with pytest.raises(NoSettings) as error:
        finder.find(BOB, "bob@example.test", "/o=First Organization/cn=nobody")
    assert error.value.problem is Problem.UNKNOWN


@pytest.mark.parametrize("address", ["", "nobody@example.test", "alice", f"EX:{ALICE_DN}", "x" * 5000, "a@b\0"])
def test_unknown_addresses_are_unknown(finder: Finder, address: str) -> None:
    with pytest.raises(NoSettings) as error:
        finder.find(ALICE, address)
    assert error.value.problem is Problem.UNKNOWN


def test_a_group_has_no_mailbox_here_nor_on_the_relayed_side(directory: EmbeddedDirectory) -> None:
    for offer in (OFFER, RELAYING):
        with pytest.raises(NoSettings) as error:
            Finder(directory, offer).find(ALICE, "staff@example.test")
        assert error.value.problem is Problem.NO_MAILBOX


def test_who_is_hidden_is_found_by_himself_and_by_who_may_open_his_mailbox(
    directory: EmbeddedDirectory, finder: Finder
) -> None:
    ann = directory.by_account("ann")
    assert ann is not None
    assert isinstance(finder.find(Identity("ann"), "ann@example.test"), Mailbox)
    for asker in (ALICE, Identity("stranger")):
        with pytest.raises(NoSettings) as error:
            finder.find(asker, "ann@example.test")
        assert error.value.problem is Problem.UNKNOWN
    alice = directory.by_account("alice")
    assert alice is not None
    directory.change_full_access(ann, [alice])
    assert isinstance(finder.find(ALICE, "", ann.legacy_exchange_dn), Mailbox)


def test_in_front_of_another_server_everything_names_this_one(directory: EmbeddedDirectory) -> None:
    found = Finder(directory, RELAYING).find(ALICE, "alice@example.test")
    assert isinstance(found, Mailbox)
    own = ORGANIZATION.server_dn("PROXY1")
    assert (found.server_dn, found.mdb_dn) == (own, f"{own}/cn=Microsoft Private MDB")
    assert "EXCH1" not in repr(found)


def test_where_names_are_not_replaced_the_server_is_called_as_the_address_book_has_it(
    directory: EmbeddedDirectory,
) -> None:
    offer = dataclasses.replace(RELAYING, hides_servers=False)
    found = Finder(directory, offer).find(ALICE, "alice@example.test")
    assert isinstance(found, Mailbox)
    assert found.server_dn == SERVER_DN


def test_on_the_relayed_side_a_mailbox_needs_no_guid_in_this_directory(directory: EmbeddedDirectory) -> None:
    entry = directory.by_account("bob")
    assert entry is not None
    directory.modify(entry, {"msExchMailboxGuid": None})
    with pytest.raises(NoSettings) as error:
        Finder(directory, OFFER).find(ALICE, "bob@example.test")
    assert error.value.problem is Problem.NO_MAILBOX
    found = Finder(directory, RELAYING).find(ALICE, "bob@example.test")
    assert isinstance(found, Mailbox)
    assert found.mailbox_id == f"{entry.guid}@example.test"


def test_a_mailbox_in_another_organization_is_asked_for_there(finder: Finder) -> None:
    assert finder.find(ALICE, "dora@example.test") == Redirect(address="dora@other.test")


def test_a_target_that_is_an_own_address_leads_nobody_in_a_circle(directory: EmbeddedDirectory, finder: Finder) -> None:
    entry = directory.by_account("dora")
    assert entry is not None
    directory.modify(entry, {"targetAddress": ["SMTP:DORA@example.test"]})
    assert isinstance(finder.find(ALICE, "dora@example.test"), Mailbox)


def test_a_mailbox_on_another_server_of_known_address_is_asked_for_there(directory: EmbeddedDirectory) -> None:
    directory.provision(ORGANIZATION, "EXCH2")
    second, alice = directory.by_legacy_dn(ORGANIZATION.server_dn("EXCH2")), directory.by_account("alice")
    assert second is not None
    assert alice is not None
    directory.modify(alice, {"msExchHomeServerName": [second.legacy_exchange_dn]})
    assert isinstance(Finder(directory, OFFER).find(ALICE, "alice@example.test"), Mailbox), "it is not known where"
    directory.modify(second, {"networkAddress": ["netbios:EXCH2", "ncacn_ip_tcp:exch2.example.test"]})
    redirect = Redirect(host="exch2.example.test")
    assert Finder(directory, OFFER).find(ALICE, "alice@example.test") == redirect
    assert isinstance(Finder(directory, RELAYING).find(ALICE, "alice@example.test"), Mailbox)
    directory.modify(second, {"networkAddress": ["ncacn_ip_tcp:bad host/../"]})
    assert isinstance(Finder(directory, OFFER).find(ALICE, "alice@example.test"), Mailbox)


def test_urls_name_the_port_where_it_is_not_the_usual_one() -> None:
    offer = Offer("EXCH1", "in.test", "out.test", https_port=8443)
    assert offer.url("in.test", "/x") == "https://in.test:8443/x"
    assert OFFER.url("in.test", "/x") == "https://in.test/x"


def test_the_version_is_what_a_session_is_told() -> None:
    assert wire_version(*VERSION) == SERVER_VERSION


@pytest.mark.parametrize(
    ("text", "is_one"), [("a@b", True), ("a.b+c@d.e", True), ("a", False), ("a@b@c", False), ("a @b", False)]
)
def test_what_looks_like_a_mail_address(text: str, is_one: bool) -> None:
    assert is_smtp_address(text) is is_one
