"""How the configuration says that LDAP servers are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.ldap.connection import DirectoryAway, ExternalBind, KerberosBind
from openchange_py.addressbook.ldap.directory import LdapDirectory
from openchange_py.cli.directory import in_ldap, ldap_servers, open_directory
from openchange_py.config import ConfigError, Settings, declared, load

URLS = ("ldaps://dc.example.test",)


def settings(place: Path, *lines: str) -> Settings:
    (place / "smb.conf").write_text("\n".join(["[global]", "dcerpc_mapiproxy:server = true", *lines, ""]))
    return load(place / "smb.conf")


def test_a_simple_bind_needs_a_name_and_a_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("directory secret\n")
    lines: list[str] = []
    for line, needed in (
        ("ldap admin dn = cn=admin,dc=example,dc=test", "ldap admin dn"),
        (f"ocpy:ldap password file = {tmp_path}/password", "ldap password file"),
    ):
        with pytest.raises(ConfigError, match=f"ocpy:directory: it needs .*{needed}"):
            ldap_servers(settings(tmp_path, *lines), declared.DIRECTORY, URLS)
        lines.append(line)
    made = ldap_servers(settings(tmp_path, *lines), declared.DIRECTORY, URLS)
    assert (made.urls, made.base, made.sasl) == (URLS, "", None)
    assert (made.bind_dn, made.password) == ("cn=admin,dc=example,dc=test", "directory secret")
    assert "directory secret" not in repr(made)


def test_the_directory_is_embedded_or_in_ldap(tmp_path: Path) -> None:
    embedded = settings(tmp_path, f"ocpy:directory = sqlite:///{tmp_path}/d.db")
    assert not in_ldap(embedded)
    with pytest.raises(DirectoryError, match="ocpy provision"):
        open_directory(embedded)
    (tmp_path / "password").write_text("directory secret\n")
    lines = (
        "ldap admin dn = cn=a",
        f"ocpy:ldap password file = {tmp_path}/password",
        f"ocpy:data directory = {tmp_path}",
    )
    configured = settings(tmp_path, "ocpy:directory = ldap://127.0.0.1:1, ldaps://127.0.0.1:1", *lines)
    assert in_ldap(configured)
    directory = open_directory(configured)
    assert isinstance(directory, LdapDirectory)
    assert directory.servers.urls == ("ldap://127.0.0.1:1", "ldaps://127.0.0.1:1")
    assert (tmp_path / "directory.db").exists(), "its index"
    with pytest.raises(DirectoryAway, match="ldaps://127"):
        directory.catch_up()
    directory.close()


def test_sasl_needs_neither(tmp_path: Path) -> None:
    keytab = tmp_path / "server.keytab"
    lines = ("ocpy:ldap sasl = gssapi", "ocpy:ldap principal = EXCH1$@EXAMPLE.TEST", f"ocpy:ldap keytab = {keytab}")
    with pytest.raises(ConfigError, match=r"ldap keytab: .* is no file"):
        ldap_servers(settings(tmp_path, *lines), declared.DIRECTORY, URLS)
    keytab.touch()
    made = ldap_servers(settings(tmp_path, *lines), declared.DIRECTORY, URLS)
    assert made.sasl == KerberosBind("EXCH1$@EXAMPLE.TEST", keytab)
    assert ldap_servers(settings(tmp_path, lines[0]), declared.DIRECTORY, URLS).sasl == KerberosBind()
    external = settings(tmp_path, "ocpy:ldap sasl = external")
    assert ldap_servers(external, declared.DIRECTORY, ("ldapi://%2Frun%2Fldapi",)).sasl == ExternalBind()
