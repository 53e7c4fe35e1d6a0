from openchange_py.addressbook import lookups
from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.followed import AddressBookRecord
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import writing
from openchange_py.addressbook.lookups import EVERYWHERE
from openchange_py.addressbook.organizations import put_address_books
from tests.addressbook.conftest import person, put


def test_an_address_of_several_organizations_is_this_server_s_own(index: IndexedDirectory) -> None:
    with writing(index.database, strict=False) as transaction:
        books = [AddressBookRecord(Organization(name, "Group"), []) for name in ("First", "Second")]
        put_address_books(transaction, books)
        numbers = transaction.organizations
    address: list[str | bytes] = ["SMTP:partner@example.test"]
    put(
        index,
        person("partner1", proxyAddresses=address),
        person("partner2", organization="Second", proxyAddresses=address),
    )
    with index.database.reading() as connection:
        for name, account in (("first", "partner1"), ("second", "partner2")):
            found = lookups.by_address(connection, "partner@example.test", EVERYWHERE, numbers[name])
            assert found
            assert found.account == account


def test_more_ids_than_one_select_takes(index: IndexedDirectory) -> None:
    put(index, person("alice"))
    with index.database.reading() as connection:
        found = lookups.by_mid(connection, [*range(5000), -1, 1 << 31, 1 << 40], EVERYWHERE)
    assert [entry.account for entry in found.values()] == ["alice"]
