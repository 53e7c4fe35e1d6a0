"""Who calls, and how a connection's security context looks to the RPC runtime.

The runtime knows no mechanism: `auth/` gives it objects that follow `SecurityContext`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from openchange_py.rpc.log_context import LogFields

if TYPE_CHECKING:
    from openchange_py.wire.ndr import SyntaxId


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


class Authority(enum.Enum):
    """Who checked that a client is who he says."""

    #: This server, with what its directory knows.
    DIRECTORY = "directory"
    #: A domain controller: its KDC's ticket, or its Netlogon service's word.
    DOMAIN = "domain"
    #: The server relayed to, toward which alone it is worth anything. Never above level connect.
    UPSTREAM = "upstream"


class Delegated(Protocol):
    """What a client gave with its logon to act for it elsewhere; `auth` knows what it is. Good until closed."""

    #: A session uses it and will close it; else it is closed with the client's connection.
    claimed: bool

    def close(self) -> None:
        """Wipe it."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The authenticated account, by the name that the directory knows it under (case folded by look-ups).

    `level` is the protection that the call had. `ANONYMOUS` where nobody authenticated.
    """

    account: str
    domain: str = ""
    level: AuthLevel = AuthLevel.NONE
    authority: Authority = dataclasses.field(default=Authority.DIRECTORY, compare=False)
    delegated: Delegated | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def is_anonymous(self) -> bool:
        return not self.account

    def told(self) -> dict[str, str | int]:
        """As another process of this server is told of it. What was delegated is not: it stays here."""
        return {
            "account": self.account,
            "domain": self.domain,
            "level": int(self.level),
            "authority": self.authority.value,
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Identity:
        """What another process of this server told."""
        return cls(told["account"], told["domain"], AuthLevel(told["level"]), Authority(told["authority"]))

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`."""
        return {"account": str(self)}

    def __str__(self) -> str:
        if self.is_anonymous:
            return "anonymous"
        return f"{self.domain}\\{self.account}" if self.domain else self.account


ANONYMOUS = Identity("")


class SecurityError(Exception):
    """A token, signature or sealed body was refused. The text says why, for the log; the peer learns nothing of it."""


class SecurityContext(Protocol):
    """One authentication with its keys, of either side. [MS-RPCE] 2.2.1.1.7, 3.3.1.5.2.2.

    The methods of one context are called one at a time; `step` may be called in a worker thread.
    """

    #: The mechanism, as it stands in the sec_trailer.
    auth_type: AuthType
    #: No further token is needed from the peer, and messages can be protected.
    complete: bool
    #: Signatures cover PDU headers whether header signing was negotiated or not; known once `complete`.
    always_signs_headers: bool
    #: Who the peer is. An acceptor knows once `complete`; an initiator leaves it None.
    identity: Identity | None

    def step(self, token: bytes) -> bytes:
        """The token to send next, b"" for none. An initiator's first step is given b"".

        Raises `SecurityError`. May block, for instance on a directory look-up.
        """
        ...

    def signature_size(self, level: AuthLevel) -> int:
        """Bytes of the authentication value of a PDU at this level: INTEGRITY (and PACKET) or PRIVACY.

        Raises `SecurityError` where the exchange is complete and did not negotiate to seal at PRIVACY.
        """
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature of a message. Each signature advances the sending sequence number."""
        ...

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check the peer's signature; raises `SecurityError`."""
        ...

    def seal(self, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        """Encrypt `body`: the sealed body and the signature over before + body + after, all plain text.

        `before` and `after` are the PDU header and the sec_trailer where header signing was negotiated, and
        empty where not.
        """
        ...

    def unseal(self, before: bytes, sealed: bytes, after: bytes, signature: bytes) -> bytes:
        """The decrypted body, its signature checked; raises `SecurityError`."""
        ...


@runtime_checkable
class StepsItself(Protocol):
    """A security context whose steps wait for somebody else than a computation, on the event loop."""

    async def exchange(self, token: bytes) -> bytes:
        """In place of `SecurityContext.step`."""
        ...


class KeyedContext(SecurityContext, Protocol):
    """A security context whose key others than RPC derive theirs from."""

    @property
    def session_key(self) -> bytes:
        """What both sides know once `complete`; raises `SecurityError` before, and where there is none."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Logon:
    """What a client's first token comes with."""

    level: AuthLevel
    #: The first interface that its PDU proposes.
    interface: SyntaxId | None
    #: The client's association group, which it joins after its bind's first token was read.
    group: Callable[[], int]


class Authenticator(Protocol):
    """Where an acceptor gets its security contexts from."""

    def acceptor(self, auth_type: AuthType, peer: str, logon: Logon | None = None) -> SecurityContext | None:
        """A fresh context for a client at `peer` (address and port, for the log); None: not supported."""
        ...
