"""NTLM inside SPNEGO, both sides: RFC 4178, [MS-SPNG].

A token that is bare NTLM, where a client left the wrapping away, is answered bare, as Windows does it.
Not done: Kerberos, which is passed over in what a client offers; a `reject` token to the client.
"""

from __future__ import annotations

import abc

from openchange_py.auth.ntlm import NtlmAcceptor, NtlmContext, NtlmInitiator
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ntlm import SIGNATURE
from openchange_py.wire.spnego import NTLMSSP_OID, NegState, NegTokenInit, NegTokenResp, pack_mech_types


class SpnegoContext(abc.ABC):
    """What both sides share: the mechanism inside protects the messages."""

    auth_type = AuthType.SPNEGO

    def __init__(self, inner: NtlmContext) -> None:
        self._inner = inner
        self._mech_types = b""
        self._started = False
        self._over = False
        self.complete = False
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
        self.complete = True
        self.identity = self._inner.identity

    @abc.abstractmethod
    def _start(self, token: bytes) -> bytes:
        """The first token."""

    @abc.abstractmethod
    def _continue(self, token: bytes) -> bytes:
        """Every further token."""

    def signature_size(self, level: AuthLevel) -> int:
        """See `SecurityContext.signature_size`."""
        return self._inner.signature_size(level)

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

    def _completed(self) -> NtlmContext:
        if not self.complete:
            raise SecurityError("the SPNEGO exchange is not complete")
        return self._inner


class SpnegoAcceptor(SpnegoContext):
    """The server's side, around an NTLM acceptor."""

    def __init__(self, inner: NtlmAcceptor) -> None:
        super().__init__(inner)
        self._bare = False
        self._mic_required = False

    def _start(self, token: bytes) -> bytes:
        if token.startswith(SIGNATURE):
            self._bare = True
            return self._inner.step(token)
        offer = NegTokenInit.unpack(token)
        self._mech_types = offer.mech_type_list
        if NTLMSSP_OID not in offer.mech_types:
            raise SecurityError(f"the client offers no NTLM, only {', '.join(offer.mech_types)[:200]}")
        if offer.mech_types[0] != NTLMSSP_OID:
            # RFC 4178 5: the token, if any, is of another mechanism, and a MIC must prove that nobody edited the list.
            self._mic_required = True
            return NegTokenResp(NegState.REQUEST_MIC, NTLMSSP_OID).pack()
        challenge = None if offer.mech_token is None else self._inner.step(offer.mech_token)
        return NegTokenResp(NegState.ACCEPT_INCOMPLETE, NTLMSSP_OID, challenge).pack()

    def _continue(self, token: bytes) -> bytes:
        if self._bare:
            answer = self._inner.step(token)
            self._finish()
            return answer
        response = NegTokenResp.unpack(token)
        answer = self._inner.step(response.response_token or b"")
        if not self._inner.complete:
            return NegTokenResp(NegState.ACCEPT_INCOMPLETE, response_token=answer).pack()
        own_mic = self._exchange_mics(response.mech_list_mic)
        self._finish()
        return NegTokenResp(NegState.ACCEPT_COMPLETED, mech_list_mic=own_mic).pack()

    def _exchange_mics(self, mic: bytes | None) -> bytes | None:
        if mic is None:
            if self._mic_required:
                raise SecurityError("the client did not protect its list of mechanisms")
            return None
        self._inner.verify_mech_list(self._mech_types, mic)
        return self._inner.sign_mech_list(self._mech_types)


class SpnegoInitiator(SpnegoContext):
    """The client's side, around an NTLM initiator: NTLM is all it offers."""

    def __init__(self, inner: NtlmInitiator) -> None:
        super().__init__(inner)
        self._mech_types = pack_mech_types([NTLMSSP_OID])

    def _start(self, token: bytes) -> bytes:
        return NegTokenInit(self._mech_types, self._inner.step(token)).pack()

    def _continue(self, token: bytes) -> bytes:
        response = NegTokenResp.unpack(token)
        if response.neg_state is NegState.REJECT:
            raise SecurityError("the server rejected the logon")
        if response.supported_mech not in (None, NTLMSSP_OID):
            raise SecurityError(f"the server chose {response.supported_mech}, which was not offered")
        if not self._inner.complete:
            answer = self._inner.step(response.response_token or b"")
            own_mic = self._inner.sign_mech_list(self._mech_types) if self._inner.can_sign_mech_list else None
            return NegTokenResp(response_token=answer, mech_list_mic=own_mic).pack()
        if response.neg_state is not NegState.ACCEPT_COMPLETED:
            raise SecurityError(f"the server wants another token: {response.neg_state!r}")
        if response.mech_list_mic is not None:
            self._inner.verify_mech_list(self._mech_types, response.mech_list_mic)
        self._finish()
        return b""
