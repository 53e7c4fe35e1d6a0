"""A private OpenLDAP on loopback, with the attributes that Samba keeps passwords in; any user may run it."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

BASE: Final = "dc=example,dc=test"
ADMIN: Final = f"cn=admin,{BASE}"
ADMIN_PASSWORD: Final = "directory secret"
#: May read everything but NT hashes.
READER, READER_PASSWORD = f"cn=reader,{BASE}", "reader secret"
#: What the server's certificate is made out to. It listens on loopback, which `localhost` is too.
NAME: Final = "localhost"
SAMBA_SCHEMA: Final = Path(__file__).parent / "samba-schema.ldif"
EXCHANGE_SCHEMA: Final = Path(__file__).parents[1] / "setup" / "openldap" / "exchange.ldif"

_CONFIG: Final = """\
dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: {place}/slapd.pid
olcTLSCertificateFile: {place}/server.pem
olcTLSCertificateKeyFile: {place}/server.key

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb
olcModuleLoad: syncprov

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif
include: file:///etc/ldap/schema/cosine.ldif
include: file:///etc/ldap/schema/inetorgperson.ldif
{schemas}

dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config
olcAccess: to * by dn.exact=gidNumber={gid}+uidNumber={uid},cn=peercred,cn=external,cn=auth manage by * none

dn: olcDatabase=mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: mdb
{database}
olcDbIndex: objectClass,uid,entryUUID,entryCSN eq
olcDbDirectory: {place}/db
olcSuffix: {base}
olcRootDN: {admin}
olcRootPW: {password}
olcAccess: to attrs=userPassword by anonymous auth by * none
{secret}
olcAccess: to * by users read by * none
{overlay}
"""

_SYNCPROV: Final = """
dn: olcOverlay=syncprov,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcSyncProvConfig
olcOverlay: syncprov
"""
#: What makes the server tell what was deleted, rather than what is left.
SESSION_LOG: Final = "olcSpSessionlog: 1000\n"

#: What a test's database needs.
_SMALL: Final = ("olcDbMaxSize: 67108864",)

_TREE: Final = f"""\
dn: {BASE}
objectClass: domain
dc: example

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}

dn: ou=Users,{BASE}
objectClass: organizationalUnit
ou: Users
"""


def require_slapd() -> None:
    """Skip, loudly, where it can't be run."""
    missing = [name for name in ("slapd", "slapadd", "ldapmodify") if find(name) is None]
    if missing:
        pytest.skip(
            f"no {', '.join(missing)}: Debian's slapd and ldap-utils packages are needed (./setup/test as root)"
        )


def find(name: str) -> str | None:
    """A program; those of administrators are not on everybody's path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Slapd:
    """One server. `ldap` and `ldaps` are its URLs, `ca_file` what its certificate is checked with."""

    def __init__(
        self,
        place: Path,
        *,
        schemas: Sequence[Path] = (),
        syncprov: str | None = None,
        samba: bool = True,
        database: Sequence[str] = _SMALL,
    ) -> None:
        """`database` are lines of the database's configuration."""
        require_slapd()
        self._database = "\n".join(database)
        self._schemas = (*([SAMBA_SCHEMA] if samba else []), *schemas)
        self._secret = "olcAccess: to attrs=sambaNTPassword by * none" if samba else "# no hashes"
        self._overlay = "" if syncprov is None else _SYNCPROV + syncprov
        self.place = place
        self.ca_file = place / "ca.pem"
        self.ports = free_ports(2)
        self.ldap, self.ldaps = f"ldap://{NAME}:{self.ports[0]}", f"ldaps://{NAME}:{self.ports[1]}"
        self.ldapi = f"ldapi://{quote(str(place / 'ldapi'), safe='')}"
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def start(self) -> None:
        """Start it, again after `stop`, and wait until it answers."""
        slapd = find("slapd")
        assert slapd is not None
        where = f"ldap://127.0.0.1:{self.ports[0]} ldaps://127.0.0.1:{self.ports[1]} {self.ldapi}"
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [slapd, "-d", "0", "-F", str(self.place / "conf"), "-h", where], stdout=log, stderr=log
            )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            assert self._process.poll() is None, (self.place / "log").read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports[1]), 1):
                return
            time.sleep(0.02)
        raise TimeoutError("slapd does not answer")

    def stop(self) -> None:
        """Stop it; its data stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def change(self, ldif: str) -> None:
        """As the administrator: entries to add, or with `changetype` to change."""
        tool = find("ldapmodify")
        assert tool is not None
        subprocess.run(
            [tool, "-a", "-x", "-H", f"ldap://127.0.0.1:{self.ports[0]}", "-D", ADMIN, "-w", ADMIN_PASSWORD],
            input=ldif,
            text=True,
            check=True,
            capture_output=True,
            timeout=20,
        )

    def _make(self) -> None:
        slapadd = find("slapadd")
        assert slapadd is not None
        for name in ("conf", "db"):
            (self.place / name).mkdir()
        make_certificates(self.place)
        names = {"base": BASE, "admin": ADMIN, "password": ADMIN_PASSWORD, "database": self._database}
        # As on Debian, who runs it is its administrator over ldapi.
        names |= {"uid": str(os.geteuid()), "gid": str(os.getegid())}
        schemas = "\n".join(f"include: file://{path}" for path in self._schemas)
        config = _CONFIG.format(place=self.place, schemas=schemas, overlay=self._overlay, secret=self._secret, **names)
        conf = ["-F", str(self.place / "conf")]
        for number, ldif in (("0", config), ("1", _TREE)):
            subprocess.run([slapadd, "-n", number, *conf], input=ldif, text=True, check=True, capture_output=True)


def free_ports(many: int) -> list[int]:
    """TCP ports of loopback that nobody has now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(many)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def make_certificates(place: Path, name: str = NAME, addresses: Sequence[str] = ()) -> None:
    """`ca.pem`, and with it `server.pem` and `server.key` for `name`; `other-ca.pem`, which signed nothing."""
    x509 = pytest.importorskip("cryptography.x509", reason="the Python package cryptography makes the certificates")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def certificate(subject: str, key, issuer: str, issuer_key, names: list[object], ca: bool):  # type: ignore[no-untyped-def]
        def called(name: str):  # type: ignore[no-untyped-def]
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(called(subject)).issuer_name(called(issuer))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=12))
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = builder.sign(issuer_key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    (place / "ca.pem").write_bytes(certificate("ca", keys[0], "ca", keys[0], [], True))
    (place / "other-ca.pem").write_bytes(certificate("other", keys[1], "other", keys[1], [], True))
    names: list[object] = [x509.DNSName(name), *(x509.IPAddress(ipaddress.ip_address(one)) for one in addresses)]
    (place / "server.pem").write_bytes(certificate(name, keys[2], "ca", keys[0], names, False))
    private = keys[2].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (place / "server.key").touch(0o600)  # Samba takes no other
    (place / "server.key").write_bytes(private)


@contextlib.contextmanager
def running_slapd(
    place: Path, *, schemas: Sequence[Path] = (), syncprov: str | None = None, samba: bool = True
) -> Iterator[Slapd]:
    """A server with the tree and no accounts. `syncprov`: with that overlay, and these lines of its configuration."""
    server = Slapd(place, schemas=schemas, syncprov=syncprov, samba=samba)
    server.start()
    try:
        yield server
    finally:
        server.stop()
