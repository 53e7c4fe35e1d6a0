import logging
import uuid

import pytest
from sqlalchemy import select

from openchange_py.addressbook import indexing
from openchange_py.addressbook.base import DirectoryError, EntryExists, Kind, Record
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import IndexWriter, writing
from openchange_py.addressbook.schema import clash, counter
from openchange_py.addressbook.schema import identity as identity_table
from tests.addressbook.conftest import identity, person, put


def version(index: IndexedDirectory) -> int:
    with index.database.reading() as connection:
        return int(connection.execute(select(counter.c.value).where(counter.c.name == "version")).scalar_one())


def clashes(index: IndexedDirectory) -> int:
    with index.database.reading() as connection:
        return len(connection.execute(select(clash)).all())


def test_what_is_so_already_costs_no_write(index: IndexedDirectory) -> None:
    records = [person("alice", thumbnailPhoto=[b"\xff"]), person("bob", links={"manager": ["cn=alice", "cn=nobody"]})]
    put(index, *records)
    before = version(index)
    put(index, *records)
    assert version(index) == before
    put(index, person("alice", title=["Boss"]), records[1])
    assert version(index) == before + 1
    with index.database.reading() as connection:
        newest = select(identity_table.c.guid).where(identity_table.c.version > before)
        assert connection.execute(newest).scalars().all() == [identity("alice")]


def test_an_id_is_never_lost_nor_another_s(index: IndexedDirectory) -> None:
    put(index, person("alice"), person("bob"))
    mids = {name: index.by_account(name).mid for name in ("alice", "bob")}  # type: ignore[union-attr]
    writer = IndexWriter(index.database)
    writer.remove([identity("alice"), identity("nobody")])
    assert index.by_account("alice") is None
    put(index, person("carl"), person("alice", displayName=["Someone Else"]))
    alice, carl = index.by_account("alice"), index.by_account("carl")
    assert alice
    assert carl
    assert alice.mid == mids["alice"]
    assert carl.mid > mids["bob"]


def test_one_bad_entry_never_stops_the_others(index: IndexedDirectory, caplog: pytest.LogCaptureFixture) -> None:
    nameless = Record(identity("x"), "", Kind.USER, True, {}, {})
    hostile = person("mallory", displayName=["a\0b"], info=["x" * 1_000_000], sn=["\ud800"])
    with caplog.at_level(logging.WARNING):
        put(index, person("alice"), hostile, nameless, person("bob"))
    mallory = index.by_account("mallory")
    assert mallory
    assert mallory.display_name == "mallory"
    assert "info" not in mallory.attributes
    assert index.by_guid(identity("x")).display_name == str(identity("x"))  # type: ignore[union-attr]
    assert index.by_account("bob")
    assert "cn=mallory" in caplog.text
    assert len(caplog.text) < 5000


CLASHES = {
    "legacyExchangeDN": "/o=First/ou=Group/cn=Recipients/cn=ALICE",
    "proxyAddresses": "smtp:Alice@EXAMPLE.test",
    "sAMAccountName": "ALICE",
    "userPrincipalName": "ALICE@example.test",
}


@pytest.mark.parametrize("attribute", CLASHES)
@pytest.mark.parametrize("together", [True, False])
def test_a_name_of_two_is_the_first_one_s(
    index: IndexedDirectory, attribute: str, together: bool, caplog: pytest.LogCaptureFixture
) -> None:
    alice = person("alice", userPrincipalName=["alice@example.test"], mail=["a@example.test"])
    other = person("other", **{attribute: [CLASHES[attribute]]})
    with caplog.at_level(logging.WARNING):
        if together:
            put(index, alice, other)
        else:
            put(index, alice)
            put(index, other)
    assert "cn=other" in caplog.text
    found = (
        index.by_legacy_dn("/o=First/ou=Group/cn=Recipients/cn=alice"),
        index.by_address("alice@example.test"),
        index.by_account("alice"),
    )
    assert [entry and entry.guid for entry in found] == [identity("alice")] * 3
    shown = index.by_guid(identity("other"))
    assert shown
    if attribute == "legacyExchangeDN":
        assert shown.legacy_exchange_dn == ""  # what rights are given to
    if attribute == "sAMAccountName":
        assert shown.account is None
    # When the first one has lost it, it is the other's.
    put(index, person("alice", legacyExchangeDN=[], proxyAddresses=[], sAMAccountName=[], mail=["z@example.test"]))
    assert clashes(index) == 0
    got = {
        "legacyExchangeDN": index.by_legacy_dn("/o=First/ou=Group/cn=Recipients/cn=alice"),
        "proxyAddresses": index.by_address("alice@example.test"),
        "sAMAccountName": index.by_account("alice"),
        "userPrincipalName": index.by_guid(identity("other")),
    }[attribute]
    assert got
    assert got.guid == identity("other")
    if attribute == "userPrincipalName":
        account = index.account("alice@example.test")
        assert account
        assert account.name == "other"


def test_who_has_a_name_keeps_it_against_older_entries(index: IndexedDirectory) -> None:
    """An entry with a lower id cannot take a name away from its owner."""
    put(index, person("mallory"), person("alice"))
    put(index, person("mallory", proxyAddresses=["SMTP:alice@example.test"]))
    assert index.by_address("alice@example.test").account == "alice"  # type: ignore[union-attr]
    put(index, person("alice", title=["Boss"]), person("mallory", proxyAddresses=["SMTP:alice@example.test"]))
    assert index.by_address("alice@example.test").account == "alice"  # type: ignore[union-attr]


def test_names_may_be_exchanged(index: IndexedDirectory) -> None:
    put(index, person("alice"), person("bob"))
    one, other = person("alice"), person("bob")
    put(
        index,
        Record(one.guid, one.name, Kind.USER, True, other.attributes, {}),
        Record(other.guid, other.name, Kind.USER, True, one.attributes, {}),
    )
    assert index.by_account("alice").guid == identity("bob")  # type: ignore[union-attr]
    assert index.by_address("bob@example.test").guid == identity("alice")  # type: ignore[union-attr]
    assert clashes(index) == 0


def test_removing_the_owner_gives_the_name_on(index: IndexedDirectory) -> None:
    put(index, person("alice"), person("other", proxyAddresses=["SMTP:alice@example.test"]))
    IndexWriter(index.database).remove([identity("alice")])
    assert index.by_address("alice@example.test").guid == identity("other")  # type: ignore[union-attr]


def test_the_last_of_two_records_of_one_entry_holds(index: IndexedDirectory) -> None:
    put(index, person("alice", title=["a"]), person("alice", title=["b"]))
    assert index.by_account("alice").first("title") == "b"  # type: ignore[union-attr]


def test_a_long_index_is_many_transactions(index: IndexedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "PER_TRANSACTION", 3)

    def records() -> object:
        for number in range(8):
            if number == 6:  # others write and read while it goes on
                assert index.count() == 6
                put(index, person("between"))
            yield person(f"user{number}")

    IndexWriter(index.database).put(records())  # type: ignore[arg-type]
    assert index.count() == 9


def test_strict_is_for_those_who_can_be_told(index: IndexedDirectory) -> None:
    put(index, person("alice"))
    taken = person("other", proxyAddresses=["SMTP:alice@example.test"])
    for record, error in ((taken, EntryExists), (Record(uuid.uuid4(), "", Kind.USER, True, {}, {}), DirectoryError)):
        with pytest.raises(error), writing(index.database, strict=True) as transaction:
            transaction.put([person("before"), record])
    assert index.by_account("before") is None
    assert index.count() == 1
