"""Local servers of one's own, in a node that runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.cli.node import Node
from openchange_py.config import load
from openchange_py.proxy.loading import plugin_options
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.oxabref import RFR, RfrGetFQDNFromServerDNRequest, RfrGetFQDNFromServerDNResponse
from tests.node import password_of, provision

DN = b"/o=First/cn=EXCHANGE"
PLUGIN = """
from openchange_py.config.options import Option, text
from openchange_py.proxy.servers import CustomServer
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.oxabref import RFR, RfrGetFQDNFromServerDNResponse

NAME = Option("ocpy_fixed:name", text, "", "what to answer")

class Server(CustomServer):
    name = "fixed"
    interface = RFR
    options = (NAME,)

    def call(self, call):
        name = f"{self.settings[NAME]} for {call.caller.account}"
        call.response = RfrGetFQDNFromServerDNResponse(name.encode(), 0)

    def close(self):
        open(self.settings.path.parent / "closed", "w").close()
"""


def test_a_server_by_path_answers_its_interface(tmp_path: Path) -> None:
    provision(tmp_path, {"alice": []})[0].close()
    (tmp_path / "fixed.py").write_text(PLUGIN)
    conf = tmp_path / "own.conf"
    conf.write_text(
        f"""[global]
    netbios name = OWN
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    ocpy:directory = sqlite:///{tmp_path}/directory.db
    ocpy:database = sqlite:///{tmp_path}/mailboxes.db
    ocpy:endpoint mapper port = 0
    dcerpc_mapiproxy:server = true
    dcerpc_mapiproxy:rfr_server = ./fixed.py
    ocpy_fixed:name = own.example.test
"""
    )

    async def scenario() -> bytes:
        node = Node(load(conf, plugin_options(conf)))
        await node.start()
        try:
            client = await connect(node)
            request = RfrGetFQDNFromServerDNRequest(0, len(DN) + 1, DN)
            answer = RfrGetFQDNFromServerDNResponse.unpack(await client.call(1, request.pack()))
            await client.close()
            return cast("bytes", answer.server_fqdn)
        finally:
            await node.stop()

    assert asyncio.run(scenario()) == b"own.example.test for alice"
    assert (tmp_path / "closed").exists()


async def connect(node: Node) -> RpcClient:
    credential = NtlmCredential.from_password("alice", "EXAMPLE", password_of("alice"))
    host, port = node.rpc[0]
    context = NtlmInitiator(credential, level=AuthLevel.CONNECT)
    return await RpcClient.connect(host, port, RFR, context=context, level=AuthLevel.CONNECT)
