"""As much of an Exchange organization as an address book is read from, in an LDAP directory with Exchange's schema."""

from __future__ import annotations

from typing import Final

import ldap3

from openchange_py.addressbook import exchange_schema
from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.ldap.containers import configuration
from openchange_py.addressbook.ldap.session import Session, escape_name

#: Address lists and their searches.
LISTS: Final = {
    "All Users": "(&(mailNickname=*)(objectCategory=person)(objectClass=user))",
    "All Groups": "(&(mailNickname=*)(objectCategory=group))",
    "All Contacts": "(&(mailNickname=*)(objectCategory=person)(objectClass=contact))",
}


def extend_schema(session: Session) -> None:
    """Exchange's attributes and classes into an Active Directory's schema."""
    place = session.root.schema
    for additions in (exchange_schema.attributes(place), exchange_schema.classes(place)):
        for addition in additions:
            values = dict(addition.attributes)
            session.add(addition.dn, [str(name) for name in values.pop("objectClass")], values)
        _refresh(session)
    for change in exchange_schema.extensions(place):
        for _, name, values in change.changes:
            present = session.read(change.dn, [name])
            new = [value for value in values if present is None or value not in present.texts(name)]
            session.modify(change.dn, {name: [(ldap3.MODIFY_ADD, new)]} if new else {})
    _refresh(session)


def _refresh(session: Session) -> None:
    session.modify("", {"schemaUpdateNow": [(ldap3.MODIFY_REPLACE, ["1"])]})


def add_organization(session: Session, organization: Organization, server: str) -> None:
    """The organization, its administrative group, server and address lists."""
    base = configuration(session)
    services = f"CN=Services,{base}"
    exchange = f"CN=Microsoft Exchange,{services}"
    for dn in (base, services):
        if session.read(dn, ["cn"]) is None:
            session.add(dn, ["container"], {})
    root = f"CN={escape_name(organization.name)},{exchange}"
    lists, globals_ = (f"CN={name},CN=Address Lists Container,{root}" for name in ("All Address Lists", "All GALs"))
    gal = f"CN=Default Global Address List,{globals_}"
    if session.read(exchange, ["cn"]) is None:
        session.add(exchange, ["msExchConfigurationContainer"], {})
    session.add(root, ["msExchOrganizationContainer"], {"legacyExchangeDN": [f"/o={organization.name}"]})
    group = f"CN=Administrative Groups,{root}"
    session.add(group, ["msExchAdminGroupContainer"], {})
    group = f"CN={escape_name(organization.administrative_group)},{group}"
    session.add(group, ["msExchAdminGroup"], {"legacyExchangeDN": [organization.dn_prefix]})
    session.add(f"CN=Servers,{group}", ["msExchServersContainer"], {})
    names: dict[str, list[str | bytes]] = {"legacyExchangeDN": [organization.server_dn(server)]}
    session.add(f"CN={server},CN=Servers,{group}", ["msExchExchangeServer"], names)
    session.add(f"CN=Address Lists Container,{root}", ["msExchContainer"], {})
    everybody = "(&(mailNickname=*)(|(objectClass=user)(objectClass=group)(objectClass=contact)))"
    for dn, search in ((lists, ""), (globals_, ""), (gal, everybody)):
        _add_list(session, dn, search)
    for name, search in LISTS.items():
        _add_list(session, f"CN={name},{lists}", search)
    session.modify(
        exchange,
        {"globalAddressList": [(ldap3.MODIFY_ADD, [gal])], "addressBookRoots": [(ldap3.MODIFY_ADD, [lists])]},
    )


def _add_list(session: Session, dn: str, search: str) -> None:
    name = dn.partition(",")[0].partition("=")[2]
    values: dict[str, list[str | bytes]] = {"displayName": [name], **({"purportedSearch": [search]} if search else {})}
    session.add(dn, ["addressBookContainer"], values)
