"""The address lists that every organization has from the start, as Exchange makes them, with whom they show.

The searches are the ones of Exchange 2010's own lists.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class AddressList(NamedTuple):
    """An address list: its name, and the LDAP filter that finds who belongs in it."""

    name: str
    search: str


#: What has mailboxes and what only has an account: both are people.
_USERS: Final = (
    "(|(&(objectCategory=person)(objectClass=user)(!(homeMDB=*))(!(msExchHomeServerName=*)))"
    "(&(objectCategory=person)(objectClass=user)(|(homeMDB=*)(msExchHomeServerName=*))))"
)

GLOBAL_ADDRESS_LIST: Final = AddressList(
    "Default Global Address List",
    "(&(mailNickname=*)(|(objectClass=user)(objectClass=contact)(objectClass=msExchSystemMailbox)"
    "(objectClass=msExchDynamicDistributionList)(objectClass=group)(objectClass=publicFolder)))",
)

ADDRESS_LISTS: Final = (
    AddressList("All Users", f"(&(mailNickname=*){_USERS})"),
    AddressList("All Groups", "(&(mailNickname=*)(objectCategory=group))"),
    AddressList("All Contacts", "(&(mailNickname=*)(objectCategory=person)(objectClass=contact))"),
    AddressList("Public Folders", "(&(mailNickname=*)(objectCategory=publicFolder))"),
    # msExchRecipientDisplayType: a room here, and one of another forest ([MS-OXOABK] 2.2.3.12).
    AddressList(
        "All Rooms",
        "(&(mailNickname=*)(|(msExchRecipientDisplayType=7)(msExchRecipientDisplayType=-2147481850)))",
    ),
)
