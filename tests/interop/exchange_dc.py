"""A private Samba domain controller with Exchange's schema and organization, and with LDAPS.

Extending the schema takes half a minute and is done once per machine, Samba version and schema; later ones are copies.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.ldap.connection import LdapServers, connect
from openchange_py.addressbook.ldap.session import Session
from tests.conftest import ROOT
from tests.exchange_tree import add_organization, extend_schema
from tests.interop.samba_dc import ADMIN_PASSWORD, REALM, SambaDc, kept, own_address, running_dc
from tests.slapd import make_certificates

ORGANIZATION: Final = Organization("First Organization", "Exchange Administrative Group")
SERVER: Final = "SRV"
ADMINISTRATOR: Final = f"administrator@{REALM.lower()}"
BASE: Final = ",".join(f"DC={part}" for part in REALM.lower().split("."))


@dataclasses.dataclass(frozen=True)
class ExchangeDc:
    """A controller that runs. `servers` is how the administrator reaches it."""

    dc: SambaDc
    servers: LdapServers

    @property
    def ca_file(self) -> Path:
        assert self.servers.ca_file is not None
        return self.servers.ca_file


@contextlib.contextmanager
def running_exchange_dc(directory: Path) -> Iterator[ExchangeDc]:
    """In `directory`, which is empty and stays behind; it is stopped at the end."""
    with _running(directory, own_address(80), lambda: kept(_content(), _prepare)) as running:
        yield running


@contextlib.contextmanager
def _running(directory: Path, address: str, seed: object = None) -> Iterator[ExchangeDc]:
    tls = directory.with_name(f"{directory.name}-tls")
    tls.mkdir(exist_ok=True)
    make_certificates(tls, SambaDc("", directory).name, address)
    options = {
        "tls certfile": f"{tls}/server.pem",
        "tls keyfile": f"{tls}/server.key",
        "tls cafile": f"{tls}/ca.pem",
        "dsdb:schema update allowed": "yes",
        "ldap server require strong auth": "allow_sasl_over_tls",
    }
    with running_dc(directory, address, options, seed) as dc:  # type: ignore[arg-type]
        ca_file = tls / "ca.pem"
        yield ExchangeDc(dc, LdapServers([f"ldaps://{address}"], "", ADMINISTRATOR, ADMIN_PASSWORD, ca_file=ca_file))


def _content() -> str:
    """What the prepared directory is made of."""
    parts = [Path(__file__), ROOT / "tests" / "exchange_tree.py", *sorted((ROOT / "setup" / "ad").iterdir())]
    return "".join(part.read_text("utf-8") for part in parts)


def _prepare(directory: Path) -> None:
    with _running(directory, own_address(81)) as running:
        session = Session(connect(running.servers, 30))
        try:
            extend_schema(session)
            for name in ("alice", "bob", "carol"):  # the tests make theirs
                session.delete(f"CN={name},CN=Users,{BASE}")
            add_organization(session, ORGANIZATION, SERVER)
        finally:
            session.close()
