"""Who authenticates toward the server relayed to; where it is and how it is talked to is `upstream.py`'s."""

from __future__ import annotations

from typing import Protocol

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.config.routes import Credentials
from openchange_py.rpc.call import Call
from openchange_py.rpc.security import AuthLevel, SecurityContext


class UpstreamCredentials(Protocol):
    """Where the relay gets the security context of a new upstream connection from."""

    async def context(self, call: Call, target: str, level: AuthLevel) -> SecurityContext:
        """A fresh initiator for the connection that `call` needs, first of perhaps many.

        `target` is the upstream's service principal, `exchangeMDB/exch1.example.test`. Raises `SecurityError`.
        """
        ...


class SpecifiedAccount:
    """One account for all, by name and password: `UpstreamCredentials` that ask nobody."""

    def __init__(self, credentials: Credentials) -> None:
        self._credential = NtlmCredential.from_password(credentials.username, credentials.domain, credentials.password)

    async def context(self, call: Call, target: str, level: AuthLevel) -> SecurityContext:
        """See `UpstreamCredentials.context`."""
        return NtlmInitiator(self._credential, level=level, target_name=target)
