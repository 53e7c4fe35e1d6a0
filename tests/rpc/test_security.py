"""Who calls, and that the mechanisms keep the contract of a security context."""

from __future__ import annotations

import inspect

import pytest

from openchange_py.auth.ntlm import NtlmAcceptor, NtlmInitiator
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, AuthType, Identity, SecurityContext
from tests.auth.ntlm_parties import acceptor
from tests.rpc.parties import ntlm


def test_identity_reads_as_windows_writes_it() -> None:
    assert str(ANONYMOUS) == "anonymous"
    assert ANONYMOUS.is_anonymous
    assert str(Identity("alice", "EXAMPLE")) == "EXAMPLE\\alice"
    assert str(Identity("alice")) == "alice"


def test_levels_are_ordered_by_their_protection() -> None:
    levels = (AuthLevel.NONE, AuthLevel.CONNECT, AuthLevel.PACKET, AuthLevel.INTEGRITY, AuthLevel.PRIVACY)
    assert list(levels) == sorted(levels)
    assert AuthType.NTLMSSP == 10


@pytest.mark.parametrize("kind", [NtlmAcceptor, NtlmInitiator])
def test_ntlm_has_every_method_of_a_security_context(kind: type) -> None:
    for name, declared in inspect.getmembers(SecurityContext, inspect.isfunction):
        if not name.startswith("_"):
            wanted = list(inspect.signature(declared).parameters)
            assert list(inspect.signature(getattr(kind, name)).parameters) == wanted, name


def test_an_acceptor_knows_the_peer_only_when_complete() -> None:
    client, server = ntlm(AuthLevel.PRIVACY), acceptor()
    assert client is not None
    challenge = server.step(client.step(b""))
    assert not server.complete
    assert server.identity is None
    assert server.step(client.step(challenge)) == b""
    assert server.complete
    assert str(server.identity) == "EXAMPLE\\alice"
    assert client.identity is None
