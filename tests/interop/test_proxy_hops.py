"""Three processes in a row: a proxy near the client, a proxy near the server, and the server.

Between the proxies ROPs are packed, compressed and encrypted; whoever stands at either end notices nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.oxcdata.errors import MapiError
from tests.interop.nodes import Node, ocpy
from tests.interop.rows import Row, got, put, running_row
from tests.large_messages import MEGABYTE, Pattern

pytestmark = pytest.mark.xdist_group("hops")

#: RopSetProperties, RopOpenStream, RopReadStream, RopWriteStream, RopCommitStream.
PACKED = "0x0A, 0x2B, 0x2C, 0x2D, 0x5D"
SIZE = 50 * MEGABYTE

_NEAR = f"""\
    dcerpc_mapiproxy:modules = pack, compress, encrypt
    mpm_pack:opnums = {PACKED}
"""
_FAR = """\
    dcerpc_mapiproxy:modules = encrypt, compress, pack
    mpm_encrypt:lasthop = yes
    mpm_compress:lasthop = yes
"""


@pytest.fixture(scope="module")
def row() -> Iterator[Row]:
    with running_row() as row:
        for key in ("hop.key", "other.key"):
            ocpy("hopkey", "create", row.place / key)
        yield row


def hop(row: Row, name: str, behind: Node, options: str, key: str = "hop.key") -> Node:
    """A proxy with a key."""
    return row.proxy(name, behind, f"{options}    mpm_encrypt:key file = {row.place}/{key}\n")


@pytest.fixture(scope="module")
def far(row: Row) -> Node:
    return hop(row, "far", row.site.exchange, _FAR)


@pytest.fixture(scope="module")
def near(row: Row, far: Node) -> Node:
    return hop(row, "near", far, _NEAR)


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
    far = hop(row, "otherkey", row.site.exchange, _FAR, "other.key")
    near = hop(row, "near-otherkey", far, _NEAR)

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
    near = hop(row, f"near-{name}", hop(row, name, row.site.exchange, options), _NEAR)

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

    with far.log.expect("module encrypt: EcDoRpcExt2: a request 1/1 in [-0-9a-f]+ that is not encrypted"):
        asyncio.run(work())


def test_text_travels_shorter(row: Row, far: Node) -> None:
    """What a client asks and gets for lists of mail, compressed between the hops; the log tells at the end."""
    near = hop(row, "watched", far, _NEAR)
    row.site.client(near, "alice", "messages", "--json")
    start = near.log.position
    assert near.stop() == 0
    line = near.log.wait_for("module compress: [0-9]+ bytes travelled as", start)
    plain, travelled = map(int, re.findall(r"(\d+) bytes travelled as (\d+)", line)[0])
    assert plain > 1000
    assert travelled < plain * 0.7
