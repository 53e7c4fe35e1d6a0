"""Entry ids of mailboxes, the address book and one-off recipients."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.entryids import (
    CONTACT_PROVIDER,
    PUBLIC_FOLDER_PROVIDER,
    ContactAddressEntryId,
    EntryId,
    EntryIdType,
    EphemeralEntryId,
    FolderEntryId,
    MessageEntryId,
    OneOffEntryId,
    OneOffFlag,
    PermanentEntryId,
    ServerId,
    StoreEntryId,
    parse_entry_id,
)
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from tests.wire.oxcdata.strategies import garbage, texts, texts8, u16, u32, unpack_or_decode_error

MAILBOX = uuid.UUID("33221100-5544-7766-8899-aabbccddeeff")
REPLICA = uuid.UUID(int=1)
MAILBOX_HEX = "00112233445566778899aabbccddeeff"
REPLICA_HEX = "00" * 15 + "01"
DN = b"/o=First/ou=Group/cn=Recipients/cn=alice"

# Layouts of [MS-OXCDATA] 2.2.4 and 2.2.5 and [MS-OXNSPI] 2.2.9 with the provider UIDs as printed there.
GOLDEN: list[tuple[EntryId, str]] = [
    (
        FolderEntryId.private(MAILBOX, REPLICA, 0x0102),
        "00000000" + MAILBOX_HEX + "0100" + REPLICA_HEX + "000000000102" + "0000",
    ),
    (
        FolderEntryId(0, PUBLIC_FOLDER_PROVIDER, EntryIdType.PublicFolder, REPLICA, b"\0\0\0\0\0\7"),
        "00000000" + "1a447390aa6611cd9bc800aa002fc45a" + "0300" + REPLICA_HEX + "000000000007" + "0000",
    ),
    (
        MessageEntryId.private(MAILBOX, REPLICA, 0x0102, 0x0304),
        "00000000" + MAILBOX_HEX + "0700" + (REPLICA_HEX + "0000000001020000") + (REPLICA_HEX + "0000000003040000"),
    ),
    (
        StoreEntryId.mailbox("EX", "/o=First/cn=alice"),
        "00000000" + "38a1bb1005e5101aa1bb08002b2a56c2" + "0000" + "454d534d44422e444c4c00000000"
        "00000000" + "1b55fa20aa6611cd9bc800aa002fc45a" + "0c000000" + "455800" + b"/o=First/cn=alice\0".hex(),
    ),
    (
        StoreEntryId.public("EX"),
        "00000000" + "38a1bb1005e5101aa1bb08002b2a56c2" + "0000" + "454d534d44422e444c4c00000000"
        "00000000" + "1c830210aa6611cd9bc800aa002fc45a" + "06000000" + "455800",
    ),
    (
        PermanentEntryId(0, DN),
        "00000000" + "dca740c8c042101ab4b908002b2fe182" + "01000000" + "00000000" + DN.hex() + "00",
    ),
    (
        EphemeralEntryId(MAILBOX, 1, 0x10),
        "87000000" + MAILBOX_HEX + "01000000" + "01000000" + "10000000",
    ),
    (
        OneOffEntryId("A", "SMTP", "a@b"),
        "00000000" + "812b1fa4bea310199d6e00dd010f5402" + "0000" + "0190"
        "41000000" + "53004d00540050000000" + "6100400062000000",
    ),
    (
        OneOffEntryId(b"A", b"SMTP", b"a@b", OneOffFlag.Mime),
        "00000000" + "812b1fa4bea310199d6e00dd010f5402" + "0000" + "0100" + "4100" + "534d545000" + "61406200",
    ),
    (
        ContactAddressEntryId(0, CONTACT_PROVIDER, 3, 4, 2, b"eid"),
        "00000000" + "fe42aa0a18c71a10e8850b651c240000" + "03000000" + "04000000" + "02000000" + "03000000" + "656964",
    ),
]


@pytest.mark.parametrize(("entry_id", "raw"), GOLDEN)
def test_wire_form_of_each_kind(entry_id: EntryId, raw: str) -> None:
    assert entry_id.pack().hex() == raw
    assert type(entry_id).unpack(bytes.fromhex(raw)) == entry_id


@pytest.mark.parametrize(("entry_id", "raw"), GOLDEN)
def test_the_kind_is_found(entry_id: EntryId, raw: str) -> None:
    assert parse_entry_id(bytes.fromhex(raw)) == entry_id


def test_sizes_of_the_document() -> None:
    assert len(GOLDEN[0][0].pack()) == FolderEntryId.SIZE == 46
    assert len(GOLDEN[2][0].pack()) == MessageEntryId.SIZE == 70
    assert len(GOLDEN[6][0].pack()) == EphemeralEntryId.SIZE == 32


def test_what_newer_clients_append_to_a_store_entry_id_is_kept() -> None:
    raw = StoreEntryId.mailbox("EX", "/cn=alice").pack() + b"\xd8\x35\x21\xf3more"
    entry_id = StoreEntryId.unpack(raw)
    assert (entry_id.mailbox_dn, entry_id.v2) == (b"/cn=alice", b"\xd8\x35\x21\xf3more")
    assert entry_id.pack() == raw


@settings(max_examples=100, deadline=None)
@given(texts, texts, texts, u16, u16)
def test_one_off_entry_ids_come_back(name: str, kind: str, address: str, flags: int, version: int) -> None:
    entry_id = OneOffEntryId(name, kind, address, flags | OneOffFlag.Unicode, version)
    assert parse_entry_id(entry_id.pack()) == entry_id


@settings(max_examples=100, deadline=None)
@given(u32, texts8, u32)
def test_address_book_entry_ids_come_back(display_type: int, name: bytes, mid: int) -> None:
    assert parse_entry_id(PermanentEntryId(display_type, name).pack()) == PermanentEntryId(display_type, name)
    ephemeral = EphemeralEntryId(MAILBOX, display_type, mid)
    assert parse_entry_id(ephemeral.pack()) == ephemeral


KINDS = [type(entry_id) for entry_id, _ in GOLDEN]


@settings(max_examples=300, deadline=None)
@given(garbage, st.sampled_from(KINDS), st.sampled_from([bytes.fromhex(raw) for _, raw in GOLDEN]), st.integers(0, 50))
def test_garbage_is_an_entry_id_or_a_decode_error(data: bytes, kind: type[EntryId], good: bytes, kept: int) -> None:
    for raw in (data, good[:kept] + data, good[:-1], data[:2] + good[2:]):
        unpack_or_decode_error(raw, parse_entry_id)
        unpack_or_decode_error(raw, kind.unpack)


@pytest.mark.parametrize("data", [b"", b"\0" * 20, b"\x87\0\0\0", bytes(45), bytes(71)])
def test_an_entry_id_of_an_unknown_kind_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="no entry id of a known kind"):
        parse_entry_id(data)


def test_another_provider_is_no_one_off_entry_id() -> None:
    with pytest.raises(DecodeError, match="provider"):
        OneOffEntryId.unpack(PermanentEntryId(0, DN).pack())


def test_fields_that_do_not_agree_are_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="other kind of text"):
        OneOffEntryId(b"A", b"SMTP", b"a@b").pack()
    store = StoreEntryId.public("EX")
    store.mailbox_dn = b"/cn=alice"
    with pytest.raises(EncodeError, match="public store"):
        store.pack()


def test_a_server_id_has_the_ids_of_its_object() -> None:
    """[MS-OXCDATA] 2.11.1.4: 21 bytes behind their count."""
    value = ServerId(1, FolderId(0x0203), MessageId(4), 5)
    raw = "01" + "0302000000000000" + "0400000000000000" + "05000000"
    assert value.pack().hex() == raw
    assert ServerId.unpack(bytes.fromhex(raw)) == value
