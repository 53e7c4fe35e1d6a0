"""The schema files: consistent in themselves, with what Windows and OpenLDAP bring, and with what is asked for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest

from openchange_py.addressbook import exchange_schema
from openchange_py.addressbook.attributes import ATTRIBUTES, LINKS
from openchange_py.addressbook.base import BACK_LINKS, LINK_ATTRIBUTES
from openchange_py.addressbook.exchange_schema import text_of
from openchange_py.addressbook.ldap.mapping import UNPUBLISHED, attributes_to_read
from openchange_py.addressbook.ldap.session import LdapEntry, RootDse
from openchange_py.addressbook.recipients import EXCHANGE_ATTRIBUTES
from tests.conftest import ROOT

#: Debian's samba-ad-provision: the schema that a Samba domain begins with.
SAMBA_SCHEMA = Path("/usr/share/samba/setup/ad-schema")
SAMBA_FILES = ("AD_DS_Attributes__Windows_Server_2012_R2.ldf", "AD_DS_Classes__Windows_Server_2012_R2.ldf")
OPENLDAP_SCHEMA = Path("/etc/ldap/schema")

#: What OpenLDAP calls otherwise, or tells by itself.
OPENLDAP_NAMES = {
    "whenCreated": "createTimestamp",
    "whenChanged": "modifyTimestamp",
    "objectGUID": "entryUUID",
    "objectCategory": "objectClass",
}
#: No attributes of people, or computed by the server.
ELSEWHERE = {"userAccountControl", "uSNChanged", "entryUUID", "entryCSN", "sambaAcctFlags", "uid", "createTimestamp"}


def windows_names() -> set[str]:
    """What a domain has without Exchange, in lower case."""
    if not SAMBA_SCHEMA.is_dir():
        pytest.skip("no Active Directory schema: Debian's samba-ad-provision")
    texts = [(SAMBA_SCHEMA / name).read_text("utf-8", "replace") for name in SAMBA_FILES]
    return {name.casefold() for name in re.findall(r"(?mi)^lDAPDisplayName: (\S+)", "\n".join(texts))}


def openldap_names() -> set[str]:
    """What OpenLDAP has with its usual schemas."""
    if not OPENLDAP_SCHEMA.is_dir():
        pytest.skip("no OpenLDAP schemas: Debian's slapd")
    found = {"objectclass", "cn", "name", "description", "createtimestamp", "modifytimestamp", "entryuuid"}
    for name in ("core", "cosine", "inetorgperson"):
        text = (OPENLDAP_SCHEMA / f"{name}.schema").read_text("utf-8")
        for names in re.findall(r"(?i)attributetype\s*\(\s*[\d.]+\s+NAME\s+(\([^)]*\)|'[^']*')", text):
            found |= {one.casefold() for one in re.findall(r"'([^']+)'", names)}
    return found


def test_every_identifier_is_there_once() -> None:
    attributes, classes = exchange_schema.attributes(), exchange_schema.classes()
    for key, records in (
        ("lDAPDisplayName", attributes + classes),
        ("cn", attributes + classes),
        ("schemaIDGUID", attributes + classes),
        ("attributeID", attributes),
        ("mAPIID", attributes),
        ("linkID", attributes),
        ("governsID", classes),
    ):
        counted = Counter(str(value) for record in records for value in record.attributes.get(key, ()))
        assert [value for value, many in counted.items() if many > 1] == []
    for record in attributes + classes:
        (raw,) = record.attributes["schemaIDGUID"]
        assert isinstance(raw, bytes)
        assert uuid.UUID(bytes_le=raw).variant == uuid.RFC_4122
        assert record.dn.startswith(f"CN={text_of(record, 'cn')},")


def test_links_have_two_sides() -> None:
    """[MS-ADTS] 3.1.1.1.6: a back link's linkID is the forward link's and one, an even number."""
    ids = {int(text_of(record, "linkID") or -1) for record in exchange_schema.attributes()} - {-1}
    assert {number ^ 1 for number in ids} == ids


def test_an_attribute_has_a_syntax_that_fits() -> None:
    """[MS-ADTS] 3.1.1.2.2.2: which oMSyntax goes with which attributeSyntax."""
    fitting = {
        *(("2.5.5.1", "127"), ("2.5.5.4", "20"), ("2.5.5.5", "19"), ("2.5.5.5", "22"), ("2.5.5.7", "127")),
        *(("2.5.5.8", "1"), ("2.5.5.9", "2"), ("2.5.5.9", "10"), ("2.5.5.10", "4"), ("2.5.5.12", "64")),
        *(("2.5.5.15", "66"), ("2.5.5.16", "65"), ("2.5.5.17", "4")),
    }
    for record in exchange_schema.attributes():
        assert (text_of(record, "attributeSyntax"), text_of(record, "oMSyntax")) in fitting, record.dn
        assert ("oMObjectClass" in record.attributes) == (text_of(record, "oMSyntax") == "127")


def test_nothing_of_windows_is_added_again_and_all_that_is_named_is_there() -> None:
    windows = windows_names()
    own = {text_of(one, "lDAPDisplayName") for one in exchange_schema.attributes() + exchange_schema.classes()}
    assert [name for name in own if name.casefold() in windows] == []
    known = windows | {text_of(one, "lDAPDisplayName").casefold() for one in exchange_schema.attributes()}
    for record in exchange_schema.classes():
        # In dependency order: a class names those before it.
        for key in ("subClassOf", "auxiliaryClass", "possSuperiors", "mustContain", "mayContain"):
            named = [str(value) for value in record.attributes.get(key, ())]
            assert [name for name in named if name.casefold() not in known] == [], (record.dn, key)
        known.add(text_of(record, "lDAPDisplayName").casefold())
    for change in exchange_schema.extensions():
        for _, _, values in change.changes:
            assert [value for value in values if str(value).casefold() not in known] == [], change.dn


def test_the_place_of_the_schema_is_the_directorys() -> None:
    place = "CN=Schema,CN=Configuration,DC=example,DC=test"
    records = exchange_schema.attributes(place) + exchange_schema.classes(place)
    assert all(record.dn.endswith(f",{place}") for record in records)
    assert all("DC=X" not in str(record.attributes) for record in records)
    assert all(change.dn.endswith(f",{place}") for change in exchange_schema.extensions(place))


def test_openldaps_file_is_what_active_directorys_give() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "setup" / "generate_openldap_schema"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def asked_for() -> set[str]:
    """Every LDAP attribute that the program reads or writes: from tables, and what an entry is asked for by name."""
    found = {name for _, name in ATTRIBUTES} | {link.attribute for link in LINKS}
    found |= {*LINK_ATTRIBUTES, *EXCHANGE_ATTRIBUTES, *BACK_LINKS, *_read_of_entries()}
    for part in ("addressbook", "auth", "cli", "servers"):
        # What addressbook/ldap asks a server about itself is none of people's: `_read_of_entries` has the rest.
        for path in (ROOT / "openchange_py" / part).glob("**/*.py" if part != "addressbook" else "*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                    first = node.args[0]
                    reads = node.func.attr in ("first", "all", "text", "texts") and isinstance(first, ast.Constant)
                    if reads and isinstance(first.value, str):
                        found.add(first.value)
    return {name for name in found if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name)} - ELSEWHERE


def _read_of_entries() -> set[str]:
    root = RootDse.of(LdapEntry("", {"supportedcapabilities": [b"1.2.840.113556.1.4.800"]}))
    return set(attributes_to_read(root))


def test_active_directory_has_all_that_is_asked_for() -> None:
    known = windows_names() | {text_of(one, "lDAPDisplayName").casefold() for one in exchange_schema.attributes()}
    unknown = {name for name in asked_for() if name.casefold() not in known}
    back = {name for name in BACK_LINKS if name.startswith("msExch")}
    assert unknown - UNPUBLISHED - back - _openldaps_own() == set()
    # Who finds the identifiers of one adds it, and takes it from the list.
    assert {name for name in UNPUBLISHED if name.casefold() in known} == set()


def test_openldap_has_all_that_is_asked_for() -> None:
    definitions = " ".join(str(value) for value in exchange_schema.openldap().attributes["olcAttributeTypes"])
    known = openldap_names() | {name.casefold() for name in re.findall(r"NAME '([^']+)'", definitions)}
    unknown = {name for name in asked_for() if OPENLDAP_NAMES.get(name, name).casefold() not in known}
    assert unknown - UNPUBLISHED - set(BACK_LINKS) - _active_directorys_own() == set()


def _openldaps_own() -> set[str]:
    """Asked of OpenLDAP alone."""
    return {"sambaNTPassword", "sambaKickoffTime", "namingContexts", "subschemaSubentry"}


def _active_directorys_own() -> set[str]:
    """Asked of Active Directory alone."""
    return {"isDeleted", "objectSid", "middleName", "fSMORoleOwner", "rangeUpper"}
