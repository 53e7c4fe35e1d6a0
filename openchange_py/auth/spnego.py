"""SPNEGO around NTLM or Kerberos, both sides: RFC 4178, [MS-SPNG].

A token that is bare NTLM or Kerberos, where a client left the wrapping away, is answered bare, as Windows does it.
Not done: a `reject` token to the client; an initiator with more than one mechanism.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Final, Protocol

from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityContext, SecurityError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ntlm import SIGNATURE
from openchange_py.wire.spnego import (
    KERBEROS_OID,
    NTLMSSP_OID,
    NegState,
    NegTokenInit,
    NegTokenResp,
    pack_mech_types,
    unframed_ap_req,
)

#: How a Kerberos AP-REQ begins in DCE style (RFC 4120 5.5.1: application tag 14).
_AP_REQ: Final = b"\x6e"


class Mechanism(SecurityContext, Protocol):
    """A security context that SPNEGO can carry."""

    #: Its object identifiers, the preferred one first.
    mech_types: tuple[str, ...]

    @property
    def can_sign_mech_list(self) -> bool:
        """Whether there are keys for a mechListMIC."""
        ...

    def sign_mech_list(self, mech_types: bytes) -> bytes:
        """The mechListMIC."""
        ...

    def verify_mech_list(self, mech_types: bytes, signature: bytes) -> None:
        """Check the peer's mechListMIC; raises `SecurityError`."""
        ...

    @property
    def session_key(self) -> bytes:
        """See `KeyedContext.session_key`."""
        ...


class SpnegoContext(abc.ABC):
    """What both sides share: the mechanism inside protects the messages."""

    auth_type = AuthType.SPNEGO

    def __init__(self) -> None:
        self._inner: Mechanism | None = None
        self._mech_types = b""
        self._started = False
        self._over = False
        self.complete = False
        self.always_signs_headers = False
        self.identity: Identity | None = None

    def step(self, token: bytes) -> bytes:
        """See `SecurityContext.step`. After an error the context is of no more use."""
        if self._over:
            raise SecurityError("the SPNEGO exchange is over")
        started, self._started, self._over = self._started, True, True
        try:
            answer = self._continue(token) if started else self._start(token)
        except DecodeError as error:
            raise SecurityError(f"malformed SPNEGO token: {error}") from error
        self._over = self.complete
        return answer

    def _finish(self) -> None:
        inner = self._chosen
        self.complete = True
        self.identity = inner.identity
        self.always_signs_headers = inner.always_signs_headers

    @abc.abstractmethod
    def _start(self, token: bytes) -> bytes:
        """The first token."""

    @abc.abstractmethod
    def _continue(self, token: bytes) -> bytes:
        """Every further token."""

    def signature_size(self, level: AuthLevel) -> int:
        """See `SecurityContext.signature_size`."""
        return self._chosen.signature_size(level)

    def sign(self, message: bytes) -> bytes:
        """See `SecurityContext.sign`."""
        return self._completed().sign(message)

    def verify(self, message: bytes, signature: bytes) -> None:
        """See `SecurityContext.verify`."""
        self._completed().verify(message, signature)

    def seal(self, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        """See `SecurityContext.seal`."""
        return self._completed().seal(before, body, after)

    def unseal(self, before: bytes, sealed: bytes, after: bytes, signature: bytes) -> bytes:
        """See `SecurityContext.unseal`."""
        return self._completed().unseal(before, sealed, after, signature)

    @property
    def session_key(self) -> bytes:
        """See `KeyedContext.session_key`."""
        return self._completed().session_key

    @property
    def _chosen(self) -> Mechanism:
        if self._inner is None:
            raise SecurityError("no mechanism was chosen yet")
        return self._inner

    def _completed(self) -> Mechanism:
        if not self.complete:
            raise SecurityError("the SPNEGO exchange is not complete")
        return self._chosen


class SpnegoAcceptor(SpnegoContext):
    """The server's side, around one acceptor per mechanism; the client's order decides which is used."""

    def __init__(self, mechanisms: Sequence[Mechanism]) -> None:
        super().__init__()
        self._offered = {mech_type: mechanism for mechanism in mechanisms for mech_type in mechanism.mech_types}
        self._bare = False
        self._mic_required = False

    def _start(self, token: bytes) -> bytes:
        if token.startswith(SIGNATURE):
            return self._start_bare(token, NTLMSSP_OID)
        if token.startswith(_AP_REQ) or unframed_ap_req(token) is not None:
            return self._start_bare(token, KERBEROS_OID)
        offer = NegTokenInit.unpack(token)
        self._mech_types = offer.mech_type_list
        chosen = next((mech_type for mech_type in offer.mech_types if mech_type in self._offered), None)
        if chosen is None:
            raise SecurityError(f"the client offers no mechanism of ours, only {', '.join(offer.mech_types)[:200]}")
        self._inner = inner = self._offered[chosen]
        if offer.mech_types[0] != chosen:
            # RFC 4178 5: the token, if any, is of another mechanism, and a MIC must prove that nobody edited the list.
            self._mic_required = True
            return NegTokenResp(NegState.REQUEST_MIC, chosen).pack()
        if offer.mech_token is None:
            return NegTokenResp(NegState.ACCEPT_INCOMPLETE, chosen).pack()
        answer = inner.step(offer.mech_token)
        if not inner.complete:
            return NegTokenResp(NegState.ACCEPT_INCOMPLETE, chosen, answer).pack()
        # RFC 4178 5: the mechanism that the client likes best, complete with its first token, needs no MIC.
        self._finish()
        return NegTokenResp(NegState.ACCEPT_COMPLETED, chosen, answer or None).pack()

    def _start_bare(self, token: bytes, mech_type: str) -> bytes:
        if mech_type not in self._offered:
            raise SecurityError(f"the client uses {mech_type} without asking, which is not offered")
        self._bare = True
        self._inner = self._offered[mech_type]
        return self._bare_step(token)

    def _bare_step(self, token: bytes) -> bytes:
        answer = self._chosen.step(token)
        if self._chosen.complete:
            self._finish()
        return answer

    def _continue(self, token: bytes) -> bytes:
        inner = self._chosen
        if self._bare:
            return self._bare_step(token)
        response = NegTokenResp.unpack(token)
        answer = inner.step(response.response_token or b"")
        if not inner.complete:
            return NegTokenResp(NegState.ACCEPT_INCOMPLETE, response_token=answer).pack()
        own_mic = self._exchange_mics(inner, response.mech_list_mic)
        self._finish()
        return NegTokenResp(NegState.ACCEPT_COMPLETED, response_token=answer or None, mech_list_mic=own_mic).pack()

    def _exchange_mics(self, inner: Mechanism, mic: bytes | None) -> bytes | None:
        if mic is None:
            if self._mic_required:
                raise SecurityError("the client did not protect its list of mechanisms")
            return None
        inner.verify_mech_list(self._mech_types, mic)
        return inner.sign_mech_list(self._mech_types)


class SpnegoInitiator(SpnegoContext):
    """The client's side, around one initiator, which is all it offers."""

    def __init__(self, inner: Mechanism) -> None:
        super().__init__()
        self._inner = inner
        self._mech_types = pack_mech_types(inner.mech_types)

    @property
    def server_names(self) -> tuple[str, ...]:
        """What the server calls itself, where the mechanism tells: see `NtlmInitiator`."""
        names: tuple[str, ...] = getattr(self._inner, "server_names", ())
        return names

    def _start(self, token: bytes) -> bytes:
        return NegTokenInit(self._mech_types, self._chosen.step(token)).pack()

    def _continue(self, token: bytes) -> bytes:
        inner, response = self._chosen, NegTokenResp.unpack(token)
        if response.neg_state is NegState.REJECT:
            raise SecurityError("the server rejected the logon")
        if response.supported_mech not in (None, *inner.mech_types):
            raise SecurityError(f"the server chose {response.supported_mech}, which was not offered")
        if not inner.complete:
            answer = inner.step(response.response_token or b"")
            if answer or response.neg_state is not NegState.ACCEPT_COMPLETED:
                own_mic = inner.sign_mech_list(self._mech_types) if inner.can_sign_mech_list else None
                return NegTokenResp(response_token=answer, mech_list_mic=own_mic).pack()
        if response.neg_state is not NegState.ACCEPT_COMPLETED or not self._chosen.complete:
            raise SecurityError(f"the exchange ends at the wrong time: {response.neg_state!r}")
        if response.mech_list_mic is not None:
            inner.verify_mech_list(self._mech_types, response.mech_list_mic)
        self._finish()
        return b""
