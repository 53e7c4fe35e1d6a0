"""A client over a named pipe of `smb_party`'s server."""

from __future__ import annotations

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.pipe_client import PipePlace, connect
from openchange_py.transports.tcp_client import RpcClient
from tests.auth.ntlm_parties import PASSWORD
from tests.rpc.echo import ECHO
from tests.rpc.parties import ntlm


def logon(password: str = PASSWORD) -> SpnegoInitiator:
    """alice's, at SMB."""
    credential = NtlmCredential.from_password("alice", "EXAMPLE", password)
    return SpnegoInitiator(NtlmInitiator(credential, level=AuthLevel.INTEGRITY, target_name="cifs/exch1"))


async def piped(
    port: int,
    *,
    level: AuthLevel = AuthLevel.NONE,
    encrypt: bool = False,
    password: str = PASSWORD,
    **options: float,
) -> RpcClient:
    """A client of the echo interface behind the pipe."""
    place = PipePlace("127.0.0.1", "lsass", port, encrypt=encrypt)
    context = ntlm(level)
    return await connect(place, logon(password), ECHO, context=context, level=level, **options)
