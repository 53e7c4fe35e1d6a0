"""Three processes in a row: a proxy near the client, a proxy near the server, and the server.

Between the proxies ROPs are packed, compressed and encrypted; whoever stands at either end notices nothing.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.oxcdata.errors import MapiError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from tests.interop.nodes import Node, Site, ocpy
from tests.large_messages import MEGABYTE, Pattern, digest_of, upload

pytestmark = pytest.mark.xdist_group("hops")

#: RopSetProperties, RopOpenStream, RopReadStream, RopWriteStream, RopCommitStream.
PACKED = "0x0A, 0x2B, 0x2C, 0x2D, 0x5D"
SIZE = 50 * MEGABYTE

_PROXY = """\
[global]
    netbios name = {name}
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    log level = 1
    ocpy:data directory = {place}/{name}
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:fqdn = {name}.example.test
    ocpy:endpoint mapper port = 0
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{port},seal]
    dcerpc_mapiproxy:username = relay
    dcerpc_mapiproxy:password file = {place}/passwords/relay
    dcerpc_mapiproxy:domain = EXAMPLE
    mpm_encrypt:key file = {place}/{key}
{options}
"""
_NEAR = f"""\
    dcerpc_mapiproxy:modules = pack, compress, encrypt
    mpm_pack:opnums = {PACKED}
"""
_FAR = """\
    dcerpc_mapiproxy:modules = encrypt, compress, pack
    mpm_encrypt:lasthop = yes
    mpm_compress:lasthop = yes
"""


class Row:
    """The processes, and the proxies that tests put in front of the server besides."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.site = Site(place)
        self.proxies: list[Node] = []

    def set_up(self) -> None:
        self.site.set_up()
        self.site.start()
        for key in ("hop.key", "other.key"):
            ocpy("hopkey", "create", self.place / key)

    def proxy(self, name: str, behind: Node, options: str, key: str = "hop.key") -> Node:
        (self.place / name).mkdir()
        node = Node(name, self.place / f"{name}.conf")
        settings = {"place": self.place, "name": name, "port": behind.rpc_port, "options": options, "key": key}
        node.config.write_text(_PROXY.format(**settings), "utf-8")
        self.proxies.append(node)
        node.start()
        node.wait_until_ready()
        return node

    def stop(self) -> None:
        for node in self.proxies:
            node.abandon()
        self.site.stop()


@pytest.fixture(scope="module")
def row() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="ocpy-hops-") as place:
        row = Row(Path(place))
        try:
            row.set_up()
            yield row
        finally:
            row.stop()


@pytest.fixture(scope="module")
def far(row: Row) -> Node:
    return row.proxy("far", row.site.exchange, _FAR)


@pytest.fixture(scope="module")
def near(row: Row, far: Node) -> Node:
    return row.proxy("near", far, _NEAR)


async def put(row: Row, node: Node, size: int, seed: int) -> tuple[FolderId, MessageId]:
    async with row.site.profile(node, "alice") as profile:
        mailbox = await profile.mailbox()
        inbox = await mailbox.find_folder("Inbox")
        return inbox.id, await upload(mailbox, inbox.id, size=size, seed=seed)


async def got(row: Row, node: Node, folder: FolderId, message: MessageId, place: Path) -> str:
    """The digest of what a client of that node saves."""
    async with row.site.profile(node, "alice") as profile:
        mailbox = await profile.mailbox()
        async with await mailbox.open_message(folder, message) as opened:
            [attachment] = await opened.attachments()
            with (place / node.name).open("wb+") as file:
                await opened.save_attachment(attachment.number, file)
                file.seek(0)
                return digest_of(file)


def test_a_large_attachment_goes_both_ways_byte_for_byte(row: Row, far: Node, near: Node, tmp_path: Path) -> None:
    async def work() -> None:
        message = await put(row, near, SIZE, 1)
        expected = Pattern(SIZE, 1).digest()
        assert await got(row, row.site.exchange, *message, tmp_path) == expected, "as it was written"
        assert await got(row, near, *message, tmp_path) == expected, "as it is read"

    asyncio.run(work())


def test_clients_of_both_ends_are_told_the_same(row: Row, near: Node) -> None:
    for arguments in (["folders"], ["messages"], ["messages", "--folder", "Sent Items"]):
        directly = row.site.client(row.site.exchange, "alice", *arguments, "--json")
        assert row.site.client(near, "alice", *arguments, "--json") == directly


def test_a_roplogon_of_another_user_is_refused_before_it_is_hidden(row: Row, near: Node) -> None:
    async def work() -> None:
        async with row.site.profile(near, "alice") as profile:
            bob = "/o=First Organization/ou=First Administrative Group/cn=Recipients/cn=bob"
            with pytest.raises(MapiError, match="LoginPermission"):
                await profile.mailbox(bob)

    with near.log.expect("RopLogon refused"):
        asyncio.run(work())


def test_a_far_hop_with_another_key_says_so_and_the_client_is_told(row: Row) -> None:
    far = row.proxy("otherkey", row.site.exchange, _FAR, "other.key")
    near = row.proxy("near-otherkey", far, _NEAR)

    async def work() -> None:
        async with row.site.profile(near, "alice") as profile:
            with pytest.raises(RpcFault) as caught:
                await profile.mailbox()
        assert caught.value.status == FaultStatus.SEC_PKG_ERROR

    with far.log.expect("module encrypt: EcDoRpcExt2: key [0-9a-f]{8} is not in the key file"):
        asyncio.run(work())


@pytest.mark.parametrize("options", ["", _FAR.replace("encrypt, ", "")], ids=["plain", "unencrypted"])
def test_a_far_hop_without_the_module_is_an_error_for_the_client(row: Row, options: str) -> None:
    """It is an unknown ROP to whoever reads it: the far relay, where it might hide a RopLogon, or the server."""
    name = f"far-{len(row.proxies)}"
    near = row.proxy(f"near-{name}", row.proxy(name, row.site.exchange, options), _NEAR)

    async def work() -> None:
        async with row.site.profile(near, "alice") as profile:
            with pytest.raises(MapiError, match="RpcFormat"):
                await profile.mailbox()

    asyncio.run(work())


def test_a_client_that_does_not_encrypt_is_refused_by_the_last_hop(row: Row, far: Node) -> None:
    async def work() -> None:
        async with row.site.profile(far, "alice") as profile:
            with pytest.raises((MapiError, RpcFault)):
                await profile.mailbox()

    with far.log.expect("module encrypt: EcDoRpcExt2: a request 1/1 that is not encrypted"):
        asyncio.run(work())


def test_text_travels_shorter(row: Row, far: Node) -> None:
    """What a client asks and gets for lists of mail, compressed between the hops; the log tells at the end."""
    near = row.proxy("watched", far, _NEAR)
    row.site.client(near, "alice", "messages", "--json")
    start = near.log.position
    assert near.stop() == 0
    line = near.log.wait_for("module compress: [0-9]+ bytes travelled as", start)
    plain, travelled = map(int, re.findall(r"(\d+) bytes travelled as (\d+)", line)[0])
    assert plain > 1000
    assert travelled < plain * 0.7
