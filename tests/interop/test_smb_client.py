"""The SMB client against Samba's smbd: every dialect, every cipher, signed and encrypted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.pipe_client import PipePlace, connect, find_pipe
from openchange_py.transports.tcp_client import BindError, ConnectionLost, RpcClient
from openchange_py.wire.mgmt import MGMT, InqIfIdsRequest, InqIfIdsResponse
from openchange_py.wire.oxcrpc import EMSMDB
from tests.interop.smbd import PASSWORD, USER, require_smbd, running_smbd
from tests.node import node_in_thread

pytestmark = pytest.mark.xdist_group("smbd")

#: What an smbd is told, and whether it can encrypt then.
SERVERS: Final = {
    "2.0.2": ({"server max protocol": "SMB2_02"}, False),
    "2.1": ({"server max protocol": "SMB2_10"}, False),
    "3.0": ({"server max protocol": "SMB3_00"}, True),
    "3.0.2": ({"server max protocol": "SMB3_02"}, True),
    "3.1.1": ({}, True),
    "3.0, all encrypted": ({"server max protocol": "SMB3_00", "server smb encrypt": "required"}, True),
    "3.1.1, all encrypted": ({"server smb encrypt": "required"}, True),
    "AES-128-CCM": ({"server smb3 encryption algorithms": "AES-128-CCM"}, True),
    "AES-256-CCM": ({"server smb3 encryption algorithms": "AES-256-CCM"}, True),
    "AES-256-GCM": ({"server smb3 encryption algorithms": "AES-256-GCM"}, True),
    "no encryption": ({"server smb encrypt": "off"}, False),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a node has its pipes."""
    require_smbd()
    place = tmp_path_factory.mktemp("p")
    (place / "ncalrpc").mkdir(mode=0o700)
    options = [f"ncalrpc dir = {place}/ncalrpc", "ocpy:named pipes = samba"]
    with node_in_thread(place, options=options):
        yield place


def logon() -> SpnegoInitiator:
    credential = NtlmCredential.from_password(USER, "PIPES", PASSWORD)
    return SpnegoInitiator(NtlmInitiator(credential, level=AuthLevel.INTEGRITY))


async def interfaces(client: RpcClient) -> int:
    """How many interfaces the server has: a call and its answer."""
    response = InqIfIdsResponse.unpack(await client.call(0, InqIfIdsRequest().pack()))
    return len(response.if_id_vector or [])


@pytest.mark.parametrize(("options", "can_encrypt"), SERVERS.values(), ids=SERVERS)
def test_every_server(place: Path, options: dict[str, str], can_encrypt: bool) -> None:
    async def main(address: str) -> None:
        assert await find_pipe(PipePlace(address), logon(), EMSMDB) in ("lsass", "protected_storage")
        for encrypt in (False, True)[: 1 + can_encrypt]:
            client = await connect(PipePlace(address, "lsass", encrypt=encrypt), logon(), MGMT)
            assert await interfaces(client) >= 4
            await client.close()
        if not can_encrypt:
            with pytest.raises(BindError, match="does not encrypt"):
                await connect(PipePlace(address, "lsass", encrypt=True), logon(), MGMT)
        with pytest.raises(ConnectionLost, match="OBJECT_NAME_NOT_FOUND"):
            await connect(PipePlace(address, "winreg"), logon(), MGMT)

    with running_smbd(place, "SMB2_02", options) as address:
        asyncio.run(main(address))
