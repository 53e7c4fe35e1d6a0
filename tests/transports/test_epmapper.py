"""Finding an interface by its machine's endpoint mapper."""

from __future__ import annotations

import pytest

from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.transports.epmapper import NotRegistered, ept_map
from openchange_py.transports.tcp import ConnectionLost, TcpServer
from tests.rpc.echo import ECHO, OTHER, REVERSE
from tests.transports.serving import client, run, serving


def test_ept_map_leads_to_the_server() -> None:
    async def main() -> None:
        async with serving() as (_, _, echo_port):
            mapper = TcpServer(InlineHandler([EpmapperServer([Endpoint(ECHO, echo_port)])]))
            host, port = await mapper.start("127.0.0.1", 0)
            found = await ept_map(host, port, ECHO)
            assert found == echo_port
            caller = await client(found)
            assert await caller.call(REVERSE, b"ab") == b"ba"
            with pytest.raises(NotRegistered, match="0x16c9a0d6"):
                await ept_map(host, port, OTHER)
            await caller.close()
            await mapper.stop()
            with pytest.raises(ConnectionLost):
                await ept_map(host, port, ECHO)

    run(main)


def test_a_server_without_endpoint_mapper() -> None:
    async def main() -> None:
        async with serving() as (_, _, port):
            with pytest.raises(ConnectionLost):
                await ept_map("127.0.0.1", port, ECHO)

    run(main)
