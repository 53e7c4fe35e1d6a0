"""LDAP attributes and the address book properties that show them: [MS-OXOABK] 2.2, one table for every directory.

A tag's type says how the attribute's text is understood. What is computed from more than one attribute, or from
the server, is not here: see `servers.nspi.computed`. Telephone numbers that no attribute of the Exchange schema holds
(car, radio, callback, home fax, ...) are no properties of the address book.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

from openchange_py.addressbook.base import DisplayType, Entry
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType

#: 1601-01-01, where PtypTime begins.
_TIME_ORIGIN = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)

#: The attribute that makes a group a department.
IS_DEPARTMENT = "msOrg-IsOrganizational"
#: The attribute of an organization that names the department at the top.
ROOT_DEPARTMENT_LINK = "msExchHABRootDepartmentLink"

#: Property tag and LDAP attribute.
ATTRIBUTES: tuple[tuple[PropertyTag, str], ...] = (
    (proptags.PidTagAddressBookRoomCapacity, "msExchResourceCapacity"),
    (proptags.PidTagAddressBookRoomDescription, "msExchResourceDisplay"),
    (proptags.PidTagComment, "info"),
    (proptags.PidTagCreationTime, "whenCreated"),
    (proptags.PidTagLastModificationTime, "whenChanged"),
    (proptags.PidTagGeneration, "generationQualifier"),
    (proptags.PidTagGivenName, "givenName"),
    (proptags.PidTagBusinessTelephoneNumber, "telephoneNumber"),
    (proptags.PidTagHomeTelephoneNumber, "homePhone"),
    (proptags.PidTagInitials, "initials"),
    (proptags.PidTagMiddleName, "middleName"),
    (proptags.PidTagDisplayNamePrefix, "personalTitle"),
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
    (proptags.PidTagBusinessFaxNumber, "facsimileTelephoneNumber"),
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
    (proptags.PidTagUserCertificate, "userCert"),
    (proptags.PidTagUserX509Certificate, "userSMIMECertificate"),
    (proptags.PidTagSendInternetEncoding, "internetEncoding"),
    (proptags.PidTagAddressBookFolderPathname, "folderPathname"),
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
    (proptags.PidTagAddressBookSeniorityIndex, "msDS-HABSeniorityIndex"),
    (proptags.PidTagAddressBookOrganizationalUnitRootDistinguishedName, "msExchOURoot"),
    (proptags.PidTagAddressBookSenderHintTranslations, "msExchSenderHintTranslations"),
    (proptags.PidTagAddressBookModerationEnabled, "msExchEnableModeration"),
    (proptags.PidTagAddressBookHierarchicalIsHierarchicalGroup, IS_DEPARTMENT),
)


@dataclasses.dataclass(frozen=True, slots=True)
class LinkProperty:
    """A property that refers to other entries: those that `AddressLists.linked` gives for an attribute.

    In the hierarchical address book groups are departments ([MS-OXOABK] 3.1.4.3.1): `sources` and `targets` say
    that only those, or no others, are referred from and to.
    """

    tag: PropertyTag
    attribute: str
    sources: Callable[[Entry], bool] | None = None
    targets: Callable[[Entry], bool] | None = None


def is_group(entry: Entry) -> bool:
    """Whether an entry has members."""
    return entry.display_type in (DisplayType.DISTLIST, DisplayType.PRIVATE_DISTLIST)


def is_organization(entry: Entry) -> bool:
    """Whether an entry is the organization itself."""
    return entry.display_type == DisplayType.ORGANIZATION


def is_department(entry: Entry) -> bool:
    """Whether a group is a department of the hierarchical address book."""
    return is_group(entry) and (entry.first(IS_DEPARTMENT) or "").casefold() == "true"


LINKS: tuple[LinkProperty, ...] = (
    LinkProperty(proptags.PidTagAddressBookManageDistributionList, "member", sources=is_group),
    LinkProperty(proptags.PidTagAddressBookManager, "manager"),
    LinkProperty(proptags.PidTagAddressBookIsMemberOfDistributionList, "memberOf"),
    LinkProperty(proptags.PidTagAddressBookMember, "member"),
    LinkProperty(proptags.PidTagAddressBookOwner, "managedBy"),
    LinkProperty(proptags.PidTagAddressBookReports, "directReports"),
    LinkProperty(proptags.PidTagAddressBookPublicDelegates, "publicDelegates"),
    LinkProperty(proptags.PidTagAddressBookOwnerBackLink, "managedObjects"),
    LinkProperty(proptags.PidTagAddressBookDistributionListMemberSubmitAccepted, "dLMemSubmitPerms"),
    LinkProperty(proptags.PidTagAddressBookAuthorizedSenders, "authOrig"),
    LinkProperty(proptags.PidTagAddressBookUnauthorizedSenders, "unauthOrig"),
    LinkProperty(proptags.PidTagAddressBookDistributionListMemberSubmitRejected, "dLMemRejectPerms"),
    LinkProperty(proptags.PidTagAddressBookDistributionListRejectMessagesFromDLMembers, "dLMemRejectPerms"),
    LinkProperty(proptags.PidTagAddressBookHierarchicalShowInDepartments, "memberOf", targets=is_department),
    LinkProperty(proptags.PidTagAddressBookHierarchicalDepartmentMembers, "member", sources=is_department),
    LinkProperty(
        # A table here, and a distinguished name in offline address books ([MS-OXOABK] 2.2.7.2).
        proptags.PidTagAddressBookHierarchicalRootDepartment.with_type(PropertyType.Object),
        ROOT_DEPARTMENT_LINK,
        sources=is_organization,
        targets=is_department,
    ),
    LinkProperty(
        proptags.PidTagAddressBookHierarchicalParentDepartment, "memberOf", sources=is_department, targets=is_department
    ),
    LinkProperty(
        proptags.PidTagAddressBookHierarchicalChildDepartments, "member", sources=is_department, targets=is_department
    ),
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
        return _READERS[kind](text)


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


def _boolean(text: str) -> int | None:
    return {"true": 1, "false": 0}.get(text.casefold())


_READERS: dict[int, Callable[[str], int | None]] = {
    PropertyType.Time: _time,
    PropertyType.Boolean: _boolean,
    PropertyType.Integer32: _integer,
}

#: By property id.
BY_ID = {tag.id: AttributeProperty(tag, attribute) for tag, attribute in ATTRIBUTES}
LINK_BY_ID = {link.tag.id: link for link in LINKS}
