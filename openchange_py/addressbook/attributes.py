"""LDAP attributes and the address book properties that show them: [MS-OXOABK] 2.2, one table for every directory.

A tag's type says how the attribute's text is understood. What is computed from more than one attribute, or from
the server, is not here: see `servers.nspi.properties`.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from openchange_py.addressbook.base import Entry
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType

#: 1601-01-01, where PtypTime begins.
_TIME_ORIGIN = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)

#: Property tag and LDAP attribute.
ATTRIBUTES: tuple[tuple[PropertyTag, str], ...] = (
    (proptags.PidTagAddressBookRoomCapacity, "msExchResourceCapacity"),
    (proptags.PidTagAddressBookRoomDescription, "msExchResourceDisplay"),
    (proptags.PidTagComment, "info"),
    (proptags.PidTagCreationTime, "whenCreated"),
    (proptags.PidTagLastModificationTime, "whenChanged"),
    (proptags.PidTagDisplayTypeEx, "msExchRecipientDisplayType"),
    (proptags.PidTagGeneration, "generationQualifier"),
    (proptags.PidTagGivenName, "givenName"),
    (proptags.PidTagBusinessTelephoneNumber, "telephoneNumber"),
    (proptags.PidTagHomeTelephoneNumber, "homePhone"),
    (proptags.PidTagInitials, "initials"),
    (proptags.PidTagMessageHandlingSystemCommonName, "cn"),
    (proptags.PidTagSurname, "sn"),
    (proptags.PidTagPostalAddress, "postalAddress"),
    (proptags.PidTagCompanyName, "company"),
    (proptags.PidTagTitle, "title"),
    (proptags.PidTagDepartmentName, "department"),
    (proptags.PidTagOfficeLocation, "physicalDeliveryOfficeName"),
    (proptags.PidTagPrimaryTelephoneNumber, "telephoneNumber"),
    (proptags.PidTagBusiness2TelephoneNumbers, "otherTelephone"),
    (proptags.PidTagMobileTelephoneNumber, "mobile"),
    (proptags.PidTagPagerTelephoneNumber, "pager"),
    (proptags.PidTagPrimaryFaxNumber, "facsimileTelephoneNumber"),
    (proptags.PidTagCountry, "co"),
    (proptags.PidTagLocality, "l"),
    (proptags.PidTagStateOrProvince, "st"),
    (proptags.PidTagStreetAddress, "streetAddress"),
    (proptags.PidTagPostalCode, "postalCode"),
    (proptags.PidTagPostOfficeBox, "postOfficeBox"),
    (proptags.PidTagTelexNumber, "telexNumber"),
    (proptags.PidTagIsdnNumber, "internationalISDNNumber"),
    (proptags.PidTagAssistantTelephoneNumber, "telephoneAssistant"),
    (proptags.PidTagHome2TelephoneNumbers, "otherHomePhone"),
    (proptags.PidTagAssistant, "msExchAssistantName"),
    (proptags.PidTagBusinessHomePage, "wWWHomePage"),
    (proptags.PidTagHomeAddressStreet, "homePostalAddress"),
    (proptags.PidTagUserX509Certificate, "userSMIMECertificate"),
    (proptags.PidTagAddressBookProxyAddresses, "proxyAddresses"),
    (proptags.PidTagAddressBookTargetAddress, "targetAddress"),
    (proptags.PidTagAddressBookExtensionAttribute1, "extensionAttribute1"),
    (proptags.PidTagAddressBookExtensionAttribute2, "extensionAttribute2"),
    (proptags.PidTagAddressBookExtensionAttribute3, "extensionAttribute3"),
    (proptags.PidTagAddressBookExtensionAttribute4, "extensionAttribute4"),
    (proptags.PidTagAddressBookExtensionAttribute5, "extensionAttribute5"),
    (proptags.PidTagAddressBookExtensionAttribute6, "extensionAttribute6"),
    (proptags.PidTagAddressBookExtensionAttribute7, "extensionAttribute7"),
    (proptags.PidTagAddressBookExtensionAttribute8, "extensionAttribute8"),
    (proptags.PidTagAddressBookExtensionAttribute9, "extensionAttribute9"),
    (proptags.PidTagAddressBookExtensionAttribute10, "extensionAttribute10"),
    (proptags.PidTagAddressBookDeliveryContentLength, "delivContLength"),
    (proptags.PidTagAddressBookExtensionAttribute11, "extensionAttribute11"),
    (proptags.PidTagAddressBookExtensionAttribute12, "extensionAttribute12"),
    (proptags.PidTagAddressBookExtensionAttribute13, "extensionAttribute13"),
    (proptags.PidTagAddressBookExtensionAttribute14, "extensionAttribute14"),
    (proptags.PidTagAddressBookExtensionAttribute15, "extensionAttribute15"),
    (proptags.PidTagAddressBookX509Certificate, "userCertificate"),
    (proptags.PidTagAddressBookPhoneticGivenName, "msDS-PhoneticFirstName"),
    (proptags.PidTagAddressBookPhoneticSurname, "msDS-PhoneticLastName"),
    (proptags.PidTagAddressBookPhoneticDepartmentName, "msDS-PhoneticDepartment"),
    (proptags.PidTagAddressBookPhoneticCompanyName, "msDS-PhoneticCompanyName"),
    (proptags.PidTagAddressBookPhoneticDisplayName, "msDS-PhoneticDisplayName"),
    (proptags.PidTagThumbnailPhoto, "thumbnailPhoto"),
    (proptags.PidTagAddressBookSenderHintTranslations, "msExchSenderHintTranslations"),
)

#: Property tag and the attribute that names other entries, by their legacyExchangeDN.
LINKS: tuple[tuple[PropertyTag, str], ...] = (
    (proptags.PidTagAddressBookManager, "manager"),
    (proptags.PidTagAddressBookIsMemberOfDistributionList, "memberOf"),
    (proptags.PidTagAddressBookMember, "member"),
    (proptags.PidTagAddressBookOwner, "managedBy"),
    (proptags.PidTagAddressBookReports, "directReports"),
    (proptags.PidTagAddressBookPublicDelegates, "publicDelegates"),
    (proptags.PidTagAddressBookOwnerBackLink, "managedObjects"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class AttributeProperty:
    """A property that shows one attribute."""

    tag: PropertyTag
    attribute: str

    def value(self, entry: Entry) -> Any:
        """The entry's value as `wire.oxcdata.properties` has it; None where it has none, or none of that type."""
        kind = self.tag.type
        if kind == PropertyType.MultipleString:
            return entry.all(self.attribute) or None
        if kind in (PropertyType.Binary, PropertyType.MultipleBinary):
            raw = [value for value in entry.attributes.get(self.attribute, ()) if isinstance(value, bytes)]
            return (raw or None) if kind == PropertyType.MultipleBinary else next(iter(raw), None)
        text = entry.first(self.attribute)
        if text is None or kind == PropertyType.String:
            return text
        return _time(text) if kind == PropertyType.Time else _integer(text)


def _integer(text: str) -> int | None:
    try:
        value = int(text)
    except ValueError:
        return None
    return value if -(1 << 31) <= value < 1 << 31 else None


def _time(text: str) -> int | None:
    """GeneralizedTime in UTC (RFC 4517 3.3.13), in 100 ns since 1601."""
    try:
        moment = datetime.datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return max(0, (moment - _TIME_ORIGIN) // datetime.timedelta(microseconds=1) * 10)


#: By property id.
BY_ID = {tag.id: AttributeProperty(tag, attribute) for tag, attribute in ATTRIBUTES}
LINK_BY_ID = {tag.id: AttributeProperty(tag, attribute) for tag, attribute in LINKS}
