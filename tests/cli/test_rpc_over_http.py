"""Which interfaces a node offers behind which port of its RPC proxy, and who gets in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from openchange_py.auth.http_initiator import PasswordLogon
from openchange_py.cli.rpc_over_http import PORTS
from openchange_py.transports.http_client import Place
from openchange_py.transports.rpch_client import RpcProxyPlace, connect
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost
from openchange_py.transports.tls import ClientTls
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB
from openchange_py.wire.oxnspi import NSPI
from tests.node import node_in_thread, password_of
from tests.transports.http_parties import make_pair

INTERFACES = {interface.name: interface for interface in (EMSMDB, ASYNCEMSMDB, RFR, NSPI)}


def test_ports_and_their_interfaces(tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    lines = [f"ocpy:tls certificate = {certificate}", f"ocpy:tls key = {key}", "ocpy:https port = 0"]
    with node_in_thread(tmp_path, options=lines) as node:
        ready = json.loads(node.ready_file.read_text())
        assert "/rpc/rpcproxy.dll" in ready["http_paths"]
        proxy = Place("localhost", ready["https"]["port"], ClientTls(certificate))

        def place(port: int, password: str = password_of("alice")) -> RpcProxyPlace:
            return RpcProxyPlace(proxy, "EXCH1", port, logon=PasswordLogon("alice", password))

        async def offers(port: int, interface: RpcInterface) -> bool:
            try:
                client = await connect(place(port), interface)
            except BindError:
                return False
            await client.close()
            return True

        async def main() -> None:
            for port, names in PORTS.items():
                for name, interface in INTERFACES.items():
                    assert await offers(port, interface) is (name in names), (port, name)
            with pytest.raises(ConnectionLost, match="RPC Error: 6ba"):
                await connect(place(6003), NSPI)
            with pytest.raises(AuthenticationFailed):
                await connect(place(6004, "wrong"), NSPI)

        asyncio.run(main())
