"""Logging on over HTTP as a client: NTLM, Negotiate (RFC 4559) and Basic (RFC 7617).

NTLM and Kerberos name the TLS channel that the logon is for, where there is one. Not done: Bearer.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.ntlm import NtlmInitiator
from openchange_py.auth.spnego import Mechanism, SpnegoInitiator
from openchange_py.rpc.security import AuthType, SecurityError
from openchange_py.rpc.web_logon import WebCredentials

#: A fresh initiator of NTLM or Kerberos, for that TLS channel. Raises `SecurityError`.
MakeMechanism = Callable[[ChannelBindings | None], Awaitable[Mechanism]]


class MechanismLogon:
    """A `WebInitiator` with NTLM or Kerberos. NTLM stands alone where the server takes it, unless `spnego` wraps it."""

    def __init__(self, make: MakeMechanism, *, spnego: bool = False) -> None:
        self._make = make
        self._spnego = spnego

    async def answer(self, offered: Sequence[str], secure: bool, end_point: bytes | None) -> WebCredentials:
        """See `WebInitiator.answer`."""
        bindings = None if end_point is None else ChannelBindings(end_point)
        mechanism = await self._make(bindings)
        if isinstance(mechanism, NtlmInitiator) and bindings is not None:
            mechanism.bind_channel(bindings.ntlm_hash)
        if mechanism.auth_type is AuthType.NTLMSSP and "ntlm" in offered and not self._spnego:
            return WebCredentials("NTLM", mechanism)
        if "negotiate" in offered:
            return WebCredentials("Negotiate", SpnegoInitiator(mechanism))
        name = "NTLM" if mechanism.auth_type is AuthType.NTLMSSP else "Kerberos"
        raise SecurityError(f"{name} is not among what the server offers: {', '.join(offered) or 'nothing'}")


class PasswordLogon:
    """A `WebInitiator` with Basic, through TLS alone."""

    def __init__(self, user: str, password: str) -> None:
        self._secret = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")

    async def answer(self, offered: Sequence[str], secure: bool, end_point: bytes | None) -> WebCredentials:
        """See `WebInitiator.answer`."""
        if not secure:
            raise SecurityError("Basic without TLS would show the password to everybody on the way")
        if "basic" not in offered:
            raise SecurityError(f"Basic is not among what the server offers: {', '.join(offered) or 'nothing'}")
        return WebCredentials("Basic", secret=self._secret)
