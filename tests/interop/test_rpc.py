"""Foreign clients in a Samba domain against our runtime: Samba's tools and bindings, smbtorture, impacket.

The domain controller is the KDC, and checks NTLM logons over Netlogon; the server knows its users' names alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from impacket.dcerpc.v5 import rpcrt, transport
from impacket.uuid import uuidtup_to_bin

from openchange_py.auth.kerberos_initiator import KerberosCredential, KerberosInitiator
from openchange_py.auth.netlogon import SecureChannel
from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.cli.domain import connect_netlogon
from openchange_py.rpc.security import AuthLevel, AuthType
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.mgmt import MGMT
from tests.interop.domain import LOCAL_PASSWORD, LOCAL_USER, DomainServer
from tests.interop.interfaces import RPCECHO
from tests.interop.samba_dc import ADMIN_PASSWORD, DEBIAN_PYTHON, PASSWORD, REALM, SERVER_FQDN, WORKGROUP, SambaDc

pytestmark = [pytest.mark.xdist_group("samba_dc")]

LEVELS = {
    "connect": AuthLevel.CONNECT,
    "packet": AuthLevel.PACKET,
    "sign": AuthLevel.INTEGRITY,
    "seal": AuthLevel.PRIVACY,
}


@dataclasses.dataclass(frozen=True)
class Mechanism:
    """How a client authenticates: the option of Samba's binding strings, and what stands in the sec_trailer."""

    name: str
    option: str
    auth_type: AuthType
    kerberos: bool

    def __str__(self) -> str:
        return self.name


NTLM = Mechanism("ntlm", "ntlm", AuthType.NTLMSSP, False)
NTLM_SPNEGO = Mechanism("ntlm in spnego", "spnego", AuthType.SPNEGO, False)
KERBEROS = Mechanism("kerberos", "krb5", AuthType.KERBEROS, True)
KERBEROS_SPNEGO = Mechanism("kerberos in spnego", "spnego", AuthType.SPNEGO, True)
MECHANISMS = [NTLM, NTLM_SPNEGO, KERBEROS, KERBEROS_SPNEGO]

EVERY_MECHANISM = pytest.mark.parametrize("mechanism", MECHANISMS, ids=str)
EVERY_COMBINATION = pytest.mark.parametrize(
    ("mechanism", "level"), list(itertools.product(MECHANISMS, LEVELS)), ids=str
)


@dataclasses.dataclass(frozen=True)
class Lab:
    """A domain controller, a server of ours in its domain, and a ticket of alice."""

    dc: SambaDc
    server: DomainServer
    ccache: Path

    def binding(self, *options: str) -> str:
        """A binding string of Samba's; the endpoint mapper tells the port."""
        return f"ncacn_ip_tcp:{self.server.address}[{','.join([*options, f'target_hostname={SERVER_FQDN}'])}]"

    def account(self, mechanism: Mechanism, password: str = PASSWORD) -> list[str]:
        """Options of Samba's programs that log on as alice."""
        if mechanism.kerberos:
            return ["--use-kerberos=required", f"--use-krb5-ccache={self.ccache}"]
        return ["--use-kerberos=off", "-U", f"{WORKGROUP}\\alice%{password}"]

    def run(self, command: list[str], *, stdin: str = "", seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a client; what it did is in the server's records."""
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed: see debian_packages in setup/test")
        self.server.applications.callers.clear()
        self.server.authenticator.mechanisms.clear()
        return subprocess.run(
            command,
            env=self.dc.environment(self.ccache),
            cwd=self.ccache.parent,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def rpcclient(self, mechanism: Mechanism, level: str, call: str, password: str = PASSWORD) -> str:
        binding = self.binding(mechanism.option, level)
        done = self.run(
            ["rpcclient", binding, "-s", str(self.dc.smb_conf), *self.account(mechanism, password), "-c", call]
        )
        return done.stdout + done.stderr

    def smbtorture(self, test: str, mechanism: Mechanism, *options: str, quick: bool = True) -> str:
        """The output of a test that must succeed, as one line per test of the suite."""
        done = self.run(
            [
                "smbtorture",
                self.binding(*options),
                *("-s", str(self.dc.smb_conf), *self.account(mechanism), "--format=subunit"),
                *(["--option=torture:quick=yes"] if quick else []),
                test,
            ],
            seconds=120,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        return done.stdout + done.stderr

    def python3_samba(
        self, mechanism: Mechanism, level: str, user: str = "alice", password: str = PASSWORD
    ) -> dict[str, object]:
        if not DEBIAN_PYTHON.exists():
            pytest.skip(f"no {DEBIAN_PYTHON}")
        script = str(Path(__file__).with_name("samba_client.py"))
        kind = "kerberos" if mechanism.kerberos else "ntlm"
        done = self.run(
            [str(DEBIAN_PYTHON), script, self.binding(mechanism.option, level), kind, user, WORKGROUP, REALM],
            stdin=f"{password}\n",
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    def assert_called_as_alice(self, mechanism: Mechanism, level: str) -> None:
        """By the server's records: who called, at which level, authenticated how."""
        for caller in self.server.applications.callers:
            assert (caller.account, caller.domain, caller.level) == ("alice", WORKGROUP, LEVELS[level])
        assert set(self.server.authenticator.mechanisms) == {mechanism.auth_type}


@pytest.fixture(scope="module")
def lab(samba_dc: SambaDc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")
    server = DomainServer(samba_dc)
    try:
        yield Lab(samba_dc, server, samba_dc.kinit(tmp_path_factory.mktemp("lab") / "ccache"))
    finally:
        server.stop()


# Samba's own Python bindings


@EVERY_COMBINATION
def test_python3_samba(lab: Lab, mechanism: Mechanism, level: str) -> None:
    answer = lab.python3_samba(mechanism, level)
    del answer["interfaces"]
    assert answer == {
        "add_one": 42,
        "echo": True,
        "source": sum(i & 0xFF for i in range(6000)),
        "call": "søme text",
    }
    lab.assert_called_as_alice(mechanism, level)


def test_python3_samba_asks_for_the_interfaces_in_an_alter_context(lab: Lab) -> None:
    listed = lab.python3_samba(KERBEROS_SPNEGO, "seal")["interfaces"]
    assert isinstance(listed, list)
    assert {str(RPCECHO.syntax.uuid), str(MGMT.syntax.uuid)} <= set(listed)


@pytest.mark.parametrize("mechanism", [NTLM_SPNEGO, KERBEROS_SPNEGO], ids=str)
def test_python3_samba_in_ndr64(lab: Lab, mechanism: Mechanism) -> None:
    """rpcecho, and mgmt in an alter_context. Not the endpoint mapper's calls, whose NDR64 is not Samba's.

    Samba's IDL has a tower's and an annotation's counts as numbers of 32 bits, [MS-RPCE] 2.2.5.3.2 as such of 64.
    """
    wide = dataclasses.replace(mechanism, option=f"{mechanism.option},ndr64")
    answer = lab.python3_samba(wide, "seal")
    interfaces = answer.pop("interfaces")
    assert isinstance(interfaces, list)
    assert {str(RPCECHO.syntax.uuid), str(MGMT.syntax.uuid)} <= set(interfaces)
    assert answer == {"add_one": 42, "echo": True, "source": sum(i & 0xFF for i in range(6000)), "call": "søme text"}
    lab.assert_called_as_alice(mechanism, "seal")


def test_an_account_that_the_domain_does_not_have(lab: Lab) -> None:
    assert lab.python3_samba(NTLM, "seal", LOCAL_USER, LOCAL_PASSWORD)["add_one"] == 42
    assert lab.server.caller.account == LOCAL_USER


@pytest.mark.parametrize(
    ("user", "password"), [("alice", "wrong"), ("carol", PASSWORD), ("Administrator", PASSWORD), (LOCAL_USER, "wrong")]
)
@pytest.mark.parametrize("mechanism", [NTLM, NTLM_SPNEGO], ids=str)
def test_who_may_not_log_on(lab: Lab, mechanism: Mechanism, user: str, password: str) -> None:
    """A wrong password; a disabled account; one that our directory does not have."""
    answer = lab.python3_samba(mechanism, "seal", user, password)
    assert set(answer) == {"error"}
    assert not lab.server.applications.callers


def test_a_ticket_of_an_account_that_our_directory_does_not_have(lab: Lab, tmp_path: Path) -> None:
    stranger = dataclasses.replace(lab, ccache=lab.dc.kinit(tmp_path / "ccache", "Administrator", ADMIN_PASSWORD))
    assert "42" not in stranger.rpcclient(KERBEROS, "seal", "echoaddone 41")
    assert lab.server.authenticator.mechanisms == [AuthType.KERBEROS]
    assert not lab.server.applications.callers


# rpcclient


@EVERY_COMBINATION
def test_rpcclient(lab: Lab, mechanism: Mechanism, level: str) -> None:
    output = lab.rpcclient(mechanism, level, "echoaddone 41; echodata 3000; sourcedata 9000; sinkdata 9000")
    assert "41 + 1 = 42" in output
    assert "NT_STATUS" not in output
    lab.assert_called_as_alice(mechanism, level)
    assert len(lab.server.applications.callers) == 4


@pytest.mark.parametrize("mechanism", [NTLM, NTLM_SPNEGO], ids=str)
def test_rpcclient_with_a_wrong_password(lab: Lab, mechanism: Mechanism) -> None:
    assert "42" not in lab.rpcclient(mechanism, "seal", "echoaddone 41", password="wrong")
    assert not lab.server.applications.callers


# smbtorture


ECHO_TESTS = (
    *("addone", "sinkdata", "echodata", "sourcedata", "testcall", "testcall2"),
    *("enum", "surrounding", "doublepointer"),
)


@EVERY_MECHANISM
@pytest.mark.parametrize("level", ["connect", "sign", "seal"])
def test_smbtorture_echo(lab: Lab, mechanism: Mechanism, level: str) -> None:
    output = lab.smbtorture("rpc.echo", mechanism, mechanism.option, level)
    for name in ECHO_TESTS:
        assert f"success: echo.{name}" in output
    lab.assert_called_as_alice(mechanism, level)


@pytest.mark.parametrize("representation", ["bigendian", "ndr64"])
@pytest.mark.parametrize("level", ["connect", "sign", "seal"])
@pytest.mark.parametrize("mechanism", [NTLM, KERBEROS], ids=str)
def test_smbtorture_echo_in_another_representation(
    lab: Lab, mechanism: Mechanism, level: str, representation: str
) -> None:
    output = lab.smbtorture("rpc.echo", mechanism, mechanism.option, level, representation)
    for name in ECHO_TESTS:
        assert f"success: echo.{name}" in output
    lab.assert_called_as_alice(mechanism, level)


def test_smbtorture_calls_that_wait_do_not_hold_up_others(lab: Lab) -> None:
    """Concurrent multiplexing: three sleeping calls on one connection end in the order of their lengths."""
    assert "success: echo.sleep" in lab.smbtorture("rpc.echo", NTLM, "ntlm", "sign", quick=False)


@pytest.mark.parametrize(
    "options",
    [(), ("bigendian",), ("ndr64",), ("seal",), ("ndr64", "seal")],
    ids=lambda options: ",".join(options) or "plain",
)
def test_smbtorture_mgmt(lab: Lab, options: tuple[str, ...]) -> None:
    output = lab.smbtorture("rpc.mgmt", NTLM, *options)
    assert "success: mgmt" in output
    assert "server is listening" in output
    assert "server refused to stop listening - WERR_ACCESS_DENIED" in output


@pytest.mark.parametrize("level", ["connect", "sign", "seal"])
@EVERY_MECHANISM
def test_smbtorture_mgmt_of_who_logged_on(lab: Lab, mechanism: Mechanism, level: str) -> None:
    output = lab.smbtorture("rpc.mgmt", mechanism, mechanism.option, level)
    assert "success: mgmt" in output
    assert set(lab.server.authenticator.mechanisms) == {mechanism.auth_type}


@pytest.mark.parametrize("level", ["connect", "sign", "seal"])
@EVERY_MECHANISM
def test_smbtorture_asyncbind(lab: Lab, mechanism: Mechanism, level: str) -> None:
    assert "success: asyncbind" in lab.smbtorture("rpc.asyncbind", mechanism, mechanism.option, level)


@pytest.mark.parametrize("options", [(), ("ndr64",)], ids=lambda options: ",".join(options) or "plain")
def test_smbtorture_scanner_finds_every_call(lab: Lab, options: tuple[str, ...]) -> None:
    output = lab.smbtorture("rpc.scanner", NTLM, *options)
    assert "success: scanner" in output
    assert "5 calls available" in output


def test_ndr64_is_little_endian(lab: Lab) -> None:
    """[MS-RPCE] 2.2.5. Samba's client can send the other order; the calls are refused, and nobody else is harmed."""
    done = lab.run(
        [
            *("smbtorture", lab.binding("ndr64", "bigendian"), "-s", str(lab.dc.smb_conf), *lab.account(NTLM)),
            *("--option=torture:quick=yes", "rpc.echo"),
        ]
    )
    assert "failure: echo.addone" in done.stdout
    assert lab.python3_samba(NTLM, "connect")["add_one"] == 42


# impacket


def impacket_client(lab: Lab, level: str, *, kerberos: bool, password: str = PASSWORD):
    lab.server.applications.callers.clear()
    lab.server.authenticator.mechanisms.clear()
    connection = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{SERVER_FQDN}[{lab.server.port}]")
    connection.setRemoteHost(lab.server.address)
    connection.set_credentials("alice", password, REALM if kerberos else WORKGROUP)
    connection.set_kerberos(kerberos, lab.dc.address)
    client = connection.get_dce_rpc()
    client.set_auth_type(rpcrt.RPC_C_AUTHN_GSS_NEGOTIATE if kerberos else rpcrt.RPC_C_AUTHN_WINNT)
    client.set_auth_level(LEVELS[level].value)
    client.connect()
    client.bind(uuidtup_to_bin((str(RPCECHO.syntax.uuid), "1.0")))
    return client


# impacket has no other combinations than these two.
@pytest.mark.parametrize("kerberos", [False, True], ids=["ntlm", "kerberos in spnego"])
@pytest.mark.parametrize("level", ["connect", "sign", "seal"])
def test_impacket(lab: Lab, kerberos: bool, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Samba's KDC does not take the checksum of impacket's own request: it gets a cache with the service's ticket.
    lab.run(["kvno", f"host/{SERVER_FQDN}@{REALM}"]).check_returncode()
    monkeypatch.setenv("KRB5CCNAME", str(lab.ccache))
    client = impacket_client(lab, level, kerberos=kerberos)
    client.call(0, (41).to_bytes(4, "little"))
    assert client.recv() == (42).to_bytes(4, "little")
    data = bytes(i % 251 for i in range(30000))
    client.call(1, len(data).to_bytes(4, "little") * 2 + data)
    assert client.recv() == len(data).to_bytes(4, "little") + data
    client.disconnect()
    lab.assert_called_as_alice(KERBEROS_SPNEGO if kerberos else NTLM, level)


def test_impacket_with_a_wrong_password(lab: Lab) -> None:
    client = impacket_client(lab, "seal", kerberos=False, password="wrong")
    client.call(0, bytes(4))
    with pytest.raises(rpcrt.DCERPCException, match="access_denied"):
        client.recv()


# Our own client, with a ticket


@pytest.mark.parametrize("level", list(LEVELS))
@pytest.mark.parametrize("mechanism", [KERBEROS, KERBEROS_SPNEGO], ids=str)
def test_our_own_initiator(lab: Lab, mechanism: Mechanism, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5_CONFIG", str(lab.dc.krb5_conf))

    async def call() -> bytes:
        kerberos = KerberosInitiator(
            KerberosCredential(ccache=f"FILE:{lab.ccache}"), f"host/{SERVER_FQDN}@{REALM}", level=LEVELS[level]
        )
        context = SpnegoInitiator(kerberos) if mechanism is KERBEROS_SPNEGO else kerberos
        client = await RpcClient.connect(
            lab.server.address, lab.server.port, RPCECHO, context=context, level=LEVELS[level]
        )
        try:
            return await client.call(0, (41).to_bytes(4, "little"))
        finally:
            await client.close()

    lab.server.applications.callers.clear()
    lab.server.authenticator.mechanisms.clear()
    assert lab.server.run(call()) == (42).to_bytes(4, "little")
    lab.assert_called_as_alice(mechanism, level)


# The way to the domain controller


def test_the_secure_channel_is_made_anew_when_the_controller_drops_it(lab: Lab) -> None:
    assert lab.python3_samba(NTLM, "seal")["add_one"] == 42
    caller = lab.server.channel._caller
    assert caller is not None
    lab.server.run(caller.close())
    assert lab.python3_samba(NTLM, "seal")["add_one"] == 42
    assert lab.server.channel._caller is not caller


def test_two_servers_share_a_machine_account(lab: Lab) -> None:
    """As the processes of one `ocpy serve --workers` do: both channels go on working."""
    other = SecureChannel([lab.dc.address], lab.server.channel.machine, connect_netlogon)

    async def establish() -> bool:
        return (await other._established()).connected

    try:
        assert lab.server.run(establish())
        assert lab.python3_samba(NTLM, "seal")["add_one"] == 42
    finally:
        lab.server.run(other.close())
