"""impacket against both nodes: endpoint mapper, address book, referral, and EMSMDB through the hybrid's relay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from impacket.dcerpc.v5 import epm, nspi, oxabref, rpcrt

from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB, EcDummyRpcRequest, EcDummyRpcResponse
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcfold import (
    RopGetContentsTableRequest,
    RopGetContentsTableResponse,
    RopOpenFolderRequest,
)
from openchange_py.wire.rop.oxcstor import RopLogonPrivateResponse
from openchange_py.wire.rop.oxctabl import RopQueryRowsRequest, RopQueryRowsResponse, RopSetColumnsRequest
from tests.interop.foreign import LEVELS, ORGANIZATION, RECIPIENTS, call, connection, interface_id, session, unbound
from tests.interop.nodes import Node, Site

pytestmark = pytest.mark.xdist_group("site")

OFFERED = (NSPI, RFR, EMSMDB, ASYNCEMSMDB)


@pytest.fixture(params=["hybrid", "exchange"])
def node(request: pytest.FixtureRequest, site: Site) -> Node:
    """Each of the two."""
    return getattr(site, request.param)


def script(name: str) -> Path:
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f"impacket's {name} is not installed beside {sys.executable}")
    return path


def shown(interface: RpcInterface) -> str:
    """As impacket's scripts print it."""
    syntax = interface.syntax
    return f"{str(syntax.uuid).upper()} v{syntax.major}.{syntax.minor}"


# Endpoint mapper


def test_ept_lookup(node: Node) -> None:
    entries = epm.hept_lookup(None, dce=unbound(node.host, node.mapper_port))
    found = {epm.PrintStringBinding(entry["tower"]["Floors"]) for entry in entries}
    assert found == {f"ncacn_ip_tcp:127.0.0.1[{node.rpc_port}]"}
    assert len(entries) == len(OFFERED)


def test_ept_map(node: Node) -> None:
    for interface in OFFERED:
        dce = unbound(node.host, node.mapper_port)
        found = epm.hept_map(node.host, interface_id(interface), protocol="ncacn_ip_tcp", dce=dce)
        assert found == f"ncacn_ip_tcp:127.0.0.1[{node.rpc_port}]"


def test_ept_map_of_what_is_not_there(site: Site) -> None:
    dce = unbound(site.exchange.host, site.exchange.mapper_port)
    nobodys = interface_id(RpcInterface("nobodys", "01234567-89ab-cdef-0123-456789abcdef", 1))
    with pytest.raises(rpcrt.DCERPCException, match="ept_s_not_registered"):
        epm.hept_map(site.exchange.host, nobodys, protocol="ncacn_ip_tcp", dce=dce)


def test_rpcdump_sees_the_endpoints(node: Node) -> None:
    # rpcdump.py knows port 135 only: teach it ours.
    code = (
        "import runpy, sys; path, port = sys.argv[1], int(sys.argv[2])\n"
        "RPCDump = runpy.run_path(path)['RPCDump']\n"
        "RPCDump.KNOWN_PROTOCOLS[port] = {'bindstr': 'ncacn_ip_tcp:%s[' + str(port) + ']'}\n"
        "RPCDump(port=port).dump('127.0.0.1', '127.0.0.1')\n"
    )
    command = [sys.executable, "-c", code, str(script("rpcdump.py")), str(node.mapper_port)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    for interface in OFFERED:
        assert shown(interface) in output
    assert f"ncacn_ip_tcp:127.0.0.1[{node.rpc_port}]" in output


def test_rpcmap_sees_the_interfaces(site: Site, node: Node) -> None:
    account = f"EXAMPLE/alice:{site.passwords['alice']}"
    binding = f"ncacn_ip_tcp:127.0.0.1[{node.rpc_port}]"
    command = [sys.executable, str(script("rpcmap.py")), binding, "-auth-rpc", account]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    for interface in OFFERED:
        assert f"UUID: {shown(interface)}" in output


# Address book and referral


def rows_of(response: Any) -> list[dict[int, Any]]:
    return nspi.simplifyPropertyRowSet(response["ppRows"])


@pytest.mark.parametrize("level", LEVELS)
def test_nspi(site: Site, node: Node, level: str) -> None:
    tags = [p.PidTagDisplayName, p.PidTagSmtpAddress, p.PidTagEmailAddress]
    with connection(site, node, NSPI, level=level) as dce:
        handle = nspi.hNspiBind(dce)["contextHandle"]
        rows = rows_of(nspi.hNspiQueryRows(dce, handle, Count=50, pPropTags=tags))
        assert [row[p.PidTagDisplayName] for row in rows] == ["Alice Example", "Bob Example"]
        assert [row[p.PidTagEmailAddress] for row in rows] == [f"{RECIPIENTS}alice", f"{RECIPIENTS}bob"]
        resolved = nspi.hNspiResolveNamesW(dce, handle, pPropTags=tags, paStr=["bob", "example", "nobody"])
        assert [mid["Data"] for mid in resolved["ppMIds"]["aulPropTag"]] == [2, 1, 0]  # resolved, ambiguous, not
        assert [row[p.PidTagSmtpAddress] for row in rows_of(resolved)] == ["bob@example.test"]
        assert nspi.hNspiUnbind(dce, handle)["ErrorCode"] == 1  # "UnbindSuccess"


def test_nspi_resolves_8_bit_names(site: Site, node: Node) -> None:
    with connection(site, node, NSPI) as dce:
        handle = nspi.hNspiBind(dce)["contextHandle"]
        resolved = nspi.hNspiResolveNames(dce, handle, pPropTags=[p.PidTagAccount], paStr=["alice@example.test"])
        assert [row[p.PidTagAccount] for row in rows_of(resolved)] == ["alice"]


def test_nspi_dn_to_mid_and_the_rows_of_mids(site: Site, node: Node) -> None:
    with connection(site, node, NSPI) as dce:
        handle = nspi.hNspiBind(dce)["contextHandle"]
        names = [f"{RECIPIENTS}bob", f"{RECIPIENTS}nobody"]
        found = nspi.hNspiDNToMId(dce, handle, names)["ppOutMIds"]["aulPropTag"]
        mids = [mid["Data"] for mid in found]
        assert mids[0] >= 0x10
        assert mids[1] == 0
        rows = rows_of(nspi.hNspiQueryRows(dce, handle, pPropTags=[p.PidTagAccount], lpETable=mids[:1]))
        assert [row[p.PidTagAccount] for row in rows] == ["bob"]


def test_nspi_special_table(site: Site, node: Node) -> None:
    with connection(site, node, NSPI) as dce:
        handle = nspi.hNspiBind(dce)["contextHandle"]
        # impacket's request leaves the version out of its pointer: a table that is always newer.
        rows = rows_of(nspi.hNspiGetSpecialTable(dce, handle, lpVersion=0))
        assert rows
        assert all(p.PidTagContainerFlags in row for row in rows)


@pytest.mark.parametrize("level", LEVELS)
def test_rfr(site: Site, node: Node, level: str) -> None:
    with connection(site, node, RFR, level=level) as dce:
        assert oxabref.hRfrGetNewDSA(dce, f"{RECIPIENTS}alice")["ppszServer"] == "localhost"
        # The server of the mailboxes; a client is told to come here for it.
        server = f"{ORGANIZATION}/cn=Configuration/cn=Servers/cn=EXCHANGE"
        assert oxabref.hRfrGetFQDNFromServerDN(dce, server)["ppszServerFQDN"] == "localhost"
        with pytest.raises(oxabref.DCERPCSessionError, match="MAPI_E_NOT_FOUND"):
            oxabref.hRfrGetFQDNFromServerDN(dce, server.replace("EXCHANGE", "OTHER"))


# Mailboxes


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_the_inbox(site: Site, node: Node, level: str, packed: bool) -> None:
    columns = [p.PidTagSubject, p.PidTagMid]
    how = {"compress": packed, "xor": packed}
    with session(site, node, "alice", level=level) as opened:
        logon, handle = opened.log_on("alice", **how)
        assert isinstance(logon, RopLogonPrivateResponse)
        rops = [
            RopOpenFolderRequest(0, 0, 1, logon.folder_ids[4], 0),
            RopGetContentsTableRequest(0, 1, 2, 0),
            RopSetColumnsRequest(0, 2, 0, columns),
            RopQueryRowsRequest(0, 2, 0, 1, 100),
        ]
        responses, _ = opened.execute(rops, [handle, NO_HANDLE, NO_HANDLE], **how)
        assert all(response.return_value == ErrorCode.Success for response in responses)
        (count,) = [one.row_count for one in responses if isinstance(one, RopGetContentsTableResponse)]
        (rows,) = [one.rows for one in responses if isinstance(one, RopQueryRowsResponse)]
        assert len(rows) == count == 9
        assert "Minutes of the garden meeting" in [row.to_map(columns)[p.PidTagSubject] for row in rows]
        assert opened.disconnect().cxh.is_null


def test_ec_dummy_rpc(site: Site, node: Node) -> None:
    with connection(site, node, EMSMDB) as dce:
        assert call(dce, EMSMDB, EcDummyRpcRequest(), EcDummyRpcResponse).return_value == ErrorCode.Success
