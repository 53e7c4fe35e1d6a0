"""Names that are one entry's alone, which LDAP servers do not see to.

They are looked for before they are written; two administrators at the same moment can outrun that, and the index then
shows the first one's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from openchange_py.addressbook.base import EntryExists
from openchange_py.addressbook.ldap.mapping import identity
from openchange_py.addressbook.ldap.session import LdapEntry, Session, escape_filter
from openchange_py.addressbook.rows import AttributeMap, fold_address, organization_of
from openchange_py.addressbook.sortkeys import fold

#: Attributes whose values one entry of the whole directory has, as the index knows them.
_ALONE = ("sAMAccountName", "userPrincipalName", "legacyExchangeDN")


def refuse_taken(session: Session, own: uuid.UUID | None, dn: str, attributes: Mapping[str, Sequence[Any]]) -> None:
    """`EntryExists` where a name that `own` is about to get is another's, or within an organization an address.

    `dn` is its legacyExchangeDN, which says whose organization it belongs to.
    """
    values = AttributeMap(attributes)
    wanted = {(name, fold(value)) for name in _ALONE for value in values.texts(name)}
    addresses = {fold_address(value) for name in ("mail", "proxyAddresses") for value in values.texts(name) if value}
    condition = _condition(session, wanted, addresses)
    if not condition:
        return
    theirs = (*_ALONE, "uid", "mail", "proxyAddresses", "displayName", "cn", "objectGUID", "entryUUID")
    for other in session.search(session.root.base, condition, theirs):
        if identity(other) != own and (clash := _clash(session, other, dn, wanted, addresses)):
            shown = other.text("displayName") or other.text("cn") or other.dn
            raise EntryExists(f"{clash} is {shown}'s already")


def _condition(session: Session, wanted: set[tuple[str, str]], addresses: set[str]) -> str:
    terms = [(_theirs(session, name), value) for name, value in wanted]
    terms += [("proxyAddresses", value) for value in addresses]
    terms += [("mail", value.removeprefix("smtp:")) for value in addresses if value.startswith("smtp:")]
    found = "".join(f"({name}={escape_filter(value)})" for name, value in sorted(terms) if value)
    return f"(|{found})" if found else ""


def _theirs(session: Session, name: str) -> str:
    return "uid" if name == "sAMAccountName" and not session.is_active_directory else name


def _clash(
    session: Session, other: LdapEntry, dn: str, wanted: set[tuple[str, str]], addresses: set[str]
) -> str | None:
    """The name that the other entry has; servers take more for equal than names are."""
    names = {(name, fold(value)) for name in _ALONE for value in other.texts(_theirs(session, name))}
    if both := wanted & names:
        return min(both)[1]
    if organization_of(dn) != organization_of(other.text("legacyExchangeDN")):
        return None
    has = {fold_address(value) for name in ("mail", "proxyAddresses") for value in other.texts(name)}
    return min(addresses & has, default=None)
