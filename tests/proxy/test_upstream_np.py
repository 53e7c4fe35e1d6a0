"""The relay over named pipes: SMB's logon and RPC's, with each kind of credentials. With smbd: `tests/interop`."""

from __future__ import annotations

from typing import Any

import pytest

from openchange_py.auth import ntlm_crypto
from openchange_py.config.routes import Credentials
from openchange_py.proxy.credentials import KerberosLogons, SpecifiedAccount, UpstreamCredentials
from openchange_py.proxy.delegated import DelegatedCredentials
from openchange_py.proxy.upstream_np import PipeConnector
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.transports.epmapper import NotRegistered
from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost
from openchange_py.wire.smb2 import Dialect, Status
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.proxy.parties import ALICE
from tests.rpc.echo import ECHO, OTHER, REVERSE, WHO
from tests.transports.serving import run, serving
from tests.transports.smb_party import Manners, smb_server


def account(password: str = PASSWORD) -> SpecifiedAccount:
    return SpecifiedAccount(Credentials("alice", "EXAMPLE", password))


def caller() -> DelegatedCredentials:
    """The caller's own, by the hash that the directory has."""
    return DelegatedCredentials(lambda name: ntlm_crypto.nt_hash(PASSWORD), None, "", KerberosLogons(1.0))


def connector(port: int, flags: str, credentials: UpstreamCredentials | None = None, **options: Any) -> PipeConnector:
    return PipeConnector(Binding.parse(f"ncacn_np:127.0.0.1[{flags}]"), credentials or account(), port=port, **options)


def needed() -> Call:
    return Call(ECHO, 0, b"", Session("test", "client"), ALICE)


@pytest.mark.parametrize("credentials", [account, caller])
@pytest.mark.parametrize(
    ("flags", "who"),
    [
        (r"\pipe\lsass", r"EXAMPLE\alice PRIVACY"),
        (r"\pipe\lsass,sign,spnego", r"EXAMPLE\alice INTEGRITY"),
        (r"\pipe\lsass,ndr64,connect", r"EXAMPLE\alice CONNECT"),
        (r"\pipe\lsass,none", "anonymous NONE"),
        (r"\pipe\lsass,none,sign", "anonymous NONE"),
    ],
)
def test_calls_go_through_pipes(credentials: Any, flags: str, who: str) -> None:
    async def main() -> None:
        async with serving() as (_, _, port), smb_server(port, Manners(credits=4)) as smb:
            connect = connector(smb, flags, credentials())
            first = await connect(needed(), 0)
            second = await connect(needed(), first.assoc_group)
            assert first.assoc_group == second.assoc_group
            assert first.upstream == connect.upstream
            assert "EXCH1" in first.server_names
            for client in (first, second):
                if "ndr64" not in flags:  # these calls have no codecs
                    assert await client.call(REVERSE, b"text" * 3000) == b"txet" * 3000
                    assert await client.call(WHO, b"") == f"echo {who} None".encode()
                await client.close()
            await connect.probe(ECHO)
        with pytest.raises(ConnectionLost):
            await connect.probe(ECHO)

    run(main)


def test_none_encrypts_at_smb_unless_told_to_sign() -> None:
    async def main() -> None:
        async with serving() as (_, _, port), smb_server(port, Manners(Dialect.SMB_2_1, None)) as smb:
            client = await connector(smb, r"\pipe\lsass,none,sign")(needed(), 0)
            await client.close()
            with pytest.raises(BindError, match="does not encrypt"):
                await connector(smb, r"\pipe\lsass,none")(needed(), 0)

    run(main)


def test_who_is_refused_at_smb() -> None:
    async def main() -> None:
        async with serving() as (_, _, port), smb_server(port) as smb:
            with pytest.raises(AuthenticationFailed, match="LOGON_FAILURE"):
                await connector(smb, r"\pipe\lsass", account("wrong"))(needed(), 0)
            nobody = DelegatedCredentials(lambda name: None, None, "", KerberosLogons(1.0))
            with pytest.raises(AuthenticationFailed, match="no credentials for EXAMPLE"):
                await connector(smb, r"\pipe\lsass", nobody)(needed(), 0)

    run(main)


def test_a_pipe_that_is_not_there_is_a_server_that_is_down() -> None:
    async def main() -> None:
        async with smb_server(1, Manners(pipe_status=Status.OBJECT_NAME_NOT_FOUND)) as smb:
            with pytest.raises(ConnectionLost, match="OBJECT_NAME_NOT_FOUND") as caught:
                await connector(smb, r"\pipe\lsass")(needed(), 0)
            assert not isinstance(caught.value, BindError), "another server is tried, and this one not again at once"

    run(main)


def test_a_server_that_is_gone_behind_smb_does_not_answer_a_probe() -> None:
    """Nor one that hangs; whom it refuses is no matter of its life."""

    async def main() -> None:
        manners = Manners()
        async with serving() as (_, _, port), smb_server(port, manners) as smb:
            connect = connector(smb, r"\pipe\lsass", timeout=0.5)
            await connect.probe(ECHO)  # SMB's word, as long as nobody got in
            client = await connect(needed(), 0)
            await client.close()
            await connect.probe(ECHO)
            await connect.probe(OTHER)
            manners.pipe_status = Status.OBJECT_NAME_NOT_FOUND
            with pytest.raises(ConnectionLost, match="OBJECT_NAME_NOT_FOUND"):
                await connect.probe(ECHO)
            manners.pipe_status = Status.PENDING
            with pytest.raises(ConnectionLost, match="did not answer"):
                await connect.probe(ECHO)
            manners.pipe_status = Status.ACCESS_DENIED
            await connect.probe(ECHO)

    run(main)


def test_the_endpoint_mapper_tells_the_pipe() -> None:
    async def main() -> None:
        endpoints = [Endpoint(ECHO, 0, "EXCH1", pipe=r"\pipe\protected_storage")]
        for known, refusal in ((endpoints, BindError), ([], NotRegistered)):
            mapper = TcpServer(InlineHandler([EpmapperServer(known)]), authenticator(allow_anonymous=True))
            _, port = await mapper.start("127.0.0.1", 0)
            try:
                async with smb_server(port) as smb:
                    # The only pipe of this SMB server is the mapper's, which has not the interface that it tells of.
                    with pytest.raises(refusal):
                        await connector(smb, "seal")(needed(), 0)
            finally:
                await mapper.stop()

    run(main)
