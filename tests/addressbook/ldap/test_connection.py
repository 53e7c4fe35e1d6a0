"""Connections to a real slapd: what protects them, who is let in, and what is said of a server that is no good."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from openchange_py.addressbook.ldap import connection
from openchange_py.addressbook.ldap.connection import (
    DirectoryAway,
    ExternalBind,
    KerberosBind,
    LdapServers,
    close,
    connect,
)
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, Slapd


def servers(slapd: Slapd, *urls: str) -> LdapServers:
    return LdapServers(urls or (slapd.ldaps,), BASE, ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file)


def who(where: LdapServers) -> str:
    """Whom the server takes us for."""
    opened = connect(where, 5)
    try:
        return str(opened.extend.standard.who_am_i())
    finally:
        close(opened)


def refusal(where: LdapServers, seconds: float = 5) -> str:
    with pytest.raises(DirectoryAway) as caught:
        connect(where, seconds)
    return str(caught.value)


@pytest.mark.parametrize("url", ["ldap", "ldaps", "ldapi"])
def test_a_simple_bind(slapd: Slapd, url: str) -> None:
    assert who(servers(slapd, getattr(slapd, url))) == f"dn:{ADMIN}"


def test_this_process_s_user_by_a_local_socket(slapd: Slapd) -> None:
    where = dataclasses.replace(servers(slapd, slapd.ldapi), sasl=ExternalBind())
    assert who(where).endswith("cn=peercred,cn=external,cn=auth")


def test_ldap_is_protected_unless_it_is_told_not_to_be(slapd: Slapd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    opened = connect(servers(slapd, slapd.ldap), 5)
    assert opened.tls_started
    close(opened)
    opened = connect(dataclasses.replace(servers(slapd, slapd.ldap), start_tls=False), 5)
    assert not opened.tls_started
    close(opened)
    assert f"directory {slapd.ldap} as {ADMIN}" in caplog.text
    assert ADMIN_PASSWORD not in caplog.text


@pytest.mark.parametrize("url", ["ldap", "ldaps"])
def test_who_can_not_prove_that_he_is_the_directory_gets_no_password(slapd: Slapd, url: str) -> None:
    """By another CA's certificate, or by one that is made out to another name."""
    there = getattr(slapd, url)
    other_ca = dataclasses.replace(servers(slapd, there), ca_file=slapd.place / "other-ca.pem")
    for where in (other_ca, servers(slapd, there.replace("localhost", "127.0.0.1"))):
        assert "certificate" in refusal(where).lower()


def test_the_next_server_is_asked_where_the_first_does_not_answer(slapd: Slapd) -> None:
    assert who(servers(slapd, "ldaps://127.0.0.1:1", slapd.ldaps)) == f"dn:{ADMIN}"


def test_where_none_answers_all_are_named_and_no_password(slapd: Slapd) -> None:
    where = dataclasses.replace(servers(slapd, "ldap://127.0.0.1:1", slapd.ldaps), password="another secret")
    said = refusal(where)
    assert "ldap://127.0.0.1:1: LDAPSocketOpenError" in said
    assert f"{slapd.ldaps}: bind as {ADMIN} refused: invalidCredentials" in said
    assert "another secret" not in said + repr(where)


def test_kerberos_never_goes_in_the_clear(slapd: Slapd) -> None:
    where = dataclasses.replace(servers(slapd, slapd.ldap), sasl=KerberosBind(), start_tls=False)
    assert "Kerberos needs ldaps:// or StartTLS" in refusal(where)


def test_kerberos_without_a_ticket_says_so(slapd: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gssapi", reason="the Python package gssapi is not installed (pip install '.[kerberos]')")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
    monkeypatch.setenv("KRB5_CONFIG", "/dev/null")
    where = dataclasses.replace(servers(slapd), sasl=KerberosBind("alice@EXAMPLE.TEST", tmp_path / "none.keytab"))
    assert "GSS" in refusal(where) or "Error" in refusal(where)
    assert where.who == "alice@EXAMPLE.TEST (Kerberos)"
    assert "ccache" in connection._credentials(where)["cred_store"]
