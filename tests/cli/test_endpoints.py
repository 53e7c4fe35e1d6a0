"""A whole node over HTTPS: a mailbox and the address book by MAPI over HTTP, with everything real behind."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

from openchange_py.cli.certificate import self_signed
from openchange_py.cli.endpoints import endpoint_limits
from openchange_py.config import load
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcmapihttp import (
    ConnectRequest,
    ConnectResponse,
    DisconnectRequest,
    ExecuteRequest,
    ExecuteResponse,
    NotificationWaitRequest,
    ResponseCode,
)
from openchange_py.wire.oxcmapihttp_nspi import BindRequest, QueryRowsRequest, ResolveNamesRequest, RowsResponse
from openchange_py.wire.oxcmapihttp_nspi import ResolveNamesResponse as Resolved
from openchange_py.wire.oxnspi_types import STAT
from openchange_py.wire.rpcheaderext import extended_buffers, pack_payload
from tests.auth.test_http import basic
from tests.node import password_of, running_node
from tests.transports.http_parties import raw_client
from tests.transports.mapi_parties import MapiClient
from tests.transports.serving import run

NAME, EMAIL = PropertyTag(0x3001001F), PropertyTag(0x39FE001F)


def https(place: Path) -> tuple[list[str], ssl.SSLContext]:
    """Options of a node with a certificate, and a client's context that trusts it."""
    certificate, key = self_signed(["localhost"])
    (place / "crt").write_bytes(certificate)
    (place / "key").write_bytes(key)
    options = ["ocpy:https port = 0", f"ocpy:tls certificate = {place / 'crt'}", f"ocpy:tls key = {place / 'key'}"]
    return options, ssl.create_default_context(cafile=str(place / "crt"))


def logon(dn: str) -> bytes:
    """A ROP buffer with the RopLogon of a private mailbox."""
    essdn = dn.encode() + b"\0"
    data = b"\xfe\x00\x00" + b"\x01" + bytes.fromhex("0c000001") + bytes(4) + len(essdn).to_bytes(2, "little") + essdn
    return (len(data) + 2).to_bytes(2, "little") + data + b"\xff" * 4


def test_a_mailbox_and_the_address_book(tmp_path: Path) -> None:
    async def main() -> None:
        options, context = https(tmp_path)
        async with running_node(tmp_path, options=options) as node:
            port = json.loads(node.ready_file.read_text())["https"]["port"]
            dn = node.entry("alice").legacy_exchange_dn
            async with raw_client(port, context) as client:
                outlook = MapiClient(authorization=basic("alice", password_of("alice")))
                connected = await outlook.connect(client, dn.encode())
                assert (connected.error_code, connected.display_name) == (0, "Alice Example")
                rops = ExecuteRequest(3, pack_payload(logon(dn), compress=False, xor=False, last=True), 0x8000)
                answer = ExecuteResponse.unpack((await outlook.ask(client, "Execute", rops)).body)
                assert answer.error_code == 0
                (buffer,) = extended_buffers(answer.rop_buffer)
                assert buffer.payload[2:9] == bytes.fromhex("fe000000000001")  # RopLogon succeeded
                assert (await outlook.ask(client, "Disconnect", DisconnectRequest())).code == 0

                book = MapiClient("/mapi/nspi/", authorization=outlook.authorization)
                assert (await book.ask(client, "Bind", BindRequest(0, STAT()))).code == 0
                asked = ResolveNamesRequest(0, STAT(), [NAME, EMAIL], ["bob"])
                found = Resolved.unpack((await book.ask(client, "ResolveNames", asked)).body)
                assert found.rows is not None
                assert [[cell.value for cell in row] for row in found.rows.rows] == [
                    ["Bob Example", "bob@example.test"]
                ]
                rows = QueryRowsRequest(0, STAT(), [], 10, [NAME])
                table = RowsResponse.unpack((await book.ask(client, "QueryRows", rows)).body)
                assert table.rows is not None
                assert [row[0].value for row in table.rows.rows] == ["Alice Example", "Bob Example"]

    run(main)


def test_the_administrators_flag_grants_nothing_and_no_dn_of_somebody_else(tmp_path: Path) -> None:
    async def main() -> None:
        options, context = https(tmp_path)
        async with running_node(tmp_path, options=options) as node:
            port = json.loads(node.ready_file.read_text())["https"]["port"]
            alice, bob = (node.entry(user).legacy_exchange_dn for user in ("alice", "bob"))
            async with raw_client(port, context) as client:
                outlook = MapiClient(authorization=basic("alice", password_of("alice")))
                request = ConnectRequest(alice.encode(), 1, 1252, 1033, 1033)
                assert ConnectResponse.unpack((await outlook.ask(client, "Connect", request)).body).error_code == 0
                rops = ExecuteRequest(3, pack_payload(logon(bob), compress=False, xor=False, last=True), 0x8000)
                answer = ExecuteResponse.unpack((await outlook.ask(client, "Execute", rops)).body)
                (buffer,) = extended_buffers(answer.rop_buffer)
                assert buffer.payload[2] == 0xFE
                assert buffer.payload[4:8] != bytes(4)  # no logon to bob's mailbox
                request.user_dn = bob.encode()
                assert ConnectResponse.unpack((await outlook.ask(client, "Connect", request)).body).error_code != 0

    run(main)


def test_behind_a_proxy_that_ends_tls(tmp_path: Path) -> None:
    async def main() -> None:
        options = ["ocpy:http port = 0", "ocpy:trusted proxies = 127.0.0.1", "ocpy:https port = off"]
        async with running_node(tmp_path, options=options) as node:
            port = json.loads(node.ready_file.read_text())["http"]["port"]
            dn = node.entry("alice").legacy_exchange_dn.encode()
            async with raw_client(port) as client:
                outlook = MapiClient(authorization=basic("alice", password_of("alice")))
                assert (await outlook.connect(client, dn)).error_code == 0  # a proxy said that it came over TLS
                answer = await outlook.ask(client, "NotificationWait", NotificationWaitRequest(0), Cookie=None)
                assert answer.code == ResponseCode.MissingCookie

    run(main)


def test_limits(tmp_path: Path) -> None:
    config = tmp_path / "smb.conf"
    config.write_text(
        "[global]\n    dcerpc_mapiproxy:server = yes\n    ocpy:http session life = 1 min\n"
        "    ocpy:max http sessions = 5\n    ocpy:max http sessions per account = 2\n"
        "    ocpy:http pending period = 15\n"
    )
    limits = endpoint_limits(load(config))
    assert (limits.sessions.sessions, limits.sessions.per_account, limits.sessions.idle_seconds) == (5, 2, 60.0)
    assert limits.pending_seconds == 15.0
