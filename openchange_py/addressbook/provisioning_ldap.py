"""The plan for an LDAP directory: Active Directory, Samba's or Microsoft's, or OpenLDAP.

An organization that this program did not make, Exchange's own foremost, is never changed: a server may be added to it,
in entries of its own. Not done: removing recipients' attributes when the last server goes; `ocpy newuser --delete` does
it account by account.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.ldap.containers import configuration
from openchange_py.addressbook.ldap.session import LEVEL, Session, escape_filter
from openchange_py.addressbook.provisioning import Removal, Step, Wanted, has_mailboxes, listed, no_organization
from openchange_py.addressbook.provisioning_schema import OpenLdapSchemaStep, RefreshStep, active_directory_steps
from openchange_py.addressbook.provisioning_steps import MARK_ATTRIBUTE, is_ours
from openchange_py.addressbook.provisioning_tree import Tree, common_name, exchange_dn

#: As many characters as a directory takes in a cn (rangeUpper of CN=Common-Name).
_LONGEST: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server of an organization, with the administrative group that it is in."""

    name: str
    administrative_group: str
    ours: bool


@dataclasses.dataclass(frozen=True, slots=True)
class FoundOrganization:
    """An organization that is in the directory, whoever made it."""

    name: str
    dn: str
    ours: bool
    servers: tuple[Server, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class LdapProvisioner:
    """See `Provisioner`; it owns the session."""

    session: Session
    wanted: Wanted

    def plan(self) -> list[Step]:
        """See `Provisioner`."""
        return plan(self.session, self.wanted)

    def removal(self) -> Removal:
        """See `Provisioner`."""
        return removal(self.session, self.wanted)

    def close(self) -> None:
        """Close the connection."""
        self.session.close()


def organizations(session: Session) -> Iterator[FoundOrganization]:
    """Every organization there is."""
    place = exchange_dn(configuration(session))
    found = session.search(place, "(objectClass=msExchOrganizationContainer)", ["cn", MARK_ATTRIBUTE], scope=LEVEL)
    for entry in list(found):
        servers = session.search(entry.dn, "(objectClass=msExchExchangeServer)", ["cn", MARK_ATTRIBUTE])
        # CN=EXCH1,CN=Servers,CN=First Administrative Group,CN=Administrative Groups,CN=First Organization,...
        listed = tuple(Server(one.text("cn"), common_name(_above(_above(one.dn))), is_ours(one)) for one in servers)
        yield FoundOrganization(entry.text("cn"), entry.dn, is_ours(entry), listed)


def _above(dn: str) -> str:
    return dn.partition(",")[2]


def plan(session: Session, wanted: Wanted) -> list[Step]:
    """What `wanted` takes, in order. `DirectoryError`: what is there does not go together with it."""
    there = _decide(session, wanted)
    tree = _tree(session, wanted)
    parts: list[Step] = [*tree.group_steps(), *tree.server_steps()]
    if there is None or there.ours:
        # Our own one is made whole where it is not.
        parts = [*tree.organization_steps(), *parts]
    if not session.is_active_directory:
        return [OpenLdapSchemaStep(session), *tree.configuration_steps(), *parts]
    return [*active_directory_steps(session), RefreshStep(session, parts), *parts]


def _tree(session: Session, wanted: Wanted) -> Tree:
    return Tree(session, configuration(session), wanted)


def _decide(session: Session, wanted: Wanted) -> FoundOrganization | None:
    """The organization that is there; None where it is to be made."""
    for name in (wanted.organization.name, wanted.organization.administrative_group, wanted.server):
        if len(name) > _LONGEST:
            raise DirectoryError(f"{name!r} has more than {_LONGEST} characters, and the directory takes no more")
    found = list(organizations(session))
    there = _called(found, wanted.organization.name)
    if not wanted.additional:
        _refuse_foreign(session, found, wanted)
    if there is not None:
        _refuse_server(there, wanted)
    elif wanted.additional:
        raise no_organization(wanted, (one.name for one in found))
    return there


def _called(found: list[FoundOrganization], name: str) -> FoundOrganization | None:
    return next((one for one in found if one.name.casefold() == name.casefold()), None)


def _refuse_foreign(session: Session, found: list[FoundOrganization], wanted: Wanted) -> None:
    for one in found:
        if not one.ours:
            raise DirectoryError(
                f"the Exchange organization {one.name} is there already ({one.dn}), and was not made by ocpy provision:"
                " it stays as it is. To add this server to it, set"
                f" `ocpy:organization = {one.name}` and use --additional"
            )
    place = exchange_dn(configuration(session))
    entry = session.read(place, [MARK_ATTRIBUTE])
    if entry is not None and not is_ours(entry):
        raise DirectoryError(
            f"{place} is there, without an organization, and was not made by ocpy provision: it stays as it is."
            " Remove it where nobody needs it, and run this again"
        )
    there = _called(found, wanted.organization.name)
    if there is None or not there.servers or _server(there, wanted) is not None:
        return
    raise DirectoryError(
        f"the organization {there.name} has servers already ({', '.join(one.name for one in there.servers)}):"
        f" use --additional to add {wanted.server} to it"
    )


def _server(there: FoundOrganization, wanted: Wanted) -> Server | None:
    return next((one for one in there.servers if one.name.casefold() == wanted.server.casefold()), None)


def _refuse_server(there: FoundOrganization, wanted: Wanted) -> None:
    server, group = _server(there, wanted), wanted.organization.administrative_group
    if server is None:
        return
    if not server.ours:
        raise DirectoryError(
            f"the organization {there.name} has a server {server.name} that was not made by ocpy provision: it stays"
            " as it is. This server needs another `netbios name`"
        )
    if server.administrative_group.casefold() != group.casefold():
        raise DirectoryError(
            f"the server {server.name} is in the administrative group {server.administrative_group}, not in {group}:"
            f" set `ocpy:administrative group = {server.administrative_group}`, or remove it there with --deprovision"
        )


def removal(session: Session, wanted: Wanted) -> Removal:
    """What may be taken away. `DirectoryError`: nothing may."""
    found = list(organizations(session))
    there = _called(found, wanted.organization.name)
    if there is None:
        raise no_organization(wanted, (one.name for one in found))
    tree = _tree(session, wanted)
    _refuse_mailboxes(session, wanted, tree)
    stays = ["The schema stays as it is: a directory's schema is never made smaller."]
    what = f"the server {wanted.server}"
    steps: list[Step] = [*tree.group_steps(), *tree.server_steps()]
    others = [one.name for one in there.servers if one.name.casefold() != wanted.server.casefold()]
    recipients = _named(session, f"(legacyExchangeDN={escape_filter(f'/o={there.name}/')}*)")
    if not there.ours:
        stays.append(f"The organization {there.name} stays: it was not made by ocpy provision.")
    elif others:
        stays.append(f"The organization {there.name} stays: it has other servers ({', '.join(others)}).")
        steps = [*tree.server_steps()]
    elif recipients:
        stays.append(f"The organization {there.name} stays: {listed(recipients)} belong to it.")
        steps = [*tree.server_steps()]
    else:
        before = [] if session.is_active_directory else tree.configuration_steps()
        steps = [*before, *tree.organization_steps(), *steps]
        what = f"the organization {there.name} with the server {wanted.server}"
    return Removal(what, steps, stays)


def _refuse_mailboxes(session: Session, wanted: Wanted, tree: Tree) -> None:
    server = escape_filter(wanted.organization.server_dn(wanted.server))
    stores = [step.dn for step in tree.stores()]
    homes = "".join(f"(homeMDB={escape_filter(dn)})" for dn in stores)
    if names := _named(session, f"(|(msExchHomeServerName={server}){homes})"):
        raise has_mailboxes(wanted, names)


def _named(session: Session, condition: str) -> list[str]:
    """Who is found, for a person."""
    place = f",{configuration(session)}".casefold()
    return [
        one.text("sAMAccountName") or one.text("uid") or one.text("cn")
        for one in session.search(session.root.base, condition, ["cn", "sAMAccountName", "uid"])
        # OpenLDAP has the organization, with such names too, below the same base.
        if not one.dn.casefold().endswith(place)
    ]
