"""What endpoint mappers tell, and ready files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openchange_py.client.connection import Server
from openchange_py.client.endpoints import list_endpoints, read_metrics_url, read_ready_file
from openchange_py.client.errors import ClientError, Unreachable
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.transports.tcp import TcpServer
from openchange_py.wire.epm import EPMAPPER, EptEntry, EptLookupResponse, Floor, FloorProtocol, Tower
from openchange_py.wire.ndr import NULL_HANDLE, SyntaxId
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NSPI
from tests.node import RunningNode


def test_the_endpoints_of_a_node(node: RunningNode) -> None:
    found = {endpoint.name: endpoint for endpoint in asyncio.run(list_endpoints(node.server))}
    assert {EMSMDB.name, NSPI.name, "exchange_ds_rfr"} <= found.keys()
    nspi = found[NSPI.name]
    assert (nspi.uuid, nspi.version) == ("f5cc5a18-4264-101a-8c59-08002b2f8426", "56.0")
    assert (nspi.protocol, nspi.address, nspi.endpoint) == ("ncacn_ip_tcp", "127.0.0.1", str(node.rpc_port))


@contextlib.asynccontextmanager
async def mapper(handler: InlineHandler) -> AsyncIterator[Server]:
    server = TcpServer(handler)
    host, port = await server.start("127.0.0.1", 0)
    try:
        yield Server(host, port)
    finally:
        await server.stop()


def test_more_endpoints_than_one_answer_holds() -> None:
    async def work() -> None:
        names = [f"service {number}" for number in range(345)]
        endpoints = [Endpoint(NSPI, 1000 + number, "10.0.0.1", name) for number, name in enumerate(names)]
        async with mapper(InlineHandler([EpmapperServer(endpoints)])) as server:
            found = await list_endpoints(server)
        assert [endpoint.annotation for endpoint in found] == names

    asyncio.run(work())


class FixedMapper:
    """Answers every ept_lookup with the same entries, and never ends."""

    name = "epmapper"
    interface = EPMAPPER

    def __init__(self, entries: list[EptEntry], *, endless: bool = False) -> None:
        self._entries = entries
        self._endless = endless
        self.calls = 0

    def call(self, call: Call) -> None:
        self.calls += 1
        handle = call.session.add_handle(self) if self._endless else NULL_HANDLE
        call.response = EptLookupResponse(handle, 100, self._entries, 0)

    def end_session(self, session: Session) -> None:
        return


def lookup(entries: list[EptEntry], *, endless: bool = False) -> list[tuple[str, str, str, str]]:
    async def work() -> list[tuple[str, str, str, str]]:
        async with mapper(InlineHandler([FixedMapper(entries, endless=endless)])) as server:
            found = await list_endpoints(server)
        return [(one.name or one.uuid, one.protocol, one.address, one.endpoint) for one in found]

    return asyncio.run(work())


def entry(tower: Tower | None) -> EptEntry:
    return EptEntry(uuid.UUID(int=0), tower, b"\xe9")


def test_towers_of_other_transports() -> None:
    strange = SyntaxId(uuid.UUID(int=5), 1, 2)
    head = [Floor.of_syntax(strange), Floor.of_syntax(NSPI.syntax), Floor(bytes([FloorProtocol.NCACN]), b"\0\0")]
    pipe = [
        Floor(bytes([FloorProtocol.NAMED_PIPE]), b"\\PIPE\\lsass\0"),
        Floor(bytes([FloorProtocol.NETBIOS]), b"EXCH1\0"),
    ]
    http = [
        Floor(bytes([FloorProtocol.HTTP]), (593).to_bytes(2, "big")),
        Floor(bytes([FloorProtocol.IP]), bytes([10, 0, 0, 1])),
    ]
    unknown = str(strange.uuid)
    assert lookup([entry(Tower.of(head + pipe)), entry(Tower.of(head + http)), entry(None)]) == [
        (unknown, "ncacn_np", "EXCH1", "\\PIPE\\lsass"),
        (unknown, "ncacn_http", "10.0.0.1", "593"),
        ("", "", "", ""),
    ]


def test_a_broken_tower_is_an_error() -> None:
    with pytest.raises(ClientError, match="ept_lookup failed"):
        lookup([entry(Tower(b"\5\0\1"))])


def test_a_list_that_never_ends_is_left() -> None:
    assert len(lookup([entry(Tower.tcp(NSPI.syntax, 1, "10.0.0.1"))] * 100, endless=True)) == 10_000


def test_no_endpoint_mapper_there(node: RunningNode) -> None:
    with pytest.raises(Unreachable, match="refuses its endpoint mapper"):
        asyncio.run(list_endpoints(Server(node.server.host, node.rpc_port)))


def test_a_ready_file_tells_host_and_ports(node: RunningNode) -> None:
    server = read_ready_file(node.ready_file)
    assert (server.host, server.port) == (node.server.host, node.server.port)
    assert server.ports[EMSMDB.name] == server.ports[NSPI.name] == node.rpc_port


@pytest.mark.parametrize(("bound", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.1.2.3", "10.1.2.3")])
def test_an_address_that_can_be_reached(tmp_path: Path, bound: str, reached: str) -> None:
    path = tmp_path / "ready.json"
    ready = {
        "endpoint_mapper": {"host": bound, "port": 1135},
        "rpc": {"host": bound, "port": 6000},
        "interfaces": {EMSMDB.name: {"server": "emsmdb"}, NSPI.name: {"port": 6004}},
    }
    path.write_text(json.dumps(ready))
    assert read_ready_file(path) == Server(reached, 1135, {EMSMDB.name: 6000, NSPI.name: 6004})


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"rpc": 5}', '{"rpc": {"host": "x"}, "interfaces": [1]}'])
def test_other_files_are_told_apart(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ClientError, match="not what `ocpy serve --ready-file` writes"):
        read_ready_file(path)


@pytest.mark.parametrize(("host", "shown"), [("192.0.2.1", "192.0.2.1"), ("::1", "[::1]"), ("0.0.0.0", "127.0.0.1")])
def test_a_ready_file_tells_where_the_metrics_are(tmp_path: Path, host: str, shown: str) -> None:
    file = tmp_path / "ready.json"
    file.write_text(json.dumps({"metrics": {"host": host, "port": 9464}}))
    assert read_metrics_url(file) == f"http://{shown}:9464/metrics"


@pytest.mark.parametrize("text", ['{"metrics": null}', "{}", "nonsense", '{"metrics": {"host": "a"}}'])
def test_or_that_there_are_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ready.json"
    file.write_text(text)
    with pytest.raises(ClientError, match="names no metrics"):
        read_metrics_url(file)
