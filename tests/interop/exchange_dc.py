"""A private Samba domain controller with Exchange's schema and organization, and with LDAPS.

Extending the schema takes half a minute and is done once per machine, Samba version and schema; later ones are copies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.ldap.connection import LdapServers, connect
from openchange_py.addressbook.ldap.session import Session
from tests.conftest import ROOT
from tests.interop.nodes import ocpy, reserved_port
from tests.interop.samba_dc import (
    ADMIN_PASSWORD,
    MACHINE_PASSWORD,
    REALM,
    SERVER_FQDN,
    SERVER_NAME,
    WORKGROUP,
    SambaDc,
    kept,
    own_address,
    running_dc,
)
from tests.slapd import make_certificates

ORGANIZATION: Final = Organization("First Organization", "Exchange Administrative Group")
SERVER: Final = SERVER_NAME
ADMINISTRATOR: Final = f"administrator@{REALM.lower()}"
BASE: Final = ",".join(f"DC={part}" for part in REALM.lower().split("."))

_CONF: Final = """\
[global]
    netbios name = {server}
    workgroup = {workgroup}
    realm = {realm}
    interfaces = 127.0.0.1
    bind interfaces only = yes
    dcerpc_mapiproxy:server = true
    ocpy:log lines per client = 0
    ocpy:data directory = {place}/data
    ocpy:fqdn = {fqdn}
    ocpy:mail domain = example.test
    ocpy:organization = {organization}
    ocpy:administrative group = {group}
    ocpy:endpoint mapper port = 0
    ocpy:directory = {url}
    ocpy:directory lag = 500 ms
    ocpy:ldap ca file = {ca_file}
    ldap admin dn = {administrator}
    ocpy:ldap password file = {place}/ldap.password
    ocpy:domain controller = {dc}
    ocpy:machine password file = {place}/machine.password
"""


@dataclasses.dataclass(frozen=True)
class ExchangeDc:
    """A controller that runs. `servers` is how the administrator reaches it."""

    dc: SambaDc
    servers: LdapServers

    def configure(self, place: Path, url: str = "") -> Path:
        """The smb.conf of a server in `place` whose directory this is, or what is reached by `url`."""
        place.mkdir(exist_ok=True)
        for name, password in (("ldap", self.servers.password), ("machine", MACHINE_PASSWORD)):
            (place / f"{name}.password").touch(0o600)
            (place / f"{name}.password").write_text(password + "\n")
        config = place / "smb.conf"
        names = {"organization": ORGANIZATION.name, "group": ORGANIZATION.administrative_group, "server": SERVER}
        where = {"url": url or self.servers.urls[0], "ca_file": self.servers.ca_file, "dc": self.dc.address}
        given = {"realm": REALM, "workgroup": WORKGROUP, "administrator": ADMINISTRATOR, "fqdn": SERVER_FQDN}
        config.write_text(_CONF.format(place=place, **names, **where, **given))
        return config


class Relay:
    """A port of 127.0.0.1 behind which a controller's LDAPS is, as long as it is not cut."""

    def __init__(self, address: str) -> None:
        self._target = (address, 636)
        self._reservation = reserved_port()
        self.port = self._reservation.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.mend()

    @property
    def url(self) -> str:
        return f"ldaps://127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Let everybody through from now on."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        listener, self._listener = self._listener, None
        for one in [*([listener] if listener else []), *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def close(self) -> None:
        """Cut it for good."""
        self.cut()
        self._reservation.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
                self._open |= {client, server}
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running_exchange_dc(directory: Path) -> Iterator[ExchangeDc]:
    """In `directory`, which is empty and stays behind; it is stopped at the end."""
    with _running(directory, own_address(80), lambda: kept(_content(), _prepare)) as running:
        yield running


@contextlib.contextmanager
def _running(directory: Path, address: str, seed: Callable[[], Path] | None = None) -> Iterator[ExchangeDc]:
    tls = directory / f"tls-{address}"
    tls.mkdir(exist_ok=True)
    make_certificates(tls, SambaDc("", directory).name, [address, "127.0.0.1"])
    options = {
        "tls certfile": f"{tls}/server.pem",
        "tls keyfile": f"{tls}/server.key",
        "tls cafile": f"{tls}/ca.pem",
        "dsdb:schema update allowed": "yes",
        "ldap server require strong auth": "allow_sasl_over_tls",
    }
    with running_dc(directory, address, options, seed) as dc:
        ca_file = tls / "ca.pem"
        yield ExchangeDc(dc, LdapServers([f"ldaps://{address}"], "", ADMINISTRATOR, ADMIN_PASSWORD, ca_file=ca_file))


def _content() -> str:
    """What the prepared directory is made of."""
    parts = [Path(__file__), *sorted((ROOT / "setup" / "ad").iterdir())]
    return "".join(part.read_text("utf-8") for part in parts)


def _prepare(directory: Path) -> None:
    with _running(directory, own_address(81)) as running:
        with tempfile.TemporaryDirectory() as place:
            ocpy("provision", "-c", running.configure(Path(place)), seconds=300)
        session = Session(connect(running.servers, 30))
        for name in ("alice", "bob", "carol"):  # the tests make theirs
            session.delete(f"CN={name},CN=Users,{BASE}")
        session.close()
