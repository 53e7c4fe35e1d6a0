"""The caller's own identity toward the server relayed to: `dcerpc_mapiproxy:delegated_auth`.

Tried in this order, and logged: the ticket that he forwarded, constrained delegation, the NT hash that the directory
holds. Where none works the call is refused: no other account ever takes its place. What was made for a session is
kept in it, under a key of its own, and wiped at its end: a session is one account's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.delegation import CachedTickets, DelegatedTickets, ServiceLogon, user_principal
from openchange_py.auth.kerberos_initiator import Delegate, InitiatorCredential, SharedCredential
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism
from openchange_py.proxy.credentials import KerberosLogons
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import AuthLevel, Authority, AuthType, Delegated, Identity, SecurityError
from openchange_py.wire.ndr import RpcMessage

logger = logging.getLogger(__name__)

_STATE: Final = "delegation"

#: The NT hash of an account by its name, None where there is none or it may not log on; may block.
NtHashOf = Callable[[str], bytes | None]


@dataclasses.dataclass(slots=True)
class _SessionState:
    """What one account's session has for its logons upstream."""

    received: set[Delegated] = dataclasses.field(default_factory=set)
    impersonated: InitiatorCredential | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Target:
    """Whom the logon is for: see `UpstreamCredentials.context`."""

    name: str
    level: AuthLevel
    bindings: ChannelBindings | None


#: Tries one way for a session's caller toward a target; raises `SecurityError` where it can't be gone.
_Way = Callable[[_SessionState, Identity, _Target], Awaitable[Mechanism]]


class DelegatedCredentials:
    """`UpstreamCredentials` of who calls. `service` is this server at the KDC, None where it has no keytab."""

    def __init__(self, nt_hash_of: NtHashOf, service: ServiceLogon | None, realm: str, logons: KerberosLogons) -> None:
        self._nt_hash_of = nt_hash_of
        self._service = service
        self._realm = realm
        self._logons = logons

    async def context(
        self,
        call: Call,
        target: str,
        level: AuthLevel,
        mechanism: AuthType | None = None,
        bindings: ChannelBindings | None = None,
    ) -> Mechanism:
        """See `UpstreamCredentials.context`. The error says why each of the ways does not work."""
        caller = call.caller
        if caller.is_anonymous:
            raise SecurityError("an anonymous caller has no identity to relay with")
        state = _state_of(call.session)
        if caller.delegated is not None:
            claim(call.session, caller.delegated)
        reasons: list[str] = []
        for way, attempt in self._ways(mechanism):
            try:
                context = await attempt(state, caller, _Target(target, level, bindings))
            except SecurityError as error:
                reasons.append(f"{way}: {error}")
                continue
            said = f" ({'; '.join(reasons)})" if reasons else ""
            logger.info("%s: relayed to %s as %s by %s%s", call.session, target, caller, way, said)
            return context
        reason = "; ".join(reasons)
        logger.warning("%s: %s can't be relayed to %s: %s", call.session, caller, target, reason)
        raise SecurityError(reason)

    def _ways(self, mechanism: AuthType | None) -> list[tuple[str, _Way]]:
        kerberos: list[tuple[str, _Way]] = [
            ("forwarded ticket", self._forwarded),
            ("constrained delegation", self._constrained),
        ]
        ntlm: list[tuple[str, _Way]] = [("NT hash", self._stored_hash)]
        if mechanism == AuthType.KERBEROS:
            return kerberos
        return ntlm if mechanism == AuthType.NTLMSSP else [*kerberos, *ntlm]

    async def _forwarded(self, state: _SessionState, caller: Identity, target: _Target) -> Mechanism:
        tickets = _tickets_of(caller)
        if tickets is None:
            raise SecurityError("the client did not log on with Kerberos")
        if tickets.forwarded is None:
            raise SecurityError("the client forwarded no ticket")
        # A next hop gets the ticket too where the KDC trusts it with delegation.
        return await self._initiator(CachedTickets(tickets.forwarded), target, Delegate.OK_AS_DELEGATE)

    async def _constrained(self, state: _SessionState, caller: Identity, target: _Target) -> Mechanism:
        service, tickets = self._service, _tickets_of(caller)
        if service is None:
            raise SecurityError("this server has no keytab")
        failure = ""
        if tickets is not None:
            try:
                return await self._initiator(service.constrained(tickets.ticket), target)
            except SecurityError as error:
                failure = f"with the client's ticket: {error}; in his name: "
        elif caller.authority is not Authority.DOMAIN:
            # A name in our own directory is no proof toward the domain, whose account of that name may be another's.
            raise SecurityError("it was this server that authenticated the client, not the domain")
        if state.impersonated is None:
            principal = tickets.principal if tickets is not None else user_principal(caller.account, self._realm)
            state.impersonated = SharedCredential(service.impersonated(principal))
        try:
            return await self._initiator(state.impersonated, target)
        except SecurityError as error:
            raise SecurityError(f"{failure}{error}") from error

    async def _stored_hash(self, state: _SessionState, caller: Identity, target: _Target) -> Mechanism:
        nt_hash = await asyncio.to_thread(self._nt_hash_of, caller.account)
        if nt_hash is None:
            raise SecurityError("the directory does not tell it")
        credential = NtlmCredential(caller.account, caller.domain, nt_hash)
        return NtlmInitiator(credential, level=target.level, target_name=target.name)

    async def _initiator(
        self, credential: InitiatorCredential, target: _Target, delegate: Delegate = Delegate.NO
    ) -> Mechanism:
        return await self._logons.initiator(
            credential, target.name, target.level, delegate=delegate, bindings=target.bindings
        )


def _tickets_of(caller: Identity) -> DelegatedTickets | None:
    return caller.delegated if isinstance(caller.delegated, DelegatedTickets) else None


def _state_of(session: Session) -> _SessionState:
    state = session.state.get(_STATE)
    if not isinstance(state, _SessionState):
        state = session.state[_STATE] = _SessionState()
    return state


def claim(session: Session, delegated: Delegated) -> None:
    """The session uses it from now on, until its own end."""
    delegated.claimed = True
    _state_of(session).received.add(delegated)


def end_delegation(session: Session) -> None:
    """The session is over: wipe the tickets that were used for it."""
    state = session.state.pop(_STATE, None)
    if isinstance(state, _SessionState):
        for delegated in state.received:
            delegated.close()


class UpstreamAuthorizes:
    """With the caller's own identity upstream: what he may do is decided there, only nobody may come as nobody."""

    as_caller = True

    async def authorize(self, call: Call, upstream: str = "") -> RpcMessage | None:
        """See `CallAuthorizer.authorize`."""
        if call.caller.is_anonymous:
            raise _denied(call, "not authenticated")
        return None

    def learn(self, call: Call, reply: bytes, upstream: str = "") -> None:
        """See `CallAuthorizer.learn`."""

    def forget(self, session: Session) -> None:
        """See `CallAuthorizer.forget`."""


def _denied(call: Call, reason: str) -> RpcFault:
    logger.warning("%s: %s of %s refused: %s", call.session, call.name, call.caller, reason)
    return RpcFault(FaultStatus.ACCESS_DENIED, reason)
