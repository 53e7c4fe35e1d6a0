"""Who calls over HTTP: Basic (RFC 7617), NTLM and Negotiate (RFC 4559, [MS-NTHT]), Bearer (RFC 6750).

The accounts, their passwords and the brake on guessing are those of RPC. NTLM and Negotiate are bound to the
connection: who authenticated once need not say it again, until he says something else. On a proxy's connection, which
several clients may share, nobody is bound to it, so that NTLM, which needs two requests, is not possible there.
Not done: logons that pass through to the server relayed to, Digest.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.bearer import BearerTokens
from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityContext, SecurityError
from openchange_py.rpc.web_logon import Channel, Outcome
from openchange_py.wire.ntlm import SIGNATURE, MessageType

logger = logging.getLogger(__name__)

#: What a client's first token of an exchange begins with: NTLM's NEGOTIATE_MESSAGE, a framed token of GSSAPI.
_FIRST_TOKENS: Final = (SIGNATURE + int(MessageType.NEGOTIATE).to_bytes(4, "little"), b"\x60")
#: Seconds for which the same password or token is not checked again on the same connection.
_MEMORY: Final = 60.0


class Scheme(enum.Enum):
    """How a client may say who it is, as it stands in the fields, in lower case."""

    NEGOTIATE = "negotiate"
    NTLM = "ntlm"
    BASIC = "basic"
    BEARER = "bearer"


class Bindings(enum.Enum):
    """What is asked of NTLM and Kerberos logons about the TLS channel that they come through."""

    OFF = "off"
    #: Who names a channel must name this one.
    ALLOWED = "allowed"
    REQUIRED = "required"


class WebLogons:
    """A `WebAuthenticator`. `schemes` are offered in their order; `realm` is what people see who are asked."""

    def __init__(
        self,
        authenticator: LocalAuthenticator,
        schemes: Sequence[Scheme] = (Scheme.NEGOTIATE, Scheme.NTLM, Scheme.BASIC),
        *,
        realm: str = "",
        bearer: BearerTokens | None = None,
        bindings: Bindings = Bindings.ALLOWED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.authenticator = authenticator
        self.bearer = bearer
        self.clock = clock
        self._schemes = [scheme for scheme in schemes if scheme is not Scheme.BEARER or bearer is not None]
        self._realm = realm.replace("\\", "").replace('"', "")
        self._bindings = bindings

    def logon(self) -> ConnectionLogon:
        """See `WebAuthenticator.logon`."""
        return ConnectionLogon(self)

    def offered(self, channel: Channel) -> list[Scheme]:
        """What a client may use on this channel: no passwords or tokens that everybody on the way could read."""
        private = (Scheme.BASIC, Scheme.BEARER)
        return [
            scheme
            for scheme in self._schemes
            if (channel.secure or scheme not in private) and not (channel.shared and scheme is Scheme.NTLM)
        ]

    def challenges(self, channel: Channel) -> tuple[str, ...]:
        """What a client is asked with."""
        return tuple(self._challenge(scheme) for scheme in self.offered(channel))

    def _challenge(self, scheme: Scheme) -> str:
        if scheme is Scheme.BASIC:
            return f'Basic realm="{self._realm}", charset="UTF-8"'
        if scheme is Scheme.BEARER and self.bearer is not None:
            return self.bearer.challenge(self._realm)
        return "Negotiate" if scheme is Scheme.NEGOTIATE else "NTLM"

    def bindings(self, channel: Channel) -> ChannelBindings | None:
        """What a logon on this channel must name."""
        if channel.end_point is None or self._bindings is Bindings.OFF:
            return None
        return ChannelBindings(channel.end_point, self._bindings is Bindings.REQUIRED)


class ConnectionLogon:
    """A `WebLogon`: who is bound to one connection, and an exchange that is under way there."""

    def __init__(self, logons: WebLogons) -> None:
        self._logons = logons
        #: Bound to the connection.
        self._identity: Identity | None = None
        self._context: SecurityContext | None = None
        #: The last password or token that was right: what came, who sent it, and until when it is believed.
        self._last: tuple[bytes, Identity, float] | None = None
        #: What clients gave along to act for them.
        self._delegating: list[Identity] = []

    def known(self, authorization: str, channel: Channel) -> Outcome | None:
        """See `WebLogon.known`."""
        if not authorization:
            if self._identity is not None and not channel.shared:
                return Outcome(self._identity)
            return Outcome(None, self._logons.challenges(channel))
        if self._last is not None and self._logons.clock() < self._last[2]:
            sent, identity, _ = self._last
            if hmac.compare_digest(sent, authorization.encode("latin-1", "replace")) and channel.secure:
                return Outcome(identity)
        return None

    def step(self, authorization: str, channel: Channel) -> Outcome:
        """See `WebLogon.step`."""
        outcome = self.known(authorization, channel)
        if outcome is not None:
            return outcome
        word, _, rest = authorization.strip().partition(" ")
        scheme = next((scheme for scheme in self._logons.offered(channel) if scheme.value == word.casefold()), None)
        self._last = None
        try:
            if scheme is None:
                raise SecurityError(
                    f"the scheme {word[:20]!r} is not offered" + ("" if channel.secure else " without TLS")
                )
            if scheme is Scheme.BASIC:
                return self._remember(authorization, self._basic(rest, channel), scheme)
            if scheme is Scheme.BEARER:
                return self._remember(authorization, self._bearer(rest), scheme)
            return self._exchange(scheme, rest, channel)
        except SecurityError as error:
            logger.warning("%s: HTTP logon refused: %s", channel.peer, error)
            self._context = self._identity = None
            name = scheme.value if scheme is not None else ""
            return Outcome(None, self._logons.challenges(channel), name, failed=True)

    def close(self) -> None:
        """See `WebLogon.close`."""
        self._let_go()
        self._last = self._identity = self._context = None

    def _let_go(self) -> None:
        """Wipe what earlier logons of the connection gave along and no session took."""
        for identity in self._delegating:
            if identity.delegated is not None and not identity.delegated.claimed:
                identity.delegated.close()
        self._delegating.clear()

    def _remember(self, authorization: str, identity: Identity, scheme: Scheme) -> Outcome:
        """Passwords and tokens say for themselves whose a request is: the connection is bound to nobody."""
        identity = dataclasses.replace(identity, level=AuthLevel.PRIVACY)
        self._last = authorization.encode("latin-1", "replace"), identity, self._logons.clock() + _MEMORY
        self._identity = self._context = None
        return Outcome(identity, scheme=scheme.value)

    def _basic(self, credentials: str, channel: Channel) -> Identity:
        data = _decoded(credentials)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        user, colon, password = text.partition(":")
        if not colon or not user:
            raise SecurityError("no user and password")
        return self._logons.authenticator.check_password(user, password, channel.peer)

    def _bearer(self, token: str) -> Identity:
        assert self._logons.bearer is not None
        return self._logons.bearer.identity(token.strip())

    def _exchange(self, scheme: Scheme, token: str, channel: Channel) -> Outcome:
        data = _decoded(token)
        self._identity = None
        if self._context is None or self._context.complete or data.startswith(_FIRST_TOKENS):
            mechanism = AuthType.NTLMSSP if scheme is Scheme.NTLM else AuthType.SPNEGO
            self._context = self._logons.authenticator.over(mechanism, channel.peer, self._logons.bindings(channel))
        context = self._context
        if context is None:
            raise SecurityError(f"{scheme.value} is not possible here")
        answer = context.step(data)
        word = "NTLM" if scheme is Scheme.NTLM else "Negotiate"
        said = f"{word} {base64.b64encode(answer).decode('ascii')}" if answer else word
        if not context.complete:
            if channel.shared:
                raise SecurityError("a logon in several requests, on a proxy's connection that others may share")
            return Outcome(None, (said,), scheme.value)
        identity = context.identity
        if identity is None or identity.is_anonymous:
            raise SecurityError("anonymous logon refused")
        identity = dataclasses.replace(identity, level=AuthLevel.PRIVACY if channel.secure else AuthLevel.CONNECT)
        self._let_go()
        self._delegating.append(identity)
        if channel.shared:
            self._context = None
        else:
            self._identity = identity
        return Outcome(identity, (said,) if answer else (), scheme.value)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecurityError("credentials that are no Base64") from error
