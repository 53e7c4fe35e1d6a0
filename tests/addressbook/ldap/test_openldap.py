"""A real slapd, followed: what was added, changed, renamed, moved and deleted, with its overlay and without."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from openchange_py.addressbook.base import DirectoryError, Record
from openchange_py.addressbook.followed import CookieExpired
from openchange_py.addressbook.ldap.connection import LdapServers
from openchange_py.addressbook.ldap.openldap import OpenLdapSource
from openchange_py.addressbook.ldap.source import open_source
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, SESSION_LOG, Slapd, running_slapd

PEOPLE = f"ou=Users,{BASE}"


def person(name: str, *lines: str, below: str = PEOPLE) -> str:
    about = [f"dn: cn={name},{below}", "objectClass: inetOrgPerson", f"cn: {name}", f"uid: {name}", "sn: x", *lines]
    return "\n".join([*about, "", ""])


def change(name: str, *lines: str) -> str:
    return "\n".join([f"dn: cn={name},{PEOPLE}", *lines, "", ""])


@pytest.fixture(params=["session log", "syncprov", "nothing"])
def slapd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    overlay = {"session log": SESSION_LOG, "syncprov": "", "nothing": None}[request.param]
    with running_slapd(tmp_path_factory.mktemp("slapd"), syncprov=overlay) as server:
        server.tells_deletions = overlay is not None  # type: ignore[attr-defined]
        server.change(person("alice") + person("bob") + f"dn: ou=Sales,{BASE}\nobjectClass: organizationalUnit\n\n")
        yield server


class Followed:
    """What a follower would have in its index."""

    def __init__(self, slapd: Slapd) -> None:
        self.source = open_source(LdapServers([slapd.ldaps], "", ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file))
        self.records: dict[uuid.UUID, Record] = {}
        self.cookie = ""
        self.told: list[str] = []

    def take(self, changes) -> Followed:  # type: ignore[no-untyped-def]
        self.told = []
        for part in changes:
            self.records.update({record.guid: record for record in part.records})
            self.told += [str(record.attributes["cn"][0]) for record in part.records]
            for guid in part.removed:
                self.records.pop(guid, None)
            self.cookie = part.cookie or self.cookie
        return self

    def everything(self) -> Followed:
        return self.take(self.source.everything())

    def changes(self) -> Followed:
        return self.take(self.source.changes(self.cookie))

    def compare(self) -> None:
        present = self.source.present()
        assert present is not None
        left = set(present)
        self.records = {guid: record for guid, record in self.records.items() if guid in left}

    @property
    def names(self) -> set[str]:
        return {record.name.partition(",")[0] for record in self.records.values()}


@pytest.fixture
def followed(slapd: Slapd) -> Iterator[Followed]:
    made = Followed(slapd)
    with closing(made.source):
        yield made.everything()


def test_everything_and_then_nothing_new(followed: Followed) -> None:
    assert isinstance(followed.source, OpenLdapSource)
    assert followed.names == {"cn=alice", "cn=bob"}
    cookie = followed.cookie
    followed.changes()
    assert followed.changes().told == []
    assert followed.cookie == cookie


def test_what_was_added_and_changed_is_told_once(slapd: Slapd, followed: Followed) -> None:
    slapd.change(person("carol"))
    assert followed.changes().told.count("carol") == 1
    slapd.change(change("alice", "changetype: modify", "replace: title", "title: Boss"))
    assert "alice" in followed.changes().told
    assert next(one for one in followed.records.values() if "alice" in one.name).attributes["title"] == ["Boss"]
    assert followed.changes().told == []
    # Again within the same second, which is as exact as modifyTimestamp is.
    slapd.change(change("alice", "changetype: modify", "replace: title", "title: Chief"))
    assert followed.changes().told == ["alice"]


def test_who_was_deleted_is_gone(slapd: Slapd, followed: Followed) -> None:
    slapd.change(person("carol"))
    followed.changes()
    followed.changes()
    slapd.change(change("carol", "changetype: delete"))
    followed.changes()
    if slapd.tells_deletions and "csn" in json.loads(followed.cookie):  # type: ignore[attr-defined]
        slapd.change(change("bob", "changetype: delete"))
        followed.changes()
    else:
        slapd.change(change("bob", "changetype: delete"))
        followed.compare()
    followed.compare()
    assert followed.names == {"cn=alice"}


def test_a_rename_and_a_move_keep_the_identity(slapd: Slapd, followed: Followed) -> None:
    before = {record.name: record.guid for record in followed.records.values()}
    move = ("changetype: modrdn", "newrdn: cn=Alicia", "deleteoldrdn: 1", f"newsuperior: ou=Sales,{BASE}")
    slapd.change(change("alice", *move))
    followed.changes()
    after = {record.name: record.guid for record in followed.records.values()}
    assert after[f"cn=Alicia,ou=Sales,{BASE}"] == before[f"cn=alice,{PEOPLE}"]
    assert len(after) == 2


def test_a_renamed_container_renames_all_below_it(slapd: Slapd, followed: Followed) -> None:
    slapd.change(f"dn: {PEOPLE}\nchangetype: modrdn\nnewrdn: ou=Staff\ndeleteoldrdn: 1\n\n")
    followed.changes()
    assert {record.name for record in followed.records.values()} == {
        f"cn={n},ou=Staff,{BASE}" for n in ("alice", "bob")
    }


def test_a_change_while_nobody_followed_is_told_by_the_cookie(slapd: Slapd, followed: Followed) -> None:
    followed.source.close()
    slapd.change(person("carol"))
    later = Followed(slapd)
    later.cookie = followed.cookie
    with closing(later.source):
        assert "carol" in later.changes().told


@pytest.mark.parametrize("cookie", ["", "x", "[]", "7", '{"csn": 5}', '{"modified": "yesterday"}'])
def test_a_cookie_that_is_none(followed: Followed, cookie: str) -> None:
    with pytest.raises((CookieExpired, DirectoryError)):
        list(followed.source.changes(cookie))


def test_a_server_that_goes_away_is_an_error_that_says_so(slapd: Slapd, followed: Followed) -> None:
    slapd.stop()
    with pytest.raises(DirectoryError, match="the connection to the directory was lost"):
        followed.changes()
    slapd.start()
