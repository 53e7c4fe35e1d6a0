"""What is planned for an LDAP directory, by what is in it already; in a slapd."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from openchange_py.addressbook.base import DirectoryError, Organization
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.provisioning import State, Wanted, deprovision, examine, provision
from openchange_py.addressbook.provisioning_ldap import LdapProvisioner, organizations, plan, removal
from openchange_py.addressbook.provisioning_tree import Tree
from tests.addressbook.slapd_sessions import CONFIGURATION, EXCHANGE_SCHEMA, ORGANIZATION, WANTED, emptied, session_with
from tests.slapd import BASE, Slapd, running_slapd

SECOND = dataclasses.replace(WANTED, server="EXCH2", host="exch2.example.test", additional=True)
EXCHANGE = f"cn=Microsoft Exchange,cn=Services,{CONFIGURATION}"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("slapd"), schemas=[EXCHANGE_SCHEMA]) as server:
        yield server


@pytest.fixture
def session(slapd: Slapd) -> Iterator[Session]:
    session = emptied(session_with(slapd))
    yield session
    session.close()


def everything(session: Session) -> dict[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """All below the configuration, with when each entry was changed."""
    found = session.search(CONFIGURATION, "(objectClass=*)", ["*", "entryCSN"])
    return {one.dn: tuple((name, tuple(one.texts(name))) for name in sorted(one.attributes)) for one in found}


def theirs(session: Session, name: str = "Contoso", server: str = "") -> None:
    """An organization as Exchange's setup makes it: nothing says that it is ours."""
    group = f"cn=Exchange Administrative Group (FYDIBOHF23SPDLT),cn=Administrative Groups,cn={name},{EXCHANGE}"
    entries = [
        (CONFIGURATION, "container", {}),
        (f"cn=Services,{CONFIGURATION}", "container", {}),
        (EXCHANGE, "msExchConfigurationContainer", {}),
        (f"cn={name},{EXCHANGE}", "msExchOrganizationContainer", {"legacyExchangeDN": [f"/o={name}"]}),
        (f"cn=Administrative Groups,cn={name},{EXCHANGE}", "msExchAdminGroupContainer", {}),
        (group, "msExchAdminGroup", {"legacyExchangeDN": [f"/o={name}/ou=Exchange Administrative Group"]}),
        (f"cn=Servers,{group}", "msExchServersContainer", {}),
    ]
    if server:
        entries.append((f"cn={server},cn=Servers,{group}", "msExchExchangeServer", {}))
    for dn, kind, attributes in entries:
        if session.read(dn, ["cn"]) is None:
            parents = {"msExchExchangeServer": ["server"], "msExchAdminGroup": []}.get(kind, ["container"])
            session.add(dn, ["top", *(one for one in parents if one != kind), kind], attributes)


def test_a_plan_that_was_carried_out_has_nothing_left_to_do(session: Session) -> None:
    provisioner = LdapProvisioner(session, WANTED)
    done = provision(provisioner.plan())
    assert all(one.changed for one in done if one.step.group != "Schema")
    assert not any(one.changed for one in provision(provisioner.plan()))
    (found,) = organizations(session)
    assert (found.name, found.ours) == ("First Organization", True)
    (server,) = found.servers
    assert (server.name, server.administrative_group, server.ours) == ("EXCH1", "First Administrative Group", True)


@pytest.mark.parametrize("name", ["Contoso", "First Organization"])
def test_an_organization_of_exchange_is_never_touched(session: Session, name: str) -> None:
    theirs(session, name)
    before = everything(session)
    with pytest.raises(DirectoryError, match=rf"organization {name} is there already .*--additional"):
        plan(session, WANTED)
    wanted = dataclasses.replace(WANTED, additional=True, organization=Organization(name, "Ours"))
    provision(plan(session, wanted))
    assert {dn: values for dn, values in everything(session).items() if dn in before} == before
    new = everything(session).keys() - before.keys()
    assert all("Ours" in dn for dn in new)
    found = removal(session, wanted)
    assert any("not made by ocpy provision" in line for line in found.stays)
    assert all(not why or "not made by" in why for _, why in deprovision(found.steps))
    assert everything(session) == before


def test_a_server_in_the_administrative_group_of_exchange(session: Session) -> None:
    theirs(session)
    group = "Exchange Administrative Group (FYDIBOHF23SPDLT)"
    wanted = dataclasses.replace(WANTED, additional=True, organization=Organization("Contoso", group))
    # Its clients' name is another one than its cn would make: ours would give our server a wrong one.
    states = {one.step.title: one.finding.state for one in examine(plan(session, wanted))}
    assert states[group] is State.FOREIGN
    assert states["Servers"] is State.PRESENT
    assert states["EXCH1"] is State.MISSING


def test_exchanges_place_without_an_organization_is_not_ours_either(session: Session) -> None:
    for dn, kind in (
        (CONFIGURATION, "container"),
        (f"cn=Services,{CONFIGURATION}", "container"),
        (EXCHANGE, "msExchConfigurationContainer"),
    ):
        session.add(dn, ["top", *{"container", kind}], {})
    with pytest.raises(DirectoryError, match="without an organization"):
        plan(session, WANTED)


def test_another_server_is_added_only_where_that_is_wanted(session: Session) -> None:
    with pytest.raises(DirectoryError, match=r"no organization First Organization .*\(there: none\)"):
        plan(session, SECOND)
    provision(plan(session, WANTED))
    with pytest.raises(DirectoryError, match=r"has servers already \(EXCH1\): use --additional to add EXCH2"):
        plan(session, dataclasses.replace(SECOND, additional=False))
    done = provision(plan(session, SECOND))
    assert {one.step.group for one in done if one.changed} == {"Server"}
    assert not any(one.changed for one in provision(plan(session, WANTED)))


def test_a_server_of_exchange_or_of_another_group_keeps_its_name(session: Session) -> None:
    theirs(session, server="exch1")
    wanted = dataclasses.replace(WANTED, additional=True, organization=Organization("Contoso", "Ours"))
    with pytest.raises(DirectoryError, match="needs another `netbios name`"):
        plan(session, wanted)
    emptied(session)
    provision(plan(session, WANTED))
    moved = dataclasses.replace(WANTED, organization=Organization("First Organization", "Second Group"))
    with pytest.raises(DirectoryError, match=r"is in the administrative group First Administrative Group, not in Sec"):
        plan(session, moved)


def test_two_organizations_in_one_directory(session: Session) -> None:
    provision(plan(session, WANTED))
    before = everything(session)
    other = Wanted(Organization("Second Organization", "Group"), "EXCH9", "exch9.example.test")
    provision(plan(session, other))
    now = everything(session)
    changed = {dn for dn in before if before[dn] != now[dn]}
    assert changed == {EXCHANGE}  # its lists are more roots of the address book
    for step, why in deprovision(removal(session, other).steps):
        assert not why or step.title in ("Configuration", "Services", "Microsoft Exchange"), (step.title, why)
    assert before.keys() == everything(session).keys()
    assert {one.finding.state for one in examine(plan(session, WANTED))} == {State.PRESENT}


def test_names_that_are_too_long(session: Session) -> None:
    for wanted in (
        dataclasses.replace(WANTED, server="S" * 65),
        dataclasses.replace(WANTED, organization=Organization("O" * 65, "Group")),
        dataclasses.replace(WANTED, organization=Organization("Org", "G" * 65)),
    ):
        with pytest.raises(DirectoryError, match="no more"):
            plan(session, wanted)


def test_all_is_taken_away_but_what_others_made_and_the_schema(session: Session) -> None:
    provision(plan(session, WANTED))
    session.add(
        f"cn=Their list,cn=All Address Lists,cn=Address Lists Container,cn=First Organization,{EXCHANGE}",
        ["top", "addressBookContainer"],
        {"displayName": ["Their list"]},
    )
    found = removal(session, WANTED)
    assert found.what == "the organization First Organization with the server EXCH1"
    assert found.stays == ["The schema stays as it is: a directory's schema is never made smaller."]
    left = {step.title: why for step, why in deprovision(found.steps) if why}
    assert left.keys() == {
        "All Address Lists",
        "Address Lists Container",
        "First Organization",
        "Microsoft Exchange",
        "Services",
        "Configuration",
    }
    emptied(session)
    provision(plan(session, WANTED))
    assert not any(why for _, why in deprovision(removal(session, WANTED).steps))
    assert everything(session) == {}
    with pytest.raises(DirectoryError, match="there is no organization First Organization"):
        removal(session, WANTED)


def test_a_server_goes_alone_while_others_are_there(session: Session) -> None:
    provision(plan(session, WANTED))
    before = everything(session)
    provision(plan(session, SECOND))
    found = removal(session, SECOND)
    assert found.what == "the server EXCH2"
    assert "it has other servers (EXCH1)" in found.stays[-1]
    assert not any(why for _, why in deprovision(found.steps))
    assert everything(session) == before


@pytest.mark.parametrize("attribute", ["homeMDB", "msExchHomeServerName"])
def test_a_server_with_mailboxes_stays(session: Session, attribute: str) -> None:
    provision(plan(session, WANTED))
    _, private = Tree(session, CONFIGURATION, WANTED).stores()
    value = {"homeMDB": private.dn, "msExchHomeServerName": ORGANIZATION.server_dn("EXCH1")}[attribute]
    people = [f"uid=user{number},ou=Users,{BASE}" for number in range(7)]
    for dn in people:
        names = {"cn": ["User"], "sn": ["User"], "uid": [dn[4:9]]}
        session.add(dn, ["inetOrgPerson", "mailRecipient", "msExchMailStorage"], {**names, attribute: [value]})
    try:
        with pytest.raises(DirectoryError, match=r"user0, .* user4 and 2 more have mailboxes on EXCH1"):
            removal(session, WANTED)
    finally:
        for dn in people:
            session.delete(dn)


def test_an_organization_with_recipients_stays(session: Session) -> None:
    provision(plan(session, WANTED))
    dn = f"uid=kim,ou=Users,{BASE}"
    names = {"cn": ["Kim"], "sn": ["Kim"], "uid": ["kim"]}
    name = f"{ORGANIZATION.dn_prefix}/cn=Recipients/cn=kim"
    session.add(dn, ["inetOrgPerson", "mailRecipient"], {**names, "legacyExchangeDN": [name]})
    try:
        found = removal(session, WANTED)
    finally:
        session.delete(dn)
    assert found.stays[-1] == "The organization First Organization stays: kim belong to it."
    assert {step.group for step in found.steps} == {"Server"}
