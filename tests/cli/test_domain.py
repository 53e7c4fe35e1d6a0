"""Domain controller, machine account and keytab as they are configured, and what is said where something is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Directory
from openchange_py.auth import kerberos
from openchange_py.auth.kerberos import KerberosAcceptor
from openchange_py.cli.domain import kerberos_acceptor, password_directory, secure_channel
from openchange_py.cli.settings import load_settings
from openchange_py.config import ConfigError, Settings
from tests.auth.kerberos_parties import Realm
from tests.cli.commands import Installation


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    (tmp_path / "elsewhere").mkdir()
    opened = Installation.make(tmp_path / "elsewhere").provisioned().directory()
    yield opened
    opened.close()


def settings(place: Path, *lines: str) -> Settings:
    return load_settings(Installation.make(place, "".join(f"    {line}\n" for line in lines)).conf)


def password_file(place: Path, text: str = "machine secret\n") -> str:
    path = place / "machine.password"
    path.write_text(text)
    path.chmod(0o600)
    return f"ocpy:machine password file = {path}"


CONTROLLERS = "ocpy:domain controller = dc1.example.test, dc2.example.test"


def test_nothing_configured_is_nothing_offered(tmp_path: Path, directory: Directory) -> None:
    plain = settings(tmp_path)
    assert secure_channel(plain) is None
    assert kerberos_acceptor(plain, directory) is None


def test_the_machine_account_is_the_server_s_by_default(tmp_path: Path) -> None:
    channel = secure_channel(settings(tmp_path, CONTROLLERS, password_file(tmp_path)))
    assert channel is not None
    assert (channel.machine.account, channel.machine.computer) == ("EXCH1$", "EXCH1")
    assert channel.machine.workgroup == "EXAMPLE"
    assert channel.machine.password == "machine secret"
    other = secure_channel(settings(tmp_path, CONTROLLERS, password_file(tmp_path), "ocpy:machine account = NODE7$"))
    assert other is not None
    assert other.machine.computer == "NODE7"


def test_testparm_shows_the_options(tmp_path: Path) -> None:
    settings(tmp_path, CONTROLLERS, password_file(tmp_path))
    text = Installation(tmp_path).ok("testparm", "--all")
    assert CONTROLLERS in text
    assert "ocpy:machine account = EXCH1$" in text
    assert "ocpy:keytab" in text
    assert "machine secret" not in text


def test_a_controller_without_password_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"machine password file: .*first line is the password.*EXCH1\$"):
        secure_channel(settings(tmp_path, CONTROLLERS))


@pytest.mark.parametrize("content", [None, "", "\nsecond line"])
def test_a_password_file_without_password(tmp_path: Path, content: str | None) -> None:
    line = password_file(tmp_path, content or "")
    if content is None:
        (tmp_path / "machine.password").unlink()
    with pytest.raises(ConfigError, match=r"machine\.password"):
        secure_channel(settings(tmp_path, CONTROLLERS, line))


def test_kerberos_without_realm_or_keytab(tmp_path: Path, directory: Directory) -> None:
    keytab = f"ocpy:keytab = {tmp_path}/absent.keytab"
    with pytest.raises(ConfigError, match="realm"):
        kerberos_acceptor(settings(tmp_path, keytab), directory)
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed")
    with pytest.raises(ConfigError, match=r"no usable keytab: .*absent\.keytab"):
        kerberos_acceptor(settings(tmp_path, keytab, "realm = EXAMPLE.TEST"), directory)


def test_kerberos_without_its_library_is_an_error_that_says_what_to_install(
    tmp_path: Path, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kerberos, "gss", None)
    configured = settings(tmp_path, f"ocpy:keytab = {tmp_path}/any.keytab", "realm = EXAMPLE.TEST")
    with pytest.raises(ConfigError, match=r"ocpy:keytab: Kerberos can't be offered: .*openchange-py\[kerberos\]"):
        kerberos_acceptor(configured, directory)


def test_a_keytab_makes_acceptors(tmp_path: Path, directory: Directory, caplog: pytest.LogCaptureFixture) -> None:
    realm = Realm(tmp_path)
    configured = settings(tmp_path, f"ocpy:keytab = {realm.keytab}", "realm = EXAMPLE.TEST")
    realm.keytab.chmod(0o600)
    make = kerberos_acceptor(configured, directory)
    assert make is not None
    assert "can read" not in caplog.text
    assert isinstance(make("192.0.2.1:1", None), KerberosAcceptor)
    realm.keytab.chmod(0o644)
    kerberos_acceptor(configured, directory)
    assert f"every user of this machine can read {realm.keytab}" in caplog.text


LDAP = ("ldap suffix = dc=example,dc=test", "ldap admin dn = cn=admin,dc=example,dc=test")


def ldap_password(place: Path) -> str:
    (place / "ldap.password").write_text("directory secret\n")
    return f"ocpy:ldap password file = {place}/ldap.password"


def test_a_password_directory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert password_directory(settings(tmp_path)) is None
    urls = "ocpy:password directory = ldaps://ldap1.example.test, ldap://ldap2.example.test:1389"
    made = password_directory(settings(tmp_path, urls, *LDAP, ldap_password(tmp_path)))
    assert made is not None
    where = made._servers
    assert where.urls == ("ldaps://ldap1.example.test", "ldap://ldap2.example.test:1389")
    assert (where.base, where.bind_dn) == ("dc=example,dc=test", "cn=admin,dc=example,dc=test")
    assert (where.password, where.start_tls, where.ca_file) == ("directory secret", True, None)
    made.close()
    assert "without encryption" not in caplog.text
    made = password_directory(settings(tmp_path, urls, *LDAP, ldap_password(tmp_path), "ldap ssl = off"))
    assert made is not None
    assert not made._servers.start_tls
    made.close()
    assert "passwords of ldap://ldap2.example.test:1389 are read without encryption" in caplog.text
    assert "ldap1" not in caplog.text


def test_a_directory_in_ldap_has_the_passwords_where_no_controller_has(tmp_path: Path) -> None:
    lines = ["ocpy:directory = ldaps://ldap1.example.test", LDAP[1], ldap_password(tmp_path)]
    assert password_directory(settings(tmp_path, *lines)) is None, "nobody said where accounts are"
    made = password_directory(settings(tmp_path, *lines, LDAP[0]))
    assert made is not None
    assert made._servers.urls == ("ldaps://ldap1.example.test",)
    made.close()
    assert password_directory(settings(tmp_path, *lines, LDAP[0], "ocpy:domain controller = dc1.example.test")) is None


def test_a_password_directory_says_what_it_needs(tmp_path: Path) -> None:
    lines = ["ocpy:password directory = ldaps://ldap1.example.test"]
    for needed, line in zip(
        ("ldap suffix", "ldap admin dn", "ldap password file"), (*LDAP, ldap_password(tmp_path)), strict=True
    ):
        with pytest.raises(ConfigError, match=f"password directory: it needs .*{needed}"):
            password_directory(settings(tmp_path, *lines))
        lines.append(line)
    with pytest.raises(ConfigError, match=r"ldap ca file: .*absent\.pem is no file"):
        password_directory(settings(tmp_path, *lines, f"ocpy:ldap ca file = {tmp_path}/absent.pem"))
    (tmp_path / "ldap.password").write_text("\n")
    with pytest.raises(ConfigError, match="no password on its first line"):
        password_directory(settings(tmp_path, *lines))
