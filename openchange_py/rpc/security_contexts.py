"""The security contexts of a client's connection, by auth_context_id: [MS-RPCE] 3.3.1.5.2 and 3.3.3.3.

A connection has as many as the client opens. Calls name theirs in their sec_trailer. A call without one has that
of the bind, or where a context at level connect was opened later and never named, that one, as Windows has it. Where
those protect, it is refused on TCP, and on a named pipe the transport's, which is nobody's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from openchange_py.rpc.call import FaultStatus
from openchange_py.rpc.protection import LEVELS, Protection
from openchange_py.rpc.refusal import Refusal, unbound
from openchange_py.rpc.security import Authenticator, AuthLevel, AuthType, Logon, SecurityError
from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.ndr import SyntaxId
from openchange_py.wire.pdu import BindNakReason

#: Security contexts on one connection.
MAX_SECURITY_CONTEXTS: Final = 256


class NotAcceptable(SecurityError):
    """A first token that no security context can be made for, with what a bind that brings it is told."""

    def __init__(self, text: str, reason: BindNakReason) -> None:
        super().__init__(text)
        self.reason = reason


class SecurityContexts:
    """All security contexts of one connection, of which `default` is the bind's.

    `transport_default`: calls may have that of the transport, beside the others; the transport is a named pipe.
    """

    def __init__(
        self,
        authenticator: Authenticator | None,
        peer: str,
        limit: int = MAX_SECURITY_CONTEXTS,
        *,
        transport_default: bool = False,
    ) -> None:
        self._transport_default = transport_default
        self._authenticator = authenticator
        self._peer = peer
        self._limit = limit
        self._by_id: dict[int, Protection] = {}
        self.default: Protection | None = None
        self._connect: Protection | None = None
        self._named_connect = False
        self.header_signing = False
        #: The transport does not say who the client is.
        self.transport_anonymous = True
        #: The association group of the connection; 0 before it has one.
        self.group: Callable[[], int] = lambda: 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def anonymous(self) -> bool:
        """Nobody authenticated in any of them, nor to the transport."""
        return self.transport_anonymous and all(
            protection.refused or protection.caller.is_anonymous for protection in self._by_id.values()
        )

    def sign_headers(self) -> None:
        """The client's bind or alter_context offered header signing: from now on, for the whole connection."""
        self.header_signing = True
        for protection in self._by_id.values():
            protection.header_signing = True

    def begin(self, trailer: SecTrailer, interface: SyntaxId | None = None) -> Protection:
        """A new security context for a client's first token; `NotAcceptable` where there can be none.

        `interface` is the first that the PDU proposes.
        """
        context = None
        auth_type = _auth_type(trailer)
        if self._authenticator is not None:
            logon = Logon(LEVELS[trailer.auth_level], interface, self.group)
            context = self._authenticator.acceptor(auth_type, self._peer, logon)
        if context is None:
            raise NotAcceptable(
                f"authentication type {auth_type.name} is not offered",
                BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED,
            )
        protection = Protection(
            context,
            trailer.auth_type,
            trailer.auth_level,
            trailer.auth_context_id,
            header_signing=self.header_signing,
        )
        self._by_id[trailer.auth_context_id] = protection
        return protection

    def altered(self, trailer: SecTrailer, interface: SyntaxId | None = None) -> Protection:
        """The security context that an alter_context begins or continues."""
        protection = self._by_id.get(trailer.auth_context_id)
        if protection is None:
            if len(self._by_id) >= self._limit:
                raise unbound(f"more than {self._limit} security contexts")
            try:
                return self.begin(trailer, interface)
            except NotAcceptable as error:
                raise unbound(str(error), FaultStatus.ACCESS_DENIED) from error
        if trailer.auth_type != protection.auth_type:
            raise unbound("another authentication type than before", FaultStatus.SEC_PKG_ERROR)
        if trailer.auth_level != protection.auth_level or protection.settled:
            raise unbound("another level, or authentication again", FaultStatus.ACCESS_DENIED)
        return protection

    def close(self) -> None:
        """The connection is gone, and with it what was delegated and no session uses."""
        for protection in self._by_id.values():
            identity = protection.context.identity
            if identity is not None and identity.delegated is not None and not identity.delegated.claimed:
                identity.delegated.close()

    def third_leg(self, trailer: SecTrailer | None) -> Protection:
        """The security context that an auth3 completes."""
        protection = None if trailer is None else self._by_id.get(trailer.auth_context_id)
        if trailer is None or protection is None or protection.settled or not protection.matches(trailer):
            raise unbound("auth3 that belongs to no authentication")
        return protection

    def completed(self, protection: Protection) -> None:
        """A context came to be. Header signing may have been negotiated while it did."""
        if protection is not self.default and protection.level == AuthLevel.CONNECT and not self._named_connect:
            self._connect = protection

    def of_call(self, trailer: SecTrailer | None, context_id: int) -> Protection | None:
        """The security context of a call by its first fragment's trailer; None: nobody authenticated."""
        if trailer is None:
            protection = self._connect or self.default
            if protection is None:
                return None
        else:
            named = self._by_id.get(trailer.auth_context_id)
            if named is None or not named.matches(trailer):
                raise _denied("PDU of another authentication type, level or context", context_id)
            protection = named
            if protection.level == AuthLevel.CONNECT:
                self._named_connect, self._connect = True, None
        if protection.refused:
            raise _denied("authentication failed", context_id)
        if not protection.context.complete:
            raise unbound("call of an authentication that is not complete")
        if trailer is None and protection.protects:
            if self._transport_default:
                return None
            raise _denied("call without the protection that was negotiated", context_id)
        return protection


def _auth_type(trailer: SecTrailer) -> AuthType:
    """What a first token asks for. Level call is no level of a connection: clients ask for packet instead."""
    if not AuthLevel.CONNECT <= trailer.auth_level <= AuthLevel.PRIVACY:
        raise NotAcceptable(f"authentication level {trailer.auth_level}", BindNakReason.NOT_SPECIFIED)
    try:
        auth_type = AuthType(trailer.auth_type)
    except ValueError:
        auth_type = AuthType.NONE
    if auth_type == AuthType.NONE:
        raise NotAcceptable(
            f"authentication type {trailer.auth_type}", BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED
        )
    if trailer.auth_level not in LEVELS:
        raise NotAcceptable(f"authentication level {trailer.auth_level}", BindNakReason.INVALID_CHECKSUM)
    return auth_type


def _denied(reason: str, context_id: int) -> Refusal:
    return Refusal(reason, FaultStatus.ACCESS_DENIED, context_id=context_id)
