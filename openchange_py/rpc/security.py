"""Who calls, and how a connection's security context looks to the RPC runtime.

The runtime knows no mechanism: `auth/` gives it objects that follow `SecurityContext`.
"""

from __future__ import annotations

import dataclasses
import enum


class AuthLevel(enum.IntEnum):
    """[MS-RPCE] 2.2.1.1.8."""

    NONE = 1
    CONNECT = 2
    CALL = 3
    PACKET = 4
    INTEGRITY = 5
    PRIVACY = 6


class AuthType(enum.IntEnum):
    """[MS-RPCE] 2.2.1.1.7."""

    NONE = 0
    SPNEGO = 9
    NTLMSSP = 10
    KERBEROS = 16
    NETLOGON = 68


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The authenticated account, by the name that the directory knows it under (case folded by look-ups).

    `level` is the protection that the call had. `ANONYMOUS` where nobody authenticated.
    """

    account: str
    domain: str = ""
    level: AuthLevel = AuthLevel.NONE

    @property
    def is_anonymous(self) -> bool:
        return not self.account

    def __str__(self) -> str:
        if self.is_anonymous:
            return "anonymous"
        return f"{self.domain}\\{self.account}" if self.domain else self.account


ANONYMOUS = Identity("")
