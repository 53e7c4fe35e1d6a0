"""Header fields as properties and recipients."""

from __future__ import annotations

import pytest

from openchange_py.mime.envelope import envelope_properties, one_off, recipients, search_key
from openchange_py.mime.parser import parse
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.entryids import OneOffEntryId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag


def properties(head: str) -> PropertyMap:
    return envelope_properties(parse(f"X-First: x\n{head}\n\n".encode()))


def test_who_sent_it_for_whom() -> None:
    found = properties("From: Boss <boss@x.test>\nSender: Secretary <sec@x.test>")
    assert found[proptags.PidTagSentRepresentingName] == "Boss"
    assert found[proptags.PidTagSentRepresentingSmtpAddress] == "boss@x.test"
    assert found[proptags.PidTagSentRepresentingSearchKey] == b"SMTP:BOSS@X.TEST\0"
    assert found[proptags.PidTagSenderName] == "Secretary"
    assert found[proptags.PidTagSenderEmailAddress] == "sec@x.test"
    assert found[proptags.PidTagSenderAddressType] == "SMTP"
    entry = OneOffEntryId.unpack(found[proptags.PidTagSenderEntryId])
    assert (entry.display_name, entry.address_type, entry.email_address) == ("Secretary", "SMTP", "sec@x.test")


@pytest.mark.parametrize("field", ["From", "Sender"])
def test_one_of_them_stands_for_both(field: str) -> None:
    found = properties(f"{field}: A <a@x.test>")
    assert found[proptags.PidTagSenderName] == found[proptags.PidTagSentRepresentingName] == "A"


def test_nobody_sent_it() -> None:
    found = properties("Subject: x")
    assert proptags.PidTagSenderName not in found
    assert proptags.PidTagSentRepresentingEntryId not in found


def test_recipients_in_their_order() -> None:
    found = recipients(parse(b"Cc: C <c@x.test>\nTo: A <a@x.test>, b@x.test\nBcc: d@x.test\n\n"))
    assert [(one.kind, one.properties[proptags.PidTagDisplayName]) for one in found] == [
        (1, "A"),
        (1, "b@x.test"),
        (2, "C"),
        (3, "d@x.test"),
    ]
    first = found[0].properties
    assert first[proptags.PidTagSmtpAddress] == first[proptags.PidTagEmailAddress] == "a@x.test"
    assert first[proptags.PidTagEntryId] == one_off("A", "a@x.test")
    assert first[proptags.PidTagSearchKey] == search_key("a@x.test") == b"SMTP:A@X.TEST\0"
    assert first[proptags.PidTagRecipientType] == 1


@pytest.mark.parametrize(
    ("head", "tag", "value"),
    [
        ("Subject: x", proptags.PidTagSubject, "x"),
        ("X: y", proptags.PidTagSubject, ""),
        ("Message-ID: <a@b>", proptags.PidTagInternetMessageId, "<a@b>"),
        ("In-Reply-To: <a@b>", proptags.PidTagInReplyToId, "<a@b>"),
        ("References: <a@b>\n <c@d>", proptags.PidTagInternetReferences, "<a@b> <c@d>"),
        ("Thread-Topic: lunch", proptags.PidTagConversationTopic, "lunch"),
        ("Thread-Index: AQID", proptags.PidTagConversationIndex, b"\1\2\3"),
        ("Thread-Index: !", proptags.PidTagConversationIndex, None),
        ("Importance: High", proptags.PidTagImportance, 2),
        ("Importance: low", proptags.PidTagImportance, 0),
        ("X-Priority: 1 (Highest)", proptags.PidTagImportance, 2),
        ("X-Priority: 5", proptags.PidTagImportance, 0),
        ("Priority: urgent", proptags.PidTagImportance, 2),
        ("Importance: nonsense", proptags.PidTagImportance, 1),
        ("Sensitivity: Company-Confidential", proptags.PidTagSensitivity, 3),
        ("Sensitivity: nonsense", proptags.PidTagSensitivity, 0),
        ("Disposition-Notification-To: a@b.test", proptags.PidTagReadReceiptRequested, True),
        ("X: y", proptags.PidTagReadReceiptRequested, None),
        ("Return-Receipt-To: a@b.test", proptags.PidTagOriginatorDeliveryReportRequested, True),
        ("List-Unsubscribe: <mailto:x>", proptags.PidTagListUnsubscribe, "<mailto:x>"),
        ("Date: 1 Jan 1970 00:00:01 GMT", proptags.PidTagClientSubmitTime, 116444736010000000),
        ("Date: 1 Jan 1970 00:00:01 GMT", proptags.PidTagMessageDeliveryTime, 116444736010000000),
        ("Received: x; 1 Jan 1970 00:00:02 GMT", proptags.PidTagMessageDeliveryTime, 116444736020000000),
        ("Received: x; 1 Jan 1970 00:00:02 GMT", proptags.PidTagClientSubmitTime, 116444736020000000),
        ("Date: nonsense", proptags.PidTagClientSubmitTime, None),
    ],
)
def test_fields(head: str, tag: PropertyTag, value: object) -> None:
    assert properties(head).get(tag) == value


def test_where_replies_go() -> None:
    found = properties("Reply-To: A <a@x.test>, b@x.test")
    assert found[proptags.PidTagReplyRecipientNames] == "A; b@x.test"
    entries = found[proptags.PidTagReplyRecipientEntries]
    assert int.from_bytes(entries[:4], "little") == 2
    assert int.from_bytes(entries[4:8], "little") == len(entries) - 8
    first = int.from_bytes(entries[8:12], "little")
    assert entries[12 : 12 + first] == one_off("A", "a@x.test")
    second = 12 + first + -first % 4
    assert entries[second + 4 :][: int.from_bytes(entries[second : second + 4], "little")] == one_off(
        "b@x.test", "b@x.test"
    )
