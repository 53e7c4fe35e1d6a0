"""Organizations and address lists, as Exchange keeps them in a directory's configuration.

Below `CN=Microsoft Exchange,CN=Services,CN=Configuration,...` an `msExchOrganizationContainer` stands for each
organization, with its administrative groups (`msExchAdminGroup`) and address lists (`addressBookContainer`) below it.
Clients see those that the `msExchConfigurationContainer` above names: `addressBookRoots` and what is below them, and
`globalAddressList`. OpenLDAP has the same tree below its base.
Not done: several global address lists in one organization; everybody sees the default one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from openchange_py.addressbook.base import ContainerKind, ContainerRecord, Organization
from openchange_py.addressbook.followed import AddressBookRecord
from openchange_py.addressbook.ldap.mapping import identity
from openchange_py.addressbook.ldap.session import LdapEntry, Session

_ORGANIZATION: Final = "msExchOrganizationContainer"
_ADMINISTRATIVE_GROUP: Final = "msExchAdminGroup"
_LIST: Final = "addressBookContainer"
_SETTINGS: Final = "msExchConfigurationContainer"
_DEFAULT_GROUP: Final = "First Administrative Group"
_DEFAULT_LIST: Final = "default global address list"
_ATTRIBUTES: Final = (
    "objectClass",
    "objectGUID",
    "entryUUID",
    "cn",
    "displayName",
    "purportedSearch",
    "globalAddressList",
    "globalAddressList2",
    "addressBookRoots",
    "addressBookRoots2",
)


def configuration(session: Session) -> str:
    """The configuration's base."""
    return session.root.configuration or f"cn=Configuration,{session.root.base}"


def read_address_books(session: Session, base: str) -> list[AddressBookRecord]:
    """Every organization with its containers."""
    classes = (_ORGANIZATION, _ADMINISTRATIVE_GROUP, _LIST, _SETTINGS)
    condition = f"(|{''.join(f'(objectClass={name})' for name in classes)})"
    tree = _Tree(list(session.search(base, condition, _ATTRIBUTES)))
    return [
        AddressBookRecord(Organization(one.text("cn"), tree.administrative_group(one)), tree.containers(one))
        for one in tree.entries
        if _is(one, _ORGANIZATION)
    ]


def folded(dn: str) -> str:
    """A distinguished name as it is compared: servers write it in one way, but for its case."""
    return dn.casefold()


def _is(entry: LdapEntry, name: str) -> bool:
    return any(one.casefold() == name.casefold() for one in entry.texts("objectClass"))


def _below(entry: LdapEntry, ancestor: LdapEntry) -> bool:
    return folded(entry.dn).endswith(f",{folded(ancestor.dn)}")


def _either(entry: LdapEntry, name: str) -> list[str]:
    """An attribute, or the one with links that Windows Server 2008 has beside it."""
    return [*entry.texts(name), *entry.texts(f"{name}2")]


class _Tree:
    """What the configuration holds of Exchange."""

    def __init__(self, entries: list[LdapEntry]) -> None:
        self.entries = entries
        self._globals = {folded(dn) for one in entries for dn in _either(one, "globalAddressList")}
        self._roots = {folded(dn) for one in entries for dn in _either(one, "addressBookRoots")}

    def administrative_group(self, organization: LdapEntry) -> str:
        """The first one's name: an organization that Exchange made has one, or one per old site."""
        names = [
            one.text("cn") for one in self.entries if _is(one, _ADMINISTRATIVE_GROUP) and _below(one, organization)
        ]
        return min(names, default=_DEFAULT_GROUP)

    def containers(self, organization: LdapEntry) -> list[ContainerRecord]:
        """Those that clients see."""
        lists = {folded(one.dn): one for one in self.entries if _is(one, _LIST) and _below(one, organization)}
        chosen = min(
            (dn for dn in lists if dn in self._globals), key=lambda dn: (_DEFAULT_LIST not in dn, dn), default=""
        )
        shown = {dn: one for dn, one in lists.items() if dn == chosen or self._is_shown(dn)}
        return [record for dn in shown if (record := _container(dn, shown, dn == chosen)) is not None]

    def _is_shown(self, dn: str) -> bool:
        return any(dn == root or dn.endswith(f",{root}") for root in self._roots)


def _container(dn: str, shown: Mapping[str, LdapEntry], is_global: bool) -> ContainerRecord | None:
    one, above = shown[dn], dn.partition(",")[2]
    guid = identity(one)
    if guid is None:
        return None
    return ContainerRecord(
        guid,
        one.dn,
        one.text("displayName") or one.text("cn"),
        ContainerKind.GLOBAL if is_global else ContainerKind.LIST,
        shown[above].dn if above in shown else None,
        one.text("purportedSearch"),
    )
