"""What a binding's flags do to the relay's connections, at servers that are not ours alone.

`ours` is a server of ours in a Samba domain, which tells how it was called; `samba` is the domain's controller.
"""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Iterator

import pytest

from openchange_py.config.routes import Credentials
from openchange_py.proxy.credentials import KerberosLogons, SpecifiedAccount
from openchange_py.proxy.upstream import TcpConnector, find_port
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.representation import StubFormat
from openchange_py.rpc.security import AuthLevel, AuthType
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost, RpcClient
from openchange_py.wire.epm import EPMAPPER
from openchange_py.wire.mgmt import MGMT, InqIfIdsResponse
from openchange_py.wire.ndr import RpcInterface
from tests.interop.domain import DomainServer
from tests.interop.interfaces import (
    NETLOGON,
    RPCECHO,
    NetrServerReqChallengeRequest,
    NetrServerReqChallengeResponse,
)
from tests.interop.samba_dc import PASSWORD, REALM, SERVER_FQDN, WORKGROUP, SambaDc

pytestmark = [pytest.mark.xdist_group("samba_dc")]

LEVELS = {
    "connect": AuthLevel.CONNECT,
    "packet": AuthLevel.PACKET,
    "sign": AuthLevel.INTEGRITY,
    "seal": AuthLevel.PRIVACY,
}
MECHANISMS = {
    "ntlm": AuthType.NTLMSSP,
    "spnego": AuthType.SPNEGO,
    "spnego,ntlm": AuthType.SPNEGO,
    "krb5": AuthType.KERBEROS,
    "krb5,spnego": AuthType.SPNEGO,
}
REPRESENTATIONS = ["padcheck,validate", "bigendian", "bigendian,padcheck,validate", "ndr64,padcheck,validate"]


@pytest.fixture(scope="module")
def ours(samba_dc: SambaDc) -> Iterator[DomainServer]:
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")
    server = DomainServer(samba_dc)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def realm(samba_dc: SambaDc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5_CONFIG", str(samba_dc.krb5_conf))


async def connect(binding: str, interface: RpcInterface, password: str = PASSWORD) -> RpcClient:
    """The relay's connection for a call of an interface."""
    account = SpecifiedAccount(Credentials("alice", WORKGROUP, password, REALM), KerberosLogons(30.0))
    call = Call(interface, 0, b"", Session("test", "client"))
    return await TcpConnector(Binding.parse(binding), account, find_port)(call, 0)


async def add_one(binding: str, password: str = PASSWORD) -> int:
    """AddOne of rpcecho, twice, as a second call shows what the first left behind; and a string of wide characters."""
    client = await connect(binding, RPCECHO, password)
    try:
        assert await client.call(0, struct.pack("<I", 1)) == struct.pack("<I", 2)
        echo = RPCECHO.methods[4]
        assert echo.request is not None
        assert echo.response is not None
        stub = struct.pack("<III", 5, 0, 5) + "héé€\0".encode("utf-16-le")
        answer = echo.response.unpack(await client.call(4, stub))
        assert answer.value == "héé€"  # type: ignore[attr-defined]
        return int.from_bytes(await client.call(0, (0x01020304).to_bytes(4, "little")), "little")
    finally:
        await client.close()


def binding_of(server: DomainServer, *flags: str) -> str:
    """Without a port: its endpoint mapper is asked."""
    return f"ncacn_ip_tcp:{server.address}[{','.join((*flags, f'target_principal=host/{SERVER_FQDN}@{REALM}'))}]"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_levels_and_mechanisms(ours: DomainServer, mechanism: str, level: str) -> None:
    ours.applications.callers.clear()
    ours.authenticator.mechanisms.clear()
    assert ours.run(add_one(binding_of(ours, level, mechanism))) == 0x01020305
    assert ours.authenticator.mechanisms == [MECHANISMS[mechanism]]
    assert {(caller.account, caller.level) for caller in ours.applications.callers} == {("alice", LEVELS[level])}


@pytest.mark.parametrize("level", ["sign", "seal,spnego", "seal,krb5"])
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_representations(ours: DomainServer, representation: str, level: str, caplog: pytest.LogCaptureFixture) -> None:
    assert ours.run(add_one(binding_of(ours, level, representation))) == 0x01020305
    assert "padding" not in caplog.text


@pytest.mark.parametrize("mechanism", ["krb5", "krb5,spnego"])
def test_a_wrong_password_is_told_before_anything_is_sent(ours: DomainServer, mechanism: str) -> None:
    ours.authenticator.mechanisms.clear()
    with pytest.raises(AuthenticationFailed, match="no credentials for anonymous: Kerberos"):
        ours.run(add_one(binding_of(ours, mechanism), "wrong"))
    assert ours.authenticator.mechanisms == []


def test_a_wrong_password_that_the_server_refuses(ours: DomainServer) -> None:
    with pytest.raises(RpcFault) as caught:
        ours.run(add_one(binding_of(ours, "ntlm"), "wrong"))
    assert caught.value.status == FaultStatus.ACCESS_DENIED
    with pytest.raises(ConnectionLost, match="security package error"):
        ours.run(add_one(binding_of(ours, "spnego"), "wrong"))


# Samba's own server


async def challenged(binding: str) -> NetrServerReqChallengeResponse:
    """NetrServerReqChallenge ([MS-NRPC] 3.5.4.4.1): strings in, bytes out."""
    client = await connect(binding, NETLOGON)
    request = NetrServerReqChallengeRequest("\\\\ocdc", "EXCH1", bytes(range(8)))
    try:
        for _ in range(2):
            answer = await client.call(4, request.pack())
        return NetrServerReqChallengeResponse.unpack(answer)
    finally:
        await client.close()


@pytest.mark.parametrize("level", ["packet", "sign", "seal"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("representation", ["padcheck,validate", "bigendian"])
def test_samba_takes_every_level_mechanism_and_byte_order(
    samba_dc: SambaDc, representation: str, mechanism: str, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")
    flags = f"{representation},{mechanism},{level},target_principal=host/{samba_dc.name}@{REALM}"
    answer = asyncio.run(challenged(f"ncacn_ip_tcp:{samba_dc.address}[{flags}]"))
    assert answer.status == 0
    assert any(answer.server_challenge)
    assert "padding" not in caplog.text


@pytest.mark.parametrize("stubs", [StubFormat(), StubFormat(big_endian=True)], ids=["little", "big"])
def test_samba_without_authentication(samba_dc: SambaDc, stubs: StubFormat) -> None:
    async def offered() -> set[uuid.UUID]:
        client = await RpcClient.connect(samba_dc.address, 135, MGMT, stubs=stubs)
        try:
            answer = InqIfIdsResponse.unpack(await client.call(0, b""))
        finally:
            await client.close()
        assert answer.status == 0
        return {syntax.uuid for syntax in answer.if_id_vector or () if syntax is not None}

    assert asyncio.run(offered()) >= {EPMAPPER.syntax.uuid, MGMT.syntax.uuid}
