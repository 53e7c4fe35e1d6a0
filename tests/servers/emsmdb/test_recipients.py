"""Recipients as rows."""

from __future__ import annotations

from openchange_py.servers.emsmdb.recipients import COLUMNS, open_rows, read_rows, recipient_of, recipient_row
from openchange_py.store.base import Recipient
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import Reader
from openchange_py.wire.oxcdata.recipients import RecipientAddressType, RecipientFlags, RecipientRow
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.rop.oxcmsg import ReadRecipientRow
from tests.servers.emsmdb.parties import to


def test_someone_outside_of_the_address_book() -> None:
    row = recipient_row(to("Böb", "bob@example.test"))
    assert row.type == RecipientAddressType.Smtp
    assert (row.display_name, row.email_address) == ("Böb", "bob@example.test")
    shown = dict(zip(COLUMNS, row.properties.values, strict=True))
    assert shown[p.PidTagObjectType] == 6
    assert shown[p.PidTagSmtpAddress] == "bob@example.test"
    assert shown[p.PidTagRecipientDisplayName] == "Böb"
    assert RecipientRow.read_with(Reader(row.pack()), COLUMNS) == row


def test_someone_of_the_address_book() -> None:
    dn = "/o=Example/ou=Site/cn=Recipients/cn=bob"
    properties = {p.PidTagDisplayName: "Bob", p.PidTagAddressType: "EX", p.PidTagEmailAddress: dn}
    row = recipient_row(Recipient(1, properties))
    assert (row.type, row.x500_dn, row.display_name) == (RecipientAddressType.X500DN, dn.encode(), "Bob")


def test_someone_of_whom_nothing_is_known() -> None:
    row = recipient_row(Recipient(1, {}))
    assert (row.display_name, row.email_address) == ("", "")
    assert RecipientRow.read_with(Reader(row.pack()), COLUMNS) == row


def test_as_many_rows_as_there_is_room_for() -> None:
    people = [(n, to(f"{n}", f"{n}@example.test")) for n in range(10)]
    rows = open_rows(people, 10_000)
    assert [row.recipient_row.display_name for row in rows] == [f"{n}" for n in range(10)]
    size = sum(7 + len(row.recipient_row.pack()) for row in rows[:3])
    assert len(open_rows(people, size)) == 3
    assert len(open_rows(people, size - 1)) == 2
    assert open_rows(people, 0) == open_rows(people, -1) == open_rows([], 100) == []


def test_one_response_counts_255_rows_at_the_most() -> None:
    people = [(n, to("x", "x@example.test")) for n in range(300)]
    assert len(open_rows(people, 1 << 20)) == 255
    rows: list[ReadRecipientRow] = read_rows(people[10:], 1 << 20)
    assert [row.row_id for row in rows] == list(range(10, 265))
    assert [row.row_id for row in read_rows(people[298:], 1 << 20)] == [298, 299]


PREFIX = "/o=Example/ou=Site/cn=Recipients/cn="


def test_what_a_row_tells_is_what_the_recipient_has() -> None:
    bob = to("Böb", "bob@example.test")
    again = recipient_of(1, recipient_row(bob), "cp1252", PREFIX).properties
    assert {tag: again[tag] for tag in bob.properties} == bob.properties
    assert again[p.PidTagTransmittableDisplayName] == "Böb"


def test_a_name_of_the_address_book_may_leave_out_its_beginning() -> None:
    row = RecipientRow.exchange(b"bob", "Bob")
    row.address_prefix_used = len(PREFIX)
    found = recipient_of(2, row, "cp1252", PREFIX)
    assert (found.kind, found.properties[p.PidTagEmailAddress]) == (2, PREFIX + "bob")
    assert found.properties[p.PidTagAddressType] == "EX"


def test_8_bit_texts_are_in_the_code_page() -> None:
    flags = RecipientFlags.EmailAddress | RecipientFlags.DisplayName | RecipientFlags.SimpleDisplayName
    columns = (p.PidTagAccount.with_type(0x1E), p.PidTagObjectType)
    row = RecipientRow(flags | RecipientAddressType.Smtp)
    row.email_address, row.display_name, row.simple_display_name = b"b@example.test", "Böb".encode("cp1252"), b"Bob"
    row.columns, row.properties = columns, PropertyRow(["Böb".encode("cp1252"), 6])
    found = recipient_of(1, row, "cp1252", PREFIX).properties
    assert (found[p.PidTagDisplayName], found[p.PidTagAccount], found[p.PidTagObjectType]) == ("Böb", "Böb", 6)
    assert p.PidTagTransmittableDisplayName not in found


def test_an_address_of_another_kind_and_a_list() -> None:
    other = RecipientRow(RecipientFlags.NonStandardAddressType, address_type=b"FAX")
    assert recipient_of(1, other, "cp1252", PREFIX).properties == {p.PidTagAddressType: "FAX"}
    personal = RecipientRow(RecipientAddressType.PersonalDistributionList1, entry_id=b"id", search_key=b"key")
    found = recipient_of(1, personal, "cp1252", PREFIX).properties
    assert (found[p.PidTagEntryId], found[p.PidTagSearchKey]) == (b"id", b"key")
