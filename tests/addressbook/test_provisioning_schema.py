"""Extending schemas: Active Directory's by what a server answers, OpenLDAP's in a slapd."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pytest

from openchange_py.addressbook import exchange_schema
from openchange_py.addressbook.base import DirectoryError, EntryExists
from openchange_py.addressbook.exchange_schema import text_of
from openchange_py.addressbook.ldap.connection import ExternalBind, LdapServers, connect
from openchange_py.addressbook.ldap.session import LdapEntry, RootDse, ServerKind, Session
from openchange_py.addressbook.ldif import Addition, Modification
from openchange_py.addressbook.provisioning import State, Step, examine, provision
from openchange_py.addressbook.provisioning_schema import (
    OpenLdapSchemaStep,
    RefreshStep,
    active_directory_steps,
    names_of,
    schema_advice,
)
from tests.addressbook.slapd_sessions import session_with
from tests.slapd import BASE, Slapd, find, running_slapd

SCHEMA = "CN=Schema,CN=Configuration,DC=example,DC=test"
SERVICE = "CN=NTDS Settings,CN=DC1,CN=Servers,CN=Site,CN=Sites,CN=Configuration,DC=example,DC=test"


class SchemaServer:
    """What the steps ask of a domain controller's schema: names and values, and when it read its schema anew."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, list[bytes]]] = {SCHEMA: {"fsmoroleowner": [SERVICE.encode()]}}
        for change in exchange_schema.extensions(SCHEMA):
            self.entries[change.dn] = {}
        self.root = RootDse(ServerKind.ACTIVE_DIRECTORY, "DC=example,DC=test", "", SCHEMA, SERVICE, frozenset())
        self.log: list[str] = []
        self.refuses = ""

    def read(self, dn: str, attributes: Sequence[str]) -> LdapEntry | None:
        return LdapEntry(dn, self.entries[dn]) if dn in self.entries else None

    def search(self, base: str, condition: str, attributes: Sequence[str], *, scope: Any) -> Iterator[LdapEntry]:
        assert condition == "(|(objectClass=attributeSchema)(objectClass=classSchema))"
        for dn, values in list(self.entries.items()):
            if dn != SCHEMA:
                yield LdapEntry(dn, values)

    def add(self, dn: str, classes: Sequence[str], attributes: Mapping[str, Sequence[str | bytes]]) -> None:
        if self.refuses:
            raise DirectoryError(self.refuses)
        if dn in self.entries:
            raise EntryExists(dn)
        assert "objectClass" not in attributes
        self.log.append(dn)
        self.entries[dn] = {name.casefold(): _encoded(values) for name, values in attributes.items()}

    def modify(self, dn: str, changes: Mapping[str, Sequence[tuple[Any, Sequence[str]]]]) -> None:
        if self.refuses:
            raise DirectoryError(self.refuses)
        self.log.append(dn)
        if dn:
            for name, ((_, values),) in changes.items():
                self.entries[dn].setdefault(name.casefold(), []).extend(_encoded(values))


def _encoded(values: Sequence[str | bytes]) -> list[bytes]:
    return [value.encode() if isinstance(value, str) else value for value in values]


@pytest.fixture
def server() -> SchemaServer:
    return SchemaServer()


def steps(server: SchemaServer) -> list[Step]:
    return active_directory_steps(cast(Session, server))


def named(changes: Sequence[Addition], name: str) -> Addition:
    return next(one for one in changes if text_of(one, "lDAPDisplayName") == name)


def test_definitions_come_behind_what_they_name_and_the_server_reads_its_schema_between(server: SchemaServer) -> None:
    provision(steps(server))
    attributes = [change.dn for change in exchange_schema.attributes(SCHEMA)]
    classes = [change.dn for change in exchange_schema.classes(SCHEMA)]
    assert server.log[: len(attributes)] == attributes
    behind = server.log[len(attributes) :]
    assert behind[: 2 * len(classes)] == [dn for name in classes for dn in ("", name)]
    assert behind[2 * len(classes)] == ""
    assert {one.finding.state for one in examine(steps(server))} == {State.PRESENT}
    server.log.clear()
    provision(steps(server))
    assert server.log == []


def test_it_goes_on_where_it_was_broken_off(server: SchemaServer) -> None:
    for number in range(0, len(steps(server)), 7):
        provision(steps(server)[:number])
    provision(steps(server))
    extended = {one.dn for one in exchange_schema.extensions(SCHEMA)}
    made = [dn for dn in server.log if dn and dn not in extended]
    assert len(made) == len(set(made))
    assert {one.finding.state for one in examine(steps(server))} == {State.PRESENT}


def test_what_is_there_under_another_identifier_is_left_alone_and_told(server: SchemaServer) -> None:
    change = next(
        one for one in exchange_schema.attributes(SCHEMA) if text_of(one, "lDAPDisplayName") == "mailNickname"
    )
    server.entries["CN=Nick,CN=Schema"] = {"ldapdisplayname": [b"mailNickname"], "attributeid": [b"1.2.3"]}
    (found,) = [one for one in examine(steps(server)) if one.step.title == "mailNickname"]
    assert found.finding.state is State.FOREIGN
    assert f"attributeID 1.2.3 where Exchange has {text_of(change, 'attributeID')}" in found.finding.detail
    provision(steps(server))
    assert change.dn not in server.log
    assert found.step.remove() == "a schema is never made smaller"


def test_a_class_of_an_older_version_gets_what_it_lacks(server: SchemaServer) -> None:
    provision(steps(server))
    change = next(
        one for one in exchange_schema.classes(SCHEMA) if text_of(one, "lDAPDisplayName") == "msExchMailStorage"
    )
    server.entries[change.dn]["maycontain"].remove(b"homeMDB")
    (found,) = [one for one in examine(steps(server)) if one.step.title == "msExchMailStorage"]
    assert (found.finding.state, found.finding.detail) == (State.DIFFERENT, "lacks homeMDB")
    assert found.step.changes() == [Modification(change.dn, [("add", "mayContain", ["homeMDB"])])]
    server.log.clear()
    provision(steps(server))
    assert server.log == ["", change.dn]
    assert b"homeMDB" in server.entries[change.dn]["maycontain"]


def test_what_windows_may_have_already_is_not_added_again(server: SchemaServer) -> None:
    dn = f"CN=Mail-Recipient,{SCHEMA}"
    server.entries[dn] = {"systemmaycontain": [b"msDS-PhoneticDisplayName"]}
    (found,) = [one for one in examine(steps(server)) if one.step.title == "Mail-Recipient"]
    (change,) = found.step.changes()
    assert isinstance(change, Modification)
    added = {value for _, _, values in change.changes for value in values}
    assert "msDS-PhoneticDisplayName" not in added
    assert added
    del server.entries[dn]
    with pytest.raises(DirectoryError, match="the schema has no CN=Mail-Recipient"):
        found.step.find()


def test_definitions_are_ldif_until_they_are_there(server: SchemaServer) -> None:
    step = next(step for step in steps(server) if step.title == "msExchMailStorage")
    (change,) = step.changes()
    assert isinstance(change, Addition)
    assert RefreshStep(cast(Session, server), []).changes() == [Modification("", [("add", "schemaUpdateNow", ["1"])])]
    assert RefreshStep(cast(Session, server), []).remove() == ""


def test_an_attribute_that_comes_between_is_no_error(server: SchemaServer) -> None:
    (first, *_) = steps(server)
    first.apply()
    first.apply()
    assert len(server.log) == 1


def test_what_microsofts_setup_extended_is_left_as_it_is(server: SchemaServer) -> None:
    server.entries[f"CN=ms-Exch-Schema-Version-Pt,{SCHEMA}"] = {"rangeupper": [b"15312"]}
    (step,) = steps(server)
    assert "version 15312" in step.title
    assert step.find().state is State.PRESENT
    assert step.changes() == []
    step.apply()
    assert step.remove() == "a schema is never made smaller"
    assert server.log == []


@pytest.mark.parametrize("which", [0, -1])
def test_a_refusal_says_what_extending_a_schema_needs(server: SchemaServer, which: int) -> None:
    provision(steps(server)[:-1])
    server.entries.pop(steps(server)[0].changes()[0].dn)
    server.refuses = "add: unwillingToPerform"
    with pytest.raises(DirectoryError, match=r"unwillingToPerform.*DC1 here.*Schema Admins.*schema update"):
        steps(server)[which].apply()


def test_another_server_than_the_schema_master_is_told_of(server: SchemaServer) -> None:
    assert "not the schema master" not in schema_advice(cast(Session, server))
    server.entries[SCHEMA]["fsmoroleowner"] = [SERVICE.replace("DC1", "DC2").encode()]
    assert "not the schema master: let ocpy:directory name DC2" in schema_advice(cast(Session, server))
    del server.entries[SCHEMA]
    assert "schema master," in schema_advice(cast(Session, server))


# OpenLDAP


@pytest.fixture
def slapd(tmp_path: Any) -> Iterator[Slapd]:
    with running_slapd(tmp_path) as server:
        yield server


def as_root(slapd: Slapd) -> Session:
    return Session(connect(LdapServers([slapd.ldapi], BASE, "", "", sasl=ExternalBind()), 10))


def test_the_servers_administrator_adds_it_to_cn_config(slapd: Slapd) -> None:
    session = as_root(slapd)
    step = OpenLdapSchemaStep(session)
    assert step.find().state is State.MISSING
    step.apply()
    assert step.find().state is State.PRESENT
    assert step.remove() == "a schema is never made smaller"
    session.close()


def test_it_is_told_how_the_administrator_adds_it_and_then_found(slapd: Slapd) -> None:
    session = session_with(slapd)
    step = OpenLdapSchemaStep(session)
    with pytest.raises(DirectoryError, match=r"ldapadd -Y EXTERNAL -H ldapi:/// -f \S+/exchange.ldif") as caught:
        step.apply()
    command = re.search(r"`(ldapadd [^`]+)`", str(caught.value))
    assert command is not None
    tool = find("ldapadd")
    assert tool is not None
    words = command[1].replace("ldapi:///", slapd.ldapi).split()
    subprocess.run([tool, "-Q", *words[1:]], check=True, capture_output=True, timeout=20)
    assert step.find().state is State.PRESENT
    session.close()


def test_only_definitions_that_are_missing_are_added(slapd: Slapd) -> None:
    session = as_root(slapd)
    whole = exchange_schema.openldap()
    part = [str(value) for value in whole.attributes["olcAttributeTypes"]][:20]
    session.add("cn=theirs,cn=schema,cn=config", ["olcSchemaConfig"], {"cn": ["theirs"], "olcAttributeTypes": part})
    step = OpenLdapSchemaStep(session)
    (change,) = step.changes()
    assert isinstance(change, Addition)
    assert not set(part) & set(change.attributes["olcAttributeTypes"])
    step.apply()
    assert step.find().state is State.PRESENT
    session.close()


def test_names_of_a_definition() -> None:
    assert list(names_of("( 1.2.3 NAME 'Mail' DESC 'x' SUP top )")) == ["mail"]
    assert list(names_of("( 1.2.3 NAME ( 'a' 'B' ) SUP top )")) == ["a", "b"]
    assert list(names_of("( 1.2.3 SUP top )")) == []
