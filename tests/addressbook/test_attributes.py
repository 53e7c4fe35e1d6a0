import uuid
from typing import Any

import pytest

from openchange_py.addressbook.attributes import (
    ATTRIBUTES,
    BY_ID,
    IS_DEPARTMENT,
    LINK_BY_ID,
    LINKS,
    is_department,
    is_group,
)
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
        (p.PidTagAddressBookRoomCapacity, {"msExchResourceCapacity": ["12"]}, 12),
        (p.PidTagAddressBookSeniorityIndex, {"msDS-HABSeniorityIndex": ["-2147483642"]}, -2147483642),
        (p.PidTagAddressBookRoomCapacity, {"msExchResourceCapacity": ["much"]}, None),
        (p.PidTagAddressBookRoomCapacity, {"msExchResourceCapacity": ["99999999999"]}, None),
        (p.PidTagAddressBookModerationEnabled, {"msExchEnableModeration": ["TRUE"]}, 1),
        (p.PidTagAddressBookModerationEnabled, {"msExchEnableModeration": ["false"]}, 0),
        (p.PidTagAddressBookModerationEnabled, {"msExchEnableModeration": ["perhaps"]}, None),
        (p.PidTagCreationTime, {"whenCreated": ["16010101000001.0Z"]}, 10_000_000),
        (p.PidTagCreationTime, {"whenCreated": ["20240229120000.0Z"]}, 133_536_816_000_000_000),
        (p.PidTagCreationTime, {"whenCreated": ["20240231120000.0Z"]}, None),
    ],
)
def test_an_attribute_as_a_property(tag: Any, attributes: dict[str, list[AttributeValue]], expected: Any) -> None:
    assert BY_ID[tag.id].tag == tag
    assert BY_ID[tag.id].value(entry(**attributes)) == expected


def test_each_property_and_each_link_is_declared_once() -> None:
    ids = [tag.id for tag, _ in ATTRIBUTES] + [link.tag.id for link in LINKS]
    assert len(ids) == len(set(ids))
    assert LINK_BY_ID[p.PidTagAddressBookMember.id].attribute == "member"


def test_departments_are_groups_that_say_so() -> None:
    group = Entry(uuid.uuid4(), MinimalEntryId(18), DisplayType.DISTLIST, "/o=F", "G", None, {IS_DEPARTMENT: ["TRUE"]})
    assert is_group(group)
    assert is_department(group)
    assert not is_department(entry(**{IS_DEPARTMENT: ["TRUE"]}))
