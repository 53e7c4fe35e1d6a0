"""Who authenticates toward the server relayed to; where it is and how it is talked to is `upstream.py`'s."""

from __future__ import annotations

from typing import Protocol

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism
from openchange_py.config.routes import Credentials
from openchange_py.rpc.call import Call
from openchange_py.rpc.security import AuthLevel, AuthType, SecurityError


class UpstreamCredentials(Protocol):
    """Where the relay gets the security context of a new upstream connection from."""

    async def context(self, call: Call, target: str, level: AuthLevel, mechanism: AuthType | None = None) -> Mechanism:
        """A fresh initiator for the connection that `call` needs, first of perhaps many.

        `target` is the upstream's service principal, `exchangeMDB/exch1.example.test`. `mechanism` is the one that
        the binding demands: NTLMSSP, KERBEROS, or None where it leaves the choice. Raises `SecurityError`.
        """
        ...


class SpecifiedAccount:
    """One account for all, by name and password: `UpstreamCredentials` that ask nobody."""

    def __init__(self, credentials: Credentials) -> None:
        self._credential = NtlmCredential.from_password(credentials.username, credentials.domain, credentials.password)

    async def context(self, call: Call, target: str, level: AuthLevel, mechanism: AuthType | None = None) -> Mechanism:
        """See `UpstreamCredentials.context`. NTLM only."""
        if mechanism not in (None, AuthType.NTLMSSP):
            raise SecurityError(f"a specified account logs on with NTLM, not with {mechanism.name.lower()}")
        return NtlmInitiator(self._credential, level=level, target_name=target)
