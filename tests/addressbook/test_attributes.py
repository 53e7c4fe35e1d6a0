import uuid
from typing import Any

import pytest

from openchange_py.addressbook.attributes import ATTRIBUTES, BY_ID, LINK_BY_ID, LINKS
from openchange_py.addressbook.base import AttributeValue, DisplayType, Entry, MinimalEntryId
from openchange_py.wire import proptags as p


def entry(**attributes: list[AttributeValue]) -> Entry:
    return Entry(uuid.uuid4(), MinimalEntryId(17), DisplayType.MAILUSER, "/o=F", "Alice", "alice", attributes)


@pytest.mark.parametrize(
    ("tag", "attributes", "expected"),
    [
        (p.PidTagTitle, {"title": ["Boss", "x"]}, "Boss"),
        (p.PidTagTitle, {}, None),
        (p.PidTagTitle, {"title": [b"\x00"]}, None),
        (p.PidTagAddressBookProxyAddresses, {"proxyAddresses": ["SMTP:a@b", "smtp:c@d"]}, ["SMTP:a@b", "smtp:c@d"]),
        (p.PidTagAddressBookProxyAddresses, {"proxyAddresses": []}, None),
        (p.PidTagThumbnailPhoto, {"thumbnailPhoto": [b"\xff\xd8"]}, b"\xff\xd8"),
        (p.PidTagAddressBookX509Certificate, {"userCertificate": [b"a", b"b"]}, [b"a", b"b"]),
        (p.PidTagDisplayTypeEx, {"msExchRecipientDisplayType": ["1073741824"]}, 0x40000000),
        (p.PidTagDisplayTypeEx, {"msExchRecipientDisplayType": ["-2147483642"]}, -2147483642),
        (p.PidTagDisplayTypeEx, {"msExchRecipientDisplayType": ["much"]}, None),
        (p.PidTagDisplayTypeEx, {"msExchRecipientDisplayType": ["99999999999"]}, None),
        (p.PidTagCreationTime, {"whenCreated": ["16010101000001.0Z"]}, 10_000_000),
        (p.PidTagCreationTime, {"whenCreated": ["20240229120000.0Z"]}, 133_536_816_000_000_000),
        (p.PidTagCreationTime, {"whenCreated": ["20240231120000.0Z"]}, None),
    ],
)
def test_an_attribute_as_a_property(tag: Any, attributes: dict[str, list[AttributeValue]], expected: Any) -> None:
    assert BY_ID[tag.id].tag == tag
    assert BY_ID[tag.id].value(entry(**attributes)) == expected


def test_each_property_and_each_link_is_declared_once() -> None:
    ids = [tag.id for tag, _ in ATTRIBUTES + LINKS]
    assert len(ids) == len(set(ids))
    assert LINK_BY_ID[p.PidTagAddressBookMember.id].attribute == "member"
