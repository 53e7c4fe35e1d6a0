"""Configurations of nodes, which `ocpy serve` runs as processes of their own."""

from __future__ import annotations

from pathlib import Path

from openchange_py.rpc.security import AuthLevel
from tests.bench.parts import people

_BASE = {
    "workgroup": people.DOMAIN,
    "ocpy:organization": people.ORGANIZATION.name,
    "interfaces": "127.0.0.1",
    "bind interfaces only": "yes",
    "log level": "0",
    "ocpy:endpoint mapper port": "0",
    "ocpy:minimum auth level": "connect",
}


def write_node(place: Path, name: str, options: dict[str, str]) -> Path:
    """A folder with the smb.conf of a node that uses the directory in `place`."""
    folder = place / name
    folder.mkdir()
    named = {
        **_BASE,
        "netbios name": name[:15],
        "ocpy:data directory": str(folder),
        "ocpy:directory": people.directory_url(place),
        **options,
    }
    (folder / "smb.conf").write_text("[global]\n" + "".join(f"    {key} = {value}\n" for key, value in named.items()))
    (folder / "smb.conf").chmod(0o600)
    return folder


def server_options() -> dict[str, str]:
    """A node that answers everything itself."""
    return {"dcerpc_mapiproxy:server": "true"}


def relay_options(port: int, level: AuthLevel, modules: str = "") -> dict[str, str]:
    """A node that relays mailboxes to a port of this machine, with specified credentials."""
    protection = {AuthLevel.CONNECT: "connect", AuthLevel.INTEGRITY: "sign", AuthLevel.PRIVACY: "seal"}[level]
    return {
        "dcerpc_mapiproxy:server": "false",
        "dcerpc_mapiproxy:interfaces": "exchange_emsmdb",
        "dcerpc_mapiproxy:binding": f"ncacn_ip_tcp:127.0.0.1[{port},{protection}]",
        "dcerpc_mapiproxy:username": people.RELAY,
        "dcerpc_mapiproxy:password": people.PASSWORD,
        "dcerpc_mapiproxy:modules": modules,
        "mpm_print:file": "/dev/null",
    }
