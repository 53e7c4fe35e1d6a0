"""A private Samba Active Directory domain controller: KDC and Netlogon peer of the tests.

Every port is on one address of 127/8 of its own, every file in one temporary directory, so that several run beside each
other. Provisioning takes about ten seconds and is done once per machine and Samba version: later ones are copies.
Needs root (ports below 1024, security.* attributes) and Debian's packages; what is missing is said by `missing()`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

#: Debian's: its python3-samba is not for the virtual environment's interpreter.
DEBIAN_PYTHON = Path("/usr/bin/python3")
REALM = "OPENCHANGE.TEST"
WORKGROUP = "OPENCHANGE"
DC_NAME = "ocdc"
ADMIN_PASSWORD = "Passw0rd!Adm"
PASSWORD = "Passw0rd!Usr"
#: The server under test, as the domain knows it.
SERVER_NAME = "EXCH1"
SERVER_FQDN = "exch1.openchange.test"
MACHINE_ACCOUNT = f"{SERVER_NAME}$"
MACHINE_PASSWORD = "Machine-Passw0rd!1"
SERVICES = ("host", "exchangeMDB", "exchangeRFR", "exchangeAB", "HTTP")
#: Another server, which the one under test relays to.
UPSTREAM_NAME = "EXCH2"
UPSTREAM_FQDN = "exch2.openchange.test"
UPSTREAM_PASSWORD = "Machine-Passw0rd!2"

#: Samba's names of what it serves, and the TCP ports of those.
SERVICES_RUNNING = "rpc, ldap, cldap, kdc"
_PORTS = {"rpc": 135, "ldap": 389, "kdc": 88, "s3fs": 445}

_NEEDED = {
    "samba": "samba samba-ad-dc",
    "samba-tool": "samba",
    "samba_spnupdate": "samba samba-ad-dc",
    "kinit": "krb5-user",
}
_FILES = {
    "/usr/share/samba/setup/provision.ldif": "samba-ad-provision",
    "/usr/lib/python3/dist-packages/samba/samdb.py": "python3-samba",
}

_PREPARE = r"""
import json, sys
from samba import param, credentials
from samba.auth import system_session
from samba.net import Net
from samba.samdb import SamDB
import samba.dckeytab  # gives Net its export_keytab
import ldb
wanted = json.load(sys.stdin)
lp = param.LoadParm(); lp.load(wanted["conf"])
sam = SamDB(lp.samdb_url(), session_info=system_session(lp), lp=lp)
def modify(account, attribute, values):
    message = ldb.Message(sam.search(sam.domain_dn(), expression="(sAMAccountName=%s)" % account, attrs=[])[0].dn)
    message[attribute] = ldb.MessageElement(values, ldb.FLAG_MOD_REPLACE, attribute)
    sam.modify(message)
for name in wanted["users"]:
    sam.newuser(name, wanted["password"])
for name, upn in wanted["upn"].items():
    modify(name, "userPrincipalName", [upn])
for name in wanted["disabled"]:
    sam.disable_account("(sAMAccountName=%s)" % name)
creds = credentials.Credentials(); creds.guess(lp); creds.set_kerberos_state(credentials.DONT_USE_KERBEROS)
for machine in wanted["machines"]:
    sam.newcomputer(machine["name"])
    sam.setpassword("(sAMAccountName=%s)" % machine["account"], machine["password"])
    modify(machine["account"], "servicePrincipalName", machine["spns"])
    modify(machine["account"], "dNSHostName", [machine["fqdn"]])
    # AES too: without it the tickets of service names are encrypted with RC4 alone.
    modify(machine["account"], "msDS-SupportedEncryptionTypes", ["28"])
    for principal in [machine["account"], *machine["spns"]]:
        Net(creds, lp).export_keytab(keytab=machine["keytab"], principal=principal)
"""


def missing() -> str:
    """Why there can be no domain controller here; "" where there can."""
    if os.geteuid() != 0:
        return "a Samba domain controller needs root"
    packages = [package for program, package in _NEEDED.items() if shutil.which(program) is None]
    packages += [package for path, package in _FILES.items() if not Path(path).exists()]
    return f"Debian packages are missing: {' '.join(sorted(set(packages)))}" if packages else ""


def own_address(network: int) -> str:
    """An address of 127/8 that no other process takes: 127.`network`.x.y (and the next ones) by our process id."""
    pid = os.getpid()
    return f"127.{network + (pid >> 16)}.{pid >> 8 & 0xFF}.{pid & 0xFF}"


@dataclasses.dataclass(frozen=True)
class SambaDc:
    """A domain controller that runs, with accounts `alice`, `bob` (UPN robert), `carol` (disabled) and the server's."""

    address: str
    directory: Path

    @property
    def name(self) -> str:
        return f"{DC_NAME}.{REALM.lower()}"

    @property
    def smb_conf(self) -> Path:
        return self.directory / "etc" / "smb.conf"

    @property
    def krb5_conf(self) -> Path:
        return self.directory / "krb5.conf"

    @property
    def keytab(self) -> Path:
        """Keys of the server under test."""
        return self.directory / "server.keytab"

    @property
    def upstream_keytab(self) -> Path:
        """Keys of the server that it relays to."""
        return self.directory / "upstream.keytab"

    @property
    def log(self) -> Path:
        return self.directory / "log.samba"

    def environment(self, ccache: Path | None = None) -> dict[str, str]:
        """What clients of this domain need in their environment."""
        found = {**os.environ, "SMB_CONF_PATH": str(self.smb_conf), "KRB5_CONFIG": str(self.krb5_conf)}
        found["KRB5CCNAME"] = f"FILE:{ccache}" if ccache is not None else "FILE:/nonexistent/ccache"
        return found

    def delegation(self, *arguments: str) -> None:
        """`samba-tool delegation ...`, as an administrator types it."""
        self.run("delegation", *arguments)

    def run(self, *arguments: str) -> None:
        """`samba-tool ...`."""
        _run(["samba-tool", *arguments, "-s", str(self.smb_conf)])

    def kinit(self, ccache: Path, user: str = "alice", password: str = PASSWORD) -> Path:
        """A credential cache with a ticket of `user`."""
        environment = self.environment(ccache)
        _run(["kinit", f"{user}@{REALM}"], input=f"{password}\n", env=environment)
        return ccache


@contextlib.contextmanager
def running_dc(
    directory: Path,
    address: str | None = None,
    options: Mapping[str, str] | None = None,
    seed: Callable[[], Path] | None = None,
) -> Iterator[SambaDc]:
    """A domain controller in `directory`, which is empty and stays behind; it is stopped at the end.

    `options` are further ones for its smb.conf; its services' ports are waited for. `seed` gives another state to begin
    with than the usual one.
    """
    dc = SambaDc(address or own_address(64), directory)
    _copy((seed or _provisioned)(), directory)
    _write_configuration(dc, options or {})
    with (directory / "stdout").open("ab") as output:
        process = subprocess.Popen(
            ["samba", "-F", "--no-process-group", "-M", "standard", "-s", str(dc.smb_conf)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dc.environment(),
            start_new_session=True,
        )
    try:
        services = (options or {}).get("server services", SERVICES_RUNNING).replace(" ", "").split(",")
        _wait_until_ready(dc, process, [_PORTS[service] for service in services if service in _PORTS])
        yield dc
    finally:
        _stop(process)


def kept(content: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills once per machine, Samba version and content."""
    version = _run(["samba", "--version"]).strip()
    digest = hashlib.sha256(f"{version}\n{Path(__file__).read_text('utf-8')}{content}".encode()).hexdigest()[:16]
    parent = Path(tempfile.gettempdir()) / f"openchange-py-samba-{os.geteuid()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    status = parent.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077 or parent.is_symlink():
        raise RuntimeError(f"{parent} is not ours alone: remove it")
    seed = parent / digest
    with seed.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not seed.exists():
            making = seed.with_suffix(f".{os.getpid()}")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(mode=0o700)
            make(making)
            making.rename(seed)
    return seed


def _provisioned() -> Path:
    return kept("", _provision)


def _copy(seed: Path, directory: Path) -> None:
    # cp keeps the extended attributes that hold NT access control lists.
    _run(["cp", "-a", "--reflink=auto", f"{seed}/.", str(directory)])


def _provision(directory: Path) -> None:
    empty = directory / "empty.conf"
    empty.write_text("[global]\n")
    _run(
        [
            *("samba-tool", "domain", "provision", "-s", str(empty)),
            *(f"--realm={REALM}", f"--domain={WORKGROUP}", "--server-role=dc", "--dns-backend=NONE"),
            *(f"--adminpass={ADMIN_PASSWORD}", f"--host-name={DC_NAME}", "--host-ip=127.0.0.1"),
            *(f"--targetdir={directory}", "--option=interfaces=lo", "--option=bind interfaces only=yes"),
        ],
        timeout=300,
    )
    conf = directory / "etc" / "smb.conf"
    # Without the ldap/... names that this program adds no client can use GSSAPI with the controller's LDAP.
    _run(["samba_spnupdate", "-s", str(conf)], timeout=120)
    wanted = {
        "conf": str(conf),
        "users": ["alice", "bob", "carol"],
        "password": PASSWORD,
        "upn": {"bob": f"robert@{REALM.lower()}"},
        "disabled": ["carol"],
        "machines": [
            _machine(SERVER_NAME, SERVER_FQDN, MACHINE_PASSWORD, directory / "server.keytab"),
            _machine(UPSTREAM_NAME, UPSTREAM_FQDN, UPSTREAM_PASSWORD, directory / "upstream.keytab"),
        ],
    }
    _run([str(DEBIAN_PYTHON), "-c", _PREPARE], input=json.dumps(wanted), timeout=120)


def _machine(name: str, fqdn: str, password: str, keytab: Path) -> dict[str, object]:
    spns = [f"{service}/{host}" for service in SERVICES for host in (fqdn, name)]
    return {
        "name": name,
        "account": f"{name}$",
        "password": password,
        "fqdn": fqdn,
        "spns": spns,
        "keytab": str(keytab),
    }


def _write_configuration(dc: SambaDc, options: Mapping[str, str]) -> None:
    """Point the copied configuration at its new place, and add what keeps the controller to itself."""
    lines = dc.smb_conf.read_text("utf-8").splitlines()
    settings = f"""
        interfaces = {dc.address}/8
        bind interfaces only = yes
        server services = {SERVICES_RUNNING}
        log file = {dc.log}
        logging = file
        private dir = {dc.directory}/private
        state directory = {dc.directory}/state
        cache directory = {dc.directory}/cache
        lock directory = {dc.directory}
        binddns dir = {dc.directory}/bind-dns
        pid directory = {dc.directory}/run
        ncalrpc dir = {dc.directory}/ncalrpc
        ntp signd socket directory = {dc.directory}/ntp_signd
        dns update command = /bin/true
        nsupdate command = /bin/true
        gpo update command = /bin/true
        disable netbios = yes
        server min protocol = SMB2
        load printers = no
        printcap name = /dev/null
    """
    settings += "".join(f"\n        {name} = {value}" for name, value in options.items())  # the last word counts
    names = {line.split("=")[0].strip() for line in settings.splitlines() if "=" in line}
    sections = (number for number, line in enumerate(lines) if line.startswith("[") and line != "[global]")
    first = next(sections, len(lines))
    kept = [line for line in lines[:first] if line.split("=")[0].strip() not in names]
    # The shares of a controller are of no use here: smbd does not run.
    dc.smb_conf.write_text("\n".join([*kept, settings]), "utf-8")
    for name in ("run", "ncalrpc", "state", "cache"):
        (dc.directory / name).mkdir(exist_ok=True)
    domain = REALM.lower()
    dc.krb5_conf.write_text(
        f"[libdefaults]\n  default_realm = {REALM}\n  dns_lookup_realm = false\n  dns_lookup_kdc = false\n"
        "  rdns = false\n  dns_canonicalize_hostname = false\n  udp_preference_limit = 1\n"
        f"[realms]\n  {REALM} = {{\n    kdc = {dc.address}\n    admin_server = {dc.address}\n  }}\n"
        f"[domain_realm]\n  .{domain} = {REALM}\n  {domain} = {REALM}\n",
        "utf-8",
    )


def _wait_until_ready(dc: SambaDc, process: subprocess.Popen[bytes], wanted: list[int], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while wanted:
        if process.poll() is not None or time.monotonic() > end:
            state = f"ended with {process.returncode}" if process.returncode is not None else f"no ports {wanted}"
            raise RuntimeError(f"samba: {state}\n{_tail(dc.log)}{_tail(dc.directory / 'stdout')}")
        wanted = [port for port in wanted if not _listens(dc.address, port)]
        if wanted:
            time.sleep(0.05)  # a foreign process: there is nothing to wait on


def _listens(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End what was started here, by its own session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _tail(path: Path) -> str:
    return path.read_text("utf-8", "replace")[-2000:] if path.exists() else ""


def _run(command: list[str], *, timeout: float = 60, **options: object) -> str:
    done = subprocess.run(  # type: ignore[call-overload]
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, **options
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stdout}")
    return str(done.stdout)
