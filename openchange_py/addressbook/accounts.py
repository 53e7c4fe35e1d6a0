"""The Exchange attributes that make an account's mailbox: what `ocpy newuser` writes to the directory.

Names and meanings are Active Directory's Exchange schema's; the values of the bit fields are [MS-OXOABK]'s where the
address book shows them, Exchange's own otherwise.
"""

from __future__ import annotations

import uuid

from openchange_py.addressbook.base import AttributeValue, Organization

#: msExchRecipientTypeDetails of a user with a mailbox.
USER_MAILBOX = 1
#: msExchRecipientDisplayType: PidTagDisplayTypeEx of a mailbox user who may be on access lists ([MS-OXOABK] 2.2.3.12).
ACLABLE_MAILBOX_USER = 0x40000000
#: msExchUserAccountControl of an account that may log in.
ACCOUNT_ENABLED = 0
#: ... and of one that may not (UF_ACCOUNTDISABLE).
ACCOUNT_DISABLED = 2

#: What `exchange_attributes` sets, and thus what takes a mailbox from an account when it is removed.
EXCHANGE_ATTRIBUTES = (
    "mailNickname",
    "legacyExchangeDN",
    "homeMDB",
    "homeMTA",
    "msExchHomeServerName",
    "msExchMailboxGuid",
    "msExchUserAccountControl",
    "msExchRecipientTypeDetails",
    "msExchRecipientDisplayType",
    "proxyAddresses",
)


def exchange_attributes(
    organization: Organization, server: str, account: str, mail: str, display_name: str
) -> dict[str, list[AttributeValue]]:
    """The attributes of an account with a mailbox on `server`. The mailbox GUID is new with every call.

    The legacyExchangeDN is made from the account's name, which is unique; the directory refuses one that is taken.
    """
    server_dn = organization.server_dn(server)
    return {
        "displayName": [display_name],
        "mail": [mail],
        "mailNickname": [account],
        "legacyExchangeDN": [organization.recipient_dn(account)],
        "homeMDB": [home_mdb(server_dn)],
        "homeMTA": [f"{server_dn}/cn=Microsoft MTA"],
        "msExchHomeServerName": [server_dn],
        "msExchMailboxGuid": [uuid.uuid4().bytes_le],
        "msExchUserAccountControl": [str(ACCOUNT_ENABLED)],
        "msExchRecipientTypeDetails": [str(USER_MAILBOX)],
        "msExchRecipientDisplayType": [str(ACLABLE_MAILBOX_USER)],
        "proxyAddresses": [f"SMTP:{mail}"],
    }


def home_mdb(server_dn: str) -> str:
    """The legacy distinguished name of a server's mailbox database, as clients know it."""
    return f"{server_dn}/cn=Microsoft Private MDB"
