"""What is the same for every server that is followed; tests/interop/test_directory.py follows a domain controller."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing

import pytest

from openchange_py.addressbook.base import Kind, Record
from openchange_py.addressbook.followed import CookieExpired
from openchange_py.addressbook.ldap.connection import DirectoryAway, LdapServers
from openchange_py.addressbook.ldap.source import _numbers, in_parts, open_source
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, Slapd


def servers(*urls: str, slapd: Slapd) -> LdapServers:
    return LdapServers(urls, BASE, ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file)


def test_records_come_in_parts(slapd: Slapd) -> None:
    records = [Record(uuid.uuid4(), f"cn={number}", Kind.USER, True, {}, {}) for number in range(1001)]
    parts = list(in_parts(iter(records)))
    assert [len(part.records) for part in parts] == [500, 500, 1]
    assert all(part.cookie is None for part in parts)


def test_a_directory_without_an_organization_has_no_address_book(slapd: Slapd) -> None:
    with closing(open_source(servers("ldap://127.0.0.1:1", slapd.ldaps, slapd=slapd))) as source:
        assert source.address_books() == []


def test_a_directory_that_is_away_says_so(slapd: Slapd) -> None:
    with pytest.raises(DirectoryAway, match=r"ldap://127\.0\.0\.1:1"):
        open_source(servers("ldap://127.0.0.1:1", slapd=slapd))


def test_waiting_ends_when_it_is_stopped(slapd: Slapd) -> None:
    stop = threading.Event()
    stop.set()
    with closing(open_source(servers(slapd.ldaps, slapd=slapd))) as source:
        source.wait(3600, stop)


@pytest.mark.parametrize("cookie", ["", "x", "[]", '{"a": "b"}'])
def test_a_cookie_that_is_none(cookie: str) -> None:
    with pytest.raises(CookieExpired):
        _numbers(cookie)
    assert _numbers('{"a": 5}') == {"a": 5}
