"""A slapd with Exchange's schema, or without, and sessions with it."""

from __future__ import annotations

from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.ldap.connection import LdapServers, connect
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.provisioning import Wanted
from openchange_py.resources import setup_path
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, Slapd

EXCHANGE_SCHEMA = setup_path() / "openldap" / "exchange.ldif"
CONFIGURATION = f"cn=Configuration,{BASE}"
ORGANIZATION = Organization("First Organization", "First Administrative Group")
WANTED = Wanted(ORGANIZATION, "EXCH1", "exch1.example.test")


def session_with(slapd: Slapd) -> Session:
    """As the administrator of its database."""
    return Session(connect(LdapServers([slapd.ldap], BASE, ADMIN, ADMIN_PASSWORD, start_tls=False), 10))


def emptied(session: Session) -> Session:
    """Without anything below cn=Configuration."""
    found = [entry.dn for entry in session.search(CONFIGURATION, "(objectClass=*)", ["cn"])]
    for dn in sorted(found, key=lambda dn: -dn.count(",")):
        session.delete(dn)
    return session
