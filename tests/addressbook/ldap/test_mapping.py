"""Entries of servers and what the index keeps of them."""

from __future__ import annotations

import re
import uuid

import pytest

from openchange_py.addressbook.base import Kind
from openchange_py.addressbook.ldap.mapping import attributes_to_read, identity, kind_of, to_ldap, to_record
from openchange_py.addressbook.ldap.session import LdapEntry, RootDse, ServerKind
from tests.conftest import ROOT

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
AD = RootDse(ServerKind.ACTIVE_DIRECTORY, "DC=x", "CN=Configuration,DC=x", "", "", frozenset())
OPENLDAP = RootDse(ServerKind.OPENLDAP, "dc=x", "", "", "", frozenset())


def entry(*classes: str, dn: str = "CN=a,DC=x", **attributes: str | bytes | list[str]) -> LdapEntry:
    values = {"objectClass": list(classes), **attributes}
    found = {}
    for name, given in values.items():
        given = given if isinstance(given, list) else [given]
        found[name.casefold()] = [one if isinstance(one, bytes) else one.encode() for one in given]
    return LdapEntry(dn, found)


def test_a_user_of_active_directory() -> None:
    record = to_record(
        entry(
            *("top", "person", "user"),
            objectGUID=GUID.bytes_le,
            sAMAccountName="alice",
            displayName="Älice",
            userAccountControl="512",
            manager="CN=b,DC=x",
            proxyAddresses=["SMTP:a@x", "smtp:b@x"],
            thumbnailPhoto=b"\xff\x00",
        ),
        AD,
    )
    assert record is not None
    assert (record.guid, record.name, record.kind, record.enabled) == (GUID, "CN=a,DC=x", Kind.USER, True)
    assert record.attributes["displayName"] == ["Älice"]
    assert record.attributes["proxyAddresses"] == ["SMTP:a@x", "smtp:b@x"]
    assert record.attributes["thumbnailPhoto"] == [b"\xff\x00"]
    assert record.links == {"manager": ["CN=b,DC=x"]}
    assert not {"manager", "userAccountControl", "objectGUID"} & set(record.attributes)


def test_a_person_of_openldap_has_active_directory_s_names() -> None:
    record = to_record(
        entry(
            "inetOrgPerson",
            entryUUID=str(GUID),
            uid="alice",
            createTimestamp="20260101000000Z",
            modifyTimestamp="20260102000000Z",
            jpegPhoto=b"\xff",
        ),
        OPENLDAP,
    )
    assert record is not None
    assert record.attributes["sAMAccountName"] == ["alice"]
    assert (record.attributes["whenCreated"], record.attributes["whenChanged"]) == (
        ["20260101000000Z"],
        ["20260102000000Z"],
    )
    assert record.attributes["thumbnailPhoto"] == [b"\xff"]


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        (("top", "group"), Kind.GROUP),
        (("groupOfNames",), Kind.GROUP),
        (("groupOfUniqueNames",), Kind.GROUP),
        (("top", "person", "contact"), Kind.CONTACT),
        (("person", "USER", "computer"), Kind.USER),
        (("inetOrgPerson",), Kind.USER),
        (("server", "msExchExchangeServer"), Kind.SERVER),
        (("organizationalUnit",), None),
        ((), None),
    ],
)
def test_kinds(classes: tuple[str, ...], kind: Kind | None) -> None:
    assert kind_of(entry(*classes)) is kind


@pytest.mark.parametrize(
    ("root", "said", "enabled"),
    [
        (AD, {"userAccountControl": "514"}, False),
        (AD, {"userAccountControl": "66048"}, True),
        (AD, {"userAccountControl": "nonsense"}, True),
        (AD, {}, True),
        (OPENLDAP, {"sambaAcctFlags": "[UD         ]"}, False),
        (OPENLDAP, {"sambaAcctFlags": "[U          ]"}, True),
        (OPENLDAP, {"msExchUserAccountControl": "2"}, False),
        (OPENLDAP, {}, True),
    ],
)
def test_who_may_log_on(root: RootDse, said: dict[str, str], enabled: bool) -> None:
    record = to_record(entry("user", objectGUID=GUID.bytes_le, entryUUID=str(GUID), **said), root)
    assert record is not None
    assert record.enabled is enabled


@pytest.mark.parametrize("raw", [b"a\0b", b"\xff\xfe", b"\xed\xa0\x80"])
def test_values_that_nobody_can_hold_are_left_out(raw: bytes) -> None:
    odd = LdapEntry("CN=a", {"objectclass": [b"user"], "objectguid": [GUID.bytes_le], "title": [raw, b"Boss"]})
    record = to_record(odd, AD)
    assert record is not None
    assert record.attributes["title"] == ["Boss"]


def test_an_entry_without_an_identity_is_none() -> None:
    assert identity(entry("user", objectGUID=b"short")) is None
    assert identity(entry("user", entryUUID="no uuid")) is None
    assert to_record(entry("user"), AD) is None
    assert to_record(entry("user", dn="", objectGUID=GUID.bytes_le), AD) is None


def test_a_group_is_no_member_of_itself() -> None:
    """groupOfNames must have one: an empty group has itself."""
    record = to_record(entry("groupOfNames", entryUUID=str(GUID), member=["cn=A,dc=x", "cn=b,dc=x"]), OPENLDAP)
    assert record is not None
    assert record.links == {"member": ["cn=b,dc=x"]}


@pytest.mark.parametrize("root", [AD, OPENLDAP])
def test_no_secret_is_ever_asked_for(root: RootDse) -> None:
    asked = {name.casefold() for name in attributes_to_read(root)}
    secrets = {
        "userpassword",
        "sambantpassword",
        "sambalmpassword",
        "unicodepwd",
        "ntpwdhistory",
        "supplementalcredentials",
    }
    assert not asked & (secrets | {"*", "+"})
    hostile = entry("user", objectGUID=GUID.bytes_le, entryUUID=str(GUID), sambaNTPassword="00", userPassword="x")
    record = to_record(hostile, root)
    assert record is not None
    assert not {"sambaNTPassword", "userPassword"} & set(record.attributes)


def test_what_is_written() -> None:
    changes = {"SAMACCOUNTNAME": ["alice"], "title": None, "whenChanged": ["x"], "objectClass": ["y"]}
    assert to_ldap(changes, OPENLDAP) == {"uid": ["alice"], "title": []}
    assert to_ldap(changes, AD) == {"sAMAccountName": ["alice"], "title": []}


def test_every_attribute_that_the_program_looks_at_is_read() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "openchange_py").rglob("*.py"))
    used = set(re.findall(r"(?:entry|found|mailbox|server)\.(?:first|all)\(\"([A-Za-z-]+)\"", source))
    asked = {name.casefold() for name in attributes_to_read(AD)}
    assert used
    assert {name for name in used if name.casefold() not in asked} == set()
