"""An Exchange organization in an LDAP directory that has Exchange's schema, as `ocpy provision` makes it."""

from __future__ import annotations

from typing import Final

from openchange_py.addressbook.address_lists import ADDRESS_LISTS
from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.provisioning import Wanted, provision
from openchange_py.addressbook.provisioning_ldap import plan

#: The names of all address lists but the global one, in their order.
LISTS: Final = ("All Address Lists", *sorted(one.name for one in ADDRESS_LISTS))


def add_organization(session: Session, organization: Organization, server: str) -> None:
    """The organization, its administrative group, server and address lists."""
    provision(plan(session, Wanted(organization, server, f"{server}.example.test".lower())))
