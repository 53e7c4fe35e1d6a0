"""What arriving adds to a message."""

from __future__ import annotations

import pytest

from openchange_py.mime.delivery import Receiver, delivered_draft
from openchange_py.mime.importer import ImportRefused
from openchange_py.store.changes import now
from openchange_py.wire import proptags as p

ALICE = Receiver("Alice Example", "/o=Example/cn=alice", ("alice@example.test", "a@example.test"))
MAIL = b"From: Bob <bob@example.test>\r\nTo: A@example.test\r\nDate: Mon, 1 Jan 2001 00:00:00 +0000\r\n\r\nhello\r\n"


def test_the_time_is_now_whatever_the_mail_says() -> None:
    before = now()
    properties = delivered_draft(MAIL, ALICE).properties
    assert before <= properties[p.PidTagMessageDeliveryTime] <= now()
    assert properties[p.PidTagClientSubmitTime] < before
    assert properties[p.PidTagMessageFlags] == 0
    assert delivered_draft(MAIL, ALICE, is_read=True).properties[p.PidTagMessageFlags] == 1


def test_who_received_it() -> None:
    properties = delivered_draft(MAIL, ALICE).properties
    for name, kind, address, smtp, key in (
        (
            p.PidTagReceivedByName,
            p.PidTagReceivedByAddressType,
            p.PidTagReceivedByEmailAddress,
            p.PidTagReceivedBySmtpAddress,
            p.PidTagReceivedBySearchKey,
        ),
        (
            p.PidTagReceivedRepresentingName,
            p.PidTagReceivedRepresentingAddressType,
            p.PidTagReceivedRepresentingEmailAddress,
            p.PidTagReceivedRepresentingSmtpAddress,
            p.PidTagReceivedRepresentingSearchKey,
        ),
    ):
        assert [properties[tag] for tag in (name, kind, address, smtp, key)] == [
            "Alice Example",
            "EX",
            "/o=Example/cn=alice",
            "alice@example.test",
            b"EX:/O=EXAMPLE/CN=ALICE\0",
        ]
    assert properties[p.PidTagReceivedByEntryId].endswith(b"/o=Example/cn=alice\0")


@pytest.mark.parametrize(
    ("field", "to_me", "cc_me", "me"),
    [
        (b"To: Alice <ALICE@example.test>", True, False, True),
        (b"Cc: a@example.test", False, True, True),
        (b"To: list@example.test", False, False, False),
    ],
)
def test_whether_it_is_to_him(field: bytes, to_me: bool, cc_me: bool, me: bool) -> None:
    properties = delivered_draft(field + b"\r\nSubject: x\r\n\r\nx", ALICE).properties
    tags = (p.PidTagMessageToMe, p.PidTagMessageCcMe, p.PidTagMessageRecipientMe)
    assert [properties[tag] for tag in tags] == [to_me, cc_me, me]


def test_the_envelope_s_sender() -> None:
    properties = delivered_draft(MAIL, ALICE, "bounces@example.test").properties
    headers = properties[p.PidTagTransportMessageHeaders]
    assert headers.startswith("Return-Path: <bounces@example.test>\r\nFrom: Bob")
    assert properties[p.PidTagSenderSmtpAddress] == "bob@example.test"
    anonymous = delivered_draft(b"Subject: x\r\n\r\nx", ALICE, "bob@example.test").properties
    assert anonymous[p.PidTagSenderSmtpAddress] == anonymous[p.PidTagSentRepresentingName] == "bob@example.test"
    report = delivered_draft(MAIL, ALICE, "").properties[p.PidTagTransportMessageHeaders]
    assert report.startswith("Return-Path: <>\r\n")


def test_a_return_path_that_is_there_stays() -> None:
    raw = b"Return-Path: <first@example.test>\r\n" + MAIL
    headers = delivered_draft(raw, ALICE, "second@example.test").properties[p.PidTagTransportMessageHeaders]
    assert "second@" not in headers


def test_an_mbox_line_in_front_is_none_of_the_mail() -> None:
    raw = b"From bob@example.test Mon Jan  1 00:00:00 2001\n" + MAIL
    headers = delivered_draft(raw, ALICE).properties[p.PidTagTransportMessageHeaders]
    assert headers.startswith("Return-Path: <bob@example.test>\r\nFrom: Bob")


def test_what_is_no_mail_is_refused() -> None:
    with pytest.raises(ImportRefused):
        delivered_draft(b"", ALICE)
