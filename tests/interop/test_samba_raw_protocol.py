"""Samba's own raw DCE/RPC protocol tests, unmodified, each as one test here.

They send one odd PDU after the other, and know what Windows answers. Debian ships them in python3-samba; they connect
to port 135, and find `mgmt` there, and netlogon's NetrServerReqChallenge through the endpoint mapper. Run against
`ocpy serve` itself; all again, and those of netlogon, which the product does not have, against a server process with
test interfaces (`rpc_test_server.py`); those of Kerberos against one in a Samba domain; and those over SMB against one
whose pipes Samba's smbd hands over.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Account
from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.ntlm_crypto import nt_hash
from tests.auth.ntlm_parties import NAMES as NAMES_OF_SERVER
from tests.auth.ntlm_parties import PASSWORD
from tests.conftest import ROOT
from tests.interop import samba_dc as domain
from tests.interop.domain import DomainServer
from tests.interop.nodes import Node, ocpy
from tests.interop.samba_dc import DEBIAN_PYTHON, SambaDc, own_address
from tests.interop.smbd import PASSWORD as SMB_PASSWORD
from tests.interop.smbd import USER, require_smbd, running_smbd

SUITE = "samba.tests.dcerpc.raw_protocol"
SOURCE = Path("/usr/lib/python3/dist-packages/samba/tests/dcerpc/raw_protocol.py")
SOURCES = SOURCE.read_text() if SOURCE.exists() else ""
#: Security contexts of one connection; Samba's default is 2049, and the tests can be told another number.
MAX_NUM_AUTH = 256

_LSA = ("connect1", "connect2", "connect3", "connect4", "sign_connect1")
#: Named pipes over SMB.
SMB = frozenset({"test_assoc_group_fail3", "test_assoc_group_ok2", *(f"test_lsa_multi_auth_{kind}a" for kind in _LSA)})
#: The same for a client that logged on at SMB: they want a call without security context to be that account's. Here it
#: is nobody's, whoever it is to smbd: its accounts are its own.
SMB_ACCOUNT = frozenset(f"test_lsa_multi_auth_{kind}u" for kind in _LSA)
#: Need a ticket, and are run in the domain. The last one finds NTLM signing headers always, as Windows' does too.
KERBEROS = frozenset({*re.findall(r"def (test_krb5_\w+)", SOURCES), "test_spnego_multiple_auth_hdr_signing"})

#: Begin with netlogon's endpoint, directly or in a function that many of them share.
NETLOGON = frozenset(
    name
    for name, body in re.findall(
        r"^    def (test_\w+)\(self\):\n(.*?)(?=^    def |\Z)", SOURCES, re.MULTILINE | re.DOTALL
    )
    if re.search(r"self\.(_get_netlogon_ctx|_test_fragmented_requests|_test_same_requests)\(", body)
)

NAMES = sorted(set(re.findall(r"^    def (test_\w+)", SOURCES, re.MULTILINE)))
PLAIN = [name for name in NAMES if name not in SMB | SMB_ACCOUNT | KERBEROS] or ["absent"]
SERVED = [name for name in PLAIN if name not in NETLOGON]

SERVE_CONF = """\
[global]
    netbios name = exch1
    workgroup = EXAMPLE
    interfaces = {address}
    bind interfaces only = yes
    dcerpc_mapiproxy:server = true
    ocpy:data directory = {place}/data
    ocpy:mail domain = example.test
    ocpy:fqdn = exch1.example.test
    ocpy:endpoint mapper port = 135
    ocpy:max security contexts = {contexts}
"""


class Outcome:
    """What one run of the suite said about each of its tests."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.failed = {
            block.split(maxsplit=2)[1]: block for block in re.split(r"^={70}\n", output, flags=re.MULTILINE)[1:]
        }
        ran = re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE)
        self.count = int(ran[1]) if ran else 0

    def check(self, name: str) -> None:
        """Fails with what the suite said about a test."""
        assert self.count, f"the suite did not run to its end:\n{self.output[-3000:]}"
        assert name not in self.failed, self.failed[name]
        assert re.search(rf"^{name} \(", self.output, re.MULTILINE), f"{name} was not run:\n{self.output[-3000:]}"


def run_suite(names: list[str], place: Path, environment: Mapping[str, str]) -> Outcome:
    """Run these tests with Debian's Python."""
    merged = {**os.environ, "IGNORE_RANDOM_PAD": "0", "MAX_NUM_AUTH": str(MAX_NUM_AUTH), **environment}
    clean = {key: value for key, value in merged.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    selected = [f"{SUITE}.TestDCERPC_BIND.{name}" for name in names]
    done = subprocess.run(
        [DEBIAN_PYTHON, "-m", "unittest", "-v", *selected],
        cwd=place,
        env=clean,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=400,
    )
    return Outcome(done.stderr)


@contextlib.contextmanager
def server_process(address: str, *arguments: str) -> Iterator[None]:
    """`rpc_test_server` on an address of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.interop.rpc_test_server", address, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert json.loads(line or "{}").get("address") == address, "the server process did not start"
        yield
    finally:
        process.communicate(timeout=30)


def require_suite() -> None:
    """Skips, loudly, where the suite can't be run."""
    if not SOURCES:
        pytest.skip(f"no {SOURCE}: Debian's python3-samba is not installed")
    if os.geteuid() != 0:
        pytest.skip("Samba's raw protocol tests connect to port 135, which needs root")


def client_environment(place: Path, address: str, password: str) -> dict[str, str]:
    """For `alice` of EXAMPLE at a server, without Kerberos."""
    (place / "smb.conf").write_text(
        "[global]\n    netbios name = CLIENT\n    workgroup = EXAMPLE\n    log file = /dev/null\n"
        + "".join(f"    {name} = {place}\n" for name in ("private dir", "lock directory", "state directory"))
    )
    return {
        "SMB_CONF_PATH": str(place / "smb.conf"),
        "SERVER": address,
        "TARGET_HOSTNAME": address,
        "DOMAIN": "EXAMPLE",
        "REALM": "EXAMPLE.TEST",
        "USERNAME": "alice",
        "PASSWORD": password,
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run against the test server, with NTLM, bare and in SPNEGO."""
    require_suite()
    place, address = tmp_path_factory.mktemp("raw_protocol"), own_address(77)
    with server_process(address):
        return run_suite(PLAIN, place, client_environment(place, address, PASSWORD))


def daemon_s_account() -> LocalAuthenticator:
    """The accounts of the server behind smbd: the one that smbd has, too, and nobody."""

    class Accounts:
        def account(self, name: str) -> Account | None:
            return Account(USER, "EXAMPLE", nt_hash(SMB_PASSWORD)) if name.casefold() == USER else None

    return LocalAuthenticator(Accounts(), NAMES_OF_SERVER, allow_anonymous=True)


@pytest.fixture(scope="module")
def over_smb(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run of those that open pipes, with Samba's smbd in front."""
    require_suite()
    require_smbd()
    place, pipes = tmp_path_factory.mktemp("raw_smb"), tmp_path_factory.mktemp("p")
    with running_smbd(pipes) as address, server_process(address, f"{__name__}:daemon_s_account", f"{pipes}/ncalrpc/np"):
        environment = client_environment(place, address, SMB_PASSWORD) | {"USERNAME": USER}
        return run_suite(sorted(SMB | SMB_ACCOUNT), place, environment)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run against `ocpy serve`, set up with the commands that an administrator types."""
    require_suite()
    place, address = tmp_path_factory.mktemp("raw_served"), own_address(80)
    config, password_file = place / "ocpy.conf", place / "password"
    config.write_text(SERVE_CONF.format(address=address, place=place, contexts=MAX_NUM_AUTH))
    password_file.write_text(PASSWORD + "\n", "utf-8")
    ocpy("provision", "-c", config)
    ocpy("newuser", "-c", config, "--create", "alice", "--mail", "alice@example.test", "--password-file", password_file)
    node = Node("served", config)
    try:
        node.start()
        node.wait_until_ready()
        outcome = run_suite(SERVED, place, client_environment(place, address, PASSWORD))
        assert node.alive, "ocpy serve ended:\n" + "\n".join(node.log.lines[-30:])
        assert node.stop() == 0
        return outcome
    finally:
        node.abandon()


@pytest.fixture(scope="module")
def in_domain(samba_dc: SambaDc, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run of those that need Kerberos."""
    pytest.importorskip("gssapi", reason="no gssapi: it is compiled where Debian's libkrb5-dev is installed")
    server = DomainServer(samba_dc)
    environment = samba_dc.environment() | {
        "SMB_CONF_PATH": str(samba_dc.smb_conf),
        "SERVER": server.address,
        "TARGET_HOSTNAME": domain.SERVER_FQDN,
        "DOMAIN": domain.WORKGROUP,
        "REALM": domain.REALM,
        "USERNAME": "alice",
        "PASSWORD": domain.PASSWORD,
    }
    try:
        return run_suite(sorted(KERBEROS), tmp_path_factory.mktemp("raw_kerberos"), environment)
    finally:
        server.stop()


@pytest.mark.xdist_group("samba_raw_protocol")
@pytest.mark.parametrize("name", PLAIN)
def test_samba_raw_protocol(plain: Outcome, name: str) -> None:
    plain.check(name)


@pytest.mark.xdist_group("samba_raw_served")
@pytest.mark.parametrize("name", SERVED)
def test_samba_raw_protocol_of_ocpy_serve(served: Outcome, name: str) -> None:
    served.check(name)


@pytest.mark.xdist_group("samba_dc")
@pytest.mark.parametrize("name", sorted(KERBEROS))
def test_samba_raw_protocol_with_kerberos(in_domain: Outcome, name: str) -> None:
    in_domain.check(name)


@pytest.mark.xdist_group("smbd")
@pytest.mark.parametrize("name", sorted(SMB))
def test_samba_raw_protocol_over_smb(over_smb: Outcome, name: str) -> None:
    over_smb.check(name)


@pytest.mark.xdist_group("smbd")
@pytest.mark.parametrize("name", sorted(SMB_ACCOUNT))
def test_who_is_logged_on_at_smb_is_not_who_calls(over_smb: Outcome, name: str) -> None:
    assert "anonymous logon" in over_smb.failed[name].lower()


def test_every_test_of_the_suite_is_run_or_accounted_for() -> None:
    if not SOURCES:
        pytest.skip(f"no {SOURCE}: Debian's python3-samba is not installed")
    assert set(NAMES) >= SMB | SMB_ACCOUNT | KERBEROS
    assert len(PLAIN) + len(KERBEROS) + len(SMB) + len(SMB_ACCOUNT) == len(NAMES)
    assert len(SMB_ACCOUNT) == 5
    assert len(PLAIN) >= 172
    assert len(SERVED) >= 150
