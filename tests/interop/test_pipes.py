r"""Named pipes with real parts on both sides: Samba's smbd speaks SMB, impacket and rpcclient are the clients."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from impacket.dcerpc.v5 import epm, mgmt, nspi, transport
from impacket.dcerpc.v5.rpcrt import (
    RPC_C_AUTHN_LEVEL_CONNECT,
    RPC_C_AUTHN_LEVEL_PKT_INTEGRITY,
    RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
    DCERPCException,
)
from impacket.smbconnection import SessionError

from tests.interop.smbd import PASSWORD, USER, require_smbd, running_smbd
from tests.node import DOMAIN, SERVER_NAME, RunningNode, add_user, node_in_thread, password_of

pytestmark = pytest.mark.xdist_group("smbd")


@pytest.fixture(scope="module")
def smb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, RunningNode]]:
    """smbd's address, and the node whose pipes it hands over."""
    require_smbd()
    place = tmp_path_factory.mktemp("p")
    options = [f"ncalrpc dir = {place}/ncalrpc", "ocpy:named pipes = samba", "ocpy:minimum auth level = integrity"]
    with running_smbd(place) as address, node_in_thread(place, options=options) as node:
        # rpcclient logs on with one account, at smbd and here.
        add_user(node.directory, node.store, USER, "Daemon Example")
        yield address, node


def connect(address: str, pipe: str) -> tuple[Any, Any]:
    """impacket's RPC client over a pipe, not yet bound, and its SMB connection."""
    rpc = transport.DCERPCTransportFactory(rf"ncacn_np:{address}[\pipe\{pipe}]")
    rpc.set_credentials(USER, PASSWORD, "PIPES")
    client = rpc.get_dce_rpc()
    client.connect()
    return client, rpc.get_smb_connection()


def rpcclient(address: str, options: str, command: str) -> str:
    """What rpcclient prints."""
    binding = f"ncacn_np:{address}[{options}]"
    done = subprocess.run(
        ["rpcclient", "-s", "/dev/null", "-U", f"{USER}%{PASSWORD}", binding, "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


def endpoints(entries: list[Any]) -> set[tuple[str, str]]:
    """Interface UUID and binding of ept_lookup's entries."""
    found = set()
    for entry in entries:
        floors = entry["tower"]["Floors"]
        found.add((str(floors[0]).split(" ")[0].lower(), epm.PrintStringBinding(floors)))
    return found


def test_the_endpoint_mapper_tells_of_pipes_and_ports(smb: tuple[str, RunningNode]) -> None:
    address, node = smb
    client, connection = connect(address, "epmapper")
    assert connection.getDialect() == 0x0311, "SMB 3.1.1"
    found = {binding for _, binding in endpoints(epm.hept_lookup(None, dce=client))}
    client.disconnect()
    assert found == {
        f"ncacn_ip_tcp:127.0.0.1[{node.rpc_port}]",
        rf"ncacn_np:\\{SERVER_NAME}[\pipe\lsass]",
        rf"ncacn_np:\\{SERVER_NAME}[\pipe\protected_storage]",
    }


@pytest.mark.parametrize("pipe", ["lsass", "protected_storage"])
@pytest.mark.parametrize("level", [RPC_C_AUTHN_LEVEL_PKT_INTEGRITY, RPC_C_AUTHN_LEVEL_PKT_PRIVACY])
def test_the_address_book_over_a_pipe(smb: tuple[str, RunningNode], pipe: str, level: int) -> None:
    client, _ = connect(smb[0], pipe)
    client.set_credentials("alice", password_of("alice"), DOMAIN)
    client.set_auth_level(level)
    client.bind(nspi.MSRPC_UUID_NSPI)
    handle = nspi.hNspiBind(client)["contextHandle"]
    rows = nspi.hNspiQueryRows(client, handle, Count=50)
    names = {str(value) for row in nspi.simplifyPropertyRowSet(rows["ppRows"]) for value in row.values()}
    client.disconnect()
    assert {"Alice Example", "Bob Example"} <= {name.strip("b'\0") for name in names}


def test_who_is_logged_on_at_smb_alone_is_nobody_here(smb: tuple[str, RunningNode]) -> None:
    for level in (None, RPC_C_AUTHN_LEVEL_CONNECT):
        client, _ = connect(smb[0], "lsass")
        if level is not None:
            client.set_credentials("alice", password_of("alice"), DOMAIN)
            client.set_auth_level(level)
        client.bind(nspi.MSRPC_UUID_NSPI)
        with pytest.raises(DCERPCException, match="access_denied"):
            nspi.hNspiBind(client)
        client.disconnect()


def test_a_wrong_password_in_the_bind_is_refused(smb: tuple[str, RunningNode]) -> None:
    client, _ = connect(smb[0], "lsass")
    client.set_credentials("alice", "wrong", DOMAIN)
    client.set_auth_level(RPC_C_AUTHN_LEVEL_PKT_PRIVACY)
    client.bind(nspi.MSRPC_UUID_NSPI)
    with pytest.raises(DCERPCException, match="access_denied"):
        nspi.hNspiBind(client)


def test_management_over_a_pipe(smb: tuple[str, RunningNode]) -> None:
    client, _ = connect(smb[0], "lsass")
    client.bind(mgmt.MSRPC_UUID_MGMT)
    offered = mgmt.hinq_if_ids(client)["if_id_vector"]
    client.disconnect()
    assert offered["count"] >= 4


def test_a_pipe_that_is_not_served_is_not_there(smb: tuple[str, RunningNode]) -> None:
    with pytest.raises(SessionError, match="OBJECT_NAME_NOT_FOUND"):
        connect(smb[0], "winreg")


@pytest.mark.parametrize("options", ["", "sign,ntlm", "seal,ntlm", "sign,spnego", "seal,spnego", "connect,ntlm"])
def test_rpcclient_asks_the_endpoint_mapper(smb: tuple[str, RunningNode], options: str) -> None:
    address, node = smb
    said = rpcclient(address, r"\pipe\epmapper" + (f",{options}" if options else ""), "epmlookup")
    for binding in (f"ncacn_ip_tcp:127.0.0.1[{node.rpc_port},", rf"ncacn_np:\\{SERVER_NAME}[\pipe\lsass,"):
        assert binding in said
    assert "no more entries" in said
