"""Who calls over HTTP: what transports ask for a connection's logon, of either side, and what a request came by."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from openchange_py.rpc.security import Identity, SecurityContext


@dataclasses.dataclass(frozen=True, slots=True)
class Channel:
    """What a request came through."""

    #: The client's address and port: the proxy's client's, where a trusted proxy tells it.
    peer: str
    #: Nobody between the client and us, or us and a trusted proxy's client, can read along.
    secure: bool
    #: A proxy's connection, on which requests of several clients may come: nobody is bound to it.
    shared: bool = False
    #: RFC 5929 tls-server-end-point: the hash of our certificate; None where there is no TLS, or where a proxy ends it.
    end_point: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request's credentials: who sent it, or what a WWW-Authenticate field each asks for."""

    identity: Identity | None
    #: Where there is no identity, the challenges; else what proves to the client who we are.
    fields: tuple[str, ...] = ()
    #: The scheme that came, in lower case; "" where none did.
    scheme: str = ""
    #: The client was refused, and is not only asked to go on.
    failed: bool = False


class WebLogon(Protocol):
    """The logons of one connection: NTLM and Negotiate are bound to it. One step at a time."""

    def known(self, authorization: str, channel: Channel) -> Outcome | None:
        """What needs no work: the connection's client goes on, or who tells nothing is asked. Else None."""
        ...

    def step(self, authorization: str, channel: Channel) -> Outcome:
        """What becomes of an Authorization field; "" where there is none. May block."""
        ...

    def close(self) -> None:
        """The connection ended."""
        ...


class WebAuthenticator(Protocol):
    """Where connections get their logons from."""

    def logon(self) -> WebLogon:
        """For a new connection."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class WebCredentials:
    """What a client answers a challenge with: the tokens of a context, or one secret with every request."""

    #: As it stands in the Authorization field.
    scheme: str
    context: SecurityContext | None = None
    #: What stands behind the scheme where there is no context.
    secret: str = dataclasses.field(default="", repr=False)


class WebInitiator(Protocol):
    """Where a client's connection gets its credentials from."""

    async def answer(self, offered: Sequence[str], secure: bool, end_point: bytes | None) -> WebCredentials:
        """For a server that offers these schemes (lower case), through TLS with that `Channel.end_point` or not.

        Raises `SecurityError`.
        """
        ...
