"""`ocpy serve` in a Samba domain: its users read their mail with the domain's passwords, and with tickets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.interop.nodes import Node, ocpy
from tests.interop.samba_dc import (
    DEBIAN_PYTHON,
    MACHINE_PASSWORD,
    PASSWORD,
    REALM,
    SERVER_FQDN,
    SERVER_NAME,
    WORKGROUP,
    SambaDc,
    own_address,
)

pytestmark = [pytest.mark.xdist_group("samba_dc")]

CONF = """\
[global]
    netbios name = {name}
    workgroup = {workgroup}
    realm = {realm}
    interfaces = {address}
    bind interfaces only = yes
    dcerpc_mapiproxy:server = true
    ocpy:data directory = {place}/data
    ocpy:mail domain = openchange.test
    ocpy:fqdn = {fqdn}
    ocpy:endpoint mapper port = 0
    ocpy:domain controller = {controller}
    ocpy:machine password file = {place}/machine.password
    ocpy:keytab = {keytab}
"""

_ASK = """
import sys
from samba import credentials, param
from samba.dcerpc import mgmt
lp = param.LoadParm()
lp.load_default()
account = credentials.Credentials()
account.guess(lp)
account.set_kerberos_state(credentials.MUST_USE_KERBEROS)
client = mgmt.mgmt(sys.argv[1], lp, account)
print(*(known.id.uuid for known in client.inq_if_ids().if_id))
print(*(client.inq_princ_name(kind, 100) for kind in (9, 16)))
"""


@pytest.fixture(scope="module")
def node(samba_dc: SambaDc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A stand-alone server with a mailbox for alice, whose password only the domain knows."""
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")
    place = tmp_path_factory.mktemp("domain")
    for name, password in (("machine", MACHINE_PASSWORD), ("alice", PASSWORD), ("wrong", "wrong")):
        (place / f"{name}.password").write_text(password + "\n")
    config = place / "smb.conf"
    names = {"name": SERVER_NAME, "workgroup": WORKGROUP, "realm": REALM, "fqdn": SERVER_FQDN}
    where = {"place": place, "address": own_address(112), "controller": samba_dc.address, "keytab": samba_dc.keytab}
    config.write_text(CONF.format(**names, **where))
    ocpy("provision", "-c", config)
    ocpy("newuser", "-c", config, "--create", "--mailbox", "--no-password", "alice")
    ocpy("import", "-c", config, "alice", ROOT / "setup" / "sample-mailbox")
    started = Node("domain", config)
    try:
        started.start()
        started.wait_until_ready()
        yield started
        assert started.stop() == 0
    finally:
        started.abandon()


def client(node: Node, password: str, *arguments: str, check: bool = True):
    file = node.config.parent / f"{password}.password"
    account = ["--user", f"{WORKGROUP}\\alice", "--password-file", file]
    return ocpy("client", "--endpoints", node.ready_file, *account, *arguments, check=check)


def test_mail_is_read_with_the_domain_s_password(node: Node) -> None:
    with node.log.expect(r"secure channel to .* as EXCH1\$", "logon of alice"):
        folders = json.loads(client(node, "alice", "folders", "--json").stdout)
    assert {folder["path"]: folder["count"] for folder in folders}["Inbox"] > 0


def test_a_wrong_password_is_the_domain_s_to_refuse(node: Node) -> None:
    with node.log.expect("logon of 'alice' refused: wrong password"):
        done = client(node, "wrong", "folders", check=False)
    assert done.returncode != 0
    assert "refused the logon" in done.stderr


@pytest.mark.parametrize("mechanism", ["krb5", "spnego"])
def test_with_a_ticket(node: Node, samba_dc: SambaDc, tmp_path: Path, mechanism: str) -> None:
    ccache = samba_dc.kinit(tmp_path / "ccache")
    binding = f"ncacn_ip_tcp:{node.host}[{node.rpc_port},{mechanism},seal,target_hostname={SERVER_FQDN}]"
    with node.log.expect(f"Kerberos logon of alice@{REALM} as alice"):
        done = subprocess.run(
            [str(DEBIAN_PYTHON), "-c", _ASK, binding],
            env=samba_dc.environment(ccache),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "f5cc5a18-4264-101a-8c59-08002b2f8426" in done.stdout, done.stderr  # exchange_nsp
    assert f"exchangeMDB/{SERVER_FQDN}" in done.stdout


@pytest.mark.parametrize("options", [[], ["--spnego"], ["--level", "connect"], ["--user", f"alice@{REALM}"]], ids=str)
def test_ocpy_client_with_a_ticket(node: Node, samba_dc: SambaDc, tmp_path: Path, options: list[str]) -> None:
    done = kerberos_client(node, samba_dc.environment(samba_dc.kinit(tmp_path / "ccache")), *options)
    if "connect" in options:
        assert "it demands more protection than the level connect" in done.stderr
        return
    folders = json.loads(done.stdout or done.stderr)
    assert {folder["path"]: folder["count"] for folder in folders}["Inbox"] > 0


def kerberos_client(node: Node, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    where = ["--endpoints", str(node.ready_file), "--kerberos", "--target", SERVER_FQDN]
    return subprocess.run(
        [sys.executable, "-m", "openchange_py", "client", *where, *options, "folders", "--json"],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_ocpy_client_says_what_is_wrong_with_tickets(node: Node, samba_dc: SambaDc, tmp_path: Path) -> None:
    """None; for a name that the domain does not have; of somebody whom our directory does not have."""
    nobody = kerberos_client(node, samba_dc.environment())
    assert nobody.returncode == 1
    assert "kinit gets tickets" in nobody.stderr
    alice = samba_dc.environment(samba_dc.kinit(tmp_path / "alice"))
    unknown = kerberos_client(node, alice, "--target", "no-such-host.example.test")
    assert "check --user" in unknown.stderr
    assert "--target" in unknown.stderr
    bob = kerberos_client(node, samba_dc.environment(samba_dc.kinit(tmp_path / "bob", "bob")))
    assert "an account that it does not have" in bob.stderr
    for done in (nobody, unknown, bob):
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_no_secret_is_in_the_log(node: Node) -> None:
    for secret in (MACHINE_PASSWORD, PASSWORD):
        assert secret not in "\n".join(node.log.lines)
