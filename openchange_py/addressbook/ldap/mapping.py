"""Between entries of an LDAP server and what the directory's index is made of.

Only attributes that are named here are ever asked for: secrets (passwords, hashes, keys) are none of them. Values that
no table or wire can hold are left out. OpenLDAP's people are `inetOrgPerson` with `uid` for an account, and what Active
Directory calls otherwise gets Active Directory's name.
Not done: members of a group by primaryGroupID, dynamic distribution lists, public folders that have an address.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from openchange_py.addressbook.attributes import ATTRIBUTES
from openchange_py.addressbook.base import (
    LINK_ATTRIBUTES,
    AttributeValue,
    Kind,
    Record,
)
from openchange_py.addressbook.ldap.session import LdapEntry, RootDse, ServerKind
from openchange_py.wire.oxcdata.properties import PropertyType

_BINARY_TYPES: Final = (PropertyType.Binary, PropertyType.MultipleBinary)
#: What the index needs besides the attributes that a property shows.
_NEEDED: Final = (
    "objectClass",
    "objectCategory",
    "sn",
    "mail",
    "mailNickname",
    "mAPIRecipient",
    "displayName",
    "displayNamePrintable",
    "legacyExchangeDN",
    "sAMAccountName",
    "userPrincipalName",
    "groupType",
    "msExchHideFromAddressLists",
    "msExchHomeServerName",
    "msExchRecipientDisplayType",
    "msExchRecipientTypeDetails",
    "msExchResourceCapacity",
    "msExchResourceDisplay",
    "msExchResourceMetaData",
    "msExchUserAccountControl",
    "msOrg-IsOrganizational",
    "msDS-HABSeniorityIndex",
    "networkAddress",
    "serialNumber",
)
_NEEDED_BINARY: Final = ("msExchMailboxGuid", "objectSid", "msExchMasterAccountSid", "jpegPhoto")

#: Exchange's attributes whose identifiers were never published, so that `ocpy provision` can't add them to a schema
#: (docs/operation.md): they are read and written where Exchange's own setup was run.
UNPUBLISHED: Final = frozenset(
    {
        "msExchCoManagedByLink",
        "msExchDelegateListLink",
        "msExchEnableModeration",
        "msExchGroupExternalMemberCount",
        "msExchGroupMemberCount",
        "msExchHABShowInDepartments",
        "msExchModeratedByLink",
        "msExchOURoot",
        "msExchResourceCapacity",
        "msExchResourceDisplay",
        "msExchResourceMetaData",
        "msExchResourceSearchProperties",
        "msExchSenderHintTranslations",
    }
)

#: Attributes whose values are bytes, in lower case.
BINARY: Final = frozenset(
    name.casefold()
    for name in (
        *(name for tag, name in ATTRIBUTES if tag.type in _BINARY_TYPES),
        *_NEEDED_BINARY,
        "userSMIMECertificate",
    )
)

#: The directory's names of what is read; links apart.
_READ: Final = tuple(dict.fromkeys((*_NEEDED, *_NEEDED_BINARY, *(name for _, name in ATTRIBUTES))))
_LINKS: Final = frozenset(LINK_ATTRIBUTES)

#: OpenLDAP's name, and the one that the rest of the program knows.
_OPENLDAP_NAMES: Final = {
    "uid": "sAMAccountName",
    "createTimestamp": "whenCreated",
    "modifyTimestamp": "whenChanged",
    "uniqueMember": "member",
    "jpegPhoto": "thumbnailPhoto",
}
_FROM_OPENLDAP: Final = {theirs.casefold(): ours for theirs, ours in _OPENLDAP_NAMES.items()}
_CANONICAL: Final = {name.casefold(): name for name in (*_READ, *LINK_ATTRIBUTES)}

#: What OpenLDAP calls some attributes where they are written: certificates by RFC 4523 2.1.
_TO_OPENLDAP: Final = {"sAMAccountName": "uid", "userCertificate": "userCertificate;binary"}

#: Object classes and what they make of an entry; the first that an entry has decides.
_KINDS: Final = (
    ("msexchexchangeserver", Kind.SERVER),
    ("msexchorganizationcontainer", Kind.ORGANIZATION),
    ("group", Kind.GROUP),
    ("groupofnames", Kind.GROUP),
    ("groupofuniquenames", Kind.GROUP),
    ("contact", Kind.CONTACT),
    ("user", Kind.USER),
    ("inetorgperson", Kind.USER),
)

#: What a server says by itself.
_SERVERS_OWN: Final = frozenset({"whenCreated", "whenChanged", "objectClass", "objectCategory"})

#: [MS-ADTS] 2.2.16, userAccountControl: ADS_UF_ACCOUNT_DISABLE.
ACCOUNT_DISABLE: Final = 0x2


def attributes_to_read(root: RootDse) -> list[str]:
    """What is asked of every entry."""
    names = [*_READ, *LINK_ATTRIBUTES]
    if root.kind is ServerKind.ACTIVE_DIRECTORY:
        return [*names, "objectGUID", "userAccountControl", "uSNChanged"]
    return [*names, *_OPENLDAP_NAMES, "entryUUID", "entryCSN", "sambaAcctFlags"]


def identity(entry: LdapEntry) -> uuid.UUID | None:
    """objectGUID or entryUUID: what stays the same whatever the entry is called."""
    for raw in entry.attributes.get("objectguid", ()):
        if len(raw) == 16:
            return uuid.UUID(bytes_le=raw)
    try:
        return uuid.UUID(entry.text("entryUUID"))
    except ValueError:
        return None


def to_record(entry: LdapEntry, root: RootDse) -> Record | None:
    """What the index keeps of an entry; None for one that does not belong into an address book."""
    guid, kind = identity(entry), kind_of(entry)
    if guid is None or kind is None or not entry.dn:
        return None
    openldap = root.kind is ServerKind.OPENLDAP
    attributes: dict[str, list[AttributeValue]] = {}
    links: dict[str, list[str]] = {}
    for folded, raw in entry.attributes.items():
        name = _directory_name(folded, openldap)
        if name is None:
            continue
        if name in _LINKS:
            # A group of OpenLDAP's that must have a member has itself where it has none.
            links.setdefault(name, []).extend(dn for dn in _texts(raw) if dn.casefold() != entry.dn.casefold())
        else:
            values: list[AttributeValue] = [*raw] if name.casefold() in BINARY else [*_texts(raw)]
            if values and name not in attributes:
                attributes[name] = values
    return Record(guid, entry.dn, kind, _enabled(entry, root), attributes, links)


def kind_of(entry: LdapEntry) -> Kind | None:
    """By its object classes."""
    classes = {name.casefold() for name in entry.texts("objectClass")}
    return next((kind for name, kind in _KINDS if name in classes), None)


def _directory_name(folded: str, openldap: bool) -> str | None:
    return (_FROM_OPENLDAP.get(folded) if openldap else None) or _CANONICAL.get(folded)


def _texts(raw: Iterable[bytes]) -> list[str]:
    """Those that are text: no table and no string on the wire holds a zero or half a character."""
    found = []
    for value in raw:
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            found.append(text)
    return found


def _enabled(entry: LdapEntry, root: RootDse) -> bool:
    if root.kind is ServerKind.ACTIVE_DIRECTORY:
        return not _number(entry.text("userAccountControl")) & ACCOUNT_DISABLE
    return "D" not in entry.text("sambaAcctFlags").upper() and not (
        _number(entry.text("msExchUserAccountControl")) & ACCOUNT_DISABLE
    )


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def to_ldap(attributes: Mapping[str, Sequence[AttributeValue] | None], root: RootDse) -> dict[str, list[str | bytes]]:
    """Attributes as the server takes them; an empty list for one that is removed."""
    found: dict[str, list[str | bytes]] = {}
    for name, values in attributes.items():
        canonical = _CANONICAL.get(name.casefold(), name)
        if canonical not in _SERVERS_OWN:
            openldap = root.kind is ServerKind.OPENLDAP
            theirs = _TO_OPENLDAP.get(canonical, canonical) if openldap else canonical
            found[theirs] = list(values or ())
    return found
