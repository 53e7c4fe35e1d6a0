"""Samba's own raw DCE/RPC protocol tests, unmodified, each as one test here.

They send one odd PDU after the other, and know what Windows answers. Debian ships them in python3-samba; they connect
to port 135, and find `mgmt`, and netlogon's NetrServerReqChallenge through the endpoint mapper. Run against a server
process (`rpc_test_server.py`) with an account of its own, and those of Kerberos against one in a Samba domain.
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

from tests.auth.ntlm_parties import PASSWORD
from tests.conftest import ROOT
from tests.interop import samba_dc as domain
from tests.interop.domain import DomainServer
from tests.interop.samba_dc import DEBIAN_PYTHON, SambaDc, own_address

SUITE = "samba.tests.dcerpc.raw_protocol"
SOURCE = Path("/usr/lib/python3/dist-packages/samba/tests/dcerpc/raw_protocol.py")
SOURCES = SOURCE.read_text() if SOURCE.exists() else ""
#: Security contexts of one connection; Samba's default is 2049, and the tests can be told another number.
MAX_NUM_AUTH = 256

#: Named pipes over SMB: smbd has those, and LSA's calls behind them are no part of this project.
SMB = frozenset(
    {
        "test_assoc_group_fail3",
        "test_assoc_group_ok2",
        *(f"test_lsa_multi_auth_connect{n}{who}" for n in "1234" for who in "ua"),
        *(f"test_lsa_multi_auth_sign_connect1{who}" for who in "ua"),
    }
)
#: Need a ticket, and are run in the domain. The last one finds NTLM signing headers always, as Windows' does too.
KERBEROS = frozenset({*re.findall(r"def (test_krb5_\w+)", SOURCES), "test_spnego_multiple_auth_hdr_signing"})

NAMES = sorted(set(re.findall(r"^    def (test_\w+)", SOURCES, re.MULTILINE)))
PLAIN = [name for name in NAMES if name not in SMB | KERBEROS] or ["absent"]


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
def server_process(address: str) -> Iterator[None]:
    """`rpc_test_server` on an address of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.interop.rpc_test_server", address],
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


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run with NTLM, bare and in SPNEGO."""
    if not SOURCES:
        pytest.skip(f"no {SOURCE}: Debian's python3-samba is not installed")
    if os.geteuid() != 0:
        pytest.skip("Samba's raw protocol tests connect to port 135, which needs root")
    place, address = tmp_path_factory.mktemp("raw_protocol"), own_address(77)
    (place / "smb.conf").write_text(
        "[global]\n    netbios name = CLIENT\n    workgroup = EXAMPLE\n    log file = /dev/null\n"
        + "".join(f"    {name} = {place}\n" for name in ("private dir", "lock directory", "state directory"))
    )
    environment = {
        "SMB_CONF_PATH": str(place / "smb.conf"),
        "SERVER": address,
        "TARGET_HOSTNAME": address,
        "DOMAIN": "EXAMPLE",
        "REALM": "EXAMPLE.TEST",
        "USERNAME": "alice",
        "PASSWORD": PASSWORD,
    }
    with server_process(address):
        return run_suite(PLAIN, place, environment)


@pytest.fixture(scope="module")
def in_domain(samba_dc: SambaDc, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run of those that need Kerberos."""
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


@pytest.mark.xdist_group("samba_dc")
@pytest.mark.parametrize("name", sorted(KERBEROS))
def test_samba_raw_protocol_with_kerberos(in_domain: Outcome, name: str) -> None:
    in_domain.check(name)


def test_every_test_of_the_suite_is_run_or_accounted_for() -> None:
    if not SOURCES:
        pytest.skip(f"no {SOURCE}: Debian's python3-samba is not installed")
    assert set(NAMES) >= SMB | KERBEROS
    assert len(PLAIN) + len(KERBEROS) + len(SMB) == len(NAMES)
    assert len(PLAIN) >= 172
