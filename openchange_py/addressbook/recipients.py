"""The kinds of recipients that a directory may have, and the Exchange attributes that make an object one of them.

Names and meanings of the attributes are Active Directory's Exchange schema's. PidTagDisplayTypeEx, which is
msExchRecipientDisplayType, is [MS-OXOABK] 2.2.3.12's; the other numbers are Exchange's own, as its tools show them.
homeMDB and homeMTA are given by legacyExchangeDN, by which a directory in LDAP finds what it calls otherwise; address
lists choose their entries themselves (`purported_search`).
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from openchange_py.addressbook.base import Attributes, AttributeValue, Kind, Organization

#: msExchUserAccountControl of an account that may log in, and of one that may not (UF_ACCOUNTDISABLE).
ACCOUNT_ENABLED: Final = 0
ACCOUNT_DISABLED: Final = 2

#: [MS-OXOABK] 2.2.3.12, DTE_FLAG_ACL_CAPABLE: who may stand on access lists.
ACL_CAPABLE: Final = 0x40000000

#: [MS-ADTS] 2.2.12, groupType: universal groups, which Exchange wants for distribution; the second is a security group.
_UNIVERSAL: Final = 0x00000008
_SECURITY: Final = -0x80000000


@dataclasses.dataclass(frozen=True, slots=True)
class RecipientType:
    """What `ocpy` calls it, and the numbers by which Exchange's tools and clients know it."""

    name: str
    kind: Kind
    #: msExchRecipientTypeDetails.
    details: int
    #: msExchRecipientDisplayType.
    display_type: int
    #: The account of a room has a mailbox, and nobody who logs on with it.
    logs_on: bool = False

    @property
    def has_mailbox(self) -> bool:
        """Whether mail is kept for it."""
        return self.kind is Kind.USER


USER_MAILBOX: Final = RecipientType("user", Kind.USER, 0x1, ACL_CAPABLE, logs_on=True)
SHARED_MAILBOX: Final = RecipientType("shared", Kind.USER, 0x4, 0x0)
ROOM_MAILBOX: Final = RecipientType("room", Kind.USER, 0x10, 0x7)
EQUIPMENT_MAILBOX: Final = RecipientType("equipment", Kind.USER, 0x20, 0x8)
MAIL_CONTACT: Final = RecipientType("contact", Kind.CONTACT, 0x40, 0x6)
DISTRIBUTION_GROUP: Final = RecipientType("distribution", Kind.GROUP, 0x100, 0x1)
SECURITY_GROUP: Final = RecipientType("security", Kind.GROUP, 0x400, ACL_CAPABLE | 0x9)

#: By the word that `ocpy newuser --type` takes.
MAILBOX_TYPES: Final = {kind.name: kind for kind in (USER_MAILBOX, SHARED_MAILBOX, ROOM_MAILBOX, EQUIPMENT_MAILBOX)}

#: What takes a mailbox from an account when it is removed.
EXCHANGE_ATTRIBUTES: Final = (
    "mailNickname",
    "legacyExchangeDN",
    "homeMDB",
    "homeMTA",
    "msExchHomeServerName",
    "msExchMailboxGuid",
    "msExchUserAccountControl",
    "msExchRecipientTypeDetails",
    "msExchRecipientDisplayType",
    "msExchResourceMetaData",
    "msExchResourceSearchProperties",
    "msExchResourceDisplay",
    "msExchResourceCapacity",
    "proxyAddresses",
    "showInAddressBook",
)


def recipient_attributes(
    organization: Organization,
    recipient: RecipientType,
    alias: str,
    mail: str,
    display_name: str,
    *,
    server: str | None = None,
) -> dict[str, list[AttributeValue]]:
    """The attributes of a new recipient; with a mailbox on `server`, whose GUID is new with every call.

    A contact's mail goes to `mail`; everybody else's `mail` is an address of this organization.
    """
    attributes: dict[str, list[AttributeValue]] = {
        "displayName": [display_name],
        "mail": [mail],
        "mailNickname": [alias],
        "legacyExchangeDN": [organization.recipient_dn(alias)],
        "msExchRecipientTypeDetails": [str(recipient.details)],
        "msExchRecipientDisplayType": [str(recipient.display_type)],
        "proxyAddresses": [f"SMTP:{mail}", x400_address(organization, alias)],
    }
    if recipient.has_mailbox:
        assert server is not None, "a mailbox is on a server"
        server_dn = organization.server_dn(server)
        attributes["homeMDB"] = [home_mdb(server_dn)]
        attributes["homeMTA"] = [f"{server_dn}/cn=Microsoft MTA"]
        attributes["msExchHomeServerName"] = [server_dn]
        attributes["msExchMailboxGuid"] = [uuid.uuid4().bytes_le]
        attributes["msExchUserAccountControl"] = [str(ACCOUNT_ENABLED if recipient.logs_on else ACCOUNT_DISABLED)]
    if recipient.kind is Kind.CONTACT:
        attributes["targetAddress"] = [f"SMTP:{mail}"]
    if recipient.kind is Kind.GROUP:
        attributes["groupType"] = [str(_UNIVERSAL | (_SECURITY if recipient is SECURITY_GROUP else 0))]
    if recipient in (ROOM_MAILBOX, EQUIPMENT_MAILBOX):
        attributes |= _resource(recipient)
    return attributes


def _resource(recipient: RecipientType) -> dict[str, list[AttributeValue]]:
    """How Outlook's room finder and Exchange's tools know a room from a projector."""
    word = recipient.name.title()
    return {
        "msExchResourceMetaData": [f"ResourceType:{word}"],
        "msExchResourceSearchProperties": [word],
        "msExchResourceDisplay": [word],
    }


#: PrintableString (X.680 41.4), which an X.400 address is made of, without what separates its parts.
_NOT_PRINTABLE: Final = re.compile(r"[^A-Za-z0-9 '()+,.:?-]")


def x400_address(organization: Organization, alias: str) -> str:
    """An originator/recipient address as Exchange's default policy makes it: `X400:C=US;A= ;P=First;O=Group;S=alice;`.

    The order of parts is RFC 1685's; the private domain has 16 characters, organization 64, surname 40. The surname is
    the alias, since addresses are unique and people's names are not.
    """
    parts = (
        ("C", "US"),
        ("A", " "),
        ("P", _printable(organization.name, 16)),
        ("O", _printable(organization.administrative_group, 64)),
        ("S", _printable(alias, 40)),
    )
    return "X400:" + "".join(f"{key}={value};" for key, value in parts if value)


def _printable(text: str, longest: int) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return _NOT_PRINTABLE.sub("", plain)[:longest].strip()


def with_primary_address(addresses: Sequence[str], mail: str) -> list[str]:
    """proxyAddresses with a new primary mail address; the old one stays as a secondary, so that its mail arrives."""
    others = [
        "smtp:" + address[5:] if address.startswith("SMTP:") else address
        for address in addresses
        if address.casefold() != f"smtp:{mail}".casefold()
    ]
    return [f"SMTP:{mail}", *others]


def typed_address(address: str) -> str:
    """An address as proxyAddresses has it: `X500:...` and `X400:...` as they are, a mail address as a secondary one."""
    return address if address.upper().startswith(("X500:", "X400:")) else f"smtp:{address}"


def without_addresses(addresses: Sequence[str], removed: Iterable[str]) -> list[str]:
    """proxyAddresses without some of them."""
    gone = {typed_address(address).casefold() for address in removed}
    return [address for address in addresses if address.casefold() not in gone]


def recipient_type(attributes: Attributes) -> RecipientType | None:
    """What an entry is by its msExchRecipientTypeDetails; None for one that is none of these."""
    found = next((value for value in attributes.get("msExchRecipientTypeDetails", ()) if isinstance(value, str)), "")
    return _BY_DETAILS.get(found)


_BY_DETAILS: Final = {
    str(kind.details): kind for kind in (*MAILBOX_TYPES.values(), MAIL_CONTACT, DISTRIBUTION_GROUP, SECURITY_GROUP)
}


def home_mdb(server_dn: str) -> str:
    """The legacy distinguished name of a server's mailbox database, as clients know it."""
    return f"{server_dn}/cn=Microsoft Private MDB"
