"""The templates themselves: a details dialog for each kind of object, the search dialog, and one-off addresses.

Nothing of an entry can be entered here: [MS-OXNSPI] 3.1.4.1.14 and .15 have no text that a client may change. Not
done: buttons, such as the one that changes the members of a group; one-off addresses but SMTP's; the templates that
Exchange keeps in Active Directory (cn=Addressing), where administrators change them: everybody gets these.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from openchange_py.addressbook.base import DisplayType
from openchange_py.servers.nspi.templates.layout import Box, Field, Page, box, page
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxoabkt import ControlFlags, Opcode

_NAME = box(
    "Name",
    (Field("First", p.PidTagGivenName), Field("Initials", p.PidTagInitials)),
    (Field("Last", p.PidTagSurname), Field("Alias", p.PidTagAccount)),
    Field("Display", p.PidTagDisplayName),
)
_ADDRESS = box(
    "Address",
    Field("Street", p.PidTagStreetAddress, lines=2),
    (Field("City", p.PidTagLocality), Field("State", p.PidTagStateOrProvince)),
    (Field("Postal code", p.PidTagPostalCode), Field("Country/Region", p.PidTagCountry)),
)
_WORK = box(
    "Work",
    (Field("Title", p.PidTagTitle), Field("Company", p.PidTagCompanyName)),
    (Field("Department", p.PidTagDepartmentName), Field("Office", p.PidTagOfficeLocation)),
    (Field("Assistant", p.PidTagAssistant), Field("Phone", p.PidTagPrimaryTelephoneNumber)),
)
_PHONES = page(
    "Phone and notes",
    box(
        "Telephone numbers",
        (Field("Business", p.PidTagBusinessTelephoneNumber), Field("Home", p.PidTagHomeTelephoneNumber)),
        (Field("Business 2", p.PidTagBusiness2TelephoneNumbers, 2), Field("Home 2", p.PidTagHome2TelephoneNumbers, 2)),
        (Field("Fax", p.PidTagPrimaryFaxNumber), Field("Mobile", p.PidTagMobileTelephoneNumber)),
        (Field("Assistant", p.PidTagAssistantTelephoneNumber), Field("Pager", p.PidTagPagerTelephoneNumber)),
    ),
    box("Notes", Field("", p.PidTagComment, lines=4)),
)
_MANAGER = box("Manager", Field("", p.PidTagAddressBookManager, lines=2))
_ORGANIZATION = page("Organization", _MANAGER, box("Direct reports", Field("", p.PidTagAddressBookReports, lines=7)))
_MEMBER_OF = page(
    "Member of",
    box("Group membership", Field("", p.PidTagAddressBookIsMemberOfDistributionList, lines=10)),
)
_ADDRESSES = page("E-mail addresses", box("E-mail addresses", Field("", p.PidTagAddressBookProxyAddresses, lines=10)))

_PERSON = page("General", _NAME, _ADDRESS, _WORK)
_USER = (_PERSON, _ORGANIZATION, _PHONES, _MEMBER_OF, _ADDRESSES)
_RESOURCE = page("Resource", box("Description", Field("", p.PidTagAddressBookRoomDescription, lines=4)))
_CONTACT = (_PERSON, page("Organization", _MANAGER), _PHONES, _MEMBER_OF, _ADDRESSES)
_NAMES = box("Name", Field("Display", p.PidTagDisplayName), Field("Alias", p.PidTagAccount))
_GROUP = (
    page(
        "General",
        _NAMES,
        box("Owner", Field("", p.PidTagAddressBookOwner, lines=2)),
        box("Members", Field("", p.PidTagAddressBookMember, lines=5)),
    ),
    page("Notes", box("Notes", Field("", p.PidTagComment, lines=10))),
    _MEMBER_OF,
    _ADDRESSES,
)
_FOLDER = (page("General", _NAMES, box("Notes", Field("", p.PidTagComment, lines=4))), _MEMBER_OF, _ADDRESSES)
_SERVER = (
    page("General", _NAMES, box("Network addresses", Field("", p.PidTagAddressBookNetworkAddress, lines=4))),
    _ADDRESSES,
)


def _entered(label: str, tag: PropertyTag, required: int = 0) -> Field:
    return Field(label, tag, flags=ControlFlags.EDITABLE | required)


_SEARCH = (
    page(
        "Search",
        box(
            "Find names",
            (_entered("Display", p.PidTagDisplayName), _entered("Alias", p.PidTagAccount)),
            (_entered("First", p.PidTagGivenName), _entered("Last", p.PidTagSurname)),
            (_entered("Title", p.PidTagTitle), _entered("Company", p.PidTagCompanyName)),
            (_entered("Department", p.PidTagDepartmentName), _entered("Office", p.PidTagOfficeLocation)),
            (_entered("City", p.PidTagLocality), _entered("Phone", p.PidTagPrimaryTelephoneNumber)),
        ),
    ),
)

#: The properties of rooms and equipment that their PidTagDisplayTypeEx tells: [MS-OXOABK] 2.2.3.12. Clients that ask
#: by PidTagDisplayType get what they get for a user.
DT_ROOM: Final = 0x7
DT_EQUIPMENT: Final = 0x8

#: Dialogs by display type ([MS-OXNSPI] 2.2.1.3).
DETAILS: Final[dict[int, tuple[Page, ...]]] = {
    DisplayType.MAILUSER: _USER,
    DisplayType.DISTLIST: _GROUP,
    DisplayType.FORUM: _FOLDER,
    DisplayType.AGENT: _SERVER,
    DisplayType.ORGANIZATION: _SERVER,
    DisplayType.PRIVATE_DISTLIST: _GROUP,
    DisplayType.REMOTE_MAILUSER: _CONTACT,
    DT_ROOM: (*_USER, _RESOURCE),
    DT_EQUIPMENT: (*_USER, _RESOURCE),
    DisplayType.SEARCH: _SEARCH,
}


@dataclasses.dataclass(frozen=True, slots=True)
class AddressTemplate:
    """A kind of address that a client may make: [MS-OXOABKT] 3.1.4.1. The script makes it of what was entered."""

    address_type: str
    name: str
    boxes: tuple[Box, ...]
    script: tuple[tuple[int, ...], ...]

    @property
    def pages(self) -> tuple[Page, ...]:
        return (Page(self.name, self.boxes),)


#: Where a creation dialog keeps what is entered, for its script: the first of the properties for that.
_ENTERED: Final = PropertyTag(0x6800001E)

ADDRESS_TEMPLATES: Final = (
    AddressTemplate(
        "SMTP",
        "Internet address",
        (
            box(
                "General",
                _entered("Display name", p.PidTagDisplayName, ControlFlags.REQUIRED),
                _entered("E-mail address", _ENTERED, ControlFlags.REQUIRED),
            ),
        ),
        ((Opcode.EMIT_PROPERTY, int(_ENTERED)), (Opcode.HALT,)),
    ),
)
