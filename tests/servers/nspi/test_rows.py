from typing import Any

import pytest

from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi import rows
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.rows import Columns, has_errors
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi_types import PropertyRow_r, PropertyValue_r
from tests.servers.nspi.conftest import ORGANIZATION

NOT_FOUND = ErrorCode.NotFound
X400 = "X400:C=US;A= ;P=First Organizati;O=Exchange Administrative Group;S=alice;"


@pytest.mark.parametrize(
    ("asked", "tag", "value"),
    [
        (p.PidTagTitle, p.PidTagTitle, "Königin"),
        (0x3A17001E, 0x3A17001E, b"K\xf6nigin"),
        (0x3A170000, p.PidTagTitle, "Königin"),
        (0x3A170003, 0x3A17000A, NOT_FOUND),
        (0x3A17101F, 0x3A17000A, NOT_FOUND),
        (0x800F101E, 0x800F101E, [b"SMTP:alice@example.test", X400.encode()]),
        (0x800F0000, 0x800F101F, ["SMTP:alice@example.test", X400]),
        (0x0FFE001F, 0x0FFE000A, NOT_FOUND),
        (0x66130102, 0x6613000A, NOT_FOUND),
    ],
)
def test_a_value_in_the_type_that_is_asked_for(
    book: AddressBook, directory: EmbeddedDirectory, asked: int, tag: int, value: Any
) -> None:
    row = Columns(Properties(book), [PropertyTag(asked)], 1252).row(directory.by_account("alice"))
    assert row == PropertyRow_r([PropertyValue_r(tag, value)])


@pytest.mark.parametrize(
    ("kind", "value"),
    [(0x0D, 0), (0x1F, "/o=First Organization/ou=Exchange Administrative Group/cn=Recipients/cn=alice"), (0x00, 0)],
)
def test_a_reference_to_others_as_a_table_or_as_names(
    book: AddressBook, directory: EmbeddedDirectory, kind: int, value: Any
) -> None:
    tag = p.PidTagAddressBookManager.with_type(kind)
    row = Columns(Properties(book), [tag], 1252).row(directory.by_account("bob"))
    assert [v.value for v in row.values or []] == [value]


def test_references_in_8_bits(book: AddressBook, directory: EmbeddedDirectory) -> None:
    tags = [p.PidTagAddressBookMember.with_type(kind) for kind in (0x101F, 0x101E, 0x1E, 0x03)]
    values = [v.value for v in Columns(Properties(book), tags, 1252).row(directory.by_account("staff")).values or []]
    assert values[0] == [ORGANIZATION.recipient_dn(name) for name in ("alice", "bob")]
    assert values[1] == [name.encode() for name in values[0]]
    assert values[2] == values[1][0]
    assert values[3] == NOT_FOUND


def test_nothing_is_a_row_of_errors(book: AddressBook) -> None:
    row = Columns(Properties(book), [p.PidTagTitle, p.PidTagObjectType], 1252).row(None)
    assert [v.prop_tag for v in row.values or []] == [0x3A17000A, 0x0FFE000A]
    assert has_errors(row)
    assert not has_errors(PropertyRow_r([]))


@pytest.mark.parametrize("tag", [0x3A17001E, 0x800F101E, 0x6613001E])
def test_8_bit_strings_without_code_page_are_refused(book: AddressBook, tag: int) -> None:
    with pytest.raises(MapiError) as error:
        Columns(Properties(book), [PropertyTag(tag)], 0x4B0)
    assert error.value.code == ErrorCode.InvalidCodepage


def test_nothing_behind_a_zero_is_sent(book: AddressBook, directory: EmbeddedDirectory) -> None:
    alice = directory.by_account("alice")
    assert alice
    alice.attributes["title"][:] = ["Boss\0hidden"]  # type: ignore[index]
    tags = [p.PidTagTitle, p.PidTagTitle.with_type(PropertyType.String8)]
    row = Columns(Properties(book), tags, 1252).row(alice)
    assert [v.value for v in row.values or []] == ["Boss", b"Boss"]


def test_values_of_one_answer_have_a_limit(
    book: AddressBook, directory: EmbeddedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAXIMUM_BYTES", 100)
    entries = [directory.by_account(name) for name in ("alice", "bob", "carl")]
    columns = Columns(Properties(book), [p.PidTagEmailAddress], 1252)
    assert len(columns.rows(entries)) == 1  # of some 70 bytes each
    twice = Columns(Properties(book), [p.PidTagEmailAddress] * 2, 1252)
    for ask in (lambda: twice.rows(entries), lambda: twice.row(entries[0])):
        with pytest.raises(MapiError) as error:
            ask()
        assert error.value.code == ErrorCode.TableTooBig
    members = Columns(Properties(book), [p.PidTagAddressBookMember.with_type(0x101F)] * 2, 1252)
    with pytest.raises(MapiError):
        members.row(directory.by_account("staff"))


def test_far_too_many_columns(book: AddressBook, directory: EmbeddedDirectory) -> None:
    most = Columns(Properties(book), [p.PidTagTitle] * rows.MAXIMUM_COLUMNS, 1252)
    assert len(most.row(directory.by_account("bob")).values or ()) == rows.MAXIMUM_COLUMNS
    with pytest.raises(MapiError) as error:
        Columns(Properties(book), [p.PidTagTitle] * (rows.MAXIMUM_COLUMNS + 1), 1252)
    assert error.value.code == ErrorCode.TableTooBig
