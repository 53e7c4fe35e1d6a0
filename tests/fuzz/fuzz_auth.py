"""Targets of authentication: NTLM's messages and exchange, SPNEGO's tokens."""

from __future__ import annotations

import contextlib

from openchange_py.auth.ntlm import NtlmAcceptor, NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import SpnegoAcceptor, SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, SecurityContext, SecurityError
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ntlm import NtlmV2ClientChallenge, TargetInfo, unpack_message
from openchange_py.wire.spnego import NegTokenInit, NegTokenResp
from tests.auth.ntlm_parties import NAMES, PASSWORD, PEER, acceptor
from tests.fuzz.target import target

_CREDENTIAL = NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD)


class _Nobody:
    """A verifier that believes everybody, so that what is behind it is reached."""

    def verify(self, login: object) -> tuple[object, bytes]:
        from openchange_py.rpc.security import Identity

        return Identity("alice", "EXAMPLE"), bytes(16)


def ntlm() -> NtlmAcceptor:
    """A server's context that sends the same challenge each time."""
    return NtlmAcceptor(_Nobody(), NAMES, PEER, random=bytes, clock=lambda: 1)  # type: ignore[arg-type]


def _exchange(client: SecurityContext, server: SecurityContext) -> list[bytes]:
    tokens, token = [], client.step(b"")
    while token:
        tokens.append(token)
        answer = server.step(token)
        if not answer:
            break
        tokens.append(answer)
        token = client.step(answer)
    return tokens


def ntlm_tokens() -> list[bytes]:
    """The three messages."""
    return _exchange(NtlmInitiator(_CREDENTIAL, level=AuthLevel.PRIVACY), acceptor())


def spnego_tokens() -> list[bytes]:
    """The tokens of a whole exchange."""
    client = SpnegoInitiator(NtlmInitiator(_CREDENTIAL, level=AuthLevel.PRIVACY))
    return _exchange(client, SpnegoAcceptor([acceptor()]))


@target("ntlm", ntlm_tokens, longest=2048)
def fuzz_ntlm(data: bytes) -> None:
    """NTLM messages: decoded, and given to both sides at each step."""
    with contextlib.suppress(DecodeError, EncodeError):
        unpack_message(data).pack()
    for kind in (NtlmV2ClientChallenge, TargetInfo):
        with contextlib.suppress(DecodeError, EncodeError):
            kind.unpack(data).pack()
    server = ntlm()
    with contextlib.suppress(SecurityError):
        server.step(data)
    server = ntlm()
    server.step(NtlmInitiator(_CREDENTIAL, level=AuthLevel.PRIVACY).step(b""))
    with contextlib.suppress(SecurityError):
        server.step(data)
    client = NtlmInitiator(_CREDENTIAL, level=AuthLevel.PRIVACY)
    client.step(b"")
    with contextlib.suppress(SecurityError):
        client.step(data)


@target("spnego", lambda: [*spnego_tokens(), *ntlm_tokens()], longest=2048)
def fuzz_spnego(data: bytes) -> None:
    """SPNEGO tokens: decoded, and given to both sides at each step."""
    for kind in (NegTokenInit, NegTokenResp):
        with contextlib.suppress(DecodeError, EncodeError):
            kind.unpack(kind.unpack(data).pack())
    server = SpnegoAcceptor([ntlm()])
    with contextlib.suppress(SecurityError):
        server.step(data)
    server = SpnegoAcceptor([ntlm()])
    server.step(SpnegoInitiator(NtlmInitiator(_CREDENTIAL, level=AuthLevel.PRIVACY)).step(b""))
    with contextlib.suppress(SecurityError):
        server.step(data)
    client = SpnegoInitiator(NtlmInitiator(_CREDENTIAL, level=AuthLevel.PRIVACY))
    client.step(b"")
    with contextlib.suppress(SecurityError):
        client.step(data)
