"""A real slapd: pages, names and filters with every character, writes, and what is said where it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import ldap3
import pytest

from openchange_py.addressbook.base import DirectoryError, EntryExists, NoSuchEntry
from openchange_py.addressbook.ldap.connection import DirectoryAway, LdapServers
from openchange_py.addressbook.ldap.session import (
    LdapEntry,
    LimitExceeded,
    Pool,
    RootDse,
    ServerKind,
    Session,
    escape_filter,
    escape_name,
)
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, READER, READER_PASSWORD, Slapd

PEOPLE = f"ou=Users,{BASE}"
#: Everything that means something in a filter or a distinguished name, and what looks like more of either.
STRANGE = [
    "*",
    "a*",
    "(",
    ")",
    "x)(uid=*",
    "x)(|(uid=*",
    "\\",
    "\\2a",
    "\\zz",
    "a,b",
    "a+b=c",
    "#a",
    " a ",
    "a  b",
    '"a"',
]
STRANGE += ["<a>", "a;b", "a=b", "a/b", "älice", "中文", "a\tb", "a\nb", "&", "|", "!", "~=", ">=", ":=", "\u00a0x"]


@pytest.fixture(scope="module")
def pool(slapd: Slapd) -> Iterator[Pool]:
    made = Pool(LdapServers([slapd.ldaps], "", ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file))
    yield made
    made.close()


@pytest.fixture
def session(pool: Pool) -> Iterator[Session]:
    with pool.session() as given:
        yield given


def add(session: Session, name: str, **more: list[str | bytes]) -> str:
    dn = f"cn={escape_name(name)},{PEOPLE}"
    session.add(dn, ["inetOrgPerson"], {"sn": ["x"], "uid": [name], **more})
    return dn


def uids(session: Session, condition: str, **how: int) -> list[str]:
    return [entry.text("uid") for entry in session.search(BASE, condition, ["uid"], **how)]


def test_the_server_is_known(session: Session) -> None:
    assert session.root.kind is ServerKind.OPENLDAP
    assert session.root.base == BASE
    assert not session.is_active_directory


def test_a_capability_makes_an_active_directory() -> None:
    said = {"supportedcapabilities": [b"1.2.840.113556.1.4.800"], "defaultnamingcontext": [b"DC=example,DC=test"]}
    root = RootDse.of(LdapEntry("", said))
    assert (root.kind, root.base) == (ServerKind.ACTIVE_DIRECTORY, "DC=example,DC=test")


def test_pages_tell_all_of_them_once(session: Session) -> None:
    for number in range(7):
        add(session, f"page{number}")
    for page in (1, 3, 7, 100):
        assert sorted(uids(session, "(uid=page*)", page=page)) == [f"page{number}" for number in range(7)]


@pytest.mark.parametrize("name", STRANGE)
def test_names_and_values_mean_nothing_but_themselves(session: Session, name: str) -> None:
    dn = add(session, name, description=[name])
    try:
        assert uids(session, f"(description={escape_filter(name)})") == [name]
        found = session.read(dn, ["cn", "uid"])
        assert found is not None
        assert found.text("uid") == name
        session.modify(dn, {"description": [(ldap3.MODIFY_REPLACE, [name + name])]})
        assert uids(session, f"(description={escape_filter(name + name)})") == [name]
        session.rename(dn, f"cn={escape_name('renamed ' + name)}")
        dn = f"cn={escape_name('renamed ' + name)},{PEOPLE}"
        assert session.read(dn, ["cn"]) is not None
    finally:
        session.delete(dn)


@pytest.mark.parametrize("name", ["\0", "a\0b", "\ud800"])
def test_what_no_directory_holds_matches_nobody(session: Session, name: str) -> None:
    assert uids(session, f"(uid={escape_filter(name)})") == []


def test_what_the_schema_lacks(session: Session) -> None:
    asked = ["CN", "commonName", "userPassword", "msExchNoSuchThing", "c"]
    assert session.lacking(asked) == {"msExchNoSuchThing"}


def test_escapes() -> None:
    assert escape_filter("a*(b)\\") == "a\\2a\\28b\\29\\5c"
    assert escape_filter(b"\x00\xff") == "\\00\\ff"
    assert escape_filter("é") == "\\c3\\a9"
    assert escape_name("Doe, John") == "Doe\\2c John"
    assert escape_name(" a ") == "\\20a\\20"
    assert escape_name("é-1._") == "é-1._"


def test_bytes_come_as_they_are(session: Session) -> None:
    photo = bytes(range(256))
    dn = add(session, "photo", jpegPhoto=[photo])
    found = session.read(dn, ["jpegPhoto", "userCertificate"])
    assert found is not None
    assert found.attributes["jpegphoto"] == [photo]
    assert found.texts("userCertificate") == []
    assert "\ufffd" in found.text("jpegPhoto")


def test_what_is_not_there(session: Session) -> None:
    assert session.read(f"cn=nobody,{BASE}", ["cn"]) is None
    assert session.read(BASE, ["dc"], "(dc=other)") is None
    assert list(session.search(f"ou=nowhere,{BASE}", "(objectClass=*)", ["cn"])) == []
    for change in (
        lambda: session.delete(f"cn=nobody,{BASE}"),
        lambda: session.modify(f"cn=nobody,{BASE}", {"sn": [(ldap3.MODIFY_REPLACE, ["y"])]}),
        lambda: session.rename(f"cn=nobody,{BASE}", "cn=somebody"),
    ):
        with pytest.raises(NoSuchEntry):
            change()


def test_what_is_refused_is_said_with_what_to_do(session: Session) -> None:
    dn = add(session, "taken")
    with pytest.raises(EntryExists, match="entryAlreadyExists"):
        add(session, "taken")
    with pytest.raises(DirectoryError, match=r"homeMDB.*ocpy provision"):
        session.modify(dn, {"homeMDB": [(ldap3.MODIFY_REPLACE, ["x"])]})
    with pytest.raises(DirectoryError, match="objectClassViolation"):
        session.add(f"cn=nothing,{PEOPLE}", ["inetOrgPerson"], {})
    session.modify(dn, {})


def test_who_may_not_is_told_so(slapd: Slapd) -> None:
    reader = Pool(LdapServers([slapd.ldaps], "", READER, READER_PASSWORD, ca_file=slapd.ca_file))
    with (
        pytest.raises(DirectoryError, match=r"insufficientAccessRights.*give it the right"),
        reader.session() as session,
    ):
        add(session, "mine")
    reader.close()


def test_a_limit_is_no_end(slapd: Slapd, session: Session) -> None:
    for number in range(501):
        add(session, f"many{number}")
    reader = Pool(LdapServers([slapd.ldaps], "", READER, READER_PASSWORD, ca_file=slapd.ca_file))
    with pytest.raises(LimitExceeded, match="tells only some"), reader.session() as limited:
        uids(limited, "(uid=many*)")
    reader.close()
    assert len(uids(session, "(uid=many*)")) == 501


def test_a_password_is_the_server_s_to_keep(slapd: Slapd, session: Session) -> None:
    dn = add(session, "secretive")
    session.set_user_password(dn, "Sesame-1")
    found = session.read(dn, ["userPassword"])
    assert found is not None
    assert b"Sesame-1" not in b"".join(found.attributes.get("userpassword", ()))
    own = Pool(LdapServers([slapd.ldaps], "", dn, "Sesame-1", ca_file=slapd.ca_file))
    with own.session() as theirs:
        assert theirs.read(dn, ["cn"]) is not None
    own.close()


def test_sessions_are_used_again_and_by_many_threads(pool: Pool) -> None:
    with pool.session() as first:
        pass
    with pool.session() as second, pool.session() as third:
        assert second is first
        assert third is not first

    with pool.session() as session:
        for number in range(7):
            add(session, f"thread{number}")

    def ask(number: int) -> list[str]:
        with pool.session() as session:
            return uids(session, f"(uid=thread{number % 7})")

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(70))) == [[f"thread{number % 7}"] for number in range(70)]


def test_a_session_that_was_lost_is_made_anew(slapd: Slapd, pool: Pool) -> None:
    with pool.session():
        pass
    slapd.stop()
    with pytest.raises(DirectoryAway, match=slapd.ldaps), pool.session():
        pass
    slapd.start()
    with pool.session() as session:
        assert session.root.base == BASE
        slapd.stop()
        with pytest.raises(DirectoryAway, match="was lost"):
            session.read(BASE, ["dc"])
        slapd.start()


def test_a_closed_pool_gives_none(slapd: Slapd) -> None:
    pool = Pool(LdapServers([slapd.ldaps], "", ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file))
    with pool.session():
        pool.close()
    with pytest.raises(DirectoryAway, match="closed"), pool.session():
        pass
