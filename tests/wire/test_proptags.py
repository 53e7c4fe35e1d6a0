"""The property tags are those of [MS-OXPROPS], and the generated module is what the data file gives."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType

ROOT = Path(__file__).parents[2]


def data_file() -> list[dict[str, str]]:
    with (ROOT / "openchange_py" / "wire" / "proptags.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_module_is_what_the_data_file_gives() -> None:
    done = subprocess.run([sys.executable, ROOT / "setup" / "generate_proptags", "--check"], capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_every_line_is_a_constant_and_no_name_is_declared_twice() -> None:
    rows = data_file()
    assert len(rows) == len({row["name"] for row in rows}) == len(proptags.BY_NAME) > 700
    for row in rows:
        tag = getattr(proptags, row["name"])
        assert (tag.id, tag.type) == (int(row["id"], 16), PropertyType[row["type"]])
        assert proptags.BY_NAME[row["name"]] is tag


def test_texts_are_unicode() -> None:
    eight_bit = {PropertyType.String8, PropertyType.MultipleString8}
    assert [name for name, tag in proptags.BY_NAME.items() if tag.type in eight_bit] == []


# [MS-OXPROPS] section 2: one of each kind of object.
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("PidTagSubject", 0x0037001F),
        ("PidTagMessageDeliveryTime", 0x0E060040),
        ("PidTagHtml", 0x10130102),
        ("PidTagEntryId", 0x0FFF0102),
        ("PidTagRecipientType", 0x0C150003),
        ("PidTagContentCount", 0x36020003),
        ("PidTagAttachDataBinary", 0x37010102),
        ("PidTagAttachDataObject", 0x3701000D),
        ("PidTagFolderId", 0x67480014),
        ("PidTagMid", 0x674A0014),
        ("PidTagSourceKey", 0x65E00102),
        ("PidTagChangeNumber", 0x67A40014),
        ("PidTagRuleActions", 0x668000FE),
        ("PidTagRuleCondition", 0x667900FD),
        ("PidTagMemberRights", 0x66730003),
        ("PidTagAddressBookProxyAddresses", 0x800F101F),
        ("PidTagAddressBookContainerId", 0xFFFD0003),
        ("PidTagSentMailSvrEID", 0x674000FB),
        ("MetaTagIdsetGiven", 0x40170003),
    ],
)
def test_numbers_of_the_document(name: str, number: int) -> None:
    assert proptags.BY_NAME[name] == number


def test_a_tag_is_shown_by_its_name() -> None:
    assert PropertyTag(0x0037001F).name == "PidTagSubject"
    assert PropertyTag(0x0037001E).name == "PidTagSubject"
    assert PropertyTag(0x12340003).name == "0x12340003"
    assert repr(proptags.PidTagSubject) == "<PidTagSubject 0x0037001F>"


def test_a_property_id_with_two_names_is_told_apart_by_the_type() -> None:
    assert PropertyTag(0x0E080003).name == "PidTagMessageSize"
    assert PropertyTag(0x0E080014).name == "PidTagMessageSizeExtended"
    assert PropertyTag(0x68490003).name == "PidTagWlinkType"
    assert PropertyTag(0x6849001F).name == "PidTagFreeBusyMessageEmailAddress"
    assert proptags.NAMES[0x0E08] == "PidTagMessageSize"
