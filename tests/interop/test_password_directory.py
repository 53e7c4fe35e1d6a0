"""`ocpy serve` with the passwords of an OpenLDAP: mail is read with them, and not while the directory is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.auth.ntlm_crypto import nt_hash
from tests.conftest import ROOT
from tests.interop.nodes import Node, ocpy
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, Slapd, running_slapd

PASSWORD = "Ldap-Passw0rd"

CONF = """\
[global]
    netbios name = EXCH1
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    dcerpc_mapiproxy:server = true
    ocpy:data directory = {place}/data
    ocpy:mail domain = example.test
    ocpy:fqdn = localhost
    ocpy:endpoint mapper port = 0
    ocpy:password directory = {url}
    ldap suffix = {base}
    ldap admin dn = {admin}
    ocpy:ldap password file = {place}/ldap.password
    ocpy:ldap ca file = {ca_file}
"""

ALICE = f"""\
dn: uid=alice,ou=Users,{BASE}
objectClass: inetOrgPerson
objectClass: sambaSamAccount
uid: alice
cn: Alice
sn: Example
sambaSID: S-1-5-21-1-2-3-1000
sambaDomainName: EXAMPLE
sambaAcctFlags: [U          ]
sambaNTPassword: {nt_hash(PASSWORD).hex().upper()}
"""


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("slapd")) as server:
        server.change(ALICE)
        yield server


@pytest.fixture(scope="module")
def node(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    place = tmp_path_factory.mktemp("node")
    for name, password in (("ldap", ADMIN_PASSWORD), ("alice", PASSWORD), ("wrong", "guess")):
        (place / f"{name}.password").write_text(password + "\n")
    config = place / "smb.conf"
    where = {"url": slapd.ldaps, "base": BASE, "admin": ADMIN, "ca_file": slapd.ca_file}
    config.write_text(CONF.format(place=place, **where))
    ocpy("provision", "-c", config)
    ocpy("newuser", "-c", config, "--create", "--mailbox", "--no-password", "alice")
    ocpy("import", "-c", config, "alice", ROOT / "setup" / "sample-mailbox")
    started = Node("ldap", config)
    try:
        started.start()
        started.wait_until_ready()
        yield started
        assert started.stop() == 0
    finally:
        started.abandon()


def folders(node: Node, password: str = "alice", check: bool = True):
    file: Path = node.config.parent / f"{password}.password"
    account = ["--user", "EXAMPLE\\alice", "--password-file", file]
    return ocpy("client", "--endpoints", node.ready_file, *account, "folders", "--json", check=check)


def test_mail_is_read_with_the_password_of_the_directory(node: Node, slapd: Slapd) -> None:
    with node.log.expect(f"password directory {slapd.ldaps} as {ADMIN}", "logon of alice"):
        found = {folder["path"]: folder["count"] for folder in json.loads(folders(node).stdout)}
    assert found["Inbox"] > 0
    with node.log.expect("logon of .*alice' refused: wrong password"):
        assert folders(node, "wrong", check=False).returncode != 0


def test_while_the_directory_is_away_nobody_logs_on_and_the_log_says_why(node: Node, slapd: Slapd) -> None:
    slapd.stop()
    try:
        with node.log.expect("the directory failed: password directory: "):
            assert "refused the logon" in folders(node, check=False).stderr
    finally:
        slapd.start()
    lines = "\n".join(node.log.lines)
    for secret in (ADMIN_PASSWORD, PASSWORD, nt_hash(PASSWORD).hex()):
        assert secret not in lines.lower()
